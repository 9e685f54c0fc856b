// Formats numbers for people.

import Foundation

/// `number` with commas between groups of three digits: 222,123.
public func grouped(_ number: Int) -> String {
  let digits = Array(String(number.magnitude))
  var result = number < 0 ? "-" : ""
  for (index, digit) in digits.enumerated() {
    if index > 0, (digits.count - index) % 3 == 0 { result += "," }
    result.append(digit)
  }
  return result
}

/// `number` with its noun: 1 row, 2,048 rows. `noun` is the singular; its plural must end in s.
public func counted(_ number: Int, _ noun: String) -> String {
  "\(grouped(number)) \(noun)\(number == 1 ? "" : "s")"
}

/// `number` with `digits` significant digits: 13,590 or 0.04519 with four. Extreme numbers get an exponent.
public func grouped(_ number: Double, digits: Int) -> String {
  guard number.isFinite, number != 0 else { return number == 0 ? "0" : "\(number)" }
  let place = Int(log10(abs(number)).rounded(.down))
  // The power of ten is exact as a factor and as a divisor, but its inverse would not be.
  let shift = digits - 1 - place
  let power = pow(10, Double(abs(shift)))
  let rounded =
    shift < 0 ? (number / power).rounded() * power : (number * power).rounded() / power
  if abs(rounded) >= 1000, abs(rounded) < 1e9 {
    return rounded == rounded.rounded() ? grouped(Int(rounded)) : "\(rounded)"
  }
  return rounded == rounded.rounded() && abs(rounded) < 1000 ? "\(Int(rounded))" : "\(rounded)"
}
