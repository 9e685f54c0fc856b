// Ctrl-C and SIGTERM. The first signal asks the work to stop at a place from which it can continue. Another
// signal more than a second later ends the process as usual.
//
// Both signals are blocked, so no handler ever runs on a computing thread: oneDNN's fp32 kernels keep data
// below the stack pointer, and a handler would overwrite it. Dispatch reads the signals from a descriptor.

import Dispatch
import Glibc
import Synchronization

/// Watches for SIGINT and SIGTERM while it exists.
///
/// Create it on the main thread, before other threads start.
public final class Interruption: @unchecked Sendable {
  // Safe: `sources` is written once in `init`, `received` is atomic, and only the queue uses `first`.
  private let received = Atomic<Int32>(0)
  private let sources: [any DispatchSourceSignal]
  private var first = ContinuousClock.now

  /// A signal within this time of the first one counts as the same request: `timeout` signals the process and
  /// then its group, and a terminal's Ctrl-C reaches both us and a shell that passes it on.
  private static let echo = Duration.seconds(1)

  /// Begins to watch. Calls `notify` once, on another thread, when the first signal arrives.
  public init(notify: @escaping @Sendable (Int32) -> Void = { _ in }) {
    Self.mask(SIG_BLOCK)
    let queue = DispatchQueue(label: "hsae.signals")
    sources = Self.signals.map { number in
      signal(number, SIG_IGN)
      return DispatchSource.makeSignalSource(signal: number, queue: queue)
    }
    for (source, number) in zip(sources, Self.signals) {
      source.setEventHandler { [weak self] in
        guard let self else { return }
        if received.compareExchange(expected: 0, desired: number, ordering: .relaxed).exchanged {
          first = .now
          notify(number)
        } else if .now - first >= Self.echo {
          // A second request: let the signal do what it does to any process.
          signal(number, SIG_DFL)
          Self.mask(SIG_UNBLOCK)
          kill(getpid(), number)
        }
      }
      source.activate()
    }
  }

  deinit {
    for source in sources { source.cancel() }
    for number in Self.signals { signal(number, SIG_DFL) }
    Self.mask(SIG_UNBLOCK)
  }

  private static let signals = [SIGINT, SIGTERM]

  /// Blocks or unblocks both signals for this thread and the threads it starts.
  private static func mask(_ how: Int32) {
    // Safe: the calls use `set`, which outlives them.
    var set = sigset_t()
    unsafe sigemptyset(&set)
    for number in signals { unsafe sigaddset(&set, number) }
    unsafe pthread_sigmask(how, &set, nil)
  }

  /// The signal received, if any.
  public var signalNumber: Int32? {
    let number = received.load(ordering: .relaxed)
    return number == 0 ? nil : number
  }
}
