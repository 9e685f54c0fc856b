// Durable files and folders: complete, or not there at all.

import Foundation
import HSAETestSupport
import Testing

@testable import HSAESupport

struct DurableTests {
  @Test func aFileAppearsOnlyWhenCommitted() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/out.bin"
      do {
        var file = try DurableFile(path: path)
        try file.write("half")
        #expect(!Path.exists(path))
      }
      #expect(try Path.list(folder) == [])
      var file = try DurableFile(path: path)
      try file.write("first ")
      try file.write([UInt8](repeating: 65, count: 1_000_000))
      #expect(file.count == 1_000_006)
      try file.commit()
      #expect(try Path.list(folder) == ["out.bin"])
      #expect(Path.fileSize(path) == 1_000_006)
      try DurableFile.write("second", to: path)
      #expect(Path.fileSize(path) == 6)
    }
  }

  @Test func onlyPartialFilesOfDeadProcessesAreRemoved() throws {
    try withTemporaryFolder { folder in
      try DurableFile.write("x", to: folder + "/.out.partial-99999999")
      try Path.createDirectories(folder + "/.store.partial-99999999/inner")
      let held = try Descriptor(updating: folder + "/.out.partial-1")
      let isLocked = held.tryLock()
      #expect(isLocked)
      try DurableFile.write("x", to: folder + "/out")
      let store = try DurableDirectory(path: folder + "/store")
      #expect(store.partialPath == folder + "/.store.partial-\(getpid())")
      #expect(
        try Path.list(folder) == [".out.partial-1", ".store.partial-\(getpid())", "out"])
      _ = held.path
    }
  }

  @Test func aFolderAppearsOnlyWhenCommitted() throws {
    try withTemporaryFolder { folder in
      let path = folder + "/store"
      do {
        let store = try DurableDirectory(path: path + "/")
        try DurableFile.write("x", to: store.file("a"))
        #expect(!Path.exists(path))
      }
      #expect(try Path.list(folder) == [])
      let store = try DurableDirectory(path: path)
      try Path.createDirectories(store.file("c/0"))
      try DurableFile.write("x", to: store.file("c/0/0"))
      try store.commit()
      #expect(try Path.list(folder) == ["store"])
      #expect(try Path.list(path + "/c/0") == ["0"])
      #expect(failure { _ = try DurableDirectory(path: path) }?.kind == .cannotCreate)
      let other = try DurableDirectory(path: path, replacing: true)
      try DurableFile.write("y", to: other.file("new"))
      try other.commit()
      #expect(try Path.list(folder) == ["store"])
      #expect(try Path.list(path) == ["new"])
    }
  }

  @Test func failuresToWriteGiveOneSentence() throws {
    try withTemporaryFolder { folder in
      try DurableFile.write("x", to: folder + "/file")
      for path in [folder + "/no/folder", folder + "/file/below", folder, "/proc/file"] {
        let found = failure { try DurableFile.write("x", to: path) }
        #expect(found?.kind == .cannotCreate, "\(path)")
        #expect(found?.message.hasPrefix(path) == true)
        #expect(failure { _ = try DurableDirectory(path: path) }?.kind == .cannotCreate)
      }
      #expect(try Path.list(folder) == ["file"])
    }
  }

  @Test func specialFilesAreNotReplaced() throws {
    try withTemporaryFolder { folder in
      let (pipe, link) = (folder + "/pipe", folder + "/link")
      try #require(unsafe mkfifo(pipe, 0o600) == 0)
      try #require(unsafe symlink("pipe", link) == 0)
      for path in [pipe, link] {
        let found = failure { try DurableFile.write("x", to: path) }
        #expect(
          found
            == Failure(.cannotCreate, "\(path): this is not an ordinary file; choose another path.")
        )
      }
      #expect(FileStatus(at: pipe)?.kind == .pipe)
      #expect(try Path.list(folder) == ["link", "pipe"])
    }
  }

  @Test func aSymbolicLinkStaysAndItsFileIsWritten() throws {
    try withTemporaryFolder { folder in
      try Path.createDirectories(folder + "/there")
      try DurableFile.write("old", to: folder + "/there/file")
      let links = [
        ("link", "there/file"), ("second", folder + "/link"), ("dangling", "there/new"),
        ("lost", "nowhere/file"), ("round", "round"),
      ]
      for (name, target) in links {
        try #require(unsafe symlink(target, folder + "/" + name) == 0)
      }
      for (name, file) in [("link", "file"), ("second", "file"), ("dangling", "new")] {
        try DurableFile.write(name, to: folder + "/" + name)
        #expect(try MappedFile(path: folder + "/there/" + file).copy() == Array(name.utf8))
      }
      for name in ["lost", "round"] {
        let found = failure { try DurableFile.write("x", to: folder + "/" + name) }
        #expect(found?.kind == .cannotCreate)
      }
      for (name, target) in links {
        #expect(Path.linkDestination(folder + "/" + name) == target)
      }
      #expect(try Path.list(folder + "/there") == ["file", "new"])
      #expect(try Path.list(folder).count == links.count + 1)
    }
  }

  @Test func aFullDiskFailsAndLeavesNoFile() throws {
    guard Path.exists("/dev/full") else { return }
    try withTemporaryFolder { folder in
      let partial = folder + "/.out.partial-1"
      try DurableFile.write("x", to: partial)
      let found = failure {
        var file = DurableFile(
          path: folder + "/out", partialPath: partial, try Descriptor(updating: "/dev/full"))
        try file.write([UInt8](repeating: 1, count: 1 << 20))
        try file.commit()
      }
      #expect(found?.kind == .inputOutput)
      #expect(found?.message.contains("no space") == true)
      #expect(try Path.list(folder) == [])
    }
  }
}
