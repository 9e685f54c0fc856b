// A request to steer, from a form or from JSON, with the bounds of its values; and the events of the answer.

#if Explorer
import Foundation
import HSAEEvaluation
import HSAELanguageModels
import HSAESupport

/// A request for continuations with and without steering. Field names are Neuronpedia's where it has them.
struct SteeringRequest: Hashable, Sendable {
  /// The latent, "12" or "12.3".
  var latent: String
  /// Whether a sublatent's expert is added too.
  var withParent = false
  /// The strength in multiples of the latent's largest code.
  var strength: Float = 1
  /// Whether what the latent adds is taken away instead.
  var ablate = false
  /// The text to continue.
  var prompt: String
  /// Whether the prompt's rows stay as they are, except the last one.
  var skipPrompt = false
  /// The largest number of tokens to write.
  var tokens = 40
  var sampling = Sampling(temperature: 0.5, frequencyPenalty: 1)

  /// The longest prompt, in bytes.
  static let longestPrompt = 4000
  static let mostTokens = 200

  /// Everything that the continuation without steering depends on.
  struct Unsteered: Hashable {
    var prompt: [Int32]
    var tokens: Int
    var sampling: Sampling
  }

  init(latent: String, prompt: String) { (self.latent, self.prompt) = (latent, prompt) }

  /// Fails with `.usage` if a number is out of its bounds.
  func check() throws(Failure) {
    func check(_ name: String, _ holds: Bool, _ bounds: String) throws(Failure) {
      guard holds else { throw .usage("\(name) must be \(bounds).") }
    }
    try check("strength", abs(strength) <= 100, "between -100 and 100")
    try check(
      "n_tokens", (1...Self.mostTokens).contains(tokens), "between 1 and \(Self.mostTokens)")
    try check("temperature", (0...10).contains(sampling.temperature), "between 0 and 10")
    try check("freq_penalty", abs(sampling.frequencyPenalty) <= 10, "between -10 and 10")
    guard prompt.utf8.count <= Self.longestPrompt else {
      throw .usage("This prompt is too long; give at most \(grouped(Self.longestPrompt)) bytes.")
    }
  }

  var action: Steering.Action { ablate ? .ablate : .add(strength: strength) }
}

extension SteeringRequest: Decodable {
  private enum CodingKeys: String, CodingKey {
    case latent, strength, ablate, prompt, temperature, seed
    case withParent = "with_parent"
    case skipPrompt = "skip_prompt"
    case tokens = "n_tokens"
    case frequencyPenalty = "freq_penalty"
  }

  /// A request from JSON; only `latent` and `prompt` are required.
  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      latent: try values.decode(String.self, forKey: .latent),
      prompt: try values.decode(String.self, forKey: .prompt))
    func read<Value: Decodable>(_ key: CodingKeys, _ value: inout Value) throws {
      value = try values.decodeIfPresent(Value.self, forKey: key) ?? value
    }
    try read(.withParent, &withParent)
    try read(.strength, &strength)
    try read(.ablate, &ablate)
    try read(.skipPrompt, &skipPrompt)
    try read(.tokens, &tokens)
    try read(.temperature, &sampling.temperature)
    try read(.frequencyPenalty, &sampling.frequencyPenalty)
    try read(.seed, &sampling.seed)
  }

  /// A request from a form; a missing latent or prompt is empty.
  init(_ request: WebRequest) throws(Failure) {
    self.init(latent: request.value("latent") ?? "", prompt: request.value("prompt") ?? "")
    withParent = request.value("with_parent") == "1"
    ablate = request.value("ablate") == "1"
    skipPrompt = request.value("skip_prompt") == "1"
    strength = Float(try request.decimalNumber("strength", or: Double(strength)))
    tokens = try request.number("n_tokens", in: 0...Int(Int32.max), or: tokens)
    sampling.temperature = Float(
      try request.decimalNumber("temperature", or: Double(sampling.temperature)))
    sampling.frequencyPenalty = Float(
      try request.decimalNumber("freq_penalty", or: Double(sampling.frequencyPenalty)))
    sampling.seed = UInt64(try request.number("seed", in: 0...Int.max, or: 0))
  }
}

/// A piece of text added to one of the two continuations. The last event has both in full.
struct SteeringEvent: Encodable, Sendable {
  enum Kind: String, Encodable {
    /// Without steering.
    case plain = "default"
    case steered
    /// Both are complete.
    case end
  }

  var kind: Kind
  var text: String?
  var `default`: String?
  var steered: String?
  var error: String?

  var line: Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return ((try? encoder.encode(self)) ?? Data()) + Data("\n".utf8)
  }
}
#endif
