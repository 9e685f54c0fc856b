// Memory that kernels fill: what a training step or an encoder needs is allocated once, before, and
// reached through `base` by the few files that call kernels.

import HSAEPlatform

/// `count` elements in one zeroed, aligned allocation that lives as long as the object.
///
/// - Safety: `base` is a plain pointer. The files that use it say why their accesses are in range and
///   why no two threads write the same element.
@safe
public final class Buffer<Element: BitwiseCopyable>: @unchecked Sendable {
  /// Number of elements.
  public let count: Int
  /// The first element.
  @unsafe public let base: UnsafeMutablePointer<Element>

  /// A buffer of `count` zero bytes' worth of elements; large ones ask for huge pages.
  public init(_ count: Int) {
    self.count = count
    let raw = unsafe allocateZeroed(byteCount: count * MemoryLayout<Element>.stride)
    unsafe base = raw.bindMemory(to: Element.self, capacity: max(count, 1))
  }

  deinit { unsafe freeZeroed(base) }

  /// Sets every byte to zero.
  public func clear() { unsafe setZero(base, byteCount: count * MemoryLayout<Element>.stride) }

  /// The elements as an array.
  public var elements: [Element] { unsafe Array(UnsafeBufferPointer(start: base, count: count)) }
}

extension Buffer {
  /// Elements `range`, to write. The caller makes sure that no other thread uses them meanwhile.
  public func withMutableSpan<E: Error>(
    _ range: Range<Int>, _ body: (inout MutableSpan<Element>) throws(E) -> Void
  ) throws(E) {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "Beyond the buffer.")
    var span = unsafe MutableSpan(_unsafeStart: base + range.lowerBound, count: range.count)
    try body(&span)
  }
}
