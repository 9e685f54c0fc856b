// One row of the table of training options. `TrainingOptions.table` lists the rows; files of options, the
// command line, presets and checks all loop over them.

package import HSAESupport

/// A type that the value of an option can have.
package protocol OptionValue: Codable, Hashable, Sendable {
  /// The value that a command line writes as `text`; nil if there is none.
  init?(option text: String)
  /// The values to choose from; empty for numbers and texts.
  static var choices: [String] { get }
  /// The value as a command line writes it.
  var optionText: String { get }
}

extension OptionValue {
  package static var choices: [String] { [] }
}

extension OptionValue where Self: LosslessStringConvertible {
  package init?(option text: String) { self.init(text) }
  package var optionText: String { description }
}

extension OptionValue where Self: CaseIterable & RawRepresentable<String> {
  package init?(option text: String) { self.init(rawValue: text) }
  package static var choices: [String] { allCases.map(\.rawValue) }
  package var optionText: String { rawValue }
}

extension Int: OptionValue {}
extension UInt64: OptionValue {}
extension Double: OptionValue {
  /// The shortest text; a number in single precision has the digits it was written with.
  package var optionText: String {
    let text = Double(Float(self)) == self ? "\(Float(self))" : "\(self)"
    return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
  }
}
extension String: OptionValue {}

/// A coding key that is the name of an option or of a metric.
package struct NameKey: CodingKey {
  package let stringValue: String
  package var intValue: Int? { nil }
  package init(stringValue: String) { self.stringValue = stringValue }
  package init?(intValue: Int) { nil }
}

/// An option of training: its name, its help, what its values look like, and its member of `TrainingOptions`.
package struct TrainingOption: Sendable {
  /// How the command line writes a value.
  package enum Notation: Sendable {
    /// A whole or decimal number, a text, or one of the choices.
    case plain
    /// A count of rows or steps: 2M is 2,000,000.
    case count
    /// The size of a dictionary: 16k is 16,384.
    case size
    /// The path of a file whose name ends in one of these.
    case file(extensions: [String])
  }

  /// The numbers that are allowed.
  package enum Bounds: Sendable {
    case any, notNegative, positive
    case range(ClosedRange<Int>)

    /// What is wrong with `value`, as the end of a sentence; nil if nothing is.
    fileprivate func complaint(_ value: some OptionValue) -> String? {
      let whole = value as? Int
      guard let number = whole.map({ Double($0) }) ?? value as? Double else { return nil }
      // Single precision: resolved values are compared again after they were rounded to it.
      let isFinite = abs(Float(number)) <= 1e30
      switch self {
      case .any: return nil
      case .notNegative where isFinite && number >= 0, .positive where isFinite && number > 0:
        return nil
      case .notNegative where whole != nil: return "must not be negative, not \(value)."
      case .positive where whole != nil: return "must be at least 1, not \(value)."
      case .notNegative where number < 0: return "must not be negative, not \(value)."
      case .positive where number <= 0: return "must be greater than 0, not \(value)."
      case .notNegative: return "must be a number between 0 and 1e30, not \(value)."
      case .positive: return "must be a number greater than 0 and at most 1e30, not \(value)."
      case .range(let range) where whole.map(range.contains) ?? false: return nil
      case .range(let range):
        return "must be between \(range.lowerBound) and \(range.upperBound), not \(value)."
      }
    }
  }

  /// The long option on the command line, and the key in a file of options.
  package let name: String
  /// What the option sets, for `--help`.
  package let help: String
  package let notation: Notation
  /// The type of its values.
  package let type: any OptionValue.Type
  /// Whether the option is the same in all commands that train. If not, each command that has it declares it.
  package let isShared: Bool
  private let parse: @Sendable (inout TrainingOptions, _ text: String) throws(Failure) -> Void
  /// What is wrong with the value, as the end of a sentence; nil if nothing is.
  let complaint: @Sendable (TrainingOptions) -> String?
  /// Sets the option, unless it is set, to its value in other options.
  let fill: @Sendable (inout TrainingOptions, _ other: TrainingOptions) -> Void
  let decode: @Sendable (inout TrainingOptions, KeyedDecodingContainer<NameKey>) throws -> Void
  /// Whether the option is set.
  let isSet: @Sendable (TrainingOptions) -> Bool
  /// The values in two groups of options, as a command line writes them, if the first is set and the second is another;
  /// settings in single precision are equal to what they were rounded from.
  let difference: @Sendable (TrainingOptions, TrainingOptions) -> (given: String, own: String?)?
  let encode: @Sendable (TrainingOptions, inout KeyedEncodingContainer<NameKey>) throws -> Void

  init<Value: OptionValue>(
    _ name: String, _ path: any WritableKeyPath<TrainingOptions, Value?> & Sendable,
    _ help: String, as notation: Notation = .plain, _ bounds: Bounds = .any, isShared: Bool = true
  ) {
    (self.name, self.help, self.notation, type) = (name, help, notation, Value.self)
    self.isShared = isShared
    let key = NameKey(stringValue: name)
    parse = { (options, text) throws(Failure) in
      let value: Value? =
        switch notation {
        case .count: try SizeArgument.count(text) as? Value
        case .size: try SizeArgument.dictionarySize(text) as? Value
        case .plain, .file: Value(option: text)
        }
      guard let value else { throw .usage("\"\(text)\" is not a valid value.") }
      options[keyPath: path] = value
    }
    complaint = { $0[keyPath: path].flatMap(bounds.complaint) }
    fill = { $0[keyPath: path] = $0[keyPath: path] ?? $1[keyPath: path] }
    decode = { $0[keyPath: path] = try $1.decodeIfPresent(Value.self, forKey: key) }
    isSet = { $0[keyPath: path] != nil }
    difference = {
      guard let given = $0[keyPath: path] else { return nil }
      let own = $1[keyPath: path]
      if given == own { return nil }
      if let wide = given as? Double, Double(Float(wide)) == own as? Double { return nil }
      return (given.optionText, own?.optionText)
    }
    encode = { try $1.encodeIfPresent($0[keyPath: path], forKey: key) }
  }

  /// Sets the option from the text on a command line. Fails with `.usage` and the option's name if it is malformed.
  package func set(_ options: inout TrainingOptions, _ text: String) throws(Failure) {
    do throws(Failure) { try parse(&options, text) } catch {
      throw .usage("--\(name): \(error.message)")
    }
  }

  /// What is wrong with the form of `value` in a file of options, as the end of a sentence; nil if nothing that
  /// a decoder would not say as well.
  func complaint(json value: JSONValue) -> String? {
    if !type.choices.isEmpty, !type.choices.contains(value.string ?? "") {
      return "must be one of \(type.choices.joined(separator: ", "))."
    }
    guard type is Int.Type || type is UInt64.Type else { return nil }
    let (least, limit) = type is Int.Type ? (-0x1p62, 0x1p62) : (0, 0x1p64)
    if let number = value.number, number.rounded() == number, number >= least, number < limit {
      return nil
    }
    return "must be a whole number, neither too small nor too large."
  }
}
