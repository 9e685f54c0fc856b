// Look-ups of tokens that cleaning dropped: reads their raw unembedding rows from the model and transforms them
// like the training rows.

import HSAEActivations
import HSAELanguageModels
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETraining

/// Encodes tokens that were dropped from the store, from the model's raw rows.
final class RawRowEncoder {
  private let raw: Matrix
  private let vocabulary: StoredVocabulary
  private let dictionary: SparseAutoencoder

  /// An encoder for `run` that reads raw rows from `model`, a name or a path.
  init(
    model: String, run: RunDirectory, dictionary: SparseAutoencoder
  ) throws(Failure) {
    guard let vocabulary = try run.vocabulary(), vocabulary.mean != nil else {
      throw .data("\(run.path): the run was not trained on a vocabulary; leave out --model.")
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

  /// The codes of `token`, whose row is transformed like the training rows: centred, whitened, unit norm.
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
