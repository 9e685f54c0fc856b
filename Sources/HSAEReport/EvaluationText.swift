// An evaluation as text for a terminal: a table for each suite, with a column for each run. In a narrow terminal
// labels are broken into several lines, then intervals get lines of their own, then runs are divided between tables.

public import HSAEEvaluation
import HSAEHTML
import HSAESupport

/// `evaluation` as text of at most `width` columns, unless the numbers of one run are wider.
public func evaluationText(_ evaluation: Evaluation, width: Int) -> String {
  var text = ""
  for suite in evaluation.suites {
    let results = evaluation.runs.map { ($0.name, $0.result(suite)) }
    text += suite + "\n"
    let places = results.compactMap { $0.1?.evaluatedOn }.uniqued(by: \.self)
    text += places.map { "  on \($0)\n" }.joined()
    text += numberTable(results.map { ($0.0, $0.1?.numbers ?? []) }, width: width)
    let compared = results.compactMap { name, result in
      result?.comparison.map { ($0.title(of: name), $0.numbers) }
    }
    if !compared.isEmpty {
      text += "\n  \(comparisonTitle), on the same samples\n"
      text += numberTable(compared, width: width)
    }
    for (name, result) in results {
      for table in result?.tables ?? [] { text += "\n" + tableText(table, run: name) }
    }
    let notes = results.flatMap { $0.1?.notes ?? [] }.uniqued(by: \.self)
    text += notes.map { "  \($0)\n" }.joined() + "\n"
  }
  return text
}

/// The title of differences between runs.
let comparisonTitle = "H-SAE minus SAE of equal m"

/// A number with its interval and unit as text.
func numberText(_ number: EvaluationNumber) -> String {
  numberParts(number).joined(separator: " ")
}

/// A number as text, and its interval if it has one.
private func numberParts(_ number: EvaluationNumber) -> [String] {
  // The ends of an interval have as many decimals as the number.
  let all = [number.value, number.interval?.low ?? 0, number.interval?.high ?? 0]
  let digits = all.contains { abs($0) >= 999.5 } ? 0 : number.digits
  let value = readable(number.value, digits)
  guard let interval = number.interval else { return [value] }
  return [value, "[\(readable(interval.low, digits)), \(readable(interval.high, digits))]"]
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
  func columns(_ cell: (EvaluationNumber) -> [String]) -> [[[String]]] {
    runs.indices.map { run in
      [[runs[run].name]] + lines.map { $0.values[run].map(cell) ?? ["–"] }
    }
  }
  func widths(_ columns: [[[String]]]) -> [Int] {
    columns.map { 2 + ($0.joined().map(displayWidth).max() ?? 0) }
  }
  let longest = labels.map(displayWidth).max() ?? 0
  // Wide enough for the longest word of a label.
  let narrowest = min(longest, 22)
  // The columns for each run if all are side by side. The interval of a wider number goes below it.
  let share = (width - 2 - narrowest) / max(1, runs.count) - 2
  let shown = columns { number in
    displayWidth(numberText(number)) <= share ? [numberText(number)] : numberParts(number)
  }
  var blocks: [[[[String]]]] = [[]]
  var used = [2]
  for (column, own) in zip(shown, widths(shown)) {
    if used[used.count - 1] + narrowest + own > width, !blocks[blocks.count - 1].isEmpty {
      blocks.append([])
      used.append(2)
    }
    blocks[blocks.count - 1].append(column)
    used[used.count - 1] += own
  }
  return zip(blocks, used).map { block, used in
    let room = max(narrowest, min(longest, width - used))
    return aligned([labels.map { wrapped($0, to: room) }] + block, indent: "  ")
  }.joined(separator: "\n")
}

/// `label` broken between words into lines of at most `width` columns; lines after the first are indented.
private func wrapped(_ label: String, to width: Int) -> [String] {
  var lines: [String] = []
  var line = ""
  for word in label.split(separator: " ") {
    if !line.isEmpty, displayWidth(line) + 1 + displayWidth(String(word)) > width {
      lines.append(line)
      line = "  " + word
    } else {
      line += (line.isEmpty ? "" : " ") + word
    }
  }
  return lines + [line]
}

/// A number that some runs have: one of its values, for label and unit, and the value of each run.
typealias NumberLine = (first: EvaluationNumber, values: [EvaluationNumber?])

/// A line for each key that any of `runs` has.
func numberLines(_ runs: [[EvaluationNumber]]) -> [NumberLine] {
  // In the order of the run that has most numbers.
  let order = runs.sorted { $0.count > $1.count }.joined().uniqued(by: \.key)
  return order.map { first in (first, runs.map { run in run.first { $0.key == first.key } }) }
}

private func tableText(_ table: EvaluationTable, run: String) -> String {
  let columns = table.columns.indices.map { column in
    [[table.columns[column]]]
      + table.lines.map { line in
        if column == 0 { return [line.label] }
        let value = column - 1 < line.values.count ? line.values[column - 1] : nil
        return [value.map(cellText) ?? "–"]
      }
  }
  return "  \(table.title) (\(run))\n" + aligned(columns, indent: "  ")
}

/// A number of a table: whole ones without decimals.
func cellText(_ value: Double) -> String {
  readable(value, value == value.rounded() ? 0 : 4)
}

/// `columns` of equally many cells as text; a cell may have several lines. The first column is flush left, the others
/// are flush right.
func aligned(_ columns: [[[String]]], indent: String) -> String {
  let widths = columns.map { $0.joined().map(displayWidth).max() ?? 0 }
  return (columns.first ?? []).indices.map { row in
    let height = columns.map { $0[row].count }.max() ?? 0
    return (0..<height).map { line in
      let cells = columns.indices.map { column in
        let cell = line < columns[column][row].count ? columns[column][row][line] : ""
        let space = String(repeating: " ", count: widths[column] - displayWidth(cell))
        return column == 0 ? cell + space : space + cell
      }
      var text = indent + cells.joined(separator: "  ")
      while text.last == " " { text.removeLast() }
      return text + "\n"
    }.joined()
  }.joined()
}
