// Files that are complete or not there at all: they are written beside their final name, brought to the disk,
// then renamed.

/// A file that takes its name only when it is complete.
///
/// Bytes go to `.NAME.partial-PID` in the same folder. `commit()` brings them to the disk and renames the
/// file, which replaces an older one in that instant. Without `commit()` (an error, a crash) the final name
/// is untouched, and the partial file is removed, at the latest when the next file of that name is written.
/// If a symbolic link is at the path, all this happens to its target, and the link stays.
public struct DurableFile: ~Copyable {
  /// The file's final path.
  public let path: String
  private let target: String
  /// The path of the bytes until `commit()`.
  let partialPath: String
  /// Bytes written so far.
  public private(set) var count = 0
  private let descriptor: Descriptor
  private var buffer: [UInt8] = []
  private var isCommitted = false

  private static let bufferSize = 1 << 18

  /// Begins the file for `path`. Its folder must exist.
  ///
  /// Fails with `.cannotCreate` if a folder, a device, a pipe or a socket is there.
  public init(path: String) throws(Failure) {
    let target = try Self.target(of: path)
    try PartialName.removeStale(for: target)
    let partialPath = PartialName.make(for: target)
    self.init(
      path: path, target: target, partialPath: partialPath,
      try Descriptor(.creating, partialPath, for: path))
  }

  /// The path at the end of the links that begin at `path`; nothing need be there.
  private static func target(of path: String) throws(Failure) -> String {
    switch FileStatus(at: path)?.kind {
    case nil, .file: break
    case .folder: throw .isFolder(path)
    default:
      throw Failure(.cannotCreate, "\(path): this is not an ordinary file; choose another path.")
    }
    var target = path
    // Linux follows as many links.
    for _ in 0...40 {
      guard let next = Path.linkDestination(target) else { return target }
      target = next.hasPrefix("/") ? next : Path.join(Path.parent(target), next)
    }
    throw .linksInCircles(path)
  }

  /// A file whose bytes go to `descriptor` until it is committed.
  init(
    path: String, target: String? = nil, partialPath: String, _ descriptor: consuming Descriptor
  ) {
    self.path = path
    self.target = target ?? path
    self.partialPath = partialPath
    // The lock, held until the file is closed, tells other processes that this partial file is in use.
    _ = descriptor.tryLock()
    self.descriptor = descriptor
  }

  deinit { if !isCommitted { Path.removeAll(partialPath) } }

  /// Adds `bytes`.
  public mutating func write(_ bytes: RawSpan) throws(Failure) {
    count += bytes.byteCount
    if buffer.count + bytes.byteCount > Self.bufferSize { try flush() }
    if bytes.byteCount >= Self.bufferSize {
      try descriptor.write(bytes)
    } else {
      // Safe: the bytes are copied before the closure ends.
      unsafe bytes.withUnsafeBytes { unsafe buffer.append(contentsOf: $0) }
    }
  }

  /// Adds `bytes`.
  public mutating func write(_ bytes: [UInt8]) throws(Failure) {
    // Safe: a view of integers as bytes.
    try unsafe write(bytes.span.bytes)
  }

  /// Adds the UTF-8 form of `text`.
  public mutating func write(_ text: String) throws(Failure) { try write(Array(text.utf8)) }

  private mutating func flush() throws(Failure) {
    if buffer.isEmpty { return }
    // Safe: a view of integers as bytes.
    try unsafe descriptor.write(buffer.span.bytes)
    buffer.removeAll(keepingCapacity: true)
  }

  /// Brings the file to the disk and gives it its name.
  public consuming func commit() throws(Failure) {
    try flush()
    try descriptor.synchronize()
    try Path.rename(partialPath, to: target, for: path)
    isCommitted = true
    try synchronizeDirectory(Path.parent(target))
  }

  /// Writes a whole file, `bytes`, at `path`.
  public static func write(_ bytes: [UInt8], to path: String) throws(Failure) {
    var file = try DurableFile(path: path)
    try file.write(bytes)
    try file.commit()
  }

  /// Writes a whole file, the UTF-8 form of `text`, at `path`.
  public static func write(_ text: String, to path: String) throws(Failure) {
    try write(Array(text.utf8), to: path)
  }
}

/// Returns when the names in the folder `path` are on the disk.
public func synchronizeDirectory(_ path: String) throws(Failure) {
  try Descriptor(.folder, path).synchronize()
}

extension Descriptor {
  /// Makes a file without a name beside `path`, to write and to read back. Its space is free again when it is
  /// closed, whatever ends the process.
  public init(scratchBeside path: String) throws(Failure) {
    let name = PartialName.make(for: path + ".scratch")
    try self.init(.creating, name, for: path)
    Path.removeAll(name)
  }
}

/// The names of files and folders that are being written: `.NAME.partial-PID`, beside NAME.
enum PartialName {
  /// The path where this process writes the file or folder for `path`.
  static func make(for path: String) -> String {
    Path.join(Path.parent(path), prefix(for: path) + "\(CurrentProcess.id)")
  }

  private static func prefix(for path: String) -> String { ".\(Path.name(path)).partial-" }

  /// Removes partial files and folders that dead processes left beside `path`: those without a lock.
  static func removeStale(for path: String) throws(Failure) {
    let folder = Path.parent(path)
    let prefix = prefix(for: path)
    guard Path.isDirectory(folder) else { throw .noFolder(for: path, in: folder) }
    // This user may be allowed to write in a folder but not to list it.
    guard let names = try? Path.list(folder) else { return }
    for name in names where name.hasPrefix(prefix) {
      let left = Path.join(folder, name)
      guard let descriptor = try? Descriptor(.entry, left) else { continue }
      if descriptor.tryLock() { Path.removeAll(left) }
    }
  }
}
