// What the instruction counts are counted of: every kernel once, and two training steps of a hierarchical
// and of a flat dictionary, on one thread and always the same numbers. It prints nothing and measures
// nothing; `check.sh` runs it under callgrind and compares.

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
