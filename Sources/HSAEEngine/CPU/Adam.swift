// Adam's constants, and the step of the CPU engine that reads and writes the moments.

internal import CHSAEKernels
internal import HSAEModels
internal import HSAERuns
internal import HSAETensors

/// Adam's constants (`method.md`, "Step" 4).
enum Adam {
  static let beta1: Float = 0.9
  static let beta2: Float = 0.999
  static let epsilon: Float = 1e-8
}

/// What is the same for all weights in one step of Adam.
struct AdamStep {
  /// Number of the step, from 1.
  var number: Int
  /// The factor of the gradient.
  var clip: Float
  /// Rate and ε, with the corrections of the moments' bias moved into them.
  var rate: Float
  var epsilon: Float
}

extension Moments {
  /// Steps elements `range` of a part with the weights `p` and gradients `g`, which point to the whole
  /// part's.
  ///
  /// - Safety: no other thread may use these elements meanwhile.
  @unsafe
  func step(
    _ step: AdamStep, _ part: Part, _ range: Range<Int>, _ p: UnsafeMutablePointer<Float>,
    _ g: UnsafePointer<Float>
  ) {
    precondition(range.lowerBound >= 0 && range.upperBound <= part.count(shape, hasBias: hasBias))
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
