// The two schedules of training: the learning rate, and the share of the regularisers' weights that is in
// force. The trainer and the tests of the reference implementation both use them.

import Foundation

/// The learning rate of every step (`docs/method.md`, "Step").
///
/// Steps count from 0: step 0 is the first update and `steps - 1` the last. With w = `warmup`, N = `steps`:
///
/// - from 0 to w the rate rises linearly from `start` to `peak`;
/// - `.constant`: `peak` from w on;
/// - `.cosine`: from w on it falls on half a cosine from `peak` to `peak · floor` at N. So the last update, N
///   - 1, is a little above the floor.
///
/// With w = 0, step 0 has the peak. If w > N, the run ends before the peak.
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

  /// A schedule with the given parts. The defaults are those of the published code.
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

  /// The rate of step `step`, 0 ..< `steps`. Later steps have the rate of `steps`.
  public func rate(at step: Int) -> Double {
    if step < warmup {
      return start + (peak - start) * Double(max(0, step)) / Double(warmup)
    }
    switch form {
    case .constant: return peak
    case .cosine:
      let span = steps - warmup
      guard span > 0 else { return step > warmup ? peak * floor : peak }
      let progress = Double(min(step - warmup, span)) / Double(span)
      return peak * (floor + (1 - floor) * 0.5 * (1 + cos(.pi * progress)))
    }
  }
}

/// The warm-up of the regularisers' weights λ₁ and λ₂: linear from 0.
public struct RegularizerWarmup: Hashable, Sendable, Codable {
  /// Number of steps until the full weight is in force, w.
  public var steps: Int

  /// A warm-up of `steps` steps; 0 for none.
  public init(steps: Int) { self.steps = steps }

  /// The factor of the weights at step `step`, counted from 0: step / w, at most 1. Without a warm-up it is
  /// always 1.
  public func factor(at step: Int) -> Double {
    step >= steps ? 1 : Double(max(0, step)) / Double(steps)
  }
}
