// Lists as bytes: reading gives what was written, and blobs that are cut short are refused.

#if Explorer
import Foundation
import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAEExplorer

@Suite struct BlobTests {
  static let contexts = [
    LatentContext(place: 0, value: 0.5),
    LatentContext(
      place: 1 << 40, value: -1e-9, parentValue: 3, group: 5,
      neighbours: [.init(offset: -127, value: 1), .init(offset: 127, value: .leastNormalMagnitude)]),
  ]

  @Test func listsRoundTrip() throws {
    #expect(try Blob.contexts(Blob.contexts(Self.contexts)) == Self.contexts)
    let integers = [0, 1, 127, 128, 300, Int(UInt32.max), 1 << 60]
    #expect(try Blob.integers(Blob.integers(integers)) == integers)
    let related = [RelatedLatent(number: 278_527, value: 0.25)]
    #expect(try Blob.related(Blob.related(related)) == related)
    var list = PromotedTokens()
    list.promoted = [TokenEffect(token: 262_143, value: 2)]
    #expect(try Blob.effects(Blob.effects([list, PromotedTokens()])) == [list, PromotedTokens()])
    #expect(try Blob.tokens(Blob.tokens([0, -1, Int32.max])) == [0, -1, Int32.max])
    #expect(try Blob.floats(Blob.floats([1, -2.5])) == [1, -2.5])
  }

  @Test func truncatedBlobsAreRefused() {
    let whole = Blob.contexts(Self.contexts)
    for count in 0..<whole.count {
      #expect(failure { _ = try Blob.contexts(Data(whole.prefix(count))) } == BlobReader.damaged)
    }
    // An impossible count.
    let huge = Data([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F])
    #expect(failure { _ = try Blob.integers(huge) } == BlobReader.damaged)
    #expect(failure { _ = try Blob.floats(Data([1, 2, 3])) } == BlobReader.damaged)
  }
}
#endif
