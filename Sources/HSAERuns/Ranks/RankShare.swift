// Which experts of a dictionary and which rows of a batch one rank has, and with which ranks it shares the
// rest. Ranks form groups. Within a group, each rank owns some of the experts and all see the same rows;
// groups see different rows. In groups of R ranks, rank r owns part r mod R of the dictionary and belongs to
// group r / R.

public import HSAEDistribution
public import HSAEModels
internal import HSAETensors

/// One rank's share of the experts and of the rows.
public struct RankShare {
  /// The whole dictionary.
  public let shape: DictionaryShape
  /// The number of rows in the whole batch.
  public let batch: Int
  /// The experts that this rank owns.
  public let experts: Range<Int>
  /// The rows of a batch that this rank's group sees.
  public let rows: Range<Int>
  /// All ranks.
  public let world: any Communicator
  /// The ranks of this group: they have other experts and see the same rows.
  public let dictionary: any Communicator
  /// This rank and the ranks of other groups with the same experts.
  public let copies: any Communicator

  /// This process's share of a dictionary of `shape` and of batches of `batch` rows; without `ranks` all.
  public init(shape: DictionaryShape, batch: Int, ranks: Ranks = Ranks()) {
    self.shape = shape
    self.batch = batch
    world = ranks.world
    dictionary = ranks.dictionary
    copies = ranks.copies
    experts = evenPart(dictionary.rank, of: dictionary.size, count: shape.experts)
    rows = evenPart(copies.rank, of: copies.size, count: batch)
  }

  /// Whether there is no other rank.
  public var isAlone: Bool { world.size == 1 }

  /// The sizes of the part that this rank owns. k is at most the number of its experts: all of them may be
  /// active for a row.
  public var ownShape: DictionaryShape {
    var own = shape
    own.experts = experts.count
    own.activeExperts = min(shape.activeExperts, experts.count)
    return own
  }

  /// The most experts that any rank of the group may choose for a row.
  public var mostChosen: Int {
    min(shape.activeExperts, pieceCount(shape.experts, size: dictionary.size))
  }
}

/// Part `index` of `parts` nearly equal parts of 0 ..< `count`.
package func evenPart(_ index: Int, of parts: Int, count: Int) -> Range<Int> {
  index * count / parts..<(index + 1) * count / parts
}
