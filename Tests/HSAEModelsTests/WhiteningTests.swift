// Whitening: what it makes of a covariance, the dictionary it folds, and covariances that it refuses.

import HSAEModels
import HSAEPlatform
import HSAETensors
import HSAETestSupport
import Testing

@Suite struct WhiteningTests {
  /// Rows whose columns are mixed, of very different spread, about a mean that is not 0.
  private static func rows(_ count: Int, _ width: Int) -> Matrix {
    var generator = SeededGenerator(seed: 4)
    let mixing = (0..<width * width).map { _ in Double(generator.nextSymmetric()) }
    var rows = Matrix(rows: count, columns: width)
    for row in 0..<count {
      let drawn = (0..<width).map { Double(generator.nextSymmetric()) * Double(1 + $0 * $0) }
      for column in 0..<width {
        rows[row, column] = Float(
          3 + (0..<width).reduce(0) { $0 + drawn[$1] * mixing[$1 * width + column] })
      }
    }
    return rows
  }

  private static func moments(_ rows: borrowing Matrix) -> RowMoments {
    var moments = RowMoments(width: rows.columns)
    moments.add(rows, threads: 1)
    return moments
  }

  private static func product(_ a: [Double], _ b: [Double], _ width: Int) -> [Double] {
    (0..<width * width).map { place in
      (0..<width).reduce(0) { $0 + a[place / width * width + $1] * b[$1 * width + place % width] }
    }
  }

  private static func isIdentity(_ matrix: [Double], _ width: Int, scale: Double) -> Bool {
    matrix.indices.allSatisfy {
      abs(matrix[$0] / scale - ($0 / width == $0 % width ? 1 : 0)) < 1e-9
    }
  }

  /// Without a ridge the covariance becomes the identity, scaled so that the mean of ‖z‖² is 1.
  @Test func activationsBecomeWhite() throws {
    let width = 7
    let moments = Self.moments(Self.rows(200, width))
    let whitening = try Whitening(
      activations: moments.covariance, mean: moments.mean, ridge: 0, rows: "rows")
    let w = whitening.matrix
    let white = Self.product(Self.product(w, moments.covariance, width), w, width)
    #expect(Self.isIdentity(white, width, scale: 1 / Double(width)))
    #expect(Self.isIdentity(Self.product(w, whitening.inverse, width), width, scale: 1))
    #expect(whitening.mean == moments.mean)
    // r·M·rᵀ undoes W: M·W·W is the identity.
    let undone = Self.product(Self.product(whitening.metric, w, width), w, width)
    #expect(Self.isIdentity(undone, width, scale: 1))
  }

  /// The inner product of two whitened rows is x·G·yᵀ up to one factor, and the mean of ‖z‖² is 1.
  @Test func theUnembeddingGivesItsInnerProduct() throws {
    let width = 6
    let rows = Self.rows(150, width)
    let (moments, gamma) = (Self.moments(rows), Self.moments(Self.rows(90, width)))
    let whitening = try Whitening(
      unembedding: gamma.covariance, ridge: 0, model: "model", rowMean: moments.mean,
      rowCovariance: moments.covariance, rows: "rows")
    #expect(!whitening.isShifting)
    let squared = Self.product(whitening.matrix, whitening.matrix, width)
    let factor = squared[0] / gamma.covariance[0]
    for (own, expected) in zip(squared, gamma.covariance) {
      #expect(abs(own - factor * expected) < 1e-9 * abs(squared[0]))
    }
    let norms = whitening.product(threads: 1).squaredNorms(of: rows, threads: 1)
    #expect(abs(norms.reduce(0, +) / 150 - 1) < 1e-5)
  }

