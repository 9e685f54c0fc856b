// A trained dictionary as programs use it: it is loaded by its path, and encodes and decodes rows. `HSAEModels`
// has the mathematics, `HSAERuns` reads the folders.

public import HSAEModels
public import HSAERuns
internal import HSAETensors
internal import HSAETraining

/// A trained dictionary, hierarchical or flat, that explains rows as sums of a few latents out of many.
///
/// ```swift
/// let dictionary = try SparseDictionary(path: "out/h12")
/// let codes = dictionary.encode(rows)
/// for active in codes[0] { print(active.expert, active.value, active.sublatent, active.subValue) }
/// let rebuilt = dictionary.decode(codes)
/// ```
///
/// It is immutable and `Sendable`, so any number of tasks may use one. Give it rows as they come out of the
/// model; it applies the ``normalisation`` it was trained with.
public struct SparseDictionary: Sendable {
  private let model: SparseAutoencoder
  /// What ``encode(_:threads:)`` does to rows first. Reconstructions are of the normalised rows
  /// (``normalised(_:)``).
  public let normalisation: Normalisation
  /// Steps it was trained for; 0 for an imported dictionary.
  public let step: Int

  /// Loads the dictionary at `path`: a run of `hsae train` or of ``Training`` (its newest undamaged
  /// checkpoint), a run of `hsae import`, or a single checkpoint, `RUN/checkpoints/step-…`.
  ///
  /// Every file is checked against its hash.
  ///
  /// - Parameters:
  ///   - path: the folder.
  ///   - warn: called with a message for each damaged checkpoint that is skipped.
  /// - Throws: ``Failure`` of the kind `missing` if there is no dictionary, and `data` if all are damaged.
  public init(path: String, warn: (String) -> Void = { _ in }) throws(Failure) {
    let stored = try StoredDictionary(path: path, warn: warn)
    self.init(stored.model, normalisation: stored.normalize, step: stored.step)
  }

  init(_ model: SparseAutoencoder, normalisation: Normalisation, step: Int) {
    (self.model, self.normalisation, self.step) = (model, normalisation, step)
  }

  /// The sizes: width, experts, sublatents, subspaces, and how many latents may be active.
  public var shape: DictionaryShape { model.shape }

  /// The codes of `rows`: for each row its active latents, strongest first, each with the sublatent it chose.
  ///
  /// - Parameters:
  ///   - rows: rows of the width of ``shape``.
  ///   - threads: how many threads (nil: all processors); the result does not depend on it.
  /// - Precondition: the rows have that width.
  public func encode(_ rows: Rows, threads: Int? = nil) -> Codes {
    var matrix = rows.matrix()
    normalisation.apply(to: &matrix)
    return model.encode(matrix, threads: threads ?? processorCount)
  }

  /// The codes of one row, strongest first.
  ///
  /// - Precondition: it has the width of ``shape``.
  public func encode(_ row: [Float]) -> [Code] {
    Array(encode(Rows(elements: row, width: shape.width), threads: 1)[0])
  }

  /// The reconstructions of rows from their codes, in the scale of ``normalised(_:)``.
  ///
  /// - Parameters:
  ///   - codes: the codes.
  ///   - topLevelOnly: whether sublatents are left out.
  ///   - threads: how many threads (nil: all processors); the result does not depend on it.
  /// - Precondition: every expert and sublatent in `codes` is one of this dictionary's.
  public func decode(
    _ codes: Codes, topLevelOnly: Bool = false, threads: Int? = nil
  ) -> Rows {
    for code in codes.all {
      precondition(
        (0..<shape.experts).contains(code.expert) && code.sublatent < max(1, shape.sublatents),
        "Codes of another dictionary: there is no latent \(code.expert).\(code.sublatent).")
    }
    let rebuilt = model.decode(
      codes, topLevelOnly: topLevelOnly || shape.isFlat, threads: threads ?? processorCount)
    return Rows(elements: rebuilt.elements, width: shape.width)
  }

  /// `rows` as the dictionary sees and reconstructs them: at unit norm, or unchanged, as ``normalisation`` says.
  public func normalised(_ rows: Rows) -> Rows {
    guard normalisation == .unit || normalisation == .layerNorm else { return rows }
    var matrix = rows.matrix()
    normalisation.apply(to: &matrix)
    return Rows(elements: matrix.elements, width: rows.width)
  }

  /// What a latent or sublatent adds to a reconstruction for a code of 1: ``DictionaryShape/width`` numbers.
  ///
  /// - Precondition: the dictionary has that latent.
  public func direction(of latent: LatentNumber) -> [Float] {
    precondition(
      (0..<shape.experts).contains(latent.expert)
        && latent.sublatent.map((0..<shape.sublatents).contains) ?? true,
      "There is no latent \(latent.name).")
    return model.contribution(of: latent)
  }
}
