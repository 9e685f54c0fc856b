// The option --also of `hsae train`: another run on the same batches, given as a folder and the settings that
// differ from the first run's.

import ArgumentParser
import HSAERuns
import HSAESupport

/// The value of one --also: RUN or RUN:key=value,key=value.
struct AlsoRun {
  /// The run directory.
  let path: String
  /// Its own settings; nil if it has none.
  let settings: TrainingOptions?

  /// Parses `text`. Keys are long option names, or `config` for a JSON file of options.
  init(_ text: String) throws(Failure) {
    let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    path = String(parts[0])
    guard !path.isEmpty else {
      throw .usage("--also \(text): the folder of the run is missing; write RUN:key=value,…")
    }
    guard parts.count == 2 else {
      settings = nil
      return
    }
    var arguments: [String] = []
    var config: String?
    var pairs: [Substring] = []
    for setting in parts[1].split(separator: ",") {
      // A number alone continues a list, as in matryoshka=512,1024.
      if let last = pairs.last, !setting.contains("="), setting.first?.isNumber == true {
        pairs[pairs.count - 1] = last + "," + setting
      } else {
        pairs.append(setting)
      }
    }
    for setting in pairs {
      let sides = setting.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard sides.count == 2, let first = sides[0].first, first != "-" else {
        throw .usage(
          "--also \(path): \"\(setting)\" is not of the form key=value, such as sublatents=0.")
      }
      if sides[0] == "config" {
        config = String(sides[1])
      } else {
        arguments.append("--\(setting)")
      }
    }
    var own: TrainingOptions
    do {
      own = try TrainingArguments.parse(arguments).options()
    } catch let failure as Failure {
      throw .usage("--also \(path): \(failure.message)")
    } catch {
      throw .usage("--also \(path): \(TrainingArguments.message(for: error))")
    }
    if let config { own = own.given(over: try TrainingOptions.read(from: config)) }
    settings = own
  }

  /// The settings that are given for this run: its own, filled from `options`, those of the first run.
  func options(from options: TrainingOptions) -> TrainingOptions {
    (settings ?? TrainingOptions()).given(over: options)
  }

  /// The settings of this run, filled from `options`, those of the first run. Batch, order and normalisation
  /// are filled from `first`, which `options` resolved to, because the runs read the same batches.
  func options(
    beside options: TrainingOptions, _ first: TrainingConfiguration
  ) -> TrainingOptions {
    var shared = options
    shared.batch = first.batch
    shared.order = first.order
    shared.orderSeed = first.rowSeed
    shared.normalize = first.normalize
    return self.options(from: shared)
  }
}
