// Lists the nouns of parents and their children, strongest first. A parent is an expert with its sublatents,
// or a group of a flat dictionary's latents with similar directions.

public import HSAEModels
import HSAETensors

/// A parent with its children, as lists of nouns.
public struct NounFamily: Hashable, Sendable {
  /// The expert or group.
  public var parent: Int
  /// The parent's distinct nouns, strongest first.
  public var nouns: [Int32]
  /// The children with enough nouns, in their order.
  public var children: [Child]

  /// A child of a parent.
  public struct Child: Hashable, Sendable {
    /// The sublatent within its expert, or the latent of the group.
    public var index: Int
    /// Its distinct nouns, strongest first.
    public var nouns: [Int32]
  }
}

/// The constants of the score against WordNet.
public struct TaxonomyScoring: Hashable, Sendable {
  /// A parent is judged by this many of its strongest nouns.
  public var parentNouns = 32
  /// A child is judged by this many of its strongest nouns.
  public var childNouns = 16
  /// A child with fewer nouns is not judged.
  public var minimumNouns = 5
  /// A parent with fewer judged children is not judged.
  public var minimumChildren = 3
  /// Specificity is 1 for a synset that covers this share of all nouns or less.
  public var fullSpecificity = 0.05

  /// The constants of docs/evaluation.md.
  public init() {}

  /// The families of a hierarchical dictionary: experts with their sublatents.
  ///
  /// A sublatent's nouns are those for which it is active (chosen with a code of at least `subThreshold`).
  public func families(
    codes: Codes, nouns: NounTable, shape: DictionaryShape, subThreshold: Float
  ) -> [NounFamily] {
    var parents = RankedNouns(groups: shape.experts)
    var children = RankedNouns(groups: shape.experts * shape.sublatents)
    for row in 0..<codes.count where nouns.nounOfRow[row] >= 0 {
      let noun = nouns.nounOfRow[row]
      for code in codes[row] {
        parents.offer(noun, group: code.expert, row: row, value: code.value)
        guard let sublatent = code.activeSublatent(threshold: subThreshold) else { continue }
        children.offer(
          noun, group: code.expert * shape.sublatents + sublatent, row: row, value: code.subValue)
      }
    }
    return (0..<shape.experts).map { expert in
      family(
        expert, parents,
        (0..<shape.sublatents).map {
          ($0, children.ranked(expert * shape.sublatents + $0, limit: childNouns))
        })
    }
  }

  /// The families of a flat dictionary; latent j is in group `groups[j]`. A group's strongest nouns have the
  /// largest sums of its latents' codes.
  public func families(
    codes: Codes, nouns: NounTable, latents: Int, groups: [Int]
  ) -> [NounFamily] {
    precondition(groups.count == latents, "\(latents) latents, \(groups.count) groups.")
    let count = (groups.max() ?? -1) + 1
    var parents = RankedNouns(groups: count)
    var children = RankedNouns(groups: latents)
    for row in 0..<codes.count where nouns.nounOfRow[row] >= 0 {
      let noun = nouns.nounOfRow[row]
      var sums: [Int: Float] = [:]
      for code in codes[row] {
        sums[groups[code.expert], default: 0] += code.value
        children.offer(noun, group: code.expert, row: row, value: code.value)
      }
      for (group, value) in sums { parents.offer(noun, group: group, row: row, value: value) }
    }
    var members = [[Int]](repeating: [], count: count)
    for latent in 0..<latents { members[groups[latent]].append(latent) }
    return (0..<count).map { group in
      family(group, parents, members[group].map { ($0, children.ranked($0, limit: childNouns)) })
    }
  }

  /// The family of `parent` with those of `children` that have enough nouns.
  private func family(
    _ parent: Int, _ parents: RankedNouns, _ children: [(index: Int, nouns: [Int32])]
  ) -> NounFamily {
    NounFamily(
      parent: parent, nouns: parents.ranked(parent, limit: parentNouns),
      children: children.map { NounFamily.Child(index: $0.index, nouns: $0.nouns) }
        .filter { $0.nouns.count >= minimumNouns })
  }

  /// Whether WordNet can judge a family.
  public func isJudged(_ family: NounFamily) -> Bool {
    family.nouns.count >= minimumNouns && family.children.count >= minimumChildren
  }

  /// The same families with children shuffled among all parents; each parent keeps its number of children.
  public func shuffled(_ families: [NounFamily], seed: UInt64) -> [NounFamily] {
    var generator = SeededGenerator(seed: seed).split(0x7368_7566)
    var children = families.flatMap(\.children)
    children.shuffle(using: &generator)
    var start = 0
    return families.map { family in
      var result = family
      result.children = Array(children[start..<start + family.children.count])
      start += family.children.count
      return result
    }
  }

  /// The same families with every noun replaced by a random one of similar frequency.
  public func randomised(
    _ families: [NounFamily], nouns: NounTable, seed: UInt64
  ) -> [NounFamily] {
    families.map { family in
      var generator = SeededGenerator(seed: seed).split(0x7261_6E64).split(UInt64(family.parent))
      var result = family
      result.nouns = result.nouns.map { nouns.alike($0, using: &generator) }
      for index in result.children.indices {
        result.children[index].nouns = result.children[index].nouns.map {
          nouns.alike($0, using: &generator)
        }
      }
      return result
    }
  }
}

/// The nouns of many groups, each with its strongest row. Memory grows with the pairs of a group and a noun that occur.
private struct RankedNouns {
  private var best: [[Int32: (value: Float, row: Int)]]

  init(groups: Int) { best = Array(repeating: [:], count: groups) }

  /// Keeps the row if it is the strongest of its noun; of equals the first.
  mutating func offer(_ noun: Int32, group: Int, row: Int, value: Float) {
    if let known = best[group][noun], known.value >= value { return }
    best[group][noun] = (value, row)
  }

  /// The `limit` strongest nouns of a group, strongest first; of equals the one with the first row.
  func ranked(_ group: Int, limit: Int) -> [Int32] {
    best[group].sorted {
      $0.value.value != $1.value.value
        ? $0.value.value > $1.value.value : $0.value.row < $1.value.row
    }.prefix(limit).map(\.key)
  }
}
