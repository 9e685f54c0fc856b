// Half-precision rows anywhere in memory, compared with the processor's conversion.

import CHSAEKernels
import Foundation
import HSAETensors
import Testing

@Suite struct HalfRowsTests {
  /// All finite half-precision numbers as rows of `width`; ones fill the last row.
  private static func rows(width: Int) -> [[UInt16]] {
    var numbers = (UInt16.min...UInt16.max).filter { $0 & 0x7FFF < 0x7C00 }
    while !numbers.count.isMultiple(of: width) { numbers.append(0x3C00) }
    return stride(from: 0, to: numbers.count, by: width).map { Array(numbers[$0..<$0 + width]) }
  }

  /// Puts rows at odd addresses, the last one directly before a page that must not be touched.
  private func withAddresses(
    _ rows: [[UInt16]], _ body: (UnsafeBufferPointer<UnsafeRawPointer>) -> Void
  ) {
    let bytes = rows.reduce(0) { $0 + 2 * $1.count } + rows.count
    let page = 4096
    let size = (bytes + page - 1) / page * page
    guard
      let memory = unsafe mmap(
        nil, size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      unsafe memory != MAP_FAILED
    else { preconditionFailure("No memory for a test.") }
    defer { unsafe munmap(memory, size + page) }
    unsafe mprotect(memory + size, page, PROT_NONE)
    var place = unsafe memory + size
    var addresses: [UnsafeRawPointer] = unsafe []
    for row in rows.reversed() {
      unsafe place -= 2 * row.count
      unsafe row.withUnsafeBytes {
        unsafe UnsafeMutableRawBufferPointer(start: place, count: $0.count).copyMemory(from: $0)
      }
      unsafe addresses.append(UnsafeRawPointer(place))
      unsafe place -= 1
    }
    unsafe addresses.reverse()
    unsafe addresses.withUnsafeBufferPointer { unsafe body($0) }
  }

  @Test(arguments: InstructionSet.all, [1, 2, 15, 16, 17, 31, 640, 643])
  func everyNumberIsConvertedExactly(_ set: InstructionSet, _ width: Int) {
    let rows = Self.rows(width: width)
    let target = FencedArray([Float](repeating: 7, count: rows.count * width), .beforeFence)
    unsafe withAddresses(rows) { addresses in
      guard let from = addresses.baseAddress else { return }
      let done = unsafe set.table.gather_half(target.base, from, rows.count, width)
      #expect(done == rows.count)
    }
    #expect(target.isIntact)
    let found = target.elements
    let expected = rows.flatMap { $0.map { Float(Float16(bitPattern: $0)) } }
    #expect(zip(found, expected).allSatisfy { $0.bitPattern == $1.bitPattern })
  }

  @Test(arguments: InstructionSet.all, [0x7C00, 0xFC00, 0x7E01, 0xFFFF] as [UInt16])
  func conversionStopsAtANonFiniteRow(_ set: InstructionSet, _ bad: UInt16) {
    let width = 21
    for (row, column) in [(0, 0), (3, 15), (4, 16), (6, 20)] {
      var rows = (0..<7).map { row in (0..<width).map { UInt16(row * width + $0) } }
      rows[row][column] = bad
      var target = [Float](repeating: 7, count: 7 * width)
      unsafe withAddresses(rows) { addresses in
        guard let from = addresses.baseAddress else { return }
        #expect(unsafe set.table.gather_half(&target, from, 7, width) == row)
      }
      let expected = rows[..<row].joined().map { Float(Float16(bitPattern: $0)) }
      #expect(Array(target.prefix(row * width)) == expected)
      #expect(target.suffix((6 - row) * width).allSatisfy { $0 == 7 })
    }
  }
}
