// Compiles the kernels once per instruction set, without compiler flags, and picks a table at run time.
// Functions that do not depend on the instruction set (keys, bit transposition) are here.

#define _GNU_SOURCE
#include "hsae_kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif
#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#pragma clang fp contract(fast)
// Only functions that are inlined pass vectors wider than the baseline's registers.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float v16 __attribute__((vector_size(64), aligned(4)));
typedef double d8 __attribute__((vector_size(64), aligned(8)));
typedef int32_t i16 __attribute__((vector_size(64)));
typedef int32_t i16u __attribute__((vector_size(64), aligned(4)));
typedef uint16_t u16x16 __attribute__((ext_vector_type(16)));
#if defined(__x86_64__)
typedef _Float16 f16x16 __attribute__((ext_vector_type(16)));
#endif
typedef uint32_t w16 __attribute__((vector_size(64)));
typedef uint16_t h16 __attribute__((vector_size(32), aligned(2)));
typedef _Bool b16 __attribute__((ext_vector_type(16)));

// The sign bits of 16 lanes as an integer, lane 0 lowest.
#define HSAE_BITS(comparison) hsae_bits(__builtin_convertvector((comparison), b16))
static inline __attribute__((always_inline)) uint16_t hsae_bits(b16 lanes) {
  uint16_t bits;
  __builtin_memcpy(&bits, &lanes, 2);
  return bits;
}

// ---- keys ----

static inline uint32_t ordered(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

uint64_t hsae_key(float value, int32_t index) {
  return (uint64_t)ordered(value) << 32 | (uint32_t)~index;
}

float hsae_key_value(uint64_t key) {
  uint32_t bits = (uint32_t)(key >> 32);
  bits = bits & 0x80000000u ? bits & 0x7fffffffu : ~bits;
  float value;
  memcpy(&value, &bits, 4);
  return value;
}

int32_t hsae_key_index(uint64_t key) { return (int32_t)~(uint32_t)key; }

static void sort_falling(uint64_t *keys, ptrdiff_t n) {
  for (ptrdiff_t i = 1; i < n; i++) {
    uint64_t key = keys[i];
    ptrdiff_t j = i;
    for (; j > 0 && keys[j - 1] < key; j--) keys[j] = keys[j - 1];
    keys[j] = key;
  }
}

static int falling(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? 1 : x > y ? -1 : 0;
}

// Moves the `keep` largest of more keys to the front, in any order but for the smallest of them, which comes last:
// quickselect with the median of three as pivot. Keys are distinct because indices are. Every key is swapped, whether it
// is larger or not: a processor cannot foresee which are, and a wrong guess costs more than a swap.
static void keys_select(uint64_t *keys, ptrdiff_t count, ptrdiff_t keep) {
  ptrdiff_t low = 0, high = count;
  while (high - low > 1) {
    ptrdiff_t middle = low + (high - low) / 2, last = high - 1;
    uint64_t a = keys[low], b = keys[middle], c = keys[last];
    ptrdiff_t place = a > b ? (b > c ? middle : (a > c ? last : low)) : (a > c ? low : (b > c ? last : middle));
    uint64_t pivot = keys[place];
    keys[place] = keys[last];
    ptrdiff_t larger = low;
    for (ptrdiff_t i = low; i < last; i++) {
      uint64_t key = keys[i];
      keys[i] = keys[larger];
      keys[larger] = key;
      larger += key > pivot;
    }
    keys[last] = keys[larger];
    keys[larger] = pivot;
    if (larger == keep - 1) return;
    if (larger > keep - 1) high = larger;
    else low = larger + 1;
  }
}

ptrdiff_t hsae_keys_top(uint64_t *keys, ptrdiff_t count, ptrdiff_t keep) {
  if (count > keep) {
    keys_select(keys, count, keep);
    count = keep;
  }
  if (count <= 48) sort_falling(keys, count);
  else qsort(keys, (size_t)count, sizeof *keys, falling);
  return count;
}

void hsae_transpose_bits(uint64_t *out, const uint64_t *in, ptrdiff_t ld) {
  for (int r = 0; r < 64; r++) out[r] = in[r * ld];
  uint64_t mask = 0x00000000ffffffffull;
  for (int width = 32; width; width >>= 1, mask ^= mask << width)
    for (int k = 0; k < 64; k = ((k | width) + 1) & ~width) {
      uint64_t t = ((out[k] >> width) ^ out[k | width]) & mask;
      out[k | width] ^= t;
      out[k] ^= t << width;
    }
}

// ---- one copy per instruction set ----

// Whether a vector of 16 numbers is one register; and how many such vectors `spread` keeps in registers for each of 4 rows.
#define HSAE_WIDE 0
#define HSAE_SPREAD_VECTORS 2
#define HSAE_F16C 0
#define HSAE_NAME "generic"
#define HSAE(name) name##_generic
#include "kernels-rows.h"
#include "kernels-experts.h"
#include "kernels-latents.h"
#undef HSAE_F16C

#define HSAE_F16C 1
#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2,lzcnt"))), apply_to = function)
#define HSAE_NAME "avx2"
#define HSAE(name) name##_avx2
#include "kernels-rows.h"
#include "kernels-experts.h"
#include "kernels-latents.h"
#pragma clang attribute pop

#undef HSAE_WIDE
#undef HSAE_SPREAD_VECTORS
#define HSAE_WIDE 1
#define HSAE_SPREAD_VECTORS 4
#pragma clang attribute push( \
    __attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,f16c,bmi,bmi2,lzcnt"))), apply_to = function)
#define HSAE_NAME "avx512"
#define HSAE(name) name##_avx512
#include "kernels-rows.h"
#include "kernels-experts.h"
#include "kernels-latents.h"
#pragma clang attribute pop
#endif

const hsae_kernels *hsae_kernels_named(const char *name) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!strcmp(name, "avx512"))
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
                   __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")
               ? &table_avx512
               : NULL;
  if (!strcmp(name, "avx2"))
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &table_avx2 : NULL;
#endif
  return strcmp(name, "generic") ? NULL : &table_generic;
}

