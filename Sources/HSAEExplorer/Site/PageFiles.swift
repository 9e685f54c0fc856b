// Maps the explorer's addresses to files of a folder of pages, and makes links relative.

#if Explorer
import HSAEModels

/// The files for the explorer's addresses.
struct PageFiles {
  let runs: [RunRecord]
  /// The names of the runs' folders, by name of the run.
  private let folders: [String: String]

  init(runs: [RunRecord]) {
    self.runs = runs
    var folders: [String: String] = [:]
    var taken: Set<String> = []
    for run in runs {
      let plain = run.name.unicodeScalars.map { scalar -> Character in
        scalar.isASCII && (scalar.properties.isAlphabetic || scalar.properties.numericType != nil)
          ? Character(scalar) : "-"
      }
      let stem = plain.isEmpty ? "run" : String(plain.prefix(60))
      var folder = stem
      var number = 1
      // Some file systems ignore case.
      while taken.contains(folder.lowercased()) {
        number += 1
        folder = "\(stem)-\(number)"
      }
      taken.insert(folder.lowercased())
      folders[run.name] = folder
    }
    self.folders = folders
  }

  static let style = "assets/explorer.css"
  static let script = "assets/pages.js"

  /// The page of a run; a single run's is the first page.
  func run(_ run: RunRecord) -> String {
    runs.count == 1 ? "index.html" : folder(run) + "/index.html"
  }
  func folder(_ run: RunRecord) -> String { "runs/" + (folders[run.name] ?? "") }
  /// The list of latents from `offset` on.
  func list(_ run: RunRecord, offset: Int = 0) -> String {
    let page = offset / Explorer.staticPage + 1
    return folder(run) + (page == 1 ? "/latents.html" : "/latents-\(page).html")
  }
  func latent(_ expert: Int, _ run: RunRecord) -> String { folder(run) + "/latents/\(expert).html" }
  func comparison(_ run: RunRecord, _ other: RunRecord) -> String {
    "compare/\(folders[run.name] ?? "")-with-\(folders[other.name] ?? "").html"
  }

  /// The file for an address of the explorer, with an anchor for a sublatent.
  func file(for address: String) -> String {
    let request = WebRequest(target: address)
    func named(_ name: String?) -> RunRecord? { runs.first { $0.name == name } }
    switch (request.path.first, request.path.count) {
    case ("assets", _): return request.path.joined(separator: "/")
    case ("compare", _):
      let first = named(request.value("run")) ?? runs[0]
      let other = named(request.value("other")) ?? runs.first { $0.id != first.id } ?? first
      return comparison(first, other)
    case ("runs", 2...):
      guard let run = named(request.path[1]) else { return "index.html" }
      if request.path.count == 2 { return self.run(run) }
      if request.path.count == 3 {
        return list(run, offset: request.value("offset").flatMap { Int($0) } ?? 0)
      }
      guard let latent = LatentNumber(request.path[3], in: run.shape) else { return list(run) }
      return self.latent(latent.expert, run) + (latent.sublatent.map { "#s\($0)" } ?? "")
    default: return "index.html"
    }
  }

  /// `html` with every address of the explorer (an attribute that begins with a slash) replaced by the relative path
  /// from the file `page`. Text from outside is never mistaken for an attribute, because its quotes are escaped.
  func relative(_ html: String, from page: String) -> [UInt8] {
    let up = String(repeating: "../", count: page.utf8.count { $0 == UInt8(ascii: "/") })
    let bytes = Array(html.utf8)
    let mark = Array("=\"/".utf8)
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var known: [ArraySlice<UInt8>: [UInt8]] = [:]
    var place = 0
    while let found = bytes[place...].firstIndex(of: mark[0]) {
      guard bytes[found...].starts(with: mark),
        let end = bytes[(found + 2)...].firstIndex(of: UInt8(ascii: "\""))
      else {
        result += bytes[place...found]
        place = found + 1
        continue
      }
      let address = bytes[(found + 2)..<end]
      let target =
        known[address] ?? Array((up + file(for: String(decoding: address, as: UTF8.self))).utf8)
      known[address] = target
      result += bytes[place..<(found + 2)]
      result += target
      place = end
    }
    return result + bytes[place...]
  }
}
#endif
