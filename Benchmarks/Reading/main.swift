// Measures how fast rows come from a store into batches of floats, compared with the machine's copy rate.
// The page cache is warm; the counted bytes are those of the rows in the store.
//
//   swift run -c release read-bench STORE [batch] [batches]

import Foundation
import HSAEActivations
import HSAERuns
import HSAESupport
import HSAETensors
import HSAETraining

/// Seconds that `body` takes.
func seconds(_ body: () throws -> Void) rethrows -> Double {
  let begin = ContinuousClock.now
  try body()
  return (ContinuousClock.now - begin) / .seconds(1)
}

/// Bytes per second that `threads` threads copy between arrays of 1 GiB together, best of 5. A byte that is
/// read and written counts once.
func copyRate(threads: Int) -> Double {
  let count = 1 << 29
  let (from, to) = (Buffer<UInt8>(count), Buffer<UInt8>(count))
  unsafe memset(from.base, 1, count)
  let piece = 1 << 22
  var best = Double.infinity
  for _ in 0..<6 {
    let time = seconds {
      parallelFor(count / piece, threads: threads) { index, _ in
        // Safe: pieces are disjoint and within both arrays.
        unsafe memcpy(to.base + index * piece, from.base + index * piece, piece)
      }
    }
    best = min(best, time)
  }
  return Double(count) / best
}

/// A number with one decimal.
func rounded(_ value: Double) -> String { "\((value * 10).rounded() / 10)" }

let arguments = CommandLine.arguments
guard arguments.count >= 2 else {
  print("usage: read-bench STORE [batch] [batches]")
  exit(64)
}
do {
  let source = try openRows(path: arguments[1])
  let batch = arguments.count > 2 ? try SizeArgument.count(arguments[2]) : 8_192
  let batches = arguments.count > 3 ? try SizeArgument.count(arguments[3]) : 40
  let width = source.width
  let bytes = Double(2 * batch * width)
  print("\(source.summary); \(batch) rows a batch")
  // Bring all pages into memory and into this process's page table.
  for chunk in source.chunks { source.prefetch(chunk) }
  for threads in Set([1, processorCount]).sorted() {
    let copy = copyRate(threads: threads)
    print("\(threads) threads: copying \(rounded(copy / 1e9)) GB/s")
    for order in [RowOrder.chunks, .shuffled] {
      let sequence = RowSequence(count: source.rowCount, order: order, seed: 0)
        .following(source)
      var places = RowSequence.Places()
      let target = Buffer<Float>(batch * width)
      var times: [Double] = []
      var orderTime = 0.0
      for index in 0..<batches {
        var rows: [Int] = []
        orderTime += seconds {
          rows = sequence.rows(at: index * batch..<(index + 1) * batch, reusing: &places)
        }
        let piece = 256
        times.append(
          seconds {
            parallelFor(pieceCount(batch, size: piece), threads: threads) { index, _ in
              let range = pieceRange(index, size: piece, count: batch)
              target.withMutableSpan(range.lowerBound * width..<range.upperBound * width) { span in
                do {
                  try source.read(rows.span.extracting(range), into: &span)
                } catch { fatalError("\(error)") }
              }
            }
          })
      }
      let median = times.sorted()[batches / 2]
      print(
        "  order \(order.rawValue): \(rounded(bytes / median / 1e9)) GB/s of float16,"
          + " \(rounded(bytes / median / copy * 100)) % of copying;"
          + " \(rounded(median * 1e6)) µs a batch, and \(rounded(orderTime / Double(batches) * 1e6)) µs"
          + " to say which rows")
    }
  }
  // As in training: one thread, rows scaled to unit norm, the next batch prepared while one is in use.
  let sequence = RowSequence(count: source.rowCount, order: .chunks, seed: 0)
  let reader = BatchReader(
    source: source, sequence: sequence, batch: batch, normalisation: .unit, firstBatch: 0,
    bufferSize: batch * width)
  var buffer = Buffer<Float>(batch * width)
  try reader.next(0, into: &buffer)
  let time = try seconds { for index in 1...batches { try reader.next(index, into: &buffer) } }
  reader.finish()
  print(
    "batch reader, one thread: \(rounded(time / Double(batches) * 1e6)) µs a batch,"
      + " \(rounded(bytes * Double(batches) / time / 1e9)) GB/s of float16")
} catch let failure as Failure {
  print(failure.message)
  exit(failure.kind.rawValue)
}
