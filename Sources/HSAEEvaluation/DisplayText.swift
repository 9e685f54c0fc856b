// Tokens as the report and the explorer show them.

/// The text shown for a token: readable, with a `·` in front if it continues a word.
package func displayText(_ token: String) -> String {
  (continuesWord(token) ? "·" : "") + readableToken(token)
}
