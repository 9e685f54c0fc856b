// The part of the page of a text that changes with the chosen token: the tokens of each run, shaded, then the latents that
// are active at the token, what they leave of it, and which of them several runs have.

#if Explorer
import Foundation
import HSAEEvaluation
import HSAEHTML
import HSAEModels
import HSAESupport

extension TokenParts {
  /// The active latents of both levels.
  var numbers: [LatentNumber] {
    latents.map(\.latent.number)
      + latents.compactMap { $0.isSublatentActive ? $0.sublatent?.number : nil }
  }

  /// The code of `latent` at this token; 0 where it is not active.
  func value(of latent: LatentNumber) -> Float {
    guard let active = latents.first(where: { $0.latent.expert == latent.expert }) else { return 0 }
    guard let sublatent = latent.sublatent else { return active.value }
    return active.sublatent?.sublatent == sublatent && active.isSublatentActive
      ? active.subValue : 0
  }
}

/// The part of the page that changes with the chosen token: the tokens of each run, then the latents of each.
struct TextParts {
  /// The order of a token's latents.
  enum Order: String {
    case experts
    case sublatents
    /// Those that another run has too come first.
    case shared
  }

  let dissection: Dissection
  let runs: [RunRecord]
  /// The chosen token.
  let place: Int
  let text: String
  /// For each run, what it leaves of the chosen token.
  let rests: [Rest]
  /// For each run, the latents that another run has too, with links to them there.
  let alike: [[LatentNumber: Markup]]
  let order: Order
  let shading: (run: RunRecord, latent: LatentRecord)?

  /// Texts up to this length are part of links to latents.
  private static let linkedLength = 200

  var markup: Markup {
    let texts = runningTexts(dissection.tokens.map(\.text))
    let tokens = runs.indices.map { index -> Markup in
      """
      <section class="column" aria-label="\(runs[index].name): tokens"><h2>\(runs[index].name)</h2>
      <p class="small">\(mean(dissection.runs[index])) \(shadingNote(runs[index]))</p>
      \(legend(runs[index]))
      \(self.tokens(index, texts))</section>
      """
    }.joined()
    let trees = runs.indices.map { index -> Markup in
      """
      <section class="column" aria-label="\(runs[index].name): latents">\
      \(tree(index, texts[place]))</section>
      """
    }.joined()
    let cut: Markup =
      "<p class=\"small\">Only the first \(Dissector.longestText) tokens are read.</p>"
    // It keeps the shading when another token is chosen. It comes after the buttons, because the first value counts.
    let kept = shading.map {
      """
      <input type="hidden" form="typing" name="shade" value="\($0.run.name)/\($0.latent.number.name)">
      """ as Markup
    }
    let ordered = when(
      order != .experts,
      "<input type=\"hidden\" form=\"typing\" name=\"order\" value=\"\(order.rawValue)\">")
    return """
      \(when(dissection.isCut, cut))<div class="columns">\(tokens)</div>\(orders)<div class="columns">\(trees)</div>\(kept)\(ordered)
      """
  }

  /// Buttons that sort the latents of a token.
  private var orders: Markup {
    var choices: [(Order, Markup)] = [
      (.experts, runs.allSatisfy(\.shape.isFlat) ? "latent" : "expert")
    ]
    if runs.contains(where: { !$0.shape.isFlat }) { choices.append((.sublatents, "sublatent")) }
    if runs.count > 1 {
      choices.append((.shared, runs.count == 2 ? "in both runs" : "in several runs"))
    }
    guard choices.count > 1 else { return "" }
    let buttons = choices.map { choice, name -> Markup in
      choice == order
        ? "<b>\(name)</b>"
        : "<button class=\"link\" form=\"typing\" name=\"order\" value=\"\(choice.rawValue)\">\(name)</button>"
    }
    return "<p class=\"small\">Sort by \(buttons.joined(" "))</p>"
  }

  /// The latents of a token in the chosen order, with the codes that bars show.
  private func sorted(_ latents: [ActiveLatent], _ index: Int) -> [(
    latent: ActiveLatent, code: Float
  )] {
    func isShared(_ latent: ActiveLatent) -> Bool {
      alike[index][latent.latent.number] != nil
        || latent.isSublatentActive && latent.sublatent.flatMap { alike[index][$0.number] } != nil
    }
    let coded = latents.map { latent -> (latent: ActiveLatent, code: Float) in
      guard order == .sublatents, latent.sublatent != nil else { return (latent, latent.value) }
      return (latent, latent.isSublatentActive ? latent.subValue : 0)
    }
    switch order {
    case .experts: return coded
    case .sublatents: return coded.sorted { $0.code > $1.code }
    case .shared:
      return coded.filter { isShared($0.latent) } + coded.filter { !isShared($0.latent) }
    }
  }

