// The protocol between language models and everything else. It reads the residual stream of contexts after a
// block, replaces it there, and gives next-token losses or the logits to continue a text. `LlamaModel` (any
// GGUF file) and `SyntheticModel` (planted features, no download) implement it.

public import HSAEActivations
public import HSAESupport
public import HSAETensors

/// Describes a language model.
public struct ModelDescription: Hashable, Sendable {
  /// The model's name in its file.
  public var name: String
  /// The model's identity: SHA-256 of its file, or of all parts of a split model (`GGUFFile.sha256()`).
  public var sha256: String
  /// The type of the weights it computes with: "q8_0", "bf16", "f32".
  public var weightsType: String
  /// The width of the residual stream.
  public var width: Int
  /// The number of blocks (layers), each attention and feed-forward.
  public var blockCount: Int
  /// The longest context the model was made for, in tokens.
  public var longestContext: Int

  /// The name of the output of block `block` in stores.
  public static func hookPoint(afterBlock block: Int) -> String {
    "output of block \(block), counting from 0"
  }

  /// Fails with `.usage` if the model has no block `block`.
  public func requireBlock(_ block: Int) throws(Failure) {
    try Self.requireBlock(block, of: blockCount, in: name)
  }

  /// Fails with `.usage` if `block` is none of the `count` blocks of `model`.
  static func requireBlock(_ block: Int, of count: Int, in model: String) throws(Failure) {
    guard (0..<count).contains(block) else {
      throw .usage("There is no block \(block) in \(model): it has blocks 0 to \(count - 1).")
    }
  }
}

/// A language model whose residual stream can be read and replaced.
///
/// A *context* is a sequence of 1 to `contextLength` tokens, special ones included. A context's rows and
/// losses are bit for bit the same whichever contexts go with it. Threads must not share a model.
public protocol ResidualStreamModel: AnyObject {
  /// Describes the model.
  var description: ModelDescription { get }
  /// Its tokens.
  var tokenizer: any Tokenizer { get }
  /// The longest allowed context, in tokens.
  var contextLength: Int { get }

  /// Reads the residual stream after block `block` (attention, feed-forward and both additions; blocks count
  /// from 0) into the first rows of `rows`: context after context, token after token.
  ///
  /// `rows` has `description.width` columns and at least one row for each token. Later blocks are not
  /// computed. `shouldStop` is called before each batch with the number of tokens done, on any thread, but never twice at
  /// once. If it returns true, the result is false and rows are missing. Fails with `.data` if the block cannot be
  /// read, with `.software` if computing fails.
  func capture(
    _ contexts: [[Int32]], afterBlock block: Int, into rows: inout Matrix,
    shouldStop: (_ done: Int) -> Bool
  ) throws(Failure) -> Bool

  /// The cross-entropy of each next token, in nats. A context of n tokens has n - 1 numbers; the p-th is
  /// that of token p + 1 given the tokens up to p.
  ///
  /// With a `splice`, the residual stream is replaced on the way.
  func losses(of contexts: [[Int32]], splice: Splice?) throws(Failure) -> [[Float]]

  /// The effect of each of `splices` on the predictions of next tokens. Undisturbed predictions are kept for
  /// one batch at a time, so memory does not grow with the contexts.
  func effects(of contexts: [[Int32]], splices: [Splice]) throws(Failure) -> SpliceEffects

  /// Reads `tokens`, at least one, as the next tokens of the context being written, from position `position`
  /// on, and returns the logits of the token that follows [vocabulary].
  ///
  /// Position 0 begins a new context; otherwise `position` must be the number of tokens read so far. The
  /// model remembers what it read (keys and values of attention), with the splices applied then, so that one
  /// more token costs the work of one. `splice` gets only the rows of `tokens`, and after the last block
  /// perhaps only the last of them, because no other row there affects the result.
  func logits(
    after tokens: [Int32], at position: Int, splice: Splice?
  ) throws(Failure) -> [Float]
}

/// The effects of replacing the residual stream on predictions. A context of n tokens has n - 1 numbers, as
/// in `ResidualStreamModel.losses`.
public struct SpliceEffects: Hashable, Sendable {
  /// The effect of one replacement.
  public struct Effect: Hashable, Sendable {
    /// The cross-entropy of each next token, in nats.
    public var losses: [[Float]]
    /// The Kullback-Leibler divergence of prediction q from the undisturbed p, Σ p ln(p / q), in nats.
    public var divergences: [[Float]]
  }

  /// The cross-entropy of each next token without a replacement, in nats.
  public var losses: [[Float]]
  /// One effect for each replacement.
  public var splices: [Effect]
}

