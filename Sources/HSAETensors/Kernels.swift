// The table of kernels in use, and safe forms of those that are called outside hot loops.

public import CHSAEKernels

// Safe: Swift initialises a global once, before the first read, and this one never changes. The C table it
// copies is a constant.
/// The kernels of this processor's best instruction set, or of the one that HSAE_ISA names.
@unsafe public nonisolated(unsafe) let kernels: hsae_kernels = unsafe hsae_kernels_best().pointee

// Safe: the name is a constant of the C code.
/// The instruction set whose kernels are in use: `generic`, `avx2` or `avx512`.
public var kernelsName: String { unsafe String(cString: kernels.name) }

// Safe: the C function returns a constant or nil.
/// The names of the instruction sets this processor has kernels for; for tests.
public func availableKernels() -> [String] {
  ["generic", "avx2", "avx512"].filter { unsafe hsae_kernels_named($0) != nil }
}

/// The dot product of two rows of equal width.
public func dot(_ a: Span<Float>, _ b: Span<Float>) -> Float {
  precondition(a.count == b.count, "Widths \(a.count) and \(b.count) differ.")
  // Safe: both spans have `a.count` elements and live during the call, which only reads.
  return unsafe a.withUnsafeBufferPointer { a in
    unsafe b.withUnsafeBufferPointer { b in
      guard let x = a.baseAddress, let y = b.baseAddress else { return 0 }
      return unsafe kernels.dot(x, y, a.count)
    }
  }
}
