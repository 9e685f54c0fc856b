// A communicator for a single process.

public import HSAESupport

/// The only rank there is.
public final class SingleProcess: Communicator, Sendable {
  /// A process alone.
  public init() {}

  /// 0.
  public var rank: Int { 0 }
  /// 1.
  public var size: Int { 1 }
  /// 0.
  public var bytesSent: Int { 0 }
  /// None.
  public var failure: Failure? { nil }

  /// Copies the only piece (see `Communicator`).
  @unsafe
  public func exchange(
    _ source: UnsafeRawPointer, _ outgoing: [Range<Int>], _ target: UnsafeMutableRawPointer,
    _ incoming: [Range<Int>]
  ) {
    unsafe copyOwnPiece(source, outgoing[0], target, incoming[0])
  }

  /// This communicator.
  public func split(color: Int) -> any Communicator { self }
}

/// Copies a rank's own piece, unless it is in its place already.
///
/// - Safety: the ranges must lie within the memory.
@unsafe
func copyOwnPiece(
  _ source: UnsafeRawPointer, _ outgoing: Range<Int>, _ target: UnsafeMutableRawPointer,
  _ incoming: Range<Int>
) {
  precondition(outgoing.count == incoming.count, "Pieces of different sizes.")
  let from = unsafe source + outgoing.lowerBound
  let to = unsafe target + incoming.lowerBound
  if unsafe from != UnsafeRawPointer(to) {
    unsafe to.copyMemory(from: from, byteCount: outgoing.count)
  }
}
