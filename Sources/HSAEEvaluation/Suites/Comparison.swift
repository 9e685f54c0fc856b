// A hierarchical run beside the flat one of equal m and k: differences of their numbers, with intervals of
// the differences. Both were measured on the same documents, so these are much narrower than what the two
// intervals suggest.

import HSAEModels
internal import HSAERuns

/// The numbers of a run less those of another.
public struct Comparison: Hashable, Sendable, Codable {
  /// The name of the other run.
  public var baseline: String
  /// The differences, by the keys of the numbers that have samples.
  public var numbers: [EvaluationNumber]

  /// The numbers of `result` less those of `baseline`, called `name`, sample by sample.
  init(_ result: SuiteResult, less baseline: SuiteResult, name: String) {
    self.baseline = name
    numbers = result.numbers.compactMap { number in
      guard let other = baseline[number.key], number.better != nil, !number.samples.isEmpty,
        number.samples.count == other.samples.count
      else { return nil }
      return EvaluationNumber(
        number.key, number.label, number.value - other.value,
        samples: zip(number.samples, other.samples).map { $0 - $1 }, unit: number.unit,
        better: number.better, digits: number.digits)
    }
  }

  /// The place among `runs` of the flat run with the m, k and seed of run `index` that sees rows as it does;
  /// nil if there is none, or run `index` is flat.
  static func baseline(of index: Int, among runs: [LoadedRun]) -> Int? {
    let run = runs[index]
    guard !run.shape.isFlat else { return nil }
    return runs.firstIndex {
      $0.shape.isFlat && $0.shape.experts == run.shape.experts
        && $0.shape.activeExperts == run.shape.activeExperts
        && $0.description.training?.seed == run.description.training?.seed
        // Else the same keys are of other rows.
        && $0.description.normalize == run.description.normalize
    }
  }
}
