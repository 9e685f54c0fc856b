// Writes latents as JSON in the layout of SAEDashboard's batches, which Neuronpedia imports. That layout has
// no hierarchy, so the top level and the sublatents become two sets.

#if Explorer
import Foundation
import HSAEModels
public import HSAESupport

/// A batch of features as SAEDashboard 0.x writes them. The names are its keys, in snake case in the file.
struct NeuronpediaBatch: Encodable {
  struct Activation: Encodable {
    var binMin: Double
    var binMax: Double
    var binContains: Double
    var tokens: [String]
    var values: [Double]
    /// The index of the token that the context is about.
    var qualifyingTokenIndex: Int
  }

  struct Feature: Encodable {
    var featureIndex: Int
    /// The nearest latents of the set, and their cosines.
    var correlatedFeaturesIndices: [Int]
    var correlatedFeaturesL1: [Double]
    var negStr: [String]
    var negValues: [Double]
    var posStr: [String]
    var posValues: [Double]
    var fracNonzero: Double
    var freqHistDataBarValues: [Double]
    var freqHistDataBarHeights: [Double]
    var nPromptsTotal: Int
    var nTokensInPrompt: Int
    var dataset: String
    var activations: [Activation]
    // Fields that hsae does not measure are empty, as SAEDashboard writes them when they are switched off.
    var neuronAlignmentIndices: [Double] = [], neuronAlignmentValues: [Double] = []
    var neuronAlignmentL1: [Double] = [], correlatedNeuronsIndices: [Double] = []
    var correlatedNeuronsL1: [Double] = [], correlatedNeuronsPearson: [Double] = []
    var correlatedFeaturesPearson: [Double] = [], decoderWeightsDist: [Double] = []
    var logitsHistDataBarHeights: [Double] = [], logitsHistDataBarValues: [Double] = []
  }

  var modelId: String
  var layer: Int
  var saeSet: String
  var features: [Feature]
}

extension FeatureDatabase {
  /// Features in a file.
  static let exportBatch = 128

  /// Writes the live experts or sublatents of `run` to `folder` in SAEDashboard's layout, as `batch-0.json`
  /// and so on, and the user's labels and lists as `labels.json`; `set` is the name of the set. A sublatent's index is expert · a + sublatent. Returns the
  /// number of latents written. `progress` receives the number of latents done.
  public func exportForNeuronpedia(
    _ run: RunRecord, sublatents: Bool, set: String, to folder: String,
    progress: (_ done: Int) -> Void
  ) throws(Failure) -> Int {
    let documents = try documentCount(of: run)
    let count = run.shape.experts * (sublatents ? run.shape.sublatents : 1)
    var written = 0
    for first in stride(from: 0, to: count, by: Self.exportBatch) {
      progress(first)
      var batch = NeuronpediaBatch(
        modelId: run.modelName ?? run.storeName, layer: run.layer ?? 0, saeSet: set, features: [])
      for index in first..<min(count, first + Self.exportBatch) {
        let latent =
          sublatents
          ? LatentNumber(
            expert: index / run.shape.sublatents, sublatent: index % run.shape.sublatents)
          : LatentNumber(expert: index)
        guard let detail = try detail(of: latent, in: run), detail.latent.count > 0 else {
          continue
        }
        batch.features.append(
          NeuronpediaBatch.Feature(
            detail, index: index, run: run, documents: documents, sublatents: sublatents))
      }
      if batch.features.isEmpty { continue }
      written += batch.features.count
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      encoder.keyEncodingStrategy = .convertToSnakeCase
      guard let data = try? encoder.encode(batch) else {
        throw Failure(.software, "Features \(first) and up cannot be written as JSON.")
      }
      try DurableFile.write(
        [UInt8](data), to: Path.join(folder, "batch-\(first / Self.exportBatch).json"))
    }
    let labels = try labels(in: run)
    if !labels.isEmpty {
      try DurableFile.write(
        Array(JSONFile.encode(labels).utf8), to: Path.join(folder, "labels.json"))
    }
    return written
  }
}

extension NeuronpediaBatch.Feature {
  fileprivate init(
    _ detail: LatentDetail, index: Int, run: RunRecord, documents: Int, sublatents: Bool
  ) {
    func rounded(_ value: Float) -> Double { (Double(value) * 1000).rounded() / 1000 }
    func plain(_ token: String) -> String { token.replacing("\u{2581}", with: " ") }
    func activation(
      _ context: ContextText, _ low: Double, _ high: Double, _ share: Double
    ) -> NeuronpediaBatch.Activation {
      .init(
        binMin: low, binMax: high, binContains: share,
        tokens: context.tokens.map { plain($0.text) },
        values: context.tokens.map { rounded($0.value) }, qualifyingTokenIndex: context.centre)
    }
    // SAEDashboard writes -1 for the strongest contexts, which have no bin; a sample's bin is its fifth.
    let maximum = rounded(detail.latent.maximum)
    var activations = detail.strongest.map { activation($0, -1, maximum, -1) }
    for samples in detail.samples {
      let values = samples.map { rounded($0.value) }
      guard let low = values.min(), let high = values.max() else { continue }
      activations += samples.map { activation($0, low, high, 1 / Double(detail.samples.count)) }
    }
    // Latents of the other set have no index here.
    let related = detail.nearest.filter { ($0.latent.sublatent != nil) == sublatents }
    let bins = Double(max(1, detail.histogram.count))
    self.init(
      featureIndex: index,
      correlatedFeaturesIndices: related.map {
        sublatents
          ? $0.latent.expert * run.shape.sublatents + ($0.latent.sublatent ?? 0) : $0.latent.expert
      },
      correlatedFeaturesL1: related.map { rounded($0.value) },
      negStr: detail.promoted?.suppressed.map { plain($0.text) } ?? [],
      negValues: detail.promoted?.suppressed.map { rounded($0.value) } ?? [],
      posStr: detail.promoted?.promoted.map { plain($0.text) } ?? [],
      posValues: detail.promoted?.promoted.map { rounded($0.value) } ?? [],
      fracNonzero: detail.latent.density,
      freqHistDataBarValues: detail.histogram.indices.map {
        rounded(Float((Double($0) + 0.5) / bins * Double(detail.latent.maximum)))
      },
      freqHistDataBarHeights: detail.histogram.map { Double($0) }, nPromptsTotal: documents,
      nTokensInPrompt: 2 * run.window + 1, dataset: run.storeName, activations: activations)
    if let effects = detail.effects {
      logitsHistDataBarHeights = effects.counts.map { Double($0) }
      logitsHistDataBarValues = effects.counts.indices.map {
        rounded(Float(effects.start + (Double($0) + 0.5) * effects.width))
      }
    }
  }
}
#endif
