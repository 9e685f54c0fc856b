// Documents, which collection reads one after another, and the protocol of their sources.

public import HSAESupport

/// A document of a corpus.
public struct Document: Hashable, Sendable {
  /// Its text as UTF-8. The tokenizer handles bytes that are not.
  public var text: [UInt8]
  /// Its language ("en"), if known.
  public var language: String?
  /// Its title, if it has one.
  public var title: String?
  /// Its topic, if known.
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

/// A source of documents, always in the same order.
public protocol DocumentSource {
  /// The next document; nil after the last.
  mutating func next() throws(Failure) -> Document?
}

/// Documents in memory.
public struct DocumentList: DocumentSource {
  private var rest: ArraySlice<Document>

  /// The given documents, in their order.
  public init(_ documents: [Document]) { rest = documents[...] }

  /// Documents with the given texts.
  public init(texts: [String]) { self.init(texts.map { Document(text: Array($0.utf8)) }) }

  /// The next document.
  public mutating func next() -> Document? { rest.popFirst() }
}
