// The workloads whose instructions `check.sh` counts under callgrind: every kernel once, and two training
// steps of a hierarchical and of a flat dictionary, on one thread and always with the same numbers.

import Foundation

@main
struct Main {
  static func main() {
    switch CommandLine.arguments.dropFirst().first {
    case "kernels": runKernels()
    case "hierarchical": trainSteps(isFlat: false)
    case "flat": trainSteps(isFlat: true)
    default:
      print("usage: hsae-benchmarks kernels|hierarchical|flat")
      exit(64)
    }
  }
}