  /// The mean share over tokens. The first one is left out: there is no text before it, so its row is unlike others.
  private func mean(_ parts: Dissection.RunParts) -> Markup {
    let shares = parts.tokens.dropFirst(parts.tokens.count > 1 ? 1 : 0).map(\.explained)
    let mean = shares.reduce(0, +) / Double(max(1, shares.count))
    let note = when(parts.tokens.count > 1, ", the first token left out")
    return "\(percent(mean)) explained on average\(note)."
  }

  private func shadingNote(_ run: RunRecord) -> Markup {
    guard let shading, shading.run.id == run.id else { return "" }
    return """
      Shaded by \(latentTitle(shading.latent, run)). <button class="link" form="typing" name="shade" value="">Shade by the
      explained share</button>
      """
  }

  /// Shares are shaded in steps from the palest shade on: most lie between 0.4 and 0.9.
  private static let (palest, step) = (0.37, 0.07)

  /// What the shades mean.
  private func legend(_ run: RunRecord) -> Markup {
    let steps = stride(from: 1, through: 9, by: 2).map { "<i class=\"s\($0)\"></i>" as Markup }
      .joined()
    let ends: (Markup, Markup) =
      if let shading, shading.run.id == run.id {
        ("activation above 0", "\(code(shading.latent.maximum)), its largest")
      } else {
        (
          "less than \(percent(Self.palest + Self.step)) explained",
          "\(percent(Self.palest + 8 * Self.step)) or more"
        )
      }
    return
      "<p class=\"small legend\">\(ends.0) <span aria-hidden=\"true\">\(steps)</span> \(ends.1)</p>"
  }

  /// The tokens to choose from, as radio buttons of the form. A link for each token would repeat the whole text in each
  /// address. The tokens of further runs are labels of the same buttons, so that there is one choice.
  private func tokens(_ index: Int, _ texts: [String]) -> Markup {
    let (run, parts) = (runs[index], dissection.runs[index])
    let shown = shading.flatMap { $0.run.id == run.id ? $0.latent : nil }
    let tokens = texts.indices.map { token -> Markup in
      let explained = parts.tokens[token].explained
      var level =
        explained.isFinite
        ? Int(min(9, max(1, ((explained - Self.palest) / Self.step).rounded(.down) + 1))) : 1
      var note: Markup = "\(percent(explained)) explained"
      if let shown {
        let value = parts.tokens[token].value(of: shown.number)
        level = shade(value, shown.maximum)
        note = "\(code(value))"
      }
      let classes: Markup = "token s\(level)\(when(token == place, " current"))"
      guard index == 0 else {
        return
          "<label class=\"\(classes)\" for=\"t\(token)\" title=\"\(note)\">\(texts[token])</label>"
      }
      let shares = runs.indices.map { other -> Markup in
        let share = percent(dissection.runs[other].tokens[token].explained)
        return "\(share)\(when(runs.count > 1, " by \(runs[other].name)"))"
      }.joined(", ")
      let name: Markup = "\(texts[token]): \(shares) explained"
      return """
        <label class="\(classes)" title="\(note)"><input class="hush" type="radio" id="t\(token)" name="at" \
        value="\(token)" form="typing" aria-label="\(name)"\(when(token == place, " checked"))>\(texts[token])</label>
        """
    }.joined()
    let role: Markup = index == 0 ? "radiogroup" : "group"
    return
      "<p class=\"tokens\" role=\"\(role)\" aria-label=\"Tokens\" dir=\"auto\" lang=\"\">\(tokens)</p>"
  }

