// Line charts and histograms: SVG for the marks, stretched to whatever width there is, and HTML for
// the labels, so that text keeps its size on a phone.

import Foundation
import HSAEEvaluation
import HSAESupport

/// A line of a chart.
struct Series {
  /// What the legend calls it.
  var name: String
  /// Points by rising x.
  var points: [(x: Double, y: Double)]
  /// 0 for the page's run, 1 for the baseline; picks the colour.
  var color: Int
  /// Whether the line is dashed.
  var isDashed = false
}

/// A chart of lines over a common x axis.
struct LineChart {
  var title: String
  var xLabel: String
  var series: [Series]
  /// Whether y starts at 0.
  var fromZero = false

  /// The chart, or nil if no series has a point.
  func markup() -> Markup? {
    let series = series.map(\.thinned).filter { !$0.points.isEmpty }
    let points = series.flatMap(\.points)
    guard let first = points.first else { return nil }
    var (xMax, yMin, yMax) = (first.x, first.y, first.y)
    for point in points {
      xMax = max(xMax, point.x)
      yMin = min(yMin, point.y)
      yMax = max(yMax, point.y)
    }
    let xTicks = ticks(0, max(xMax, 1e-9), count: 4)
    if fromZero {
      yMin = 0
      // Nothing but zeros: an axis to 1.
      if yMax <= 0 { yMax = 1 }
    }
    let yTicks = ticks(yMin, yMax > yMin ? yMax : yMin + 1e-3, count: 4)
    guard let low = yTicks.values.first, let high = yTicks.values.last, high > low else {
      return nil
    }
    let right = max(xMax, 1e-9)
    func x(_ value: Double) -> Double { value / right * 100 }
    func y(_ value: Double) -> Double { (1 - (value - low) / (high - low)) * 100 }

    let lines = series.map { line -> Markup in
      let path = line.points.enumerated().map { index, point -> String in
        "\(index == 0 ? "M" : "L")\(coordinate(x(point.x))) \(coordinate(y(point.y)))"
      }.joined()
      return "<path class=\"line c\(line.color)\(line.isDashed ? " dash" : "")\" d=\"\(path)\"/>"
    }
    let grid = yTicks.values.map { value -> Markup in
      let at = coordinate(y(value))
      return "<path class=\"grid\" d=\"M0 \(at)H100\"/>"
    }
    let yLabels = yTicks.values.map { value -> Markup in
      "<span style=\"top:\(coordinate(y(value)))%\">\(tick(value, step: yTicks.step))</span>"
    }
    let xLabels = xTicks.values.filter { $0 <= right * 1.0001 }.map { value -> Markup in
      "<span style=\"left:\(coordinate(x(value)))%\">\(tick(value, step: xTicks.step))</span>"
    }
    // Two digits more than the axis has; nothing is nothing.
    func reading(_ value: Double?) -> String {
      guard let value, value != 0 else { return "0" }
      return tick(value, step: yTicks.step / 100)
    }
    let legend = series.map { line -> Markup in
      let last = reading(line.points.last?.y)
      return """
        <li><i class="key c\(line.color)\(line.isDashed ? " dash" : "")"></i>\(line.name)
        <b>\(last)</b></li>
        """
    }
    let spoken = series.map {
      "\($0.name) from \(reading($0.points.first?.y)) to \(reading($0.points.last?.y))"
    }.joined(separator: "; ")
    return """
      <figure class="chart">
      <figcaption>\(title)</figcaption>
      <ul class="legend">\(legend.joined())</ul>
      <div class="plot" role="img" aria-label="\(title), \(spoken)">
      <div class="ylabels" aria-hidden="true">\(yLabels.joined())</div>
      <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">\
      \(grid.joined())\(lines.joined())</svg>
      <div class="xlabels" aria-hidden="true">\(xLabels.joined())</div>
      </div>
      <p class="axis" aria-hidden="true">\(xLabel)</p>
      </figure>
      """
  }
}

extension Series {
  /// At most 300 points: the means of equally many neighbours each, the last point kept as it is.
  var thinned: Series {
    let limit = 300
    guard points.count > limit else { return self }
    var result = self
    result.points = (0..<limit).map { bin in
      let range = bin * points.count / limit..<(bin + 1) * points.count / limit
      let part = points[range]
      let count = Double(part.count)
      return (part.reduce(0) { $0 + $1.x } / count, part.reduce(0) { $0 + $1.y } / count)
    }
    if let last = points.last { result.points[limit - 1] = last }
    return result
  }
}

