// Compares two runs: the latents that both have, and those that only one has.

#if Explorer
import HSAEHTML
import HSAEModels
import HSAESupport

extension Explorer {
  func comparePage(_ request: WebRequest) throws(Failure) -> Markup {
    let runs = try database.runs()
    let first =
      request.value("run").flatMap { name in runs.first { $0.name == name } } ?? runs.first
    let second =
      request.value("other").flatMap { name in runs.first { $0.name == name } }
      ?? runs.first { $0.id != first?.id }
    for name in [request.value("run"), request.value("other")].compactMap(\.self) {
      _ = try run(name)
    }
    guard let first, let second else {
      return layout(
        "Compare",
        """
        <h1>Compare</h1><p class="empty">There is one run here. Write another to the same database:
        <code>hsae explain OTHER-RUN --out …</code></p>
        """, section: .compare, run: first, runs: runs)
    }
    func options(_ chosen: RunRecord) -> Markup {
      runs.map { run -> Markup in
        "<option\(when(run.id == chosen.id, " selected"))>\(run.name)</option>"
      }.joined()
    }
    let form: Markup = """
      <form class="filters" action="/compare">
      <label>Run <select name="run">\(options(first))</select></label>
      <label>with <select name="other">\(options(second))</select></label><button>Compare</button></form>
      """
    let comparison = try database.comparison(of: first, with: second, limit: 40)
    let body: Markup
    if let comparison {
      let labels = (0...10).map { "\(Double($0) / 10)" }
      body = """
        <p class="lead">\(sentence(comparison, first, second))\(when(!isStatic && canSteer(first), atText(first, second)))</p>
        \(bars(comparison.histogram, labels: labels, title: "Latents of \(first.name) by cosine to the nearest of \(second.name)"))
        <section><h2>Least like any latent of \(second.name)</h2><p class="small">Of those active in at least\
         \(LatentRecord.leastCount) rows.</p>\(pairs(comparison.alone, first, second))</section>
        <section><h2>In both</h2>\(pairs(comparison.matched, first, second))</section>
        \(when(!comparison.sublatents.isEmpty, sublatents(comparison, first, second)))
        """
    } else if first.id == second.id {
      body = "<p class=\"empty\">Choose two different runs.</p>"
    } else {
      body =
        "<p class=\"empty\">These two are not of the same place in the same model, or one is incomplete.</p>"
    }
    return layout(
      "\(first.name) and \(second.name)",
      """
      <h1>Compare</h1>
      \(isStatic ? pairLinks(first, second, runs) : form)
      \(body)
      """, section: .compare, run: first, runs: runs)
  }

  private func sentence(
    _ comparison: RunComparison, _ first: RunRecord, _ second: RunRecord
  ) -> Markup {
    let name: Markup = first.shape.isFlat ? "latent" : "expert"
    // If there are none, perhaps the sublatents were not compared, because the folder of their run was gone.
    let hasSublatents = comparison.nearSublatents > 0
    let other: Markup = second.shape.isFlat || hasSublatents ? "latent" : "expert"
    let near: Markup =
      " For \(comparison.nearSublatents) of them it is a sublatent."
    return """
      Each \(name) of \(first.name) is shown with the \(other) of \(second.name) whose direction is most like its\
       own.\(when(hasSublatents, near)) \(counted(comparison.mutual, "pair")) are each other’s nearest.
      """
  }

  private func atText(_ first: RunRecord, _ second: RunRecord) -> Markup {
    """
     <a href="\(Address.text(first))&runs=\(Address.encoded(second.name))">Compare them at a text of yours</a>
    """
  }

  private func sublatents(
    _ comparison: RunComparison, _ first: RunRecord, _ second: RunRecord
  ) -> Markup {
    let name: Markup = second.shape.isFlat ? "latents" : "experts"
    return """
      <section><h2>Sublatents of \(first.name) that are \(name) of \(second.name)</h2><p class="small">Of those active in at
      least \(LatentRecord.leastCount) rows.</p>\(pairs(comparison.sublatents, first, second))</section>
      """
  }

  /// Links to all pairs of runs, for files, where no server answers a form.
  private func pairLinks(
    _ first: RunRecord, _ second: RunRecord, _ runs: [RunRecord]
  ) -> Markup {
    let links = runs.flatMap { run in
      runs.filter { $0.id != run.id }.map { other -> Markup in
        let current = when(
          run.id == first.id && other.id == second.id, " aria-current=\"page\"")
        return
          "<a href=\"\(Address.compare(run, other))\"\(current)>\(run.name) with \(other.name)</a>"
      }
    }
    return "<nav class=\"runs\" aria-label=\"Pairs\">\(links.joined(" "))</nav>"
  }

  private func pairs(
    _ pairs: [MatchedLatent], _ first: RunRecord, _ second: RunRecord
  ) -> Markup {
    let rows = pairs.map { pair -> Markup in
      """
      <tr><td>\(decimal(pair.cosine, 2))</td><th scope="row">\(latentLink(pair.latent, first))</th>
      <td>\(latentLink(pair.other, second))</td></tr>
      """
    }.joined()
    return """
      <div class="scroll"><table class="latents pairs"><thead><tr><th scope="col">cosine</th>
      <th scope="col">\(first.name)</th><th scope="col">nearest of \(second.name)</th></tr></thead>
      <tbody>\(rows)</tbody></table></div>
      """
  }
}
#endif
