// Weights in files: they are read back bit for bit, and files that do not fit are refused.

import HSAEActivations
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAERuns

@Suite struct WeightsFileTests {
  static let hierarchical = DictionaryShape(
    width: 10, experts: 7, sublatents: 5, subspace: 3, activeExperts: 2)
  static let flat = DictionaryShape(
    width: 10, experts: 7, sublatents: 0, subspace: 0, activeExperts: 2)

  /// Every tensor by its name, as a file has them.
  typealias Tensors = [ParameterName: [Float]]

  static func tensors(_ shape: DictionaryShape, hasBias: Bool) -> Tensors {
    let parameters = ReferenceParameters(
      Parameters.initial(shape: shape, seed: 3, hasBias: hasBias))
    var tensors: Tensors = [:]
    for name in ParameterName.names(in: shape, vectors: hasBias ? .inputBias : []) {
      tensors[name] = parameters[name].map(Float.init)
    }
    if hasBias { tensors[.bias] = (0..<shape.width).map { Float($0) / 8 } }
    return tensors
  }

  /// Writes `tensors` with a plain writer, in the order of the table, or with other shapes.
  static func write(
    _ tensors: Tensors, _ shape: DictionaryShape, to path: String,
    shapes: [ParameterName: [Int]] = [:], type: SafetensorsType = .float32
  ) throws(Failure) {
    let names = ParameterName.allCases.filter { tensors[$0] != nil }
    var writer = try SafetensorsWriter(
      path: path,
      tensors: names.map {
        .init($0.rawValue, shape: shapes[$0] ?? $0.dimensions(in: shape), type: type)
      })
    for name in names { try writer.append(name.rawValue, tensors[name] ?? []) }
    _ = try writer.finish()
  }

  @Test(arguments: [hierarchical, flat], [false, true])
  func roundTrip(_ shape: DictionaryShape, _ hasBias: Bool) throws {
    try withTemporaryFolder { folder in
      let (first, second) = (Path.join(folder, "a"), Path.join(folder, "b"))
      let tensors = Self.tensors(shape, hasBias: hasBias)
      try Self.write(tensors, shape, to: first)
      let described = try WeightsFile.shape(of: first)
      var expected = shape
      expected.activeExperts = 0
      #expect(described.shape == expected)
      #expect(described.vectors == (hasBias ? .inputBias : []))
      let read = try WeightsFile.read(from: first, shape: shape)
      #expect(read.hasBias == hasBias)
      // Written again, the tensors are the same, and the hash is the file's.
      let hash = try WeightsFile.write(read, to: second, metadata: ["note": "x"])
      #expect(try SHA256.hash(file: second) == hash)
      let file = try SafetensorsFile(path: second)
      #expect(file.tensors.count == tensors.count)
      for (name, elements) in tensors {
        #expect(try file.floats(name.rawValue) == elements, "\(name.rawValue)")
        #expect(file[name.rawValue]?.shape == name.dimensions(in: shape))
      }
    }
  }

