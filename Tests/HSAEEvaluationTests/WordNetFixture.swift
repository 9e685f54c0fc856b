// A small WordNet in WordNet's format, with enough animals, places and foods to plant hierarchies.

import HSAESupport
import HSAETestSupport

@testable import HSAEEvaluation

/// A WordNet of three levels under "entity", written to a folder and read back.
enum WordNetFixture {
  /// Synsets and the synsets they are kinds (or instances) of.
  static let families: [(parent: String, children: [(name: String, kinds: [String])])] = [
    (
      "animal",
      [
        ("dog", ["corgi", "poodle", "terrier", "beagle", "husky", "collie", "spaniel"]),
        ("cat", ["siamese", "persian", "tabby", "manx", "angora", "burmese", "calico"]),
        ("bird", ["sparrow", "robin", "eagle", "heron", "pigeon", "finch", "mouse_bird"]),
        ("rodent", ["mouse", "hamster", "rat", "gerbil", "vole", "beaver", "squirrel"]),
      ]
    ),
    (
      "location",
      [
        ("city", ["paris", "london", "chicago", "berlin", "madrid", "lisbon", "oslo"]),
        ("country", ["france", "germany", "spain", "norway", "italy", "peru", "chile"]),
        ("river", ["thames", "seine", "rhine", "danube", "volga", "nile", "amazon"]),
      ]
    ),
    (
      "food",
      [
        ("fruit", ["apple", "pear", "plum", "cherry", "lemon", "mango", "orange"]),
        ("bread", ["bagel", "baguette", "bun", "rye", "toast", "roll", "pita"]),
        ("cheese", ["brie", "cheddar", "feta", "gouda", "edam", "ricotta", "parmesan"]),
      ]
    ),
  ]

  /// The lines of data.noun and index.noun.
  static func files() -> (data: String, index: String) {
    let licence = "  1 This is a fixture.  \n  2 It is no licence.  \n"
    var (data, index) = (licence, licence)
    var next = 1740
    func add(_ words: [String], _ parent: Int?, instance: Bool = false) -> Int {
      let offset = next
      next += 111
      func padded(_ number: Int) -> String {
        String(repeating: "0", count: 8 - String(number).count) + String(number)
      }
      let count = String(words.count, radix: 16)
      let pointer = parent.map {
        "002 \(instance ? "@i" : "@") \(padded($0)) n 0000 + 00000099 v 0101"
      }
      data +=
        "\(padded(offset)) 03 n \(count.count < 2 ? "0" : "")\(count) "
        + words.map { "\($0) 0 " }.joined() + (pointer ?? "000")
        + " | a gloss; \"with | a bar\"  \n"
      for word in words {
        index += "\(word) n 1 \(parent == nil ? "0" : "1 @") 1 0 \(padded(offset))  \n"
      }
      return offset
    }
    let root = add(["entity"], nil)
    for (parent, children) in families {
      let family = add([parent, "\(parent)_thing"], root)
      for (child, kinds) in children {
        let own = add([child], family)
        for kind in kinds { _ = add([kind], own, instance: parent == "location") }
      }
    }
    for word in others { _ = add([word], root) }
    return (data, index)
  }

  /// Writes the files into `folder`.
  static func write(to folder: String) throws {
    let (data, index) = files()
    for (name, text) in [
      ("data.noun", data), ("index.noun", index), ("noun.exc", "mice mouse\ngeese goose\n"),
    ] { try DurableFile.write(Array(text.utf8), to: Path.join(folder, name)) }
  }

  static func load() throws -> WordNet {
    try withTemporaryFolder { folder in
      try write(to: folder)
      return try WordNet(folder: folder)
    }
  }

  /// Nouns directly under "entity".
  static let others = (0..<600).map { number in
    "other" + String(number).compactMap { "bcdfghjklm".dropFirst(Int(String($0)) ?? 0).first }
  }

  /// A row for each kind, ordered by family, then one for each other noun.
  static func words() -> WordTable {
    let names = families.flatMap { $0.children.flatMap(\.kinds) } + others
    return WordTable(
      tokens: names.indices.map(Int32.init), vocabulary: names.map { "\u{2581}" + $0 })
  }
}
