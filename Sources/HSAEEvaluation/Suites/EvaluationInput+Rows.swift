// The rows and contexts of an evaluation: a store's held-out rows and documents, or those of a text.

import HSAEActivations
import HSAEDistribution
public import HSAELanguageModels
public import HSAERuns
public import HSAESupport
import HSAETensors

extension EvaluationInput {
  /// The rows to evaluate `runs` on: rows of the text; else the store's held-out rows; else all rows.
  public func rows(for runs: [LoadedRun], suite: String) throws(Failure) -> EvaluationRows {
    if text != nil { return try textRows(for: runs, suite: suite) }
    return try ranks.agree { () throws(Failure) in try sourceRows(for: runs, suite) }
  }

  private func sourceRows(
    for runs: [LoadedRun], _ suite: String
  ) throws(Failure) -> EvaluationRows {
    guard let source else {
      throw .usage(
        "The suite \(suite) needs rows; give a store (--store), or a model and text (--model, --text)."
      )
    }
    if let heldOut = try source.heldOutRows(threads: options.threads) {
      return EvaluationRows(
        heldOut, limit: options.rowLimit, isHeldOut: true, name: sourceName)
    }
    return EvaluationRows(
      source, limit: options.rowLimit, isHeldOut: false, name: sourceName,
      aside: trainingAside(for: runs, "rows"))
  }

  /// The end of the description of rows that are not held out: which of `runs` were trained on them, if that is
  /// known. `unit` is "rows" or "documents".
  private func trainingAside(for runs: [LoadedRun], _ unit: String) -> String {
    let own = runs.filter(\.description.knowsRows)
    let trained = own.filter { otherRows(than: $0) == nil }
    if trained.isEmpty { return own.count < runs.count ? "" : ", which no run was trained on" }
    guard trained.count < runs.count else { return ", training \(unit) among them" }
    return ", training \(unit) of \(trained.map(\.name).joined(separator: ", ")) among them"
  }

  func fingerprintOfHoldout() throws(Failure) -> String {
    guard text == nil, let store, let heldOut = try store.heldOutPart() else { return "" }
    return "\(heldOut.fingerprint) \(heldOut.rowCount)"
  }

  func fingerprintOfText() -> String {
    SHA256.hash((text ?? []).map { SHA256.hash(String(decoding: $0.text, as: UTF8.self)) }.joined())
  }

  /// Contexts for the model with about `limit` tokens, and their description as a clause. Documents of a
  /// store are in random order.
  public func contexts(
    for runs: [LoadedRun], limit: Int, model: any ResidualStreamModel, suite: String
  ) throws(Failure) -> (contexts: [EvaluationContext], description: String) {
    if let text {
      let contexts = Self.contexts(
        of: text, limit: limit, model: model, prefix: try prefix(for: runs, of: model))
      return (contexts, Self.describe(contexts, "", "of \(textName)"))
    }
    guard let store, store.attributes.kind == .residualStream else {
      throw .usage(
        "The suite \(suite) reads the model on text; give --text, or a store that keeps its corpus"
          + " (hsae collect).")
    }
    let corpus = try StoredCorpus(store: store.path)
    let heldOut = (0..<corpus.documentCount).filter(corpus.isHeldOut)
    var generator = SeededGenerator(seed: options.seed).split(0x636F_6E74)
    let documents = (heldOut.isEmpty ? Array(0..<corpus.documentCount) : heldOut)
      .shuffled(using: &generator)
    let length = store.attributes.contextLength ?? model.contextLength
    var contexts: [EvaluationContext] = []
    var tokens = 0
    for (number, document) in documents.enumerated() where tokens < limit {
      let all = try corpus.tokens(of: document)
      try model.tokenizer.check(all, of: store.path)
      for start in stride(from: 0, to: all.count, by: length) where tokens < limit {
        let part = Array(all[start..<min(start + length, all.count)])
        contexts.append(EvaluationContext(tokens: part, document: number))
        tokens += part.count
      }
    }
    return (
      contexts,
      Self.describe(
        contexts, heldOut.isEmpty ? "" : "held-out ",
        "of \(sourceName)" + (heldOut.isEmpty ? trainingAside(for: runs, "documents") : ""))
    )
  }

  private static func describe(
    _ contexts: [EvaluationContext], _ kind: String, _ of: String
  ) -> String {
    let tokens = contexts.reduce(0) { $0 + $1.tokens.count }
    return "\(counted(tokens, "token")) of \(grouped(Set(contexts.map(\.document)).count))"
      + " \(kind)documents \(of)"
  }

  private static func contexts(
    of text: [Document], limit: Int, model: any ResidualStreamModel, prefix: [Int32]
  ) -> [EvaluationContext] {
    var contexts: [EvaluationContext] = []
    var tokens = 0
    for (number, document) in text.enumerated() where tokens < limit {
      let words = model.tokenizer.encode(document.text, limit: model.contextLength - prefix.count)
      if words.isEmpty { continue }
      contexts.append(EvaluationContext(tokens: prefix + words, document: number))
      tokens += prefix.count + words.count
    }
    return contexts
  }

  /// The residual stream over the text, special tokens left out.
  private func textRows(
    for runs: [LoadedRun], suite: String
  ) throws(Failure) -> EvaluationRows {
    if let capturedRows { return capturedRows }
    let model = try sharedModel(for: runs, suite: suite)
    let limit = min(options.rowLimit, 100_000)
    let (block, contexts, description) = try ranks.agree { () throws(Failure) in
      let (contexts, description) = try self.contexts(
        for: runs, limit: limit, model: model, suite: suite)
      guard contexts.contains(where: { $0.tokens.contains { !model.tokenizer.isSpecial($0) } })
      else { throw .data("\(textName): there is no token to evaluate on; give a file with text.") }
      return (try self.block(suite: suite), contexts, description)
    }
    var groups: [Int32] = []
    var numbers: [Int: Int32] = [:]
    // The first row of each context, then the number of all rows.
    var starts = [0]
    for context in contexts {
      let number = numbers[context.document] ?? Int32(numbers.count)
      let count = context.tokens.count { !model.tokenizer.isSpecial($0) }
      if count > 0 { numbers[context.document] = number }
      groups += Array(repeating: number, count: count)
      starts.append(groups.count)
    }
    let shares = sharesOfWork(contexts.map(\.tokens.count), among: ranks.size)
    var kept = Matrix(rows: groups.count, columns: model.description.width)
    let total = contexts[shares[ranks.rank]].reduce(0) { $0 + $1.tokens.count }
    try ranks.agree { () throws(Failure) in
      let own = shares[ranks.rank]
      try model.captureOrdinary(
        contexts[own].map(\.tokens), afterBlock: block, into: &kept, from: starts[own.lowerBound]
      ) { progress($0, total, "tokens") }
    }
    ranks.gather(&kept, rows: shares.map { starts[$0.lowerBound]..<starts[$0.upperBound] })
    try ranks.check()
    let rows = EvaluationRows(captured: kept, groups: groups, description: description)
    capturedRows = rows
    return rows
  }
}
