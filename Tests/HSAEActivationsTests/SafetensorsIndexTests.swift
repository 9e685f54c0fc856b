// Several `.safetensors` files with an index: read like one file, and refused by name where files and index differ.

import FoundationEssentials
import HSAESupport
import HSAETensors
import HSAETestSupport
import Testing

@testable import HSAEActivations

struct SafetensorsIndexTests {
  /// Writes tensors a [2 × 3], b [4 × 3], c [3] of the numbers 0, 1, …, and divides them into two files. Returns the
  /// index's path.
  private func write(to folder: String) throws -> String {
    let path = folder + "/model.safetensors"
    let shapes = [("a", [2, 3]), ("b", [4, 3]), ("c", [3])]
    var writer = try SafetensorsWriter(
      path: path, tensors: shapes.map { .init($0.0, shape: $0.1) })
    var next = 0
    for (name, shape) in shapes {
      let count = shape.reduce(1, *)
      try writer.append(name, (next..<next + count).map { Float($0) })
      next += count
    }
    _ = try writer.finish()
    return try divideSafetensors(path, into: 2)
  }

  private let b = (6..<18).map { Float($0) }

  @Test func filesWithAnIndexAreReadLikeOne() throws {
    try withTemporaryFolder { folder in
      let index = try write(to: folder)
      #expect(!Path.exists(folder + "/model.safetensors"))
      let file = try SafetensorsFile(path: index)
      #expect(Set(file.tensors.map(\.name)) == ["a", "b", "c"] && file.path == index)
      #expect(
        file.paths.map(Path.name) == [
          "model.safetensors.index.json", "model-00001-of-00002.safetensors",
          "model-00002-of-00002.safetensors",
        ])
      #expect(try file.floats("a") == (0..<6).map { Float($0) } && file.floats("b") == b)
      #expect(try file.floats("c") == [18, 19, 20])
      // As rows: by the index, by its folder, and by the file that has the tensor.
      let rows = try openRows(path: index, tensor: "b")
      #expect(try rows.matrix(rows: 0..<4).elements == b && rows.path == index)
      #expect(try openRows(path: folder, tensor: "b").fingerprint == rows.fingerprint)
      let alone = try openRows(path: folder + "/model-00002-of-00002.safetensors")
      #expect(alone.fingerprint == rows.fingerprint)
      let several = failure { _ = try openRows(path: index) }
      #expect(several?.message.contains("2 matrices of floats (a, b)") == true)
      #expect(several?.message.contains("--tensor") == true)
    }
  }

  @Test func theIndexOfAFileIsFoundByItsName() throws {
    try withTemporaryFolder { folder in
      let index = folder + "/model.safetensors.index.json"
      try DurableFile.write("{}", to: index)
      for name in ["model", "model-00001-of-00002", "model-99999-of-99999"] {
        #expect(SafetensorsIndex.path(for: "\(folder)/\(name).safetensors") == index)
      }
      let others = [
        "model-0001-of-00002", "model-00001-of-0000x", "model_00001-of-00002",
        "model-00001-of-00002-00001-of-00002",
        "-00001-of-00002", "mod", "",
      ]
      for name in others {
        #expect(SafetensorsIndex.path(for: "\(folder)/\(name).safetensors") == nil, "\(name)")
      }
      #expect(SafetensorsIndex.path(for: folder + "/model.npz") == nil)
    }
  }

  @Test func whatIsMissingIsNamed() throws {
    try withTemporaryFolder { folder in
      let index = try write(to: folder)
      // A file alone says where the others are.
      let other = failure {
        _ = try openRows(path: folder + "/model-00001-of-00002.safetensors", tensor: "b")
      }
      #expect(other?.message.contains(index) == true, "\(other?.message ?? "")")
      Path.removeAll(folder + "/model-00001-of-00002.safetensors")
      let missing = failure { _ = try SafetensorsFile(path: index) }
      #expect(missing?.kind == .missing)
      #expect(missing?.message.contains("model-00001-of-00002") == true)
      // Only the file of the tensor is needed.
      #expect(try openRows(path: index, tensor: "b").matrix(rows: 0..<4).elements == b)
      #expect(failure { _ = try openRows(path: index, tensor: "a") }?.kind == .missing)
      #expect(failure { _ = try openRows(path: index, tensor: "d") }?.kind == .missing)
    }
  }

  @Test(arguments: [
    (#""b": "model-00002"#, #""d": "model-00002"#, "\"b\""),
    (#""c": "model-00001"#, #""c": "model-00002"#, "\"c\""),
    (#""weight_map": {"#, #""weight_map": {"e": "model-00001-of-00002.safetensors", "#, "\"e\""),
    ("model-00002-of", "../model-00002-of", "\"b\""), ("model-00002-of", ".hidden-of", "\"b\""),
    (#""weight_map""#, #""weights_map""#, "neither"),
  ])
  func anIndexThatDoesNotFitIsRefused(old: String, new: String, words: String) throws {
    try withTemporaryFolder { folder in
      let index = try write(to: folder)
      let text = String(decoding: fileBytes(index), as: UTF8.self)
      let changed = text.replacing(old, with: new)
      try #require(changed != text)
      try DurableFile.write(changed, to: index)
      let found = failure { _ = try openRows(path: index) }
      #expect(
        found?.kind == .data && found?.message.contains(words) == true, "\(found?.message ?? "")")
    }
  }

  @Test(arguments: [
    #"{"weight_map": {}}"#, #"{"weight_map": []}"#, #"{"weight_map": {"a": 1}}"#,
    #"{"weight_map": {"a": ""}}"#, #"{"weight_map": {"a": "/etc/passwd"}}"#, "{", "{}",
  ])
  func hostileIndices(text: String) throws {
    try withTemporaryFolder { folder in
      let path = folder + "/model.safetensors.index.json"
      try DurableFile.write(text, to: path)
      #expect(failure { _ = try openRows(path: path) }?.kind == .data)
    }
  }
}
