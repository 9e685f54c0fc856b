// The tokens that a direction promotes and suppresses: its products with the rows of the model's unembedding,
// or with the rows that a dictionary of a vocabulary was trained on.

public import HSAEActivations
public import HSAELanguageModels
public import HSAESupport
import HSAETensors
import Synchronization

/// A token and how much a direction promotes it.
struct TokenEffect: Hashable, Sendable {
  var token: Int
  /// The change of its logit per unit length of the direction, less the mean of all tokens; for a dictionary
  /// of a vocabulary, the cosine with the token's row.
  var value: Float
}

/// The tokens that one direction promotes and suppresses.
struct PromotedTokens: Hashable, Sendable {
  /// The tokens it promotes most, strongest first.
  var promoted: [TokenEffect] = []
  /// The tokens it suppresses most, strongest first.
  var suppressed: [TokenEffect] = []
  /// The effects on all tokens, if they were wanted.
  var histogram: ProductHistogram?
}

/// Finds the tokens that directions promote and suppress.
public final class TokenEffects: Sendable {
  /// How many tokens each list has.
  static let listed = 10
  private let products: StrongestProducts
  private let tokens: [Int32]
  /// A quarter of the root mean square of the products with random directions.
  private let binWidth: Float

  /// Effects on `tokens`; row i of `rows` belongs to token i of them.
  init(_ rows: consuming Matrix, tokens: [Int32], threads: Int) {
    let squares = rows.rowNorms().reduce(0) { $0 + Double($1) * Double($1) }
    let mean = (squares / Double(max(1, rows.count))).squareRoot()
    binWidth = mean > 0 && mean.isFinite ? Float(mean / 4) : 1
    products = StrongestProducts(rows, threads: threads)
    self.tokens = tokens
  }

  /// Effects through the unembedding of `file`: its rows times the gain of the model's last normalisation,
  /// less their mean. If that is a LayerNorm, directions lose the mean of their numbers first, as rows do in the
  /// model. Control tokens, unused tokens and single bytes are left out.
  ///
  /// Fails with `.data` if the file has no unembedding of the width `width`.
  public static func unembedding(
    _ file: borrowing GGUFFile, width: Int, threads: Int
  ) throws(Failure) -> TokenEffects {
    let tokens = try UnembeddedTokens(file, width: width)
    let all = try file.floats(of: tokens.stored, threads: threads)
    return TokenEffects(
      prepared(all, kept: tokens.kept, gain: tokens.gain, centres: file.lastNormCentres),
      tokens: tokens.kept.map { Int32($0) }, threads: threads)
  }

  /// The rows `kept` of `all` times `gain`, less their mean. `centres`: their products with a direction are those
  /// of the direction less the mean of its numbers.
  private static func prepared(
    _ all: borrowing Matrix, kept: [Int], gain: [Float], centres: Bool
  ) -> Matrix {
    var rows = Matrix(rows: kept.count, columns: all.columns)
    for (row, token) in kept.enumerated() {
      let source = all.row(token)
      var target = rows.mutableRow(row)
      var sum = 0.0
      for column in gain.indices {
        target[column] = source[column] * gain[column]
        sum += Double(target[column])
      }
      // u · (v − v̄) = (u − ū) · v, where v̄ and ū are means of numbers.
      guard centres else { continue }
      let mean = Float(sum / Double(gain.count))
      for column in gain.indices { target[column] -= mean }
    }
    rows.subtract(rows.meanRow().map { Float($0) })
    return rows
  }

  /// Effects through the rows of a vocabulary's store, as the dictionary was trained on them.
  public static func vocabulary(
    _ store: ActivationStore, threads: Int
  ) throws(Failure) -> TokenEffects {
    TokenEffects(
      try store.matrix(rows: 0..<store.rowCount), tokens: store.tokens, threads: threads)
  }

  /// The effects of each row of `directions`, whose rows have unit norm.
  func effects(
    of directions: borrowing Matrix, wantsHistogram: Bool = false, threads: Int
  ) -> [PromotedTokens] {
    func effects(_ found: [RankedProduct]) -> [TokenEffect] {
      found.map { TokenEffect(token: Int(tokens[$0.index]), value: $0.value) }
    }
    return products.find(
      directions, count: Self.listed, wantsSmallest: true,
      binWidth: wantsHistogram ? binWidth : nil, threads: threads
    ).map {
      PromotedTokens(
        promoted: effects($0.largest), suppressed: effects($0.smallest), histogram: $0.histogram)
    }
  }
}

/// The tokens of a model whose unembedding rows are compared with directions.
private struct UnembeddedTokens: Sendable {
  let stored: GGUFFile.StoredMatrix
  /// The gain of the last normalisation.
  let gain: [Float]
  /// All tokens but control tokens, unused tokens and single bytes.
  let kept: [Int]

