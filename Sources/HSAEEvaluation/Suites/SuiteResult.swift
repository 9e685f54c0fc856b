// What a suite says of one run, as plain values: numbers with units and intervals, tables, histograms
// and notes. How they are shown is the terminal's, the page's and the files' business.

/// A 95 % interval of a number.
public struct Interval: Hashable, Sendable, Codable {
  /// Its ends.
  public var low, high: Double

  /// An interval with the given ends.
  public init(_ low: Double, _ high: Double) { (self.low, self.high) = (low, high) }
}

/// A number that a suite found.
public struct EvaluationNumber: Hashable, Sendable, Codable {
  /// Which direction is better.
  public enum Direction: String, Hashable, Sendable, Codable {
    /// Larger is better.
    case higher
    /// Smaller is better.
    case lower
  }

  /// Its name for programs: "explained_variance".
  public var key: String
  /// Its name for people: "explained variance".
  public var label: String
  /// The number; NaN where it cannot be computed.
  public var value: Double
  /// Where it is a mean over documents, sentences or the like, its bootstrap interval.
  public var interval: Interval?
  /// Its unit: "nats", "bytes"; nil for a pure number.
  public var unit: String?
  /// Which direction is better; nil if neither is.
  public var better: Direction?
  /// Decimals worth showing.
  public var digits: Int
  /// Its values over bootstrap samples, to compare runs by; not kept in files.
  var samples: [Double] = []

  /// A number with the given parts.
  public init(
    _ key: String, _ label: String, _ value: Double, _ interval: Interval? = nil,
    unit: String? = nil, better: Direction? = nil, digits: Int = 4
  ) {
    (self.key, self.label, self.value, self.interval) = (key, label, value, interval)
    (self.unit, self.better, self.digits) = (unit, better, digits)
  }

  /// A number whose interval follows from its values over bootstrap `samples`.
  public init(
    _ key: String, _ label: String, _ value: Double, samples: [Double], unit: String? = nil,
    better: Direction? = nil, digits: Int = 4
  ) {
    self.init(
      key, label, value, percentileInterval(samples), unit: unit, better: better, digits: digits)
    self.samples = samples
  }

  enum CodingKeys: String, CodingKey {
    case key, label, value, interval, unit, better, digits
  }
}

/// A table of numbers that belong together: a line for each letter, each pair of languages.
public struct EvaluationTable: Hashable, Sendable, Codable {
  /// What it is about.
  public var title: String
  /// The heads of its columns; the first is that of the lines' names.
  public var columns: [String]
  /// Its lines: a name, and a number for each of the other columns.
  public var lines: [Line]

  /// A line of a table.
  public struct Line: Hashable, Sendable, Codable {
    /// Its name.
    public var label: String
    /// Its numbers; nil where there is none.
    public var values: [Double?]

    /// A line with the given parts.
    public init(_ label: String, _ values: [Double?]) {
      (self.label, self.values) = (label, values)
    }
  }

  /// A table with the given parts.
  public init(title: String, columns: [String], lines: [Line]) {
    (self.title, self.columns, self.lines) = (title, columns, lines)
  }
}

/// How often latents fire, as a figure.
public struct NamedHistogram: Hashable, Sendable, Codable {
  /// What it is of.
  public var title: String
  /// The densities.
  public var histogram: DensityHistogram

  /// A figure with the given parts.
  public init(title: String, histogram: DensityHistogram) {
    (self.title, self.histogram) = (title, histogram)
  }
}

/// What a suite says of one run.
public struct SuiteResult: Hashable, Sendable, Codable {
  /// The suite's name.
  public var suite: String
  /// What was measured on, as a clause: "5,012 held-out rows of 132 documents".
  public var evaluatedOn: String
  /// Whether these are rows that a store keeps from training; nil where there are none, or nobody knows.
  public var isHeldOut: Bool?
  /// Whether the run sees the rows at unit norm; nil where it is asked nothing of rows, and in older files.
  public var seesUnitRows: Bool?
  /// The numbers, most important first.
  public var numbers: [EvaluationNumber]
  /// Tables of further numbers.
  public var tables: [EvaluationTable] = []
  /// Histograms of densities.
  public var histograms: [NamedHistogram] = []
  /// What a reader must know to read the numbers, each a sentence.
  public var notes: [String] = []
  /// The numbers less those of the flat run of equal m and k, where there is one.
  public var comparison: Comparison?
  /// The result as SAEBench files have it, where it defines the evaluation.
  public var saeBench: SAEBenchMetrics?

  /// A result of the suite `suite`.
  public init(suite: String, evaluatedOn: String, numbers: [EvaluationNumber]) {
    (self.suite, self.evaluatedOn, self.numbers) = (suite, evaluatedOn, numbers)
  }

  /// The number called `key`; nil if the suite did not find one.
  public subscript(key: String) -> EvaluationNumber? { numbers.first { $0.key == key } }
}
