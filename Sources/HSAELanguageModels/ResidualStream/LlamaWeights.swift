// A language model loaded by llama.cpp: its weights, sizes and tokenizer. `LlamaContext` computes with them.

import CLlama
import HSAESupport

/// The weights of a model in memory. Several threads may tokenise at once.
@safe
final class LlamaWeights: @unchecked Sendable {
  // Safe: both are made in `init` and freed only in `deinit`. In between llama.cpp only reads them, which it
  // allows from any thread. Only the files ResidualStream/Llama….swift use them.
  let model: OpaquePointer
  private let vocabulary: OpaquePointer
  let path: String
  let width: Int
  let blockCount: Int
  let longestContext: Int
  let tokenCount: Int

  /// Loads the model in the GGUF file at `path`. The file must have been opened as `GGUFFile` before,
  /// because llama.cpp trusts its input. Fails with `.data` if llama.cpp cannot use the model, and with
  /// `.unavailable` if this processor cannot run llama.cpp.
  ///
  /// `repacks` lets ggml rearrange weights for this processor, which AMX needs. Products of rearranged 4- and
  /// 5-bit weights round differently for different numbers of vectors, so those must not be rearranged.
  init(path: String, repacks: Bool) throws(Failure) {
    let (model, vocabulary) = unsafe try Self.load(path, repacks: repacks, vocabularyOnly: false)
    unsafe (self.model, self.vocabulary) = unsafe (model, vocabulary)
    self.path = path
    width = unsafe Int(llama_model_n_embd(model))
    blockCount = unsafe Int(llama_model_n_layer(model))
    longestContext = unsafe Int(llama_model_n_ctx_train(model))
    tokenCount = unsafe Int(llama_vocab_n_tokens(vocabulary))
  }

  /// Fails as `init` does for a model that llama.cpp does not know or that does not predict tokens. It reads
  /// only the metadata and the vocabulary.
  static func check(path: String) throws(Failure) {
    // Safe: `load` made the model, and this is its only use.
    let (model, _) = unsafe try load(path, repacks: false, vocabularyOnly: true)
    unsafe llama_model_free(model)
  }

  private static func load(
    _ path: String, repacks: Bool, vocabularyOnly: Bool
  ) throws(Failure) -> (OpaquePointer, OpaquePointer) {
    try LlamaLibrary.requireProcessor()
    llama_backend_init()
    // Safe: plain C values and a C string for the length of the call; the model is freed here or returned.
    var parameters = unsafe llama_model_default_params()
    unsafe parameters.use_extra_bufts = repacks
    unsafe parameters.vocab_only = vocabularyOnly
    let (model, complaint) = unsafe LlamaLog.collecting {
      unsafe llama_model_load_from_file(path, parameters)
    }
    guard let model = unsafe model else {
      throw .data(
        "\(path): llama.cpp cannot load this model" + (complaint.isEmpty ? "" : ": \(complaint)")
          + "; use another file or another model.")
    }
    guard let vocabulary = unsafe llama_model_get_vocab(model),
      unsafe llama_model_has_decoder(model), unsafe !llama_model_is_diffusion(model),
      unsafe !llama_model_has_encoder(model), unsafe llama_vocab_n_tokens(vocabulary) > 0
    else {
      unsafe llama_model_free(model)
      throw .data("\(path): this is not a causal language model; give one that predicts tokens.")
    }
    return unsafe (model, vocabulary)
  }

  // Safe: the last use of the model.
  deinit { unsafe llama_model_free(model) }

  /// The beginning-of-sequence token, or what llama.cpp takes for it; nil if there is none.
  var bos: Int32? {
    // Safe: llama.cpp only reads the vocabulary.
    let token = unsafe llama_vocab_bos(vocabulary)
    return token >= 0 ? token : nil
  }

  /// Whether the file declares that contexts begin with that token.
  // Safe: llama.cpp only reads the vocabulary.
  var addsBOS: Bool { unsafe llama_vocab_get_add_bos(vocabulary) }

  /// Whether each token marks a beginning, an end or a turn, or stands for unknown text. `namesEnd`: the file names an
  /// end-of-text token. If it does not, llama.cpp assumes a number, which may be a word's.
  func specials(namesEnd: Bool) -> [Bool] {
    // Safe: llama.cpp only reads the vocabulary, at tokens that it has.
    let assumed = unsafe namesEnd ? -1 : llama_vocab_eos(vocabulary)
    return (0..<Int32(tokenCount)).map { token in
      let attributes = unsafe llama_vocab_get_attr(vocabulary, token).rawValue
      return unsafe llama_vocab_is_control(vocabulary, token)
        || token != assumed && llama_vocab_is_eog(vocabulary, token)
        || attributes & LLAMA_TOKEN_ATTR_UNKNOWN.rawValue != 0
    }
  }

  func encode(_ text: ArraySlice<UInt8>) -> [Int32] {
    // llama.cpp counts in 32 bits.
    let text = text.prefix(1 << 30)
    // A token covers at least one byte, except for a space that some tokenizers add in front.
    var tokens = [Int32](repeating: 0, count: text.count + 16)
    while true {
      // Safe: llama.cpp reads `bytes.count` bytes and writes at most `target.count` tokens.
      let count = unsafe text.withUnsafeBytes { bytes in
        unsafe tokens.withUnsafeMutableBufferPointer { target in
          unsafe Int(
            llama_tokenize(
              vocabulary, bytes.bindMemory(to: CChar.self).baseAddress, Int32(bytes.count),
              target.baseAddress, Int32(target.count), false, false))
        }
      }
      if count >= 0 { return Array(tokens.prefix(count)) }
      guard count > -Int(Int32.max) else { return [] }
      tokens = [Int32](repeating: 0, count: -count)
    }
  }
}

struct LlamaTokenizer: Tokenizer {
  let pieces: [String]
  let prefix: [Int32]
  let bos: Int32?
  private let specials: [Bool]
  private let weights: LlamaWeights

  init(_ weights: LlamaWeights, vocabulary: Vocabulary, namesEnd: Bool) throws(Failure) {
    guard vocabulary.count == weights.tokenCount else {
      throw .data(
        "\(weights.path): its vocabulary has \(vocabulary.count) tokens, and llama.cpp reads"
          + " \(weights.tokenCount); the file is damaged.")
    }
    self.weights = weights
    pieces = vocabulary.pieces
    let (token, specials) = (weights.bos, weights.specials(namesEnd: namesEnd))
    self.specials = specials
    let declared = weights.addsBOS ? token : nil
    prefix = declared.map { [$0] } ?? []
    // llama.cpp assumes a number where the file names no such token, and it may be a word's.
    bos =
      declared
      ?? token.flatMap { specials.indices.contains(Int($0)) && specials[Int($0)] ? $0 : nil }
  }

  func encode(_ text: ArraySlice<UInt8>) -> [Int32] {
    if String(validating: text, as: UTF8.self) != nil { return weights.encode(text) }
    return weights.encode(Array(String(decoding: text, as: UTF8.self).utf8)[...])
  }

  func isSpecial(_ token: Int32) -> Bool {
    specials.indices.contains(Int(token)) && specials[Int(token)]
  }
}
