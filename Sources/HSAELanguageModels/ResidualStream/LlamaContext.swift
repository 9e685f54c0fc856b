// Running batches of contexts through a model loaded by llama.cpp, with a tap on the residual stream.
// All sequences of a batch are equally long (`PackedBatch` pads them), fit into one ubatch and have a
// cache of their own, so the rows at the tap are sequence after sequence.
//
// That a context's rows are the same to the bit in any company takes two things. Flash attention is off:
// its rounding depends on how many tokens a batch has (and on processors it is no faster). And lengths
// are multiples of 4 and at least 8: ggml multiplies 4 vectors at a time, and what is left over, or very
// few, in another way.

import CLlama
import HSAESupport
import HSAETensors

/// A place to compute: the memory for one batch at a time. Not to be shared between threads.
@safe
final class LlamaContext {
  // Safe: made in `init`, freed only in `deinit`; `tap` outlives `context`, which calls it during
  // `llama_decode` only, on the calling thread. `batch` has room for `batchTokens` tokens.
  private let weights: LlamaWeights
  private let context: OpaquePointer
  private var batch: llama_batch
  private let tap: Tap
  /// The most tokens of a batch, padding included.
  let batchTokens: Int
  /// The most contexts of a batch.
  let sequences: Int
  /// What the lengths of batches are multiples of, and the least they are.
  static let (lengthMultiple, minimumLength) = (4, 8)

  /// Memory for `sequences` contexts of up to `contextLength` tokens, of which a batch has at most
  /// `batchTokens` (or one context, if that is longer).
  ///
  /// With `hasLogits`, every token of a batch may have logits, which takes 8 bytes for each token of
  /// the batch and each of the vocabulary. Fails with `.software` if memory does not suffice.
  init(
    _ weights: LlamaWeights, contextLength: Int, sequences: Int, batchTokens: Int, hasLogits: Bool,
    threads: Int
  ) throws(Failure) {
    let multiple = Self.lengthMultiple
    let length =
      (max(contextLength, Self.minimumLength) + multiple - 1) / multiple * multiple
    let batchTokens = max(batchTokens, length)
    let tap = Tap()
    var parameters = unsafe llama_context_default_params()
    unsafe parameters.n_ctx = UInt32(length * sequences)
    unsafe parameters.n_batch = UInt32(batchTokens)
    unsafe parameters.n_ubatch = UInt32(batchTokens)
    unsafe parameters.n_seq_max = UInt32(sequences)
    unsafe parameters.n_outputs_max = UInt32(hasLogits ? max(batchTokens, sequences) : sequences)
    unsafe parameters.n_threads = Int32(threads)
    unsafe parameters.n_threads_batch = Int32(threads)
    unsafe parameters.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_DISABLED
    unsafe parameters.kv_unified = false
    unsafe parameters.no_perf = true
    unsafe parameters.cb_eval = { tensor, isQuestion, data in
      guard let tensor = unsafe tensor, let data = unsafe data else { return false }
      let tap = unsafe Unmanaged<Tap>.fromOpaque(data).takeUnretainedValue()
      // Asked: whether we want to see this tensor. Told: what it is; false ends the computation.
      guard unsafe tap.isPlaced(at: tensor) else { return !isQuestion }
      return unsafe isQuestion || tap.receive(tensor)
    }
    unsafe parameters.cb_eval_user_data = Unmanaged.passUnretained(tap).toOpaque()
    let (context, complaint) = unsafe LlamaLog.collecting {
      unsafe llama_init_from_model(weights.model, parameters)
    }
    guard let context = unsafe context else {
      throw Failure(
        .software,
        "\(weights.path): llama.cpp cannot compute contexts of \(contextLength) tokens with this model"
          + (complaint.isEmpty ? "" : ": \(complaint)") + "; try a shorter --context.")
    }
    unsafe self.context = context
    self.weights = weights
    self.tap = tap
    self.sequences = sequences
    self.batchTokens = batchTokens
    unsafe batch = unsafe llama_batch_init(Int32(batchTokens), 0, 1)
  }

  deinit {
    unsafe llama_batch_free(batch)
    unsafe llama_free(context)
  }

  /// Runs the contexts of `packed` through the model.
  ///
  /// Logits are computed for all tokens if `logits`, as the last block needs. `receive` is given the residual stream after
  /// block `block`, if there is one, and says whether to go on from there.
  func run(
    _ packed: PackedBatch, of contexts: [[Int32]], logits: Bool, block: Int?,
    receive: @escaping (borrowing BlockRows) throws(Failure) -> Bool
  ) throws(Failure) {
    precondition(
      packed.contexts.count <= sequences && packed.contexts.count * packed.length <= batchTokens,
      "A batch of \(packed.contexts.count) × \(packed.length) is too large.")
    fill(packed, contexts, logits: logits)
    unsafe llama_memory_clear(llama_get_memory(context), false)
    try decode(
      block: block, BlockRows.Layout(packed, contexts, width: weights.width), receive,
      "a batch of \(packed.contexts.count) contexts")
  }

