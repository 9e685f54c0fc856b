// The page of a latent, like the paper's figure 1: its contexts, its sublatents with theirs, the tokens it promotes, the
// distribution of its codes, and related latents.

#if Explorer
import HSAEEvaluation
import HSAEHTML
import HSAEModels
import HSAESupport

extension Explorer {
  /// Sublatents shown with contexts; the others are listed by their words.
  private static let unfolded = 12
  /// Contexts on a sublatent's card, and their tokens on each side.
  private static let (contextsInside, windowInside) = (2, 8)
  /// Contexts shown before "More" is opened.
  static let contextsAtOnce = 10

  /// The page of a latent. Unless the page `isWhole`, the script fetches further contexts when they are wanted, and
  /// `detail` need not contain them. `ownText` is what the latent does in the reader's text.
  func latentPage(
    _ detail: LatentDetail, of run: RunRecord, isWhole: Bool, ownText: Markup = ""
  ) throws(Failure) -> Markup {
    let latent = detail.latent
    let title = latentTitle(latent, run)
    let words = latent.shownWords.prefix(LatentName.length).joined(separator: ", ")
    let parent = detail.parent.map {
      "<p class=\"kicker\">sublatent of \(latentLink($0, run))</p>" as Markup
    }
    var figures = [
      figure("active in", density(latent.density), "\(counted(latent.count, "row"))"),
      figure(
        "largest activation", "\(code(latent.maximum))",
        "\(code(Float(latent.mean))) on average"),
    ]
    if detail.parent != nil {
      figures.append(figure("of its expert’s rows", "\(percent(latent.shareOfParent))"))
    } else if !run.shape.isFlat {
      figures.append(
        figure(
          "live sublatents", "\(latent.liveSublatents)", "of \(run.shape.sublatents)"))
    }
    if let score = latent.score {
      let better = score > 0 ? try database.rank(ofScore: score, in: run) : 0
      figures.append(
        figure(
          "hierarchy score", "\(decimal(score, 3))",
          score > 0
            ? "rank \(grouped(better + 1)) of \(counted(run.shape.experts, "expert"))"
            : "no clear hierarchy"))
    }
    let shown = Array(detail.strongest.prefix(Self.contextsAtOnce))
    let sublatents = latent.sublatent == nil ? try cards(detail, run) : siblings(detail, run)
    return try layout(
      "\(latent.label ?? latent.shownWords.first ?? title) · \(title)",
      """
      \(parent)
      <h1 data-words="\(words)">\(latent.label ?? words)</h1>
      <p class="lead">\(title)<span id="words"\(when(latent.label == nil, " hidden"))>: \(words)</span></p>
      \(when(!isStatic, labelForm(latent, run) + listForm(detail, run) + neighbours(latent, run)))
      <dl class="figures">\(figures.joined())</dl>
      \(scoreParts(detail))
      <div class="split"><div>
      \(ownText)
      <section aria-labelledby="contexts"><h2 id="contexts">Strongest contexts</h2>
      <label class="check"><input type="checkbox" id="values"> show activations</label>
      \(contextList(shown, maximum: latent.maximum))
      \(when(latent.count > shown.count, more(detail, run, isWhole: isWhole)))
      </section>
      \(sublatents)
      </div><aside>
      \(effects(detail, run))
      \(histogram(detail))
      \(related("Nearest directions", "cosine", detail.nearest, run))
      \(related("Active together", "how often both fire together", detail.coactive, run))
      </aside></div>
      """, section: .latents, run: run, runs: database.runs())
  }

  private func labelForm(_ latent: LatentRecord, _ run: RunRecord) -> Markup {
    """
    <form class="labelling" method="post" action="\(Address.latent(latent, run))/label">
    <input type="hidden" name="previous" value="\(latent.label ?? "")">
    <label>Label <input name="label" maxlength="200" value="\(latent.label ?? "")"
    placeholder="what you would call it"></label><button>Save</button>
    <button class="link" name="remove" value="1"\(when(latent.label == nil, " hidden"))>Remove</button>
    <span role="status"></span>\(when(canSteer(run), steerLink(latent, run)))</form>
    """
  }

  /// The user's lists that the latent is in, and a field to put it into another.
  private func listForm(_ detail: LatentDetail, _ run: RunRecord) -> Markup {
    let own = detail.lists.map { list -> Markup in
      """
      <span>in <a href="\(Address.list(list, run))">\(list)</a>
      <button class="link" name="remove" value="\(list)" aria-label="Remove from \(list)" formnovalidate>remove</button></span>
      """
    }.joined(" ")
    let usual = FeatureDatabase.usualList
    let suggested = detail.lists.contains(usual) ? "" : usual
    return """
      <form class="labelling" method="post" action="\(Address.latent(detail.latent, run))/lists">
      <label>List <input name="list" maxlength="200" value="\(suggested)" required
      autocomplete="off"></label><button>Add</button> \(own)</form>
      """
  }

