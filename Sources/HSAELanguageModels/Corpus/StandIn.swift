public import HSAESupport
public struct CorpusFormat: Sendable {
  public enum Unit: String, Sendable { case line, file }
  public var unit = Unit.line
  public var field = "text"
  public init() {}
  public static func files(at paths: [String]) throws(Failure) -> [String] {
    for p in paths { _ = try Descriptor(reading: p) }
    return paths
  }
}
public struct CorpusSummary: Sendable { public var lines: [String] = [] }
public final class CorpusReader: DocumentSource {
  public private(set) var summary = CorpusSummary()
  var list: [Document] = []
  var at = 0
  public init(paths: [String], format: CorpusFormat = CorpusFormat()) throws(Failure) {
    for p in paths {
      let bytes = try MappedFile(path: p).copy()
      for line in bytes.split(separator: 10) {
        if p.hasSuffix(".jsonl") {
          guard let v = try? JSONValue(parsing: Array(line), source: p), let t = v["text"]?.string else { continue }
          list.append(Document(text: Array(t.utf8), language: v["language"]?.string, title: v["title"]?.string, topic: v["topic"]?.string))
        } else { list.append(Document(text: Array(line))) }
      }
    }
  }
  public func next() throws(Failure) -> Document? { at += 1; return at <= list.count ? list[at - 1] : nil }
}
