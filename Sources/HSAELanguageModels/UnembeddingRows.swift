// Prepares a model's unembedding rows for training: dequantise, centre, whiten, clean, scale to unit norm.

public import HSAESupport
public import HSAETensors

/// The cleaned, whitened unit rows of a model's unembedding matrix, and their transform.
///
/// Mean and covariance are taken over *all* rows of the matrix, kept or not. So whitened norms have a root
/// mean square of √width, the unit of the cleaning's window.
public struct UnembeddingRows: ~Copyable, Sendable {
  /// One unit row for each kept token [kept × width].
  public let directions: Matrix
  /// Norms of the kept rows before they were scaled to 1 [kept].
  public let norms: [Float]
  /// Numbers of the kept tokens in the vocabulary, ascending [kept].
  public let tokens: [Int32]
  /// The texts of all tokens, kept or not, with a space written as ▁.
  public let vocabulary: [String]
  /// The transform of each row before scaling.
  public let transform: UnembeddingTransform
  /// What the cleaning kept and dropped.
  public let report: CleaningReport
  /// The model file the rows come from.
  public let source: Source

  /// A model file that rows come from.
  public struct Source: Codable, Hashable, Sendable {
    /// The file's path, as given.
    public let path: String
    /// The architecture's name, if stated.
    public let architecture: String?
    /// The model's name, if stated.
    public let name: String?
    /// The tensor that was read.
    public let tensor: String
    /// The type of its elements, by ggml's name.
    public let type: String
    /// The number of its rows.
    public let rows: Int
    /// The number of its columns.
    public let width: Int
  }

  /// How to prepare the rows.
  public struct Options: Hashable, Sendable {
    /// The rule by which tokens are kept.
    public var cleaning = VocabularyCleaning()
    /// Whether rows are whitened, or only centred. It does not change which tokens are kept.
    public var whiten = true
    /// The number of threads.
    public var threads = processorCount

    /// The defaults.
    public init() {}
  }
}

extension UnembeddingRows {
  /// Reads the unembedding matrix of `file` and prepares its rows.
  ///
  /// Fails with `.data` if the file has no matrix or no vocabulary that fits it, or if no row is left.
  /// `progress` gets a message at each stage.
  public init(
    file: borrowing GGUFFile, options: Options = Options(), progress: (String) -> Void = { _ in }
  ) throws(Failure) {
    let stored = try file.unembeddingMatrix()
    let vocabulary = try file.vocabulary().padded(to: stored.rows, source: file.path)
    let source = Source(
      path: file.path, architecture: file.architecture, name: file.name, tensor: stored.name,
      type: stored.typeName, rows: stored.rows, width: stored.columns)
    progress("reading \(stored.rows) × \(stored.columns) (\(stored.typeName))")
    let rows = try file.floats(of: stored, threads: options.threads)
    self = try Self.prepare(
      rows: rows, vocabulary: vocabulary, source: source, options: options, progress: progress)
  }

  /// Prepares the given raw rows, one for each token of `vocabulary`.
  static func prepare(
    rows: consuming Matrix, vocabulary: Vocabulary, source: Source, options: Options,
    progress: (String) -> Void = { _ in }
  ) throws(Failure) -> UnembeddingRows {
    let threads = options.threads
    progress("centring and whitening")
    let learned = try UnembeddingTransform.learn(
      centring: &rows, source: source.path, threads: threads)
    let norms: [Float]
    if options.whiten {
      learned.whiten(centred: &rows, threads: threads)
      norms = rows.rowNorms()
    } else {
      // Cleaning uses whitened norms here too, so that both kinds keep the same tokens.
      var whitened = rows.copy()
      learned.whiten(centred: &whitened, threads: threads)
      norms = whitened.rowNorms()
    }
    let (kept, report) = options.cleaning.apply(vocabulary, norms: norms)
    guard !kept.isEmpty else {
      throw .data(
        "\(source.path): no token is left after cleaning; widen --min-norm (now "
          + "\(report.minimumNorm)) and --max-norm (now \(report.maximumNorm)).")
    }
    var directions = Matrix(rows: kept.count, columns: rows.columns)
    var lengths = [Float](repeating: 0, count: kept.count)
    for (target, token) in kept.enumerated() {
      let row = rows.row(Int(token))
      let norm = euclideanNorm(row)
      lengths[target] = Float(norm)
      let scale = norm > 0 ? 1 / norm : 0
      var direction = directions.mutableRow(target)
      for column in row.indices { direction[column] = Float(Double(row[column]) * scale) }
    }
    return UnembeddingRows(
      directions: directions, norms: lengths, tokens: kept, vocabulary: vocabulary.pieces,
      transform: learned.withWhitening(options.whiten), report: report, source: source)
  }
}

extension Vocabulary {
  /// Appends unused places up to `count` tokens, for models whose matrices are padded. Fails with `.data` if
  /// there are already more tokens.
  func padded(to count: Int, source: String) throws(Failure) -> Vocabulary {
    guard self.count <= count else {
      throw .data(
        "\(source) has \(self.count) tokens but \(count) unembedding rows; it is damaged.")
    }
    guard self.count < count else { return self }
    let extra = (self.count..<count).map { "<unused-row-\($0)>" }
    return Vocabulary(
      pieces: pieces + extra, kinds: kinds + extra.map { _ in .unused },
      isDecodable: isDecodable + extra.map { _ in true })
  }
}

extension GGUFFile {
  /// The covariance [width × width] of the unembedding's rows, all of them, summed in double precision. Each row is first
  /// multiplied by the gain of the last normalisation, as its logit is; if that is a LayerNorm, which subtracts a row's
  /// mean, the mean of the product is subtracted from it too.
  ///
  /// Fails with `.data` if the file has no unembedding or its numbers do not fit.
  public func unembeddingCovariance(threads: Int = processorCount) throws(Failure) -> [Double] {
    let stored = try unembeddingMatrix()
    let gain = try finalNormGain(width: stored.columns)
    let centres = lastNormCentres
    var moments = RowMoments(width: stored.columns)
    let size = 16_384
    for start in stride(from: 0, to: stored.rows, by: size) {
      var rows = try floats(
        of: stored, rows: start..<min(stored.rows, start + size), threads: threads)
      rows.forEachRow(threads: threads) { _, row in
        var sum = 0.0
        for column in row.indices {
          row[column] *= gain[column]
          sum += Double(row[column])
        }
        guard centres else { return }
        let mean = Float(sum / Double(gain.count))
        for column in row.indices { row[column] -= mean }
      }
      moments.add(rows, threads: threads)
    }
    return moments.covariance
  }
}
