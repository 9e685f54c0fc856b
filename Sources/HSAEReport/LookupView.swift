// A look-up as the card templates show it.

import HSAEEvaluation
import HSAEHTML

/// The view of one word's look-up, without a heading.
func lookupView(_ lookup: WordLookup) -> [String: View] {
  let strongest = lookup.experts.map(\.strength).max() ?? 1
  return [
    "word": .markup(wordMarkup(lookup.text ?? lookup.word)),
    "token": lookup.token.map { "\($0)" } ?? "",
    "hasToken": .flag(lookup.token != nil),
    "piece": "\(lookup.text ?? "")",
    "isDropped": .flag(lookup.token != nil && !lookup.isKept),
    "hasExperts": .flag(!lookup.experts.isEmpty),
    "noExperts": .flag(lookup.experts.isEmpty && lookup.token != nil),
    "hasSuggestions": .flag(!lookup.suggestions.isEmpty),
    "suggestions": .markup(lookup.suggestions.map(wordMarkup).joined(", ")),
    "experts": .list(
      lookup.experts.map { expert in
        let share = strongest > 0 ? Double(max(0, expert.strength) / strongest) : 0
        return [
          "expert": "\(expert.expert)",
          "z": "\(decimal(Double(expert.strength), 3))",
          "width": "\(decimal(share * 28, 0))",
          "words": .markup(wordsMarkup(expert.words)),
          "hasChosen": .flag(expert.chosen != nil),
          "sublatent": "\(expert.chosen?.sublatent ?? 0)",
          "c": "\(decimal(Double(expert.chosen?.code ?? 0), 3))",
          "isRelevant": .flag(expert.chosen?.isRelevant ?? false),
          "hasSubWords": .flag(!(expert.chosen?.words.isEmpty ?? true)),
          "subWords": .markup(wordsMarkup(expert.chosen?.words ?? [])),
        ]
      }),
  ]
}
