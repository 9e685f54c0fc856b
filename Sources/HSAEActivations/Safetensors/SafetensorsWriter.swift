// Writes `.safetensors` files: the shapes first, then the numbers as they come. The file is hashed on the way
// and durable at the end.

public import HSAESupport

/// A `.safetensors` file that is being written.
///
/// Declare all tensors at the beginning. Then append the elements of each, in the declared order and in
/// pieces of any size. `finish()` gives the file its name.
public struct SafetensorsWriter: ~Copyable {
  /// A tensor to write.
  public struct Tensor: Sendable {
    /// Its name.
    public var name: String
    /// Its type in the file.
    public var type: SafetensorsType
    /// Its dimensions, slowest first.
    public var shape: [Int]

    /// A tensor with the given name, dimensions and type.
    public init(_ name: String, shape: [Int], type: SafetensorsType = .float32) {
      self.name = name
      self.type = type
      self.shape = shape
    }

    var byteCount: Int { shape.reduce(type.size, *) }
  }

  private let tensors: [Tensor]
  private var current = 0
  private var currentBytes = 0
  private var file: DurableFile
  private var hash: SHA256
  private var scratch: [UInt8] = []

  /// Begins the file for `path` with the given tensors, whose names must differ.
  public init(
    path: String, tensors: [Tensor], metadata: [String: String] = [:]
  ) throws(Failure) {
    precondition(Set(tensors.map(\.name)).count == tensors.count, "Two tensors have one name.")
    self.tensors = tensors
    let header = Self.header(tensors, metadata)
    file = try Self.begin(path, header)
    hash = SHA256()
    hash.update(header)
  }

  private static func begin(_ path: String, _ header: [UInt8]) throws(Failure) -> DurableFile {
    var file = try DurableFile(path: path)
    try file.write(header)
    return file
  }

  /// The header: its length in 8 bytes, then JSON, padded so that the numbers begin at a multiple of 8.
  private static func header(_ tensors: [Tensor], _ metadata: [String: String]) -> [UInt8] {
    var offset = 0
    var members: [String] = []
    if !metadata.isEmpty {
      let value = JSONValue.object(metadata.mapValues { .string($0) })
      members.append("\"__metadata__\": \(value.text(indent: nil))")
    }
    for tensor in tensors {
      let end = offset + tensor.byteCount
      let value = JSONValue.object([
        "dtype": .string(tensor.type.rawValue), "shape": .array(tensor.shape.map { .integer($0) }),
        "data_offsets": .array([.integer(offset), .integer(end)]),
      ])
      members.append("\(JSONValue.string(tensor.name).text()): \(value.text(indent: nil))")
      offset = end
    }
    var text = Array("{\(members.joined(separator: ", "))}".utf8)
    text += [UInt8](repeating: 0x20, count: (8 - text.count % 8) % 8)
    var bytes: [UInt8] = []
    appendBytes(of: UInt64(text.count), to: &bytes)
    return bytes + text
  }

  private mutating func put(_ bytes: [UInt8]) throws(Failure) {
    hash.update(bytes)
    try file.write(bytes)
  }

  /// Appends `floats` to the tensor called `name`, in its declared type.
  public mutating func append(_ name: String, _ floats: Span<Float>) throws(Failure) {
    let tensor = begin(name)
    guard let type = tensor.type.elementType else {
      preconditionFailure("Tensor \(name) has no float type.")
    }
    var start = 0
    while start < floats.count {
      let end = min(floats.count, start + 1 << 16)
      scratch.removeAll(keepingCapacity: true)
      type.encode(floats.extracting(start..<end), to: &scratch)
      try put(scratch)
      start = end
    }
    advance(by: floats.count * type.size)
  }

  /// Appends `floats` to the tensor called `name`.
  public mutating func append(_ name: String, _ floats: [Float]) throws(Failure) {
    try append(name, floats.span)
  }

  /// Appends little-endian `bytes` to the tensor called `name`, of any type.
  public mutating func append(_ name: String, bytes: RawSpan) throws(Failure) {
    _ = begin(name)
    hash.update(bytes)
    try file.write(bytes)
    advance(by: bytes.byteCount)
  }

  /// Moves to the tensor called `name`, which must be the present one or the next.
  private mutating func begin(_ name: String) -> Tensor {
    // A tensor without elements is full from the beginning, and appending nothing to it is allowed.
    if current < tensors.count, tensors[current].name != name { skipFull(upTo: name) }
    precondition(
      current < tensors.count && tensors[current].name == name,
      "Tensor \(name) is not the next to be written.")
    return tensors[current]
  }

  private mutating func skipFull(upTo name: String? = nil) {
    while current < tensors.count, currentBytes == tensors[current].byteCount,
      tensors[current].name != name
    {
      current += 1
      currentBytes = 0
    }
  }

  private mutating func advance(by bytes: Int) {
    currentBytes += bytes
    precondition(
      currentBytes <= tensors[current].byteCount,
      "More elements than tensor \(tensors[current].name) has.")
  }

  /// Brings the file to the disk and gives it its name. Returns the SHA-256 of its content.
  public consuming func finish() throws(Failure) -> String {
    skipFull()
    precondition(current == tensors.count, "Tensor \(tensors[current].name) is not complete.")
    try file.commit()
    return hash.finish()
  }
}
