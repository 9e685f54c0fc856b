// Continuations with and without steering, one request at a time. Other requests may use the model between
// two tokens, and a request may be cancelled.

#if Explorer
import HSAEEvaluation
import HSAELanguageModels
import HSAEModels
import HSAESupport

extension Dissector {
  /// A continuation that was checked and may be written.
  struct Steered {
    var request: SteeringRequest
    /// The prompt's tokens, with special ones in front.
    var prompt: [Int32]
    var splice: Splice
  }

  struct Written: Hashable {
    var plain: String
    var steered: String
  }

  /// Prepares the continuations that `request` asks for. Unless it fails, call `write` next; until `write`
  /// has ended, no other request can be prepared.
  ///
  /// Fails with `.usage` if a value is out of bounds, with `.missing` if there is no such latent, with
  /// `.unavailable` if a continuation is being written already, and as `dissect` does.
  func prepare(
    _ request: SteeringRequest, of run: RunRecord, _ database: FeatureDatabase
  ) throws(Failure) {
    try request.check()
    guard let layer = run.layer, run.kind == .text else {
      throw .usage("Only runs on a model's residual stream can be steered.")
    }
    guard steered == nil else {
      throw Failure(
        .unavailable, "A continuation is being written for someone else; try again in a moment.")
    }
    let targets = try targets(request, run, database)
    let model = try loaded(for: [run])
    let prefix = model.tokenizer.prefix(run.bos)
    let words = model.tokenizer.encode(Array(request.prompt.utf8)[...])
    let prompt = prefix + words
    guard !words.isEmpty else { throw .usage("Write a prompt to continue.") }
    guard words.count <= min(Self.longestText, model.contextLength - prefix.count - 1) else {
      throw .usage(
        "This prompt has \(grouped(words.count)) tokens; give at most"
          + " \(min(Self.longestText, model.contextLength - prefix.count - 1)).")
    }
    let steering = Steering(
      request.action, targets, of: try dictionary(of: run), rowScale: run.rowScale,
      threads: threads)
    steered = Steered(
      request: request, prompt: prompt,
      splice: steering.splice(
        afterBlock: layer, from: request.skipPrompt ? prompt.count - 1 : 0,
        tokenizer: model.tokenizer))
  }

  /// Writes the prepared continuations and calls `report` with each piece; nil if the task was cancelled.
  func write(
    _ report: @Sendable (SteeringEvent) -> Void = { _ in }
  ) async throws(Failure) -> Written? {
    guard let steered, let model else { return nil }
    defer { self.steered = nil }
    let key = SteeringRequest.Unsteered(
      prompt: steered.prompt, tokens: steered.request.tokens, sampling: steered.request.sampling)
    var plain = unsteered[key]
    if let plain {
      report(SteeringEvent(kind: .plain, text: model.tokenizer.text(of: plain)))
    } else {
      plain = try await write(steered, by: model, .plain, report)
    }
    guard let plain else { return nil }
    if unsteered.count >= Self.remembered { unsteered = [:] }
    unsteered[key] = plain
    guard let other = try await write(steered, by: model, .steered, report) else { return nil }
    let written = Written(
      plain: model.tokenizer.text(of: plain), steered: model.tokenizer.text(of: other))
    report(SteeringEvent(kind: .end, default: written.plain, steered: written.steered))
    return written
  }

  /// Writes one of the two; nil if the task was cancelled. Other requests have their turn between tokens.
  private func write(
    _ steered: Steered, by model: any ResidualStreamModel, _ kind: SteeringEvent.Kind,
    _ report: @Sendable (SteeringEvent) -> Void
  ) async throws(Failure) -> [Int32]? {
    var continuation = Continuation(
      of: steered.prompt, by: model, sampling: steered.request.sampling,
      splice: kind == .steered ? steered.splice : nil)
    var tokens: [Int32] = []
    var unsent: [UInt8] = []
    while tokens.count < steered.request.tokens, let token = try continuation.next() {
      if Task.isCancelled { return nil }
      tokens.append(token)
      unsent += model.tokenizer.bytes(of: token)
      let whole = wholeCharacters(unsent)
      if whole > 0 {
        report(SteeringEvent(kind: kind, text: String(decoding: unsent[..<whole], as: UTF8.self)))
        unsent.removeFirst(whole)
      }
      await Task.yield()
    }
    if !unsent.isEmpty {
      report(SteeringEvent(kind: kind, text: String(decoding: unsent, as: UTF8.self)))
    }
    return tokens
  }

  private func targets(
    _ request: SteeringRequest, _ run: RunRecord, _ database: FeatureDatabase
  ) throws(Failure) -> [Steering.Target] {
    guard let latent = LatentNumber(request.latent, in: run.shape) else {
      throw .missing("\(run.name) has no latent \"\(request.latent)\".")
    }
    var latents = [latent]
    if request.withParent, latent.sublatent != nil {
      latents.append(LatentNumber(expert: latent.expert))
    }
    return try latents.map { (latent) throws(Failure) in
      guard let record = try database.record(of: latent, in: run), record.maximum > 0 else {
        throw .missing(
          "\(run.name): latent \(latent.name) is never active, so its largest code is unknown.")
      }
      return Steering.Target(latent, maximum: record.maximum)
    }
  }
}

/// The number of `bytes` without an incomplete character at their end.
func wholeCharacters(_ bytes: [UInt8]) -> Int {
  for length in 1...3 where length <= bytes.count {
    let byte = bytes[bytes.count - length]
    if byte & 0xC0 == 0x80 { continue }
    let needed = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : byte >= 0xC0 ? 2 : 1
    return needed > length ? bytes.count - length : bytes.count
  }
  return bytes.count
}
#endif
