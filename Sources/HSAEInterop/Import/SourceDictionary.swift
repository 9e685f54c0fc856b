// A dictionary as some other tool had it, in memory, before it is put into the form of ours: what each format's
// reader makes, and the only thing the algebra after it knows.

import HSAEModels
import HSAETensors
import HSAERuns

/// A dictionary in the terms it came in.
struct SourceDictionary: ~Copyable {
  /// Which latents are active.
  enum Rule: Hashable {
    /// All that pass their thresholds: ReLU, JumpReLU.
    case threshold
    /// The k largest pre-activations; `rescaled`: each times the norm of its decoder row.
    case topK(rescaled: Bool)
  }

  /// Encoder rows, decoder rows of any norm, the bias that is added to the reconstruction; k in the shape.
  var parameters: Parameters
  /// Which latents are active.
  var rule: Rule
  /// b_enc [m]; empty for none.
  var encoderBias: [Float] = []
  /// θ [m]; empty for none.
  var threshold: [Float] = []
  /// Constants of both levels where a dictionary has them.
  var activation = ActivationFunction(threshold: 0, subThreshold: 0, slope: 0, subSlope: 0)
  /// Whether the encoder sees x − b, and not x.
  var subtractsBias = true
  /// What rows are multiplied by before the encoder sees them: ρ where `scalesRows`, of every row ρ/‖x‖.
  var inputScale = 1.0
  /// Whether rows are scaled to the norm `inputScale`, each by its own length.
  var scalesRows = false
  /// The path, for messages.
  let path: String
  /// Where it came from; hashes and scales are not yet known.
  var origin: Origin

  init(_ parameters: consuming Parameters, _ rule: Rule, path: String, origin: Origin) {
    self.parameters = parameters
    (self.rule, self.path, self.origin) = (rule, path, origin)
  }
}
