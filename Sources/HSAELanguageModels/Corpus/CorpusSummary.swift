// Counts what a reader found in a corpus, and what it skipped and why. One bad line in a million must not
// stop the work, but the user must learn of it.

import HSAESupport

/// Counts of what was read and skipped.
public struct CorpusSummary: Codable, Hashable, Sendable {
  /// Why something was skipped or shortened.
  public enum Reason: String, Codable, CaseIterable, Sendable {
    /// An empty file.
    case emptyFile
    /// A document of white space only.
    case blank
    /// A document that is not UTF-8, or a plain text with zero bytes.
    case notUTF8
    /// A line longer than the limit.
    case tooLong
    /// A text file longer than the limit; its beginning was taken.
    case shortened
    /// A line that is not JSON.
    case notJSON
    /// A JSON value without the text field, or whose field is not a string.
    case withoutField
    /// A JSON array in place of a document.
    case list
    /// A compressed file that is damaged; it was read up to the damage.
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
      case .list:
        "\(counted(count, "JSON array")), skipped: a corpus has one object a line, as jq -c '.[]' writes them"
      case .damagedFile:
        "\(counted(count, "damaged compressed file")), read up to the damage"
      }
    }
  }

  /// How often something happened, and where it happened first.
  public struct Occurrence: Codable, Hashable, Sendable {
    /// The count.
    public var count = 0
    /// The first place: a path, with the line number where there is one.
    public var first: String
  }

  /// Files opened.
  public var files = 0
  /// Documents returned.
  public var documents = 0
  /// Bytes of their texts.
  public var bytes = 0
  /// What was skipped or shortened, by reason (`Reason.rawValue`).
  public private(set) var passedOver: [String: Occurrence] = [:]

  /// All counts 0.
  public init() {}

  /// How often `reason` occurred.
  public func count(_ reason: Reason) -> Int { passedOver[reason.rawValue]?.count ?? 0 }

  mutating func add(_ reason: Reason, at place: @autoclosure () -> String) {
    passedOver[reason.rawValue, default: Occurrence(first: place())].count += 1
  }

  /// One line for each reason that occurred, in the order of `Reason`.
  public var lines: [String] {
    Reason.allCases.compactMap { reason in
      passedOver[reason.rawValue].map {
        "\(reason.words($0.count)) (first: \($0.first))"
      }
    }
  }
}
