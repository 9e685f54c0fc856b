// Ctrl-C and SIGTERM: the first one asks the work to stop where it can go on again, one more than a
// second later ends the process as usual.
//
// Both signals are blocked, so that no handler ever runs on a computing thread: oneDNN's fp32 kernels
// keep data below the stack pointer and do not survive one. Dispatch reads them from a descriptor.

internal import Dispatch
internal import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Watches for SIGINT and SIGTERM while it lives.
///
/// Make it on the main thread, before others have been started.
public final class Interruption: @unchecked Sendable {
  // Safe: `sources` is written once in `init`; `received` is atomic; `first` is used on `queue` only.
  private let received = Atomic<Int32>(0)
  private let sources: [any DispatchSourceSignal]
  private var first = ContinuousClock.now

  /// What comes within this time of the first signal is the same wish: `timeout` signals the process
  /// and then its group, and a terminal's Ctrl-C reaches both a shell that passes it on and us.
  private static let echo = Duration.seconds(1)

  /// Begins to watch. `notify` is called once, on another thread, with the first signal that comes.
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
          // The second time: what the signal does to any process.
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

  /// Blocks or unblocks both signals for this thread and those it starts.
  private static func mask(_ how: Int32) {
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
