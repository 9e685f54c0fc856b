// An open file of the operating system that closes itself. Reads and writes continue after interruptions and
// short transfers.

package import Glibc

/// An open file, closed when it goes out of scope.
///
/// Reads and writes are complete or fail.
public struct Descriptor: ~Copyable, Sendable {
  /// The path for messages.
  public let path: String
  let number: Int32

  /// How a file is opened.
  package enum Mode {
    /// To read.
    case reading
    /// To read and write; a missing file is created.
    case updating
    /// To read and write a file that must not exist yet.
    case creating
    /// A folder, to synchronise or lock it.
    case folder
    /// What is at the path itself, to synchronise or lock it; a symbolic link is refused.
    case entry
  }

  /// Opens `file`. Messages name `path`, or `file` if it is nil.
  package init(_ mode: Mode, _ file: String, for path: String? = nil) throws(Failure) {
    let path = path ?? file
    let flags =
      switch mode {
      case .reading: O_RDONLY
      case .updating: O_RDWR | O_CREAT
      case .creating: O_RDWR | O_CREAT | O_EXCL
      case .folder: O_RDONLY | O_DIRECTORY
      case .entry: O_RDONLY | O_NOFOLLOW
      }
    // Safe: the system reads the path during the call.
    let number = uninterrupted { unsafe open(file, flags | O_CLOEXEC, 0o666) }
    guard number >= 0 else {
      throw mode == .reading ? .cannotRead(path, errno: errno) : .cannotWrite(path, errno: errno)
    }
    self.number = number
    self.path = path
  }

  deinit { close(number) }

  /// Opens the file at `path` to read. A missing file is `.missing`, a folder `.data`.
  public init(reading path: String) throws(Failure) {
    let file = try Descriptor(.reading, path)
    if try file.status().kind == .folder { throw Failure.cannotRead(path, errno: EISDIR) }
    self = file
  }

  /// Opens the file at `path` to read and write, and creates it if it is missing.
  public init(updating path: String) throws(Failure) { try self.init(.updating, path) }

  /// What the file system knows about the file now.
  package func status() throws(Failure) -> FileStatus {
    guard let status = FileStatus(of: number) else { throw Failure.cannotRead(path, errno: errno) }
    return status
  }

  /// The file's present size in bytes.
  public func size() throws(Failure) -> Int { try status().size }

