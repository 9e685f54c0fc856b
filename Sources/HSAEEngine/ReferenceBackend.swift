// The reference implementation as a backend: `ReferenceTrainer` behind `StepBackend`. Tests compare other
// backends with it, and it shows a run without any of the engine's shortcuts. It is thousands of times slower
// than the engine.

public import HSAEModels
public import HSAERuns
internal import HSAESupport
public import HSAETensors

/// Trains with `HSAEModels/Reference`, in double precision, on one thread.
///
/// After every step it rounds the weights and moments to single precision, the format of checkpoints. So a
/// run that was interrupted continues with the same bits.
public final class ReferenceBackend: StepBackend {
  /// What is trained.
  public let recipe: Recipe
  /// The whole dictionary and the whole batch.
  public let share: RankShare
  /// The next batch.
  public var batchRows: Buffer<Float>
  /// Empty: phases are not measured.
  public let phaseSeconds: [(name: String, seconds: Double)] = []

  private var state: TrainingState

  /// A backend that continues from `state`.
  public init(_ state: consuming TrainingState, recipe: Recipe, share: RankShare) {
    precondition(state.shape == share.shape, "The state belongs to other experts.")
    self.recipe = recipe
    self.share = share
    self.state = state
    if case .batchTopK(let settings) = recipe.selection, self.state.step == 0 {
      self.state.batchThreshold = settings.thresholdStart
    }
    batchRows = Buffer(share.batch * share.shape.width)
  }

  /// Why the reference implementation cannot train `recipe`; nil if it can.
  public static func complaint(_ recipe: Recipe, share: RankShare) -> String? {
    if !share.isAlone { return "--backend reference trains in one process; leave out mpirun." }
    if recipe.momentFormat != .float32 {
      return "--backend reference keeps moments in float32; leave out --moments bfloat16."
    }
    if case .thresholds = recipe.selection {
      return "--backend reference cannot train with fixed thresholds of latents."
    }
    if case .jumpReLU = recipe.selection {
      if recipe.objective.l1 > 0 {
        return "--activation jumprelu has a sparsity penalty of its own; set --l1 0."
      }
      if recipe.activation.threshold > 0 || recipe.activation.slope > 0 {
        return "--activation jumprelu learns its thresholds; set --threshold 0 and --slope-top 0."
      }
      if !recipe.vectors.contains(.thresholds) {
        return "--activation jumprelu needs thresholds among the vectors of its recipe."
      }
    }
    return nil
  }

  /// The bytes of weights, gradients and moments in double precision, and of a batch's pre-activations.
  public static func memoryNeed(_ recipe: Recipe, share: RankShare, threads: Int) -> MemoryNeed {
    var need = MemoryNeed()
    let parameters = Double(share.shape.parameterCount)
    (need.weights, need.gradients) = (16 * parameters, 16 * parameters)
    need.moments = 40 * parameters
    let (m, d) = (Double(share.shape.experts), Double(share.shape.width))
    need.batch = Double(share.batch) * (16 * m + 64 * d)
    return need
  }

  /// Lends the state to `body`.
  public func withState<Result, E: Error>(
    _ body: (borrowing TrainingState) throws(E) -> Result
  ) throws(E) -> Result {
    try body(state)
  }

  /// Lets `body` change the weights. Call it before the first step.
  public func changeParameters(_ body: (inout Parameters) -> Void) { body(&state.parameters) }