  /// Fails with `.data` if the unembedding of `file` has not the width `width`, or no token is text.
  init(_ file: borrowing GGUFFile, width: Int) throws(Failure) {
    stored = try file.unembeddingMatrix()
    guard stored.columns == width else {
      throw .data(
        "\(file.path): its unembedding has the width \(stored.columns), and the dictionary is for"
          + " \(width); give the model it was trained on.")
    }
    let vocabulary = try file.vocabulary()
    gain = try file.finalNormGain(width: width)
    kept = (0..<min(stored.rows, vocabulary.count)).filter { token in
      switch vocabulary.kinds[token] {
      case .normal, .userDefined, .undefined: vocabulary.isDecodable[token]
      case .control, .unknown, .unused, .byte: false
      }
    }
    guard !kept.isEmpty else {
      throw .data("\(file.path): none of its tokens is text; give a whole language model.")
    }
  }
}

/// Finds the tokens that a few directions promote, as `TokenEffects.unembedding` does for many. It reads the unembedding from
/// the file for each question, so it keeps no matrix in memory.
public final class StoredUnembedding: Sendable {
  private let file: GGUFFile
  private let tokens: UnembeddedTokens
  /// Rows that are in memory at a time.
  private let block: Int

  /// The unembedding of `file`. Fails with `.data` as `TokenEffects.unembedding` does.
  public convenience init(_ file: consuming GGUFFile) throws(Failure) {
    try self.init(file, block: 16_384)
  }

  init(_ file: consuming GGUFFile, block: Int) throws(Failure) {
    self.block = block
    tokens = try UnembeddedTokens(file, width: file.unembeddingMatrix().columns)
    self.file = file
  }

  /// The width of its rows.
  var width: Int { tokens.stored.columns }

  /// The effects of each of `directions`, which need not have unit norm, on the `count` tokens that it promotes most, and on
  /// those that it suppresses most; nil for a direction without length.
  ///
  /// Fails with `.data` or `.inputOutput` if the file cannot be read.
  func effects(
    of directions: [[Float]], count: Int = TokenEffects.listed, threads: Int
  ) throws(Failure) -> [PromotedTokens?] {
    // (g ∘ u − mean) · v = u · (g ∘ (v − v̄)), where v̄ is 0 unless the last normalisation is a LayerNorm.
    let scaled = directions.map { direction -> [Float] in
      precondition(
        direction.count == width, "A direction of width \(direction.count), not \(width).")
      let mean = file.lastNormCentres ? direction.reduce(0, +) / Float(width) : 0
      let length = Float(euclideanNorm(direction.span))
      return length > 0 && length.isFinite
        ? direction.indices.map { (direction[$0] - mean) * tokens.gain[$0] / length } : []
    }
    var values = [[Float]](repeating: [], count: directions.count)
    var next = 0
    for first in stride(from: 0, to: tokens.stored.rows, by: block) {
      let range = first..<min(tokens.stored.rows, first + block)
      let rows = try file.floats(of: tokens.stored, rows: range, threads: threads)
      let end = tokens.kept[next...].firstIndex { $0 >= range.upperBound } ?? tokens.kept.count
      let products = Self.products(
        rows, tokens.kept[next..<end].map { $0 - first }, scaled, threads)
      for index in values.indices { values[index] += products[index] }
      next = end
    }
    return values.map { values in
      values.isEmpty ? nil : Self.strongest(values, tokens.kept, count: count)
    }
  }

  /// The products of the rows `wanted` with each of `directions`; none for an empty one.
  private static func products(
    _ rows: borrowing Matrix, _ wanted: [Int], _ directions: [[Float]], _ threads: Int
  ) -> [[Float]] {
    let pieces = pieceCount(wanted.count, size: 1024)
    let products = Mutex([[[Float]]](repeating: [], count: pieces))
    // Closures cannot borrow a matrix.
    let (elements, width) = (rows.elements, rows.columns)
    parallelFor(pieces, threads: threads) { piece, _ in
      let range = pieceRange(piece, size: 1024, count: wanted.count)
      let found = directions.map { direction -> [Float] in
        direction.isEmpty
          ? []
          : range.map { index in
            dot(
              elements.span.extracting(wanted[index] * width..<(wanted[index] + 1) * width),
              direction.span)
          }
      }
      products.withLock { $0[piece] = found }
    }
    let all = products.withLock { $0 }
    return directions.indices.map { index in all.flatMap { $0[index] } }
  }

  /// The `count` largest and smallest of `values`, less their mean, with their tokens.
  private static func strongest(
    _ values: [Float], _ tokens: [Int], count: Int
  ) -> PromotedTokens {
    let mean = Float(values.reduce(0) { $0 + Double($1) } / Double(values.count))
    func first(_ isBefore: (Float, Float) -> Bool) -> [TokenEffect] {
      var best: [Int] = []
      for index in values.indices {
        if best.count == count, let last = best.last, !isBefore(values[index], values[last]) {
          continue
        }
        let place = best.firstIndex { isBefore(values[index], values[$0]) } ?? best.count
        best.insert(index, at: place)
        if best.count > count { best.removeLast() }
      }
      return best.map { TokenEffect(token: tokens[$0], value: values[$0] - mean) }
    }
    return PromotedTokens(promoted: first(>), suppressed: first(<))
  }
}
