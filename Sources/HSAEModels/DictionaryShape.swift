// The sizes of a two-level dictionary and the constants of its activation functions. With the weights, they
// are all that a forward pass needs.

/// The sizes of a dictionary. A flat TopK SAE is a hierarchical one with `sublatents` 0.
///
/// Notation of the paper: d `width`, m `experts`, a `sublatents`, s `subspace`, k `activeExperts`.
public struct DictionaryShape: Hashable, Sendable, Codable {
  /// Width of the rows, d.
  public var width: Int
  /// Number of top-level latents, m; each is also an expert if there are sublatents.
  public var experts: Int
  /// Number of sublatents of each expert, a; 0 for a flat dictionary.
  public var sublatents: Int
  /// Dimension of each expert's subspace, s; 0 exactly when `sublatents` is 0.
  public var subspace: Int
  /// The most experts that are active for one row, k.
  public var activeExperts: Int

  /// A shape; `complaint` says whether it is valid.
  public init(width: Int, experts: Int, sublatents: Int, subspace: Int, activeExperts: Int) {
    self.width = width
    self.experts = experts
    self.sublatents = sublatents
    self.subspace = subspace
    self.activeExperts = activeExperts
  }

  /// Whether there is no second level.
  public var isFlat: Bool { sublatents == 0 }
  /// The rows of an expert's encoder side, and of its decoder side: 1 + s.
  public var rowsPerExpert: Int { 1 + subspace }
  /// The sizes of a flat dictionary with the same number of latents.
  public var flatCounterpart: DictionaryShape {
    var flat = self
    (flat.sublatents, flat.subspace) = (0, 0)
    return flat
  }
  /// The number of trainable numbers, without a bias.
  public var parameterCount: Int {
    experts * (2 * rowsPerExpert * width + 2 * sublatents * subspace)
  }

  /// Why these sizes are not valid, as a sentence that names the option; nil if they are.
  public var complaint: String? {
    if width < 1 { return "The width of the rows must be at least 1, not \(width)." }
    if experts < 1 { return "--experts must be at least 1, not \(experts)." }
    if activeExperts < 1 { return "--k must be at least 1, not \(activeExperts)." }
    if activeExperts > experts {
      return
        "--k \(activeExperts) asks for more active experts than there are (--experts \(experts))."
    }
    if sublatents < 0 { return "--sublatents must not be negative." }
    if subspace < 0 { return "--subspace must not be negative." }
    if (sublatents == 0) != (subspace == 0) {
      return
        "--sublatents \(sublatents) and --subspace \(subspace): both must be 0 (flat) or neither."
    }
    if subspace > width { return "--subspace \(subspace) is wider than the rows (\(width))." }
    let limit = Int(Int32.max)
    guard experts <= limit, width <= 1 << 20, sublatents <= 1 << 20,
      experts.multipliedReportingOverflow(by: max(1, rowsPerExpert * width + sublatents * subspace))
        .overflow == false,
      sublatents == 0 || experts <= limit / sublatents
    else {
      return "A dictionary of \(experts) × \(sublatents) latents of width \(width) is too large."
    }
    return nil
  }
}

/// The leaky threshold functions of both levels (`docs/method.md`, "Forward"): f(u) = u where u ≥ threshold,
/// else slope · u.
public struct ActivationFunction: Hashable, Sendable, Codable {
  /// α of the top level; the paper's is 1/√d, a plain ReLU's 0.
  public var threshold: Float
  /// α of the sublatents; the published code's is 1/√d too.
  public var subThreshold: Float
  /// Slope below the threshold, top level; 0 in the published code.
  public var slope: Float
  /// Slope below the threshold, sublatents; 0.01 in the published code.
  public var subSlope: Float

  /// A function of the given thresholds and slopes.
  public init(threshold: Float, subThreshold: Float, slope: Float = 0, subSlope: Float = 0.01) {
    self.threshold = threshold
    self.subThreshold = subThreshold
    self.slope = slope
    self.subSlope = subSlope
  }

  /// f(u) of the top level.
  @inlinable public func code(_ u: Float) -> Float { u >= threshold ? u : slope * u }
  /// Whether f has slope 1 at u, or at the code u, of the top level.
  @inlinable public func reaches(_ u: Float) -> Bool { u >= threshold }
  /// Whether f has slope 1 at v, or at the code v, of sublatents.
  @inlinable public func reachesSub(_ v: Float) -> Bool { v >= subThreshold }

  /// Why these settings cannot be used, as a sentence that names the option; nil if they can.
  public var complaint: String? {
    for (name, value) in [
      ("--threshold", threshold), ("--threshold-sub", subThreshold), ("--slope-top", slope),
      ("--slope-sub", subSlope),
    ] where !(value >= 0 && value <= 2e30) {
      return "\(name) must be a finite number that is not negative, not \(value)."
    }
    if slope > 1 || subSlope > 1 {
      return "--slope-top and --slope-sub must not exceed 1: codes would lose their order."
    }
    return nil
  }
}
