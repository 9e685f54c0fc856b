// hsae fetch: fetches a model by name, or checks a file, and prints only its path to standard output.

import ArgumentParser
import HSAELanguageModels
import HSAESupport

struct Fetch: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Fetch a language model by name, verify it, and print its file's path.",
    discussion: """
      MODEL is a name of the catalogue (\(ModelCatalogue.models.map(\.name).joined(separator: ", "))) \
      or the path of a GGUF file, which is checked. Models are kept in the folder HSAE_CACHE (default: \
      hsae in the user's cache folder). An interrupted download is continued.
      """)

  @Argument(help: "A model's name, or the path of a GGUF file.", completion: .model)
  var model: String

  func run() throws {
    let path = try ModelFetcher(say: { report("hsae fetch: \($0)") }).resolve(model)
    try output(path + "\n")
  }
}
