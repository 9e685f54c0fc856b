// hsae collect as people run it: killed at random moments, on a disk that fills up, with options that do not
// fit; and training on an incomplete store.

import Foundation
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

/// HSAE_SOAK=1 runs the long form of these tests.
private let isSoak = ProcessInfo.processInfo.environment["HSAE_SOAK"] == "1"

@Suite(.serialized) struct CollectCommandTests {
  /// A corpus of `lines` documents.
  private func corpus(in folder: String, lines: Int = 3000) throws -> String {
    var generator = SeededGenerator(seed: 4)
    var text = ""
    for _ in 0..<lines {
      let words = 1 + Int(generator.next() % 50)
      text += (0..<words).map { _ in "w\(generator.next() % 300)" }.joined(separator: " ") + "\n"
    }
    let path = Path.join(folder, "corpus.txt")
    try DurableFile.write(text, to: path)
    return path
  }

  private func arguments(_ corpus: String, _ out: String, _ more: [String] = []) -> [String] {
    ["collect", "synthetic", "--layer", "1", "--text", corpus, "--out", out] + more
  }

  private func contents(_ folder: String) -> [String: [UInt8]] {
    let names = FileManager.default.enumerator(atPath: folder)?.allObjects as? [String] ?? []
    return Dictionary(
      uniqueKeysWithValues: names.filter { !Path.isDirectory(Path.join(folder, $0)) }.map {
        ($0, fileBytes(Path.join(folder, $0)))
      })
  }

  @Test func killedAtRandomMoments() throws {
    try withTemporaryFolder { folder in
      let corpus = try corpus(in: folder)
      let whole = Path.join(folder, "whole")
      let clock = ContinuousClock.now
      #expect(try runHSAE(arguments(corpus, whole)).code == 0)
      let seconds = (ContinuousClock.now - clock) / .seconds(1)
      let seed = UInt64.random(in: 0 ... .max)
      var generator = SeededGenerator(seed: seed)
      let store = Path.join(folder, "store")
      // Rows are written after every unit, so that every kill interrupts some writing.
      let command = arguments(corpus, store, ["--flush-seconds", "0"])
      for _ in 0..<(isSoak ? 20 : 3) {
        let running = try RunningCommand(hsaeExecutable, command)
        usleep(UInt32(generator.nextUniform() * seconds * 0.5e6))
        running.send(SIGKILL)
        let result = running.result()
        #expect(result.signal == SIGKILL || result.code == 0, "\(result.errors)")
      }
      let last = try runHSAE(command)
      #expect(last.code == 0, "seed \(seed): \(last.errors)")
      #expect(contents(store) == contents(whole), "seed \(seed)")
      let left = try Path.list(folder)
      #expect(left == ["corpus.txt", "store", "whole"], "\(left)")
    }
  }

  @Test func twoShardsAtOnceAndASignal() throws {
    try withTemporaryFolder { folder in
      let corpus = try corpus(in: folder)
      let whole = Path.join(folder, "whole")
      #expect(try runHSAE(arguments(corpus, whole)).code == 0)
      let store = Path.join(folder, "store")
      let first = try RunningCommand(
        hsaeExecutable, arguments(corpus, store, ["--shard", "1/2", "--flush-seconds", "0"]))
      let second = try RunningCommand(
        hsaeExecutable, arguments(corpus, store, ["--shard", "2/2", "--flush-seconds", "0"]))
      #expect(first.waits { Path.exists(store + "/progress/shard-1-of-2.json") })
      first.send(SIGTERM)
      let stopped = first.result()
      #expect(stopped.code == 143 || stopped.code == 0, "\(stopped.errors)")
      #expect(second.result().code == 0)
      if stopped.code == 143 {
        #expect(stopped.errors.contains("continues from here"))
        expectRefusal(
          try runHSAE(["train", store, "--out", Path.join(folder, "run")]), 65,
          [store, "incomplete"])
        #expect(try runHSAE(arguments(corpus, store, ["--shard", "1/2"])).code == 0)
      }
      #expect(contents(store) == contents(whole))
      let again = try runHSAE(arguments(corpus, store))
      #expect(again.code == 0 && again.errors.contains("nothing is left to do"))
    }
  }

  @Test func anIncompleteStoreIsTrainedOnOnlyIfTold() throws {
    try withTemporaryFolder { folder in
      let corpus = try corpus(in: folder)
      let store = Path.join(folder, "store")
      #expect(try runHSAE(arguments(corpus, store, ["--shard", "1/2"])).code == 0)
      let train = ["train", store, "--out", Path.join(folder, "run")] + CommandFixture.small
      expectRefusal(try runHSAE(train + ["--steps", "5"]), 65, [store, "incomplete"])
      let told = try runHSAE(train + ["--steps", "5", "--allow-incomplete"])
      #expect(told.code == 0, "\(told.errors)")
    }
  }

  @Test func collectionResumesAfterAFullDisk() throws {
    try withTemporaryFolder { folder in
      let corpus = try corpus(in: folder, lines: 1500)
      let whole = Path.join(folder, "whole")
      #expect(try runHSAE(arguments(corpus, whole)).code == 0)
      _ = try withSmallDisk("12m") { disk, resize in
        let store = Path.join(disk, "store")
        let command = arguments(corpus, store, ["--flush-seconds", "0"])
        expectRefusal(try runHSAE(command), 74, [store, "no space"])
        expectRefusal(try runHSAE(command), 74, [store, "no space"])
        #expect(Path.exists(store + "/progress"))
        #expect(try resize("100m"))
        let result = try runHSAE(command)
        #expect(result.code == 0, "\(result.errors)")
        #expect(contents(store) == contents(whole))
      }
      // The disk is full during tokenisation: nothing is left.
      _ = try withSmallDisk("200k") { disk, _ in
        let store = Path.join(disk, "store")
        expectRefusal(try runHSAE(arguments(corpus, store)), 74, [disk, "no space"])
        #expect(try Path.list(disk).allSatisfy { $0.hasSuffix(".lock") })
      }
    }
  }

  @Test func wrongOptionsAreRefused() throws {
    try withTemporaryFolder { folder in
      let corpus = try corpus(in: folder, lines: 20)
      let out = Path.join(folder, "store")
      for more in [
        ["--holdout", "100%"], ["--holdout", "much"], ["--shard", "0/2"], ["--shard", "3/2"],
        ["--tokens", "0"], ["--tokens", "few"], ["--context", "0"], ["--min-position", "256"],
        ["--giant-norm", "1"], ["--weights", "q3"], ["--flush-seconds", "-1"],
      ] {
        #expect(try runHSAE(arguments(corpus, out, more)).code == 64, "\(more)")
      }
      expectRefusal(
        try runHSAE(["collect", "synthetic", "--layer", "4", "--text", corpus, "--out", out]), 64,
        ["block 4", "0 to 3"])
      expectRefusal(
        try runHSAE(["collect", "synthetic", "--layer", "1", "--text", "nowhere", "--out", out]),
        66, ["nowhere"])
      expectRefusal(try runHSAE(arguments("/dev/zero", out)), 65, ["/dev/zero", "not a text file"])
      expectRefusal(try runHSAE(arguments(corpus, corpus)), 73, [corpus, "not a store"])
      expectRefusal(
        try runHSAE(arguments(corpus, Path.join(folder, "none/store"))), 73, ["no such folder"])
      #expect(try Path.list(folder) == ["corpus.txt"])
    }
  }
}
