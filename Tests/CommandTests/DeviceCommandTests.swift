// hsae train --backend pjrt as a user runs it: with a plugin, and what it says where something is missing.

import HSAESupport
import HSAETestSupport
import Testing

@Suite struct DeviceCommandTests {
  private let device = ["--backend", "pjrt"]

  /// Begun on this machine's processors, continued on a device, and back.
  @Test(.enabled(if: devicePlugin != nil, Comment(rawValue: needsPlugin)))
  func aRunMovesToADeviceAndBack() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let plugin = device + ["--plugin", devicePlugin ?? ""]
      let options = ["--steps", "12", "--checkpoint-every", "4", "--precision", "float32"]
      #expect(try runHSAE(fixture.training("cpu", options)).code == 0)
      // A copy that stopped after its first checkpoint.
      #expect(try runHSAE(fixture.training("moved", options)).code == 0)
      for (step, backend) in [(4, plugin), (8, plugin), (8, [])] {
        for later in fixture.checkpoints("moved") where later > step {
          let digits = String(repeating: "0", count: 8 - String(later).count) + String(later)
          Path.removeAll(fixture.path("moved/checkpoints/step-\(digits)"))
        }
        let result = try runHSAE(fixture.resuming("moved") + backend)
        #expect(result.code == 0, "\(result.errors)")
        #expect(result.errors.contains("computes the steps") == !backend.isEmpty)
      }
      #expect(fixture.checkpoints("moved") == fixture.checkpoints("cpu"))
    }
  }

  @Test func whatIsMissingIsSaidBeforeAnythingStarts() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      func refuse(_ options: [String], _ code: Int32, _ parts: [String]) throws {
        let result = try runHSAE(
          fixture.training("run", ["--steps", "4"] + options), environment: ["HSAE_CACHE": folder])
        expectRefusal(result, code, parts)
        #expect(!Path.exists(fixture.path("run")))
      }
      try refuse(device, 69, ["hsae fetch plugin cpu", "--plugin"])
      try refuse(device + ["--plugin", fixture.path("none.so")], 66, ["none.so", "no such file"])
      try refuse(device + ["--plugin", fixture.data], 69, ["rows.npy", "cannot be loaded"])
      let library = "/lib/x86_64-linux-gnu/libm.so.6"
      try refuse(device + ["--plugin", library], 65, [library, "not a PJRT plugin"])
      try refuse(device + ["--activation", "batchtopk"], 69, ["--activation batchtopk"])
    }
  }

  @Test(.enabled(if: devicePlugin != nil, Comment(rawValue: needsPlugin)))
  func aDeviceThatIsNotThereIsSaid() throws {
    try withTemporaryFolder { folder in
      let fixture = try CommandFixture(in: folder)
      let options = device + ["--plugin", devicePlugin ?? "", "--steps", "2", "--device"]
      expectRefusal(
        try runHSAE(fixture.training("run", options + ["99"])), 64,
        ["--device 99", "numbered from 0"])
      #expect(!Path.exists(fixture.path("run")))
      // The plugin for processors offers several devices.
      let second = try runHSAE(fixture.training("run", options + ["1"]))
      #expect(second.code == 0 && second.errors.contains("device 1 of"), "\(second.errors)")
    }
  }
}
