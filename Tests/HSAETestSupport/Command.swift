// Runs the real executable: its exit code, both outputs, signals, a time limit. Outputs go to files, so that
// neither process waits for the other to read.

import Foundation
import HSAESupport

/// How a process ended.
public struct CommandResult: Sendable {
  /// The exit code; nil if a signal ended it.
  public let code: Int32?
  /// The signal that ended it, if one did.
  public let signal: Int32?
  /// Standard output.
  public let output: String
  /// Standard error.
  public let errors: String
  /// Whether it was killed at its time limit.
  public let timedOut: Bool
}

/// A process that is running.
public final class RunningCommand {
  private let process = Process()
  private let folder: String
  private let ended = DispatchSemaphore(value: 0)

  /// Starts `executable` with `arguments`, adding `environment` to this process's.
  public init(
    _ executable: String, _ arguments: [String], environment: [String: String] = [:],
    currentFolder: String? = nil
  ) throws {
    folder =
      FileManager.default.temporaryDirectory.appendingPathComponent(
        "hsae-command-\(UUID().uuidString)"
      ).path
    try Path.createDirectories(folder)
    process.executableURL = URL(fileURLWithPath: executable)
    process.arguments = arguments
    process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
    if let currentFolder { process.currentDirectoryURL = URL(fileURLWithPath: currentFolder) }
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = try Self.open(folder, "output")
    process.standardError = try Self.open(folder, "errors")
    let ended = ended
    process.terminationHandler = { _ in ended.signal() }
    try process.run()
  }

  deinit {
    if process.isRunning { kill(process.processIdentifier, SIGKILL) }
    Path.removeAll(folder)
  }

  private static func open(_ folder: String, _ name: String) throws -> FileHandle {
    let path = Path.join(folder, name)
    try DurableFile.write("", to: path)
    return try FileHandle(forWritingTo: URL(fileURLWithPath: path))
  }

  /// Whether it still runs.
  public var isRunning: Bool { process.isRunning }

  /// Sends it a signal.
  public func send(_ signal: Int32) { kill(process.processIdentifier, signal) }

  /// Waits until `condition` holds; false if the process ends or `seconds` pass first.
  public func waits(for seconds: Double = 120, until condition: () -> Bool) -> Bool {
    let limit = Date().addingTimeInterval(seconds)
    while Date() < limit {
      if condition() { return true }
      if !process.isRunning { return condition() }
      usleep(1000)
    }
    return false
  }

  /// Waits for its end, and kills it after `seconds`. The default is long enough for a busy machine, so that
  /// only a process that hangs is killed.
  public func result(within seconds: Double = 300) -> CommandResult {
    let timedOut = ended.wait(timeout: .now() + seconds) == .timedOut
    if timedOut {
      send(SIGKILL)
      ended.wait()
    }
    ended.signal()
    let isSignal = process.terminationReason == .uncaughtSignal
    return CommandResult(
      code: isSignal ? nil : process.terminationStatus,
      signal: isSignal ? process.terminationStatus : nil,
      output: String(decoding: fileBytes(Path.join(folder, "output")), as: UTF8.self),
      errors: String(decoding: fileBytes(Path.join(folder, "errors")), as: UTF8.self)
        + (timedOut ? "(killed: it had not ended after \(seconds) s)" : ""),
      timedOut: timedOut)
  }
}

/// The executable that HSAE_EXECUTABLE names, or the one that was built with the tests.
public let hsaeExecutable: String = {
  if let path = ProcessInfo.processInfo.environment["HSAE_EXECUTABLE"], !path.isEmpty {
    return path
  }
  let own =
    (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
    ?? CommandLine.arguments[0]
  return Path.join(Path.parent(own), "hsae")
}()

/// Runs `hsae` with `arguments` to its end.
public func runHSAE(
  _ arguments: [String], environment: [String: String] = [:], currentFolder: String? = nil,
  within seconds: Double = 300
) throws -> CommandResult {
  try RunningCommand(
    hsaeExecutable, arguments, environment: environment, currentFolder: currentFolder
  ).result(within: seconds)
}
