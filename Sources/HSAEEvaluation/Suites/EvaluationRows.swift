// The rows of an evaluation, with the document and the original length of each. They are read chunk by chunk,
// so memory does not limit their number.

public import HSAEActivations
internal import HSAERuns
import HSAESupport
import HSAETensors

/// Rows to evaluate on.
public struct EvaluationRows: Sendable {
  /// The source: a store with unit rows, or a matrix with rows of any length.
  let source: any RowSource
  /// The first `count` rows of the source are evaluated.
  public let count: Int
  /// The group of each row, 0 ..< groupCount. The bootstrap resamples groups.
  public let groups: [Int32]
  /// Number of groups.
  public let groupCount: Int
  /// The length of each row before it was scaled to unit norm; empty if rows are not scaled.
  public let norms: [Float]
  /// A description as a clause: "5,012 held-out rows of 132 documents of layer-12.store".
  public let description: String
  /// Whether they are held out from training.
  public let isHeldOut: Bool
  /// Number of rows in a chunk; also the batch of measures that are defined by batches.
  public static let chunk = 8192
  /// Limit on the number of groups of rows without documents.
  private static let mostGroups = 10_000

  /// The first rows of `source`, at most `limit`. `isHeldOut`: a store holds them out from training. `aside`
  /// is added to the description.
  ///
  /// Groups are documents if the source knows them. Otherwise rows count as independent, and neighbours form
  /// at most 10,000 groups of similar size.
  public init(
    _ source: any RowSource, limit: Int, isHeldOut: Bool, name: String, aside: String = ""
  ) {
    let store = source as? ActivationStore
    let count = min(limit, source.rowCount)
    var numbers: [Int: Int32] = [:]
    var groups: [Int32] = []
    groups.reserveCapacity(count)
    let perGroup = max(1, (count + Self.mostGroups - 1) / Self.mostGroups)
    var knowsDocuments = true
    for row in 0..<count {
      guard let place = store?.place(row) else {
        knowsDocuments = false
        groups.append(Int32(row / perGroup))
        continue
      }
      let number = numbers[place.document] ?? Int32(numbers.count)
      numbers[place.document] = number
      groups.append(number)
    }
    self.source = source
    self.count = count
    self.groups = groups
    self.isHeldOut = isHeldOut
    groupCount = knowsDocuments ? numbers.count : (count + perGroup - 1) / perGroup
    norms = store.map { store in (0..<count).map(store.norm) } ?? []
    let part = count < source.rowCount ? "\(grouped(count)) of " : ""
    description =
      part + counted(source.rowCount, isHeldOut ? "held-out row" : "row")
      + (knowsDocuments ? " of \(counted(numbers.count, "document"))" : "") + " of \(name)"
      + aside
  }

  /// Rows captured from a model, unscaled, with the group of each.
  init(captured matrix: consuming Matrix, groups: [Int32], description: String) {
    norms = matrix.rowNorms()
    matrix.scaleRowsToUnit()
    count = groups.count
    self.groups = groups
    groupCount = Int(groups.max() ?? -1) + 1
    self.description = description
    isHeldOut = true
    source = CapturedRows(matrix)
  }

  var chunks: [Range<Int>] {
    stride(from: 0, to: count, by: Self.chunk).map { $0..<min(count, $0 + Self.chunk) }
  }

  /// The rows `range`, scaled for `run`.
  func matrix(_ range: Range<Int>, for run: LoadedRun) throws(Failure) -> Matrix {
    var scaling = RowScaling(factors: [])
    return try matrix(range, for: run, scaling: &scaling)
  }

  /// The rows `range`, scaled for `run`. `scaling` is set to what restores the rows of the model.
  func matrix(
    _ range: Range<Int>, for run: LoadedRun, scaling: inout RowScaling
  ) throws(Failure) -> Matrix {
    var matrix = try source.matrix(rows: range)
    let scale = run.rowScale(ofStore: !norms.isEmpty)
    if !norms.isEmpty, scale == .unit {
      // They have unit norm already.
      scaling = RowScaling(factors: Array(norms[range]))
      run.prepare(&matrix)
      return matrix
    }
    if !norms.isEmpty {
      let lengths = norms[range]
      matrix.forEachRow { index, row in
        for column in row.indices { row[column] *= lengths[range.lowerBound + index] }
      }
    }
    scaling = scale.apply(to: &matrix)
    return matrix
  }
}

private final class CapturedRows: RowSource {
  private let rows: Matrix
  var rowCount: Int { rows.rows }
  var width: Int { rows.columns }
  let path = "captured rows"
  let summary = "captured rows"
  let fingerprint = ""

  init(_ rows: consuming Matrix) { self.rows = rows }

  func read(_ indices: Span<Int>, into destination: inout MutableSpan<Float>) throws(Failure) {
    for place in indices.indices {
      for column in 0..<width { destination[place * width + column] = rows[indices[place], column] }
    }
  }
}
