// The training step of `docs/method.md`, slow and plain: gradients, projection, clipping, Adam,
// renormalisation. Callers apply the schedules of `Schedule.swift`.

/// What one step computed.
public struct ReferenceStep: Sendable {
  /// The loss of the batch at the weights before the update.
  public var loss: ReferenceLoss
  /// The norm of all gradients together after the projection and before clipping.
  public var gradientNorm: Double
  /// The forward pass.
  public var pass: ReferenceForward
}

/// A training run in double precision.
public struct ReferenceTrainer: Sendable {
  /// Adam's β₁.
  public static let firstDecay = 0.9
  /// Adam's β₂.
  public static let secondDecay = 0.999
  /// Adam's ε.
  public static let epsilon = 1e-8

  /// The weights.
  public var parameters: ReferenceParameters
  /// Adam's first moments, not corrected for their bias.
  public private(set) var firstMoments: ReferenceParameters
  /// Adam's second moments, not corrected for their bias.
  public private(set) var secondMoments: ReferenceParameters
  /// The number of updates made.
  public private(set) var updates = 0

  /// A run that continues from `state`, whose moments are in fp32.
  package init(_ state: borrowing TrainingState) {
    parameters = ReferenceParameters(state.parameters)
    firstMoments = ReferenceParameters(state.moments.parameters(state.moments.first))
    secondMoments = ReferenceParameters(state.moments.parameters(state.moments.second))
    updates = state.step
  }

  /// The weights, moments and number of updates, rounded to single precision.
  package func state() -> TrainingState {
    var state = TrainingState(parameters: parameters.rounded())
    state.moments.set(state.moments.first, to: firstMoments.rounded())
    state.moments.set(state.moments.second, to: secondMoments.rounded())
    state.step = updates
    return state
  }

  /// A run that starts from `parameters`, whose decoder rows must have unit norm.
  public init(parameters: ReferenceParameters) {
    self.parameters = parameters
    firstMoments = ReferenceParameters(shape: parameters.shape, vectors: parameters.vectors)
    secondMoments = firstMoments
  }

  /// One step on `rows` [B × d]. `clip` 0 turns clipping off. For a warm-up of the regularisers, the caller
  /// scales `settings.orthogonality` and `settings.sparsity`.
  public mutating func step(
    _ rows: [Double], _ settings: ReferenceSettings, learningRate: Double, clip: Double
  ) -> ReferenceStep {
    let pass = parameters.forward(rows, settings)
    var gradient = parameters.gradients(rows, settings, pass)
    parameters.projectDecoderGradients(&gradient)
    let norm = gradient.norm
    if clip > 0, norm > clip { gradient.scale(by: clip / norm) }
    adam(gradient, learningRate)
    if settings.frozen != .decoder { parameters.renormaliseDecoders() }
    parameters.boundDecoders(settings)
    parameters.thresholds = parameters.thresholds.map { max(0, $0) }
    return ReferenceStep(loss: pass.loss, gradientNorm: norm, pass: pass)
  }

  /// Adam's update of every tensor, with both moments corrected for their bias.
  private mutating func adam(_ gradient: ReferenceParameters, _ learningRate: Double) {
    updates += 1
    var firstBias = 1.0
    var secondBias = 1.0
    for _ in 0..<updates {
      firstBias *= Self.firstDecay
      secondBias *= Self.secondDecay
    }
    for name in parameters.names {
      var (weights, first, second) = (parameters[name], firstMoments[name], secondMoments[name])
      for (index, slope) in gradient[name].enumerated() {
        first[index] = Self.firstDecay * first[index] + (1 - Self.firstDecay) * slope
        second[index] = Self.secondDecay * second[index] + (1 - Self.secondDecay) * slope * slope
        let mean = first[index] / (1 - firstBias)
        let variance = second[index] / (1 - secondBias)
        weights[index] -= learningRate * mean / (variance.squareRoot() + Self.epsilon)
      }
      parameters[name] = weights
      firstMoments[name] = first
      secondMoments[name] = second
    }
  }
}

extension ReferenceParameters {
  /// The Euclidean norm of all tensors together.
  public var norm: Double {
    names.reduce(0) { $0 + dot(self[$1], 0, self[$1], 0, self[$1].count) }.squareRoot()
  }

  /// Multiplies every number by `factor`.
  public mutating func scale(by factor: Double) {
    for name in names { self[name] = self[name].map { $0 * factor } }
  }

  /// Removes from the gradient of each row of `W_dec` and `sub_W_dec` its component along that row, which has
  /// unit norm.
  public func projectDecoderGradients(_ gradient: inout ReferenceParameters) {
    project(&gradient.decoder, along: decoder, shape.width)
    project(&gradient.subDecoder, along: subDecoder, shape.subspace)
  }

  /// Scales each row of `W_dec` and `sub_W_dec` to unit norm. Rows of zeros stay as they are.
  public mutating func renormaliseDecoders() {
    normalise(&decoder, shape.width)
    normalise(&subDecoder, shape.subspace)
  }

  /// Moves each decoder row whose cosine with its first value is below the bound to the nearest unit vector at the
  /// bound.
  mutating func boundDecoders(_ settings: ReferenceSettings) {
    guard let least = settings.decoderCosine else { return }
    let d = shape.width
    for start in stride(from: 0, to: decoder.count, by: d) {
      let cosine = dot(decoder, start, settings.firstDecoder, start, d)
      guard cosine < least else { continue }
      add(-cosine, settings.firstDecoder, start, to: &decoder, start, d)
      let norm = dot(decoder, start, decoder, start, d).squareRoot()
      let factor = norm > 1e-6 ? (1 - least * least).squareRoot() / norm : 0
      for index in start..<start + d { decoder[index] *= factor }
      add(norm > 1e-6 ? least : 1, settings.firstDecoder, start, to: &decoder, start, d)
    }
  }

  private func project(_ gradient: inout [Double], along rows: [Double], _ width: Int) {
    for start in stride(from: 0, to: rows.count, by: max(1, width)) {
      add(-dot(gradient, start, rows, start, width), rows, start, to: &gradient, start, width)
    }
  }

  private func normalise(_ rows: inout [Double], _ width: Int) {
    for start in stride(from: 0, to: rows.count, by: max(1, width)) {
      let norm = dot(rows, start, rows, start, width).squareRoot()
      guard norm > 0 else { continue }
      for index in start..<start + width { rows[index] /= norm }
    }
  }
}
