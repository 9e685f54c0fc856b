// Finds the strongest rows of many groups in one pass: one small heap for each group, all in flat arrays.

/// A row of the store with the code of a latent that is active for it.
public struct RankedRow: Hashable, Sendable, Codable {
  /// Index of the row in the store.
  public var row: Int
  /// The code: z of an expert or c of a sublatent.
  public var value: Float
}

/// The `capacity` strongest rows of each of `groups` groups.
///
/// Rows are ordered by falling value, then by rising index, so the result does not depend on the order of
/// `offer`.
struct RankedRows: Sendable {
  let groups: Int
  let capacity: Int
  private var counts: [Int32]
  private var rows: [Int32]
  private var values: [Float]

  init(groups: Int, capacity: Int) {
    precondition(groups >= 0 && capacity > 0, "Ranked rows need room for at least one.")
    self.groups = groups
    self.capacity = capacity
    counts = Array(repeating: 0, count: groups)
    rows = Array(repeating: 0, count: groups * capacity)
    values = Array(repeating: 0, count: groups * capacity)
  }

  /// Keeps the row if it is among the strongest of its group. NaN is ignored.
  mutating func offer(group: Int, row: Int, value: Float) {
    guard !value.isNaN else { return }
    let base = group * capacity
    let count = Int(counts[group])
    let entry = Int32(row)
    if count < capacity {
      counts[group] += 1
      var child = count
      while child > 0 {
        let parent = (child - 1) / 2
        guard isWeaker(value, entry, than: base + parent) else { break }
        move(from: base + parent, to: base + child)
        child = parent
      }
      set(base + child, value, entry)
    } else if !isWeaker(value, entry, than: base) {
      // The root is the weakest row. The new row replaces it and sinks to its place in the heap.
      var parent = 0
      while true {
        var child = 2 * parent + 1
        guard child < capacity else { break }
        if child + 1 < capacity,
          isWeaker(values[base + child + 1], rows[base + child + 1], than: base + child)
        {
          child += 1
        }
        guard isWeaker(values[base + child], rows[base + child], value, entry) else { break }
        move(from: base + child, to: base + parent)
        parent = child
      }
      set(base + parent, value, entry)
    }
  }

  /// The strongest rows of a group, strongest first.
  func ranked(_ group: Int) -> [RankedRow] {
    let base = group * capacity
    return (base..<base + Int(counts[group]))
      .map { RankedRow(row: Int(rows[$0]), value: values[$0]) }
      .sorted { $0.value != $1.value ? $0.value > $1.value : $0.row < $1.row }
  }

  private func isWeaker(_ value: Float, _ row: Int32, than index: Int) -> Bool {
    isWeaker(value, row, values[index], rows[index])
  }

  private func isWeaker(_ a: Float, _ aRow: Int32, _ b: Float, _ bRow: Int32) -> Bool {
    a != b ? a < b : aRow > bRow
  }

  private mutating func move(from source: Int, to target: Int) {
    rows[target] = rows[source]
    values[target] = values[source]
  }

  private mutating func set(_ index: Int, _ value: Float, _ row: Int32) {
    rows[index] = row
    values[index] = value
  }
}
