// SHA-256 of memory and of files, by libcrypto. The project keeps hashes as lower-case hexadecimal text.

import CCrypto

/// A SHA-256 that is being computed: add bytes, then call `finish()`.
@safe
public struct SHA256: ~Copyable {
  // Safe, here and below: `init` makes the context, only `deinit` frees it, and it never leaves this struct.
  // libcrypto reads and writes only during its calls, whose status is checked.
  private let context: OpaquePointer

  /// The hash of nothing yet. Traps only if libcrypto has no SHA-256 or memory is exhausted.
  public init() {
    guard let context = unsafe EVP_MD_CTX_new(),
      unsafe EVP_DigestInit_ex(context, EVP_sha256(), nil) == 1
    else { preconditionFailure("libcrypto offers no SHA-256.") }
    unsafe self.context = context
  }

  deinit { unsafe EVP_MD_CTX_free(context) }

  /// Adds `bytes`.
  public mutating func update(_ bytes: RawSpan) {
    let status = unsafe bytes.withUnsafeBytes { buffer in
      unsafe EVP_DigestUpdate(context, buffer.baseAddress, buffer.count)
    }
    precondition(status == 1, "libcrypto failed to hash \(bytes.byteCount) bytes.")
  }

  /// Adds `bytes`.
  public mutating func update(_ bytes: [UInt8]) { unsafe update(bytes.span.bytes) }

  /// Adds the UTF-8 form of `text`.
  public mutating func update(_ text: String) { update(Array(text.utf8)) }

  /// The hash of all bytes added, as 64 lower-case hexadecimal digits.
  public consuming func finish() -> String {
    var digest = [UInt8](repeating: 0, count: 32)
    // Safe: a SHA-256 has 32 bytes.
    let status = unsafe digest.withUnsafeMutableBufferPointer { buffer in
      unsafe EVP_DigestFinal_ex(context, buffer.baseAddress, nil)
    }
    precondition(status == 1, "libcrypto failed to finish a hash.")
    return hexadecimal(digest)
  }

  /// The hash of `bytes`, as 64 lower-case hexadecimal digits.
  public static func hash(_ bytes: RawSpan) -> String {
    var hash = SHA256()
    hash.update(bytes)
    return hash.finish()
  }

  /// The hash of `bytes`, as 64 lower-case hexadecimal digits.
  public static func hash(_ bytes: [UInt8]) -> String { unsafe hash(bytes.span.bytes) }

  /// The hash of the UTF-8 form of `text`, as 64 lower-case hexadecimal digits.
  public static func hash(_ text: String) -> String { hash(Array(text.utf8)) }

  /// The hash of the file at `path`, as 64 lower-case hexadecimal digits. It reads the file in pieces and
  /// calls `progress` with the number of bytes read so far.
  public static func hash(
    file path: String, progress: ((Int) -> Void)? = nil
  ) throws(Failure) -> String {
    var hash = SHA256()
    try hash.update(file: path, progress: progress)
    return hash.finish()
  }

  /// Adds the bytes of the file at `path`. It reads the file in pieces and calls `progress` with the number of
  /// bytes read so far.
  public mutating func update(
    file path: String, progress: ((Int) -> Void)? = nil
  ) throws(Failure) {
    let file = try Descriptor(reading: path)
    let capacity = 1 << 20
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 64)
    defer { unsafe memory.deallocate() }
    var total = 0
    while true {
      let count = try unsafe file.read(into: memory)
      if count == 0 { break }
      // Safe: `read` just filled `count` bytes of `memory`, which lives until this function ends.
      unsafe update(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(memory)[..<count]))
      total += count
      progress?(total)
    }
  }
}

/// `bytes` as lower-case hexadecimal digits, two for each.
public func hexadecimal(_ bytes: [UInt8]) -> String {
  bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
}
