// hsae synth: makes a synthetic forest, whose features and edges are known, and writes rows of it for other programs.

import ArgumentParser
import HSAEActivations
import HSAESupport
import HSAETensors

/// Fails with `.usage` if `source` is a forest, which has no end of rows, and `option` does not say how many to take.
func requireLimit(_ limit: String?, _ option: String, of source: any RowSource) throws(Failure) {
  guard limit == nil, source is SyntheticRows else { return }
  throw .usage(
    "\(source.path): a synthetic forest has no end of rows; say how many with \(option).")
}

struct Synth: ParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Make rows whose features and hierarchy are known.",
    discussion: """
      A forest is a set of features with directions, firing rates and parents; a row is the sum of those that \
      fire in it. The default is the law of SynthSAEBench-16k (arXiv 2602.14687): 16,384 features in 768 \
      dimensions, 128 trees of depth 3. --preset small trains in seconds.

      FOREST is the file to make; it holds the features. hsae train takes it as DATA, and computes its rows \
      when it reads them: they take no room on the disk. hsae evaluate --suite truth compares dictionaries with it:

        hsae synth forest.safetensors --preset small
        hsae train forest.safetensors --normalize none --experts 256 --out run …
        hsae evaluate run --suite truth

      If FOREST exists, hsae uses it as it is. --write writes rows of it as a NumPy file, and beside it which \
      features fire in each (docs/formats.md).
      """)

  @Argument(
    help: "The forest's file, .safetensors.", completion: .file(extensions: ["safetensors"]))
  var forest: String

  @Option(
    help:
      "The law to start from: synthsaebench-16k (the default) or small; other options change it.")
  var preset: String?

  @OptionGroup(title: "The law")
  var law: LawOptions

  @OptionGroup var threading: ThreadsOption

  @Option(name: .customLong("write"), help: "Write rows to this .npy file.", completion: .file())
  var rowsPath: String?

  @Option(help: "The number of rows to write. (default: 100k)")
  var count: String?

  @Option(help: "The first row to write. (default: 0)")
  var first: Int?

  @Flag(
    help: """
      Write rows of the held-out part, which hsae evaluate measures on; do not train on them. It is as large as \
      the training part.
      """)
  var heldOut = false

  func run() throws {
    let interruption =
      rowsPath == nil ? nil : Interruption(notify: { _ in announceStop("without rows") })
    let line = ProgressLine("synth")
    defer { line.end() }
    let named = SyntheticLaw.Preset(rawValue: preset ?? SyntheticLaw.Preset.synthSAEBench.rawValue)
    guard let named else {
      throw Failure.usage(
        "--preset: there is no law \"\(preset ?? "")\"; there are"
          + " \(SyntheticLaw.Preset.allCases.map(\.rawValue).joined(separator: " and ")).")
    }
    let threads = threading.threads ?? processorCount
    let there = Path.exists(forest) ? try SyntheticRows(path: forest) : nil
    let known = there?.sampler.forest.law
    // Options that are given must be those of a forest that is there.
    let base = preset == nil ? known ?? SyntheticLaw(named) : SyntheticLaw(named)
    let asked = try law.applied(to: base)
    if let complaint = asked.complaint { throw Failure.usage(complaint) }
    if let known, known != asked {
      throw Failure(
        .cannotCreate,
        "\(forest): this forest was made with other options (\(try known.differences(from: asked))); leave them out"
          + " to use it, or choose another path.")
    }
    guard known != nil || forest.hasSuffix(".safetensors") else {
      throw Failure.usage("\(forest): the name of a forest must end in .safetensors.")
    }
    if rowsPath == nil, count != nil || first != nil || heldOut {
      throw Failure.usage(
        "--count, --first and --held-out need --write, the file to write rows to.")
    }
    let wanted = try rowsPath.map { (path) throws(Failure) in
      try wantedRows(of: known ?? asked, for: path)
    }
    if there != nil {
      report("hsae synth: \(forest) is there")
    } else {
      try Path.requireParent(of: forest)
      line.begin("making directions orthogonal")
      line.count("steps", of: asked.orthogonalSteps)
      try SyntheticForest(asked, threads: threads, progress: { line.update($0) }).write(to: forest)
      line.end()
    }
    let rows = try reopened(there).computed(threads: threads)
    if let rowsPath, let wanted {
      line.begin("writing rows")
      line.count("rows", of: wanted.count)
      let fired = try (heldOut ? rows.heldOut(threads: threads) : rows).write(
        wanted, to: rowsPath, shouldStop: { interruption?.signalNumber != nil },
        progress: { line.update($0) })
      line.end()
      guard let fired else { throw ExitCode(128 + (interruption?.signalNumber ?? 0)) }
      report("hsae synth: wrote \(rowsPath) and \(fired)")
    }
    try output(summary(rows) + "\n")
  }

  /// The forest that was read, or the one that was made.
  private func reopened(_ there: SyntheticRows?) throws(Failure) -> SyntheticRows {
    if let there { return there }
    return try SyntheticRows(path: forest)
  }

  private func summary(_ rows: SyntheticRows) -> String {
    let sample = rows.fired(0..<min(rows.rowCount, 20_000))
    let mean = Double(sample.reduce(0) { $0 + $1.count }) / Double(sample.count)
    let law = rows.sampler.forest.law
    let roots = min(law.roots, law.features)
    let inTrees = rows.sampler.forest.parents.count { $0 >= 0 } + roots
    let expected = rows.sampler.forest.rates.reduce(0) { $0 + Double($1) }
    let isCut = law.isCut ? " (not enough features: the lowest levels are cut)" : ""
    return
      "\(forest): \(counted(law.features, "feature")) in \(counted(law.width, "dimension")), \(grouped(inTrees)) of"
      + " them in \(counted(roots, "tree"))\(isCut); about \(decimal(mean)) fire in a row (their rates by Zipf's law"
      + " add up to \(decimal(expected)))"
  }

  private func decimal(_ value: Double) -> String { String((value * 10).rounded() / 10) }

  /// The rows to write to `path`. Fails with `.usage` before any work if they are too many or the path is the forest's.
  private func wantedRows(of law: SyntheticLaw, for path: String) throws(Failure) -> Range<Int> {
    let (text, start) = (count ?? "100k", first ?? 0)
    let total: Int
    do throws(Failure) { total = try SizeArgument.count(text) } catch {
      throw .usage("--count: \(error.message)")
    }
    guard total > 0, total <= Self.mostRows else {
      throw .usage("--count must be between 1 and \(grouped(Self.mostRows)), not \(text).")
    }
    guard start >= 0 else {
      throw .usage("--first must be a row's number from 0 on, not \(start).")
    }
    guard start <= law.rows, total <= law.rows - start else {
      throw .usage(
        "--count \(text) from --first \(start) on: the forest has only \(grouped(law.rows)) rows to train on and as many held"
          + " out; ask for fewer or earlier ones."
      )
    }
    guard path.hasSuffix(".npy") else {
      throw .usage("--write \(path): the name must end in .npy.")
    }
    for each in [path, SyntheticRows.firedPath(beside: path)] where Path.exists(each) {
      throw .isTaken(each)
    }
    try Path.requireParent(of: path)
    return start..<start + total
  }

  /// What fires is kept in memory while rows are written, 300 bytes a row.
  private static let mostRows = 10_000_000
}

