// Reads values of the expected type from a cfg.json or config.json of another tool. A key that changes numbers in
// a way that hsae cannot represent is refused by name. Other keys that are not known are listed in a note.

import HSAEModels
import HSAESupport

/// The top-level object of a configuration.
struct FolderConfiguration {
  /// The path, for messages.
  let path: String
  let members: [String: JSONValue]

  /// The first of `keys` that is there and not null.
  subscript(keys: String...) -> JSONValue? {
    keys.lazy.compactMap { members[$0] }.first { $0 != .null }
  }

  /// The object under `key`; an empty one if there is none.
  func object(_ key: String) -> FolderConfiguration {
    FolderConfiguration(path: path, members: members[key]?.object ?? [:])
  }

  /// The text under `key`, or `value` if there is none.
  func text(_ key: String, default value: String) throws(Failure) -> String {
    guard let found = self[key] else { return value }
    if let text = found.string { return text }
    throw .data("\(path): \"\(key)\" must be a text.")
  }

  /// The boolean under `key`, or `value` if there is none.
  func flag(_ key: String, default value: Bool) throws(Failure) -> Bool {
    guard let found = self[key] else { return value }
    if let flag = found.bool { return flag }
    throw .data("\(path): \"\(key)\" must be true or false.")
  }

  /// The whole number under `key`, from 1 to 2³¹ − 1.
  func count(_ key: String) throws(Failure) -> Int {
    if let number = self[key]?.integer, (1...Int(Int32.max)).contains(number) { return number }
    throw .data("\(path): \"\(key)\" must be a whole number of at least 1.")
  }

  /// Fails with `.data` if one of `keys` is there and says anything but "no". These keys change numbers in a way that
  /// hsae cannot represent; `imports` says what it imports, as a clause.
  func refuse(_ keys: [String], imports: String) throws(Failure) {
    guard let key = keys.first(where: { members[$0]?.saysNo == false }) else { return }
    let value = members[key]?.text(indent: nil) ?? ""
    throw .data(
      "\(path): \"\(key)\": \(value.prefix(60)) is not supported; hsae imports \(imports).")
  }

  /// A note that lists the keys outside `known`; nil if there are none.
  func note(ofKeysBeside known: Set<String>) -> String? {
    let unknown = members.keys.filter { !known.contains($0) && members[$0] != .null }.sorted()
    guard !unknown.isEmpty else { return nil }
    let names = unknown.prefix(Self.mostNames).map { "\"\($0.prefix(60))\"" }
    let more =
      unknown.count > names.count ? " and \(unknown.count - names.count) more" : ""
    return
      "\(Path.name(path)) has keys that hsae does not know; the import supposes that they change no number:"
      + " \(names.joined(separator: ", "))\(more)."
  }

  private static let mostNames = 8

  /// The finite number under `key`.
  func number(_ key: String) throws(Failure) -> Double {
    if let number = self[key]?.number, abs(number) <= 1e30 { return number }
    throw .data("\(path): \"\(key)\" must be a number.")
  }
}

extension FolderConfiguration {
  init(path: String) throws(Failure) {
    // Python writes NaN and Infinity. They matter only under a key whose number is read.
    guard let members = try JSONFile.readTree(from: path, dialect: .python).object else {
      throw .data("\(path): a JSON object ({…}) is expected.")
    }
    self.init(path: path, members: members)
  }
}

extension JSONValue {
  /// Whether this is a value with which a setting is off: null, false, "", "none", 0, [] or {}.
  fileprivate var saysNo: Bool {
    switch self {
    case .null: true
    case .bool(let flag): !flag
    case .integer(let number): number == 0
    case .number(let number): number == 0
    case .string(let text): text.isEmpty || text == "none"
    case .array(let elements): elements.isEmpty
    case .object(let members): members.isEmpty
    }
  }
}

extension DictionaryShape {
  /// The shape of a flat dictionary; k is at most the number of latents.
  static func flat(width: Int, latents: Int, active: Int) -> DictionaryShape {
    DictionaryShape(
      width: width, experts: latents, sublatents: 0, subspace: 0,
      activeExperts: min(active, latents))
  }

  /// Fails with `.data` if the sizes are not valid or need more memory than this machine has.
  func check(_ path: String) throws(Failure) {
    if let complaint { throw .data("\(path): \(complaint)") }
    let bytes = 4 * Double(parameterCount)
    // Reading the limit takes longer than importing a small dictionary.
    guard bytes <= 67e6 || bytes <= MachineMemory.current.limit else {
      throw .data(
        "\(path): the weights need \(MachineMemory.text(bytes)), more memory than this machine has."
      )
    }
  }
}
