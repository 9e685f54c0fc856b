// The page of a run: hierarchies first, then words, numbers, curves and densities.

import HSAEEvaluation
import HSAEHTML
import HSAEModels
import HSAESupport

/// The body of the page of `run`, with `baseline` beside it. The large numbers come from `evaluation` where it has
/// them.
func runPage(_ run: RunReport, baseline: RunReport?, _ evaluation: Evaluation?) -> PageBody {
  let runs = [run, baseline].compactMap(\.self)
  let hasTrees = !run.clearest.isEmpty || !run.sample.isEmpty
  let hasIndex = hasTrees && !run.index.isEmpty
  var body = PageBody()
  body.figures = figures(run, baseline, evaluation)
  body.add(
    "hierarchies", run.shape.isFlat && !hasTrees ? "Latents" : "Hierarchies",
    hasTrees ? hierarchies(run, hasIndex: hasIndex) : run.isSynthetic ? withoutWords : nil)
  body.add("words", "Words", words(run, baseline))
  body.add("numbers", "Numbers", numbers(runs, hasEvaluation: evaluation != nil))
  body.add("training", "Training", trainingCharts(runs))
  body.add("densities", "Densities", densities(run, baseline))
  body.add("configuration", "Configuration", configurations(runs))
  // The search index takes what is left of 2.8 MB, so that a page stays below 3 MB.
  let room = max(200_000, 2_750_000 - body.html.utf8.count)
  if hasIndex { body.index = searchIndex(run.index, limit: min(1_600_000, room)) }
  return body
}

private let withoutWords: Markup = """
  <p class="empty">Rows of a synthetic forest have no words, so this page cannot show what latents respond to. hsae evaluate
  --suite truth compares latents with the features of the forest.</p>
  """

private func hierarchies(_ run: RunReport, hasIndex: Bool) -> Markup {
  let unit = run.rowKind.rawValue
  let search: Markup = """
    <form class="search" role="search" hidden>
    <label for="query">Find a word among all \(counted(run.index.count, "expert"))</label>
    <input id="query" type="search" autocomplete="off" spellcheck="false" enterkeyhint="search"
    placeholder="october, violin, 北京 …" aria-controls="results">
    <p id="status" role="status"></p>
    </form>
    <div id="results" data-unit="\(unit)" hidden></div>
    """
  let none: Markup = "<p class=\"empty\">No expert has a hierarchy that scores above 0.</p>"
  return """
    <p class="lead">Each line is an expert: the \(unit)s it responds to most, and how they divide among
    its sublatents. Unfold one to read it.</p>
    \(when(hasIndex, search))
    <div id="lists">
    <div class="tabs" role="tablist" aria-label="Which hierarchies" hidden>
    <button type="button" role="tab" id="tab-clearest" aria-controls="clearest"
    aria-selected="true">Clearest \(run.clearest.count)</button>
    <button type="button" role="tab" id="tab-sample" aria-controls="sample"
    aria-selected="false" tabindex="-1">Random \(run.sample.count)</button>
    </div>
    <p class="filter" hidden><label><input type="checkbox" id="latin"> only hierarchies in mostly Latin letters</label></p>
    <div class="panel" id="clearest" role="region" aria-label="Clearest hierarchies">
    <h3 class="plain">The clearest</h3>
    \(when(run.clearest.isEmpty, none))
    \(TreeList(idPrefix: "e", unit: run.rowKind, open: 3).markup(run.clearest))
    </div>
    <div class="panel" id="sample" role="region" aria-label="Hierarchies drawn at random">
    <h3 class="plain">Drawn at random</h3>
    <p class="small">\(run.sample.count) of the live experts, drawn with seed \(String(run.sampleSeed)),
    whatever their score. They show what a hierarchy of this dictionary is usually like.</p>
    \(TreeList(idPrefix: "r", unit: run.rowKind).markup(run.sample))
    </div>
    </div>
    \(scoreNote(run.rowKind, shuffled: run.shuffledScore, rows: run.scoredRows))
    """
}

private func words(_ run: RunReport, _ baseline: RunReport?) -> Markup? {
  guard let first = run.lookups.first else { return nil }
  let cards = run.lookups.map { lookup -> Markup in
    wordCard(
      lookup,
      flat: baseline?.lookups.first { $0.word == lookup.word && !$0.experts.isEmpty })
  }
  return """
    <p class="lead">Each card shows the active experts of a word with their strongest words and, below each,
    the chosen sublatent. A sublatent says something only where its code reaches the
    threshold \(decimal(Double(first.subThreshold), 3)).</p>
    <div class="cards">
    \(cards.joined())</div>
    """
}

/// The table of numbers, with a column for each run.
private func numbers(_ runs: [RunReport], hasEvaluation: Bool) -> Markup {
  let shown = measures.filter { measure in runs.contains { measure.value($0) != nil } }
  let rows = shown.map { TableRow($0.label, $0.cells(runs)) }
  let elsewhere: Markup =
    " The numbers of hsae evaluate are under <a href=\"#evaluation\">Evaluation</a>."
  return """
    \(scrolling("Table of numbers", table([hidden("measure")] + runs.map { "\($0.name)" }, rows)))
    <p class="small">\(evaluatedNote(runs))\(when(hasEvaluation, elsewhere))\
    \(when(runs.count > 1, " Better values are marked where runs differ by more than 0.1 %."))\
    \(unequalCodesNote(runs))</p>
    """
}

/// A sentence on the rows that the numbers were measured on; nothing if no run has numbers.
func evaluatedNote(_ runs: [RunReport]) -> Markup {
  let places = evaluatedOn(runs)
  return when(!places.isEmpty, "Measured on \(places); means over rows.")
}

