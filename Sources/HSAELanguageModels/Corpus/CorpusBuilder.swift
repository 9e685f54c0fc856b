// Builds a corpus from the catalogue's corpora and from files: one document for each title, selected by a
// rule, written as JSON Lines. It reads the sources twice: first for lengths and titles, which the selection
// needs, then for the texts, which wait in a scratch file. So no text is kept in memory.

public import HSAESupport

/// Builds a corpus file.
public struct CorpusBuilder {
  /// Counts of what was built.
  public struct Result: Codable, Hashable, Sendable {
    /// Documents found in the sources.
    public var found = 0
    /// Documents left out because another of the same language and title is at least as long.
    public var duplicates = 0
    /// Documents written.
    public var written = 0
    /// Bytes of their texts.
    public var bytes = 0
    /// Documents written, by language; "" stands for an unknown language.
    public var languages: [String: Int] = [:]
    /// What the reader of files found and skipped.
    public var reading = CorpusSummary()

    /// All counts 0.
    public init() {}
  }

  private let sources: [String]
  private let format: CorpusFormat
  private let fetcher: ModelFetcher

  /// A builder from `sources`: names of catalogue corpora, files and folders.
  ///
  /// Fails with `.missing` if a source is none of these. Catalogue corpora are fetched by `write`.
  public init(
    sources: [String], format: CorpusFormat, fetcher: ModelFetcher
  ) throws(Failure) {
    for source in sources where CorpusCatalogue.corpus(named: source) == nil {
      guard Path.exists(source) else {
        let names = CorpusCatalogue.corpora.map(\.name).joined(separator: ", ")
        throw .missing(
          "\(source): there is no such file, and no corpus of that name; known names: \(names).")
      }
    }
    self.sources = sources
    self.format = format
    self.fetcher = fetcher
  }

  /// Writes the documents that `selection` chooses to the file at `path`, in full or not at all.
  ///
  /// Of documents with the same language and title it keeps the longest. Fails with `.data` if none is left.
  public func write(
    to path: String, selection: CorpusSelection, seed: UInt64
  ) throws(Failure) -> Result {
    var result = Result()
    var candidates: [CorpusSelection.Candidate] = []
    // The number of each candidate among all documents, and the candidate of each title.
    var numbers: [Int] = []
    var titles: [String: Int] = [:]
    let sources = try located()
    result.reading = try forEach(sources) { document in
      let candidate = CorpusSelection.Candidate(
        language: document.language, byteCount: document.text.count)
      let number = result.found
      result.found += 1
      if let title = document.title {
        let key = "\(document.language ?? "")\u{0}\(title)"
        if let other = titles[key] {
          result.duplicates += 1
          if candidates[other].byteCount < candidate.byteCount {
            (candidates[other], numbers[other]) = (candidate, number)
          }
          return
        }
        titles[key] = candidates.count
      }
      candidates.append(candidate)
      numbers.append(number)
    }
    titles = [:]
    let chosen = selection.indices(of: candidates, seed: seed).map { numbers[$0] }
    guard !chosen.isEmpty else {
      throw .data(
        "\(path): none of the \(result.found) documents that were found is selected, so nothing is"
          + " written; relax the selection.")
    }
    var places: [Int: Int] = [:]
    for (place, number) in chosen.enumerated() { places[number] = place }
    let scratch = try Descriptor(scratchBeside: path)
    var lines = [Range<Int>](repeating: 0..<0, count: chosen.count)
    var (number, end) = (0, 0)
    _ = try forEach(sources) { (document) throws(Failure) in
      if let place = places[number] {
        let line = Self.line(document)
        // Safe: the bytes are a span of `line`, which lives for the call.
        try unsafe scratch.write(line.span.bytes, at: end)
        lines[place] = end..<end + line.count
        end += line.count
        result.written += 1
        result.bytes += document.text.count
        result.languages[document.language ?? "", default: 0] += 1
      }
      number += 1
    }
    guard number == result.found, result.written == chosen.count else {
      throw Failure(.temporary, "The sources changed while they were read; run this again.")
    }
    var file = try DurableFile(path: path)
    for line in lines { try file.write(scratch.bytes(line.count, at: line.lowerBound)) }
    try file.commit()
    return result
  }

  /// The sources' paths; fetches catalogue corpora.
  private func located() throws(Failure) -> [(corpus: CatalogueCorpus?, path: String)] {
    var result: [(corpus: CatalogueCorpus?, path: String)] = []
    for source in sources {
      let corpus = CorpusCatalogue.corpus(named: source)
      if let corpus {
        result.append((corpus, try fetcher.fetch(corpus.file)))
      } else {
        result.append((nil, source))
      }
    }
    return result
  }

  /// Calls `body` with every document: first those of catalogue corpora, then those of files.
  private func forEach(
    _ sources: [(corpus: CatalogueCorpus?, path: String)],
    _ body: (Document) throws(Failure) -> Void
  ) throws(Failure) -> CorpusSummary {
    for source in sources {
      guard let corpus = source.corpus else { continue }
      for document in try corpus.documents(path: source.path) { try body(document) }
    }
    let paths = sources.filter { $0.corpus == nil }.map(\.path)
    guard !paths.isEmpty else { return CorpusSummary() }
    let reader = try CorpusReader(paths: paths, format: format)
    while let document = try reader.next() { try body(document) }
    return reader.summary
  }

  private static func line(_ document: Document) -> [UInt8] {
    var members: [String: JSONValue] = [
      "text": .string(String(decoding: document.text, as: UTF8.self))
    ]
    members["language"] = document.language.map { .string($0) }
    members["title"] = document.title.map { .string($0) }
    members["topic"] = document.topic.map { .string($0) }
    return Array((JSONValue.object(members).text(indent: nil) + "\n").utf8)
  }
}
