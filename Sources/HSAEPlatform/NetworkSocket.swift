// What the explorer's server needs of the operating system beyond its HTTP library.

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif
/// Settings and errors of sockets.
package enum NetworkSocket {
  /// The system's error number for an address that this machine does not have.
  package static let addressNotAvailable = EADDRNOTAVAIL

  /// Has the TCP socket send what is written at once, instead of collecting it.
  package static func sendAtOnce(_ socket: Int32) {
    var isOn: Int32 = 1
    _ = unsafe setsockopt(
      socket, Int32(IPPROTO_TCP), TCP_NODELAY, &isOn, socklen_t(MemoryLayout<Int32>.size))
  }
}
