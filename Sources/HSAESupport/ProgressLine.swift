// One line on standard error that shows the progress of long work to people at a terminal.

/// A line on standard error that is overwritten as work proceeds: the work done, the rate and the time left.
///
/// It prints nothing unless standard error is a terminal, and at most ten times a second.
public struct ProgressLine: ~Copyable {
  private let label: String
  private let unit: String
  private let total: Int?
  private let start = ContinuousClock.now
  private let first: Int
  private var lastShown: ContinuousClock.Instant?
  private let isVisible = StandardStream.errors.isTerminal
  private var width = 0

  /// A line that begins with `label` and counts `unit`s up to `total`, if that is known. `done` units were
  /// done before (in a resumed run); the rate does not count them.
  public init(_ label: String, unit: String, total: Int?, done: Int = 0) {
    self.label = label
    self.unit = unit
    self.total = total
    first = done
  }

  /// Reports that `done` units are done, with a `note` (such as the present loss) at the end.
  public mutating func update(_ done: Int, note: @autoclosure () -> String = "") {
    guard isVisible else { return }
    let now = ContinuousClock.now
    if let lastShown, now - lastShown < .milliseconds(100) { return }
    lastShown = now
    show(
      Self.text(
        label: label, unit: unit, done: done, total: total, first: first,
        seconds: (now - start) / .seconds(1), note: note()))
  }

  /// Removes the line, so that the next output begins on an empty one.
  public mutating func clear() { if width > 0 { show("") } }

  deinit { if width > 0 { Self.write("\r\u{1B}[K") } }

  private mutating func show(_ text: String) {
    let text = String(text.prefix((StandardStream.errors.columns ?? 80) - 1))
    Self.write("\r\u{1B}[K" + text)
    width = text.count
  }

  private static func write(_ text: String) {
    // A terminal that is gone is no reason to stop working.
    try? StandardStream.errors.write(text)
  }

  /// The line's text: "Training  1,200/5,000 steps  24 %  31.2 steps/s  2 min left  loss 0.71".
  static func text(
    label: String, unit: String, done: Int, total: Int?, first: Int, seconds: Double, note: String
  ) -> String {
    var parts = [label]
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
    return parts.joined(separator: "  ")
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
}
