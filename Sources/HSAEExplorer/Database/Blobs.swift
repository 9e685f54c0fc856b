// Lists in the database as bytes: contexts, histograms, related latents, tokens. docs/formats.md describes
// them. Integers are unsigned LEB128, floats have 4 bytes, little-endian.

import Foundation
import HSAESupport

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

  mutating func list<Element>(
    _ elements: [Element], _ write: (inout BlobWriter, Element) -> Void
  ) {
    integer(elements.count)
    for element in elements { write(&self, element) }
  }
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

  /// A list of elements of at least `size` bytes each; throws if the rest of the blob is too short for them.
  mutating func list<Element>(
    of size: Int, _ read: (inout BlobReader) throws(Failure) -> Element
  ) throws(Failure) -> [Element] {
    let count = try integer()
    guard count <= (bytes.count - place) / size else { throw Self.damaged }
    var elements: [Element] = []
    elements.reserveCapacity(count)
    for _ in 0..<count { elements.append(try read(&self)) }
    return elements
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

enum Blob {
  /// The largest count of a histogram whose sums are shown.
  static let largestCount = 1 << 40

  private static func data<Element>(
    _ elements: [Element], _ write: (inout BlobWriter, Element) -> Void
  ) -> Data {
    var blob = BlobWriter()
    blob.list(elements, write)
    return blob.data
  }

  static func contexts(_ contexts: [LatentContext]) -> Data {
    data(contexts) { blob, context in
      blob.integer(context.group)
      blob.integer(context.place)
      blob.float(context.value)
      blob.float(context.parentValue)
      blob.list(context.neighbours) { blob, neighbour in
        blob.byte(Int8(neighbour.offset))
        blob.float(neighbour.value)
      }
    }
  }

  static func contexts(_ data: Data) throws(Failure) -> [LatentContext] {
    var blob = BlobReader(data)
    return try blob.list(of: 11) { (blob) throws(Failure) in
      let (group, place) = (try blob.integer(), try blob.integer())
      guard place < 1 << 48 else { throw BlobReader.damaged }
      return LatentContext(
        place: place, value: try blob.float(), parentValue: try blob.float(), group: group,
        neighbours: try blob.list(of: 5) { (blob) throws(Failure) in
          .init(offset: Int(try blob.byte()), value: try blob.float())
        })
    }
  }

  static func integers(_ integers: [Int]) -> Data { data(integers) { $0.integer($1) } }

  static func integers(_ data: Data) throws(Failure) -> [Int] {
    var blob = BlobReader(data)
    return try blob.list(of: 1) { (blob) throws(Failure) in try blob.integer() }
  }

  static func related(_ latents: [RelatedLatent]) -> Data {
    data(latents) { blob, latent in
      blob.integer(latent.number)
      blob.float(latent.value)
    }
  }

  static func related(_ data: Data) throws(Failure) -> [RelatedLatent] {
    var blob = BlobReader(data)
    return try blob.list(of: 5) { (blob) throws(Failure) in
      RelatedLatent(number: try blob.integer(), value: try blob.float())
    }
  }

  /// The tokens that a latent promotes and suppresses, and then those of a sublatent together with its expert.
  static func effects(_ lists: [PromotedTokens]) -> Data {
    data(lists) { blob, list in
      for effects in [list.promoted, list.suppressed] {
        blob.list(effects) { blob, effect in
          blob.integer(effect.token)
          blob.float(effect.value)
        }
      }
    }
  }

  static func effects(_ data: Data) throws(Failure) -> [PromotedTokens] {
    func effects(_ blob: inout BlobReader) throws(Failure) -> [TokenEffect] {
      try blob.list(of: 5) { (blob) throws(Failure) in
        TokenEffect(token: try blob.integer(), value: try blob.float())
      }
    }
    var blob = BlobReader(data)
    return try blob.list(of: 2) { (blob) throws(Failure) in
      PromotedTokens(promoted: try effects(&blob), suppressed: try effects(&blob))
    }
  }

  static func histogram(_ histogram: ProductHistogram) -> Data {
    var blob = BlobWriter()
    blob.float(histogram.width)
    blob.integer(histogram.first)
    blob.list(histogram.counts) { $0.integer($1) }
    return blob.data
  }

  static func histogram(_ data: Data) throws(Failure) -> ProductHistogram {
    var blob = BlobReader(data)
    let (width, first) = (try blob.float(), try blob.integer())
    let counts = try blob.list(of: 1) { (blob) throws(Failure) in try blob.integer() }
    guard width > 0, width.isFinite, first < ProductHistogram.bins,
      counts.count <= ProductHistogram.bins - first, counts.allSatisfy({ $0 <= largestCount })
    else { throw BlobReader.damaged }
    return ProductHistogram(width: width, first: first, counts: counts)
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
