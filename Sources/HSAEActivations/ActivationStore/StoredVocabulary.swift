// What a run keeps of its store, so that words can be looked up even when the store is gone: attributes,
// vocabulary, mean and whitening.

public import HSAESupport

/// A model's vocabulary and the transform of its unembedding rows.
public struct StoredVocabulary: Sendable {
  /// The store's attributes.
  public let attributes: StoreAttributes
  /// The texts of all tokens, by token id.
  public let texts: [String]
  /// The mean that was subtracted [d]; nil if none was.
  public let mean: [Float]?
  /// The whitening [d × d, row-major]; nil if rows were only centred.
  public let whitening: [Float]?

  /// The vocabulary and transform of `store`; nil if it has no vocabulary.
  public init?(_ store: ActivationStore) {
    guard !store.vocabulary.isEmpty else { return nil }
    attributes = store.attributes
    texts = store.vocabulary
    mean = store.mean
    whitening = store.whitening
  }

  /// The attributes in the folder that `write` wrote.
  public static func attributes(at path: String) throws(Failure) -> StoreAttributes {
    try JSONFile.read(StoreAttributes.self, from: Path.join(path, "attributes.json"))
  }

  /// Reads the folder that `write` wrote.
  public init(path: String) throws(Failure) {
    attributes = try Self.attributes(at: path)
    texts = try Vocabulary.read(from: Path.join(path, "vocabulary"))
    let file = try SafetensorsFile(path: Path.join(path, "transform.safetensors"))
    let width = attributes.width
    func tensor(_ name: String, _ shape: [Int]) throws(Failure) -> [Float]? {
      guard file[name] != nil else { return nil }
      _ = try file.tensor(name, shape: shape)
      return try file.floats(name)
    }
    mean = try tensor("mean", [width])
    whitening = try tensor("whitening", [width, width])
  }

  /// Writes the folder `path`, in full or not at all.
  public func write(to path: String) throws(Failure) {
    let folder = try DurableDirectory(path: path, replacing: true)
    try JSONFile.write(attributes, to: folder.file("attributes.json"))
    try Vocabulary.write(texts, to: folder.file("vocabulary"))
    let width = attributes.width
    var tensors: [SafetensorsWriter.Tensor] = []
    if mean != nil { tensors.append(.init("mean", shape: [width])) }
    if whitening != nil { tensors.append(.init("whitening", shape: [width, width])) }
    var writer = try SafetensorsWriter(
      path: folder.file("transform.safetensors"), tensors: tensors)
    if let mean { try writer.append("mean", mean) }
    if let whitening { try writer.append("whitening", whitening) }
    _ = try writer.finish()
    try folder.commit()
  }
}
