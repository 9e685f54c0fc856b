// The page of a run: hierarchies first, then words, numbers, curves and densities.

import HSAEEvaluation
import HSAEHTML
import HSAEModels
import HSAESupport

/// The body of the page of `run`, with `baseline` beside it; `evaluation` is what suites found of them.
func runPage(
  _ run: RunReport, baseline: RunReport?, _ evaluation: Evaluation?, _ templates: Templates
) throws(Failure) -> PageBody {
  let runs = [run] + (baseline.map { [$0] } ?? [])
  let trees = !run.clearest.isEmpty || !run.sample.isEmpty
  let hasIndex = trees && !run.index.isEmpty
  let charts = trainingCharts(runs)
  let densities = densityCharts(run, baseline)
  let configurations = runs.filter { !$0.configuration.isEmpty }

  var view: [String: View] = [
    "unit": "\(run.rowKind.rawValue)",
    "hasTrees": .flag(trees), "hasIndex": .flag(hasIndex),
    "experts": "\(grouped(run.index.count))",
    "hasClearest": .flag(!run.clearest.isEmpty),
    "clearestCount": "\(run.clearest.count)", "sampleCount": "\(run.sample.count)",
    "seed": "\(String(run.sampleSeed))",
    "clearest": TreeList(idPrefix: "e", unit: run.rowKind, open: 3).view(run.clearest),
    "sample": TreeList(idPrefix: "r", unit: run.rowKind).view(run.sample),
    "hasWords": .flag(!run.lookups.isEmpty),
    "threshold": "\(decimal(Double(run.lookups.first?.subThreshold ?? 0), 3))",
    "words": .list(words(run, baseline)),
    "hasCharts": .flag(charts != nil), "charts": .markup(charts ?? ""),
    "hasDensities": .flag(densities != nil), "densities": .markup(densities ?? ""),
    "hasConfigurations": .flag(!configurations.isEmpty),
    "configurations": .list(
      configurations.map { run in
        [
          "name": "\(run.name)",
          "entries": .list(
            run.configuration.map { ["key": "\($0.key)", "value": "\($0.value)"] }),
        ]
      }),
  ]
  view.merge(numbers(runs, hasEvaluation: evaluation != nil)) { _, new in new }

  var sections: [(anchor: Markup, label: Markup)] = []
  if trees { sections.append(("hierarchies", "Hierarchies")) }
  if !run.lookups.isEmpty { sections.append(("words", "Words")) }
  sections.append(("numbers", "Numbers"))
  if charts != nil { sections.append(("training", "Training")) }
  if densities != nil { sections.append(("densities", "Densities")) }
  if !configurations.isEmpty { sections.append(("configuration", "Configuration")) }
  let html = try templates.render("run", view)
  // The search index takes what is left of 2.8 MB, so that a page stays below 3 MB.
  let room = max(200_000, 2_750_000 - html.html.utf8.count)
  return PageBody(
    html: html, figures: figures(run, baseline, evaluation), sections: sections,
    index: hasIndex ? searchIndex(run.index, limit: min(1_600_000, room)) : "")
}

/// The table of numbers, a column per run.
private func numbers(_ runs: [RunReport], hasEvaluation: Bool) -> [String: View] {
  let rows = measures.filter { measure in runs.contains { measure.value($0) != nil } }
  return [
    "hasNumbers": .flag(!rows.isEmpty),
    "columns": .list(runs.map { ["name": "\($0.name)"] }),
    "rows": .list(
      rows.map { ["label": .markup($0.label), "cells": .list($0.cells(runs))] }),
    "evaluated": .markup(
      evaluatedNote(runs)
        + (hasEvaluation
          ? " Those of hsae evaluate are under <a href=\"#evaluation\">Evaluation</a>." : "")
        + (runs.count > 1 ? " Better values are marked where one is plainly better." : "")),
  ]
}

/// Says what the numbers were measured on.
func evaluatedNote(_ runs: [RunReport]) -> Markup {
  let places = evaluatedOn(runs)
  return places.isEmpty ? "" : "Measured on \(places); means over vectors."
}

