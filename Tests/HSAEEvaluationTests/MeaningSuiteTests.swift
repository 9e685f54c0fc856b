// Tests the suites `absorption` and `hierarchy` as a whole: dictionaries with known answers, and missing input.

import HSAEActivations
import HSAELanguageModels
import HSAEModels
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEEvaluation
@testable import HSAERuns

@Suite struct MeaningSuiteTests {
  private static func run(
    _ name: String, _ dictionary: SparseAutoencoder
  ) throws -> LoadedRun {
    let shape = dictionary.shape
    var options = TrainingOptions()
    (options.experts, options.sublatents) = (shape.experts, shape.sublatents)
    (options.subspace, options.k) = (shape.subspace, Double(shape.activeExperts))
    (options.steps, options.batch) = (1, 16)
    return LoadedRun(
      name: name, path: name,
      description: .trained(
        try TrainingConfiguration(
          options,
          data: DataDescription(path: "", fingerprint: "", rows: 100, width: shape.width))),
      step: 1, dictionary: dictionary)
  }

  // MARK: Absorption

  /// A latent for each letter; in the hierarchical dictionary each has two sublatents without effect.
  private static func letters(sublatents: Int) -> SparseAutoencoder {
    let shape = DictionaryShape(
      width: 64, experts: 26, sublatents: sublatents, subspace: min(sublatents, 1),
      activeExperts: 2)
    var parameters = Parameters(shape: shape)
    for letter in 0..<26 {
      parameters.encoderSide[letter * shape.rowsPerExpert, letter] = 1
      parameters.decoderSide[letter * shape.rowsPerExpert, letter] = 1
    }
    return SparseAutoencoder(
      parameters: parameters, activation: ActivationFunction(threshold: 0.3, subThreshold: 0.3))
  }

  @Test func absorptionOfAPerfectDictionaryIsNone() throws {
    var options = EvaluationOptions()
    (options.maxWords, options.resamples) = (1000, 50)
    let input = EvaluationInput(options: options, layer: 1) {
      (_, _) throws(Failure) in WordModel(each: 60)
    }
    let runs = [
      try Self.run("flat", Self.letters(sublatents: 0)),
      try Self.run("h", Self.letters(sublatents: 2)),
    ]
    let results = try AbsorptionSuite.evaluate(runs, input)
    #expect(results.count == 2)
    Definitions.expect(results)
    for result in results {
      #expect(result["mean_absorption_fraction"]?.value == 0)
      #expect(result["mean_full_absorption"]?.interval == Interval(0, 0))
      #expect(result["usable_letters"]?.value == 26 && result["mean_split_latents"]?.value == 1)
      #expect(result.tables[0].lines.count == 26)
      #expect(result.saeBench?.details.count == 26)
      #expect(result.saeBench?.metrics["mean"]?["mean_num_split_features"] == 1)
      // The top level alone, as hsae export --top-level writes it: `hsae`, because there is a threshold.
      #expect(result.saeBench?.architecture == .hsae && result.saeBench?.latents == 26)
    }
    #expect(results[0]["mean_absorption_fraction_with_sublatents"] == nil)
    #expect(results[1]["mean_absorption_fraction_with_sublatents"]?.value == 0)
    let again = try AbsorptionSuite.evaluate(runs, input)
    #expect(again == results)
  }

  @Test func aModelThatKnowsNoLettersIsCalledThat() throws {
    var options = EvaluationOptions()
    (options.maxWords, options.resamples) = (130, 50)
    let input = EvaluationInput(options: options, layer: 0) {
      (_, _) throws(Failure) in WordModel(each: 20)
    }
    // About one word for each letter is too little to learn from.
    let result = try AbsorptionSuite.evaluate(
      [Self.run("flat", Self.letters(sublatents: 0))], input)[0]
    #expect((result["usable_letters"]?.value ?? 26) < 20)
    #expect(result.notes.contains { $0.contains("of 26 letters") })
  }

  @Test func absorptionNeedsAModel() throws {
    let run = try Self.run("flat", Self.letters(sublatents: 0))
    let found = failure { _ = try AbsorptionSuite.evaluate([run], EvaluationInput()) }
    #expect(found?.kind == .usage && found?.message.contains("--model") == true)
    let bytes = EvaluationInput(layer: 0) { (_, _) throws(Failure) in SyntheticModel() }
    #expect(failure { _ = try AbsorptionSuite.evaluate([run], bytes) }?.kind == .data)
  }

  // MARK: Words

  private static let children = WordNetFixture.families.flatMap(\.children)

