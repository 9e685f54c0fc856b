// The section of a page about an evaluation: for each suite a table with intervals, runs side by side,
// the most important numbers as dots with whiskers, and densities.

import HSAEEvaluation
import HSAEHTML
import HSAESupport

let evaluationTemplate = """
  <section id="evaluation" {{#isAlone}}aria-label="Evaluation"{{/isAlone}}\
  {{^isAlone}}aria-labelledby="evaluation-title"{{/isAlone}}>
  {{^isAlone}}<h2 id="evaluation-title">Evaluation</h2>{{/isAlone}}
  {{#suites}}
  <{{{heading}}} id="{{{anchor}}}">{{{name}}}</{{{heading}}}>
  <p class="small">On {{{evaluatedOn}}}.{{#hasIntervals}} In brackets, and as whiskers: 95 % bootstrap \
  intervals.{{/hasIntervals}}</p>
  {{#hasCharts}}<div class="charts">{{{charts}}}</div>{{/hasCharts}}
  {{#hasDensities}}<div class="charts">{{{densities}}}</div>{{/hasDensities}}
  <div class="scroll" tabindex="0" role="region" aria-label="Table of the suite {{{name}}}">
  <table class="numbers"><thead><tr><th scope="col"><span class="hush">number</span></th>\
  {{#columns}}<th scope="col">{{{name}}}</th>{{/columns}}</tr></thead>
  <tbody>
  {{#rows}}<tr><th scope="row">{{{label}}}</th>\
  {{#cells}}<td{{#isBest}} class="best"{{/isBest}}>{{{value}}}</td>{{/cells}}</tr>
  {{/rows}}</tbody></table></div>
  {{#hasComparison}}
  <h3>{{{comparisonTitle}}}</h3>
  <p class="small">Measured on the same samples, so that these intervals are narrower than those above.</p>
  <div class="scroll" tabindex="0" role="region" aria-label="Differences of the suite {{{name}}}">
  <table class="numbers"><thead><tr><th scope="col"><span class="hush">number</span></th>\
  {{#comparisonColumns}}<th scope="col">{{{name}}}</th>{{/comparisonColumns}}</tr></thead>
  <tbody>
  {{#comparisonRows}}<tr><th scope="row">{{{label}}}</th>\
  {{#cells}}<td>{{{value}}}</td>{{/cells}}</tr>
  {{/comparisonRows}}</tbody></table></div>
  {{/hasComparison}}
  {{#tables}}
  <details class="how"><summary>{{{title}}}</summary>
  <div class="scroll" tabindex="0" role="region" aria-label="{{{title}}}">
  <table class="numbers"><thead><tr>{{#columns}}<th scope="col">{{{name}}}</th>{{/columns}}</tr></thead>
  <tbody>{{#lines}}<tr><th scope="row">{{{label}}}</th>\
  {{#cells}}<td>{{{value}}}</td>{{/cells}}</tr>
  {{/lines}}</tbody></table></div>
  </details>
  {{/tables}}
  {{#notes}}<p class="small">{{{note}}}</p>{{/notes}}
  {{/suites}}
  </section>
  """

/// What the section shows of `evaluation`. Where it `isAlone` on a page, that has its title already, and suites are the
/// page's sections.
func evaluationView(_ evaluation: Evaluation, isAlone: Bool) -> [String: View] {
  [
    "isAlone": .flag(isAlone),
    "suites": .list(
      evaluation.suites.enumerated().map { index, suite in
        var view = suiteView(suite, evaluation.runs)
        view["anchor"] = .markup(suiteAnchor(index))
        view["heading"] = isAlone ? "h2" : "h3"
        return view
      }),
  ]
}

/// The id of the suite that stands at place `index` of a page.
func suiteAnchor(_ index: Int) -> Markup { "suite-\(index + 1)" }

