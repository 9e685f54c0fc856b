// Tests absorption on synthetic rows: none if every letter has its latent, and the planted amount if another
// latent swallows a letter.

import HSAELanguageModels
import HSAEModels
import HSAESupport
import HSAETensors
import Testing

@testable import HSAEEvaluation

/// Words whose rows are 10·(their letter's axis + noise), and a dictionary with a latent for each letter.
/// Latent 26 swallows the letter s of words that also lie on the last axis.
private enum Planted {
  static let width = 64
  static let swallowed = width - 1
  static let s = 18

  static func vectors(
    each: Int, swallowing: Int = 0, stream: UInt64
  ) throws(Failure) -> FirstLetterRows {
    var words: [FirstLetterWord] = []
    var elements: [Float] = []
    var generator = SeededGenerator(seed: 3).split(stream)
    for letter in 0..<26 {
      for index in 0..<each {
        let spelling = "\u{2581}" + FirstLetterWord.name(of: letter) + "x"
        guard let word = FirstLetterWord(token: Int32(words.count), piece: spelling) else {
          continue
        }
        words.append(word)
        var row = [Float](repeating: 0, count: width)
        row[letter] = 10
        for column in 26..<width - 1 { row[column] = Float(2 * generator.nextSymmetric()) }
        if letter == s, index < swallowing { row[swallowed] = 10 }
        elements += row
      }
    }
    return FirstLetterRows(
      words: words, rows: Matrix(rows: words.count, columns: width, elements: elements))
  }

  static func task(swallowing: Int) throws -> FirstLetterTask {
    try FirstLetterTask(
      training: vectors(each: 60, stream: 1), test: vectors(each: 8, stream: 2), seed: 5,
      vocabularyWords: 1768
    ) { (_) throws(Failure) in try vectors(each: 8, swallowing: swallowing, stream: 3) }
  }

  static func dictionary() -> SparseAutoencoder {
    let shape = DictionaryShape(
      width: width, experts: 27, sublatents: 0, subspace: 0, activeExperts: 3)
    var parameters = Parameters(shape: shape)
    for letter in 0..<26 {
      parameters.encoderSide[letter, letter] = 1
      parameters.decoderSide[letter, letter] = 1
    }
    parameters.encoderSide[s, swallowed] = -2
    let half = Float(0.5).squareRoot()
    parameters.encoderSide[26, swallowed] = 2 * half
    parameters.decoderSide[26, swallowed] = half
    parameters.decoderSide[26, s] = half
    return SparseAutoencoder(
      parameters: parameters, activation: ActivationFunction(threshold: 0.3, subThreshold: 0))
  }

  static func measure(swallowing: Int) throws -> Absorption {
    let view = LatentView(dictionary(), hasSublatents: false)
    return Absorption(of: view, task: try task(swallowing: swallowing))
  }
}