/// The options that change a law.
struct LawOptions: ParsableArguments {
  @Option(help: "Features, such as 16k (k is 1,024).") var features: String?
  @Option(help: "Numbers in a row.") var width: Int?
  @Option(help: "Trees.") var roots: Int?
  @Option(help: "Children of each feature above the lowest level of its tree.") var branching: Int?
  @Option(help: "Levels below a root.") var depth: Int?
  @Option(help: "Share of parents whose children exclude each other, from 0 to 1.")
  var exclusive: Double?
  @Option(
    help:
      "Whether features below a root are drawn more often, to make up for rows without their parent (true or false)."
  )
  var compensate: Bool?
  @Option(help: "Whether a child's magnitude follows its parent's (true or false).")
  var scaleChildren: Bool?
  @Option(help: "Zipf's exponent of the firing rates.") var zipf: Double?
  @Option(help: "Firing rates of the first and the last feature, such as 0.4,5e-4.")
  var rates: String?
  @Option(help: "Hidden causes that make features fire together.") var rank: Int?
  @Option(help: "Standard deviation of a feature's weight for a cause; 0 for independent features.")
  var correlation: Double?
  @Option(help: "Mean magnitudes of the first and the last feature, such as 5,4.")
  var magnitude: String?
  @Option(help: "Mean and spread of the magnitudes' standard deviations, such as 0.5,0.5.")
  var deviation: String?
  @Option(help: "Length of the vector that is added to every row.") var bias: Double?
  @Option(help: "Steps that make directions more orthogonal.") var orthogonalSteps: Int?
  @Option(help: "Learning rate of these steps.") var orthogonalRate: Double?
  @Option(help: "Training rows, such as 200M; they are computed when they are read.")
  var rows: String?
  @Option(help: "Seed of the forest and its rows.") var seed: UInt64?

  /// `law` with what is given.
  func applied(to law: SyntheticLaw) throws(Failure) -> SyntheticLaw {
    var result = law
    if let features {
      do throws(Failure) { result.features = try SizeArgument.dictionarySize(features) } catch {
        throw .usage("--features: \(error.message)")
      }
    }
    if let rows { result.rows = try Self.count(rows, "--rows") }
    result.width = width ?? law.width
    result.roots = roots ?? law.roots
    result.branching = branching ?? law.branching
    result.depth = depth ?? law.depth
    result.exclusive = exclusive ?? law.exclusive
    result.compensates = compensate ?? law.compensates
    result.scalesChildren = scaleChildren ?? law.scalesChildren
    result.zipf = zipf ?? law.zipf
    result.correlationRank = rank ?? law.correlationRank
    result.correlationScale = correlation ?? law.correlationScale
    result.bias = bias ?? law.bias
    result.orthogonalSteps = orthogonalSteps ?? law.orthogonalSteps
    result.orthogonalRate = orthogonalRate ?? law.orthogonalRate
    result.seed = seed ?? law.seed
    if let rates {
      (result.largestRate, result.smallestRate) = try Self.pair(rates, "--rates")
    }
    if let magnitude {
      (result.firstMagnitude, result.lastMagnitude) = try Self.pair(magnitude, "--magnitude")
    }
    if let deviation {
      (result.deviationMean, result.deviationSpread) = try Self.pair(deviation, "--deviation")
    }
    return result
  }

  private static func count(_ text: String, _ option: String) throws(Failure) -> Int {
    do throws(Failure) { return try SizeArgument.count(text) } catch {
      throw .usage("\(option): \(error.message)")
    }
  }

  private static func pair(_ text: String, _ option: String) throws(Failure) -> (Double, Double) {
    let numbers = text.split(separator: ",", omittingEmptySubsequences: false).map { Double($0) }
    guard numbers.count == 2, let first = numbers[0], let second = numbers[1], first.isFinite,
      second.isFinite
    else {
      throw .usage("\(option) must be two numbers with a comma between them, not \"\(text)\".")
    }
    return (first, second)
  }
}
