// A small store of the synthetic model, dictionaries for it, and their database.

#if Explorer
import Foundation
import GRDB
import HSAEActivations
import HSAEEvaluation
import HSAELanguageModels
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEExplorer
@testable import HSAERuns

struct ExplainFixture {
  let folder: String
  let store: ActivationStore
  static let shape = DictionaryShape(
    width: 16, experts: 24, sublatents: 4, subspace: 3, activeExperts: 3)

  var features: String { Path.join(folder, "features") }

  /// Makes the store from documents of a few words; some of their letters are several tokens.
  init(in folder: String, documents: Int = 60, bos: BOSRule = .auto) throws {
    self.folder = folder
    let model = SyntheticModel(width: 16, parents: 12, contextLength: 64)
    var generator = SeededGenerator(seed: 5)
    let words = ["dog", "puppy", "husky", "café", "cat's", "Ω", "<b>bold</b>", "o'clock"]
    let texts = (0..<documents).map { number in
      let text = (0..<1 + Int(generator.next() % 12)).map { _ in
        words[Int(generator.next() % UInt64(words.count))]
      }.joined(separator: " ")
      return Document(
        text: Array(text.utf8), language: number % 2 == 0 ? "en" : "fr", title: "Title \(number)")
    }
    var settings = CollectionSettings(block: 1)
    settings.contextLength = 64
    settings.holdoutFraction = 0.2
    settings.bos = bos
    let path = Path.join(folder, "layer.store")
    let collector = try Collector(
      model: model, settings: settings, path: path, corpus: [.init(name: "test", bytes: 1)])
    _ = try collector.prepare(documents: { DocumentList(texts) }, threads: 1)
    _ = try collector.run()
    store = try ActivationStore(path: path)
  }

  /// A run with initial weights.
  static func run(
    _ name: String = "h", shape: DictionaryShape = shape, seed: UInt64 = 1,
    subThreshold: Float = 0.05
  ) throws -> LoadedRun {
    var options = TrainingOptions()
    (options.experts, options.sublatents) = (shape.experts, shape.sublatents)
    (options.subspace, options.k, options.steps, options.batch) =
      (shape.subspace, Double(shape.activeExperts), 10, 16)
    let configuration = try TrainingConfiguration(
      options,
      data: DataDescription(path: "rows", fingerprint: "", rows: 100, width: shape.width))
    return LoadedRun(
      name: name, path: name, description: .trained(configuration), step: 10,
      dictionary: SparseAutoencoder(
        parameters: .initial(shape: shape, seed: seed),
        activation: ActivationFunction(threshold: 0, subThreshold: subThreshold)))
  }

  static var options: Explainer.Options {
    var options = Explainer.Options()
    (options.contexts.strongest, options.contexts.samples) = (6, 2)
    (options.contexts.window, options.contexts.seed) = (5, 7)
    (options.chunkRows, options.blockSize, options.threads) = (97, 5, 2)
    return options
  }

  /// Unembedding rows for the synthetic model's 258 tokens.
  static func unembedding(width: Int = 16) -> (rows: [[Float]], tokens: [Int32]) {
    var generator = SeededGenerator(seed: 11)
    let rows = (0..<258).map { _ in (0..<width).map { _ in Float(generator.nextSymmetric()) } }
    return (rows, (0..<258).map { Int32($0) })
  }

  /// An explainer of `run` that writes to `folder` (default: `features`).
  func explainer(
    _ run: LoadedRun, rows: (any RowSource)? = nil, to folder: String? = nil,
    weights: String = "w",
    hasModel: Bool = true, options: Explainer.Options = options,
    progress: @escaping (Explainer.Stage, Int, Int) -> Bool = { _, _, _ in true }
  ) throws -> Explainer {
    let (unembedding, tokens) = Self.unembedding()
    return try Explainer(
      run, weights: weights + run.name, rows: ExplainedRows(rows ?? store),
      model: hasModel ? "m" : nil,
      effects: hasModel
        ? { () throws(Failure) in
          TokenEffects(matrix(rows: unembedding, columns: 16), tokens: tokens, threads: 2)
        } : nil, folder: folder ?? features, options: options, progress: progress)
  }

  /// A flat run with HTML in its name.
  static func flatRun() throws -> LoadedRun {
    try run(
      "flat & <i>plain</i>",
      shape: DictionaryShape(
        width: 16, experts: 24, sublatents: 0, subspace: 0, activeExperts: 3), seed: 2)
  }

  /// Calls `body` with an explorer of a hierarchical and a flat run on the synthetic model.
  static func withExplorer(
    bos: BOSRule = .auto, _ body: (Explorer, ExplainFixture) async throws -> Void
  ) async throws {
    try await withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder, bos: bos)
      let runs = try [run(), flatRun()]
      for run in runs { _ = try fixture.explainer(run).explain() }
      let known = Dictionary(uniqueKeysWithValues: runs.map { ($0.name, $0.dictionary) })
      let dissector = Dissector(
        threads: 1,
        dictionary: { (run) throws(Failure) in
          guard let dictionary = known[run.name] else { throw .missing(run.name) }
          return dictionary
        },
        load: { SyntheticModel(width: 16, parents: 12, contextLength: 64) })
      try await body(
        Explorer(database: FeatureDatabase(path: fixture.features), dissector: dissector), fixture)
    }
  }

  /// Every row of every table of the database in `folder`, as text.
  static func dump(_ folder: String) throws -> [String] {
    let queue = try DatabaseQueue(path: Path.join(folder, FeatureDatabase.fileName))
    return try queue.read { db in
      try String.fetchAll(
        db,
        sql: """
          SELECT name FROM sqlite_schema
          WHERE type = 'table' AND name NOT LIKE '%\\_text\\_%' ESCAPE '\\' ORDER BY name
          """
      ).flatMap { table -> [String] in
        if table.hasSuffix("_text") {
          return try Row.fetchAll(db, sql: "SELECT id, hex(sz) FROM \(table)_docsize ORDER BY id")
            .map { "\(table) \($0)" }
        }
        return try Row.fetchAll(db, sql: "SELECT * FROM \(table)").map { row in
          table + " "
            + row.map { name, value in
              let data = Data.fromDatabaseValue(value)
              return "\(name): \(data.map { $0.base64EncodedString() } ?? "\(value)")"
            }.joined(separator: ", ")
        }.sorted()
      }
    }
  }
}
#endif
