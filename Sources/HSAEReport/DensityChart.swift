// Densities as a chart of bars.

import HSAEEvaluation
import HSAEHTML
import HSAESupport

/// A histogram of densities with the number of dead latents, or of sublatents that were never chosen, beside it. Nil
/// if there is nothing to count.
func densityChart(_ title: String, _ histogram: DensityHistogram, color: Int) -> Markup? {
  guard histogram.total > 0, !histogram.counts.isEmpty else { return nil }
  // Only decades from the first that has a latent.
  let perDecade = max(1, Int((1 / histogram.binWidth).rounded()))
  let firstUsed = histogram.counts.firstIndex { $0 > 0 } ?? 0
  let first = min(firstUsed / perDecade * perDecade, max(0, histogram.counts.count - perDecade))
  let counts = histogram.counts[first...]
  let decades = stride(from: 0, through: counts.count, by: perDecade).map { offset in
    let exponent = histogram.lowest + Double(first + offset) * histogram.binWidth
    return (
      Double(offset) * 100 / Double(counts.count), "10<sup>\(decimal(exponent, 0))</sup>" as Markup
    )
  }
  let live = grouped(histogram.total - histogram.dead)
  return barChart(
    title, counts: counts, color: color, labels: decades,
    legend: """
      <li><i class="key c\(color)"></i>at least once <b>\(live)</b></li>
      <li>never <b>\(grouped(histogram.dead))</b></li>
      """,
    spoken: "\(live) at least once, \(grouped(histogram.dead)) never",
    axis: "share of rows")
}
