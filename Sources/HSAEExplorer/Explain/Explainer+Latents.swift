// The stages of `hsae explain` that use codes: statistics and contexts of every latent, hierarchy scores, and
// which passages the contexts are in.

#if Explorer
import Foundation
import GRDB
import HSAEActivations
import HSAEEvaluation
import HSAEModels
import HSAESupport
import HSAETensors
import Synchronization
import HSAERuns

extension Explainer {
  /// How many words are kept for a latent.
  private static let listedWords = 12

  /// Writes, for each token of a text, how many of its rows are explained how well.
  func writeExplained(_ chunks: CodeChunks) throws(Failure) -> Bool {
    guard goesOn(.explained, 0, 1) else { return false }
    guard rows.kind == .text, let store = rows.store, try !writer.isDone(runID, .explained, 0)
    else { return true }
    var all = ExplainedShares()
    var known: [Int32: ExplainedShares] = [:]
    for (row, share) in chunks.shares.enumerated() {
      all.add(share)
      known[store.token(row), default: ExplainedShares()].add(share)
    }
    let run = runID
    try writer.write(run, .explained, 0) { db in
      let statement = try db.cachedStatement(sql: "INSERT INTO explained VALUES (?, ?, ?)")
      // Fewer rows are not compared with.
      for (token, shares) in known where shares.rows >= TokenStanding.leastRows {
        try statement.execute(arguments: [run, token, Blob.integers(shares.counts)])
      }
      try statement.execute(
        arguments: [run, ExplainedShares.allTokens, Blob.integers(all.counts)])
    }
    return goesOn(.explained, 1, 1)
  }

  /// Writes statistics, contexts and co-activation, by blocks of experts.
  func writeLatents(_ chunks: CodeChunks) throws(Failure) -> Bool {
    let experts = run.shape.experts
    for block in 0..<pieceCount(experts, size: options.blockSize) {
      let range = pieceRange(block, size: options.blockSize, count: experts)
      if try writer.isDone(runID, .latents, block) { continue }
      guard goesOn(.latents, range.lowerBound, experts) else { return false }
      let found = Mutex<[Int: [(ExpertSummary.Member, String)]]>([:])
      let (rows, shape, settings) = (rows, run.shape, options.contexts)
      let subThreshold = run.dictionary.activation.subThreshold
      parallelFor(range.count, threads: options.threads) { piece, _ in
        let expert = range.lowerBound + piece
        let summary = ExpertSummary(
          expert, shape: shape, subThreshold: subThreshold, chunks: chunks, rows: rows,
          settings: settings)
        let members = summary.members.map { ($0, Self.words(of: $0.summary, in: rows)) }
        found.withLock { $0[expert] = members }
      }
      let summaries = found.withLock { $0 }
      let run = runID
      try writer.write(run, .latents, block) { db in
        for expert in range {
          try Self.write(summaries[expert] ?? [], run: run, shape: shape, db)
        }
      }
    }
    return goesOn(.latents, experts, experts)
  }

  private static func write(
    _ members: [(ExpertSummary.Member, String)], run: Int, shape: DictionaryShape, _ db: Database
  ) throws {
    var latent: Statement?
    let evidence = try db.cachedStatement(sql: "INSERT INTO evidence VALUES (?, ?, ?, ?)")
    let parentCount = members.first?.0.summary.count ?? 0
    let live = members.dropFirst().count { $0.0.summary.count > 0 }
    for (member, words) in members {
      let (number, summary) = (member.number, member.summary)
      let id = LatentID.make(run: run, number: number.number(in: shape))
      let values: Database.Values = [
        "id": id, "run": run, "expert": number.expert, "sublatent": number.sublatent ?? -1,
        "fired": summary.count, "chosen": member.chosen, "maximum": summary.maximum,
        "mean": summary.mean, "parent_mean": member.parentMean,
        "share": parentCount > 0 ? Double(summary.count) / Double(parentCount) : 0,
        "live": number.sublatent == nil ? live : 0, "words": words,
      ]
      // Making the statement for each of a hundred thousand latents would take a second.
      let insertion = try latent ?? db.insertion(of: values, into: "latent")
      try insertion.execute(arguments: StatementArguments(values.map(\.value)))
      latent = insertion
      if summary.count == 0 { continue }
      try evidence.execute(arguments: [
        id, Blob.integers(summary.histogram), Blob.contexts(summary.contexts),
        Blob.related(member.coactive),
      ])
    }
  }

