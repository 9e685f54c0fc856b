// The result of a suite for one run, as plain values: numbers with units and intervals, tables, histograms,
// notes.

/// A 95 % interval of a number.
public struct Interval: Hashable, Sendable, Codable {
  /// Its ends.
  public var low, high: Double

  /// An interval with the given ends.
  public init(_ low: Double, _ high: Double) { (self.low, self.high) = (low, high) }
}

/// A number in a result.
public struct EvaluationNumber: Hashable, Sendable, Codable {
  /// Which direction is better.
  public enum Direction: String, Hashable, Sendable, Codable {
    /// Larger is better.
    case higher
    /// Smaller is better.
    case lower
  }

  /// Its key, for programs: "explained_variance".
  public var key: String
  /// Its label, for people: "explained variance".
  public var label: String
  /// The number; NaN if it cannot be computed.
  public var value: Double
  /// The bootstrap interval of a mean over documents, sentences or similar.
  public var interval: Interval?
  /// Its unit: "nats", "bytes"; nil for a pure number.
  public var unit: String?
  /// Which direction is better; nil if neither is.
  public var better: Direction?
  /// Number of decimals to show.
  public var digits: Int
  /// Its values over bootstrap samples, for comparisons of runs; not written to files.
  var samples: [Double] = []

  /// A number with the given parts. If there is no `interval`, it is computed from the number's values over
  /// bootstrap `samples`.
  public init(
    _ key: String, _ label: String, _ value: Double, _ interval: Interval? = nil,
    samples: [Double] = [], unit: String? = nil, better: Direction? = nil, digits: Int = 4
  ) {
    (self.key, self.label, self.value, self.samples) = (key, label, value, samples)
    (self.unit, self.better, self.digits) = (unit, better, digits)
    self.interval = interval ?? percentileInterval(samples)
  }

  enum CodingKeys: String, CodingKey {
    case key, label, value, interval, unit, better, digits
  }
}

/// A table of related numbers, such as a line for each letter or pair of languages.
public struct EvaluationTable: Hashable, Sendable, Codable {
  /// Its title.
  public var title: String
  /// The heads of its columns; the first column holds the lines' labels.
  public var columns: [String]
  /// Its lines.
  public var lines: [Line]

  /// A line of a table.
  public struct Line: Hashable, Sendable, Codable {
    /// Its label.
    public var label: String
    /// A number for each column after the first; nil for an empty cell.
    public var values: [Double?]

    /// A line with the given parts.
    public init(_ label: String, _ values: [Double?]) {
      (self.label, self.values) = (label, values)
    }
  }
}

/// A histogram of densities, as a figure.
public struct NamedHistogram: Hashable, Sendable, Codable {
  /// Its title.
  public var title: String
  /// The densities.
  public var histogram: DensityHistogram
}

/// The result of a suite for one run.
public struct SuiteResult: Hashable, Sendable, Codable {
  /// The suite's name.
  public var suite: String
  /// The data it was measured on, as a clause: "5,012 held-out rows of 132 documents".
  public var evaluatedOn: String
  /// Whether these rows are held out from training; nil without rows, or if it is not known.
  public var isHeldOut: Bool?
  /// Whether the run sees the rows at unit norm; nil without rows, and in older files.
  public var seesUnitRows: Bool?
  /// The numbers, most important first.
  public var numbers: [EvaluationNumber]
  /// Tables of further numbers.
  public var tables: [EvaluationTable] = []
  /// Histograms of densities.
  public var histograms: [NamedHistogram] = []
  /// Sentences that a reader needs to understand the numbers.
  public var notes: [String] = []
  /// The numbers minus those of the flat run of equal m and k, if there is one.
  public var comparison: Comparison?
  /// The result in SAEBench's terms, if SAEBench defines the suite.
  public var saeBench: SAEBenchMetrics?

  /// A result of the suite `suite`.
  public init(suite: String, evaluatedOn: String, numbers: [EvaluationNumber]) {
    (self.suite, self.evaluatedOn, self.numbers) = (suite, evaluatedOn, numbers)
  }

  /// The number with this key; nil if there is none.
  public subscript(key: String) -> EvaluationNumber? { numbers.first { $0.key == key } }
}
