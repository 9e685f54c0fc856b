// What an evaluation is given besides the runs: a store, a model, text; opened when a suite asks, checked
// against the runs, and shared between suites.

public import HSAEActivations
public import HSAEDistribution
public import HSAELanguageModels
import HSAEModels
public import HSAESupport
import HSAETensors
public import HSAERuns

/// A context to read a model with, and the document it is of.
public struct EvaluationContext: Hashable, Sendable {
  /// Its tokens, as the model sees them.
  public var tokens: [Int32]
  /// The document, 0, 1, …
  public var document: Int
}

/// What an evaluation is given.
public final class EvaluationInput {
  /// Opens the model for contexts of up to so many tokens, computing with weights of the named type
  /// (nil: any).
  public typealias ModelLoader = (
    _ contextLength: Int, _ weights: String?
  ) throws(Failure) -> any ResidualStreamModel

  /// Finds sentences in several languages.
  public typealias SentenceSource = () throws(Failure) -> ParallelSentences

  /// What the user chose.
  public let options: EvaluationOptions
  /// The store or matrix, if there is one.
  public let source: (any RowSource)?
  /// Its path without folders.
  public var sourceName: String { source.map { Path.name($0.path) } ?? "" }
  /// The source, if it is an activation store.
  public var store: ActivationStore? { source as? ActivationStore }
  /// Documents to read the model with instead of the store's.
  let text: [Document]?
  let textName: String
  private let layer: Int?
  private let loader: ModelLoader?
  private let sentenceSource: SentenceSource?
  private var loaded: (any ResidualStreamModel)?
  /// The residual stream over the text, once a suite has asked for it.
  var capturedRows: EvaluationRows?
  /// The processes that evaluate together.
  public let ranks: any Communicator
  /// Is told, in a few words, what is being done.
  public let say: (String) -> Void
  /// Is told how many tokens of how many the model has read.
  public let progress: (_ done: Int, _ total: Int) -> Void

  /// An input of the given parts; `layer` is the block, where no store names it.
  public init(
    options: EvaluationOptions = EvaluationOptions(), source: (any RowSource)? = nil,
    text: [Document]? = nil, textName: String = "", layer: Int? = nil, loader: ModelLoader? = nil,
    sentences: SentenceSource? = nil, ranks: any Communicator = SingleProcess(),
    say: @escaping (String) -> Void = { _ in },
    progress: @escaping (_ done: Int, _ total: Int) -> Void = { _, _ in }
  ) {
    (self.options, self.source, self.text, self.textName) = (options, source, text, textName)
    (self.layer, self.loader, self.say, self.progress) = (layer, loader, say, progress)
    (sentenceSource, self.ranks) = (sentences, ranks)
  }

  /// Whether a model was given.
  public var hasModel: Bool { loader != nil }

  /// Fails unless the rows fit `runs`.
  public func check(_ runs: [LoadedRun]) throws(Failure) {
    guard let source else { return }
    for run in runs { try run.requireWidth(of: source) }
  }

  /// The name of what `run` was trained on, where rows of another store or matrix are given.
  func otherRows(than run: LoadedRun) -> String? {
    guard text == nil, let source, let data = run.description.data,
      source.fingerprint != data.fingerprint
    else { return nil }
    return data.name
  }

  /// What a result should say of the rows, if they are not those that `run`, one of `runs`, was kept from seeing.
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

  // MARK: The model

  /// The model, loaded, once it is known to fit `runs`. `suite` names who asks.
  public func model(
    for runs: [LoadedRun], suite: String
  ) throws(Failure) -> any ResidualStreamModel {
    try requireResidualStream(suite)
    let model: any ResidualStreamModel
    if let loaded {
      model = loaded
    } else {
      guard let loader else {
        throw .usage(
          "The suite \(suite) reads a language model; name the one the runs are of with --model.")
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
    guard block < model.description.blockCount else {
      throw .usage(
        "\(model.description.name): there is no block \(block); it has blocks 0 to"
          + " \(model.description.blockCount - 1).")
    }
    return model
  }

  private func requireResidualStream(_ suite: String) throws(Failure) {
    guard let store, store.attributes.kind != .residualStream else { return }
    throw .data(
      "The suite \(suite) reads a model's residual stream, and \(sourceName) holds rows of its"
        + " vocabulary; give runs of a residual stream (hsae collect).")
  }

  /// The block whose output the runs are of, counting from 0. `suite` names who asks.
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

  /// Sentences in several languages.
  func sentences() throws(Failure) -> ParallelSentences {
    guard let sentenceSource else {
      throw .usage("The suite crosslingual needs sentences in several languages (--sentences).")
    }
    return try sentenceSource()
  }
}
