// An evaluation as text for a terminal: a table for each suite, runs side by side as columns, as many at
// a time as the terminal has room for.

public import HSAEEvaluation
import HSAESupport

/// `evaluation` as text of at most `width` columns, where a run's numbers fit into that.
public func evaluationText(_ evaluation: Evaluation, width: Int) -> String {
  var text = ""
  for suite in evaluation.suites {
    let results = evaluation.runs.map { ($0.name, $0.result(suite)) }
    text += suite + "\n"
    var places: [String] = []
    for case (_, let result?) in results where !places.contains(result.evaluatedOn) {
      places.append(result.evaluatedOn)
    }
    text += places.map { "  on \($0)\n" }.joined()
    text += numberTable(results.map { ($0.0, $0.1?.numbers ?? []) }, width: width)
    let compared = results.compactMap { name, result in
      result?.comparison.map { ("\(name) − \($0.baseline)", $0.numbers) }
    }
    if !compared.isEmpty {
      text += "\n  \(comparisonTitle), on the same samples\n"
      text += numberTable(compared, width: width)
    }
    for (name, result) in results {
      for table in result?.tables ?? [] { text += "\n" + tableText(table, run: name) }
    }
    var notes: [String] = []
    for case (_, let result?) in results {
      for note in result.notes where !notes.contains(note) { notes.append(note) }
    }
    text += notes.map { "  \($0)\n" }.joined() + "\n"
  }
  return text
}

/// What differences of runs are called.
let comparisonTitle = "H-SAE less SAE of equal m and k"

/// A number with its interval and unit as text.
func numberText(_ number: EvaluationNumber) -> String {
  func digits(_ value: Double) -> String {
    if number.digits == 0, value.isFinite, abs(value) < 1e15 {
      return grouped(Int(value.rounded()))
    }
    return decimal(value, number.digits)
  }
  guard let interval = number.interval else { return digits(number.value) }
  return "\(digits(number.value)) [\(digits(interval.low)), \(digits(interval.high))]"
}

/// The label of a number with its unit.
func labelText(_ number: EvaluationNumber) -> String {
  guard let unit = number.unit, !unit.isEmpty else { return number.label }
  return "\(number.label) (\(unit))"
}

/// The numbers of `runs` as lines, each with one value a run.
private func numberTable(_ runs: [(name: String, numbers: [EvaluationNumber])], width: Int)
  -> String
{
  let lines = numberLines(runs.map(\.numbers))
  let labels = [""] + lines.map { labelText($0.first) }
  let columns = runs.indices.map { run in
    [runs[run].name] + lines.map { $0.values[run].map(numberText) ?? "–" }
  }
  let labelWidth = labels.map(displayWidth).max() ?? 0
  var blocks: [[[String]]] = [[]]
  var used = labelWidth + 2
  for column in columns {
    let own = (column.map(displayWidth).max() ?? 0) + 2
    if used + own > width, !blocks[blocks.count - 1].isEmpty {
      blocks.append([])
      used = labelWidth + 2
    }
    blocks[blocks.count - 1].append(column)
    used += own
  }
  return blocks.map { block in aligned([labels] + block, indent: "  ") }.joined(separator: "\n")
}

/// For each key that any of `runs` has, in order: one of its numbers, and that of each run.
func numberLines(
  _ runs: [[EvaluationNumber]]
) -> [(first: EvaluationNumber, values: [EvaluationNumber?])] {
  var order: [EvaluationNumber] = []
  // The run with most numbers gives the order.
  for run in runs.sorted(by: { $0.count > $1.count }) {
    for number in run where !order.contains(where: { $0.key == number.key }) {
      order.append(number)
    }
  }
  return order.map { first in (first, runs.map { run in run.first { $0.key == first.key } }) }
}

private func tableText(_ table: EvaluationTable, run: String) -> String {
  let columns = table.columns.indices.map { column in
    [table.columns[column]]
      + table.lines.map { line in
        if column == 0 { return line.label }
        let value = column - 1 < line.values.count ? line.values[column - 1] : nil
        return value.map(cellText) ?? "–"
      }
  }
  return "  \(table.title) (\(run))\n" + aligned(columns, indent: "  ")
}

/// A number of a table: whole ones without decimals.
func cellText(_ value: Double) -> String {
  value == value.rounded() && abs(value) < 1e15 ? grouped(Int(value)) : decimal(value, 4)
}

/// `columns` of equally many cells as lines; the first is flush left, the others flush right.
private func aligned(_ columns: [[String]], indent: String) -> String {
  let widths = columns.map { $0.map(displayWidth).max() ?? 0 }
  return (columns.first ?? []).indices.map { line in
    let cells = columns.indices.map { column in
      let cell = columns[column][line]
      let space = String(repeating: " ", count: widths[column] - displayWidth(cell))
      return column == 0 ? cell + space : space + cell
    }
    return indent + cells.joined(separator: "  ") + "\n"
  }.joined()
}
