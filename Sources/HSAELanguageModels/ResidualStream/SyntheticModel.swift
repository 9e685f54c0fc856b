// A made-up language model with planted two-level features, for tests and for trying commands without a
// download. It is instant and gives the same results everywhere. Its tokens are bytes.
//
// Every pair of a byte and the byte before it has a parent feature, which the byte chooses, and a child of
// it, which the byte before chooses. So has every pair at distance two and three. A row is the sum of these
// `active` = 3 parents, each with half its child, and a little noise. Rows at the first position are fifty
// times as long, as in many real models. A fixed readout of the last block predicts the next byte.

import Foundation
public import HSAESupport
public import HSAETensors

/// An untrained model whose rows are sums of known features.
public final class SyntheticModel: ResidualStreamModel {
  /// Describes the model.
  public let description: ModelDescription
  /// Its tokens.
  public let tokenizer: any Tokenizer
  /// The longest allowed context, in tokens.
  public let contextLength: Int
  /// Unit directions of the parents [parents × width].
  public let parents: Matrix
  /// Unit directions of the children [parents · children × width], grouped by parent.
  public let children: Matrix
  /// The number of children of each parent.
  public let childCount = 4

  private static let active = 3
  /// Unit directions that predict the next byte, a row for each token [258 × width].
  let readout: Matrix
  private let seed: UInt64
  private var written: [Int32] = []

  /// A model of `blocks` blocks and rows of `width` numbers, made from `seed`. `declaresBOS`: contexts begin
  /// with BOS unless the user says otherwise.
  public init(
    width: Int = 64, blocks: Int = 4, parents: Int = 24, seed: UInt64 = 0,
    contextLength: Int = 256, declaresBOS: Bool = true
  ) {
    tokenizer = ByteTokenizer(declaresBOS: declaresBOS)
    let root = SeededGenerator(seed: seed)
    self.parents = Self.directions(parents, width, root.split(1))
    children = Self.directions(parents * childCount, width, root.split(2))
    readout = Self.directions(ByteTokenizer.count, width, root.split(3))
    self.seed = seed
    self.contextLength = contextLength
    description = ModelDescription(
      name: "synthetic-\(width)-\(blocks)-\(parents)-\(seed)",
      sha256: SHA256.hash("synthetic 1 \(width) \(blocks) \(parents) \(seed)"), weightsType: "f32",
      width: width, blockCount: blocks, longestContext: 1 << 20)
  }

  private static func directions(
    _ count: Int, _ width: Int, _ generator: SeededGenerator
  ) -> Matrix {
    var generator = generator
    let elements = (0..<count * width).map { _ in Float(generator.nextSymmetric()) }
    var matrix = Matrix(rows: count, columns: width, elements: elements)
    let norms = matrix.rowNorms()
    matrix.forEachRow { index, row in for column in row.indices { row[column] /= norms[index] } }
    return matrix
  }

  /// The features of the token at `position` of `context`: its parents, and the child of each.
  public func features(of context: [Int32], at position: Int) -> [(parent: Int, child: Int)] {
    (1...Self.active).map { distance in
      let before = position >= distance ? context[position - distance] : -1
      let draw = SeededGenerator(seed: seed).split(UInt64(distance))
      var parent = draw.split(UInt64(context[position]))
      var child = draw.split(UInt64(context[position]) << 32 | UInt64(before + 1))
      return (Int(parent.next() % UInt64(parents.rows)), Int(child.next() % UInt64(childCount)))
    }
  }

  /// Reads the residual stream after block `block` (see `ResidualStreamModel`).
  public func capture(
    _ contexts: [[Int32]], afterBlock block: Int, into rows: inout Matrix,
    shouldStop: (_ done: Int) -> Bool
  ) throws(Failure) -> Bool {
    precondition((0..<description.blockCount).contains(block), "There is no block \(block).")
    var row = 0
    for context in contexts {
      if shouldStop(row) { return false }
      precondition((1...contextLength).contains(context.count), "The context does not fit.")
      for position in context.indices {
        var target = rows.mutableRow(row)
        fill(&target, context, position, block)
        row += 1
      }
    }
    return true
  }

  private func fill(
    _ row: inout MutableSpan<Float>, _ context: [Int32], _ position: Int, _ block: Int
  ) {
    var noise = SeededGenerator(seed: seed).split(UInt64(position))
      .split(UInt64(context[position])).split(UInt64(block))
    for column in row.indices { row[column] = 0.01 * Float(noise.nextSymmetric()) }
    for (parent, child) in features(of: context, at: position) {
      let family = parent * childCount
      for column in row.indices {
        row[column] += parents[parent, column] + 0.5 * children[family + child, column]
      }
    }
    let scale = Float(100 * (block + 1)) * (position == 0 ? 50 : 1)
    for column in row.indices { row[column] *= scale }
  }

