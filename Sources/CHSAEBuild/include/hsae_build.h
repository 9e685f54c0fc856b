// Facts that are known only while the program is built. This is C because SwiftPM can pass a value to
// the C compiler (`HSAE_COMMIT` in `Package.swift`).
#ifndef HSAE_BUILD_H
#define HSAE_BUILD_H

/// The commit that was built, with `-modified` if the tree differed from it; empty if `HSAE_COMMIT` was
/// not set.
const char *_Nonnull hsae_build_commit(void);

/// The compiler of the C targets, which belongs to the Swift toolchain, such as `Clang 21.0.0`.
const char *_Nonnull hsae_build_compiler(void);

#endif
