// Imports dictionaries of other tools: detects the format, reads it, converts it to hsae's form, and writes a
// run. docs/decisions/0011 lists what is kept, changed and rejected.
//
// To add a format: a reader in this folder that returns a `SourceDictionary`, a case of `ImportFormat`, and its
// detection, files and reading in `ImportPlace` below.

import Foundation
import HSAEActivations
public import HSAEModels
public import HSAERuns
public import HSAESupport
import HSAETensors

/// A dictionary of another tool, converted to hsae's form.
public struct DictionaryImport: Sendable {
  /// The dictionary.
  public let dictionary: SparseAutoencoder
  /// How rows are scaled for it.
  public let normalize: Normalisation
  /// Where it came from.
  public let origin: Origin
  /// For each latent, our codes divided by the source's; empty if that is `origin.codeScale` for all.
  public let codeScale: [Float]

  /// Reads the dictionary at `path`; its format is detected unless `format` is given.
  ///
  /// Fails with `.missing` if a file is not there, with `.data` if it is damaged or hsae's form cannot
  /// express it, and with `.usage` if `options` do not fit it.
  public init(
    path: String, format: ImportFormat? = nil, options: ImportOptions = ImportOptions()
  ) throws(Failure) {
    let place = try ImportPlace(Path.trimmed(path), format)
    let canonical = try CanonicalDictionary(place.read(options))
    var origin = canonical.origin
    if !origin.isUnbounded, options.maxActive != nil {
      throw .usage(
        "--max-active is for dictionaries without a k, but this one has a k; leave the option out.")
    }
    normalize = canonical.normalize
    origin.codeScale = canonical.codeScale
    origin.path = URL(fileURLWithPath: place.path).standardizedFileURL.path
    for file in place.files {
      for part in try SafetensorsIndex.files(of: file) {
        origin.hashes[Path.name(part)] = try SHA256.hash(file: part)
      }
    }
    codeScale = canonical.norms.map { $0 * Float(canonical.codeScale) }
    self.origin = origin
    dictionary = canonical.finish()
  }

  /// Writes it as a run to the folder `path`, which must not exist. The folder appears only when it is
  /// complete.
  public func write(to path: String) throws(Failure) {
    try RunDirectory.write(
      imported: dictionary, normalize: normalize, origin: origin, codeScale: codeScale, to: path)
  }
}

extension CanonicalDictionary {
  consuming func finish() -> SparseAutoencoder {
    let (activation, selection) = (activation, thresholds.map(Selection.thresholds) ?? .topK)
    return SparseAutoencoder(parameters: parameters, activation: activation, selection: selection)
  }
}

/// A path to import: its format and files.
struct ImportPlace {
  let path: String
  let format: ImportFormat
  /// The files that are read.
  let files: [String]

  /// The import at `path`. Without `format`, the format is detected by file names and arrays.
  init(_ path: String, _ format: ImportFormat?) throws(Failure) {
    guard Path.exists(path) else { throw .missing("\(path): there is no such file or folder.") }
    // A configuration belongs to these files; given alone, they are read with it.
    let name = Path.name(path)
    let isPart =
      !Path.isDirectory(path)
      && Self.weightsWithConfiguration.contains { [$0, $0 + ".index.json"].contains(name) }
    let folder = isPart && format != .gemmaScope && format != .authors ? Path.parent(path) : path
    // Weights may be in several files, which an index joins.
    func place(_ name: String) -> String { SafetensorsIndex.place(of: Path.join(folder, name)) }
    func has(_ name: String) -> Bool { Path.exists(place(name)) }
    let isFolder = Path.isDirectory(folder)
    func joined(_ names: [String]) -> [String] { names.map(place) }
    let saelens = [SAELensImport.configurationFile, SAELensImport.weightsFile]
    let sparsify = [SAELensImport.configurationFile, SparsifyImport.weightsFile]
    switch format {
    case .saelens?: (self.path, self.format, files) = (folder, .saelens, joined(saelens))
    case .sparsify?: (self.path, self.format, files) = (folder, .sparsify, joined(sparsify))
    case nil where isFolder && (saelens.allSatisfy(has) || isPart && has(saelens[1])):
      (self.path, self.format, files) = (folder, .saelens, joined(saelens))
    case nil where isFolder && (sparsify.allSatisfy(has) || isPart && has(sparsify[1])):
      (self.path, self.format, files) = (folder, .sparsify, joined(sparsify))
    default:
      let inside = GemmaScopeImport.weightsFiles.first(where: has).map { Path.join(folder, $0) }
      guard let file = isFolder ? inside : path else { throw Self.unknown(path) }
      if let format {
        self.format = format
      } else {
        self.format = try Self.format(ofArrays: Self.arrays(file))
        let other = Path.join(Path.parent(file), SAELensImport.configurationFile)
        if self.format == .gemmaScope, Path.exists(other) {
          throw .data(
            "\(file): its arrays are those of Gemma Scope, but \(SAELensImport.configurationFile) beside it is of"
              + " another tool. Name weights of SAELens \(SAELensImport.weightsFile), or give --format gemma-scope."
          )
        }
      }
      let configuration =
        self.format == .gemmaScope ? try GemmaScopeImport.configuration(beside: file) : nil
      self.path = file
      files = [file] + (configuration.map { [$0.path] } ?? [])
    }
    if let missing = files.first(where: { !Path.exists($0) }) {
      if isFolder, let several = Self.several(in: path) { throw several }
      throw .missing("\(missing): this file of the format is missing.")
    }
  }

