// Collects the rows (words) for which each expert and sublatent is active, strongest first, in one pass over
// the codes. `HierarchyScore` judges how clear a hierarchy they make.

public import HSAEModels

/// A sublatent and the rows it is active for.
public struct SublatentProfile: Hashable, Sendable {
  /// Index within the expert, 0 ..< a.
  public var index: Int
  /// Number of rows for which it is chosen.
  public var chosen: Int
  /// Number of rows for which it is active: chosen with a code at or above the threshold.
  public var active: Int
  /// The rows with the strongest codes c for which it is active, strongest first.
  public var rows: [RankedRow]
}

/// An expert, the rows it is active for, and its sublatents.
public struct ExpertProfile: Hashable, Sendable {
  /// Index of the expert, 0 ..< m.
  public var expert: Int
  /// Number of rows for which it is active.
  public var count: Int
  /// The rows with the strongest codes z, strongest first.
  public var rows: [RankedRow]
  /// The live sublatents (active for at least one row), most rows first.
  public var sublatents: [SublatentProfile]
}

/// The profiles of all experts of a dictionary over a set of rows.
public struct ExpertProfiles: Sendable {
  /// How often each latent is active.
  public private(set) var usage: LatentUsage
  private var expertRows: RankedRows
  private var sublatentRows: RankedRows

  /// The sizes of the dictionary.
  public var shape: DictionaryShape { usage.shape }

  /// Profiles of no rows; they will keep the strongest `rowsPerExpert` and `rowsPerSublatent` rows.
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
      for code in codes[index] {
        expertRows.offer(
          group: code.expert, row: firstRow + index, value: code.value)
        guard shape.sublatents > 0,
          let sublatent = code.activeSublatent(threshold: usage.subThreshold)
        else { continue }
        sublatentRows.offer(
          group: code.expert * shape.sublatents + sublatent,
          row: firstRow + index, value: code.subValue)
      }
    }
  }

  /// The strongest rows of `expert`, by falling z.
  public func rows(expert: Int) -> [RankedRow] { expertRows.ranked(expert) }

  /// The strongest rows for which sublatent `sublatent` of `expert` is active, by falling c.
  public func rows(expert: Int, sublatent: Int) -> [RankedRow] {
    precondition(sublatent >= 0 && sublatent < shape.sublatents, "A sublatent is out of range.")
    return sublatentRows.ranked(expert * shape.sublatents + sublatent)
  }

  /// The profile of `expert`.
  public subscript(expert: Int) -> ExpertProfile {
    let base = expert * shape.sublatents
    let live = (0..<shape.sublatents)
      .filter { usage.active[base + $0] > 0 }
      .sorted {
        let (a, b) = (usage.active[base + $0], usage.active[base + $1])
        return a != b ? a > b : $0 < $1
      }
    return ExpertProfile(
      expert: expert, count: usage.experts[expert], rows: rows(expert: expert),
      sublatents: live.map {
        SublatentProfile(
          index: $0, chosen: usage.chosen[base + $0], active: usage.active[base + $0],
          rows: rows(expert: expert, sublatent: $0))
      })
  }
}
