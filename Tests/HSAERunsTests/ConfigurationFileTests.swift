// Options from a file: every option is a key, the command line wins, wrong files are refused.

import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAERuns

@Suite struct ConfigurationFileTests {
  @Test func everyOptionIsAKey() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "options.json")
      try DurableFile.write(
        """
        {"preset": "unembedding", "experts": 10, "sublatents": 3, "subspace": 2, "k": 4, "steps": 6,
         "batch": 8, "seed": 9, "precision": "float32", "order": "file", "normalize": "none",
         "init": "w.safetensors", "learning-rate": 1e-3, "learning-rate-start": 0,
         "learning-rate-floor": 0.5, "warmup": 2, "schedule": "constant", "clip": 2, "beta": 0.5,
         "ortho": 0.25, "l1": 0.125, "l1-scope": "topk", "regularizer-warmup": 3, "threshold": 0.1,
         "threshold-sub": 0.2, "slope-top": 0.3, "slope-sub": 0.4, "bias": "geometric-median",
         "auxk": 0.5, "auxk-k": 7, "dead-window": 100, "checkpoint-every": 11, "record-every": 12,
         "keep": 3, "threads": 2, "tensor": "rows", "moments": "bfloat16",
         "order-seed": 8, "activation": "batchtopk", "batchtopk-rate": 0.5, "batchtopk-start": 0.1,
         "l0-target": 9.5, "l0-weight": 0.1, "jumprelu-bandwidth": 0.2, "jumprelu-start": 0.3,
         "dead-penalty": 0.4, "most-active": 99, "matryoshka": [2, 5], "matryoshka-weights": [1, 0.5],
         "encoder-bias": "zero", "freeze": "encoder", "decoder-cosine": 0.8,
         "whiten": "activations", "whiten-loss": "original", "whiten-ridge": 0.01,
         "auxk-scale": "dead-share", "auxk-scope": "prefixes", "k-sub": 1.5}
        """, to: path)
      let options = try TrainingOptions.read(from: path)
      #expect(options.learningRateFloor == 0.5 && options.l1Scope == .topK && options.auxkK == 7)
      #expect(options.bias == .geometricMedian && options.keep == 3)
      #expect(options.initialWeights == "w.safetensors")
      #expect(options.threads == 2 && options.tensor == "rows")
      #expect(options.moments == .bfloat16 && options.orderSeed == 8)
      #expect(options.matryoshka == [2, 5] && options.matryoshkaWeights == [1, 0.5])
      #expect(options.activation == .batchtopk && options.auxkScale == .deadShare)
      // All keys but epochs, which excludes steps.
      let tree = try JSONFile.readTree(from: path)
      let names = Set(TrainingOptions.table.map(\.name))
      #expect(Set(tree.object?.keys.map { $0 } ?? []) == names.subtracting(["epochs"]))
      // The command line wins, key by key.
      var given = TrainingOptions()
      given.experts = 20
      given.epochs = 2
      let both = given.filled(from: options)
      #expect(both.experts == 20 && both.epochs == 2 && both.steps == nil && both.k == 4)
      var rest = options
      rest.experts = 20
      rest.epochs = 2
      rest.steps = nil
      #expect(both == rest)
      #expect(TrainingOptions().filled(from: options) == options)
      #expect(options.filled(from: given).experts == 10)
    }
  }

  /// Sublatents and subspace together choose between flat and hierarchical; the command line decides.
  @Test func aFlatDictionaryMayBeChosenAgainstAFile() {
    func options(_ sublatents: Int?, _ subspace: Int?) -> TrainingOptions {
      var options = TrainingOptions()
      (options.sublatents, options.subspace) = (sublatents, subspace)
      return options
    }
    let (file, flat) = (options(16, 4), options(0, 0))
    #expect(options(0, nil).filled(from: file) == options(0, nil))
    #expect(options(nil, 0).filled(from: file) == options(nil, 0))
    #expect(options(8, nil).filled(from: flat) == options(8, nil))
    #expect(options(nil, 2).filled(from: flat) == options(nil, 2))
    #expect(options(8, nil).filled(from: file) == options(8, 4))
    #expect(options(nil, nil).filled(from: flat) == flat)
    // Contradictions on the command line are still refused.
    #expect(options(0, 3).filled(from: file) == options(0, 3))
  }

  @Test(arguments: [
    (#"{"expert": 5}"#, #"did you mean "experts"?"#), (#"{"learning_rate": 5}"#, "learning-rate"),
    (#"{"l1scope": 5}"#, "l1-scope"), (#"{"colour": 5}"#, "colour"), (#"{"k": "five"}"#, "k"),
    (#"{"precision": "float16"}"#, "\"precision\" must be one of float32, bfloat16, auto"),
    (#"{"seed": 5.5}"#, "seed"), (#"{"seed": -1}"#, "seed"), (#"{"clip": "a"}"#, "clip"),
    (#"{"order": 5}"#, "order"),
    (#"{"k": 5, "k": 6}"#, "byte"), (#"[]"#, "object"), (#"{"k": 5"#, "byte"), ("", "byte"),
    (#"{"experts": 99999999999999999999}"#, "experts"), (#"{"experts": 5.5}"#, "experts"),
    (#"{"matryoshka": "5,6"}"#, "matryoshka"), (#"{"activation": "relu"}"#, "jumprelu"),
    (#"{"threads": 0}"#, "threads"),
    (#"{"clip": -1}"#, "\"clip\" must not be negative, not -1.0."),
    (#"{"keep": 0}"#, "\"keep\" must be at least 1, not 0."),
    (#"{"out": "run"}"#, "out"),
  ])
  func wrongFilesAreRefused(_ text: String, _ named: String) throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "options.json")
      try DurableFile.write(text, to: path)
      let refusal = failure { _ = try TrainingOptions.read(from: path) }
      #expect(refusal?.kind == .data)
      let message = refusal?.message ?? ""
      #expect(message.contains(path) && message.contains(named), "\(message)")
      #expect(!message.contains("\n"))
    }
  }

  @Test func aResolvedConfigurationRoundTrips() throws {
    try withTemporaryFolder { folder in
      let path = Path.join(folder, "config.json")
      let configuration = try resolve {
        $0.preset = .unembedding; $0.seed = .max
      }
      try JSONFile.write(configuration, to: path)
      #expect(try JSONFile.read(TrainingConfiguration.self, from: path) == configuration)
    }
  }
}
