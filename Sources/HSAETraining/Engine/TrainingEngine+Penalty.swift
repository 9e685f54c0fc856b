// The gradient of the sparsity penalty on top-level latents at or above the threshold, inside or
// outside the top k: for latent j it is the weight times the sum of the vectors whose bit j is set.
// Few latents pass once training is under way, so the sum walks the set bits; the masks of a block of
// 64 latents are transposed first, so that one latent's vectors are consecutive bits.

internal import CHSAEKernels
internal import HSAEModels
internal import HSAETensors

extension TrainingEngine {
  /// Vectors whose rows should stay in cache while the latents of a block pass over them.
  static let penaltyBlock = 512

  /// Writes row e_j of the gradient for every expert: adds to what orthogonality left there
  /// (`initialised`), or starts from zero.
  func penaliseLatents(weight: Float, initialised: Bool) {
    let d = shape.width
    let stride = shape.rowsPerExpert * d
    let applies = penalisesAll && weight > 0
    guard applies || !initialised else { return }
    let groups = pieceCount(batch, size: 64)
    unsafe gradients.encoderSide.withUnsafeMutablePointer { gradient in
      parallelFor(encoder.maskWords, threads: threads) { word, worker in
        let latents = pieceRange(word, size: 64, count: shape.experts)
        if !initialised {
          for latent in latents {
            unsafe (gradient + latent * stride).update(repeating: 0, count: d)
          }
        }
        guard applies else { return }
        let bits = unsafe maskScratch.base + worker * 64 * groups
        let list = unsafe maskLists.base + worker * Self.penaltyBlock
        for group in 0..<groups {
          unsafe hsae_transpose_bits(
            bits + group * 64, encoder.mask.base + group * 64 * encoder.maskWords + word,
            encoder.maskWords)
        }
        if batch % 64 != 0 {
          let valid = (UInt64(1) << UInt64(batch % 64)) - 1
          for row in 0..<64 { unsafe bits[(groups - 1) * 64 + row] &= valid }
        }
        let groupsPerBlock = Self.penaltyBlock / 64
        for block in Swift.stride(from: 0, to: groups, by: groupsPerBlock) {
          for latent in latents {
            var count = 0
            for group in block..<min(groups, block + groupsPerBlock) {
              var rest = unsafe bits[group * 64 + latent - latents.lowerBound]
              while rest != 0 {
                unsafe list[count] = Int32(group * 64 + rest.trailingZeroBitCount)
                count += 1
                rest &= rest - 1
              }
            }
            unsafe kernels.rows_sum(
              gradient + latent * stride, weight, d, vectors.base, d, list, count)
          }
        }
      }
    }
  }
}
