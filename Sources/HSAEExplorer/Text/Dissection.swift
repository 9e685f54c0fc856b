// The result of taking a text apart: the latents that are active at each of its tokens, for each run.

#if Explorer
import HSAESupport

/// A text taken apart by several runs.
public struct Dissection: Hashable, Sendable, Codable {
  /// The latents of one run.
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
    /// The norm of its row of the residual stream.
    public var norm: Float
  }

  /// The text's tokens, without special ones.
  public var tokens: [Token]
  /// Whether only the first `Dissector.longestText` tokens were taken apart.
  public var isCut: Bool
  /// The latents of each run.
  public var runs: [RunParts]
}

/// The latents of a run at one token.
public struct TokenParts: Hashable, Sendable, Codable {
  /// The share of the row that is explained: 1 − ‖x − x̂‖² / ‖x − b‖², where b is the run's bias or 0.
  public var explained: Double
  /// The same for x̂_high, the reconstruction by the top level alone.
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
