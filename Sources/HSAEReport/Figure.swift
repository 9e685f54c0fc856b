// Figures as SVG files of their own, for documents: lines with points and whiskers over one axis. Those
// inside pages are `Plot.swift`'s.

import Foundation
import HSAESupport

/// A figure of lines.
struct Figure {
  /// A point of a line.
  struct Point {
    var x: Double
    var y: Double
    /// The ends of its whisker, if it has one.
    var whisker: (low: Double, high: Double)?
  }

  /// A line.
  struct Line {
    var name: String
    var points: [Point]
    /// Whether points are marked.
    var isMarked = true
  }

  var title: String
  var xLabel: String
  var yLabel: String
  var lines: [Line]
  /// Whether x is on a scale of powers of two, with a tick for each value there is.
  var isLogarithmic = false

  private static let colours = ["#b3602a", "#0d6a5f", "#5a55a8", "#8c7a1e", "#a8406f", "#3f7fae"]
  private static let width = 560.0
  /// Where the first row of names is; the figure grows with the number of rows.
  private static let (legend, rowHeight) = (374.0, 15.0)
  private static let (left, right, top, bottom) = (70.0, 545.0, 46.0, 322.0)

  /// The figure as an SVG document; nil if there is no point.
  func svg() -> String? {
    let lines = lines.filter { !$0.points.isEmpty }
    let points = lines.flatMap(\.points)
    guard !points.isEmpty else { return nil }
    let ys = points.flatMap { [$0.y, $0.whisker?.low ?? $0.y, $0.whisker?.high ?? $0.y] }
    guard let least = ys.min(), let most = ys.max(), least.isFinite, most.isFinite else {
      return nil
    }
    let yTicks = ticks(least, most > least ? most : least + 1e-3, count: 5)
    let place = { (value: Double) in isLogarithmic ? log2(max(value, 1e-9)) : value }
    let xs = points.map { place($0.x) }
    let (xLow, xHigh) = range(xs)
    guard let low = yTicks.values.first, let high = yTicks.values.last, high > low else {
      return nil
    }
    func x(_ value: Double) -> Double {
      Self.left + (place(value) - xLow) / (xHigh - xLow) * (Self.right - Self.left)
    }
    func y(_ value: Double) -> Double {
      Self.bottom - (value - low) / (high - low) * (Self.bottom - Self.top)
    }
    var body: [Markup] = []
    for value in yTicks.values {
      body.append(
        """
        <path d="M\(at(Self.left)) \(at(y(value)))H\(at(Self.right))" stroke="#e5e0d5"/>\
        <text x="\(at(Self.left - 8))" y="\(at(y(value) + 4))" text-anchor="end">\
        \(tick(value, step: yTicks.step))</text>
        """)
    }
    let xTicks = ticks(xLow, xHigh, count: 5)
    let xValues: [(value: Double, label: String)] =
      isLogarithmic
      ? Set(points.map(\.x)).sorted().map { ($0, grouped(Int($0))) }
      : xTicks.values.filter { $0 <= xHigh }.map { ($0, tick($0, step: xTicks.step)) }
    for (value, label) in xValues {
      body.append(
        "<text x=\"\(at(x(value)))\" y=\"\(at(Self.bottom + 18))\" text-anchor=\"middle\">\(label)</text>"
      )
    }
    for (index, line) in lines.enumerated() {
      let colour = Markup(trusted: Self.colours[index % Self.colours.count])
      let path = line.points.enumerated().map { number, point -> Markup in
        "\(number == 0 ? "M" : "L")\(at(x(point.x))) \(at(y(point.y)))"
      }.joined()
      // Where colours come again, lines are dashed.
      let stroke: Markup = """
        fill="none" stroke="\(colour)" stroke-width="2"\
        \(index < Self.colours.count ? "" : " stroke-dasharray=\"6 3\"" as Markup)
        """
      body.append("<path d=\"\(path)\" \(stroke)/>")
      for point in line.points where line.isMarked {
        if let whisker = point.whisker {
          body.append(
            """
            <path d="M\(at(x(point.x))) \(at(y(whisker.low)))V\(at(y(whisker.high)))" \
            stroke="\(colour)" stroke-width="1.4"/>
            """)
        }
        body.append(
          "<circle cx=\"\(at(x(point.x)))\" cy=\"\(at(y(point.y)))\" r=\"3.6\" fill=\"\(colour)\"/>"
        )
      }
      // Three names to a line.
      let (column, row) = (index % 3, index / 3)
      let (legendX, legendY) = (
        Self.left + Double(column) * 165, Self.legend + Self.rowHeight * Double(row)
      )
      body.append(
        """
        <path d="M\(at(legendX)) \(at(legendY - 4))h18" \(stroke)/>\
        <text x="\(at(legendX + 24))" y="\(at(legendY))">\(line.name)</text>
        """)
    }
    let middle = (Self.left + Self.right) / 2
    let height = Self.legend + 6 + Self.rowHeight * Double((lines.count - 1) / 3)
    let page: Markup = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(at(Self.width)) \(at(height))" \
      font-family="system-ui,sans-serif" font-size="12" fill="#5d5850" role="img" aria-label="\(title)">
      <rect width="100%" height="100%" fill="#fff"/>
      <text x="\(at(Self.left))" y="24" font-size="15" font-weight="600" fill="#1e1c19">\(title)</text>
      \(body.joined("\n"))
      <text x="\(at(middle))" y="\(at(Self.bottom + 36))" text-anchor="middle">\(xLabel)</text>
      <text transform="translate(16 \(at((Self.top + Self.bottom) / 2))) rotate(-90)" \
      text-anchor="middle">\(yLabel)</text>
      </svg>

      """
    return page.html
  }

  /// The ends of the axis for `values`, with some room on a scale of powers of two.
  private func range(_ values: [Double]) -> (Double, Double) {
    let (low, high) = (values.min() ?? 0, values.max() ?? 1)
    if isLogarithmic { return (low - 0.25, high + 0.25) }
    return (min(0, low), high > min(0, low) ? high : low + 1)
  }

  /// A coordinate with at most two decimals.
  private func at(_ value: Double) -> Markup {
    let rounded = (value * 100).rounded() / 100
    return Markup(
      trusted: rounded == rounded.rounded() ? String(Int(rounded)) : String(format: "%.2f", rounded)
    )
  }
}