  /// Takes one step on the batch.
  public func step(_ settings: StepSettings) -> StepReport {
    let subThreshold = recipe.sublatentBudget.map { _ in Double(Float(state.subThreshold)) }
    var reference = ReferenceSettings(
      recipe, regularizerScale: settings.regularizerScale, subThreshold: subThreshold)
    // Without the penalty there is no pass over all latents, so the report sums over the active ones.
    if recipe.objective.l1 == 0 { reference.scope = .topK }
    if reference.auxiliary > 0 || reference.jumpDead > 0 {
      reference.dead = (0..<recipe.shape.experts).map {
        state.usage.isDead($0, window: settings.deadWindow)
      }
    }
    let rows = batchRows.elements.prefix(share.batch * recipe.shape.width).map(Double.init)
    var trainer = ReferenceTrainer(state)
    let step = trainer.step(
      rows, reference, learningRate: Double(settings.learningRate), clip: Double(settings.clip))
    let report = self.report(step, reference, settings, rows)
    guard report.loss.isFinite, report.gradientNorm.isFinite else { return report }
    var next = trainer.state()
    next.usage = state.usage
    (next.batchThreshold, next.subThreshold) = (state.batchThreshold, state.subThreshold)
    state = next
    countUsage(step.pass, subThreshold: reference.subThreshold)
    var result = report
    if case .batchTopK(let batchTopK) = recipe.selection {
      let least = step.pass.codes.joined().map(\.value).min()
      state.batchThreshold = batchTopK.threshold(after: state.batchThreshold, least: least)
      result.threshold = state.batchThreshold
    }
    if let budget = recipe.sublatentBudget {
      let active = step.pass.codes.joined().map(\.subValue)
        .filter { $0 > 0 && $0 >= reference.subThreshold }
      state.subThreshold = budget.threshold(
        after: state.subThreshold, count: active.count, sum: active.reduce(0, +), rows: share.batch)
      result.subL0 = Double(active.count) / Double(share.batch)
      result.subThreshold = state.subThreshold
    }
    return result
  }

  private func report(
    _ step: ReferenceStep, _ reference: ReferenceSettings, _ settings: StepSettings,
    _ rows: [Double]
  ) -> StepReport {
    let (m, batch) = (recipe.shape.experts, Double(share.batch))
    var report = StepReport()
    report.loss = step.loss.total
    report.reconstruction = step.loss.reconstruction
    report.topReconstruction = step.loss.topLevel
    report.ortho = reference.orthogonality > 0 || m == 1 ? step.loss.orthogonality : .nan
    report.l1 = step.loss.sparsity
    report.auxk = step.loss.auxiliary
    report.auxkLatents = reference.dead.count { $0 }
    report.gradientNorm = step.gradientNorm
    report.jumpPenalty = step.loss.jump
    if case .jumpReLU = recipe.selection {
      let thresholds = state.parameters.thresholds.elements
      report.threshold = thresholds.reduce(0) { $0 + Double($1) } / Double(thresholds.count)
    }
    report.l0 = Double(step.pass.codes.reduce(0) { $0 + $1.count }) / batch
    if recipe.objective.penalisesAll {
      let above = step.pass.preActivations.count { $0 >= reference.threshold }
      report.aboveThreshold = Double(above) / batch / Double(m)
    }
    if settings.wantsVariance {
      report.explainedVariance =
        1 - step.loss.reconstruction * batch / variance(rows, reference)
    }
    return report
  }

  /// Σ‖x − x̄‖² of the batch, in the recipe's inner product, with x̄ its mean; NaN if all rows are equal.
  private func variance(_ rows: [Double], _ settings: ReferenceSettings) -> Double {
    let d = recipe.shape.width
    var means = [Double](repeating: 0, count: d)
    for index in rows.indices { means[index % d] += rows[index] / Double(share.batch) }
    func squares(_ center: [Double]) -> Double {
      (0..<share.batch).reduce(0.0) { sum, row in
        let difference = (0..<d).map { rows[row * d + $0] - center[$0] }
        return sum + zip(difference, settings.measured(difference)).reduce(0) { $0 + $1.0 * $1.1 }
      }
    }
    let spread = squares(means)
    return spread > squares([Double](repeating: 0, count: d)) * 1e-6 ? spread : .nan
  }

  private func countUsage(_ pass: ReferenceForward, subThreshold: Double) {
    let (m, a) = (recipe.shape.experts, recipe.shape.sublatents)
    var counts = [Float](repeating: 0, count: m * (1 + a))
    for code in pass.codes.joined() {
      counts[code.expert] += 1
      if a > 0, code.subValue >= subThreshold {
        counts[m + code.expert * a + code.sublatent] += 1
      }
    }
    state.usage.count(rows: share.batch, counts)
  }
}
