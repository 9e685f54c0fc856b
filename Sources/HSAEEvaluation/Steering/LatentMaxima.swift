// Finds the largest codes of latents on a sample of rows, for runs without a feature database.

public import HSAEActivations
public import HSAEModels
public import HSAERuns
public import HSAESupport
import HSAETensors

extension LoadedRun {
  /// The largest code of each of `latents` on the first `limit` rows of `source`; 0 for a latent that is
  /// active for none of them. A store's rows are shuffled, so the first rows are a random sample.
  public func maxima(
    of latents: [LatentNumber], on source: any RowSource, limit: Int, threads: Int
  ) throws(Failure) -> [Float] {
    var maxima = [Float](repeating: 0, count: latents.count)
    let count = min(limit, source.rowCount)
    for start in stride(from: 0, to: count, by: 4096) {
      var rows = try source.matrix(rows: start..<min(count, start + 4096))
      prepare(&rows)
      for code in dictionary.encode(rows, threads: threads).all {
        for (index, latent) in latents.enumerated() where latent.expert == code.expert {
          switch latent.sublatent {
          case nil: maxima[index] = max(maxima[index], code.value)
          case code.sublatent: maxima[index] = max(maxima[index], code.subValue)
          default: break
          }
        }
      }
    }
    return maxima
  }
}
