// Reads `.safetensors` files: a JSON header of names, types, shapes and offsets, then the numbers.
// `SafetensorsHeader` checks the header against the file before anything is read.

public import HSAESupport
public import HSAETensors

/// A `.safetensors` file, mapped, or several that an index joins.
public struct SafetensorsFile: Sendable {
  /// The path it was opened by: of the file, or of the index.
  public let path: String
  /// The text stored with the tensors; none for an index.
  public let metadata: [String: String]
  /// The tensors, in the order of their bytes, file after file.
  public let tensors: [SafetensorsTensor]
  /// The mapped files. A tensor says which one it is in.
  private let files: [MappedFile]
  private let places: [String: Int]

  /// The files that were mapped, and the index if there is one.
  public var paths: [String] {
    (files.count == 1 && files[0].path == path ? [] : [path]) + files.map(\.path)
  }

  /// Opens the file at `path`, or the files that the index at `path` joins (`SafetensorsIndex`).
  ///
  /// With `name`, opens only the file of the tensor of that name; the others need not be there. Fails with `.data` and a
  /// sentence if a header or the index is not sound, and with `.missing` if a file is missing.
  public init(path: String, tensor name: String? = nil) throws(Failure) {
    try self.init(MappedFile(path: path), tensor: name)
  }

  init(_ file: MappedFile, tensor name: String? = nil) throws(Failure) {
    if !Self.looksLikeSafetensors(file), let index = try SafetensorsIndex(file) {
      try self.init(index, tensor: name)
    } else {
      let header = try SafetensorsHeader(file)
      self.init(path: file.path, metadata: header.metadata, tensors: header.tensors, files: [file])
    }
  }

  init(
    path: String, metadata: [String: String] = [:], tensors: [SafetensorsTensor],
    files: [MappedFile]
  ) {
    (self.path, self.metadata, self.tensors, self.files) = (path, metadata, tensors, files)
    var places: [String: Int] = [:]
    for (index, tensor) in tensors.enumerated() { places[tensor.name] = index }
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
    let whole = SafetensorsIndex.path(forShard: path, with: name)
    throw .data(
      "\(path): there is no tensor \"\(name)\" in it; it has \(list(tensors))."
        + (whole.map { " Another file has it; give their index, \($0)." } ?? ""))
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

  /// The names of the first of `tensors`, for messages.
  func list(_ tensors: [SafetensorsTensor]) -> String {
    tensors.prefix(8).map(\.name).joined(separator: ", ")
      + (tensors.count > 8 ? " and \(tensors.count - 8) more" : "")
  }

  /// The file that holds `tensor`.
  func file(of tensor: SafetensorsTensor) -> MappedFile { files[tensor.file] }

  /// The bytes of `tensor`, little-endian, row-major.
  @_lifetime(borrow self)
  public func bytes(of tensor: SafetensorsTensor) -> RawSpan {
    let bytes = file(of: tensor).bytes.extracting(tensor.bytes)
    // Safe: this value keeps the file mapped.
    return unsafe _overrideLifetime(bytes, borrowing: self)
  }

  /// Gives back the memory of the pages read so far; for files about as large as memory.
  public func releasePages() { for file in files { file.releasePages() } }

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
    let file = file(of: tensor)
    let bytes = file.bytes.extracting(start..<start + range.count * type.size)
    guard type.decode(bytes, into: &destination) else {
      let bad = destination.indices.first { !destination[$0].isFinite } ?? 0
      throw .data(
        "\(file.path): element \(range.lowerBound + bad) of tensor \"\(tensor.name)\" is"
          + " \(type.notFinite(in: bytes)); the weights are damaged.")
    }
  }

  /// The tensors that can be read as rows.
  public var matrices: [SafetensorsTensor] {
    tensors.filter { $0.shape.count == 2 && $0.count > 0 && $0.type?.elementType != nil }
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
    if let type = tensor.type?.elementType { return type }
    throw .data(
      "\(path): tensor \"\(tensor.name)\" has the type \(tensor.typeName); F32, F16, BF16 or F64"
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
      let matrices = file.matrices
      guard matrices.count == 1 else {
        throw .data(
          "\(file.path): it holds \(matrices.count) matrices of floats"
            + (matrices.isEmpty
              ? "; one is needed." : " (\(file.list(matrices))); name the one to read (--tensor)."))
      }
      chosen = matrices[0]
    }
    let type = try file.elementType(of: chosen)
    try self.init(
      file: file.file(of: chosen), path: file.path, offset: chosen.bytes.lowerBound,
      end: chosen.bytes.upperBound, type: type, shape: chosen.shape, tensor: chosen.name,
      fingerprint: "safetensors \(chosen.name) \(type) \(chosen.shape)")
  }
}
