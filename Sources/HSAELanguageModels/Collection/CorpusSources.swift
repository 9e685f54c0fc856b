// Records names and sizes of the corpus in a store, so that a later call with another corpus is noticed.

public import HSAEActivations
public import HSAESupport

extension CollectionAttributes {
  /// Names and total sizes in bytes of `paths` (files and folders).
  public static func sources(at paths: [String]) throws(Failure) -> [Source] {
    try paths.map { (path) throws(Failure) in
      let files = try CorpusFormat.files(at: [path])
      return Source(
        name: Path.name(path), bytes: files.reduce(0) { $0 + (Path.fileSize($1) ?? 0) })
    }
  }
}
