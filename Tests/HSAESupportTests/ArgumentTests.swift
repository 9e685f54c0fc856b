// Numbers with suffixes, and failures as other code sees them.

import Foundation
import HSAETestSupport
import Testing

@testable import HSAESupport

struct ArgumentTests {
  @Test(arguments: [
    ("0", 0), ("32_512", 32512), ("2M", 2_000_000), ("16k", 16_000), ("1e6", 1_000_000),
    ("1.5e6", 1_500_000), ("2.5M", 2_500_000), ("1B", 1_000_000_000), ("4Ki", 4096),
    ("3G", 3_000_000_000), ("1E+3", 1000), ("1e3k", 0),
  ])
  func counts(text: String, expected: Int) throws {
    if expected == 0, text != "0" {
      #expect(failure { _ = try SizeArgument.count(text) }?.kind == .usage)
    } else {
      #expect(try SizeArgument.count(text) == expected)
    }
  }

  @Test(arguments: [("16k", 16384), ("2048", 2048), ("1M", 1 << 20), ("1.5k", 1536)])
  func dictionarySizes(text: String, expected: Int) throws {
    #expect(try SizeArgument.dictionarySize(text) == expected)
  }

  @Test(arguments: [
    "", "k", "-1", "1.", ".5", "1.5", "1e-3", "1e", "1e99", "9e18M", "99999999999999999999", "1 k",
    "1kk", "1.2.3", "_1", "٣", "1e٣", "0x10", "1e+-3",
  ])
  func refused(text: String) {
    let found = failure { _ = try SizeArgument.count(text) }
    #expect(found?.kind == .usage)
    #expect(found?.message.contains("\"\(text)\"") == true)
  }

  @Test(arguments: [
    ("99999999999999999999", true), ("9e18M", false), ("9e19", true), ("1e99", true),
    ("9000000000000G", true),
    ("1e99999999999999999999", true), ("99999999999999999999x", false),
    ("99999999999999999999.5", false),
    ("many", false),
  ])
  func tooLargeNumbersAreReportedAsSuch(text: String, isTooLarge: Bool) {
    let message = failure { _ = try SizeArgument.count(text) }?.message
    #expect(message?.contains("is too large") == isTooLarge)
    #expect(message?.contains("not a whole number") == !isTooLarge)
  }

  /// `localizedDescription` is the message.
  @Test func failuresAreLocalized() {
    let error: any Error = Failure.data("rows.npy: it was cut short.")
    #expect(error.localizedDescription == "rows.npy: it was cut short.")
  }
}

@Suite struct GroupedTests {
  @Test func numbersHaveTheDigitsThatMatter() {
    let cases: [(Double, Int, String)] = [
      (13588.4, 4, "13,590"), (6505, 4, "6,505"), (95782, 3, "95,800"), (368.04, 4, "368"),
      (0.045192, 4, "0.04519"), (3, 4, "3"), (1.5, 3, "1.5"), (0, 4, "0"),
      (-1234567, 3, "-1,230,000"),
      (999.96, 4, "1,000"), (398.107, 4, "398.1"),
    ]
    for (number, digits, text) in cases { #expect(grouped(number, digits: digits) == text) }
  }
}
