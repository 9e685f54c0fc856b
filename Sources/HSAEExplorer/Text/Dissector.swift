// Takes texts apart: a language model gives the rows of the residual stream, and the runs' dictionaries
// encode them. The model is loaded for the first text; texts are taken apart one at a time.

#if Explorer
import HSAEActivations
public import HSAELanguageModels
public import HSAEModels
public import HSAESupport
internal import HSAETensors
import HSAERuns

/// A language model and the dictionaries of its residual stream.
public actor Dissector {
  /// The largest number of tokens that are taken apart.
  static let longestText = 256
  /// The context length that the model needs: a text with special tokens, or a prompt and its continuation.
  public static let contextLength = longestText + SteeringRequest.mostTokens + 8
  /// How many texts are remembered, so that a click on a token does not compute them again.
  static let remembered = 16

  /// The failure without a model.
  static let noModel = Failure(
    .unavailable,
    "There is no language model to read and write texts with; start hsae explore with --model and the model"
      + " that the runs were trained on.")

  private let load: @Sendable () throws(Failure) -> any ResidualStreamModel
  private let dictionaryOf: @Sendable (RunRecord) throws(Failure) -> SparseAutoencoder
  let threads: Int
  var model: (any ResidualStreamModel)?
  private var dictionaries: [Int: SparseAutoencoder] = [:]
  /// The continuation that is being written; nil if there is none.
  var steered: Steered?
  /// Continuations without steering that are remembered.
  var unsteered: [SteeringRequest.Unsteered: [Int32]] = [:]
  private var known: [(text: String, runs: [Int], dissection: Dissection)] = []

  /// A dissector with the model that `load` returns, which is called once, for the first text. `dictionary`
  /// returns a run's dictionary, by default the newest checkpoint in its folder.
  public init(
    threads: Int = processorCount,
    dictionary: @escaping @Sendable (RunRecord) throws(Failure) -> SparseAutoencoder =
      savedDictionary,
    load: @escaping @Sendable () throws(Failure) -> any ResidualStreamModel
  ) {
    (self.threads, self.load, dictionaryOf) = (threads, load, dictionary)
  }

  /// The dictionary that `run` was explained with, from the run's folder.
  ///
  /// Fails with `.missing` if the folder is gone, with `.data` if it has another checkpoint now.
  public static let savedDictionary: @Sendable (RunRecord) throws(Failure) -> SparseAutoencoder = {
    (run) throws(Failure) in
    let (dictionary, step) = try RunDirectory(path: run.path).dictionary(warn: { _ in })
    guard dictionary.shape == run.shape, step == run.step else {
      throw .data(
        "\(run.path): it is at step \(step) now, and step \(run.step) was explained; run hsae explain"
          + " --replace.")
    }
    return dictionary
  }

  /// The latents of `runs` that are active at the tokens of `text`.
  ///
  /// Fails with `.usage` if there is no text, with `.data` if a run does not belong to a residual stream of
  /// this model, and with `.missing` if a run's folder is gone.
  func dissect(
    _ text: String, by runs: [RunRecord], _ database: FeatureDatabase
  ) throws(Failure) -> Dissection {
    let numbers = runs.map(\.id)
    if let index = known.firstIndex(where: { $0.text == text && $0.runs == numbers }) {
      return known[index].dissection
    }
    guard let layer = runs.first?.layer else {
      throw .usage("Only runs on a model's residual stream can take texts apart.")
    }
    let model = try loaded(for: runs)
    let all = model.tokenizer.encode(Array(text.utf8)[...])
    guard !all.isEmpty else { throw .usage("There is no text to take apart.") }
    let prefix = model.tokenizer.prefix(runs.first?.bos ?? .auto)
    let limit = min(Self.longestText, model.contextLength - prefix.count)
    let tokens = Array(all.prefix(limit))
    var captured = Matrix(rows: prefix.count + tokens.count, columns: model.description.width)
    try model.capture([prefix + tokens], afterBlock: layer, into: &captured)
    let rows = Matrix(
      rows: tokens.count, columns: captured.columns,
      elements: Array(captured.elements[(prefix.count * captured.columns)...]))
    let norms = rows.rowNorms()
    var dissection = Dissection(
      tokens: tokens.indices.map { index in
        let token = Int(tokens[index])
        return .init(token: token, text: model.tokenizer.pieces[token], norm: norms[index])
      }, isCut: tokens.count < all.count, runs: [])
    for run in runs {
      var scaled = rows.copy()
      _ = run.rowScale.apply(to: &scaled)
      let parts = try parts(of: scaled, by: run, database)
      dissection.runs.append(.init(run: run.name, tokens: parts))
    }
    known.append((text, numbers, dissection))
    if known.count > Self.remembered { known.removeFirst() }
    return dissection
  }

  func loaded(for runs: [RunRecord]) throws(Failure) -> any ResidualStreamModel {
    let model: any ResidualStreamModel
    if let loaded = self.model { model = loaded } else { model = try load() }
    self.model = model
    let description = model.description
    for run in runs {
      guard run.kind == .text, run.layer == runs.first?.layer else {
        throw .data("\(run.name) is not on the same block of a residual stream as the other runs.")
      }
      guard run.bos == runs.first?.bos else {
        throw .data(
          "The contexts of \(run.name) begin with BOS by another rule than those of the others; take the text apart"
            + " for each.")
      }
      guard run.modelSHA256 == description.sha256, run.shape.width == description.width else {
        throw .data(
          "\(run.name) was trained on \(run.modelName ?? "another model"), not on \(description.name)."
        )
      }
    }
    return model
  }

  func dictionary(of run: RunRecord) throws(Failure) -> SparseAutoencoder {
    if let dictionary = dictionaries[run.id] { return dictionary }
    let dictionary = try dictionaryOf(run)
    dictionaries[run.id] = dictionary
    return dictionary
  }

  private func parts(
    of rows: borrowing Matrix, by run: RunRecord, _ database: FeatureDatabase
  ) throws(Failure) -> [TokenParts] {
    let dictionary = try dictionary(of: run)
    let codes = dictionary.encode(rows, threads: threads)
    let full = dictionary.decode(codes, threads: threads)
    let top = dictionary.decode(codes, topLevelOnly: true, threads: threads)
    let bias = (0..<rows.columns).map { column in
      dictionary.parameters.hasBias ? Double(dictionary.parameters.bias[0, column]) : 0
    }
    func sublatent(_ code: Code) -> LatentNumber? {
      code.sublatent < 0 ? nil : LatentNumber(expert: code.expert, sublatent: code.sublatent)
    }
    let latents = codes.all.flatMap { [LatentNumber(expert: $0.expert), sublatent($0)] }
    let records = try database.records(of: Set(latents.compactMap(\.self)), in: run)
    var parts: [TokenParts] = []
    for index in 0..<codes.count {
      let x = rows.row(index)
      var sums = ReconstructionSums(
        row: x, reconstruction: full.row(index), topLevel: top.row(index))
      // The share of what the bias alone leaves unexplained.
      sums[.spread] = x.squaredDistance(from: bias)
      let active = codes[index].compactMap { code -> ActiveLatent? in
        guard let own = records[LatentNumber(expert: code.expert)] else { return nil }
        let sub = sublatent(code).flatMap { records[$0] }
        return ActiveLatent(
          latent: own, value: code.value, sublatent: sub, subValue: code.subValue,
          isSublatentActive: sub != nil && code.activeSublatent(threshold: run.subThreshold) != nil)
      }
      parts.append(
        TokenParts(
          explained: sums.quality(.full).explainedVariance,
          explainedByTopLevel: sums.quality(.topLevel).explainedVariance, latents: active))
    }
    return parts
  }
}
#endif
