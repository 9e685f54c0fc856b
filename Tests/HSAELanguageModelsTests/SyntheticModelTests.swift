// Tests of the synthetic model: rows are sums of its features, contexts are independent and causal, and a
// replacement of the residual stream changes the losses.

import HSAESupport
import HSAETensors
import Testing

@testable import HSAELanguageModels

@Suite struct SyntheticModelTests {
  private let model = SyntheticModel(contextLength: 32)

  private func context(_ text: String) -> [Int32] {
    model.tokenizer.prefix + model.tokenizer.encode(Array(text.utf8), limit: 31)
  }

  @Test func rowsAreSumsOfPlantedFeatures() throws {
    let context = context("to be or not to be")
    var rows = Matrix(rows: context.count, columns: 64)
    try model.capture([context], afterBlock: 2, into: &rows)
    for position in 1..<context.count {
      var rest = rows.row(position).indices.map { rows[position, $0] / 300 }
      for (parent, child) in model.features(of: context, at: position) {
        for column in 0..<64 {
          rest[column] -=
            model.parents[parent, column]
            + 0.5 * model.children[parent * model.childCount + child, column]
        }
      }
      #expect(rest.allSatisfy { abs($0) < 0.0101 })
    }
    // The first row is long, as in real models.
    let norms = rows.rowNorms()
    #expect(norms[0] > 10 * norms[1...].reduce(0, +) / Float(norms.count - 1))
  }

  @Test func contextsAreIndependentAndCausal() throws {
    let (first, second) = (context("hello"), context("help me"))
    var both = Matrix(rows: first.count + second.count, columns: 64)
    try model.capture([first, second], afterBlock: 0, into: &both)
    var alone = Matrix(rows: second.count, columns: 64)
    try model.capture([second], afterBlock: 0, into: &alone)
    #expect(both.elements.suffix(alone.count).elementsEqual(alone.elements))
    var other = Matrix(rows: first.count, columns: 64)
    try model.capture([first], afterBlock: 0, into: &other)
    // "<bos>hel" is common to both.
    #expect(other.elements.prefix(4 * 64).elementsEqual(alone.elements.prefix(4 * 64)))
  }

  @Test func aSpliceReachesTheLosses() throws {
    let contexts = [context("to be or not to be"), context("q")]
    let plain = try model.losses(of: contexts, splice: nil)
    #expect(plain.map(\.count) == contexts.map { $0.count - 1 })
    var seen: [Splice.Place] = []
    let zeros = try model.losses(
      of: contexts,
      splice: Splice(afterBlock: 1) { rows, places in
        seen += places
        rows.clear()
      })
    #expect(zeros.joined().allSatisfy { abs($0 - 5.5530) < 1e-3 }, "ln 258 for no information")
    #expect(seen.map(\.token) == contexts.flatMap { $0 })
    #expect(throws: Failure.self) {
      _ = try model.losses(
        of: contexts,
        splice: Splice(afterBlock: 1) { (_, _) throws(Failure) in throw .data("no") })
    }
  }

  @Test func theBeginningOfATextIsTokenisedAsTheWhole() {
    let text = Array(String(repeating: "añb ", count: 5000).utf8)
    let tokenizer = model.tokenizer
    #expect(tokenizer.encode(text, limit: 10) == Array(tokenizer.encode(text[...]).prefix(10)))
    #expect(tokenizer.encode(Array("abc".utf8), limit: 10) == [97, 98, 99])
  }
}
