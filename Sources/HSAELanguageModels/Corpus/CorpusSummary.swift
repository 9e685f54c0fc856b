// What was found in a corpus, and what was passed over and why: one bad line in a million must
// neither stop the work nor go unsaid.

import HSAESupport

/// Counts of a corpus that was read.
public struct CorpusSummary: Codable, Hashable, Sendable {
  /// Why something was not taken as it is.
  public enum Reason: String, Codable, CaseIterable, Sendable {
    /// A file without a byte.
    case emptyFile
    /// A document of white space only.
    case blank
    /// A document that is not UTF-8, or a plain one with zero bytes.
    case notUTF8
    /// A line longer than the limit.
    case tooLong
    /// A text file longer than the limit, whose beginning was taken.
    case shortened
    /// A line that is not JSON.
    case notJSON
    /// A JSON value without the field, or whose field is no string.
    case withoutField
    /// A compressed file that is damaged from some point on.
    case damagedFile

    /// The reason in a phrase for `count` of them: "3 empty files".
    func words(_ count: Int) -> String {
      switch self {
      case .emptyFile: counted(count, "empty file")
      case .blank: "\(counted(count, "blank line")) or document\(count == 1 ? "" : "s")"
      case .notUTF8:
        counted(count, "document") + (count == 1 ? " that is" : " that are")
          + " not UTF-8 text, skipped"
      case .tooLong: "\(counted(count, "line")) longer than the limit, skipped"
      case .shortened:
        "\(counted(count, "file")) longer than the limit, \(count == 1 ? "its" : "their") beginning taken"
      case .notJSON:
        counted(count, "line") + (count == 1 ? " that is" : " that are") + " not JSON, skipped"
      case .withoutField: "\(counted(count, "JSON value")) without the text field, skipped"
      case .damagedFile:
        "\(counted(count, "damaged compressed file")), read up to the damage"
      }
    }
  }

  /// How often something happened, and where first.
  public struct Occurrence: Codable, Hashable, Sendable {
    /// How often.
    public var count = 0
    /// Where first: a path, with the line if it has lines.
    public var first: String
  }

  /// Files that were opened.
  public var files = 0
  /// Documents that were given out.
  public var documents = 0
  /// Bytes of their texts.
  public var bytes = 0
  /// What was passed over, by reason (`Reason.rawValue`).
  public private(set) var passedOver: [String: Occurrence] = [:]

  /// A summary of nothing yet.
  public init() {}

  /// How often `reason` occurred.
  public func count(_ reason: Reason) -> Int { passedOver[reason.rawValue]?.count ?? 0 }

  mutating func add(_ reason: Reason, at place: @autoclosure () -> String) {
    passedOver[reason.rawValue, default: Occurrence(first: place())].count += 1
  }

  /// One line for each reason that occurred, the most frequent kinds of damage in a fixed order.
  public var lines: [String] {
    Reason.allCases.compactMap { reason in
      passedOver[reason.rawValue].map {
        "\(reason.words($0.count)) (first: \($0.first))"
      }
    }
  }
}
