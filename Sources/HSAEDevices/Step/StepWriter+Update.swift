// What follows the gradients (`docs/method.md`, "Step"): projection, clipping, Adam, unit norms; and the count of what
// was active. If the loss or the gradient is not finite, everything stays as it was.

internal import HSAEModels

extension StepWriter {
  /// The tensors whose rows have unit norm.
  private static let unitRows: [ParameterName] = [.decoder, .subDecoder]

  /// Removes from the gradient of each decoder row its component along that row.
  func projectDecoderGradients(_ gradients: inout [ParameterName: Tensor]) {
    for name in Self.unitRows {
      guard let gradient = gradients[name] else { continue }
      let (row, last) = (self[name], gradient.shape.count - 1)
      let along = (gradient * row).sum([last]).repeated(gradient.shape[last])
      gradients[name] = gradient - along * row
    }
  }

  /// The norm of all gradients together.
  func norm(_ gradients: [ParameterName: Tensor]) -> Tensor {
    // In the order of names, so that the same recipe gives the same program.
    ParameterName.allCases.compactMap { gradients[$0]?.square.sum() }
      .reduce(writer.constant(0, .f32), +).squareRoot
  }

  /// Adam's update of every tensor that has a gradient, where `isFine`.
  func update(
    _ state: StepState, _ gradients: [ParameterName: Tensor], norm: Tensor, isFine: Tensor
  ) -> StepState {
    let (firstDecay, secondDecay) = (ReferenceTrainer.firstDecay, ReferenceTrainer.secondDecay)
    let scale = norm.constant(1).least(setting(.clip) / norm)
    let rate = setting(.learningRate)
    var next = state
    for name in ParameterName.allCases {
      guard let gradient = gradients[name], let weights = state.weights[name],
        let first = state.first[name], let second = state.second[name]
      else { continue }
      let slope = gradient * scale
      let newFirst = first * firstDecay + slope * (1 - firstDecay)
      let newSecond = second * secondDecay + slope.square * (1 - secondDecay)
      let mean = newFirst * setting(.firstCorrection)
      let deviation = (newSecond * setting(.secondCorrection)).squareRoot
      var new = weights - mean / (deviation + ReferenceTrainer.epsilon) * rate
      if Self.unitRows.contains(name) { new = unitRows(of: new) }
      next.weights[name] = isFine.select(new, weights)
      next.first[name] = isFine.select(newFirst, first)
      next.second[name] = isFine.select(newSecond, second)
    }
    return next
  }

  /// The rows of `tensor`, scaled to unit norm. Rows of zeros stay as they are.
  private func unitRows(of tensor: Tensor) -> Tensor {
    let last = tensor.shape.count - 1
    let norms = tensor.square.sum([last]).squareRoot
    let factors = (norms > 0).select(norms.constant(1) / norms)
    return tensor * factors.repeated(tensor.shape[last])
  }

  /// The usage after this batch, as `Usage.count` defines it, where `isFine`; measures what is dead then. A sublatent is
  /// active if it was chosen and its code reaches the sublatents' threshold.
  func count(
    _ pass: ForwardPass, isFine: Tensor, _ measures: inout [StepProgram.Measure: Tensor]
  ) -> [Tensor] {
    let m = shape.experts
    let latents = pass.active.summed(at: pass.experts, into: [m])
    var next = counted(latents, usage[0], usage[1], isFine)
    measures[.deadLatents] = dead(next[0])
    if let sublatents = pass.sublatents {
      let reaches =
        (sublatents.codes >= Double(recipe.activation.subThreshold))
        .converted(to: .f32) * pass.active
      let counts = (sublatents.chosen * reaches.repeated(shape.sublatents))
        .summed(at: pass.experts, into: [m, shape.sublatents])
      let own = counted(counts, usage[2], usage[3], isFine)
      measures[.deadSublatents] = dead(own[0])
      next += own
    }
    return next
  }

  /// The row count when each was last active, and the rate of each, after `counts` rows with it.
  private func counted(
    _ counts: Tensor, _ last: Tensor, _ rates: Tensor, _ isFine: Tensor
  ) -> [Tensor] {
    let decay = Usage.decay(rows: batch)
    let new = rates * Double(decay) + counts * Double((1 - decay) / Float(batch))
    return [
      isFine.select((counts > 0).select(now.spread(last.shape), last), last),
      isFine.select(new, rates),
    ]
  }

  /// The rows up to the end of this batch.
  private var now: Tensor { counter(.rows) + Double(batch) }

  /// How many were not active for any of the last million rows.
  private func dead(_ last: Tensor) -> Tensor {
    (now.spread(last.shape) - last >= Double(Usage.reportingWindow)).converted(to: .f32).sum()
  }
}
