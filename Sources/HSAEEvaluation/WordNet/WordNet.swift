// WordNet's nouns: the words, their meanings (synsets), and what each meaning is a kind or an instance of.
// Read from the files of WordNet 3.0 (Debian's wordnet-base).

public import HSAESupport

/// The noun hierarchy of WordNet. Synsets are numbered from 0 in the order of the file.
public struct WordNet: Sendable {
  /// The first word of each synset in WordNet's spelling: "domestic_dog".
  public let names: [String]
  /// The synsets that each synset is a kind or an instance of.
  let parents: [[Int32]]
  private let senses: [String: [Int32]]
  private let exceptions: [String: String]

  /// Number of synsets.
  public var synsetCount: Int { names.count }

  /// The folder of Debian's package.
  public static let defaultFolder = "/usr/share/wordnet"

  /// Whether `folder` has WordNet's nouns.
  static func isInstalled(in folder: String) -> Bool {
    ["data.noun", "index.noun", "noun.exc"].allSatisfy { Path.exists(Path.join(folder, $0)) }
  }

  /// Reads `index.noun`, `data.noun` and `noun.exc` in `folder`.
  ///
  /// Fails with `.missing` if one is not there, and with `.data` (file and line) if one is not a WordNet file.
  public init(folder: String = WordNet.defaultFolder) throws(Failure) {
    let data = try WordNetFile(folder: folder, name: "data.noun")
    var names: [String] = []
    var numbers: [Int: Int32] = [:]
    var targets: [[Int]] = []
    try data.forEachEntry { (fields) throws(Failure) in
      // offset lex_filenum ss_type w_cnt (word lex_id)… p_cnt (symbol offset pos source/target)… | gloss
      let offset = try fields.integer(0)
      let words = try fields.integer(3, radix: 16)
      let name = try fields.text(4)
      let first = 4 + 2 * words
      let pointers = try fields.integer(first)
      var own: [Int] = []
      for index in 0..<pointers {
        let place = first + 1 + 4 * index
        let symbol = try fields.text(place)
        guard symbol == "@" || symbol == "@i", try fields.text(place + 2) == "n" else { continue }
        own.append(try fields.integer(place + 1))
      }
      guard numbers.updateValue(Int32(names.count), forKey: offset) == nil else {
        throw fields.failure("the synset occurs twice")
      }
      names.append(String(name))
      targets.append(own)
    }
    var parents: [[Int32]] = []
    for own in targets {
      var found: [Int32] = []
      for offset in own {
        guard let number = numbers[offset] else {
          throw .data(
            "\(data.path): a synset refers to offset \(offset), where there is none; the file is damaged."
          )
        }
        found.append(number)
      }
      parents.append(found)
    }

    let index = try WordNetFile(folder: folder, name: "index.noun")
    var senses: [String: [Int32]] = [:]
    try index.forEachEntry { (fields) throws(Failure) in
      // lemma pos synset_cnt p_cnt symbol… sense_cnt tagsense_cnt offset…
      let count = try fields.integer(2)
      let first = 6 + (try fields.integer(3))
      var own: [Int32] = []
      for place in 0..<count {
        let offset = try fields.integer(first + place)
        guard let number = numbers[offset] else {
          throw fields.failure("data.noun has no synset at \(offset)")
        }
        own.append(number)
      }
      senses[String(try fields.text(0))] = own
    }

    let irregular = try WordNetFile(folder: folder, name: "noun.exc")
    var exceptions: [String: String] = [:]
    try irregular.forEachEntry { (fields) throws(Failure) in
      exceptions[String(try fields.text(0))] = String(try fields.text(1))
    }
    (self.names, self.parents) = (names, parents)
    (self.senses, self.exceptions) = (senses, exceptions)
  }

  /// The synsets a lemma may mean, the most frequent first; empty if WordNet does not have it.
  public func senses(of lemma: String) -> [Int32] { senses[lemma] ?? [] }

  /// The lemma of a noun in lower case: itself, its irregular singular, or that by WordNet's rules of
  /// detachment, whichever WordNet knows first; nil if it knows none.
  public func lemma(of word: String) -> String? {
    if senses[word] != nil { return word }
    if let base = exceptions[word], senses[base] != nil { return base }
    for (ending, replacement) in Self.detachments where word.hasSuffix(ending) {
      let base = String(word.dropLast(ending.count) + replacement)
      if senses[base] != nil { return base }
    }
    return nil
  }

  private static let detachments = [
    ("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"),
    ("men", "man"), ("ies", "y"),
  ]

  /// The synsets of a lemma's senses and all their ancestors, in rising order.
  public func ancestors(of lemma: String) -> [Int32] { withAncestors(senses(of: lemma)).sorted() }

  /// The ancestors of `synset`: all it is a kind or an instance of, however indirectly, in rising order.
  public func ancestors(ofSynset synset: Int32) -> [Int32] {
    withAncestors([synset]).filter { $0 != synset }.sorted()
  }

  private func withAncestors(_ synsets: [Int32]) -> Set<Int32> {
    // The set also ends the search if the hierarchy has a cycle.
    var found: Set<Int32> = []
    var open = synsets
    while let next = open.popLast() {
      if found.insert(next).inserted { open += parents[Int(next)] }
    }
    return found
  }
}
