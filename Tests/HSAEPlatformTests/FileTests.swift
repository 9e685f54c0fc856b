// Locks, mapped files and paths.

import Foundation
import HSAEPlatform
import HSAETestSupport
import Testing

struct FileTests {
  @Test func aSecondHolderOfALockIsRefusedByName() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/lock"
      do {
        let lock = try FileLock(path: path, purpose: "The run here")
        let found = failure { _ = try FileLock(path: path, purpose: "The run here") }
        #expect(found?.kind == .cannotCreate)
        #expect(found?.message.contains("The run here is in use by process \(getpid())") == true)
        _ = lock.path
      }
      _ = try FileLock(path: path, purpose: "The run here")
      #expect(failure { _ = try FileLock(path: folder + "/no/lock", purpose: "x") } != nil)
    }
  }

  @Test func mappedFilesShowTheirBytes() throws {
    try withTemporaryFolder { folder in
      try Data([7, 8, 9]).write(to: URL(filePath: folder + "/three"))
      try Data().write(to: URL(filePath: folder + "/none"))
      let three = try MappedFile(path: folder + "/three")
      #expect(three.copy() == [7, 8, 9])
      #expect(three.copy(1..<2) == [8])
      #expect(try MappedFile(path: folder + "/none").copy() == [])
      #expect(failure { _ = try MappedFile(path: folder + "/no") }?.kind == .missing)
      #expect(failure { _ = try MappedFile(path: folder) }?.kind == .data)
    }
  }

  @Test(arguments: [
    ("a/b", "a", "b"), ("/a", "/", "a"), ("a", ".", "a"), ("a/b/", "a", "b"), ("/", "/", ""),
  ])
  func paths(path: String, parent: String, name: String) {
    #expect(Path.parent(path) == parent)
    #expect(Path.name(path) == name)
  }
}
