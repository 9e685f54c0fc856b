// hsae corpus: writes a corpus as JSON Lines, from the catalogue and from files, with the paper's selection.
// `CorpusBuilder` does the work.

import ArgumentParser
import HSAELanguageModels
import HSAESupport

struct Corpus: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Write a corpus as JSON Lines, from the catalogue and from files.",
    discussion: """
      SOURCE is a file, a folder, or a name of the catalogue, which is fetched and verified:
      \(CorpusCatalogue.corpora.map { "  \($0.name): \($0.summary)" }.joined(separator: "\n"))

      \(CorpusFormatOptions.help)

      If several documents have the same language and title, hsae keeps the longest. --longest, --documents, \
      --others and --mix select documents as the paper does (Appendix A.1). In the main language, hsae draws \
      --documents at random from the --longest longest ones; in other languages it draws --others at random, \
      mixed by the weights of --mix. Without these options it takes all documents. The order is random, by --seed.
      """)

  @Argument(help: "Names of the catalogue, files or folders.", completion: .corpus)
  var source: [String]

  @Option(help: "The file to write.", completion: .file())
  var out: String

  @OptionGroup(title: "Reading files")
  var reading: CorpusFormatOptions

  @Option(help: "The main language, also of documents that name none.")
  var language = "en"

  @Option(help: "Select among only this many of the longest documents of the main language.")
  var longest: String?

  @Option(help: "Documents of the main language to take (default: all candidates).")
  var documents: String?

  @Option(help: "Documents of other languages to take (default: all, of the languages of --mix).")
  var others: String?

  @Option(
    help: "Weights of other languages, such as fr=3,es=2,de=1 (default: their document counts).")
  var mix: String?

  @Option(help: "Seed of the selection and the order.")
  var seed: UInt64 = 0

  @Flag(help: "Print a summary as JSON.")
  var json = false

  func run() throws {
    var selection = CorpusSelection()
    selection.mainLanguage = language
    selection.longest = try longest.map(SizeArgument.count)
    selection.mainCount = try documents.map(SizeArgument.count)
    selection.otherCount = try others.map(SizeArgument.count)
    selection.mix = try mix.map(weights)
    try Path.requireParent(of: out)
    let builder = try CorpusBuilder(
      sources: source, format: reading.format,
      fetcher: ModelFetcher(say: { report("hsae corpus: \($0)") }))
    let result = try builder.write(to: out, selection: selection, seed: seed)
    report(result.reading, command: "corpus")
    if json {
      try output(JSONFile.encode(result))
    } else {
      let languages = result.languages.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map {
        "\($0.key.isEmpty ? "no language" : $0.key) \(grouped($0.value))"
      }
      try output(
        "\(out): \(grouped(result.written)) of \(counted(result.found, "document")),"
          + " \(grouped(result.bytes)) bytes of text; \(languages.joined(separator: ", "));"
          + " \(grouped(result.duplicates)) duplicates left out\n")
    }
  }

  /// Parses weights such as "fr=3,es=2".
  private func weights(_ text: String) throws(Failure) -> [String: Double] {
    var weights: [String: Double] = [:]
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let sides = part.split(separator: "=", omittingEmptySubsequences: false)
      guard sides.count == 2, !sides[0].isEmpty, sides[0] != language[...],
        let weight = Double(sides[1]), weight.isFinite, weight > 0,
        weights.updateValue(weight, forKey: String(sides[0])) == nil
      else {
        throw .usage(
          "--mix: \"\(part)\" is not another language with a positive weight; write it like fr=3,es=2."
        )
      }
    }
    return weights
  }
}
