// The command `hsae`: the list of its subcommands, one file for each, and how a failure ends the process.
// Results go to standard output, everything else to standard error.

import ArgumentParser
import HSAEDistribution
import HSAESupport

@main
struct Main: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "hsae",
    abstract: "Hierarchical sparse autoencoders for language models.",
    version: BuildInformation.text,
    subcommands: [
      Quickstart.self,
      Fetch.self,
      Unembed.self,
      Corpus.self,
      Collect.self,
      Synth.self,
      Train.self,
      Evaluate.self,
    ] + explorer + [
      Steer.self,
      LookUp.self,
      Report.self,
      Encode.self,
      Export.self,
      Import.self,
      Info.self,
      Bench.self,
    ])

  /// Commands of the package trait `Explorer`, which is on by default.
  private static var explorer: [any ParsableCommand.Type] {
    #if Explorer
    [Explain.self, Explore.self, ExportFeatures.self]
    #else
    []
    #endif
  }

  /// Runs the command. A `Failure` prints one line on standard error and exits with its kind's code. If several
  /// processes were started together, the first one prints it for all.
  static func main() {
    // A write beyond a size limit (`ulimit -f`) then fails with an error instead of a signal.
    CurrentProcess.surviveFileSizeLimit()
    do {
      try requireKnownCommand()
      var command = try parseAsRoot()
      if !(command is any RunsOnRanks), !asksForHelp { try Launch.requireOne() }
      try ProgressLine.checkEnvironment()
      try command.run()
      Launch.finish()
    } catch let failure as Failure {
      let isKnown = AgreedFailures.contains(failure)
      if !isKnown { waitForTheFirst() }
      if Launch.isFirst || !isKnown { report("hsae: \(failure.message)") }
      if !isKnown { Launch.abort(code: failure.kind.rawValue) }
      Launch.finish()
      CurrentProcess.end(failure.kind.rawValue)
    } catch {
      Launch.finish()
      guard exitCode(for: error).isSuccess else {
        // A bare exit code, as after a signal, has no message.
        if !(error is ExitCode) { waitForTheFirst() }
        exit(withError: error)
      }
      // One process prints help.
      if !Launch.isFirst { CurrentProcess.end(0) }
      // Help, versions and completions: the parser does not notice a failed write.
      do throws(Failure) {
        let text = fullMessage(for: error)
        if !text.isEmpty { try output(text + "\n") }
        CurrentProcess.end(0)
      } catch {
        report("hsae: \(error.message)")
        CurrentProcess.end(error.kind.rawValue)
      }
    }
  }

  /// Waits, in any process but the first, before it reports a failure. Processes that do not communicate yet
  /// must each report their own failure. But if the first fails in the same way, the launcher ends the others
  /// while they wait here (mpirun with a signal after a second, and with SIGKILL a second later).
  private static func waitForTheFirst() {
    if Launch.isFirst || Launch.hasBegun { return }
    let end = ContinuousClock.now + .seconds(4)
    // A signal ends a sleep.
    while .now < end { pause(.seconds(1)) }
  }

  private static var asksForHelp: Bool {
    let words = CommandLine.arguments.dropFirst()
    return words.isEmpty || words.contains { ["help", "--help", "-h", "--version"].contains($0) }
  }
}

extension Main {
  /// Fails if the first word, or the one after `help`, is not a command, and suggests the nearest one. The
  /// parser would take it for an argument, or print the general help.
  private static func requireKnownCommand() throws {
    let known = configuration.subcommands.map { $0._commandName } + ["help"]
    let words = CommandLine.arguments.dropFirst()
    guard let word = words.first == "help" ? words.dropFirst().first : words.first,
      !word.hasPrefix("-"),
      !known.contains(word)
    else { return }
    let hint = JSONFile.nearest(to: word, among: known).map { "did you mean \($0)?" }
    throw ValidationError(
      "There is no command \"\(word)\"; \(hint ?? "there are \(known.joined(separator: ", ")).")")
  }
}

/// A command that several processes started together can run together.
protocol RunsOnRanks {}

/// Writes `text` to standard output. Throws (exit 74) if that fails; ends the process silently if the reader
/// has closed the pipe.
func output(_ text: String) throws(Failure) { try StandardStream.output.write(text) }

/// Writes `line` to standard error.
func report(_ line: String) { try? StandardStream.errors.write(line + "\n") }
