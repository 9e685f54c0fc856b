// A synthetic language model whose tokens are the words of the small WordNet, and whose residual stream shows a word's family
// and child, so that the score of a dictionary at nouns is known.

import HSAESupport
import HSAETensors

@testable import HSAEEvaluation
@testable import HSAELanguageModels

/// Each word is a token with a leading space; "ish" continues a word. A word's row lies on the axes of its family and its
/// child, and "ish" has noise.
final class NounModel: ResidualStreamModel {
  let description = ModelDescription(
    name: "nouns", sha256: "", weightsType: "f32", width: 20, blockCount: 1, longestContext: 4096)
  let tokenizer: any Tokenizer
  let contextLength = 4096
  private let axes: [String: [Int]]

  init() {
    let words = WordNetFixture.words()
    tokenizer = NounTokenizer(pieces: words.vocabulary + ["ish"])
    var axes: [String: [Int]] = [:]
    var child = 0
    for (parent, family) in WordNetFixture.families.enumerated() {
      for own in family.children {
        for kind in own.kinds { axes["\u{2581}" + kind] = [parent, 3 + child] }
        child += 1
      }
    }
    self.axes = axes
  }

  func capture(
    _ contexts: [[Int32]], afterBlock block: Int, into rows: inout Matrix,
    shouldStop: (_ done: Int) -> Bool
  ) throws(Failure) -> Bool {
    var row = 0
    for token in contexts.joined() {
      for column in 0..<20 { rows[row, column] = 0 }
      let piece = tokenizer.pieces[Int(token)]
      for axis in axes[piece] ?? [13 + Int(token) % 7] { rows[row, axis] = 1 }
      row += 1
    }
    return true
  }

  func logits(
    after tokens: [Int32], at position: Int, splice: Splice?
  ) throws(Failure) -> [Float] { [] }

  func losses(of contexts: [[Int32]], splice: Splice?) throws(Failure) -> [[Float]] { [] }

  func effects(of contexts: [[Int32]], splices: [Splice]) throws(Failure) -> SpliceEffects {
    SpliceEffects(losses: [], splices: [])
  }
}

private struct NounTokenizer: Tokenizer {
  let pieces: [String]
  let prefix: [Int32] = []
  let bos: Int32? = nil

  func encode(_ text: ArraySlice<UInt8>) -> [Int32] {
    String(decoding: text, as: UTF8.self).split(separator: " ").flatMap { word in
      let parts = word.hasSuffix("ish") ? [String(word.dropLast(3)), "ish"] : [String(word)]
      return parts.enumerated().compactMap { index, part in
        pieces.firstIndex(of: index == 0 ? "\u{2581}" + part : part).map(Int32.init)
      }
    }
  }

  func isSpecial(_ token: Int32) -> Bool { false }
}
