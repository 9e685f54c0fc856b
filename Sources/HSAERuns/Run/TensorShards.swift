// A dictionary's tensors in one `.safetensors` file, or in several that each hold some of its experts, as
// ranks wrote them. Readers ask for experts and need not know how many files there are.
//
//   hsae_weights.safetensors              the whole dictionary, or else
//   hsae_weights.safetensors.index.json   which files there are, with which experts (`ShardIndex`)
//   hsae_weights-00001-of-00004.safetensors …
//
// In a shard every tensor has the rows of the shard's experts only. Every shard contains the bias.

internal import HSAEActivations
internal import HSAEModels
internal import HSAESupport

/// The index of a sharded set of tensors.
struct ShardIndex: Codable, Hashable, Sendable {
  /// One of the files.
  struct Shard: Codable, Hashable, Sendable {
    /// Its name, in the folder of the index.
    var file: String
    /// The number of the first of its experts, and how many it has.
    var firstExpert: Int
    var experts: Int
    /// SHA-256 of its content.
    var sha256: String
  }

  var format = 1
  /// The shards, in the order of their experts.
  var shards: [Shard]

  /// The path of the index that replaces the file at `path`.
  static func path(for path: String) -> String { path + ".index.json" }

  /// The name of shard `index` (from 0) of `count` of the file called `name`. In the name, shards count from
  /// 1.
  static func name(_ name: String, _ index: Int, of count: Int) -> String {
    let base = name.hasSuffix(".safetensors") ? String(name.dropLast(12)) : name
    return "\(base)-\(padded(index + 1, 5))-of-\(padded(count, 5)).safetensors"
  }

  /// The index of the set that the file at `path` belongs to, by its name; nil if there is none.
  static func path(forShard path: String) -> String? {
    guard let match = path.wholeMatch(of: /(.*)-[0-9]{5}-of-[0-9]{5}\.safetensors/) else {
      return nil
    }
    let index = self.path(for: match.1 + ".safetensors")
    return Path.exists(index) ? index : nil
  }

  /// The index at `path`. Fails with `.data` unless its shards cover all experts in order.
  static func read(_ path: String) throws(Failure) -> ShardIndex {
    let index = try JSONFile.read(ShardIndex.self, from: path)
    guard index.format == 1 else {
      throw .data("\(path): the layout is version \(index.format); this program knows version 1.")
    }
    var next = 0
    for shard in index.shards {
      guard shard.firstExpert == next, (1...Int(Int32.max)).contains(shard.experts),
        !shard.file.isEmpty, !shard.file.contains("/"), !shard.file.hasPrefix(".")
      else {
        throw .data(
          "\(path): the shard \"\(shard.file)\" does not follow the one before; the index is damaged."
        )
      }
      next += shard.experts
    }
    if index.shards.isEmpty { throw .data("\(path): the index names no shards; it is damaged.") }
    return index
  }
}

/// The files that hold a dictionary's tensors.
struct TensorShards {
  /// The files in the order of their experts; `experts` is nil if one file has them all.
  let parts: [(file: SafetensorsFile, experts: Range<Int>?)]
  /// The number of experts in all shards; nil if one file has them all.
  var experts: Int? { parts.last?.experts?.upperBound }

  /// Opens the file at `path`, or the shards of the index that is there instead. `path` may also be that of
  /// the index. An index of other tools (`SafetensorsIndex`), whose files have whole tensors, counts as one file.
  init(path: String) throws(Failure) {
    let suffix = ".index.json"
    let isIndex = path.hasSuffix(suffix)
    let indexPath = isIndex ? path : ShardIndex.path(for: path)
    guard isIndex || !Path.exists(path) && Path.exists(indexPath) else {
      if let whole = ShardIndex.path(forShard: path) {
        throw .usage(
          "\(path): this is a part of a dictionary; give the index of all its parts, \(whole).")
      }
      parts = [(try SafetensorsFile(path: path), nil)]
      return
    }
    if try SafetensorsIndex(MappedFile(path: indexPath)) != nil {
      parts = [(try SafetensorsFile(path: indexPath), nil)]
      return
    }
    var parts: [(file: SafetensorsFile, experts: Range<Int>?)] = []
    for shard in try ShardIndex.read(indexPath).shards {
      let file = Path.join(Path.parent(indexPath), shard.file)
      guard Path.exists(file) else {
        throw .missing("\(file): this shard is missing; restore it, or use an older checkpoint.")
      }
      parts.append(
        (
          try SafetensorsFile(path: file),
          shard.firstExpert..<shard.firstExpert + shard.experts
        ))
    }
    self.parts = parts
  }

  /// Calls `body` for each of the `wanted` experts, and once for a bias.
  ///
  /// `body` gets the file and the tensor that hold the expert, the tensor's layout, the expert's place in the
  /// tensor, and its place among the wanted ones. Tensors must have the shapes of a dictionary of `shape`.
  func forEachExpert(
    of wanted: Range<Int>, _ name: ParameterName, prefix: String = "", in shape: DictionaryShape,
    _ body: (
      _ file: SafetensorsFile, _ tensor: SafetensorsTensor, _ layout: RowLayout, _ place: Int,
      _ expert: Int
    ) throws(Failure) -> Void
  ) throws(Failure) {
    let layout = RowLayout(name, shape)
    let last = experts ?? shape.experts
    guard last == shape.experts else {
      throw .data(
        "\(parts[0].file.path): the shards have \(last) experts, not \(shape.experts).")
    }
    for part in parts {
      let experts = part.experts ?? 0..<shape.experts
      let common = experts.clamped(to: wanted)
      guard !common.isEmpty else { continue }
      var own = shape
      own.experts = experts.count
      let tensor = try part.file.tensor(prefix + name.rawValue, shape: name.dimensions(in: own))
      if name == .bias { return try body(part.file, tensor, layout, 0, 0) }
      for expert in common {
        try body(
          part.file, tensor, layout, expert - experts.lowerBound, expert - wanted.lowerBound)
      }
    }
  }

  /// The elements of the tensor `name` with `perExpert` numbers for each of the `wanted` experts. `read` gets
  /// a file, the name and the number of elements that the tensor has there.
  func collect<Element>(
    _ name: String, of wanted: Range<Int>, perExpert: Int, experts: Int,
    _ read: (SafetensorsFile, String, Int) throws(Failure) -> [Element]
  ) throws(Failure) -> [Element] {
    var result: [Element] = []
    for part in parts {
      let own = part.experts ?? 0..<experts
      let common = own.clamped(to: wanted)
      guard !common.isEmpty else { continue }
      let all = try read(part.file, name, own.count * perExpert)
      let first = (common.lowerBound - own.lowerBound) * perExpert
      result += all[first..<first + common.count * perExpert]
    }
    return result
  }

  /// Gives the memory of what was read so far back to the system.
  func releasePages() { for part in parts { part.file.releasePages() } }
}
