// Words on a page, and the look-up of a word: its active experts, each with the sublatent that it has chosen.

import HSAEEvaluation
import HSAEHTML

/// One word, isolated from the direction of the text around it.
func wordMarkup(_ token: String) -> Markup { "<bdi>\(displayText(token))</bdi>" }

/// Words, strongest first; weaker ones are shown fainter.
func wordsMarkup(_ words: [WeightedWord]) -> Markup {
  let strongest = words.first.map { max($0.value, .leastNormalMagnitude) } ?? 1
  return words.map { word -> Markup in
    let share = word.value / strongest
    let shade: Markup = share >= 0.75 ? "" : share >= 0.5 ? " class=\"b\"" : " class=\"c\""
    return "<bdi\(shade)>\(displayText(word.text))</bdi>"
  }.joined(" ")
}

/// A sentence that stands in for something that is missing.
private func empty(_ text: Markup) -> Markup { "<p class=\"empty\">\(text)</p>" }

/// The look-up of a word as a card, with that of the flat dictionary folded below it.
func wordCard(_ lookup: WordLookup, flat: WordLookup?) -> Markup {
  let token = lookup.token.map { " <small>token \($0)</small>" as Markup }
  let nearest = lookup.suggestions.map(wordMarkup).joined(", ")
  let body = lookupBody(
    lookup,
    isLacking: "Not a token of this model.\(when(!nearest.isEmpty, " Nearest: \(nearest)"))",
    isDropped: "Not among the rows the dictionary was trained on.")
  let flat = flat.map { flat -> Markup in
    """
    <details class="other"><summary>in the flat dictionary</summary>
    \(expertList(flat))
    </details>
    """
  }
  return """
    <article class="card">
    <h3>\(wordMarkup(lookup.text ?? lookup.word))\(token)</h3>
    \(body)
    \(flat)
    </article>

    """
}

/// The look-up of a word in `run`, as a column beside those of other runs.
func wordColumn(_ lookup: WordLookup?, of run: String) -> Markup {
  let body = lookup.map {
    lookupBody(
      $0, isLacking: "Not a token of this model.",
      isDropped: "Not among the rows of this run.")
  }
  return """
    <div class="card"><h4>\(run)</h4>
    \(body ?? empty("Not looked up in this run."))
    </div>
    """
}

private func lookupBody(
  _ lookup: WordLookup, isLacking: Markup, isDropped: Markup
) -> Markup {
  guard lookup.token != nil else { return empty(isLacking) + expertList(lookup) }
  return when(!lookup.isKept, empty(isDropped))
    + when(lookup.experts.isEmpty, empty("No active experts.")) + expertList(lookup)
}

private func expertList(_ lookup: WordLookup) -> Markup {
  guard !lookup.experts.isEmpty else { return "" }
  let strongest = lookup.experts.map(\.strength).max() ?? 1
  let items = lookup.experts.map { expert -> Markup in
    let share = strongest > 0 ? Double(max(0, expert.strength) / strongest) : 0
    let code = decimal(Double(expert.strength), 3)
    return """
      <li>
      <span class="z" title="expert \(expert.expert), code \(code)">\
      <i style="width:\(decimal(share * 28, 0))px"></i><b>\(code)</b></span>
      <span class="words">\(wordsMarkup(expert.words))</span>
      \(expert.chosen.map(chosenMarkup))
      </li>

      """
  }
  return "<ol class=\"experts\">\n\(items.joined())</ol>"
}

/// The chosen sublatent, faint if its code is below the threshold.
private func chosenMarkup(_ chosen: ChosenSublatent) -> Markup {
  let code = decimal(Double(chosen.code), 3)
  let words = wordsMarkup(chosen.words)
  let number: Markup = "<b title=\"sublatent \(chosen.sublatent), code \(code)\">\(code)</b>"
  return chosen.isRelevant
    ? "<span class=\"sub\">\(number) \(words)</span>"
    : """
    <span class="sub faint">\(number) <em>not active here</em>\
    \(when(!words.isEmpty, ": \(words)"))</span>
    """
}
