// The paper's figures 3 and 5 for runs of several sizes, and its table of languages beside ours, as SVG and Markdown
// files for docs/paper.md. The paper gives numbers only for figure 5b.

public import HSAEEvaluation
import HSAEHTML
public import HSAERuns
import HSAESupport

/// A file: its name and its text.
public typealias ResultFile = (name: String, text: String)

/// The figures and tables of `evaluation`; `curves` are training records by the runs' names.
public func paperFiles(
  _ evaluation: Evaluation, curves: [(name: String, records: [MetricsRecord])] = []
) -> [ResultFile] {
  let kinds = RunKind.kinds(of: evaluation.runs)
  var files: [ResultFile] = []
  for plan in FigurePlan.all {
    if let svg = plan.figure(kinds).svg() { files.append((plan.file, svg)) }
  }
  if let svg = trainingFigure(curves).svg() { files.append(("training.svg", svg)) }
  files.append(("results.md", resultsTable(evaluation, kinds)))
  return files
}

/// A number that is drawn over the size of dictionaries.
private struct FigurePlan {
  var file: String
  var title: String
  var yLabel: String
  var suite: String
  var key: String
  /// Whether 1 − number is shown, as in the paper.
  var isComplement = false

  static let all = [
    FigurePlan(
      file: "figure-3a.svg", title: "Loss of the model with reconstructions (figure 3a)",
      yLabel: "1 − CE loss score", suite: "core", key: "ce_loss_score", isComplement: true),
    FigurePlan(
      file: "figure-3b.svg", title: "Reconstruction (figure 3b)", yLabel: "1 − explained variance",
      suite: "core", key: "explained_variance", isComplement: true),
    FigurePlan(
      file: "figure-5a.svg", title: "Absorption (figure 5a)",
      yLabel: "mean absorption fraction", suite: "absorption",
      key: "mean_absorption_fraction"),
    FigurePlan(
      file: "figure-5b.svg", title: "Difference between languages (figure 5b)",
      yLabel: "symmetric difference, mean of six pairs", suite: "crosslingual", key: "difference"),
    FigurePlan(
      file: "figure-5b-ratio.svg", title: "The same over that of other sentences",
      yLabel: "difference / difference of strangers", suite: "crosslingual",
      key: "difference_ratio"),
  ]

  func figure(_ kinds: [RunKind]) -> Figure {
    var lines: [Figure.Line] = []
    for kind in kinds {
      guard let number = kind.number(suite, key), number.value.isFinite else { continue }
      func shown(_ value: Double) -> Double { isComplement ? 1 - value : value }
      let point: Figure.Point = (
        x: Double(kind.experts), y: shown(number.value),
        whisker: number.interval.map { (shown($0.low), shown($0.high)) }
      )
      if let index = lines.firstIndex(where: { $0.name == kind.series }) {
        lines[index].points.append(point)
      } else {
        lines.append(Figure.Line(name: kind.series, points: [point]))
      }
    }
    return Figure(
      title: title, xLabel: "top-level latents", yLabel: yLabel, lines: lines, isLogarithmic: true)
  }
}

/// Squared error during training, smoothed as on pages.
private func trainingFigure(_ curves: [(name: String, records: [MetricsRecord])]) -> Figure {
  Figure(
    title: "Squared error while training", xLabel: "rows, millions", yLabel: "‖x − x̂‖²",
    lines: curves.map { curve in
      let series = Series(
        name: curve.name,
        points: curve.records.map { (Double($0.tokens) / 1e6, $0.reconstruction) }, color: 0
      ).thinned
      // The large errors of the first steps would flatten the rest.
      return Figure.Line(
        name: curve.name,
        points: series.points.dropFirst(series.points.count / 20).map {
          (x: $0.x, y: $0.y, whisker: nil)
        }, isMarked: false)
    })
}

/// All numbers of all kinds of runs, and the paper's table of languages beside ours, as Markdown.
private func resultsTable(_ evaluation: Evaluation, _ kinds: [RunKind]) -> String {
  var text = """
    # Results

    Made by `hsae report --figures`. In brackets: the 95 % bootstrap interval of one run, or the least and \
    greatest value of several seeds.

    """
  for suite in evaluation.suites {
    let places = evaluation.runs.compactMap { $0.result(suite)?.evaluatedOn }.uniqued(by: \.self)
    let lines = numberLines(evaluation.runs.map { $0.result(suite)?.numbers ?? [] })
    text += "\n## \(suite)\n\nOn \(places.joined(separator: "; ")).\n\n"
    text += markdownTable(
      [""] + kinds.map(\.column),
      lines.map { line in
        [labelText(line.first)]
          + kinds.map { $0.number(suite, line.first.key).map(numberText) ?? "–" }
      })
    text += differenceTable(suite, lines.map(\.first), kinds)
  }
  return text + languageTable(kinds)
}

/// The differences from flat runs as Markdown; empty if there are none.
private func differenceTable(
  _ suite: String, _ numbers: [EvaluationNumber], _ kinds: [RunKind]
) -> String {
  let shown = numbers.filter { number in
    kinds.contains { $0.difference(suite, number.key) != nil }
  }
  let columns = kinds.filter { $0.sublatents > 0 }
  guard !shown.isEmpty else { return "" }
  let rows = shown.map { number in
    [labelText(number)] + columns.map { $0.difference(suite, number.key).map(numberText) ?? "–" }
  }
  return "\n\(comparisonTitle), on the same samples:\n\n"
    + markdownTable([""] + columns.map(\.column), rows)
}

/// The paper's figure 5b for H-SAE and SAE, and our ratio at each size.
private func languageTable(_ kinds: [RunKind]) -> String {
  let paper: [(key: String, name: String, hierarchical: Double, flat: Double)] = [
    ("difference_en_fr", "English–French", 8.448, 9.772),
    ("difference_en_es", "English–Spanish", 8.190, 9.598),
    ("difference_en_de", "English–German", 9.372, 10.938),
    ("difference_fr_es", "French–Spanish", 5.748, 7.170),
    ("difference_fr_de", "French–German", 7.306, 9.038),
    ("difference_es_de", "Spanish–German", 7.476, 9.270),
  ]
  let flats = kinds.filter { $0.sublatents == 0 }
  let columns = kinds.filter { kind in
    kind.sublatents > 0 && flats.contains { $0.experts == kind.experts }
      && kind.number("crosslingual", paper[0].key) != nil
  }
  guard !columns.isEmpty else { return "" }
  let rows = paper.map { line in
    let ratios = columns.map { kind -> String in
      let flat = flats.first { $0.experts == kind.experts }?.number("crosslingual", line.key)
      guard let own = kind.number("crosslingual", line.key)?.value, let flat = flat?.value, flat > 0
      else { return "–" }
      return decimal(own / flat, 3)
    }
    return [
      line.name, decimal(line.hierarchical, 3), decimal(line.flat, 3),
      decimal(line.hierarchical / line.flat, 3),
    ] + ratios
  }
  return "\n## Difference between languages, H-SAE over SAE of equal m\n\n"
    + markdownTable(
      ["", "paper, H-SAE", "paper, SAE", "paper, ratio"] + columns.map(\.column), rows)
}

private func markdownTable(_ heads: [String], _ rows: [[String]]) -> String {
  ([heads, heads.map { _ in "---" }] + rows).map { cells in
    "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |\n"
  }.joined()
}
