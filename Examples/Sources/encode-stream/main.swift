// Encodes rows as they arrive, a line of numbers each, and prints the active latents of each row, strongest
// first, as EXPERT:CODE or EXPERT.SUBLATENT:CODE.
//
//   some-program | encode-stream RUN

import Foundation
import HSAE

guard CommandLine.arguments.count == 2 else {
  print("usage: encode-stream RUN < lines of numbers")
  exit(64)
}
do {
  let dictionary = try SparseDictionary(path: CommandLine.arguments[1])
  var number = 0
  while let line = readLine() {
    number += 1
    let row = line.split { ", \t".contains($0) }.compactMap { Float($0) }
    guard row.count == dictionary.shape.width, row.allSatisfy(\.isFinite) else {
      throw Failure.data(
        "line \(number): there must be \(dictionary.shape.width) finite numbers, the width of the"
          + " dictionary.")
    }
    let latents = dictionary.encode(row).map { code in
      "\(code.latent.name):\(String(format: "%.4f", code.value))"
    }
    print(latents.joined(separator: " "))
  }
} catch let failure as Failure {
  print("encode-stream: \(failure)")
  exit(failure.kind.rawValue)
}
