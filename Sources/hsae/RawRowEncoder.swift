// Look-ups of tokens that cleaning dropped: their raw unembedding rows are read from the model and
// treated as the training rows were.

import HSAEActivations
import HSAELanguageModels
import HSAEModels
import HSAESupport
import HSAETensors
import HSAERuns
import HSAETraining

/// Codes of tokens that were dropped from the store, from the model's raw rows.
final class RawRowEncoder {
  private let raw: Matrix
  private let vocabulary: StoredVocabulary
  private let dictionary: SparseAutoencoder

  /// An encoder for `run`, whose words' raw rows are read from the model `model` (a name or a path).
  init(
    model: String, run: RunDirectory, dictionary: SparseAutoencoder
  ) throws(Failure) {
    guard let vocabulary = try run.vocabulary(), vocabulary.mean != nil else {
      throw .data("\(run.path): the run was not trained on a vocabulary; --model has no use here.")
    }
    let path = try ModelFetcher(say: { report("hsae: \($0)") }).resolve(model)
    let file = try GGUFFile(path: path)
    let stored = try file.unembeddingMatrix()
    guard stored.columns == dictionary.shape.width, stored.rows >= vocabulary.texts.count else {
      throw .data(
        "\(path): its unembedding is \(stored.rows) × \(stored.columns), which does not fit the run."
      )
    }
    raw = try file.floats(of: stored)
    self.vocabulary = vocabulary
    self.dictionary = dictionary
  }

  /// The codes of `token`, treated as the training rows were: centred, whitened, unit norm.
  func codes(token: Int) -> [Code]? {
    guard token < raw.rows, let mean = vocabulary.mean else { return nil }
    let d = raw.columns
    let whitening = vocabulary.whitening.map { Matrix(rows: d, columns: d, elements: $0) }
    let transform = UnembeddingTransform(mean: mean, whitening: whitening)
    let values = (0..<d).map { raw[token, $0] }
    let direction = transform.apply(values.span).direction
    let single = Matrix(rows: 1, columns: d, elements: direction)
    return Array(dictionary.encode(single, threads: 1)[0])
  }
}
