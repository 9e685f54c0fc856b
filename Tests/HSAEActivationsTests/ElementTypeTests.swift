// Conversions between float formats, compared with the processor's (through Swift's Float16), for all 65,536
// half-precision numbers and for floats around every rounding boundary.

import Testing

@testable import HSAEActivations

struct ElementTypeTests {
  private func decode(_ type: ElementType, _ bytes: [UInt8]) -> (floats: [Float], finite: Bool) {
    var floats = [Float](repeating: 0, count: bytes.count / type.size)
    var span = floats.mutableSpan
    let finite = unsafe type.decode(bytes.span.bytes, into: &span)
    return (floats, finite)
  }

  @Test func everyHalfIsDecodedExactly() {
    var bytes: [UInt8] = []
    for bits in UInt16.min...UInt16.max { appendBytes(of: bits, to: &bytes) }
    let (floats, _) = decode(.float16, bytes)
    for bits in UInt16.min...UInt16.max {
      let expected = Float(Float16(bitPattern: bits))
      let found = floats[Int(bits)]
      if expected.isNaN {
        #expect(found.isNaN)
      } else {
        #expect(found.bitPattern == expected.bitPattern)
        #expect(float16Bits(found) == bits)
      }
      let finite = decode(.float16, [UInt8(truncatingIfNeeded: bits), UInt8(bits >> 8)]).finite
      #expect(finite == expected.isFinite)
    }
  }

  @Test func floatsAreRoundedToTheNearestEvenHalf() {
    for bits in UInt16(0)..<0x7C00 {
      let low = Float(Float16(bitPattern: bits))
      let high = bits == 0x7BFF ? 65536 : Float(Float16(bitPattern: bits + 1))
      let middle = (low + high) / 2
      for value in [low, middle.nextDown, middle, middle.nextUp] {
        #expect(float16Bits(value) == Float16(value).bitPattern)
        #expect(float16Bits(-value) == Float16(-value).bitPattern)
      }
    }
    #expect(float16Bits(.infinity) == 0x7C00)
    #expect(float16Bits(1e30) == 0x7C00)
    #expect(float16Bits(0x1p-140) == 0)
    #expect(Float16(bitPattern: float16Bits(.nan)).isNaN)
  }

  @Test func bfloat16() {
    #expect(bfloat16Bits(1) == 0x3F80)
    #expect(bfloat16Bits(1.00390625) == 0x3F80)  // a tie, to even
    #expect(bfloat16Bits(1.01171875) == 0x3F82)  // a tie, to even
    #expect(bfloat16Bits(1.004) == 0x3F81)
    #expect(bfloat16Bits(.greatestFiniteMagnitude) == 0x7F80)
    #expect(bfloat16Bits(.nan) & 0x7FFF > 0x7F80)
    let (floats, finite) = decode(.bfloat16, [0x80, 0x3F, 0x80, 0xFF])
    #expect(floats == [1, -.infinity] && !finite)
  }

  @Test func doublesBeyondSinglePrecisionAreNotFinite() {
    var bytes: [UInt8] = []
    appendBytes(of: (0.1).bitPattern, to: &bytes)
    #expect(decode(.float64, bytes).floats == [0.1])
    #expect(decode(.float64, bytes).finite)
    appendBytes(of: (1e300).bitPattern, to: &bytes)
    #expect(!decode(.float64, bytes).finite)
  }
}
