// Charts inside pages: lines, bars, and dots with whiskers. SVG draws the marks and stretches to the width there
// is; labels are HTML, so that text keeps its size on a phone. A chart without data is nil.

import Foundation
import HSAESupport

/// A line of a chart.
package struct Series {
  /// The name in the legend.
  package var name: String
  /// Points by rising x.
  package var points: [(x: Double, y: Double)]
  /// The number of its colour, 0 to 5.
  package var color: Int
  /// Whether the line is dashed.
  package var isDashed: Bool

  package init(
    name: String, points: [(x: Double, y: Double)], color: Int, isDashed: Bool = false
  ) {
    (self.name, self.points, self.color, self.isDashed) = (name, points, color, isDashed)
  }

  /// At most 300 points: means of equally many neighbours, and the last point unchanged.
  package var thinned: Series {
    let limit = 300
    guard points.count > limit, let last = points.last else { return self }
    var result = self
    result.points = (0..<limit).map { bin in
      let part = points[bin * points.count / limit..<(bin + 1) * points.count / limit]
      let count = Double(part.count)
      return (part.reduce(0) { $0 + $1.x } / count, part.reduce(0) { $0 + $1.y } / count)
    }
    result.points[limit - 1] = last
    return result
  }
}

/// A chart of lines over an x axis that begins at 0. The y axis also begins at 0 if `fromZero`.
package func lineChart(
  _ title: String, xLabel: String, _ series: [Series], fromZero: Bool = false
) -> Markup? {
  let series = series.map(\.thinned).filter { !$0.points.isEmpty }
  let ys = series.flatMap { $0.points.map(\.y) }
  guard let least = ys.min(), let most = ys.max() else { return nil }
  let right = max(series.flatMap { $0.points.map(\.x) }.max() ?? 0, 1e-9)
  let yMin = fromZero ? 0 : least
  // If all values are 0, the axis goes to 1.
  let yMax = fromZero && most <= 0 ? 1 : most
  let xTicks = ticks(0, right, count: 4)
  let yTicks = ticks(yMin, yMax > yMin ? yMax : yMin + 1e-3, count: 4)
  guard let low = yTicks.values.first, let high = yTicks.values.last, high > low else {
    return nil
  }
  func x(_ value: Double) -> Double { value / right * 100 }
  func y(_ value: Double) -> Double { (1 - (value - low) / (high - low)) * 100 }
  // Two digits more than the axis has.
  func reading(_ value: Double?) -> String {
    guard let value, value != 0 else { return "0" }
    return tick(value, step: yTicks.step / 100)
  }

  let lines = series.map { line -> Markup in
    let path = line.points.enumerated().map { index, point -> String in
      "\(index == 0 ? "M" : "L")\(coordinate(x(point.x))) \(coordinate(y(point.y)))"
    }.joined()
    return "<path class=\"line c\(line.color)\(line.isDashed ? " dash" : "")\" d=\"\(path)\"/>"
  }
  let grid = yTicks.values.map {
    "<path class=\"grid\" d=\"M0 \(coordinate(y($0)))H100\"/>" as Markup
  }
  let legend = series.map { line -> Markup in
    """
    <li><i class="key c\(line.color)\(line.isDashed ? " dash" : "")"></i>\(line.name)
    <b>\(reading(line.points.last?.y))</b></li>
    """
  }
  let spoken = series.map {
    "\($0.name) from \(reading($0.points.first?.y)) to \(reading($0.points.last?.y))"
  }
  return chart(
    title, legend: legend.joined(), spoken: "\(title), \(spoken.joined(separator: "; "))",
    yLabels: yTicks.values.map { (y($0), tick($0, step: yTicks.step)) },
    xLabels: xTicks.values.filter { $0 <= right * 1.0001 }.map {
      (x($0), "\(tick($0, step: xTicks.step))")
    },
    marks: grid.joined() + lines.joined(), axis: xLabel)
}

/// A chart of bars of equal width. Each label stands at a percentage of the width; `spoken` is for screen readers.
package func barChart(
  _ title: String, counts: some Collection<Int>, color: Int,
  labels: [(place: Double, text: Markup)], legend: Markup, spoken: String, axis: String
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
  return chart(
    title, legend: legend, spoken: "\(title): \(spoken), at most \(grouped(tallest)) in a bar",
    yLabels: [(0, grouped(tallest)), (100, "0")], xLabels: labels, marksClass: "bars c\(color)",
    marks: "<path class=\"grid\" d=\"M0 0H100M0 100H100\"/>\(bars.joined())", axis: axis)
}

