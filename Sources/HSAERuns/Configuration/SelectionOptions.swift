// The options of recipes other than the paper's: how latents are selected, Matryoshka prefixes, and controls. Here are
// the types of their values, and how options become the settings of a run.

public import HSAEModels
internal import HSAESupport

/// How active latents are selected.
public enum SelectionOption: String, Codable, Sendable, CaseIterable {
  /// The k largest codes of each row.
  case topk
  /// The k · B largest codes of a batch.
  case batchtopk
  /// All codes above learned thresholds.
  case jumprelu
}

/// The encoder bias of the top-level latents and its first value.
public enum EncoderBiasOption: String, Codable, Sendable, CaseIterable {
  /// No encoder bias.
  case none
  /// An encoder bias that begins with 0.
  case zero
}

/// The dead latents and the errors of the auxiliary loss.
public enum AuxiliaryScope: String, Codable, Sendable, CaseIterable {
  /// All dead latents explain the error of the whole dictionary.
  case all
  /// The dead latents of each prefix explain what that prefix leaves over.
  case prefixes
}

extension SelectionOption: OptionValue {}
extension AuxiliaryScope: OptionValue {}
extension EncoderBiasOption: OptionValue {}
extension FrozenPart: OptionValue {}
extension AuxiliaryScale: OptionValue {}

/// Numbers that the command line separates by commas or, where a comma has another meaning, by slashes. A file of
/// options has an array.
public struct NumberList<Number: LosslessStringConvertible & Codable & Hashable & Sendable>:
  Hashable, Sendable, Codable, ExpressibleByArrayLiteral
{
  /// The numbers.
  public var numbers: [Number]

  /// A list of `numbers`.
  public init(_ numbers: [Number]) { self.numbers = numbers }

  /// A list of `elements`.
  public init(arrayLiteral elements: Number...) { numbers = elements }

  /// Reads an array.
  public init(from decoder: any Decoder) throws {
    numbers = try decoder.singleValueContainer().decode([Number].self)
  }

  /// Writes an array.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(numbers)
  }
}

extension NumberList: OptionValue {
  package init?(option text: String) {
    let parts = text.split(omittingEmptySubsequences: false) { $0 == "," || $0 == "/" }
    let numbers = parts.compactMap { Number(String($0)) }
    guard numbers.count == parts.count else { return nil }
    self.numbers = numbers
  }

  package var optionText: String {
    numbers.map { ($0 as? any OptionValue)?.optionText ?? "\($0)" }.joined(separator: ",")
  }
}

extension TrainingConfiguration {
  /// How latents are selected in training.
  public var selection: Selection {
    if let batchTopK { return .batchTopK(batchTopK) }
    if let jumpReLU { return .jumpReLU(jumpReLU) }
    return .topK
  }

  /// The active experts of a row that training aims at: k, its mean rounded up for BatchTopK, the target of JumpReLU, or
  /// without a target the room for them.
  public var usualActive: Int {
    jumpReLU?.target.map { min(shape.experts, Int($0.rounded(.up))) } ?? shape.activeExperts
  }

  /// The vectors that are trained beside the matrices.
  public var vectors: TrainedVectors {
    var result: TrainedVectors = []
    if bias != .none { result.insert(.inputBias) }
    if encoderBias == .zero { result.insert(.encoderBias) }
    if jumpReLU != nil { result.insert(.thresholds) }
    return result
  }

  /// The most active sublatents of a row, on average: one for each active expert.
  var mostSublatents: Double { batchTopK?.active ?? Double(shape.activeExperts) }

  /// The sublatents of a row that `given` sets as a budget, or else the preset among `options`: at most one for each
  /// active expert, and none for a flat dictionary.
  func budgetedSublatents(_ given: TrainingOptions, _ options: TrainingOptions) -> Double? {
    given.kSub ?? (shape.isFlat ? nil : options.kSub.map { min($0, mostSublatents) })
  }

