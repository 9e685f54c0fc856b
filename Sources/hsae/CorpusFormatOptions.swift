// The options that say how corpus files are cut into documents, the same in every command that reads
// text, and how what was passed over is told.

public import ArgumentParser
public import HSAELanguageModels

extension CorpusFormat.Unit: ExpressibleByArgument {}

struct CorpusFormatOptions: ParsableArguments {
  @Option(help: "What a document of a plain text file is: each line, or the whole file.")
  var document = CorpusFormat.Unit.line

  @Option(help: "The member of a JSON line that holds the text.")
  var field = "text"

  /// The format these options describe.
  var format: CorpusFormat {
    var format = CorpusFormat()
    format.unit = document
    format.field = field
    return format
  }

  /// What the options are about, for a command's help.
  static let help = """
    Files whose names end in .jsonl, .ndjson or .json hold one JSON object a line (text, and if there \
    language, title and topic), all others plain text; either may be gzip-compressed. A folder stands \
    for the corpus files in it, sorted. Documents that are blank, not UTF-8 or no valid JSON and lines \
    over 16 MiB are skipped, longer text files as one document are cut there, and a damaged compressed \
    file is read up to the damage: all of it is counted and told.
    """
}

/// Says on standard error what reading a corpus passed over.
func report(_ summary: CorpusSummary, command: String) {
  for line in summary.lines { report("hsae \(command): \(line)") }
}
