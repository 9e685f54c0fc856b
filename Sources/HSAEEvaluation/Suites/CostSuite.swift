// The suite `cost`: counts the operations and bytes of a row, beside the formula of the paper's section 3.1. It
// measures nothing; `hsae bench` does.

import HSAEModels
public import HSAERuns
public import HSAESupport
import HSAETensors

/// Operations and bytes of a row.
public enum CostSuite: EvaluationSuite {
  /// "cost".
  public static let name = "cost"
  /// What it counts.
  public static let about = "operations and bytes of a row, counted"

  /// All ranks count everything, which takes no time.
  public static let isDivided = true

  /// It needs no rows and no model.
  public static let measures = false

  /// The numbers of `runs`.
  public static func evaluate(
    _ runs: [LoadedRun], _ input: EvaluationInput
  ) throws(Failure) -> [SuiteResult] {
    runs.map { run in
      // Where thresholds decide, the shape has room for all latents; training says how many are active.
      var shape = run.shape
      if let active = run.description.training?.usualActive { shape.activeExperts = active }
      var result = SuiteResult(
        suite: name, evaluatedOn: "the sizes of the dictionary; nothing is measured",
        numbers: numbers(of: shape, run.description.training))
      result.notes = [
        run.description.origin == nil
          ? "The operations of a training step leave out the penalty on latents above the threshold, because their"
            + " number depends on the data; hsae bench counts it."
          : "\(run.name) was imported: the cost of its training is not known."
      ]
      return result
    }
  }

  /// The numbers of a dictionary of `shape`, trained with `configuration`. The numbers of an imported run's
  /// training are NaN.
  static func numbers(
    of shape: DictionaryShape, _ configuration: TrainingConfiguration?
  ) -> [EvaluationNumber] {
    func cost(_ shape: DictionaryShape, ortho: Bool) -> RowCost {
      RowCost(
        shape: shape, batch: configuration?.batch ?? 1,
        precision: configuration?.precision ?? .float32,
        moments: configuration?.moments ?? .float32, ortho: ortho, aboveThreshold: 0)
    }
    let trained = configuration == nil ? Double.nan : 1
    let own = cost(shape, ortho: configuration.map { $0.objective.ortho > 0 } ?? false)
    let flat = cost(shape.flatCounterpart, ortho: false)
    func count(
      _ key: String, _ label: String, _ value: Double, unit: String
    ) -> EvaluationNumber {
      EvaluationNumber(key, label, value, unit: unit, better: .lower, digits: 0)
    }
    return [
      count("parameters", "parameters", Double(shape.parameterCount), unit: ""),
      count(
        "forward_formula", "forward, the paper’s formula", own.paperForward, unit: "operations"),
      count("forward", "forward, as it is done here", own.forward, unit: "operations"),
      EvaluationNumber(
        "encoding_share", "share of the encoder product in the formula",
        own.encoding / own.paperForward),
      EvaluationNumber(
        "forward_over_flat", "forward over a flat one of equal m and k",
        own.paperForward / flat.paperForward, better: .lower),
      count("training", "training step", trained * own.operations, unit: "operations"),
      EvaluationNumber(
        "training_over_flat", "training step over a flat one of equal m and k",
        trained * own.operations / flat.operations, better: .lower),
      count(
        "activated_bytes", "parameters a row activates", own.activatedBytes, unit: "bytes"),
      count("optimizer_bytes", "optimizer pass", trained * own.optimizerBytes, unit: "bytes"),
    ]
  }
}
