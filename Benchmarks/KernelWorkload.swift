// Calls every kernel once, on sizes like those of training.

import CHSAEKernels
import HSAETensors

/// Calls each kernel of the table in use.
func runKernels() {
  let (d, n, experts) = (640, 64, 32)
  let (s, a) = (4, 32)
  let rows = 1 + s
  var generator = SeededGenerator(seed: 1)
  func floats(_ count: Int) -> [Float] {
    (0..<count).map { _ in Float(generator.nextSymmetric()) / 8 }
  }
  func indices(_ count: Int, below limit: Int) -> [Int32] {
    (0..<count).map { _ in Int32(generator.next() % UInt64(limit)) }
  }
  let x = floats(n * d)
  let weights = floats(experts * rows * d)
  let vectors = indices(n, below: n)
  let table = unsafe kernels

  // Kernels of one or two rows.
  var row = floats(d)
  var other = floats(d)
  var half = [UInt16](repeating: 0, count: d)
  var sums = [0.0, 0.0]
  unsafe table.to_bfloat16(&half, x, d)
  _ = unsafe table.dot(row, x, d)
  unsafe table.axpy(&row, x, 0.5, d)
  unsafe table.scale(&row, x, 0.5, d)
  _ = unsafe table.sum_squares(x, n * d)
  unsafe table.residuals(&row, &other, x, 0.5, 0.25, d, &sums)

  _ = unsafe table.fourth_powers(x, n * d)

  // An expert and its data rows.
  var products = floats(n * rows)
  var gradient = floats(rows * d)
  unsafe table.rows_dot(&products, weights, rows, d, x, d, vectors, n)
  unsafe table.outer(&gradient, rows, d, products, x, d, vectors, n)
  let halves = [UInt16](repeating: 0x3e80, count: n * d)
  unsafe table.rows_dot_bfloat16(&products, weights, rows, d, halves, d, vectors, n)
  unsafe table.outer_bfloat16(&gradient, rows, d, products, halves, d, vectors, n)
  var (high, low) = (floats(n * d), floats(n * d))
  unsafe table.spread(
    &high, &low, weights, rows, d, d, floats(n), floats(n * s), vectors, n)

  // The orthogonality penalty: one panel of data rows into the sums of some latents.
  let panel = Int(HSAE_PANEL)
  let lists = indices(n * 4, below: n).map(UInt16.init)
  let starts = (0...16).map { Int32($0 * 16) }
  var words = [UInt32](repeating: 0, count: n * panel / 2)
  var bits = [UInt16](repeating: 0, count: 64)
  unsafe table.panel_sums(&high, d, 16, lists, starts, x)
  unsafe table.pair_columns(&words, half, panel)
  unsafe table.panel_sums_bfloat16(&high, d, 16, lists, starts, words)
  unsafe table.expand_bits(&bits, 0x0123_4567_89ab_cdef)

  // Pre-activations: a mask, candidates, and the best candidates.
  let keep = 48
  let capacity = 2 * keep + 64
  var mask = [UInt64](repeating: 0, count: 64)
  var keys = [UInt64](repeating: 0, count: capacity)
  var floor: Float = 0
  var total = 0.0
  let pre = floats(4096)
  let count = unsafe table.scan(
    pre, pre.count, 0, 0.05, &mask, &total, &floor, &keys, 0, keep, capacity)
  _ = unsafe hsae_keys_top(&keys, count, keep)
  var transposed = mask
  unsafe hsae_transpose_bits(&transposed, mask, 1)

  // Sublatents.
  let (encoder, decoder) = (floats(a * s), floats(a * s))
  var scratch = floats((2 * s + 3) * (a + 16))
  let (coordinates, stepGradients) = (floats(n * s), floats(n * s))
  var chosen = [Int32](repeating: 0, count: n)
  var codes = floats(n)
  var penalties = floats(n)
  var steps = floats(n * s)
  var (encoderGradient, decoderGradient) = (floats(a * s), floats(a * s))
  unsafe encoder.withUnsafeBufferPointer { encoder in
    unsafe decoder.withUnsafeBufferPointer { decoder in
      unsafe scratch.withUnsafeMutableBufferPointer { scratch in
        guard let e = encoder.baseAddress, let d = decoder.baseAddress,
          let memory = scratch.baseAddress
        else { return }
        var expert = unsafe hsae_sub_expert(
          subspace: s, sublatents: a, threshold: 0.04, slope: 0.01, encoder: e, decoder: d,
          scratch: memory)
        unsafe table.sub_forward(
          &expert, coordinates, n, &chosen, &codes, &steps, &penalties)
        unsafe table.sub_backward(
          &expert, coordinates, stepGradients, chosen, codes, n, 1e-3, &encoderGradient,
          &decoderGradient, &steps)
      }
    }
  }

  // The optimizer.
  var (p, m) = (floats(n * d), floats(n * d))
  var v = [Float](repeating: 1e-4, count: n * d)
  var (m16, v16) = (
    [UInt16](repeating: 0, count: n * d), [UInt16](repeating: 0, count: n * d)
  )
  unsafe table.adam(&p, &m, &v, x, n * d, 1, 1e-3, 0.9, 0.999, 1e-8)
  unsafe table.adam_bfloat16(&p, &m16, &v16, x, n * d, 1, 1e-3, 0.9, 0.999, 1e-8, 7, 0)
}
