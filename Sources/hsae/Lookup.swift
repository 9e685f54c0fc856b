// hsae lookup: prints the latents that are active for a word, for runs on a vocabulary. `HSAEEvaluation` does
// the work.

import ArgumentParser
import HSAEActivations
import HSAEEvaluation
import HSAERuns
import HSAESupport
import HSAETensors

struct LookUp: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lookup",
    abstract: "Show the experts and sublatents of a word.",
    discussion: """
      Prints for each word the experts active for it with their codes z and strongest words, and under \
      each the sublatent it chose with its code c and strongest words. A sublatent whose code is \
      below the threshold is marked "not active here". hsae looks a word up as a token with a \
      leading space, then without, then with other capitals.
      """)

  @Argument(
    help: ArgumentHelp(
      "A run directory, trained on a store with a vocabulary (hsae unembed).", valueName: "run"),
    completion: .directory)
  var folder: String

  @Argument(help: "The words.")
  var words: [String]

  @Option(help: "Words to list for each expert and sublatent.")
  var limit = 12

  @Flag(help: "List every token. By default forms of a word (case, space, plural) appear once.")
  var allForms = false

  @Option(
    help: "The store to use instead of the one the run was trained on.", completion: .directory)
  var store: String?

  @Option(
    help: "The model (a name or a GGUF file), to look up tokens that cleaning dropped.",
    completion: .model)
  var model: String?

  @OptionGroup var threading: ThreadsOption

  @Flag(help: "Print the look-ups as JSON.")
  var json = false

  func validate() throws {
    guard limit >= 1, limit <= 64 else {
      throw ValidationError("--limit must be between 1 and 64.")
    }
    // Usually an unset shell variable.
    guard !words.contains(where: \.isEmpty) else {
      throw ValidationError("One of the words is empty; give words to look up.")
    }
  }

  func run() throws {
    try requireVocabulary()
    let trained = try TrainedRun(
      path: folder, store: store, threads: threading.count, warn: { report("hsae: \($0)") })
    guard trained.hasWords else { throw notVocabulary(folder) }
    let raw = try model.map {
      try rawRowEncoder(
        model: $0, run: trained.directory, dictionary: trained.dictionary)
    }
    let results = trained.lookup(
      words, limit: limit, mergesForms: !allForms, encode: raw ?? { _ in nil })
    if json {
      try output(JSONFile.encode(results))
    } else {
      let width = terminalWidth()
      let takesModel = try trained.directory.vocabulary()?.mean != nil
      try output(
        results.map { $0.rendered(width: width, takesModel: takesModel) }.joined(separator: "\n"))
    }
    if results.allSatisfy({ $0.token == nil }) { throw ExitCode(Failure.Kind.data.rawValue) }
  }

  /// Fails unless the rows are those of a vocabulary, before anything large is read.
  private func requireVocabulary() throws(Failure) {
    let run = try RunDirectory(path: folder)
    if let store {
      guard let opened = try openStore(path: store), opened.attributes.kind == .unembedding,
        !opened.vocabulary.isEmpty
      else {
        throw .data(
          "\(store): this is not a store with a vocabulary, which lookup needs; name one that hsae unembed"
            + " wrote.")
      }
    } else if let own = try RunDirectory.storeAttributes(of: run.path), own.kind != .unembedding {
      throw notVocabulary(folder)
    }
  }

  private func notVocabulary(_ run: String) -> Failure {
    .data(
      "\(run): the run was not trained on a vocabulary, which lookup needs; look words up in a run on a store"
        + " that hsae unembed wrote.")
  }
}

/// Columns of the terminal; if standard output is not one, the variable COLUMNS or else `otherwise`.
func terminalWidth(otherwise: Int = 100) -> Int {
  if let columns = StandardStream.output.columns { return columns }
  let named = environmentVariable("COLUMNS").flatMap { Int($0) } ?? 0
  return named > 0 ? named : otherwise
}
