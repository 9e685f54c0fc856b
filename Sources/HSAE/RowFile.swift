// Rows in files: reads a range of them, or all, in order or shuffled. `HSAEActivations` reads the formats.

internal import HSAEActivations
internal import HSAERuns
public import HSAESupport
internal import HSAETraining

/// A matrix in a file, read as needed: a `.npy` file, a tensor of a `.safetensors` file or of several with an index, an
/// activation store of `hsae collect` or `hsae unembed`, or a Zarr v3 array.
///
/// Any number of threads may read it at once.
public struct RowFile: Sendable {
  private let source: any RowSource

  /// Opens the matrix at `path`. Its content, not its name, decides which format it has.
  ///
  /// - Parameters:
  ///   - path: a file, or the folder of a store or of a Zarr array.
  ///   - tensor: which tensor of `.safetensors` files with several.
  ///   - heldOut: whether to read the rows that an activation store holds out for evaluation, instead of the
  ///     rows to train on. The two are from different documents.
  ///   - restoringLengths: whether the rows of an activation store, which are stored at unit norm, get back
  ///     the lengths they had in the model. A dictionary needs this if its
  ///     ``SparseDictionary/normalisation`` is `original`.
  /// - Throws: ``Failure`` of the kind `missing` if there is nothing at `path`, or `data` if it is not a matrix,
  ///   is damaged, or has no held-out rows although `heldOut` is true.
  public init(
    path: String, tensor: String? = nil, heldOut: Bool = false, restoringLengths: Bool = false
  ) throws(Failure) {
    let all = try openRows(path: path, tensor: tensor, restoresLengths: restoringLengths)
    guard heldOut else {
      source = all
      return
    }
    guard let kept = try all.heldOutRows(threads: processorCount) else {
      throw .data(
        "\(path): no rows are held out here; give a store of hsae collect that holds some out, or divide the"
          + " matrix before training.")
    }
    source = kept
  }

  /// The number of rows.
  public var count: Int { source.rowCount }
  /// Numbers in a row.
  public var width: Int { source.width }
  /// A description for people: "npy matrix, 1000 rows of width 640, float32".
  public var summary: String { source.summary }

  /// Whether it holds out rows for evaluation, which `heldOut: true` opens.
  public var hasHeldOut: Bool { source.hasHeldOutPart }

  /// The rows `range`, as they are stored.
  ///
  /// - Precondition: `range` is within 0 ..< ``count``.
  /// - Throws: ``Failure`` of the kind `data` if a row holds a NaN or an infinity, or cannot be read.
  public func rows(_ range: Range<Int>) throws(Failure) -> Rows {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "Rows \(range) of \(count).")
    return try source.gathered(Array(range))
  }

  /// All rows in the order of the file, `count` at a time; the last batch may be smaller.
  public func batches(of count: Int = 4096) -> RowBatches {
    precondition(count >= 1, "A batch has at least one row.")
    return RowBatches(source: source, size: count, sequence: nil, first: 0)
  }

  /// Endless rows, `count` at a time: epoch after epoch, each in a new order that depends on `seed`.
  ///
  /// `hsae train` with that seed reads these rows in the same order.
  ///
  /// - Parameters:
  ///   - count: rows in a batch.
  ///   - seed: the seed of the order.
  ///   - first: the number of the first batch, counted from 0; earlier ones are not read. To resume a
  ///     training on these batches, give ``Training/step``.
  /// - Precondition: `count` is at least 1, and `first` at least 0.
  public func shuffledBatches(
    of count: Int = 4096, seed: UInt64 = 0, startingAt first: Int = 0
  ) -> RowBatches {
    precondition(count >= 1, "A batch has at least one row.")
    precondition(first >= 0, "There is no batch \(first).")
    let sequence =
      self.count == 0
      ? nil
      : RowSequence(
        count: self.count, order: source.isShuffled ? .chunks : .shuffled, seed: seed
      ).following(source)
    return RowBatches(source: source, size: count, sequence: sequence, first: first * count)
  }
}

/// The rows of a ``RowFile``, some at a time. Every iteration starts again.
public struct RowBatches: AsyncSequence, Sendable {
  /// A batch of rows.
  public typealias Element = Rows

  fileprivate let source: any RowSource
  fileprivate let size: Int
  /// The endless order; nil for one pass in the order of the file.
  fileprivate let sequence: RowSequence?
  /// The position of the first row.
  fileprivate let first: Int

  /// An iterator over the batches.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(batches: self) }

  /// Reads one batch after another.
  public struct AsyncIterator: AsyncIteratorProtocol {
    private let batches: RowBatches
    private var position: Int
    private var places = RowSequence.Places()

    fileprivate init(batches: RowBatches) { (self.batches, position) = (batches, batches.first) }

    /// The next batch; nil after the last one, and once the task has been cancelled.
    ///
    /// - Throws: ``Failure`` of the kind `data` if a row holds a NaN or an infinity, or cannot be read.
    public mutating func next(
      isolation actor: isolated (any Actor)?
    ) async throws(HSAESupport.Failure) -> Rows? {
      let (source, size) = (batches.source, batches.size)
      if Task.isCancelled { return nil }
      let indices =
        batches.sequence?.rows(at: position..<position + size, reusing: &places)
        ?? Array(position..<Swift.min(source.rowCount, position + size))
      guard !indices.isEmpty else { return nil }
      position += indices.count
      return try source.gathered(indices)
    }
  }
}

extension RowSource {
  /// The rows with the indices `indices`, read directly into the array that is returned.
  fileprivate func gathered(_ indices: [Int]) throws(HSAESupport.Failure) -> Rows {
    var elements = [Float](repeating: 0, count: indices.count * width)
    var span = elements.mutableSpan
    try read(indices.span, into: &span)
    return Rows(elements: elements, width: width)
  }
}
