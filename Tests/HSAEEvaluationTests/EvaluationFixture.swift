// Dictionaries with a known effect, and rows and text of the synthetic model.

import HSAEActivations
import HSAELanguageModels
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport

@testable import HSAEEvaluation
@testable import HSAERuns

enum EvaluationFixture {
  /// A run called `name` with a dictionary of `shape`, whose weights `fill` sets.
  static func run(
    _ name: String, _ shape: DictionaryShape, bias: [Float]? = nil,
    normalize: Normalisation = .unit, fingerprint: String = "",
    threshold: Float = 0, fill: (inout Parameters) -> Void = { _ in }
  ) throws -> LoadedRun {
    var options = TrainingOptions()
    (options.experts, options.sublatents) = (shape.experts, shape.sublatents)
    (options.subspace, options.k, options.steps, options.batch) =
      (shape.subspace, Double(shape.activeExperts), 10, 16)
    options.normalize = normalize
    let configuration = try TrainingConfiguration(
      options,
      data: DataDescription(
        path: "rows", fingerprint: fingerprint, rows: 100, width: shape.width))
    var parameters = Parameters(shape: shape, hasBias: bias != nil)
    if let bias { for column in bias.indices { parameters.bias[0, column] = bias[column] } }
    fill(&parameters)
    return LoadedRun(
      name: name, path: name, description: .trained(configuration), step: 10,
      dictionary: SparseAutoencoder(
        parameters: parameters,
        activation: ActivationFunction(threshold: threshold, subThreshold: threshold)))
  }

  /// Rebuilds every row exactly: latents ±e_i.
  static func perfect(_ width: Int, normalize: Normalisation = .unit) throws -> LoadedRun {
    try run(
      "perfect",
      DictionaryShape(
        width: width, experts: 2 * width, sublatents: 0, subspace: 0, activeExperts: width),
      normalize: normalize
    ) { parameters in
      for latent in 0..<2 * width {
        let sign: Float = latent < width ? 1 : -1
        parameters.encoderSide[latent, latent % width] = sign
        parameters.decoderSide[latent, latent % width] = sign
      }
    }
  }

  /// Rebuilds every row as `bias`, or as zero.
  static func constant(
    _ name: String, _ width: Int, bias: [Float]? = nil, normalize: Normalisation = .unit,
    fingerprint: String = ""
  ) throws -> LoadedRun {
    try run(
      name,
      DictionaryShape(width: width, experts: 4, sublatents: 0, subspace: 0, activeExperts: 2),
      bias: bias, normalize: normalize, fingerprint: fingerprint)
  }

  /// `run` under the name `name`, as an imported run or with the configuration that `change` makes.
  static func changed(
    _ run: LoadedRun, _ name: String, change: ((inout TrainingConfiguration) -> Void)? = nil
  ) -> LoadedRun {
    var description = RunDescription.imported(
      ImportedDictionary(
        shape: run.shape, activation: run.description.activation,
        normalize: run.description.normalize,
        origin: Origin(layout: "SAELens 6", architecture: "standard", path: "/theirs")))
    if let change, var configuration = run.description.training {
      change(&configuration)
      description = .trained(configuration)
    }
    return LoadedRun(
      name: name, path: name, description: description, step: run.step, dictionary: run.dictionary)
  }

  /// Documents of words, the same every time.
  static func documents(_ count: Int) -> [Document] {
    var generator = SeededGenerator(seed: 3)
    return (0..<count).map { index in
      let words = (0..<(2 + Int(generator.next() % 8))).map { _ in "w\(generator.next() % 50)" }
      return Document(
        text: Array(words.joined(separator: " ").utf8), language: "en", title: "Title \(index)")
    }
  }

  /// A store of the last block of `model` over `documents`, a third of them held out, at `path`.
  static func collect(
    _ path: String, model: any ResidualStreamModel, documents: [Document], bos: BOSRule = .auto
  ) throws -> ActivationStore {
    var settings = CollectionSettings(block: model.description.blockCount - 1)
    settings.contextLength = 64
    settings.holdoutFraction = 0.3
    settings.bos = bos
    let collector = try Collector(
      model: model, settings: settings, path: path, corpus: [.init(name: "test", bytes: 1)])
    _ = try collector.prepare(documents: { DocumentList(documents) }, threads: 1)
    _ = try collector.run()
    return try ActivationStore(path: path)
  }

  /// An input of a store and `model`, with few bootstrap samples and few steps of meta-structure.
  static func input(
    _ source: (any RowSource)?, model: (any ResidualStreamModel)? = nil, text: [Document]? = nil,
    layer: Int? = nil, change: (inout EvaluationOptions) -> Void = { _ in }
  ) -> EvaluationInput {
    var options = EvaluationOptions()
    (options.resamples, options.threads, options.metaSteps) = (200, 2, 20)
    change(&options)
    var loader: EvaluationInput.ModelLoader?
    if let model { loader = { (_, _) throws(Failure) in model } }
    return EvaluationInput(
      options: options, source: source, text: text, textName: "text", layer: layer, loader: loader)
  }
}
