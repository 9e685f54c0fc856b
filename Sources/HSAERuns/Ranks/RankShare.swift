// Which experts of a dictionary and which rows of a batch one engine has, and with which ranks it
// shares the rest. Ranks form groups: within a group each owns some of the experts and all see the same
// rows; groups see different rows. Rank r of a world in groups of R owns part r mod R of the dictionary
// and is in group r / R.

public import HSAEDistribution
public import HSAEModels
internal import HSAETensors

/// One engine's part of the work.
public struct RankShare {
  /// The whole dictionary.
  public let shape: DictionaryShape
  /// Rows of the whole batch.
  public let batch: Int
  /// The experts this engine owns.
  public let experts: Range<Int>
  /// The rows of a batch that this engine's group sees.
  public let rows: Range<Int>
  /// All ranks.
  public let world: any Communicator
  /// The ranks of this group: other experts, same rows.
  public let dictionary: any Communicator
  /// The ranks of other groups with the same experts, and this one.
  public let copies: any Communicator

  /// All of a dictionary and of a batch.
  public init(shape: DictionaryShape, batch: Int) {
    self.init(shape: shape, batch: batch, ranks: Ranks())
  }

  /// This process's part of a dictionary of `shape` and of batches of `batch` rows.
  public init(shape: DictionaryShape, batch: Int, ranks: Ranks) {
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

  /// The sizes of what this engine owns. For a vector it may have to choose all of its experts.
  public var ownShape: DictionaryShape {
    var own = shape
    own.experts = experts.count
    own.activeExperts = min(shape.activeExperts, experts.count)
    return own
  }

  /// The most experts that any rank of the group may choose for a vector.
  public var mostChosen: Int {
    min(shape.activeExperts, pieceCount(shape.experts, size: dictionary.size))
  }
}

/// Part `index` of `parts` nearly equal parts of 0 ..< `count`.
package func evenPart(_ index: Int, of parts: Int, count: Int) -> Range<Int> {
  index * count / parts..<(index + 1) * count / parts
}
