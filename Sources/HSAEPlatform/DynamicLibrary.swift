// Shared libraries that are opened while the program runs, such as the plugins of devices.

import Glibc

/// A shared library, loaded until the process ends.
@safe
public struct DynamicLibrary: @unchecked Sendable {
  // Safe: the library is never unloaded, and looking up symbols changes nothing.
  private let handle: UnsafeMutableRawPointer

  /// Loads the library at `path`. Fails with `.missing` if there is no such file, and with `.unavailable` if it cannot
  /// be loaded: it is not a library, or another one that it needs is not there.
  public init(path: String) throws(Failure) {
    guard Path.exists(path) else { throw .missing("\(path): there is no such file.") }
    // Safe: the path is a string that ends in a zero, and the results are checked.
    guard let handle = unsafe dlopen(Path.absolute(path), RTLD_NOW | RTLD_LOCAL) else {
      let reason =
        unsafe dlerror().map { unsafe String(cString: $0) } ?? "the system does not say why"
      throw Failure(.unavailable, "\(path) cannot be loaded: \(reason).")
    }
    unsafe self.handle = handle
  }

  /// The address of the symbol `name`; nil if the library does not have it.
  ///
  /// - Safety: the caller knows what is at the address.
  @unsafe public func symbol(_ name: String) -> UnsafeMutableRawPointer? {
    unsafe dlsym(handle, name)
  }
}
