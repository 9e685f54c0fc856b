// The addresses of a set of weights or gradients, lent to kernels while a closure runs.

internal import HSAEModels
internal import HSAERuns
internal import HSAETensors

/// The arrays of a `Parameters`, to read.
@unsafe
struct WeightPointers {
  var encoderSide: UnsafePointer<Float>
  var decoderSide: UnsafePointer<Float>
  var subEncoder: UnsafePointer<Float>
  var subDecoder: UnsafePointer<Float>
  /// [m], if the recipe has them.
  var encoderBias: UnsafePointer<Float>
  var thresholds: UnsafePointer<Float>
}

/// The arrays of a `Parameters`, to write.
@unsafe
struct MutableWeightPointers {
  var encoderSide: UnsafeMutablePointer<Float>
  var decoderSide: UnsafeMutablePointer<Float>
  var subEncoder: UnsafeMutablePointer<Float>
  var subDecoder: UnsafeMutablePointer<Float>
  /// [m], if the recipe has them.
  var encoderBias: UnsafeMutablePointer<Float>
  var thresholds: UnsafeMutablePointer<Float>

  /// The same arrays, to read.
  var reading: WeightPointers {
    // Safe: the copies are lent to the same closure as these pointers.
    unsafe WeightPointers(
      encoderSide: encoderSide, decoderSide: decoderSide, subEncoder: subEncoder,
      subDecoder: subDecoder, encoderBias: encoderBias, thresholds: thresholds)
  }
}

extension Parameters {
  /// Lends the arrays to `body`, which must not keep the pointers.
  func withUnsafePointers<Result>(_ body: (WeightPointers) -> Result) -> Result {
    // Safe: the matrices stay borrowed until `body` returns, and nothing here keeps the pointers.
    unsafe encoderSide.withUnsafePointer { encoderSide in
      unsafe decoderSide.withUnsafePointer { decoderSide in
        unsafe subEncoder.withUnsafePointer { subEncoder in
          unsafe subDecoder.withUnsafePointer { subDecoder in
            unsafe encoderBias.withUnsafePointer { encoderBias in
              unsafe thresholds.withUnsafePointer { thresholds in
                unsafe body(
                  WeightPointers(
                    encoderSide: encoderSide, decoderSide: decoderSide, subEncoder: subEncoder,
                    subDecoder: subDecoder, encoderBias: encoderBias, thresholds: thresholds))
              }
            }
          }
        }
      }
    }
  }

  /// Lends the arrays to `body`, which may write to them and must not keep the pointers.
  mutating func withUnsafeMutablePointers<Result>(
    _ body: (MutableWeightPointers) -> Result
  ) -> Result {
    // Safe: as above; during the call nothing else can use the matrices.
    unsafe encoderSide.withUnsafeMutablePointer { encoderSide in
      unsafe decoderSide.withUnsafeMutablePointer { decoderSide in
        unsafe subEncoder.withUnsafeMutablePointer { subEncoder in
          unsafe subDecoder.withUnsafeMutablePointer { subDecoder in
            unsafe encoderBias.withUnsafeMutablePointer { encoderBias in
              unsafe thresholds.withUnsafeMutablePointer { thresholds in
                unsafe body(
                  MutableWeightPointers(
                    encoderSide: encoderSide, decoderSide: decoderSide, subEncoder: subEncoder,
                    subDecoder: subDecoder, encoderBias: encoderBias, thresholds: thresholds))
              }
            }
          }
        }
      }
    }
  }
}
