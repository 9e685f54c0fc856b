// Processes that work on one thing: what each can say to the others. Everything is built on one
// operation, `exchange`, in which every rank gives every other a piece; sums over ranks are taken by
// their receiver in the order of ranks, so that they have the same bits from run to run. What is said
// is the callers' business, how it travels that of `MPICommunicator`.

public import HSAESupport

/// A group of processes, numbered from 0, of which this is one.
///
/// All of them must make the same calls in the same order. A communicator that has failed does nothing
/// more: what a call leaves in memory then means nothing, and `check()` says what happened. That keeps
/// the middle of a training step free of errors that nothing can be done about there.
public protocol Communicator: AnyObject {
  /// The number of this process.
  var rank: Int { get }
  /// The number of processes.
  var size: Int { get }
  /// Bytes this rank has sent to others with `exchange` and all that is built on it.
  var bytesSent: Int { get }
  /// Seconds this rank has spent in `exchange`, waiting for the others included; 0 where nobody counts them.
  var secondsExchanging: Double { get }
  /// What went wrong, if anything did.
  var failure: Failure? { get }

  /// Sends bytes `outgoing[r]` of `source` to each rank r, and puts what rank r sent at `incoming[r]` of
  /// `target`; a rank's own piece is copied. Returns when both are done.
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

  /// Fails if anything has gone wrong between the ranks.
  public func check() throws(Failure) { if let failure { throw failure } }

  /// Gives every rank all of `memory`, of which rank r has the bytes `parts[r]`.
  ///
  /// - Safety: `parts` must lie within the memory and not overlap.
  @unsafe
  public func gather(_ memory: UnsafeMutableRawPointer, _ parts: [Range<Int>]) {
    guard size > 1 else { return }
    let own = [Range<Int>](repeating: parts[rank], count: size)
    unsafe exchange(UnsafeRawPointer(memory), own, memory, parts)
  }

  /// What every rank said, in their order. All say as many values.
  public func gathered<Value: BitwiseCopyable>(_ values: [Value]) -> [[Value]] {
    guard size > 1, let first = values.first else { return [values] }
    var all = [Value](repeating: first, count: size * values.count)
    for index in values.indices { all[rank * values.count + index] = values[index] }
    let length = values.count * MemoryLayout<Value>.stride
    let parts = (0..<size).map { $0 * length..<($0 + 1) * length }
    unsafe all.withUnsafeMutableBytes { memory in
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

  /// What every rank said, in their order; each may be of any length.
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
      if let base = memory.baseAddress { unsafe gather(base, parts) }
    }
    return parts.map { Array(all[$0]) }
  }

  /// What every rank said, in their order.
  public func gathered(_ text: String) -> [String] {
    gathered(bytes: Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
  }

  /// Returns when all ranks have come here.
  public func barrier() { _ = gathered([UInt8(0)]) }
}
