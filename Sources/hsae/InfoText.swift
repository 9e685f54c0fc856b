// What `hsae info` prints for each kind of path, as text and as JSON.

import Foundation
import HSAEActivations
import HSAELanguageModels
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETensors

#if Explorer
import HSAEExplorer
#endif

/// A description of a path: lines for people, a value for JSON.
struct Description {
  var text: [String]
  private let encode: () throws(Failure) -> String

  func json() throws(Failure) -> String { try encode() }

  private init(_ text: [String], _ value: some Encodable) {
    self.text = text
    encode = { () throws(Failure) in try JSONFile.encode(value) }
  }

  #if Explorer
  // MARK: Features

  init(features: FeatureDatabase) throws(Failure) {
    let runs = try features.runs()
    let lines = runs.map { run in
      "  \(run.name): \(counted(run.shape.experts, run.shape.isFlat ? "latent" : "expert"))"
        + (run.shape.isFlat ? "" : " × \(counted(run.shape.sublatents, "sublatent"))")
        + ", \(counted(run.rows, "row")) of \(run.storeName)"
        + (run.hookPoint.map { " (\(run.modelName ?? "?"), \($0))" } ?? "")
        + (run.isComplete ? "" : ", INCOMPLETE: hsae explain has not ended")
    }
    self.init(
      ["\(features.path): explained features of \(counted(runs.count, "run"))"] + lines, runs)
  }

  #endif
  // MARK: Stores

  init(store: StoreSummary, path: String) {
    let attributes = store.attributes
    var lines = [
      "\(path): activation store, \(attributes.kind.rawValue) of \(attributes.modelName),"
        + " \(attributes.hookPoint)",
      "\(counted(store.rows, "row")) of width \(attributes.width)"
        + (attributes.complete ? "" : ", INCOMPLETE: its collection has not ended")
        + (store.flagged > 0
          ? "; \(grouped(store.flagged)) flagged rows are left out (norm beyond"
            + " \(short(attributes.collection?.giantNormMultiple ?? 0)) × the median, or not finite)"
          : "")
        + (store.heldOut.map { "; \(counted($0, "row")) held out for evaluation" } ?? ""),
    ]
    let facts = [
      attributes.weightsType.map { "weights \($0)" },
      attributes.contextLength.map {
        "contexts of \(counted($0, "token"))"
          + (store.beginsWithBOS.map { $0 ? " that begin with BOS" : " without BOS" } ?? "")
          + (attributes.collection?.bos.map { " (--bos \($0.rawValue))" } ?? "")
      },
      attributes.tokenRule.map { $0.hasSuffix(".") ? String($0.dropLast()) : $0 },
      attributes.preprocessing, "shuffled by seed \(attributes.shuffleSeed)",
    ].compactMap(\.self)
    lines.append(facts.joined(separator: "; "))
    lines += normLines(store.norms, rows: store.sampled)
    if let documents = store.documents, let tokens = store.corpusTokens {
      lines.append("corpus: \(counted(documents, "document")), \(counted(tokens, "token"))")
    }
    if !store.languages.isEmpty {
      lines.append(
        "languages of documents: "
          + store.languages.map { "\($0.name.isEmpty ? "unknown" : $0.name) \(percent($0))" }
          .joined(separator: ", "))
    }
    if !store.tokens.isEmpty {
      lines.append("most frequent tokens of \(counted(store.sampled, "row")):")
      lines.append(
        "    "
          + store.tokens.map { "\($0.name.spelledOut) \(percent($0))" }.joined(separator: " · "))
    }
    if !store.contexts.isEmpty { lines.append("rows in context:") }
    for context in store.contexts {
      let source = [context.language, context.title].filter { !$0.isEmpty }.joined(separator: " ")
      lines.append(
        "    …\(context.before)[\(context.token)]\(context.after)…".spelledOut
          + (source.isEmpty ? "" : "  (\(source.spelledOut))"))
    }
    self.init(lines, store)
  }

  // MARK: Runs

  private struct Run: Encodable {
    var configuration: RunDescription
    var checkpoints: [Int]
    var last: MetricsRecord?
  }

