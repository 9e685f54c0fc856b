// Contexts as text: the tokens around a place, with the codes of a latent on them.

#if Explorer
import Foundation
import GRDB
import HSAESupport

/// A place where a latent is active, with the text around it.
public struct ContextText: Hashable, Sendable, Codable {
  /// A token of the text.
  public struct Token: Hashable, Sendable, Codable {
    /// Its text, `▁` for a leading space; bytes that are no text by themselves as `<0xE2>`.
    public var text: String
    /// The latent's code there; 0 where it is not active.
    public var value: Float
  }

  /// The document's number in the store; nil where there are no documents.
  public var document: Int?
  /// The token's position in its document, or its number in a vocabulary or matrix.
  public var position: Int
  /// The document's title, language and topic, where stated.
  public var title: String?
  /// Its language.
  public var language: String?
  /// Its topic.
  public var topic: String?
  /// The tokens of the window, in reading order.
  public var tokens: [Token]
  /// Which of them the context is about.
  public var centre: Int
  /// The latent's code there.
  public var value: Float
  /// The code of its parent there, of a sublatent; 0 for a latent of the top level.
  public var parentValue: Float
}

/// Reads the text of contexts.
struct ContextReader {
  let run: RunRecord
  let vocabulary: [String]

  func text(ofToken token: Int) -> String {
    vocabulary.indices.contains(token) ? vocabulary[token] : "<token \(token)>"
  }

  func texts(_ tokens: PromotedTokens) -> PromotedTexts {
    func texts(_ effects: [TokenEffect]) -> [PromotedTexts.Token] {
      effects.map { .init(token: $0.token, text: text(ofToken: $0.token), value: $0.value) }
    }
    return PromotedTexts(promoted: texts(tokens.promoted), suppressed: texts(tokens.suppressed))
  }

  func text(of context: LatentContext, _ db: Database) throws -> ContextText {
    func single(_ text: String) -> ContextText {
      ContextText(
        position: context.place, tokens: [.init(text: text, value: context.value)], centre: 0,
        value: context.value, parentValue: context.parentValue)
    }
    switch run.kind {
    case .rows: return single("row \(context.place)")
    case .vocabulary: return single(text(ofToken: context.place))
    case .text: break
    }
    // Cursors give rows without copies of them: a page has dozens of contexts.
    let documents = try Row.fetchCursor(
      db.cachedStatement(
        sql: """
          SELECT first, length, number, title, language, topic FROM document
          WHERE corpus = ? AND first <= ? ORDER BY first DESC LIMIT 1
          """), arguments: [run.corpus, context.place])
    guard let document = try documents.next() else { throw BlobReader.damaged }
    let (first, length): (Int, Int) = try (document.get(0), document.get(1))
    guard length > 0, first >= 0, length < 1 << 48, context.place - first < length else {
      throw BlobReader.damaged
    }
    let window =
      max(
        first, context.place - run.window)...min(
        first + length - 1, context.place + run.window)
    let tokens = try tokens(window, db)
    guard tokens.count == window.count else { throw BlobReader.damaged }
    let centre = context.place - window.lowerBound
    var values = [Float](repeating: 0, count: window.count)
    for neighbour in context.neighbours where values.indices.contains(centre + neighbour.offset) {
      values[centre + neighbour.offset] = neighbour.value
    }
    values[centre] = context.value
    return try ContextText(
      document: document.get(2), position: context.place - first, title: document.get(3),
      language: document.get(4), topic: document.get(5),
      tokens: zip(tokens, values).map { .init(text: text(ofToken: $0), value: $1) },
      centre: centre, value: context.value, parentValue: context.parentValue)
  }

  /// The tokens at `window`.
  private func tokens(_ window: ClosedRange<Int>, _ db: Database) throws -> [Int] {
    let passages = try Row.fetchCursor(
      db.cachedStatement(
        sql: """
          SELECT first, tokens FROM passage WHERE corpus = ? AND first > ? AND first <= ?
          ORDER BY first
          """),
      arguments: [run.corpus, window.lowerBound - Passage.length, window.upperBound])
    var tokens: [Int] = []
    while let passage = try passages.next() {
      let first: Int = try passage.get(0)
      // No document is as long as could overflow this: what is not there is not read.
      let wanted = max(0, window.lowerBound - first)..<max(0, window.upperBound + 1 - first)
      tokens += try Blob.tokens(passage.get(1) as Data, in: wanted)
    }
    return tokens
  }
}

/// A piece of a document: what is stored, and searched, as one.
enum Passage {
  /// Tokens of a passage, the last of a document excepted.
  static let length = 128
}
#endif
