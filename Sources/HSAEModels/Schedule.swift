// What changes from step to step by plan: the learning rate, and how much of the regularisers'
// weight is in force. Both the trainer and its slow twin ask here.

import Foundation

/// The learning rate of every step (`method.md`, "Step").
///
/// Steps count from 0: step 0 is the first update and `steps - 1` the last. With w = `warmup`,
/// N = `steps`:
///
/// - at 0 … w the rate is linear from `start` (at 0) to `peak` (at w);
/// - `.constant`: `peak` from w on;
/// - `.cosine`: from w on it falls on half a cosine from `peak` (at w) to `peak · floor` at N. The
///   last update, N - 1, is therefore still a little above the floor.
///
/// With w = 0 step 0 has the peak. If w > N the run ends before the peak.
public struct LearningRateSchedule: Hashable, Sendable, Codable {
  /// What follows the warm-up.
  public enum Form: String, Hashable, Sendable, Codable, CaseIterable {
    /// Half a cosine from the peak to the floor.
    case cosine
    /// The peak to the end.
    case constant
  }

  /// What follows the warm-up.
  public var form: Form
  /// The rate of step 0, if there is a warm-up.
  public var start: Double
  /// The largest rate.
  public var peak: Double
  /// The rate at the end of the cosine, as a fraction of the peak.
  public var floor: Double
  /// Number of steps of the linear warm-up, w.
  public var warmup: Int
  /// Number of steps of the run, N.
  public var steps: Int

  /// A schedule with the given parts; the defaults are the published code's.
  public init(
    form: Form = .cosine, start: Double = 1e-11, peak: Double = 5e-4, floor: Double = 0.1,
    warmup: Int, steps: Int
  ) {
    self.form = form
    self.start = start
    self.peak = peak
    self.floor = floor
    self.warmup = warmup
    self.steps = steps
  }

  /// The rate of step `step`, 0 ..< `steps`; later steps keep the rate of `steps`.
  public func rate(at step: Int) -> Double {
    if step < warmup {
      return start + (peak - start) * Double(max(0, step)) / Double(warmup)
    }
    guard form == .cosine else { return peak }
    let span = steps - warmup
    guard span > 0 else { return step > warmup ? peak * floor : peak }
    let progress = Double(min(step - warmup, span)) / Double(span)
    return peak * (floor + (1 - floor) * 0.5 * (1 + cos(.pi * progress)))
  }
}

/// The warm-up of the regularisers' weights λ₁ and λ₂: linear from 0.
public struct RegularizerWarmup: Hashable, Sendable, Codable {
  /// Number of steps until the full weight is in force, w.
  public var steps: Int

  /// A warm-up of `steps` steps; 0 for none.
  public init(steps: Int) { self.steps = steps }

  /// The factor of the weights at step `step`, counted from 0: step / w, at most 1; so 0 at step 0,
  /// 1 at step w and after. Without a warm-up it is 1 throughout.
  public func factor(at step: Int) -> Double {
    step >= steps ? 1 : Double(max(0, step)) / Double(steps)
  }
}
