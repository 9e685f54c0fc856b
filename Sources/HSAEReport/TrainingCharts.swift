<<<<<<< HEAD
// The training curves of runs as charts.
=======
// The training curves of runs as charts. `MetricsRecord.fields` says which metrics are drawn and how.
>>>>>>> options

import HSAEHTML
import HSAEModels
import HSAERuns

/// The training charts of `runs`, each in its own colour; nil if there are no records.
func trainingCharts(_ runs: [RunReport]) -> Markup? {
  let many = runs.count > 2
<<<<<<< HEAD
  let colored = runs.enumerated().map { index, run in (run, runColor(index)) }
  var charts: [Markup?] = [
    lineChart(
      "Squared error per row", xLabel: "step",
      colored.flatMap { run, color -> [Series] in
        let full = Series(
          name: run.name, points: points(run, .reconstruction), color: color)
        guard !run.shape.isFlat, !many else { return [full] }
        return [
          full,
          Series(
            name: run.name + ", top level", points: points(run, .topReconstruction),
            color: color, isDashed: true),
        ]
      }),
    lineChart(
      "Loss, each run’s own objective", xLabel: "step",
      colored.map { Series(name: $0.name, points: points($0, .loss), color: $1) }),
    lineChart(
      "Dead while training, %", xLabel: "step",
      colored.flatMap { run, color -> [Series] in
        let latents = Series(
          name: run.shape.isFlat || many ? run.name : run.name + ", latents",
          points: points(run, .deadLatents, scale: 100 / Double(max(1, run.shape.experts))),
          color: color)
        guard !run.shape.isFlat, !many else { return [latents] }
        let sublatents = Double(max(1, run.shape.experts * run.shape.sublatents))
        return [
          latents,
          Series(
            name: run.name + ", sublatents",
            points: points(run, .deadSublatents, scale: 100 / sublatents), color: color,
            isDashed: true),
        ]
      }, fromZero: true),
  ]
  if many {
    charts.append(
      lineChart(
        "Squared error, top level alone", xLabel: "step",
        colored.map {
          Series(name: $0.name, points: points($0, .topReconstruction), color: $1)
        }))
=======
  /// The curve of one metric of run `index`, called `name`.
  func series(_ field: MetricsField, _ index: Int, _ name: String, isDashed: Bool) -> Series {
    let run = runs[index]
    let scale = field.curve?.percentOf.map { 100 / Double(max(1, $0(run.shape))) } ?? 1
    let points = run.metrics.compactMap { record in
      field.number(record).map { (x: Double(record.step), y: $0 * scale) }
    }
    return Series(
      name: name, points: points.sorted { $0.x < $1.x }, color: color(index), isDashed: isDashed)
  }
  /// The chart of all metrics that have `title`.
  func chart(_ title: String) -> LineChart {
    let fields = MetricsRecord.fields.filter { $0.curve?.title == title }
    let curves = runs.indices.flatMap { index -> [Series] in
      let shown = fields.filter {
        $0.curve?.isSecond != true || !(many || runs[index].shape.isFlat)
      }
      return shown.map { field in
        let part = shown.count > 1 ? field.curve?.part.map { ", " + $0 } : nil
        return series(
          field, index, runs[index].name + (part ?? ""), isDashed: field.curve?.isSecond == true)
      }
    }
    return LineChart(
      title: title, xLabel: "step", series: curves,
      fromZero: fields.contains { $0.curve?.percentOf != nil })
  }
  var titles: [String] = []
  for case let title? in MetricsRecord.fields.map({ $0.curve?.title })
  where !titles.contains(title) { titles.append(title) }
  var charts = titles.map(chart)
  for field in MetricsRecord.fields where many {
    guard let title = field.curve?.titleAlone else { continue }
    charts.append(
      LineChart(
        title: title, xLabel: "step",
        series: runs.indices.map { series(field, $0, runs[$0].name, isDashed: false) }))
>>>>>>> options
  }
  let drawn = charts.compactMap(\.self)
  return drawn.isEmpty ? nil : "<div class=\"charts\">\(drawn.joined())</div>"
}
