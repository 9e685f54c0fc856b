// The section of a page about an evaluation. For each suite: a table with intervals, runs side by side; the most
// important numbers as dots with whiskers; densities; differences between runs; further tables and notes.

import HSAEEvaluation
import HSAEHTML
import HSAESupport

extension PageBody {
  /// Adds a section about `evaluation`. If it `isAlone`, the page's title says what it is, and the suites are the
  /// page's sections.
  mutating func add(_ evaluation: Evaluation, isAlone: Bool) {
    let heading: Markup = isAlone ? "h2" : "h3"
    let suites = evaluation.suites.enumerated().map { index, suite -> Markup in
      let anchor: Markup = "suite-\(index + 1)"
      if isAlone { links.append((anchor, "\(suite)")) }
      return """
        <\(heading) id="\(anchor)">\(suite)</\(heading)>
        \(suiteSection(suite, evaluation.runs))
        """
    }.joined()
    if isAlone {
      html += "<section id=\"evaluation\" aria-label=\"Evaluation\">\n\(suites)</section>\n"
    } else {
      add("evaluation", "Evaluation", suites)
    }
  }
}

private func suiteSection(_ suite: String, _ runs: [Evaluation.Run]) -> Markup {
  let runs = runs.filter { $0.result(suite) != nil }
  let results = runs.compactMap { $0.result(suite) }
  let names = runs.map(\.name)
  let lines = numberLines(results.map(\.numbers))
  let places = results.map(\.evaluatedOn).uniqued(by: \.self)
  let notes = results.flatMap(\.notes).uniqued(by: \.self)
  let hasIntervals = lines.contains { $0.values.contains { $0?.interval != nil } }
  let densities = zip(runs, results).enumerated().flatMap { index, pair in
    pair.1.histograms.compactMap {
      densityChart("\($0.title), \(pair.0.name)", $0.histogram, color: runColor(index))
    }
  }
  let tables = zip(names, results).flatMap { name, result in
    result.tables.map { tableMarkup($0, run: name) }
  }
  // Dots and histograms are apart: they differ in height, and a row of both would have holes.
  return """
    <p class="small">On \(places.joined(separator: "; ")).\
    \(when(hasIntervals, " Brackets and whiskers are 95 % bootstrap intervals."))</p>
    \(charts(dotCharts(lines, names)))
    \(charts(densities))
    \(scrolling("Table of the suite \(suite)", numberTable(lines, results, names)))
    \(comparison(suite, names, results))
    \(tables.joined())
    \(notes.map { "<p class=\"small\">\($0)</p>" as Markup }.joined())

    """
}

private func charts(_ charts: [Markup]) -> Markup {
  when(!charts.isEmpty, "<div class=\"charts\">\(charts.joined())</div>")
}

/// The first four numbers that have intervals and, where there are several runs, more than one run has.
private func dotCharts(_ lines: [NumberLine], _ names: [String]) -> [Markup] {
  let drawn = lines.filter { line in
    line.first.better != nil && line.first.interval != nil
      && line.values.count { $0 != nil } >= min(2, names.count)
  }
  return drawn.prefix(4).compactMap { line in
    dotChart(
      labelText(line.first),
      zip(names, line.values).compactMap { name, number in
        number.map { (name, $0.value, $0.interval.map { ($0.low, $0.high) }) }
      })
  }
}

private func numberTable(
  _ lines: [NumberLine], _ results: [SuiteResult], _ names: [String]
) -> Markup {
  // Numbers of rows at unit norm and of rows at their own lengths are not compared. Those of unscaled rows are.
  let isAlike = Set(results.map(\.seesUnitRows)).count < 2
  func isComparable(_ key: String) -> Bool {
    isAlike
      || !lines.contains { $0.first.key == key.replacing("_top_level", with: "") + "_unscaled" }
  }
  let rows = lines.map { line -> TableRow in
    let values = line.values.map { $0.map { (numberText($0), $0.value) } }
    let better = isComparable(line.first.key) ? line.first.better : nil
    return ("\(labelText(line.first))", cells(values, better: better))
  }
  return table([hidden("number")] + names.map { "\($0)" }, rows)
}

/// The differences of hierarchical runs from flat ones; nil if there are none.
private func comparison(_ suite: String, _ names: [String], _ results: [SuiteResult]) -> Markup? {
  let compared = zip(names, results).compactMap { name, result in
    result.comparison.map { (name: $0.title(of: name), numbers: $0.numbers) }
  }
  guard !compared.isEmpty else { return nil }
  let rows = numberLines(compared.map(\.numbers)).map { line -> TableRow in
    ("\(labelText(line.first))", line.values.map { ($0.map(numberText) ?? "–", false) })
  }
  let heads = [hidden("number")] + compared.map { "\($0.name)" }
  return """
    <h3>\(comparisonTitle)</h3>
    <p class="small">Measured on the same samples, so these intervals are narrower than those above.</p>
    \(scrolling("Differences of the suite \(suite)", table(heads, rows)))
    """
}

private func tableMarkup(_ content: EvaluationTable, run: String) -> Markup {
  let title: Markup = "\(content.title), \(run)"
  let rows = content.lines.map { line -> TableRow in
    ("\(line.label)", line.values.map { ($0.map(cellText) ?? "–", false) })
  }
  return """
    <details class="how"><summary>\(title)</summary>
    \(scrolling(title, table(content.columns.map { "\($0)" }, rows)))
    </details>

    """
}
