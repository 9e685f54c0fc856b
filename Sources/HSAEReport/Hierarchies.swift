// Hierarchies as trees that unfold: an expert, and its sublatents with their shares.

import HSAEEvaluation
import HSAEHTML
import HSAESupport

/// How a list of trees is shown.
struct TreeList {
  /// Keeps the ids of one list apart from those of another.
  var idPrefix: Markup
  /// What is counted of a latent.
  var unit = RowKind.word
  /// How many trees, from the first on, are unfolded.
  var open = 0
  /// Sublatents shown of each expert; the others are counted.
  var children = 12

  func markup(_ trees: some Sequence<HierarchyTree>) -> Markup {
    let items = trees.enumerated().map { markup($1, position: $0) }
    return "<div class=\"trees\">\n\(items.joined())</div>"
  }

  private func markup(_ tree: HierarchyTree, position: Int) -> Markup {
    let parent = tree.parent
    let score = tree.score
    let shown = tree.children.prefix(children)
    let hidden = tree.children.count - shown.count
    let longest = max(1, shown.map(\.count).max() ?? 1)
    let strip = shown.map { child -> Markup in
      "<i style=\"width:\(decimal(share(child, of: tree) * 100, 1))%\"></i>"
    }
    let items = shown.map { child -> Markup in
      let width = decimal(Double(child.count) / Double(longest) * 72, 0)
      return """
        <li><span class="share" title="sublatent \(child.index): \(counted(child.count, unit.rawValue))">\
        <b>\(percent(share(child, of: tree)))</b><i style="width:\(width)px"></i></span>\
        <span class="words">\(wordsMarkup(child.words))</span></li>

        """
    }
    let factors: Markup = """
       · \(decimal(score.score, 3)) = cohesion \(decimal(score.cohesion, 2)) × \
      margin \(decimal(score.margin, 2)) × √(gain \(decimal(score.gain, 2)) × \
      richness \(decimal(score.richness, 2)) × readability \(decimal(score.readability, 2)))
      """
    return """
      <details class="tree" id="\(idPrefix)\(parent.index)"\(when(position < open, " open"))>
      <summary><span class="rank">\(position + 1)</span>\
      <span class="head">\(parent.words.prefix(4).map { wordMarkup($0.text) }.joined(", "))</span>\
      <span class="strip" aria-hidden="true">\(strip.joined())</span>\
      <span class="meta"><span>\(counted(parent.count, unit.rawValue))</span>\
      <span>\(counted(score.judged.count, "judged sublatent"))</span></span><span class="score">\
      <span class="hush">score </span>\(decimal(score.score, 3))</span></summary>
      <p class="words">\(wordsMarkup(parent.words))</p>
      \(when(!items.isEmpty, "<ul class=\"subs\">\n\(items.joined())</ul>"))
      <p class="note">expert \(parent.index)\
      \(when(hidden > 0, " · \(counted(hidden, "sublatent")) with fewer \(unit.rawValue)s not shown"))\
      \(when(score.score > 0, factors))</p>
      </details>

      """
  }

  private func share(_ child: TreeNode, of tree: HierarchyTree) -> Double {
    tree.parent.count > 0 ? min(1, Double(child.count) / Double(tree.parent.count)) : 0
  }
}

/// How the score is made, folded. `unit` is what is counted of a latent.
func scoreNote(_ unit: RowKind, shuffled: Double? = nil, rows: Int? = nil) -> Markup {
  let part = rows.map { "<p>Scores are of the first \(counted($0, "row")).</p>" as Markup }
  let chance = shuffled.map { highest -> Markup in
    "<p>With sublatents shuffled between experts the highest score is \(decimal(highest, 3)).</p>"
  }
  return """
    <details class="how"><summary>How the clearest are chosen</summary>
    <p>hsae computes a score between 0 and 1 for every expert and lists the highest. A sublatent is
    <i>judged</i> if it is active (its code reaches the threshold) for at least 5 distinct words. Its 16
    strongest words are then used. An expert with fewer than 3 judged sublatents scores 0. <i>w</i> is the mean
    cosine of two words of one sublatent, and <i>b</i> that of words of different sublatents of the expert,
    both less the mean cosine of random words:</p>
    <p class="formula">score = <b>cohesion</b> × <b>margin</b> ×
    √(<b>gain</b> × <b>richness</b> × <b>readability</b>)</p>
    <dl class="terms">
    <div><dt>cohesion</dt><dd><i>b</i> / (<i>b</i> + 0.1): the sublatents have something in
    common</dd></div>
    <div><dt>margin</dt><dd>(<i>w</i> − <i>b</i>) / (<i>w</i> − <i>b</i> + 0.1): the words of one
    sublatent are closer to each other than to those of the others</dd></div>
    <div><dt>gain</dt><dd><i>e</i> / (<i>e</i> + 0.05), where <i>e</i> is the share of squared error
    that the sublatents remove</dd></div>
    <div><dt>richness</dt><dd>(effective number of judged sublatents − 1) / 5, at most
    1</dd></div>
    <div><dt>readability</dt><dd>share of the judged words that are whole words and not forms of one
    another</dd></div>
    </dl>
    <p>The score measures geometry, not meaning: translations of one word look like a rich family to
    it, and scripts that the reader does not know score as well as others. The random sample shows what
    it leaves out. The percentage beside a sublatent is the share of the expert’s \(unit.rawValue)s for
    which it is active; the bars compare the sublatents of one expert.</p>
    \(part)\(chance)</details>
    """
}
