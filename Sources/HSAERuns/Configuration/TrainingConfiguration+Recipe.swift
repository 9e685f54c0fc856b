// What is trained, as the settings have it: how options become a selection, prefixes and vectors, which of them
// contradict each other, and the recipe that backends get (`method.md`, "Other selections").

public import HSAEModels
internal import HSAESupport
internal import HSAETensors

extension TrainingConfiguration {
  /// The parts of the settings that a backend needs.
  public var recipe: Recipe {
    Recipe(
      shape: shape, selection: selection, activation: activation, objective: objective,
      vectors: vectors, frozen: frozen, decoderCosine: decoderCosine, precision: precision,
      momentFormat: moments ?? .float32, seed: seed)
  }

  /// How active experts are selected in training.
  public var selection: Selection {
    jumpReLU.map(Selection.jumpReLU) ?? batchTopK.map(Selection.batchTopK) ?? .topK
  }

  /// The same without its settings.
  public var selectionKind: SelectionKind {
    jumpReLU != nil ? .jumpReLU : batchTopK != nil ? .batchTopK : .topK
  }

  /// The vectors that are trained beside the matrices.
  public var vectors: TrainedVectors {
    var result: TrainedVectors = []
    if bias != .none { result.insert(.inputBias) }
    if encoderBias == .zero { result.insert(.encoderBias) }
    if jumpReLU != nil { result.insert(.thresholds) }
    return result
  }

  /// The threshold that a run of these settings begins with: BatchTopK's running threshold, or every θ of JumpReLU.
  public var thresholdStart: Double {
    jumpReLU?.thresholdStart ?? batchTopK?.thresholdStart ?? 0
  }

  /// The selection that `options` ask for, with defaults.
  ///
  /// Those of JumpReLU are SAELens's, which are for rows of norm √d. Where rows have unit norm, what is compared with
  /// a code is divided by √d, and what is compared with a squared error by d.
  static func selection(
    _ options: TrainingOptions, width: Int, seesUnitRows: Bool
  ) -> Selection {
    let scale = seesUnitRows ? 1 / Double(width).squareRoot() : 1
    switch options.activation ?? .topK {
    case .topK: return .topK
    case .batchTopK:
      var result = BatchTopK(active: options.k ?? 1)
      result.thresholdRate = options.thresholdRate ?? result.thresholdRate
      result.thresholdStart = options.thresholdStart ?? result.thresholdStart
      return .batchTopK(result)
    case .jumpReLU:
      let usual = JumpReLU()
      return .jumpReLU(
        JumpReLU(
          bandwidth: options.bandwidth ?? usual.bandwidth * scale,
          thresholdStart: options.jumpThreshold ?? usual.thresholdStart * scale,
          sparsity: options.l0Weight ?? usual.sparsity * scale * scale, target: options.l0Target,
          deadPenalty: options.deadPenalty ?? 0))
    }
  }

  /// The most experts of a row for which there is room, on average over a batch: k, rounded up.
  static func activeExperts(
    _ options: TrainingOptions, of experts: Int
  ) throws(Failure) -> Int {
    let k = options.k ?? 1
    switch options.activation ?? .topK {
    case .topK:
      guard k == k.rounded() else {
        throw .usage(
          "--k \(k.optionText) must be a whole number with --activation topk; batchtopk takes others."
        )
      }
      return Int(k)
    case .batchTopK: return Int(k.rounded(.up))
    case .jumpReLU:
      if let most = options.mostActive {
        guard most <= experts else {
          throw .usage(
            "--most-active \(most) is more than there are latents (--experts \(experts)).")
        }
        return most
      }
      let target = min(options.l0Target ?? 0, Double(max(1, experts)))
      return min(experts, max(256, Int((8 * target).rounded(.up))))
    }
  }

  /// Fails if the file of the initial weights has a vector that these settings do not have. One that the file lacks
  /// begins with its first value, but for the input bias, which would not be 0.
  func requireFit(
    _ initial: TrainedVectors, _ given: TrainingOptions
  ) throws(Failure) {
    let hasBias = initial.contains(.inputBias)
    if hasBias != (bias != .none) {
      throw .usage(
        hasBias
          ? "--bias none contradicts --init, whose file has a bias (b_dec); leave out --bias."
          : "--bias \(bias.rawValue) contradicts --init, whose file has no bias (b_dec).")
    }
    if initial.contains(.encoderBias), given.encoderBias == EncoderBiasOption.none {
      throw .usage(
        "--encoder-bias none contradicts --init, whose file has an encoder bias (b_enc); leave it out."
      )
    }
    if initial.contains(.thresholds), jumpReLU == nil {
      throw .usage(
        "--activation \(selectionKind.rawValue) contradicts --init, whose file has learned thresholds"
          + " (threshold); give --activation jumprelu.")
    }
  }

