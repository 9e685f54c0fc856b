// The stages of `hsae explain` that use directions (nearest latents, promoted tokens, latents of other runs),
// and the one that writes the search index.

#if Explorer
import Foundation
import GRDB
import HSAEModels
import HSAESupport
import HSAETensors
import HSAERuns

extension Explainer {
  /// The numbers of the live latents and sublatents, rising.
  func liveLatents() throws(Failure) -> [Int] { try liveLatents(of: runID) }

  private func liveLatents(of run: Int) throws(Failure) -> [Int] {
    try writer.read { db in
      try Int.fetchAll(
        db, sql: "SELECT id FROM latent WHERE id BETWEEN ? AND ? AND fired > 0 ORDER BY id",
        arguments: LatentID.range(run: run)
      ).map(LatentID.number)
    }
  }

  /// Calls `body` with each part of `latents` that is not done, runs the function it returns in a
  /// transaction, and notes the part as done there. Returns whether to go on.
  func forEachPart(
    _ stage: Stage, of latents: [Int], size: Int,
    _ body: (ArraySlice<Int>) throws(Failure) -> (Database) throws -> Void
  ) throws(Failure) -> Bool {
    for part in 0..<pieceCount(latents.count, size: size) {
      let range = pieceRange(part, size: size, count: latents.count)
      if try writer.isDone(runID, stage, part) { continue }
      guard goesOn(stage, range.lowerBound, latents.count) else { return false }
      let write = try body(latents[range])
      try writer.write(runID, stage, part, write)
    }
    return goesOn(stage, latents.count, latents.count)
  }

  /// Writes the nearest latents of every live one, and the directions of the top level.
  func writeNearest() throws(Failure) -> Bool {
    let live = try liveLatents()
    let (run, shape, dictionary) = (runID, run.shape, run.dictionary)
    var search: NearestLatents?
    return try forEachPart(.nearest, of: live, size: 32 * options.blockSize) {
      (part) throws(Failure) in
      let all = search ?? NearestLatents(dictionary, numbers: live, threads: options.threads)
      search = all
      let nearest = all.nearest(to: part, threads: options.threads)
      return { db in
        let related = try db.cachedStatement(sql: "INSERT INTO nearest VALUES (?, ?)")
        let direction = try db.cachedStatement(sql: "INSERT INTO direction VALUES (?, ?)")
        for (number, latents) in zip(part, nearest) {
          let id = LatentID.make(run: run, number: number)
          try related.execute(arguments: [id, Blob.related(latents)])
          let latent = LatentNumber(number, in: shape)
          if latent.sublatent != nil { continue }
          try direction.execute(arguments: [id, Blob.floats(dictionary.unitDirection(of: latent))])
        }
      }
    }
  }

  /// Writes the tokens that every live latent promotes, and those of each sublatent together with its expert.
  func writePromoted() throws(Failure) -> Bool {
    guard let effects else { return true }
    let live = try liveLatents()
    let (run, shape, dictionary) = (runID, run.shape, run.dictionary)
    var search: TokenEffects?
    return try forEachPart(.promoted, of: live, size: 32 * options.blockSize) {
      (part) throws(Failure) in
      let tokens: TokenEffects
      if let search { tokens = search } else { tokens = try effects() }
      search = tokens
      let means = try means(of: part)
      var (own, together): ([[Float]], [[Float]]) = ([], [])
      // The latents that `together` has, in the same order.
      var children: [Int] = []
      for number in part {
        let latent = LatentNumber(number, in: shape)
        own.append(dictionary.unitDirection(of: latent))
        guard latent.sublatent != nil, let mean = means[number] else { continue }
        children.append(number)
        let added = dictionary.contribution(of: latent)
        let parent = dictionary.contribution(of: LatentNumber(expert: latent.expert))
        together.append(
          scaledToUnit(
            added.indices.map { Float(mean.own) * added[$0] + Float(mean.parent) * parent[$0] }))
      }
      let found = tokens.effects(
        of: matrix(rows: own, columns: shape.width), wantsHistogram: true, threads: options.threads)
      let foundTogether = tokens.effects(
        of: matrix(rows: together, columns: shape.width), threads: options.threads)
      return { db in
        let statement = try db.cachedStatement(
          sql: "INSERT INTO promoted (latent, lists, effects) VALUES (?, ?, ?)")
        let both = Dictionary(uniqueKeysWithValues: zip(children, foundTogether))
        for (number, own) in zip(part, found) {
          let lists = [own] + (both[number].map { [$0] } ?? [])
          try statement.execute(arguments: [
            LatentID.make(run: run, number: number), Blob.effects(lists),
            own.histogram.map(Blob.histogram),
          ])
        }
      }
    }
  }

