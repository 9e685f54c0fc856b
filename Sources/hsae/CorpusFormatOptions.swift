public import ArgumentParser
public import HSAELanguageModels
extension CorpusFormat.Unit: ExpressibleByArgument {}
struct CorpusFormatOptions: ParsableArguments {
  @Option(help: "What a document of a plain text file is: each line, or the whole file.")
  var document = CorpusFormat.Unit.line
  @Option(help: "The member of a JSON line that holds the text.")
  var field = "text"
  var format: CorpusFormat { var f = CorpusFormat(); f.unit = document; f.field = field; return f }
  static let help = "Text."
}
func report(_ summary: CorpusSummary, command: String) { for line in summary.lines { report("hsae \(command): \(line)") } }
