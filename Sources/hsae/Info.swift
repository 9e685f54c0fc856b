// hsae info: says what a file or folder is and what is in it. `InfoKind` decides what it is, `Description`
// prints it.

import ArgumentParser
import Foundation
import HSAEActivations
import HSAELanguageModels
import HSAESupport
import HSAETensors

#if Explorer
import HSAEExplorer
#endif

struct Info: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Describe a store, a run, a matrix, a model, a corpus or a database of features.",
    discussion: """
      Prints for a store: model, layer, rows, norms and, if it has a corpus, its documents, languages, most \
      frequent tokens and some tokens in context. For a run: its dictionary, data and last record. For a \
      matrix: rows, width and norms. For .safetensors files with several tensors: their names, types and \
      shapes. For a model file: architecture, name and licence. For a corpus: \
      documents and languages. For explained features: their runs. Norms and tokens are counted on at most \
      --sample rows.
      """)

  @Argument(
    help:
      "A store, run, matrix (.npy, .safetensors, Zarr), model (GGUF, or a known name), corpus or database.",
    completion: .file())
  var path: String

  @Option(
    help:
      "The tensor to look at, if PATH is a .safetensors file with several, or the index of several files."
  )
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
    let description = try describe()
    try output(json ? description.json() : description.text.joined(separator: "\n") + "\n")
  }

  private func describe() throws -> Description {
    guard Path.exists(path) else { return Description(model: try GGUFFile(path: fetchedModel())) }
    switch try InfoKind(of: path) {
    case .run: return try Description(run: path)
    case .matrix: return try rows()
    case .model: return Description(model: try GGUFFile(path: path))
    case .corpus: return try corpus()
    case .features:
      #if Explorer
      return try Description(features: FeatureDatabase(path: path))
      #else
      throw Failure(
        .unavailable, "\(path): this hsae was built without the explorer, which reads features.")
      #endif
    }
  }

  /// The file of the catalogue's model that is called `path`; it is not fetched here.
  private func fetchedModel() throws(Failure) -> String {
    guard let model = ModelCatalogue.model(named: path) else {
      let names = ModelCatalogue.models.map(\.name).joined(separator: ", ")
      throw .missing(
        "\(path): there is nothing here, and no model of that name; known names: \(names).")
    }
    let file = ModelCache().path(of: model)
    guard Path.exists(file) else {
      throw .missing(
        "\(path): this model has not been fetched; hsae fetch \(model.name) fetches it.")
    }
    return file
  }

  private func rows() throws(Failure) -> Description {
    let count = try SizeArgument.count(sample)
    if tensor == nil, let file = try tensors() { return Description(tensors: file) }
    let source = try openRows(path: path, tensor: tensor, allowIncomplete: true)
    guard let store = source as? ActivationStore else {
      return try Description(matrix: source, sample: count)
    }
    var limits = StoreSummary.Limits()
    (limits.rows, limits.contexts, limits.seed) = (count, contexts, seed)
    return Description(store: try StoreSummary(store, limits: limits), path: path)
  }

  /// The tensors at `path` if they are in `.safetensors` files that hold neither exactly one matrix nor a forest.
  private func tensors() throws(Failure) -> SafetensorsFile? {
    if Path.isDirectory(path) { return nil }
    let file = try MappedFile(path: path)
    let isIndex = try SafetensorsIndex(file) != nil
    guard isIndex || SafetensorsFile.looksLikeSafetensors(file) else { return nil }
    let tensors = try SafetensorsFile(path: path)
    return tensors.matrices.count == 1 || SyntheticForest.isForest(tensors) ? nil : tensors
  }

  private func corpus() throws(Failure) -> Description {
    let reader = try CorpusReader(paths: [path], format: reading.format)
    var languages: [String: Int] = [:]
    while let document = try reader.next() {
      languages[document.language ?? "", default: 0] += 1
    }
    let summary = reader.summary
    // Only lines that are not JSON, or JSON without the text: this is another kind of file, such as a settings file.
    let without = summary.count(.withoutField)
    let lists = summary.count(.list)
    let strange = summary.count(.notJSON) + summary.count(.notUTF8) + without + lists
    if summary.documents == 0, strange > 0 {
      throw InfoKind.unknown(
        path,
        "none of its \(counted(strange, "line")) is a document of a corpus"
          + (without > 0
            ? " with its text under \"\(reading.field)\" (--field names another member)" : "")
          + (lists > 0 ? "; of a JSON array, jq -c '.[]' makes a line for each document" : ""))
    }
    return Description(corpus: summary, languages: languages, path: path)
  }
}
