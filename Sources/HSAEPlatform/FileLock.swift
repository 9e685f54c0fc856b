// A lock file for one writer at a time. The operating system releases it when its holder ends.

/// A lock on a file, held until this value goes away or the process ends.
///
/// The file holds its holder's process id, for people and for messages. The file stays when the lock is
/// released; only the lock counts.
public struct FileLock: ~Copyable, Sendable {
  /// The lock file.
  public let path: String
  private let descriptor: Descriptor

  /// Takes the lock at `path` without waiting; creates the file if it is missing.
  ///
  /// If another process (or another part of this one) holds it, fails with `.cannotCreate` and a
  /// sentence that names `purpose` ("The run RUN") and the holder's process id.
  public init(path: String, purpose: String) throws(Failure) {
    let descriptor = try Descriptor(updating: path)
    guard descriptor.tryLock() else {
      throw Failure(
        .cannotCreate,
        "\(purpose) is in use by \(Self.holder(of: descriptor)) (lock file \(path)); wait for it to end"
          + " or stop it.")
    }
    try self.init(locked: descriptor, path: path)
  }

  /// Takes the lock at `path`; waits while another process holds it. `onWait` is called once before that.
  public init(waitingFor path: String, onWait: () -> Void) throws(Failure) {
    let descriptor = try Descriptor(updating: path)
    if !descriptor.tryLock() {
      onWait()
      while !descriptor.tryLock() { pause(.milliseconds(300)) }
    }
    try self.init(locked: descriptor, path: path)
  }

  /// Writes this process's id into the file.
  private init(locked descriptor: consuming Descriptor, path: String) throws(Failure) {
    try descriptor.truncate(to: 0)
    try descriptor.write(Array("\(CurrentProcess.id)\n".utf8), at: 0)
    self.path = path
    self.descriptor = descriptor
  }

  deinit { try? descriptor.truncate(to: 0) }

  private static func holder(of descriptor: borrowing Descriptor) -> String {
    let size = (try? descriptor.size()) ?? 0
    let bytes = (try? descriptor.bytes(min(32, size), at: 0)) ?? []
    let digits = bytes.prefix { $0 >= 48 && $0 <= 57 }
    return digits.isEmpty ? "another process" : "process \(String(decoding: digits, as: UTF8.self))"
  }
}
