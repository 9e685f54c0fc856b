// The backward pass of the reference implementation, written by hand to mirror `ReferenceForward.swift`: for
// each line there, the derivatives of the loss with respect to its numbers. Discrete choices (which experts,
// which sublatent, which side of a threshold) count as constants, as is usual.

extension ReferenceParameters {
  /// ∂L/∂(every tensor) at `rows` [B × d], for a forward pass `pass` made with the same rows and settings.
  /// The gradients are neither projected nor clipped.
  public func gradients(
    _ rows: [Double], _ settings: ReferenceSettings, _ pass: ReferenceForward
  ) -> ReferenceParameters {
    let (d, m) = (shape.width, shape.experts)
    let batch = Double(pass.codes.count)
    let centred = centre(rows)
    var gradient = ReferenceParameters(shape: shape, vectors: vectors)
    for row in pass.codes.indices {
      let x = Array(centred[row * d..<(row + 1) * d])
      // The gradient with respect to the reconstruction of each term.
      let slopes = zip(settings.terms, pass.reconstructions).map { term, reconstruction in
        settings.measured(
          (0..<d).map { reconstruction[row * d + $0] - rows[row * d + $0] }
        ).map { 2 * term.weight * $0 / batch }
      }
      /// The gradients with respect to what the sublatents and what the top level of `expert` add.
      func gradients(_ expert: Int) -> (low: [Double], high: [Double]) {
        var low = [Double](repeating: 0, count: d)
        var high = low
        for (term, slope) in zip(settings.terms, slopes) where term.includes(expert) {
          add(1, slope, 0, to: &high, 0, d)
          if term.part.includesSublatents { add(1, slope, 0, to: &low, 0, d) }
        }
        return (low, high)
      }
      // ∂L/∂u, and ∂L/∂(x − b), which is needed for a bias only.
      var gradientU = [Double](repeating: 0, count: m)
      var gradientX = [Double](repeating: 0, count: d)
      for code in pass.codes[row] {
        let expert = code.expert
        let (gradientLow, gradientHigh) = gradients(expert)
        add(code.value, gradientHigh, 0, to: &gradient.decoder, expert * d, d)
        gradientU[expert] +=
          dot(decoder, expert * d, gradientHigh, 0, d)
          * settings.derivative(pass.preActivations[row * m + expert])
        if !shape.isFlat {
          subBackward(
            code, x, gradientLow, settings, settings.sparsity / batch, &gradient, &gradientX)
        }
      }
      for latent in penalised(row, pass, settings) {
        let u = pass.preActivations[row * m + latent]
        gradientU[latent] +=
          settings.sparsity * sign(settings.activate(u)) * settings.derivative(u) / batch
      }
      auxiliaryBackward(row, settings, pass, &gradient, &gradientU)
      jumpBackward(row, settings, pass, gradients, &gradient, &gradientU)
      if !encoderBias.isEmpty { add(1, gradientU, 0, to: &gradient.encoderBias, 0, m) }
      for latent in 0..<m where gradientU[latent] != 0 {
        add(gradientU[latent], x, 0, to: &gradient.encoder, latent * d, d)
        add(gradientU[latent], encoder, latent * d, to: &gradientX, 0, d)
      }
      if hasBias {
        // b is added to every reconstruction and subtracted from x.
        for slope in slopes { add(1, slope, 0, to: &gradient.bias, 0, d) }
        add(-1, gradientX, 0, to: &gradient.bias, 0, d)
      }
    }
    if settings.orthogonality != 0 {
      let part = orthogonalityByGram()
      add(settings.orthogonality, part.encoder, 0, to: &gradient.encoder, 0, m * d)
      add(settings.orthogonality, part.decoder, 0, to: &gradient.decoder, 0, m * d)
    }
    let frozen: [ParameterName] =
      switch settings.frozen {
      case .decoder: [.decoder, .up, .subDecoder]
      case .encoder: [.encoder, .down, .subEncoder]
      case nil: []
      }
    for name in frozen { gradient[name] = gradient[name].map { _ in 0 } }
    return gradient
  }

