// Where long work is, as a terminal and as a batch job's log show it. The clock is a variable of the test.

import Synchronization
import Testing

@testable import HSAESupport

/// An output that keeps what is written, and a clock that the test sets.
private final class Recorder: Sendable {
  private let texts = Mutex<[String]>([])
  private let time = Mutex(Duration.zero)
  private let start = ContinuousClock.now

  /// All that was written since the last call.
  func taken() -> [String] {
    texts.withLock { texts in
      defer { texts = [] }
      return texts
    }
  }

  func pass(_ seconds: Double) { time.withLock { $0 += .seconds(seconds) } }

  func output(isTerminal: Bool, interval: Double = 60) -> ProgressLine.Output {
    ProgressLine.Output(
      isTerminal: isTerminal, columns: { 40 }, interval: .seconds(interval),
      now: { self.start + self.time.withLock { $0 } },
      write: { text in self.texts.withLock { $0.append(text) } })
  }
}

@Suite struct ProgressLineTests {
  @Test func aLogGetsALineAMinuteAndOneAtTheEnd() {
    let recorder = Recorder()
    let line = ProgressLine("explain", output: recorder.output(isTerminal: false))
    func seconds(_ count: Int, _ each: (Int) -> Void = { _ in }) {
      for second in 1...count {
        recorder.pass(1)
        each(second)
        line.tick()
      }
    }
    // 100 rows in each of 90 seconds, after 1,000 that an earlier call has done.
    line.begin("encoding", unit: "rows", total: 20_000, done: 1_000)
    seconds(59) { line.update(1_000 + 100 * $0, note: "loss 0.\($0)") }
    #expect(recorder.taken() == [])
    seconds(31) { line.update(6_900 + 100 * $0, note: "loss 0.\(59 + $0)") }
    // (20,000 − 7,000) / 100 = 130 seconds are left.
    #expect(
      recorder.taken() == [
        "hsae explain: after 1 min: encoding, 7,000/20,000 rows, 35 %, 100 rows/s, 3 min left, loss 0.60\n"
      ])
    // The minute goes on in the next stage, which reports nothing yet.
    line.begin("search", unit: "latents")
    seconds(30)
    #expect(recorder.taken() == ["hsae explain: after 2 min: search\n"])
    // Work that stands still says so too.
    line.update(16)
    seconds(120)
    #expect(
      recorder.taken() == [
        "hsae explain: after 3 min: search, 16 latents, 0.2 latents/s\n",
        "hsae explain: after 4 min: search, 16 latents, 0.1 latents/s\n",
      ])
    line.clear()
    #expect(recorder.taken() == [])
    seconds(2)
    line.update(32)
    line.end()
    #expect(
      recorder.taken() == ["hsae explain: after 4 min: search, 32 latents, 0.2 latents/s\n"])
    seconds(100)
    line.end()
    #expect(recorder.taken() == [])
  }

  @Test func secondsBetweenLines() {
    let texts = ["0", "0.5", "60", "1e300", "", "-1", "nan", "a minute", "60 s"]
    #expect(texts.map { ProgressLine.seconds($0) } == [0, 0.5, 60, 3e9, nil, nil, nil, nil, nil])
    #expect(ProgressLine.seconds(nil) == nil)
  }

  @Test func aLateTickIsNoBurst() {
    let recorder = Recorder()
    let line = ProgressLine("collect", output: recorder.output(isTerminal: false))
    // A machine that was asleep for two hours.
    recorder.pass(7_300)
    for _ in 0..<59 {
      line.tick()
      recorder.pass(1)
    }
    #expect(recorder.taken() == ["hsae collect: after 2 h 1 min\n"])
    recorder.pass(1)
    line.tick()
    #expect(recorder.taken() == ["hsae collect: after 2 h 2 min\n"])
  }

  @Test func shortAndQuietWorkSaysNothing() {
    let recorder = Recorder()
    do {
      let line = ProgressLine("train", output: recorder.output(isTerminal: false))
      line.begin(unit: "rows", total: 10)
      recorder.pass(59)
      line.update(10)
      line.tick()
      line.end()
    }
    do {
      let line = ProgressLine("train", isQuiet: true, output: recorder.output(isTerminal: false))
      recorder.pass(1_000)
      line.update(10)
      line.tick()
      line.end()
    }
    #expect(recorder.taken() == [])
  }

  /// The note of the last unit is the last one shown, however soon it follows; others are made once a second.
  @Test func notesAreMadeWhenTheyAreNeeded() {
    let recorder = Recorder()
    let line = ProgressLine("train", output: recorder.output(isTerminal: false, interval: 0))
    line.begin(unit: "rows", total: 1_000)
    var made = 0
    func note(_ done: Int) -> String {
      made += 1
      return "loss \(done)"
    }
    for done in 1...1_000 {
      recorder.pass(0.01)
      line.update(done, note: note(done))
    }
    #expect(made == 11)
    line.end()
    #expect(
      recorder.taken() == [
        "hsae train: after 10 s: 1,000/1,000 rows, 100 %, 100 rows/s, loss 1000\n"
      ])
  }

  @Test func aTerminalHasOneLineThatIsOverwritten() {
    let recorder = Recorder()
    let line = ProgressLine("train", output: recorder.output(isTerminal: true))
    let erase = "\r\u{1B}[K"
    line.begin("first", unit: "steps", total: 5_000, done: 200)
    line.clear()
    #expect(recorder.taken() == [])
    recorder.pass(10)
    line.update(1_200, note: "loss 0.7")
    recorder.pass(0.05)
    line.update(1_201)
    line.tick()
    // At most 39 of 40 columns.
    #expect(recorder.taken() == [erase + "train: first  1,200/5,000 steps  24 %  "])
    recorder.pass(0.05)
    line.update(1_202)
    #expect(recorder.taken().count == 1)
    line.count("rows", of: 10)
    line.update(1)
    #expect(recorder.taken() == [erase + "train: first  1/10 rows  10 %"])
    recorder.pass(1_000)
    line.tick()
    line.end()
    #expect(recorder.taken() == [erase])
    line.update(2)
    line.end()
    #expect(recorder.taken() == [])
  }

  @Test func theLineSaysRateAndTimeLeft() {
    let counts = ProgressLine.counts(
      unit: "steps", done: 1200, total: 5000, first: 200, seconds: 10, note: "loss 0.7")
    #expect(
      ProgressLine.text("train", counts)
        == "train  1,200/5,000 steps  24 %  100 steps/s  38 s left  loss 0.7")
    let open = ProgressLine.counts(
      unit: "rows", done: 0, total: nil, first: 0, seconds: 0, note: "")
    #expect(ProgressLine.text("Reading", open) == "Reading  0 rows")
    #expect(
      [0, 59.9, 60, 3_599, 3_600, 90_061].map(ProgressLine.elapsed) == [
        "0 s", "59 s", "1 min", "59 min", "1 h 0 min", "25 h 1 min",
      ])
    #expect(grouped(-1_234_567) == "-1,234,567")
  }
}
