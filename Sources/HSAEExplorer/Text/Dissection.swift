// Which latents fire in a text: those that are active at each of its tokens, for each run.

#if Explorer

/// The latents of several runs that fire in a text.
struct Dissection: Hashable, Sendable, Codable {
  /// The latents of one run.
  struct RunParts: Hashable, Sendable, Codable {
    var run: String
    /// One for each of `Dissection.tokens`.
    var tokens: [TokenParts]
  }

  /// A token of the text.
  struct Token: Hashable, Sendable, Codable {
    /// Its number in the vocabulary.
    var token: Int
    /// Its text, `▁` for a leading space.
    var text: String
    /// The norm of its row of the residual stream.
    var norm: Float
  }

  /// The text's tokens, without special ones.
  var tokens: [Token]
  /// Whether only the first `Dissector.longestText` tokens were read.
  var isCut: Bool
  var runs: [RunParts]
}

/// The latents of a run at one token.
struct TokenParts: Hashable, Sendable, Codable {
  /// The share of the row that is explained: 1 − ‖x − x̂‖² / ‖x − b‖², where b is the run's bias or 0.
  var explained: Double
  /// The same for x̂_high, the reconstruction by the top level alone.
  var explainedByTopLevel: Double
  /// Where `explained` stands among rows of the same token; nil if an older hsae explained the run.
  var standing: TokenStanding?
  /// Active latents, strongest first.
  var latents: [ActiveLatent]
}

/// A latent that is active at a token.
struct ActiveLatent: Hashable, Sendable, Codable {
  var latent: LatentRecord
  /// Its code z.
  var value: Float
  /// The chosen sublatent; nil in a flat dictionary.
  var sublatent: LatentRecord?
  /// The sublatent's code c.
  var subValue: Float
  /// Whether that code reaches the threshold.
  var isSublatentActive: Bool
}
#endif