private func suiteView(_ suite: String, _ runs: [Evaluation.Run]) -> [String: View] {
  let runs = runs.filter { $0.result(suite) != nil }
  let results = runs.compactMap { $0.result(suite) }
  let lines = numberLines(results.map(\.numbers))
  // Of rows at unit norm and rows at their own lengths no number is better, but for those of unscaled rows.
  let isAlike = Set(results.map(\.seesUnitRows)).count < 2
  func isComparable(_ key: String) -> Bool {
    isAlike
      || !lines.contains { $0.first.key == key.replacing("_top_level", with: "") + "_unscaled" }
  }
  var places: [String] = []
  var notes: [String] = []
  for result in results {
    if !places.contains(result.evaluatedOn) { places.append(result.evaluatedOn) }
    for note in result.notes where !notes.contains(note) { notes.append(note) }
  }
  let names = runs.map(\.name)
  // Numbers that more than one run has, where there are several.
  let drawn = lines.filter { line in
    line.first.better != nil && line.first.interval != nil
      && line.values.count { $0 != nil } >= min(2, runs.count)
  }
  let charts = drawn.prefix(4)
    .compactMap { line in
      dotChart(
        labelText(line.first),
        zip(names, line.values).compactMap { name, number in
          number.map { (name, $0.value, $0.interval.map { ($0.low, $0.high) }) }
        })
    }
  let densities = zip(runs, results).enumerated().flatMap { index, pair in
    pair.1.histograms.compactMap { figure in
      densityChart(
        "\(figure.title), \(pair.0.name)", figure.histogram, color: runColor(index))
    }
  }
  let compared = zip(names, results).compactMap { name, result in
    result.comparison.map { (name: "\(name) − \($0.baseline)", numbers: $0.numbers) }
  }
  return [
    "hasComparison": .flag(!compared.isEmpty), "comparisonTitle": "\(comparisonTitle)",
    "comparisonColumns": .list(compared.map { ["name": "\($0.name)"] }),
    "comparisonRows": .list(
      numberLines(compared.map(\.numbers)).map { line in
        [
          "label": "\(labelText(line.first))",
          "cells": .list(line.values.map { ["value": $0.map { "\(numberText($0))" } ?? "–"] }),
        ]
      }),
    "name": "\(suite)", "evaluatedOn": "\(places.joined(separator: "; "))",
    // The dots are lower than histograms, and a row of both would have holes.
    "hasIntervals": .flag(lines.contains { $0.values.contains { $0?.interval != nil } }),
    "hasCharts": .flag(!charts.isEmpty), "charts": .markup(charts.joined()),
    "hasDensities": .flag(!densities.isEmpty), "densities": .markup(densities.joined()),
    "columns": .list(names.map { ["name": "\($0)"] }),
    "rows": .list(
      lines.map { line in
        [
          "label": "\(labelText(line.first))",
          "cells": .list(cells(line.first, line.values, isComparable(line.first.key))),
        ]
      }),
    "tables": .list(
      zip(names, results).flatMap { name, result in
        result.tables.map { tableView($0, run: name) }
      }),
    "notes": .list(notes.map { ["note": "\($0)"] }),
  ]
}

private func cells(
  _ kind: EvaluationNumber, _ values: [EvaluationNumber?], _ isComparable: Bool
) -> [[String: View]] {
  let numbers = values.compactMap { $0?.value }.filter(\.isFinite)
  var best: Double?
  if isComparable, let better = kind.better, let low = numbers.min(), let high = numbers.max(),
    numbers.count > 1, high - low > 1e-3 * max(abs(low), abs(high))
  {
    best = better == .lower ? low : high
  }
  return values.map { number in
    [
      "value": number.map { "\(numberText($0))" } ?? "–",
      "isBest": .flag(best != nil && number?.value == best),
    ]
  }
}

private func tableView(_ table: EvaluationTable, run: String) -> [String: View] {
  [
    "title": "\(table.title), \(run)",
    "columns": .list(table.columns.map { ["name": "\($0)"] }),
    "lines": .list(
      table.lines.map { line in
        [
          "label": "\(line.label)",
          "cells": .list(line.values.map { ["value": $0.map { "\(cellText($0))" } ?? "–"] }),
        ]
      }),
  ]
}
