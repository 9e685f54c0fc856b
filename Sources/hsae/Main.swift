// The command `hsae`: the list of its subcommands, one file for each, and how a failure ends the
// process. Results go to standard output, everything else to standard error.

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

  /// What is only there with the package trait `Explorer`, which is on by default.
  private static var explorer: [any ParsableCommand.Type] {
    #if Explorer
    [Explain.self, Explore.self, ExportFeatures.self]
    #else
    []
    #endif
  }

  /// Runs the command. A `Failure` is one line on standard error and its kind's exit code. Where several
  /// processes were started together, the first one speaks for all.
  static func main() {
    // A file that grows beyond a limit (`ulimit -f`) is then an error of the write, with a sentence.
    CurrentProcess.surviveFileSizeLimit()
    do {
      try requireKnownCommand()
      var command = try parseAsRoot()
      if !(command is any RunsOnRanks), !asksForHelp { try Launch.requireOne() }
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
        // A bare code, as after a signal, has nothing to say.
        if !(error is ExitCode) { waitForTheFirst() }
        exit(withError: error)
      }
      // One process's to give.
      if !Launch.isFirst { CurrentProcess.end(0) }
      // Help, versions and completions: the parser would not see that they cannot be written.
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

  /// Of several processes that do not talk, or not yet, each can fail by itself, and has to say so. But if the first
  /// fails in the same way, the launcher ends the others while they wait here (mpirun with a signal after a second,
  /// and with SIGKILL after another).
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
  /// Refuses a first word, or one after `help`, that is no command, with the nearest one: the parser would call it an
  /// argument, or print the help of all.
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

/// A command that several processes, started together, do together.
protocol RunsOnRanks {}

/// Writes `text`, as it is, to standard output; a result that is lost is a failure (exit 74).
///
/// If the reader has gone (a closed pipe), the process ends without a message.
func output(_ text: String) throws(Failure) { try StandardStream.output.write(text) }

/// Writes `line` to standard error.
func report(_ line: String) { try? StandardStream.errors.write(line + "\n") }
