// Words on a page: readable, isolated from the direction of the text around them, and shaded by how
// strongly they activate.

import HSAEEvaluation
import HSAEHTML

/// One word.
func wordMarkup(_ token: String) -> Markup { "<bdi>\(displayText(token))</bdi>" }

/// Words, strongest first; the weaker ones are shown fainter.
func wordsMarkup(_ words: [WeightedWord]) -> Markup {
  let strongest = words.first.map { max($0.value, .leastNormalMagnitude) } ?? 1
  return words.map { word -> Markup in
    let share = word.value / strongest
    let shade: Markup = share >= 0.75 ? "" : share >= 0.5 ? " class=\"b\"" : " class=\"c\""
    return "<bdi\(shade)>\(displayText(word.text))</bdi>"
  }.joined(" ")
}
