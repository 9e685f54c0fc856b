// The training curves of runs as charts. `MetricsRecord.fields` says which metrics are drawn and how.

import HSAEHTML
import HSAEModels
import HSAERuns

/// The training charts of `runs`, each in its own colour; nil if there are no records.
func trainingCharts(_ runs: [RunReport]) -> Markup? {
  let many = runs.count > 2
  /// The curve of one metric of run `index`, called `name`.
  func series(_ field: MetricsField, _ index: Int, _ name: String, isDashed: Bool) -> Series {
    let run = runs[index]
    let scale = field.curve?.percentOf.map { 100 / Double(max(1, $0(run.shape))) } ?? 1
    let points = run.metrics.compactMap { record in
      field.number(record).map { (x: Double(record.step), y: $0 * scale) }
    }
    return Series(
      name: name, points: points.sorted { $0.x < $1.x }, color: runColor(index),
      isDashed: isDashed)
  }
  /// The chart of all metrics that have `title`.
  func chart(_ title: String) -> Markup? {
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
    return lineChart(
      title, xLabel: "step", curves, fromZero: fields.contains { $0.curve?.percentOf != nil })
  }
  var titles: [String] = []
  for case let title? in MetricsRecord.fields.map({ $0.curve?.title })
  where !titles.contains(title) { titles.append(title) }
  var charts = titles.map(chart)
  for field in MetricsRecord.fields where many {
    guard let title = field.curve?.titleAlone else { continue }
    charts.append(
      lineChart(
        title, xLabel: "step",
        runs.indices.map { series(field, $0, runs[$0].name, isDashed: false) }))
  }
  let drawn = charts.compactMap(\.self)
  return drawn.isEmpty ? nil : "<div class=\"charts\">\(drawn.joined())</div>"
}
