// Reads a GGUF model file: metadata, vocabulary, and rows of its matrices as floats. Only this file and
// `ResidualStream/Llama….swift` call ggml's C interface, and its pointers never leave them.

import CLlama
public import HSAESupport
public import HSAETensors
import Synchronization

/// A GGUF file whose header, metadata and tensor sizes have been checked against the file's size.
///
/// It reads quantised matrices of every type ggml knows as floats, row by row.
@safe
public struct GGUFFile: ~Copyable, @unchecked Sendable {
  // Safe: ggml only reads `context` after `init`, `deinit` frees it, and methods copy what they return.
  /// The file's path, as given.
  public let path: String
  /// The file's size in bytes.
  public let byteCount: Int
  private let context: OpaquePointer
  private let file: Descriptor

  deinit { unsafe gguf_free(context) }

  /// Opens the model at `path`.
  ///
  /// Fails with `.missing` if the file cannot be opened, with `.data` if it is not whole GGUF.
  public init(path: String) throws(Failure) {
    let file = try Descriptor(reading: path)
    unsafe (context, byteCount) = unsafe try Self.parse(file)
    self.path = path
    self.file = file
  }

  private static func parse(
    _ file: borrowing Descriptor
  ) throws(Failure) -> (OpaquePointer, Int) {
    let path = file.path
    let status = try file.status()
    guard status.kind == .file else {
      throw .data("\(path) is not a file; give the path of a .gguf file.")
    }
    let byteCount = status.size
    let head = try file.bytes(min(GGUFHeader.byteCount, byteCount), at: 0)
    _ = try GGUFHeader(bytes: head, fileSize: byteCount, path: path)

    let parsed = unsafe file.withStream { stream in
      unsafe LlamaLog.collecting {
        unsafe gguf_init_from_file_ptr(stream, gguf_init_params(no_alloc: true, ctx: nil))
      }
    }
    guard let (context, complaint) = unsafe parsed else {
      throw Failure(.inputOutput, "\(path): no more files can be opened; close some.")
    }
    guard let context = unsafe context else {
      throw .data(
        "\(path) is a damaged or cut-short GGUF file of \(byteCount) bytes"
          + (complaint.isEmpty ? "" : ": \(complaint)") + "; fetch it again.")
    }
    do {
      try unsafe checkExtents(context, byteCount, path)
    } catch {
      unsafe gguf_free(context)
      throw error
    }
    return unsafe (context, byteCount)
  }

  /// Fails if a tensor's bytes do not all lie inside the file.
  private static func checkExtents(
    _ context: OpaquePointer, _ byteCount: Int, _ path: String
  ) throws(Failure) {
    // C's size_t arrives as Int; a damaged file can make it negative.
    // Safe: ggml only reads the context, and `index` counts its tensors.
    func unsigned(_ size: Int) -> UInt64 { UInt64(UInt(bitPattern: size)) }
    let start = unsafe unsigned(gguf_get_data_offset(context))
    for index in 0..<(unsafe gguf_get_n_tensors(context)) {
      let offset = unsafe unsigned(gguf_get_tensor_offset(context, index))
      let size = unsafe unsigned(gguf_get_tensor_size(context, index))
      let (first, overflow) = start.addingReportingOverflow(offset)
      let (end, overflow2) = first.addingReportingOverflow(size)
      guard !overflow, !overflow2, end <= UInt64(byteCount) else {
        let name = unsafe text(gguf_get_tensor_name(context, index)) ?? "\(index)"
        throw .data(
          "\(path) is cut short: tensor \(name) needs bytes \(first) to \(overflow2 ? "?" : "\(end)") "
            + "and the file has \(byteCount); fetch it again.")
      }
    }
  }

  /// The architecture's name, such as "gemma3".
  public var architecture: String? { string("general.architecture") }
  /// The model's name, as its maker wrote it.
  public var name: String? { string("general.name") }
  /// The licence's name, if the file states one.
  public var licence: String? { string("general.license.name") ?? string("general.license") }

