// Reads a GGUF model, in one file or split into several: metadata, vocabulary, and rows of its matrices as
// floats. Only the files `GGUF….swift` and `ResidualStream/Llama….swift` call ggml's C interface, and its
// pointers never leave them.

import CLlama
public import HSAESupport
public import HSAETensors
import Synchronization

/// A language model in a GGUF file, or in the files of a split model. They have been checked: headers, metadata,
/// and tensor sizes against the files' sizes.
///
/// It reads quantised matrices of every type ggml knows as floats, row by row.
public struct GGUFFile: ~Copyable, Sendable {
  /// The path of the file, or of the first part, as given.
  public let path: String
  /// The files: one, or all parts in order. The first has the metadata.
  private let parts: [GGUFPart]

  /// The metadata of the first file.
  private var context: OpaquePointer { unsafe parts[0].context }

  /// The size of all files in bytes.
  public var byteCount: Int { parts.reduce(0) { $0 + $1.byteCount } }
  /// The number of files: 1, or more for a split model.
  public var partCount: Int { parts.count }

  /// Opens the model at `path`: a file, or the first part of a split model, whose other parts lie beside it.
  ///
  /// Fails with `.missing` if a file cannot be opened or a part is not there. Fails with `.data` if a file is
  /// not whole GGUF, if it is another part than the first, and if it holds no model but what goes with one,
  /// such as a LoRA adapter.
  public init(path: String) throws(Failure) {
    let first = try GGUFPart(path: path)
    try first.requireModel()
    let all = try GGUFSplit.parts(of: first)
    (self.path, parts) = (path, all)
  }

  /// The model's identity, wherever one is kept or compared: the SHA-256 of its file. For a split model it is
  /// that of all parts, one after another (`cat PARTS | sha256sum`).
  ///
  /// Fails with `.missing` or `.inputOutput` if a file cannot be read.
  public func sha256() throws(Failure) -> String {
    var hash = SHA256()
    for part in parts { try hash.update(file: part.path) }
    return hash.finish()
  }

  /// The architecture's name, such as "gemma3".
  public var architecture: String? { string("general.architecture") }
  /// The model's name, as its maker wrote it.
  public var name: String? { string("general.name") }
  /// The licence's name, if the file states one.
  public var licence: String? { string("general.license.name") ?? string("general.license") }

  /// The text under the metadata key `key`; nil if there is no such text.
  public func string(_ key: String) -> String? {
    parts[0].string(key)
  }

  /// The truth value under the metadata key `key`; nil if there is none.
  func boolean(_ key: String) -> Bool? {
    // Safe: ggml only reads the context, at an index it has just returned.
    index(of: key, GGUF_TYPE_BOOL).map { unsafe gguf_get_val_bool(context, $0) }
  }

  /// Whether there is metadata under `key`.
  func has(_ key: String) -> Bool {
    // Safe: ggml only reads the context.
    unsafe gguf_find_key(context, key) >= 0
  }

  /// The number of transformer blocks; nil if the file does not state it.
  var blockCount: Int? {
    let key = architecture.map { "\($0).block_count" }
    // Safe: ggml only reads the context, at an index it has just returned and of that type.
    return key.flatMap { index(of: $0, GGUF_TYPE_UINT32) }.map {
      unsafe Int(gguf_get_val_u32(context, $0))
    }
  }

  /// Whether tokens see only earlier ones, as in models that predict the next token.
  var isCausal: Bool {
    architecture.flatMap { boolean("\($0).attention.causal") } ?? true
  }

  /// The type of most weights, in llama.cpp's numbering; nil if the file does not state it.
  var fileType: llama_ftype? {
    // Safe: ggml only reads the context, at an index it has just returned.
    index(of: "general.file_type", GGUF_TYPE_UINT32).map {
      unsafe llama_ftype(rawValue: gguf_get_val_u32(context, $0))
    }
  }

  /// The index of the metadata key `key`, whose value is of `type`; nil if there is none.
  private func index(of key: String, _ type: gguf_type) -> Int64? {
    // Safe: as above.
    let index = unsafe gguf_find_key(context, key)
    return unsafe index >= 0 && gguf_get_kv_type(context, index) == type ? index : nil
  }

  /// The index and count of the array `key` with elements of `type`; nil if there is none.
  private func array(_ key: String, of type: gguf_type) -> (index: Int64, count: Int)? {
    // Safe: as above.
    guard let index = index(of: key, GGUF_TYPE_ARRAY),
      unsafe gguf_get_arr_type(context, index) == type
    else { return nil }
    return unsafe (index, Int(gguf_get_arr_n(context, index)))
  }

