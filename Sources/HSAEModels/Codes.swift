// What a dictionary says about a batch of vectors: for each, its active experts and the one
// sublatent chosen in each of them.

/// One active expert of one vector.
public struct Code: Hashable, Sendable, BitwiseCopyable {
  /// The expert (top-level latent), 0 ..< m.
  public var expert: Int
  /// Its code z, greater than 0.
  public var value: Float
  /// The chosen sublatent within the expert, 0 ..< a; -1 in a flat dictionary.
  public var sublatent: Int
  /// Its code c_q, which may be slightly negative (slope below the threshold); 0 if flat.
  public var subValue: Float

  /// An activation with the given parts.
  public init(expert: Int, value: Float, sublatent: Int = -1, subValue: Float = 0) {
    self.expert = expert
    self.value = value
    self.sublatent = sublatent
    self.subValue = subValue
  }

  /// ``sublatent``, and nil in a flat dictionary, where that is -1.
  public var chosenSublatent: Int? { sublatent < 0 ? nil : sublatent }

  /// The finest latent it names: the chosen sublatent, or the expert in a flat dictionary.
  public var latent: LatentNumber { LatentNumber(expert: expert, sublatent: chosenSublatent) }
}

/// The sparse codes of a batch: at most k activations for each vector, strongest first.
///
/// It is a collection of its vectors' activations: `for row in codes { for active in row { … } }`. A row is a
/// slice of ``all``, which are stored once; nothing is copied.
public struct Codes: Sendable {
  /// `offsets[i] ..< offsets[i + 1]` are the activations of vector i; count is the batch size + 1.
  public package(set) var offsets: [Int] = [0]
  /// The activations of all vectors, one vector after another, each vector's by falling `value`.
  public package(set) var all: [Code] = []

  /// Codes of no vectors.
  public init() {}

  /// Adds one vector's activations, which must be sorted by falling `value`.
  public mutating func append(_ vector: some Sequence<Code>) {
    all.append(contentsOf: vector)
    offsets.append(all.count)
  }
}

extension Codes: RandomAccessCollection {
  /// 0.
  public var startIndex: Int { 0 }
  /// The number of vectors.
  public var endIndex: Int { count }
  /// The number of vectors.
  public var count: Int { offsets.count - 1 }

  /// The activations of vector `index`, strongest first.
  ///
  /// - Precondition: `index` is within 0 ..< ``count``.
  public subscript(index: Int) -> ArraySlice<Code> {
    all[offsets[index]..<offsets[index + 1]]
  }
}
