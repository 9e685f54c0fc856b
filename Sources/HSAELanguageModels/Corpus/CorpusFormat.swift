// How documents are laid out in files, and which files a path stands for.

public import HSAESupport

/// How corpus files are cut into documents.
public struct CorpusFormat: Hashable, Sendable {
  /// What counts as one document in a plain text file.
  public enum Unit: String, CaseIterable, Sendable {
    /// Each line.
    case line
    /// The whole file.
    case file
  }

  /// What counts as one document in a plain text file.
  public var unit = Unit.line
  /// The key of the text in a JSON object.
  public var field = "text"
  /// The most bytes of text in a line, or in a file that is one document.
  public var maximumBytes = 16 << 20

  /// One document a line; the text of a JSON object under "text".
  public init() {}

  /// Whether the file at `path` is JSON Lines by its name: ".jsonl", ".ndjson" or ".json", perhaps with
  /// ".gz". All other files are plain text.
  static func isJSONLines(_ path: String) -> Bool {
    [".jsonl", ".ndjson", ".json"].contains { stem(path).hasSuffix($0) }
  }

  /// Whether a file in a folder belongs to a corpus, by its name.
  package static func isCorpusFile(_ path: String) -> Bool {
    isJSONLines(path) || [".txt", ".text", ".md"].contains { stem(path).hasSuffix($0) }
  }

  /// The first bytes of the text in the file at `path`, at most 64 KiB, decompressed if need be.
  package static func beginning(of path: String) throws(Failure) -> [UInt8] {
    var piece: [UInt8] = []
    try GzipFile(path: path).read(into: &piece)
    return Array(piece.prefix(65_536))
  }

  private static func stem(_ path: String) -> String {
    let name = Path.name(path).lowercased()
    return name.hasSuffix(".gz") ? String(name.dropLast(3)) : name
  }

  /// The files that `paths` stand for. A file stands for itself. A folder stands for all files in it and its
  /// subfolders that end in .txt, .text, .md, .jsonl, .ndjson or .json, or one of these and .gz, by path.
  ///
  /// Hidden files are skipped, and so are links to folders, which could form circles. Fails with `.missing`
  /// if a path does not exist and with `.data` if a folder holds no such file.
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
        // Opening a file that cannot be read throws the usual message.
        _ = try Descriptor(reading: path)
        guard [.file, .pipe].contains(FileStatus(at: path)?.kind) else {
          throw .data("\(path): this is not a text file; name ordinary files and folders.")
        }
        files.append(path)
      }
    }
    return files
  }

  private static func files(in folder: String, depth: Int) throws(Failure) -> [String] {
    guard depth < 64 else { throw .data("\(folder): folders are nested too deeply here.") }
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
