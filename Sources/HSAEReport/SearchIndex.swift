// The strongest words of all experts as compact JSON for the page's search. Each distinct word is written once:
//
// {"w": [word, …], "e": [[expert, count, score · 1000, [word, …], [[count, word, …], …]], …]}

import HSAEEvaluation
import HSAEHTML

/// The search index of `trees`, safe inside `<script type="application/json">`. To stay below `limit` bytes it first
/// leaves out sublatents with few words, then the weaker words of the others.
func searchIndex(_ trees: [HierarchyTree], limit: Int) -> Markup {
  // Each plan lists sublatents with at least `fewest` words, and the first `words` of these.
  let plans = [(1, 9), (2, 4), (3, 4), (3, 3), (5, 3), (5, 2), (10, 2), (10, 1)]
  for (fewest, words) in plans {
    let index = encoded(trees, fewest: fewest, words: words)
    if index.html.utf8.count <= limit { return index }
  }
  return encoded(trees, fewest: .max, words: 0)
}

private func encoded(_ trees: [HierarchyTree], fewest: Int, words wordLimit: Int) -> Markup {
  var numbers: [String: Int] = [:]
  var words: [String] = []
  func list(_ weighted: some Sequence<WeightedWord>) -> String {
    weighted.map { word -> String in
      let text = displayText(word.text)
      if let known = numbers[text] { return String(known) }
      numbers[text] = words.count
      words.append(text)
      return String(words.count - 1)
    }.joined(separator: ",")
  }
  let experts = trees.map { tree -> String in
    let children = tree.children.filter { !$0.words.isEmpty && $0.count >= fewest }.map {
      "[\($0.count),\(list($0.words.prefix(wordLimit)))]"
    }
    let score = tree.score.score.isFinite ? Int((tree.score.score * 1000).rounded()) : 0
    return "[\(tree.parent.index),\(tree.parent.count),\(score),[\(list(tree.parent.words))],["
      + children.joined(separator: ",") + "]]"
  }
  let table = words.map(scriptSafeJSON).joined(separator: ",")
  return Markup(
    trusted: "{\"w\":[\(table)],\"e\":[\(experts.joined(separator: ","))]}")
}