/// The rows that the numbers of `runs` were measured on.
func evaluatedOn(_ runs: [RunReport]) -> String {
  runs.filter { $0.numbers != nil && !$0.evaluatedOn.isEmpty }.map(\.evaluatedOn)
    .uniqued(by: \.self).joined(separator: "; ")
}

private func configurations(_ runs: [RunReport]) -> Markup? {
  let lists = runs.filter { !$0.configuration.isEmpty }.map { run -> Markup in
    let entries = run.configuration.map {
      "<div><dt>\($0.key)</dt><dd>\($0.value)</dd></div>" as Markup
    }
    return """
      <details class="how"><summary>\(run.name)</summary>
      <dl class="configuration">
      \(entries.joined())
      </dl>
      </details>

      """
  }
  return lists.isEmpty ? nil : lists.joined()
}

/// The large numbers under the title.
private func figures(
  _ run: RunReport, _ baseline: RunReport?, _ evaluation: Evaluation?
) -> [Markup] {
  let shape = run.shape
  let all = shape.experts * shape.sublatents
  let flat = baseline.map {
    ", those of the flat SAE \(short(Double($0.shape.parameterCount)))" as Markup
  }
  var result = [
    figure(
      shape.isFlat ? "latents" : "experts × sublatents",
      shape.isFlat
        ? "\(grouped(shape.experts))" : "\(grouped(shape.experts)) × \(shape.sublatents)",
      "\(activeClause(run)); \(short(Double(shape.parameterCount))) parameters\(flat)")
  ]
  let heldOut = Headline(run, heldOutBy: evaluation)
  if let own = heldOut ?? Headline(run) {
    // The flat run is compared on the same rows only, scaled alike.
    let other = baseline.flatMap {
      $0.seesUnitRows != run.seesUnitRows
        ? nil : heldOut == nil ? Headline($0) : Headline($0, heldOutBy: evaluation)
    }?.squaredError
    var aside: Markup =
      run.seesUnitRows ? "of each row’s squared norm" : "of rows at their own lengths"
    if let other, other > 0 {
      let change = 1 - own.squaredError / other
      aside =
        "\(percent(abs(change))) \(change >= 0 ? "less" : "more") than the flat SAE’s \(readable(other, 3))\(codesClause(run, baseline))"
    }
    let level = own.topLevel.map { "\(percent($0)) by the top level alone, " } ?? ""
    result += [
      figure("squared error", "\(readable(own.squaredError, 3))", "\(aside), \(own.place)"),
      figure("explained variance", "\(percent(own.explainedVariance))", "\(level)\(own.place)"),
    ]
  }
  if let numbers = run.numbers {
    let sublatents =
      "\(grouped(all - numbers.deadSublatents)) of \(counted(all, "sublatent")) live; "
    result.append(
      figure(
        shape.isFlat ? "live latents" : "live experts",
        "\(grouped(shape.experts - numbers.deadExperts))",
        """
        of \(grouped(shape.experts))\(shape.isFlat ? ", " : "; ")\
        \(shape.isFlat ? "" : sublatents)\(rowsClause(run))
        """))
  }
  let length = RunLength(run.metrics)
  if let rate = length.rate {
    let time = length.seconds.map { "\(duration($0)) of training" } ?? ""
    result.append(figure("rows per second", "\(short(rate))", "\(time)"))
  }
  return result
}

/// ", with 64.0 codes a row for its 32.0" where a comparison is not at equal cost; nothing where it is.
private func codesClause(_ run: RunReport, _ baseline: RunReport?) -> Markup {
  guard let own = run.numbers?.reconstruction.codes,
    let other = baseline?.numbers?.reconstruction.codes, !Comparison.areEqual(own, other)
  else { return "" }
  return ", with \(decimal(own, 1)) codes a row for its \(decimal(other, 1))"
}

/// How many latents of the top level are active: the number measured if it is below the limit, else the limit.
private func activeClause(_ run: RunReport) -> Markup {
  let most = run.shape.activeExperts
  guard let l0 = run.numbers?.reconstruction.l0, l0 < Double(most) - 0.5 else {
    return "\(grouped(most)) active for each row"
  }
  let limit: Markup = ", \(grouped(most)) at most"
  return """
    \(decimal(l0, l0 < 100 ? 1 : 0)) active for a row on average\
    \(when(most < run.shape.experts, limit))
    """
}

private func densities(_ run: RunReport, _ baseline: RunReport?) -> Markup? {
  var charts: [Markup?] = []
  if let numbers = run.numbers {
    charts.append(
      densityChart(
        "\(run.shape.isFlat ? "Latents" : "Experts") active, \(run.name)", numbers.expertHistogram,
        color: 0))
    if !run.shape.isFlat {
      charts.append(
        densityChart("Sublatents chosen, \(run.name)", numbers.sublatentHistogram, color: 0))
    }
  }
  if let baseline, let numbers = baseline.numbers {
    charts.append(
      densityChart("Latents active, \(baseline.name)", numbers.expertHistogram, color: 1))
  }
  let drawn = charts.compactMap(\.self)
  guard !drawn.isEmpty else { return nil }
  let places = evaluatedOn([run, baseline].compactMap(\.self))
  return """
    <p class="lead">The charts count latents by the share of the rows for which they are active, and sublatents
    by the share for which they are chosen. A latent that is never active is dead. A sublatent that is chosen can
    be dead too, if its code is always below the threshold.\(when(!places.isEmpty, " Counted on \(places)."))</p>
    <div class="charts">\(drawn.joined())</div>
    """
}
