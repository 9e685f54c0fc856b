// The forward pass (`docs/method.md`, "Forward") and the loss ("Loss").

internal import HSAEModels

/// What a forward pass computes. Sums over latents have k terms: those of inactive ones are 0.
struct ForwardPass {
  /// x − b: [B × d].
  var x: Tensor
  /// u = (x − b) Eᵀ + b_enc: [B × m].
  var preActivations: Tensor
  /// K: [B × k].
  var experts: Tensor
  /// 1 where an expert of K is active, else 0: [B × k].
  var active: Tensor
  /// z_j: [B × k].
  var codes: Tensor
  /// d_j: [B × k × d].
  var decoderRows: Tensor
  /// x − x̂_high and x − x̂: [B × d].
  var topResidual: Tensor
  var residual: Tensor
  /// The second level; nil in a flat dictionary.
  var sublatents: SublatentPass?
}

/// The second level of a forward pass.
struct SublatentPass {
  /// Π↓_j and Π↑_j: [B × k × s × d].
  var down: Tensor
  var up: Tensor
  /// The rows of E_j^sub: [B × k × a × s].
  var encoder: Tensor
  /// y_j: [B × k × s].
  var coordinates: Tensor
  /// E_j^sub y_j and c_j: [B × k × a].
  var preActivations: Tensor
  var allCodes: Tensor
  /// 1 at q, else 0: [B × k × a].
  var chosen: Tensor
  /// c_jq: [B × k].
  var codes: Tensor
  /// D_j^sub[q]: [B × k × s].
  var decoderRows: Tensor
}

extension SublatentPass {
  /// v_j = c_jq · D_j^sub[q]: [B × k × s].
  var steps: Tensor { codes.repeated(decoderRows.shape[2]) * decoderRows }
}

extension StepWriter {
  /// f(u; α, slope), where an option sets the slope to 0 or above.
  private func activate(_ u: Tensor, _ threshold: Float, _ slope: Float) -> Tensor {
    (u >= Double(threshold)).select(u, slope == 0 ? u.constant(0) : u * Double(slope))
  }

  /// f′ at u, or at the code of u: both reach the threshold together.
  func derivative(_ u: Tensor, _ threshold: Float, _ slope: Float) -> Tensor {
    (u >= Double(threshold)).select(u.constant(1).spread(u.shape), u.constant(Double(slope)))
  }

  /// The forward pass.
  func forward() -> ForwardPass {
    let activation = recipe.activation
    let x = weights[.bias].map { rows - $0.forEachRow(batch) } ?? rows
    var u = x.product(self[.encoder], over: (1, 1), in: dense)
    if let bias = weights[.encoderBias] { u = u + bias.forEachRow(batch) }
    let (values, experts) = activate(u, activation.threshold, activation.slope)
      .largest(shape.activeExperts)
    let active = (values > 0).converted(to: .f32)
    // A NaN stays one, so that the loss shows it.
    let codes = values * active
    let decoderRows = self[.decoder].rows(experts)
    let topResidual = x - codes.product(decoderRows, over: (1, 1), batch: 1)
    var pass = ForwardPass(
      x: x, preActivations: u, experts: experts, active: active, codes: codes,
      decoderRows: decoderRows, topResidual: topResidual, residual: topResidual)
    if !shape.isFlat {
      let sublatents = self.sublatents(pass)
      pass.sublatents = sublatents
      pass.residual =
        topResidual - sublatents.steps.product(sublatents.up, over: ([1, 2], [1, 2]), batch: 1)
    }
    return pass
  }

  private func sublatents(_ pass: ForwardPass) -> SublatentPass {
    let (k, a) = (shape.activeExperts, shape.sublatents)
    let down = self[.down].rows(pass.experts)
    let encoder = self[.subEncoder].rows(pass.experts)
    let y = down.product(pass.x, over: (3, 1), batch: 1)
    let before = encoder.product(y, over: (3, 2), batch: 2)
    let c = activate(before, recipe.activation.subThreshold, recipe.activation.subSlope)
    // q is the lowest place of the largest code.
    let places = writer.places([batch, k, a])
    let isLargest = c.equals(c.largestOfLast.repeated(a))
    let q = isLargest.select(places, places.constant(Double(a))).leastOfLast(limit: a)
    let chosen = places.equals(q.repeated(a)).converted(to: .f32)
    return SublatentPass(
      down: down, up: self[.up].rows(pass.experts), encoder: encoder, coordinates: y,
      preActivations: before, allCodes: c, chosen: chosen,
      codes: (c * chosen).sum([2]) * pass.active,
      decoderRows: chosen.product(self[.subDecoder].rows(pass.experts), over: (2, 2), batch: 2))
  }

  /// Σ |z| over the latents that pay the sparsity penalty, and Σ |c| over the sublatents of active experts.
  private func sparsity(_ pass: ForwardPass) -> Tensor {
    let threshold = Double(recipe.activation.threshold)
    let paying = objective.penalisesAll ? pass.preActivations : pass.codes
    let top = (paying >= threshold).select(paying).sum()
    guard let sublatents = pass.sublatents else { return top }
    return top + (sublatents.allCodes.absolute * pass.active.repeated(shape.sublatents)).sum()
  }

  /// What the step measures before its update, but for the norm of the gradient and the dead latents.
  func measures(
    _ pass: ForwardPass, _ auxiliary: AuxiliaryPass?, _ ortho: OrthogonalityPass?
  ) -> [StepProgram.Measure: Tensor] {
    let rowCount = Double(batch)
    func mean(_ tensor: Tensor) -> Tensor { tensor.sum() / rowCount }
    var measures: [StepProgram.Measure: Tensor] = [:]
    let (full, top) = (mean(pass.residual.square), mean(pass.topResidual.square))
    let sparse = sparsity(pass) / rowCount
    let regularizers = setting(.regularizers)
    var loss = full + top * Double(objective.beta)
    loss = loss + sparse * regularizers * Double(objective.l1)
    if let ortho {
      measures[.ortho] = ortho.loss
      loss = loss + ortho.loss * regularizers * Double(objective.ortho)
    }
    if let auxiliary {
      measures[.auxk] = auxiliary.loss
      measures[.auxkLatents] = auxiliary.latents
      loss = loss + auxiliary.loss * Double(objective.auxk)
    }
    measures[.loss] = loss
    measures[.reconstruction] = full
    measures[.topReconstruction] = top
    measures[.l1] = sparse
    measures[.l0] = mean(pass.active)
    if objective.penalisesAll {
      let above = pass.preActivations >= Double(recipe.activation.threshold)
      measures[.aboveThreshold] = mean(above.converted(to: .f32)) / Double(shape.experts)
    }
    let centre = rows.sum([0]) / rowCount
    measures[.variance] = mean((rows - centre.forEachRow(batch)).square)
    measures[.squaredNorm] = mean(rows.square)
    return measures
  }
}
