// A dictionary in the terms of another tool, in memory. The readers of all formats make it, and
// `CanonicalForm.swift` converts it to hsae's form.

import HSAEModels
import HSAERuns
import HSAETensors

struct SourceDictionary: ~Copyable {
  /// The rule by which latents are active.
  enum Rule: Hashable {
    /// All latents that pass their thresholds: ReLU, JumpReLU.
    case threshold
    /// The k latents with the largest pre-activations; `rescaled`: pre-activations times the norm of the
    /// decoder row.
    case topK(rescaled: Bool)
  }

  /// Encoder rows, decoder rows of any norm, the bias that is added to the reconstruction; k in the shape.
  var parameters: Parameters
  var rule: Rule
  /// b_enc [m]; empty for none.
  var encoderBias: [Float] = []
  /// θ [m]; empty for none.
  var threshold: [Float] = []
  /// Thresholds and slopes of both levels, if the dictionary has them.
  var activation = ActivationFunction(threshold: 0, subThreshold: 0, slope: 0, subSlope: 0)
  /// Whether codes are multiplied by the norms of decoder rows before a threshold is applied.
  var codesIncludeNorms = false
  /// Whether the encoder sees x − b (true) or x (false).
  var subtractsBias = true
  /// ρ: the encoder sees ρx, or ρx/‖x‖ if `scalesRows`.
  var inputScale = 1.0
  /// Whether each row is scaled to the norm `inputScale`.
  var scalesRows = false
  /// Whether the mean of its numbers is subtracted from each row before that, as layer normalisation does.
  var centresRows = false
  /// The path, for messages.
  let path: String
  /// Where it came from, still without hashes and scales.
  var origin: Origin

  init(_ parameters: consuming Parameters, _ rule: Rule, path: String, origin: Origin) {
    self.parameters = parameters
    (self.rule, self.path, self.origin) = (rule, path, origin)
  }
}
