// Reads `.npz` archives: zip files whose members are `.npy` files, compressed or not. Before a member is
// read, its size is checked against its header and against plausible compression.

import CZip
import HSAEActivations
import HSAESupport

/// An open `.npz` archive. It must not be used by several threads at once.
@safe
final class NpzArchive: WeightArrays {
  let path: String
  let names: [String]
  private let archive: OpaquePointer
  private let members: [String: Member]

  fileprivate struct Member {
    var index: UInt64
    /// Bytes of the `.npy` file.
    var size: Int
  }

  private static let mostMembers = 4_096
  /// Members up to this size may have any compression (zeros compress very well). Larger members must not be
  /// compressed by more than `mostCompression`; weights hardly compress at all.
  private static let smallMember = 16 << 20
  private static let mostCompression = 100

  /// Opens the archive at `path`. Fails with `.data` if it is not an archive or is implausibly compressed.
  init(path: String) throws(Failure) {
    self.path = path
    var code: Int32 = 0
    guard let opened = unsafe zip_open(path, ZIP_RDONLY, &code) else {
      throw .data("\(path): it cannot be read as an .npz archive (\(Self.text(ofCode: code))).")
    }
    unsafe archive = opened
    let count = unsafe zip_get_num_entries(opened, 0)
    var members: [String: Member] = [:]
    var names: [String] = []
    var complaint: String?
    if count > Self.mostMembers { complaint = "it has \(count) members, too many for weights" }
    for index in 0..<UInt64(max(0, complaint == nil ? count : 0)) {
      guard let (name, size) = unsafe Self.describe(index, of: opened, &complaint) else { break }
      guard name.hasSuffix(".npy") else { continue }
      let array = String(name.dropLast(4))
      guard members.updateValue(Member(index: index, size: size), forKey: array) == nil else {
        complaint = "\(name.prefix(60)) occurs twice"
        break
      }
      names.append(array)
    }
    (self.members, self.names) = (members, names)
    if let complaint { throw .data("\(path): \(complaint); this is not an archive of weights.") }
  }

  deinit { unsafe zip_discard(archive) }

  /// Whether the file at `path` begins like a zip archive.
  static func looksLikeArchive(_ path: String) -> Bool {
    guard let file = try? MappedFile(path: path), file.count >= 4 else { return false }
    return [[0x50, 0x4B, 3, 4], [0x50, 0x4B, 5, 6]].contains(file.copy(0..<4))
  }

  /// Name and size of a member; nil with a complaint if it must not be read.
  @unsafe
  private static func describe(
    _ index: UInt64, of archive: OpaquePointer, _ complaint: inout String?
  ) -> (name: String, size: Int)? {
    var status = unsafe zip_stat_t()
    let known = UInt64(ZIP_STAT_NAME | ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE)
    guard unsafe zip_stat_index(archive, index, 0, &status) == 0,
      unsafe status.valid & known == known,
      let pointer = unsafe status.name
    else {
      complaint = "member \(index) is damaged"
      return nil
    }
    let name = unsafe String(cString: pointer)
    let (size, packed) = unsafe (status.size, status.comp_size)
    guard size <= 1 << 48 else {
      complaint = "\(name.prefix(60)) claims \(size) bytes"
      return nil
    }
    if size > smallMember, size / UInt64(mostCompression) > packed {
      complaint =
        "\(name.prefix(60)) has \(packed) bytes and would unpack to \(size), too many for weights"
      return nil
    }
    return (name, Int(size))
  }

  func shape(of name: String) throws(Failure) -> [Int] {
    let stream = unsafe try MemberStream(archive, member(name), path: path(of: name))
    return try stream.header().shape
  }

