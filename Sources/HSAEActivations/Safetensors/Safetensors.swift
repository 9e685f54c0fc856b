// Reads `.safetensors` files: a JSON header of names, types, shapes and offsets, then the numbers.
// `SafetensorsHeader` checks the header against the file before anything is read.

public import HSAESupport
public import HSAETensors

/// A `.safetensors` file, mapped.
public struct SafetensorsFile: Sendable {
  /// The text stored with the tensors.
  public let metadata: [String: String]
  /// The tensors, in the order of their bytes.
  public let tensors: [SafetensorsTensor]
  let file: MappedFile
  private let places: [String: Int]

  /// The path it was opened by.
  public var path: String { file.path }

  /// Opens the file at `path`. Fails with `.data` and a sentence if its header is not sound.
  public init(path: String) throws(Failure) {
    try self.init(MappedFile(path: path))
  }

  init(_ file: MappedFile) throws(Failure) {
    self.file = file
    let header = try SafetensorsHeader(file)
    metadata = header.metadata
    tensors = header.tensors
    var places: [String: Int] = [:]
    for (index, tensor) in header.tensors.enumerated() { places[tensor.name] = index }
    self.places = places
  }

  /// Whether `file` begins as a `.safetensors` file does.
  package static func looksLikeSafetensors(_ file: MappedFile) -> Bool {
    file.count >= 10 && file.copy(7..<9) == [0, UInt8(ascii: "{")]
  }

  /// The tensor called `name`, if there is one.
  public subscript(name: String) -> SafetensorsTensor? { places[name].map { tensors[$0] } }

  /// The tensor called `name`; fails with `.data` if there is none.
  public func tensor(_ name: String) throws(Failure) -> SafetensorsTensor {
    if let tensor = self[name] { return tensor }
    let names = tensors.prefix(8).map(\.name).joined(separator: ", ")
    throw .data("\(path): there is no tensor \"\(name)\" in it; it has \(names).")
  }

  /// The tensor called `name`, which must have the shape `shape`; fails with `.data` otherwise.
  public func tensor(_ name: String, shape: [Int]) throws(Failure) -> SafetensorsTensor {
    let tensor = try tensor(name)
    guard tensor.shape == shape else {
      throw .data(
        "\(path): tensor \"\(name)\" has the shape \(tensor.shape), and \(shape) is needed.")
    }
    return tensor
  }

  /// The bytes of `tensor`, little-endian, row-major.
  @_lifetime(borrow self)
  public func bytes(of tensor: SafetensorsTensor) -> RawSpan {
    let bytes = file.bytes.extracting(tensor.bytes)
    // Safe: this value keeps the file mapped.
    return unsafe _overrideLifetime(bytes, borrowing: self)
  }

  /// Gives back the memory of the pages read so far; for files about as large as memory.
  public func releasePages() { file.releasePages() }

  /// Reads elements `range` of `tensor` (row-major) into `destination`, which has as many.
  ///
  /// Fails with `.data` if the type is not a float type or an element is not finite.
  public func read(
    _ tensor: SafetensorsTensor, elements range: Range<Int>,
    into destination: inout MutableSpan<Float>
  ) throws(Failure) {
    precondition(range.count == destination.count, "The range does not fill the destination.")
    precondition(range.lowerBound >= 0 && range.upperBound <= tensor.count, "Beyond the tensor.")
    let type = try elementType(of: tensor)
    let start = tensor.bytes.lowerBound + range.lowerBound * type.size
    let bytes = file.bytes.extracting(start..<start + range.count * type.size)
    guard type.decode(bytes, into: &destination) else {
      let bad = destination.indices.first { !destination[$0].isFinite } ?? 0
      throw .data(
        "\(path): element \(range.lowerBound + bad) of tensor \"\(tensor.name)\" is a NaN or an"
          + " infinity; the weights are damaged.")
    }
  }

  /// All elements of the tensor called `name`, row-major.
  public func floats(_ name: String) throws(Failure) -> [Float] {
    let tensor = try tensor(name)
    var elements = [Float](repeating: 0, count: tensor.count)
    var span = elements.mutableSpan
    try read(tensor, elements: 0..<tensor.count, into: &span)
    return elements
  }

  /// The tensor called `name` as a matrix: its last dimension gives the columns, all others the rows.
  public func matrix(_ name: String) throws(Failure) -> Matrix {
    let tensor = try tensor(name)
    let columns = tensor.shape.last ?? 1
    var matrix = Matrix(rows: columns == 0 ? 0 : tensor.count / columns, columns: columns)
    var span = matrix.mutableSpan
    try read(tensor, elements: 0..<tensor.count, into: &span)
    return matrix
  }

  /// The float type of `tensor`; fails with `.data` if its type cannot be read as floats.
  func elementType(of tensor: SafetensorsTensor) throws(Failure) -> ElementType {
    if let type = tensor.type.elementType { return type }
    throw .data(
      "\(path): tensor \"\(tensor.name)\" has the type \(tensor.type.rawValue); F32, F16, BF16 or F64"
        + " is needed.")
  }
}

extension MappedRows {
  /// The tensor called `name` of `file`, or the only matrix in it. Fails with `.data` if there is no such
  /// matrix of floats, or if there are several and `name` is nil.
  public init(_ file: SafetensorsFile, tensor name: String? = nil) throws(Failure) {
    let chosen: SafetensorsTensor
    if let name {
      chosen = try file.tensor(name)
    } else {
      let matrices = file.tensors.filter { $0.shape.count == 2 && $0.type.elementType != nil }
      guard matrices.count == 1 else {
        let names = matrices.prefix(8).map(\.name).joined(separator: ", ")
        throw .data(
          "\(file.path): it holds \(matrices.count) matrices of floats"
            + (matrices.isEmpty ? "; one is needed." : " (\(names)); name the one to read."))
      }
      chosen = matrices[0]
    }
    try self.init(
      file: file.file, offset: chosen.bytes.lowerBound, end: chosen.bytes.upperBound,
      type: file.elementType(of: chosen), shape: chosen.shape, tensor: chosen.name,
      fingerprint: "safetensors \(chosen.name) \(chosen.type) \(chosen.shape)")
  }
}
