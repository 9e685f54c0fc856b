// Reads `.npy` files (formats 1.0, 2.0 and 3.0): matrices of floats in C order. The header is a Python
// literal, of which only the subset that NumPy writes is read.

package import HSAESupport

extension MappedRows {
  /// The matrix in the `.npy` file `file`: float16, float32 or float64, little-endian, in C order.
  init(numpy file: MappedFile) throws(Failure) {
    let place = try NumpyHeader.place(
      after: file.copy(0..<min(NumpyHeader.prefix, file.count)), size: file.count, path: file.path)
    let header = try NumpyHeader(file.copy(place), path: file.path, offset: place.lowerBound)
    try self.init(
      file: file, offset: place.upperBound, end: file.count, type: header.type,
      shape: header.shape, fingerprint: "npy \(header.type) \(header.shape)")
    guard !header.isFortranOrder else {
      throw .data(
        "\(file.path): the array is in Fortran order; save it in C order (numpy.ascontiguousarray)."
      )
    }
    guard end == file.count else {
      throw .data(
        "\(file.path), byte \(end): \(file.count - end) bytes follow the array; the header does"
          + " not fit the content.")
    }
  }
}

/// The header of a `.npy` file or of a member of an `.npz` archive.
package struct NumpyHeader {
  /// The numbers' type.
  package var type = ElementType.float32
  /// Whether columns lie together instead of rows.
  package var isFortranOrder = false
  /// The array's shape.
  package var shape: [Int] = []

  private let text: [UInt8]
  private let path: String
  private let offset: Int
  private var position = 0

  private static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
  /// The longest header that is read; NumPy's own limit is 10,000 bytes.
  private static let maximum = 1 << 20
  /// The number of bytes that `place` needs.
  package static let prefix = 12

  /// The beginning of a `.npy` file of 32-bit floats in C order, of the shape `shape`.
  package static func bytes(float32 shape: [Int]) -> [UInt8] {
    let sizes = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var text = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(sizes)), }"
    // The array begins at a multiple of 64 bytes.
    text +=
      String(repeating: " ", count: (64 - (magic.count + 4 + text.utf8.count + 1) % 64) % 64) + "\n"
    var bytes = magic + [1, 0]
    appendBytes(of: UInt16(text.utf8.count), to: &bytes)
    return bytes + text.utf8
  }

  /// Whether `file` begins as a `.npy` file does.
  static func begins(_ file: MappedFile) -> Bool { file.copy(0..<min(6, file.count)) == magic }

  /// The range of the header in a file of `size` bytes that begins with `first` (`prefix` bytes, or all there
  /// are). The array follows it.
  package static func place(
    after first: [UInt8], size: Int, path: String
  ) throws(Failure) -> Range<Int> {
    guard first.starts(with: magic), first.count >= 10 else {
      throw .data("\(path): this is not a .npy file; its first bytes differ.")
    }
    let version = first[6]
    let start = version == 1 ? 10 : 12
    guard (1...3).contains(version), first.count >= start else {
      throw .data("\(path), byte 6: .npy format version \(version) is not known.")
    }
    var length = Int(first[8]) | Int(first[9]) << 8
    if version > 1 { length |= Int(first[10]) << 16 | Int(first[11]) << 24 }
    guard length <= maximum, length <= size - start else {
      throw .data(
        "\(path), byte 8: the header of \(length) bytes does not fit the file; it was cut"
          + " short or is damaged.")
    }
    return start..<start + length
  }

  /// Parses the header `bytes`, which begin at byte `offset` of `path`.
  package init(_ bytes: [UInt8], path: String, offset: Int) throws(Failure) {
    text = bytes
    self.path = path
    self.offset = offset
    try expect("{")
    var seen: [String] = []
    while !take("}") {
      let key = try string()
      try expect(":")
      switch key {
      case "descr": try readType()
      case "fortran_order": isFortranOrder = try bool()
      case "shape": shape = try tuple()
      default: throw failure("the header has an unknown key")
      }
      guard !seen.contains(key) else { throw failure("the header has a key twice") }
      seen.append(key)
      if !take(",") {
        try expect("}")
        break
      }
    }
    guard seen.count == 3 else { throw failure("the header lacks descr, fortran_order or shape") }
    skipSpace()
    if position != text.count { throw failure("something follows the header") }
  }

  private func failure(_ what: String) -> Failure {
    .data("\(path), byte \(offset + position): \(what); this .npy file is damaged or unusual.")
  }

  private mutating func skipSpace() {
    while position < text.count, text[position] == 0x20 || text[position] == 0x0A { position += 1 }
  }

  private mutating func take(_ token: String) -> Bool {
    skipSpace()
    guard text[position...].starts(with: token.utf8) else { return false }
    position += token.utf8.count
    return true
  }

  private mutating func expect(_ token: String) throws(Failure) {
    if !take(token) { throw failure("\(token) is missing") }
  }

  private mutating func string() throws(Failure) -> String {
    skipSpace()
    guard position < text.count, text[position] == 0x27 || text[position] == 0x22,
      let end = text[(position + 1)...].firstIndex(of: text[position])
    else { throw failure("a string is missing") }
    defer { position = end + 1 }
    return String(decoding: text[position + 1..<end], as: UTF8.self)
  }

  private mutating func bool() throws(Failure) -> Bool {
    if take("True") { return true }
    if take("False") { return false }
    throw failure("True or False is missing")
  }

  private mutating func tuple() throws(Failure) -> [Int] {
    try expect("(")
    var numbers: [Int] = []
    while !take(")") {
      skipSpace()
      let digits = text[position...].prefix { $0 >= 0x30 && $0 <= 0x39 }
      guard !digits.isEmpty, numbers.count < 64,
        let number = Int(String(decoding: digits, as: UTF8.self))
      else { throw failure("a dimension is not a number or is too large") }
      numbers.append(number)
      position += digits.count
      if !take(",") {
        try expect(")")
        break
      }
    }
    return numbers
  }

  private mutating func readType() throws(Failure) {
    if take("[") {
      throw .data("\(path): the array has named fields; a plain matrix of floats is needed.")
    }
    let name = try string()
    switch name {
    case "<f2": type = .float16
    case "<f4": type = .float32
    case "<f8": type = .float64
    case ">f2", ">f4", ">f8":
      throw .data("\(path): the numbers are big-endian; save them little-endian (dtype '<f4').")
    default:
      throw .data(
        "\(path): the numbers are of type '\(name.prefix(20))'; float16, float32 or float64 is"
          + " needed (numpy.astype).")
    }
  }
}
