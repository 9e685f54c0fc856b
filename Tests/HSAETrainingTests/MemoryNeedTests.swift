// The memory that training says it needs, and its advice if there is too little.

import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEngine
@testable import HSAERuns
@testable import HSAETraining

/// A configuration of the paper's kind.
private func configuration(
  width: Int = 2304, _ change: (inout TrainingOptions) -> Void
) throws(Failure) -> TrainingConfiguration {
  var options = TrainingOptions()
  (options.batch, options.precision) = (4096, .float32)
  change(&options)
  return try TrainingConfiguration(
    options, data: DataDescription(path: "/x.npy", fingerprint: "f", rows: 1 << 20, width: width))
}

@Suite struct MemoryNeedTests {
  /// Each weight takes four numbers of 4 bytes, or as much as three with moments in bf16.
  @Test func largeDictionariesAreCounted() throws {
    let paper = try configuration { $0.experts = 16_384 }
    let numbers = Double(paper.shape.parameterCount)
    let need = MemoryNeed([paper], TrainingResources(threads: 2))
    #expect(need.weights == 4 * numbers && need.gradients == 4 * numbers)
    #expect(need.moments == 8 * numbers)
    #expect(need.total < 8 * 0x1p30)
    let half = try configuration {
      $0.experts = 16_384
      $0.moments = .bfloat16
    }
    #expect(MemoryNeed([half], TrainingResources(threads: 2)).total == need.total - 4 * numbers)
    let both = MemoryNeed([paper, half], TrainingResources(threads: 2))
    #expect(both.weights == 2 * need.weights && both.moments == need.moments * 1.5)
    #expect(need.text.contains(" GiB needed (weights 1.4 GiB, gradients 1.4 GiB, moments 2.8 GiB"))
  }

  @Test func runsLargerThanMemoryAreRefusedWithRemedies() throws {
    let large = try configuration {
      ($0.experts, $0.sublatents, $0.subspace) = (32_768, 64, 8)
    }
    func complaint(_ gibibytes: Double, _ runs: Int = 1) -> String? {
      MemoryNeed.complaint(
        Array(repeating: large, count: runs), TrainingResources(threads: 2),
        memory: MachineMemory(limit: gibibytes * 0x1p30, source: "this machine has"))
    }
    #expect(complaint(24) == nil)
    let twenty = complaint(18)
    #expect(twenty?.contains("--moments bfloat16 (1") == true, "\(twenty ?? "")")
    #expect(twenty?.contains("this machine has 18.0 GiB") == true)
    #expect(complaint(8)?.contains("--experts 8192 (") == true, "\(complaint(8) ?? "")")
    #expect(complaint(18, 4)?.contains("fewer runs at once") == true)
    let wide = try configuration(width: 64) {
      ($0.experts, $0.batch) = (256, 1 << 20)
    }
    let batch = MemoryNeed.complaint(
      [wide], TrainingResources(threads: 2),
      memory: MachineMemory(limit: 0x1p30, source: "the control group allows"))
    #expect(batch?.contains("--batch ") == true && batch?.contains("group allows 1.0 GiB") == true)
    #expect(
      MemoryNeed.complaint(
        [wide], TrainingResources(threads: 2),
        memory: MachineMemory(limit: 1e6, source: "this machine has"))?
        .contains("much smaller") == true)
  }

  /// Each number of config.json is replaced by one that makes no sense. It is refused or harmless; none traps.
  @Test func editedConfigurationsAreCheckedAgain() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "config.json")
      let text = try JSONFile.encode(
        try configuration {
          ($0.experts, $0.k) = (64, 3)
        })
      let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
      var refused = 0
      for (index, line) in lines.enumerated() {
        let parts = line.split(separator: " : ", maxSplits: 1)
        guard parts.count == 2, parts[1].first?.isNumber == true else { continue }
        for number in ["-1", "0", "1e300", "9223372036854775807", "4611686018427387904", "\"NaN\""]
        {
          var edited = lines
          edited[index] = parts[0] + " : " + number + (line.hasSuffix(",") ? "," : "")
          try DurableFile.write(edited.joined(separator: "\n"), to: path)
          do throws(Failure) {
            let run = try RunDirectory(path: folder)
            #expect(
              MemoryNeed(
                [try run.trainingConfiguration()], TrainingResources(threads: 1)
              ).total > 0)
          } catch {
            #expect(error.kind == .data && error.message.contains(path), "\(error)")
            refused += 1
          }
        }
      }
      #expect(refused > 60)
    }
  }
}