  /// Weights that another tool divided into several files with an index are those of the one file.
  @Test func filesWithAnIndexAreRead() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "w.safetensors")
      let tensors = Self.tensors(Self.hierarchical, hasBias: true)
      try Self.write(tensors, Self.hierarchical, to: path)
      let index = try divideSafetensors(path, into: 3)
      // The file's own name stands for the index that replaces it.
      for place in [index, path] {
        #expect(try WeightsFile.shape(of: place).shape.experts == 7)
        let read = try WeightsFile.read(from: place, shape: Self.hierarchical)
        let again = Path.join(folder, "again.safetensors")
        try WeightsFile.write(read, to: again)
        let file = try SafetensorsFile(path: again)
        for (name, elements) in tensors { #expect(try file.floats(name.rawValue) == elements) }
      }
      let part = Path.join(folder, "w-00001-of-00003.safetensors")
      let refusal = failure { _ = try WeightsFile.shape(of: part) }
      #expect(refusal?.kind == .usage && refusal?.message.contains(index) == true)
    }
  }

  @Test func otherFloatTypesAreRead() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "w")
      // Rows along the axes have unit norm in any precision.
      let shape = Self.flat
      var axes = [Float](repeating: 0, count: shape.experts * shape.width)
      for expert in 0..<shape.experts { axes[expert * shape.width + expert] = 1 }
      for type in [SafetensorsType.float64, .float16, .bfloat16] {
        try Self.write([.encoder: axes, .decoder: axes], shape, to: path, type: type)
        let read = try WeightsFile.read(from: path, shape: shape)
        #expect(read.encoderSide.elements == axes)
      }
    }
  }

  /// A shard looks like a smaller dictionary.
  @Test func aShardIsNotReadAsTheWholeFile() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "hsae_weights-00001-of-00004.safetensors")
      try Self.write(Self.tensors(Self.flat, hasBias: false), Self.flat, to: path)
      #expect(try WeightsFile.shape(of: path).shape.experts == Self.flat.experts)
      let index = Path.join(folder, "hsae_weights.safetensors.index.json")
      try DurableFile.write("{}", to: index)
      let failure = failure { _ = try WeightsFile.shape(of: path) }
      #expect(failure?.kind == .usage && failure?.message.contains(index) == true)
    }
  }

  /// A missing or misspelt tensor must not turn a file into another kind of dictionary.
  @Test func everyTensorMustBelong() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "weights.safetensors")
      func refusal(_ shape: DictionaryShape, _ names: [(String, ParameterName)]) throws -> String? {
        let tensors = Self.tensors(shape, hasBias: true)
        var writer = try SafetensorsWriter(
          path: path,
          tensors: names.map { .init($0.0, shape: $0.1.dimensions(in: shape), type: .float32) })
        for (name, of) in names { try writer.append(name, tensors[of] ?? []) }
        _ = try writer.finish()
        let refused = failure { _ = try WeightsFile.shape(of: path) }
        #expect(refused == nil || refused?.kind == .data)
        return refused?.message
      }
      let all = ParameterName.names(in: Self.hierarchical, vectors: [])
      func named(_ change: [ParameterName: String]) -> [(String, ParameterName)] {
        all.map { (change[$0] ?? $0.rawValue, $0) }
      }
      #expect(try refusal(Self.hierarchical, named([:])) == nil)
      for name in all where name != .encoder {
        let message = try refusal(Self.hierarchical, named([name: "x"])) ?? ""
        #expect(message.contains("\"x\" that no dictionary of this shape has"), "\(message)")
      }
      // Without the sub-encoder it is not a flat dictionary.
      let without =
        try refusal(
          Self.hierarchical, named([:]).filter { $0.1 != .subEncoder }) ?? ""
      #expect(without.contains("but none called \"sub_W_enc\""), "\(without)")
      let noDecoder = try refusal(Self.flat, [("W_enc", .encoder)]) ?? ""
      #expect(noDecoder.contains("no tensor \"W_dec\""), "\(noDecoder)")
      let flatBias = [("W_enc", ParameterName.encoder), ("W_dec", .decoder), ("b_pre", .bias)]
      #expect(try refusal(Self.flat, flatBias)?.contains("\"b_pre\"") == true)
    }
  }

  /// The failure to read a file after `change`; nil if it is read.
  private func refusal(
    _ shape: DictionaryShape = hierarchical, hasBias: Bool = false,
    _ change: (inout Tensors, inout [ParameterName: [Int]]) -> Void
  ) throws -> Failure? {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "weights.safetensors")
      var tensors = Self.tensors(shape, hasBias: hasBias)
      var shapes: [ParameterName: [Int]] = [:]
      change(&tensors, &shapes)
      try Self.write(tensors, shape, to: path, shapes: shapes)
      return failure {
        _ = try WeightsFile.shape(of: path)
        _ = try WeightsFile.read(from: path, shape: shape)
      }
    }
  }

  @Test(arguments: ParameterName.names(in: hierarchical, vectors: .inputBias))
  func wrongShapesAreRefused(_ name: ParameterName) throws {
    let refused = try refusal(hasBias: true) { tensors, shapes in
      // One more in the last dimension, and elements to match.
      var dimensions = name.dimensions(in: Self.hierarchical)
      dimensions[dimensions.count - 1] += 1
      shapes[name] = dimensions
      tensors[name] = [Float](repeating: 0.5, count: dimensions.reduce(1, *))
    }
    #expect(refused?.kind == .data)
    // A wider W_enc changes what the other tensors should be.
    if name != .encoder && name != .subEncoder {
      #expect(refused?.message.contains(name.rawValue) == true, "\(refused?.message ?? "")")
    }
  }

  @Test(arguments: ParameterName.names(in: hierarchical, vectors: []))
  func missingTensorsAreNamed(_ name: ParameterName) throws {
    let refused = try refusal { tensors, _ in tensors[name] = nil }
    #expect(refused?.kind == .data)
    #expect(refused?.message.contains(name.rawValue) == true, "\(refused?.message ?? "")")
  }

  @Test(
    arguments: ParameterName.names(in: hierarchical, vectors: .inputBias), [Float.nan, .infinity])
  func nonFiniteWeightsAreRefused(_ name: ParameterName, _ value: Float) throws {
    let refused = try refusal(hasBias: true) { tensors, _ in tensors[name]?[4] = value }
    #expect(refused?.kind == .data)
    let message = refused?.message ?? ""
    #expect(message.contains(name.rawValue) && message.contains("element 4 "), "\(message)")
  }

  @Test(arguments: [ParameterName.decoder, .subDecoder])
  func decoderRowsMustHaveUnitNorm(_ name: ParameterName) throws {
    let width = name == .decoder ? Self.hierarchical.width : Self.hierarchical.subspace
    for (factor, isRefused) in [
      (1 + 2e-5, true), (1 - 2e-5, true), (1 + 5e-6, false), (1 - 5e-6, false), (0, true),
      (-1, false),
    ] as [(Double, Bool)] {
      let refused = try refusal { tensors, _ in
        for column in 0..<width {
          let old = Double(tensors[name]?[3 * width + column] ?? 0)
          tensors[name]?[3 * width + column] = Float(old * factor)
        }
      }
      #expect((refused != nil) == isRefused, "\(factor)")
      guard let refused else { continue }
      #expect(refused.kind == .data)
      #expect(refused.message.contains("row 3 of \(name.rawValue)"), "\(refused.message)")
    }
  }

  @Test func otherFilesAreRefused() throws {
    try withTemporaryFolder { folder in
      #expect(
        failure { _ = try WeightsFile.shape(of: Path.join(folder, "none")) }?.kind == .missing)
      let path = Path.join(folder, "text")
      try DurableFile.write("{}", to: path)
      #expect(failure { _ = try WeightsFile.shape(of: path) }?.kind == .data)
    }
    // An encoder that is not a matrix; a sub-encoder without sublatents.
    let flatTensor = try refusal { tensors, shapes in shapes[.encoder] = [70] }
    #expect(flatTensor?.message.contains("dimensions") == true)
    let none = try refusal { tensors, shapes in
      shapes[.subEncoder] = [7, 0, 3]
      tensors[.subEncoder] = []
    }
    #expect(none?.kind == .data)
  }
}
