// An open file of the operating system, closed when its owner goes: reads and writes that survive
// interruption and short transfers. What is written and when it is durable is `DurableFile`'s.

import Glibc

/// An open file, owned: closed when it goes out of scope.
///
/// Reads and writes are complete (short transfers and interruptions are continued) or fail.
public struct Descriptor: ~Copyable, Sendable {
  /// The path it was opened by, for messages.
  public let path: String
  let number: Int32

  /// Takes over an open file descriptor.
  init(owning number: Int32, path: String) {
    self.number = number
    self.path = path
  }

  deinit { close(number) }

  /// Opens the file at `path` to read. A missing file is `.missing`, a folder `.data`.
  public init(reading path: String) throws(Failure) {
    let number = Self.open(path, O_RDONLY)
    guard number >= 0 else { throw Failure.cannotRead(path, errno: errno) }
    var status = stat()
    guard unsafe fstat(number, &status) == 0 else {
      let code = errno
      close(number)
      throw Failure.cannotRead(path, errno: code)
    }
    if status.st_mode & S_IFMT == S_IFDIR {
      close(number)
      throw Failure.cannotRead(path, errno: EISDIR)
    }
    self.init(owning: number, path: path)
  }

  /// Opens the file at `path` to read and write, and creates it if it is missing.
  public init(updating path: String) throws(Failure) {
    let number = Self.open(path, O_RDWR | O_CREAT)
    guard number >= 0 else { throw Failure.cannotWrite(path, errno: errno) }
    self.init(owning: number, path: path)
  }

  /// Makes a file without a name beside `path`, to write and to read back: its space is free again
  /// when it is closed, whatever ends the process.
  public init(scratchBeside path: String) throws(Failure) {
    let name = PartialName.make(for: path + ".scratch")
    let number = Self.open(name, O_RDWR | O_CREAT | O_EXCL)
    guard number >= 0 else { throw Failure.cannotWrite(path, errno: errno) }
    unsafe unlink(name)
    self.init(owning: number, path: path)
  }

  /// `open`, continued after an interruption; -1 with `errno` set if it fails.
  static func open(_ path: String, _ flags: Int32) -> Int32 {
    while true {
      let number = unsafe Glibc.open(path, flags | O_CLOEXEC, 0o666)
      if number >= 0 || errno != EINTR { return number }
    }
  }

  /// The file's present size in bytes.
  public func size() throws(Failure) -> Int {
    var status = stat()
    guard unsafe fstat(number, &status) == 0 else {
      throw Failure.cannotRead(path, errno: errno)
    }
    return Int(status.st_size)
  }

  /// Reads from where the last read ended into `buffer`; the number of bytes, 0 at the end.
  public func read(into buffer: UnsafeMutableRawBufferPointer) throws(Failure) -> Int {
    while true {
      let count = unsafe Glibc.read(number, buffer.baseAddress, buffer.count)
      if count >= 0 { return count }
      if errno != EINTR { throw Failure.cannotRead(path, errno: errno) }
    }
  }

  /// The `count` bytes at byte `offset`, which must be there.
  public func bytes(_ count: Int, at offset: Int) throws(Failure) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let code: Int32 = unsafe bytes.withUnsafeMutableBytes { buffer in
      var done = 0
      while done < buffer.count {
        // Safe: `done` is less than the buffer's count, so the base address is not nil.
        let start = unsafe buffer.baseAddress?.advanced(by: done)
        let got = unsafe pread(number, start, buffer.count - done, off_t(offset + done))
        if got > 0 {
          done += got
        } else if got == 0 {
          return EIO
        } else if errno != EINTR {
          return errno
        }
      }
      return 0
    }
    if code != 0 { throw Failure.cannotRead(path, errno: code) }
    return bytes
  }

  /// Writes all of `bytes` where the last write ended.
  public func write(_ bytes: RawSpan) throws(Failure) {
    try write(bytes, at: nil)
  }

  /// Writes all of `bytes` at byte `offset`; the position of other writes stays as it is.
  public func write(_ bytes: RawSpan, at offset: Int) throws(Failure) {
    try write(bytes, at: Optional(offset))
  }

  private func write(_ bytes: RawSpan, at offset: Int?) throws(Failure) {
    let code: Int32 = unsafe bytes.withUnsafeBytes { buffer in
      var done = 0
      while done < buffer.count {
        // Safe: `done` is less than the buffer's count, so the base address is not nil.
        let start = unsafe buffer.baseAddress?.advanced(by: done)
        let left = buffer.count - done
        let count =
          if let offset {
            unsafe pwrite(number, start, left, off_t(offset + done))
          } else {
            unsafe Glibc.write(number, start, left)
          }
        if count > 0 {
          done += count
        } else if count == 0 {
          return EIO
        } else if errno != EINTR {
          return errno
        }
      }
      return 0
    }
    if code != 0 { throw Failure.cannotWrite(path, errno: code) }
  }

  /// Sets the file's size; new bytes are zeros that take no space until they are written.
  public func truncate(to size: Int) throws(Failure) {
    while ftruncate(number, off_t(size)) != 0 {
      if errno != EINTR { throw Failure.cannotWrite(path, errno: errno) }
    }
  }

  /// Returns when all that was written has reached the disk.
  public func synchronize() throws(Failure) {
    while fsync(number) != 0 {
      // Some file systems cannot do this for folders, and say so; there is nothing to wait for.
      if errno == EINVAL || errno == EROFS { return }
      if errno != EINTR { throw Failure.cannotWrite(path, errno: errno) }
    }
  }

  /// Takes the file's lock without waiting; whether it was free.
  func tryLock() -> Bool {
    while flock(number, LOCK_EX | LOCK_NB) != 0 {
      if errno != EINTR { return false }
    }
    return true
  }
}
