// hsae lookup: a word's experts and sublatents, as the paper's Figure 6 shows them.

import ArgumentParser
import Glibc
import HSAEEvaluation
import HSAEModels
import HSAESupport
import HSAETensors

struct Lookup: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show which experts and sublatents explain a word.",
    discussion: """
      For each WORD: its active experts, strongest first, with their strongest words; in each the \
      chosen sublatent with its code and its strongest words, and whether it is relevant here (code \
      at or above the threshold). A word is a token of the model: "dog" finds ▁dog.
      """)

  @Argument(help: ArgumentHelp("A run trained on an unembedding store.", valueName: "run"))
  var runDirectory: String

  @Argument(help: "Words to look up.")
  var words: [String] = []

  @Option(help: "The store, if it is not where the run was trained on it.")
  var store: String?

  @Option(help: "The model, to look up tokens that the store dropped: a name or a GGUF file.")
  var model: String?

  @Option(help: "Words shown of each latent.")
  var limit = 10

  @Option(help: "Threads (default: all processors).")
  var threads = processorCount

  @Flag(help: "Print JSON.")
  var json = false

  func validate() throws {
    guard !words.isEmpty else { throw ValidationError("Missing expected argument '<words>'.") }
    guard limit >= 1 else { throw ValidationError("--limit must be at least 1.") }
    guard threads >= 1, threads <= 4096 else {
      throw ValidationError("--threads must be between 1 and 4096.")
    }
  }

  func run() throws {
    let evaluated = try EvaluatedRun(path: runDirectory, store: store, threads: threads)
    let lookup = HSAEEvaluation.Lookup(
      profiles: evaluated.profiles(), words: evaluated.rows.words, mergesForms: true)
    let raw = try model.map {
      try RawRowEncoder(model: $0, run: evaluated.run, dictionary: evaluated.dictionary)
    }
    let results = words.map { word in
      lookup.lookup(
        word, limit: limit, codes: { Array(evaluated.codes[$0]) },
        encode: { raw?.codes(token: $0) })
    }
    if json {
      print(try JSONFile.encode(results), terminator: "")
    } else {
      print(
        results.map { $0.rendered(width: terminalWidth()) }.joined(separator: "\n"), terminator: "")
    }
    if results.allSatisfy({ $0.token == nil }) { throw ExitCode(Failure.Kind.data.rawValue) }
  }
}

/// Columns of the terminal on standard output; 100 where there is none.
private func terminalWidth() -> Int {
  var size = winsize()
  guard unsafe ioctl(1, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 100 }
  return Int(size.ws_col)
}
