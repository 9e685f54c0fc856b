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
      // Gradients with respect to what sublatents and what experts add. Experts take part in all terms.
      var gradientLow = [Double](repeating: 0, count: d)
      var gradientHigh = [Double](repeating: 0, count: d)
      for (term, reconstruction) in zip(settings.terms, pass.reconstructions) {
        for column in 0..<d {
          let error = reconstruction[row * d + column] - rows[row * d + column]
          let slope = 2 * term.weight * error / batch
          gradientHigh[column] += slope
          if term.part.includesSublatents { gradientLow[column] += slope }
        }
      }
      // ∂L/∂u, and ∂L/∂(x − b), which is needed for a bias only.
      var gradientU = [Double](repeating: 0, count: m)
      var gradientX = [Double](repeating: 0, count: d)
      for code in pass.codes[row] {
        let expert = code.expert
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
      for latent in 0..<m where gradientU[latent] != 0 {
        add(gradientU[latent], x, 0, to: &gradient.encoder, latent * d, d)
        add(gradientU[latent], encoder, latent * d, to: &gradientX, 0, d)
      }
      if hasBias {
        // b is added to x̂_high and subtracted from x.
        add(1, gradientHigh, 0, to: &gradient.bias, 0, d)
        add(-1, gradientX, 0, to: &gradient.bias, 0, d)
      }
    }
    if settings.orthogonality != 0 {
      let part = orthogonalityByGram()
      add(settings.orthogonality, part.encoder, 0, to: &gradient.encoder, 0, m * d)
      add(settings.orthogonality, part.decoder, 0, to: &gradient.decoder, 0, m * d)
    }
    return gradient
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

  /// Adds AuxK's gradients for one row. AuxK's target and variance are constants.
  private func auxiliaryBackward(
    _ row: Int, _ settings: ReferenceSettings, _ pass: ReferenceForward,
    _ gradient: inout ReferenceParameters, _ gradientU: inout [Double]
  ) {
    guard settings.auxiliary != 0, pass.auxiliaryVariance > 0 else { return }
    let (d, m) = (shape.width, shape.experts)
    let factor = 2 * settings.auxiliary / (Double(pass.codes.count) * pass.auxiliaryVariance)
    let gradientOutput = (0..<d).map {
      factor * (pass.auxiliaryReconstruction[row * d + $0] - pass.auxiliaryTarget[row * d + $0])
    }
    for latent in pass.auxiliaryLatents[row] {
      let value = pass.preActivations[row * m + latent]
      add(value, gradientOutput, 0, to: &gradient.decoder, latent * d, d)
      gradientU[latent] += dot(decoder, latent * d, gradientOutput, 0, d)
    }
  }
}

/// -1, 0 or 1; 0 for 0.
private func sign(_ value: Double) -> Double { value > 0 ? 1 : value < 0 ? -1 : 0 }
