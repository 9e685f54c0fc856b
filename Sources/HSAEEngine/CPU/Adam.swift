// Adam in the CPU engine: its constants, and the step that updates weights and moments.

internal import CHSAEKernels
internal import HSAEModels
internal import HSAERuns
internal import HSAETensors

/// Adam's constants (`docs/method.md`, "Step", item 4).
enum Adam {
  static let beta1: Float = 0.9
  static let beta2: Float = 0.999
  static let epsilon: Float = 1e-8
}

/// The numbers that one step of Adam uses for all weights.
struct AdamStep {
  /// The number of the step, from 1.
  var number: Int
  /// The factor that clips the gradient.
  var clip: Float
  /// Learning rate and ε, with the bias corrections of the moments folded in.
  var rate: Float
  var epsilon: Float
}

extension Moments {
  /// Updates the elements `range` of `part`, given the addresses of the whole part's weights `p` and
  /// gradients `g`.
  ///
  /// - Safety: `p` and `g` have as many elements as the part, and no other thread uses the elements of
  ///   `range`.
  @unsafe
  func step(
    _ step: AdamStep, _ part: Part, _ range: Range<Int>, _ p: UnsafeMutablePointer<Float>,
    _ g: UnsafePointer<Float>
  ) {
    // Safe: `Moments.init` gave both buffers of a part `part.count` elements, and `range` lies within them.
    precondition(range.lowerBound >= 0 && range.upperBound <= part.count(shape, vectors))
    let (start, index) = (range.lowerBound, part.rawValue)
    switch format {
    case .float32:
      unsafe kernels.adam(
        p + start, first.float32[index].base + start, second.float32[index].base + start, g + start,
        range.count, step.clip, step.rate, Adam.beta1, Adam.beta2, step.epsilon)
    case .bfloat16:
      unsafe kernels.adam_bfloat16(
        p + start, first.bfloat16[index].base + start, second.bfloat16[index].base + start,
        g + start, range.count, step.clip, step.rate, Adam.beta1, Adam.beta2, step.epsilon,
        key(step.number, part), UInt32(truncatingIfNeeded: start + origin(part)))
    }
  }
}
