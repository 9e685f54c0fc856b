// The manifest of a residual-stream store: the tokenised corpus and everything that follows from it, such as
// the number of rows and their places. It is complete or not there at all; `ShuffledRowsWriter` writes the
// rows later.

public import HSAESupport

/// A manifest that is being written: append documents, then commit it.
public struct StoreManifest: ~Copyable {
  /// A document, tokenised.
  public struct Document: Sendable {
    /// Its tokens as the model will read them, including special tokens.
    public var tokens: [Int32]
    /// The number of its tokens that have rows.
    public var rowCount: Int
    /// Whether it is held out.
    public var isHeldOut: Bool
    /// Its language, title and topic; nil if unknown.
    public var language, title, topic: String?

    /// A document without language, title and topic.
    public init(tokens: [Int32], rowCount: Int, isHeldOut: Bool) {
      (self.tokens, self.rowCount, self.isHeldOut) = (tokens, rowCount, isHeldOut)
    }
  }

  /// Documents appended so far.
  public private(set) var documentCount = 0
  /// Rows of the training part so far.
  public private(set) var trainingRows = 0
  /// Rows of the held-out part so far.
  public private(set) var holdoutRows = 0

  private let folder: DurableDirectory
  private let corpus: Corpus

  private struct Corpus {
    let tokens, offsets, rows, holdout, partRows: ZarrArrayStream
    let titles, languages, topics: TextListStream

    init(creating folder: String) throws(Failure) {
      func stream(_ name: String, _ type: ZarrType) throws(Failure) -> ZarrArrayStream {
        try ZarrArrayStream(
          creating: Path.join(folder, name), type: type,
          dimension: name == "tokens" ? "token" : "document")
      }
      tokens = try stream("tokens", .int32)
      offsets = try stream("offsets", .int64)
      rows = try stream("rows", .int64)
      holdout = try stream("holdout", .uint8)
      partRows = try stream("part_rows", .int64)
      titles = try TextListStream(creating: Path.join(folder, "titles"))
      languages = try TextListStream(creating: Path.join(folder, "languages"))
      topics = try TextListStream(creating: Path.join(folder, "topics"))
      try offsets.append(Int64(0))
      try rows.append(Int64(0))
    }
  }

  /// Begins the store for `path`, where nothing may be.
  public init(path: String) throws(Failure) {
    let folder = try DurableDirectory(path: path)
    corpus = try Corpus(creating: folder.file("corpus"))
    self.folder = folder
  }

  /// Appends `document`.
  public mutating func append(_ document: Document) throws(Failure) {
    for token in document.tokens { try corpus.tokens.append(token) }
    try corpus.offsets.append(Int64(corpus.tokens.count))
    try corpus.holdout.append(UInt8(document.isHeldOut ? 1 : 0))
    try corpus.partRows.append(Int64(document.isHeldOut ? holdoutRows : trainingRows))
    if document.isHeldOut {
      holdoutRows += document.rowCount
    } else {
      trainingRows += document.rowCount
    }
    try corpus.rows.append(Int64(trainingRows + holdoutRows))
    try corpus.titles.append(document.title ?? "")
    try corpus.languages.append(document.language ?? "")
    try corpus.topics.append(document.topic ?? "")
    documentCount += 1
  }

  /// Writes the arrays' metadata, `vocabulary` and `attributes` with the counts set, and gives the store its
  /// name. The store is still incomplete.
  public consuming func commit(
    attributes: StoreAttributes, vocabulary: [String]
  ) throws(Failure) {
    precondition(attributes.collection != nil, "These attributes are not those of a collection.")
    var attributes = attributes
    attributes.complete = false
    attributes.collection?.documentCount = documentCount
    attributes.collection?.corpusTokenCount = corpus.tokens.count
    attributes.collection?.trainingRows = trainingRows
    attributes.collection?.holdoutRows = holdoutRows
    try ZarrGroup.write(to: folder.file("corpus"))
    for stream in [corpus.tokens, corpus.offsets, corpus.rows, corpus.holdout, corpus.partRows] {
      try stream.finish()
    }
    for texts in [corpus.titles, corpus.languages, corpus.topics] { try texts.finish() }
    try Vocabulary.write(vocabulary, to: folder.file("vocabulary"))
    for part in CollectionAttributes.Part.allCases {
      let path = part == .training ? folder.partialPath : folder.file("holdout")
      attributes.rowCount = part == .training ? trainingRows : holdoutRows
      attributes.collection?.part = part
      if attributes.rowCount == 0 { continue }
      for array in RowArray.allCases {
        try array.layout(rows: attributes.rowCount, width: attributes.width).writeMetadata(
          to: Path.join(path, array.rawValue), dimensions: array.dimensions)
      }
      try JSONFile.write(StoreGroup(attributes: attributes), to: Path.join(path, "zarr.json"))
    }
    try Path.createDirectories(folder.file(StoreProgress.folderName))
    try folder.commit()
  }
}

/// The arrays over rows of a residual-stream store.
enum RowArray: String, CaseIterable {
  case directions, norms, tokens, documents, positions, flags

  func layout(rows: Int, width: Int) -> ZarrLayout {
    if self == .directions {
      let chunk = min(rows, ActivationStore.chunkRows(count: rows, rowBytes: 2 * width))
      return ZarrLayout(shape: [rows, width], chunk: [chunk, width], type: .float16)
    }
    let type: ZarrType = self == .norms ? .float32 : self == .flags ? .uint8 : .int32
    // 2²⁰ rows, or more in very large stores.
    let chunk = min(rows, ActivationStore.chunkRows(count: rows, rowBytes: 32))
    return ZarrLayout(shape: [rows], chunk: [chunk], type: type)
  }

  var dimensions: [String] { self == .directions ? ["row", "dimension"] : ["row"] }
}
