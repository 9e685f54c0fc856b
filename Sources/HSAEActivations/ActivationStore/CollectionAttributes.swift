// How a store of a residual stream was collected: the member `collection` of its attributes.

/// Whether contexts begin with the model's beginning-of-sequence token (BOS).
public enum BOSRule: String, Codable, CaseIterable, Sendable {
  /// They do if the model's file declares that they should.
  case auto
  /// They do.
  case always
  /// They do not.
  case never
}

/// How the rows of a residual stream were collected.
public struct CollectionAttributes: Codable, Hashable, Sendable {
  /// Which of the two parts of a store a group holds.
  public enum Part: String, Codable, CaseIterable, Sendable {
    /// The rows to train on: the store itself.
    case training
    /// The rows for evaluation: the group `holdout` in the store.
    case holdout
  }

  /// A file or folder of the corpus, as the user gave it.
  public struct Source: Codable, Hashable, Sendable {
    /// Its name, without the folders above it.
    public var name: String
    /// Its size in bytes; for a folder, the size of all files in it.
    public var bytes: Int

    /// A source.
    public init(name: String, bytes: Int) { (self.name, self.bytes) = (name, bytes) }
  }

  /// The part this group holds.
  public var part = Part.training
  /// The number of documents.
  public var documentCount = 0
  /// The number of tokens the model reads, including tokens without rows.
  public var corpusTokenCount = 0
  /// The rows of the training part.
  public var trainingRows = 0
  /// The rows of the held-out part.
  public var holdoutRows = 0
  /// Whether a long document fills several contexts instead of being cut.
  public var wholeDocuments = false
  /// The probability that a document is held out.
  public var holdoutFraction = 0.0
  /// The seed of the choice of held-out documents.
  public var seed: UInt64 = 0
  /// Tokens before this position in their context have no row.
  public var minimumPosition = 0
  /// Whether special tokens have rows.
  public var keepsSpecialTokens = false
  /// The user's choice whether contexts begin with BOS; nil in older stores, which means `auto`.
  public var bos: BOSRule?
  /// Whether contexts begin with BOS; nil in older stores (see `ActivationStore.beginsWithBOS`).
  public var beginsWithBOS: Bool?
  /// The number of rows the user asked for, both parts together; nil for all.
  public var tokenLimit: Int?
  /// A row whose norm exceeds this multiple of the median is flagged.
  public var giantNormMultiple = 3.0
  /// The lower median of the training rows' norms; nil until the store is complete.
  public var medianNorm: Float?
  /// The number of rows of this part with any flag; nil until the store is complete.
  public var flaggedRows: Int?
  /// The corpus, as the user gave it.
  public var corpus: [Source] = []

  /// The defaults.
  public init() {}

  enum CodingKeys: String, CodingKey {
    case part, seed, corpus, bos
    case documentCount = "document_count"
    case corpusTokenCount = "corpus_token_count"
    case trainingRows = "training_rows"
    case holdoutRows = "holdout_rows"
    case wholeDocuments = "whole_documents"
    case holdoutFraction = "holdout_fraction"
    case minimumPosition = "minimum_position"
    case keepsSpecialTokens = "keeps_special_tokens"
    case beginsWithBOS = "begins_with_bos"
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