  /// Sets what `given`, with the defaults in `options`, says of selection, prefixes and controls. The shape has its
  /// sizes already. `seesUnitRows`: the dictionary's rows have unit norm.
  mutating func setRecipe(
    _ given: TrainingOptions, _ options: TrainingOptions, seesUnitRows: Bool
  ) throws(Failure) {
    let kind = options.activation ?? .topk
    for (owner, names) in Self.ownOptions where owner != kind {
      for row in TrainingOptions.table where names.contains(row.name) && row.isSet(given) {
        throw .usage("--\(row.name) needs --activation \(owner.rawValue).")
      }
    }
    // SAELens's settings of jumprelu are for rows of norm √d.
    let root = seesUnitRows ? 1 / Double(shape.width).squareRoot() : 1
    switch kind {
    case .topk: break
    case .batchtopk:
      batchTopK = BatchTopK(
        active: options.k ?? 1, thresholdRate: options.batchTopKRate ?? 0.01,
        thresholdStart: options.batchTopKStart ?? 0)
    case .jumprelu:
      if given.k != nil {
        throw .usage("--k does not go with --activation jumprelu; say how many with --l0-target.")
      }
      if let l1 = given.l1, l1 > 0 {
        throw .usage(
          "--l1 does not go with --activation jumprelu, which has a sparsity penalty of its own"
            + " (--l0-weight); leave it out.")
      }
      if (given.threshold ?? 0) > 0 || (given.slopeTop ?? 0) > 0 {
        throw .usage(
          "--threshold and --slope-top do not go with --activation jumprelu, whose thresholds are learned;"
            + " leave them out.")
      }
      (objective.l1, activation.threshold, activation.slope) = (0, 0, 0)
      jumpReLU = JumpReLU(
        bandwidth: options.jumpBandwidth ?? 0.05 * root,
        thresholdStart: options.jumpStart ?? 0.01 * root,
        sparsity: options.l0Weight ?? root * root, target: options.l0Target,
        deadPenalty: options.deadPenalty ?? 0)
      let most = options.l0Target.map { Int(min(4 * $0, 1e6)) + 64 } ?? 512
      shape.activeExperts = min(shape.experts, options.mostActive ?? most)
    }
    if let active = budgetedSublatents(given, options) {
      if (given.thresholdSub ?? 0) > 0 || (given.slopeSub ?? 0) > 0 {
        let source =
          given.kSub == nil ? given.preset.map { " (set by --preset \($0.rawValue))" } ?? "" : ""
        throw .usage(
          "--threshold-sub and --slope-sub do not go with --k-sub\(source), which sets one threshold for all"
            + " sublatents; leave them out.")
      }
      (activation.subThreshold, activation.subSlope) = (0, 0)
      sublatentBudget = SublatentBudget(active: active)
    }
    encoderBias = options.encoderBias ?? (kind == .jumprelu ? .zero : EncoderBiasOption.none)
    if encoderBias == EncoderBiasOption.none { encoderBias = nil }
    objective.auxkScale = options.auxkScale == .variance ? nil : options.auxkScale
    if let prefixes = options.matryoshka?.numbers {
      objective.prefixes = prefixes.last == shape.experts ? prefixes : prefixes + [shape.experts]
      objective.prefixWeights = options.matryoshkaWeights?.numbers.map(Float.init)
      objective.auxkByPrefix = options.auxkScope == .prefixes ? true : nil
      // The whole dictionary alone is no prefix.
      if prefixes == [shape.experts], options.matryoshkaWeights == nil {
        (objective.prefixes, objective.auxkByPrefix) = (nil, nil)
      }
    } else if options.matryoshkaWeights != nil {
      throw .usage("--matryoshka-weights needs --matryoshka.")
    } else if options.auxkScope == .prefixes {
      throw .usage("--auxk-scope prefixes needs --matryoshka.")
    }
    (freeze, decoderCosine) = (options.freeze, options.decoderCosine)
    if decoderCosine != nil, options.initialWeights != nil {
      throw .usage(
        "--decoder-cosine compares with the rows that --seed draws, and --init gives others; leave one out."
      )
    }
  }

