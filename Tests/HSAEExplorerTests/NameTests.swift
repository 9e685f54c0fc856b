// Names of latents: how rare tokens are, and the weights of words against a plain computation.

#if Explorer
import Foundation
import HSAEActivations
import HSAEEvaluation
import HSAEModels
import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAEExplorer

@Suite struct NameTests {
  @Test func spacesAndBytesAreNoNames() {
    for word in ["", " ", "▁", "<0xA0>", "⟨3 × space⟩", "⟨U+200B⟩", "<bos>"] {
      #expect(!isLegible(word), "\(word)")
    }
    for word in ["a", "▁a", "<", "<b>", "<0x", "語", ",", "<0xZZ>"] {
      #expect(isLegible(word), "\(word)")
    }
    var latent = LatentRecord(
      expert: 0, words: ["⟨2 × space⟩", "rivers", "Seine", "<0xA0>", "River"])
    #expect(latent.shownWords == ["rivers", "Seine"])
    latent.name = ["Seine", "Rhône"]
    #expect(latent.shownWords == ["Seine", "Rhône", "rivers"])
    latent = LatentRecord(expert: 0, words: ["⟨2 × space⟩"])
    #expect(latent.shownWords == ["⟨2 × space⟩"])
  }

  @Test func bytesOfCharactersAreShownAsCharacters() {
    let tokens = ["▁a", "<0xC2>", "<0xA0>", "b", "<0xE8>", "<0xAA>", "<0x9E>", "<0xFF>"]
    #expect(runningTexts(tokens) == [" a", " ", "", "b", "語", "", "", "<0xFF>"])
    #expect(runningTexts(tokens, centre: 2) == [" a", "", "␣", "b", "語", "", "", "<0xFF>"])
    #expect(runningTexts(tokens, centre: 5) == [" a", " ", "", "b", "", "語", "", "<0xFF>"])
    #expect(sourceText(["<bos>", "<0x9E>"] + tokens + ["<0x0A>", "▁▁x"]) == " a\u{A0}b語\n  x")
    #expect(runningTexts(tokens, centre: 7) == [" a", " ", "", "b", "語", "", "", "<0xFF>"])
  }

