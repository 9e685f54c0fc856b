// The plugin that tests of devices use, if there is one.

import HSAESupport

/// The path of a PJRT plugin, in HSAE_PLUGIN; nil if tests of devices are skipped. `make test` fetches one for processors.
public let devicePlugin: String? = environmentVariable("HSAE_PLUGIN")

/// Why tests of devices are skipped.
public let needsPlugin =
  "HSAE_PLUGIN does not name a plugin: hsae fetch plugin cpu prints the path of one."