  /// The whitening that `options` ask for. Fails with `.usage` if `given` sets a part of it and there is none.
  static func whitening(
    _ given: TrainingOptions, _ options: TrainingOptions
  ) throws(Failure) -> WhiteningSettings? {
    let source: WhiteningSettings.Source
    switch options.whiten ?? WhitenOption.none {
    case .none:
      if given.whitenLoss != nil || given.whitenRidge != nil {
        throw .usage(
          "--whiten-loss and --whiten-ridge need --whiten activations or --whiten unembedding.")
      }
      return nil
    case .activations: source = .activations
    case .unembedding: source = .unembedding
    }
    return WhiteningSettings(
      source: source, loss: options.whitenLoss ?? .whitened,
      ridge: options.whitenRidge ?? WhiteningSettings.defaultRidge)
  }

  /// The options that belong to one kind of selection.
  private static let ownOptions: [(SelectionOption, [String])] = [
    (.batchtopk, ["batchtopk-rate", "batchtopk-start"]),
    (
      .jumprelu,
      [
        "jumprelu-bandwidth", "jumprelu-start", "l0-weight", "l0-target", "dead-penalty",
        "most-active",
      ]
    ),
  ]

  /// What is wrong with the settings of selection, prefixes and controls, as a sentence that names the option.
  var recipeComplaint: String? {
    if batchTopK != nil, jumpReLU != nil { return "A run has one --activation, not two." }
    if let batchTopK {
      let k = batchTopK.active
      if !(k > 0 && k <= Double(shape.experts)) {
        return "--k must be above 0 and at most --experts \(shape.experts), not \(k.optionText)."
      }
      if batchTopK.pairs(rows: batch) < 1 {
        return "--k \(k.optionText) with --batch \(batch) leaves no active latent in a batch."
      }
      if !(batchTopK.thresholdRate > 0 && batchTopK.thresholdRate <= 1) {
        return "--batchtopk-rate must be above 0 and at most 1."
      }
      if Int(k.rounded(.up)) != shape.activeExperts {
        return "--k \(k.optionText) is not that of the shape, \(shape.activeExperts)."
      }
    }
    if let budget = sublatentBudget {
      let text = "--k-sub \(budget.active.optionText)"
      if shape.isFlat { return "\(text) needs sublatents, and a flat dictionary has none." }
      if !(budget.active > 0 && budget.active <= mostSublatents) {
        return
          "\(text) must be above 0 and at most \(mostSublatents.optionText), one for each active expert."
      }
      if !(budget.rate > 0 && budget.rate <= 1) { return "The rate of --k-sub must be in (0, 1]." }
      if activation.subSlope > 0 || activation.subThreshold > 0 {
        return "\(text) needs --slope-sub 0 and --threshold-sub 0."
      }
    }
    if let target = jumpReLU?.target {
      if target > Double(shape.experts) {
        return
          "--l0-target \(target.optionText) asks for more active latents than there are (--experts \(shape.experts))."
      }
      if target > Double(shape.activeExperts) {
        return "--most-active \(shape.activeExperts) is below --l0-target \(target.optionText)."
      }
    }
    if activation.slope > 0, encoderBias != nil || batchTopK != nil {
      return
        "--slope-top goes with --activation topk without an encoder bias only; leave it out."
    }
    if let complaint = prefixComplaint { return complaint }
    if let cosine = decoderCosine {
      if !(cosine > 0 && cosine <= 1) { return "--decoder-cosine must be above 0 and at most 1." }
      if freeze == .decoder {
        return "--decoder-cosine has no effect with --freeze decoder; leave one out."
      }
    }
    return nil
  }

