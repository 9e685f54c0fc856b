// A record of a run and the table of its metrics. `metrics.jsonl`, TensorBoard and the curves of the report follow
// from the table; docs/formats.md lists it. A new metric is a property and a row here.

package import HSAEModels

/// One record of a run: what was measured at one step.
public struct MetricsRecord: Hashable, Sendable {
  /// Steps done, this one included.
  public var step = 0
  /// Rows trained on.
  public var tokens = 0
  /// The whole loss, with the coefficients in force.
  public var loss = 0.0
  /// Mean ‖x − x̂‖².
  public var reconstruction = 0.0
  /// Mean ‖x − x̂_high‖².
  public var topReconstruction = 0.0
  /// L_ortho, unweighted; nil if its weight was 0.
  public var ortho: Double?
  /// L_sparse, unweighted.
  public var l1 = 0.0
  /// The auxiliary loss, unweighted.
  public var auxk = 0.0
  /// 1 − Σ‖x−x̂‖² / Σ‖x−x̄‖² on this batch of training rows. It is a share of the batch's variance, so it is nil if
  /// all rows are equal, as in a batch of one row.
  public var explainedVariance: Double?
  /// Mean number of active experts.
  public var l0 = 0.0
  /// JumpReLU's penalties on active and on dead latents, with their weights; nil for other selections.
  public var jumpPenalty: Double?
  /// The running threshold of BatchTopK, or the mean threshold of JumpReLU; nil for other selections.
  public var threshold: Double?
  /// Mean number of active sublatents; nil without a budget of them.
  public var subL0: Double?
  /// The threshold of sublatents; nil without a budget of them.
  public var subThreshold: Double?
  /// Mean share of latents at or above the threshold; nil unless the sparsity penalty reaches all latents.
  public var aboveThreshold: Double?
  /// Latents that were not active for any of the last million rows; 0 until a million rows were seen.
  public var deadLatents = 0
  /// Sublatents that were not active for any of the last million rows; 0 until a million rows were seen.
  public var deadSublatents = 0
  /// The learning rate of this step.
  public var learningRate = 0.0
  /// Global norm of the gradient, before clipping.
  public var gradientNorm = 0.0
  /// Rows per second since the last record.
  public var tokensPerSecond = 0.0
  /// Seconds of training so far.
  public var seconds = 0.0

  /// A record of zeros.
  public init() {}

  /// The table: one row for each metric.
  package static let fields: [MetricsField] = [
    .init("step", \.step, "steps done, this one included"),
    .init("tokens", \.tokens, "rows trained on", tag: "training/rows"),
    .init(
      "reconstruction", \.reconstruction, "mean ‖x − x̂‖² of the batch's rows",
      tag: "loss/reconstruction", curve: MetricsCurve("Squared error per row")),
    .init(
      "topReconstruction", \.topReconstruction, "mean ‖x − x̂_high‖², the top level alone",
      tag: "loss/top_reconstruction",
      curve: MetricsCurve(
        "Squared error per row", part: "top level", isSecond: true,
        titleAlone: "Squared error, top level alone")),
    .init(
      "loss", \.loss, "the whole loss, with the coefficients in force", tag: "loss/total",
      curve: MetricsCurve("Loss, each run’s own objective")),
    .init(
      "ortho", \.ortho, "L_ortho, unweighted; absent if its weight was 0",
      tag: "loss/orthogonality"),
    .init("l1", \.l1, "L_sparse, unweighted", tag: "loss/l1"),
    .init("auxk", \.auxk, "the auxiliary loss, unweighted", tag: "loss/auxk"),
    .init(
      "explainedVariance", \.explainedVariance,
      "1 − Σ‖x−x̂‖² / Σ‖x−x̄‖² on the batch; absent if all its rows are equal",
      tag: "quality/explained_variance"),
    .init("l0", \.l0, "mean number of active experts of a row", tag: "latents/l0"),
    .init(
      "jumpPenalty", \.jumpPenalty,
      "JumpReLU's penalties on active and on dead latents, weighted; absent for other selections",
      tag: "loss/jump_penalty"),
    .init(
      "threshold", \.threshold,
      "running threshold of BatchTopK, or the mean θ of JumpReLU; absent for other selections",
      tag: "latents/threshold"),
    .init(
      "subL0", \.subL0,
      "mean number of active sublatents of a row; absent without a budget of them (`--k-sub`)",
      tag: "latents/sub_l0"),
    .init(
      "subThreshold", \.subThreshold,
      "the threshold of sublatents that follows their budget; absent without one",
      tag: "latents/sub_threshold"),
    .init(
      "aboveThreshold", \.aboveThreshold,
      "mean share of latents at or above the threshold; absent unless the sparsity penalty reaches all",
      tag: "latents/above_threshold"),
    .init(
      "deadLatents", \.deadLatents,
      "latents that were not active for any of the last million rows; 0 until a million were seen",
      tag: "latents/dead",
      curve: MetricsCurve("Dead while training, %", part: "latents", percentOf: { $0.experts })),
    .init(
      "deadSublatents", \.deadSublatents,
      "sublatents that were not active for any of the last million rows; 0 until a million were seen",
      tag: "latents/dead_sublatents",
      curve: MetricsCurve(
        "Dead while training, %", part: "sublatents", isSecond: true,
        percentOf: { $0.experts * $0.sublatents })),
    .init(
      "learningRate", \.learningRate, "the learning rate of the step",
      tag: "training/learning_rate"),
    .init(
      "gradientNorm", \.gradientNorm, "global norm of the gradient, before clipping",
      tag: "training/gradient_norm"),
    .init(
      "tokensPerSecond", \.tokensPerSecond, "rows per second since the last record",
      tag: "training/rows_per_second"),
    .init("seconds", \.seconds, "seconds of training so far"),
  ]
}