  /// The text under the metadata key `key`; nil if there is no such text.
  public func string(_ key: String) -> String? {
    // Safe: ggml only reads the context, at an index it has just returned; the string is copied.
    index(of: key, GGUF_TYPE_STRING).flatMap { unsafe Self.text(gguf_get_val_str(context, $0)) }
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

  private static func text(_ pointer: UnsafePointer<CChar>?) -> String? {
    // Safe: ggml's strings end with a zero byte and live as long as the context; this one is copied.
    guard let pointer = unsafe pointer else { return nil }
    return unsafe String(cString: pointer)
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
    /// Byte offset of its first row in the file.
    public let offset: Int
    /// Bytes from one row to the next.
    public let rowByteCount: Int
    fileprivate let type: ggml_type
  }

  /// The unembedding matrix [vocabulary × width]: `output.weight`, or `token_embd.weight` where the model
  /// ties the two. Fails with `.data` if the file has neither as a matrix.
  public func unembeddingMatrix() throws(Failure) -> StoredMatrix {
    for name in ["output.weight", "token_embd.weight"] {
      // Safe: ggml only reads the context.
      let index = unsafe gguf_find_tensor(context, name)
      if index >= 0 { return try matrix(at: index, name: name) }
    }
    throw .data(
      "\(path) has neither output.weight nor token_embd.weight; give a whole language model.")
  }

  /// The gain of the last normalisation [width], `output_norm.weight`; nil if the file has none.
  public func finalNormGain() throws(Failure) -> [Float]? {
    let name = "output_norm.weight"
    // Safe: ggml only reads the context.
    let index = unsafe gguf_find_tensor(context, name)
    guard index >= 0 else { return nil }
    return try floats(of: matrix(at: index, name: name), threads: 1).elements
  }

  /// Whether the last normalisation is a LayerNorm, which subtracts the mean of a row, and not an RMSNorm.
  ///
  /// The file says which of the two has an epsilon. If it states both or neither, a bias decides, because only
  /// LayerNorms have one.
  public var lastNormCentres: Bool {
    func has(_ key: String) -> Bool {
      // Safe: ggml only reads the context.
      architecture.map { unsafe gguf_find_key(context, "\($0).attention.\(key)") >= 0 } ?? false
    }
    let (centres, scales) = (has("layer_norm_epsilon"), has("layer_norm_rms_epsilon"))
    // Safe: as above.
    return centres != scales
      ? centres : unsafe gguf_find_tensor(context, "output_norm.bias") >= 0
  }

  private func matrix(at index: Int64, name: String) throws(Failure) -> StoredMatrix {
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
      name: name, typeName: Self.text(ggml_type_name(type)) ?? "?", rows: rows, columns: columns,
      offset: Int(gguf_get_data_offset(context) + gguf_get_tensor_offset(context, index)),
      rowByteCount: rowByteCount, type: type)
  }

  /// All rows of `stored` as floats, dequantised on `threads` threads.
  ///
  /// Fails with `.data` if a row holds NaN or infinity or the type cannot be converted, and with
  /// `.inputOutput` if the file cannot be read to its end.
  public func floats(
    of stored: StoredMatrix, threads: Int = processorCount
  ) throws(Failure) -> Matrix {
    // Safe: ggml's table of types is constant, and `stored.type` is in it.
    let toFloat = unsafe ggml_get_type_traits(stored.type)?.pointee.to_float
    guard unsafe stored.type == GGML_TYPE_F32 || toFloat != nil else {
      throw .data("\(path): tensor \(stored.name) is stored as \(stored.typeName), not as floats.")
    }
    var result = Matrix(rows: stored.rows, columns: stored.columns)
    let block = max(1, (1 << 18) / stored.rowByteCount)
    let pieces = pieceCount(stored.rows, size: block)
    // The first row that is not finite, and an error of reading; any worker may set them.
    let badRow = Atomic<Int>(Int.max)
    let failure = Mutex<Failure?>(nil)
    unsafe result.withUnsafeMutablePointer { target in
      nonisolated(unsafe) let target = unsafe target
      parallelFor(pieces, threads: threads) { piece, _ in
        let rows = pieceRange(piece, size: block, count: stored.rows)
        let bytes = UnsafeMutableRawBufferPointer.allocate(
          byteCount: rows.count * stored.rowByteCount, alignment: 64)
        defer { unsafe bytes.deallocate() }
        do throws(Failure) {
          try unsafe file.read(
            into: bytes, at: stored.offset + rows.lowerBound * stored.rowByteCount)
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
          if sum != 0 { badRow.min(row, ordering: .relaxed) }
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
