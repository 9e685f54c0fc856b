// Runs any GGUF model as a `ResidualStreamModel`. Other files `Llama….swift` call llama.cpp's C interface.

public import HSAESupport
public import HSAETensors

/// A GGUF model whose residual stream can be read and replaced.
public final class LlamaModel: ResidualStreamModel {
  /// What the model is.
  public let description: ModelDescription
  /// Its tokens.
  public let tokenizer: any Tokenizer
  /// The longest allowed context, in tokens.
  public let contextLength: Int

  private let weights: LlamaWeights
  private let threads: Int
  private var forCapture: LlamaContext?
  private var forLogits: LlamaContext?
  private var forWriting: LlamaContext?
  /// The number of tokens read of the context being written.
  private var readCount = 0
  /// The undisturbed predictions of a batch, kept while replacements are tried.
  private var kept: KeptPredictions?

  /// Tokens in a batch: enough for full speed, few enough to stay in the processor's cache.
  private static let batchTokens = 1024
  /// Tokens in a batch whose tokens all have logits, which take memory.
  private static let batchTokensWithLogits = 256

  /// Loads the model in the GGUF file at `path`, or in it and the other parts of a split model, for contexts
  /// of up to `contextLength` tokens.
  ///
  /// `weights` chooses the type to compute with; weights of another type than the file's are made once and
  /// kept in `cache`. Fails with `.missing` or `.data` if llama.cpp cannot use the file, and with `.usage`
  /// if the model was made for shorter contexts or has no block `block`.
  public init(
    path: String, weights choice: WeightsChoice = .auto, contextLength: Int, block: Int? = nil,
    threads: Int = processorCount, cache: ModelCache = ModelCache(),
    say: @escaping @Sendable (String) -> Void = { _ in }
  ) throws(Failure) {
    precondition(
      contextLength >= 1 && threads >= 1, "A context needs at least one token and one thread.")
    let file = try GGUFFile(path: path)
    // A file that cannot be used is refused before it is hashed and converted.
    guard file.isCausal else {
      throw .data("\(path): this is not a causal language model; give one that predicts tokens.")
    }
    LlamaAbort.explain(path)
    if file.string("tokenizer.ggml.model") == "gpt2", file.string("tokenizer.ggml.pre") == nil {
      say(
        "\(path) does not say how text is split before it is tokenised (tokenizer.ggml.pre), like files from before May"
          + " 2024; tokens may be others than those the model was trained on; a newer file of the model is better"
      )
    }
    if let block, let count = file.blockCount {
      try ModelDescription.requireBlock(block, of: count, in: path)
    }
    let vocabulary = try file.vocabulary()
    let sha256 = try file.sha256()
    let prepared = try PreparedWeights(
      file, sha256: sha256, choice: choice, cache: cache, threads: threads, say: say)
    weights = try LlamaWeights(path: prepared.path, repacks: choice != .keep)
    guard contextLength <= weights.longestContext else {
      throw .usage(
        "\(path): this model was made for contexts of at most \(weights.longestContext) tokens, not"
          + " \(contextLength).")
    }
    tokenizer = try LlamaTokenizer(
      weights, vocabulary: vocabulary, namesEnd: file.has("tokenizer.ggml.eos_token_id"))
    description = ModelDescription(
      name: file.name ?? Path.name(path), sha256: sha256, weightsType: prepared.type,
      width: weights.width, blockCount: weights.blockCount, longestContext: weights.longestContext)
    self.contextLength = contextLength
    self.threads = threads
  }

  /// The memory for batches, made when it is first needed.
  private func context(hasLogits: Bool) throws(Failure) -> LlamaContext {
    if let context = hasLogits ? forLogits : forCapture { return context }
    let tokens = hasLogits ? Self.batchTokensWithLogits : Self.batchTokens
    // Twice as many contexts as fit at full length, because many are shorter.
    let context = try LlamaContext(
      weights, contextLength: contextLength, sequences: max(1, min(64, 2 * tokens / contextLength)),
      batchTokens: tokens, hasLogits: hasLogits, threads: threads)
    if hasLogits { forLogits = context } else { forCapture = context }
    return context
  }

  private func check(_ contexts: [[Int32]], block: Int?) {
    precondition(
      contexts.allSatisfy { (1...contextLength).contains($0.count) },
      "A context has 1 to \(contextLength) tokens.")
    precondition(
      contexts.allSatisfy { $0.allSatisfy { $0 >= 0 && $0 < weights.tokenCount } },
      "There is a token outside the vocabulary.")
    precondition(
      block.map { (0..<weights.blockCount).contains($0) } ?? true,
      "There are blocks 0 to \(weights.blockCount - 1).")
  }

  /// Reads the residual stream after block `block` (see `ResidualStreamModel`).
  public func capture(
    _ contexts: [[Int32]], afterBlock block: Int, into rows: inout Matrix,
    shouldStop: (_ done: Int) -> Bool
  ) throws(Failure) -> Bool {
    check(contexts, block: block)
    var starts = [0]
    for context in contexts { starts.append(starts[starts.count - 1] + context.count) }
    let width = weights.width
    precondition(
      rows.columns == width && rows.rows >= starts[contexts.count], "The rows do not fit.")
    // llama.cpp only computes the last block for tokens with logits.
    let isLast = block == weights.blockCount - 1
    let context = try context(hasLogits: isLast)
    let batches = batches(contexts, for: context)
    // Safe: `rows` has its own place for each context, and `run` calls the closure before it returns.
    return try unsafe rows.withUnsafeMutablePointer { (target) throws(Failure) in
      nonisolated(unsafe) let target = unsafe target
      var done = 0
      for batch in batches {
        if shouldStop(done) { return false }
        try context.run(batch, of: contexts, logits: isLast, block: block) { rows in
          for (part, place) in rows.layout.parts.enumerated() {
            unsafe rows.read(part, into: target + starts[place.context] * width)
          }
          return false
        }
        done += batch.contexts.reduce(0) { $0 + contexts[$1].count }
      }
      return true
    }
  }

