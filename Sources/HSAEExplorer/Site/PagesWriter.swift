// Writes the explorer's pages as files that need no server: the same pages, made by the same functions, with relative
// links. There is a file for each live expert; its sublatents are on the same page.

#if Explorer
import Foundation
import HSAEHTML
import HSAEModels
public import HSAESupport

/// Writes the pages of a database.
public struct PagesWriter {
  /// A summary of the written files.
  public struct Summary: Codable, Hashable, Sendable {
    /// The folder.
    public var path: String
    /// The runs in it.
    public var runs: [String]
    /// The number of files.
    public var files: Int
    /// Their size in bytes.
    public var bytes: Int
  }

  /// A file that marks a folder of pages, which may be replaced.
  static let marker = "hsae-pages.json"

  private let database: FeatureDatabase
  private let explorer: Explorer
  private let runs: [RunRecord]
  private let files: PageFiles

  /// A writer of the complete runs of `database`. Fails with `.data` if there is none.
  public init(database: FeatureDatabase) throws(Failure) {
    self.database = database
    explorer = Explorer(database: database, isStatic: true)
    runs = try database.runs().filter(\.isComplete)
    files = PageFiles(runs: runs)
    guard !runs.isEmpty else {
      throw .data("\(database.path): there is no complete run in it; run hsae explain.")
    }
  }

  /// Fails with `.cannotCreate` if pages cannot be written to `path`: it is something else, or its parent folder is
  /// missing.
  public static func check(_ path: String) throws(Failure) {
    try Path.requireParent(of: path)
    guard Path.exists(path) else { return }
    guard Path.isDirectory(path),
      try Path.list(path).isEmpty || Path.exists(Path.join(path, marker))
    else {
      throw Failure(
        .cannotCreate,
        "\(path): this is not a folder of pages, so it is not replaced; choose another name.")
    }
  }

  /// Writes the folder `path`, in full or not at all, and replaces earlier pages there. `progress` is called with the
  /// number of experts done and returns whether to go on; the result is nil if it returned false.
  public func write(
    to path: String, progress: (_ done: Int, _ total: Int) -> Bool = { _, _ in true }
  ) throws(Failure) -> Summary? {
    try Self.check(path)
    let folder = try DurableDirectory(path: path, replacing: true)
    var output = Output(folder: folder.partialPath)
    try output.write(explorerStyle.utf8, to: PageFiles.style)
    try output.write(pagesScript.utf8, to: PageFiles.script)
    if runs.count > 1 {
      try write(
        explorer.startPage(WebRequest(method: "GET", target: "/"), runs), to: "index.html", &output)
    }
    let total = runs.reduce(0) { $0 + $1.shape.experts }
    var done = 0
    for run in runs {
      try write(explorer.overview(of: run), to: files.run(run), &output)
      try writeLists(of: run, &output)
      var index = WordIndex()
      for start in stride(from: 0, to: run.shape.experts, by: WordIndex.block) {
        guard progress(done, total) else { return nil }
        let block = start..<min(run.shape.experts, start + WordIndex.block)
        for expert in block { try write(expert, of: run, &index, &output) }
        let number = start / WordIndex.block
        try output.write(
          index.takeNames(block: number).utf8, to: files.folder(run) + "/search/names-\(number).js")
        done += block.count
      }
      try writeIndex(index, of: run, &output)
      for other in runs where other.id != run.id {
        let request = WebRequest(
          path: ["compare"], query: ["run": [run.name], "other": [other.name]])
        try write(
          explorer.comparePage(request), to: files.comparison(run, other), &output)
      }
    }
    try output.write(JSONFile.encode(runs.map(\.name)).utf8, to: Self.marker)
    let summary = Summary(
      path: path, runs: runs.map(\.name), files: output.files, bytes: output.bytes)
    guard progress(total, total) else { return nil }
    try folder.commit()
    return summary
  }

  /// Writes files below the temporary folder.
  private struct Output {
    let folder: String
    var files = 0
    var bytes = 0
    private var folders: Set<String> = []

    init(folder: String) { self.folder = folder }

    mutating func write(_ content: some Collection<UInt8>, to file: String) throws(Failure) {
      let path = Path.join(folder, file)
      if folders.insert(Path.parent(path)).inserted {
        try Path.createDirectories(Path.parent(path))
      }
      // `commit` syncs all files at the end.
      do {
        try Data(content).write(to: URL(fileURLWithPath: path))
      } catch {
        throw Failure(
          .inputOutput, "\(file): this page cannot be written; is there space left on the disk?")
      }
      files += 1
      bytes += content.count
    }
  }

  private func write(_ page: Markup, to file: String, _ output: inout Output) throws(Failure) {
    try output.write(files.relative(page.html, from: file), to: file)
  }

  private func writeLists(of run: RunRecord, _ output: inout Output) throws(Failure) {
    let live = try database.statistics(of: run).live
    for offset in stride(from: 0, to: max(1, live), by: Explorer.staticPage) {
      let request = WebRequest(path: ["runs"], query: ["offset": ["\(offset)"]])
      try write(
        explorer.list(request, of: run), to: files.list(run, offset: offset), &output)
    }
  }

  /// Writes the page of a live expert, and adds it and its sublatents to the index.
  private func write(
    _ expert: Int, of run: RunRecord, _ index: inout WordIndex, _ output: inout Output
  ) throws(Failure) {
    let latent = LatentNumber(expert: expert)
    guard let detail = try database.detail(of: latent, in: run), detail.latent.count > 0 else {
      return
    }
    try write(
      explorer.latentPage(detail, of: run, isWhole: true), to: files.latent(expert, run), &output)
    index.add(detail.latent, promoted: detail.promoted)
    let live = detail.sublatents.filter { $0.count > 0 }
    for (sublatent, promoted) in zip(live, try database.promoted(by: live, in: run)) {
      index.add(sublatent, promoted: promoted)
    }
  }

  private func writeIndex(
    _ index: WordIndex, of run: RunRecord, _ output: inout Output
  ) throws(Failure) {
    let folder = files.folder(run) + "/search/"
    let all = index.files()
    for (number, file) in all.enumerated() {
      try output.write(file.script.utf8, to: folder + "words-\(number).js")
    }
    try output.write(
      WordIndex.contents(firstWords: all.map(\.first)).utf8, to: folder + "contents.js")
  }
}
#endif
