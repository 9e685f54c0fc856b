// The stage of `hsae explain` that names latents by words of their strongest contexts and tokens they promote. Words that
// are common in their language count little (docs/evaluation.md, "Names of latents").

#if Explorer
import Foundation
import GRDB
import HSAEActivations
import HSAEEvaluation
import HSAEModels
import HSAESupport
import HSAETensors
import Synchronization

extension Explainer {
  /// Writes the name of every live latent; latents of a vocabulary or a matrix have none.
  func writeNames() throws(Failure) -> Bool {
    // A run that an older version began may have an index without names already.
    guard rows.kind == .text, try !writer.isDone(runID, .search, 0) else { return true }
    let live = try liveLatents()
    let (run, rows) = (runID, rows)
    let tokenCount = rows.corpus?.tokenCount ?? 0
    var known: TokenRarity?
    return try forEachPart(.names, of: live, size: 256 * options.blockSize) {
      (part) throws(Failure) in
      let rarity: TokenRarity
      if let known { rarity = known } else { rarity = try TokenRarity(rows) }
      known = rarity
      let evidence = try writer.read { db in
        try part.map { number in
          let id = LatentID.make(run: run, number: number)
          let contexts = try db.blob("contexts", of: "evidence", id).map { try Blob.contexts($0) }
          let effects = try db.blob("lists", of: "promoted", id).map { try Blob.effects($0) }
          let strongest = contexts?.filter { $0.group == 0 } ?? []
          guard strongest.allSatisfy({ (0..<tokenCount).contains($0.place) }) else {
            throw BlobReader.damaged
          }
          return (strongest, effects?.first?.promoted ?? [])
        }
      }
      let names = Mutex([String](repeating: "", count: evidence.count))
      parallelFor(evidence.count, threads: options.threads) { index, _ in
        let (contexts, promoted) = evidence[index]
        let name = LatentName(contexts: contexts, promoted: promoted, rows: rows, rarity: rarity)
        names.withLock { $0[index] = name.words.joined(separator: "\n") }
      }
      let found = names.withLock { $0 }
      return { db in
        let update = try db.cachedStatement(sql: "UPDATE latent SET name = ? WHERE id = ?")
        for (number, name) in zip(part, found) {
          try update.execute(arguments: [name, LatentID.make(run: run, number: number)])
        }
      }
    }
  }
}

/// How rare tokens are, each in the language in which it is most common.
struct TokenRarity: Sendable {
  /// Languages with fewer tokens are counted together, and shares are of this many at least.
  private static let leastTokens = 10_000
  /// The largest share of a language's tokens, by token.
  private let shares: [Double]

  /// Counts the tokens of the documents of `rows`, which are text.
  ///
  /// Fails with `.data` if its corpus is damaged.
  init(_ rows: ExplainedRows) throws(Failure) {
    var counts: [String: [Int32: Int]] = [:]
    if let corpus = rows.corpus {
      for document in 0..<corpus.documentCount {
        let language = corpus.language(of: document) ?? ""
        var own = counts.removeValue(forKey: language) ?? [:]
        for token in try corpus.tokens(of: document) { own[token, default: 0] += 1 }
        counts[language] = own
      }
    }
    self.init(counts: counts, vocabulary: rows.vocabulary.count)
  }

  /// The rarity of tokens that occur `counts` times, by language and token.
  init(counts: [String: [Int32: Int]], vocabulary: Int) {
    func total(_ counts: [Int32: Int]) -> Int { counts.values.reduce(0, +) }
    let small = counts.values.filter { total($0) < Self.leastTokens }
      .reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
    var shares = [Double](repeating: 0, count: vocabulary)
    for counts in counts.values.filter({ total($0) >= Self.leastTokens }) + [small] {
      let all = Double(max(Self.leastTokens, total(counts)))
      for (token, count) in counts where shares.indices.contains(Int(token)) {
        shares[Int(token)] = max(shares[Int(token)], Double(count) / all)
      }
    }
    self.shares = shares
  }

  /// The rarity of a word of `tokens`, from 0 for one that is everywhere to 1 for one in 100,000 or fewer:
  /// (log₁₀(1 / p) / 5)², at most 1. p is the share of its rarest token; each further token divides it by 10, because
  /// common tokens, such as digits, make rare words.
  func rarity(of tokens: some Collection<Int>) -> Double {
    let share = tokens.map { shares.indices.contains($0) ? shares[$0] : 0 }.min() ?? 0
    guard share > 0 else { return 1 }
    let rarity = min(1, (Double(tokens.count - 1) - log10(share)) / 5)
    return rarity * rarity
  }
}

/// Whether a readable word (`readableToken`) is more than spaces, invisible characters, a byte or a token before a text.
func isLegible(_ word: String) -> Bool {
  byteToken(word) == nil && !word.hasPrefix("⟨") && !beginsText(word)
    && word.contains { !$0.isWhitespace && $0 != "\u{2581}" }
}

/// The words that say most about a latent, best first.
struct LatentName {
  /// At most ``length`` words.
  private(set) var words: [String] = []

  static let length = 4
  /// What a promoted token counts, with and without support, compared with a word of all contexts.
  private static let (supportedWeight, promotedWeight) = (0.5, 0.02)
  /// What a word near all contexts counts, and how near it is, in tokens.
  private static let (nearWeight, reach) = (0.3, 5)

  /// Weighs words; docs/evaluation.md ("Names of latents") has the rule.
  init(
    contexts: [LatentContext], promoted: [TokenEffect], rows: ExplainedRows, rarity: TokenRarity
  ) {
    var weights: [String: Double] = [:]
    var spellings: [String: String] = [:]
    func add(_ word: String, _ form: String, _ weight: Double) {
      guard weight > 0, isLegible(word) else { return }
      if spellings[form] == nil { spellings[form] = word }
      weights[form, default: 0] += weight
    }
    let largest = Double(contexts.first?.value ?? 1)
    var stems: Set<String> = []
    for context in contexts {
      let part = 1 / Double(contexts.count)
      var near: Set<String> = []
      for range in rows.words(around: context.place, reach: Self.reach) {
        let tokens = rows.tokens(at: range)
        let word = rows.word(of: tokens).filter { !$0.isNewline }
        let form = wordForm(word)
        stems.insert(Self.stem(form))
        if range.contains(context.place) {
          let share = Double(context.value) / largest
          add(word, form, share * part * rarity.rarity(of: tokens))
        } else if near.insert(form).inserted {
          add(word, form, Self.nearWeight * part * rarity.rarity(of: tokens))
        }
      }
    }
    let forms = promoted.map { wordForm(rows.text(ofToken: $0.token)) }
    let counts = forms.reduce(into: [:]) { $0[Self.stem($1), default: 0] += 1 }
    let strongest = Double(promoted.first?.value ?? 1)
    for (effect, form) in zip(promoted, forms) {
      let text = rows.text(ofToken: effect.token)
      guard isWholeWord(text) else { continue }
      let stem = Self.stem(form)
      let isSupported = stems.contains(stem) || counts[stem, default: 0] > 1
      let weight = isSupported ? Self.supportedWeight : Self.promotedWeight
      let share = Double(effect.value) / strongest
      add(readableToken(text), form, weight * share * rarity.rarity(of: [effect.token]))
    }
    words = weights.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }
      .prefix(Self.length).compactMap { spellings[$0.key] }
  }

  /// What related words have in common: their first four characters.
  static func stem(_ form: String) -> String { String(form.prefix(4)) }
}
#endif
