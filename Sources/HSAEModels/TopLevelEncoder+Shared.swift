// A choice of latents that several encoders make together, each with a part of the dictionary. After every
// encoder has chosen among its own latents, those near the border of the common choice are scored again in
// fp32, as one encoder would do. `HSAEEngine` compares the scores of all encoders (`SharedChoice.swift`).

internal import CHSAEKernels
internal import HSAETensors

extension TopLevelEncoder {
  /// Scores again in fp32 the active experts of row `row` that rounding could have put on the wrong side of
  /// the common border, and sorts the row's experts again. In fp32 there are none.
  ///
  /// - Parameters:
  ///   - row: the row's number in the batch.
  ///   - last: the k-th largest score of all encoders' candidates.
  ///   - next: the next score after it, −∞ if there is none.
  ///   - rows: the batch that `run` encoded.
  ///   - encoder: the weights that `run` used.
  /// - Safety: as for `run`. No other thread may use this row's results.
  @unsafe
  public func settle(
    row: Int, last: Float, next: Float, rows: UnsafePointer<Float>,
    encoder: UnsafePointer<Float>
  ) {
    // Safe: slots are places of this row in `experts`, `values` and `scores`; experts are below m, for which
    // the caller gives weights; `keys` has `count` elements.
    let slots = slots(of: row)
    let count = slots.count
    let error = unsafe roundingErrors.base[row]
    let width = shape.width
    guard error > 0, count > 0 else { return }
    unsafe withUnsafeTemporaryAllocation(of: UInt64.self, capacity: count) { keys in
      guard let keys = keys.baseAddress else { return }
      var isChanged = false
      for place in 0..<count {
        let slot = slots.lowerBound + place
        let expert = unsafe experts.base[slot]
        var u = unsafe scores.base[slot]
        if u >= last - 2 * error, u <= next + 2 * error {
          unsafe u = kernels.dot(
            rows + row * width, encoder + Int(expert) * encoderStride, width)
          isChanged = true
        }
        unsafe keys[place] = hsae_key(u, expert)
      }
      guard isChanged else { return }
      _ = unsafe hsae_keys_top(keys, count, count)
      for place in 0..<count {
        let slot = slots.lowerBound + place
        let u = unsafe hsae_key_value(keys[place])
        unsafe scores.base[slot] = u
        unsafe values.base[slot] = activation.code(u)
        unsafe experts.base[slot] = hsae_key_index(keys[place])
      }
    }
  }
}
