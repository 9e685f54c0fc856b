// The training curves of runs as charts.

import HSAEHTML
import HSAEModels

/// The training charts of `runs`, each in its own colour; nil if there are no records.
func trainingCharts(_ runs: [RunReport]) -> Markup? {
  /// The points of one key; `scale` turns a count into a share.
  func points(
    _ run: RunReport, _ key: CurveRecord.Key, scale: Double = 1
  ) -> [(x: Double, y: Double)] {
    run.metrics.compactMap { record in
      guard let x = record[.step], let y = record[key] else { return nil }
      return (x, y * scale)
    }.sorted { $0.x < $1.x }
  }
  let many = runs.count > 2
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
  }
  let drawn = charts.compactMap(\.self)
  return drawn.isEmpty ? nil : "<div class=\"charts\">\(drawn.joined())</div>"
}
