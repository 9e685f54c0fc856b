// Tables of numbers, in which the best value may be marked.

import HSAEEvaluation
import HSAEHTML

/// A cell of a table.
typealias Cell = (text: String, isBest: Bool)
/// A row of a table.
typealias TableRow = (label: Markup, cells: [Cell])

/// A table whose first column has the rows' labels.
func table(_ heads: [Markup], _ rows: [TableRow], styled style: Markup = "numbers") -> Markup {
  let rows = rows.map { row -> Markup in
    let cells = row.cells.map { cell -> Markup in
      "<td\(when(cell.isBest, " class=\"best\""))>\(cell.text)</td>"
    }
    return "<tr><th scope=\"row\">\(row.label)</th>\(cells.joined())</tr>\n"
  }
  let heads = heads.map { "<th scope=\"col\">\($0)</th>" as Markup }
  return """
    <table class="\(style)">
    <thead><tr>\(heads.joined())</tr></thead>
    <tbody>
    \(rows.joined())</tbody></table>
    """
}

/// `table` in a box that scrolls sideways; `label` is for screen readers.
func scrolling(_ label: Markup, _ table: Markup) -> Markup {
  "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"\(label)\">\n\(table)</div>\n"
}

/// The head of a column that needs none, for screen readers.
func hidden(_ head: Markup) -> Markup { "<span class=\"hush\">\(head)</span>" }

/// One number of several runs as cells. The best is marked if it beats the worst by more than 0.1 %.
func cells(
  _ values: [(text: String, number: Double)?], better: EvaluationNumber.Direction?
) -> [Cell] {
  let numbers = values.compactMap { $0?.number }.filter(\.isFinite)
  var best: Double?
  if let better, let low = numbers.min(), let high = numbers.max(), numbers.count > 1,
    high - low > 1e-3 * max(abs(low), abs(high))
  {
    best = better == .lower ? low : high
  }
  return values.map { ($0?.text ?? "–", best != nil && $0?.number == best) }
}