  /// The model's vocabulary: every token's piece and kind.
  ///
  /// Fails with `.data` if the file has no vocabulary, or if its parts differ in length.
  public func vocabulary() throws(Failure) -> Vocabulary {
    guard let tokens = array("tokenizer.ggml.tokens", of: GGUF_TYPE_STRING), tokens.count > 0 else {
      throw .data(
        "\(path) has no vocabulary (tokenizer.ggml.tokens); give a whole language model.")
    }
    var kinds = [Vocabulary.Kind](repeating: .normal, count: tokens.count)
    if let types = array("tokenizer.ggml.token_type", of: GGUF_TYPE_INT32) {
      guard types.count == tokens.count else {
        throw .data(
          "\(path) has \(tokens.count) tokens but \(types.count) token types; it is damaged.")
      }
      // Safe: ggml holds `types.count` 32-bit integers here as long as the context lives.
      if let pointer = unsafe gguf_get_arr_data(context, types.index) {
        let values = unsafe pointer.assumingMemoryBound(to: Int32.self)
        for index in kinds.indices {
          kinds[index] = Vocabulary.Kind(rawValue: unsafe values[index]) ?? .undefined
        }
      }
    }
    var pieces: [[UInt8]] = []
    pieces.reserveCapacity(tokens.count)
    for index in 0..<tokens.count {
      guard let piece = unsafe gguf_get_arr_str(context, tokens.index, index) else {
        pieces.append([])
        continue
      }
      // Safe: a C string that lives as long as the context; its bytes are copied here.
      let length = (0...).first { unsafe piece[$0] == 0 } ?? 0
      unsafe pieces.append(Array(UnsafeRawBufferPointer(start: piece, count: length)))
    }
    return Vocabulary(
      rawPieces: pieces, kinds: kinds, isByteLevel: string("tokenizer.ggml.model") == "gpt2")
  }

  /// A matrix in the file: its place and how its rows are stored.
  public struct StoredMatrix: Sendable {
    /// The tensor's name.
    public let name: String
    /// The type of its elements, by ggml's name ("q8_0", "f16", …).
    public let typeName: String
    /// Its number of rows.
    public let rows: Int
    /// Its number of columns.
    public let columns: Int
    /// Byte offset of its first row in the file, or in its part of a split model.
    public let offset: Int
    /// Bytes from one row to the next.
    public let rowByteCount: Int
    fileprivate let type: ggml_type
    fileprivate let part: GGUFPart
  }

  /// The unembedding matrix [vocabulary × width]: `output.weight`, or `token_embd.weight` where the model
  /// ties the two. Fails with `.data` if the file has neither as a matrix.
  public func unembeddingMatrix() throws(Failure) -> StoredMatrix {
    for name in ["output.weight", "token_embd.weight"] {
      if let stored = try matrix(name) { return stored }
    }
    throw .data(
      "\(path) has neither output.weight nor token_embd.weight; give a whole language model.")
  }

  /// The gain of the last normalisation [width], `output_norm.weight`; nil if the file has none.
  public func finalNormGain() throws(Failure) -> [Float]? {
    guard let stored = try matrix("output_norm.weight") else { return nil }
    return try floats(of: stored, threads: 1).elements
  }

  /// The same for rows of `width`; ones if the file has none. Fails with `.data` if its width is another.
  public func finalNormGain(width: Int) throws(Failure) -> [Float] {
    let gain = try finalNormGain() ?? [Float](repeating: 1, count: width)
    guard gain.count == width else {
      throw .data(
        "\(path): output_norm.weight has \(gain.count) numbers, not \(width); it is damaged.")
    }
    return gain
  }

  /// Whether the last normalisation is a LayerNorm, which subtracts the mean of a row, and not an RMSNorm.
  ///
  /// The file says which of the two has an epsilon. If it states both or neither, a bias decides, because only
  /// LayerNorms have one.
  public var lastNormCentres: Bool {
    let prefix = (architecture ?? "") + ".attention."
    let (centres, scales) = (
      has(prefix + "layer_norm_epsilon"), has(prefix + "layer_norm_rms_epsilon")
    )
    return centres != scales ? centres : place(of: "output_norm.bias") != nil
  }

  /// The tensor `name` and the file it is in; nil if there is no such tensor.
  private func place(of name: String) -> (part: GGUFPart, index: Int64)? {
    for part in parts {
      // Safe: ggml only reads the context.
      let index = unsafe gguf_find_tensor(part.context, name)
      if index >= 0 { return (part, index) }
    }
    return nil
  }

  /// The matrix `name`, in whichever file it is; nil if there is no such tensor.
  private func matrix(_ name: String) throws(Failure) -> StoredMatrix? {
    guard let place = place(of: name) else { return nil }
    return try matrix(at: place.index, name: name, in: place.part)
  }