  /// The mean codes of `part`, and for sublatents the mean codes of their experts where they are active.
  private func means(
    of part: ArraySlice<Int>
  ) throws(Failure) -> [Int: (own: Double, parent: Double)] {
    guard let first = part.first, let last = part.last else { return [:] }
    let run = runID
    return try writer.read { db in
      var means: [Int: (own: Double, parent: Double)] = [:]
      let rows = try Row.fetchCursor(
        db, sql: "SELECT id, mean, parent_mean FROM latent WHERE id BETWEEN ? AND ?",
        arguments: [
          LatentID.make(run: run, number: first), LatentID.make(run: run, number: last),
        ])
      while let row = try rows.next() {
        try means[LatentID.number(row.get(0))] = (row.get(1), row.get(2))
      }
      return means
    }
  }

  /// Writes, for the latents of this run, the nearest of every other run on the same hook point of the same model, and the
  /// reverse. The other run is complete or has passed this stage; if not, it does this when it comes to the stage. Top-level
  /// latents are compared with both levels, sublatents with the other's top level. The sublatents of the other run take part
  /// if its folder still has the dictionary that was explained.
  func writeMatched() throws(Failure) -> Bool {
    guard goesOn(.matched, 0, 1) else { return false }
    if try writer.isDone(runID, .matched, 0) { return true }
    let run = runID
    let others = try writer.read { db in
      try Row.fetchAll(
        db,
        sql: RunRecord.selection + """
           WHERE run.id IN (SELECT other.id FROM run JOIN corpus ON corpus.id = run.corpus
          JOIN run AS other ON other.id <> run.id AND other.width = run.width
            AND (other.complete OR EXISTS (SELECT 1 FROM progress WHERE run = other.id AND stage = 'matched'))
          JOIN corpus AS theirs ON theirs.id = other.corpus
            AND theirs.model_sha256 IS corpus.model_sha256
            AND theirs.hook_point IS corpus.hook_point
          WHERE run.id = ? AND (corpus.model_sha256 IS NOT NULL OR theirs.id = corpus.id))
          ORDER BY run.id
          """, arguments: [run]
      ).map(RunRecord.init)
    }
    let own = try directions(of: run, self.run.shape, self.run.dictionary)
    var matches: [(latent: Int, run: Int, other: Int, cosine: Float)] = []
    for (index, other) in others.enumerated() {
      guard goesOn(.matched, index, others.count) else { return false }
      let dictionary = try? Dissector.savedDictionary(other)
      let theirs = try directions(of: other.id, other.shape, dictionary)
      for (from, to, toRun) in [(own, theirs, other.id), (theirs, own, run)] {
        for (part, among) in [(from.top, to), (from.sublatents, to.top)]
        where !part.ids.isEmpty && !among.ids.isEmpty {
          let width = self.run.shape.width
          let search = StrongestProducts(
            matrix(rows: among.rows, columns: width), threads: options.threads)
          let found = search.find(
            matrix(rows: part.rows, columns: width), count: 1, threads: options.threads)
          for (id, best) in zip(part.ids, found) {
            guard let first = best.largest.first else { continue }
            matches.append((id, toRun, among.ids[first.index], first.value))
          }
        }
      }
    }
    try writer.write(run, .matched, 0) { db in
      let statement = try db.cachedStatement(sql: "INSERT INTO matched VALUES (?, ?, ?, ?)")
      for match in matches {
        try statement.execute(arguments: [match.latent, match.run, match.other, match.cosine])
      }
    }
    return goesOn(.matched, 1, 1)
  }

