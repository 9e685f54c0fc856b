// A folder for one test's files, removed afterwards.

import FoundationEssentials
public import HSAESupport

/// Calls `body` with the path of a new, empty folder in `parent` or where the system has temporary files, and then
/// removes the folder with its content.
public func withTemporaryFolder<Result>(
  in parent: String? = nil, _ body: (String) throws -> Result
) throws -> Result {
  let parent = parent.map { URL(filePath: $0) } ?? FileManager.default.temporaryDirectory
  let path = parent.appendingPathComponent("hsae-test-\(UUID().uuidString)").path
  try Path.createDirectories(path)
  defer { Path.removeAll(path) }
  return try body(path)
}

/// The same for asynchronous tests.
public func withTemporaryFolder<Result>(
  _ body: (String) async throws -> Result
) async throws -> Result {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent(
    "hsae-test-\(UUID().uuidString)"
  ).path
  try Path.createDirectories(path)
  defer { Path.removeAll(path) }
  return try await body(path)
}

/// The failure that `body` throws; nil if it throws none.
public func failure(_ body: () throws -> Void) -> Failure? {
  do {
    try body()
    return nil
  } catch {
    return error as? Failure
  }
}
