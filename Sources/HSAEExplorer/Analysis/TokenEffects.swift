// The tokens that a direction promotes and suppresses: its products with the rows of the model's unembedding,
// or with the rows that a dictionary of a vocabulary was trained on.

public import HSAEActivations
public import HSAELanguageModels
public import HSAESupport
import HSAETensors

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
}

/// Finds the tokens that directions promote and suppress.
public final class TokenEffects: Sendable {
  /// How many tokens each list has.
  static let listed = 10
  private let products: StrongestProducts
  private let tokens: [Int32]

  /// Effects on `tokens`; row i of `rows` belongs to token i of them.
  init(_ rows: consuming Matrix, tokens: [Int32], threads: Int) {
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
    let stored = try file.unembeddingMatrix()
    guard stored.columns == width else {
      throw .data(
        "\(file.path): its unembedding has the width \(stored.columns), and the dictionary is for"
          + " \(width); give the model it was trained on.")
    }
    let vocabulary = try file.vocabulary()
    let all = try file.floats(of: stored, threads: threads)
    let gain = try file.finalNormGain() ?? [Float](repeating: 1, count: width)
    guard gain.count == width else {
      throw .data(
        "\(file.path): output_norm.weight has \(gain.count) numbers, not \(width); it is damaged.")
    }
    let kept = (0..<min(stored.rows, vocabulary.count)).filter { token in
      switch vocabulary.kinds[token] {
      case .normal, .userDefined, .undefined: vocabulary.isDecodable[token]
      case .control, .unknown, .unused, .byte: false
      }
    }
    guard !kept.isEmpty else {
      throw .data("\(file.path): none of its tokens is text; give a whole language model.")
    }
    return TokenEffects(
      prepared(all, kept: kept, gain: gain, centres: file.lastNormCentres),
      tokens: kept.map { Int32($0) }, threads: threads)
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
  func effects(of directions: borrowing Matrix, threads: Int) -> [PromotedTokens] {
    func effects(_ found: [RankedProduct]) -> [TokenEffect] {
      found.map { TokenEffect(token: Int(tokens[$0.index]), value: $0.value) }
    }
    return products.find(directions, count: Self.listed, wantsSmallest: true, threads: threads)
      .map { PromotedTokens(promoted: effects($0.largest), suppressed: effects($0.smallest)) }
  }
}
