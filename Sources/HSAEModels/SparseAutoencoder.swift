// A trained dictionary, ready to use: weights and activation function, with encode and decode. `HSAETraining`
// trains it and `HSAERuns` reads it from files. `Reference/` has slow versions of both functions.

internal import CHSAEKernels
public import HSAETensors

/// A dictionary that encodes and decodes rows. It is immutable, so threads may share it.
public final class SparseAutoencoder: Sendable {
  /// Thresholds and slopes.
  public let activation: ActivationFunction
  /// The weights.
  public let parameters: Parameters
  /// How the active latents of a row are selected.
  public let selection: Selection
  /// The encoder's bias and the thresholds of each latent; nil if the k largest codes are active.
  public var thresholds: LatentThresholds? { selection.thresholds }
  /// The sizes.
  public var shape: DictionaryShape { parameters.shape }

  /// A dictionary that owns `parameters`. With thresholds of latents, the slope of its top level must be 0.
  public init(
    parameters: consuming Parameters, activation: ActivationFunction,
    selection: Selection = .topK
  ) {
    let thresholds = selection.thresholds.flatMap { $0.isEmpty ? nil : $0 }
    precondition(
      thresholds == nil || activation.slope == 0, "Thresholds of latents need slope 0."
    )
    precondition(
      thresholds?.fits(parameters.shape.experts) ?? true,
      "The thresholds are for another number of latents.")
    self.parameters = parameters
    self.activation = activation
    self.selection = thresholds.map(Selection.thresholds) ?? .topK
  }

  /// The codes of every row of `rows` [n × d], in fp32. The rows must be normalised as in training (eq. 3.1).
  ///
  /// A bias is subtracted first. The result does not depend on `threads`.
  public func encode(_ rows: borrowing Matrix, threads: Int = processorCount) -> Codes {
    precondition(rows.columns == shape.width, "Rows of width \(rows.columns), not \(shape.width).")
    // Where thousands of latents may be active, encode fewer rows at a time: their codes stay below 64 MB.
    let chunk = min(max(rows.rows, 1), 4096, max(64, (1 << 20) / shape.activeExperts))
    let encoder = TopLevelEncoder(
      shape: shape, activation: activation, selection: selection, capacity: chunk,
      encoderStride: shape.rowsPerExpert * shape.width, precision: .float32, wantsMask: false,
      threads: threads)
    // Safe: `encoder` and `batch` have room for a chunk, `subCodes` for k codes of each of its rows. A piece
    // has its own rows, whose places in `subCodes` no other piece has, and the scratch memory of its worker.
    let d = shape.width
    var batch = Matrix(rows: encoder.paddedCapacity, columns: d)
    let subCodes = Buffer<Code>(chunk * shape.activeExperts)
    let scratch = Buffer<Float>(threads * subScratchCount)
    var codes = Codes()
    for start in stride(from: 0, to: rows.rows, by: chunk) {
      let count = min(chunk, rows.rows - start)
      copyCentred(rows, start: start, count: count, into: &batch)
      unsafe batch.withUnsafePointer { x in
        _ = unsafe parameters.encoderSide.withUnsafePointer { weights in
          unsafe encoder.run(
            count: count, rows: x, rowsBF16: nil, encoder: weights, encoderBF16: nil,
            encoderSpread: 0)
        }
        parallelFor(pieceCount(count, size: 64), threads: threads) { piece, worker in
          for row in pieceRange(piece, size: 64, count: count) {
            unsafe self.chooseSublatents(
              encoder, row: row, x: x + row * d, into: subCodes.base,
              scratch: scratch.base + worker * subScratchCount)
          }
        }
      }
      for row in 0..<count {
        codes.append(encoder.slots(of: row).map { unsafe subCodes.base[$0] })
      }
    }
    return codes
  }

