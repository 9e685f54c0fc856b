// What a reconstruction leaves of a token's row, x − x̂: the tokens along it, and the inactive latents that are like it.

#if Explorer
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

/// What a run leaves of a row.
struct Rest: Sendable {
  /// The top-level latents that are not active but are most like it, with the cosines of their directions d_j and x − x̂.
  var latents: [RelatedRecord]
  /// The tokens that it promotes and suppresses through the model's unembedding; nil if that cannot be read.
  var tokens: PromotedTexts?
}

extension Dissector {
  /// How many latents a `Rest` lists.
  private static let listedLatents = 5

  /// What each of `runs` leaves of the row of token `place` of `text`.
  func rests(
    at place: Int, of text: String, by runs: [RunRecord], _ database: FeatureDatabase
  ) async throws(Failure) -> [Rest] {
    let read = try read(text, by: runs, database)
    if let known = read.rests[place] { return known }
    guard read.dissection.tokens.indices.contains(place) else { return [] }
    var (lefts, rests): ([[Float]], [Rest]) = ([], [])
    for run in runs {
      let (width, dictionary) = (run.shape.width, try dictionary(of: run))
      var left = Matrix(
        rows: 1, columns: width, elements: Array(read.rows[place * width..<(place + 1) * width]))
      _ = run.rowScale.apply(to: &left)
      let codes = dictionary.encode(left, threads: 1)
      let rebuilt = dictionary.decode(codes, threads: 1)
      for column in 0..<width { left[0, column] -= rebuilt[0, column] }
      lefts.append(left.elements)
      let active = Set(codes[0].map(\.expert))
      try rests.append(
        Rest(latents: latents(like: left.elements, except: active, dictionary, run, database)))
    }
    if let unembedding = unembedding(), lefts.allSatisfy({ $0.count == unembedding.width }) {
      // Others may use the model meanwhile.
      let found = await Self.tokens(along: lefts, unembedding, threads: threads)
      for (index, tokens) in (found ?? []).enumerated() {
        rests[index].tokens = try tokens.map { (tokens) throws(Failure) in
          try ContextReader(database, run: runs[index]).texts(tokens)
        }
      }
    }
    remember(rests, at: place, of: read)
    return rests
  }

  /// The tokens along each of `rests`; nil if the file cannot be read.
  private nonisolated static func tokens(
    along rests: [[Float]], _ unembedding: StoredUnembedding, threads: Int
  ) async -> [PromotedTokens?]? {
    try? unembedding.effects(of: rests, threads: threads)
  }

  private func latents(
    like rest: [Float], except active: Set<Int>, _ dictionary: SparseAutoencoder, _ run: RunRecord,
    _ database: FeatureDatabase
  ) throws(Failure) -> [RelatedRecord] {
    let length = euclideanNorm(rest.span)
    var cosines: [(expert: Int, cosine: Double)] = []
    for expert in 0..<run.shape.experts where !active.contains(expert) {
      let direction = dictionary.contribution(of: LatentNumber(expert: expert))
      let product = Double(dot(rest.span, direction.span))
      let cosine = product / (length * euclideanNorm(direction.span))
      if cosine.isFinite, cosine > 0 { cosines.append((expert, cosine)) }
    }
    cosines.sort { $0.cosine != $1.cosine ? $0.cosine > $1.cosine : $0.expert < $1.expert }
    let nearest = cosines.prefix(Self.listedLatents)
    let records = try database.records(
      of: Set(nearest.map { LatentNumber(expert: $0.expert) }), in: run)
    return nearest.compactMap { expert, cosine in
      records[LatentNumber(expert: expert)].map {
        RelatedRecord(latent: $0, value: Float(cosine))
      }
    }
  }
}
#endif
