// Figures as SVG files for documents: lines with points and whiskers. Charts inside pages are in `Plot.swift`.

import Foundation
import HSAESupport

/// A figure of lines.
package struct Figure {
  /// A point and, if it has one, the ends of its whisker.
  package typealias Point = (x: Double, y: Double, whisker: (low: Double, high: Double)?)

  /// A line.
  package struct Line {
    package var name: String
    package var points: [Point]
    /// Whether points are marked.
    package var isMarked: Bool

    package init(name: String, points: [Point], isMarked: Bool = true) {
      (self.name, self.points, self.isMarked) = (name, points, isMarked)
    }
  }

  var title: String
  var xLabel: String
  var yLabel: String
  var lines: [Line]
  /// Whether the x axis is logarithmic, with a tick at each x.
  var isLogarithmic: Bool

  package init(
    title: String, xLabel: String, yLabel: String, lines: [Line], isLogarithmic: Bool = false
  ) {
    (self.title, self.xLabel, self.yLabel) = (title, xLabel, yLabel)
    (self.lines, self.isLogarithmic) = (lines, isLogarithmic)
  }

  private static let colors = ["#b3602a", "#0d6a5f", "#5a55a8", "#8c7a1e", "#a8406f", "#3f7fae"]
  private static let width = 560.0
  /// Where the first row of the legend is; each row adds to the figure's height.
  private static let (legend, rowHeight) = (374.0, 15.0)
  private static let (left, right, top, bottom) = (70.0, 545.0, 46.0, 322.0)

  /// The figure as an SVG document; nil if there is no point.
  package func svg() -> String? {
    let lines = lines.filter { !$0.points.isEmpty }
    let points = lines.flatMap(\.points)
    let ys = points.flatMap { [$0.y, $0.whisker?.low ?? $0.y, $0.whisker?.high ?? $0.y] }
    guard let least = ys.min(), let most = ys.max(), least.isFinite, most.isFinite else {
      return nil
    }
    let yTicks = ticks(least, most > least ? most : least + 1e-3, count: 5)
    let place = { (value: Double) in isLogarithmic ? log2(max(value, 1e-9)) : value }
    let (xLow, xHigh) = range(points.map { place($0.x) })
    guard let low = yTicks.values.first, let high = yTicks.values.last, high > low else {
      return nil
    }
    func x(_ value: Double) -> String {
      coordinate(Self.left + (place(value) - xLow) / (xHigh - xLow) * (Self.right - Self.left))
    }
    func y(_ value: Double) -> Double {
      Self.bottom - (value - low) / (high - low) * (Self.bottom - Self.top)
    }
    var body = yTicks.values.map { value -> Markup in
      """
      <path d="M\(coordinate(Self.left)) \(coordinate(y(value)))H\(coordinate(Self.right))" stroke="#e5e0d5"/>\
      <text x="\(coordinate(Self.left - 8))" y="\(coordinate(y(value) + 4))" text-anchor="end">\
      \(tick(value, step: yTicks.step))</text>
      """
    }
    let xTicks = ticks(xLow, xHigh, count: 5)
    let xValues: [(value: Double, label: String)] =
      isLogarithmic
      ? Set(points.map(\.x)).sorted().map { ($0, grouped(Int($0))) }
      : xTicks.values.filter { $0 <= xHigh }.map { ($0, tick($0, step: xTicks.step)) }
    for (value, label) in xValues {
      body.append(
        "<text x=\"\(x(value))\" y=\"\(coordinate(Self.bottom + 18))\" text-anchor=\"middle\">\(label)</text>"
      )
    }
    for (index, line) in lines.enumerated() {
      let color = Self.colors[index % Self.colors.count]
      let path = line.points.enumerated().map { number, point -> Markup in
        "\(number == 0 ? "M" : "L")\(x(point.x)) \(coordinate(y(point.y)))"
      }.joined()
      // Lines are dashed where colours repeat.
      let stroke: Markup = """
        fill="none" stroke="\(color)" stroke-width="2"\
        \(when(index >= Self.colors.count, " stroke-dasharray=\"6 3\""))
        """
      body.append("<path d=\"\(path)\" \(stroke)/>")
      for point in line.points where line.isMarked {
        if let whisker = point.whisker {
          body.append(
            """
            <path d="M\(x(point.x)) \(coordinate(y(whisker.low)))V\(coordinate(y(whisker.high)))" \
            stroke="\(color)" stroke-width="1.4"/>
            """)
        }
        body.append(
          "<circle cx=\"\(x(point.x))\" cy=\"\(coordinate(y(point.y)))\" r=\"3.6\" fill=\"\(color)\"/>"
        )
      }
      let legendX = Self.left + Double(index % 3) * 165
      let legendY = Self.legend + Self.rowHeight * Double(index / 3)
      body.append(
        """
        <path d="M\(coordinate(legendX)) \(coordinate(legendY - 4))h18" \(stroke)/>\
        <text x="\(coordinate(legendX + 24))" y="\(coordinate(legendY))">\(line.name)</text>
        """)
    }
    let middle = (Self.left + Self.right) / 2
    let height = Self.legend + 6 + Self.rowHeight * Double((lines.count - 1) / 3)
    let page: Markup = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(coordinate(Self.width)) \(coordinate(height))" \
      font-family="system-ui,sans-serif" font-size="12" fill="#5d5850" role="img" aria-label="\(title)">
      <rect width="100%" height="100%" fill="#fff"/>
      <text x="\(coordinate(Self.left))" y="24" font-size="15" font-weight="600" fill="#1e1c19">\(title)</text>
      \(body.joined("\n"))
      <text x="\(coordinate(middle))" y="\(coordinate(Self.bottom + 36))" text-anchor="middle">\(xLabel)</text>
      <text transform="translate(16 \(coordinate((Self.top + Self.bottom) / 2))) rotate(-90)" \
      text-anchor="middle">\(yLabel)</text>
      </svg>

      """
    return page.html
  }

  /// The ends of the axis for `values`.
  private func range(_ values: [Double]) -> (Double, Double) {
    let (low, high) = (values.min() ?? 0, values.max() ?? 1)
    if isLogarithmic { return (low - 0.25, high + 0.25) }
    return (min(0, low), high > min(0, low) ? high : low + 1)
  }
}
