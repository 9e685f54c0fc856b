// Every snippet of the documentation runs and prints what its last comment says. SwiftPM builds snippets with the
// tests.

import Foundation
import HSAESupport
import HSAETestSupport
import Testing

@Suite struct SnippetTests {
  static let folder = Path.join(
    String(#filePath.split(separator: "/Tests/", omittingEmptySubsequences: false)[0]), "Snippets")

  static var names: [String] {
    ((try? Path.list(folder)) ?? []).filter { $0.hasSuffix(".swift") }
      .map { String($0.dropLast(6)) }.sorted()
  }

  @Test func thereAreSnippets() { #expect(Self.names.count >= 5) }

  @Test(arguments: names) func prints(name: String) throws {
    let source = String(
      decoding: fileBytes(Path.join(Self.folder, name + ".swift")), as: UTF8.self)
    let lines = source.split(separator: "\n", omittingEmptySubsequences: false)
    let start = try #require(lines.firstIndex(of: "// Prints:"), "The snippet says nothing.")
    let expected = lines[(start + 1)...].filter { $0.hasPrefix("// ") }.map { $0.dropFirst(3) }
    let executable = Path.join(Path.parent(hsaeExecutable), name)
    let result = try RunningCommand(executable, []).result(within: 120)
    #expect(result.code == 0, "\(result.errors)")
    let printed = result.output.split(separator: "\n")
    #expect(matches(printed[...], expected[...]), "\(result.output)")
  }

  /// Whether lines are as expected: `*` stands for the rest of a line or for one word, `...` for any lines.
  private func matches(
    _ printed: ArraySlice<Substring>, _ expected: ArraySlice<Substring>
  ) -> Bool {
    guard let pattern = expected.first else { return printed.isEmpty }
    if pattern == "..." {
      return (printed.startIndex...printed.endIndex).contains {
        matches(printed[$0...], expected.dropFirst())
      }
    }
    guard let line = printed.first else { return false }
    var rest = line
    for (index, part) in pattern.split(separator: "*", omittingEmptySubsequences: false)
      .enumerated()
    {
      if index == 0 {
        guard rest.hasPrefix(part) else { return false }
        rest = rest.dropFirst(part.count)
      } else if !part.isEmpty {
        guard let found = rest.firstRange(of: part) else { return false }
        rest = rest[found.upperBound...]
      } else {
        rest = rest[rest.endIndex...]
      }
    }
    return rest.isEmpty && matches(printed.dropFirst(), expected.dropFirst())
  }
}
