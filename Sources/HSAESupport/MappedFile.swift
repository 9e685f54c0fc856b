// Files read through memory: mapped once, read by many threads. What the bytes mean is for the
// readers of formats.

import Glibc

/// A file mapped into memory to read.
///
/// The file must not be made shorter while it is mapped: reading what was cut off would end the
/// process. Files of this project are replaced by renaming, never cut.
@safe
public final class MappedFile: @unchecked Sendable {
  /// The path it was opened by.
  public let path: String
  /// Its size in bytes.
  public let count: Int
  // Safe: `count` bytes mapped until `deinit`, never written; nil if there are none.
  private let start: UnsafeRawPointer?

  /// Maps the file at `path`. A missing or unreadable file is `.missing`, a folder `.data`.
  public init(path: String) throws(Failure) {
    let file = try Descriptor(reading: path)
    let count = try file.size()
    self.path = path
    self.count = count
    if count == 0 {
      unsafe self.start = nil
      return
    }
    let address = unsafe mmap(nil, count, PROT_READ, MAP_SHARED, file.number, 0)
    guard let address = unsafe address, unsafe address != MAP_FAILED else {
      let code = errno
      unsafe self.start = nil
      throw Failure.cannotRead(path, errno: code)
    }
    unsafe self.start = UnsafeRawPointer(address)
  }

  deinit {
    if let start = unsafe start { unsafe munmap(UnsafeMutableRawPointer(mutating: start), count) }
  }

  /// All bytes of the file.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      // Safe: a buffer of nil and 0 bytes is an empty span.
      let buffer = unsafe UnsafeRawBufferPointer(start: start, count: count)
      return unsafe _overrideLifetime(RawSpan(_unsafeBytes: buffer), borrowing: self)
    }
  }

  /// Gives back the memory that what was read so far takes; what is read again comes from the file.
  public func releasePages() {
    if let start = unsafe start {
      _ = unsafe madvise(UnsafeMutableRawPointer(mutating: start), count, MADV_DONTNEED)
    }
  }

  /// A copy of the bytes `range`; of all of them if it is nil.
  public func copy(_ range: Range<Int>? = nil) -> [UInt8] {
    let part = bytes.extracting(range ?? 0..<count)
    return unsafe part.withUnsafeBytes { unsafe Array($0) }
  }
}
