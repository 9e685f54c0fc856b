// Runs another program to its end and takes its output. The program ends when this process ends: signals that
// would end this process end the child first, and the kernel ends it if this process is killed, where it can.

import Glibc
import Synchronization

// Safe, for all system calls of this file: pointers are to variables and buffers of the calling function, and
// the system uses them only during the call. The signal handler only uses an atomic and calls that handlers
// may make.

/// The running child's process id, for the signal handler; 0 if there is none.
private let runningChild = Atomic<Int32>(0)
private let fatalSignals: [Int32] = [SIGINT, SIGTERM, SIGHUP]

/// Running other programs. One at a time in a process.
package enum ChildProcess {
  /// Where a program's standard error goes.
  package enum Errors {
    /// To this process's standard error.
    case shown
    /// Nowhere.
    case dropped
    /// To the program's standard output.
    case merged
  }

  private static let turn = Mutex(())

  /// Runs `arguments` (the program's name, looked up in PATH, and its arguments) to its end and returns its
  /// exit status, or 128 plus the signal that ended it.
  ///
  /// Standard input is empty. `consume` receives standard output as it comes. Fails with `.unavailable` if
  /// the program cannot be started, and with what `consume` throws, after ending the program.
  package static func run(
    _ arguments: [String], errors: Errors = .shown,
    consume: (RawSpan) throws(Failure) -> Void
  ) throws(Failure) -> Int32 {
    precondition(!arguments.isEmpty, "A program has a name.")
    guard isInPath(arguments[0]) else { throw cannotStart(arguments[0]) }
    return try turn.withLock { (_) throws(Failure) in
      try runAlone(arguments, errors: errors, consume: consume)
    }
  }

  /// As above; also returns the output as text, at most its first 16 MiB.
  package static func output(
    of arguments: [String], errors: Errors = .shown
  ) throws(Failure) -> (status: Int32, text: String) {
    var bytes: [UInt8] = []
    let status = try run(arguments, errors: errors) { (chunk: RawSpan) throws(Failure) in
      guard bytes.count < 16 << 20 else { return }
      // Safe: the bytes are copied before the closure returns.
      unsafe chunk.withUnsafeBytes { unsafe bytes.append(contentsOf: $0) }
    }
    return (status, String(decoding: bytes, as: UTF8.self))
  }

  private static func runAlone(
    _ arguments: [String], errors: Errors, consume: (RawSpan) throws(Failure) -> Void
  ) throws(Failure) -> Int32 {
    var ends: (Int32, Int32) = (-1, -1)
    // Safe: a pair of Int32 has the layout of the two numbers that `pipe` writes.
    let made = unsafe withUnsafeMutableBytes(of: &ends) { buffer in
      unsafe pipe(buffer.assumingMemoryBound(to: Int32.self).baseAddress)
    }
    guard made == 0 else {
      throw Failure(.unavailable, "\(arguments[0]) cannot be started: no more files can be opened.")
    }
    let (reading, writing) = ends
    _ = fcntl(reading, F_SETFD, FD_CLOEXEC)
    _ = fcntl(writing, F_SETFD, FD_CLOEXEC)
    defer { close(reading) }
    // Until the handlers are restored, a fatal signal ends the child and then this process.
    var previous: [(Int32, sigaction)] = []
    for number in fatalSignals {
      var old = sigaction()
      var new = sigaction()
      unsafe new.__sigaction_handler.sa_handler = { number in
        let child = runningChild.load(ordering: .relaxed)
        if child > 0 { kill(child, SIGTERM) }
        signal(number, SIG_DFL)
        raise(number)
      }
      unsafe sigaction(number, &new, &old)
      // Safe: a handler is as wide as an Int, and 1 is SIG_IGN: what was ignored stays ignored.
      if unsafe unsafeBitCast(old.__sigaction_handler.sa_handler, to: Int.self) == 1 {
        unsafe sigaction(number, &old, nil)
      } else {
        previous.append((number, old))
      }
    }
    defer {
      for (number, old) in previous {
        var old = old
        unsafe sigaction(number, &old, nil)
      }
    }
    let spawned = spawn(endingWithUs(arguments), output: writing, errors: errors)
    close(writing)
    let child = try spawned.get()
    runningChild.store(child, ordering: .relaxed)
    defer { runningChild.store(0, ordering: .relaxed) }
    do {
      try drain(reading, consume)
    } catch {
      kill(child, SIGKILL)
      _ = wait(child)
      throw error
    }
    return wait(child)
  }

  /// `arguments`, wrapped so that the kernel ends the program when this process ends, where it can.
  private static func endingWithUs(_ arguments: [String]) -> [String] {
    let wrapper = "/usr/bin/setpriv"
    return Path.isExecutable(wrapper)
      ? [wrapper, "--pdeathsig", "TERM", "--"] + arguments : arguments
  }

  private static func spawn(
    _ arguments: [String], output: Int32, errors: Errors
  ) -> Result<pid_t, Failure> {
    // Safe: `actions`, `attributes` and the signal sets are initialised before use, live until this function
    // ends, and are destroyed once. The copied words end with nil and are freed after the call.
    var actions = unsafe posix_spawn_file_actions_t()
    unsafe posix_spawn_file_actions_init(&actions)
    defer { unsafe posix_spawn_file_actions_destroy(&actions) }
    unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    unsafe posix_spawn_file_actions_adddup2(&actions, output, 1)
    switch errors {
    case .shown: break
    case .dropped: unsafe posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0)
    case .merged: unsafe posix_spawn_file_actions_adddup2(&actions, output, 2)
    }
    var attributes = posix_spawnattr_t()
    unsafe posix_spawnattr_init(&attributes)
    defer { unsafe posix_spawnattr_destroy(&attributes) }
    // The child starts with default signals, whatever this process ignores or blocks.
    var defaults = sigset_t()
    unsafe sigemptyset(&defaults)
    var blocked = defaults
    for signal in fatalSignals + [SIGPIPE] { unsafe sigaddset(&defaults, signal) }
    unsafe posix_spawnattr_setsigdefault(&attributes, &defaults)
    unsafe posix_spawnattr_setsigmask(&attributes, &blocked)
    unsafe posix_spawnattr_setflags(
      &attributes, Int16(POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
    var words: [UnsafeMutablePointer<CChar>?] = unsafe arguments.map { unsafe strdup($0) } + [nil]
    defer { for index in unsafe words.indices { unsafe free(words[index]) } }
    var child: pid_t = 0
    let code = unsafe posix_spawnp(&child, arguments[0], &actions, &attributes, &words, environ)
    return code == 0 ? .success(child) : .failure(cannotStart(arguments[0]))
  }

  private static func isInPath(_ program: String) -> Bool {
    (environmentVariable("PATH") ?? "/usr/bin:/bin").split(separator: ":").contains { folder in
      Path.isExecutable("\(folder)/\(program)")
    }
  }

  private static func cannotStart(_ program: String) -> Failure {
    Failure(
      .unavailable, "The program \(program) cannot be started; run `make setup` to install it.")
  }

  private static func drain(
    _ reading: Int32, _ consume: (RawSpan) throws(Failure) -> Void
  ) throws(Failure) {
    let capacity = 1 << 18
    // Safe: freed when this function ends, after its last use.
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 64)
    defer { unsafe memory.deallocate() }
    while true {
      let count = uninterrupted { unsafe read(reading, memory.baseAddress, capacity) }
      if count == 0 { return }
      if count < 0 {
        throw Failure(.inputOutput, "Reading another program's output failed; run this again.")
      }
      // Safe: `read` just filled `count` bytes of `memory`, which lives until this function ends.
      try unsafe consume(RawSpan(_unsafeBytes: UnsafeRawBufferPointer(memory)[..<count]))
    }
  }

  private static func wait(_ child: pid_t) -> Int32 {
    var status: Int32 = 0
    guard uninterrupted({ unsafe waitpid(child, &status, 0) }) >= 0 else { return 127 }
    let signal = status & 0x7F
    return signal == 0 ? (status >> 8) & 0xFF : 128 + signal
  }
}
