// hsae export and encode: SAELens's arithmetic, written out here, applied to exported files gives the codes that
// encode prints. runs/saelens.sh compares with SAELens itself.

import Foundation
import HSAEActivations
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@Suite struct ExportTests {
  /// One row of the output of `hsae encode --reconstruct`.
  private struct EncodedRow {
    /// Codes by latent, in SAELens's numbering.
    var codes: [Int: Double] = [:]
    var reconstruction: [Double] = []
  }

  /// The output of encode; `experts` and `sublatents` give the numbering of latents.
  private func encoded(
    _ run: String, _ data: String, experts: Int, sublatents: Int
  ) throws -> [EncodedRow] {
    let result = try runHSAE(["encode", run, data, "--reconstruct", "--rows", "50"])
    #expect(result.code == 0, "\(result.errors)")
    return try result.output.split(separator: "\n").enumerated().map { index, line in
      let tree = try JSONValue(parsing: Array(line.utf8), source: "line \(index)")
      #expect(tree["row"]?.integer == index)
      var row = EncodedRow()
      for latent in tree["latents"]?.array ?? [] {
        let parts = latent.array?.compactMap(\.number) ?? []
        row.codes[Int(parts[0])] = parts[1]
        if parts.count == 4 {
          row.codes[experts + sublatents * Int(parts[0]) + Int(parts[2])] = parts[3]
        }
      }
      row.reconstruction = tree["reconstruction"]?.array?.compactMap(\.number) ?? []
      return row
    }
  }

  /// A tensor as nested rows of its last dimension.
  private func rows(_ file: SafetensorsFile, _ name: String) throws -> [[Double]] {
    let tensor = try file.tensor(name)
    let width = tensor.shape.last ?? 1
    let numbers = try file.floats(name).map(Double.init)
    return stride(from: 0, to: numbers.count, by: width).map { Array(numbers[$0..<$0 + width]) }
  }

  private func product(_ a: [Double], _ b: [Double]) -> Double {
    zip(a, b).reduce(0) { $0 + $1.0 * $1.1 }
  }

  /// Row `index` of the fixture's data as SAELens scales it: to the norm √d.
  private func scaledRow(_ data: String, _ index: Int) throws -> [Double] {
    let matrix = try openRows(path: data).matrix(rows: index..<index + 1)
    let row = (0..<matrix.columns).map { Double(matrix[0, $0]) }
    let factor = (Double(row.count) / product(row, row)).squareRoot()
    return row.map { $0 * factor }
  }

  private func expectAlike(_ expected: EncodedRow, _ codes: [Int: Double], _ rebuilt: [Double]) {
    let scale = Double(rebuilt.count).squareRoot()
    #expect(Set(codes.keys) == Set(expected.codes.keys))
    for (latent, code) in codes {
      #expect(abs(code / scale - (expected.codes[latent] ?? .infinity)) < 1e-5)
    }
    for (a, b) in zip(rebuilt, expected.reconstruction) { #expect(abs(a / scale - b) < 1e-5) }
  }

  /// A whitened dictionary is folded: its decoder rows have no unit norm, and SAELens must choose codes before it multiplies
  /// them by norms.
  @Test(arguments: [
    ["--bias=geometric-median"], ["--whiten=activations"],
    ["--whiten=activations", "--whiten-loss=original", "--bias=geometric-median"],
  ])
  func flatIsSAELensTopK(_ own: [String]) throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--sublatents=0", "--subspace=0", "--steps=60"] + own
      let trained = try runHSAE(
        fixture.training("run", options), environment: ["HSAE_CACHE": fixture.path("cache")])
      #expect(trained.code == 0, "\(trained.errors)")
      let out = fixture.path("saelens")
      let result = try runHSAE(["export", fixture.path("run"), "--out", out])
      #expect(result.code == 0, "\(result.errors)")
      #expect(try Path.list(out) == ["README.md", "cfg.json", "sae_weights.safetensors"])
      let cfg = try JSONFile.readTree(from: Path.join(out, "cfg.json"))
      #expect(cfg["architecture"]?.string == "topk" && cfg["d_sae"]?.integer == 40)
      #expect(cfg["normalize_activations"]?.string == "constant_norm_rescale")
      let isWhitened = own.contains("--whiten=activations")
      #expect(cfg["rescale_acts_by_decoder_norm"]?.bool == !isWhitened)

      let file = try SafetensorsFile(path: Path.join(out, "sae_weights.safetensors"))
      let (encoder, decoder) = (try rows(file, "W_enc"), try rows(file, "W_dec"))
      let bias = try rows(file, "b_dec")[0]
      #expect(try rows(file, "b_enc")[0].allSatisfy { $0 == 0 })
      let expected = try encoded(fixture.path("run"), fixture.data, experts: 40, sublatents: 0)
      #expect(expected.count == 50)
      for (index, row) in expected.enumerated() {
        let x = zip(try scaledRow(fixture.data, index), bias).map { $0 - $1 }
        let u = (0..<40).map { latent in product(x, encoder.map { $0[latent] }) }
        let top = u.enumerated().sorted { $0.element > $1.element }.prefix(3)
        let codes = Dictionary(
          uniqueKeysWithValues: top.filter { $0.element > 0 }.map { ($0.offset, $0.element) })
        let rebuilt = (0..<20).map { column in
          codes.reduce(bias[column]) { $0 + $1.value * decoder[$1.key][column] }
        }
        expectAlike(row, codes, rebuilt)
      }
      // Existing files are not replaced.
      #expect(try runHSAE(["export", fixture.path("run"), "--out", out]).code == 73)
    }
  }

  /// BatchTopK and JumpReLU become SAELens's JumpReLU: f = u · [u > θ] with u = (x − b_dec) · e + b_enc.
  @Test(arguments: [
    (["--activation=batchtopk", "--k=2.5", "--matryoshka=9,20"], "matryoshka_batchtopk"),
    (["--activation=batchtopk", "--k=3", "--threshold=0.05"], "batchtopk"),
    (
      ["--activation=jumprelu", "--l0-target=3", "--jumprelu-start=0.2", "--learning-rate=0.01"],
      "jumprelu"
    ),
  ])
  func otherSelectionsAreSAELensJumpReLU(_ options: [String], _ kind: String) throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let trained = try runHSAE(
        [
          "train", fixture.data, "--out", fixture.path("run"), "--experts=40", "--batch=64",
          "--sublatents=0", "--bias=geometric-median", "--encoder-bias=zero", "--steps=60",
        ] + options)
      #expect(trained.code == 0, "\(trained.errors)")
      let out = fixture.path("saelens")
      let result = try runHSAE(["export", fixture.path("run"), "--out", out])
      #expect(result.code == 0, "\(result.errors)")
      let cfg = try JSONFile.readTree(from: Path.join(out, "cfg.json"))
      #expect(cfg["architecture"]?.string == "jumprelu" && cfg["d_sae"]?.integer == 40)
      #expect(cfg["metadata"]?["trained_as"]?.string == kind)
      let file = try SafetensorsFile(path: Path.join(out, "sae_weights.safetensors"))
      let (encoder, decoder) = (try rows(file, "W_enc"), try rows(file, "W_dec"))
      let (bias, before) = (try rows(file, "b_dec")[0], try rows(file, "b_enc")[0])
      let thresholds = try rows(file, "threshold")[0]
      #expect(before.contains { $0 != 0 } && thresholds.contains { $0 > 0 })
      let expected = try encoded(fixture.path("run"), fixture.data, experts: 40, sublatents: 0)
      #expect(Set(expected.map(\.codes.count)).count > 1)
      for (index, row) in expected.enumerated() {
        let x = zip(try scaledRow(fixture.data, index), bias).map { $0 - $1 }
        let u = (0..<40).map { latent in
          product(x, encoder.map { $0[latent] }) + before[latent]
        }
        let active = (0..<40).filter { u[$0] > max(0, thresholds[$0]) }
        let codes = Dictionary(uniqueKeysWithValues: active.map { ($0, u[$0]) })
        let rebuilt = (0..<20).map { column in
          codes.reduce(bias[column]) { $0 + $1.value * decoder[$1.key][column] }
        }
        expectAlike(row, codes, rebuilt)
      }
    }
  }

  /// A whitened H-SAE unfolds too, and imported again it rebuilds rows alike.
  @Test func whitenedHierarchiesAreExported() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = ["--whiten=activations", "--steps=60"]
      let trained = try runHSAE(
        fixture.training("run", options), environment: ["HSAE_CACHE": fixture.path("cache")])
      #expect(trained.code == 0, "\(trained.errors)")
      let (out, back) = (fixture.path("saelens"), fixture.path("back"))
      #expect(try runHSAE(["export", fixture.path("run"), "--out", out]).code == 0)
      try expectUnfolded(out, fixture)
      let imported = try runHSAE(["import", out, "--out", back])
      #expect(imported.code == 0, "\(imported.errors)")
      let own = try encoded(fixture.path("run"), fixture.data, experts: 40, sublatents: 4)
      let other = try encoded(back, fixture.data, experts: 40, sublatents: 4)
      for (a, b) in zip(own, other) {
        #expect(a.codes.keys.count { $0 < 40 } == b.codes.keys.count { $0 < 40 })
        for (x, y) in zip(a.reconstruction, b.reconstruction) { #expect(abs(x - y) < 1e-5) }
      }
    }
  }

  @Test func hierarchicalTensorsUnfold() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      #expect(try runHSAE(fixture.training("run", ["--steps", "60"])).code == 0)
      let out = fixture.path("saelens")
      #expect(try runHSAE(["export", fixture.path("run"), "--out", out]).code == 0)
      // The folder has everything needed to load it, and a card that says so.
      #expect(
        try Path.list(out) == [
          "README.md", "cfg.json", "hsae_saelens.py", "sae_weights.safetensors",
        ])
      let module = try MappedFile(path: Path.join(out, "hsae_saelens.py")).copy()
      #expect(String(decoding: module, as: UTF8.self).contains("register_sae_class(\"hsae\""))
      let card = String(decoding: fileBytes(Path.join(out, "README.md")), as: UTF8.self)
      for part in [
        "## Training\n\nAt step 60: loss ", "on training rows", "Veitch", "`sub_slope`",
        "0.01 times",
      ] { #expect(card.contains(part), "\(part)") }
      let cfg = try JSONFile.readTree(from: Path.join(out, "cfg.json"))
      #expect(cfg["architecture"]?.string == "hsae" && cfg["d_sae"]?.integer == 200)
      try expectUnfolded(out, fixture)
    }
  }

  /// After BatchTopK and JumpReLU an expert is active above its own threshold, however many are.
  /// TopK with an encoder bias keeps its k.
  @Test(arguments: [
    (["--activation=batchtopk", "--k=2.5", "--bias=geometric-median"], " as BatchTopK "),
    (
      [
        "--activation=batchtopk", "--k=3", "--k-sub=1.5", "--encoder-bias=zero",
        "--matryoshka=9,40",
      ], " as Matryoshka BatchTopK "
    ),
    (
      ["--activation=jumprelu", "--l0-target=3", "--jumprelu-start=0.2", "--learning-rate=0.01"],
      " as JumpReLU "
    ),
    (["--k=3", "--encoder-bias=zero", "--learning-rate=0.01"], ""),
  ])
  func hierarchicalThresholdsAreExported(_ options: [String], _ kind: String) throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let trained = try runHSAE(
        [
          "train", fixture.data, "--out", fixture.path("run"), "--experts=40", "--sublatents=4",
          "--subspace=3", "--batch=64", "--steps=60",
        ] + options)
      #expect(trained.code == 0, "\(trained.errors)")
      let out = fixture.path("saelens")
      let result = try runHSAE(["export", fixture.path("run"), "--out", out])
      #expect(result.code == 0, "\(result.errors)")
      let cfg = try JSONFile.readTree(from: Path.join(out, "cfg.json"))
      let isUnbounded = !kind.isEmpty
      #expect(cfg["architecture"]?.string == "hsae")
      #expect(cfg["k"]?.integer == (isUnbounded ? 40 : 3))
      let numbers = try expectUnfolded(out, fixture)
      #expect(!isUnbounded || Set(numbers).count > 1)
      let card = String(decoding: fileBytes(Path.join(out, "README.md")), as: UTF8.self)
      #expect(card.contains("Trained by hsae\(kind.isEmpty ? " " : kind)for "))
      #expect(card.contains("active at a time") == !isUnbounded)

      // Imported again it has the same codes.
      let back = fixture.path("back")
      #expect(try runHSAE(["import", out, "--out", back]).code == 0)
      let own = try encoded(fixture.path("run"), fixture.data, experts: 40, sublatents: 4)
      for (row, other) in zip(
        own, try encoded(back, fixture.data, experts: 40, sublatents: 4))
      {
        #expect(Set(row.codes.keys) == Set(other.codes.keys))
        for (latent, code) in row.codes {
          #expect(abs(code - (other.codes[latent] ?? .nan)) < 1e-5)
        }
      }
      let info = try runHSAE(["info", back])
      #expect(info.output.contains(isUnbounded ? "any number active" : "3 active"))
      // And exported again it says how it was trained.
      let again = fixture.path("again")
      #expect(try runHSAE(["export", back, "--out", again]).code == 0)
      let metadata = try JSONFile.readTree(from: Path.join(again, "cfg.json"))["metadata"]
      #expect(metadata?["trained_as"] == cfg["metadata"]?["trained_as"])
      #expect(metadata?["training_tokens"]?.integer == 60 * 64)
    }
  }

  /// Decoder rows of one norm other than 1: codes are multiplied by it, and so is the threshold.
  @Test func hierarchicalDecoderRowsOfAnotherNorm() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      #expect(try runHSAE(fixture.training("run", ["--steps", "60"])).code == 0)
      let out = fixture.path("saelens")
      #expect(try runHSAE(["export", fixture.path("run"), "--out", out]).code == 0)
      let path = Path.join(out, "sae_weights.safetensors")
      let file = try SafetensorsFile(path: path)
      var writer = try SafetensorsWriter(
        path: path + ".new",
        tensors: file.tensors.map { .init($0.name, shape: $0.shape) })
      for tensor in file.tensors {
        let values = try file.floats(tensor.name)
        try writer.append(tensor.name, tensor.name == "decoder" ? values.map { 2 * $0 } : values)
      }
      _ = try writer.finish()
      try FileManager.default.removeItem(atPath: path)
      try FileManager.default.moveItem(atPath: path + ".new", toPath: path)
      #expect(try runHSAE(["import", out, "--out", fixture.path("back")]).code == 0)
      let own = try encoded(fixture.path("run"), fixture.data, experts: 40, sublatents: 4)
      let back = try encoded(fixture.path("back"), fixture.data, experts: 40, sublatents: 4)
      for (row, other) in zip(own, back) {
        #expect(Set(row.codes.keys) == Set(other.codes.keys))
        for (latent, code) in row.codes {
          let factor = latent < 40 ? 2.0 : 1
          #expect(abs(factor * code - (other.codes[latent] ?? .nan)) < 1e-5)
        }
      }
    }
  }

  /// Expects that SAELens's arithmetic of the folder `out` gives the codes of the run: 40 experts of 4 sublatents in 3
  /// dimensions. Returns the active experts of each row.
  @discardableResult
  private func expectUnfolded(_ out: String, _ fixture: CommandFixture) throws -> [Int] {
    let cfg = try JSONFile.readTree(from: Path.join(out, "cfg.json"))
    let number = { (name: String) in cfg[name]?.number ?? .nan }
    let file = try SafetensorsFile(path: Path.join(out, "sae_weights.safetensors"))
    var encoder = try rows(file, "encoder")
    var decoder = try rows(file, "decoder")
    for (name, sub) in [("down", "sub_encoder"), ("up", "sub_decoder")] {
      let (axes, atoms) = (try rows(file, name), try rows(file, sub))
      let directions = atoms.enumerated().map { index, atom in
        (0..<20).map { column in
          (0..<3).reduce(0) { $0 + atom[$1] * axes[index / 4 * 3 + $1][column] }
        }
      }
      if name == "down" { encoder += directions } else { decoder += directions }
    }
    #expect(encoder.count == 200 && decoder.count == 200)
    let bias = try rows(file, "bias")[0]
    let hasThresholds = file.tensors.contains { $0.name == "expert_threshold" }
    let before = hasThresholds ? try rows(file, "encoder_bias")[0] : []
    let thresholds = hasThresholds ? try rows(file, "expert_threshold")[0] : []
    let expected = try encoded(fixture.path("run"), fixture.data, experts: 40, sublatents: 4)
    for (index, row) in expected.enumerated() {
      let x = zip(try scaledRow(fixture.data, index), bias).map { $0 - $1 }
      let u = encoder.map { product(x, $0) }
      let first = u[..<40].enumerated().map { expert, value in
        guard hasThresholds else { return value }
        let own = value + before[expert]
        return own > thresholds[expert] ? own : 0
      }
      var codes: [Int: Double] = [:]
      for (expert, value) in first.enumerated().sorted(by: { $0.element > $1.element }).prefix(
        cfg["k"]?.integer ?? 0)
      {
        let z = value >= number("threshold") ? value : number("slope") * value
        if z <= 0 { continue }
        codes[expert] = z
        let children = u[(40 + 4 * expert)..<(44 + 4 * expert)]
        guard let (child, c) = zip(children.indices, children).max(by: { $0.1 < $1.1 }) else {
          continue
        }
        codes[child] = c >= number("sub_threshold") ? c : number("sub_slope") * c
      }
      let rebuilt = (0..<20).map { column in
        codes.reduce(bias[column]) { $0 + $1.value * decoder[$1.key][column] }
      }
      expectAlike(row, codes.filter { $0.value != 0 || $0.key < 40 }, rebuilt)
    }
    return expected.map { $0.codes.keys.count { $0 < 40 } }
  }

  /// A model of the catalogue is recognised by its file's hash, whatever name the file states, or by its name.
  @Test(arguments: [("Smollm2 135M 8k", true), ("Gemma 3 270m", false), ("another", false)])
  func modelsOfTheCatalogueHaveTheHubsName(_ name: String, hasHash: Bool) throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      #expect(try runHSAE(fixture.training("run", ["--steps", "5"])).code == 0)
      let store = fixture.path("store")
      let hash = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
      var attributes = StoreAttributes(
        kind: .unembedding, modelName: name, modelSHA256: hasHash ? hash : "0",
        hookPoint: "unembedding")
      attributes.preprocessing = "centred"
      var rows = Matrix(rows: 8, columns: 20)
      for row in 0..<8 { rows[row, row] = 1 }
      try ActivationStore.create(
        at: store, attributes: attributes, rows: rows, norms: Array(repeating: 1, count: 8),
        tokens: Array(0..<8), vocabulary: (0..<8).map(String.init), shuffleSeed: 3)
      let out = fixture.path("out")
      let result = try runHSAE(["export", fixture.path("run"), "--out", out, "--store", store])
      #expect(result.code == 0, "\(result.errors)")
      let metadata = try JSONFile.readTree(from: Path.join(out, "cfg.json"))["metadata"]
      let card = String(decoding: fileBytes(Path.join(out, "README.md")), as: UTF8.self)
      #expect(card.contains("8 rows of the model's unembedding matrix"))
      let known = [
        "Smollm2 135M 8k": ("HuggingFaceTB/SmolLM2-135M-Instruct", "Apache License 2.0"),
        "Gemma 3 270m": ("google/gemma-3-270m", "Gemma Terms of Use"),
      ]
      #expect(metadata?["model_name"]?.string == known[name]?.0 ?? name)
      if let (hubName, licence) = known[name] {
        #expect(card.contains("base_model: \(hubName)\n"))
        #expect(card.contains("\(hubName) is under this licence: \(licence)"))
        #expect(card.contains("for its owner to choose"))
      } else {
        #expect(!card.contains("base_model") && !card.contains("licence"))
      }
    }
  }

  @Test func theStoreNamesTheModelAndBadInputGivesOneSentence() throws {
    try withTemporaryFolder { folder in
      let (store, runs) = try collectAndTrain(
        in: folder, documents: 100, sizes: CommandFixture.small)
      let out = Path.join(folder, "out")
      let result = try runHSAE(["export", runs[1], "--out", out, "--model-name", "made/up"])
      #expect(result.code == 0, "\(result.errors)")
      let metadata = try JSONFile.readTree(from: Path.join(out, "cfg.json"))["metadata"]
      #expect(metadata?["hook_name"]?.string == "blocks.3.hook_resid_post")
      #expect(metadata?["model_name"]?.string == "made/up")
      let card = String(decoding: fileBytes(Path.join(out, "README.md")), as: UTF8.self)
      #expect(card.contains("base_model: made/up") && !card.contains("## Licence"))
      for part in ["## Data", "more rows were held out", "## Training", "explained variance 0."] {
        #expect(card.contains(part), "\(part)")
      }

      let fixture = try CommandFixture(in: folder)
      let other = Path.join(folder, "other")
      expectRefusal(
        try runHSAE(["export", runs[0], "--out", Path.join(folder, "none/x")]), 73,
        ["no such folder"])
      expectRefusal(
        try runHSAE(["export", runs[0], "--out", other, "--store", fixture.data]), 65, ["store"])
      expectRefusal(try runHSAE(["export", folder, "--out", other]), 66, ["config.json"])
      expectRefusal(try runHSAE(["encode", runs[0], fixture.data]), 65, ["width 20", "needs 64"])
      expectRefusal(try runHSAE(["encode", runs[0], store, "--first", "9999999"]), 64, ["--first"])
      #expect(!Path.exists(other))
    }
  }
}