  private static let weightsWithConfiguration = [
    SAELensImport.weightsFile, SparsifyImport.weightsFile,
  ]

  private static func format(ofArrays arrays: some WeightArrays) throws(Failure) -> ImportFormat {
    if AuthorsImport.matches(arrays) { return .authors }
    if GemmaScopeImport.matches(arrays) { return .gemmaScope }
    throw unknown(arrays.path)
  }

  /// A message about the dictionaries in the folders of `path`; nil if there is none.
  private static func several(in path: String) -> Failure? {
    let folders = DictionaryFolders(in: path)
    guard !folders.names.isEmpty else { return nil }
    return .data(
      "\(path): hsae imports one dictionary, and this folder has \(folders.text); give one of these folders."
    )
  }

  private static func unknown(_ path: String) -> Failure {
    if Path.isDirectory(path), let several = several(in: path) { return several }
    if path.contains(/-[0-9]{5}-of-[0-9]{5}\.safetensors$/) {
      return .data(
        "\(path): this is one of several files that hold the weights; give the folder that has all of them with the"
          + " configuration, or their index (\(SafetensorsIndex.suffix.dropFirst())).")
    }
    if Path.exists(Path.join(path, "ae.pt")) {
      return .data(
        "\(path): dictionary_learning stores weights as a Python pickle, which hsae does not read; convert it to"
          + " SAELens's layout first.")
    }
    return .data(
      "\(path): the format is not known. hsae imports folders of SAELens (cfg.json, sae_weights.safetensors) and"
        + " sparsify (cfg.json, sae.safetensors), files and folders of Gemma Scope (params.npz) and Gemma Scope 2"
        + " (config.json, params.safetensors), and the arrays of the H-SAE's authors (.npz, .safetensors)."
    )
  }

  private static func arrays(_ path: String) throws(Failure) -> any WeightArrays {
    if NpzArchive.looksLikeArchive(path) { return try NpzArchive(path: path) }
    // A file with the right suffix but wrong content gets the reader's message about the damage.
    let file = try MappedFile(path: path)
    let isIndex = try SafetensorsIndex(file) != nil
    guard
      isIndex || SafetensorsFile.looksLikeSafetensors(file)
        || Path.name(path).lowercased().hasSuffix(".safetensors")
    else {
      throw unknown(path)
    }
    return try SafetensorsFile(path: path)
  }

  /// Reads the dictionary, in the terms of its format.
  func read(_ options: ImportOptions) throws(Failure) -> SourceDictionary {
    switch format {
    case .saelens: try SAELensImport(path, options).read()
    case .sparsify: try SparsifyImport(path, options).read()
    case .gemmaScope:
      try GemmaScopeImport(
        arrays: Self.arrays(path), options: options,
        configuration: GemmaScopeImport.configuration(beside: path)
      ).read()
    case .authors: try AuthorsImport(arrays: Self.arrays(path), options: options).read()
    }
  }
}
