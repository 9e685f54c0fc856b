// Lists in the database as bytes: contexts, histograms, related latents, tokens. docs/formats.md describes
// them. Integers are unsigned LEB128, floats have 4 bytes, little-endian.

import Foundation
import HSAESupport

/// Builds a blob.
struct BlobWriter {
  private(set) var data = Data()

  mutating func integer(_ value: Int) {
    precondition(value >= 0, "Only numbers from 0 on.")
    var rest = UInt64(value)
    while rest >= 0x80 {
      data.append(UInt8(truncatingIfNeeded: rest) | 0x80)
      rest >>= 7
    }
    data.append(UInt8(rest))
  }

  mutating func bits(_ bits: UInt32) {
    for shift in stride(from: 0 as UInt32, to: 32, by: 8) {
      data.append(UInt8(truncatingIfNeeded: bits >> shift))
    }
  }

  mutating func float(_ value: Float) { bits(value.bitPattern) }

  mutating func byte(_ value: Int8) { data.append(UInt8(bitPattern: value)) }
}

/// Reads a blob; throws if it is cut short or damaged.
struct BlobReader {
  private let bytes: [UInt8]
  private var place = 0

  init(_ data: Data) { bytes = [UInt8](data) }

  var isAtEnd: Bool { place == bytes.count }

  static var damaged: Failure { .data("a list in it is cut short or damaged") }

  mutating func integer() throws(Failure) -> Int {
    var value: UInt64 = 0
    for shift in stride(from: 0, to: 63, by: 7) {
      guard place < bytes.count else { throw Self.damaged }
      let byte = bytes[place]
      place += 1
      value |= UInt64(byte & 0x7F) << UInt64(shift)
      if byte & 0x80 == 0 { return Int(value) }
    }
    throw Self.damaged
  }

  /// A count of elements of at least `size` bytes each; throws if the rest of the blob is too short for them.
  mutating func count(of size: Int) throws(Failure) -> Int {
    let count = try integer()
    guard count <= (bytes.count - place) / size else { throw Self.damaged }
    return count
  }

  mutating func bits() throws(Failure) -> UInt32 {
    guard bytes.count - place >= 4 else { throw Self.damaged }
    var bits: UInt32 = 0
    for index in 0..<4 { bits |= UInt32(bytes[place + index]) << UInt32(8 * index) }
    place += 4
    return bits
  }

  mutating func float() throws(Failure) -> Float { Float(bitPattern: try bits()) }

  mutating func byte() throws(Failure) -> Int8 {
    guard place < bytes.count else { throw Self.damaged }
    place += 1
    return Int8(bitPattern: bytes[place - 1])
  }
}

/// Conversions between lists and blobs.
enum Blob {
  static func contexts(_ contexts: [LatentContext]) -> Data {
    var blob = BlobWriter()
    blob.integer(contexts.count)
    for context in contexts {
      blob.integer(context.group)
      blob.integer(context.place)
      blob.float(context.value)
      blob.float(context.parentValue)
      blob.integer(context.neighbours.count)
      for neighbour in context.neighbours {
        blob.byte(Int8(neighbour.offset))
        blob.float(neighbour.value)
      }
    }
    return blob.data
  }

  static func contexts(_ data: Data) throws(Failure) -> [LatentContext] {
    var blob = BlobReader(data)
    var contexts: [LatentContext] = []
    for _ in 0..<(try blob.count(of: 11)) {
      var context = LatentContext(place: 0, value: 0)
      context.group = try blob.integer()
      context.place = try blob.integer()
      guard context.place < 1 << 48 else { throw BlobReader.damaged }
      context.value = try blob.float()
      context.parentValue = try blob.float()
      for _ in 0..<(try blob.count(of: 5)) {
        context.neighbours.append(.init(offset: Int(try blob.byte()), value: try blob.float()))
      }
      contexts.append(context)
    }
    return contexts
  }

  static func integers(_ integers: [Int]) -> Data {
    var blob = BlobWriter()
    blob.integer(integers.count)
    for integer in integers { blob.integer(integer) }
    return blob.data
  }

  static func integers(_ data: Data) throws(Failure) -> [Int] {
    var blob = BlobReader(data)
    var integers: [Int] = []
    for _ in 0..<(try blob.count(of: 1)) { integers.append(try blob.integer()) }
    return integers
  }

  static func related(_ latents: [RelatedLatent]) -> Data {
    var blob = BlobWriter()
    blob.integer(latents.count)
    for latent in latents {
      blob.integer(latent.number)
      blob.float(latent.value)
    }
    return blob.data
  }

  static func related(_ data: Data) throws(Failure) -> [RelatedLatent] {
    var blob = BlobReader(data)
    var latents: [RelatedLatent] = []
    for _ in 0..<(try blob.count(of: 5)) {
      latents.append(RelatedLatent(number: try blob.integer(), value: try blob.float()))
    }
    return latents
  }

  /// The tokens that a latent promotes and suppresses, and then those of a sublatent together with its
  /// expert.
  static func effects(_ lists: [PromotedTokens]) -> Data {
    var blob = BlobWriter()
    blob.integer(lists.count)
    for list in lists {
      for effects in [list.promoted, list.suppressed] {
        blob.integer(effects.count)
        for effect in effects {
          blob.integer(effect.token)
          blob.float(effect.value)
        }
      }
    }
    return blob.data
  }

  static func effects(_ data: Data) throws(Failure) -> [PromotedTokens] {
    var blob = BlobReader(data)
    func effects(_ blob: inout BlobReader) throws(Failure) -> [TokenEffect] {
      var result: [TokenEffect] = []
      for _ in 0..<(try blob.count(of: 5)) {
        result.append(TokenEffect(token: try blob.integer(), value: try blob.float()))
      }
      return result
    }
    var lists: [PromotedTokens] = []
    for _ in 0..<(try blob.count(of: 2)) {
      var list = PromotedTokens()
      list.promoted = try effects(&blob)
      list.suppressed = try effects(&blob)
      lists.append(list)
    }
    return lists
  }

  static func tokens(_ tokens: some Sequence<Int32>) -> Data {
    var blob = BlobWriter()
    for token in tokens { blob.bits(UInt32(bitPattern: token)) }
    return blob.data
  }

  static func tokens(_ data: Data) throws(Failure) -> [Int32] {
    var blob = BlobReader(data)
    var tokens: [Int32] = []
    while !blob.isAtEnd { tokens.append(Int32(bitPattern: try blob.bits())) }
    return tokens
  }

  static func floats(_ values: [Float]) -> Data {
    var blob = BlobWriter()
    for value in values { blob.float(value) }
    return blob.data
  }

  static func floats(_ data: Data) throws(Failure) -> [Float] {
    var blob = BlobReader(data)
    var values: [Float] = []
    while !blob.isAtEnd { values.append(try blob.float()) }
    return values
  }
}