  /// Reads from where the last read ended into `buffer`. Returns the number of bytes, 0 at the end.
  public func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    // Safe: the system writes at most `buffer.count` bytes to the buffer.
    let count = uninterrupted { unsafe readBytes(number, buffer.baseAddress, buffer.count) }
    if count < 0 { throw Failure.cannotRead(path, errno: errno) }
    return count
  }

  /// Fills `buffer` with the bytes from byte `offset` on, which must be there.
  package func read(
    into buffer: UnsafeMutableRawBufferPointer, at offset: Int
  ) throws(Failure) {
    var done = 0
    while done < buffer.count {
      // Safe: `done` is less than the buffer's count, so `start` has that many bytes to write to.
      let start = unsafe buffer.baseAddress?.advanced(by: done)
      let count = uninterrupted {
        unsafe pread(number, start, buffer.count - done, off_t(offset + done))
      }
      guard count > 0 else { throw Failure.cannotRead(path, errno: count == 0 ? EIO : errno) }
      done += count
    }
  }

  /// The `count` bytes at byte `offset`, which must be there.
  public func bytes(_ count: Int, at offset: Int) throws(Failure) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var span = bytes.mutableSpan
    // Safe: any byte is a value of UInt8, and the pointer does not leave the closure.
    var memory = unsafe span.mutableBytes
    try unsafe memory.withUnsafeMutableBytes { (buffer) throws(Failure) in
      try unsafe read(into: buffer, at: offset)
    }
    return bytes
  }

  /// Writes all of `bytes` at byte `offset`; the position of other writes stays as it is.
  public func write(_ bytes: [UInt8], at offset: Int) throws(Failure) {
    // Safe: a view of integers as bytes.
    try unsafe write(bytes.span.bytes, at: offset)
  }

  /// Writes all of `bytes` where the last write ended, or at byte `offset`; then the position of other writes
  /// stays as it is.
  public func write(_ bytes: RawSpan, at offset: Int? = nil) throws(Failure) {
    let code = writeAll(bytes, to: number, at: offset)
    if code != 0 { throw Failure.cannotWrite(path, errno: code) }
  }

  /// Sets the file's size; new bytes are zeros that take no space until they are written.
  public func truncate(to size: Int) throws(Failure) {
    guard uninterrupted({ ftruncate(number, off_t(size)) }) == 0 else {
      throw Failure.cannotWrite(path, errno: errno)
    }
  }

  /// Returns when everything written has reached the disk.
  public func synchronize() throws(Failure) {
    guard uninterrupted({ fsync(number) }) != 0 else { return }
    // Some file systems cannot synchronise folders; then there is nothing to wait for.
    if errno != EINVAL, errno != EROFS { throw Failure.cannotWrite(path, errno: errno) }
  }

  /// Takes the file's lock without waiting. Returns whether it was free.
  package func tryLock() -> Bool { uninterrupted { flock(number, LOCK_EX | LOCK_NB) } == 0 }

  /// Calls `body` with the file as a stream of the C library, closed after `body`.
  ///
  /// Nil if the process has too many files open.
  package func withStream<Result>(_ body: (UnsafeMutablePointer<FILE>) -> Result) -> Result? {
    // Safe: the stream owns `copy`, and it is closed after `body`.
    let copy = fcntl(number, F_DUPFD_CLOEXEC, 0)
    guard copy >= 0, let stream = unsafe fdopen(copy, "rb") else { return nil }
    defer { unsafe fclose(stream) }
    return unsafe body(stream)
  }
}

/// Makes the TCP connection `socket` send written bytes at once instead of collecting them.
package func sendAtOnce(_ socket: Int32) {
  var isOn: Int32 = 1
  // Safe: the system copies the value during the call.
  _ = unsafe setsockopt(
    socket, Int32(IPPROTO_TCP), TCP_NODELAY, &isOn, socklen_t(MemoryLayout<Int32>.size))
}

/// Ends the TCP connection `socket` for both sides, or only what this side writes: a task that waits for it goes on. The
/// descriptor stays open.
package func shutDown(_ socket: Int32, onlyWriting: Bool = false) {
  _ = shutdown(socket, onlyWriting ? Int32(SHUT_WR) : Int32(SHUT_RDWR))
}

/// Repeats `call` while a signal interrupts it. `errno` is set if the result is negative.
func uninterrupted<Count: SignedInteger>(_ call: () -> Count) -> Count {
  while true {
    let result = call()
    if result >= 0 || errno != EINTR { return result }
  }
}

// Safe: the callers pass memory of `count` bytes.
/// The system call `read`, under a name that no method hides.
private func readBytes(_ file: Int32, _ start: UnsafeMutableRawPointer?, _ count: Int) -> Int {
  unsafe read(file, start, count)
}

/// Writes all of `bytes` to the open file, at byte `offset` if it is given. Returns 0 or the system's error
/// number.
func writeAll(_ bytes: RawSpan, to file: Int32, at offset: Int? = nil) -> Int32 {
  // Safe: `done` is less than the buffer's count, so `start` has `left` bytes to read.
  unsafe bytes.withUnsafeBytes { buffer in
    var done = 0
    while done < buffer.count {
      let start = unsafe buffer.baseAddress?.advanced(by: done)
      let left = buffer.count - done
      let count = uninterrupted {
        if let offset {
          unsafe pwrite(file, start, left, off_t(offset + done))
        } else {
          unsafe write(file, start, left)
        }
      }
      guard count > 0 else { return count == 0 ? EIO : errno }
      done += count
    }
    return 0
  }
}
