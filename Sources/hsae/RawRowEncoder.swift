// Look-ups of tokens that cleaning dropped: reads their raw unembedding rows from the model and transforms them
// like the training rows.

import HSAEActivations
import HSAELanguageModels
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

/// Returns a function that encodes a token that was dropped from the store of `run`. Its raw row in `model`, a
/// name or a path, is transformed like the training rows: centred, whitened, unit norm.
func rawRowEncoder(
  model: String, run: RunDirectory, dictionary: SparseAutoencoder
) throws(Failure) -> (_ token: Int) -> [Code]? {
  guard let vocabulary = try run.vocabulary(), let mean = vocabulary.mean else {
    throw .data("\(run.path): the run was not trained on a vocabulary; leave out --model.")
  }
  let path = try ModelFetcher(say: { report("hsae: \($0)") }).resolve(model)
  let file = try GGUFFile(path: path)
  let (sha256, trained) = (try file.sha256(), vocabulary.attributes)
  guard trained.modelSHA256 == sha256 else {
    throw .data(
      "\(run.path) was trained on the vocabulary of \(trained.modelName) (SHA-256"
        + " \(trained.modelSHA256.prefix(12))…), but \(path) is another model (\(sha256.prefix(12))…); give the"
        + " one its store was made from.")
  }
  let stored = try file.unembeddingMatrix()
  let d = dictionary.shape.width
  guard stored.columns == d, stored.rows >= vocabulary.texts.count else {
    throw .data(
      "\(path): its unembedding is \(stored.rows) × \(stored.columns), which does not fit the run.")
  }
  let raw = try file.floats(of: stored)
  let whitening = vocabulary.whitening.map { Matrix(rows: d, columns: d, elements: $0) }
  let transform = UnembeddingTransform(mean: mean, whitening: whitening)
  return { token in
    guard token < raw.rows else { return nil }
    let values = (0..<d).map { raw[token, $0] }
    let direction = transform.apply(values.span).direction
    let single = Matrix(rows: 1, columns: d, elements: direction)
    return Array(dictionary.encode(single, threads: 1)[0])
  }
}