  func read(
    _ name: String, count: Int, _ body: (_ first: Int, Span<Float>) throws(Failure) -> Void
  ) throws(Failure) {
    let stream = unsafe try MemberStream(archive, member(name), path: path(of: name))
    let header = try stream.header()
    let total = header.shape.reduce(1, *)
    var piece = [Float](repeating: 0, count: min(count, max(1, total)))
    for start in stride(from: 0, to: total, by: piece.count) {
      piece.removeLast(piece.count - min(piece.count, total - start))
      let bytes = try stream.bytes(piece.count * header.type.size)
      var span = piece.mutableSpan
      guard unsafe header.type.decode(bytes.span.bytes, into: &span) else {
        let bad = piece.firstIndex { !$0.isFinite } ?? 0
        let what = unsafe header.type.notFinite(in: bytes.span.bytes)
        throw .data(
          "\(path(of: name)): element \(start + bad) is \(what); the weights are damaged.")
      }
      try body(start, piece.span)
    }
    try stream.end()
  }

  private func path(of name: String) -> String { "\(path), \(name.prefix(60)).npy" }

  private func member(_ name: String) throws(Failure) -> Member {
    if let member = members[name] { return member }
    let names = names.prefix(8).map { String($0.prefix(40)) }.joined(separator: ", ")
    throw .data("\(path): there is no array \"\(name)\" in it; it has \(names).")
  }

  private static func text(ofCode code: Int32) -> String {
    var error = unsafe zip_error_t()
    unsafe zip_error_init_with_code(&error, code)
    defer { unsafe zip_error_fini(&error) }
    return unsafe zip_error_strerror(&error).map { unsafe String(cString: $0) } ?? "error \(code)"
  }
}

/// The bytes of a member, in order.
@safe
private final class MemberStream {
  private let file: OpaquePointer
  private let path: String
  private let size: Int

  init(_ archive: OpaquePointer, _ member: NpzArchive.Member, path: String) throws(Failure) {
    guard let opened = unsafe zip_fopen_index(archive, member.index, 0) else {
      throw .data("\(path): it cannot be unpacked; it is damaged or encrypted.")
    }
    unsafe file = opened
    (self.path, size) = (path, member.size)
  }

  deinit { unsafe zip_fclose(file) }

  /// Reads the header. Fails with `.data` unless as many bytes follow as its shape needs.
  func header() throws(Failure) -> NumpyHeader {
    let first = try bytes(min(size, NumpyHeader.prefix))
    let place = try NumpyHeader.place(after: first, size: size, path: path)
    // `first` may already contain the start of the header.
    let ahead = Array(first[place.lowerBound...])
    guard place.count >= ahead.count else { throw .data("\(path): the header is too short.") }
    let header = try NumpyHeader(
      ahead + bytes(place.count - ahead.count), path: path, offset: place.lowerBound)
    guard !header.isFortranOrder || header.shape.count < 2 else {
      throw .data(
        "\(path): the array is in Fortran order; save it in C order (numpy.ascontiguousarray).")
    }
    var count = header.type.size
    for dimension in header.shape {
      let (product, overflow) = count.multipliedReportingOverflow(by: dimension)
      guard !overflow else {
        throw .data("\(path): the shape \(header.shape) is impossible; the header is damaged.")
      }
      count = product
    }
    guard count == size - place.upperBound else {
      throw .data(
        "\(path): the shape \(header.shape) needs \(count) bytes, and there are"
          + " \(size - place.upperBound); the header does not fit the content.")
    }
    return header
  }

  /// The next `count` bytes.
  func bytes(_ count: Int) throws(Failure) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var done = 0
    while done < count {
      let found = unsafe bytes.withUnsafeMutableBytes { buffer in
        // Safe: the buffer has `count` bytes, so `count - done` bytes follow the address.
        unsafe zip_fread(file, buffer.baseAddress?.advanced(by: done), UInt64(count - done))
      }
      guard found > 0 else {
        throw .data("\(path): it ends early or cannot be unpacked; the archive is damaged.")
      }
      done += Int(found)
    }
    return bytes
  }

  /// Fails with `.data` unless the member ends here with a correct checksum.
  func end() throws(Failure) {
    var byte: UInt8 = 0
    guard unsafe zip_fread(file, &byte, 1) == 0 else {
      throw .data("\(path): its checksum is wrong; the archive is damaged.")
    }
  }
}
