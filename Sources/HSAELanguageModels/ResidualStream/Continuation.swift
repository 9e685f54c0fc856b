// Lets a model continue a prompt, one token at a time, with or without an edit of its residual stream.

import Foundation
public import HSAESupport
import HSAETensors

/// How the next token is chosen.
public struct Sampling: Hashable, Sendable {
  /// 0 takes the most probable token; otherwise tokens are drawn from softmax(logits / temperature).
  public var temperature: Float
  /// Subtracted from a token's logit once for each time it was already written.
  public var frequencyPenalty: Float
  /// The seed of the draws.
  public var seed: UInt64

  /// The given settings.
  public init(temperature: Float = 0, frequencyPenalty: Float = 0, seed: UInt64 = 0) {
    (self.temperature, self.frequencyPenalty, self.seed) = (temperature, frequencyPenalty, seed)
  }

  /// Chooses a token by `logits`; `counts` says how often each token was written before.
  ///
  /// Fails with `.data` if a logit is not finite: an edit was too strong for the model's arithmetic.
  func choose(
    _ logits: [Float], counts: [Int32: Int], _ generator: inout SeededGenerator
  ) throws(Failure) -> Int32 {
    var logits = logits
    for (token, count) in counts { logits[Int(token)] -= frequencyPenalty * Float(count) }
    var best = 0
    for index in logits.indices {
      guard logits[index].isFinite else {
        throw .data("The model's predictions are no longer finite; steer with less strength.")
      }
      if logits[index] > logits[best] { best = index }
    }
    guard temperature > 0 else { return Int32(best) }
    let weights = logits.map { exp(Double($0 - logits[best]) / Double(temperature)) }
    var rest = generator.nextUniform() * weights.reduce(0, +)
    for (index, weight) in weights.enumerated() {
      rest -= weight
      if rest < 0 { return Int32(index) }
    }
    return Int32(best)
  }
}

/// A text being written.
///
/// The prompt is read once; then each token costs the work of one. A model writes one text at a time:
/// beginning another ends this one.
public struct Continuation {
  private let model: any ResidualStreamModel
  private let sampling: Sampling
  private let splice: Splice?
  private var generator: SeededGenerator
  private var pending: [Int32]
  private var readCount = 0
  private var counts: [Int32: Int] = [:]

  /// Begins the text that `model` writes after `prompt` (at least one token, special ones included).
  /// `splice` is applied to the rows of the prompt and of every token written.
  public init(
    of prompt: [Int32], by model: any ResidualStreamModel, sampling: Sampling = Sampling(),
    splice: Splice? = nil
  ) {
    precondition(!prompt.isEmpty, "The prompt is empty.")
    (self.model, self.sampling, self.splice) = (model, sampling, splice)
    generator = SeededGenerator(seed: sampling.seed).split(0x636F_6E74)
    pending = prompt
  }

  /// The next token; nil if the text ends here (a special token) or the context is full.
  public mutating func next() throws(Failure) -> Int32? {
    guard !pending.isEmpty, readCount + pending.count <= model.contextLength else { return nil }
    let logits = try model.logits(after: pending, at: readCount, splice: splice)
    readCount += pending.count
    pending = []
    let token = try sampling.choose(logits, counts: counts, &generator)
    if model.tokenizer.isSpecial(token) { return nil }
    pending = [token]
    counts[token, default: 0] += 1
    return token
  }

  /// The next `limit` tokens, or fewer if the text ends earlier.
  public mutating func next(_ limit: Int) throws(Failure) -> [Int32] {
    var tokens: [Int32] = []
    while tokens.count < limit, let token = try next() { tokens.append(token) }
    return tokens
  }
}
