// Measures a language model's losses with the residual stream replaced by each dictionary's reconstruction,
// beside its own losses and those with zeros. Special tokens keep their rows and do not count.

import HSAEDistribution
import HSAELanguageModels
import HSAEModels
public import HSAERuns
public import HSAESupport
import HSAETensors

/// Losses and divergences of a model under several replacements, on the same tokens.
public struct SplicedLosses: Sendable {
  /// A replacement of the residual stream.
  enum Replacement: Hashable, Sendable {
    /// The model's own rows, scaled to unit norm and back.
    case own
    /// Zeros at every position.
    case zero
    /// The reconstruction by a run.
    case run(Int, topLevelOnly: Bool)
  }

  /// Quantities: tokens, the model's loss, then loss and divergence of each replacement.
  let sums: GroupedSums
  let replacements: [Replacement]
  /// A description of the tokens, as a clause.
  public let description: String

  /// Measures `runs` with the model of `input` on its contexts. Ranks divide the contexts; a context's losses
  /// do not depend on the rank.
  public init(_ runs: [LoadedRun], _ input: EvaluationInput, suite: String) throws(Failure) {
    let ranks = input.ranks
    let model = try input.sharedModel(for: runs, suite: suite)
    let (block, contexts, description) = try ranks.agree { () throws(Failure) in
      let (contexts, description) = try input.contexts(
        for: runs, limit: input.options.lossTokens, model: model, suite: suite)
      return (try input.block(suite: suite), contexts, description)
    }
    var replacements: [Replacement] = [.own, .zero]
    for (index, run) in runs.enumerated() {
      replacements.append(.run(index, topLevelOnly: false))
      if !run.shape.isFlat { replacements.append(.run(index, topLevelOnly: true)) }
    }
    let splicer = Splicer(
      tokenizer: model.tokenizer, block: block, threads: input.options.threads,
      rowsAreUnit: input.store != nil)
    let splices = replacements.map { replacement in
      switch replacement {
      case .own: splicer.own
      case .zero: splicer.zero
      case .run(let index, let topLevelOnly):
        splicer.reconstruction(by: runs[index], topLevelOnly: topLevelOnly)
      }
    }
    var numbers: [Int: Int] = [:]
    for context in contexts where numbers[context.document] == nil {
      numbers[context.document] = numbers.count
    }
    var sums = GroupedSums(groups: numbers.count, quantities: 2 + 2 * replacements.count)
    let own = sharesOfWork(contexts.map(\.tokens.count), among: ranks.size)[ranks.rank]
    let total = contexts[own].reduce(0) { $0 + $1.tokens.count }
    var done = 0
    try ranks.agree { () throws(Failure) in
      for start in stride(from: own.lowerBound, to: own.upperBound, by: 32) {
        let part = Array(contexts[start..<min(start + 32, own.upperBound)])
        let effects = try model.effects(of: part.map(\.tokens), splices: splices)
        for (index, context) in part.enumerated() {
          let group = numbers[context.document] ?? 0
          for position in context.tokens.indices.dropLast()
          where !model.tokenizer.isSpecial(context.tokens[position]) {
            var values = [1, Double(effects.losses[index][position])]
            for effect in effects.splices {
              values.append(Double(effect.losses[index][position]))
              values.append(Double(effect.divergences[index][position]))
            }
            sums.add(values.span, ofGroup: group)
          }
          done += context.tokens.count
        }
        input.progress(done, total, "tokens")
      }
    }
    sums.sum(over: ranks)
    let tokens = sums.totals[0]
    try ranks.agree { () throws(Failure) in
      guard tokens > 0 else {
        throw .data("There is no token to predict in \(description); give more text.")
      }
    }
    self.sums = sums
    self.replacements = replacements
    self.description = description
  }

