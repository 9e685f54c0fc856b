// The options of `hsae train` on the command line. Each sets the member of `TrainingOptions` that has the same
// name in a configuration file.

public import ArgumentParser
public import HSAEActivations
public import HSAEEngine
public import HSAEModels
import HSAESupport
public import HSAETensors
public import HSAERuns
internal import HSAETraining

struct TrainingArguments: ParsableArguments {
  @Option(help: "Named settings for options that are not given; the README lists their sizes.")
  var preset: Preset?

  @Option(help: "Top-level latents, m (16k is 16384).")
  var experts: String?

  @Option(help: "Sublatents of each expert, a; 0 for a flat dictionary.")
  var sublatents: Int?

  @Option(help: "Dimension of each expert's subspace, s.")
  var subspace: Int?

  @Option(help: "Active experts for each row, k.")
  var k: Int?

  @Option(help: "Length of the run in steps.")
  var steps: String?

  @Option(help: "Length of the run in passes over the data (default 4).")
  var epochs: Double?

  @Option(help: "Rows in a batch.")
  var batch: String?

  @Option(help: "Seed of the weights and of the order of rows (default 0).")
  var seed: UInt64?

  @Option(help: "Seed of the order of rows alone (default: --seed).")
  var orderSeed: UInt64?

  @Option(help: "Arithmetic of dense products: float32, bfloat16 or auto.")
  var precision: PrecisionOption?

  @Option(help: "Format of Adam's moments: float32 (default) or bfloat16, which halves them.")
  var moments: Precision?

  @Option(help: "Order of rows: shuffled, or file (as stored, again from the start at the end).")
  var order: RowOrder?

  @Option(help: "Normalisation of rows: none or unit.")
  var normalize: Normalisation?

  @Option(
    name: .customLong("init"), help: "Take sizes and weights from a .safetensors file.",
    completion: .file(extensions: ["safetensors"]))
  var initialWeights: String?

  @Option(help: "Peak learning rate.")
  var learningRate: Double?

  @Option(help: "Learning rate of the first step, if there is a warm-up.")
  var learningRateStart: Double?

  @Option(help: "Learning rate at the end of the cosine, as a fraction of the peak.")
  var learningRateFloor: Double?

  @Option(help: "Steps of the learning rate's warm-up.")
  var warmup: String?

  @Option(help: "What follows the warm-up: cosine or constant.")
  var schedule: LearningRateSchedule.Form?

  @Option(help: "Largest global norm of the gradient; 0 for none.")
  var clip: Double?

  @Option(help: "Weight of the top level's own error, β.")
  var beta: Double?

  @Option(help: "Weight of the bi-orthogonality penalty, λ₁.")
  var ortho: Double?

  @Option(help: "Weight of the sparsity penalty, λ₂.")
  var l1: Double?

  @Option(name: .customLong("l1-scope"), help: "Latents the sparsity penalty reaches: all or topk.")
  var l1Scope: L1Scope?

  @Option(help: "Steps over which λ₁ and λ₂ grow from 0.")
  var regularizerWarmup: String?

  @Option(help: "Threshold of latents, α (default 1/√d; flat: 0).")
  var threshold: Double?

  @Option(help: "Threshold of sublatents (default 1/√d).")
  var thresholdSub: Double?

  @Option(help: "Slope below the threshold, latents (default 0).")
  var slopeTop: Double?

  @Option(help: "Slope below the threshold, sublatents (default 0.01).")
  var slopeSub: Double?

  @Option(help: "Input bias: none or geometric-median.")
  var bias: BiasOption?

  @Option(help: "Weight of the auxiliary loss of dead latents (flat: 1/30, else 0).")
  var auxk: Double?

  @Option(help: "Dead latents that may explain one row's error (default d/2).")
  var auxkK: Int?

  @Option(help: "Rows without activity after which the auxiliary loss takes a latent for dead.")
  var deadWindow: String?

  @Option(help: "Steps between checkpoints (default 1000); 0 for only one at the end.")
  var checkpointEvery: String?

  @Option(help: "Steps between records in metrics.jsonl.")
  var recordEvery: String?

  @Option(help: "Checkpoints kept (default 2).")
  var keep: Int?

  /// The options as the library takes them.
  func options() throws(Failure) -> TrainingOptions {
    var options = TrainingOptions()
    options.preset = preset
    options.experts = try size(experts, "--experts", SizeArgument.dictionarySize)
    options.sublatents = sublatents
    options.subspace = subspace
    options.k = k
    options.steps = try size(steps, "--steps", SizeArgument.count)
    options.epochs = epochs
    options.batch = try size(batch, "--batch", SizeArgument.count)
    options.seed = seed
    options.orderSeed = orderSeed
    options.precision = precision
    options.moments = moments
    options.order = order
    options.normalize = normalize
    options.initialWeights = initialWeights
    options.learningRate = learningRate
    options.learningRateStart = learningRateStart
    options.learningRateFloor = learningRateFloor
    options.warmup = try size(warmup, "--warmup", SizeArgument.count)
    options.schedule = schedule
    options.clip = clip
    options.beta = beta
    options.ortho = ortho
    options.l1 = l1
    options.l1Scope = l1Scope
    options.regularizerWarmup = try size(
      regularizerWarmup, "--regularizer-warmup", SizeArgument.count)
    options.threshold = threshold
    options.thresholdSub = thresholdSub
    options.slopeTop = slopeTop
    options.slopeSub = slopeSub
    options.bias = bias
    options.auxk = auxk
    options.auxkK = auxkK
    options.deadWindow = try size(deadWindow, "--dead-window", SizeArgument.count)
    options.checkpointEvery = try size(checkpointEvery, "--checkpoint-every", SizeArgument.count)
    options.recordEvery = try size(recordEvery, "--record-every", SizeArgument.count)
    options.keep = keep
    return options
  }

  private func size(
    _ text: String?, _ name: String, _ parse: (String) throws(Failure) -> Int
  ) throws(Failure) -> Int? {
    guard let text else { return nil }
    do throws(Failure) { return try parse(text) } catch {
      throw .usage("\(name): \(error.message)")
    }
  }
}

extension Preset: ExpressibleByArgument {}
extension PrecisionOption: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {}
extension RowOrder: ExpressibleByArgument {}
extension Normalisation: ExpressibleByArgument {}
extension LearningRateSchedule.Form: ExpressibleByArgument {}
extension L1Scope: ExpressibleByArgument {}
extension BiasOption: ExpressibleByArgument {}
extension GiantNorms: ExpressibleByArgument {}
extension Backend: ExpressibleByArgument {}