extension ResidualStreamModel {
  /// Reads the residual stream of all `contexts` after block `block`, without stopping early.
  public func capture(
    _ contexts: [[Int32]], afterBlock block: Int, into rows: inout Matrix
  ) throws(Failure) {
    _ = try capture(contexts, afterBlock: block, into: &rows, shouldStop: { _ in false })
  }
}

/// A replacement of the residual stream after a block.
public struct Splice {
  /// The place of a row of the residual stream.
  public struct Place: Hashable, Sendable {
    /// The index of its context among those given; 0 while a text is written.
    public var context: Int
    /// Its position in the context.
    public var position: Int
    /// Its token.
    public var token: Int32
  }

  /// The block after which rows are replaced, counting from 0.
  public var block: Int
  /// Replaces rows in place. It is called once for each batch. Batches come in any order and on any thread, but never two
  /// at once. `rows` [places.count × width] are as the model computed them; row i belongs at `places[i]`.
  public var replace: (_ rows: inout Matrix, _ places: [Place]) throws(Failure) -> Void

  /// Replaces rows after block `block` by what `replace` makes of them.
  public init(
    afterBlock block: Int,
    _ replace: @escaping (_ rows: inout Matrix, _ places: [Place]) throws(Failure) -> Void
  ) {
    self.block = block
    self.replace = replace
  }
}

/// A language model's tokens.
public protocol Tokenizer: Sendable {
  /// The readable text of every token.
  var pieces: [String] { get }
  /// The tokens that begin every context as the model's file declares it: the beginning-of-sequence token
  /// (BOS), or none.
  var prefix: [Int32] { get }
  /// The beginning-of-sequence token; nil if the model has none.
  var bos: Int32? { get }

  /// The tokens of `text` (UTF-8; other bytes are replaced by U+FFFD). No special token is added, and text
  /// that spells a special token does not become one.
  func encode(_ text: ArraySlice<UInt8>) -> [Int32]

  /// Whether `token` is special: it marks a beginning, an end or a turn, or stands for unknown text.
  func isSpecial(_ token: Int32) -> Bool
}

extension Tokenizer {
  /// The tokens that begin every context under `rule`; none if a model without BOS should always have it.
  public func prefix(_ rule: BOSRule) -> [Int32] {
    switch rule {
    case .auto: prefix
    case .always: bos.map { [$0] } ?? []
    case .never: []
    }
  }

  /// The bytes that `token` stands for in a text; for a special token, the bytes of its name.
  public func bytes(of token: Int32) -> [UInt8] {
    guard pieces.indices.contains(Int(token)) else { return [] }
    let piece = Array(pieces[Int(token)].utf8)
    var bytes: [UInt8] = []
    var place = 0
    while place < piece.count {
      let rest = piece[place...]
      if rest.starts(with: [0xE2, 0x96, 0x81]) {
        bytes.append(0x20)
        place += 3
      } else if rest.count >= 6, rest.starts(with: Array("<0x".utf8)), rest[place + 5] == 0x3E,
        let byte = UInt8(
          String(decoding: piece[(place + 3)..<(place + 5)], as: UTF8.self), radix: 16)
      {
        bytes.append(byte)
        place += 6
      } else {
        bytes.append(piece[place])
        place += 1
      }
    }
    return bytes
  }

  /// The text that `tokens` spell; bytes that are not UTF-8 become U+FFFD.
  public func text(of tokens: [Int32]) -> String {
    String(decoding: tokens.flatMap(bytes(of:)), as: UTF8.self)
  }

  /// Fails with `.data` unless all `tokens`, which were read from `source`, are tokens of this model.
  public func check(_ tokens: [Int32], of source: String) throws(Failure) {
    let count = Int32(clamping: pieces.count)
    guard let wrong = tokens.first(where: { $0 < 0 || $0 >= count }) else { return }
    throw .data(
      "\(source): the model has no token \(wrong), its tokens are 0 to \(count - 1); the store is"
        + " damaged.")
  }

  /// The first `limit` tokens of `text`, without reading much more of it than needed.
  ///
  /// It tokenises only the beginning if that gives 64 tokens more than needed: then the cut cannot matter.
  public func encode(_ text: [UInt8], limit: Int) -> [Int32] {
    var end = limit * 16 + 1024
    if end < text.count {
      while end > 0, text[end] & 0xC0 == 0x80 { end -= 1 }
      let tokens = encode(text[..<end])
      if tokens.count >= limit + 64 { return Array(tokens.prefix(limit)) }
    }
    return Array(encode(text[...]).prefix(limit))
  }
}
