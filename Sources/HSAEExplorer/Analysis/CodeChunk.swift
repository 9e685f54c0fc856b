// A scratch file of `hsae explain`: the codes of some thousand rows, sorted by expert so that one expert's
// codes are one piece of the file, and how much of each row they explain. Only the machine that wrote the file reads it.

import HSAEModels
import HSAESupport

/// One code of one row, as the file has it.
struct CodeEntry: BitwiseCopyable, Sendable {
  /// The row within the chunk.
  var row: UInt32
  /// The chosen sublatent; -1 in a flat dictionary.
  var sublatent: Int32
  /// The expert's code z.
  var value: Float
  /// The sublatent's code c.
  var subValue: Float
}

/// The codes of a chunk, mapped.
///
/// The file: magic and counts (rows, experts, k, entries) as 64-bit numbers; places [rows]; explained
/// shares [rows], doubles; the first entry of each expert [experts + 1]; members [rows × k], the experts of each row, padded with -1; the entries, by
/// expert and then by row. k is the largest number of codes that a row has.
@safe
struct CodeChunk: Sendable {
  private static let magic = 0x3245_444F_4345_5348  // "HSECODE2"
  private static let headerBytes = 5 * 8
  private let file: MappedFile
  let rows: Int
  /// The largest number of experts that a row has.
  let active: Int
  private let experts: Int
  private let firstsOffset: Int
  private let membersOffset: Int
  private let entriesOffset: Int

  /// Writes the codes of rows at `places` durably, with the share of each row that is explained.
  static func write(
    _ codes: Codes, places: [Int], shares: [Double], shape: DictionaryShape, to path: String
  ) throws(Failure) {
    precondition(places.count == codes.count && shares.count == codes.count, "One for each row.")
    // A dictionary without a k of its own may allow thousands; what rows really have is less.
    let k = (0..<codes.count).map { codes[$0].count }.max() ?? 0
    var firsts = [Int64](repeating: 0, count: shape.experts + 1)
    for code in codes.all { firsts[code.expert + 1] += 1 }
    for expert in 0..<shape.experts { firsts[expert + 1] += firsts[expert] }
    var next = firsts
    var members = [Int32](repeating: -1, count: codes.count * k)
    var entries = [CodeEntry](
      repeating: CodeEntry(row: 0, sublatent: -1, value: 0, subValue: 0),
      count: codes.all.count)
    for row in 0..<codes.count {
      for (place, code) in codes[row].enumerated() {
        members[row * k + place] = Int32(code.expert)
        entries[Int(next[code.expert])] = CodeEntry(
          row: UInt32(row), sublatent: Int32(code.sublatent), value: code.value,
          subValue: code.subValue)
        next[code.expert] += 1
      }
    }
    var file = try DurableFile(path: path)
    try append([magic, codes.count, shape.experts, k, entries.count].map { Int64($0) }, to: &file)
    try append(places.map { Int64($0) }, to: &file)
    try append(shares, to: &file)
    try append(firsts, to: &file)
    try append(members, to: &file)
    try append(entries, to: &file)
    try file.commit()
  }

  private static func append(
    _ elements: [some BitwiseCopyable], to file: inout DurableFile
  ) throws(Failure) {
    // Safe: the elements have no padding, so every byte is initialised.
    try unsafe file.write(elements.span.bytes)
  }

  /// Maps the chunk at `path` of a dictionary of `shape`. Fails with `.data` if it is not one.
  init(path: String, shape: DictionaryShape) throws(Failure) {
    file = try MappedFile(path: path)
    let damaged = Failure.data(
      "\(path): this is not a scratch file of this run; remove its folder and run again.")
    guard file.count >= Self.headerBytes else { throw damaged }
    let header = (0..<5).map { [file] index in
      Int(unsafe file.bytes.unsafeLoad(fromByteOffset: index * 8, as: Int64.self))
    }
    guard header[0] == Self.magic, header[2] == shape.experts,
      (0...shape.activeExperts).contains(header[3]), (0...1 << 32).contains(header[1]),
      (0...1 << 40).contains(header[4])
    else { throw damaged }
    (rows, experts, active) = (header[1], header[2], header[3])
    firstsOffset = Self.headerBytes + rows * 16
    membersOffset = firstsOffset + (experts + 1) * 8
    entriesOffset = membersOffset + rows * active * 4
    guard file.count == entriesOffset + header[4] * 16 else { throw damaged }
  }

  /// The place (`ExplainedRows`) of row `row`.
  func place(_ row: Int) -> Int {
    precondition(row >= 0 && row < rows, "Row \(row) of \(rows).")
    // Safe: the file's size was checked against its counts.
    return Int(
      unsafe file.bytes.unsafeLoad(fromByteOffset: Self.headerBytes + row * 8, as: Int64.self))
  }

  /// The share of row `row` that is explained (`TokenParts.explained`).
  func share(_ row: Int) -> Double {
    precondition(row >= 0 && row < rows, "Row \(row) of \(rows).")
    // Safe: the file's size was checked against its counts.
    return unsafe file.bytes.unsafeLoad(
      fromByteOffset: Self.headerBytes + (rows + row) * 8, as: Double.self)
  }

  /// The indices of the entries of `expert`.
  func entries(of expert: Int) -> Range<Int> {
    precondition(expert >= 0 && expert < experts, "Expert \(expert) of \(experts).")
    let bounds = [expert, expert + 1].map { [file, firstsOffset] index in
      // Safe: the file has experts + 1 of them; its size was checked.
      Int(unsafe file.bytes.unsafeLoad(fromByteOffset: firstsOffset + index * 8, as: Int64.self))
    }
    return bounds[0]..<bounds[1]
  }

  func entry(_ index: Int) -> CodeEntry {
    precondition(index >= 0 && entriesOffset + index * 16 + 16 <= file.count, "No such entry.")
    // Safe: the line above checked that it is inside the file; any bits make an entry.
    return unsafe file.bytes.unsafeLoadUnaligned(
      fromByteOffset: entriesOffset + index * 16, as: CodeEntry.self)
  }

  /// Calls `body` with each expert that is active for row `row`.
  func forEachMember(of row: Int, _ body: (Int) -> Void) {
    precondition(row >= 0 && row < rows, "Row \(row) of \(rows).")
    let bytes = file.bytes
    for index in row * active..<(row + 1) * active {
      // Safe: the file has rows × active of them; its size was checked.
      let member = unsafe bytes.unsafeLoadUnaligned(
        fromByteOffset: membersOffset + index * 4, as: Int32.self)
      if member < 0 { return }
      body(Int(member))
    }
  }
}
