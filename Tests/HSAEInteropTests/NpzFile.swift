// Writes .npz archives for tests, with members in NumPy's format, packed by libzip.

import CZip
import HSAESupport

/// An array for an archive.
struct NpzArray {
  var name: String
  var shape: [Int]
  var values: [Double]

  /// The `.npy` file, format 1.0.
  var bytes: [UInt8] {
    let list = shape.map { "\($0)" }.joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var header = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(list)), }"
    header += String(repeating: " ", count: 63 - (10 + header.utf8.count) % 64) + "\n"
    let length = header.utf8.count
    var bytes = [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)]
    bytes += Array(header.utf8)
    for value in values {
      let bits = Float(value).bitPattern
      for shift in [0, 8, 16, 24] as [UInt32] { bytes.append(UInt8(bits >> shift & 0xFF)) }
    }
    return bytes
  }
}

/// Writes an archive of `members` (name, bytes) to `path`, stored or compressed.
func writeArchive(_ members: [(name: String, bytes: [UInt8])], compressed: Bool, to path: String)
  throws
{
  Path.removeAll(path)
  var code: Int32 = 0
  guard let archive = unsafe zip_open(path, ZIP_CREATE, &code) else {
    throw Failure(.software, "zip_open: \(code)")
  }
  // The members' bytes must live until the archive is closed.
  var kept: [UnsafeMutablePointer<UInt8>] = unsafe []
  for (name, bytes) in members {
    let copy = UnsafeMutablePointer<UInt8>.allocate(capacity: max(1, bytes.count))
    unsafe copy.update(from: bytes, count: bytes.count)
    unsafe kept.append(copy)
    let source = unsafe zip_source_buffer(archive, copy, UInt64(bytes.count), 0)
    let index = unsafe zip_file_add(archive, name, source, 0)
    guard index >= 0 else { throw Failure(.software, "zip_file_add") }
    unsafe zip_set_file_compression(
      archive, UInt64(index), compressed ? ZIP_CM_DEFLATE : ZIP_CM_STORE, 0)
  }
  guard unsafe zip_close(archive) == 0 else { throw Failure(.software, "zip_close") }
  unsafe kept.forEach { unsafe $0.deallocate() }
}

/// Writes an `.npz` archive of `arrays` to `path`.
func writeNpz(_ arrays: [NpzArray], compressed: Bool, to path: String) throws {
  try writeArchive(arrays.map { ($0.name + ".npy", $0.bytes) }, compressed: compressed, to: path)
}
