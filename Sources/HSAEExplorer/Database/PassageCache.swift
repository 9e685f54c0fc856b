// Keeps passages of text that were read. Different latents, above all a sublatent and its expert, have
// contexts in the same passages, and reading a passage is the most expensive part of showing a context.

#if Explorer
import Synchronization

/// A piece of a document, the unit in which text is stored and searched.
final class Passage: Sendable {
  /// Number of tokens in a passage; the last one of a document may have fewer.
  static let length = 128

  struct Document: Sendable {
    let places: Range<Int>
    /// Its number in the store; nil where there are no documents.
    let number: Int?
    let title: String?
    let language: String?
    let topic: String?
  }

  let document: Document
  /// Its places, which are all in the document.
  let places: Range<Int>
  let tokens: [Int32]

  init(document: Document, places: Range<Int>, tokens: [Int32]) {
    (self.document, self.places, self.tokens) = (document, places, tokens)
  }
}

final class PassageCache: Sendable {
  /// The largest number of passages that are kept (40 MB); beyond it all are dropped.
  private static let capacity = 1 << 16
  /// Number of places that share an entry.
  private static let blockLength = 64

  private struct Block: Hashable {
    var corpus: Int
    var number: Int
  }

  private struct State {
    var blocks: [Block: [Passage]] = [:]
    var count = 0
  }

  private let state = Mutex(State())

  /// The passage of `corpus` that `place` is in; nil if it is not kept.
  func passage(at place: Int, in corpus: Int) -> Passage? {
    let block = Block(corpus: corpus, number: place / Self.blockLength)
    return state.withLock { $0.blocks[block]?.first { $0.places.contains(place) } }
  }

  func keep(_ passage: Passage, of corpus: Int) {
    let (first, last) = (passage.places.lowerBound, passage.places.upperBound - 1)
    state.withLock { state in
      if state.count >= Self.capacity { state = State() }
      state.count += 1
      for number in first / Self.blockLength...last / Self.blockLength {
        let block = Block(corpus: corpus, number: number)
        // Another thread may have read it at the same time.
        if state.blocks[block]?.contains(where: { $0.places == passage.places }) != true {
          state.blocks[block, default: []].append(passage)
        }
      }
    }
  }
}
#endif
