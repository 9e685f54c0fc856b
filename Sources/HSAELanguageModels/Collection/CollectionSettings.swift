// The settings of `hsae collect`, and the rule that decides which tokens have rows. The same settings, model
// and corpus always give the same bytes.

public import HSAEActivations
public import HSAESupport
import HSAETensors

/// What to collect from a corpus.
public struct CollectionSettings: Hashable, Sendable {
  /// The block whose output is collected, counting from 0.
  public var block: Int
  /// Tokens in a context, special ones included.
  public var contextLength = 256
  /// Whether a document is taken whole, as several contexts, or only its first context.
  public var wholeDocuments = false
  /// The number of rows to collect, held-out ones included; nil collects all.
  public var rowLimit: Int?
  /// The probability that a document is held out.
  public var holdoutFraction = 0.05
  /// The seed of the shuffle and of the choice of held-out documents.
  public var seed: UInt64 = 0
  /// Tokens before this position of their context have no row.
  public var minimumPosition = 0
  /// Whether special tokens (BOS, EOS, …) have rows.
  public var keepsSpecialTokens = false
  /// Whether contexts begin with BOS.
  public var bos = BOSRule.auto
  /// A row whose norm exceeds this multiple of the median is flagged.
  public var giantNormMultiple = Self.giantNormMultiple

  /// The default of `giantNormMultiple`. It lies between ordinary and giant norms in every model and block
  /// that was measured (docs/decisions, 4).
  public static let giantNormMultiple = 3.0

  /// The default settings for the output of block `block`.
  public init(block: Int) { self.block = block }

  /// The attributes of a store of `source` with these settings; the counts are filled in later.
  func attributes(
    _ source: any ResidualStreamModel, corpus: [CollectionAttributes.Source]
  ) -> StoreAttributes {
    let model = source.description
    var attributes = StoreAttributes(
      kind: .residualStream, modelName: model.name, modelSHA256: model.sha256,
      hookPoint: ModelDescription.hookPoint(afterBlock: block))
    attributes.weightsType = model.weightsType
    attributes.layer = block
    attributes.contextLength = contextLength
    attributes.width = model.width
    attributes.shuffleSeed = seed
    attributes.tokenRule = tokenRule
    var collection = CollectionAttributes()
    collection.wholeDocuments = wholeDocuments
    collection.holdoutFraction = holdoutFraction
    collection.seed = seed
    collection.minimumPosition = minimumPosition
    collection.keepsSpecialTokens = keepsSpecialTokens
    collection.bos = bos
    collection.beginsWithBOS = !source.tokenizer.prefix(bos).isEmpty
    collection.tokenLimit = rowLimit
    collection.giantNormMultiple = giantNormMultiple
    collection.corpus = corpus
    attributes.collection = collection
    return attributes
  }

  private var tokenRule: String {
    let special =
      keepsSpecialTokens
      ? "Special tokens are kept" : "Dropped: special tokens (BOS, EOS, control, unknown)"
    let early =
      minimumPosition == 0
      ? ""
      : (keepsSpecialTokens ? "; dropped:" : ",") + " tokens before position \(minimumPosition)"
    return special + early + "."
  }

  func isHeldOut(_ number: Int) -> Bool {
    // Split off by a constant, so that no other user of the seed draws the same numbers.
    var generator = SeededGenerator(seed: seed).split(0x686F_6C64_6F75_7421).split(UInt64(number))
    return generator.nextUniform() < holdoutFraction
  }
}

extension CollectionAttributes {
  /// Names and total sizes in bytes of `paths` (files and folders). A store records them, so that a later call
  /// with another corpus is noticed.
  public static func sources(at paths: [String]) throws(Failure) -> [Source] {
    try paths.map { (path) throws(Failure) in
      let files = try CorpusFormat.files(at: [path])
      return Source(
        name: Path.name(path), bytes: files.reduce(0) { $0 + (Path.fileSize($1) ?? 0) })
    }
  }
}

/// Decides which tokens of a document have rows.
struct TokenRule: Sendable {
  let tokenizer: any Tokenizer
  let contextLength: Int
  let minimumPosition: Int
  let keepsSpecialTokens: Bool

  init(_ attributes: StoreAttributes, tokenizer: any Tokenizer) {
    self.tokenizer = tokenizer
    contextLength = attributes.contextLength ?? 1
    minimumPosition = attributes.collection?.minimumPosition ?? 0
    keepsSpecialTokens = attributes.collection?.keepsSpecialTokens ?? false
  }

  /// Whether `token` at `position` of its document has a row.
  func keeps(_ token: Int32, at position: Int) -> Bool {
    position % contextLength >= minimumPosition
      && (keepsSpecialTokens || !tokenizer.isSpecial(token))
  }

  /// How many of `tokens`, which begin a document, have rows.
  func count(_ tokens: some Collection<Int32>) -> Int {
    tokens.enumerated().count { keeps($0.element, at: $0.offset) }
  }
}
