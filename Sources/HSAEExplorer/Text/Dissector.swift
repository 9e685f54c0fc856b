// Finds the latents that fire in a text: a language model gives the rows of the residual stream, and the runs'
// dictionaries encode them. The model is loaded for the first text; texts are read one at a time.

#if Explorer
import HSAEActivations
public import HSAELanguageModels
public import HSAEModels
public import HSAESupport
internal import HSAETensors
import HSAERuns

/// A language model and the dictionaries of its residual stream.
public actor Dissector {
  /// The largest number of tokens that are read.
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
  private let loadUnembedding: (@Sendable () throws(Failure) -> StoredUnembedding)?
  private let dictionaryOf: @Sendable (RunRecord) throws(Failure) -> SparseAutoencoder
  let threads: Int
  var model: (any ResidualStreamModel)?
  private var dictionaries: [Int: SparseAutoencoder] = [:]
  /// The continuation that is being written; nil if there is none.
  var steered: Steered?
  /// Continuations without steering that are remembered.
  var unsteered: [SteeringRequest.Unsteered: [Int32]] = [:]
  private var known: [KnownText] = []
  private var openedUnembedding: StoredUnembedding??

  /// A text that was read.
  struct KnownText {
    var text: String
    var runs: [Int]
    var dissection: Dissection
    /// Its rows of the residual stream, one after another.
    var rows: [Float]
    /// What reconstructions leave of tokens that were asked about, by place.
    var rests: [Int: [Rest]] = [:]
    /// The database's stamp at that time: labels may have changed since.
    var stamp: FileStamp
  }

  /// A dissector with the model that `load` returns, which is called once, for the first text. `dictionary`
  /// returns a run's dictionary, by default the newest checkpoint in its folder. `unembedding` opens the model's
  /// unembedding; without it pages have no tokens along what a reconstruction leaves.
  public init(
    threads: Int = processorCount,
    dictionary: @escaping @Sendable (RunRecord) throws(Failure) -> SparseAutoencoder =
      savedDictionary,
    unembedding: (@Sendable () throws(Failure) -> StoredUnembedding)? = nil,
    load: @escaping @Sendable () throws(Failure) -> any ResidualStreamModel
  ) {
    (self.threads, self.load, dictionaryOf) = (threads, load, dictionary)
    loadUnembedding = unembedding
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
    try read(text, by: runs, database).dissection
  }

  /// The model's unembedding, opened once; nil if there is none that can be read.
  func unembedding() -> StoredUnembedding? {
    if let openedUnembedding { return openedUnembedding }
    let opened = try? loadUnembedding?()
    openedUnembedding = .some(opened)
    return opened
  }

  /// Remembers what reconstructions leave at token `place` of `text`.
  func remember(_ rests: [Rest], at place: Int, of text: KnownText) {
    let index = known.firstIndex { $0.text == text.text && $0.runs == text.runs }
    if let index { known[index].rests[place] = rests }
  }

  func read(
    _ text: String, by runs: [RunRecord], _ database: FeatureDatabase
  ) throws(Failure) -> KnownText {
    let numbers = runs.map(\.id)
    let stamp = FileStamp(database: database.path)
    known.removeAll { $0.stamp != stamp }
    if let index = known.firstIndex(where: { $0.text == text && $0.runs == numbers }) {
      return known[index]
    }
    guard let layer = runs.first?.layer else {
      throw .usage("Only runs on a model's residual stream can read texts.")
    }
    let model = try loaded(for: runs)
    let all = model.tokenizer.encode(Array(text.utf8)[...])
    guard !all.isEmpty else { throw .usage("There is no text to read.") }
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
      let parts = try parts(of: scaled, tokens, by: run, database)
      dissection.runs.append(.init(run: run.name, tokens: parts))
    }
    let new = KnownText(
      text: text, runs: numbers, dissection: dissection, rows: Array(rows.elements), stamp: stamp)
    known.append(new)
    if known.count > Self.remembered { known.removeFirst() }
    return new
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
          "The contexts of \(run.name) begin with BOS by another rule than those of the others; read the text with"
            + " one of them at a time.")
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
    of rows: borrowing Matrix, _ tokens: [Int32], by run: RunRecord, _ database: FeatureDatabase
  ) throws(Failure) -> [TokenParts] {
    let dictionary = try dictionary(of: run)
    let codes = dictionary.encode(rows, threads: threads)
    let shares = dictionary.explainedShares(
      of: rows, by: codes, wantsTopLevel: true, threads: threads)
    func sublatent(_ code: Code) -> LatentNumber? {
      code.sublatent < 0 ? nil : LatentNumber(expert: code.expert, sublatent: code.sublatent)
    }
    let latents = codes.all.flatMap { [LatentNumber(expert: $0.expert), sublatent($0)] }
    let records = try database.records(of: Set(latents.compactMap(\.self)), in: run)
    var parts: [TokenParts] = []
    for index in 0..<codes.count {
      let active = codes[index].compactMap { code -> ActiveLatent? in
        guard let own = records[LatentNumber(expert: code.expert)] else { return nil }
        let sub = sublatent(code).flatMap { records[$0] }
        return ActiveLatent(
          latent: own, value: code.value, sublatent: sub, subValue: code.subValue,
          isSublatentActive: sub != nil && code.activeSublatent(threshold: run.subThreshold) != nil)
      }
      parts.append(
        TokenParts(
          explained: shares[index].full, explainedByTopLevel: shares[index].topLevel,
          standing: try database.standing(
            of: tokens[index], explained: shares[index].full, in: run),
          latents: active))
    }
    return parts
  }
}
#endif
