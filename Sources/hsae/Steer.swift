// hsae steer: prints what a model writes while a latent is made stronger, or taken away. This file has the
// options and opens run, rows and model; `Steering` changes the rows, `Continuation` writes the text.

import ArgumentParser
import HSAEActivations
import HSAEEvaluation
import HSAELanguageModels
import HSAEModels
import HSAERuns
import HSAESupport

struct Steer: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Continue a prompt while a latent is made stronger.",
    discussion: """
      At every position the latent's direction is added to the residual stream where the run's rows come \
      from: x + strength · maximum · ‖x‖ · direction, where maximum is the latent's largest code. So \
      strength 1 is as strong as the latent ever is by itself, 0 changes nothing, and negative strengths \
      subtract the direction. SAELens has the same unit of strength; in Neuronpedia strengths are codes. \
      Special tokens are left unchanged.

      The maximum is measured on rows of the store the run was trained on, unless --max-activation gives \
      it. With --max-activation 1, strengths are in lengths of a row. The same prompt, seed and model give \
      the same text; --temperature 0 takes the most probable token.
      """)

  @Argument(
    help: ArgumentHelp("A run on a model's residual stream.", valueName: "run"),
    completion: .directory)
  var folder: String

  @Option(help: "The latent: 123, or 123.4 for sublatent 4 of expert 123.")
  var latent: String

  @Flag(help: "With a sublatent, also add its expert, scaled by the expert's own maximum.")
  var withParent = false

  // So that -2 is read as a number, not as an option.
  @Option(
    parsing: .unconditional,
    help: "The strength; for each of several, separated by commas, hsae writes a text.")
  var strength: String?

  @Flag(help: "Remove what the latent adds to each row; for an expert also its sublatents.")
  var ablate = false

  @Option(help: "The text to continue.")
  var prompt: String

  @Flag(help: "Leave the prompt's rows unchanged, except for the last.")
  var skipPrompt = false

  @Option(help: "Tokens to write, at most.")
  var tokens = 40

  @Option(help: "0 takes the most probable token; higher values draw from more tokens.")
  var temperature: Float = 0.5

  @Option(help: "How much a token's logit falls each time it was written.")
  var frequencyPenalty: Float = 1

  @Option(help: "Seed of the draws.")
  var seed: UInt64 = 0

  @Option(
    help: """
      The language model: a name, a GGUF file, or synthetic (default: the store's, if it was fetched).
      """, completion: .modelOrSynthetic)
  var model: String?

  @Option(
    help: "The store to measure the maximum on (default: what the run was trained on).",
    completion: .directory)
  var store: String?

  @Option(help: .tensor)
  var tensor: String?

  @Option(help: "Rows to measure the maximum on, at most.")
  var rows = "100k"

  @Option(help: "The latent's maximum; hsae then does not measure it.")
  var maxActivation: Float?

  @Option(help: "The block whose output the rows are, if neither a store nor the run records it.")
  var layer: Int?

  @OptionGroup var threading: ThreadsOption

  @Flag(help: "Print the texts as JSON.")
  var json = false

  func validate() throws {
    guard (1...4096).contains(tokens) else {
      throw ValidationError("--tokens must be between 1 and 4096.")
    }
    if tensor != nil, store == nil { throw ValidationError("--tensor needs --store.") }
    guard prompt.utf8.count <= 1 << 16 else {
      throw ValidationError("--prompt must have at most 65,536 bytes.")
    }
    guard try strengths().allSatisfy({ abs($0) <= 1000 }) else {
      throw ValidationError("--strength must be between -1000 and 1000.")
    }
    guard (0...100).contains(temperature) else {
      throw ValidationError("--temperature must be between 0 and 100.")
    }
    guard abs(frequencyPenalty) <= 100 else {
      throw ValidationError("--frequency-penalty must be between -100 and 100.")
    }
    if let maxActivation, !(maxActivation > 0 && maxActivation.isFinite) {
      throw ValidationError("--max-activation must be above 0.")
    }
    if (try? SizeArgument.count(rows)) ?? 0 < 1 {
      throw ValidationError("--rows must be a whole number of at least 1, such as 100k.")
    }
    if strength == nil, !ablate {
      throw ValidationError("Give a --strength, such as 1, or --ablate.")
    }
  }

  private func strengths() throws -> [Float] {
    try (strength?.split(separator: ",") ?? []).map { text in
      guard let number = Float(text), number.isFinite else {
        throw ValidationError(
          "--strength: \(text) is not a number; write 1, or several as in 0.5,1,2.")
      }
      return number
    }
  }

  func run() throws {
    let strengths = try strengths()
    let run = try LoadedRun(
      path: folder, name: runNames([folder])[0], warn: { report("hsae: \($0)") })
    let chosen = try chosenLatent(in: run)
    let recorded = try run.block()
    let source = try source(of: run, block: layer ?? recorded)
    let store = (source as? ActivationStore)?.attributes
    // If the store is gone, the run's copy of its attributes says what they were.
    let stored = try store ?? RunDirectory.storeAttributes(of: folder)
    if let stored, stored.kind != .residualStream {
      throw Failure.data(
        "\(folder): the run is on a model's vocabulary; steering needs one on its residual stream (hsae"
          + " collect).")
    }
    guard let block = layer ?? store?.layer ?? recorded else {
      throw Failure.usage(
        "\(folder): no store records which block's output the rows are; name the store with --store, or"
          + " the block with --layer.")
    }
    let targets = try targets(chosen, run, source, needsMaximum: !strengths.isEmpty)
    let model = try openModel(stored)
    try check(run, block: block, of: model, store)
    let bos = try stored.map { $0.collection?.bos ?? .auto } ?? run.bos() ?? .auto
    let place = try source.flatMap { (source) throws(Failure) in try RowsPlace(source) }
    if let note = try note(on: run, place, by: model, block: block, bos) {
      report("hsae steer: note: \(note)")
    }
    let result = try write(
      run, targets, block: block, rowScale: run.rowScale(ofStore: stored != nil), bos: bos,
      strengths, by: model)
    try output(json ? JSONFile.encode(result) : result.text(width: terminalWidth()))
  }

  // MARK: What is given

  private func chosenLatent(in run: LoadedRun) throws(Failure) -> LatentNumber {
    let shape = run.shape
    guard let chosen = LatentNumber(latent, in: shape) else {
      throw .usage(
        "--latent \(latent): \(folder) has latents 0 to \(shape.experts - 1)"
          + (shape.isFlat
            ? "." : ", each with sublatents such as 0.0 to 0.\(shape.sublatents - 1)."))
    }
    if withParent, chosen.sublatent == nil {
      throw .usage("--with-parent needs a sublatent, and \(latent) is not one; leave it out.")
    }
    return chosen
  }

  /// The rows to measure on; nil if the run's rows are gone and nothing needs them.
  private func source(
    of run: LoadedRun, block: Int?
  ) throws(Failure) -> (any RowSource)? {
    if store == nil, block != nil, maxActivation != nil,
      !Path.exists(run.description.data?.path ?? "")
    {
      return nil
    }
    return try run.openRows(
      at: store, tensor: tensor,
      advice: "name them with --store, or give "
        + (block == nil ? "--layer and --max-activation." : "--max-activation."))
  }

  private func targets(
    _ chosen: LatentNumber, _ run: LoadedRun, _ source: (any RowSource)?, needsMaximum: Bool
  ) throws(Failure) -> [Steering.Target] {
    var latents = [chosen]
    if withParent { latents.append(LatentNumber(expert: chosen.expert)) }
    if let maxActivation { return latents.map { .init($0, maximum: maxActivation) } }
    guard let source else { return [] }
    let limit = try SizeArgument.count(rows)
    let maxima = try run.maxima(of: latents, on: source, limit: limit, threads: threading.count)
    for (latent, maximum) in zip(latents, maxima) where !(maximum > 0) && needsMaximum {
      throw .data(
        "\(folder): latent \(latent.name) is never active in \(grouped(min(limit, source.rowCount)))"
          + " rows; measure on more with --rows, or give its maximum with --max-activation.")
    }
    return zip(latents, maxima).map { .init($0, maximum: $1) }
  }

  private func openModel(_ stored: StoreAttributes?) throws(Failure) -> any ResidualStreamModel {
    // A token has at least one byte, except for spaces that tokenizers put in front.
    let length = prompt.utf8.count + 16 + tokens
    if model == "synthetic" { return SyntheticModel(contextLength: length) }
    let say = { @Sendable (line: String) in report("hsae steer: \(line)") }
    let path: String
    if let model {
      path = try ModelFetcher(say: say).resolve(model)
    } else if let found = stored.flatMap({ ModelCache().path(ofModel: $0.modelSHA256) }) {
      path = found
    } else {
      throw .usage(
        "Name the run's model with --model"
          + (stored.map { ": \($0.modelName)." } ?? "."))
    }
    return try LlamaModel(
      path: path, weights: stored?.weightsType.flatMap(WeightsChoice.init(name:)) ?? .auto,
      contextLength: length, threads: threading.count, say: say)
  }

  private func check(
    _ run: LoadedRun, block: Int, of model: any ResidualStreamModel, _ stored: StoreAttributes?
  ) throws(Failure) {
    let description = model.description
    if let stored, stored.modelSHA256 != description.sha256 {
      throw .data(
        "\(folder): its rows are of \(stored.modelName) (SHA-256 \(stored.modelSHA256.prefix(12))…), but"
          + " --model is another (\(description.name), \(description.sha256.prefix(12))…); give the model"
          + " the store was collected from.")
    }
    guard run.shape.width == description.width else {
      throw .data(
        "\(description.name): its residual stream has the width \(description.width), and the"
          + " dictionary of \(folder) is for \(run.shape.width); give the model it was trained on.")
    }
    guard (0..<description.blockCount).contains(block) else {
      throw .usage(
        "\(layer == nil ? "\(folder): it is for the output of block" : "--layer") \(block):"
          + " \(description.name) has blocks 0 to \(description.blockCount - 1).")
    }
  }

  /// How the rows differ from those that the run's dictionary is for; nil if they do not.
  private func note(
    on run: LoadedRun, _ place: RowsPlace?, by model: any ResidualStreamModel, block: Int,
    _ bos: BOSRule
  ) throws(Failure) -> String? {
    do throws(Failure) {
      return try run.difference(
        from: place ?? RowsPlace(model, block: block, prefix: model.tokenizer.prefix(bos)))
    } catch {
      // What an MLP or attention adds goes into the block's output, so its directions can be added there.
      guard place == nil, !ablate else { throw error }
      return error.message
    }
  }

  // MARK: Writing

  private func write(
    _ run: LoadedRun, _ targets: [Steering.Target], block: Int, rowScale: RowScale,
    bos: BOSRule, _ strengths: [Float], by model: any ResidualStreamModel
  ) throws(Failure) -> SteeredTexts {
    let read = model.tokenizer.prefix(bos) + model.tokenizer.encode(Array(prompt.utf8)[...])
    guard !read.isEmpty else {
      throw .usage("--prompt: there is no text, and this model needs a first token; write a word.")
    }
    let sampling = Sampling(
      temperature: temperature, frequencyPenalty: frequencyPenalty, seed: seed)
    func text(_ action: Steering.Action?) throws(Failure) -> String {
      let splice = action.map { action in
        Steering(
          action, targets, of: run.dictionary, rowScale: rowScale, threads: threading.count
        ).splice(
          afterBlock: block, from: skipPrompt ? read.count - 1 : 0, tokenizer: model.tokenizer)
      }
      var continuation = Continuation(of: read, by: model, sampling: sampling, splice: splice)
      return model.tokenizer.text(of: try continuation.next(tokens))
    }
    var result = SteeredTexts(
      run: run.name, model: model.description.name, block: block,
      latents: targets.map { .init(latent: $0.latent.name, maximum: $0.maximum) },
      prompt: prompt, seed: seed, temperature: temperature, frequencyPenalty: frequencyPenalty,
      text: try text(nil))
    for strength in strengths {
      result.steered.append(.init(strength: strength, text: try text(.add(strength: strength))))
    }
    if ablate { result.steered.append(.init(strength: nil, text: try text(.ablate))) }
    return result
  }
}
