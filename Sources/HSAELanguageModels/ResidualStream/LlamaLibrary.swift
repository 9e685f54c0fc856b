// The library that computes language models: its version, and whether this processor can run it.

import CLlama
import HSAESupport
import HSAETensors

/// llama.cpp, as it was built into this program.
public enum LlamaLibrary {
  /// Its version and what it was compiled for, such as `0.0.1 (AVX2)`.
  public static var description: String { "\(version) (\(instructions))" }

  /// Its version, also for the names of files it made.
  static var version: String {
    guard let text = unsafe llama_version() else { return "unknown" }
    return unsafe String(cString: text)
  }

  /// What it was compiled for: it asks the compiler, not the processor.
  private static var instructions: String {
    if ggml_cpu_has_amx_int8() != 0 { return "AMX" }
    if ggml_cpu_has_avx512_bf16() != 0 { return "AVX-512 with bfloat16" }
    if ggml_cpu_has_avx512() != 0 { return "AVX-512" }
    if ggml_cpu_has_avx2() != 0 { return "AVX2" }
    return "no vector instructions above the architecture's"
  }

  /// Fails with `.unavailable` where this processor would stop at llama.cpp's first instruction: the
  /// Debian package's needs AVX2.
  static func requireProcessor() throws(Failure) {
    guard ggml_cpu_has_avx2() != 0, !availableKernels().contains("avx2") else { return }
    throw Failure(
      .unavailable,
      "Language models need a processor with AVX2 in this build of hsae, and this one has none; build "
        + "hsae from its source on this machine.")
  }
}