  /// Adds JumpReLU's gradients for one row: those of θ, by the rectangle kernel, and those of the penalty on dead
  /// latents. `gradients` gives the gradients with respect to what both levels of an expert add.
  private func jumpBackward(
    _ row: Int, _ settings: ReferenceSettings, _ pass: ReferenceForward,
    _ gradients: (Int) -> (low: [Double], high: [Double]),
    _ gradient: inout ReferenceParameters, _ gradientU: inout [Double]
  ) {
    guard case .jumpReLU(let jump) = settings.selection else { return }
    let (d, s, m, batch) = (shape.width, shape.subspace, shape.experts, Double(pass.codes.count))
    // The derivative of the penalty by the number of active latents of this row.
    let count = Double(pass.codes[row].count)
    let slope = settings.jumpSparsity / batch * (jump.target.map { 4 / $0 * (count - $0) } ?? 1)
    for code in pass.windows[row] {
      let expert = code.expert
      let (low, high) = gradients(expert)
      // What the expert adds at its threshold.
      var step = [Double](repeating: 0, count: d)
      for axis in 0..<s {
        let atom = (expert * shape.sublatents + code.sublatent) * s + axis
        add(code.subValue * subDecoder[atom], up, (expert * s + axis) * d, to: &step, 0, d)
      }
      let change =
        thresholds[expert] * dot(decoder, expert * d, high, 0, d) + dot(step, 0, low, 0, d) + slope
      gradient.thresholds[expert] -= change / jump.bandwidth
    }
    guard settings.jumpDead != 0 else { return }
    for latent in settings.dead.indices where settings.dead[latent] {
      let missing = thresholds[latent] - pass.preActivations[row * m + latent]
      guard missing > 0 else { continue }
      let norm = norm(ofDecoderRow: latent)
      let weight = settings.jumpDead / batch
      gradient.thresholds[latent] += weight * norm
      gradientU[latent] -= weight * norm
      add(weight * missing / norm, decoder, latent * d, to: &gradient.decoder, latent * d, d)
    }
  }

  /// Adds the gradients of one active expert's second level. `gradientLow` [d] is ∂L/∂x̂_low, `penalty` is λ₂
  /// / B.
  private func subBackward(
    _ code: ReferenceCode, _ x: [Double], _ gradientLow: [Double], _ settings: ReferenceSettings,
    _ penalty: Double, _ gradient: inout ReferenceParameters, _ gradientX: inout [Double]
  ) {
    let (d, s, a) = (shape.width, shape.subspace, shape.sublatents)
    let chosen = (code.expert * a + code.sublatent) * s
    // x̂_low += Σ_t c_q D^sub_q[t] Π↑_t.
    var gradientCode = code.subCodes.map { penalty * sign($0) }
    for axis in 0..<s {
      let row = (code.expert * s + axis) * d
      let along = dot(up, row, gradientLow, 0, d)
      add(code.subValue * subDecoder[chosen + axis], gradientLow, 0, to: &gradient.up, row, d)
      gradient.subDecoder[chosen + axis] += code.subValue * along
      gradientCode[code.sublatent] += subDecoder[chosen + axis] * along
    }
    // c_i = f(E^sub_i · y).
    var gradientY = [Double](repeating: 0, count: s)
    for sublatent in 0..<a {
      let row = (code.expert * a + sublatent) * s
      let before =
        gradientCode[sublatent] * settings.derivativeSub(code.subPreActivations[sublatent])
      add(before, code.projected, 0, to: &gradient.subEncoder, row, s)
      add(before, subEncoder, row, to: &gradientY, 0, s)
    }
    // y_t = Π↓_t · x.
    for axis in 0..<s {
      let row = (code.expert * s + axis) * d
      add(gradientY[axis], x, 0, to: &gradient.down, row, d)
      add(gradientY[axis], down, row, to: &gradientX, 0, d)
    }
  }

  /// Adds AuxK's gradients for one row. AuxK's targets and factors are constants.
  private func auxiliaryBackward(
    _ row: Int, _ settings: ReferenceSettings, _ pass: ReferenceForward,
    _ gradient: inout ReferenceParameters, _ gradientU: inout [Double]
  ) {
    let (d, m) = (shape.width, shape.experts)
    for part in pass.auxiliaries {
      let factor = 2 * settings.auxiliary * part.factor / Double(pass.codes.count)
      let gradientOutput = (row * d..<(row + 1) * d).map {
        factor * (part.reconstruction[$0] - part.target[$0])
      }
      for latent in part.latents[row] {
        let value = pass.preActivations[row * m + latent]
        add(value, gradientOutput, 0, to: &gradient.decoder, latent * d, d)
        gradientU[latent] += dot(decoder, latent * d, gradientOutput, 0, d)
      }
    }
  }
}

/// -1, 0 or 1; 0 for 0.
private func sign(_ value: Double) -> Double { value > 0 ? 1 : value < 0 ? -1 : 0 }