  /// A store of the fixture's words; a word lies on the axes of its family and its child.
  private static func store(_ path: String) throws -> ActivationStore {
    let words = WordNetFixture.words()
    var rows = Matrix(rows: words.count, columns: 20)
    var row = 0
    for (parent, family) in WordNetFixture.families.enumerated() {
      for own in family.children {
        let child = children.firstIndex { $0.name == own.name } ?? 0
        for _ in own.kinds {
          (rows[row, parent], rows[row, 3 + child]) = (1, 1)
          row += 1
        }
      }
    }
    for other in row..<words.count { rows[other, 13 + other % 7] = 1 }
    rows.scaleRowsToUnit()
    try ActivationStore.create(
      at: path,
      attributes: StoreAttributes(
        kind: .unembedding, modelName: "tiny", modelSHA256: "", hookPoint: "unembedding"),
      rows: rows, norms: Array(repeating: 1, count: words.count), tokens: words.tokens,
      vocabulary: words.vocabulary, shuffleSeed: 3)
    return try ActivationStore(path: path)
  }

  /// An expert for each family whose sublatents are its children.
  private static func hierarchical() -> SparseAutoencoder {
    let shape = DictionaryShape(
      width: 20, experts: 3, sublatents: 4, subspace: 4, activeExperts: 1)
    var parameters = Parameters(shape: shape)
    var child = 0
    for (parent, family) in WordNetFixture.families.enumerated() {
      parameters.encoderSide[parent * 5, parent] = 1
      parameters.decoderSide[parent * 5, parent] = 1
      for index in family.children.indices {
        parameters.encoderSide[parent * 5 + 1 + index, 3 + child] = 1
        parameters.decoderSide[parent * 5 + 1 + index, 3 + child] = 1
        parameters.subEncoder[parent * 4 + index, index] = 1
        parameters.subDecoder[parent * 4 + index, index] = 1
        child += 1
      }
    }
    return SparseAutoencoder(
      parameters: parameters, activation: ActivationFunction(threshold: 0.3, subThreshold: 0.3))
  }

  /// A latent for each child, whose direction is near its family's.
  private static func flat() -> SparseAutoencoder {
    let shape = DictionaryShape(
      width: 20, experts: 10, sublatents: 0, subspace: 0, activeExperts: 1)
    var parameters = Parameters(shape: shape)
    var child = 0
    for (parent, family) in WordNetFixture.families.enumerated() {
      for _ in family.children {
        parameters.encoderSide[child, 3 + child] = 1
        parameters.decoderSide[child, parent] = 0.9
        parameters.decoderSide[child, 3 + child] = 0.4
        child += 1
      }
    }
    return SparseAutoencoder(
      parameters: parameters, activation: ActivationFunction(threshold: 0.3, subThreshold: 0))
  }

  @Test func wordsAreHeldAgainstWordNet() throws {
    try withTemporaryFolder { folder in
      try WordNetFixture.write(to: folder)
      let store = try Self.store(Path.join(folder, "store"))
      var options = EvaluationOptions()
      (options.wordNet, options.resamples) = (folder, 50)
      let input = EvaluationInput(options: options, source: store)
      let results = try HierarchySuite.evaluate(
        [try Self.run("flat", Self.flat()), try Self.run("h", Self.hierarchical())], input)
      Definitions.expect(results)
      for result in results {
        #expect((result["taxonomy_score"]?.value ?? 0) > 0.95)
        #expect((result["taxonomy_score_random"]?.value ?? 1) < 0.35)
        #expect(result["judged_parents"]?.value == 3)
      }
      #expect(results[0].notes[0].contains("groups"))
      #expect(results[1].tables[0].lines.contains { $0.label.contains("animal") })
      var elsewhere = options
      elsewhere.wordNet = Path.join(folder, "nowhere")
      let missing = failure {
        _ = try HierarchySuite.evaluate([], EvaluationInput(options: elsewhere, source: store))
      }
      #expect(missing?.kind == .missing && missing?.message.contains("--wordnet") == true)
    }
  }

