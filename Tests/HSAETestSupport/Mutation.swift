// Damages files by seed; fuzz tests give the result to readers.

/// Numbers that are hard for parsers.
private let numbers = [
  "0", "-1", "1", "2", "255", "65536", "2147483648", "4294967295", "4611686018427387904",
  "9223372036854775807", "9223372036854775808", "-9223372036854775808", "1e308", "1e999", "0.5",
  "72057594037927935", "18446744073709551615", "NaN", "null", "[]", "{}", "\"\"", "true",
]

/// A damaged copy of `bytes`: one to six changes at random places.
public func mutated(
  _ bytes: [UInt8], by generator: inout some RandomNumberGenerator
) -> [UInt8] {
  var bytes = bytes
  for _ in 0..<Int.random(in: 1...6, using: &generator) {
    let place = Int.random(in: 0...bytes.count, using: &generator)
    let end = min(bytes.count, place + Int.random(in: 0...16, using: &generator))
    switch Int.random(in: 0..<9, using: &generator) {
    case 0, 1:
      if place < bytes.count { bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator) }
    case 2:
      if place < bytes.count {
        bytes[place] =
          [0, 1, 0x7F, 0x80, 0xFF, 0x20, 0x22, 0x2C].randomElement(using: &generator) ?? 0
      }
    case 3: bytes.removeSubrange(place..<end)
    case 4: bytes.insert(contentsOf: bytes[place..<end], at: place)
    case 5: bytes.removeSubrange(place...)
    case 6:
      bytes.insert(UInt8.random(in: 0...255, using: &generator), at: place)
    default:
      // Another number instead of a present one.
      guard let start = bytes[place...].firstIndex(where: { $0 >= 48 && $0 <= 57 }) else {
        continue
      }
      let stop = bytes[start...].firstIndex { $0 < 48 || $0 > 57 } ?? bytes.count
      let number = numbers.randomElement(using: &generator) ?? "0"
      bytes.replaceSubrange(start..<stop, with: Array(number.utf8))
    }
  }
  return bytes
}
