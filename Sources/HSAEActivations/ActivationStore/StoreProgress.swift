// Notes which units of work of an incomplete store are on the disk. Each shard has a file of its own, so
// shards may run at the same time; together the files tell what is left.

import HSAESupport

/// A set of units of work, as ranges.
struct UnitSet: Codable, Equatable {
  /// Disjoint ranges in order, none empty, none touching the next: [first, end] pairs.
  private(set) var ranges: [[Int]] = []

  mutating func insert(_ range: Range<Int>) {
    guard !range.isEmpty else { return }
    var (first, end) = (range.lowerBound, range.upperBound)
    var rest: [[Int]] = []
    for other in ranges {
      if other[1] < first || other[0] > end {
        rest.append(other)
      } else {
        (first, end) = (min(first, other[0]), max(end, other[1]))
      }
    }
    rest.append([first, end])
    ranges = rest.sorted { $0[0] < $1[0] }
  }

  mutating func formUnion(_ other: UnitSet) {
    for range in other.ranges { insert(range[0]..<range[1]) }
  }

  func contains(_ range: Range<Int>) -> Bool {
    range.isEmpty || ranges.contains { $0[0] <= range.lowerBound && range.upperBound <= $0[1] }
  }

  func count(in range: Range<Int>) -> Int {
    ranges.reduce(0) { $0 + ($1[0]..<$1[1]).clamped(to: range).count }
  }

  var isSound: Bool {
    ranges.allSatisfy { $0.count == 2 && $0[0] >= 0 && $0[0] < $0[1] }
      && zip(ranges, ranges.dropFirst()).allSatisfy { $0[1] < $1[0] }
  }
}

/// The notes of one shard about the units it has written.
struct StoreProgress {
  static let folderName = "progress"

  private let path: String
  /// The units this shard has done, in this process and earlier ones.
  private(set) var own = UnitSet()
  /// The units all shards had done when the notes were read.
  let known: UnitSet

  init(store: String, shard: Int, of count: Int) throws(Failure) {
    path = Path.join(Self.folder(store), "shard-\(shard)-of-\(count).json")
    if Path.exists(path) { own = try Self.read(path) }
    known = try Self.all(store)
  }

  static func folder(_ store: String) -> String { Path.join(store, folderName) }

  /// The units all shards together have done in the store at `store`.
  static func all(_ store: String) throws(Failure) -> UnitSet {
    var units = UnitSet()
    for name in try Path.list(folder(store))
    where name.hasPrefix("shard-") && name.hasSuffix(".json") {
      units.formUnion(try read(Path.join(folder(store), name)))
    }
    return units
  }

  private static func read(_ path: String) throws(Failure) -> UnitSet {
    let units = try JSONFile.read(UnitSet.self, from: path)
    guard units.isSound else {
      throw .data("\(path): its ranges are not valid; remove the file to do its work again.")
    }
    return units
  }

  /// Notes that the units `range` are on the disk.
  mutating func note(_ range: Range<Int>) throws(Failure) {
    own.insert(range)
    try JSONFile.write(own, to: path)
  }
}