const hsae_kernels *hsae_kernels_best(void) {
  const char *wanted = getenv("HSAE_ISA");
  const hsae_kernels *table = wanted ? hsae_kernels_named(wanted) : NULL;
  if (!table) table = hsae_kernels_named("avx512");
  if (!table) table = hsae_kernels_named("avx2");
  return table ? table : &table_generic;
}

#if defined(__x86_64__)
// Whether the processor has tile registers and the system keeps them for each thread. It asks with cpuid, which traps in
// a virtual machine.
static int find_tiles(void) {
  unsigned a, b, c, d, low, high;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d >> 24 & 1)) return 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c >> 27 & 1)) return 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low >> 17 & 3) == 3;
}

// The answer of `find_tiles`, which does not change.
static int has_tiles(void) {
  static int answer = -1;
  int known = __atomic_load_n(&answer, __ATOMIC_RELAXED);
  if (known < 0) __atomic_store_n(&answer, known = find_tiles(), __ATOMIC_RELAXED);
  return known;
}

__attribute__((target("amx-tile"))) static void store_tiles(void *own) { _tile_storeconfig(own); }
__attribute__((target("amx-tile"))) static void load_tiles(const void *own) { _tile_loadconfig(own); }
#endif

hsae_tile_configuration hsae_tile_configuration_now(void) {
  hsae_tile_configuration own = {{0}};
#if defined(__x86_64__)
  if (has_tiles()) store_tiles(&own);
#endif
  return own;
}

void hsae_restore_tile_configuration(const hsae_tile_configuration *own) {
#if defined(__x86_64__)
  // The first byte is 0 where tile registers are not in use, and where there are none.
  if (own->bytes[0]) load_tiles(own);
#else
  (void)own;
#endif
}

int hsae_has_bfloat16(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx512bf16") != 0;
#else
  return 0;
#endif
}

void hsae_single_openmp_thread(void) {
  static __thread int done;
  if (done) return;
  done = 1;
  void (*set)(int) = (void (*)(int))dlsym(RTLD_DEFAULT, "omp_set_num_threads");
  if (set) set(1);
}
