// The input of an evaluation besides the runs: a store, a model, text. It opens each when a suite first asks,
// checks it against the runs, and shares it between suites.

public import HSAEActivations
public import HSAEDistribution
public import HSAELanguageModels
import HSAEModels
public import HSAERuns
public import HSAESupport
import HSAETensors

/// A context for the model, and its document.
public struct EvaluationContext: Hashable, Sendable {
  /// Its tokens, including the prefix.
  public var tokens: [Int32]
  /// The document: 0, 1, ….
  public var document: Int
}

/// The input of an evaluation.
public final class EvaluationInput {
  /// Opens the model for contexts of at most `contextLength` tokens, with weights of the named type (nil: any).
  public typealias ModelLoader = (
    _ contextLength: Int, _ weights: String?
  ) throws(Failure) -> any ResidualStreamModel

  /// Finds sentences in several languages.
  public typealias SentenceSource = () throws(Failure) -> ParallelSentences

  /// Finds labelled texts.
  public typealias ProbingSource = () throws(Failure) -> ProbingTexts

  /// The user's options.
  public let options: EvaluationOptions
  /// The store or matrix, if there is one.
  public let source: (any RowSource)?
  /// Its file name.
  public var sourceName: String { source.map { Path.name($0.path) } ?? "" }
  /// The source, if it is an activation store.
  public var store: ActivationStore? { source as? ActivationStore }
  /// Documents for the model instead of the store's.
  let text: [Document]?
  let textName: String
  private let layer: Int?
  private let loader: ModelLoader?
  private let sentenceSource: SentenceSource?
  private let probingSource: ProbingSource?
  private var loaded: (any ResidualStreamModel)?
  /// The residual stream over the text, after a suite has asked for it.
  var capturedRows: EvaluationRows?
  /// The processes that evaluate together.
  public let ranks: any Communicator
  /// Called with a few words for each piece of work that begins.
  public let say: (String) -> Void
  /// Called with the number of `units` (such as "tokens") that are done, and their total.
  public let progress: (_ done: Int, _ total: Int, _ units: String) -> Void

  /// An input with the given parts; `layer` is the block, if no store names it.
  public init(
    options: EvaluationOptions = EvaluationOptions(), source: (any RowSource)? = nil,
    text: [Document]? = nil, textName: String = "", layer: Int? = nil, loader: ModelLoader? = nil,
    sentences: SentenceSource? = nil, probing: ProbingSource? = nil,
    ranks: any Communicator = SingleProcess(),
    say: @escaping (String) -> Void = { _ in },
    progress: @escaping (_ done: Int, _ total: Int, _ units: String) -> Void = { _, _, _ in }
  ) {
    (self.options, self.source, self.text, self.textName) = (options, source, text, textName)
    (self.layer, self.loader, self.say, self.progress) = (layer, loader, say, progress)
    (sentenceSource, probingSource, self.ranks) = (sentences, probing, ranks)
  }

  /// Whether a model was given.
  public var hasModel: Bool { loader != nil }

  /// Fails with `.data` unless the rows have the width of `runs` and may be of their hook points; notes other
  /// differences between the rows and those that the runs are for.
  public func check(_ runs: [LoadedRun]) throws(Failure) {
    guard let source else { return }
    for run in runs { try run.requireWidth(of: source) }
    try noteDifferences(of: runs, from: RowsPlace(source))
  }

  private func noteDifferences(of runs: [LoadedRun], from place: RowsPlace?) throws(Failure) {
    for run in runs {
      if let note = try run.difference(from: place) { say("note: \(note)") }
    }
  }

  /// The name of the data that `run` was trained on, if the given rows are others; nil otherwise.
  func otherRows(than run: LoadedRun) -> String? {
    guard text == nil, let source, let data = run.description.data,
      source.fingerprint != data.fingerprint
    else { return nil }
    return data.name
  }

  /// A note for the result of `run`, one of `runs`: whether it was trained on the rows. Nil if the rows were
  /// held out.
  func note(on run: LoadedRun, among runs: [LoadedRun], isHeldOut: Bool) -> String? {
    if run.description.origin != nil {
      return "\(run.name) was imported: whether its training saw these rows is not known."
    }
    if !run.description.knowsRows {
      return
        "\(run.name) was trained on rows that a program gave it: whether it saw these is not known."
    }
    if let data = otherRows(than: run) {
      return "\(run.name) was trained on other rows: \(data)."
    }
    if isHeldOut { return nil }
    let isAll = runs.allSatisfy { $0.description.knowsRows && otherRows(than: $0) == nil }
    return "No rows were held out: these are rows \(isAll ? "the runs were" : "\(run.name) was")"
      + " trained on."
  }