/// The frame of charts with two axes.
private func chart(
  _ title: String, legend: Markup, spoken: String, yLabels: [(place: Double, text: String)],
  xLabels: [(place: Double, text: Markup)], marksClass: Markup = "", marks: Markup, axis: String
) -> Markup {
  let yLabels = yLabels.map {
    "<span style=\"top:\(coordinate($0.place))%\">\($0.text)</span>" as Markup
  }
  let xLabels = xLabels.map {
    "<span style=\"left:\(coordinate($0.place))%\">\($0.text)</span>" as Markup
  }
  let marksClass = when(!marksClass.isEmpty, " class=\"\(marksClass)\"")
  return """
    <figure class="chart">
    <figcaption>\(title)</figcaption>
    <ul class="legend">\(legend)</ul>
    <div class="plot" role="img" aria-label="\(spoken)">
    <div class="ylabels" aria-hidden="true">\(yLabels.joined())</div>
    <svg\(marksClass) viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">\(marks)</svg>
    <div class="xlabels" aria-hidden="true">\(xLabels.joined())</div>
    </div>
    <p class="axis" aria-hidden="true">\(axis)</p>
    </figure>
    """
}

/// One number of several runs: dots on one axis, each with its interval.
package func dotChart(
  _ title: String,
  _ points: [(name: String, value: Double, interval: (low: Double, high: Double)?)]
) -> Markup? {
  let points = points.filter(\.value.isFinite)
  let ends = points.flatMap {
    [$0.value, $0.interval?.low ?? $0.value, $0.interval?.high ?? $0.value]
  }
  guard let low = ends.min(), let high = ends.max() else { return nil }
  let axis = ticks(low, high > low ? high : low + 1e-3, count: 2)
  guard let left = axis.values.first, let right = axis.values.last, right > left else {
    return nil
  }
  func x(_ value: Double) -> String { coordinate((value - left) / (right - left) * 100) }
  let lines = points.enumerated().map { index, point -> Markup in
    let color = runColor(index)
    let whisker = point.interval.map {
      "<path class=\"line c\(color)\" d=\"M\(x($0.low)) 10H\(x($0.high))\"/>" as Markup
    }
    return """
      <li><span>\(point.name)</span><span class="dot">\
      <svg viewBox="0 0 100 20" preserveAspectRatio="none" aria-hidden="true">\
      <path class="grid" d="M0 10H100"/>\(whisker)</svg>\
      <i class="c\(color)" style="left:\(x(point.value))%"></i></span></li>
      """
  }
  let labels = axis.values.map {
    "<span style=\"left:\(x($0))%\">\(tick($0, step: axis.step))</span>" as Markup
  }
  let spoken = points.map { "\($0.name) \(readable($0.value, 4))" }.joined(separator: "; ")
  return """
    <figure class="chart"><figcaption>\(title)</figcaption>
    <ul class="dots" role="img" aria-label="\(title): \(spoken)">\(lines.joined())</ul>
    <p class="dotaxis" aria-hidden="true">\(labels.joined())</p>
    </figure>
    """
}

/// The colour of run `index`; there are six.
package func runColor(_ index: Int) -> Int { index % 6 }

/// Round values that enclose `low ... high`, about `count` steps of 1, 2, 2.5 or 5 · 10ⁿ apart.
package func ticks(
  _ low: Double, _ high: Double, count: Int
) -> (values: [Double], step: Double) {
  guard low.isFinite, high.isFinite, high > low, count > 0 else { return ([low], 1) }
  let rough = (high - low) / Double(count)
  let power = pow(10, (log10(rough)).rounded(.down))
  let step = ([1, 2, 2.5, 5, 10].first { $0 * power >= rough * 0.999 } ?? 10) * power
  let first = (low / step + 1e-9).rounded(.down)
  let last = (high / step - 1e-9).rounded(.up)
  guard last - first < 100 else { return ([low, high], high - low) }
  return (stride(from: first, through: last, by: 1).map { $0 * step }, step)
}

/// A coordinate with at most two decimals.
func coordinate(_ value: Double) -> String {
  let rounded = value.isFinite ? (value * 100).rounded() / 100 : 0
  return Int(exactly: rounded).map(String.init) ?? "\(rounded)"
}
