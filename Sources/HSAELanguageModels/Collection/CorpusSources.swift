// What a store remembers of the corpus it was made from: names and sizes of what was given, so that a
// collection that is gone on with another corpus is noticed.

public import HSAEActivations
public import HSAESupport

extension CollectionAttributes {
  /// The corpus that `paths` (files and folders) stand for.
  public static func sources(at paths: [String]) throws(Failure) -> [Source] {
    try paths.map { (path) throws(Failure) in
      let files = try CorpusFormat.files(at: [path])
      return Source(
        name: Path.name(path), bytes: files.reduce(0) { $0 + (Path.fileSize($1) ?? 0) })
    }
  }
}
