// Parses numbers as people write them on a command line or in a configuration: 2M, 16k, 1.5e6, 32_512.
//
// `k` has two meanings, and each option uses one. Counts of tokens, rows and steps use thousands: `--tokens
// 2M` is 2,000,000. Sizes of dictionaries use powers of two, as in the literature: `--experts 16k` is 16,384.
// `Ki`, `Mi` and `Gi` are powers of two everywhere.

/// Parses numbers with suffixes.
public enum SizeArgument {
  /// A count of tokens, rows or steps: k, M, G (or B) and T are powers of 1,000.
  ///
  /// Fails with `.usage` unless `text` is a whole number of at least 0 that fits in an Int.
  public static func count(_ text: String) throws(Failure) -> Int {
    try parse(text, thousand: 1000, example: "2000000, 2M or 2e6")
  }

  /// The size of a dictionary: k, M, G (or B) and T are powers of 1,024, so 16k is 16,384.
  ///
  /// Fails with `.usage` unless `text` is a whole number of at least 0 that fits in an Int.
  public static func dictionarySize(_ text: String) throws(Failure) -> Int {
    try parse(text, thousand: 1024, example: "16384 or 16k (k is 1,024 here)")
  }

  private static func parse(
    _ text: String, thousand: Int, example: String
  ) throws(Failure) -> Int {
    let failure = Failure.usage(
      "\"\(shortened(text))\" is not a whole number; write it like \(example).")
    let excess = Failure.usage("\"\(shortened(text))\" is too large; write a smaller number.")
    var isExcessive = false
    var rest = Substring(text)
    var mantissa = 0
    var decimals = 0
    var digits = 0
    var isFraction = false
    while let character = rest.first {
      if let digit = character.wholeNumberValue, character.isASCII {
        let (tens, first) = mantissa.multipliedReportingOverflow(by: 10)
        let (sum, second) = tens.addingReportingOverflow(digit)
        // Letters may follow. Then it is not a number at all, which is another error.
        if first || second { isExcessive = true }
        mantissa = isExcessive ? 0 : sum
        digits += 1
        if isFraction { decimals += 1 }
      } else if character == ".", !isFraction, digits > 0 {
        isFraction = true
      } else if character != "_" || digits == 0 {
        break
      }
      rest.removeFirst()
    }
    guard digits > 0, !isFraction || decimals > 0 else { throw failure }
    var exponent = 0
    if let mark = rest.first, mark == "e" || mark == "E" {
      let power = rest.dropFirst().drop { $0 == "+" }
      guard !power.isEmpty, power.allSatisfy({ $0.isASCII && $0.isNumber }) else { throw failure }
      guard let value = Int(power), value <= 18 else { throw excess }
      exponent = value
      rest = ""
    }
    guard let factor = factor(of: rest, thousand: thousand) else { throw failure }
    guard !isExcessive else { throw isFraction ? failure : excess }
    var value = mantissa
    for step in [factor] + Array(repeating: 10, count: exponent) {
      let (product, overflow) = value.multipliedReportingOverflow(by: step)
      guard !overflow else { throw excess }
      value = product
    }
    for _ in 0..<decimals {
      guard value % 10 == 0 else { throw failure }
      value /= 10
    }
    return value
  }

  private static func factor(of suffix: Substring, thousand: Int) -> Int? {
    var suffix = suffix.lowercased()
    var thousand = thousand
    if suffix.isEmpty { return 1 }
    if suffix.hasSuffix("i") {
      suffix.removeLast()
      thousand = 1024
    }
    guard let power = ["k": 1, "m": 2, "g": 3, "b": 3, "t": 4][suffix] else { return nil }
    return (0..<power).reduce(1) { product, _ in product * thousand }
  }
}
