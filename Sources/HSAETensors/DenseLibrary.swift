// Describes the library of dense products, for hsae --version. `TileProduct` uses it.

import CDNNL

/// The library that computes dense products, and the instructions it found in this processor.
public enum DenseLibrary {
  /// Its version and the instructions it uses, such as `oneDNN 2.6.0 (AVX-512 with bfloat16)`.
  public static var description: String {
    let name =
      // Safe: oneDNN returns a constant that lives as long as the process.
      if let version = unsafe dnnl_version() {
        unsafe "oneDNN \(version.pointee.major).\(version.pointee.minor).\(version.pointee.patch)"
      } else {
        "oneDNN"
      }
    return "\(name) (\(instructions(dnnl_get_effective_cpu_isa())))"
  }

  private static func instructions(_ isa: dnnl_cpu_isa_t) -> String {
    switch isa {
    case dnnl_cpu_isa_sse41: "SSE4.1"
    case dnnl_cpu_isa_avx: "AVX"
    case dnnl_cpu_isa_avx2: "AVX2"
    case dnnl_cpu_isa_avx2_vnni: "AVX2 with VNNI"
    case dnnl_cpu_isa_avx512_core: "AVX-512"
    case dnnl_cpu_isa_avx512_core_vnni: "AVX-512 with VNNI"
    case dnnl_cpu_isa_avx512_core_bf16: "AVX-512 with bfloat16"
    case dnnl_cpu_isa_avx512_core_amx: "AMX"
    default: "instruction set \(isa.rawValue)"
    }
  }
}
