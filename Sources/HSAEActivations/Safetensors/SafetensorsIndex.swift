// The index of a sharded set of `.safetensors` files, as the Hugging Face libraries write it beside them:
//
//   model.safetensors.index.json        {"metadata": {…}, "weight_map": {"embed.weight": "model-00001-of-00002.safetensors", …}}
//   model-00001-of-00002.safetensors …
//
// The map says which file has which tensor. A tensor is whole in one file. (The shards of a checkpoint of hsae are
// another format: `TensorShards.swift`.)

package import HSAESupport

/// The index of a sharded set of `.safetensors` files.
package struct SafetensorsIndex: Sendable {
  /// Its path.
  package let path: String
  /// The name of the file of each tensor.
  let map: [String: String]

  /// The end of an index's name: `model.safetensors.index.json`.
  package static let suffix = ".safetensors.index.json"

  /// The index in `file`; nil if it holds anything else. Fails with `.data` if it is an index that is not sound.
  package init?(_ file: MappedFile) throws(Failure) {
    guard Self.mayBeJSON(file), file.count <= SafetensorsHeader.maximumLength,
      let tree = try? JSONValue(
        parsing: file.copy(), source: file.path, limits: JSONLimits(depth: 8, values: 2_000_000)),
      let entries = tree["weight_map"]
    else { return nil }
    path = file.path
    var map: [String: String] = [:]
    for (tensor, value) in entries.object ?? [:] {
      guard let name = value.string, !name.isEmpty, !name.contains("/"), !name.hasPrefix(".") else {
        throw .data(
          "\(path): \"weight_map\" gives tensor \"\(tensor.prefix(80))\" no name of a file beside the index."
        )
      }
      map[tensor] = name
    }
    guard !map.isEmpty else {
      throw .data("\(path): \"weight_map\" names no tensors; the index is damaged.")
    }
    self.map = map
  }

  private static func mayBeJSON(_ file: MappedFile) -> Bool {
    let start = file.copy(0..<min(file.count, 64)).drop { $0 == 0x20 || (0x09...0x0D).contains($0) }
    return start.first == UInt8(ascii: "{")
  }

  /// The path of the index that stands in for the file at `path`, or that has this file as a shard, by their names:
  /// `model.safetensors` and `model-00001-of-00002.safetensors` may have `model.safetensors.index.json`. Nil if no such
  /// index is there.
  package static func path(for path: String) -> String? {
    guard path.hasSuffix(".safetensors") else { return nil }
    let index = String(withoutNumber(path.dropLast(12))) + suffix
    return Path.exists(index) ? index : nil
  }

  /// `stem` without "-00001-of-00002", or another shard's number, at its end. It is not a regular expression because
  /// every opened file comes here, and making the expression would take longer than all the rest.
  private static func withoutNumber(_ stem: Substring) -> Substring {
    let example = "-00001-of-00002".utf8
    let end = stem.utf8.suffix(example.count)
    func isDigit(_ byte: UInt8) -> Bool { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) }
    let isNumber =
      end.count == example.count
      && zip(end, example).allSatisfy { isDigit($1) ? isDigit($0) : $0 == $1 }
    return isNumber ? stem.dropLast(example.count) : stem
  }

  /// `path`, or if nothing is there the index that stands in for it.
  package static func place(of path: String) -> String {
    Path.exists(path) ? path : self.path(for: path) ?? path
  }

  /// The files to read at `path`: an index and those it names, or `path` itself.
  package static func files(of path: String) throws(Failure) -> [String] {
    guard path.hasSuffix(suffix), let index = try SafetensorsIndex(MappedFile(path: path)) else {
      return [path]
    }
    return [path] + Set(index.map.values).sorted().map { Path.join(Path.parent(path), $0) }
  }

  /// The path of the index beside the file at `path` that says which other file has the tensor `name`; nil if there is
  /// none.
  static func path(forShard path: String, with name: String) -> String? {
    guard let place = self.path(for: path), let file = try? MappedFile(path: place),
      let index = try? SafetensorsIndex(file), index.map[name] != nil
    else { return nil }
    return place
  }
}

extension SafetensorsFile {
  /// Opens the files of `index`, or only that of the tensor `name`.
  ///
  /// Fails with `.missing` if a file is missing, and with `.data` unless each file has exactly the tensors that the index
  /// says.
  init(_ index: SafetensorsIndex, tensor name: String? = nil) throws(Failure) {
    var wanted = Set(index.map.values)
    if let file = name.flatMap({ index.map[$0] }) { wanted = [file] }
    var files: [MappedFile] = []
    var tensors: [SafetensorsTensor] = []
    for (number, shard) in wanted.sorted().enumerated() {
      let path = Path.join(Path.parent(index.path), shard)
      guard Path.exists(path) else {
        throw .missing("\(path): this file of \(index.path) is missing; fetch it too.")
      }
      let file = try MappedFile(path: path)
      let header = try SafetensorsHeader(file, number: number)
      if let other = header.tensors.first(where: { index.map[$0.name] != shard }) {
        throw .data(
          "\(path): it has a tensor \"\(other.name.prefix(80))\" that \(index.path) does not say is in this file; the"
            + " index belongs to other files.")
      }
      let names = Set(header.tensors.map(\.name))
      if let lacking = index.map.filter({ $0.value == shard && !names.contains($0.key) }).keys.min()
      {
        throw .data(
          "\(path): there is no tensor \"\(lacking.prefix(80))\" in it, although \(index.path) says so; the index"
            + " belongs to other files.")
      }
      files.append(file)
      tensors += header.tensors
    }
    self.init(path: index.path, tensors: tensors, files: files)
  }
}
