// The values to choose from that options of training have, and lists of numbers.

public import HSAEModels
public import HSAETensors

/// The order in which rows are read.
public enum RowOrder: String, Codable, Sendable, CaseIterable {
  /// Every epoch reads all rows in a new seeded order.
  case shuffled
  /// Every epoch reads chunks in a new seeded order, several at a time, and mixes their rows. This is for rows that
  /// were shuffled when they were written and are too many for random reads from a disk.
  case chunks
  /// As they are stored, again from the start at the end.
  case file
}

/// How a row is scaled before training.
public enum Normalisation: String, Codable, Sendable, CaseIterable {
  /// Not at all. Rows of an activation store are stored at unit norm.
  case none
  /// x / ‖x‖; a row of zeros stays as it is.
  case unit
  /// Rows of an activation store get back the lengths they had in the model; other rows stay as they are.
  case original
  /// Rows of a store get back their lengths; then (x − μ) / (‖x − μ‖ + √(d − 1)·1e-5), with the mean μ of a row's
  /// numbers. Times √(d − 1) this is SAELens's `layer_norm`.
  case layerNorm = "layer-norm"
}

/// The input bias and its first value.
public enum BiasOption: String, Codable, Sendable, CaseIterable {
  /// No bias.
  case none
  /// The geometric median of a sample of rows (Gao et al.).
  case geometricMedian = "geometric-median"
}

/// The arithmetic asked for.
public enum PrecisionOption: String, Codable, Sendable, CaseIterable {
  /// fp32 throughout.
  case float32
  /// Dense products in bf16 with fp32 sums.
  case bfloat16
  /// bf16 where the processor has it.
  case auto
}

/// How the active latents of a row are selected.
public enum SelectionKind: String, Codable, Sendable, CaseIterable {
  /// The k largest codes of each row.
  case topK = "topk"
  /// The k · B largest codes of a batch of B rows.
  case batchTopK = "batchtopk"
  /// Every latent above its own learned threshold.
  case jumpReLU = "jumprelu"
}

/// The encoder bias of the top-level latents, b_enc.
public enum EncoderBiasOption: String, Codable, Sendable, CaseIterable {
  /// No bias.
  case none
  /// A bias that begins at 0, or at what the file of the initial weights has.
  case zero
}

/// The dead latents that explain what is left over in the auxiliary loss.
public enum AuxiliaryScope: String, Codable, Sendable, CaseIterable {
  /// Those of the whole dictionary explain what the whole dictionary left over.
  case all
  /// Those of each prefix explain what that prefix left over.
  case prefixes
}

extension Preset: OptionValue {}
extension RowOrder: OptionValue {}
extension Normalisation: OptionValue {}
extension BiasOption: OptionValue {}
extension PrecisionOption: OptionValue {}
extension Precision: OptionValue {}
extension L1Scope: OptionValue {}
extension LearningRateSchedule.Form: OptionValue {}
extension SelectionKind: OptionValue {}
extension EncoderBiasOption: OptionValue {}
extension AuxiliaryScope: OptionValue {}
extension AuxiliaryScale: OptionValue {}
extension FrozenPart: OptionValue {}

/// A list of numbers: "512,1024" on a command line, a list in a file.
extension Array: OptionValue where Element: OptionValue {
  package init?(option text: String) {
    var result: [Element] = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let element = Element(option: String(part)) else { return nil }
      result.append(element)
    }
    self = result
  }

  package var optionText: String { map(\.optionText).joined(separator: ",") }
}
