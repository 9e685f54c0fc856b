// Runs batches of contexts through a model loaded by llama.cpp, with a tap on the residual stream. All
// sequences of a batch have the same length (`PackedBatch` pads them), fit into one ubatch and have a cache
// each, so the rows at the tap come sequence after sequence.
//
// Two things make a context's rows bit for bit the same in any batch. Flash attention is off, because its
// rounding depends on the number of tokens in a batch (and on processors it is no faster). And lengths are
// multiples of 4 and at least 8, because ggml multiplies 4 vectors at a time, and a remainder or a very
// small number in another way.

import CLlama
import HSAESupport
import HSAETensors

/// Memory to compute one batch at a time. Threads must not use it at the same time.
@safe
final class LlamaContext {
  // Safe: `context` is made in `init` and freed only in `deinit`. It calls `tap` during `llama_decode` only,
  // on the calling thread, and `tap` outlives it. `batch` has room for `batchTokens` tokens.
  private let weights: LlamaWeights
  private let context: OpaquePointer
  private var batch: llama_batch
  private let tap: Tap
  private var threads: Int
  /// The most tokens in a batch, padding included.
  let batchTokens: Int
  /// The most contexts in a batch.
  let sequences: Int
  /// The lengths of batches are multiples of the first and at least the second.
  static let (lengthMultiple, minimumLength) = (4, 8)

  /// Memory for `sequences` contexts of up to `contextLength` tokens. A batch has at most `batchTokens`
  /// tokens, or one context if that is longer.
  ///
  /// With `hasLogits` every token of a batch may have logits; that takes 8 bytes for each pair of a token in
  /// the batch and a token in the vocabulary. Fails with `.software` if there is too little memory.
  init(
    _ weights: LlamaWeights, contextLength: Int, sequences: Int, batchTokens: Int, hasLogits: Bool,
    threads: Int
  ) throws(Failure) {
    let multiple = Self.lengthMultiple
    let length =
      (max(contextLength, Self.minimumLength) + multiple - 1) / multiple * multiple
    let batchTokens = max(batchTokens, length)
    let tap = Tap()
    // Safe: plain C values, which llama.cpp copies. `data` is `tap`, which outlives the context.
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
      // llama.cpp first asks whether we want this tensor, then hands it over; then false ends the run.
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
    self.threads = threads
    self.sequences = sequences
    self.batchTokens = batchTokens
    unsafe batch = unsafe llama_batch_init(Int32(batchTokens), 0, 1)
  }

  /// About how many bytes a context with these settings takes. It counts keys and values of every position and block (as
  /// many numbers as the residual stream has, 16 bits each), what one block computes, its attention scores, and logits:
  /// llama.cpp keeps them twice, and `KeptPredictions` once.
  static func byteCount(
    _ weights: LlamaWeights, contextLength: Int, sequences: Int, batchTokens: Int, hasLogits: Bool
  ) -> Double {
    let tokens = Double(max(batchTokens, contextLength))
    let width = Double(weights.width)
    let cache = Double(contextLength * sequences * weights.blockCount) * width * 4
    let logits = (hasLogits ? tokens : Double(sequences)) * Double(weights.tokenCount) * 4
    // Safe: llama.cpp only reads the model.
    let heads = unsafe Double(llama_model_n_head(weights.model))
    let scores = tokens * Double(contextLength) * heads * 4
    return cache + 32 * tokens * width * 4 + scores + 3 * logits
  }

  deinit {
    // Safe: `init` made both, and this is their last use.
    unsafe llama_batch_free(batch)
    unsafe llama_free(context)
  }

  /// Computes with `count` threads from now on.
  func use(threads count: Int) {
    threads = count
    // Safe: the context lives, and nothing else runs in it.
    unsafe llama_set_n_threads(context, Int32(count), Int32(count))
  }

  /// Runs the contexts of `packed` through the model.
  ///
  /// `logits` asks for logits of all tokens; the last block is only computed with them. `receive` gets the
  /// residual stream after block `block`, if there is one, and returns whether to go on from there.
  func run(
    _ packed: PackedBatch, of contexts: [[Int32]], logits: Bool, block: Int?,
    receive: @escaping (borrowing BlockRows) throws(Failure) -> Bool
  ) throws(Failure) {
    precondition(
      packed.contexts.count <= sequences && packed.contexts.count * packed.length <= batchTokens,
      "A batch of \(packed.contexts.count) × \(packed.length) is too large.")
    fill(packed, contexts, logits: logits)
    // Safe: the context lives, and nothing else runs in it.
    unsafe llama_memory_clear(llama_get_memory(context), false)
    try decode(
      block: block, BlockRows.Layout(packed, contexts, width: weights.width), receive,
      "a batch of \(packed.contexts.count) contexts")
  }

