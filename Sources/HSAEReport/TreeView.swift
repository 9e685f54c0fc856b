// A hierarchy as the tree template shows it.

import HSAEEvaluation
import HSAEHTML
import HSAESupport

/// The view of trees. `idPrefix` keeps the ids of one list apart from another's.
struct TreeList {
  var idPrefix: Markup
  /// What is counted of a latent.
  var unit = RowKind.word
  /// The first so many trees are unfolded.
  var open = 0
  /// Sublatents shown of each expert; the others are counted.
  var children = 12

  func view(_ trees: [HierarchyTree]) -> View {
    .list(trees.enumerated().map { view($1, position: $0) })
  }

  private func view(_ tree: HierarchyTree, position: Int) -> [String: View] {
    let shown = tree.children.prefix(children)
    let hidden = tree.children.count - shown.count
    let score = tree.score
    return [
      "id": "\(idPrefix)\(tree.parent.index)",
      "rank": "\(position + 1)",
      "open": .flag(position < open),
      "head": .markup(tree.parent.words.prefix(4).map { wordMarkup($0.text) }.joined(", ")),
      "expert": "\(tree.parent.index)",
      "count": "\(counted(tree.parent.count, unit.rawValue))", "unit": "\(unit.rawValue)",
      "live": "\(score.live.count)",
      "one": .flag(score.live.count == 1),
      "score": "\(decimal(score.score, 3))",
      "hasScore": .flag(score.score > 0),
      "cohesion": "\(decimal(score.cohesion, 2))",
      "margin": "\(decimal(score.margin, 2))",
      "gain": "\(decimal(score.gain, 2))",
      "richness": "\(decimal(score.richness, 2))",
      "readability": "\(decimal(score.readability, 2))",
      "words": .markup(wordsMarkup(tree.parent.words)),
      "strip": .markup(strip(tree)),
      "children": .list(
        shown.map { child in
          let share = share(child, of: tree)
          let longest = shown.map { $0.count }.max() ?? 1
          return [
            "share": "\(percent(share))",
            "width": "\(decimal(Double(child.count) / Double(max(1, longest)) * 72, 0))",
            "childCount": "\(counted(child.count, unit.rawValue))",
            "sublatent": "\(child.index)",
            "childWords": .markup(wordsMarkup(child.words)),
          ]
        }),
      "hasChildren": .flag(!shown.isEmpty),
      "hidden": hidden > 0 ? "\(hidden)" : "",
      "hasHidden": .flag(hidden > 0),
    ]
  }

  /// The shares of the sublatents as pieces of one bar.
  private func strip(_ tree: HierarchyTree) -> Markup {
    tree.children.prefix(children).map { child -> Markup in
      "<i style=\"width:\(decimal(min(100, share(child, of: tree) * 100), 1))%\"></i>"
    }.joined()
  }

  private func share(_ child: TreeNode, of tree: HierarchyTree) -> Double {
    tree.parent.count > 0 ? min(1, Double(child.count) / Double(tree.parent.count)) : 0
  }
}
