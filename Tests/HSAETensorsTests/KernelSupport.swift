// Shared by kernel tests: numbers with an error bound, memory that detects accesses outside an array, and the
// list of instruction sets.

import CHSAEKernels
import Foundation
import HSAETensors
import Testing

/// A number in double precision with the sum of its terms' magnitudes. A kernel that rounds r times has an
/// error of at most about r · 2⁻²⁴ · magnitude.
struct Bounded {
  var value: Double
  var magnitude: Double

  init(_ value: Double, magnitude: Double) {
    self.value = value
    self.magnitude = magnitude
  }
  init(_ value: Float) { self.init(Double(value), magnitude: Double(value.magnitude)) }

  static let zero = Bounded(0, magnitude: 0)

  static func + (a: Bounded, b: Bounded) -> Bounded {
    Bounded(a.value + b.value, magnitude: a.magnitude + b.magnitude)
  }
  static func - (a: Bounded, b: Bounded) -> Bounded {
    Bounded(a.value - b.value, magnitude: a.magnitude + b.magnitude)
  }
  static func * (a: Bounded, b: Bounded) -> Bounded {
    Bounded(a.value * b.value, magnitude: a.magnitude * b.magnitude)
  }
  static func += (a: inout Bounded, b: Bounded) { a = a + b }

  /// Whether `number` is within the error of `roundings` roundings.
  func allows(_ number: Double, roundings: Int) -> Bool {
    // The last term lets results near the subnormal range lose their last bit.
    abs(number - value) <= Double(roundings) * 0x1p-24 * magnitude + 0x1p-140
  }
}

/// The place of an array in its memory.
enum Placement: CaseIterable {
  /// 0, 1 or 3 floats after a multiple of 64 bytes.
  case aligned, offByOne, offByThree
  /// Its last element is directly before a page that must not be touched.
  case beforeFence
}

/// Floats followed (or preceded) by canaries, then by a page that faults when it is touched.
@safe
final class FencedArray {
  let count: Int
  @unsafe let base: UnsafeMutablePointer<Float>
  private let memory: UnsafeMutableRawPointer
  private let bytes: Int
  private let slack: Int
  private static let canary = Float(bitPattern: 0xC0DE_D00D)

  init(_ elements: [Float], _ placement: Placement) {
    count = elements.count
    let page = 4096
    slack = 16
    let size = ((elements.count + 2 * slack) * 4 + page - 1) / page * page
    bytes = size + page
    guard
      let memory = unsafe mmap(
        nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
      unsafe memory != MAP_FAILED
    else { preconditionFailure("No memory for a test.") }
    unsafe self.memory = memory
    unsafe mprotect(memory + size, page, PROT_NONE)
    let floats = unsafe memory.bindMemory(to: Float.self, capacity: size / 4)
    unsafe floats.update(repeating: Self.canary, count: size / 4)
    let start =
      switch placement {
      case .aligned: slack
      case .offByOne: slack + 1
      case .offByThree: slack + 3
      case .beforeFence: size / 4 - elements.count
      }
    unsafe base = floats + start
    for index in elements.indices { unsafe base[index] = elements[index] }
  }

  deinit { unsafe munmap(memory, bytes) }

  var elements: [Float] { unsafe Array(UnsafeBufferPointer(start: base, count: count)) }

  /// Whether nothing was written before the array or after it.
  var isIntact: Bool {
    let floats = unsafe memory.assumingMemoryBound(to: Float.self)
    let end = (bytes - 4096) / 4
    let first = unsafe base - floats
    return ((0..<first).map { $0 } + (first + count..<end)).allSatisfy {
      unsafe floats[$0].bitPattern == Self.canary.bitPattern
    }
  }
}

/// The kernels of one instruction set.
struct InstructionSet: Sendable, CustomTestStringConvertible {
  let name: String

  /// The table of this instruction set.
  var table: hsae_kernels {
    unsafe (hsae_kernels_named(name) ?? hsae_kernels_best()).pointee
  }
  var testDescription: String { name }

  static let all = availableKernels().map(InstructionSet.init)
}

extension SeededGenerator {
  /// `count` numbers from (-1, 1).
  mutating func floats(_ count: Int) -> [Float] {
    (0..<count).map { _ in Float(nextSymmetric()) }
  }

  /// `count` eighths from -1 to 1: sums and products of a few are exact in single precision.
  mutating func eighths(_ count: Int) -> [Float] {
    (0..<count).map { _ in Float(Int(next() % 17) - 8) / 8 }
  }

  /// `count` indices below `limit`, some of them several times.
  mutating func indices(_ count: Int, below limit: Int) -> [Int32] {
    (0..<count).map { _ in Int32(next() % UInt64(max(1, limit))) }
  }
}
