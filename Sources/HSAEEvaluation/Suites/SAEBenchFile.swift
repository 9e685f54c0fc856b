// Writes results in the layout of SAEBench 0.6.0, so that its tools can read them. Keys that hsae does not
// measure are left out.

import HSAEModels
public import HSAERuns
import HSAESupport

/// A result in SAEBench's terms, for a suite that SAEBench defines.
public struct SAEBenchMetrics: Hashable, Sendable, Codable {
  /// Numbers by category: "reconstruction_quality" → "explained_variance" → 0.8.
  public var metrics: [String: [String: Double]]
  /// Details, such as a line for each letter.
  public var details: [[String: DetailValue]] = []
  /// SAELens's architecture of the dictionary, as `hsae export` writes it; nil in results of earlier versions.
  public var architecture: SAELensArchitecture?
  /// The number of latents, as SAELens counts them.
  public var latents: Int?

  /// A value in the details.
  public enum DetailValue: Hashable, Sendable, Codable {
    /// A number.
    case number(Double)
    /// A word.
    case text(String)
  }

  /// Metrics of the dictionary of `run`, or of its top level, without details.
  init(metrics: [String: [String: Double]], of run: LoadedRun, topLevelOnly: Bool = false) {
    self.metrics = metrics
    architecture = SAELensArchitecture(
      of: run.dictionary, origin: run.description.origin, topLevelOnly: topLevelOnly)
    latents = run.shape.saeLensLatents(topLevelOnly: topLevelOnly)
  }
}

extension SAEBenchMetrics {
  /// The dictionary of `run` by the names of an exported folder's `cfg.json`.
  fileprivate func configuration(_ run: Evaluation.Run) -> JSONValue {
    let shape = run.shape
    var members: [String: JSONValue] = [
      "d_in": .integer(shape.width), "d_sae": .integer(latents ?? shape.experts),
      "k": .integer(shape.activeExperts), "training_tokens": .integer(run.trainedRows),
    ]
    if let architecture { members["architecture"] = .string(architecture.rawValue) }
    if architecture == .hsae {
      members["n_experts"] = .integer(shape.experts)
      members["n_sublatents"] = .integer(shape.sublatents)
    }
    return .object(members)
  }
}

extension Evaluation {
  /// The files in SAEBench's layout: name and text of each. Runs have the identifier "hsae_NAME";
  /// `milliseconds` is the time since 1970.
  public func saeBenchFiles(milliseconds: Int) -> [(name: String, text: String)] {
    runs.flatMap { run in
      run.results.compactMap { result -> (name: String, text: String)? in
        guard let metrics = result.saeBench else { return nil }
        let details = metrics.details.map { detail in
          JSONValue.object(
            detail.mapValues {
              switch $0 {
              case .number(let number): Self.json(number)
              case .text(let text): .string(text)
              }
            })
        }
        let values = JSONValue.object(
          metrics.metrics.mapValues { .object($0.mapValues(Self.json)) })
        let tree = JSONValue.object([
          "eval_type_id": .string(result.suite),
          "eval_config": .object([
            "random_seed": .integer(Int(truncatingIfNeeded: seed)),
            "evaluated_on": .string(result.evaluatedOn),
          ]),
          "eval_id": .string(Self.identifier(result.suite + run.name + values.text(indent: nil))),
          "datetime_epoch_millis": .integer(milliseconds),
          "eval_result_metrics": values,
          "eval_result_details": .array(details),
          "sae_bench_commit_hash": .string("not SAEBench: hsae evaluate"),
          "sae_lens_id": .string("custom_sae"),
          "sae_lens_release_id": .string("hsae_\(run.name)"),
          "sae_lens_version": .string("not SAELens"),
          "sae_cfg_dict": metrics.configuration(run),
          "eval_result_unstructured": .null,
        ])
        let name = "hsae_\(run.name)_\(result.suite)_eval_results.json"
        return (String(name.map { $0 == "/" ? "_" : $0 }), tree.text(indent: 0) + "\n")
      }
    }
  }

  /// An identifier in the form of a UUID, derived from `content`.
  private static func identifier(_ content: String) -> String {
    let digits = Array(SHA256.hash(content))
    return [0..<8, 8..<12, 12..<16, 16..<20, 20..<32].map { String(digits[$0]) }
      .joined(separator: "-")
  }

  /// A number as SAEBench writes it: -1 if it cannot be computed.
  private static func json(_ number: Double) -> JSONValue {
    number.isFinite ? .number(number) : .number(-1)
  }
}
