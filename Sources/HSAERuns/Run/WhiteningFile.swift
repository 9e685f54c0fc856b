// The whitening of a run as a file beside its weights, in double precision:
//
//   whitening.safetensors   mean μ [d], matrix W [d × d], inverse W⁻¹ [d × d]
//
// and the mean and covariance of rows in the cache, which a second run on the same rows need not sum up again:
//
//   rows.safetensors        mean [d], covariance [d × d]

internal import HSAEActivations
package import HSAEModels
package import HSAESupport

/// Tensors of doubles in one `.safetensors` file.
enum DoublesFile {
  /// Writes `tensors`; returns the file's SHA-256.
  static func write(
    _ tensors: [(name: String, shape: [Int], values: [Double])], to path: String
  ) throws(Failure) -> String {
    var writer = try SafetensorsWriter(
      path: path, tensors: tensors.map { .init($0.name, shape: $0.shape, type: .float64) })
    for tensor in tensors {
      // Safe: doubles have no padding bytes.
      unsafe try writer.append(tensor.name, bytes: tensor.values.span.bytes)
    }
    return try writer.finish()
  }

  /// The tensor `name` of `file`, which must have `shape`. Fails with `.data` if it has not, or if a number is not finite.
  static func read(
    _ name: String, shape: [Int], from file: SafetensorsFile
  ) throws(Failure) -> [Double] {
    let tensor = try file.tensor(name, shape: shape)
    guard tensor.type == .float64 else {
      throw .data("\(file.path): \(name) has the type \(tensor.typeName), not F64.")
    }
    let bytes = file.bytes(of: tensor)
    let values = (0..<shape.reduce(1, *)).map {
      // Safe: the tensor has so many elements of 8 bytes.
      unsafe Double(
        bitPattern: UInt64(
          littleEndian: bytes.unsafeLoadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self)))
    }
    guard values.allSatisfy(\.isFinite) else {
      throw .data("\(file.path): \(name) holds a number that is not finite; the file is damaged.")
    }
    return values
  }
}

extension Whitening {
  /// Reads the file at `path`, for rows of `width`.
  package init(path: String, width: Int) throws(Failure) {
    let file = try SafetensorsFile(path: path)
    self.init(
      mean: try DoublesFile.read("mean", shape: [width], from: file),
      matrix: try DoublesFile.read("matrix", shape: [width, width], from: file),
      inverse: try DoublesFile.read("inverse", shape: [width, width], from: file))
  }

  /// Writes the file at `path`.
  package func write(to path: String) throws(Failure) {
    _ = try DoublesFile.write(
      [
        ("mean", [width], mean), ("matrix", [width, width], matrix),
        ("inverse", [width, width], inverse),
      ], to: path)
  }
}

/// The mean and the covariance of rows.
package struct RowCovariance: Hashable, Sendable {
  /// The mean [d].
  package var mean: [Double]
  /// The covariance [d × d].
  package var covariance: [Double]

  package init(mean: [Double], covariance: [Double]) {
    (self.mean, self.covariance) = (mean, covariance)
  }

  /// Reads the file at `path`, for rows of `width`.
  package init(path: String, width: Int) throws(Failure) {
    let file = try SafetensorsFile(path: path)
    mean = try DoublesFile.read("mean", shape: [width], from: file)
    covariance = try DoublesFile.read("covariance", shape: [width, width], from: file)
  }

  /// Writes the file at `path`.
  package func write(to path: String) throws(Failure) {
    let width = mean.count
    _ = try DoublesFile.write(
      [("mean", [width], mean), ("covariance", [width, width], covariance)], to: path)
  }
}
