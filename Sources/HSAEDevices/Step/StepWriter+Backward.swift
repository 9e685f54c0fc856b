// The gradients of the loss, mirroring the forward pass. Discrete choices (which experts, which sublatent, which side of
// a threshold) count as constants.

internal import HSAEModels

extension StepWriter {
  /// ∂L/∂(every tensor that is trained), neither projected nor clipped.
  func gradients(
    _ pass: ForwardPass, _ auxiliary: AuxiliaryPass?, _ ortho: OrthogonalityPass?
  ) -> [ParameterName: Tensor] {
    let (m, d, k) = (shape.experts, shape.width, shape.activeExperts)
    let (activation, rowCount) = (recipe.activation, Double(batch))
    let regularizers = setting(.regularizers)
    // ∂L/∂x̂_low, and ∂L/∂x̂_high, which x̂ contains too.
    let low = pass.residual * (-2 / rowCount)
    let high = low + pass.topResidual * (-2 * Double(objective.beta) / rowCount)
    // What one unit of a code costs.
    let price = regularizers * (Double(objective.l1) / rowCount)

    // The top level: ∂L/∂z of active experts, then ∂L/∂u of all latents.
    let slope = derivative(pass.codes, activation.threshold, activation.slope)
    var dz = pass.decoderRows.product(high, over: (2, 1), batch: 1) * pass.active * slope
    var du = zeros([batch, m])
    let u = pass.preActivations
    if objective.penalisesAll {
      du = (u >= Double(activation.threshold)).select(u.sign * price)
    } else if objective.l1 > 0 {
      dz = dz + (pass.codes >= Double(activation.threshold)).select(pass.active * price)
    }
    du = dz.added(to: du, alongRowsAt: pass.experts)
    let atoms = pass.codes.repeated(d) * high.spread([batch, k, d], [0, 2])
    var decoder = atoms.summed(at: pass.experts, into: [m, d])
    if let auxiliary {
      let codes = auxiliary.codes
      decoder = decoder + codes.product(auxiliary.gradient, over: (0, 0), in: dense)
      let slopes = auxiliary.gradient.product(self[.decoder], over: (1, 1), in: dense)
      du = du + codes.differs(codes.constant(0)).select(slopes)
    }
    var encoder = du.product(pass.x, over: (0, 0), in: dense)
    if let ortho {
      let weight = regularizers * Double(objective.ortho)
      encoder = encoder + ortho.encoder * weight
      decoder = decoder + ortho.decoder * weight
    }

    var gradients: [ParameterName: Tensor] = [.encoder: encoder, .decoder: decoder]
    // Σ over the rows, by latent: what the input bias and the encoder bias get.
    let sums = du.sum([0])
    var bias = high.sum([0]) - sums.product(self[.encoder], over: (0, 0))
    if let sublatents = pass.sublatents {
      let dy = subGradients(sublatents, pass, low, price, &gradients)
      if recipe.vectors.contains(.inputBias) {
        let sums = dy.summed(at: pass.experts, into: [m, shape.subspace])
        bias = bias - sums.product(self[.down], over: ([0, 1], [0, 1]))
      }
    }
    if recipe.vectors.contains(.inputBias) { gradients[.bias] = bias }
    if recipe.vectors.contains(.encoderBias) { gradients[.encoderBias] = sums }
    for name in frozenNames { gradients[name] = nil }
    return gradients
  }

  /// Adds the gradients of the second level. Returns ∂L/∂y [B × k × s].
  private func subGradients(
    _ sublatents: SublatentPass, _ pass: ForwardPass, _ low: Tensor, _ price: Tensor,
    _ gradients: inout [ParameterName: Tensor]
  ) -> Tensor {
    let (a, s) = (shape.sublatents, shape.subspace)
    let activation = recipe.activation
    // x̂_low += Σ_j v_j Π↑_j, with v_j = c_jq · D_j^sub[q].
    let dv = sublatents.up.product(low, over: (3, 1), batch: 1)
    let dq = (dv * sublatents.decoderRows).sum([2]) * pass.active
    // c_j = f(E_j^sub y_j); every code pays, and the chosen one also adds to x̂.
    let paid = sublatents.allCodes.sign * pass.active.repeated(a) * price
    let dBefore =
      (sublatents.chosen * dq.repeated(a) + paid)
      * derivative(sublatents.preActivations, activation.subThreshold, activation.subSlope)
    // y_j = Π↓_j x.
    let dy = dBefore.product(sublatents.encoder, over: (2, 2), batch: 2)
    func perExpert(_ name: ParameterName, _ left: Tensor, _ right: Tensor) {
      gradients[name] = outer(left, right)
        .summed(at: pass.experts, into: name.dimensions(in: shape))
    }
    perExpert(.up, sublatents.steps, low)
    perExpert(.down, dy, pass.x)
    perExpert(.subEncoder, dBefore, sublatents.coordinates)
    perExpert(.subDecoder, sublatents.chosen, sublatents.codes.repeated(s) * dv)
    return dy
  }

  /// The outer products of `left` [B × k × n] and `right` [B × k × p], or [B × p] for all k: [B × k × n × p].
  private func outer(_ left: Tensor, _ right: Tensor) -> Tensor {
    let all = left.shape + [right.shape[right.shape.count - 1]]
    return left.spread(all, [0, 1, 2])
      * right.spread(all, right.shape.count == 2 ? [0, 3] : [0, 1, 3])
  }

  /// The tensors that are not trained.
  private var frozenNames: [ParameterName] {
    switch recipe.frozen {
    case .decoder: [.decoder, .up, .subDecoder]
    case .encoder: [.encoder, .down, .subEncoder]
    case nil: []
    }
  }
}
