// How much memory runs need, computed from their configurations before anything is allocated, and which
// options make them fit.

internal import HSAEDistribution
public import HSAEEngine
internal import HSAEModels
public import HSAERuns
internal import HSAESupport
internal import HSAETensors

extension MemoryNeed {
  /// What this process needs to train runs with `configurations` together.
  public init(_ configurations: [TrainingConfiguration], _ resources: TrainingResources) {
    let ranks = resources.ranks
    self.init()
    for configuration in configurations {
      let share = RankShare(shape: configuration.shape, batch: configuration.batch, ranks: ranks)
      self += resources.backend.type.memoryNeed(
        configuration.recipe, share: share, threads: resources.threads)
    }
    for configuration in configurations where configuration.whitening != nil {
      // A checkpoint folds a copy of the weights. Both matrices are there in double precision, and W in single.
      let share = RankShare(shape: configuration.shape, batch: configuration.batch, ranks: ranks)
      weights += 4 * Double(share.ownShape.parameterCount)
      batch += 20 * Double(configuration.shape.width) * Double(configuration.shape.width)
    }
    if let first = configurations.first {
      batch += 4 * Double(first.batch / ranks.copies.size) * Double(first.shape.width)
    }
  }

  /// The need in words: "5.9 GiB needed (weights 1.4 GiB, gradients 1.4 GiB, moments 2.8 GiB, batches 340
  /// MiB, program 64 MiB)".
  public var text: String {
    let parts = [
      ("weights", weights), ("gradients", gradients), ("moments", moments), ("batches", batch),
      ("program", Self.program),
    ].map { "\($0) \(MachineMemory.text($1))" }
    return "\(MachineMemory.text(total)) needed (\(parts.joined(separator: ", ")))"
  }

  /// Why runs with `configurations` do not fit into `memory`, and which options would make them fit; nil if
  /// they fit. `here` is the number of ranks that share this machine's memory.
  static func complaint(
    _ configurations: [TrainingConfiguration], _ resources: TrainingResources,
    memory: MachineMemory, here: Int = 1
  ) -> String? {
    let need = MemoryNeed(configurations, resources)
    guard need.total * Double(here) > memory.limit else { return nil }
    let remedies = remedies(configurations, resources, limit: memory.limit / Double(here))
    let advice =
      remedies.isEmpty
      ? "choose much smaller --experts." : remedies.joined(separator: " or ") + " would fit."
    let each = here > 1 ? " by each of \(here) ranks on this machine" : ""
    return "Training does not fit into memory: \(need.text)\(each), and \(memory.source)"
      + " \(MachineMemory.text(memory.limit)); \(advice)"
  }

  /// Changes after which `configurations` would fit into `limit` bytes, the mildest first.
  private static func remedies(
    _ configurations: [TrainingConfiguration], _ resources: TrainingResources, limit: Double
  ) -> [String] {
    /// `options` and the need after `change`; nil if it does not fit.
    func fitting(
      _ options: String, _ change: (inout TrainingConfiguration) -> Void
    ) -> String? {
      var changed = configurations
      for index in changed.indices { change(&changed[index]) }
      if changed.contains(where: { resources.ranks.complaint($0) != nil }) { return nil }
      let total = MemoryNeed(changed, resources).total
      return total <= limit ? "\(options) (\(MachineMemory.text(total)))" : nil
    }
    /// The same for the largest half, quarter, … of `size` that fits.
    func halved(
      _ options: String, _ size: Int, least: Int,
      _ change: (inout TrainingConfiguration, Int) -> Void
    ) -> String? {
      var size = size / 2
      while size >= least {
        if let text = fitting("\(options) \(size)", { change(&$0, size) }) { return text }
        size /= 2
      }
      return nil
    }
    let (batch, experts) = (configurations[0].batch, configurations[0].shape.experts)
    let hasWideMoments = configurations.contains { $0.moments != .bfloat16 }
    let mild = [
      hasWideMoments ? fitting("--moments bfloat16") { $0.moments = .bfloat16 } : nil,
      halved("--batch", batch, least: 64) { $0.batch = $1 },
    ].compactMap(\.self)
    if !mild.isEmpty { return mild }
    let both = halved("--moments bfloat16 --batch", batch, least: 64) {
      ($0.batch, $0.moments) = ($1, .bfloat16)
    }
    if let both { return [both] }
    if configurations.count > 1 { return ["fewer runs at once"] }
    return [halved("--experts", experts, least: 1) { $0.shape.experts = $1 }].compactMap(\.self)
  }
}