/// A histogram of densities as bars, those of no vector beside it: of latents the dead ones, of
/// sublatents those never chosen (dead is another count, of codes below the threshold).
struct HistogramChart {
  var title: String
  var histogram: DensityHistogram
  /// Picks the colour, as in `Series`.
  var color: Int

  /// The chart, or nil if there is nothing to count.
  func markup() -> Markup? {
    guard histogram.total > 0, !histogram.counts.isEmpty else { return nil }
    // Only the decades in which anything fires are drawn.
    let perDecade = max(1, Int((1 / histogram.binWidth).rounded()))
    let firstUsed = histogram.counts.firstIndex { $0 > 0 } ?? 0
    let first = min(firstUsed / perDecade * perDecade, max(0, histogram.counts.count - perDecade))
    let counts = histogram.counts[first...]
    let width = 100 / Double(counts.count)
    let decades = stride(from: 0, through: counts.count, by: perDecade).map { offset in
      let exponent = histogram.lowest + Double(first + offset) * histogram.binWidth
      return (Double(offset) * width, Markup(trusted: "10<sup>\(decimal(exponent, 0))</sup>"))
    }
    let live = histogram.total - histogram.dead
    return barChart(
      title: title, counts: counts, color: color, labels: decades,
      legend: """
        <li><i class="key c\(color)"></i>at least once <b>\(grouped(live))</b></li>
        <li>never <b>\(grouped(histogram.dead))</b></li>
        """,
      spoken: "\(grouped(live)) at least once, \(grouped(histogram.dead)) never",
      axis: "share of vectors")
  }
}

/// A chart of bars of equal width. `labels` stand below them, each at a percentage of the width.
func barChart(
  title: String, counts: some Collection<Int>, color: Int,
  labels: [(left: Double, text: Markup)], legend: Markup, spoken: String, axis: String
) -> Markup {
  let tallest = max(1, counts.max() ?? 1)
  let width = 100 / Double(max(1, counts.count))
  let bars = counts.enumerated().map { index, count -> Markup in
    let height = Double(count) / Double(tallest) * 100
    return """
      <rect x="\(coordinate(Double(index) * width + width * 0.06))" \
      y="\(coordinate(100 - height))" width="\(coordinate(width * 0.88))" \
      height="\(coordinate(height))"/>
      """
  }
  let marks = labels.map { label -> Markup in
    "<span style=\"left:\(coordinate(label.left))%\">\(label.text)</span>"
  }
  return """
    <figure class="chart">
    <figcaption>\(title)</figcaption>
    <ul class="legend">\(legend)</ul>
    <div class="plot" role="img" aria-label="\(title): \(spoken), at most \(grouped(tallest)) in a \
    bar">
    <div class="ylabels" aria-hidden="true"><span style="top:0%">\(grouped(tallest))</span>\
    <span style="top:100%">0</span></div>
    <svg class="bars c\(color)" viewBox="0 0 100 100" preserveAspectRatio="none" \
    aria-hidden="true"><path class="grid" d="M0 0H100M0 100H100"/>\(bars.joined())</svg>
    <div class="xlabels" aria-hidden="true">\(marks.joined())</div>
    </div>
    <p class="axis" aria-hidden="true">\(axis)</p>
    </figure>
    """
}

/// Round values that enclose `low ... high`, about `count` steps of 1, 2, 2.5 or 5 · 10ⁿ apart.
func ticks(_ low: Double, _ high: Double, count: Int) -> (values: [Double], step: Double) {
  guard low.isFinite, high.isFinite, high > low, count > 0 else { return ([low], 1) }
  let rough = (high - low) / Double(count)
  let power = pow(10, (log10(rough)).rounded(.down))
  let step = ([1, 2, 2.5, 5, 10].first { $0 * power >= rough * 0.999 } ?? 10) * power
  let first = (low / step + 1e-9).rounded(.down)
  let last = (high / step - 1e-9).rounded(.up)
  guard last - first < 100 else { return ([low, high], high - low) }
  return (stride(from: first, through: last, by: 1).map { $0 * step }, step)
}

/// A coordinate in hundredths of the box, with as few characters as that needs.
private func coordinate(_ value: Double) -> String {
  let text = String(format: "%.2f", value.isFinite ? value : 0)
  guard text.contains(".") else { return text }
  var trimmed = text[...]
  while trimmed.last == "0" { trimmed.removeLast() }
  if trimmed.last == "." { trimmed.removeLast() }
  return trimmed == "-0" ? "0" : String(trimmed)
}
