// Texts with yes-or-no labels for the suite `probing`: the binary sets of the package sae-probes, fetched by pinned hash.

public import HSAESupport

/// A set of texts with yes-or-no labels.
public struct LabelledTexts: Hashable, Sendable {
  /// Its name, such as "22_headline_isobama".
  public var name: String
  /// The texts.
  public var texts: [String]
  /// The label of each.
  public var labels: [Bool]

  /// A set with the given parts.
  public init(name: String, texts: [String], labels: [Bool]) {
    (self.name, self.texts, self.labels) = (name, texts, labels)
  }
}

/// A file of sets of labelled texts. A line is a JSON array: the set's name, the names of its two classes, the texts, and
/// for each text the number of its class, 0 or 1.
public struct ProbingTexts: Sendable {
  /// The names of the sets, in the order of the file.
  public let names: [String]
  private let file: MappedFile
  private let lines: [Range<Int>]

  /// The binary sets of sae-probes 0.4.2 (Kantamneni et al., "Are Sparse Autoencoders Useful?"): 113 sets.
  static let catalogueFile = CatalogueFile(
    kind: .corpus, name: "sae-probes", fileName: "sae-probes.jsonl", byteCount: 193_075_756,
    sha256: "1718dd48d9cc8ef360854a0c76d6260afa5ac790c3b05b37ad7c4419f0306f9e",
    licence: "MIT License (sae-probes); the texts are from public sets that its paper lists",
    wheels: [
      CatalogueFile.Wheel(
        project: "sae-probes", version: "0.4.2", fileName: "sae_probes-0.4.2-py3-none-any.whl",
        byteCount: 45_068_606,
        sha256: "245700c8df310760e3d5b23d657ae5196489813f3012b55975057d8239d8be03",
        member: "sae_probes/data/", unpacking: .probingSets)
    ])

  /// The sets of sae-probes, which `fetcher` fetches if they are not in the cache.
  public init(_ fetcher: ModelFetcher) throws(Failure) {
    try self.init(path: fetcher.fetch(Self.catalogueFile))
  }

  /// The sets in the file at `path`. Texts are read when a set is asked for.
  ///
  /// Fails with `.data` if a line does not begin with a name, or a name occurs twice.
  public init(path: String) throws(Failure) {
    file = try MappedFile(path: path)
    var ends: [Int] = []
    let size = 1 << 20
    for start in stride(from: 0, to: file.count, by: size) {
      let bytes = file.copy(start..<min(file.count, start + size))
      for (place, byte) in bytes.enumerated() where byte == UInt8(ascii: "\n") {
        ends.append(start + place)
      }
    }
    if ends.last != file.count - 1 { ends.append(file.count) }
    var (start, lines, names) = (0, [Range<Int>](), [String]())
    for end in ends where start < file.count {
      let head = file.copy(start..<min(end, start + 200))
      guard head.starts(with: Array("[\"".utf8)),
        let quote = head.dropFirst(2).firstIndex(of: UInt8(ascii: "\""))
      else {
        throw .data("\(path), line \(names.count + 1): this is not a set of labelled texts.")
      }
      let name = String(decoding: head[2..<quote], as: UTF8.self)
      guard !names.contains(name) else {
        throw .data("\(path), line \(names.count + 1): the set \(name) occurs twice.")
      }
      names.append(name)
      lines.append(start..<end)
      start = end + 1
    }
    (self.names, self.lines) = (names, lines)
  }

  /// The set at `index` in `names`.
  ///
  /// Fails with `.data` unless its line has the form above.
  public func set(_ index: Int) throws(Failure) -> LabelledTexts {
    let line = try JSONValue(
      parsing: file.copy(lines[index]), source: file.path, offset: lines[index].lowerBound)
    guard let parts = line.array, parts.count == 4,
      let texts = parts[2].array?.compactMap(\.string), let labels = parts[3].integers,
      texts.count == parts[2].array?.count, labels.count == texts.count,
      labels.allSatisfy({ $0 == 0 || $0 == 1 })
    else {
      throw .data(
        "\(file.path), line \(index + 1): the set \(names[index]) needs a name, two classes, texts and a 0 or 1"
          + " for each text.")
    }
    return LabelledTexts(name: names[index], texts: texts, labels: labels.map { $0 == 1 })
  }
}
