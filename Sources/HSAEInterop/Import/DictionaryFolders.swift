// Finds the dictionaries in the folders of a folder, for the message about a folder with several.

import HSAESupport

/// The folders below a folder that each hold a dictionary of another tool.
struct DictionaryFolders {
  /// Their paths, relative to the folder, in order: numbers in names count as numbers.
  private(set) var names: [String] = []

  private static let mostDepth = 4
  private static let mostFolders = 2_000
  private static let shown = 8
  private static let weights =
    [SAELensImport.weightsFile, SparsifyImport.weightsFile, "ae.pt"] + GemmaScopeImport.weightsFiles

  /// Looks into the folders of `path`, four levels deep and at most 2,000 folders.
  init(in path: String) {
    var left = Self.mostFolders
    func look(_ name: String, _ depth: Int) {
      guard depth < Self.mostDepth,
        let entries = try? Path.list(name.isEmpty ? path : Path.join(path, name))
      else { return }
      for entry in entries.sorted() where !entry.hasPrefix(".") && left > 0 {
        let inner = name.isEmpty ? entry : Path.join(name, entry)
        let place = Path.join(path, inner)
        guard Path.isDirectory(place) else { continue }
        left -= 1
        if Self.weights.contains(where: { Path.exists(Path.join(place, $0)) }) {
          names.append(inner)
        } else {
          look(inner, depth + 1)
        }
      }
    }
    look("", 0)
    names.sort { Self.key($0).lexicographicallyPrecedes(Self.key($1)) }
  }

  /// The first names, and how many more there are.
  var text: String {
    let first = names.prefix(Self.shown).joined(separator: ", ")
    return names.count > Self.shown
      ? "\(grouped(names.count)), among them \(first)" : "\(grouped(names.count)): \(first)"
  }

  /// A name with each number as one element, behind its number of digits.
  private static func key(_ name: String) -> [Int] {
    var key: [Int] = []
    var digits = 0
    for byte in name.utf8 {
      if byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9"), digits < 18 {
        let value = Int(byte - UInt8(ascii: "0"))
        if digits == 0 { key += [Int(UInt8(ascii: "0")), 0] }
        digits += 1
        key[key.count - 1] = key[key.count - 1] * 10 + value
      } else {
        digits = 0
        key.append(Int(byte))
      }
    }
    return key
  }
}