extension MetricsRecord: Codable {
  /// Reads a record. All but its step may be missing, as in records of versions that did not have a metric yet.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: NameKey.self)
    step = try values.decode(Int.self, forKey: NameKey(stringValue: "step"))
    for field in Self.fields { try field.decode(&self, values) }
  }

  /// Writes the metrics that have a value.
  public func encode(to encoder: any Encoder) throws {
    var values = encoder.container(keyedBy: NameKey.self)
    for field in Self.fields { try field.encode(self, &values) }
  }
}

/// A metric of a record.
package struct MetricsField: Sendable {
  /// The key in `metrics.jsonl`.
  package let key: String
  /// What it is, with its unit, as in docs/formats.md.
  package let meaning: String
  /// The tag in TensorBoard; nil if it is not written there.
  package let tag: String?
  /// How the report draws it; nil if it does not.
  package let curve: MetricsCurve?
  /// The value in a record; nil if it is absent.
  package let number: @Sendable (MetricsRecord) -> Double?
  fileprivate let decode:
    @Sendable (inout MetricsRecord, KeyedDecodingContainer<NameKey>) throws -> Void
  fileprivate let encode:
    @Sendable (MetricsRecord, inout KeyedEncodingContainer<NameKey>) throws -> Void

  fileprivate init<Value: MetricsValue>(
    _ key: String, _ path: any WritableKeyPath<MetricsRecord, Value> & Sendable,
    _ meaning: String, tag: String? = nil, curve: MetricsCurve? = nil
  ) {
    (self.key, self.meaning, self.tag, self.curve) = (key, meaning, tag, curve)
    let name = NameKey(stringValue: key)
    number = { $0[keyPath: path].number }
    decode = {
      if let value = try $1.decodeIfPresent(Value.self, forKey: name) { $0[keyPath: path] = value }
    }
    encode = { try $1.encode($0[keyPath: path], forKey: name) }
  }

  fileprivate init<Value: MetricsValue>(
    _ key: String, _ path: any WritableKeyPath<MetricsRecord, Value?> & Sendable,
    _ meaning: String, tag: String? = nil, curve: MetricsCurve? = nil
  ) {
    (self.key, self.meaning, self.tag, self.curve) = (key, meaning, tag, curve)
    let name = NameKey(stringValue: key)
    number = { $0[keyPath: path]?.number }
    decode = { $0[keyPath: path] = try $1.decodeIfPresent(Value.self, forKey: name) }
    encode = { try $1.encodeIfPresent($0[keyPath: path], forKey: name) }
  }
}

/// A whole or decimal number.
private protocol MetricsValue: Codable, Sendable { var number: Double { get } }
extension Int: MetricsValue { fileprivate var number: Double { Double(self) } }
extension Double: MetricsValue { fileprivate var number: Double { self } }

/// How the report draws a metric over the steps.
package struct MetricsCurve: Sendable {
  /// The title of the chart, which several metrics may share.
  package let title: String
  /// What the curve is called beside another one of the same run; nil: by the run's name alone.
  package let part: String?
  /// Whether the curve is a dashed one beside the first, of hierarchical dictionaries only.
  package let isSecond: Bool
  /// The title of the chart of this metric alone, if many runs leave no room for second curves.
  package let titleAlone: String?
  /// The number of latents that the metric is drawn as a percentage of.
  package let percentOf: (@Sendable (DictionaryShape) -> Int)?

  fileprivate init(
    _ title: String, part: String? = nil, isSecond: Bool = false, titleAlone: String? = nil,
    percentOf: (@Sendable (DictionaryShape) -> Int)? = nil
  ) {
    (self.title, self.part, self.isSecond) = (title, part, isSecond)
    (self.titleAlone, self.percentOf) = (titleAlone, percentOf)
  }
}
