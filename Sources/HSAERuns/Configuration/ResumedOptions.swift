// Options for a run that has begun: which of them are not what the run was begun with.

internal import HSAEModels
public import HSAESupport
internal import HSAETensors

/// An option that is not what a run was begun with.
public struct OptionDifference: Hashable, Sendable {
  /// The long option, without dashes.
  public let name: String
  /// The value that is given.
  public let given: String
  /// The value of the run; nil if it was begun without the option.
  public let own: String?

  /// A difference in an option that the table of training options does not have.
  public init(name: String, given: String, own: String?) {
    (self.name, self.given, self.own) = (name, given, own)
  }

  /// "--k 32, not 16"; "no --init, not /w.safetensors".
  public var text: String {
    own.map { "--\(name) \($0), not \(given)" } ?? "no --\(name), not \(given)"
  }
}

extension TrainingConfiguration {
  /// Options that resolve to these settings, if the rows are the same.
  package var options: TrainingOptions {
    var options = TrainingOptions()
    options.experts = shape.experts
    addRecipe(to: &options)
    (options.sublatents, options.subspace) = (shape.sublatents, shape.subspace)
    (options.steps, options.batch, options.clip) = (steps, batch, clip)
    (options.seed, options.orderSeed) = (seed, rowSeed)
    options.precision = precision == .float32 ? .float32 : .bfloat16
    options.moments = moments ?? .float32
    (options.order, options.normalize) = (order, normalize)
    (options.bias, options.initialWeights) = (bias, initialWeights)
    options.learningRate = learningRate.peak
    options.learningRateStart = learningRate.start
    options.learningRateFloor = learningRate.floor
    options.schedule = learningRate.form
    (options.warmup, options.regularizerWarmup) = (learningRate.warmup, regularizerWarmup.steps)
    options.threshold = Double(activation.threshold)
    options.thresholdSub = Double(activation.subThreshold)
    (options.slopeTop, options.slopeSub) = (Double(activation.slope), Double(activation.subSlope))
    options.beta = Double(objective.beta)
    options.ortho = Double(objective.ortho)
    (options.l1, options.l1Scope) = (Double(objective.l1), objective.l1Scope)
    options.auxk = Double(objective.auxk)
    options.auxkK = objective.auxk > 0 ? objective.auxkActive : nil
    options.deadWindow = deadWindow
    options.checkpointEvery = checkpointEvery
    options.recordEvery = recordEvery
    options.keep = keep
    return options
  }
}

extension TrainingOptions {
  /// The options given here that are not what `run` was begun with, in the order of the table. Options that are nil
  /// are not compared. The result is empty for the options that the run was begun with.
  ///
  /// `initialWeights` must be an absolute path. Not compared are the tensor and the threads, which are no settings, and
  /// what has no effect: a seed of the order if the order is the file's, and the precision "auto". Fails with `.usage`
  /// if an option has a value that no run can have.
  public func differences(
    from run: TrainingConfiguration
  ) throws(Failure) -> [OptionDifference] {
    if let (name, complaint) = complaint { throw .usage("--\(name) \(complaint)") }
    let own = run.options
    var given = withPreset(of: run)
    if let epochs = given.epochs {
      given.epochs = nil
      let batch = given.batch ?? run.batch
      given.steps =
        TrainingConfiguration.steps(epochs: epochs, rows: run.data.rows, batch: batch) ?? .max
    }
    if given.precision == .auto { given.precision = nil }
    if run.order == .file { given.orderSeed = nil }
    given.auxkK = own.auxkK == nil ? nil : given.auxkK.map { min($0, run.shape.experts) }
    (given.threads, given.tensor) = (nil, nil)
    if run.jumpReLU != nil {
      // JumpReLU does not take these from a preset.
      (given.k, given.l1, given.threshold, given.slopeTop) = (k, l1, threshold, slopeTop)
    }
    given.kSub = run.budgetedSublatents(self, given)
    if run.sublatentBudget != nil {
      // Nor does a budget of sublatents take these.
      (given.thresholdSub, given.slopeSub) = (thresholdSub, slopeSub)
    }
    if let prefixes = given.matryoshka?.numbers {
      if prefixes.last != run.shape.experts {
        given.matryoshka = NumberList(prefixes + [run.shape.experts])
      } else if prefixes.count == 1, given.matryoshkaWeights == nil {
        (given.matryoshka, given.auxkScope) = (nil, nil)
      }
    }
    return Self.table.compactMap { row in
      guard let (value, ownValue) = row.difference(given, own) else { return nil }
      let source =
        row.name == "steps" && epochs != nil
        ? " (--epochs \((epochs ?? 0).optionText))"
        : row.isSet(self) ? "" : " (--preset \(preset?.rawValue ?? ""))"
      return OptionDifference(name: row.name, given: value + source, own: ownValue)
    }
  }

  /// These options and those that their preset sets, with the values they have for a run of the sizes of `run`
  /// (`TrainingConfiguration.init`).
  private func withPreset(of run: TrainingConfiguration) -> TrainingOptions {
    guard var named = preset?.options(isFlat: run.shape.isFlat) else { return self }
    // Sizes come from the file.
    if initialWeights != nil {
      (named.experts, named.sublatents, named.subspace) = (nil, nil, nil)
    }
    let values = filled(from: run.shape.isFlat ? .flatDefaults : TrainingOptions())
      .filled(from: named)
    var result = self
    result.preset = nil
    for row in Self.table where row.isSet(named) { row.fill(&result, values) }
    if learningRateStart == nil, let start = result.learningRateStart {
      result.learningRateStart = min(start, result.learningRate ?? run.learningRate.peak)
    }
    if subspace == nil, let wanted = result.subspace {
      result.subspace = min(wanted, run.shape.width)
    }
    return result
  }
}
