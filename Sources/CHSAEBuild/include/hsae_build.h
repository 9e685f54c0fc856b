// What is known about a build only while it is made. C, because here a value can be given to the
// compiler (`Package.swift`, `HSAE_COMMIT`).
#ifndef HSAE_BUILD_H
#define HSAE_BUILD_H

/// The commit that was built, with `-modified` if the tree differed from it; empty if nobody said.
const char *_Nonnull hsae_build_commit(void);

/// The compiler of the C targets, which comes with Swift's, such as `Clang 21.0.0`.
const char *_Nonnull hsae_build_compiler(void);

#endif
