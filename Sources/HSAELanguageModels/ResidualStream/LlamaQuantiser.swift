// Converts a model's weights to another type by llama.cpp, and knows this processor's fastest type.

import CLlama
import HSAESupport

enum LlamaQuantiser {
  /// Writes the model `file`, all its parts, to `target` with all matrices as `type`.
  ///
  /// Fails with `.data` if llama.cpp cannot convert the model, and with `.inputOutput` if the disk is full.
  static func convert(
    _ file: borrowing GGUFFile, to target: String, type: WeightsType, threads: Int
  ) throws(Failure) {
    let source = file.path
    // Safe: plain C values, and C strings that live for the call.
    var parameters = unsafe llama_model_quantize_default_params()
    unsafe parameters.ftype = type.fileType
    unsafe parameters.allow_requantize = true
    unsafe parameters.pure = true
    unsafe parameters.nthread = Int32(threads)
    let (status, complaint) = LlamaLog.collecting {
      unsafe llama_model_quantize(source, target, &parameters)
    }
    guard status == 0 else {
      let reason = complaint.isEmpty ? "" : ": \(complaint)"
      // llama.cpp does not say why it could not write. What it wrote so far takes part of the space.
      let room = Path.freeSpace(Path.parent(target)).map { $0 + Double(Path.fileSize(target) ?? 0) }
      if let room, room < Double(file.byteCount) {
        throw Failure(
          .inputOutput,
          "\(source): llama.cpp cannot write this model as \(type.rawValue) to \(target)\(reason); free some"
            + " space there, set HSAE_CACHE to another disk, or use --weights keep.")
      }
      throw .data(
        "\(source): llama.cpp cannot convert this model to \(type.rawValue)\(reason); use --weights keep, or"
          + " another file of the model.")
    }
  }

  /// The type of weights that this processor computes fastest with, without hurting results: 8-bit integers
  /// where it has AMX or no instructions for narrow floats, else bfloat16.
  static var fastestType: WeightsType {
    if ggml_cpu_has_amx_int8() != 0 { return .q8 }
    return ggml_cpu_has_avx512_bf16() != 0 ? .bf16 : .q8
  }

  /// llama.cpp's name of the type of the weights in `file`.
  static func typeName(of file: borrowing GGUFFile) -> String {
    // Safe: a constant C string, which is copied.
    guard let type = file.fileType, let name = unsafe llama_ftype_name(type) else {
      return "as in the file"
    }
    return unsafe String(cString: name)
  }
}

extension WeightsType {
  var fileType: llama_ftype {
    switch self {
    case .q8: LLAMA_FTYPE_MOSTLY_Q8_0
    case .bf16: LLAMA_FTYPE_MOSTLY_BF16
    case .f32: LLAMA_FTYPE_ALL_F32
    }
  }
}
