// Sums of many numbers over ranks. Each rank adds one part of them, in the order of ranks, and sends its sums
// to the others. So sums have the same bits from run to run, and no rank holds the values of all ranks at
// once.

extension Communicator {
  /// Replaces `values`, the same number on every rank, by their sums over all ranks, added in the order of
  /// ranks. With R ranks and n values, a rank sends 2·n·(R − 1)/R numbers.
  public func sumByParts<Value: AdditiveArithmetic & BitwiseCopyable>(_ values: inout [Value]) {
    guard size > 1, !values.isEmpty, failure == nil else { return }
    let stride = MemoryLayout<Value>.stride
    let parts = (0..<size).map { $0 * values.count / size..<($0 + 1) * values.count / size }
    let own = parts[rank]
    var received = [Value](repeating: .zero, count: size * own.count + 1)
    let outgoing = parts.map { $0.lowerBound * stride..<$0.upperBound * stride }
    let incoming = (0..<size).map { $0 * own.count * stride..<($0 + 1) * own.count * stride }
    unsafe values.withUnsafeBytes { source in
      unsafe received.withUnsafeMutableBytes { target in
        // Safe: the parts divide `values`, and `received` has room for `size` own parts.
        guard let from = source.baseAddress, let to = target.baseAddress else { return }
        unsafe exchange(from, outgoing, to, incoming)
      }
    }
    for index in 0..<own.count {
      var sum = received[index]
      for rank in 1..<size { sum += received[rank * own.count + index] }
      values[own.lowerBound + index] = sum
    }
    unsafe values.withUnsafeMutableBytes { memory in
      // Safe: the parts divide `values`.
      if let base = memory.baseAddress { unsafe gather(base, outgoing) }
    }
  }
}
