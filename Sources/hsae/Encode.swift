// hsae encode: prints the codes of rows as JSON lines.

import ArgumentParser
import HSAEActivations
import HSAEEvaluation
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

struct Encode: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Print the codes of rows as JSON lines.",
    discussion: """
      Prints a line for each row, with its active latents from strong to weak: {"row": 0, "latents": \
      [[expert, code], …]}, or with sublatents [expert, code, sublatent, its code]. Rows are scaled as in \
      training. --reconstruct adds "reconstruction", in the same scale.
      """)

  @Argument(help: .init("The run.", valueName: "run"), completion: .directory)
  var path: String

  @Argument(help: "A store, or a .npy, .safetensors or Zarr matrix.", completion: .file())
  var data: String

  @Option(help: "The first row.")
  var first = 0

  @Option(help: "Rows to encode, such as 10k (default: all).")
  var rows: String?

  @Option(help: .option("tensor"))
  var tensor: String?

  @Flag(help: "Print reconstructions too.")
  var reconstruct = false

  @OptionGroup var threads: ThreadsOption

  func validate() throws {
    if first < 0 { throw ValidationError("--first must not be negative.") }
  }

  func run() throws {
    let run = try LoadedRun(path: path, warn: { report("hsae encode: \($0)") })
    let dictionary = run.dictionary
    let source = try run.openRows(at: data, tensor: tensor, advice: "give rows of that width.")
    if let note = try run.difference(from: RowsPlace(source)) {
      report("hsae encode: note: \(note)")
    }
    try requireLimit(rows, "--rows", of: source)
    let limit = try rows.map { (text) throws(Failure) in try SizeArgument.count(text) }
    guard first < source.rowCount else {
      throw Failure.usage("--first \(first): \(data) has \(counted(source.rowCount, "row")).")
    }
    let last = min(source.rowCount, first + min(limit ?? source.rowCount, source.rowCount - first))
    // An imported dictionary without a k may have more active latents than are kept.
    let isBounded =
      run.description.origin?.isUnbounded == true
      && dictionary.shape.activeExperts < dictionary.shape.experts
    var full = 0
    for start in stride(from: first, to: last, by: 4096) {
      let range = start..<min(last, start + 4096)
      var matrix = try source.matrix(rows: range)
      run.prepare(&matrix)
      let codes = dictionary.encode(matrix, threads: threads.count)
      full += (0..<codes.count).count { codes[$0].count == dictionary.shape.activeExperts }
      let rebuilt = reconstruct ? dictionary.decode(codes, threads: threads.count) : nil
      try output(lines(codes, rebuilt, from: start))
    }
    if isBounded, full > 0 {
      report(
        "hsae encode: \(counted(full, "row")) may have more active latents than the"
          + " \(grouped(dictionary.shape.activeExperts)) strongest, which \(path) keeps; import it with a"
          + " larger --max-active.")
    }
  }

  private func lines(_ codes: Codes, _ rebuilt: consuming Matrix?, from start: Int) -> String {
    var text = ""
    for row in 0..<codes.count {
      let latents = codes[row].map { code in
        code.sublatent < 0
          ? "[\(code.expert), \(code.value)]"
          : "[\(code.expert), \(code.value), \(code.sublatent), \(code.subValue)]"
      }
      text += "{\"row\": \(start + row), \"latents\": [\(latents.joined(separator: ", "))]"
      if let numbers = rebuilt?.row(row) {
        let list = numbers.indices.map { "\(numbers[$0])" }
        text += ", \"reconstruction\": [\(list.joined(separator: ", "))]"
      }
      text += "}\n"
    }
    return text
  }
}