  /// The different words at which a latent is strongest, strongest first, one in a line.
  private static func words(of summary: LatentSummary, in rows: ExplainedRows) -> String {
    guard rows.kind != .rows else { return "" }
    var seen: Set<String> = []
    var words: [String] = []
    for context in summary.contexts where context.group == 0 && words.count < listedWords {
      let word = rows.word(at: context.place).filter { !$0.isNewline }
      if seen.insert(wordForm(word)).inserted { words.append(word) }
    }
    return words.joined(separator: "\n")
  }

  /// Writes the hierarchy score of every expert on the first rows, and what chance gives, unless the run is flat or has no words.
  func writeScores() throws(Failure) -> Bool {
    guard !run.shape.isFlat, let store = rows.store, !rows.vocabulary.isEmpty,
      try !writer.isDone(runID, .scores, 0)
    else { return true }
    let count = HierarchyScoring.scoredRows(
      of: rows.count, width: run.shape.width, areTokensOfTexts: rows.kind == .text)
    var codes = Codes()
    for start in stride(from: 0, to: count, by: options.chunkRows) {
      guard goesOn(.scores, start, count) else { return false }
      var part = try store.matrix(rows: start..<min(count, start + options.chunkRows))
      run.prepare(&part)
      let found = run.dictionary.encode(part, threads: options.threads)
      for row in 0..<found.count { codes.append(found[row]) }
    }
    var matrix = try store.matrix(rows: 0..<count)
    run.prepare(&matrix)
    let evaluation = DictionaryEvaluation(
      run.dictionary, rows: matrix, codes: codes,
      words: WordTable(tokens: (0..<count).map(store.token), vocabulary: rows.vocabulary),
      threads: options.threads)
    let (runID, shape) = (runID, run.shape)
    try writer.write(runID, .scores, 0) { db in
      let statement = try db.cachedStatement(
        sql: "UPDATE latent SET score = ?, score_parts = ? WHERE id = ?")
      for hierarchy in evaluation.hierarchies {
        let number = LatentNumber(expert: hierarchy.expert).number(in: shape)
        try statement.execute(arguments: [
          hierarchy.score, ScoreParts(hierarchy).blob, LatentID.make(run: runID, number: number),
        ])
      }
      try ScoreScale(evaluation).write(run: runID, db)
    }
    return goesOn(.scores, count, count)
  }

  /// Writes, for each passage, the latents that have one of their strongest contexts in it.
  func writePostings() throws(Failure) -> Bool {
    guard goesOn(.postings, 0, 1) else { return false }
    guard rows.kind == .text, try !writer.isDone(runID, .postings, 0) else { return true }
    let (run, corpus) = (runID, corpusID)
    // This error rolls the transaction back.
    let stopped = Failure(.temporary, "stopped")
    let write = { [goesOn] (db: Database) throws in
      var cited: [(place: Int, number: Int)] = []
      let evidence = try Row.fetchCursor(
        db, sql: "SELECT latent, contexts FROM evidence WHERE latent BETWEEN ? AND ?",
        arguments: LatentID.range(run: run))
      while let row = try evidence.next() {
        if cited.count % 1024 == 0, !goesOn(.postings, 0, 1) { throw stopped }
        for context in try Blob.contexts(row.get(1) as Data) where context.group == 0 {
          cited.append((context.place, LatentID.number(try row.get(0))))
        }
      }
      cited.sort { $0.place != $1.place ? $0.place < $1.place : $0.number < $1.number }
      let insert = try db.cachedStatement(sql: "INSERT INTO posting VALUES (?, ?)")
      let passages = try Row.fetchCursor(
        db,
        sql: "SELECT id, first, length(tokens) / 4 FROM passage WHERE corpus = ? ORDER BY first",
        arguments: [corpus])
      var next = 0
      while let row = try passages.next() {
        if next % 1024 == 0, !goesOn(.postings, 0, 1) { throw stopped }
        let (first, length): (Int, Int) = try (row.get(1), row.get(2))
        var latents: [Int] = []
        while next < cited.count, cited[next].place < first + length {
          latents += [cited[next].place - first, cited[next].number]
          next += 1
        }
        if latents.isEmpty { continue }
        try insert.execute(arguments: [
          LatentID.make(run: run, number: try row.get(0)), Blob.integers(latents),
        ])
      }
    }
    do throws(Failure) {
      try writer.write(run, .postings, 0, write)
    } catch {
      if error == stopped { return false }
      throw error
    }
    return goesOn(.postings, 1, 1)
  }
}
#endif
