// The page that sets several runs side by side: a row of numbers for each run, what differs in their
// configurations, and a column for each run under every word.

import HSAEEvaluation
import HSAEHTML
import HSAESupport

/// The body of the comparison of `runs`.
func comparisonPage(_ runs: [RunReport], _ templates: Templates) throws(Failure) -> PageBody {
  let charts = trainingCharts(runs)
  let shown = measures.filter { measure in runs.contains { measure.value($0) != nil } }
  let cells = shown.map { $0.cells(runs) }
  let options = differingOptions(runs)
  var words: [String] = []
  for lookup in runs.flatMap(\.lookups) where !words.contains(lookup.word) {
    words.append(lookup.word)
  }
  let withTrees = runs.enumerated().filter { !$1.clearest.isEmpty }

  let view: [String: View] = [
    "hasNumbers": .flag(!shown.isEmpty),
    "columns": .list(shown.map { ["name": .markup($0.label)] }),
    "rows": .list(
      runs.enumerated().map { index, run in
        ["label": "\(run.name)", "cells": .list(cells.map { $0[index] })]
      }),
    "evaluated": .markup(evaluatedNote(runs)),
    "hasDifferences": .flag(!options.isEmpty),
    "options": .list(options.map { ["name": "\($0)"] }),
    "differences": .list(
      runs.map { run in
        [
          "label": "\(run.name)",
          "cells": .list(options.map { ["value": "\(option($0, of: run) ?? "–")"] }),
        ]
      }),
    "hasWords": .flag(!words.isEmpty),
    "words": .list(
      words.enumerated().map { index, word in
        let text = runs.lazy.compactMap { run in
          run.lookups.first { $0.word == word }?.text
        }.first
        return [
          "anchor": "\(index + 1)",
          "word": .markup(wordMarkup(text ?? word)),
          "runs": .list(
            runs.map { run in
              let lookup = run.lookups.first { $0.word == word }
              return [
                "run": "\(run.name)",
                "lookup": lookup.map { .object(lookupView($0)) } ?? false,
              ]
            }),
        ]
      }),
    "hasTrees": .flag(!withTrees.isEmpty),
    "runTrees": .list(
      withTrees.map { index, run in
        [
          "name": "\(run.name)",
          "clearest": TreeList(idPrefix: "run\(index + 1)-e", unit: run.rowKind).view(
            Array(run.clearest.prefix(10))),
        ]
      }),
    "hasCharts": .flag(charts != nil), "charts": .markup(charts ?? ""),
  ]
  var sections: [(anchor: Markup, label: Markup)] = [("numbers", "Numbers")]
  if !words.isEmpty { sections.append(("words", "Words")) }
  if !withTrees.isEmpty { sections.append(("hierarchies", "Hierarchies")) }
  if charts != nil { sections.append(("training", "Training")) }
  return PageBody(html: try templates.render("comparison", view), sections: sections)
}

/// The options in which the runs do not all agree, in the order they first appear.
private func differingOptions(_ runs: [RunReport]) -> [String] {
  var keys: [String] = []
  for entry in runs.flatMap(\.configuration) where !keys.contains(entry.key) {
    keys.append(entry.key)
  }
  return keys.filter { key in Set(runs.map { option(key, of: $0) }).count > 1 }
}

private func option(_ key: String, of run: RunReport) -> String? {
  run.configuration.first { $0.key == key }?.value
}