  /// The result of each of `runs` on `rows` by `measure`, with what a reader must know: whether rows were held out, and
  /// whether runs spend different numbers of codes.
  func results(
    of runs: [LoadedRun], on rows: EvaluationRows,
    by measure: (LoadedRun) throws(Failure) -> SuiteResult
  ) throws(Failure) -> [SuiteResult] {
    var results: [SuiteResult] = []
    for run in runs {
      var result = try measure(run)
      result.isHeldOut = text == nil && run.description.knowsRows ? rows.isHeldOut : nil
      if let note = note(on: run, among: runs, isHeldOut: rows.isHeldOut) {
        result.notes.append(note)
      }
      results.append(result)
    }
    Comparison.noteUnequalCosts(of: runs, in: &results)
    return results
  }

  // MARK: The model

  /// The model, loaded on the first call. Fails if it does not fit `runs`; `suite` is named in messages.
  public func model(
    for runs: [LoadedRun], suite: String
  ) throws(Failure) -> any ResidualStreamModel {
    try requireResidualStream(suite)
    let model: any ResidualStreamModel
    let isNew = loaded == nil
    if let loaded {
      model = loaded
    } else {
      guard let loader else {
        throw .usage(
          "The suite \(suite) needs the language model that the runs were trained on; name it with --model."
        )
      }
      let collected = store?.attributes
      model = try loader(max(256, collected?.contextLength ?? 0), collected?.weightsType)
      loaded = model
      if let collected, collected.modelSHA256 != model.description.sha256 {
        throw .data(
          "\(sourceName) is of \(collected.modelName) (SHA-256 \(collected.modelSHA256.prefix(12))…), and"
            + " --model is another (\(model.description.name), \(model.description.sha256.prefix(12))…);"
            + " give the model the store was collected from.")
      }
    }
    for run in runs where run.shape.width != model.description.width {
      throw .data(
        "\(model.description.name): its residual stream has the width \(model.description.width), and"
          + " the dictionary of \(run.path) is for \(run.shape.width); give the model it was trained on."
      )
    }
    let block = try block(suite: suite)
    try model.description.requireBlock(block)
    if isNew, store == nil {
      let prefix = try prefix(for: runs, of: model)
      try noteDifferences(of: runs, from: RowsPlace(model, block: block, prefix: prefix))
    }
    return model
  }

  /// The tokens that begin every context of `model`: BOS if the store's contexts began with it, or without a store
  /// those in the training of `runs`.
  ///
  /// Fails with `.usage` if there is no store and the runs do not agree.
  func prefix(
    for runs: [LoadedRun], of model: any ResidualStreamModel
  ) throws(Failure) -> [Int32] {
    let tokenizer = model.tokenizer
    if let collection = store?.attributes.collection {
      return tokenizer.prefix(collection.bos ?? .auto)
    }
    var found: [Int32]?
    for run in runs {
      guard let rule = try run.bos() else { continue }
      let prefix = tokenizer.prefix(rule)
      guard found == nil || found == prefix else {
        throw .usage(
          "\(run.name) was trained on contexts \(prefix.isEmpty ? "without" : "with") a beginning-of-sequence"
            + " token, unlike the runs before it; evaluate it by itself, or name a store with --store."
        )
      }
      found = prefix
    }
    return found ?? tokenizer.prefix
  }

  private func requireResidualStream(_ suite: String) throws(Failure) {
    guard let store, store.attributes.kind != .residualStream else { return }
    throw .data(
      "The suite \(suite) reads a model's residual stream, and \(sourceName) holds rows of its"
        + " vocabulary; give runs of a residual stream (hsae collect).")
  }

  /// The block, counting from 0, whose output the runs explain. `suite` is named in messages.
  public func block(suite: String) throws(Failure) -> Int {
    try requireResidualStream(suite)
    let stored = store?.attributes.layer
    if let layer {
      guard let stored, stored != layer else { return layer }
      throw .usage(
        "--layer \(layer): \(sourceName) is the output of block \(stored); leave out --layer, or give"
          + " another store.")
    }
    guard let stored else {
      throw .usage(
        "The suite \(suite) must know which block's output the runs are of; give the store they were"
          + " trained on (--store), or the block (--layer).")
    }
    return stored
  }

  func sentences() throws(Failure) -> ParallelSentences {
    guard let sentenceSource else {
      throw .usage("The suite crosslingual needs sentences in several languages (--sentences).")
    }
    return try sentenceSource()
  }

  func probingTexts() throws(Failure) -> ProbingTexts {
    guard let probingSource else { throw .usage("The suite probing needs labelled texts.") }
    return try probingSource()
  }
}