  /// Computes the filled batch; `what` describes it in messages.
  private func decode(
    block: Int?, _ layout: BlockRows.Layout,
    _ receive: @escaping (borrowing BlockRows) throws(Failure) -> Bool, _ what: String
  ) throws(Failure) {
    tap.place(block: block, layout, receive)
    // Safe: `batch` holds `n_tokens` filled tokens.
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
        "\(weights.path): the output of block \(block ?? 0) cannot be read, because llama.cpp"
          + " does not name it for models of this architecture.")
    }
  }

  private func fill(_ packed: PackedBatch, _ contexts: [[Int32]], logits: Bool) {
    var count = 0
    for (sequence, index) in packed.contexts.enumerated() {
      let tokens = contexts[index]
      for position in 0..<packed.length {
        let token = tokens[min(position, tokens.count - 1)]
        put(token, count, position: position, sequence: sequence, logits: logits)
        count += 1
      }
    }
    unsafe batch.n_tokens = Int32(count)
  }

  private func put(_ token: Int32, _ index: Int, position: Int, sequence: Int, logits: Bool) {
    precondition(index >= 0 && index < batchTokens)
    // Safe: the batch was made for `batchTokens` tokens.
    unsafe batch.token[index] = token
    unsafe batch.pos[index] = Int32(position)
    unsafe batch.n_seq_id[index] = 1
    unsafe batch.seq_id[index]?[0] = Int32(sequence)
    unsafe batch.logits[index] = logits ? 1 : 0
  }

  /// Reads `tokens` as the next tokens of the one kept context, from position `position` on, and returns the
  /// logits of the token that follows [vocabulary].
  ///
  /// Nothing is padded, because the context would keep the padding. `receive` gets the residual stream after
  /// block `block`; after the last block llama.cpp computes it for the last token only.
  func advance(
    _ tokens: [Int32], at position: Int, block: Int?,
    receive: @escaping (borrowing BlockRows) throws(Failure) -> Void
  ) throws(Failure) -> [Float] {
    precondition(tokens.count <= batchTokens, "\(tokens.count) tokens are too many.")
    // Safe: the context lives, and nothing else runs in it.
    if position == 0 { unsafe llama_memory_clear(llama_get_memory(context), false) }
    for (index, token) in tokens.enumerated() {
      let isLast = index == tokens.count - 1
      put(token, index, position: position + index, sequence: 0, logits: isLast)
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
    // Safe: llama.cpp keeps `tokenCount` logits of the last token until the next batch; they are copied.
    guard let logits = unsafe llama_get_logits_ith(context, -1) else {
      throw Failure(.software, "\(weights.path): llama.cpp computed no logits.")
    }
    return unsafe Array(UnsafeBufferPointer(start: logits, count: weights.tokenCount))
  }

  /// Calls `body` for every token of `packed` that has a next one: with its logits, its row in the batch,
  /// and the next token. The batch must have just been run with logits. Calls are concurrent.
  func forEachPrediction(
    _ packed: PackedBatch, of contexts: [[Int32]],
    _ body: (_ logits: UnsafePointer<Float>, _ row: Int, _ next: Int) -> Void
  ) throws(Failure) {
    // Safe: until the next batch llama.cpp keeps a row of logits for each token, in order; we only read.
    guard let logits = unsafe llama_get_logits(context) else {
      throw Failure(.software, "\(weights.path): llama.cpp computed no logits.")
    }
    let tokenCount = weights.tokenCount
    for (place, index) in packed.contexts.enumerated() {
      let tokens = contexts[index]
      let first = place * packed.length
      nonisolated(unsafe) let logits = unsafe logits
      parallelFor(max(0, tokens.count - 1), threads: threads) { position, _ in
        let row = unsafe UnsafePointer(logits + (first + position) * tokenCount)
        unsafe body(row, first + position, Int(tokens[position + 1]))
      }
    }
  }
}
