// Says on standard error where long work is: to people at a terminal in one line that is overwritten, and to the log of a
// batch job in a line a minute and one at the end.

internal import Dispatch
internal import Synchronization

/// Says on standard error where long work is.
///
/// At a terminal this is one line, which is overwritten at most ten times a second and removed at the end. Elsewhere it
/// is a line every minute, also if the work reports nothing meanwhile, and a line at the end of work that took a minute
/// or more. The environment variable `HSAE_PROGRESS_SECONDS` sets another time than a minute.
///
/// Make it after an `Interruption`, which must come before other threads. Call ``end()`` in a `defer`, so that it lives
/// as long as the work.
public final class ProgressLine: Sendable {
  /// Where the lines go, how often, and the clock.
  struct Output: Sendable {
    var isTerminal: Bool
    /// Characters that a line at the terminal can have.
    var columns: @Sendable () -> Int = { 80 }
    /// Time between lines that are not at a terminal.
    var interval = Duration.seconds(60)
    var now: @Sendable () -> ContinuousClock.Instant = { .now }
    var write: @Sendable (String) -> Void

    static var standardError: Output {
      Output(
        isTerminal: StandardStream.errors.isTerminal,
        columns: { StandardStream.errors.columns ?? 80 },
        interval: .seconds(ProgressLine.seconds(environmentVariable(ProgressLine.variable)) ?? 60),
        // A terminal that is gone is no reason to stop working.
        write: { try? StandardStream.errors.write($0) })
    }
  }

  private struct State {
    var stage = ""
    var unit = ""
    var total: Int?
    /// Units that are done; nil before the stage has reported any.
    var done: Int?
    /// Units that were done when the stage began; the rate does not count them.
    var first = 0
    var note = ""
    var stageBegin: ContinuousClock.Instant
    /// When the note was made and, at a terminal, the line shown.
    var lastUpdate: ContinuousClock.Instant?
    /// When the next line is due, if this is no terminal.
    var due: ContinuousClock.Instant
    /// Characters on the terminal.
    var width = 0
    var hasEnded = false
  }

  private let command: String
  private let isQuiet: Bool
  private let output: Output
  private let begin: ContinuousClock.Instant
  private let state: Mutex<State>
  /// A queue of its own: computing threads do not delay it.
  private let queue = DispatchQueue(label: "hsae.progress")

  /// The environment variable that sets the seconds between lines.
  private static let variable = "HSAE_PROGRESS_SECONDS"

  /// The seconds that `text` sets, at most a century; nil if it sets none or is not a number of at least 0.
  static func seconds(_ text: String?) -> Double? {
    guard let number = text.flatMap(Double.init), number >= 0 else { return nil }
    return min(number, 3e9)
  }

  /// Fails with `.usage` if the environment variable `HSAE_PROGRESS_SECONDS` is not a number of seconds.
  public static func checkEnvironment() throws(Failure) {
    guard let text = environmentVariable(variable), seconds(text) == nil else { return }
    throw .usage(
      "\(variable) is \"\(text.prefix(40))\"; set it to a number of seconds of at least 0, such as 60, or unset it."
    )
  }

  /// Says where `hsae COMMAND` is. A quiet one says nothing: it is for the processes that leave messages to another.
  public convenience init(_ command: String, isQuiet: Bool = false) {
    self.init(command, isQuiet: isQuiet, output: .standardError)
    if !isQuiet, !output.isTerminal { tickAgain() }
  }

  /// As above, for any output. `tick` writes the lines that are due.
  init(_ command: String, isQuiet: Bool = false, output: Output) {
    (self.command, self.isQuiet, self.output) = (command, isQuiet, output)
    begin = output.now()
    state = Mutex(State(stageBegin: begin, due: begin + output.interval))
  }

  deinit { end() }

  /// Begins a stage of the work that counts `unit`s up to `total`, if that is known. `done` of them were done before
  /// (in a resumed run); the rate does not count them.
  public func begin(
    _ stage: String = "", unit: String = "", total: Int? = nil, done: Int = 0
  ) {
    let now = output.now()
    state.withLock {
      show("", &$0)
      ($0.stage, $0.unit, $0.total, $0.first) = (stage, unit, total, done)
      ($0.done, $0.note, $0.stageBegin, $0.lastUpdate) = (nil, "", now, nil)
    }
  }

  /// From here the same stage counts other `unit`s, up to `total`.
  public func count(_ unit: String, of total: Int) {
    let now = output.now()
    state.withLock {
      ($0.unit, $0.total, $0.first, $0.done) = (unit, total, 0, nil)
      ($0.note, $0.stageBegin, $0.lastUpdate) = ("", now, nil)
    }
  }