  /// The cross-entropy of each next token (see `ResidualStreamModel`).
  public func losses(of contexts: [[Int32]], splice: Splice?) throws(Failure) -> [[Float]] {
    check(contexts, block: splice?.block)
    let context = try context(hasLogits: true)
    let scores = PredictionScores(rows: context.batchTokens, vocabulary: weights.tokenCount)
    var losses = [[Float]](repeating: [], count: contexts.count)
    for batch in batches(contexts, for: context) {
      try run(batch, of: contexts, splice, in: context)
      // Safe: each row of logits has the model's vocabulary, as `scores` expects.
      try unsafe context.forEachPrediction(batch, of: contexts, threads: threads) {
        logits, row, next in
        unsafe scores.score(logits, row: row, next: next)
      }
      scores.collect(scores.losses, batch, of: contexts, into: &losses)
    }
    return losses
  }

  /// The effects of replacements on predictions (see `ResidualStreamModel`).
  public func effects(of contexts: [[Int32]], splices: [Splice]) throws(Failure) -> SpliceEffects {
    for splice in splices { check(contexts, block: splice.block) }
    let context = try context(hasLogits: true)
    let scores = PredictionScores(rows: context.batchTokens, vocabulary: weights.tokenCount)
    let undisturbed = kept ?? KeptPredictions(scores)
    kept = undisturbed
    let empty = [[Float]](repeating: [], count: contexts.count)
    var effects = SpliceEffects(
      losses: empty, splices: splices.map { _ in .init(losses: empty, divergences: empty) })
    for batch in batches(contexts, for: context) {
      try run(batch, of: contexts, nil, in: context)
      // Safe: each row of logits has the model's vocabulary, as `scores` and `undisturbed` expect.
      try unsafe context.forEachPrediction(batch, of: contexts, threads: threads) {
        logits, row, next in
        unsafe scores.score(logits, row: row, next: next, keepingIn: undisturbed)
      }
      scores.collect(scores.losses, batch, of: contexts, into: &effects.losses)
      for (index, splice) in splices.enumerated() {
        try run(batch, of: contexts, splice, in: context)
        // Safe: as above.
        try unsafe context.forEachPrediction(batch, of: contexts, threads: threads) {
          logits, row, next in
          unsafe scores.score(logits, row: row, next: next, against: undisturbed)
        }
        scores.collect(scores.losses, batch, of: contexts, into: &effects.splices[index].losses)
        scores.collect(
          scores.divergences, batch, of: contexts, into: &effects.splices[index].divergences)
      }
    }
    return effects
  }

  /// The logits of the next token of the context that is being written (see `ResidualStreamModel`).
  public func logits(
    after tokens: [Int32], at position: Int, splice: Splice?
  ) throws(Failure) -> [Float] {
    precondition(
      position == 0 || position == readCount, "\(readCount) tokens were read, not \(position).")
    check([tokens], block: splice?.block)
    precondition(position + tokens.count <= contextLength, "The context is full.")
    let context: LlamaContext
    if let forWriting {
      context = forWriting
    } else {
      context = try LlamaContext(
        weights, contextLength: contextLength, sequences: 1, batchTokens: contextLength,
        hasLogits: false, threads: threads)
      forWriting = context
    }
    // If reading fails, the context cannot be continued.
    readCount = 0
    let logits = try context.advance(tokens, at: position, block: splice?.block) {
      (rows) throws(Failure) in
      if let splice { try Self.apply(splice, to: rows) }
    }
    readCount = position + tokens.count
    return logits
  }

  private func batches(_ contexts: [[Int32]], for context: LlamaContext) -> [PackedBatch] {
    PackedBatch.pack(
      lengths: contexts.map(\.count), tokens: context.batchTokens, sequences: context.sequences,
      multiple: LlamaContext.lengthMultiple, minimum: LlamaContext.minimumLength)
  }

  /// Runs a batch to its logits, replacing rows on the way.
  private func run(
    _ batch: PackedBatch, of contexts: [[Int32]], _ splice: Splice?, in context: LlamaContext
  ) throws(Failure) {
    try context.run(batch, of: contexts, logits: true, block: splice?.block) {
      (rows) throws(Failure) in
      if let splice { try Self.apply(splice, to: rows) }
      return true
    }
  }

  /// Replaces the rows at the tap with `splice`; padding stays as it is.
  private static func apply(_ splice: Splice, to rows: borrowing BlockRows) throws(Failure) {
    let layout = rows.layout
    let places = layout.parts.flatMap { part in
      part.tokens.enumerated().map {
        Splice.Place(
          context: part.context, position: part.start + $0.offset, token: $0.element)
      }
    }
    // Safe: `matrix` has a row for each token of the parts, and `start` advances by each part's size.
    var matrix = Matrix(rows: places.count, columns: layout.width)
    var start = 0
    for (part, place) in layout.parts.enumerated() {
      unsafe matrix.withUnsafeMutablePointer { unsafe rows.read(part, into: $0 + start) }
      start += place.tokens.count * layout.width
    }
    try splice.replace(&matrix, places)
    precondition(
      matrix.rows == places.count && matrix.columns == layout.width,
      "The splice changed the rows' shape.")
    start = 0
    for (part, place) in layout.parts.enumerated() {
      unsafe matrix.withUnsafePointer { unsafe rows.write(part, from: $0 + start) }
      start += place.tokens.count * layout.width
    }
  }
}