  /// Computes the batch that was filled in; `what` says what it is.
  private func decode(
    block: Int?, _ layout: BlockRows.Layout,
    _ receive: @escaping (borrowing BlockRows) throws(Failure) -> Bool, _ what: String
  ) throws(Failure) {
    tap.place(block: block, layout, receive)
    let status = unsafe llama_decode(context, batch)
    let (isSeen, failure) = tap.remove()
    if let failure { throw failure }
    guard status == 0 else {
      throw Failure(
        .software,
        "\(weights.path): llama.cpp failed to compute \(what) (status \(status)).")
    }
    guard block == nil || isSeen else {
      throw .data(
        "\(weights.path): llama.cpp does not name the output of block \(block ?? 0) for models of this"
          + " architecture, so it cannot be read.")
    }
  }

  private func fill(_ packed: PackedBatch, _ contexts: [[Int32]], logits: Bool) {
    var count = 0
    for (sequence, index) in packed.contexts.enumerated() {
      let tokens = contexts[index]
      for position in 0..<packed.length {
        let isReal = position < tokens.count
        // Safe: `count` stays below `batchTokens`, for which the batch was made.
        unsafe batch.token[count] = isReal ? tokens[position] : tokens[tokens.count - 1]
        unsafe batch.pos[count] = Int32(position)
        unsafe batch.n_seq_id[count] = 1
        unsafe batch.seq_id[count]?[0] = Int32(sequence)
        unsafe batch.logits[count] = logits ? 1 : 0
        count += 1
      }
    }
    unsafe batch.n_tokens = Int32(count)
  }

  /// Reads `tokens` as the next ones of the one context that is kept, from position `position` on, and
  /// returns the logits of the token after the last [vocabulary].
  ///
  /// Nothing is padded, since padding would be remembered too. `receive` is given the residual stream
  /// after block `block`: llama.cpp computes the last block only for the last token.
  func advance(
    _ tokens: [Int32], at position: Int, block: Int?,
    receive: @escaping (borrowing BlockRows) throws(Failure) -> Void
  ) throws(Failure) -> [Float] {
    precondition(tokens.count <= batchTokens, "\(tokens.count) tokens are too many.")
    if position == 0 { unsafe llama_memory_clear(llama_get_memory(context), false) }
    for (index, token) in tokens.enumerated() {
      // Safe: `index` stays below `batchTokens`, for which the batch was made.
      unsafe batch.token[index] = token
      unsafe batch.pos[index] = Int32(position + index)
      unsafe batch.n_seq_id[index] = 1
      unsafe batch.seq_id[index]?[0] = 0
      unsafe batch.logits[index] = index == tokens.count - 1 ? 1 : 0
    }
    unsafe batch.n_tokens = Int32(tokens.count)
    let seen = block == weights.blockCount - 1 ? tokens.count - 1 : 0
    try decode(
      block: block,
      BlockRows.Layout(Array(tokens[seen...]), at: position + seen, width: weights.width),
      { (rows) throws(Failure) in
        try receive(rows)
        return true
      }, "\(tokens.count) tokens")
    guard let logits = unsafe llama_get_logits_ith(context, -1) else {
      throw Failure(.software, "\(weights.path): llama.cpp computed no logits.")
    }
    return unsafe Array(UnsafeBufferPointer(start: logits, count: weights.tokenCount))
  }

  /// Calls `body` with the logits of every token of `packed`, which was just run with logits, that has a
  /// next one: the token's row in the batch, and the next token. Several calls run at once.
  func forEachPrediction(
    _ packed: PackedBatch, of contexts: [[Int32]], threads: Int,
    _ body: (_ logits: UnsafePointer<Float>, _ row: Int, _ next: Int) -> Void
  ) throws(Failure) {
    guard let logits = unsafe llama_get_logits(context) else {
      throw Failure(.software, "\(weights.path): llama.cpp computed no logits.")
    }
    let tokenCount = weights.tokenCount
    for (place, index) in packed.contexts.enumerated() {
      let tokens = contexts[index]
      let first = place * packed.length
      // Safe: llama.cpp keeps one row of logits for each token that asked for them, in their order,
      // until the next batch; they are only read.
      nonisolated(unsafe) let logits = unsafe logits
      parallelFor(max(0, tokens.count - 1), threads: threads) { position, _ in
        let row = unsafe UnsafePointer(logits + (first + position) * tokenCount)
        unsafe body(row, first + position, Int(tokens[position + 1]))
      }
    }
  }
}
