// What a store of a residual stream says about its collection: the member `collection` of its
// attributes. docs/formats.md describes each key.

/// How the rows of a residual stream were collected.
public struct CollectionAttributes: Codable, Hashable, Sendable {
  /// Which of the two parts of a store a group holds.
  public enum Part: String, Codable, CaseIterable, Sendable {
    /// What is trained on: the store itself.
    case training
    /// What is kept for evaluation: the group `holdout` in the store.
    case holdout
  }

  /// A file or folder of the corpus, as it was given.
  public struct Source: Codable, Hashable, Sendable {
    /// Its name, without the folders above it.
    public var name: String
    /// Its size in bytes, of all files in it if it is a folder.
    public var bytes: Int

    /// A source.
    public init(name: String, bytes: Int) { (self.name, self.bytes) = (name, bytes) }
  }

  /// The part this group holds.
  public var part = Part.training
  /// The number of documents.
  public var documentCount = 0
  /// The number of tokens the model reads, those without rows included.
  public var corpusTokenCount = 0
  /// The rows of the part that is trained on.
  public var trainingRows = 0
  /// The rows of the part that is held out.
  public var holdoutRows = 0
  /// Whether documents are taken whole, in several contexts.
  public var wholeDocuments = false
  /// The probability of a document to be held out.
  public var holdoutFraction = 0.0
  /// The seed of the choice of held-out documents.
  public var seed: UInt64 = 0
  /// Tokens before this position of their context have no row.
  public var minimumPosition = 0
  /// Whether special tokens have rows.
  public var keepsSpecialTokens = false
  /// The number of rows asked for, both parts together; nil: all.
  public var tokenLimit: Int?
  /// A row whose norm exceeds this multiple of the median is flagged.
  public var giantNormMultiple = 3.0
  /// The exact median of the norms of the training rows, the lower of the middle two; known when the
  /// store is complete.
  public var medianNorm: Float?
  /// The rows of this part with any flag; known when the store is complete.
  public var flaggedRows: Int?
  /// The corpus, as it was given.
  public var corpus: [Source] = []

  /// The defaults.
  public init() {}

  enum CodingKeys: String, CodingKey {
    case part, seed, corpus
    case documentCount = "document_count"
    case corpusTokenCount = "corpus_token_count"
    case trainingRows = "training_rows"
    case holdoutRows = "holdout_rows"
    case wholeDocuments = "whole_documents"
    case holdoutFraction = "holdout_fraction"
    case minimumPosition = "minimum_position"
    case keepsSpecialTokens = "keeps_special_tokens"
    case tokenLimit = "token_limit"
    case giantNormMultiple = "giant_norm_multiple"
    case medianNorm = "median_norm"
    case flaggedRows = "flagged_rows"
  }
}

/// The bits of a row's flags.
public struct RowFlags: OptionSet, Hashable, Sendable {
  /// The bits.
  public let rawValue: UInt8

  /// Flags with the given bits.
  public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// The row's norm exceeds the given multiple of the median.
  public static let giantNorm = RowFlags(rawValue: 1)
  /// The row had a NaN or an infinity, or was zero: its direction and norm are zero.
  public static let notFinite = RowFlags(rawValue: 2)
}