  /// The reconstructions x̂ [n × d] of `codes`, or x̂_high with `topLevelOnly`. A bias is added.
  ///
  /// - Precondition: the codes name experts and sublatents of this dictionary.
  public func decode(
    _ codes: Codes, topLevelOnly: Bool = false, threads: Int = processorCount
  ) -> Matrix {
    // Safe: `result` has a row for each row of `codes`, and a piece writes its own rows. By the precondition
    // experts are below m, for which the decoder side has 1 + s rows each.
    let d = shape.width
    let s = shape.subspace
    var result = Matrix(rows: codes.count, columns: d)
    unsafe result.withUnsafeMutablePointer { output in
      unsafe parameters.decoderSide.withUnsafePointer { decoder in
        parallelFor(pieceCount(codes.count, size: 64), threads: threads) { piece, _ in
          for row in pieceRange(piece, size: 64, count: codes.count) {
            let target = unsafe output + row * d
            for code in codes[row] {
              precondition(
                code.expert >= 0 && code.expert < shape.experts, "No expert \(code.expert).")
              let own = unsafe decoder + code.expert * shape.rowsPerExpert * d
              unsafe kernels.axpy(target, own, code.value, d)
              guard !topLevelOnly, code.sublatent >= 0 else { continue }
              let atom = code.expert * shape.sublatents + code.sublatent
              for axis in 0..<s {
                unsafe kernels.axpy(
                  target, own + (1 + axis) * d,
                  code.subValue * parameters.subDecoder[atom, axis], d)
              }
            }
            if parameters.hasBias {
              for column in 0..<d { unsafe target[column] += parameters.bias[0, column] }
            }
          }
        }
      }
    }
    return result
  }

  /// Floats of scratch memory that one thread needs for the sublatents of one expert.
  private var subScratchCount: Int {
    (2 * shape.subspace + 3) * (shape.sublatents + 16) + 2 * shape.subspace
  }

  /// Copies `count` rows from `start` on into `batch`, and subtracts the bias.
  private func copyCentred(
    _ rows: borrowing Matrix, start: Int, count: Int, into batch: inout Matrix
  ) {
    // Safe: `rows` has the rows start ..< start + count, `batch` at least `count`, both of d elements, as has
    // the bias.
    let d = shape.width
    unsafe batch.withUnsafeMutablePointer { target in
      unsafe rows.withUnsafePointer { source in
        unsafe target.update(from: source + start * d, count: count * d)
      }
      guard parameters.hasBias else { return }
      unsafe parameters.bias.withUnsafePointer { bias in
        for row in 0..<count { unsafe kernels.axpy(target + row * d, bias, -1, d) }
      }
    }
  }

  /// Runs the sub-dictionary of each active expert of one row (eq. 3.1's SAE₁).
  private func chooseSublatents(
    _ encoder: TopLevelEncoder, row: Int, x: UnsafePointer<Float>,
    into codes: UnsafeMutablePointer<Code>, scratch: UnsafeMutablePointer<Float>
  ) {
    // Safe: `x` has d elements, `codes` a place for each of the row's slots. The scratch memory has
    // `subScratchCount` floats: the kernel's own, then y and v of s each. Expert j's rows begin at j·(1 +
    // s)·d, its sublatents at j·a·s.
    let d = shape.width
    let s = shape.subspace
    let a = shape.sublatents
    let y = unsafe scratch + (2 * s + 3) * (a + 16)
    for slot in encoder.slots(of: row) {
      let expert = unsafe Int(encoder.experts.base[slot])
      var code = Code(expert: expert, value: unsafe encoder.values.base[slot])
      if !shape.isFlat {
        unsafe parameters.encoderSide.withUnsafePointer { weights in
          var zero: Int32 = 0
          unsafe kernels.rows_dot(
            y, weights + (expert * shape.rowsPerExpert + 1) * d, s, d, x, d, &zero, 1)
        }
        unsafe parameters.subEncoder.withUnsafePointer { subEncoder in
          unsafe parameters.subDecoder.withUnsafePointer { subDecoder in
            var expertKernel = unsafe hsae_sub_expert(
              subspace: s, sublatents: a, threshold: activation.subThreshold,
              slope: activation.subSlope, encoder: subEncoder + expert * a * s,
              decoder: subDecoder + expert * a * s, scratch: scratch)
            var chosen: Int32 = 0
            var value: Float = 0
            var penalty: Float = 0
            unsafe kernels.sub_forward(&expertKernel, y, 1, &chosen, &value, y + s, &penalty)
            // With slope 0 all sublatents below the threshold are 0, and none of them is the strongest.
            if value != 0 || activation.subSlope != 0 {
              code.sublatent = Int(chosen)
              code.subValue = value
            }
          }
        }
      }
      unsafe codes[slot] = code
    }
  }
}
