// The runs that hsae train trains together: which are continued, which are begun, and with what settings.

import Foundation
import HSAEActivations
import HSAEDevices
import HSAEDistribution
import HSAEEngine
import HSAELanguageModels
import HSAEModels
import HSAERuns
import HSAESupport
import HSAETraining

extension Train {
  /// The runs of --out and --also. With --resume those that have begun are continued.
  func group(_ ranks: Ranks) throws(Failure) -> TrainingGroup {
    let begun = try begunRuns(ranks)
    let (runs, source, workers) = try ranks.world.agree { () throws(Failure) in
      try resolved(begun)
    }
    var resources = TrainingResources(
      threads: workers ?? ranks.defaultThreads(), ranks: ranks, backend: backend,
      device: try chosenDevice())
    resources.whitening = whiteningResources(source, threads: resources.threads)
    sayMemory(runs.map(\.configuration), resources)
    if Launch.isFirst, begun.isEmpty { warnOfZeros(source) }
    return try TrainingGroup(
      runs, source: source, with: resources, warn: { report("hsae: \($0)") })
  }

  /// The device of --backend pjrt, which is there; nil for other backends, and without a plugin.
  private func chosenDevice() throws(Failure) -> DeviceChoice? {
    guard backend == .pjrt, let path = plugin ?? PluginCatalogue.fetched() else { return nil }
    let choice = DeviceChoice(plugin: path, number: device ?? 0)
    let platform = try DeviceClient.shared(choice).platform
    if Launch.isFirst {
      report("hsae: device \(choice.number) of \(path) (\(platform)) computes the steps.")
    }
    return choice
  }

  /// What --whiten needs beside the rows of `source`: the cache and the language model.
  private func whiteningResources(_ source: any RowSource, threads: Int) -> WhiteningResources {
    var result = WhiteningResources()
    result.cache = Path.join(ModelCache().folder, "row-statistics")
    result.note = { report("hsae: \($0).") }
    let stored = (source as? ActivationStore)?.attributes
    guard let name = model ?? stored.flatMap({ ModelCache().path(ofModel: $0.modelSHA256) }) else {
      return result
    }
    result.unembedding = { () throws(Failure) in
      let path = try ModelFetcher(say: { report("hsae: \($0)") }).resolve(name)
      let file = try GGUFFile(path: path)
      if let stored, try file.sha256() != stored.modelSHA256 {
        throw .data(
          "\(path): the rows of \(source.path) are of another model (\(stored.modelName), SHA-256"
            + " \(stored.modelSHA256.prefix(12))…); give that one.")
      }
      return (try file.unembeddingCovariance(threads: threads), path)
    }
    return result
  }

  /// The folders of the runs to continue, the same on all ranks; none without --resume.
  private func begunRuns(_ ranks: Ranks) throws(Failure) -> Set<String> {
    guard resume else { return [] }
    let paths = try ranks.world.agree { () throws(Failure) in
      try [out] + also.map { (text) throws(Failure) in try AlsoRun(text).path }
    }
    // Rank 0 decides: in a folder on a network, others may see a new file later.
    let seen: [UInt8] = paths.map { Path.exists(RunDirectory.configurationFile($0)) ? 1 : 0 }
    let first = ranks.world.gathered(bytes: seen)[0]
    try ranks.check()
    let begun = zip(paths, first).filter { $1 == 1 }.map(\.0)
    try ranks.world.agree { () throws(Failure) in
      for path in begun { try ranks.waitForRun(at: path) }
    }
    return Set(begun)
  }

