// Compares a hierarchical run with a flat run of equal m, if possible at equal codes of a row: differences of their
// numbers with intervals. Both are measured on the same documents, so these intervals are much narrower than the runs'
// own.

internal import Foundation
import HSAEModels
internal import HSAERuns

/// The numbers of a run minus those of another.
public struct Comparison: Hashable, Sendable, Codable {
  /// The name of the other run.
  public var baseline: String
  /// The differences of the numbers that have a better direction and samples.
  public var numbers: [EvaluationNumber]
  /// The codes of a row of the run and of the other; nil in files of older versions, and where they were not measured.
  public var codes: [Double]?

  /// "h − flat", with the codes of a row if they differ: "h − flat (64.0 − 32.0 codes a row)".
  public func title(of name: String) -> String {
    let plain = "\(name) − \(baseline)"
    guard let codes, codes.count == 2, !Self.areEqual(codes[0], codes[1]) else { return plain }
    return plain + String(format: " (%.1f − %.1f codes a row)", codes[0], codes[1])
  }

  /// Whether two numbers of codes of a row are close enough to be called equal: to within 2 %.
  public static func areEqual(_ a: Double, _ b: Double) -> Bool {
    abs(a - b) <= 0.02 * max(a, b)
  }

  /// A sentence for dictionaries whose numbers of codes of a row are not all equal; nil if they are.
  public static func unequalCodesNote(_ codes: [Double]) -> String? {
    guard let low = codes.min(), let high = codes.max(), !areEqual(low, high) else { return nil }
    let text = codes.map { String(format: "%.1f", $0) }.uniqued(by: \.self)
      .joined(separator: ", ")
    return
      "These dictionaries spend different numbers of codes on a row (\(text)): they are not compared at equal cost."
  }

  /// Adds to the first of `results`, which are those of `runs`, sentences about different numbers of codes of a row, and
  /// about numbers of parameters that differ by more than a tenth.
  static func noteUnequalCosts(of runs: [LoadedRun], in results: inout [SuiteResult]) {
    guard !results.isEmpty else { return }
    var sentences: [String] = []
    if let note = unequalCodesNote(results.compactMap { $0["codes_row"]?.value }) {
      sentences.append(note)
    }
    let parameters = runs.map { Double($0.shape.parameterCount) }
    if let low = parameters.min(), let high = parameters.max(), high > 1.1 * low {
      let text = parameters.map { String(format: "%.3g", $0 / 1e6) }.uniqued(by: \.self)
        .joined(separator: ", ")
      sentences.append(
        "These dictionaries have different numbers of parameters (in millions: \(text)).")
    }
    results[0].notes.insert(contentsOf: sentences, at: 0)
  }

  /// The numbers of `result` minus those of `baseline`, the result of the run called `name`, sample by sample.
  init(_ result: SuiteResult, less baseline: SuiteResult, name: String) {
    self.baseline = name
    let measured = [result, baseline].compactMap { $0["codes_row"]?.value }
    codes = measured.count == 2 ? measured : nil
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

  /// The index in `runs` of a flat run with the m, seed, normalisation and whitening of run `index`: one that spends as many codes
  /// on a row by `results`, or else one with the same k; nil if there is none, or run `index` is flat.
  static func baseline(
    of index: Int, among runs: [LoadedRun], _ results: [SuiteResult] = []
  ) -> Int? {
    let run = runs[index]
    guard !run.shape.isFlat else { return nil }
    let candidates = runs.indices.filter {
      runs[$0].shape.isFlat && runs[$0].shape.experts == run.shape.experts
        && runs[$0].description.training?.seed == run.description.training?.seed
        // A control is compared with a control alone.
        && runs[$0].description.training?.freeze == run.description.training?.freeze
        && runs[$0].description.training?.decoderCosine == run.description.training?.decoderCosine
        // With another normalisation the same keys would be about other rows.
        && runs[$0].description.normalize == run.description.normalize
        && runs[$0].description.training?.whitening == run.description.training?.whitening
    }
    func codes(_ index: Int) -> Double? {
      results.indices.contains(index) ? results[index]["codes_row"]?.value : nil
    }
    let equal = candidates.first { other in
      guard let own = codes(index), let others = codes(other) else { return false }
      return areEqual(own, others)
    }
    return equal
      ?? candidates.first {
        runs[$0].description.training?.selection == run.description.training?.selection
          && runs[$0].shape.activeExperts == run.shape.activeExperts
      }
  }
}