  private var prefixComplaint: String? {
    guard let prefixes = objective.prefixes else { return nil }
    let text = NumberList(prefixes).optionText
    for (before, next) in zip([0] + prefixes, prefixes) where next <= before {
      return "--matryoshka \(text): the numbers must grow, and \(next) follows \(before)."
    }
    if prefixes.last != shape.experts {
      return "--matryoshka \(text) goes beyond --experts \(shape.experts)."
    }
    guard let weights = objective.prefixWeights else { return nil }
    if weights.count != prefixes.count {
      return
        "--matryoshka-weights has \(weights.count) numbers for \(prefixes.count) prefixes (\(text)); give one for each."
    }
    if !weights.allSatisfy({ $0 >= 0 && $0 <= 1e30 }) || !((weights.last ?? 0) > 0) {
      return "--matryoshka-weights must be numbers from 0 to 1e30, and the last must be above 0."
    }
    if objective.auxkByPrefix == true, weights.contains(0) {
      return "--auxk-scope prefixes needs --matryoshka-weights above 0."
    }
    return nil
  }

  /// Options that resolve to these settings of selection, prefixes and controls.
  func addRecipe(to options: inout TrainingOptions) {
    options.activation =
      batchTopK != nil ? .batchtopk : jumpReLU != nil ? .jumprelu : SelectionOption.topk
    options.k = batchTopK?.active ?? (jumpReLU == nil ? Double(shape.activeExperts) : nil)
    (options.batchTopKRate, options.batchTopKStart) = (
      batchTopK?.thresholdRate, batchTopK?.thresholdStart
    )
    if let jumpReLU {
      (options.jumpBandwidth, options.jumpStart) = (jumpReLU.bandwidth, jumpReLU.thresholdStart)
      (options.l0Weight, options.l0Target) = (jumpReLU.sparsity, jumpReLU.target)
      (options.deadPenalty, options.mostActive) = (jumpReLU.deadPenalty, shape.activeExperts)
    }
    options.kSub = sublatentBudget?.active
    options.encoderBias = encoderBias ?? EncoderBiasOption.none
    options.auxkScale = objective.auxkScale ?? .variance
    options.auxkScope = objective.auxkByPrefix == true ? .prefixes : AuxiliaryScope.all
    options.matryoshka = objective.prefixes.map { NumberList($0) }
    options.matryoshkaWeights = objective.prefixWeights.map { NumberList($0.map(Double.init)) }
    (options.freeze, options.decoderCosine) = (freeze, decoderCosine)
    options.whiten =
      switch whitening?.source {
      case .activations: .activations
      case .unembedding: .unembedding
      case nil: WhitenOption.none
      }
    (options.whitenLoss, options.whitenRidge) = (whitening?.loss, whitening?.ridge)
  }
}

extension TrainingOptions {
  /// These options over `other`: a command line over a file, or the settings of a run over those of the run beside it.
  /// They are ``filled(from:)`` it, but where they name another selection or control, what belongs to that of `other`
  /// is left out.
  public func given(over other: TrainingOptions) -> TrainingOptions {
    var other = other
    if let activation, activation != (other.activation ?? .topk) {
      if activation != .batchtopk { (other.batchTopKRate, other.batchTopKStart) = (nil, nil) }
      if activation == .jumprelu {
        (other.k, other.l1, other.threshold, other.slopeTop) = (nil, nil, nil, nil)
      } else {
        (other.jumpBandwidth, other.jumpStart, other.deadPenalty) = (nil, nil, nil)
        (other.l0Weight, other.l0Target, other.mostActive) = (nil, nil, nil)
      }
    }
    if kSub != nil { (other.thresholdSub, other.slopeSub) = (nil, nil) }
    if thresholdSub != nil || slopeSub != nil || sublatents == 0 || subspace == 0 {
      other.kSub = nil
    }
    if whiten == WhitenOption.none { (other.whitenLoss, other.whitenRidge) = (nil, nil) }
    if freeze == .decoder { other.decoderCosine = nil }
    if decoderCosine != nil, other.freeze == .decoder { other.freeze = nil }
    // Weights of other prefixes.
    if let matryoshka, matryoshka.numbers.count != other.matryoshkaWeights?.numbers.count {
      other.matryoshkaWeights = nil
    }
    return filled(from: other)
  }
}