  private func matrix(
    at index: Int64, name: String, in part: GGUFPart
  ) throws(Failure) -> StoredMatrix {
    let (path, context) = unsafe (part.path, part.context)
    // Safe: `index` is a tensor's. ggml returns GGML_MAX_DIMS (4) sizes, which live as long as the context.
    guard let sizes = unsafe gguf_get_tensor_ne(context, index) else {
      throw .data("\(path): tensor \(name) has no shape; it is damaged.")
    }
    let columns = unsafe Int(sizes[0])
    let rows = unsafe Int(sizes[1])
    guard columns > 0, rows > 0, unsafe sizes[2] == 1, unsafe sizes[3] == 1 else {
      throw .data("\(path): tensor \(name) is not a matrix of at least one row and column.")
    }
    let type = unsafe gguf_get_tensor_type(context, index)
    // `gguf_init` only accepts types in ggml's table and whole blocks per row, but its sizes overflow for
    // absurd shapes. So they are computed again here, with checks.
    let blocks = columns / Int(ggml_blck_size(type))
    let (rowByteCount, overflow) = blocks.multipliedReportingOverflow(by: ggml_type_size(type))
    let (needed, overflow2) = rowByteCount.multipliedReportingOverflow(by: rows)
    let size = unsafe gguf_get_tensor_size(context, index)
    guard !overflow, !overflow2, needed == size else {
      throw .data(
        "\(path): tensor \(name) has \(size) bytes, too few for its shape of \(rows) × \(columns); "
          + "it is damaged.")
    }
    return unsafe StoredMatrix(
      name: name, typeName: GGUFPart.text(ggml_type_name(type)) ?? "?", rows: rows,
      columns: columns,
      offset: Int(gguf_get_data_offset(context) + gguf_get_tensor_offset(context, index)),
      rowByteCount: rowByteCount, type: type, part: part)
  }

  /// The rows `rows` of `stored`, by default all, as floats, dequantised on `threads` threads.
  ///
  /// Fails with `.data` if a row holds NaN or infinity or the type cannot be converted, and with
  /// `.inputOutput` if the file cannot be read to its end.
  public func floats(
    of stored: StoredMatrix, rows wanted: Range<Int>? = nil, threads: Int = processorCount
  ) throws(Failure) -> Matrix {
    let wanted = wanted ?? 0..<stored.rows
    precondition(
      wanted.lowerBound >= 0 && wanted.upperBound <= stored.rows, "It has \(stored.rows) rows.")
    let (path, part) = (stored.part.path, stored.part)
    // Safe: ggml's table of types is constant, and `stored.type` is in it.
    let toFloat = unsafe ggml_get_type_traits(stored.type)?.pointee.to_float
    guard unsafe stored.type == GGML_TYPE_F32 || toFloat != nil else {
      throw .data("\(path): tensor \(stored.name) is stored as \(stored.typeName), not as floats.")
    }
    var result = Matrix(rows: wanted.count, columns: stored.columns)
    let block = max(1, (1 << 18) / stored.rowByteCount)
    let pieces = pieceCount(wanted.count, size: block)
    // The first row that is not finite, and an error of reading; any worker may set them.
    let badRow = Atomic<Int>(Int.max)
    let failure = Mutex<Failure?>(nil)
    unsafe result.withUnsafeMutablePointer { target in
      nonisolated(unsafe) let target = unsafe target
      parallelFor(pieces, threads: threads) { piece, _ in
        let rows = pieceRange(piece, size: block, count: wanted.count)
        let bytes = UnsafeMutableRawBufferPointer.allocate(
          byteCount: rows.count * stored.rowByteCount, alignment: 64)
        defer { unsafe bytes.deallocate() }
        do throws(Failure) {
          try unsafe part.file.read(
            into: bytes,
            at: stored.offset + (wanted.lowerBound + rows.lowerBound) * stored.rowByteCount)
        } catch {
          failure.withLock { $0 = error }
          return
        }
        guard let source = bytes.baseAddress else { return }
        for row in rows {
          let start = unsafe source + (row - rows.lowerBound) * stored.rowByteCount
          let floats = unsafe target + row * stored.columns
          if let toFloat = unsafe toFloat, stored.type != GGML_TYPE_F32 {
            unsafe toFloat(start, floats, Int64(stored.columns))
          } else {
            unsafe UnsafeMutableRawPointer(floats).copyMemory(
              from: start, byteCount: stored.rowByteCount)
          }
          // A finite number times zero is zero; NaN or infinity times zero is NaN.
          var sum: Float = 0
          for column in 0..<stored.columns { unsafe sum += floats[column] * 0 }
          if sum != 0 { badRow.min(wanted.lowerBound + row, ordering: .relaxed) }
        }
      }
    }
    if let failure = failure.withLock({ $0 }) { throw failure }
    let bad = badRow.load(ordering: .relaxed)
    guard bad == Int.max else {
      throw .data("\(path): row \(bad) of \(stored.name) holds NaN or infinity; it is damaged.")
    }
    return result
  }
}
