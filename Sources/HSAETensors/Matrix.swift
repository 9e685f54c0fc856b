// A row-major matrix of Float that owns its memory. Callers read it through `Span`; the files that call
// kernels use the pointers of `withUnsafe…`.

import HSAEPlatform

/// A row-major matrix of 32-bit floats, `rows` × `columns`, in one allocation aligned to 64 bytes.
///
/// It cannot be copied by accident; `copy()` copies it. New ones are all zeros. Large ones ask for huge
/// pages.
@safe
public struct Matrix: ~Copyable, @unchecked Sendable {
  /// The number of rows.
  public let rows: Int
  /// The number of columns; also the distance between rows.
  public let columns: Int
  // Safe, here and below: `init` allocates at least `rows * columns` elements, only `deinit` frees them, and
  // no pointer or span outlives the borrow or the closure it is made for. A mutating call has the matrix to
  // itself.
  @usableFromInline let storage: UnsafeMutablePointer<Float>

  /// The number of elements.
  @inlinable public var count: Int { rows * columns }

  /// A matrix of zeros. Traps if a side is negative or memory is exhausted.
  public init(rows: Int, columns: Int) {
    precondition(rows >= 0 && columns >= 0, "A matrix cannot have \(rows) × \(columns) elements.")
    let (elements, overflow) = rows.multipliedReportingOverflow(by: columns)
    precondition(!overflow, "A matrix of \(rows) × \(columns) elements is too large.")
    self.rows = rows
    self.columns = columns
    let memory = unsafe allocateZeroed(byteCount: elements * MemoryLayout<Float>.stride)
    unsafe self.storage = memory.bindMemory(to: Float.self, capacity: max(elements, 1))
  }

  /// A matrix with the given elements in row-major order, `rows * columns` of them.
  public init(rows: Int, columns: Int, elements: [Float]) {
    precondition(elements.count == rows * columns, "Elements do not fill \(rows) × \(columns).")
    self.init(rows: rows, columns: columns)
    // Safe: the precondition compares the counts.
    for index in elements.indices { unsafe storage[index] = elements[index] }
  }

  deinit { unsafe freeZeroed(storage) }

  /// All elements in row-major order.
  public var span: Span<Float> {
    @_lifetime(borrow self)
    get {
      let span = unsafe Span(_unsafeStart: UnsafePointer(storage), count: count)
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// All elements in row-major order, to write.
  public var mutableSpan: MutableSpan<Float> {
    @_lifetime(&self)
    mutating get {
      let span = unsafe MutableSpan(_unsafeStart: storage, count: count)
      return unsafe _overrideLifetime(span, mutating: &self)
    }
  }

  /// Row `index` [columns].
  @_lifetime(borrow self)
  public func row(_ index: Int) -> Span<Float> {
    precondition(index >= 0 && index < rows, "Row \(index) of a matrix with \(rows) rows.")
    let span = unsafe Span(_unsafeStart: UnsafePointer(storage + index * columns), count: columns)
    return unsafe _overrideLifetime(span, borrowing: self)
  }

  /// Row `index` [columns], to write.
  @_lifetime(&self)
  public mutating func mutableRow(_ index: Int) -> MutableSpan<Float> {
    precondition(index >= 0 && index < rows, "Row \(index) of a matrix with \(rows) rows.")
    let span = unsafe MutableSpan(_unsafeStart: storage + index * columns, count: columns)
    return unsafe _overrideLifetime(span, mutating: &self)
  }

  /// The element at (`row`, `column`).
  public subscript(row: Int, column: Int) -> Float {
    get {
      precondition(row >= 0 && row < rows && column >= 0 && column < columns)
      return unsafe storage[row * columns + column]
    }
    set {
      precondition(row >= 0 && row < rows && column >= 0 && column < columns)
      unsafe storage[row * columns + column] = newValue
    }
  }

  /// The elements in row-major order, as an array.
  public var elements: [Float] { unsafe Array(UnsafeBufferPointer(start: storage, count: count)) }

  /// A second matrix with the same elements.
  public func copy() -> Matrix {
    let result = Matrix(rows: rows, columns: columns)
    unsafe result.storage.update(from: storage, count: count)
    return result
  }

  /// Overwrites every element with those of `other`, which must have the same shape.
  public mutating func assign(from other: borrowing Matrix) {
    precondition(rows == other.rows && columns == other.columns, "Matrix shapes differ.")
    unsafe storage.update(from: other.storage, count: count)
  }

  /// Sets every element to zero.
  public mutating func clear() {
    unsafe setZero(storage, byteCount: count * MemoryLayout<Float>.stride)
  }

  /// Calls `body` with the elements, for a kernel to read. The pointer must not outlive `body`.
  public func withUnsafePointer<Result, E: Error>(
    _ body: (UnsafePointer<Float>) throws(E) -> Result
  ) throws(E) -> Result {
    try unsafe body(UnsafePointer(storage))
  }

  /// Calls `body` with the elements, for a kernel to write. The pointer must not outlive `body`.
  public mutating func withUnsafeMutablePointer<Result, E: Error>(
    _ body: (UnsafeMutablePointer<Float>) throws(E) -> Result
  ) throws(E) -> Result {
    try unsafe body(storage)
  }
}
