// What hsae steer prints: the text without steering, then one for each strength.

import HSAESupport

/// A prompt's continuations, with and without steering.
struct SteeredTexts: Codable {
  /// A steered latent.
  struct Latent: Codable {
    var latent: String
    /// Its largest code; strengths are multiples of it.
    var maximum: Float
  }

  /// A continuation.
  struct Text: Codable {
    /// nil if the latent was ablated.
    var strength: Float?
    var text: String
  }

  var run: String
  var model: String
  var block: Int
  var latents: [Latent]
  var prompt: String
  var seed: UInt64
  var temperature: Float
  var frequencyPenalty: Float
  /// The continuation without steering.
  var text: String
  var steered: [Text] = []

  /// The texts for people, `width` columns wide.
  func text(width: Int) -> String {
    let named = latents.map { "\($0.latent) (at most \(grouped(Double($0.maximum), digits: 3)))" }
    let lines =
      [("", prompt), ("without", text)]
      + steered.map { text in
        (text.strength.map { "× \(grouped(Double($0), digits: 3))" } ?? "ablated", text.text)
      }
    let margin = 11
    return "\(run), block \(block) of \(model), latent \(named.joined(separator: " with "))\n"
      + lines.map { label, text in
        "\n" + label + String(repeating: " ", count: max(1, margin - label.count))
          + Self.wrapped(text, width: max(20, width - margin)).joined(
            separator: "\n" + String(repeating: " ", count: margin)) + "\n"
      }.joined()
  }

  /// `text` in lines of at most `width` characters, broken at spaces. Its own line breaks stay; control
  /// characters, which a model may write, become U+FFFD.
  private static func wrapped(_ text: String, width: Int) -> [String] {
    text.split(separator: "\n", omittingEmptySubsequences: false).flatMap { line in
      var lines = [""]
      for word in line.split(separator: " ") {
        let word = String(
          String.UnicodeScalarView(
            word.unicodeScalars.map { $0.properties.generalCategory == .control ? "\u{FFFD}" : $0 })
        )
        if lines[lines.count - 1].isEmpty {
          lines[lines.count - 1] = word
        } else if lines[lines.count - 1].count + 1 + word.count <= width {
          lines[lines.count - 1] += " " + word
        } else {
          lines.append(word)
        }
      }
      return lines
    }
  }
}
