// The training step of `docs/method.md` as a program for a device: what goes in, what comes out, and the order of its
// parts. `+Forward`, `+Auxiliary`, `+Backward` and `+Update` write the parts. `HSAEModels/Reference` is the slow version
// of the same step.

package import HSAEModels
internal import HSAETensors

/// The program of one training step, for one recipe and one size of batch.
///
/// Its arguments are the state (the weights in the order of `names`, the first moments, the second moments, the usage),
/// the batch [rows × d], the numbers of `Setting` and those of `Counter`. Its results are the state after the step, in
/// the memory of the state before, and the numbers of `Measure`.
package struct StepProgram {
  /// Numbers that change from step to step.
  package enum Setting: Int, CaseIterable {
    case learningRate
    /// 1 / (1 − β₁ᵗ) and 1 / (1 − β₂ᵗ).
    case firstCorrection, secondCorrection
    /// The share of λ₁ and λ₂ in force.
    case regularizers
    /// The largest norm of the gradient; infinity for no clipping.
    case clip
  }

  /// Whole numbers that change from step to step.
  package enum Counter: Int, CaseIterable {
    /// The rows before this batch.
    case rows
    /// The rows after which AuxK takes a latent for dead.
    case deadWindow
  }

  /// What a step measures, as `StepReport` has it.
  package enum Measure: Int, CaseIterable {
    case loss, reconstruction, topReconstruction, ortho, l1, auxk, auxkLatents, l0, aboveThreshold
    /// The mean of ‖x − x̄‖², and of ‖x‖².
    case variance, squaredNorm
    case gradientNorm
    /// Latents and sublatents that were not active for any of the last million rows, this batch included.
    case deadLatents, deadSublatents
  }

  /// The tensors of the dictionary, in the order of the arguments.
  package let names: [ParameterName]
  /// Their shapes.
  package let shapes: [[Int]]
  /// The shapes of the usage: the row count when each latent was last active, and its rate; the same of sublatents.
  package let usageShapes: [[Int]]
  /// The program.
  package let program: DeviceProgram

  /// The program that trains `recipe` on batches of `batch` rows. `complaint` must be nil.
  package init(_ recipe: Recipe, batch: Int) {
    let shape = recipe.shape
    let names = ParameterName.names(in: shape, vectors: recipe.vectors)
    self.names = names
    let shapes = names.map { $0.dimensions(in: shape) }
    self.shapes = shapes
    usageShapes =
      [[shape.experts], [shape.experts]]
      + (shape.isFlat ? [] : Array(repeating: [shape.experts, shape.sublatents], count: 2))
    let writer = ProgramWriter()
    func arguments() -> [ParameterName: Tensor] {
      Dictionary(
        uniqueKeysWithValues: zip(names, shapes).map { ($0, writer.argument($1)) })
    }
    let state = StepState(weights: arguments(), first: arguments(), second: arguments())
    let usage = usageShapes.enumerated().map { index, shape in
      writer.argument(shape, index % 2 == 0 ? .i64 : .f32)
    }
    let step = StepWriter(
      recipe: recipe, batch: batch, writer: writer, weights: state.weights, usage: usage,
      rows: writer.argument([batch, shape.width]),
      settings: writer.argument([Setting.allCases.count]),
      counters: writer.argument([Counter.allCases.count], .i64))

    let pass = step.forward()
    let auxiliary = step.auxiliary(pass)
    let ortho = step.orthogonality()
    var gradients = step.gradients(pass, auxiliary, ortho)
    step.projectDecoderGradients(&gradients)
    var measures = step.measures(pass, auxiliary, ortho)
    let norm = step.norm(gradients)
    measures[.gradientNorm] = norm
    let isFine = (measures[.loss] ?? norm).isFinite.and(norm.isFinite)
    let next = step.update(state, gradients, norm: norm, isFine: isFine)
    let nextUsage = step.count(pass, isFine: isFine, &measures)
    let zero = writer.constant(0, .f32)
    let results =
      [next.weights, next.first, next.second].flatMap { tensors in names.compactMap { tensors[$0] }
      }
      + nextUsage
    program = writer.program(
      results + [writer.vector(Measure.allCases.map { measures[$0] ?? zero })],
      donated: results.count)
  }

  /// Why a device cannot train `recipe`, as a sentence that names the option; nil if it can.
  package static func complaint(_ recipe: Recipe) -> String? {
    let option: String? =
      if recipe.selection != .topK {
        "--activation \(recipe.selection.name)"
      } else if recipe.objective.prefixes != nil {
        "--matryoshka"
      } else if recipe.sublatentBudget != nil {
        "--k-sub"
      } else if recipe.decoderCosine != nil {
        "--decoder-cosine"
      } else if recipe.errorMetric != nil {
        "--whiten-loss original"
      } else if recipe.momentFormat != .float32 { "--moments bfloat16" } else { nil }
    return option.map {
      "--backend pjrt does not train with \($0); leave it out, or use --backend cpu."
    }
  }
}

/// Weights and moments by name.
struct StepState {
  var weights: [ParameterName: Tensor]
  /// Adam's moments.
  var first: [ParameterName: Tensor]
  var second: [ParameterName: Tensor]
}

/// What the parts of the program share.
struct StepWriter {
  let recipe: Recipe
  /// The rows of a batch, B.
  let batch: Int
  let writer: ProgramWriter
  let weights: [ParameterName: Tensor]
  let usage: [Tensor]
  /// The batch [B × d].
  let rows: Tensor
  let settings: Tensor
  let counters: Tensor

  var shape: DictionaryShape { recipe.shape }
  var objective: Objective { recipe.objective }
  /// The type of the factors of the dense products.
  var dense: ElementType { recipe.precision == .bfloat16 ? .bf16 : .f32 }

  func setting(_ setting: StepProgram.Setting) -> Tensor { settings.element(setting.rawValue) }
  func counter(_ counter: StepProgram.Counter) -> Tensor { counters.element(counter.rawValue) }

  /// The tensor `name` of the dictionary, which has it.
  subscript(name: ParameterName) -> Tensor {
    guard let tensor = weights[name] else {
      preconditionFailure("The dictionary has no \(name.rawValue).")
    }
    return tensor
  }

  /// Zeros.
  func zeros(_ shape: [Int]) -> Tensor { writer.constant(0, .f32).spread(shape) }
}
