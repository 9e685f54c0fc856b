// Which rows (words) an expert and each of its sublatents respond to, strongest first, gathered in
// one pass over the codes. How clear a hierarchy they make is `HierarchyScore`'s.

public import HSAEModels

/// A sublatent and the rows it is relevant for.
public struct SublatentProfile: Hashable, Sendable {
  /// Index within the expert, 0 ..< a.
  public var index: Int
  /// Number of rows for which it is chosen.
  public var chosen: Int
  /// Number of rows for which it is chosen with a code at or above the threshold.
  public var relevant: Int
  /// The strongest of the relevant rows, by falling code c.
  public var rows: [RankedRow]

  /// A profile with the given parts.
  public init(index: Int, chosen: Int, relevant: Int, rows: [RankedRow]) {
    self.index = index
    self.chosen = chosen
    self.relevant = relevant
    self.rows = rows
  }
}

/// An expert, the rows it is active for, and its sublatents.
public struct ExpertProfile: Hashable, Sendable {
  /// Index of the expert, 0 ..< m.
  public var expert: Int
  /// Number of rows for which it is active.
  public var count: Int
  /// The strongest of those rows, by falling code z.
  public var rows: [RankedRow]
  /// The sublatents that are relevant for at least one row, by falling number of relevant rows.
  public var sublatents: [SublatentProfile]

  /// A profile with the given parts.
  public init(expert: Int, count: Int, rows: [RankedRow], sublatents: [SublatentProfile]) {
    self.expert = expert
    self.count = count
    self.rows = rows
    self.sublatents = sublatents
  }
}

/// The profiles of all experts of a dictionary over a set of rows.
public struct ExpertProfiles: Sendable {
  /// How often everything was used; its threshold says what "relevant" means.
  public private(set) var usage: LatentUsage
  private var expertRows: RankedRows
  private var sublatentRows: RankedRows

  /// The sizes of the dictionary.
  public var shape: DictionaryShape { usage.shape }

  /// Profiles of no rows, which will keep the `rowsPerExpert` and `rowsPerSublatent` strongest.
  public init(
    shape: DictionaryShape, subThreshold: Float, rowsPerExpert: Int = 64,
    rowsPerSublatent: Int = 32
  ) {
    usage = LatentUsage(shape: shape, subThreshold: subThreshold)
    expertRows = RankedRows(groups: shape.experts, capacity: rowsPerExpert)
    sublatentRows = RankedRows(
      groups: shape.experts * shape.sublatents, capacity: rowsPerSublatent)
  }

  /// Adds the codes of rows `firstRow`, `firstRow + 1`, … of the store.
  public mutating func add(_ codes: Codes, firstRow: Int) {
    precondition(
      firstRow >= 0 && firstRow <= Int(Int32.max) - codes.count, "Too many rows to rank.")
    usage.add(codes)
    for index in 0..<codes.count {
      for activation in codes[index] {
        expertRows.offer(
          group: activation.expert, row: firstRow + index, value: activation.value)
        guard shape.sublatents > 0, activation.sublatent >= 0,
          activation.subValue >= usage.subThreshold
        else { continue }
        sublatentRows.offer(
          group: activation.expert * shape.sublatents + activation.sublatent,
          row: firstRow + index, value: activation.subValue)
      }
    }
  }

  /// The strongest rows of `expert`, by falling z.
  public func rows(expert: Int) -> [RankedRow] { expertRows.ranked(expert) }

  /// The strongest rows for which sublatent `sublatent` of `expert` is relevant, by falling c.
  public func rows(expert: Int, sublatent: Int) -> [RankedRow] {
    precondition(sublatent >= 0 && sublatent < shape.sublatents, "A sublatent is out of range.")
    return sublatentRows.ranked(expert * shape.sublatents + sublatent)
  }

  /// The profile of `expert`.
  public subscript(expert: Int) -> ExpertProfile {
    let base = expert * shape.sublatents
    let live = (0..<shape.sublatents)
      .filter { usage.relevant[base + $0] > 0 }
      .sorted {
        let (a, b) = (usage.relevant[base + $0], usage.relevant[base + $1])
        return a != b ? a > b : $0 < $1
      }
    return ExpertProfile(
      expert: expert, count: usage.experts[expert], rows: rows(expert: expert),
      sublatents: live.map {
        SublatentProfile(
          index: $0, chosen: usage.chosen[base + $0], relevant: usage.relevant[base + $0],
          rows: rows(expert: expert, sublatent: $0))
      })
  }
}
