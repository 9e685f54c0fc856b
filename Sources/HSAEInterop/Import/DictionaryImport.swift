// Dictionaries of other tools as runs: which format it is, reading it, the form of ours, the run folder.
// docs/decisions/0011 says what is carried, what is changed and what is refused.

import Foundation
import HSAEActivations
public import HSAEModels
public import HSAESupport
import HSAETensors
public import HSAERuns

/// A dictionary of another tool, read and in our form.
public struct DictionaryImport: Sendable {
  /// The dictionary.
  public let dictionary: SparseAutoencoder
  /// What is done to rows before it sees them.
  public let normalize: Normalisation
  /// Where it came from.
  public let origin: Origin
  /// Our codes over those of the source, latent by latent; empty if `origin.codeScale` is all there is.
  public let codeScale: [Float]

  /// Reads the dictionary at `path`, of the format it has or is said to have.
  ///
  /// Fails with `.missing` if there is nothing, and with `.data` and a sentence if it is damaged, or does what
  /// our dictionaries cannot.
  public init(
    path: String, format: ImportFormat? = nil, options: ImportOptions = ImportOptions()
  ) throws(Failure) {
    let place = try ImportPlace(Path.trimmed(path), format)
    let canonical = try CanonicalDictionary(place.read(options))
    var origin = canonical.origin
    if !origin.isUnbounded, options.maxActive != nil {
      throw .usage(
        "--max-active is for dictionaries without a k, and this one has one; leave it out.")
    }
    normalize = canonical.normalize
    origin.codeScale = canonical.codeScale
    origin.path = URL(fileURLWithPath: place.path).standardizedFileURL.path
    for file in place.files { origin.hashes[Path.name(file)] = try SHA256.hash(file: file) }
    codeScale = canonical.norms.map { $0 * Float(canonical.codeScale) }
    self.origin = origin
    dictionary = canonical.finish()
  }

  /// Writes it as a run into the folder `path`, which must not exist; nothing is there until all of it is.
  public func write(to path: String) throws(Failure) {
    try RunDirectory.write(
      imported: dictionary, normalize: normalize, origin: origin, codeScale: codeScale, to: path)
  }
}

extension CanonicalDictionary {
  /// The dictionary, ready to use.
  consuming func finish() -> SparseAutoencoder {
    let (activation, selection) = (activation, thresholds.map(Selection.thresholds) ?? .topK)
    return SparseAutoencoder(parameters: parameters, activation: activation, selection: selection)
  }
}

/// What there is at a path: its format and its files.
struct ImportPlace {
  let path: String
  let format: ImportFormat
  /// The files that are read.
  let files: [String]

  /// What is at `path`; its format is `format`, if that is given, and found out by files and their arrays if not.
  init(_ path: String, _ format: ImportFormat?) throws(Failure) {
    guard Path.exists(path) else { throw .missing("\(path): there is nothing here.") }
    func has(_ name: String) -> Bool { Path.exists(Path.join(path, name)) }
    func joined(_ names: [String]) -> [String] { names.map { Path.join(path, $0) } }
    let saelens = [SAELensImport.configurationFile, SAELensImport.weightsFile]
    let sparsify = [SAELensImport.configurationFile, SparsifyImport.weightsFile]
    let isFolder = Path.isDirectory(path)
    switch format {
    case .saelens?: (self.path, self.format, files) = (path, .saelens, joined(saelens))
    case .sparsify?: (self.path, self.format, files) = (path, .sparsify, joined(sparsify))
    case nil where isFolder && saelens.allSatisfy(has):
      (self.path, self.format, files) = (path, .saelens, joined(saelens))
    case nil where isFolder && sparsify.allSatisfy(has):
      (self.path, self.format, files) = (path, .sparsify, joined(sparsify))
    default:
      let file = isFolder ? Path.join(path, "params.npz") : path
      guard Path.exists(file) else { throw Self.unknown(path, isPickle: has("ae.pt")) }
      (self.path, files) = (file, [file])
      if let format {
        self.format = format
      } else {
        self.format = try Self.format(ofArrays: Self.arrays(file))
      }
    }
    if let missing = files.first(where: { !Path.exists($0) }) {
      throw .missing("\(missing): there is no such file, which a folder of this format has.")
    }
  }

  private static func format(ofArrays arrays: some WeightArrays) throws(Failure) -> ImportFormat {
    if AuthorsImport.matches(arrays) { return .authors }
    if GemmaScopeImport.matches(arrays) { return .gemmaScope }
    throw unknown(arrays.path, isPickle: false)
  }

  private static func unknown(_ path: String, isPickle: Bool) -> Failure {
    if isPickle {
      return .data(
        "\(path): dictionary_learning keeps weights in a Python pickle, which is not read; convert it to"
          + " SAELens's layout first.")
    }
    return .data(
      "\(path): it is no dictionary that is known here: a folder of SAELens (cfg.json,"
        + " sae_weights.safetensors) or sparsify (cfg.json, sae.safetensors), a params.npz of Gemma Scope, or"
        + " the arrays of the H-SAE's authors (.npz, .safetensors).")
  }

  private static func arrays(_ path: String) throws(Failure) -> any WeightArrays {
    if NpzArchive.looksLikeArchive(path) { return try NpzArchive(path: path) }
    // A name alone says so too: what was cut short is then told as that.
    let looksRight = SafetensorsFile.looksLikeSafetensors(try MappedFile(path: path))
    guard looksRight || Path.name(path).lowercased().hasSuffix(".safetensors") else {
      throw unknown(path, isPickle: false)
    }
    return try SafetensorsFile(path: path)
  }

  /// The dictionary there in the terms of its format.
  func read(_ options: ImportOptions) throws(Failure) -> SourceDictionary {
    switch format {
    case .saelens: try SAELensImport(path, options).read()
    case .sparsify: try SparsifyImport(path, options).read()
    case .gemmaScope: try GemmaScopeImport(arrays: Self.arrays(path), options: options).read()
    case .authors: try AuthorsImport(arrays: Self.arrays(path), options: options).read()
    }
  }
}
