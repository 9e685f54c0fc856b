// The options of training on the command line. They are declared by the table of `TrainingOptions`: ArgumentParser
// asks a type for its options by reflection and then decodes their values, so this type presents a row as a property.

public import ArgumentParser
public import HSAEActivations
public import HSAEEngine
import HSAERuns
import HSAESupport
public import HSAETensors

struct TrainingArguments: ParsableArguments, CustomReflectable {
  /// What was written for each option that was given.
  private var texts: [String: String] = [:]

  init() {}

  init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: NameKey.self)
    for row in Self.rows { texts[row.name] = try row.argumentType.text(of: row, in: values) }
  }

  private static var rows: [TrainingOption] { TrainingOptions.table.filter(\.isShared) }

  var customMirror: Mirror {
    Mirror(self, children: Self.rows.map { (label: $0.name, value: $0.argumentType.option($0)) })
  }

  /// The options as the library takes them.
  func options() throws(Failure) -> TrainingOptions {
    var options = TrainingOptions()
    for row in Self.rows {
      if let text = texts[row.name] { try row.set(&options, text) }
    }
    return options
  }
}

extension ArgumentHelp {
  /// The help of --tensor, where rows are an option or the second argument.
  static var tensor: ArgumentHelp {
    "The tensor to read, if these rows are in a .safetensors file with several, or in several files with an index."
  }

  /// The help of an option of training that a command declares itself.
  static func option(_ name: String) -> ArgumentHelp? {
    TrainingOptions.table.first { $0.name == name }.map { ArgumentHelp($0.help) }
  }
}

/// A text that is a value of type `Value`. ArgumentParser refuses others and lists the choices.
private struct Word<Value: OptionValue>: ExpressibleByArgument {
  let text: String

  init?(argument: String) {
    guard Value(option: argument) != nil else { return nil }
    text = argument
  }

  static var allValueStrings: [String] { Value.choices }
  static var defaultCompletionKind: CompletionKind {
    Value.choices.isEmpty ? .default : .list(Value.choices)
  }
}

extension TrainingOption {
  /// The type of the text on the command line. Counts with suffixes are parsed by `set`, which has better messages.
  fileprivate var argumentType: any OptionValue.Type {
    switch notation {
    case .count, .size: String.self
    case .plain, .file: type
    }
  }
}

extension OptionValue {
  /// What ArgumentParser takes as the declaration of an option.
  fileprivate static func option(_ row: TrainingOption) -> Any {
    var completion: CompletionKind?
    if case .file(let extensions) = row.notation { completion = .file(extensions: extensions) }
    return Option<Word<Self>?>(
      name: .customLong(row.name), help: ArgumentHelp(row.help), completion: completion)
  }

  /// What was written for the option; nil if it was not given.
  fileprivate static func text(
    of row: TrainingOption, in values: KeyedDecodingContainer<NameKey>
  ) throws -> String? {
    let key = NameKey(stringValue: row.name)
    return try values.decode(Option<Word<Self>?>.self, forKey: key).wrappedValue?.text
  }
}

extension Precision: ExpressibleByArgument {}
extension GiantNorms: ExpressibleByArgument {}
extension Backend: ExpressibleByArgument {}
