// Passages of text that were read before. Contexts of different latents, of a sublatent and of its expert above
// all, lie in the same ones, and finding a passage costs more than anything that is done with it.

#if Explorer
import Synchronization

/// A piece of a document: what is stored, and searched, as one.
final class Passage: Sendable {
  /// Tokens of a passage, the last of a document excepted.
  static let length = 128

  /// What is known of a document.
  final class Document: Sendable {
    /// Its places.
    let places: Range<Int>
    /// Its number in the store; nil where there are no documents.
    let number: Int?
    let title: String?
    let language: String?
    let topic: String?

    init(places: Range<Int>, number: Int?, title: String?, language: String?, topic: String?) {
      (self.places, self.number, self.title) = (places, number, title)
      (self.language, self.topic) = (language, topic)
    }
  }

  let document: Document
  /// Its places, all of the document.
  let places: Range<Int>
  /// The tokens at these places.
  let tokens: [Int32]

  init(document: Document, places: Range<Int>, tokens: [Int32]) {
    (self.document, self.places, self.tokens) = (document, places, tokens)
  }
}

/// Passages by where they are.
final class PassageCache: Sendable {
  /// Passages that are kept, at most (40 MB); then all are forgotten.
  private static let capacity = 1 << 16
  /// Places that are looked up as one.
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

  /// The passage of `corpus` that `place` is in, if it was read before.
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
        // Another may have read it at the same time.
        if state.blocks[block]?.contains(where: { $0.places == passage.places }) != true {
          state.blocks[block, default: []].append(passage)
        }
      }
    }
  }
}
#endif
