// Writes small `.npy` files for tests, valid and invalid.

import FoundationEssentials
public import HSAESupport

/// The bytes of a `.npy` file (format 1.0) whose header claims `shape` and `type`, around `content`.
public func numpyBytes(shape: [Int], type: String = "<f4", content: [UInt8]) -> [UInt8] {
  let sides = shape.map(String.init).joined(separator: ", ")
  let tuple = shape.count == 1 ? "(\(sides),)" : "(\(sides))"
  var header = "{'descr': '\(type)', 'fortran_order': False, 'shape': \(tuple), }"
  while (10 + header.utf8.count + 1) % 64 != 0 { header += " " }
  header += "\n"
  let length = header.utf8.count
  return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)]
    + Array(header.utf8) + content
}

/// Writes `elements`, rows of width `width`, as a float32 `.npy` file at `path`.
public func writeNumpy(_ elements: [Float], width: Int, to path: String) throws(Failure) {
  var content: [UInt8] = []
  content.reserveCapacity(elements.count * 4)
  for element in elements {
    let bits = element.bitPattern
    for shift: UInt32 in [0, 8, 16, 24] { content.append(UInt8(truncatingIfNeeded: bits >> shift)) }
  }
  try DurableFile.write(
    numpyBytes(shape: [elements.count / width, width], content: content), to: path)
}

/// The bytes of the file at `path`; empty if it cannot be read.
public func fileBytes(_ path: String) -> [UInt8] {
  FileManager.default.contents(atPath: path).map { Array($0) } ?? []
}

/// Copies the folder or file at `path` to `target`.
public func copyAll(_ path: String, to target: String) throws {
  try FileManager.default.copyItem(atPath: path, toPath: target)
}

/// Flips the lowest bit of byte `index` (counted from the end if negative) of the file at `path`.
public func flipByte(_ index: Int, of path: String) throws(Failure) {
  var bytes = fileBytes(path)
  bytes[index < 0 ? bytes.count + index : index] ^= 1
  try DurableFile.write(bytes, to: path)
}
