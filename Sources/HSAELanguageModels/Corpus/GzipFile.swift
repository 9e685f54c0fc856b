// Reads the bytes of a corpus file and decompresses them if it is gzip, with any number of members. Memory
// stays small whatever the file's size. `CorpusReader` makes documents of the bytes.

import CZlib
import HSAESupport

/// A file that is read once from beginning to end, piece by piece.
@safe
final class GzipFile {
  let path: String
  /// Why the compressed data cannot be read to its end; nil without damage.
  private(set) var damage: String?

  private let file: Descriptor
  // Safe: `capacity` bytes, allocated in `init`, freed in `deinit`, never handed out.
  private let input: UnsafeMutableRawBufferPointer
  // Safe: on the heap because zlib keeps a pointer to it; nil for an uncompressed file; freed in `deinit`.
  private var stream: UnsafeMutablePointer<z_stream>?
  /// Bytes of `input` that were read but not yet used.
  private var pending: Range<Int>
  private var isAtEnd = false

  private static let capacity = 1 << 18

  init(path: String) throws(Failure) {
    self.path = path
    let file = try Descriptor(reading: path)
    // Safe: reads stay within `input`, which is freed here if one fails, since then no `deinit` runs.
    let input = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.capacity, alignment: 64)
    var count = 0
    do throws(Failure) {
      // A pipe may give its first two bytes one by one.
      while count < 2 {
        let more = try unsafe file.read(into: .init(rebasing: input[count...]))
        if more == 0 { break }
        count += more
      }
    } catch {
      unsafe input.deallocate()
      throw error
    }
    self.file = file
    unsafe self.input = unsafe input
    pending = 0..<count
    unsafe stream = nil
    if unsafe count >= 2 && input[0] == 0x1F && input[1] == 0x8B { unsafe stream = Self.inflater() }
  }

  deinit {
    // Safe: `init` made both, and this is their last use.
    if let stream = unsafe stream {
      unsafe inflateEnd(stream)
      unsafe stream.deallocate()
    }
    unsafe input.deallocate()
  }

  /// Makes an inflater of gzip members. Traps only if memory is exhausted.
  private static func inflater() -> UnsafeMutablePointer<z_stream> {
    // Safe: the stream is initialised before zlib sees it; the caller frees it.
    let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    unsafe stream.initialize(to: z_stream())
    let code = unsafe inflateInit2_(
      stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    precondition(code == Z_OK, "zlib cannot begin: \(code).")
    return unsafe stream
  }

  /// Replaces `bytes` by the next piece of the file; by nothing at its end or where it is damaged.
  func read(into bytes: inout [UInt8]) throws(Failure) {
    bytes.removeAll(keepingCapacity: true)
    while bytes.isEmpty, !isAtEnd {
      if pending.isEmpty {
        // Safe: `input` bounds the read, and `pending` lies within `input`.
        let count = try unsafe file.read(into: input)
        pending = 0..<count
        if count == 0 {
          if unsafe stream != nil { damage = "the compressed data ends too early" }
          isAtEnd = true
          return
        }
      }
      if let stream = unsafe stream {
        unsafe inflate(stream, into: &bytes)
      } else {
        unsafe bytes.append(contentsOf: input[pending])
        pending = 0..<0
      }
    }
  }

  private func inflate(_ stream: UnsafeMutablePointer<z_stream>, into bytes: inout [UInt8]) {
    let available = pending.count
    var status = Z_OK
    // Safe: zlib writes at most `avail_out` bytes from `next_out` and reads at most `avail_in` bytes from
    // `next_in`. Both buffers outlive the call, and `avail_out` tells how much was written.
    unsafe bytes = [UInt8](unsafeUninitializedCapacity: Self.capacity) { buffer, count in
      unsafe stream.pointee.next_in = unsafe input.baseAddress?
        .advanced(by: pending.lowerBound).assumingMemoryBound(to: UInt8.self)
      unsafe stream.pointee.avail_in = UInt32(available)
      unsafe stream.pointee.next_out = buffer.baseAddress
      unsafe stream.pointee.avail_out = UInt32(Self.capacity)
      status = unsafe CZlib.inflate(stream, Z_NO_FLUSH)
      count = unsafe Self.capacity - Int(stream.pointee.avail_out)
    }
    let used = unsafe available - Int(stream.pointee.avail_in)
    pending = pending.lowerBound + used..<pending.upperBound
    switch status {
    case Z_OK: break
    // zlib used all it could; more input follows.
    case Z_BUF_ERROR where used > 0 || available == 0: break
    case Z_STREAM_END: unsafe endMember(stream)
    default:
      damage = "the compressed data is damaged"
      isAtEnd = true
    }
  }

  /// Prepares for the next member, or ends the file. Like gzip, it ignores what follows the last member.
  private func endMember(_ stream: UnsafeMutablePointer<z_stream>) {
    if pending.isEmpty {
      // Safe: `input` bounds the read, and `pending` lies within `input`.
      let count = (try? unsafe file.read(into: input)) ?? 0
      pending = 0..<count
    }
    guard !pending.isEmpty, unsafe input[pending.lowerBound] == 0x1F else {
      isAtEnd = true
      return
    }
    unsafe inflateReset(stream)
  }
}