  /// The runs with their settings, their rows, and the threads that the options ask for. Runs in the folders `begun`
  /// have their own settings, and options must not differ from them.
  private func resolved(
    _ begun: Set<String>
  ) throws(Failure) -> (runs: [TrainingGroup.Run], source: any RowSource, threads: Int?) {
    let also = try also.map { (text) throws(Failure) in try AlsoRun(text) }
    var options = try given.options()
    (options.threads, options.tensor) = (threads, tensor)
    if let config { options = options.given(over: try TrainingOptions.read(from: config)) }
    let paths = [out] + also.map(\.path)
    var settings: [String: TrainingConfiguration] = [:]
    // Without DATA no run can begin, so each must be there.
    for path in paths where begun.contains(path) || data == nil {
      settings[path] = try RunDirectory(path: path).trainingConfiguration()
    }
    let known = paths.first { settings[$0] != nil }
    let source = try rows(of: known, settings[known ?? ""], options)
    for (path, own) in zip(paths, [options] + also.map { $0.options(from: options) }) {
      if let run = settings[path] { try requireSame(own, source, as: run, at: path) }
    }
    if settings.count < paths.count {
      let fresh = try resolve(options, source)
      if settings[out] == nil { sayLastPrefix(options, fresh) }
      if let first = settings[out] { try requireWhole(options, fresh, as: first) }
      let first = settings[out] ?? fresh
      settings[out] = first
      for run in also where settings[run.path] == nil {
        do throws(Failure) {
          let own = run.options(beside: options, first)
          let resolved = try resolve(own, source)
          if own.matryoshka != options.matryoshka { sayLastPrefix(own, resolved) }
          settings[run.path] = resolved
        } catch { throw Failure(error.kind, "--also \(run.path): \(error.message)") }
      }
    }
    let runs = paths.compactMap { path in
      settings[path].map { (path, $0, begun.contains(path)) }
    }
    return (runs, source, options.threads)
  }

  /// Opens DATA, or without it the rows that the run at `path`, with the settings `run`, was begun on.
  private func rows(
    of path: String?, _ run: TrainingConfiguration?, _ options: TrainingOptions
  ) throws(Failure) -> any RowSource {
    guard let path, let run else {
      let source = try openRows(
        path: data ?? "", tensor: options.tensor, allowIncomplete: allowIncomplete,
        giantNorms: giantNorms ?? .skip, restoresLengths: options.normalize?.restoresLengths == true
      )
      if source is SyntheticRows, options.normalize != Normalisation.none, Launch.isFirst {
        report(
          "hsae: note: rows of a synthetic forest differ in length, and this run sees them all at unit norm;"
            + " --normalize none keeps their lengths.")
      }
      return source
    }
    guard !run.data.isStream else {
      throw Failure.usage(
        "\(path): a program gave this run its rows one after another; only that program can resume it."
      )
    }
    return try RunDescription.trained(run).openRows(
      of: path, at: data, tensor: options.tensor, giantNorms: giantNorms,
      allowIncomplete: allowIncomplete,
      advice: "name their new place: hsae train DATA --out \(path) --resume.")
  }

  /// Fails if `options`, or --giant-norms, are not what the run at `path` was begun with.
  private func requireSame(
    _ options: TrainingOptions, _ source: any RowSource, as run: TrainingConfiguration,
    at path: String
  ) throws(Failure) {
    var options = options
    options.initialWeights = options.initialWeights.map(absolute)
    var differences = try options.differences(from: run)
    let own = run.data.giantNorms ?? .skip
    if let giantNorms, giantNorms != own, source is ActivationStore {
      differences.append(
        OptionDifference(name: "giant-norms", given: giantNorms.rawValue, own: own.rawValue))
    }
    guard !differences.isEmpty else { return }
    throw .usage(
      "\(path): this run was begun with \(differences.map(\.text).joined(separator: "; ")); leave out what"
        + " differs to continue it, or choose another folder.")
  }

  /// Fails unless `options`, which resolve to `fresh`, give the whole settings `first` of the run at --out: the
  /// settings of a run that begins beside it follow from them.
  private func requireWhole(
    _ options: TrainingOptions, _ fresh: TrainingConfiguration, as first: TrainingConfiguration
  ) throws(Failure) {
    var all = fresh.options
    if options.precision == nil || options.precision == .auto { all.precision = nil }
    var differences = try all.differences(from: first)
    if let own = first.initialWeights, options.initialWeights == nil {
      differences.append(OptionDifference(name: "init", given: "none", own: own))
    }
    guard !differences.isEmpty else { return }
    throw .usage(
      "\(out): a run of --also can begin beside it only with all its options, and it was begun with"
        + " \(differences.map(\.text).joined(separator: "; ")); give these too.")
  }
}

/// Says so if the whole dictionary was added to the prefixes of --matryoshka.
private func sayLastPrefix(_ options: TrainingOptions, _ configuration: TrainingConfiguration) {
  guard let given = options.matryoshka?.numbers, let all = configuration.objective.prefixes,
    given != all, Launch.isFirst
  else { return }
  report(
    "hsae: --matryoshka: the whole dictionary, \(configuration.shape.experts) experts, is the last prefix"
      + " too.")
}

/// `path` made absolute, as a run's settings have it.
func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }
