// What hsae --version prints: the version, the commit, how it was built and which libraries it uses. `make`
// passes the commit; without it the text says "commit unknown".

import CHSAEBuild
import HSAELanguageModels
import HSAETensors

enum BuildInformation {
  /// The version, after semver.org. The Debian package takes it from here.
  static let version = "0.1.0"

  /// The commit in words: `fe94d92`, `fe94d92, modified` or `commit unknown`.
  static var commit: String {
    let text = unsafe String(cString: hsae_build_commit())
    let parts = text.split(separator: "-", maxSplits: 1)
    return parts.isEmpty ? "commit unknown" : parts.joined(separator: ", ")
  }

  /// Several lines; the first is `hsae`, the version, and the commit in brackets.
  static var text: String {
    let compiler = unsafe String(cString: hsae_build_compiler())
    return """
      hsae \(version) (\(commit))
      build:     \(configuration); \(traits)
      compiler:  \(swift), \(compiler)
      kernels:   \(kernelsName)
      products:  \(DenseLibrary.description)
      llama.cpp: \(LlamaLibrary.description)
      """
  }

  private static var configuration: String {
    #if DEBUG
    "debug"
    #else
    "release"
    #endif
  }

  private static var traits: String {
    var traits: [String] = []
    #if Explorer
    traits.append("Explorer")
    #endif
    #if MPI
    traits.append("MPI")
    #endif
    return traits.isEmpty ? "no traits" : "with " + traits.joined(separator: " and ")
  }

  // `#if compiler` can only test for a minimum version.
  private static var swift: String {
    #if compiler(>=6.5)
    "Swift 6.5 or newer"
    #elseif compiler(>=6.4)
    "Swift 6.4"
    #else
    "Swift 6.3"
    #endif
  }
}
