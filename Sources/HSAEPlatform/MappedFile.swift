// Files mapped into memory once and read by many threads.

import Glibc

/// A file mapped into memory to read.
///
/// The file must not be shortened while it is mapped: reading the missing bytes would end the process. This
/// project replaces files by renaming and never shortens them.
@safe
public final class MappedFile: @unchecked Sendable {
  /// The path it was opened by.
  public let path: String
  /// Its size in bytes.
  public let count: Int
  /// The first byte; nil if the file is empty.
  ///
  /// - Safety: `count` bytes are mapped until `deinit` and never written.
  @unsafe public let start: UnsafeRawPointer?

  /// Maps the file at `path`. A missing or unreadable file is `.missing`; a folder, or a Git LFS pointer in place of a
  /// file, is `.data`.
  public init(path: String) throws(Failure) {
    let file = try Descriptor(reading: path)
    let count = try file.size()
    if count < 1024 { try Failure.refusePointer(file.bytes(min(count, 64), at: 0), path: path) }
    self.path = path
    self.count = count
    if count == 0 {
      unsafe self.start = nil
      return
    }
    // Safe: the system chooses the address, and the result is checked.
    let address = unsafe mmap(nil, count, PROT_READ, MAP_SHARED, file.number, 0)
    guard let address = unsafe address, unsafe address != MAP_FAILED else {
      let code = errno
      unsafe self.start = nil
      throw Failure.cannotRead(path, errno: code)
    }
    unsafe self.start = UnsafeRawPointer(address)
  }

  deinit {
    // Safe: `init` made this mapping, and nothing can use it after `deinit`.
    if let start = unsafe start { unsafe munmap(UnsafeMutableRawPointer(mutating: start), count) }
  }

  /// All bytes of the file.
  public var bytes: RawSpan {
    @_lifetime(borrow self)
    get {
      // Safe: the mapping of `count` bytes lives as long as this object, which the span borrows. Nil with 0
      // bytes is an empty span.
      let buffer = unsafe UnsafeRawBufferPointer(start: start, count: count)
      return unsafe _overrideLifetime(RawSpan(_unsafeBytes: buffer), borrowing: self)
    }
  }

  /// Gives back the memory of the pages read so far; the system reads them from the file again when needed.
  public func releasePages() {
    if let start = unsafe start {
      // Safe: the range is the mapping, and dropped pages are read again from the file.
      _ = unsafe madvise(UnsafeMutableRawPointer(mutating: start), count, MADV_DONTNEED)
    }
  }

  /// Asks the system to read the bytes `range` into memory, so that a later read does not wait.
  public func prefetch(_ range: Range<Int>) {
    guard let start = unsafe start, range.lowerBound >= 0, range.upperBound <= count,
      !range.isEmpty
    else { return }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let first = range.lowerBound / page * page
    // Safe: the range is within the pages of the mapping, and advice changes no byte. Kernels before Linux
    // 5.14 cannot fill the page table; they read ahead instead.
    let address = unsafe UnsafeMutableRawPointer(mutating: start + first)
    let length = range.upperBound - first
    if unsafe madvise(address, length, MADV_POPULATE_READ) != 0 {
      unsafe madvise(address, length, Int32(MADV_WILLNEED))
    }
  }

  /// A copy of the bytes `range`; of all of them if it is nil.
  public func copy(_ range: Range<Int>? = nil) -> [UInt8] {
    let part = bytes.extracting(range ?? 0..<count)
    // Safe: the bytes are copied before the closure ends.
    return unsafe part.withUnsafeBytes { unsafe Array($0) }
  }
}
