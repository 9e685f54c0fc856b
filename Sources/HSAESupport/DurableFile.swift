// Files that are there in full or not at all: written beside their final name, brought to the disk,
// then renamed. Folders of files are `DurableDirectory`'s.

/// A file that takes its name only when it is complete.
///
/// Bytes go to `.NAME.partial-PID` in the same folder. `commit()` brings them to the disk and
/// renames; a file that was there before is replaced in that instant. Without `commit()` (an error,
/// a crash) the final name is untouched, and the partial file is removed, at the latest when the
/// next file of that name is written. Where a symbolic link is at the path, all this happens to the
/// file it points to, and the link stays.
public struct DurableFile: ~Copyable {
  /// The file's final path.
  public let path: String
  /// The path without links at its end: where the file is in fact put.
  private let target: String
  /// Where the bytes lie until then.
  let partialPath: String
  /// Bytes written so far.
  public private(set) var count = 0
  private let descriptor: Descriptor
  private var buffer: [UInt8] = []
  private var isCommitted = false

  private static let bufferSize = 1 << 18

  /// Begins the file that shall be at `path`. Its folder must exist.
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

  /// Where `path` leads: itself, or the end of the links that begin there, which need not exist.
  private static func target(of path: String) throws(Failure) -> String {
    switch FileStatus(at: path)?.kind {
    case nil, .file: break
    case .folder: throw .isFolder(path)
    default:
      throw Failure(.cannotCreate, "\(path): this is no ordinary file; choose another path.")
    }
    var target = path
    // As many links as Linux follows.
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
    // Held until the process ends: tells other processes that this partial file is in use.
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
      unsafe bytes.withUnsafeBytes { unsafe buffer.append(contentsOf: $0) }
    }
  }

  /// Adds `bytes`.
  public mutating func write(_ bytes: [UInt8]) throws(Failure) {
    try unsafe write(bytes.span.bytes)
  }

  /// Adds the UTF-8 form of `text`.
  public mutating func write(_ text: String) throws(Failure) { try write(Array(text.utf8)) }

  private mutating func flush() throws(Failure) {
    if buffer.isEmpty { return }
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

  /// Writes a whole file: `bytes` at `path`, in full or not at all.
  public static func write(_ bytes: [UInt8], to path: String) throws(Failure) {
    var file = try DurableFile(path: path)
    try file.write(bytes)
    try file.commit()
  }

  /// Writes a whole file: the UTF-8 form of `text` at `path`, in full or not at all.
  public static func write(_ text: String, to path: String) throws(Failure) {
    try write(Array(text.utf8), to: path)
  }
}

/// Returns when the names in the folder `path` have reached the disk.
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

/// The names of things that are being written: `.NAME.partial-PID`, beside NAME.
enum PartialName {
  /// Where this process writes what shall be at `path`.
  static func make(for path: String) -> String {
    Path.join(Path.parent(path), prefix(for: path) + "\(CurrentProcess.id)")
  }

  private static func prefix(for path: String) -> String { ".\(Path.name(path)).partial-" }

  /// Removes what processes that are gone left beside `path`: partial files and folders that nobody
  /// holds the lock of.
  static func removeStale(for path: String) throws(Failure) {
    let folder = Path.parent(path)
    let prefix = prefix(for: path)
    guard Path.isDirectory(folder) else { throw .noFolder(for: path, in: folder) }
    // A folder that may be written but not listed has no stale names that could be found.
    guard let names = try? Path.list(folder) else { return }
    for name in names where name.hasPrefix(prefix) {
      let left = Path.join(folder, name)
      guard let descriptor = try? Descriptor(.entry, left) else { continue }
      if descriptor.tryLock() { Path.removeAll(left) }
    }
  }
}
