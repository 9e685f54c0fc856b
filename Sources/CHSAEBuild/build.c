#include "hsae_build.h"

#ifndef HSAE_COMMIT
#define HSAE_COMMIT ""
#endif

#define TEXT(value) #value
#define VALUE(macro) TEXT(macro)

const char *hsae_build_commit(void) { return HSAE_COMMIT; }

#ifdef __clang__
const char *hsae_build_compiler(void) {
  return "Clang " VALUE(__clang_major__) "." VALUE(__clang_minor__) "." VALUE(__clang_patchlevel__);
}
#else
const char *hsae_build_compiler(void) { return __VERSION__; }
#endif
