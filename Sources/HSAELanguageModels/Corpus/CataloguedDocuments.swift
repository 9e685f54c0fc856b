// Reads documents from the pinned files of the catalogue's corpora. Another layout is an error.

import HSAESupport

extension CatalogueCorpus {
  /// The documents in the file at `path`, which has this corpus's layout, always in the same order.
  func documents(path: String) throws(Failure) -> [Document] {
    let file = try MappedFile(path: path)
    switch layout {
    case .summaries(let languages): return try Self.summaries(file, languages)
    case .mediaWiki(let language): return try Self.articles(file, language)
    case .verses(let languages): return try Self.chapters(file, languages)
    }
  }

  private static func damaged(_ file: MappedFile, _ what: String) -> Failure {
    .data("\(file.path): \(what); remove this file and run again.")
  }

  private static func summaries(
    _ file: MappedFile, _ languages: [String]
  ) throws(Failure) -> [Document] {
    let records = file.copy().split(separator: 0x1E)
    guard records.count == languages.count else {
      throw damaged(file, "it holds \(records.count) records, not \(languages.count)")
    }
    var documents: [Document] = []
    for (record, language) in zip(records, languages) {
      let tree = try JSONValue(parsing: Array(record), source: file.path)
      guard let articles = tree.object else { throw damaged(file, "a record is not a JSON object") }
      for (key, article) in articles.sorted(by: { $0.key < $1.key }) {
        guard let text = article["extract"]?.string else {
          throw damaged(file, "an article has no text")
        }
        documents.append(
          Document(
            text: Array(text.utf8), language: language, title: article["title"]?.string ?? key,
            topic: article["topic"]?.string))
      }
    }
    return documents
  }

  private static func articles(
    _ file: MappedFile, _ language: String
  ) throws(Failure) -> [Document] {
    let documents = MediaWiki.articles(in: file.copy()).map { article in
      Document(
        text: Array(article.text.utf8), language: language, title: article.title, topic: nil)
    }
    guard !documents.isEmpty else { throw damaged(file, "it holds no article") }
    return documents
  }

  private static func chapters(
    _ file: MappedFile, _ languages: [String: String]
  ) throws(Failure) -> [Document] {
    var documents: [Document] = []
    var last = ""
    for line in file.copy().split(separator: UInt8(ascii: "\n")) {
      let verse = try JSONValue(parsing: Array(line), source: file.path).array ?? []
      guard verse.count == 4, let edition = verse[0].string, let language = languages[edition],
        let book = verse[1].string, let chapter = verse[2].integer, let text = verse[3].string
      else { throw damaged(file, "a line is not a verse") }
      let title = "\(book) \(chapter)"
      if last != edition + title {
        documents.append(Document(text: [], language: language, title: title, topic: book))
        last = edition + title
      } else {
        documents[documents.count - 1].text.append(UInt8(ascii: " "))
      }
      documents[documents.count - 1].text += Array(text.utf8)
    }
    return documents
  }
}
