// Tests meta-structure of the suite structure: decoder rows that are made of few shared parts, and rows that are not.

import HSAEModels
import HSAERuns
import HSAETensors
import Testing

@testable import HSAEEvaluation

struct MetaStructureTests {
  /// `count` rows of width `width`, each the sum of two of `parts` random directions, or random where `parts` is 0;
  /// scaled to unit norm.
  private func rows(_ count: Int, width: Int, parts: Int) -> Matrix {
    var generator = SeededGenerator(seed: 6)
    func normal(_ rows: Int) -> Matrix {
      Matrix(
        rows: rows, columns: width,
        elements: (0..<rows * width).map { _ in Float(generator.nextNormal()) })
    }
    guard parts > 0 else {
      var result = normal(count)
      result.scaleRowsToUnit()
      return result
    }
    let shared = normal(parts)
    var result = Matrix(rows: count, columns: width)
    for row in 0..<count {
      let first = row % parts
      let second = (first + 1 + Int.random(in: 0..<parts - 1, using: &generator)) % parts
      for column in 0..<width {
        result[row, column] = shared[first, column] + shared[second, column]
      }
    }
    result.scaleRowsToUnit()
    return result
  }

  @Test func sharedPartsShow() throws {
    func explained(_ parts: Int) throws -> Double {
      try MetaStructure.explainedVariance(
        of: rows(96, width: 48, parts: parts), steps: 1_000, seed: 1, threads: 2)
    }
    let (high, low) = (try explained(8), try explained(0))
    #expect(high > 0.95)
    #expect(low < 0.7)
    #expect(low > 0)
  }

  @Test func theSeedDecides() throws {
    let rows = rows(40, width: 16, parts: 6)
    func value(_ seed: UInt64, threads: Int) throws -> Double {
      try MetaStructure.explainedVariance(of: rows, steps: 30, seed: seed, threads: threads)
    }
    let one = try value(1, threads: 1)
    #expect(try value(1, threads: 2) == one)
    #expect(try value(2, threads: 1) != one)
  }

  @Test func settingsAreThoseOfSAEBench() throws {
    let settings = try MetaStructure.configuration(count: 130, width: 20, steps: 1_500, seed: 7)
    #expect(settings.shape.experts == 33)
    #expect(settings.shape.isFlat)
    #expect(settings.batchTopK?.active == 4)
    #expect(settings.batch == 1_024)
    #expect(settings.steps == 1_500)
    for step in [0, 700, 1_499] { #expect(settings.learningRate.rate(at: step) == 5e-4) }
    // No fewer than four latents.
    #expect(
      try MetaStructure.configuration(count: 8, width: 20, steps: 1, seed: 7).shape.experts == 4)
  }

  @Test func oddRowsDoNotTrap() throws {
    func explained(_ rows: consuming Matrix) throws -> Double {
      try MetaStructure.explainedVariance(of: rows, steps: 1, seed: 1, threads: 2)
    }
    for value in try [
      explained(Matrix(rows: 8, columns: 4)), explained(rows(9, width: 1, parts: 0)),
    ] {
      #expect(value <= 1 || value.isNaN)
    }
  }
}
