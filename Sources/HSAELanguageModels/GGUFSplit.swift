// Finds and opens the parts of a split model: files NAME-00001-of-00003.gguf and so on in one folder. The first
// has the metadata; each says which part it is (`split.no`, from 0) and of how many (`split.count`).

import CLlama
import HSAESupport

enum GGUFSplit {
  /// All parts of the model whose first part is `first`, in order; `first` alone if the model is one file.
  ///
  /// Fails with `.missing` if a part is not there. Fails with `.data` if `first` is another part, if its name
  /// does not say where the others are, and if the parts do not belong together.
  static func parts(of first: GGUFPart) throws(Failure) -> [GGUFPart] {
    let path = first.path
    let count = max(1, try first.number(countKey, GGUF_TYPE_UINT16) ?? 1)
    let number = try first.number(numberKey, GGUF_TYPE_UINT16)
    guard count > 1 || number ?? 0 > 0 else { return [first] }
    guard let number, number < count else {
      throw .data(
        "\(path) says that it is part \(number.map { "\($0 + 1)" } ?? "?") of \(count) (\(numberKey),"
          + " \(countKey)); it is damaged.")
    }
    let ending = ending(0, of: count)
    let stem =
      path.hasSuffix(Self.ending(number, of: count))
      ? String(path.dropLast(ending.count)) : nil
    guard number == 0 else {
      let place = stem.map { $0 + ending }
      throw .data(
        "\(path) is part \(number + 1) of \(count) of a model; give the first part"
          + (place.map { ", \($0)" + (isFile($0) ? "" : " (it is missing)") }
            ?? ", whose name ends in \(ending)") + ".")
    }
    guard let stem else {
      throw .data(
        "\(path) is the first of \(count) parts of a model, so its name must end in \(ending), and"
          + " those of the others likewise; rename it.")
    }
    let paths = (1..<count).map { stem + Self.ending($0, of: count) }
    let missing = paths.filter { !isFile($0) }
    if let some = missing.first {
      throw .missing(
        "\(path) is the first of \(count) parts of a model, and \(Path.name(some))"
          + (missing.count > 1 ? " and \(missing.count - 1) more are" : " is")
          + " missing; put all parts into one folder.")
    }
    var parts = [first]
    for (index, path) in paths.enumerated() {
      let part = try GGUFPart(path: path)
      try check(part, is: index + 1, of: count)
      parts.append(part)
    }
    try checkTensors(of: parts)
    return parts
  }

  private static let (numberKey, countKey) = ("split.no", "split.count")
  private static let tensorCountKey = "split.tensors.count"

  /// How the name of part `number` (from 0) of `count` ends.
  private static func ending(_ number: Int, of count: Int) -> String {
    func digits(_ value: Int) -> String {
      String(repeating: "0", count: max(0, 5 - "\(value)".count)) + "\(value)"
    }
    return "-\(digits(number + 1))-of-\(digits(count)).gguf"
  }

  private static func isFile(_ path: String) -> Bool { Path.fileSize(path) != nil }

  /// Fails unless `part` says that it is part `number` (from 0) of `count`.
  private static func check(
    _ part: GGUFPart, is number: Int, of count: Int
  ) throws(Failure) {
    guard let own = try part.number(numberKey, GGUF_TYPE_UINT16) else {
      throw .data(
        "\(part.path) does not say which part of a model it is (\(numberKey)); it is damaged, or no"
          + " part of this model.")
    }
    // Only the first part must have the count.
    let ownCount = try part.number(countKey, GGUF_TYPE_UINT16) ?? count
    guard own == number, ownCount == count else {
      throw .data(
        "\(part.path) says that it is part \(own + 1) of \(ownCount), not \(number + 1) of \(count);"
          + " rename it, or fetch it again.")
    }
  }

  /// Fails if two parts have a tensor of the same name, or if the parts do not have as many tensors as the first
  /// one announces.
  private static func checkTensors(of parts: [GGUFPart]) throws(Failure) {
    var names: Set<String> = []
    for part in parts {
      for name in part.tensorNames where !names.insert(name).inserted {
        throw .data(
          "\(part.path): another part has the tensor \(name) too; the parts are of different models."
        )
      }
    }
    let announced = try parts.first?.number(tensorCountKey, GGUF_TYPE_INT32)
    if let announced, announced != names.count, let first = parts.first {
      throw .data(
        "\(first.path) announces \(announced) tensors (\(tensorCountKey)), and its \(parts.count) parts have"
          + " \(names.count); the parts are of different models, or damaged.")
    }
  }
}
