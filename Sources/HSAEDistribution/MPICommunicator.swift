// Connects the ranks that mpirun or srun started, over MPI. It needs the package trait `MPI`.

#if MPI
internal import CMPI
public import HSAESupport

/// A communicator of MPI. Only the thread that started MPI may use it.
public final class MPICommunicator: Communicator {
  /// The number of this process.
  public let rank: Int
  /// The number of processes.
  public let size: Int
  /// Bytes sent to others.
  public private(set) var bytesSent = 0
  /// Seconds spent in `exchange`.
  public private(set) var secondsExchanging = 0.0
  /// The error MPI reported, if there was one.
  public private(set) var failure: Failure?
  private let handle: Int32

  /// Starts MPI and connects all its ranks. Call it once in a process, on the main thread.
  public static func world() throws(Failure) -> MPICommunicator {
    var handle: Int32 = 0
    // Safe: the call writes to a variable of this function.
    let code = unsafe hsae_mpi_start(&handle)
    guard code == 0 else {
      throw Failure(
        .unavailable, "MPI does not start (error \(code)); check the launcher's options.")
    }
    return try MPICommunicator(handle)
  }

  private init(_ handle: Int32) throws(Failure) {
    var (rank, size): (Int32, Int32) = (0, 1)
    // Safe: the call writes to variables of this function.
    let code = unsafe hsae_mpi_place(handle, &rank, &size)
    guard code == 0 else { throw Self.failure(code) }
    self.handle = handle
    self.rank = Int(rank)
    self.size = Int(size)
  }

  private static func failure(_ code: Int32) -> Failure {
    var text = [CChar](repeating: 0, count: 256)
    // Safe: the call writes at most `text.count` bytes.
    unsafe text.withUnsafeMutableBufferPointer { text in
      unsafe hsae_mpi_text(code, text.baseAddress, text.count)
    }
    let reason = String(
      decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return Failure(
      .temporary, "MPI reports \"\(reason)\" between ranks; look at the messages of the others.")
  }

  /// Exchanges a piece with each rank (see `Communicator`).
  @unsafe
  public func exchange(
    _ source: UnsafeRawPointer, _ outgoing: [Range<Int>], _ target: UnsafeMutableRawPointer,
    _ incoming: [Range<Int>]
  ) {
    guard failure == nil else { return }
    let begin = ContinuousClock.now
    defer { secondsExchanging += (ContinuousClock.now - begin) / .seconds(1) }
    unsafe copyOwnPiece(source, outgoing[rank], target, incoming[rank])
    // Safe: each array has `size` elements and lives for the call. The caller vouches for the ranges.
    let code = unsafe hsae_mpi_exchange(
      handle, source, outgoing.map(\.lowerBound), outgoing.map(\.upperBound), target,
      incoming.map(\.lowerBound), incoming.map(\.upperBound))
    for other in 0..<size where other != rank { bytesSent += outgoing[other].count }
    if code != 0 { failure = Self.failure(code) }
  }

  /// The ranks that give the same `color`.
  public func split(color: Int) -> any Communicator {
    var part: Int32 = 0
    // Safe: the call writes to a variable of this function.
    var code = unsafe hsae_mpi_split(handle, Int32(color), &part)
    if code == 0 {
      do throws(Failure) { return try MPICommunicator(part) } catch { code = -1 }
    }
    failure = failure ?? Self.failure(code)
    return self
  }
}
#endif