  /// How the hierarchy score comes about, folded.
  private func scoreParts(_ detail: LatentDetail) -> Markup {
    guard let score = detail.latent.score, score > 0, let parts = detail.scoreParts else {
      return ""
    }
    func part(_ name: Markup, _ value: Float, _ meaning: Markup) -> Markup {
      "<li><span class=\"share\">\(decimal(Double(value), 2))</span> <span>\(name): \(meaning)</span></li>"
    }
    return """
      <details><summary>How the score comes about</summary>
      <p class="small">\(decimal(score, 3)) = cohesion × margin × √(gain × richness × readability), each from 0 to 1:</p>
      <ul class="subs">
      \(part("cohesion", parts.cohesion, "words of different sublatents are alike"))
      \(part("margin", parts.margin, "words of one sublatent are more alike than that"))
      \(part("gain", parts.gain, "sublatents remove error"))
      \(part("richness", parts.richness, "many sublatents are in use"))
      \(part("readability", parts.readability, "their words are whole words, and different ones"))
      </ul></details>
      """
  }

  /// Links to the previous and the next latent, a random one, and a field for a number.
  private func neighbours(_ latent: LatentRecord, _ run: RunRecord) -> Markup {
    let count = latent.sublatent == nil ? run.shape.experts : run.shape.sublatents
    func link(_ step: Int, _ relation: Markup) -> Markup {
      let place = (latent.sublatent ?? latent.expert) + step
      guard (0..<count).contains(place) else { return "" }
      let number =
        latent.sublatent == nil
        ? LatentNumber(expert: place) : LatentNumber(expert: latent.expert, sublatent: place)
      return """
        <a rel="\(relation)" href="\(Address.latents(run))/\(number.name)">\(step < 0 ? "← \(number.name)" : "\(number.name) →")</a>
        """
    }
    return """
      <nav class="go" aria-label="Other latents">\(link(-1, "prev"))\(link(1, "next"))
      <a href="\(Address.latents(run))/random">random</a>
      <a href="/api/v1\(Address.latent(latent, run))/vector" download="\(latent.number.name).json">vector (JSON)</a>
      <form action="\(Address.latents(run))"><input name="go" aria-label="Number of a latent" placeholder="12 or 12.3"
      inputmode="decimal" pattern="[0-9]+([.\\/][0-9]+)?" required autocomplete="off"><button>Go</button></form></nav>
      """
  }

  private func steerLink(_ latent: LatentRecord, _ run: RunRecord) -> Markup {
    "<a href=\"\(Address.steer(run, latent))\">Steer with it</a>"
  }

  /// Further contexts, folded. They are most of what a page reads from the database, and few people open them.
  private func more(_ detail: LatentDetail, _ run: RunRecord, isWhole: Bool) -> Markup {
    let summary: Markup = "<summary>More, and samples of all strengths</summary>"
    if isWhole {
      let open = when(!isStatic, " open")
      return "<details id=\"more\"\(open)>\(summary)\(furtherContexts(detail))</details>"
    }
    let address = Address.latent(detail.latent, run) + "?more=1"
    return """
      <details id="more" data-from="\(address)">\(summary)<div><a href="\(address)#more">Show them</a></div>
      </details>
      """
  }

  /// The remaining contexts, and samples from each fifth of the codes.
  func furtherContexts(_ detail: LatentDetail) -> Markup {
    let maximum = detail.latent.maximum
    let names: [Markup] = ["strongest", "second", "middle", "fourth", "weakest"]
    let samples = zip(names, detail.samples).filter { !$1.isEmpty }.map {
      name, contexts -> Markup in
      "<h3>From the \(name) fifth</h3>\(contextList(contexts, maximum: maximum))"
    }.joined()
    let rest = Array(detail.strongest.dropFirst(Self.contextsAtOnce))
    return "\(when(!rest.isEmpty, contextList(rest, maximum: maximum)))\(samples)"
  }

