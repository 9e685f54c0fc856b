// The options for cutting corpus files into documents, shared by every command that reads text, and the report
// of what was skipped.

public import ArgumentParser
public import HSAELanguageModels

extension CorpusFormat.Unit: ExpressibleByArgument {}

struct CorpusFormatOptions: ParsableArguments {
  @Option(help: "What counts as a document in a plain text file: each line, or the whole file.")
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

  /// The part of a command's help about corpus files.
  static let help = """
    Files named .jsonl, .ndjson or .json hold one JSON object a line: its text and, optionally, \
    language, title and topic. All others are plain text; either may be gzip-compressed. A folder \
    stands for the corpus files in it, sorted. hsae skips blank documents, documents that are not UTF-8 \
    or not valid JSON, and lines over 16 MiB. It cuts a longer file that is one document at 16 MiB, and reads a \
    damaged compressed file up to the damage. It counts and reports all of this.
    """
}

/// Reports on standard error what was skipped while reading a corpus.
func report(_ summary: CorpusSummary, command: String) {
  for line in summary.lines { report("hsae \(command): \(line)") }
}