  /// The live latents of run number `run` with their unit directions: both levels from its `dictionary`; without one, with
  /// another one than was explained, or where they would take more than 2 GiB, the top level from the database.
  private func directions(
    of run: Int, _ shape: DictionaryShape, _ dictionary: SparseAutoencoder?
  ) throws(Failure) -> RunDirections {
    let top = try storedDirections(of: run, shape)
    let all = shape.experts * (1 + shape.sublatents)
    let live = try liveLatents(of: run).filter { $0 < all }
    guard let dictionary, live.count <= (1 << 29) / shape.width,
      let first = top.ids.first, let row = top.rows.first
    else { return top }
    // A run that was trained anew has other directions than those that were explained.
    let same = dictionary.unitDirection(of: LatentNumber(LatentID.number(first), in: shape))
    guard zip(row, same).allSatisfy({ abs($0 - $1) < 1e-5 }) else { return top }
    return RunDirections(
      ids: live.map { LatentID.make(run: run, number: $0) },
      rows: live.map { dictionary.unitDirection(of: LatentNumber($0, in: shape)) }, shape: shape)
  }

  /// The live top-level latents of run number `run` with their unit directions, from the database.
  private func storedDirections(
    of run: Int, _ shape: DictionaryShape
  ) throws(Failure) -> RunDirections {
    try writer.read { db in
      var result = RunDirections(ids: [], rows: [], shape: shape)
      let rows = try Row.fetchCursor(
        db, sql: "SELECT latent, unit FROM direction WHERE latent BETWEEN ? AND ?",
        arguments: LatentID.range(run: run))
      while let row = try rows.next() {
        let id: Int = try row.get(0)
        let latent = LatentNumber(LatentID.number(id), in: shape)
        guard latent.sublatent == nil, latent.expert < shape.experts else {
          throw BlobReader.damaged
        }
        result.ids.append(id)
        let unit = try Blob.floats(row.get(1) as Data)
        guard unit.count == shape.width else { throw BlobReader.damaged }
        result.rows.append(unit)
      }
      return result
    }
  }

  /// Writes the full-text index of words and promoted tokens.
  func writeSearch() throws(Failure) -> Bool {
    let live = try liveLatents()
    let run = runID
    return try forEachPart(.search, of: live, size: 256 * options.blockSize) {
      (part) throws(Failure) in
      { db in
        let statement = try db.cachedStatement(
          sql: "INSERT INTO latent_text (rowid, words, promoted) VALUES (?, ?, ?)")
        for number in part {
          let id = LatentID.make(run: run, number: number)
          let text = try SearchText(latent: id, db)
          try statement.execute(arguments: [id, text.words, text.promoted])
        }
      }
    }
  }

  func summary(_ name: String, wasThere: Bool) throws(Failure) -> Summary {
    let live = try liveLatents()
    let top = live.count { LatentNumber($0, in: run.shape).sublatent == nil }
    return Summary(
      path: writer.path, name: name, rows: rows.count, liveLatents: top,
      latents: run.shape.experts, liveSublatents: live.count - top,
      sublatents: run.shape.experts * run.shape.sublatents,
      bytes: Path.fileSize(writer.path) ?? 0, seconds: seconds, wasThere: wasThere)
  }
}

/// Latents of a run with their unit directions.
private struct RunDirections {
  var ids: [Int]
  var rows: [[Float]]
  var shape: DictionaryShape

  var top: RunDirections { part { $0.sublatent == nil } }
  var sublatents: RunDirections { part { $0.sublatent != nil } }

  private func part(_ isIn: (LatentNumber) -> Bool) -> RunDirections {
    let chosen = ids.indices.filter { isIn(LatentNumber(LatentID.number(ids[$0]), in: shape)) }
    return RunDirections(
      ids: chosen.map { ids[$0] }, rows: chosen.map { rows[$0] }, shape: shape)
  }
}
#endif