@Suite struct AbsorptionTests {
  @Test func aPerfectDictionaryAbsorbsNothing() throws {
    let found = try Planted.measure(swallowing: 0)
    #expect(found.usable.count == 26 && found.isMeaningful)
    for (index, letter) in found.letters.enumerated() {
      #expect(letter.probeF1 > 0.99 && letter.words == 8)
      #expect(letter.split.latents == [index] && letter.split.f1.first == 1)
      #expect(letter.meanFraction == 0 && letter.fullRate == 0)
    }
    #expect(found.mean(\.meanFraction) == (mean: 0, deviation: 0))
    var none = found
    none.letters = []
    let empty = none.mean(\.meanFraction)
    #expect(empty.mean.isNaN && empty.deviation.isNaN && !none.isMeaningful)
    let interval = try #require(
      percentileInterval(found.samples(resamples: 100, seed: 1) { $0.fractions }))
    #expect(interval == Interval(0, 0))
  }

  @Test func plantedAbsorptionIsFound() throws {
    let found = try Planted.measure(swallowing: 2)
    for (index, letter) in found.letters.enumerated() {
      #expect(letter.meanFraction == (index == Planted.s ? 0.25 : 0))
      #expect(letter.fullRate == (index == Planted.s ? 0.25 : 0))
    }
    #expect(abs(found.mean(\.fullRate).mean - 0.25 / 26) < 1e-12)
    let interval = try #require(
      percentileInterval(found.samples(resamples: 200, seed: 1) { $0.full.map { $0 ? 1 : 0 } }))
    #expect(interval.low <= 0.25 / 26 && interval.high > 0.25 / 26)
  }

  @Test func sameSeedSameNumbers() throws {
    #expect(try Planted.measure(swallowing: 1) == Planted.measure(swallowing: 1))
  }

  @Test func theOutcomeOfAWordFollowsTheRecipe() {
    func outcome(_ a: Double, _ parts: [(Int, Double, Double)]) -> WordAbsorption {
      WordAbsorption(
        projection: a,
        parts: parts.map { LatentPart(latent: $0.0, value: $0.1, cosine: $0.2) }, split: [0])
    }
    // The letter's latent carries all, half, nothing.
    #expect(outcome(10, [(0, 10, 1), (1, 10, 0.5)]).fraction == 0)
    #expect(outcome(10, [(0, 5, 1), (1, 10, 0.5)]).fraction == 0.5)
    #expect(outcome(10, [(1, 10, 0.5)]).fraction == 1)
    #expect(outcome(10, [(1, 10, 0.5)]).isFull)
    #expect(!outcome(10, [(0, 1e-6, 1), (1, 10, 0.5)]).isFull)
    // Carriers below 0.4 of the projection, or with too small a cosine, do not count.
    #expect(outcome(10, [(1, 10, 0.39)]).fraction == 0)
    #expect(!outcome(10, [(1, 10, 0.39)]).isFull)
    #expect(outcome(10, [(1, 100, 0.09)]).fraction == 0)
    #expect(outcome(10, [(1, 200, 0.03)]).isFull)
    #expect(!outcome(10, [(1, 300, 0.02)]).isFull)
    // Only the three strongest carriers: 3 · 1 + 3 · 0.9 would be 0.57.
    let six = (1...6).map { ($0, $0 <= 3 ? 1 : 0.9, 1.0) }
    #expect(outcome(10, six).fraction == 0)
    // At most the missing part is absorbed: min(9, 10 - 8) / (2 + 8).
    #expect(outcome(10, [(0, 8, 1), (1, 9, 1)]).fraction == 0.2)
    // A negative or missing projection gives no absorption.
    #expect(outcome(-1, [(1, 10, 0.5)]).fraction == 0)
    #expect(!outcome(0, [(1, 10, 0.5)]).isFull)
    #expect(outcome(10, []).fraction == 0 && !outcome(10, []).isFull)
  }

  /// Codes times unit directions add up to the reconstruction, with sublatents as latents.
  @Test func latentsAddUpToTheReconstruction() {
    let shape = DictionaryShape(
      width: 12, experts: 6, sublatents: 5, subspace: 2, activeExperts: 3)
    var parameters = Parameters(shape: shape)
    var generator = SeededGenerator(seed: 8)
    for row in 0..<parameters.encoderSide.rows {
      for column in 0..<12 {
        parameters.encoderSide[row, column] = Float(generator.nextSymmetric())
        parameters.decoderSide[row, column] = Float(generator.nextSymmetric())
      }
    }
    for row in 0..<30 {
      for column in 0..<2 {
        parameters.subEncoder[row, column] = Float(generator.nextSymmetric())
        parameters.subDecoder[row, column] = Float(generator.nextSymmetric())
      }
    }
    let dictionary = SparseAutoencoder(
      parameters: parameters, activation: ActivationFunction(threshold: 0, subThreshold: -1e9))
    var vectors = Matrix(rows: 4, columns: 12)
    for row in 0..<4 {
      for column in 0..<12 { vectors[row, column] = Float(3 * generator.nextSymmetric()) }
    }
    for hasSublatents in [true, false] {
      let view = LatentView(dictionary, hasSublatents: hasSublatents)
      let codes = view.codes(of: vectors, norms: [], threads: 1).codes
      let decoded = dictionary.decode(codes, topLevelOnly: !hasSublatents, threads: 1)
      let sparse = SparseRows(view, of: vectors, norms: vectors.rowNorms(), threads: 2)
      let norms = vectors.rowNorms()
      for row in 0..<4 {
        var sum = [Float](repeating: 0, count: 12)
        for part in sparse.rows[row] {
          let direction = view.direction(part.latent)
          let norm = dot(direction.span, direction.span).squareRoot()
          for column in 0..<12 { sum[column] += part.value * direction[column] / norm }
        }
        for column in 0..<12 {
          #expect(abs(sum[column] - norms[row] * decoded[row, column]) < 1e-4)
        }
      }
    }
  }
}
