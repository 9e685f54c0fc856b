// Tests the score against WordNet: 1 for planted hierarchies, low for shuffled ones.

import HSAEModels
import HSAETensors
import Testing

@testable import HSAEEvaluation

@Suite struct TaxonomyTests {
  private let nouns: NounTable
  private let scoring = TaxonomyScoring()

  init() throws {
    nouns = NounTable(words: WordNetFixture.words(), wordNet: try WordNetFixture.load())
  }

  /// An expert for each family, and a sublatent for each child; its words are the child's kinds.
  private func codes() -> Codes {
    var codes = Codes()
    for (parent, family) in WordNetFixture.families.enumerated() {
      for (child, own) in family.children.enumerated() {
        for index in own.kinds.indices {
          let value = 1 - 0.01 * Float(index)
          codes.append([
            Code(expert: parent, value: value, sublatent: child, subValue: value)
          ])
        }
      }
    }
    return codes
  }

  private var shape: DictionaryShape {
    DictionaryShape(width: 4, experts: 3, sublatents: 4, subspace: 1, activeExperts: 1)
  }

  private func families() -> [NounFamily] {
    scoring.families(codes: codes(), nouns: nouns, shape: shape, subThreshold: 0.1)
  }

  private func mean(_ scores: [TaxonomyScore]) -> Double {
    scores.reduce(0) { $0 + $1.score } / Double(max(1, scores.count))
  }

  @Test func nounsAreWholeWordsThatWordNetKnows() throws {
    let words = WordTable(
      tokens: [0, 1, 2, 3, 4, 5, 6],
      vocabulary: ["▁dogs", "dog", "▁xyzzy", "▁DOG", "▁Paris", "▁bun", "▁mice"])
    let table = NounTable(words: words, wordNet: try WordNetFixture.load())
    #expect(table.lemmas == ["dog", "paris", "bun", "mouse"])
    #expect(table.nounOfRow == [0, -1, -1, 0, 1, 2, 3])
    #expect(nouns.count == WordNetFixture.words().count - 1)  // "mouse_bird" has a "_".
  }

  @Test func aPlantedHierarchyScoresOne() {
    let families = families()
    #expect(families.map(\.children.count) == [4, 3, 3])
    #expect(families[0].nouns.prefix(2).map { nouns.lemmas[Int($0)] } == ["corgi", "siamese"])
    let scores = scoring.scores(families, nouns: nouns)
    #expect(scores.map(\.synset) == ["animal", "location", "food"])
    for score in scores {
      #expect(score.coverage > 0.999 && score.separation > 0.999 && score.specificity > 0.999)
      #expect(score.score > 0.999)
    }
    #expect(scores[0].children.map(\.synset) == ["dog", "cat", "bird", "rodent"])
  }

  @Test func shuffledFamiliesScoreLow() {
    let families = families()
    // With ten children and three parents, some children keep their parent.
    #expect(mean(scoring.scores(scoring.shuffled(families, seed: 1), nouns: nouns)) < 0.5)
    let random = scoring.randomised(families, nouns: nouns, seed: 1)
    #expect(mean(scoring.scores(random, nouns: nouns)) < 0.35)
    // All children are equal, so nothing separates them.
    var alike = families
    for index in alike[0].children.indices { alike[0].children[index].nouns = alike[0].nouns }
    #expect(scoring.scores(alike, nouns: nouns)[0].score == 0)
    // The children are not kinds of the parent's synset.
    var foreign = families
    foreign[0].children = Array(families[1].children)
    #expect(scoring.scores(foreign, nouns: nouns)[0].score < 0.1)
  }

  @Test func tooFewNounsOrChildrenAreNotJudged() {
    var families = families()
    families[0].children.removeLast(2)
    families[1].nouns.removeLast(families[1].nouns.count - 4)
    #expect(scoring.scores(families, nouns: nouns).map(\.parent) == [2])
    let dead = scoring.families(codes: codes(), nouns: nouns, shape: shape, subThreshold: 2)
    #expect(scoring.scores(dead, nouns: nouns).isEmpty)
  }

  @Test func shufflingKeepsNumbersAndSeeds() {
    let families = families()
    let shuffled = scoring.shuffled(families, seed: 3)
    #expect(shuffled.map(\.children.count) == families.map(\.children.count))
    #expect(Set(shuffled.flatMap(\.children)) == Set(families.flatMap(\.children)))
    #expect(shuffled == scoring.shuffled(families, seed: 3))
    let random = scoring.randomised(families, nouns: nouns, seed: 3)
    #expect(random == scoring.randomised(families, nouns: nouns, seed: 3) && random != families)
  }

  @Test func aFlatDictionaryIsGroupedByDirection() {
    // Latents 3·g + i lie near axis g.
    let flat = DictionaryShape(
      width: 6, experts: 9, sublatents: 0, subspace: 0, activeExperts: 1)
    var parameters = Parameters(shape: flat)
    for latent in 0..<9 {
      parameters.decoderSide[latent, latent / 3] = 1
      parameters.decoderSide[latent, 3 + latent % 3] = 0.3
    }
    let dictionary = SparseAutoencoder(
      parameters: parameters, activation: ActivationFunction(threshold: 0, subThreshold: 0))
    let found = (0..<20).map { directionClusters(of: dictionary, size: 3, seed: $0, threads: 2) }
    let whole = found.count { groups in
      Set(groups).count == 3 && (0..<9).allSatisfy { groups[$0] == groups[$0 / 3 * 3] }
    }
    #expect(whole >= 17)
    #expect(found[3] == directionClusters(of: dictionary, size: 3, seed: 3, threads: 1))
    let one = directionClusters(of: dictionary, size: 100, seed: 1, threads: 1)
    #expect(one == Array(repeating: 0, count: 9))
    // One latent for each child of the fixture's families, in groups by family.
    var codes = Codes()
    var groups: [Int] = []
    for (parent, family) in WordNetFixture.families.enumerated() {
      for own in family.children {
        for index in own.kinds.indices {
          codes.append([Code(expert: groups.count, value: 1 - 0.01 * Float(index))])
        }
        groups.append(parent)
      }
    }
    let families = scoring.families(
      codes: codes, nouns: nouns, latents: groups.count, groups: groups)
    #expect(scoring.scores(families, nouns: nouns).allSatisfy { $0.score > 0.999 })
  }
}
