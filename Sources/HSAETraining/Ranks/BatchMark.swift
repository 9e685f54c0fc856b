// A number that identifies the rows of a batch. Ranks compare it to notice that they have read different
// rows. It is made of four running products, as in xxHash, so it takes little time beside reading. It is no
// protection against intent.

/// The mark of rows that are added piece by piece. It depends on their bits, their order and the pieces.
struct BatchMark {
  private var lanes: (UInt64, UInt64, UInt64, UInt64) = (1, 2, 3, 4)

  /// The mark of everything added so far.
  var value: UInt64 { [lanes.1, lanes.2, lanes.3].reduce(lanes.0, Self.round) }

  /// Adds `values`, 32 bytes at a time.
  mutating func add(_ values: Span<Float>) {
    var (a, b, c, d) = lanes
    let whole = values.count / 8 * 8
    unsafe values.withUnsafeBytes { bytes in
      func word(_ place: Int) -> UInt64 {
        // Safe: 8 values are 32 bytes, so the last word of a round ends within the 4 · `whole` bytes.
        unsafe bytes.loadUnaligned(fromByteOffset: place, as: UInt64.self)
      }
      for place in stride(from: 0, to: 4 * whole, by: 32) {
        a = Self.round(a, word(place))
        b = Self.round(b, word(place + 8))
        c = Self.round(c, word(place + 16))
        d = Self.round(d, word(place + 24))
      }
    }
    for index in whole..<values.count { a = Self.round(a, UInt64(values[index].bitPattern)) }
    lanes = (a, b, c, d)
  }

  /// Mixes `word` into `sum`. The rotation brings high bits low; without it, two changed signs could cancel.
  @inline(__always)
  private static func round(_ sum: UInt64, _ word: UInt64) -> UInt64 {
    let mixed = sum ^ (word &* 0xC2B2_AE3D_27D4_EB4F)
    return (mixed << 31 | mixed >> 33) &* 0x9E37_79B1_85EB_CA87
  }
}
