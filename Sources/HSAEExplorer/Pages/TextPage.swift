// Which latents fire in a text, like the paper's figure 4: tokens are shaded by how much of them a run explains, or by one
// latent, and the chosen token's active latents are listed, with several runs side by side.

#if Explorer
import Foundation
import HSAEEvaluation
import HSAEHTML
import HSAEModels
import HSAESupport

extension Explorer {
  /// The largest number of runs that read a text at once.
  static let mostRuns = 8
  /// The longest text in UTF-16 units, which browsers count.
  static let longestText = 4000
  /// The heading, and what links to the page are called.
  static let textTitle = "See which latents fire in your text"
  static let textExamples = [
    "The corgi herded the sheep across the field while the poodle watched from the porch.",
    "The Bank of England raised rates.",
    "Die Seine fließt durch Paris, the Rhine through Basel.",
  ]

  func textPage(_ request: WebRequest) async throws(Failure) -> Markup {
    let all = try database.runs()
    let usable = all.filter { $0.isComplete && canSteer($0) }
    guard !usable.isEmpty else {
      let named = all.first { request.value("runs") == $0.name }
      return layout(
        "Text",
        """
        <h1>\(Self.textTitle)</h1>
        <p class="empty">This needs a complete run on a language model’s residual stream, and there is none here.</p>
        """, section: .text, run: named ?? all.first, runs: all)
    }
    var names = request.query["runs"] ?? []
    for name in names where !usable.contains(where: { $0.name == name }) {
      _ = try run(name)
      throw .usage(
        "\(name): only complete runs on a language model’s residual stream can read a text.")
    }
    guard names.count <= Self.mostRuns else {
      throw .usage("Choose \(Self.mostRuns) runs at most.")
    }
    if names.isEmpty { names = usable.prefix(2).map(\.name) }
    let asked = usable.filter { names.contains($0.name) }
    // Only runs on the same layer of the same model can be side by side.
    let chosen = asked.filter {
      $0.layer == asked.first?.layer && $0.modelSHA256 == asked.first?.modelSHA256
        && $0.bos == asked.first?.bos
    }
    var body: Markup = ""
    let text = try Self.text(of: request)
    if let text, !chosen.isEmpty {
      let dissection = try await dissection(of: text, by: chosen)
      let last = max(0, dissection.tokens.count - 1)
      let token = try request.number("at", in: 0...last, or: Self.worstToken(of: dissection))
      let parts = TextParts(
        dissection: dissection, runs: chosen, place: token, text: text,
        rests: try await dissector?.rests(at: token, of: text, by: chosen, database) ?? [],
        alike: try alike(dissection, at: token, chosen),
        order: TextParts.Order(rawValue: request.value("order") ?? "") ?? .experts,
        shading: try shading(request.value("shade"), chosen))
      body = parts.markup
      if request.value("fragment") == "1" { return body }
    }
    let choices = usable.map { run in
      checkbox("runs", "\(run.name)", value: run.name, isOn: chosen.contains(run))
    }.joined(" ")
    let examples = Self.textExamples.map { example -> Markup in
      let runs = chosen.map { "runs=\(Address.encoded($0.name))&" }.joined()
      return """
        <li><a href="/text?\(runs)text=\(Address.encoded(example))">\(example)</a></li>
        """
    }.joined()
    return layout(
      "Text",
      """
      <h1>\(Self.textTitle)</h1>
      <p class="lead">Type or paste a text. Each token is shaded by how much of its row the dictionary explains: the share of its
      squared length that the reconstruction gets right. Choose a token to see the latents that are active there.</p>
      <form class="typing" id="typing" action="/text">
      <label class="hush" for="text">Text</label>
      <textarea id="text" name="text" rows="3" maxlength="\(Self.longestText)" required
      placeholder="\(Self.textExamples[0])">\(text ?? "")</textarea>
      <div>\(choices) <button>Show latents</button></div>
      </form>
      \(when(text == nil, "<h2>Examples</h2><ul class=\"plainlist\">\(examples)</ul>"))
      <p class="hush" role="status" id="said"></p>
      <div id="parts">\(body)</div>
      """, section: .text, run: chosen.first ?? usable.first, runs: all)
  }

  /// The token that run number `run` explains least; the first token does not count, unless it is the only one.
  fileprivate static func worstToken(of dissection: Dissection, run: Int = 0) -> Int {
    let tokens = dissection.runs.indices.contains(run) ? dissection.runs[run].tokens : []
    let places = tokens.indices.dropFirst(tokens.count > 1 ? 1 : 0)
    return places.min { tokens[$0].explained < tokens[$1].explained } ?? 0
  }

  /// The text that `request` gives; nil if there is none.
  static func text(of request: WebRequest) throws(Failure) -> String? {
    guard let text = request.value("text") else { return nil }
    guard text.utf16.count <= longestText else {
      throw .usage("This text is too long; give at most \(grouped(longestText)) characters.")
    }
    return text
  }

  func dissection(of text: String, by runs: [RunRecord]) async throws(Failure) -> Dissection {
    guard let dissector else { throw Dissector.noModel }
    return try await dissector.dissect(text, by: runs, database)
  }

  /// For each of `runs`, its latents at token `place` whose nearest latent of another run is active there too, with a link to
  /// that.
  private func alike(
    _ dissection: Dissection, at place: Int, _ runs: [RunRecord]
  ) throws(Failure) -> [[LatentNumber: Markup]] {
    var names = runs.map { _ in [LatentNumber: Markup]() }
    let active = dissection.runs.map { $0.tokens[place].numbers }
    for (index, run) in runs.enumerated() {
      for (other, theirs) in zip(runs, active) where other.id != run.id {
        let nearest = try database.nearest(of: active[index], run, in: other)
        for (latent, found) in nearest
        where theirs.contains(found.latent) && found.cosine >= Self.leastAlike {
          names[index][latent] = """
            <a href="\(Address.latents(other))/\(found.latent.name)">\(other.name) \(found.latent.name)</a>
            """
        }
      }
    }
    return names
  }

  /// The least cosine of latents of two runs that are called alike.
  static let leastAlike = 0.7

  /// The latent that tokens are shaded by: `name` is a run's name, a slash and the latent's.
  private func shading(
    _ name: String?, _ runs: [RunRecord]
  ) throws(Failure) -> (run: RunRecord, latent: LatentRecord)? {
    guard let name, let slash = name.lastIndex(of: "/"),
      let run = runs.first(where: { $0.name == name[..<slash] })
    else { return nil }
    let latent = try latent(String(name[name.index(after: slash)...]), in: run)
    return try database.record(of: latent, in: run).map { (run, $0) }
  }
}

extension TokenParts {
  /// The active latents of both levels.
  fileprivate var numbers: [LatentNumber] {
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
private struct TextParts {
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
  /// For each run, the latents that another run has too, with their names there.
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