  /// The cross-entropy of each next token (see `ResidualStreamModel`).
  public func losses(of contexts: [[Int32]], splice: Splice?) throws(Failure) -> [[Float]] {
    zip(contexts, try predictions(of: contexts, splice: splice)).map { context, predictions in
      Self.losses(of: context, predictions)
    }
  }

  /// The effects of replacements on predictions (see `ResidualStreamModel`).
  public func effects(of contexts: [[Int32]], splices: [Splice]) throws(Failure) -> SpliceEffects {
    let plain = try predictions(of: contexts, splice: nil)
    return SpliceEffects(
      losses: zip(contexts, plain).map(Self.losses),
      splices: try splices.map { (splice) throws(Failure) in
        let changed = try predictions(of: contexts, splice: splice)
        return SpliceEffects.Effect(
          losses: zip(contexts, changed).map(Self.losses),
          divergences: zip(plain, changed).map { plain, changed in
            zip(plain, changed).map { p, q in
              Float(zip(p, q).reduce(0) { $0 + exp($1.0) * ($1.0 - $1.1) })
            }
          })
      })
  }

  private static func losses(of context: [Int32], _ predictions: [[Double]]) -> [Float] {
    predictions.enumerated().map { Float(-$1[Int(context[$0 + 1])]) }
  }

  /// The log probabilities of all next tokens, for each context at all positions that have a next token.
  private func predictions(
    of contexts: [[Int32]], splice: Splice?
  ) throws(Failure) -> [[[Double]]] {
    let last = description.blockCount - 1
    var predictions: [[[Double]]] = []
    for (index, context) in contexts.enumerated() {
      var rows = Matrix(rows: context.count, columns: description.width)
      try capture([context], afterBlock: splice?.block ?? last, into: &rows)
      if let splice { try apply(splice, to: &rows, of: context, number: index) }
      predictions.append(context.indices.dropLast().map { prediction(rows.row($0)) })
    }
    return predictions
  }

  /// The logits of the next token of the context being written (see `ResidualStreamModel`). Positions do not
  /// see each other's rows, so the last row alone decides.
  public func logits(
    after tokens: [Int32], at position: Int, splice: Splice?
  ) throws(Failure) -> [Float] {
    precondition(
      !tokens.isEmpty && (position == 0 || position == written.count),
      "\(written.count) tokens were read, not \(position).")
    if position == 0 { written = [] }
    written += tokens
    precondition(written.count <= contextLength, "The context is full.")
    let block = splice?.block ?? description.blockCount - 1
    var rows = Matrix(rows: tokens.count, columns: description.width)
    for index in tokens.indices {
      var row = rows.mutableRow(index)
      fill(&row, written, position + index, block)
    }
    if let splice { try apply(splice, to: &rows, of: tokens, at: position) }
    return logits(rows.row(tokens.count - 1)).map { Float($0) }
  }

  /// Replaces the rows of `tokens`, then does what the later blocks do: they only make rows longer.
  private func apply(
    _ splice: Splice, to rows: inout Matrix, of tokens: [Int32], number: Int = 0, at start: Int = 0
  ) throws(Failure) {
    try splice.replace(
      &rows,
      tokens.enumerated().map {
        Splice.Place(context: number, position: start + $0.offset, token: $0.element)
      })
    let factor = Float(description.blockCount) / Float(splice.block + 1)
    var elements = rows.mutableSpan
    for place in elements.indices { elements[place] *= factor }
  }

  private func logits(_ row: Span<Float>) -> [Double] {
    (0..<readout.rows).map { token in
      var sum = 0.0
      for column in row.indices { sum += Double(row[column] * readout[token, column]) }
      return sum / 100
    }
  }

  private func prediction(_ row: Span<Float>) -> [Double] {
    let logits = logits(row)
    let largest = logits.max() ?? 0
    let logSum = largest + log(logits.reduce(0) { $0 + exp($1 - largest) })
    return logits.map { $0 - logSum }
  }
}

/// A tokenizer whose tokens are the bytes and two special ones.
struct ByteTokenizer: Tokenizer {
  static let count = 258
  var declaresBOS = true
  var prefix: [Int32] { declaresBOS ? [256] : [] }
  var bos: Int32? { 256 }

  var pieces: [String] {
    (0..<256).map { byte in
      switch byte {
      case 0x20: "▁"
      case 0x21...0x7E: String(UnicodeScalar(UInt8(byte)))
      default: "<0x" + hexadecimal([UInt8(byte)]) + ">"
      }
    } + ["<bos>", "<eos>"]
  }

  func encode(_ text: ArraySlice<UInt8>) -> [Int32] { text.map { Int32($0) } }

  func isSpecial(_ token: Int32) -> Bool { token >= 256 }
}
