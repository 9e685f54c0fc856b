// A text taken apart: for each of its tokens the latents that are active there, by one or several runs.

#if Explorer
import HSAESupport

/// A text taken apart by several runs.
public struct Dissection: Hashable, Sendable, Codable {
  /// What one run makes of the text.
  public struct RunParts: Hashable, Sendable, Codable {
    /// The run's name.
    public var run: String
    /// One for each of `Dissection.tokens`.
    public var tokens: [TokenParts]
  }

  /// A token of the text.
  public struct Token: Hashable, Sendable, Codable {
    /// Its number in the vocabulary.
    public var token: Int
    /// Its text, `▁` for a leading space.
    public var text: String
    /// The length of its row of the residual stream.
    public var norm: Float
  }

  /// The text's tokens, special ones left out.
  public var tokens: [Token]
  /// Whether the text was longer than is taken apart.
  public var isCut: Bool
  /// What each run makes of it.
  public var runs: [RunParts]
}

/// What a run makes of one token.
public struct TokenParts: Hashable, Sendable, Codable {
  /// 1 − ‖x − x̂‖² / ‖x − b‖², b the run's bias or 0: the share of the row that is explained.
  public var explained: Double
  /// The same for x̂_high, the top level alone.
  public var explainedByTopLevel: Double
  /// Active latents, strongest first.
  public var latents: [ActiveLatent]
}

/// A latent that is active at a token.
public struct ActiveLatent: Hashable, Sendable, Codable {
  /// The latent.
  public var latent: LatentRecord
  /// Its code z.
  public var value: Float
  /// The chosen sublatent; nil in a flat dictionary.
  public var sublatent: LatentRecord?
  /// The sublatent's code c.
  public var subValue: Float
  /// Whether that code reaches the threshold.
  public var isSublatentActive: Bool
}
#endif