  /// Reports that `done` units of the stage are done, with a `note` (such as the present loss) at the end.
  public func update(_ done: Int, note: @autoclosure () -> String = "") {
    if isQuiet { return }
    let now = output.now()
    let pause = output.isTerminal ? Duration.milliseconds(100) : .seconds(1)
    let isDue = state.withLock {
      $0.done = done
      if let last = $0.lastUpdate, now - last < pause, done != $0.total { return false }
      $0.lastUpdate = now
      return true
    }
    guard isDue else { return }
    let note = note()
    state.withLock {
      $0.note = note
      if output.isTerminal { show(Self.text(label($0), counts($0, at: now)), &$0) }
    }
  }

  /// Removes the line from the terminal, so that the next output begins on an empty one.
  public func clear() { state.withLock { show("", &$0) } }

  /// Removes the line from the terminal. Elsewhere writes a last line if the work took as long as the time between
  /// lines. Nothing is written after that.
  public func end() {
    let now = output.now()
    state.withLock {
      if $0.hasEnded { return }
      show("", &$0)
      if !isQuiet, !output.isTerminal, now - begin >= output.interval {
        output.write(logLine($0, at: now))
      }
      $0.hasEnded = true
    }
  }

  /// Writes a line if one is due and this is no terminal.
  func tick() {
    let now = output.now()
    state.withLock {
      guard !isQuiet, !output.isTerminal, !$0.hasEnded, now >= $0.due else { return }
      $0.due += output.interval
      if $0.due <= now { $0.due = now + output.interval }
      output.write(logLine($0, at: now))
    }
  }

  /// Calls `tick` every second until the end.
  private func tickAgain() {
    queue.asyncAfter(deadline: .now() + 1) { [weak self] in
      guard let self, !self.state.withLock(\.hasEnded) else { return }
      self.tick()
      self.tickAgain()
    }
  }

  private func show(_ text: String, _ state: inout State) {
    guard !state.hasEnded, !text.isEmpty || state.width > 0 else { return }
    let text = String(text.prefix(output.columns() - 1))
    output.write("\r\u{1B}[K" + text)
    state.width = text.count
  }

  private func label(_ state: State) -> String {
    state.stage.isEmpty ? command : "\(command): \(state.stage)"
  }

  private func counts(_ state: State, at now: ContinuousClock.Instant) -> [String] {
    Self.counts(
      unit: state.unit, done: state.done ?? state.first, total: state.total, first: state.first,
      seconds: (now - state.stageBegin) / .seconds(1), note: state.note)
  }

  /// "hsae explain: after 3 min: encoding, 1,200/5,000 rows, 24 %, 31.2 rows/s, 2 min left".
  private func logLine(_ state: State, at now: ContinuousClock.Instant) -> String {
    let stage = state.stage.isEmpty ? [] : [state.stage]
    let known = stage + (state.done == nil ? [] : counts(state, at: now))
    let time = "hsae \(command): after \(Self.elapsed((now - begin) / .seconds(1)))"
    return known.isEmpty ? time + "\n" : "\(time): \(known.joined(separator: ", "))\n"
  }

  /// The line of a terminal: "train  1,200/5,000 steps  24 %  31.2 steps/s  2 min left  loss 0.71".
  static func text(_ label: String, _ counts: [String]) -> String {
    ([label] + counts).joined(separator: "  ")
  }

  /// What is known of a stage: the work done, its share, the rate, the time left, and the note.
  static func counts(
    unit: String, done: Int, total: Int?, first: Int, seconds: Double, note: String
  ) -> [String] {
    var parts: [String] = []
    if let total {
      parts.append("\(grouped(done))/\(grouped(total)) \(unit)")
      if total > 0 { parts.append("\(Int(Double(done) / Double(total) * 100)) %") }
    } else {
      parts.append("\(grouped(done)) \(unit)")
    }
    if done > first, seconds > 0 {
      let rate = Double(done - first) / seconds
      parts.append("\(short(rate)) \(unit)/s")
      if let total, total > done { parts.append(time(Double(total - done) / rate) + " left") }
    }
    if !note.isEmpty { parts.append(note) }
    return parts
  }

  private static func short(_ rate: Double) -> String {
    if rate >= 100 { return grouped(Int(min(rate, 1e15).rounded())) }
    return "\((rate * 10).rounded() / 10)"
  }

  private static func time(_ seconds: Double) -> String {
    if seconds < 90 { return "\(Int(seconds.rounded(.up))) s" }
    if seconds < 5400 { return "\(Int((seconds / 60).rounded(.up))) min" }
    return "\(short(min(seconds, 1e9) / 3600)) h"
  }

  /// Time that has passed: "45 s", "3 min", "2 h 5 min".
  static func elapsed(_ seconds: Double) -> String {
    if seconds < 60 { return "\(Int(max(0, seconds))) s" }
    let minutes = Int(min(seconds, 1e12) / 60)
    return minutes < 60 ? "\(minutes) min" : "\(minutes / 60) h \(minutes % 60) min"
  }
}
