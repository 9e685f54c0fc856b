// Communication between processes that work together. Everything is built on one operation, `exchange`, in
// which every rank sends every other a piece. The receiver adds sums over ranks in the order of ranks, so
// that they have the same bits from run to run.

public import HSAESupport

/// A group of processes, numbered from 0, of which this is one.
///
/// All of them must make the same calls in the same order. After a failure a communicator does nothing more:
/// calls leave meaningless values in memory, and `check()` throws the failure. So the code inside a training
/// step needs no error handling.
public protocol Communicator: AnyObject {
  /// The number of this process.
  var rank: Int { get }
  /// The number of processes.
  var size: Int { get }
  /// Bytes this rank has sent to others.
  var bytesSent: Int { get }
  /// Seconds this rank has spent in `exchange`, including the wait for others; 0 if they are not measured.
  var secondsExchanging: Double { get }
  /// What went wrong, if anything did.
  var failure: Failure? { get }

  /// Sends bytes `outgoing[r]` of `source` to each rank r and stores the bytes from rank r at `incoming[r]`
  /// of `target`. It copies a rank's own piece. Returns when both are done.
  ///
  /// - Safety: `outgoing` and `incoming` [size] must lie within the memory; the pieces of `incoming`
  ///   must not overlap one another, nor those of `outgoing` for other ranks.
  @unsafe
  func exchange(
    _ source: UnsafeRawPointer, _ outgoing: [Range<Int>], _ target: UnsafeMutableRawPointer,
    _ incoming: [Range<Int>])

  /// The ranks that give the same `color`, in the order they have here.
  func split(color: Int) -> any Communicator
}

extension Communicator {
  /// 0.
  public var secondsExchanging: Double { 0 }

  /// Throws the failure between the ranks, if there was one.
  public func check() throws(Failure) { if let failure { throw failure } }

  /// Gives every rank all of `memory`; rank r contributes the bytes `parts[r]`.
  ///
  /// - Safety: `parts` must lie within the memory and not overlap.
  @unsafe
  public func gather(_ memory: UnsafeMutableRawPointer, _ parts: [Range<Int>]) {
    guard size > 1 else { return }
    let own = [Range<Int>](repeating: parts[rank], count: size)
    unsafe exchange(UnsafeRawPointer(memory), own, memory, parts)
  }

  /// Every rank's values, in the order of ranks. All must pass the same number of values.
  public func gathered<Value: BitwiseCopyable>(_ values: [Value]) -> [[Value]] {
    guard size > 1, let first = values.first else { return [values] }
    var all = [Value](repeating: first, count: size * values.count)
    for index in values.indices { all[rank * values.count + index] = values[index] }
    let length = values.count * MemoryLayout<Value>.stride
    let parts = (0..<size).map { $0 * length..<($0 + 1) * length }
    unsafe all.withUnsafeMutableBytes { memory in
      // Safe: `all` has room for `size` disjoint parts of `length` bytes.
      if let base = memory.baseAddress { unsafe gather(base, parts) }
    }
    return (0..<size).map { Array(all[$0 * values.count..<($0 + 1) * values.count]) }
  }

  /// Replaces `values` by their sums over all ranks, added in the order of ranks.
  public func sum(_ values: inout [Double]) {
    guard size > 1 else { return }
    let all = gathered(values)
    for index in values.indices { values[index] = all.reduce(0) { $0 + $1[index] } }
  }

  /// The sum of `value` over all ranks, added in their order.
  public func sum(_ value: Double) -> Double {
    var values = [value]
    sum(&values)
    return values[0]
  }

  /// The largest `value` of any rank.
  public func max<Value: BitwiseCopyable & Comparable>(_ value: Value) -> Value {
    gathered([value]).reduce(value) { Swift.max($0, $1[0]) }
  }

  /// Every rank's bytes, in the order of ranks. Their lengths may differ.
  public func gathered(bytes: [UInt8]) -> [[UInt8]] {
    guard size > 1 else { return [bytes] }
    let counts = gathered([bytes.count]).map { $0[0] }
    guard failure == nil else { return [[UInt8]](repeating: [], count: size) }
    var starts = [0]
    for count in counts { starts.append(starts[starts.count - 1] + count) }
    var all = [UInt8](repeating: 0, count: starts[size] + 1)
    all.replaceSubrange(starts[rank]..<starts[rank + 1], with: bytes)
    let parts = (0..<size).map { starts[$0]..<starts[$0 + 1] }
    unsafe all.withUnsafeMutableBytes { memory in
      // Safe: the parts follow each other and end before the last byte of `all`.
      if let base = memory.baseAddress { unsafe gather(base, parts) }
    }
    return parts.map { Array(all[$0]) }
  }

  /// Every rank's text, in the order of ranks.
  public func gathered(_ text: String) -> [String] {
    gathered(bytes: Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
  }

  /// Returns when all ranks have called it.
  public func barrier() { _ = gathered([UInt8(0)]) }
}
