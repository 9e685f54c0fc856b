// How well the rows of a token are usually explained: histograms that `hsae explain` writes, and where one row of a text
// stands among them.

#if Explorer
import Foundation
import GRDB
import HSAESupport

/// How many rows are explained how well.
struct ExplainedShares: Hashable, Sendable {
  /// Bins of equal width between 0 and 1; the first has shares below 0 too.
  static let bins = 40
  /// The number that stands for all tokens together.
  static let allTokens = -1

  private(set) var counts = [Int](repeating: 0, count: bins)
  var rows: Int { counts.reduce(0, +) }

  /// Counts a row of which `share` is explained.
  mutating func add(_ share: Double) { counts[Self.bin(share)] += 1 }

  private static func bin(_ share: Double) -> Int {
    // A share that is not a number counts as 0.
    share > 0 ? min(bins - 1, Int(min(1, share) * Double(bins))) : 0
  }

  /// The share of rows that are explained worse than `share`; rows in the same bin count half.
  func below(_ share: Double) -> Double {
    let bin = Self.bin(share)
    let less = Double(counts[..<bin].reduce(0, +)) + Double(counts[bin]) / 2
    return less / Double(max(1, rows))
  }

  /// The middle of the bin that has the median; 0 without rows.
  var median: Double {
    if rows == 0 { return 0 }
    var sum = 0
    for (bin, count) in counts.enumerated() {
      sum += count
      if 2 * sum >= rows { return (Double(bin) + 0.5) / Double(Self.bins) }
    }
    return 0
  }

  init() {}

  /// From a blob of the database.
  init(_ counts: [Int]) throws(Failure) {
    guard counts.count == Self.bins, counts.allSatisfy({ $0 <= Blob.largestCount }) else {
      throw BlobReader.damaged
    }
    self.counts = counts
  }
}

/// Where a row stands among the explained rows of its kind.
struct TokenStanding: Hashable, Sendable, Codable {
  /// The number of rows it is compared with.
  var rows: Int
  /// Whether they are rows of the same token; if not, of all tokens.
  var isSameToken: Bool
  /// The median of the shares of these rows that are explained.
  var median: Double
  /// The share of these rows that are explained worse.
  var below: Double

  /// A token with fewer rows is compared with all rows.
  static let leastRows = 20
}

extension FeatureDatabase {
  /// Where a row of `token` stands of which `share` is explained; nil if the run was explained by an older hsae.
  func standing(
    of token: Int32, explained share: Double, in run: RunRecord
  ) throws(Failure) -> TokenStanding? {
    try read { db in
      func shares(_ token: Int) throws -> ExplainedShares? {
        try Data.fetchOne(
          db.cachedStatement(sql: "SELECT shares FROM explained WHERE run = ? AND token = ?"),
          arguments: [run.id, token]
        ).map { try ExplainedShares(Blob.integers($0)) }
      }
      let own = try shares(Int(token)).flatMap { $0.rows >= TokenStanding.leastRows ? $0 : nil }
      guard let those = try own ?? shares(ExplainedShares.allTokens) else { return nil }
      return TokenStanding(
        rows: those.rows, isSameToken: own != nil, median: those.median, below: those.below(share))
    }
  }
}
#endif
