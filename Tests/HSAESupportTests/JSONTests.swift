// The strict JSON reader, and JSON files with errors that name the place.

import HSAESupport
import HSAETestSupport
import Testing

struct JSONTests {
  private func parse(_ text: String) throws -> JSONValue {
    try JSONValue(parsing: Array(text.utf8), source: "text")
  }

  @Test func values() throws {
    let value = try parse(
      #" {"a": [1, -2.5e1, true, false, null, "\u00e9\ud83d\ude00\n\/"], "b": {}, "c": 1e2} "#)
    #expect(
      value
        == .object([
          "a": .array([
            .integer(1), .number(-25), .bool(true), .bool(false), .null, .string("é😀\n/"),
          ]), "b": .object([:]), "c": .number(100),
        ]))
    #expect(try parse(value.text()) == value)
    #expect(try parse(value.text(indent: nil)) == value)
    #expect(try parse("9223372036854775808") == .number(9223372036854775808))
    #expect(try parse("\"\u{2028}\u{1}\"".replacing("\u{1}", with: "\\u0001")).string?.count == 2)
  }

  @Test(arguments: [
    "", " ", "{", "[1,]", "[1 2]", "{\"a\":1,}", "{\"a\" 1}", "{a:1}", "01", "1.", "-", ".5", "1e",
    "+1", "NaN", "tru", "nul", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"", "\"\\ud800\\u0041\"",
    "\"\u{1}\"", "{\"a\":1,\"a\":2}", "[] []", "1e999", "{\"a\":1", "[", "\"\\", "'a'",
  ])
  func refused(text: String) {
    let found = failure { _ = try parse(text) }
    #expect(found?.kind == .data)
    #expect(found?.message.hasPrefix("text, byte ") == true)
  }

  /// The right values are those of Python's json.loads; U+FFFD stands for what Python keeps as half a pair.
  @Test(arguments: [
    ("[NaN, -Infinity, Infinity]", "[\"NaN\", \"-Infinity\", \"Infinity\"]"),
    ("[1e999, -1e999]", "[\"Infinity\", \"-Infinity\"]"),
    (#"{"a": 1, "b": 2, "a": 3}"#, #"{"a": 3,"b": 2}"#),
    (#""\ud800""#, "\"\u{FFFD}\""), (#""\udc00x""#, "\"\u{FFFD}x\""),
    (#""\ud800\u0041""#, "\"\u{FFFD}A\""), (#""\ud800\n""#, "\"\u{FFFD}\\n\""),
    (#""\ud83d\ud83d\ude00""#, "\"\u{FFFD}😀\""),
  ])
  func whatPythonReads(text: String, value: String) throws {
    let parsed = try JSONValue(parsing: Array(text.utf8), source: "text", dialect: .python)
    #expect(parsed.text(indent: nil) == value)
    #expect(failure { _ = try parse(text) }?.kind == .data)
  }

  @Test(arguments: ["Nan", "inf", "-NaN", "+Infinity", "Infinit", #""\ud800\u""#, "[1,]", "'a'"])
  func whatPythonRefusesToo(text: String) {
    let found = failure {
      _ = try JSONValue(parsing: Array(text.utf8), source: "text", dialect: .python)
    }
    #expect(found?.message.hasPrefix("text, byte ") == true)
  }

  @Test func limits() {
    let deep = String(repeating: "[", count: 100_000)
    #expect(failure { _ = try parse(deep) }?.message.contains("too deeply") == true)
    let wide = Array("[\(String(repeating: "0,", count: 100))0]".utf8)
    let limits = JSONLimits(depth: 2, values: 50)
    #expect(
      failure { _ = try JSONValue(parsing: wide, source: "x", limits: limits) }?.message
        .contains("too many") == true)
    #expect(failure { _ = try JSONValue(parsing: [0x22, 0xFF, 0x22], source: "x") } != nil)
    let digits = Array(String(repeating: "1", count: 1000).utf8)
    #expect(failure { _ = try JSONValue(parsing: digits, source: "x") } != nil)
  }

  private struct Settings: Codable, Equatable {
    var steps: Int
    var seed: UInt64
    var rate: Double
    var names: [String]
  }

  @Test func filesRoundTrip() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/config.json"
      let settings = Settings(steps: 5, seed: .max, rate: .infinity, names: ["a/b"])
      try JSONFile.write(settings, to: path)
      #expect(try JSONFile.read(Settings.self, from: path) == settings)
      #expect(try JSONFile.readTree(from: path)["names"] == .array([.string("a/b")]))
    }
  }

  private func decodingFailure(_ text: String) -> Failure? {
    failure {
      _ = try JSONFile.decode(
        Settings.self, from: Array(text.utf8), source: "config.json",
        knownKeys: ["steps", "seed", "rate", "names"])
    }
  }

  @Test func errorsNameFileAndKey() {
    let missing = decodingFailure(#"{"steps": 1, "seed": 1, "names": []}"#)
    #expect(missing?.message == "config.json: \"rate\" is missing; add it.")
    let wrong = decodingFailure(#"{"steps": 1, "seed": 1, "rate": 1, "names": [1]}"#)
    #expect(wrong?.message.hasPrefix("config.json: \"names.[0]\" is not of the type") == true)
    let unknown = decodingFailure(#"{"step": 1}"#)
    #expect(
      unknown?.message == "config.json: there is no option \"step\"; did you mean \"steps\"?")
    #expect(decodingFailure(#"{"qqqqqq": 1}"#)?.message.contains("remove it") == true)
    #expect(decodingFailure("[]")?.kind == .data)
    #expect(decodingFailure(#"{"steps": 1e99}"#)?.kind == .data)
  }

  @Test func nearestNames() {
    let known = ["learning-rate", "sublatents", "k"]
    #expect(JSONFile.nearest(to: "learning_rate", among: known) == "learning-rate")
    #expect(JSONFile.nearest(to: "sublatent", among: known) == "sublatents")
    #expect(JSONFile.nearest(to: "warmup", among: known) == nil)
  }
}
