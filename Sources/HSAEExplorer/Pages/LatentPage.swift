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
  /// `detail` need not contain them.
  func latentPage(
    _ detail: LatentDetail, of run: RunRecord, isWhole: Bool
  ) throws(Failure) -> Markup {
    let latent = detail.latent
    let title = latentTitle(latent, run)
    let words = latent.words.prefix(4).joined(separator: ", ")
    let parent = detail.parent.map {
      "<p class=\"kicker\">inside \(latentLink($0, run))</p>" as Markup
    }
    var figures = [
      figure("active in", density(latent.density), "\(counted(latent.count, "row"))"),
      figure(
        "strongest code", "\(code(latent.maximum))",
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
      figures.append(
        figure("hierarchy score", "\(decimal(score, 3))", "how clearly its sublatents differ"))
    }
    let shown = Array(detail.strongest.prefix(Self.contextsAtOnce))
    let sublatents = latent.sublatent == nil ? try cards(detail, run) : siblings(detail, run)
    return try layout(
      "\(latent.label ?? latent.words.first ?? title) · \(title)",
      """
      \(parent)
      <h1 data-words="\(words)">\(latent.label ?? words)</h1>
      <p class="lead">\(title)\(when(latent.label != nil, ": \(words)"))</p>
      \(when(!isStatic, labelForm(latent, run)))
      <dl class="figures">\(figures.joined())</dl>
      <div class="split"><div>
      <section aria-labelledby="contexts"><h2 id="contexts">Strongest contexts</h2>
      \(contextList(shown, maximum: latent.maximum))
      \(when(latent.count > shown.count, more(detail, run, isWhole: isWhole)))
      </section>
      \(sublatents)
      </div><aside>
      \(effects(detail, run))
      \(histogram(detail))
      \(related("Nearest directions", "cosine", detail.nearest, run))
      \(related("Active together", "n_ij / √(n_i n_j)", detail.coactive, run))
      </aside></div>
      """, section: .latents, run: run, runs: database.runs())
  }

  private func labelForm(_ latent: LatentRecord, _ run: RunRecord) -> Markup {
    """
    <form class="labelling" method="post" action="\(Address.latent(latent, run))/label">
    <input type="hidden" name="previous" value="\(latent.label ?? "")">
    <label>Label <input name="label" maxlength="200" value="\(latent.label ?? "")"
    placeholder="what you would call it"></label><button>Save</button>
    <span role="status"></span>\(when(canSteer(run), steerLink(latent, run)))</form>
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
        <p class="small">\(percent(latent.shareOfParent)) of the expert’s rows</p>
        \(contextList(contexts[index], maximum: latent.maximum))
        \(promoted.map(promotes))</article>
        """
    }.joined()
    let rest = live.dropFirst(shown.count).map { "<li>\(latentLink($0, run))</li>" as Markup }
      .joined()
    let dead = run.shape.sublatents - live.count
    return """
      <section aria-labelledby="inside"><h2 id="inside">Inside it</h2>
      \(when(cards.isEmpty, "<p class=\"empty\">None of its sublatents is active for any row.</p>"))
      <div class="cards">\(cards)</div>
      \(when(!rest.isEmpty, "<ul class=\"plainlist\">\(rest)</ul>"))
      \(when(dead > 0, "<p class=\"small\">\(dead) of \(counted(run.shape.sublatents, "sublatent")) \(dead == 1 ? "is" : "are") dead: not active for any row here.</p>"))
      </section>
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
      <section aria-labelledby="beside"><h2 id="beside">Beside it, in the same expert</h2>
      <ul class="subs">\(items)</ul></section>
      """
  }

  private func effects(_ detail: LatentDetail, _ run: RunRecord) -> Markup {
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
    return """
      <section><h2>\(run.kind == .vocabulary ? "Tokens along it" : "Promoted tokens")</h2>
      \(lists(promoted))\(together)</section>
      """
  }

  private func histogram(_ detail: LatentDetail) -> Markup {
    guard !detail.histogram.isEmpty else { return "" }
    let maximum = Double(detail.latent.maximum)
    let labels = (0...detail.histogram.count).map {
      grouped(Double($0) / Double(detail.histogram.count) * maximum, digits: 2)
    }
    return
      "<section>\(bars(detail.histogram, labels: labels, title: "How strong: rows by code"))</section>"
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