  init(run path: String) throws(Failure) {
    let run = try RunDirectory(path: path)
    let shape = run.description.shape
    let checkpoints = try run.checkpointSteps()
    let last = try run.metrics().last
    let active =
      run.description.origin.map { $0.isUnbounded || shape.activeExperts == shape.experts } == true
      ? "any number active"
        + (shape.activeExperts < shape.experts
          ? " (the strongest \(grouped(shape.activeExperts)) are kept)" : "")
      : run.description.training?.activeText(threshold: last?.threshold)
        ?? "\(shape.activeExperts) active"
    let kind = run.description.origin == nil ? "run" : "imported run"
    var lines = [
      "\(path): \(kind), "
        + (shape.isFlat
          ? "flat dictionary of \(counted(shape.experts, "latent"))"
          : "dictionary of \(counted(shape.experts, "expert")) × \(counted(shape.sublatents, "sublatent")) in"
            + " subspaces of \(shape.subspace)")
        + ", \(active), width \(shape.width)"
    ]
    switch run.description {
    case .imported(let imported): lines += imported.origin.lines(normalize: imported.normalize)
    case .trained(let configuration):
      lines += [
        "data: \(configuration.data.isStream ? configuration.data.name : configuration.data.path),"
          + " \(counted(configuration.data.rows, "row"))",
        "steps: \(grouped(checkpoints.last ?? 0)) of \(grouped(configuration.steps)) in a checkpoint,"
          + " \(counted(configuration.batch, "row")) each, seed \(configuration.seed), order"
          + " \(configuration.order.rawValue)",
      ]
      lines += configuration.recipeLines
    }
    if let last {
      lines.append(
        "last record, step \(grouped(last.step)): loss \(String(format: "%.5f", last.loss))"
          + (last.explainedVariance.map { String(format: ", explained variance %.4f", $0) } ?? "")
          + (run.description.training.map { $0.selection != .topK } ?? false
            ? String(format: ", L0 %.1f", last.l0) : "")
          // Latents are not called dead before a million rows were seen.
          + (last.tokens >= Usage.reportingWindow
            ? ", \(counted(last.deadLatents, shape.isFlat ? "latent" : "expert")) dead for a million rows"
            : ""))
    }
    self.init(
      lines, Run(configuration: run.description, checkpoints: checkpoints, last: last))
  }

  // MARK: Matrices, models, corpora

  private struct MatrixFacts: Encodable {
    var summary: String
    var rows: Int
    var width: Int
    /// The law of a synthetic forest.
    var law: SyntheticLaw?
    var sampled: Int
    var norms: StoreSummary.Norms
  }

  init(matrix: any RowSource, sample: Int) throws(Failure) {
    // Spread evenly, because the first rows may differ from the others.
    let count = min(matrix.rowCount, max(1, sample))
    var norms: [Float] = []
    norms.reserveCapacity(count)
    let piece = 4_096
    for start in stride(from: 0, to: count, by: piece) {
      let rows = (start..<min(count, start + piece)).map {
        Int((Double($0) * Double(matrix.rowCount) / Double(count)).rounded(.down))
      }
      var part = Matrix(rows: rows.count, columns: matrix.width)
      try matrix.gather(rows, into: &part)
      norms += part.rowNorms()
    }
    let summary = StoreSummary.Norms(norms)
    let law = (matrix as? SyntheticRows)?.sampler.forest.law
    var lines = ["\(matrix.path): \(matrix.summary)"]
    if let law { lines.append("law: \(try law.text())") }
    self.init(
      lines + normLines(summary, rows: count),
      MatrixFacts(
        summary: matrix.summary, rows: matrix.rowCount, width: matrix.width, law: law,
        sampled: count, norms: summary))
  }

  private struct Tensor: Encodable {
    var name: String
    var type: String
    var shape: [Int]
  }

  /// The most tensors that the text lists; JSON has all.
  private static let mostTensors = 40

  init(tensors file: SafetensorsFile) {
    let files = file.paths.count
    let shown = file.tensors.prefix(Self.mostTensors)
    let left = file.tensors.count - shown.count
    let lines =
      [
        "\(file.path): \(counted(file.tensors.count, "tensor"))"
          + (files > 1 ? " in \(counted(files - 1, "file")) with an index" : "")
      ]
      + shown.map { "    \($0.name.spelledOut)  \($0.typeName.spelledOut)  \($0.shape)" }
      + (left > 0 ? ["    and \(grouped(left)) more (--json lists all)"] : [])
      + (file.matrices.isEmpty ? [] : ["--tensor NAME describes the rows of a matrix"])
    self.init(
      lines, file.tensors.map { Tensor(name: $0.name, type: $0.typeName, shape: $0.shape) })
  }

  private struct Model: Encodable {
    var architecture: String?
    var name: String?
    var licence: String?
    var parts: Int
  }

  init(model: borrowing GGUFFile) {
    let facts = [
      model.architecture ?? "unknown architecture", model.name.map { "\"\($0)\"" },
      "licence \(model.licence ?? "not stated in the file")",
    ].compactMap(\.self)
    let parts = model.partCount > 1 ? " in \(model.partCount) parts" : ""
    self.init(
      ["\(model.path): GGUF model\(parts), " + facts.joined(separator: ", ")],
      Model(
        architecture: model.architecture, name: model.name, licence: model.licence,
        parts: model.partCount))
  }

  private struct Corpus: Encodable {
    var summary: CorpusSummary
    var languages: [String: Int]
  }

