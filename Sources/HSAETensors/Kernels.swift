// The kernel table in use, and safe forms of the kernels that are used outside hot loops.

public import CHSAEKernels

// Safe: written once, before anyone can read it, and never again.
/// The kernels of the best instruction set here, or of the one HSAE_ISA names.
@unsafe public nonisolated(unsafe) let kernels: hsae_kernels = unsafe hsae_kernels_best().pointee

/// The instruction set whose kernels are in use: `generic`, `avx2` or `avx512`.
public var kernelsName: String { unsafe String(cString: kernels.name) }

/// Tables of every instruction set this processor has, by name, for tests.
public func availableKernels() -> [String] {
  ["generic", "avx2", "avx512"].filter { unsafe hsae_kernels_named($0) != nil }
}

/// The dot product of two rows of equal width.
public func dot(_ a: Span<Float>, _ b: Span<Float>) -> Float {
  precondition(a.count == b.count, "Widths \(a.count) and \(b.count) differ.")
  return unsafe a.withUnsafeBufferPointer { a in
    unsafe b.withUnsafeBufferPointer { b in
      guard let x = a.baseAddress, let y = b.baseAddress else { return 0 }
      return unsafe kernels.dot(x, y, a.count)
    }
  }
}
