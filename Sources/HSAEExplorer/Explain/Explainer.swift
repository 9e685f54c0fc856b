// `hsae explain`: explains a run on rows and writes the database, in stages. Each stage has parts, and each
// part is one transaction, so after any interruption the same call continues with the parts that are missing.

#if Explorer
import HSAEActivations
internal import HSAEEvaluation
import HSAEModels
public import HSAESupport
public import HSAERuns

/// Explains a run: finds what its latents are active for and writes it into a database.
public final class Explainer {
  /// A part of the work.
  public enum Stage: String, Sendable, CaseIterable {
    /// Encoding all rows.
    case codes
    /// How well the rows of each token are explained.
    case explained
    /// Statistics, contexts and co-activation of every latent.
    case latents
    /// Hierarchy scores.
    case scores
    /// Nearest directions.
    case nearest
    /// Promoted tokens.
    case promoted
    /// The names of latents.
    case names
    /// The nearest latents of other runs.
    case matched
    /// The full-text index.
    case search
    /// The latents with contexts in each passage.
    case postings
  }

  /// The options of `hsae explain`.
  public struct Options: Sendable {
    /// The number of contexts and their width.
    public var contexts = ContextSettings()
    /// The run's name in the database; nil for the run's own.
    public var name: String?
    /// Whether a run with that name is replaced.
    public var replace = false
    /// Number of threads; it does not change the result.
    public var threads = processorCount
    /// Rows in a scratch file.
    var chunkRows = CodeChunks.chunkRows
    /// Experts in a part; parts of other stages are in proportion.
    var blockSize = 64

    /// The defaults.
    public init() {}
  }

  /// What the database has after a run was explained.
  public struct Summary: Hashable, Sendable, Codable {
    /// The database.
    public var path: String
    /// The run's name in it.
    public var name: String
    /// Rows that were read.
    public var rows: Int
    /// Live top-level latents.
    public var liveLatents: Int
    /// All top-level latents.
    public var latents: Int
    /// Live sublatents.
    public var liveSublatents: Int
    /// All sublatents.
    public var sublatents: Int
    /// Size of the database in bytes.
    public var bytes: Int
    /// Seconds that each stage took; stages that were done before are missing.
    public var seconds: [String: Double]
    /// Whether the run was complete before.
    public var wasThere: Bool
  }

  let run: LoadedRun
  let rows: ExplainedRows
  let options: Options
  let identity: RunIdentity
  let effects: (() throws(Failure) -> TokenEffects)?
  let writer: FeatureWriter
  private(set) var runID = 0
  private(set) var corpusID = 0
  let goesOn: (_ stage: Stage, _ done: Int, _ total: Int) -> Bool
  private(set) var seconds: [String: Double] = [:]

  /// Prepares to explain `run` on `rows` into `folder`.
  ///
  /// - Parameters:
  ///   - run: the run.
  ///   - weights: SHA-256 of the run's weights.
  ///   - rows: the rows to explain it on.
  ///   - model: SHA-256 of the model file that `effects` reads; nil if it reads none.
  ///   - centres: whether that model's last normalisation is a LayerNorm (`GGUFFile.lastNormCentres`).
  ///   - effects: returns what finds promoted tokens; nil to leave them out.
  ///   - folder: the folder of the database.
  ///   - options: the options.
  ///   - progress: receives the progress of a stage and returns whether to go on. Its first call in a stage has what
  ///     an earlier call of ``explain()`` has done.
  public init(
    _ run: LoadedRun, weights: String, rows: ExplainedRows, model: String?,
    centres: Bool = false, effects: (() throws(Failure) -> TokenEffects)?, folder: String,
    options: Options = Options(),
    progress: @escaping (_ stage: Stage, _ done: Int, _ total: Int) -> Bool = { _, _, _ in true }
  ) throws(Failure) {
    precondition((0...127).contains(options.contexts.window), "A window of at most 127 tokens.")
    precondition(options.contexts.strongest >= 1 && options.contexts.samples >= 0)
    guard rows.source.width == run.shape.width else {
      throw .data(
        "\(rows.source.path): its rows have the width \(rows.source.width), and the dictionary of"
          + " \(run.path) is for \(run.shape.width); give the store it was trained on.")
    }
    guard rows.count > 0 else { throw .data("\(rows.source.path): there are no rows.") }
    (self.run, self.rows, self.options, self.effects) = (run, rows, options, effects)
    goesOn = progress
    identity = RunIdentity(
      weights: weights, rows: rows.source.fingerprint, count: rows.count,
      contexts: options.contexts, model: model, centres: centres ? true : nil)
    writer = try FeatureWriter(folder: folder)
  }

  /// Does the parts that are missing. Returns nil if `progress` stopped it; finished parts are kept.
  public func explain() throws(Failure) -> Summary? {
    let name = options.name ?? run.name
    corpusID = try writeCorpus()
    let isComplete: Bool
    (runID, isComplete) = try writer.begin(
      record(name), identity: identity, replace: options.replace)
    if !isComplete {
      let scratch = try prepareScratch()
      guard
        let chunks = try timed(
          .codes,
          { () throws(Failure) in
            try CodeChunks.make(
              run, rows: rows, folder: scratch, chunkRows: options.chunkRows,
              threads: options.threads
            ) { self.goesOn(.codes, $0, self.rows.count) }
          })
      else { return nil }
      let stages: [(Stage, () throws(Failure) -> Bool)] = [
        (.explained, { () throws(Failure) in try self.writeExplained(chunks) }),
        (.latents, { () throws(Failure) in try self.writeLatents(chunks) }),
        (.scores, writeScores), (.nearest, writeNearest), (.promoted, writePromoted),
        (.names, writeNames), (.matched, writeMatched), (.search, writeSearch),
        (.postings, writePostings),
      ]
      for (stage, work) in stages {
        guard try timed(stage, work) else { return nil }
      }
      try writer.finish(run: runID)
    } else {
      try writer.settle()
    }
    return try summary(name, wasThere: isComplete)
  }

  private func timed<Value>(
    _ stage: Stage, _ work: () throws(Failure) -> Value
  ) throws(Failure) -> Value {
    let start = ContinuousClock.now
    let value = try work()
    let time = (ContinuousClock.now - start).components
    seconds[stage.rawValue] = Double(time.seconds) + Double(time.attoseconds) * 1e-18
    return value
  }

  /// The folder of scratch files; files of a run with another identity are removed.
  private func prepareScratch() throws(Failure) -> String {
    let folder = writer.scratch(run: runID)
    let note = Path.join(folder, "identity.json")
    let mine = Array(try JSONFile.encode(identity).utf8)
    if Path.exists(note), try MappedFile(path: note).copy() == mine { return folder }
    Path.removeAll(folder)
    try Path.createDirectories(folder)
    try DurableFile.write(mine, to: note)
    return folder
  }

  private func record(_ name: String) throws(Failure) -> RunRecord {
    RunRecord(
      id: 0, name: name, path: run.path, step: run.step, shape: run.shape,
      subThreshold: run.dictionary.activation.subThreshold, rows: rows.count,
      window: rows.kind == .text ? options.contexts.window : 0, hasPromotedTokens: effects != nil,
      isComplete: false, corpus: corpusID, kind: rows.kind, storeName: "",
      configuration: try JSONFile.encode(run.description))
  }
}
#endif
