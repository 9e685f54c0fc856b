// How files hold documents, and which files a path stands for.

public import HSAESupport

/// How corpus files are cut into documents.
public struct CorpusFormat: Hashable, Sendable {
  /// What a document of a plain text file is.
  public enum Unit: String, CaseIterable, Sendable {
    /// Each line is one.
    case line
    /// The whole file is one.
    case file
  }

  /// What a document of a plain text file is.
  public var unit = Unit.line
  /// The member of a JSON object that holds a document's text.
  public var field = "text"
  /// The longest line, and the longest text file as one document, in bytes of text.
  public var maximumBytes = 16 << 20

  /// One document a line, the texts of JSON Lines in "text".
  public init() {}

  /// Whether the file at `path` is JSON Lines, by its name: ".jsonl", ".ndjson" or ".json", and
  /// ".gz" may follow. All others are plain text.
  static func isJSONLines(_ path: String) -> Bool {
    [".jsonl", ".ndjson", ".json"].contains { stem(path).hasSuffix($0) }
  }

  /// Whether a file in a folder is taken, by its name.
  package static func isCorpusFile(_ path: String) -> Bool {
    isJSONLines(path) || [".txt", ".text", ".md"].contains { stem(path).hasSuffix($0) }
  }

  /// The first bytes of the text in the file at `path`, unpacked if it is compressed; a few thousand at most.
  package static func beginning(of path: String) throws(Failure) -> [UInt8] {
    var piece: [UInt8] = []
    try GzipFile(path: path).read(into: &piece)
    return Array(piece.prefix(65_536))
  }

  private static func stem(_ path: String) -> String {
    let name = Path.name(path).lowercased()
    return name.hasSuffix(".gz") ? String(name.dropLast(3)) : name
  }

  /// The files that `paths` stand for: files as they are; of folders, and folders in them, the files
  /// whose names end in .txt, .text, .md, .jsonl, .ndjson or .json (and .gz after it), sorted by path.
  ///
  /// Hidden ones are left out, and so are links to folders, which could lead in circles. Fails with
  /// `.missing` if a path is not there and with `.data` if a folder holds no such file.
  public static func files(at paths: [String]) throws(Failure) -> [String] {
    var files: [String] = []
    for path in paths {
      if Path.isDirectory(path) {
        let found = try Self.files(in: path, depth: 0)
        guard !found.isEmpty else {
          throw .data(
            "\(path): no file in this folder has a corpus's name (.txt, .text, .md, .jsonl, .ndjson,"
              + " .json, or one of these and .gz); name the files themselves.")
        }
        files += found
      } else {
        // Opening says at once, and in the usual words, what cannot be read.
        _ = try Descriptor(reading: path)
        guard [.file, .pipe].contains(FileStatus(at: path)?.kind) else {
          throw .data("\(path): this is no file of text; name ordinary files and folders.")
        }
        files.append(path)
      }
    }
    return files
  }

  private static func files(in folder: String, depth: Int) throws(Failure) -> [String] {
    guard depth < 64 else { throw .data("\(folder): folders lie too deep in each other here.") }
    var files: [String] = []
    for name in try Path.list(folder) where !name.hasPrefix(".") {
      let path = Path.join(folder, name)
      if FileStatus(at: path, followingLinks: false)?.kind == .folder {
        files += try Self.files(in: path, depth: depth + 1)
      } else if isCorpusFile(name), FileStatus(at: path)?.kind == .file {
        files.append(path)
      }
    }
    return files
  }
}
