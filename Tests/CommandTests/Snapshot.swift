// Text that is compared with a file in the tree, so that a person sees every change.

import Foundation
import Testing

/// Compares `text` with the file `name` in the folder `Snapshots` beside the test's file.
///
/// With RECORD_SNAPSHOTS=1 in the environment it writes the file instead.
func expectSnapshot(
  _ text: String, _ name: String, filePath: String = #filePath,
  at location: SourceLocation = #_sourceLocation
) throws {
  let folder = URL(fileURLWithPath: filePath).deletingLastPathComponent()
    .appendingPathComponent("Snapshots")
  let file = folder.appendingPathComponent(name)
  if ProcessInfo.processInfo.environment["RECORD_SNAPSHOTS"] == "1" {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try Data(text.utf8).write(to: file)
    return
  }
  let expected = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
  guard text != expected else { return }
  let (old, new) = (expected.split(separator: "\n"), text.split(separator: "\n"))
  let change = zip(old, new).first { $0 != $1 }
  Issue.record(
    """
    \(name) differs\(change.map { ": \"\($0.1)\" was \"\($0.0)\"" } ?? " in length"); if that is \
    meant, record it again with RECORD_SNAPSHOTS=1.
    """, sourceLocation: location)
}
