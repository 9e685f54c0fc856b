// docs/evaluation.md lists every number with its key and its printed label. The tests of the suites check their
// results against it.

import Foundation
import HSAEHTML
import Testing

@testable import HSAEEvaluation
@testable import HSAEReport

enum Definitions {
  private static let text = try? String(
    contentsOf: URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appending(path: "../../docs/evaluation.md"), encoding: .utf8)

  /// The cells of each line of its tables.
  static let lines: [[String]] = (text ?? "").split(separator: "\n").filter {
    $0.hasPrefix("| ")
  }.map { line in
    line.dropFirst(2).dropLast(2).components(separatedBy: " | ")
  }

  /// Whether a line of a table has `key` and `label`. A line that begins with an ellipsis gives only their ends,
  /// and another line their beginnings. One pair of languages stands for all.
  static func has(_ key: String, _ label: String) -> Bool {
    if let pair = key.wholeMatch(of: /difference_([a-z]+)_([a-z]+)/),
      label == "difference \(pair.1)–\(pair.2)"
    {
      return has("difference_en_fr", line: "difference en–fr")
    }
    if has(key, line: label) { return true }
    return lines.contains { cells in
      guard cells.count == 3, cells[0].hasPrefix("`…"), cells[1].hasPrefix("…") else {
        return false
      }
      let suffix = cells[0].dropFirst(2).dropLast()
      guard key.hasSuffix(suffix) else { return false }
      let base = key.dropLast(suffix.count)
      return lines.contains { $0[0] == "`\(base)`" }
        && (label == cells[1] || label.hasSuffix(cells[1].dropFirst()))
    }
  }

  private static func has(_ key: String, line label: String) -> Bool {
    lines.contains { $0.count == 3 && $0[0] == "`\(key)`" && $0[1] == label }
  }

  /// Expects a line for every number of `results`.
  static func expect(
    _ results: [SuiteResult], sourceLocation: SourceLocation = #_sourceLocation
  ) {
    for number in results.flatMap(\.numbers) {
      #expect(
        has(number.key, number.label),
        "docs/evaluation.md has no line for \(number.key), “\(number.label)”",
        sourceLocation: sourceLocation)
    }
  }
}

@Suite struct DefinitionTests {
  @Test func undefinedNumbersAreFound() {
    #expect(Definitions.lines.count > 50)
    #expect(Definitions.has("mse", "squared error ‖x − x̂‖²"))
    #expect(!Definitions.has("mse", "squared error"))
    #expect(Definitions.has("mse_top_level", "squared error ‖x − x̂‖², top level"))
    #expect(!Definitions.has("mse_top_level", "squared error ‖x − x̂‖²"))
    #expect(!Definitions.has("nothing_top_level", "nothing, top level"))
    #expect(Definitions.has("difference_de_es", "difference de–es"))
  }

  /// The table of numbers of a run's page.
  @Test func thePagesOwnNumbersAreDefined() {
    let labels = Definitions.lines.filter { $0.count == 2 }.flatMap {
      $0[0].components(separatedBy: "; ")
    }
    for measure in measures {
      #expect(labels.contains(measure.label.html), "\(measure.label.html)")
    }
  }
}
