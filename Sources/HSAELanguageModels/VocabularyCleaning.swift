// Decides which tokens a dictionary is trained on, and reports why others are dropped: by the first `Reason`.
//
// Whitened rows have a root mean square norm of √width by construction. The window is stated in that unit,
// so it means the same for every model: 0.77 to 1.217, which is 19.5 to 30.8 at width 640.

import HSAETensors

/// The rule that chooses tokens, and how many samples to report.
public struct VocabularyCleaning: Hashable, Sendable {
  /// The default window of whitened norms, in units of the root mean square norm of all rows.
  public static let defaultWindow: ClosedRange<Float> = 0.77...1.217

  /// The smallest whitened norm to keep; nil: the default window's lower end.
  public var minimumNorm: Float?
  /// The largest whitened norm to keep; nil: the default window's upper end.
  public var maximumNorm: Float?
  /// Whether a token must contain a letter.
  public var requiresLetter = true
  /// The number of sample tokens for each reason and for those kept.
  public var sampleCount = 12
  /// The seed of the samples.
  public var seed: UInt64 = 0

  /// The default rule.
  public init() {}

  /// Why a token is dropped.
  public enum Reason: String, CaseIterable, Codable, Sendable {
    /// A free place: the file says so, or it is spelled <unused…>, [unused…], <|reserved…
    case unused
    /// Marks a beginning, an end or a turn, or stands for unknown text.
    case control
    /// Text that the model's maker added (markup, runs of line breaks), or <|…|>.
    case special
    /// One byte, for text that no other token covers.
    case byte
    /// Not whole UTF-8 text.
    case undecodable
    /// Without a character of Unicode's general category "letter".
    case noLetter
    /// Its whitened norm is below the window: tokens the model hardly ever saw.
    case lowNorm
    /// Its whitened norm is above the window: fragments the model saw in few contexts.
    case highNorm

    /// The reason in words.
    public var words: String {
      switch self {
      case .unused: "unused places"
      case .control: "control tokens"
      case .special: "markup and other special tokens"
      case .byte: "single bytes"
      case .undecodable: "not whole UTF-8 text"
      case .noLetter: "no letter"
      case .lowNorm: "whitened norm under the window"
      case .highNorm: "whitened norm over the window"
      }
    }
  }

  /// Why token `index` of `vocabulary` is dropped whatever its norm; nil if its norm decides.
  public func reason(_ index: Int, in vocabulary: Vocabulary) -> Reason? {
    let piece = vocabulary.pieces[index]
    switch vocabulary.kinds[index] {
    case .unused: return .unused
    case _ where Self.isPlaceholder(piece): return .unused
    case .control, .unknown: return .control
    case .userDefined: return .special
    case .byte: return .byte
    case .normal, .undefined: break
    }
    if piece.hasPrefix("<|") && piece.hasSuffix("|>") { return .special }
    if !vocabulary.isDecodable[index] || piece.isEmpty { return .undecodable }
    if requiresLetter && !piece.unicodeScalars.contains(where: Self.isLetter) { return .noLetter }
    return nil
  }

  /// The window of whitened norms, given the root mean square norm of all rows.
  public func window(rootMeanSquare: Float) -> (minimum: Float, maximum: Float) {
    (
      minimumNorm ?? Self.defaultWindow.lowerBound * rootMeanSquare,
      maximumNorm ?? Self.defaultWindow.upperBound * rootMeanSquare
    )
  }

  /// Applies the rule to all tokens. `norms` are the whitened norms of their rows.
  public func apply(_ vocabulary: Vocabulary, norms: [Float]) -> (kept: [Int32], CleaningReport) {
    precondition(norms.count == vocabulary.count, "Every token needs a norm.")
    let squares = norms.reduce(0.0) { $0 + Double($1) * Double($1) }
    let rootMeanSquare = Float((squares / Double(max(1, norms.count))).squareRoot())
    let window = window(rootMeanSquare: rootMeanSquare)
    var kept: [Int32] = []
    var dropped: [Reason: [Int32]] = [:]
    for index in norms.indices {
      let reason =
        self.reason(index, in: vocabulary)
        ?? (norms[index] < window.minimum
          ? .lowNorm : norms[index] > window.maximum ? .highNorm : nil)
      if let reason {
        dropped[reason, default: []].append(Int32(index))
      } else {
        kept.append(Int32(index))
      }
    }
    func group(_ reason: Reason?, _ tokens: [Int32]) -> CleaningReport.Group {
      CleaningReport.Group(
        reason: reason?.rawValue ?? "kept", words: reason?.words ?? "kept", count: tokens.count,
        samples: samples(of: tokens).map { token in
          CleaningReport.Sample(
            token: token, text: vocabulary.pieces[Int(token)], norm: norms[Int(token)])
        })
    }
    let report = CleaningReport(
      tokenCount: norms.count, rootMeanSquareNorm: rootMeanSquare,
      requiresLetter: requiresLetter, minimumNorm: window.minimum,
      maximumNorm: window.maximum, kept: group(nil, kept),
      dropped: Reason.allCases.map { group($0, dropped[$0] ?? []) })
    return (kept, report)
  }

  /// Draws `sampleCount` of `tokens` without replacement, in their order.
  private func samples(of tokens: [Int32]) -> [Int32] {
    guard tokens.count > sampleCount else { return tokens }
    var generator = SeededGenerator(seed: seed)
    var chosen: Set<Int> = []
    // Floyd's algorithm.
    for last in (tokens.count - sampleCount)..<tokens.count {
      let pick = Int.random(in: 0...last, using: &generator)
      chosen.insert(chosen.contains(pick) ? last : pick)
    }
    return chosen.sorted().map { tokens[$0] }
  }

  private static func isPlaceholder(_ piece: String) -> Bool {
    piece.hasPrefix("<unused") || piece.hasPrefix("[unused") || piece.hasPrefix("<|reserved")
      || piece.hasPrefix("<reserved") || piece.hasPrefix("<extra_id_")
  }

  private static func isLetter(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .uppercaseLetter, .lowercaseLetter, .titlecaseLetter, .modifierLetter, .otherLetter: true
    default: false
    }
  }
}

/// What the cleaning of a vocabulary kept and dropped, with samples.
public struct CleaningReport: Codable, Hashable, Sendable {
  /// One token.
  public struct Sample: Codable, Hashable, Sendable {
    /// Its number in the vocabulary.
    public let token: Int32
    /// Its text.
    public let text: String
    /// Its row's norm after whitening.
    public let norm: Float
  }

  /// Tokens dropped for the same reason, or all those kept.
  public struct Group: Codable, Hashable, Sendable {
    /// The reason's name, or "kept".
    public let reason: String
    /// The reason in words.
    public let words: String
    /// How many tokens.
    public let count: Int
    /// Some of them, drawn by seed.
    public let samples: [Sample]
  }

  /// Tokens in the vocabulary.
  public let tokenCount: Int
  /// The root mean square of the whitened norms of all rows.
  public let rootMeanSquareNorm: Float
  /// Whether tokens had to contain a letter.
  public let requiresLetter: Bool
  /// The smallest whitened norm that was kept: the window's lower end.
  public let minimumNorm: Float
  /// The largest whitened norm that was kept: the window's upper end.
  public let maximumNorm: Float
  /// The tokens that were kept.
  public let kept: Group
  /// The tokens that were dropped, one group for each reason, in the order of the rule.
  public let dropped: [Group]
}
