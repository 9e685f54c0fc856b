// The numbers of a page without the page: as JSON for programs and as a table for people.

public import HSAEEvaluation
import HSAEHTML
public import HSAEModels
import HSAESupport

/// A hierarchy, by its words.
public struct HierarchySummary: Hashable, Sendable, Codable {
  /// The expert.
  public var expert: Int
  /// How clear its hierarchy is.
  public var score: Double
  /// Its strongest words.
  public var words: [String]
  /// The strongest words of its judged sublatents, by falling number of words.
  public var sublatents: [[String]]
}

/// What `hsae report --json` prints for a run. Unknown numbers are absent.
public struct RunSummary: Hashable, Sendable, Codable {
  /// The run's name.
  public var run: String
  /// The sizes of its dictionary.
  public var shape: DictionaryShape
  /// Number of trained numbers, without a bias.
  public var parameters: Int
  /// The rows it was evaluated on.
  public var evaluatedOn: String
  /// How well it reconstructs.
  public var reconstruction: ReconstructionSummary?
  /// Experts active for no row.
  public var deadLatents: Int?
  /// Sublatents chosen for no row.
  public var neverChosenSublatents: Int?
  /// Sublatents active for no row.
  public var deadSublatents: Int?
  /// Steps of training.
  public var steps: Int?
  /// Seconds of training.
  public var seconds: Double?
  /// Training rows per second.
  public var vectorsPerSecond: Double?
  /// Its ten clearest hierarchies.
  public var clearest: [HierarchySummary]

  /// The summary of `run`.
  public init(_ run: RunReport) {
    self.run = run.name
    shape = run.shape
    parameters = run.shape.parameterCount
    evaluatedOn = run.evaluatedOn
    reconstruction = run.numbers?.reconstruction
    deadLatents = run.numbers?.deadExperts
    neverChosenSublatents = run.shape.isFlat ? nil : run.numbers?.neverChosenSublatents
    deadSublatents = run.shape.isFlat ? nil : run.numbers?.deadSublatents
    let length = RunLength(run.metrics)
    steps = length.steps.flatMap { Int(exactly: $0.rounded()) }
    seconds = length.seconds
    vectorsPerSecond = length.rate
    clearest = run.clearest.prefix(10).map { tree in
      let judged = Set(tree.score.judged)
      return HierarchySummary(
        expert: tree.parent.index, score: tree.score.score, words: tree.parent.words.map(\.text),
        sublatents: tree.children.filter { judged.contains($0.index) }.map {
          $0.words.map(\.text)
        })
    }
  }
}

/// The most important numbers of `runs` as a table of text with a line for each run, and the rows they were measured
/// on. It includes the explained variance of held-out rows if `evaluation` has it.
public func summaryTable(_ runs: [RunReport], _ evaluation: Evaluation? = nil) -> String {
  let heldOut = runs.map { Headline($0, heldOutBy: evaluation) }
  let hasHeldOut = heldOut.contains { $0 != nil }
  let heads =
    ["run", "squared error", "top level", "explained"] + (hasHeldOut ? ["held out"] : [])
    + ["dead", "dead sub", "rows/s", "time"]
  let lines = zip(runs, heldOut).map { run, heldOut -> [String] in
    let length = RunLength(run.metrics)
    let quality = run.numbers?.reconstruction
    var cells = [
      run.name, quality.map { readable($0.full.squaredError, 4) } ?? "–",
      run.shape.isFlat ? "–" : quality.map { readable($0.topLevel.squaredError, 4) } ?? "–",
      quality.map { decimal($0.full.explainedVariance, 4) } ?? "–",
    ]
    if hasHeldOut { cells.append(heldOut.map { decimal($0.explainedVariance, 4) } ?? "–") }
    cells += [
      run.numbers.map { grouped($0.deadExperts) } ?? "–",
      run.shape.isFlat ? "–" : run.numbers.map { grouped($0.deadSublatents) } ?? "–",
      length.rate.map { short($0) } ?? "–", length.seconds.map(duration) ?? "–",
    ]
    return cells
  }
  let table = [heads] + lines
  let columns = heads.indices.map { column in table.map { [$0[column]] } }
  var places = evaluatedOn(runs)
  if let place = heldOut.lazy.compactMap({ $0?.heldOut }).first {
    places += (places.isEmpty ? "" : "; ") + "held out: explained variance on \(place)"
  }
  return aligned(columns, indent: "") + (places.isEmpty ? "" : "measured on \(places)\n")
}
