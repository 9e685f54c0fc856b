// Measures this machine: the rate of the encoder's dense product and the bandwidth of memory. `hsae bench`
// compares a training step with them.

internal import CHSAEKernels

/// Rates of this machine with some number of threads.
public enum MachineRates {
  /// Operations per second of x Eᵀ alone, for `rows` rows and `latents` latents of `width`: oneDNN's best of
  /// 3 attempts with each of a few tile shapes. Large products are cut to 20 G operations.
  public static func product(
    rows: Int, latents: Int, width: Int, precision: Precision, threads: Int
  ) -> Double {
    let tallest = 1024
    let rows = min(pieceCount(rows, size: tallest * threads), 2) * tallest * threads
    let widest = 2048
    let allowed = Int(2e10) / (2 * rows * width) / widest
    let latents = max(1, min(latents / widest, allowed)) * widest
    let element = precision == .bfloat16 ? 2 : 4
    let x = Buffer<UInt8>(rows * width * element)
    let e = Buffer<UInt8>(latents * width * element)
    var best = 0.0
    for (tileRows, tileLatents) in [(256, 512), (512, 256), (256, 2048)] {
      let product = TileProduct(
        rowSizes: [tileRows], columnSizes: [tileLatents], depth: width, a: .rows(width),
        b: .transposed(width), cStride: tileLatents, precision: precision, workers: threads)
      let c = Buffer<Float>(threads * tileRows * tileLatents)
      for _ in 0..<3 {
        let begin = ContinuousClock.now
        parallelFor(rows / tileRows, threads: threads) { piece, worker in
          for first in stride(from: 0, to: latents, by: tileLatents) {
            // Safe: tiles are whole, since `rows` and `latents` are multiples of all tile sizes. Each worker
            // writes its own tile of `c`.
            unsafe product.run(
              rows: tileRows, columns: tileLatents, a: x.base + piece * tileRows * width * element,
              b: e.base + first * width * element,
              c: c.base + worker * tileRows * tileLatents, worker: worker)
          }
        }
        let seconds = (ContinuousClock.now - begin) / .seconds(1)
        best = max(best, 2 * Double(rows) * Double(latents) * Double(width) / seconds)
      }
    }
    return best
  }

  /// Bytes read and written per second by y += c·x over two arrays of 1 GiB, best of 5.
  public static func bandwidth(threads: Int) -> Double {
    let count = 1 << 28
    let x = Buffer<Float>(count)
    let y = Buffer<Float>(count)
    let size = 1 << 18
    var best = 0.0
    for _ in 0..<5 {
      let begin = ContinuousClock.now
      parallelFor(count / size, threads: threads) { piece, _ in
        // Safe: `count` is a multiple of `size`, and each piece writes its own part of `y`.
        unsafe kernels.axpy(y.base + piece * size, x.base + piece * size, 0.5, size)
      }
      best = max(best, 12 * Double(count) / ((ContinuousClock.now - begin) / .seconds(1)))
    }
    return best
  }

  /// Bytes read and written per second by y += c·x over two arrays of `bytes` together, again and again, so that they come
  /// from the nearest cache that holds them; best of 5. Each thread has a part of its own.
  public static func cacheBandwidth(bytes: Int, threads: Int) -> Double {
    let part = max(16, bytes / 8 / threads / 16 * 16)
    let passes = max(2, (1 << 28) / (part * threads))
    let x = Buffer<Float>(part * threads)
    let y = Buffer<Float>(part * threads)
    var best = 0.0
    for _ in 0..<5 {
      let begin = ContinuousClock.now
      parallelFor(threads, threads: threads) { thread, _ in
        // Safe: each thread writes its own part of `y`.
        let place = thread * part
        for _ in 0..<passes { unsafe kernels.axpy(y.base + place, x.base + place, 0.5, part) }
      }
      let numbers = Double(part) * Double(threads) * Double(passes)
      best = max(best, 12 * numbers / ((ContinuousClock.now - begin) / .seconds(1)))
    }
    return best
  }
}
