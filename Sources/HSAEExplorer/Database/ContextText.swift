// Contexts as text: the tokens around a place, with the codes of a latent.

#if Explorer
import Foundation
import GRDB
import HSAESupport

/// A place where a latent is active, with the text around it.
struct ContextText: Hashable, Sendable, Codable {
  /// A token of the text.
  struct Token: Hashable, Sendable, Codable {
    /// Its text, with `▁` for a leading space; a byte that is part of a character is spelled `<0xE2>`.
    var text: String
    /// The latent's code there; 0 where it is not active.
    var value: Float
  }

  /// The document's number in the store; nil where there are no documents.
  var document: Int?
  /// The token's position in its document, or its number in a vocabulary or matrix.
  var position: Int
  /// The document's title, if it has one.
  var title: String?
  var language: String?
  var topic: String?
  /// The tokens of the window, in reading order.
  var tokens: [Token]
  /// The index of the token that the context is about.
  var centre: Int
  /// The latent's code there.
  var value: Float
  /// For a sublatent, its expert's code there; 0 for a latent of the top level.
  var parentValue: Float
}

struct ContextReader {
  private let run: RunRecord
  let vocabulary: Vocabulary
  private let passages: PassageCache
  /// The number of tokens on each side.
  private let window: Int

  /// A reader of contexts with at most `window` tokens on each side.
  init(_ database: FeatureDatabase, run: RunRecord, window: Int = .max) throws(Failure) {
    (self.run, self.window) = (run, min(window, run.window))
    vocabulary = try database.vocabulary(of: run.corpus)
    passages = database.passages
  }

  func texts(_ tokens: PromotedTokens) -> PromotedTexts {
    func texts(_ effects: [TokenEffect]) -> [PromotedTexts.Token] {
      effects.map { .init(token: $0.token, text: vocabulary.text(of: $0.token), value: $0.value) }
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
    case .vocabulary: return single(vocabulary.text(of: context.place))
    case .text: break
    }
    let document = try passage(at: context.place, db).document
    let (first, length) = (document.places.lowerBound, document.places.count)
    let window =
      max(
        first, context.place - self.window)...min(
        first + length - 1, context.place + self.window)
    var tokens: [ContextText.Token] = []
    tokens.reserveCapacity(window.count)
    while tokens.count < window.count {
      let passage = try passage(at: window.lowerBound + tokens.count, db)
      let here = window.clamped(to: ClosedRange(passage.places))
      let start = here.lowerBound - passage.places.lowerBound
      for token in passage.tokens[start..<start + here.count] {
        tokens.append(.init(text: vocabulary.text(of: Int(token)), value: 0))
      }
    }
    let centre = context.place - window.lowerBound
    for neighbour in context.neighbours where tokens.indices.contains(centre + neighbour.offset) {
      tokens[centre + neighbour.offset].value = neighbour.value
    }
    tokens[centre].value = context.value
    return ContextText(
      document: document.number, position: context.place - first, title: document.title,
      language: document.language, topic: document.topic, tokens: tokens, centre: centre,
      value: context.value, parentValue: context.parentValue)
  }

  private func passage(at place: Int, _ db: Database) throws -> Passage {
    if let known = passages.passage(at: place, in: run.corpus) { return known }
    let document = try document(at: place, db)
    let rows = try Row.fetchCursor(
      db.cachedStatement(
        sql: """
          SELECT first, tokens FROM passage WHERE corpus = ? AND first <= ? ORDER BY first DESC LIMIT 1
          """), arguments: [run.corpus, place])
    guard let row = try rows.next() else { throw BlobReader.damaged }
    let first: Int = try row.get(0)
    let tokens = try Blob.tokens(row.get(1) as Data)
    guard document.places.contains(first), tokens.count <= Passage.length,
      place - first < tokens.count, first + tokens.count <= document.places.upperBound
    else { throw BlobReader.damaged }
    let passage = Passage(
      document: document, places: first..<first + tokens.count, tokens: tokens)
    passages.keep(passage, of: run.corpus)
    return passage
  }

  private func document(at place: Int, _ db: Database) throws -> Passage.Document {
    let rows = try Row.fetchCursor(
      db.cachedStatement(
        sql: """
          SELECT first, length, number, title, language, topic FROM document
          WHERE corpus = ? AND first <= ? ORDER BY first DESC LIMIT 1
          """), arguments: [run.corpus, place])
    guard let row = try rows.next() else { throw BlobReader.damaged }
    let (first, length): (Int, Int) = try (row.get(0), row.get(1))
    guard length > 0, first >= 0, length < 1 << 48, first < 1 << 48, place - first < length else {
      throw BlobReader.damaged
    }
    return try Passage.Document(
      places: first..<first + length, number: row.get(2), title: row.get(3), language: row.get(4),
      topic: row.get(5))
  }
}
#endif
