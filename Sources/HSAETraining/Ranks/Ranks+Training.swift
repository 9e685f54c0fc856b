// What the ranks must agree on before they train together, and how much they send each other in a step.

internal import Foundation
internal import HSAEActivations
internal import HSAEDistribution
internal import HSAEModels
public import HSAERuns
internal import HSAESupport

extension Ranks {
  /// What this process sends in a step of a run with `configuration`. `deadLatents` is the number of dead
  /// latents on the rank that has most; nil assumes so many that the auxiliary loss sends as much as it can.
  public func traffic(
    of configuration: TrainingConfiguration, deadLatents: Int? = 0
  ) -> StepTraffic {
    StepTraffic(
      configuration, dictionaryRanks: dictionary.size, groups: copies.size, rank: world.rank,
      deadLatents: deadLatents)
  }

  /// The option whose value in `configuration` is too small for every rank to have a part, and the least
  /// value it needs; nil if there is none.
  func complaint(_ configuration: TrainingConfiguration) -> (name: String, least: Int)? {
    if configuration.shape.experts < dictionary.size { return ("--experts", dictionary.size) }
    if configuration.batch < copies.size { return ("--batch", copies.size) }
    return nil
  }

  /// Fails unless all ranks train with the same settings on the same data.
  func requireAlike(_ configurations: [TrainingConfiguration]) throws(Failure) {
    guard world.size > 1 else { return }
    try world.requireAlike("\(configurations.count)") { rank, own, first in
      .usage(
        "Rank \(rank) was given \(own) runs and rank 0 \(first); give all the same --also.")
    }
    let data = configurations.map { "\($0.data.fingerprint) \($0.data.rows) \($0.data.width)" }
    let path = configurations.first?.data.path ?? ""
    let paths = world.gathered(path)
    try world.requireAlike(data.joined(separator: "\n")) { rank, _, _ in
      .data(
        "\(paths[rank]): the data of rank \(rank) are not those of rank 0 (\(paths[0])); give all"
          + " ranks the same.")
    }
    var text = ""
    for var configuration in configurations {
      // Each machine may have its own copy of the data, at its own path.
      configuration.data.path = ""
      text += try JSONFile.encode(configuration)
    }
    try world.requireAlike(text) { rank, own, first in
      let lines = (own.split(separator: "\n"), first.split(separator: "\n"))
      let place = zip(lines.0, lines.1).first { $0.0 != $0.1 }
      func trimmed(_ line: Substring?) -> String {
        (line ?? "").trimmingCharacters(in: [" ", ","]).replacing("\" : ", with: "\": ")
      }
      return .usage(
        "Rank \(rank) was given other settings than rank 0 (\(trimmed(place?.0)), not"
          + " \(trimmed(place?.1))); give all the same options, and the same kind of machine.")
    }
  }

  /// Fails unless the ranks of each group have read the same rows as batch `index`; `mark` is the mark of
  /// this rank's rows. Equal fingerprints are not enough, because they cover only a sample of the data.
  func requireSameRows(
    _ mark: UInt64, batch index: Int, of source: any RowSource
  ) throws(Failure) {
    guard dictionary.size > 1 else { return }
    try world.requireAlike(mark, inGroupsOf: dictionary.size) { rank, first in
      let paths = world.gathered(source.path)
      return .data(
        "\(paths[rank]): in step \(index + 1) rank \(rank) has read other rows than rank \(first)"
          + " (\(paths[first])); give all ranks the same data.")
    }
  }
}