  @Test func nounsOfATextAreHeldAgainstWordNet() throws {
    try withTemporaryFolder { folder in
      try WordNetFixture.write(to: folder)
      let model = NounModel()
      let words = model.tokenizer.pieces.filter { $0 != "ish" }.map { String($0.dropFirst()) }
      var generator = SeededGenerator(seed: 2)
      let documents = (0..<40).map { _ in
        let text = words.shuffled(using: &generator).enumerated().map {
          $0 % 5 == 0 ? $1 + "ish" : $1
        }
        return Document(text: Array(text.joined(separator: " ").utf8), language: "en", title: nil)
      }
      let store = try EvaluationFixture.collect(
        Path.join(folder, "store"), model: model, documents: documents)
      var options = EvaluationOptions()
      (options.wordNet, options.resamples) = (folder, 50)
      let input = EvaluationInput(options: options, source: store)
      let rows = try TaxonomyResults(store: store, input: input).rows
      let whole = try StoredCorpus(store: store.path)
      let ish = Int32(words.count)
      #expect(rows.count > 4 * 70)
      for row in rows {
        let place = try #require(store.place(row))
        let tokens = try whole.tokens(of: place.document)
        #expect(tokens[place.position] == store.token(row))
        #expect(place.position + 1 == tokens.count || tokens[place.position + 1] != ish)
      }
      let results = try HierarchySuite.evaluate(
        [try Self.run("flat", Self.flat()), try Self.run("h", Self.hierarchical())], input)
      for result in results {
        #expect((result["taxonomy_score"]?.value ?? 0) > 0.95)
        #expect((result["taxonomy_score_random"]?.value ?? 1) < 0.35)
        #expect(result["parent_purity"] == nil)
        #expect(result.notes.contains { $0.contains("whole noun") })
      }
      // Neither topics nor WordNet: the missing topics are the failure.
      var elsewhere = options
      elsewhere.wordNet = Path.join(folder, "nowhere")
      let missing = failure {
        _ = try HierarchySuite.evaluate([], EvaluationInput(options: elsewhere, source: store))
      }
      #expect(missing?.kind == .data && missing?.message.contains("topic") == true)
    }
  }

  @Test func theHierarchyNeedsAStore() throws {
    #expect(failure { _ = try HierarchySuite.evaluate([], EvaluationInput()) }?.kind == .usage)
  }

  // MARK: Topics

  /// Documents with one of two topics, which their letters show.
  private static func documents(topics: Bool) -> [Document] {
    (0..<200).map { index in
      let letters = index % 2 == 0 ? "abcabcabcabc" : "xyzxyzxyzxyz"
      return Document(
        text: Array(letters.utf8), language: index % 4 < 2 ? "en" : "fr",
        topic: topics ? (index % 2 == 0 ? "first" : "last") : nil)
    }
  }

  private static func collect(_ path: String, topics: Bool) throws -> ActivationStore {
    var settings = CollectionSettings(block: 1)
    settings.contextLength = 64
    settings.holdoutFraction = 0.5
    let collector = try Collector(
      model: SyntheticModel(width: 16, contextLength: 64), settings: settings, path: path,
      corpus: [.init(name: "test", bytes: 1)])
    let documents = documents(topics: topics)
    _ = try collector.prepare(documents: { DocumentList(documents) }, threads: 2)
    _ = try collector.run()
    return try ActivationStore(path: path)
  }

  @Test func topicsOfDocuments() throws {
    try withTemporaryFolder { folder in
      let store = try Self.collect(Path.join(folder, "store"), topics: true)
      // Each latent is the direction of a byte's row, so it is active in one topic only.
      let shape = DictionaryShape(
        width: 16, experts: 8, sublatents: 0, subspace: 0, activeExperts: 1)
      var parameters = Parameters(shape: shape)
      let rows = try store.matrix(rows: 0..<8)
      for latent in 0..<8 {
        for column in 0..<16 {
          parameters.encoderSide[latent, column] = rows[latent, column]
          parameters.decoderSide[latent, column] = rows[latent, column]
        }
      }
      let dictionary = SparseAutoencoder(
        parameters: parameters, activation: ActivationFunction(threshold: 0.97, subThreshold: 0))
      var options = EvaluationOptions()
      options.resamples = 50
      let sizes = DictionaryShape(
        width: 16, experts: 8, sublatents: 3, subspace: 2, activeExperts: 2)
      let hierarchical = SparseAutoencoder(
        parameters: Parameters.initial(shape: sizes, seed: 1),
        activation: ActivationFunction(threshold: 0, subThreshold: 0))
      let results = try HierarchySuite.evaluate(
        [try Self.run("flat", dictionary), try Self.run("h", hierarchical)],
        EvaluationInput(options: options, source: store))
      Definitions.expect(results)
      #expect(results[1].numbers.count == 9)
      let result = results[0]
      #expect((result["parent_purity"]?.value ?? 0) > 0.99)
      #expect((result["parent_purity_shuffled"]?.value ?? 1) < 0.75)
      #expect((result["parent_purity_excess"]?.value ?? 0) > 0.25)
      #expect(result.evaluatedOn.contains("held-out"))
      let bare = try Self.collect(Path.join(folder, "bare"), topics: false)
      let found = failure { _ = try HierarchySuite.evaluate([], EvaluationInput(source: bare)) }
      #expect(found?.kind == .data && found?.message.contains("topic") == true)
    }
  }
}