/// What the numbers of `runs` were measured on.
func evaluatedOn(_ runs: [RunReport]) -> String {
  var places: [String] = []
  for run in runs where run.numbers != nil && !run.evaluatedOn.isEmpty {
    if !places.contains(run.evaluatedOn) { places.append(run.evaluatedOn) }
  }
  return places.joined(separator: "; ")
}

private func words(_ run: RunReport, _ baseline: RunReport?) -> [[String: View]] {
  run.lookups.map { lookup in
    var view = lookupView(lookup)
    let other = baseline?.lookups.first { $0.word == lookup.word && !$0.experts.isEmpty }
    view["hasOther"] = .flag(other != nil)
    view["other"] = other.map { .object(lookupView($0)) } ?? false
    return view
  }
}

/// The large numbers under the title.
private func figures(
  _ run: RunReport, _ baseline: RunReport?, _ evaluation: Evaluation?
) -> [[String: View]] {
  var result: [[String: View]] = []
  func add(_ label: Markup, _ value: String, _ aside: Markup) {
    result.append(["label": .markup(label), "value": "\(value)", "aside": .markup(aside)])
  }
  let shape = run.shape
  if shape.isFlat {
    add("latents", grouped(shape.experts), activeClause(run))
  } else {
    add(
      "experts × sublatents", "\(grouped(shape.experts)) × \(shape.sublatents)",
      activeClause(run))
  }
  let heldOut = Headline(run, heldOutBy: evaluation)
  if let own = heldOut ?? Headline(run) {
    // The flat run's on the same rows, scaled or not as these, or none.
    let other = baseline.flatMap {
      $0.seesUnitRows != run.seesUnitRows
        ? nil : heldOut == nil ? Headline($0) : Headline($0, heldOutBy: evaluation)
    }?.squaredError
    var aside: Markup =
      run.seesUnitRows ? "of each vector’s squared norm" : "of rows at their own lengths"
    if let other, other > 0 {
      let change = 1 - own.squaredError / other
      aside =
        "\(percent(abs(change))) \(change >= 0 ? "below" : "above") flat, \(readable(other, 3))"
    }
    add("squared error", readable(own.squaredError, 3), "\(aside), \(own.place)")
    let level = own.topLevel.map { "\(percent($0)) by the top level alone, " } ?? ""
    add("explained variance", percent(own.explainedVariance), "\(level)\(own.place)")
  }
  if let numbers = run.numbers {
    let alive = shape.experts - numbers.deadExperts
    let aside2: Markup =
      shape.isFlat
      ? "of \(grouped(shape.experts)), \(rowsClause(run))"
      : """
      of \(grouped(shape.experts)); \
      \(counted(shape.experts * shape.sublatents - numbers.deadSublatents, "sublatent")); \
      \(rowsClause(run))
      """
    add(shape.isFlat ? "latents alive" : "experts alive", grouped(alive), aside2)
  }
  let length = RunLength(run.metrics)
  if let rate = length.rate {
    let time = length.seconds.map { "\(duration($0)) of training" } ?? ""
    add("vectors per second", short(rate), "\(time)")
  }
  return result
}

/// How many of the top level's latents are active: as many as there may be, or as measured where that is fewer.
private func activeClause(_ run: RunReport) -> Markup {
  let most = run.shape.activeExperts
  guard let l0 = run.numbers?.reconstruction.l0, l0 < Double(most) - 0.5 else {
    return "\(grouped(most)) active for each vector"
  }
  let mean = "\(decimal(l0, l0 < 100 ? 1 : 0)) active for a vector on average"
  return most < run.shape.experts ? "\(mean), \(grouped(most)) at most" : "\(mean)"
}

private func densityCharts(_ run: RunReport, _ baseline: RunReport?) -> Markup? {
  var charts: [Markup?] = []
  if let numbers = run.numbers {
    charts.append(
      densityChart(
        "\(run.shape.isFlat ? "Latents" : "Experts"), \(run.name)", numbers.expertHistogram,
        color: 0))
    if !run.shape.isFlat {
      charts.append(densityChart("Sublatents, \(run.name)", numbers.sublatentHistogram, color: 0))
    }
  }
  if let baseline, let numbers = baseline.numbers {
    charts.append(densityChart("Latents, \(baseline.name)", numbers.expertHistogram, color: 1))
  }
  let drawn = charts.compactMap(\.self)
  return drawn.isEmpty ? nil : drawn.joined()
}
