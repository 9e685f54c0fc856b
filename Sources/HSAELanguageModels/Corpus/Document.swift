// What collection reads: documents, one after another. Where they come from (files, archives,
// selections) is each source's business.

public import HSAESupport

/// A document of a corpus.
public struct Document: Hashable, Sendable {
  /// Its text as UTF-8; bytes that are not are the tokenizer's to deal with.
  public var text: [UInt8]
  /// Its language ("en"), if that is known.
  public var language: String?
  /// Its title, if it has one.
  public var title: String?
  /// What it is about, if that is known.
  public var topic: String?

  /// A document with the given text.
  public init(
    text: [UInt8], language: String? = nil, title: String? = nil, topic: String? = nil
  ) {
    self.text = text
    self.language = language
    self.title = title
    self.topic = topic
  }
}

/// Documents in an order that is the same every time.
public protocol DocumentSource {
  /// The next document; nil after the last.
  mutating func next() throws(Failure) -> Document?
}

/// Documents that are in memory.
public struct DocumentList: DocumentSource {
  private var rest: ArraySlice<Document>

  /// The documents `documents`, in their order.
  public init(_ documents: [Document]) { rest = documents[...] }

  /// Documents with the given texts.
  public init(texts: [String]) { self.init(texts.map { Document(text: Array($0.utf8)) }) }

  /// The next document.
  public mutating func next() -> Document? { rest.popFirst() }
}
