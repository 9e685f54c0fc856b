// Runs any GGUF model as a `ResidualStreamModel`. Other files `Llama….swift` call llama.cpp's C interface.
//
// Batches are computed in lanes, one for each thread, over one copy of the weights. ggml's threads wait for each other
// after every product of matrices, and they spin while they wait. So several threads in one batch lose much of their
// time, most of it where another program uses a core. Threads in lanes of their own never wait.

public import HSAESupport
public import HSAETensors
import Synchronization

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
  private var forCapture: [Lane] = []
  private var forLogits: [Lane] = []
  private var forWriting: LlamaContext?
  /// The number of tokens read of the context being written.
  private var readCount = 0
  /// Held while a splice replaces rows, so that no two batches do so at once.
  private let splicing = Mutex(())

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

  /// Memory for one batch at a time. One thread at a time uses it.
  // Safe: `forEachBatch` gives a lane to one worker, and a worker computes one batch after another.
  private final class Lane: @unchecked Sendable {
    let context: LlamaContext
    /// The losses and divergences of a batch with logits.
    private(set) lazy var scores = PredictionScores(
      rows: context.batchTokens, vocabulary: vocabulary)
    /// The undisturbed predictions of a batch, kept while replacements are tried.
    private(set) lazy var undisturbed = KeptPredictions(scores)
    private let vocabulary: Int

    init(_ context: LlamaContext, vocabulary: Int) {
      (self.context, self.vocabulary) = (context, vocabulary)
    }
  }

  /// Computes `contexts` in batches, several at once, each in a lane. `body` returns whether to go on; if it returns
  /// false or fails, no further batch begins, and the first failure is thrown.
  private func forEachBatch(
    of contexts: [[Int32]], hasLogits: Bool,
    _ body: (PackedBatch, Lane) throws(Failure) -> Bool
  ) throws(Failure) {
    let usual = hasLogits ? Self.batchTokensWithLogits : Self.batchTokens
    let most = max(contextLength, usual)
    // Twice as many contexts as fit at full length, because many are shorter.
    let sequences = max(1, min(64, 2 * usual / contextLength))
    let lengths = contexts.map(\.count)
    let workers = min(threads, processorCount)
    // A splice computes with the rows of a batch, and its last bits may depend on their number, so batches with logits do
    // not depend on threads.
    let batches = PackedBatch.pack(
      lengths: lengths,
      tokens: hasLogits ? most : PackedBatch.size(lengths: lengths, most: most, workers: workers),
      sequences: sequences, multiple: LlamaContext.lengthMultiple,
      minimum: LlamaContext.minimumLength)
    let lanes = try lanes(
      hasLogits, atMost: min(workers, batches.count), batchTokens: most, sequences: sequences)
    for (index, lane) in lanes.enumerated() {
      lane.context.use(
        threads: max(1, threads / lanes.count + (index < threads % lanes.count ? 1 : 0)))
    }
    let end = Mutex<(isHere: Bool, failure: Failure?)>((false, nil))
    parallelFor(batches.count, threads: max(1, lanes.count)) { index, worker in
      guard !end.withLock(\.isHere) else { return }
      do throws(Failure) {
        if try !body(batches[index], lanes[worker]) { end.withLock { $0.isHere = true } }
      } catch {
        end.withLock { $0 = (true, $0.failure ?? error) }
      }
    }
    if let failure = end.withLock(\.failure) { throw failure }
  }

  /// At most `count` lanes, or fewer if they would take more than half of the memory that would be free without them. They
  /// are made when they are first needed.
  private func lanes(
    _ hasLogits: Bool, atMost count: Int, batchTokens: Int, sequences: Int
  ) throws(Failure) -> [Lane] {
    var lanes = hasLogits ? forLogits : forCapture
    guard lanes.count < count else { return Array(lanes.prefix(count)) }
    let bytes = LlamaContext.byteCount(
      weights, contextLength: contextLength, sequences: sequences, batchTokens: batchTokens,
      hasLogits: hasLogits)
    let free = MachineMemory.current.available + Double(lanes.count) * bytes
    while lanes.count < count, lanes.isEmpty || Double(lanes.count + 1) * bytes <= free / 2 {
      do throws(Failure) {
        let context = try LlamaContext(
          weights, contextLength: contextLength, sequences: sequences, batchTokens: batchTokens,
          hasLogits: hasLogits, threads: 1)
        lanes.append(Lane(context, vocabulary: weights.tokenCount))
      } catch {
        // The lanes that there are can do the work.
        guard !lanes.isEmpty else { throw error }
        break
      }
    }
    if hasLogits { forLogits = lanes } else { forCapture = lanes }
    return lanes
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
    let progress = Mutex((done: 0, isWhole: true))
    // Safe: `rows` has its own place for each context, `forEachBatch` gives each context to one worker, and all
    // its work ends before it returns.
    try unsafe rows.withUnsafeMutablePointer { (target) throws(Failure) in
      nonisolated(unsafe) let target = unsafe target
      try forEachBatch(of: contexts, hasLogits: isLast) { (batch, lane) throws(Failure) in
        let goesOn = progress.withLock { progress in
          if progress.isWhole, shouldStop(progress.done) { progress.isWhole = false }
          return progress.isWhole
        }
        guard goesOn else { return false }
        try lane.context.run(batch, of: contexts, logits: isLast, block: block) { rows in
          for (part, place) in rows.layout.parts.enumerated() {
            unsafe rows.read(part, into: target + starts[place.context] * width)
          }
          return false
        }
        progress.withLock { $0.done += batch.contexts.reduce(0) { $0 + contexts[$1].count } }
        return true
      }
    }
    return progress.withLock(\.isWhole)
  }

  /// The cross-entropy of each next token (see `ResidualStreamModel`).
  public func losses(of contexts: [[Int32]], splice: Splice?) throws(Failure) -> [[Float]] {
    check(contexts, block: splice?.block)
    let losses = Mutex([[Float]](repeating: [], count: contexts.count))
    try forEachBatch(of: contexts, hasLogits: true) { (batch, lane) throws(Failure) in
      try score(batch, of: contexts, splice, in: lane)
      losses.withLock { lane.scores.collect(lane.scores.losses, batch, of: contexts, into: &$0) }
      return true
    }
    return losses.withLock(\.self)
  }

  /// The effects of replacements on predictions (see `ResidualStreamModel`).
  public func effects(of contexts: [[Int32]], splices: [Splice]) throws(Failure) -> SpliceEffects {
    for splice in splices { check(contexts, block: splice.block) }
    check(contexts, block: nil)
    let empty = [[Float]](repeating: [], count: contexts.count)
    let effects = Mutex(
      SpliceEffects(
        losses: empty, splices: splices.map { _ in .init(losses: empty, divergences: empty) }))
    try forEachBatch(of: contexts, hasLogits: true) { (batch, lane) throws(Failure) in
      let scores = lane.scores
      try score(batch, of: contexts, nil, in: lane, .kept)
      effects.withLock { scores.collect(scores.losses, batch, of: contexts, into: &$0.losses) }
      for (index, splice) in splices.enumerated() {
        try score(batch, of: contexts, splice, in: lane, .compared)
        effects.withLock {
          scores.collect(scores.losses, batch, of: contexts, into: &$0.splices[index].losses)
          scores.collect(
            scores.divergences, batch, of: contexts, into: &$0.splices[index].divergences)
        }
      }
      return true
    }
    return effects.withLock(\.self)
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
      if let splice { try self.apply(splice, to: rows) }
    }
    readCount = position + tokens.count
    return logits
  }

  /// What happens to predictions beside their losses: nothing, or the lane keeps them, or it compares them with those kept.
  private enum Comparison { case none, kept, compared }

  /// Runs a batch to its logits, replacing rows on the way, and scores its predictions.
  private func score(
    _ batch: PackedBatch, of contexts: [[Int32]], _ splice: Splice?, in lane: Lane,
    _ comparison: Comparison = .none
  ) throws(Failure) {
    try lane.context.run(batch, of: contexts, logits: true, block: splice?.block) {
      (rows) throws(Failure) in
      if let splice { try self.apply(splice, to: rows) }
      return true
    }
    let (scores, kept) = (lane.scores, comparison == .none ? nil : lane.undisturbed)
    // Safe: each row of logits has the model's vocabulary, as `scores` and `kept` expect.
    try unsafe lane.context.forEachPrediction(batch, of: contexts) { logits, row, next in
      if comparison == .compared, let kept {
        unsafe scores.score(logits, row: row, next: next, against: kept)
      } else {
        unsafe scores.score(logits, row: row, next: next, keepingIn: kept)
      }
    }
  }

  /// Replaces the rows at the tap with `splice`; padding stays as it is.
  private func apply(_ splice: Splice, to rows: borrowing BlockRows) throws(Failure) {
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
    try splicing.withLock { (_) throws(Failure) in try splice.replace(&matrix, places) }
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
