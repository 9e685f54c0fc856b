// Rows in memory, as programs give them to the library and get them back.

internal import HSAETensors

/// Rows of one width, one after another: what is encoded, reconstructed and trained on.
///
/// ```swift
/// let rows = Rows([[0.1, 0.9], [0.8, 0.2]])
/// let same = Rows(elements: [0.1, 0.9, 0.8, 0.2], width: 2)
/// ```
///
/// It is a value and a collection of its rows. Algorithms that touch many numbers are faster with
/// ``elements`` than with single rows, each of which is a new array.
public struct Rows: Hashable, Sendable {
  /// Numbers in a row.
  public let width: Int
  /// All numbers in row-major order: row `i` is `elements[i * width ..< (i + 1) * width]`.
  public private(set) var elements: [Float]

  /// No rows, of width `width`, which must be at least 1.
  public init(width: Int) {
    self.init(elements: [], width: width)
  }

  /// Rows from `elements` in row-major order, `width` numbers each.
  ///
  /// - Precondition: `width` is at least 1, and `elements` is a whole number of rows.
  public init(elements: [Float], width: Int) {
    precondition(width >= 1, "Rows have at least one number each, not \(width).")
    precondition(
      elements.count.isMultiple(of: width),
      "\(elements.count) numbers are not a whole number of rows of \(width).")
    self.width = width
    self.elements = elements
  }

  /// The given rows.
  ///
  /// - Precondition: there is at least one, and all have the same length, which is not 0.
  public init(_ rows: [[Float]]) {
    precondition(!rows.isEmpty, "The width is not known without a row; use Rows(width:).")
    self.init(width: rows[0].count)
    elements.reserveCapacity(rows.count * width)
    for row in rows { append(row) }
  }

  /// Adds a row at the end; it must have the width of the others.
  public mutating func append(_ row: [Float]) {
    precondition(row.count == width, "A row of \(row.count) numbers among rows of \(width).")
    elements += row
  }

  /// Adds all of `other` at the end; it must have the same width.
  public mutating func append(contentsOf other: Rows) {
    precondition(other.width == width, "Rows of \(other.width) numbers after rows of \(width).")
    elements += other.elements
  }
}

extension Rows: RandomAccessCollection {
  /// 0.
  public var startIndex: Int { 0 }
  /// The number of rows.
  public var endIndex: Int { elements.count / width }

  /// Row `index`, as an array of ``width`` numbers.
  public subscript(index: Int) -> [Float] {
    precondition(index >= 0 && index < endIndex, "Row \(index) of \(endIndex).")
    return Array(elements[index * width..<(index + 1) * width])
  }
}

extension RowMoments {
  /// Adds all of `rows`, which must have its width. Normalise them first as the dictionary will
  /// (``SparseDictionary/normalised(_:)``).
  public mutating func add(_ rows: Rows) { add(rows.matrix()) }
}

extension Rows {
  /// The rows as a matrix, which kernels can read.
  func matrix() -> Matrix { Matrix(rows: count, columns: width, elements: elements) }
}
