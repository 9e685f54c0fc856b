// Measures absorption: how often the latents of a first letter are inactive for a word because another latent
// carries the letter (docs/evaluation.md, "Absorption"). The recipe follows SAEBench's definitions.

import HSAETensors

/// What absorption does to the words of one letter.
public struct LetterAbsorption: Hashable, Sendable, Codable {
  /// The letter: "a".
  public var letter: String
  /// F1 of the probe on the model's own rows.
  public var probeF1: Double
  /// Number of words measured: test words whose letter the probe recognises.
  public var words: Int
  /// The latents that stand for the letter.
  public var split: SplitLatents
  /// For each word, the share of the letter that other latents carry, 0 to 1.
  public var fractions: [Double]
  /// For each word, whether the letter's latents are inactive and another carries the letter.
  public var full: [Bool]

  /// The mean of the fractions; 0 if there is no word.
  public var meanFraction: Double {
    words > 0 ? fractions.reduce(0, +) / Double(words) : 0
  }
  /// The share of words with full absorption; 0 if there is no word.
  public var fullRate: Double { words > 0 ? Double(full.count { $0 }) / Double(words) : 0 }
}

/// The absorption in one dictionary.
public struct Absorption: Hashable, Sendable, Codable {
  /// All 26 letters.
  public var letters: [LetterAbsorption]
  /// SAEBench gives a result from this number of usable letters.
  public static let requiredLetters = 20

  /// The letters whose probe has an F1 above 0.6. All means are over these letters.
  public var usable: [LetterAbsorption] {
    letters.filter { $0.probeF1 > FirstLetterTask.requiredF1 }
  }

  /// Whether enough letters are usable for the means to be meaningful.
  public var isMeaningful: Bool { usable.count >= Self.requiredLetters }

  /// The mean of `value` over the usable letters, and its standard deviation (of a sample). The mean is NaN
  /// without letters, the deviation with fewer than two.
  public func mean(
    _ value: (LetterAbsorption) -> Double
  ) -> (mean: Double, deviation: Double) {
    let values = usable.map(value)
    let n = Double(values.count)
    let mean = values.reduce(0, +) / n
    let squares = values.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (mean, values.count > 1 ? (squares / (n - 1)).squareRoot() : .nan)
  }

  /// The mean of `values`, first over the words of a letter, then over the usable letters, in each of
  /// `resamples` samples. Words are resampled within each letter; letters, probes and latents stay as they are.
  /// All dictionaries measured on one task get the same samples.
  func samples(
    resamples: Int, seed: UInt64, _ values: (LetterAbsorption) -> [Double]
  ) -> [Double] {
    let letters = usable.map(values).filter { !$0.isEmpty }
    guard !letters.isEmpty else { return [] }
    let root = SeededGenerator(seed: seed).split(0x6162_736F)
    return (0..<resamples).map { sample in
      var generator = root.split(UInt64(sample))
      var sum = 0.0
      for words in letters {
        var total = 0.0
        for _ in words.indices {
          total += words[Int.random(in: 0..<words.count, using: &generator)]
        }
        sum += total / Double(words.count)
      }
      return sum / Double(usable.count)
    }
  }

  /// Measures `view`'s latents on `task`.
  public init(of view: LatentView, task: borrowing FirstLetterTask, threads: Int = 1) {
    let training = SparseRows(view, of: task.training, threads: threads)
    let test = SparseRows(view, of: task.test, threads: threads)
    let measured = SparseRows(view, of: task.measured, threads: threads)
    let trainingLabels = task.training.words.map(\.letter)
    let testLabels = task.test.words.map(\.letter)
    let ranking = RankingProbe(
      rows: training, labels: trainingLabels,
      generator: SeededGenerator(seed: task.seed).split(6))
    letters = []
    for letter in 0..<26 {
      let split = SplitLatents(
        letter: letter, ranking: ranking, training: training, trainingLabels: trainingLabels,
        test: test, testLabels: testLabels)
      let direction = task.probe.direction(letter)
      var result = LetterAbsorption(
        letter: FirstLetterWord.name(of: letter), probeF1: task.probeF1[letter], words: 0,
        split: split, fractions: [], full: [])
      for (row, word) in task.measured.words.enumerated() where word.letter == letter {
        let projection = Double(dot(task.measured.rows.row(row), direction.span))
        let parts = measured.rows[row].map {
          LatentPart(
            latent: $0.latent, value: Double($0.value),
            cosine: Double(view.cosine($0.latent, direction)))
        }
        let outcome = WordAbsorption(
          projection: projection, parts: parts, split: Set(split.latents))
        result.words += 1
        result.fractions.append(outcome.fraction)
        result.full.append(outcome.isFull)
      }
      letters.append(result)
    }
  }
}

/// What a latent adds to a row, along a letter's probe.
struct LatentPart {
  var latent: Int
  /// Its code, for a direction of unit norm.
  var value: Double
  /// The cosine of its direction and the probe's.
  var cosine: Double
  /// What it adds along the probe's direction.
  var projection: Double { value * cosine }
}

/// How much of a letter is absorbed in one word.
struct WordAbsorption {
  /// The share of the letter that other latents than the letter's carry.
  var fraction: Double
  /// Whether the letter's latents are inactive and another carries the letter.
  var isFull: Bool

  /// Latents count as carriers from this cosine with the probe.
  static let carrierCosine = 0.1
  /// The most carriers counted.
  static let carrierLimit = 3
  /// Carriers count if they make up this share of the row's projection.
  static let carriedShare = 0.4
  /// The carrier of full absorption needs this cosine.
  static let fullCosine = 0.025
  /// A latent is active from this code on.
  static let activeFrom = 1e-8

  /// The outcome for a row with the `projection` a on the probe's direction, the active latents `parts`, and
  /// the latents `split` that stand for the letter.
  init(projection a: Double, parts: [LatentPart], split: Set<Int>) {
    let main = parts.lazy.filter { split.contains($0.latent) }
    let others = parts.filter { !split.contains($0.latent) }
    let expected = main.reduce(0.0) { $0 + $1.projection }
    let carried = others.lazy.filter { $0.cosine >= Self.carrierCosine && $0.projection > 0 }
      .map(\.projection).sorted(by: >).prefix(Self.carrierLimit).reduce(0, +)
    if a <= 0 || expected >= a || carried / a < Self.carriedShare {
      fraction = 0
    } else if expected <= 0 {
      fraction = 1
    } else {
      let taken = min(carried, a - expected)
      fraction = max(0, min(1, taken / (taken + expected)))
    }
    let isInactive = main.allSatisfy { $0.value < Self.activeFrom }
    let strongest = parts.max { $0.projection < $1.projection }
    isFull =
      isInactive && a > 0
      && (strongest.map { $0.cosine >= Self.fullCosine && $0.projection / a >= Self.carriedShare }
        ?? false)
  }
}
