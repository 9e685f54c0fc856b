// What all pages are made of: escaping, numbers as text, axes and charts.

import Foundation
import HSAETensors
import Testing

@testable import HSAEHTML

@Suite struct MarkupTests {
  @Test func escaping() {
    let word = "<b>&\"'\u{0301}"
    let markup: Markup = "<i>\(word)</i>\(3)\(Markup(text: ">"))"
    #expect(markup.html == "<i>&lt;b&gt;&amp;&quot;&#39;\u{0301}</i>3&gt;")
    // With a combining mark `<` is another character, but the same scalar.
    #expect(Markup(text: "<\u{0338}").html == "&lt;\u{0338}")
    // Every scalar by itself, because most take the quick way.
    let special: [Unicode.Scalar: String] = [
      "&": "&amp;", "<": "&lt;", ">": "&gt;", "\"": "&quot;", "'": "&#39;", "\t": "\t", "\n": "\n",
    ]
    for value in UInt32(0)...0x10FFFF {
      guard let scalar = Unicode.Scalar(value) else { continue }
      let disturbs =
        scalar.properties.generalCategory == .control || scalar.properties.isNoncharacterCodePoint
        || scalar.properties.isBidiControl || [0x2028, 0x2029, 0xFEFF].contains(value)
      let expected = special[scalar] ?? (disturbs ? "\u{FFFD}" : String(scalar))
      if !Markup(text: "a" + String(scalar)).utf8.elementsEqual("a\(expected)".utf8) {
        Issue.record("U+\(String(value, radix: 16))")
      }
    }
    #expect(scriptSafeJSON("</a>\u{2028}\"\\\n") == #""\u003c/a\u003e\u2028\"\\\u000a""#)
  }

  @Test func piecesThatMayBeMissing() {
    let (some, none): (Markup?, Markup?) = ("<b>&</b>", nil)
    #expect(("[\(some)\(none)]" as Markup).html == "[<b>&</b>]")
    #expect(when(true, "<i>\("<")</i>").html == "<i>&lt;</i>" && when(false, "x").isEmpty)
    #expect(figure("rows", "9").html == "<div><dt>rows</dt><dd>9</dd></div>")
    #expect(figure("rows", "9", "all").html.contains("<dd class=\"aside\">all</dd>"))
  }
}

@Suite struct NumbersTests {
  @Test func numbers() {
    #expect(short(13_600_000) == "13.6 M" && short(940_000) == "940 k" && short(512) == "512")
    #expect(percent(0.0123) == "1.2 %" && percent(0.256) == "26 %" && percent(.nan) == "–")
    #expect(duration(8.25) == "8.2 s" && duration(200) == "3 min 20 s")
    #expect(duration(7500) == "2 h 05 min")
    #expect(decimal(-0.0001, 2) == "0.00")
    #expect(readable(550_716_568.0212, 4) == "550,716,568" && readable(0.76321, 4) == "0.7632")
    #expect(
      readable(-1234.5, 4) == "−1,235" && readable(.nan, 0) == "–" && readable(999.4, 1) == "999.4")
  }

  /// The quick way prints the same as Foundation, at halves and large numbers too.
  @Test(arguments: 0...7) func decimalsAreThoseOfFoundation(digits: Int) {
    var generator = SeededGenerator(seed: UInt64(digits))
    let halves = (0..<400).map { (Double($0) + 0.5) / pow(10, Double(digits)) }
    let random = (0..<4000).map { _ in
      Double.random(in: 0..<1, using: &generator)
        * pow(10, Double.random(in: -8...12, using: &generator))
    }
    for number in halves + random + [0, 1, 0.1, 0.995, 9.995, 999_999.9995, 1e9, 1e300] {
      #expect(decimal(number, digits) == String(format: "%.\(digits)f", number))
    }
  }
}

@Suite struct PlotTests {
  @Test func axes() {
    #expect(ticks(0, 600, count: 4).values == [0, 200, 400, 600])
    #expect(ticks(0.73, 0.94, count: 4).step == 0.1)
    #expect(ticks(1, 1, count: 4).values == [1])
    #expect(ticks(.nan, 1, count: 4).values.count == 1)
    #expect(tick(20_000, step: 10_000) == "20 k" && tick(0.25, step: 0.05) == "0.25")
    #expect(tick(0.75, step: 0.25) == "0.75" && tick(7.5, step: 2.5) == "7.5")
    #expect(tick(3, step: 1) == "3" && tick(0.0001, step: 0.0001) == "0.0001")
  }

  @Test func chartsOfAlmostNothing() {
    #expect(lineChart("t", xLabel: "step", []) == nil)
    #expect(dotChart("t", [("a", .nan, nil)]) == nil)
    #expect(Figure(title: "t", xLabel: "x", yLabel: "y", lines: []).svg() == nil)
    // A line of zeros reads 0, on an axis to 1.
    let flat = Series(name: "a", points: [(1, 0), (9, 0)], color: 0)
    let zeros = lineChart("t", xLabel: "step", [flat], fromZero: true)?.html ?? ""
    #expect(zeros.contains("<b>0</b>") && zeros.contains("a from 0 to 0"))
    #expect(zeros.contains(">1.00</span>") && !zeros.contains("0.0010"))
    let one = Series(name: "<a>", points: [(5, 2)], color: 0)
    #expect(lineChart("t", xLabel: "step", [one])?.html.contains("&lt;a&gt;") == true)
    let dots = dotChart("t", [("<a>", 0.5, (0.25, 0.75)), ("b", 1, nil)])?.html ?? ""
    #expect(dots.contains("&lt;a&gt;") && dots.contains("M25 10H75"))
    let long = Series(
      name: "", points: (0..<1000).map { (Double($0), Double($0)) }, color: 0
    ).thinned
    #expect(long.points.count == 300 && long.points.last?.x == 999)
  }

  @Test func coordinates() {
    #expect(coordinate(2) == "2" && coordinate(0.126) == "0.13" && coordinate(-0.001) == "0")
    #expect(coordinate(.nan) == "0" && coordinate(1e300) == "1e+300")
  }
}
