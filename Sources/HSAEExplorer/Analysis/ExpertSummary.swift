// Summarises one expert and its sublatents: the codes of each, and the latents that are active with it.

import HSAEModels
import HSAETensors

/// A latent that is related to another one.
struct RelatedLatent: Hashable, Sendable {
  /// The latent's number within its run (`LatentNumber`).
  var number: Int
  /// A cosine, or the share of common rows.
  var value: Float
}

/// The summaries of an expert and its sublatents.
struct ExpertSummary: Sendable {
  struct Member: Sendable {
    var number: LatentNumber
    var summary: LatentSummary
    /// The number of rows for which a sublatent is chosen, active or not; for the expert, its count.
    var chosen = 0
    /// For a sublatent, the mean code of its expert where it is active.
    var parentMean = 0.0
    /// Top-level latents that are active together with it, those with the largest share of rows first.
    var coactive: [RelatedLatent] = []
  }

  /// How many latents `coactive` lists.
  static let related = 8

  /// The expert, then its sublatents.
  var members: [Member] = []

  /// The summary of `expert` of a dictionary of `shape`. Sublatents are active from `subThreshold` on.
  init(
    _ expert: Int, shape: DictionaryShape, subThreshold: Float, chunks: CodeChunks,
    rows: ExplainedRows, settings: ContextSettings
  ) {
    let entries = chunks.entries(of: expert)
    let root = SeededGenerator(seed: settings.seed)
    func summary(_ number: LatentNumber, _ part: [CodeChunks.Entry]) -> LatentSummary {
      let isTop = number.sublatent == nil
      return LatentSummary(
        places: part.map(\.place), values: part.map { isTop ? $0.value : $0.subValue },
        parents: isTop ? [] : part.map(\.value), settings: settings,
        generator: root.split(UInt64(number.number(in: shape))), document: rows.document(around:))
    }

    // Entries by active sublatent; the last part has those without one.
    var parts = [[CodeChunks.Entry]](repeating: [], count: shape.sublatents + 1)
    var chosen = [Int](repeating: 0, count: shape.sublatents)
    for entry in entries {
      let sublatent = Int(entry.sublatent)
      if sublatent >= 0 { chosen[sublatent] += 1 }
      let isActive = sublatent >= 0 && entry.subValue >= subThreshold
      parts[isActive ? sublatent : shape.sublatents].append(entry)
    }

    let own = LatentNumber(expert: expert)
    members.append(Member(number: own, summary: summary(own, entries), chosen: entries.count))
    var inPart = [Int32](repeating: 0, count: shape.experts)
    var inAll = inPart
    for (sublatent, part) in parts.enumerated() {
      var touched: [Int] = []
      for entry in part {
        chunks.forEachMember(of: entry) { other in
          if inPart[other] == 0 { touched.append(other) }
          inPart[other] += 1
        }
      }
      if sublatent < shape.sublatents {
        let number = LatentNumber(expert: expert, sublatent: sublatent)
        members.append(
          Member(
            number: number, summary: summary(number, part), chosen: chosen[sublatent],
            parentMean: part.isEmpty
              ? 0 : part.reduce(0) { $0 + Double($1.value) } / Double(part.count),
            coactive: Self.coactive(
              touched, inPart, count: part.count, except: expert, counts: chunks.counts,
              shape: shape)))
      }
      for other in touched {
        inAll[other] += inPart[other]
        inPart[other] = 0
      }
    }
    members[0].coactive = Self.coactive(
      inAll.indices.filter { inAll[$0] > 0 }, inAll, count: entries.count, except: expert,
      counts: chunks.counts, shape: shape)
  }

  /// The experts with the largest n_ij / √(n_i n_j), n_ij being the number of rows for which both are active.
  private static func coactive(
    _ others: [Int], _ common: [Int32], count: Int, except own: Int, counts: [Int],
    shape: DictionaryShape
  ) -> [RelatedLatent] {
    var best: [RelatedLatent] = []
    for other in others where other != own {
      let share = Double(common[other]) / (Double(count) * Double(counts[other])).squareRoot()
      let latent = RelatedLatent(
        number: LatentNumber(expert: other).number(in: shape), value: Float(share))
      let place = best.firstIndex {
        latent.value != $0.value ? latent.value > $0.value : latent.number < $0.number
      }
      if best.count < related || place != nil {
        best.insert(latent, at: place ?? best.count)
        if best.count > related { best.removeLast() }
      }
    }
    return best
  }
}
