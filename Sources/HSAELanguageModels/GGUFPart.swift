// Opens one GGUF file and checks it: its header, its metadata, and that every tensor's bytes lie inside it.
// `GGUFFile` makes a model of one such file, or of the parts of a split model.

import CLlama
import HSAESupport

/// A GGUF file whose header, metadata and tensor sizes have been checked against the file's size.
@safe
final class GGUFPart: @unchecked Sendable {
  // Safe: ggml only reads `context` after `init`, and `deinit` frees it. Only GGUF….swift use it, while they
  // hold this object; they copy what ggml returns.
  let path: String
  let byteCount: Int
  let context: OpaquePointer
  let file: Descriptor

  deinit { unsafe gguf_free(context) }

  /// Opens the file at `path`.
  ///
  /// Fails with `.missing` if the file cannot be opened, with `.data` if it is not whole GGUF.
  init(path: String) throws(Failure) {
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
      throw Failure(.inputOutput, "\(path): too many files are open; close some.")
    }
    guard let context = unsafe context else {
      throw .data(
        "\(path) is a damaged or cut-short GGUF file of \(byteCount) bytes"
          + (complaint.isEmpty ? "" : ": \(complaint)") + "; \(advice(path) ?? "fetch it again").")
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
            + "and the file has \(byteCount); \(advice(path) ?? "fetch it again").")
      }
    }
  }

  /// What to do about a file that is not whole, if it is a piece of one by its name: some large models are cut
  /// at any byte into "m.gguf.part1of2" or "m.gguf-split-a".
  static func advice(_ path: String) -> String? {
    let name = Path.name(path).lowercased()
    guard name.contains(".gguf.part") || name.contains(".gguf-split-") else { return nil }
    return "it seems to be a piece of a file; join all pieces with cat and give the whole"
  }

  /// Fails with `.data` if the file holds something else than a model's weights.
  func requireModel() throws(Failure) {
    let found: String? =
      switch (string("general.type"), string("general.architecture")) {
      case ("adapter", _):
        "an adapter (LoRA) for a model, not a whole one; merge it into its model, for example with"
          + " llama.cpp's llama-export-lora, or give the model's own GGUF file"
      case (_, "controlvector"):
        "a control vector for a model, not a model; give the model's own GGUF file"
      case ("imatrix", _):
        "an importance matrix, not a model: it only helps to quantise a model; give the model's own GGUF file"
      case ("mmproj", _), (_, "clip"):
        "a model's encoder of images or sound (mmproj); give the language model's GGUF file"
      default: nil
      }
    if let found { throw .data("\(path) is \(found).") }
  }

  // MARK: Metadata and tensors

  /// The text under the metadata key `key`; nil if there is no such text.
  func string(_ key: String) -> String? {
    // Safe: ggml only reads the context, at an index it has just returned; the string is copied.
    let index = unsafe gguf_find_key(context, key)
    guard index >= 0, unsafe gguf_get_kv_type(context, index) == GGUF_TYPE_STRING else {
      return nil
    }
    return unsafe Self.text(gguf_get_val_str(context, index))
  }

  /// The whole number under the metadata key `key`, which llama.cpp wants to have `type`; nil if there is no
  /// such key. Fails with `.data` if it has another type.
  func number(_ key: String, _ type: gguf_type) throws(Failure) -> Int? {
    // Safe: ggml only reads the context, at an index it has just returned and of the type it has stated.
    let index = unsafe gguf_find_key(context, key)
    guard index >= 0 else { return nil }
    switch unsafe gguf_get_kv_type(context, index) {
    case GGUF_TYPE_UINT16 where type == GGUF_TYPE_UINT16:
      return unsafe Int(gguf_get_val_u16(context, index))
    case GGUF_TYPE_INT32 where type == GGUF_TYPE_INT32:
      return unsafe Int(gguf_get_val_i32(context, index))
    default:
      throw .data("\(path): its \(key) is not a number as GGUF wants it; the file is damaged.")
    }
  }

  /// The names of its tensors.
  var tensorNames: [String] {
    // Safe: ggml only reads the context, and `index` counts its tensors.
    (0..<(unsafe gguf_get_n_tensors(context))).map { index in
      unsafe Self.text(gguf_get_tensor_name(context, index)) ?? ""
    }
  }

  /// A copy of a C string of ggml's; nil for a null pointer.
  static func text(_ pointer: UnsafePointer<CChar>?) -> String? {
    // Safe: ggml's strings end with a zero byte and live as long as the context; this one is copied.
    guard let pointer = unsafe pointer else { return nil }
    return unsafe String(cString: pointer)
  }
}
