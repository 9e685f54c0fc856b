// Weights as a `.safetensors` file: the tensors of `docs/method.md`'s table by their names. They are
// converted from and to the engine's layout. Moments use the same names (`MomentsFile.swift`).

package import HSAEActivations
public import HSAEModels
public import HSAESupport
internal import HSAETensors

/// Reads and writes weights in files.
public enum WeightsFile {
  /// The sizes that follow from the tensors of the file at `path`, with k 0, and the vectors that there are.
  ///
  /// Fails with `.data` and the tensor's name if a tensor that a dictionary of these sizes has is missing, or
  /// if there is one that it does not have.
  public static func shape(of path: String) throws(Failure) -> (
    shape: DictionaryShape, vectors: TrainedVectors
  ) {
    let shards = try TensorShards(path: path)
    let file = shards.parts[0].file
    var shape = try shape(of: file)
    let vectors = vectors(of: file)
    let names = ParameterName.names(in: shape, vectors: vectors).map(\.rawValue)
    let others = file.tensors.map(\.name).filter { !names.contains($0) }
    // A misspelt tensor also seems missing, but its name is what has to be corrected.
    if let unknown = others.first(where: { ParameterName(rawValue: $0) == nil }) {
      throw .data(
        "\(file.path): there is a tensor \"\(unknown)\" that no dictionary of this shape has;"
          + " correct its name or remove it.")
    }
    // Tensors of a hierarchical dictionary without the tensor that its sizes follow from.
    if let part = others.first {
      throw .data(
        "\(file.path): there is a tensor \"\(part)\" but none called"
          + " \"\(ParameterName.subEncoder.rawValue)\"; add this one or remove the other.")
    }
    for name in names { _ = try file.tensor(name) }
    if let experts = shards.experts { shape.experts = experts }
    return (shape, vectors)
  }

  /// The vectors whose tensors are in `file`.
  static func vectors(of file: SafetensorsFile) -> TrainedVectors {
    var result: TrainedVectors = []
    if file[ParameterName.bias.rawValue] != nil { result.insert(.inputBias) }
    if file[ParameterName.encoderBias.rawValue] != nil { result.insert(.encoderBias) }
    if file[ParameterName.thresholds.rawValue] != nil { result.insert(.thresholds) }
    return result
  }

  package static func shape(of file: SafetensorsFile) throws(Failure) -> DictionaryShape {
    func dimensions(_ name: ParameterName, _ rank: Int) throws(Failure) -> [Int] {
      let tensor = try file.tensor(name.rawValue)
      guard tensor.shape.count == rank else {
        throw .data(
          "\(file.path): \(name.rawValue) has \(tensor.shape.count) dimensions, not \(rank).")
      }
      return tensor.shape
    }
    let encoder = try dimensions(.encoder, 2)
    var shape = DictionaryShape(
      width: encoder[1], experts: encoder[0], sublatents: 0, subspace: 0, activeExperts: 1)
    if file[ParameterName.subEncoder.rawValue] != nil {
      let sub = try dimensions(.subEncoder, 3)
      shape.sublatents = sub[1]
      shape.subspace = sub[2]
    }
    if let complaint = shape.complaint { throw .data("\(file.path): \(complaint)") }
    shape.activeExperts = 0
    return shape
  }

  /// The weights in the file at `path`, or in the shards whose index is there (`TensorShards`), for a
  /// dictionary of `shape`: all of them, or those of `experts`.
  ///
  /// Fails with `.data` unless every decoder row has unit norm to within 1e-5. With `isFolded` it checks only the rows of
  /// sublatents (``Whitening/folded(_:threads:)``). No row is renormalised.
  public static func read(
    from path: String, shape: DictionaryShape, experts: Range<Int>? = nil, isFolded: Bool = false
  ) throws(Failure) -> Parameters {
    let shards = try TensorShards(path: path)
    let vectors = vectors(of: shards.parts[0].file)
    let wanted = experts ?? 0..<shape.experts
    var own = shape
    own.experts = wanted.count
    own.activeExperts = min(shape.activeExperts, wanted.count)
    var parameters = Parameters(shape: own, vectors: vectors)
    for name in ParameterName.names(in: shape, vectors: vectors) {
      try shards.forEachExpert(of: wanted, name, in: shape) {
        file, tensor, layout, place, expert throws(Failure) in
        var span = parameters[layout.part].mutableSpan
        var target = span.part(layout.target(expert))
        try file.read(tensor, elements: layout.source(place), into: &target)
      }
    }
    if !isFolded {
      try checkNorms(
        parameters.decoderSide, every: shape.rowsPerExpert, path: path, name: .decoder)
    }
    try checkNorms(parameters.subDecoder, every: 1, path: path, name: .subDecoder)
    return parameters
  }

  /// The tensors of a dictionary, as a writer declares them.
  package static func declarations(
    _ shape: DictionaryShape, _ vectors: TrainedVectors, prefix: String = "",
    type: SafetensorsType = .float32
  ) -> [SafetensorsWriter.Tensor] {
    ParameterName.names(in: shape, vectors: vectors).map { name in
      SafetensorsWriter.Tensor(
        prefix + name.rawValue, shape: name.dimensions(in: shape), type: type)
    }
  }

  /// Writes `parameters` to `path`; returns the file's SHA-256.
  ///
  /// `names` replaces the names of tensors in `docs/method.md`, and `vectors`, each in its tensor's order, replaces the
  /// vectors of `parameters`.
  @discardableResult
  public static func write(
    _ parameters: borrowing Parameters, to path: String, metadata: [String: String] = [:],
    names: [ParameterName: String] = [:], vectors: [ParameterName: [Float]]? = nil
  ) throws(Failure) -> String {
    let shape = parameters.shape
    var own = ParameterName.names(in: shape, vectors: vectors == nil ? parameters.vectors : [])
    for name in [ParameterName.bias, .encoderBias, .thresholds] where vectors?[name] != nil {
      own.append(name)
    }
    var writer = try SafetensorsWriter(
      path: path,
      tensors: own.map { .init(names[$0] ?? $0.rawValue, shape: $0.dimensions(in: shape)) },
      metadata: metadata)
    for name in own {
      let layout = RowLayout(name, shape)
      let full = names[name] ?? name.rawValue
      if let vector = vectors?[name] {
        try writer.append(full, vector)
        continue
      }
      for expert in 0..<layout.experts {
        try writer.append(full, parameters[layout.part].span.extracting(layout.target(expert)))
      }
    }
    return try writer.finish()
  }

  private static func checkNorms(
    _ matrix: borrowing Matrix, every step: Int, path: String, name: ParameterName
  ) throws(Failure) {
    for (index, row) in stride(from: 0, to: matrix.rows, by: step).enumerated() {
      let own = matrix.row(row)
      var squares = 0.0
      for column in own.indices { squares += Double(own[column]) * Double(own[column]) }
      let norm = squares.squareRoot()
      guard abs(norm - 1) <= 1e-5 else {
        throw .data(
          "\(path): row \(index) of \(name.rawValue) has norm \(norm), not 1 (to within 1e-5)"
            + "; scale it before training.")
      }
    }
  }
}
