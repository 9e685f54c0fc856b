// Decides what `hsae info` takes a path for, first by content and then by name: a broken .npy is a broken
// matrix, not a strange corpus. For a path it cannot describe, the error names the command that takes it.

import HSAEActivations
import HSAEEvaluation
import HSAELanguageModels
import HSAESupport

#if Explorer
import HSAEExplorer
#endif

/// The kind of a file or folder.
enum InfoKind {
  case run, matrix, model, features, corpus

  /// The kind of what is at `path`, which exists. Throws `.data` if it is unknown.
  init(of path: String) throws(Failure) {
    self = try Path.isDirectory(path) ? Self.folder(path) : Self.file(path)
  }

  private static func folder(_ path: String) throws(Failure) -> InfoKind {
    func has(_ name: String) -> Bool { Path.exists(Path.join(path, name)) }
    // Gemma Scope 2 has a config.json beside its weights.
    if has("config.json"), !has("params.safetensors") { return .run }
    if has("zarr.json") { return .matrix }
    #if Explorer
    if has(FeatureDatabase.fileName) { return .features }
    #endif
    if ["cfg.json", "params.npz", "params.safetensors"].contains(where: has) {
      throw .data(
        "\(path): this is a dictionary of another tool (SAELens, sparsify, Gemma Scope); make a run of it:"
          + " hsae import \(path) --out RUN.")
    }
    if has(Evaluation.fileName) {
      throw evaluation(path, Path.join(path, Evaluation.fileName))
    }
    if has("hsae-pages.json") {
      throw .data("\(path): these are pages of hsae explore; open index.html in a browser.")
    }
    do throws(Failure) {
      _ = try CorpusFormat.files(at: [path])
    } catch { throw unknown(path, "no file in this folder has a corpus's name") }
    return .corpus
  }

  private static func file(_ path: String) throws(Failure) -> InfoKind {
    let name = Path.name(path).lowercased()
    let file = try MappedFile(path: path)
    func begins(_ bytes: [UInt8]) -> Bool {
      file.count >= bytes.count && file.copy(0..<bytes.count) == bytes
    }
    if begins(Array("GGUF".utf8)) || name.hasSuffix(".gguf") { return .model }
    if begins(Array("SQLite format 3\0".utf8)) { return .features }
    if begins([0x93] + Array("NUMPY".utf8)) || name.hasSuffix(".npy") { return .matrix }
    if SafetensorsFile.looksLikeSafetensors(file) || name.hasSuffix(".safetensors") {
      return .matrix
    }
    if try SafetensorsIndex(file) != nil { return .matrix }
    if begins([0x50, 0x4B, 3, 4]) || name.hasSuffix(".npz") {
      throw .data(
        "\(path): this is an archive (.npz, zip); to make a run of a dictionary in it: hsae import \(path) --out RUN."
      )
    }
    if name == Evaluation.fileName { throw evaluation(path, path) }
    if name == "cfg.json" {
      throw .data(
        "\(path): this is the configuration of a dictionary of another tool; make a run of its folder:"
          + " hsae import \(Path.parent(path)) --out RUN.")
    }
    if name == "config.json", Path.exists(Path.join(Path.parent(path), "checkpoints")) {
      throw .data(
        "\(path): this is the configuration of a run; give its folder: hsae info \(Path.parent(path))."
      )
    }
    if CorpusFormat.isCorpusFile(path) { return .corpus }
    let start = try CorpusFormat.beginning(of: path)
    guard !start.isEmpty else { throw unknown(path, "it is empty") }
    // The piece may end inside a character; that is not an error in the text.
    let isText = (0..<min(4, start.count)).contains { cut in
      String(validating: start.dropLast(cut), as: UTF8.self) != nil
    }
    guard isText, !start.contains(0) else { throw unknown(path, "it is not text either") }
    let first = String(decoding: start.prefix(200), as: UTF8.self).drop { $0.isWhitespace }
      .lowercased()
    if first.hasPrefix("<!doctype html") || first.hasPrefix("<html") {
      throw unknown(path, "it is a web page; open it in a browser")
    }
    return .corpus
  }

  private static func evaluation(_ path: String, _ file: String) -> Failure {
    .data(
      "\(path): this is what hsae evaluate wrote; open its index.html in a browser, or make a page of it:"
        + " hsae report --evaluation \(file) --out PAGE.html.")
  }

  /// The error for `path`; `reason` says what was found last.
  static func unknown(_ path: String, _ reason: String) -> Failure {
    .data(
      "\(path): hsae info does not know what this is: \(reason). It knows stores, runs, matrices (.npy,"
        + " .safetensors, Zarr), GGUF models, databases of features, and corpora of text or JSON Lines."
    )
  }
}
