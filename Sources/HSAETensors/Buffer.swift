// Memory that kernels fill. A training step or an encoder allocates it once, and the files that call kernels
// reach it through `base`.

import HSAEPlatform

/// `count` elements in one zeroed, aligned allocation that lives as long as the object.
///
/// - Safety: `base` is a plain pointer. A "Safe:" line at each use says why the access is in range and why no
///   two threads write the same element.
@safe
public final class Buffer<Element: BitwiseCopyable>: @unchecked Sendable {
  /// Number of elements.
  public let count: Int
  /// The first element.
  @unsafe public let base: UnsafeMutablePointer<Element>

  /// A buffer of `count` elements, all bytes zero. Large buffers ask for huge pages.
  public init(_ count: Int) {
    self.count = count
    // Safe: the allocation has `count` strides, and nothing else knows its address. All bytes zero is a value
    // of every type that is used here.
    let raw = unsafe allocateZeroed(byteCount: count * MemoryLayout<Element>.stride)
    unsafe base = raw.bindMemory(to: Element.self, capacity: max(count, 1))
  }

  // Safe: `init` allocated it, and nothing holds the object any more.
  deinit { unsafe freeZeroed(base) }

  // Safe: the allocation has `count` strides.
  /// Sets every byte to zero. The caller makes sure that no other thread uses the elements meanwhile.
  public func clear() { unsafe setZero(base, byteCount: count * MemoryLayout<Element>.stride) }

  /// Overwrites every element with those of `other`, which must have as many.
  public func assign(from other: Buffer) {
    precondition(count == other.count, "Buffers of different sizes.")
    // Safe: both allocations have `count` elements.
    unsafe base.update(from: other.base, count: count)
  }

  // Safe: the allocation has `count` elements.
  /// The elements as an array.
  public var elements: [Element] { unsafe Array(UnsafeBufferPointer(start: base, count: count)) }

  /// Calls `body` with elements `range`, to write. No other thread may use them meanwhile.
  public func withMutableSpan<E: Error>(
    _ range: Range<Int>, _ body: (inout MutableSpan<Element>) throws(E) -> Void
  ) throws(E) {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "Beyond the buffer.")
    // Safe: the range is within the allocation, and the span does not leave `body`.
    var span = unsafe MutableSpan(_unsafeStart: base + range.lowerBound, count: range.count)
    try body(&span)
  }
}
