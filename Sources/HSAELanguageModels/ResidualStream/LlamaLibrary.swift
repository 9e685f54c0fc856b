// llama.cpp's version, and whether this processor can run it.

import CLlama
import HSAESupport
import HSAETensors

/// llama.cpp as built into this program.
public enum LlamaLibrary {
  /// Its version and instruction set, such as `0.0.1 (AVX2)`.
  public static var description: String { "\(version) (\(instructions))" }

  /// Its version, also used in the names of files it made.
  static var version: String {
    // Safe: a constant C string, which is copied.
    guard let text = unsafe llama_version() else { return "unknown" }
    return unsafe String(cString: text)
  }

  /// The instruction set it was compiled for; ggml does not ask the processor.
  private static var instructions: String {
    if ggml_cpu_has_amx_int8() != 0 { return "AMX" }
    if ggml_cpu_has_avx512_bf16() != 0 { return "AVX-512 with bfloat16" }
    if ggml_cpu_has_avx512() != 0 { return "AVX-512" }
    if ggml_cpu_has_avx2() != 0 { return "AVX2" }
    return "no vector instructions above the architecture's"
  }

  /// Fails with `.unavailable` if this processor lacks AVX2 and llama.cpp was compiled for it, as in the
  /// Debian package: it would stop at the first such instruction.
  static func requireProcessor() throws(Failure) {
    guard ggml_cpu_has_avx2() != 0, !availableKernels().contains("avx2") else { return }
    throw Failure(
      .unavailable,
      "This build of hsae needs a processor with AVX2 for language models, and this one has none; "
        + "build hsae from its source on this machine.")
  }
}
