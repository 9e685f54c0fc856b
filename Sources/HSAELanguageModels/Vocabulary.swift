// A language model's tokens as readable text. `VocabularyCleaning` selects those to train on.

import HSAESupport

/// The tokens of a language model.
public struct Vocabulary: Sendable {
  /// What a token is for, in GGUF's numbering.
  public enum Kind: Int32, Sendable {
    /// Not stated.
    case undefined = 0
    /// A piece of text.
    case normal = 1
    /// Stands for text that the tokenizer cannot express.
    case unknown = 2
    /// Marks a beginning, an end, a turn, …
    case control = 3
    /// Text that the model's maker added: markup, runs of line breaks.
    case userDefined = 4
    /// A free place.
    case unused = 5
    /// One byte, for text that no other token covers.
    case byte = 6
  }

  /// Every token's text, with a space written as ▁ (U+2581) whatever the tokenizer's convention. Bytes that
  /// are not UTF-8 are spelled out, as in `<0xE2>`.
  public let pieces: [String]
  /// Every token's kind.
  public let kinds: [Kind]
  /// For every token, whether its bytes are whole UTF-8 text.
  public let isDecodable: [Bool]

  /// The number of tokens.
  public var count: Int { pieces.count }
}

extension Vocabulary {
  /// A vocabulary from the bytes in a file. With `isByteLevel`, pieces are spelled in GPT-2's alphabet of 256
  /// printable characters, one for each byte.
  init(rawPieces: [[UInt8]], kinds: [Kind], isByteLevel: Bool) {
    var pieces: [String] = []
    var isDecodable: [Bool] = []
    pieces.reserveCapacity(rawPieces.count)
    isDecodable.reserveCapacity(rawPieces.count)
    for (raw, kind) in zip(rawPieces, kinds) {
      var bytes = raw
      if isByteLevel, kind == .normal || kind == .byte || kind == .undefined {
        bytes = ByteAlphabet.bytes(of: raw)
      }
      let text = String(validating: bytes, as: UTF8.self)
      isDecodable.append(text.map { !$0.unicodeScalars.contains("\u{FFFD}") } ?? false)
      let readable = text ?? Self.spelled(bytes)
      pieces.append(
        readable.utf8.contains(0x20) ? String(readable.map { $0 == " " ? "▁" : $0 }) : readable)
    }
    self.pieces = pieces
    self.kinds = kinds
    self.isDecodable = isDecodable
  }

  /// `bytes` as text. Bytes that are not UTF-8 are spelled like byte tokens: `<0xE2>`.
  static func spelled(_ bytes: [UInt8]) -> String {
    var result = ""
    var start = 0
    while start < bytes.count {
      // The length of the character that begins here, 1 to 4 bytes; nil if there is none.
      let length = (1...4).first {
        start + $0 <= bytes.count
          && String(validating: bytes[start..<start + $0], as: UTF8.self) != nil
      }
      if let length {
        result += String(decoding: bytes[start..<start + length], as: UTF8.self)
      } else {
        result += "<0x" + hexadecimal([bytes[start]]).uppercased() + ">"
      }
      start += length ?? 1
    }
    return result
  }
}

/// GPT-2's spelling of bytes: printable Latin-1 characters are themselves, the other 68 values are U+0100 on.
enum ByteAlphabet {
  private static let values: [UInt32: UInt8] = {
    var values: [UInt32: UInt8] = [:]
    var next: UInt32 = 0x100
    for byte in UInt8.min...UInt8.max {
      switch byte {
      case 0x21...0x7E, 0xA1...0xAC, 0xAE...0xFF:
        values[UInt32(byte)] = byte
      default:
        values[next] = byte
        next += 1
      }
    }
    return values
  }()

  /// The bytes that `spelling` (UTF-8) stands for. Characters outside the alphabet give their own bytes.
  static func bytes(of spelling: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(spelling.count)
    for scalar in String(decoding: spelling, as: UTF8.self).unicodeScalars {
      if let byte = values[scalar.value] {
        bytes.append(byte)
      } else {
        bytes.append(contentsOf: Array(String(scalar).utf8))
      }
    }
    return bytes
  }
}
