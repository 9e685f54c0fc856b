// The runs in a database.

#if Explorer
import GRDB
public import HSAEActivations
import HSAEEvaluation
public import HSAEModels
public import HSAESupport
import HSAERuns
import Synchronization

/// A run in a database.
public struct RunRecord: Hashable, Sendable, Codable {
  /// Its number in the database.
  public var id: Int
  /// Its name, unique in the database.
  public var name: String
  /// Its folder when it was explained.
  public var path: String
  /// The step of the checkpoint that was explained.
  public var step: Int
  /// The sizes of its dictionary.
  public var shape: DictionaryShape
  /// The least code with which a sublatent is active.
  public var subThreshold: Float
  /// Number of rows that it was explained on.
  public var rows: Int
  /// Number of tokens on either side of a context.
  public var window: Int
  /// Whether it has promoted tokens.
  public var hasPromotedTokens: Bool
  /// Whether `hsae explain` has finished.
  public var isComplete: Bool
  /// The number of its corpus.
  public var corpus: Int
  /// What a row stands for.
  public var kind: ExplainedRows.Kind
  /// The name of the store or matrix.
  public var storeName: String
  /// The model's name, if the rows come from a model.
  public var modelName: String?
  /// SHA-256 of the model's file, if the rows come from a model.
  public var modelSHA256: String?
  /// The hook point that the rows come from.
  public var hookPoint: String?
  /// The block whose output they are, counting from 0.
  public var layer: Int?
  /// Whether contexts of its corpus begin with BOS.
  public var bos = BOSRule.auto
  /// The run's resolved configuration, as JSON.
  public var configuration: String

  /// How rows of the model are scaled for its dictionary; to unit norm if the configuration cannot be read.
  var rowScale: RowScale {
    let description = try? JSONFile.decode(
      RunDescription.self, from: Array(configuration.utf8), source: name)
    return description?.rowScale(ofStore: true) ?? .unit
  }
}

extension RunRecord {
  static let selection = """
    SELECT run.*, corpus.kind, corpus.name AS store_name, corpus.model_name, corpus.model_sha256,
      corpus.hook_point, corpus.layer, meta.value AS bos
    FROM run JOIN corpus ON corpus.id = run.corpus LEFT JOIN meta ON meta.key = 'bos ' || corpus.id
    """

  init(_ row: Row) throws {
    guard let kind = ExplainedRows.Kind(rawValue: try row.get("kind")) else {
      throw BlobReader.damaged
    }
    let shape = try DictionaryShape(
      width: row.get("width"), experts: row.get("experts"), sublatents: row.get("sublatents"),
      subspace: row.get("subspace"), activeExperts: row.get("k"))
    let window: Int = try row.get("window")
    let bos: String? = try row.get("bos")
    guard shape.complaint == nil, (0...127).contains(window),
      let bos = BOSRule(rawValue: bos ?? BOSRule.auto.rawValue)
    else { throw BlobReader.damaged }
    try self.init(
      id: row.get("id"), name: row.get("name"), path: row.get("path"), step: row.get("step"),
      shape: shape, subThreshold: row.get("sub_threshold"), rows: row.get("rows"), window: window,
      hasPromotedTokens: row.get("has_promoted"), isComplete: row.get("complete"),
      corpus: row.get("corpus"), kind: kind, storeName: row.get("store_name"),
      modelName: row.get("model_name"), modelSHA256: row.get("model_sha256"),
      hookPoint: row.get("hook_point"), layer: row.get("layer"),
      bos: bos, configuration: row.get("configuration"))
  }
}

extension RunRecord {
  /// How the rows it was explained on differ from those that its dictionary is for, if it was imported
  /// (`RowsPlace.difference`).
  public var difference: String? {
    let description = try? JSONFile.decode(
      RunDescription.self, from: Array(configuration.utf8), source: name)
    guard kind != .rows, let description, description.origin != nil else { return nil }
    let place = RowsPlace(
      name: storeName, modelName: modelName, modelSHA256: modelSHA256,
      isVocabulary: kind == .vocabulary, block: layer,
      beginsWithBOS: bos == .auto ? nil : bos == .always)
    // An older hsae may have explained it on rows that are refused now.
    do throws(Failure) { return try place.difference(from: description, of: name) } catch {
      return error.message
    }
  }
}

extension FeatureDatabase {
  /// All runs in the order in which they were explained, including incomplete ones.
  public func runs() throws(Failure) -> [RunRecord] {
    let stamp = FileStamp(database: path)
    let known = knownRuns.withLock { $0.stamp == stamp ? $0.runs : nil }
    if let known { return known }
    let runs = try read { db in
      try Row.fetchAll(db, sql: RunRecord.selection + " ORDER BY run.id").map(RunRecord.init)
    }
    knownRuns.withLock { $0 = (stamp, runs) }
    return runs
  }

  func documentCount(of run: RunRecord) throws(Failure) -> Int {
    try read { db in
      try Int.fetchOne(
        db, sql: "SELECT COUNT(*) FROM document WHERE corpus = ?", arguments: [run.corpus]) ?? 0
    }
  }

  /// The run called `name`; nil if there is none.
  public func run(named name: String) throws(Failure) -> RunRecord? {
    try runs().first { $0.name == name }
  }
}
#endif
