// Operations built on `exchange`: all ranks get the same values, sums are in the order of ranks, and a
// failure of one rank is a failure of all.

import Foundation
import HSAESupport
import HSAETestSupport
import Testing

@testable import HSAEDistribution

@Suite struct CommunicatorTests {
  @Test(arguments: [1, 2, 3, 5])
  func everyRankGetsTheSameResults(_ count: Int) throws {
    let results = try withRanks(count) { ranks in
      let sums = ranks.sum(0.1 * Double(ranks.rank + 1))
      let texts = ranks.gathered(String(repeating: "é", count: ranks.rank))
      let numbers = ranks.gathered([Int32(ranks.rank), 7])
      return (sums, texts, numbers, ranks.max(Float(ranks.rank * (3 - ranks.rank))))
    }
    let sum = (1...count).reduce(0) { $0 + 0.1 * Double($1) }
    for (own, texts, numbers, largest) in results {
      #expect(own == sum)
      #expect(texts == (0..<count).map { String(repeating: "é", count: $0) })
      #expect(numbers == (0..<count).map { [Int32($0), 7] })
      #expect(largest == Float(count > 1 ? 2 : 0))
    }
  }

  @Test(arguments: [1, 2, 3, 5])
  func manyNumbersAreAddedInTheOrderOfRanks(_ count: Int) throws {
    for length in [0, 1, 4, 1001] {
      func value(_ rank: Int, _ index: Int) -> Double { 1 / Double(3 + 7 * rank + index) }
      let all = try withRanks(count) { ranks in
        var (numbers, counts) = ((0..<length).map { value(ranks.rank, $0) }, [Int](0..<length))
        ranks.sumByParts(&numbers)
        ranks.sumByParts(&counts)
        let own = (ranks.rank + 1) * length / count - ranks.rank * length / count
        #expect(ranks.bytesSent == 2 * 8 * (length - own + own * (count - 1)) || count == 1)
        return (numbers, counts)
      }
      let expected = (0..<length).map { index in
        (1..<count).reduce(value(0, index)) { $0 + value($1, index) }
      }
      for (numbers, counts) in all {
        #expect(numbers == expected && counts == (0..<length).map { count * $0 })
      }
    }
  }

  @Test func groupsExchangeDataSeparately() throws {
    let results = try withRanks(6) { world in
      let dictionary = world.split(color: world.rank / 3)
      let copies = world.split(color: world.rank % 3)
      return [
        dictionary.rank, dictionary.size, Int(dictionary.sum(Double(world.rank))), copies.rank,
        copies.size, Int(copies.sum(Double(world.rank))),
      ]
    }
    #expect(
      results == [
        [0, 3, 3, 0, 2, 3], [1, 3, 3, 0, 2, 5], [2, 3, 3, 0, 2, 7],
        [0, 3, 12, 1, 2, 3], [1, 3, 12, 1, 2, 5], [2, 3, 12, 1, 2, 7],
      ])
  }

  @Test func aFailureOfOneRankReachesAll() throws {
    let failures = try withRanks(3) { ranks in
      do throws(Failure) {
        try ranks.agree { () throws(Failure) in
          if ranks.rank == 1 { throw .data("rows.npy: the disk is full.") }
        }
        return Failure(.software, "none")
      } catch { return error }
    }
    for failure in failures {
      #expect(failure == .data("rank 1 of 3: rows.npy: the disk is full."))
      #expect(AgreedFailures.contains(failure))
    }
    // If all fail in the same way, the message names no rank.
    let alike = try withRanks(2) { ranks in
      do throws(Failure) {
        try ranks.agree { () throws(Failure) in throw .usage("--k is wrong.") }
        return Failure(.software, "none")
      } catch { return error }
    }
    #expect(alike == [.usage("--k is wrong."), .usage("--k is wrong.")])
  }

  @Test func waitingRanksLearnThatAnotherHasEnded() {
    struct Death: Error {}
    #expect(throws: Death.self) {
      _ = try withRanks(3) { ranks in
        if ranks.rank == 2 { throw Death() }
        for _ in 0..<5 { ranks.barrier() }
        try ranks.check()
      }
    }
  }

  @Test func oneLivingRankReportsADeadOne() throws {
    let (alive, dead) = (getpid(), Int32.max)
    func said(by rank: Int, _ all: [(host: String, process: Int32)]) -> String? {
      Peers(rank: rank, all: all).obituary()
    }
    let all = [("a", alive), ("b", alive), ("b", dead), ("b", alive), ("c", dead)]
    #expect(said(by: 0, all) == nil, "another machine cannot be seen")
    #expect(said(by: 1, all)?.hasPrefix("Rank 2 of 5 (process \(dead) on b)") == true)
    #expect(said(by: 3, all) == nil, "one has said it")
    #expect(said(by: 0, [("a", alive), ("a", alive)]) == nil)
    let contained = [("a pid:[1]", alive), ("a pid:[2]", dead)]
    #expect(said(by: 0, contained) == nil, "another container cannot be seen")
    #expect(said(by: 0, [("a pid:[1]", alive), ("a pid:[1]", dead)])?.contains(" on a) ") == true)
    #expect(try Peers(SingleProcess()).obituary() == nil)
  }

  @Test func aSingleProcessSendsNothing() throws {
    let alone = SingleProcess()
    #expect(alone.sum(2.5) == 2.5 && alone.gathered("x") == ["x"] && alone.bytesSent == 0)
    #expect(try alone.agree { () throws(Failure) in 3 } == 3)
  }
}