  init(corpus: CorpusSummary, languages: [String: Int], path: String) {
    let named = languages.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map {
      "\($0.key.isEmpty ? "unknown" : $0.key) \(grouped($0.value))"
    }
    let lines =
      [
        "\(path): corpus, \(counted(corpus.documents, "document")), \(counted(corpus.bytes, "byte")) of text"
          + " in \(counted(corpus.files, "file"))"
      ] + (named.isEmpty ? [] : ["languages: " + named.joined(separator: ", ")])
    self.init(lines + corpus.lines, Corpus(summary: corpus, languages: languages))
  }
}

extension TrainingConfiguration {
  /// How many latents are active in a row: "32 active", "batchtopk, 32 active on average (threshold 0.123)".
  func activeText(threshold: Double?) -> String {
    topActiveText(threshold: threshold)
      + (sublatentBudget.map { ", \(short($0.active)) of their sublatents wanted on average" } ?? "")
  }

  private func topActiveText(threshold: Double?) -> String {
    let now = threshold.map { short($0) }
    if let batchTopK {
      return "batchtopk, \(short(batchTopK.active)) active on average"
        + (now.map { " (threshold \($0))" } ?? "")
    }
    if let jumpReLU {
      return "jumprelu, "
        + (jumpReLU.target.map { "\(short($0)) active wanted" } ?? "any number active")
        + (now.map { " (mean threshold \($0))" } ?? "")
    }
    return "\(shape.activeExperts) active"
  }

  /// A line for the whitening and for each of the prefixes and the controls that there are.
  var recipeLines: [String] {
    var lines: [String] = []
    if let prefixes = objective.prefixes {
      let weights = objective.prefixWeights.map { values in
        " with weights " + values.map { short(Double($0)) }.joined(separator: ", ")
      }
      lines.append(
        "prefixes: " + prefixes.map { grouped($0) }.joined(separator: ", ") + (weights ?? ""))
    }
    if let whitening {
      let source =
        whitening.source == .activations
        ? "the covariance of these rows" : "the model's unembedding"
      lines.append(
        "whitened by \(source), ridge \(short(whitening.ridge)), errors measured in the"
          + " \(whitening.loss.rawValue) space")
    }
    if let freeze { lines.append("control: the \(freeze.rawValue) was left as it was drawn") }
    if let decoderCosine {
      lines.append(
        "control: decoder rows kept within cosine \(short(decoderCosine)) of their first values")
    }
    return lines
  }
}

extension Origin {
  /// Lines about the origin, for people.
  func lines(normalize: Normalisation) -> [String] {
    var lines = ["from: \(path), \(layout), \(architecture)"]
    let places = [model, hook].compactMap(\.self)
    if !places.isEmpty { lines.append("of: " + places.joined(separator: ", ").spelledOut) }
    switch normalize {
    case .none: lines.append("rows: as they are stored")
    case .unit: lines.append("rows: scaled to unit norm")
    case .original: lines.append("rows: at the lengths they have in the model")
    case .layerNorm: lines.append("rows: less their mean, then scaled to unit norm (layer norm)")
    }
    return lines + notes.map { "note: \($0.spelledOut)" }
  }
}

/// Quantiles and a histogram of norms, one line for each bin.
private func normLines(_ norms: StoreSummary.Norms, rows: Int) -> [String] {
  let names = ["least", "1 %", "25 %", "median", "75 %", "99 %", "greatest"]
  let quantiles = zip(names, norms.quantiles).map { "\($0) \(short(Double($1)))" }
  var lines = ["norms of \(counted(rows, "row")): " + quantiles.joined(separator: ", ")]
  // At most twelve bars: neighbouring bins are joined.
  let joined = max(1, (norms.counts.count + 11) / 12)
  let bars = stride(from: 0, to: norms.counts.count, by: joined).map {
    norms.counts[$0..<min(norms.counts.count, $0 + joined)].reduce(0, +)
  }
  let tallest = max(1, bars.max() ?? 1)
  for (index, count) in bars.enumerated() where bars.count > 1 {
    let from = pow(10, norms.lowest + Double(index * joined) * norms.binWidth)
    let bar = String(repeating: "█", count: (count * 40 + tallest - 1) / tallest)
    let label = String(repeating: " ", count: max(0, 10 - short(from).count)) + short(from)
    lines.append("\(label)  \(bar) \(grouped(count))")
  }
  return lines
}

/// `value` with four significant digits.
private func short(_ value: Double) -> String { grouped(value, digits: 4) }

private func percent(_ share: StoreSummary.Share) -> String {
  String(format: "%.1f %%", Double(share.count) / Double(max(1, share.total)) * 100)
}

extension String {
  /// The text with control characters escaped, so that it stays on one line.
  var spelledOut: String {
    unicodeScalars.map { scalar in
      [.control, .format, .lineSeparator, .paragraphSeparator].contains(
        scalar.properties.generalCategory)
        ? scalar.escaped(asASCII: true) : String(scalar)
    }.joined()
  }
}