  /// Words around a place follow each other without gaps and cover its neighbourhood, within its document.
  @Test func wordsAroundAPlaceCoverIt() throws {
    try withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder, documents: 20)
      let rows = try ExplainedRows(fixture.store)
      let corpus = try #require(rows.corpus)
      for place in stride(from: 0, to: corpus.tokenCount, by: 7) {
        let document = rows.document(around: place)
        let words = rows.words(around: place, reach: 5)
        #expect(words.contains(rows.wordRange(at: place)))
        for (word, next) in zip(words, words.dropFirst()) {
          #expect(word.upperBound + 1 == next.lowerBound)
        }
        #expect(try #require(words.first).lowerBound <= max(document.lowerBound, place - 5))
        #expect(try #require(words.last).upperBound >= min(document.upperBound - 1, place + 5))
        #expect(
          words.allSatisfy { document.contains($0.lowerBound) && document.contains($0.upperBound) })
      }
    }
  }

  /// A token is as common as in the language in which it is most common; small languages count as one.
  @Test func rarityIsThatOfTheLanguage() {
    let rarity = TokenRarity(
      counts: [
        "en": [1: 2_000, 2: 2, 0: 17_998], "fr": [2: 2_000, 0: 17_999, 6: 1],
        "de": [3: 5, 4: 4_995], "it": [3: 5, 4: 4_995], "": [5: 1],
      ], vocabulary: 8)
    for (token, share) in [(1, 0.1), (2, 0.1), (3, 10 / 10_001), (5, 1 / 10_001), (6, 1 / 20_000)] {
      let expected = pow(log10(1 / share) / 5, 2)
      #expect(abs(rarity.rarity(of: [token]) - expected) < 1e-12, "\(token)")
    }
    // Common tokens make a rare word.
    #expect(abs(rarity.rarity(of: [1, 2, 1]) - pow(3.0 / 5, 2)) < 1e-12)
    #expect(rarity.rarity(of: [1, 6]) == 1)
    // Tokens that do not occur, and those outside the vocabulary.
    #expect(
      rarity.rarity(of: [7]) == 1 && rarity.rarity(of: [8]) == 1 && rarity.rarity(of: [-1]) == 1)
    #expect(TokenRarity(counts: ["en": [0: 1]], vocabulary: 1).rarity(of: [0]) == pow(4.0 / 5, 2))
    #expect(TokenRarity(counts: ["en": [0: 5_000_000, 1: 1]], vocabulary: 2).rarity(of: [1]) == 1)
    #expect(TokenRarity(counts: [:], vocabulary: 1).rarity(of: [0]) == 1)
  }

  @Test func namesAreTheWeightiestWords() throws {
    try withTemporaryFolder { folder in
      let fixture = try ExplainFixture(in: folder)
      _ = try fixture.explainer(ExplainFixture.run()).explain()
      let database = try FeatureDatabase(path: fixture.features)
      let run = try #require(try database.run(named: "h"))
      let rows = try ExplainedRows(fixture.store)
      let corpus = try #require(rows.corpus)
      var counts: [Int: Int] = [:]
      for token in rows.tokens(at: 0...corpus.tokenCount - 1) { counts[token, default: 0] += 1 }
      // Each of the two languages is small, and so are both together.
      #expect(corpus.tokenCount < 10_000)
      func rarity(_ tokens: [Int]) -> Double {
        guard let least = tokens.map({ counts[$0] ?? 0 }).min(), least > 0 else { return 1 }
        let share = Double(least) / 10_000 / pow(10, Double(tokens.count - 1))
        return pow(min(1, log10(1 / share) / 5), 2)
      }
      let query = LatentQuery(level: .both, includesDead: true, limit: 500)
      var named = 0
      for latent in try database.latents(query, in: run).latents {
        let detail = try #require(try database.detail(of: latent.number, in: run))
        guard latent.count > 0, let largest = detail.strongest.first?.value else {
          #expect(latent.name.isEmpty && latent.shownWords == latent.words)
          continue
        }
        var weights: [String: Double] = [:]
        func add(_ word: String, _ weight: Double) {
          // Not a space alone, nor a byte of a character, nor what stands before a text.
          if word.hasPrefix("⟨") || word.hasPrefix("<0x") || word == "<bos>" { return }
          weights[wordForm(word), default: 0] += weight
        }
        var stems: [String] = []
        let count = Double(detail.strongest.count)
        for context in detail.strongest {
          let start = try corpus.range(of: try #require(context.document)).lowerBound
          let place = start + context.position
          var near: Set<String> = []
          for range in rows.words(around: place, reach: 5) {
            let word = readableToken(range.map { rows.text(at: $0) }.joined())
            stems.append(String(wordForm(word).prefix(4)))
            if range.contains(place) {
              #expect(word == rows.word(at: place))
              add(word, Double(context.value / largest) / count * rarity(rows.tokens(at: range)))
            } else if near.insert(wordForm(word)).inserted {
              add(word, 0.3 / count * rarity(rows.tokens(at: range)))
            }
          }
        }
        let promoted = detail.promoted?.promoted ?? []
        for token in promoted where isWholeWord(token.text) {
          let stem = String(wordForm(token.text).prefix(4))
          let others = promoted.filter { wordForm($0.text).prefix(4) == stem }
          let weight = stems.contains(stem) || others.count > 1 ? 0.5 : 0.02
          add(token.text, weight * Double(token.value / promoted[0].value) * rarity([token.token]))
        }
        let best = weights.values.sorted(by: >).prefix(4)
        let found = latent.name.map { weights[wordForm($0)] ?? -1 }
        #expect(found.count == best.count, "\(latent.number)")
        for (weight, expected) in zip(found, best) { #expect(abs(weight - expected) < 1e-6) }
        #expect(latent.name.isEmpty || latent.shownWords.first == latent.name[0])
        named += 1
      }
      #expect(named > 20)
    }
  }
}
#endif