  /// The sublatents of an expert as cards.
  private func cards(_ detail: LatentDetail, _ run: RunRecord) throws(Failure) -> Markup {
    let live = detail.sublatents.filter { $0.count > 0 }
    guard !run.shape.isFlat else { return "" }
    // In a folder of pages a sublatent has no page of its own.
    let shown = isStatic ? live : Array(live.prefix(Self.unfolded))
    let contexts = try database.strongestContexts(
      of: shown, in: run, limit: Self.contextsInside, window: Self.windowInside)
    let promoted = isStatic ? try database.promoted(by: shown, in: run) : []
    let cards = shown.indices.map { index -> Markup in
      let latent = shown[index]
      let promoted = promoted.indices.contains(index) ? promoted[index] : nil
      return """
        <article class="card" id="s\(latent.sublatent ?? 0)"><h3>\(latentLink(latent, run))</h3>
        <p class="small">\(percent(latent.shareOfParent)) of the expert’s rows\(rareNote(latent))</p>
        \(contextList(contexts[index], maximum: latent.maximum))
        \(promoted.map(promotes))</article>
        """
    }.joined()
    let rest = live.dropFirst(shown.count).map { latent -> Markup in
      "<li><span class=\"share\">\(percent(latent.shareOfParent))</span> <span>\(latentLink(latent, run))</span></li>"
    }.joined()
    let dead = run.shape.sublatents - live.count
    return """
      <section aria-labelledby="inside"><h2 id="inside">Sublatents</h2>
      \(when(cards.isEmpty, "<p class=\"empty\">None of its sublatents is active for any row.</p>"))
      <div class="cards">\(cards)</div>
      \(when(!rest.isEmpty, "<ul class=\"subs further\">\(rest)</ul>"))
      \(when(dead > 0, "<p class=\"small\">\(dead) of \(counted(run.shape.sublatents, "sublatent")) \(dead == 1 ? "is" : "are") dead: not active for any row here.</p>"))
      </section>
      """
  }

  /// A note for a latent that fires so rarely that its words mean little.
  private func rareNote(_ latent: LatentRecord) -> Markup {
    when(latent.isRare, " · rare: \(counted(latent.count, "row"))")
  }

  /// What the latent of `detail` and its sublatents do in the text of `request`, below a box for the text; empty where no
  /// text can be read.
  func ownText(
    _ request: WebRequest, _ detail: LatentDetail, of run: RunRecord
  ) async throws(Failure) -> Markup {
    guard dissector != nil, run.isComplete, canSteer(run) else { return "" }
    let (latent, text) = (detail.latent, try Self.text(of: request))
    var body: Markup = ""
    if let text {
      body = shaded(try await dissection(of: text, by: [run]), by: latent, run)
    } else if let first = detail.strongest.first {
      let words = String(
        sourceText(first.tokens.map(\.text)).trimmingPrefix(while: \.isWhitespace).prefix(1000))
      body = """
        <p class="small">For example <a href="\(Address.latent(latent, run, text: words))#own">its strongest context</a>.</p>
        """
    }
    return """
      <section aria-labelledby="own"><h2 id="own">In your text</h2>
      <form class="typing" action="\(Address.latent(latent, run))#own">
      <label class="hush" for="text">Text</label>
      <textarea id="text" name="text" rows="2" maxlength="\(Self.longestText)" required>\(text ?? "")</textarea>
      <div><button>Shade</button></div></form>
      \(body)</section>
      """
  }

  private func shaded(
    _ dissection: Dissection, by latent: LatentRecord, _ run: RunRecord
  ) -> Markup {
    let texts = runningTexts(dissection.tokens.map(\.text))
    let parts = dissection.runs[0].tokens
    let values = parts.map { $0.value(of: latent.number) }
    let tokens = texts.indices.map { index -> Markup in
      values[index] > 0
        ? """
        <span class="s\(shade(values[index], latent.maximum))" title="\(code(values[index]))">\(texts[index])</span>
        """ : "\(texts[index])"
    }.joined()
    // The sublatents that fire where their expert does, with the words of their tokens.
    var found: [Int: (sublatent: LatentRecord, words: [String])] = [:]
    for (index, token) in parts.enumerated() where latent.sublatent == nil {
      guard let active = token.latents.first(where: { $0.latent.expert == latent.expert }),
        active.isSublatentActive, let sublatent = active.sublatent, let number = sublatent.sublatent
      else { continue }
      let word = String(texts[index].drop { $0 == " " })
      found[number, default: (sublatent, [])].words.append(word)
    }
    let sublatents = found.sorted { $0.key < $1.key }.map { _, found -> Markup in
      let words = found.words.map { "<q lang=\"\">\($0)</q>" as Markup }
      return """
        <li><span class="share" title="\(counted(found.words.count, "token"))">\(grouped(found.words.count)) ×</span>
        <span>\(latentLink(found.sublatent, run)) at \(words.joined(", "))</span></li>
        """
    }.joined()
    let fired = values.count { $0 > 0 }
    let cut = when(dissection.isCut, " Only the first \(Dissector.longestText) tokens are read.")
    return """
      <p class="text" dir="auto" lang="">\(tokens)</p>
      <p class="small">\(fired == 0 ? "It does not fire in this text." : "It fires at \(grouped(fired)) of \(counted(values.count, "token")); its largest activation is \(code(values.max() ?? 0)).")\(cut) The address of this page has your text: copy it to share them.</p>
      \(when(!sublatents.isEmpty, "<ul class=\"subs\">\(sublatents)</ul>"))
      """
  }