  /// Sets the prefixes that `options` ask for, and how the auxiliary loss deals with them. The whole dictionary is
  /// always the last prefix. It is no prefix if it is the only one.
  mutating func setPrefixes(_ options: TrainingOptions) throws(Failure) {
    objective.auxkScale = options.auxkScale == .variance ? nil : options.auxkScale
    objective.auxkByPrefix = options.auxkScope == .prefixes ? true : nil
    guard var prefixes = options.matryoshka else { return }
    if let last = prefixes.last, last < shape.experts { prefixes.append(shape.experts) }
    let weights = options.matryoshkaWeights
    if let weights, weights.count != prefixes.count {
      throw .usage(
        "--matryoshka-weights \(weights.optionText) must be \(prefixes.count) numbers, one for each of"
          + " --matryoshka \(prefixes.optionText).")
    }
    if prefixes == [shape.experts], weights == nil { return }
    objective.prefixes = prefixes
    objective.prefixWeights = weights?.map { Float($0) }
  }

  /// What is wrong with the selection, the prefixes and the controls, as a sentence that names the option; nil if
  /// nothing is.
  var recipeComplaint: String? {
    selectionComplaint ?? prefixComplaint ?? controlComplaint
  }

  private var selectionComplaint: String? {
    let kind = selectionKind.rawValue
    if batchTopK != nil, jumpReLU != nil {
      return "Two selections, batchtopk and jumprelu, are set."
    }
    if let batchTopK {
      if batchTopK.thresholdRate > 1 {
        return "--threshold-rate must be at most 1, not \(batchTopK.thresholdRate.optionText)."
      }
      if batchTopK.pairs(rows: batch) < 1 {
        return
          "--k \(batchTopK.active.optionText) with --batch \(batch) leaves no active latent in a batch."
      }
      if Int(batchTopK.active.rounded(.up)) != shape.activeExperts {
        return
          "--k \(batchTopK.active.optionText) is not that of the shape, \(shape.activeExperts)."
      }
    }
    if let jumpReLU {
      if activation.threshold > 0 {
        return
          "--threshold must be 0 with --activation jumprelu, whose thresholds are learned; leave it out."
      }
      if let target = jumpReLU.target {
        if target > Double(shape.experts) {
          return
            "--l0-target \(target.optionText) is more than there are latents (--experts \(shape.experts))."
        }
        if target > Double(shape.activeExperts) {
          return "--most-active \(shape.activeExperts) is below --l0-target \(target.optionText)."
        }
      }
    }
    guard activation.slope > 0 else { return nil }
    if selectionKind != .topK { return "--slope-top must be 0 with --activation \(kind)." }
    return encoderBias == .zero ? "--slope-top must be 0 with --encoder-bias zero." : nil
  }

  private var prefixComplaint: String? {
    guard let prefixes = objective.prefixes else {
      return objective.auxkByPrefix == true ? "--auxk-scope prefixes needs --matryoshka." : nil
    }
    let text = "--matryoshka \(prefixes.optionText)"
    guard let first = prefixes.first, first >= 1 else {
      return "\(text): a prefix must be at least 1."
    }
    if zip(prefixes, prefixes.dropFirst()).contains(where: { $0 >= $1 }) {
      return "\(text): each prefix must be larger than the one before it."
    }
    guard prefixes.last == shape.experts else {
      return "\(text): the largest prefix is the whole dictionary, --experts \(shape.experts)."
    }
    if let weights = objective.prefixWeights, weights.count != prefixes.count {
      return "--matryoshka-weights must be \(prefixes.count) numbers, not \(weights.count)."
    }
    return nil
  }

  private var controlComplaint: String? {
    guard let decoderCosine else { return nil }
    guard decoderCosine > 0, decoderCosine <= 1 else {
      return "--decoder-cosine must be above 0 and at most 1, not \(decoderCosine.optionText)."
    }
    if frozen == .decoder {
      return "--decoder-cosine does not go with --freeze decoder, which keeps every row as it is."
    }
    if initialWeights != nil {
      return
        "--decoder-cosine does not go with --init: the bound is to the rows that the seed draws."
    }
    return nil
  }
}

extension TrainingOptions {
  /// Which of these options, all that are given, do not go together, as a sentence; nil if all do.
  var contradiction: String? {
    let kind = activation ?? .topK
    if kind == .jumpReLU, k != nil {
      return "--k does not go with --activation jumprelu; give --l0-target."
    }
    for option in Self.table where option.isSet(self) {
      if let wanted = option.selection, wanted != kind {
        return "--\(option.name) goes only with --activation \(wanted.rawValue)."
      }
    }
    if matryoshkaWeights != nil, matryoshka == nil {
      return "--matryoshka-weights needs --matryoshka."
    }
    return nil
  }
}
