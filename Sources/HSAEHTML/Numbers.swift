// Numbers as text for people: decimals, percentages, rounded counts, durations and axis labels.

import Foundation
import HSAESupport

/// A number with `digits` decimals, or a dash if it is not finite.
package func decimal(_ number: Double, _ digits: Int) -> String {
  guard number.isFinite else { return "–" }
  let text = printed(abs(number), digits)
  let isZero = text.allSatisfy { $0 == "0" || $0 == "." }
  return (number < 0 && !isZero ? "−" : "") + text
}

/// A number with `digits` decimals. From a thousand on it is rounded to a whole number with commas.
package func readable(_ number: Double, _ digits: Int) -> String {
  guard number.isFinite, abs(number) < 1e15, digits == 0 || abs(number) >= 999.5 else {
    return decimal(number, digits)
  }
  let whole = Int(number.rounded())
  return (whole < 0 ? "−" : "") + grouped(abs(whole))
}

/// The text of `%.{digits}f` for `number` ≥ 0, ten times as fast as Foundation. Numbers that are very large or
/// close to a half still go through Foundation, because `scaled` is rounded.
private func printed(_ number: Double, _ digits: Int) -> String {
  let power = digits < powersOfTen.count ? powersOfTen[digits] : .infinity
  let scaled = number * power
  let whole = scaled.rounded(.down)
  guard scaled < 1e9, abs(scaled - whole - 0.5) > 1e-6 else {
    return String(format: "%.\(digits)f", number)
  }
  let text = String(Int(scaled.rounded()))
  guard digits > 0 else { return text }
  let all = String(repeating: "0", count: max(0, digits + 1 - text.utf8.count)) + text
  return all.dropLast(digits) + "." + all.suffix(digits)
}

private let powersOfTen: [Double] = [1, 10, 100, 1000, 1e4, 1e5, 1e6]

/// A share as a percentage, with a decimal below 10 %.
package func percent(_ share: Double) -> String {
  guard share.isFinite else { return "–" }
  return decimal(share * 100, abs(share) < 0.0995 && share != 0 ? 1 : 0) + " %"
}

/// A rounded count: 13.6 M, 940 k, 512.
package func short(_ number: Double) -> String {
  guard number.isFinite else { return "–" }
  let size = abs(number)
  for (unit, name) in [(1e9, " B"), (1e6, " M"), (1e3, " k")] where size >= unit {
    return decimal(number / unit, size / unit < 100 ? 1 : 0) + name
  }
  return decimal(number, 0)
}

/// A duration: 8.2 s, 3 min 20 s, 2 h 05 min.
package func duration(_ seconds: Double) -> String {
  guard seconds.isFinite, seconds >= 0, seconds < 1e9 else { return "–" }
  if seconds < 60 { return decimal(seconds, 1) + " s" }
  let whole = Int(seconds.rounded())
  if whole < 3600 { return "\(whole / 60) min \(whole % 60) s" }
  return "\(whole / 3600) h " + String(format: "%02d", whole / 60 % 60) + " min"
}

/// A number as an axis label, with as many decimals as `step`, the distance of ticks, has.
package func tick(_ value: Double, step: Double) -> String {
  if abs(value) >= 10_000 { return short(value).replacingOccurrences(of: ".0 ", with: " ") }
  let digits = (0..<6).first { digits in
    let units = step * pow(10, Double(digits))
    return units.rounded() >= 1 && abs(units - units.rounded()) < 1e-6 * units
  }
  return decimal(value, digits ?? 6)
}
