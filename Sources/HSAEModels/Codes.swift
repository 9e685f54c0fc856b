// The result of encoding a batch of rows: for each row its active experts, and the sublatent chosen in each
// of them.

/// One active expert of one row, with its code.
public struct Code: Hashable, Sendable, BitwiseCopyable {
  /// The expert (top-level latent), 0 ..< m.
  public var expert: Int
  /// Its code z, greater than 0.
  public var value: Float
  /// The chosen sublatent within the expert, 0 ..< a; -1 in a flat dictionary, and where none reaches the threshold of a
  /// dictionary with slope 0.
  public var sublatent: Int
  /// Its code c_q, which may be slightly negative (slope below the threshold); 0 without a sublatent.
  public var subValue: Float

  /// A code of the given parts.
  public init(expert: Int, value: Float, sublatent: Int = -1, subValue: Float = 0) {
    self.expert = expert
    self.value = value
    self.sublatent = sublatent
    self.subValue = subValue
  }

  /// The sublatent if it is active: chosen, with a code of at least `threshold`
  /// (`ActivationFunction.subThreshold`). Nil if not, and in a flat dictionary.
  @inlinable public func activeSublatent(threshold: Float) -> Int? {
    sublatent >= 0 && subValue >= threshold ? sublatent : nil
  }

  /// Whether its sublatent is a code too: chosen, with a value other than 0.
  @inlinable public var hasSublatentCode: Bool { sublatent >= 0 && subValue != 0 }

  /// ``sublatent``, or nil without one.
  public var chosenSublatent: Int? { sublatent < 0 ? nil : sublatent }

  /// The finest latent it names: the chosen sublatent, or the expert without one.
  public var latent: LatentNumber { LatentNumber(expert: expert, sublatent: chosenSublatent) }
}

/// The codes of a batch: at most k for each row, strongest first.
///
/// It is a collection of rows: `for row in codes { for code in row { … } }`. A row is a slice of ``all``, so
/// nothing is copied.
public struct Codes: Sendable {
  /// `offsets[i] ..< offsets[i + 1]` are the places of row i in ``all``; count is the batch size + 1.
  public package(set) var offsets: [Int] = [0]
  /// The codes of all rows, row by row, each row's by falling `value`.
  public package(set) var all: [Code] = []

  /// Codes of no rows.
  public init() {}

  /// Adds the codes of one row, which must be sorted by falling `value`.
  public mutating func append(_ row: some Sequence<Code>) {
    all.append(contentsOf: row)
    offsets.append(all.count)
  }
}

extension Codes: RandomAccessCollection {
  /// 0.
  public var startIndex: Int { 0 }
  /// The number of rows.
  public var endIndex: Int { count }
  /// The number of rows.
  public var count: Int { offsets.count - 1 }

  /// The codes of row `index`, strongest first.
  ///
  /// - Precondition: `index` is within 0 ..< ``count``.
  public subscript(index: Int) -> ArraySlice<Code> {
    all[offsets[index]..<offsets[index + 1]]
  }
}