  /// Codes of the folded dictionary on original rows are those of the trained one on whitened rows, and its
  /// reconstructions are those that come back.
  @Test(arguments: [TrainedVectors(), .inputBias, [.inputBias, .encoderBias]], [0, 3])
  func theFoldedDictionaryIsTheSame(_ vectors: TrainedVectors, _ sublatents: Int) throws {
    let width = 16
    let rows = Self.rows(300, width)
    let moments = Self.moments(rows)
    let whitening = try Whitening(
      activations: moments.covariance, mean: moments.mean, ridge: 1e-3, rows: "rows")
    let shape = DictionaryShape(
      width: width, experts: 40, sublatents: sublatents, subspace: sublatents == 0 ? 0 : 2,
      activeExperts: 5)
    var parameters = Parameters.initial(shape: shape, seed: 1, vectors: vectors)
    if vectors.contains(.inputBias) {
      for column in 0..<width { parameters.bias[0, column] = 0.01 * Float(column) }
    }
    if vectors.contains(.encoderBias) {
      for latent in 0..<40 { parameters.encoderBias[0, latent] = 0.002 * Float(latent) }
    }
    let recipe = Recipe(
      shape: shape, activation: ActivationFunction(threshold: 0, subThreshold: 0),
      objective: Objective(beta: 0, ortho: 0, l1: 0), vectors: vectors)
    let folded = recipe.dictionary(
      whitening.folded(parameters, threads: 2), batchThreshold: 0, subThreshold: nil)
    let trained = recipe.dictionary(parameters, batchThreshold: 0, subThreshold: nil)
    var white = rows.copy()
    var span = white.mutableSpan
    whitening.product(threads: 1).apply(to: &span)
    let (own, expected) = (folded.encode(rows, threads: 1), trained.encode(white, threads: 1))
    let x = folded.decode(own, threads: 1)
    let z = trained.decode(expected, threads: 1)
    for row in 0..<rows.rows {
      #expect(own[row].map(\.expert) == expected[row].map(\.expert))
      #expect(own[row].map(\.sublatent) == expected[row].map(\.sublatent))
      for (a, b) in zip(own[row], expected[row]) {
        #expect(abs(a.value - b.value) < 1e-5 && abs(a.subValue - b.subValue) < 1e-5)
      }
      var scale = 0.0
      var back = whitening.mean
      for column in 0..<width {
        for inner in 0..<width {
          back[column] += Double(z[row, inner]) * whitening.inverse[inner * width + column]
        }
        scale = max(scale, abs(back[column]))
      }
      for column in 0..<width {
        #expect(abs(Double(x[row, column]) - back[column]) < 1e-5 * scale)
      }
    }
  }

  /// A covariance without full rank works by its ridge, and is refused without one.
  @Test func aRankThatIsTooLowNeedsTheRidge() throws {
    let width = 12
    var rows = Self.rows(5, width)
    for row in 0..<5 { rows[row, 3] = 2 }
    let moments = Self.moments(rows)
    var rank: Int?
    let whitening = try Whitening(
      activations: moments.covariance, mean: moments.mean, ridge: 1e-3, rows: "rows.npy"
    ) { rank = $0 }
    #expect(rank == 4)
    #expect(
      Self.isIdentity(Self.product(whitening.matrix, whitening.inverse, width), width, scale: 1))
    let norms = whitening.product(threads: 1).squaredNorms(of: rows, threads: 1)
    #expect(abs(norms.reduce(0, +) / 5 - 1) < 1e-4)
    for ridge in [0, 1e-80] {
      let refused = failure {
        _ = try Whitening(
          activations: moments.covariance, mean: moments.mean, ridge: ridge, rows: "rows.npy")
      }
      #expect(
        refused?.kind == .data && refused?.message.contains("rank 4 of 12; --whiten-ridge") == true)
    }
    for ridge in [-1, .infinity, .nan] {
      let refused = failure {
        _ = try Whitening(
          activations: moments.covariance, mean: moments.mean, ridge: ridge, rows: "rows.npy")
      }
      #expect(refused?.kind == .usage)
    }
    let equal = failure {
      _ = try Whitening(
        activations: [Double](repeating: 0, count: 4), mean: [1, 1], ridge: 1, rows: "rows.npy")
    }
    #expect(equal?.message.contains("all rows are the same") == true)
    let infinite = failure {
      _ = try Whitening(
        activations: [1, .nan, .nan, 1], mean: [1, 1], ridge: 1, rows: "rows.npy")
    }
    #expect(infinite?.kind == .data)
  }
}