  private func tree(_ index: Int, _ token: String) -> Markup {
    let (run, parts) = (runs[index], dissection.runs[index].tokens[place])
    let latents = sorted(parts.latents, index)
    let greatest = latents.map(\.code).max() ?? 0
    let items = latents.map { active, value -> Markup in
      let width = decimal(greatest > 0 ? Double(value / greatest) * 100 : 0, 0)
      let isFaint = !active.isSublatentActive
      let sublatent = active.sublatent.map { sublatent -> Markup in
        """
        <div class="chosen\(when(isFaint, " faint"))"><span class="code"\
        \(when(isFaint, " title=\"below the threshold\""))>\
        \(code(active.subValue))</span> <span>\(link(sublatent, run))\
        \(when(!isFaint, alikeNote(sublatent, index) + shadeButton(sublatent, run)))</span></div>
        """
      }
      return """
        <li><span class="meter"><i style="width:\(width)%"></i></span>
        <span class="code">\(code(active.value))</span>
        <span>\(link(active.latent, run))\(alikeNote(active.latent, index))\(shadeButton(active.latent, run))</span>\
        \(sublatent)</li>
        """
    }.joined()
    let word = String(token.drop { $0 == " " })
    let top: Markup = ", \(percent(parts.explainedByTopLevel)) by the top level alone"
    return """
      <h3>\(run.name), at <q lang="">\(word)</q>\(when(place == Explorer.worstToken(of: dissection, run: index) && dissection.tokens.count > 1, ", the token that is explained least"))</h3>
      <p class="small" data-said="\(run.name), at \(word): \(percent(parts.explained)) explained">\
      \(percent(parts.explained)) explained\(when(!run.shape.isFlat, top)).\(standing(parts.standing))</p>
      \(left(index, parts.explained))
      \(shared(latents.map(\.latent), index))
      <ol class="active">\(items)</ol>
      """
  }

  /// Where the token stands among rows of its kind.
  private func standing(_ standing: TokenStanding?) -> Markup {
    guard let standing else { return "" }
    let those: Markup = standing.isSameToken ? "of this token in the corpus" : "of the corpus"
    let rare = when(
      !standing.isSameToken, " Fewer than \(TokenStanding.leastRows) of them are of this token.")
    let below: Markup = standing.below < 0.001 ? "Hardly any" : "\(percent(standing.below))"
    return """
       \(below) of the \(counted(standing.rows, "row")) \(those) are explained less; their median is
      \(percent(standing.median)).\(rare)
      """
  }

  /// How many latents another run has too.
  private func shared(_ latents: [ActiveLatent], _ index: Int) -> Markup {
    guard runs.count > 1 else { return "" }
    let count = latents.count { alike[index][$0.latent.number] != nil }
    let experts: Markup = runs[index].shape.isFlat ? "latents" : "experts"
    return """
      <p class="small">≈ \(grouped(count)) of \(grouped(latents.count)) \(experts) are in another run too: a latent with nearly the
      same direction (cosine of at least \(decimal(Explorer.leastAlike, 1))) fires there at this token too.</p>
      """
  }

  /// A note that another run has an active latent like `latent` of run `index`.
  private func alikeNote(_ latent: LatentRecord, _ index: Int) -> Markup {
    guard let name = alike[index][latent.number] else { return "" }
    return " <span class=\"small also\">≈ \(name)</span>"
  }

  /// What the reconstruction leaves: the tokens along it, and inactive latents like it.
  private func left(_ index: Int, _ explained: Double) -> Markup {
    guard rests.indices.contains(index) else { return "" }
    let (rest, shape) = (rests[index], runs[index].shape)
    // The largest of m cosines with random directions of d dimensions.
    let chance = (2 * log(Double(max(2, shape.experts))) / Double(shape.width)).squareRoot()
    let items = rest.latents.map { record -> Markup in
      """
      <li><span class="share" title="cosine">\(decimal(Double(record.value), 2))</span>
      <span>\(link(record.latent, runs[index]))</span></li>
      """
    }.joined()
    func words(_ list: [PromotedTexts.Token]) -> Markup {
      list.map { "<bdi>\(displayText($0.text))</bdi>" as Markup }.joined(" ")
    }
    let promoted = rest.tokens.map { tokens -> Markup in
      " It promotes <span class=\"words\" lang=\"\">\(words(tokens.promoted))</span>"
    }
    let suppressed = rest.tokens.map { tokens -> Markup in
      "<p>It suppresses <span class=\"words\" lang=\"\">\(words(tokens.suppressed))</span></p>"
    }
    return """
      <p>What is left, x − x̂, is \(percent(1 - explained)).\(promoted)</p>
      <details><summary>More about what is left</summary>\(suppressed)
      <p class="small">Inactive latents whose directions are most like it, with the cosine. The nearest of
      \(grouped(shape.experts)) random directions has about \(decimal(chance, 2)): near that, nothing in the dictionary fits what
      is left.</p>
      <ul class="subs">\(items)</ul></details>
      """
  }

  private func link(_ latent: LatentRecord, _ run: RunRecord) -> Markup {
    latentLink(latent, run, text: text.utf8.count <= Self.linkedLength ? text : nil)
  }

  private func shadeButton(_ latent: LatentRecord, _ run: RunRecord) -> Markup {
    """
     <button class="link" form="typing" name="shade" value="\(run.name)/\(latent.number.name)" \
    aria-label="Shade the text by \(latent.number.name)">shade</button>
    """
  }
}
#endif