  /// The numbers of run `index`, with intervals over documents.
  public func numbers(
    ofRun index: Int, resamples: Int, seed: UInt64, threads: Int
  ) -> [EvaluationNumber] {
    let samples = sums.bootstrap(resamples: resamples, seed: seed, threads: threads)
    let totals = sums.totals
    func number(
      _ key: String, _ label: String, unit: String? = nil,
      better: EvaluationNumber.Direction? = nil, _ statistic: @escaping ([Double]) -> Double
    ) -> EvaluationNumber {
      EvaluationNumber(
        key, label, statistic(totals), samples: samples.values(statistic), unit: unit,
        better: better)
    }
    func place(_ replacement: Replacement) -> Int? {
      replacements.firstIndex(of: replacement).map { 2 + 2 * $0 }
    }
    guard let zero = place(.zero), let own = place(.own),
      let full = place(.run(index, topLevelOnly: false))
    else { return [] }
    /// One number for both levels together and, if there are two levels, one for the top level alone;
    /// `statistic` gets the sums and the place of a loss among them.
    func pair(
      _ key: String, _ label: String, unit: String? = nil, better: EvaluationNumber.Direction,
      _ statistic: @escaping ([Double], Int) -> Double
    ) -> [EvaluationNumber] {
      let first = number(key, label, unit: unit, better: better) { statistic($0, full) }
      guard let top = place(.run(index, topLevelOnly: true)) else { return [first] }
      return [
        first,
        number(key + "_top_level", label + ", top level", unit: unit, better: better) {
          statistic($0, top)
        },
      ]
    }
    var result = pair("ce_loss_score", "CE loss score", better: .higher) {
      ($0[zero] - $0[$1]) / ($0[zero] - $0[1])
    }
    result.append(
      number("ce_loss", "loss with the model’s own rows", unit: "nats") { $0[1] / $0[0] })
    result += pair("ce_loss_spliced", "loss with reconstructions", unit: "nats", better: .lower) {
      $0[$1] / $0[0]
    }
    result += [
      number("ce_loss_zero", "loss with zeros", unit: "nats") { $0[zero] / $0[0] },
      EvaluationNumber(
        "ce_loss_own_difference", "change by splicing the model’s own rows",
        (totals[own] - totals[1]) / totals[0], unit: "nats", digits: 6),
    ]
    result += pair("kl_div_score", "KL divergence score", better: .higher) {
      ($0[zero + 1] - $0[$1 + 1]) / $0[zero + 1]
    }
    result += [
      number("kl_div", "KL divergence with reconstructions", unit: "nats", better: .lower) {
        $0[full + 1] / $0[0]
      },
      number("kl_div_zero", "KL divergence with zeros", unit: "nats") { $0[zero + 1] / $0[0] },
    ]
    return result
  }
}

private struct Splicer {
  let tokenizer: any Tokenizer
  let block: Int
  let threads: Int
  /// Whether runs were trained on the unit rows of a store.
  let rowsAreUnit: Bool

  /// The model's own rows, scaled and spliced like reconstructions.
  var own: Splice {
    Splice(afterBlock: block) { rows, places in
      var unit = rows.copy()
      let scaling = RowScale.unit.apply(to: &unit)
      put(unit, scaling, places, into: &rows)
    }
  }

  var zero: Splice { Splice(afterBlock: block) { rows, _ in rows.clear() } }

  /// The reconstruction by `run` of rows scaled as in training, scaled back to the rows' own lengths.
  func reconstruction(by run: LoadedRun, topLevelOnly: Bool) -> Splice {
    let scale = run.modelRowScale(ofStore: rowsAreUnit)
    return Splice(afterBlock: block) { rows, places in
      var input = rows.copy()
      let scaling = scale.apply(to: &input)
      let codes = run.dictionary.encode(input, threads: threads)
      let rebuilt = run.dictionary.decode(codes, topLevelOnly: topLevelOnly, threads: threads)
      put(rebuilt, scaling, places, into: &rows)
    }
  }

  /// Replaces rows of tokens that are not special by the rows of `source`, scaled back.
  private func put(
    _ source: borrowing Matrix, _ scaling: RowScaling, _ places: [Splice.Place],
    into rows: inout Matrix
  ) {
    for (index, place) in places.enumerated() where !tokenizer.isSpecial(place.token) {
      let from = source.row(index)
      var target = rows.mutableRow(index)
      for column in from.indices { target[column] = scaling.restored(from[column], row: index) }
    }
  }
}
