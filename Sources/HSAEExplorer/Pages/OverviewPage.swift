// The first page of a run: numbers, how often latents are active, how experts divide, the clearest hierarchies.

#if Explorer
import Foundation
import HSAEHTML
import HSAEModels
import HSAESupport

extension Explorer {
  func overview(of run: RunRecord) throws(Failure) -> Markup {
    let numbers = try database.statistics(of: run)
    let shape = run.shape
    let query = LatentQuery(
      order: shape.isFlat ? .density : .score, isDescending: true, limit: shape.isFlat ? 24 : 12)
    let clearest = try database.latents(query, in: run).latents
    let dead = shape.experts - numbers.live
    var figures = [
      figure(
        shape.isFlat ? "live latents" : "live experts", "\(grouped(numbers.live))",
        "of \(grouped(shape.experts)); \(percent(Double(dead) / Double(shape.experts))) are dead on these rows"
      )
    ]
    if !shape.isFlat {
      let all = shape.experts * shape.sublatents
      figures.append(
        figure(
          "live sublatents", "\(grouped(numbers.liveSublatents))",
          "of \(grouped(all)), \(percent(Double(numbers.liveSublatents) / Double(max(1, all)))), on these rows"
        ))
    }
    figures += [
      shape.activeExperts < shape.experts
        ? figure("active at a time", "\(grouped(shape.activeExperts))", "at most, in each row")
        : figure("active at a time", "any number", "of those above their thresholds"),
      figure(
        run.kind == .text ? "rows (tokens)" : "rows", "\(short(Double(run.rows)))",
        "\(run.storeName)"),
    ]
    let densities = (0...numbers.densities.count).map { index in
      density(pow(10, numbers.densityStart + Double(index) / 3)).html
    }
    var charts = bars(
      numbers.densities, labels: densities,
      title: "How often latents are active: latents by share of rows")
    if !shape.isFlat {
      charts += bars(
        numbers.sublatents, labels: numbers.sublatents.indices.map(String.init),
        title: "How experts divide: experts by number of live sublatents")
    }
    let trees = try clearest.map { (latent) throws(Failure) in try tree(latent, run) }
    return try layout(
      run.name,
      """
      <p class="kicker">\(run.modelName ?? run.storeName)</p>
      <h1>\(run.name)</h1>
      <p class="lead">\(runDescription(run))</p>
      <dl class="figures">\(figures.joined())</dl>
      \(try ownLists(run))
      <section aria-labelledby="clearest">
      <h2 id="clearest">\(shape.isFlat ? "The most frequent latents" : "Experts with the highest hierarchy scores")</h2>
      \(try scale(numbers, run))
      <div class="trees">\(trees.joined())</div>
      <p><a href="\(Address.latents(run))">All latents, to sort and search</a></p>
      </section>
      <section aria-labelledby="spread"><h2 id="spread">Spread</h2>
      <div class="charts">\(charts)</div></section>
      \(when(isStatic, Self.liveNote))
      """, section: .overview, run: run, runs: database.runs())
  }

  /// What the scores of a run mean: its highest, what chance gives, and the highest of other runs.
  private func scale(_ numbers: RunStatistics, _ run: RunRecord) throws(Failure) -> Markup {
    guard let highest = numbers.highestScore else { return "" }
    let rows = numbers.scoreScale.map { scale -> Markup in
      "Scores are of the first \(counted(scale.rows, "row"))."
    }
    let shuffled = numbers.scoreScale?.shuffledHighest.map { highest -> Markup in
      "With sublatents shuffled between experts the highest is \(decimal(highest, 3))."
    }
    let others = try database.highestScores().compactMap { other, score -> Markup? in
      other.id == run.id ? nil : "\(decimal(score, 3)) in \(other.name)"
    }
    return """
      <p class="small">The score is 0 where words of one sublatent are no more alike than words of different ones. Clear
      hierarchies of a vocabulary reach 0.2 to 0.4; those of a residual stream score lower. Here the highest is
      \(decimal(highest, 3)), and \(grouped(numbers.scored)) of \(grouped(numbers.live)) live experts are above 0. \(shuffled) \(rows)
      \(when(!others.isEmpty, "The highest of other runs: \(others.joined(", "))."))</p>
      """
  }

  /// A section of links to the user's labels and lists; empty if there are none.
  private func ownLists(_ run: RunRecord) throws(Failure) -> Markup {
    let links = isStatic ? [] : try ownLinks(run)
    return links.isEmpty
      ? "" : "<section><h2>Your labels and lists</h2><p>\(links.joined(" · "))</p></section>"
  }

  /// Links to the user's labels and lists of `run`.
  func ownLinks(_ run: RunRecord) throws(Failure) -> [Markup] {
    let labelled = try database.labels(in: run).count { !$0.text.isEmpty }
    var links: [Markup] = []
    if labelled > 0 {
      links.append(
        "<a href=\"\(Address.latents(run))?labelled=1\">labelled</a> (\(grouped(labelled)))")
    }
    return try links
      + database.lists(in: run).map { list in
        """
        <a href="\(Address.list(list.name, run))">\(list.name)</a> (\(grouped(list.count)))
        """
      }
  }

  private static let liveNote: Markup = """
    <p class="small">These pages are files, written by hsae explain --html. On the same database hsae explore also
    sorts and filters latents, gives each sublatent a page, keeps labels, shows which latents fire in your text, and
    steers.</p>
    """

  /// An expert with its most frequent sublatents.
  private func tree(_ latent: LatentRecord, _ run: RunRecord) throws(Failure) -> Markup {
    let query = LatentQuery(
      level: .sublatentsOf(latent.expert), order: .density, isDescending: true, limit: 6)
    let children = run.shape.isFlat ? [] : try database.latents(query, in: run).latents
    let items = children.map { child -> Markup in
      """
      <li><span class="share" title="of the expert’s rows">\(percent(child.shareOfParent))</span>
      \(latentLink(child, run, limit: 7))</li>
      """
    }.joined()
    return """
      <article class="card tree"><h3>\(latentLink(latent, run))</h3>
      \(when(run.shape.isFlat, "<p class=\"small\">active in \(density(latent.density))</p>"))
      \(when(!items.isEmpty, "<ul class=\"subs\">\(items)</ul>"))</article>
      """
  }
}
#endif
