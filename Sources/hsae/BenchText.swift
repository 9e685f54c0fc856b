// The text that hsae bench prints.

import Foundation
import HSAEEngine
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETraining

/// The result as text, one figure on each line.
func benchText(_ result: BenchResult, data: String, run: String, _ plan: BenchPlan) -> String {
  let shape = result.shape
  let active =
    result.selection == Selection.topK.name
    ? "k \(shape.activeExperts)"
    : result.selection + String(format: " with L0 %.1f", result.l0)
  var lines = [
    "width \(shape.width), experts \(shape.experts), \(active), subspace"
      + " \(shape.subspace), sublatents \(shape.sublatents); batch \(result.batch),"
      + " \(result.precision), \(counted(result.threads, "thread")), kernels \(kernelsName)",
    "weights after \(counted(result.trainedSteps, "step")) (\(run)) on \(data)",
  ]
  if let above = result.aboveThreshold {
    lines.append(String(format: "%.2f %% of latents at or above the threshold", above * 100))
  }
  lines.append("")
  lines.append(
    String(
      format: "%.0f rows/s, %.4f s a step (median of %d blocks of %d steps; %.4f … %.4f)",
      result.tokensPerSecond, result.secondsPerStep, plan.blocks, plan.blockSteps,
      result.secondsRange[0], result.secondsRange[1]))
  let limit = { (name: String, seconds: Double, ratio: Double, rate: Double) in
    String(
      format: "limit, products in %@: %.4f s (%.0f GFLOP/s, memory %.1f GB/s); step / limit %.2f",
      name, seconds, rate / 1e9, result.bandwidth / 1e9, ratio)
  }
  if result.precision != Precision.float32.rawValue {
    lines.append(
      limit(result.precision, result.limitSeconds, result.stepOverLimit, result.productRate))
  }
  lines.append(
    limit(
      "float32", result.limitSecondsFloat32, result.stepOverLimitFloat32,
      result.productRateFloat32))
  let isFloat32 = result.precision == Precision.float32.rawValue
  lines.append(
    String(
      format: "pairs of rows and experts: at least %.4f s (caches %.1f GB/s);"
        + " step / limit with pairs" + (isFloat32 ? "" : " %.2f, products in float32") + " %.2f",
      arguments: [result.pairLimitSeconds, result.cacheBandwidth / 1e9]
        + (isFloat32 ? [] : [result.stepOverLimitWithPairs])
        + [result.stepOverLimitFloat32WithPairs]))
  lines.append(
    String(
      format: "encoder product within the step %.0f GFLOP/s, optimizer pass %.1f GB/s",
      result.encodeRate / 1e9, result.optimizerRate / 1e9))
  lines += comparisonLines(result) + [""]
  for phase in Phase.allCases {
    let seconds = result.phases["\(phase)"] ?? 0
    lines.append(
      "\(phase)".padding(toLength: 14, withPad: " ", startingAt: 0)
        + String(
          format: "%9.2f ms %5.1f %%", seconds * 1e3, seconds / result.secondsPerStep * 100))
  }
  return (lines + [""] + costLines(result.cost)).joined(separator: "\n") + "\n"
}

private func comparisonLines(_ result: BenchResult) -> [String] {
  guard let batch = result.comparisonBatch, let ratio = result.hierarchicalOverFlat,
    let limit = result.hierarchicalOverFlatLimit,
    let limitFloat32 = result.hierarchicalOverFlatLimitFloat32,
    let limitWithPairs = result.hierarchicalOverFlatLimitWithPairs,
    let hierarchical = result.hierarchicalSecondsPerStep, let flat = result.flatSecondsPerStep
  else { return [] }
  return [
    String(
      format: "hierarchical / flat step at batch %d: %.3f (%.4f s, %.4f s); of their limits %.3f"
        + " (products in float32: %.3f; with pairs: %.3f)",
      batch, ratio, hierarchical, flat, limit, limitFloat32, limitWithPairs)
  ]
}

private func costLines(_ cost: RowCost) -> [String] {
  let millions = { (value: Double) in String(format: "%.2f M", value / 1e6) }
  let line = { (name: String, value: Double, note: String) in
    name.padding(toLength: 44, withPad: " ", startingAt: 0)
      + millions(value).leftPadded(to: 10) + (note.isEmpty ? "" : "  " + note)
  }
  return [
    "Counted for one row:",
    line(
      "operations, forward, the paper's formula", cost.paperForward,
      String(format: "(%.1f %% encoding)", cost.encoding / cost.paperForward * 100)),
    line("operations, forward", cost.forward, ""),
    line(
      "operations, training step", cost.operations,
      "(backward \(millions(cost.backward)), penalty \(millions(cost.penalty)), orthogonality"
        + " \(millions(cost.orthogonality)), optimizer \(millions(cost.optimizer)))"),
    line("bytes of the parameters a row activates", cost.activatedBytes, ""),
    line("bytes of the optimizer pass", cost.optimizerBytes, ""),
    line("bytes of weights and gradients", cost.weightBytes, ""),
    line("operations of (row, expert) pairs", cost.pairOperations, ""),
    line("bytes of rows that pairs read and write", cost.pairBytes, "(mostly in caches)"),
  ]
}

extension String {
  fileprivate func leftPadded(to width: Int) -> String {
    String(repeating: " ", count: max(0, width - count)) + self
  }
}
