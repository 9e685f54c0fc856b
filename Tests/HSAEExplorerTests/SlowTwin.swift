// Computes what a database should have about a latent in the slow and obvious way: one row after another,
// without chunks, blocks, kernels or threads.

#if Explorer
import HSAEActivations
import HSAEEvaluation
import HSAEModels
import HSAESupport
import HSAERuns
import HSAETensors

@testable import HSAEExplorer

struct SlowTwin {
  struct Token: Hashable {
    var document: Int
    var position: Int
  }

  let run: LoadedRun
  /// The codes of every row, by document and position.
  var codes: [Token: [Code]] = [:]
  let corpus: StoredCorpus
  let store: ActivationStore

  init(_ run: LoadedRun, _ store: ActivationStore) throws {
    self.run = run
    self.store = store
    corpus = try StoredCorpus(store: store.path)
    for row in 0..<store.rowCount {
      var single = try store.matrix(rows: row..<row + 1)
      run.prepare(&single)
      guard let place = store.place(row) else { continue }
      codes[Token(document: place.document, position: place.position)] = Array(
        run.dictionary.encode(single, threads: 1)[0])
    }
  }

  /// The code of `latent` at `token`; nil where it is not active.
  func value(_ latent: LatentNumber, _ token: Token) -> (own: Float, parent: Float)? {
    for code in codes[token] ?? [] where code.expert == latent.expert {
      guard let sublatent = latent.sublatent else { return (code.value, 0) }
      let isActive =
        code.sublatent == sublatent
        && code.subValue >= run.dictionary.activation.subThreshold
      return isActive ? (code.subValue, code.value) : nil
    }
    return nil
  }

  /// All tokens where `latent` is active, strongest first; equal codes are in reading order.
  func ranked(_ latent: LatentNumber) -> [(token: Token, value: Float)] {
    codes.keys.compactMap { token in value(latent, token).map { (token, $0.own) } }
      .sorted { first, second in
        if first.value != second.value { return first.value > second.value }
        return first.token.document != second.token.document
          ? first.token.document < second.token.document
          : first.token.position < second.token.position
      }
  }

  /// The strongest contexts; of several tokens in one window only the strongest counts. Each document has one, and more if
  /// there are too few documents.
  func strongest(_ latent: LatentNumber, count: Int, window: Int) -> [Token] {
    let all = ranked(latent).map(\.token)
    var chosen: [Token] = []
    for mayRepeat in [false, true] {
      for token in all where chosen.count < count {
        let same = chosen.filter { $0.document == token.document }
        let isNear = same.contains { abs($0.position - token.position) <= window }
        if same.isEmpty || mayRepeat && !isNear { chosen.append(token) }
      }
    }
    return all.filter(chosen.contains)
  }

  /// The text around `token` with the codes of `latent`.
  func text(_ latent: LatentNumber, _ token: Token, window: Int) throws -> [ContextText.Token] {
    let tokens = try corpus.tokens(of: token.document)
    return (max(0, token.position - window)...min(tokens.count - 1, token.position + window)).map {
      ContextText.Token(
        text: store.text(ofToken: tokens[$0]),
        value: value(latent, Token(document: token.document, position: $0))?.own ?? 0)
    }
  }

  /// n_ij / √(n_i n_j) for every other expert that is active together with `latent`.
  func coactive(_ latent: LatentNumber) -> [Int: Float] {
    let own = Set(ranked(latent).map(\.token))
    var result: [Int: Float] = [:]
    for expert in 0..<run.shape.experts where expert != latent.expert {
      let theirs = Set(ranked(LatentNumber(expert: expert)).map(\.token))
      let common = own.intersection(theirs).count
      if common == 0 { continue }
      result[expert] = Float(
        Double(common) / (Double(own.count) * Double(theirs.count)).squareRoot())
    }
    return result
  }

  /// The vector that a code of 1 adds to a reconstruction: its decoded code, less the expert's.
  func direction(_ latent: LatentNumber) -> [Double] {
    func decoded(_ code: Code) -> [Double] {
      var codes = Codes()
      codes.append([code])
      return run.dictionary.decode(codes, threads: 1).elements.map { Double($0) }
    }
    let parent = decoded(Code(expert: latent.expert, value: 1))
    guard let sublatent = latent.sublatent else { return parent }
    let both = decoded(
      Code(expert: latent.expert, value: 1, sublatent: sublatent, subValue: 1))
    return zip(both, parent).map { $0 - $1 }
  }

  static func cosine(_ a: [Double], _ b: [Double]) -> Double {
    func product(_ a: [Double], _ b: [Double]) -> Double {
      zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
    }
    return product(a, b) / (product(a, a) * product(b, b)).squareRoot()
  }
}
#endif
