// hsae info: what a file or folder of this project is, and what is in it. Deciding by content,
// printing and the call; counting is the readers' work.

import ArgumentParser
import Foundation
import HSAEActivations
import HSAELanguageModels
import HSAESupport
import HSAETensors
import HSAETraining

#if Explorer
import HSAEExplorer
#endif

struct Info: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Say what a store, a run, a matrix, a model, a corpus or a database of features is.",
    discussion: """
      Of a store: model, layer, rows, norms, and where it has a corpus its documents, languages, most \
      frequent tokens and a few tokens in context. Of a run: its dictionary, data and last record. Of \
      a matrix: rows, width and norms. Of a model file: architecture, layers and width. Of a corpus: \
      documents and languages. Of explained features: their runs. Norms and tokens are counted on at most --sample rows.
      """)

  @Argument(
    help: "A store, run, matrix (.npy, .safetensors, Zarr), GGUF model or corpus.",
    completion: .file())
  var path: String

  @Option(help: "The tensor to look at, if PATH is a .safetensors file with several.")
  var tensor: String?

  @Option(help: "Rows to count norms and tokens on.")
  var sample = "1M"

  @Option(help: "Tokens to show in context.")
  var contexts = 8

  @Option(help: "Seed of the choice of contexts.")
  var seed: UInt64 = 0

  @OptionGroup(title: "Reading a corpus")
  var reading: CorpusFormatOptions

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard (0...10_000).contains(contexts) else {
      throw ValidationError("--contexts must be between 0 and 10000.")
    }
  }

  func run() throws {
    guard Path.exists(path) else { throw Failure.missing("\(path): there is nothing here.") }
    let description = try describe()
    try output(json ? description.json() : description.text.joined(separator: "\n") + "\n")
  }

  private func describe() throws -> Description {
    if Path.isDirectory(path) {
      if Path.exists(Path.join(path, "config.json")) { return try Description(run: path) }
      if Path.exists(Path.join(path, "zarr.json")) { return try rows() }
      #if Explorer
      if Path.exists(Path.join(path, FeatureDatabase.fileName)) {
        return try Description(features: FeatureDatabase(path: path))
      }
      #endif
      return try corpus()
    }
    let file = try MappedFile(path: path)
    if file.bytes.byteCount >= 4, file.copy(0..<4) == Array("GGUF".utf8) {
      return Description(model: try GGUFFile(path: path))
    }
    #if Explorer
    if file.count >= 16, file.copy(0..<16) == Array("SQLite format 3\0".utf8) {
      return try Description(features: FeatureDatabase(path: path))
    }
    #endif
    if file.count >= 6, file.copy(0..<6) == [0x93] + Array("NUMPY".utf8) { return try rows() }
    if path.lowercased().hasSuffix(".safetensors") { return try rows() }
    return try corpus()
  }

  private func rows() throws(Failure) -> Description {
    let count = try SizeArgument.count(sample)
    let source = try openRows(path: path, tensor: tensor, allowIncomplete: true)
    guard let store = source as? ActivationStore else {
      return try Description(matrix: source, sample: count)
    }
    var limits = StoreSummary.Limits()
    (limits.rows, limits.contexts, limits.seed) = (count, contexts, seed)
    return Description(store: try StoreSummary(store, limits: limits), path: path)
  }

  private func corpus() throws(Failure) -> Description {
    let reader = try CorpusReader(paths: [path], format: reading.format)
    var languages: [String: Int] = [:]
    while let document = try reader.next() {
      languages[document.language ?? "", default: 0] += 1
    }
    return Description(corpus: reader.summary, languages: languages, path: path)
  }
}