  /// The tokens a sublatent promotes, in a line.
  private func promotes(_ texts: PromotedTexts) -> Markup {
    let words = texts.promoted.prefix(8).map { "<bdi>\(displayText($0.text))</bdi>" as Markup }
    return "<p class=\"small\">promotes <span class=\"words\">\(words.joined(" "))</span></p>"
  }

  /// A sublatent's siblings, by their words.
  private func siblings(_ detail: LatentDetail, _ run: RunRecord) -> Markup {
    let others = detail.sublatents.filter {
      $0.count > 0 && $0.sublatent != detail.latent.sublatent
    }
    guard !others.isEmpty else { return "" }
    let items = others.prefix(24).map { other -> Markup in
      "<li><span class=\"share\">\(percent(other.shareOfParent))</span> \(latentLink(other, run))</li>"
    }.joined()
    return """
      <section aria-labelledby="beside"><h2 id="beside">Other sublatents of expert \(detail.latent.expert)</h2>
      <ul class="subs">\(items)</ul></section>
      """
  }

  private func effects(_ detail: LatentDetail, _ run: RunRecord) throws(Failure) -> Markup {
    guard let promoted = detail.promoted else {
      return """
        <section><h2>Promoted tokens</h2><p class="small">Not known: hsae explain had no --model.</p>
        </section>
        """
    }
    func tokens(_ list: [PromotedTexts.Token]) -> Markup {
      list.map { token -> Markup in
        "<li><bdi>\(displayText(token.text))</bdi> <span>\(decimal(Double(token.value), 2))</span></li>"
      }.joined()
    }
    func lists(_ texts: PromotedTexts) -> Markup {
      """
      <div class="effects"><div><h4>promotes</h4><ol>\(tokens(texts.promoted))</ol></div>
      <div><h4>suppresses</h4><ol>\(tokens(texts.suppressed))</ol></div></div>
      """
    }
    let together = detail.promotedWithParent.map {
      "<details><summary>together with its expert</summary>\(lists($0))</details>" as Markup
    }
    let parent = try detail.parent.flatMap { (parent) throws(Failure) in
      try database.promoted(by: [parent], in: run)[0]
    }.map { "<details><summary>its expert alone</summary>\(lists($0))</details>" as Markup }
    return """
      <section><h2>\(run.kind == .vocabulary ? "Tokens along it" : "Promoted tokens")</h2>
      \(when(detail.parent != nil, "<p class=\"small\">What the sublatent adds beyond its expert.</p>"))
      \(lists(promoted))\(parent)\(together)\(effectBars(detail, run))</section>
      """
  }

  /// The effects on all tokens, as at most 40 bars.
  private func effectBars(_ detail: LatentDetail, _ run: RunRecord) -> Markup {
    guard let effects = detail.effects, !effects.counts.isEmpty else { return "" }
    let merged = (effects.counts.count + 39) / 40
    let counts = stride(from: 0, to: effects.counts.count, by: merged).map {
      effects.counts[$0..<min(effects.counts.count, $0 + merged)].reduce(0, +)
    }
    let labels = (0...counts.count).map {
      decimal(effects.start + Double($0 * merged) * effects.width, 2)
    }
    let title: Markup =
      run.kind == .vocabulary ? "Cosines with all tokens" : "Effects on the logits of all tokens"
    return """
      <details><summary>histogram of all tokens</summary>
      \(bars(counts, labels: labels, title: "\(title), logarithmic", isLogarithmic: true))</details>
      """
  }

  private func histogram(_ detail: LatentDetail) -> Markup {
    guard !detail.histogram.isEmpty else { return "" }
    let maximum = Double(detail.latent.maximum)
    let labels = (0...detail.histogram.count).map {
      grouped(Double($0) / Double(detail.histogram.count) * maximum, digits: 2)
    }
    let title: Markup = "How strong: rows by code"
    return """
      <section>\(bars(detail.histogram, labels: labels, title: title))
      <details><summary>logarithmic</summary>\(bars(detail.histogram, labels: labels, title: "\(title), logarithmic", isLogarithmic: true))
      </details></section>
      """
  }

  private func related(
    _ title: Markup, _ measure: Markup, _ records: [RelatedRecord], _ run: RunRecord
  ) -> Markup {
    guard !records.isEmpty else { return "" }
    let items = records.map { record -> Markup in
      """
      <li><span class="share" title="\(measure)">\(decimal(Double(record.value), 2))</span>
      \(latentLink(record.latent, run, limit: 4))</li>
      """
    }.joined()
    return "<section><h2>\(title)</h2><ul class=\"subs\">\(items)</ul></section>"
  }
}
#endif
