// Memory of a device: one array of numbers.

internal import CPJRT
package import HSAESupport

/// A type of numbers that the host and a device exchange.
package protocol DeviceElement: BitwiseCopyable {
  /// Its name in programs.
  static var deviceType: ElementType { get }
  /// Zero.
  init()
}

extension Float: DeviceElement {
  package static var deviceType: ElementType { .f32 }
}

extension Int64: DeviceElement {
  package static var deviceType: ElementType { .i64 }
}

extension ElementType {
  /// PJRT's number of a type that the host and a device exchange.
  var code: Int32 { self == .i64 ? Int32(CPJRT_S64) : Int32(CPJRT_F32) }
}

/// An array on a device. The object owns it.
@safe
package final class DeviceArray {
  /// The type of its elements.
  package let type: ElementType
  /// The sides, slowest first.
  package let shape: [Int]
  let handle: OpaquePointer
  private let plugin: Plugin

  /// The array that `handle` stands for.
  ///
  /// - Safety: nobody else releases the handle.
  @unsafe init(_ handle: OpaquePointer, _ type: ElementType, _ shape: [Int], on plugin: Plugin) {
    unsafe self.handle = handle
    (self.type, self.shape, self.plugin) = (type, shape, plugin)
  }

  deinit {
    var arguments = unsafe PJRT_Buffer_Destroy_Args()
    unsafe arguments.buffer = handle
    // A device that cannot release memory fails at its next call too.
    try? unsafe plugin.call(\.Buffer_Destroy, &arguments, "release memory")
  }

  /// Its elements, copied to the host once the device has computed them.
  package func elements<Element: DeviceElement>(
    _: Element.Type = Element.self
  ) throws(Failure) -> [Element] {
    precondition(type == Element.deviceType, "The array has elements of another type.")
    var result = [Element](repeating: Element(), count: shape.reduce(1, *))
    var failure: Failure?
    // Safe: the array has room for all elements, and the copy is complete when `wait` returns.
    unsafe result.withUnsafeMutableBytes { bytes in
      var arguments = unsafe PJRT_Buffer_ToHostBuffer_Args()
      unsafe arguments.src = handle
      unsafe arguments.dst = bytes.baseAddress
      unsafe arguments.dst_size = bytes.count
      do throws(Failure) {
        try unsafe plugin.call(\.Buffer_ToHostBuffer, &arguments, "give back data")
        try unsafe plugin.wait(arguments.event, "compute the step")
      } catch { failure = error }
    }
    if let failure { throw failure }
    return result
  }
}
