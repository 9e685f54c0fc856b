// Tests look-ups of words as values, text and JSON, profiles, and the choice of hierarchies.

import Foundation
import HSAEModels
import HSAETensors
import Testing

@testable import HSAEEvaluation

@Suite struct LookupTests {
  static let vocabulary = ["▁dog", "▁puppy", "▁cat", "Dog", "▁terrier", "<unused1>", "▁狗"]
  static let words = WordTable(tokens: [0, 1, 2, 3, 4, 6], vocabulary: vocabulary)
  static let shape = DictionaryShape(
    width: 4, experts: 3, sublatents: 2, subspace: 1, activeExperts: 2)

  static var codes: Codes {
    func code(_ expert: Int, _ value: Float, _ sub: Int, _ c: Float) -> Code {
      Code(expert: expert, value: value, sublatent: sub, subValue: c)
    }
    var codes = Codes()
    codes.append([code(0, 0.9, 1, 0.3), code(1, 0.2, 0, 0.01)])
    codes.append([code(0, 0.8, 1, 0.5)])
    codes.append([code(0, 0.3, 0, 0.2)])
    codes.append([code(0, 0.7, 1, 0.4)])
    codes.append([code(0, 0.6, 1, 0.1)])
    codes.append([code(1, 0.5, 0, 0.05)])
    return codes
  }

  static func lookup(mergesForms: Bool = false) -> Lookup {
    var profiles = ExpertProfiles(shape: shape, subThreshold: 0.1)
    profiles.add(codes, firstRow: 0)
    return Lookup(profiles: profiles, words: words, mergesForms: mergesForms)
  }

  @Test func profiles() {
    let profile = Self.lookup().profiles[0]
    #expect(profile.count == 5)
    #expect(profile.rows.map(\.row) == [0, 1, 3, 4, 2])
    #expect(profile.sublatents.map(\.index) == [1, 0])
    #expect(profile.sublatents[0].rows.map(\.row) == [1, 3, 0, 4])
    #expect(profile.sublatents[0].active == 4 && profile.sublatents[1].chosen == 1)
  }

  @Test func aWord() throws {
    let result = Self.lookup().lookup("dog", limit: 2) { Array(Self.codes[$0]) }
    #expect(result.token == 0 && result.isKept && result.experts.map(\.expert) == [0, 1])
    #expect(result.experts[0].words.map(\.text) == ["▁dog", "▁puppy"])
    #expect(result.experts[0].chosen?.words.map(\.text) == ["▁puppy", "Dog"])
    #expect(result.experts[0].chosen?.isRelevant == true)
    #expect(result.experts[1].chosen?.isRelevant == false)
    let merged = Self.lookup(mergesForms: true).lookup("dog", limit: 3) { Array(Self.codes[$0]) }
    #expect(merged.experts[0].words.map(\.text) == ["▁dog", "▁puppy", "▁terrier"])
    let data = try JSONEncoder().encode(result)
    #expect(try JSONDecoder().decode(WordLookup.self, from: data) == result)
  }

  @Test func missingAndDroppedWords() {
    let lookup = Self.lookup()
    let missing = lookup.lookup("pupy") { Array(Self.codes[$0]) }
    #expect(missing.token == nil && missing.suggestions == ["▁puppy"])
    #expect(missing.rendered().contains("Did you mean: puppy"))
    let dropped = lookup.lookup("<unused1>") { Array(Self.codes[$0]) }
    #expect(dropped.token == 5 && !dropped.isKept && dropped.experts.isEmpty)
    #expect(dropped.rendered().contains("--model"))
    #expect(!dropped.rendered(takesModel: false).contains("--model"))
    let encoded = lookup.lookup(
      "<unused1>", codes: { Array(Self.codes[$0]) },
      encode: { _ in [Code(expert: 1, value: 1, sublatent: 1, subValue: 0)] })
    #expect(encoded.experts.map(\.expert) == [1])
    #expect(encoded.rendered().contains("not among the rows"))
  }

  @Test func textFitsTheTerminal() {
    let lookup = Self.lookup()
    for word in ["dog", "狗", "nothing"] {
      for width in [40, 60, 120] {
        let text = lookup.lookup(word) { Array(Self.codes[$0]) }.rendered(width: width)
        for line in text.split(separator: "\n") { #expect(displayWidth(String(line)) <= width) }
      }
    }
    let text = lookup.lookup("dog") { Array(Self.codes[$0]) }.rendered()
    #expect(
      text == """
        dog  (token 0, ▁dog)
          expert 0  z  0.900  dog · puppy · Dog · terrier · cat
            └ sub 1   c  0.300  puppy · Dog · dog · terrier
          expert 1  z  0.200  狗 · dog
            └ sub 0   c  0.010  not active here

        """)
    #expect(displayWidth("犬a") == 3)
  }

  @Test func choiceOfHierarchies() {
    let dictionary = SparseAutoencoder(
      parameters: Parameters(shape: Self.shape),
      activation: ActivationFunction(threshold: 0.1, subThreshold: 0.1))
    var seen: [Int] = []
    let evaluation = DictionaryEvaluation(
      dictionary, rows: Matrix(rows: 6, columns: 4), codes: Self.codes, words: Self.words,
      chunk: 4, progress: { seen.append($0) })
    #expect(seen == [4, 6])
    #expect(evaluation.usage.experts == [5, 2, 0])
    #expect(evaluation.profiles[0].rows == Self.lookup().profiles[0].rows)
    #expect(evaluation.clearest(10).isEmpty)
    // The dead expert is never drawn; the draw depends only on the seed.
    #expect(Set(evaluation.randomSample(10, seed: 1).map(\.expert)) == [0, 1])
    #expect(evaluation.randomSample(1, seed: 5) == evaluation.randomSample(1, seed: 5))
    #expect(evaluation.randomSample(0, seed: 1).isEmpty)
  }
}
