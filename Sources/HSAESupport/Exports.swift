// Whoever imports HSAESupport also sees HSAEPlatform: failures, files, paths.

@_exported public import HSAEPlatform
