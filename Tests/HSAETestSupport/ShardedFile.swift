// Divides a `.safetensors` file into several with an index, as the Hugging Face libraries write them. It knows nothing of
// hsae's own reader and writer.

public import HSAESupport

/// Replaces the file at `path` by `count` files, with its tensors in turn, and an index beside them. Returns the index's
/// path.
@discardableResult
public func divideSafetensors(_ path: String, into count: Int) throws(Failure) -> String {
  let bytes = fileBytes(path)
  let length = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
  let header = try JSONValue(parsing: Array(bytes[8..<8 + length]), source: path).object ?? [:]
  let tensors = header.filter { $0.key != "__metadata__" }.sorted { $0.key < $1.key }
  let stem = path.hasSuffix(".safetensors") ? String(path.dropLast(12)) : path
  var map: [String: JSONValue] = [:]
  for shard in 0..<count {
    let number = { (value: Int) in String(repeating: "0", count: 5 - "\(value)".count) + "\(value)"
    }
    let file = "\(stem)-\(number(shard + 1))-of-\(number(count)).safetensors"
    var data: [UInt8] = []
    var own: [String: JSONValue] = ["__metadata__": .object(["format": .string("pt")])]
    for (place, tensor) in tensors.enumerated() where place % count == shard {
      let range = tensor.value["data_offsets"]?.integers ?? [0, 0]
      let start = data.count
      data += bytes[8 + length + range[0]..<8 + length + range[1]]
      var members = tensor.value.object ?? [:]
      members["data_offsets"] = .array([.integer(start), .integer(data.count)])
      own[tensor.key] = .object(members)
      map[tensor.key] = .string(Path.name(file))
    }
    let text = Array(JSONValue.object(own).text(indent: nil).utf8)
    let size = (0..<8).map { UInt8(truncatingIfNeeded: text.count >> (8 * $0)) }
    try DurableFile.write(size + text + data, to: file)
  }
  let index = JSONValue.object([
    "metadata": .object(["total_size": .integer(bytes.count - 8 - length)]),
    "weight_map": .object(map),
  ])
  Path.removeAll(path)
  let place = stem + ".safetensors.index.json"
  try DurableFile.write(index.text() + "\n", to: place)
  return place
}
