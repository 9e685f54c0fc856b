// Tokenises documents on all threads, cuts them into contexts, and writes the store's manifest in order.
// Memory does not grow with the corpus.

import HSAEActivations
import HSAESupport
import HSAETensors
import Synchronization

struct CorpusTokenizer {
  let settings: CollectionSettings
  let tokenizer: any Tokenizer
  let threads: Int

  /// The most documents, and about the most bytes, that are tokenised at once.
  private static let batchDocuments = 1024
  private static let batchBytes = 16 << 20

  struct Summary {
    var read = 0
    /// Documents without a row: empty, or only special tokens and early positions.
    var withoutRows = 0
    var isStopped = false
  }

  /// Reads `documents` to their end or to the limit of rows, and appends those with rows to `manifest`.
  /// `shouldStop` is called between batches; `progress` gets the number of rows so far.
  func run(
    _ documents: inout some DocumentSource, rule: TokenRule, into manifest: inout StoreManifest,
    shouldStop: () -> Bool, progress: (Int) -> Void
  ) throws(Failure) -> Summary {
    var summary = Summary()
    var isFull = false
    while !isFull {
      if shouldStop() {
        summary.isStopped = true
        break
      }
      var batch: [Document] = []
      var bytes = 0
      while batch.count < Self.batchDocuments, bytes < Self.batchBytes,
        let document = try documents.next()
      {
        bytes += document.text.count
        batch.append(document)
      }
      if batch.isEmpty { break }
      let tokens = encode(batch)
      for (document, tokens) in zip(batch, tokens) {
        let rows = manifest.trainingRows + manifest.holdoutRows
        let room = (settings.rowLimit ?? .max) - rows
        if room <= 0 {
          isFull = true
          break
        }
        summary.read += 1
        guard let cut = cut(tokens, rule, room: room) else {
          summary.withoutRows += 1
          continue
        }
        var entry = StoreManifest.Document(
          tokens: cut.tokens, rowCount: cut.rows,
          isHeldOut: settings.isHeldOut(manifest.documentCount))
        (entry.title, entry.language, entry.topic) =
          (document.title, document.language, document.topic)
        try manifest.append(entry)
      }
      progress(manifest.trainingRows + manifest.holdoutRows)
    }
    return summary
  }

  /// The tokens of each document, every context with its prefix; none for a document without text.
  private func encode(_ documents: [Document]) -> [[Int32]] {
    let results = Mutex([[Int32]](repeating: [], count: documents.count))
    parallelFor(documents.count, threads: threads) { index, _ in
      let tokens = contexts(of: documents[index].text)
      results.withLock { $0[index] = tokens }
    }
    return results.withLock { $0 }
  }

  private func contexts(of text: [UInt8]) -> [Int32] {
    let prefix = tokenizer.prefix(settings.bos)
    let room = settings.contextLength - prefix.count
    guard settings.wholeDocuments else {
      let tokens = tokenizer.encode(text, limit: room)
      return tokens.isEmpty ? [] : prefix + tokens
    }
    let tokens = tokenizer.encode(text[...])
    var result: [Int32] = []
    for start in stride(from: 0, to: tokens.count, by: room) {
      result += prefix + tokens[start..<min(start + room, tokens.count)]
    }
    return result
  }

  /// Cuts `tokens` after `room` rows and counts the rows; nil if there are none.
  private func cut(
    _ tokens: [Int32], _ rule: TokenRule, room: Int
  ) -> (tokens: [Int32], rows: Int)? {
    let rows = rule.count(tokens)
    if rows == 0 { return nil }
    if rows <= room { return (tokens, rows) }
    var left = room
    for (position, token) in tokens.enumerated() where rule.keeps(token, at: position) {
      left -= 1
      if left == 0 { return (Array(tokens[...position]), room) }
    }
    return (tokens, rows)
  }
}
