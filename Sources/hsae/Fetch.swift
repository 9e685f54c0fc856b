// hsae fetch: fetches a model or the plugin of a device by name, or checks a file, and prints only its path to standard
// output.

import ArgumentParser
import HSAELanguageModels
import HSAESupport

struct Fetch: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract:
      "Fetch a language model or a device's plugin by name, verify it, and print its file's path.",
    discussion: """
      MODEL is a name of the catalogue (\(ModelCatalogue.models.map(\.name).joined(separator: ", "))) \
      or the path of a GGUF file, which is checked. Models are kept in the folder HSAE_CACHE (default: \
      hsae in the user's cache folder). An interrupted download is continued.

      hsae fetch plugin NAME fetches the plugin with which hsae train --backend pjrt computes \
      (\(PluginCatalogue.plugins.map { "\($0.name): \(size($0))" }.joined(separator: ", "))).
      """)

  @Argument(
    help: "A model's name, the path of a GGUF file, or the word plugin.", completion: .model)
  var model: String

  @Argument(
    help: "After the word plugin: the plugin's name.",
    completion: .list(PluginCatalogue.plugins.map(\.name)))
  var plugin: String?

  func validate() throws {
    let names = PluginCatalogue.plugins.map(\.name).joined(separator: ", ")
    switch (model == "plugin", plugin) {
    case (true, nil): throw ValidationError("Name the plugin to fetch: \(names).")
    case (true, let name?) where PluginCatalogue.plugin(named: name) == nil:
      throw ValidationError("There is no plugin \(name); known names: \(names).")
    case (false, let name?): throw ValidationError("Unexpected argument '\(name)'.")
    default: break
    }
  }

  func run() throws {
    let fetcher = ModelFetcher(say: { report("hsae fetch: \($0)") })
    if let plugin = plugin.flatMap(PluginCatalogue.plugin) {
      if !Path.exists(ModelCache().path(of: plugin)) {
        report("hsae fetch: plugin \(plugin.name): \(Self.size(plugin))")
      }
      return try output(fetcher.fetch(plugin) + "\n")
    }
    try output(fetcher.resolve(model) + "\n")
  }

  /// "63 MB to download, 202 MB unpacked".
  private static func size(_ plugin: CatalogueFile) -> String {
    func megabytes(_ bytes: Int) -> String { "\((bytes + 500_000) / 1_000_000) MB" }
    let download = plugin.wheels.reduce(0) { $0 + $1.byteCount }
    return "\(megabytes(download)) to download, \(megabytes(plugin.byteCount)) unpacked"
  }
}
