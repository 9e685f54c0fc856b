// The page that compares several runs: a row of numbers for each run, the options in which they differ, and each
// word with a column for each run.

import HSAEEvaluation
import HSAEHTML
import HSAESupport

func comparisonPage(_ runs: [RunReport]) -> PageBody {
  var body = PageBody()
  body.add("numbers", "Numbers", "\(numbers(runs))\(differences(runs))")
  body.add("words", "Words", words(runs))
  body.add("hierarchies", "Hierarchies", hierarchies(runs))
  body.add("training", "Training", trainingCharts(runs))
  return body
}

private func numbers(_ runs: [RunReport]) -> Markup {
  let shown = measures.filter { measure in runs.contains { measure.value($0) != nil } }
  let cells = shown.map { $0.cells(runs) }
  let rows = runs.enumerated().map { index, run in
    TableRow("\(run.name)", cells.map { $0[index] })
  }
  return """
    \(scrolling("Table of runs", table(["run"] + shown.map(\.label), rows, styled: "numbers runs")))
    <p class="small">\(evaluatedNote(runs)) The best value of a column is marked.\(unequalCodesNote(runs))</p>

    """
}

/// The options in which the runs do not all agree, in the order they first appear; nil if there are none.
private func differences(_ runs: [RunReport]) -> Markup? {
  func option(_ key: String, of run: RunReport) -> String? {
    run.configuration.first { $0.key == key }?.value
  }
  let keys = runs.flatMap(\.configuration).map(\.key).uniqued(by: \.self)
    .filter { key in Set(runs.map { option(key, of: $0) }).count > 1 }
  guard !keys.isEmpty else { return nil }
  let rows = runs.map { run in
    TableRow("\(run.name)", keys.map { (option($0, of: run) ?? "–", false) })
  }
  let heads = ["run"] + keys.map { "<code>\($0)</code>" as Markup }
  return """
    <h3>What differs between the runs</h3>
    \(scrolling("Table of differing options", table(heads, rows, styled: "numbers runs")))
    """
}

private func words(_ runs: [RunReport]) -> Markup? {
  let words = runs.flatMap(\.lookups).map(\.word).uniqued(by: \.self)
  guard !words.isEmpty else { return nil }
  let sections = words.enumerated().map { index, word -> Markup in
    let lookups = runs.map { run in run.lookups.first { $0.word == word } }
    let text = lookups.lazy.compactMap { $0?.text }.first ?? word
    let id: Markup = "word-\(index + 1)"
    return """
      <section class="versus" id="\(id)" aria-labelledby="\(id)-title">
      <h3 id="\(id)-title">\(wordMarkup(text))</h3>
      <div class="columns" tabindex="0" role="region" aria-label="Runs side by side">
      \(zip(runs, lookups).map { wordColumn($1, of: $0.name) }.joined())
      </div>
      </section>

      """
  }
  return """
    <p class="lead">For each word, a column shows the active experts of a run with their strongest words and, below
    each, the chosen sublatent. The sublatent is faint where its code is below the threshold.</p>
    \(sections.joined())
    """
}

private func hierarchies(_ runs: [RunReport]) -> Markup? {
  let trees = runs.enumerated().filter { !$1.clearest.isEmpty }.map { index, run -> Markup in
    let list = TreeList(idPrefix: "run\(index + 1)-e", unit: run.rowKind)
    return "<h3>\(run.name)</h3>\n\(list.markup(run.clearest.prefix(10)))\n"
  }
  guard !trees.isEmpty else { return nil }
  let kinds = Set(runs.map(\.rowKind))
  return """
    <p class="lead">The clearest hierarchies of each run, by the same score.</p>
    \(trees.joined())
    \(scoreNote(kinds.count == 1 ? runs[0].rowKind : .row))
    """
}
