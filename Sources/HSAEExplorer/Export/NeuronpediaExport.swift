// Writes latents as JSON in the layout of SAEDashboard's batches, which Neuronpedia imports. That layout has
// no hierarchy, so the top level and the sublatents become two sets.

#if Explorer
import Foundation
import HSAEModels
public import HSAESupport

/// A batch of features as SAEDashboard 0.x writes them.
struct NeuronpediaBatch: Encodable {
  struct Activation: Encodable {
    var binMin: Double
    var binMax: Double
    var binContains: Double
    var tokens: [String]
    var values: [Double]
    var centre: Int

    enum CodingKeys: String, CodingKey {
      case tokens, values
      case centre = "qualifying_token_index"
      case binMin = "bin_min"
      case binMax = "bin_max"
      case binContains = "bin_contains"
    }
  }

  struct Feature: Encodable {
    var index: Int
    var related: [Int]
    var relatedCosines: [Double]
    var negative: [String]
    var negativeValues: [Double]
    var positive: [String]
    var positiveValues: [Double]
    var density: Double
    var histogramValues: [Double]
    var histogramHeights: [Double]
    var documents: Int
    var windowTokens: Int
    var dataset: String
    var activations: [Activation]
    // Fields that hsae does not measure are empty, as SAEDashboard writes them when they are switched off.
    var alignedIndices: [Double] = [], alignedValues: [Double] = [], alignedL1: [Double] = []
    var neuronIndices: [Double] = [], neuronL1: [Double] = [], neuronPearson: [Double] = []
    var featurePearson: [Double] = [], decoderWeights: [Double] = []
    var logitHeights: [Double] = [], logitValues: [Double] = []

    enum CodingKeys: String, CodingKey {
      case dataset, activations
      case index = "feature_index"
      case related = "correlated_features_indices"
      case relatedCosines = "correlated_features_l1"
      case negative = "neg_str"
      case negativeValues = "neg_values"
      case positive = "pos_str"
      case positiveValues = "pos_values"
      case density = "frac_nonzero"
      case histogramValues = "freq_hist_data_bar_values"
      case histogramHeights = "freq_hist_data_bar_heights"
      case documents = "n_prompts_total"
      case windowTokens = "n_tokens_in_prompt"
      case alignedIndices = "neuron_alignment_indices"
      case alignedValues = "neuron_alignment_values"
      case alignedL1 = "neuron_alignment_l1"
      case neuronIndices = "correlated_neurons_indices"
      case neuronL1 = "correlated_neurons_l1"
      case neuronPearson = "correlated_neurons_pearson"
      case featurePearson = "correlated_features_pearson"
      case logitHeights = "logits_hist_data_bar_heights"
      case logitValues = "logits_hist_data_bar_values"
      case decoderWeights = "decoder_weights_dist"
    }
  }

  var model: String
  var layer: Int
  var set: String
  var features: [Feature]

  enum CodingKeys: String, CodingKey {
    case layer, features
    case model = "model_id"
    case set = "sae_set"
  }
}

extension FeatureDatabase {
  /// Features in a file.
  static let exportBatch = 128

  /// Writes the live experts or sublatents of `run` to `folder` in SAEDashboard's layout, as `batch-0.json`
  /// and so on; `set` is the name of the set. A sublatent's index is expert · a + sublatent. Returns the
  /// number of latents written. `progress` returns whether to go on.
  public func exportForNeuronpedia(
    _ run: RunRecord, sublatents: Bool, set: String, to folder: String,
    progress: (_ done: Int, _ total: Int) -> Bool = { _, _ in true }
  ) throws(Failure) -> Int {
    let documents = try documentCount(of: run)
    let count = run.shape.experts * (sublatents ? run.shape.sublatents : 1)
    var written = 0
    for first in stride(from: 0, to: count, by: Self.exportBatch) {
      guard progress(first, count) else { break }
      var batch = NeuronpediaBatch(
        model: run.modelName ?? run.storeName, layer: run.layer ?? 0, set: set, features: [])
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
      guard let data = try? encoder.encode(batch) else {
        throw Failure(.software, "Features \(first) and up cannot be written as JSON.")
      }
      try DurableFile.write(
        [UInt8](data), to: Path.join(folder, "batch-\(first / Self.exportBatch).json"))
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
        values: context.tokens.map { rounded($0.value) }, centre: context.centre)
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
      index: index,
      related: related.map {
        sublatents
          ? $0.latent.expert * run.shape.sublatents + ($0.latent.sublatent ?? 0) : $0.latent.expert
      },
      relatedCosines: related.map { rounded($0.value) },
      negative: detail.promoted?.suppressed.map { plain($0.text) } ?? [],
      negativeValues: detail.promoted?.suppressed.map { rounded($0.value) } ?? [],
      positive: detail.promoted?.promoted.map { plain($0.text) } ?? [],
      positiveValues: detail.promoted?.promoted.map { rounded($0.value) } ?? [],
      density: detail.latent.density,
      histogramValues: detail.histogram.indices.map {
        rounded(Float((Double($0) + 0.5) / bins * Double(detail.latent.maximum)))
      },
      histogramHeights: detail.histogram.map { Double($0) }, documents: documents,
      windowTokens: 2 * run.window + 1, dataset: run.storeName, activations: activations)
  }
}
#endif
