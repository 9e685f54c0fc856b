// Runs two training steps, in fp32 so that every processor does the same work.

import HSAEEngine
import HSAEModels
import HSAETensors

/// Trains a small dictionary for two steps; the flat one also has dead latents and moments in bf16.
func trainSteps(isFlat: Bool) {
  let batch = 256
  let shape = DictionaryShape(
    width: 256, experts: 1024, sublatents: isFlat ? 0 : 16, subspace: isFlat ? 0 : 4,
    activeExperts: 16)
  let threshold: Float = isFlat ? 0 : 1 / 16
  let recipe = Recipe(
    shape: shape,
    activation: ActivationFunction(threshold: threshold, subThreshold: threshold),
    objective: isFlat
      ? Objective(beta: 0, ortho: 0, l1: 0, auxk: 1 / 32, auxkActive: 64)
      : Objective(beta: 0.1, ortho: 0.1, l1: 1e-3),
    momentFormat: isFlat ? .bfloat16 : .float32)
  let engine = TrainingEngine(
    recipe, parameters: .initial(shape: shape, seed: 1), batch: batch, threads: 1)
  var generator = SeededGenerator(seed: 2)
  for number in 1...2 {
    engine.batchRows.withMutableSpan(0..<batch * shape.width) { vectors in
      for index in vectors.indices { vectors[index] = Float(generator.nextSymmetric()) / 10 }
    }
    _ = engine.step(
      StepSettings(number: number, learningRate: 1e-3, deadWindow: batch, wantsVariance: true))
  }
}
