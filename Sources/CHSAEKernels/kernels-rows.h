// Kernels over rows: conversion, sums, and predictions. kernels.c includes this file and the others like it
// once per instruction set, with HSAE(name) naming the copy. They are plain C over vectors of 16 floats,
// which the compiler maps to the target's instructions. include/hsae_kernels.h documents every function.

static inline __attribute__((always_inline)) v16 HSAE(load)(const float *p) { return *(const v16 *)p; }
static inline __attribute__((always_inline)) void HSAE(store)(float *p, v16 x) { *(v16 *)p = x; }

// Sums 16 lanes, always in the same order.
static inline __attribute__((always_inline)) float HSAE(reduce)(v16 x) {
  float s[16];
  for (int i = 0; i < 16; i++) s[i] = x[i];
  for (int w = 8; w >= 1; w /= 2)
    for (int i = 0; i < w; i++) s[i] += s[i + w];
  return s[0];
}

// The sums of 16 vectors, each in the same order as `reduce`: lane i is the sum of a[i].
static inline __attribute__((always_inline)) v16 HSAE(reduce_16)(const v16 *a) {
  v16 b[8], c[4], e[2];
#define HALVES(X, Y, ...) __builtin_shufflevector(X, Y, __VA_ARGS__)
  for (int i = 0; i < 8; i++)
    b[i] = HALVES(a[i], a[i + 8], 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, 18, 19, 20, 21, 22, 23) +
           HALVES(a[i], a[i + 8], 8, 9, 10, 11, 12, 13, 14, 15, 24, 25, 26, 27, 28, 29, 30, 31);
  for (int i = 0; i < 4; i++)
    c[i] = HALVES(b[i], b[i + 4], 0, 1, 2, 3, 16, 17, 18, 19, 8, 9, 10, 11, 24, 25, 26, 27) +
           HALVES(b[i], b[i + 4], 4, 5, 6, 7, 20, 21, 22, 23, 12, 13, 14, 15, 28, 29, 30, 31);
  for (int i = 0; i < 2; i++)
    e[i] = HALVES(c[i], c[i + 2], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29) +
           HALVES(c[i], c[i + 2], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
  return HALVES(e[0], e[1], 0, 16, 2, 18, 4, 20, 6, 22, 8, 24, 10, 26, 12, 28, 14, 30) +
         HALVES(e[0], e[1], 1, 17, 3, 19, 5, 21, 7, 23, 9, 25, 11, 27, 13, 29, 15, 31);
#undef HALVES
}

static inline __attribute__((always_inline)) float HSAE(reduce_max)(v16 x) {
  float s[16];
  for (int i = 0; i < 16; i++) s[i] = x[i];
  for (int w = 8; w >= 1; w /= 2)
    for (int i = 0; i < w; i++) s[i] = s[i] > s[i + w] ? s[i] : s[i + w];
  return s[0];
}

static void HSAE(to_bfloat16)(uint16_t *out, const float *in, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < n; i++) {
    uint32_t bits;
    __builtin_memcpy(&bits, in + i, 4);
    out[i] = (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
  }
}

// Loads 16 half-precision numbers from any address.
static inline __attribute__((always_inline)) v16 HSAE(load_half)(const uint8_t *p, u16x16 *largest) {
  u16x16 bits;
  __builtin_memcpy(&bits, p, 32);
  u16x16 magnitude = bits & 0x7fff;
  *largest = __builtin_elementwise_max(*largest, magnitude);
#if HSAE_F16C
  f16x16 half;
  __builtin_memcpy(&half, &bits, 32);
  return __builtin_convertvector(half, v16);
#else
  // Ordinary numbers need an exponent larger by 127 - 15. Subnormal ones are made ordinary and the surplus
  // is subtracted, which is exact. Infinities and NaNs come out as large numbers; the caller detects them.
  i16 wide = __builtin_convertvector(magnitude, i16) << 13;
  i16 small = (i16)((v16)(wide + (113 << 23)) - (v16)((i16){0} + (113 << 23)));
  i16 is_small = wide < (0x400 << 13);
  i16 sign = __builtin_convertvector(bits & 0x8000, i16) << 16;
  return (v16)((is_small & small) | (~is_small & (wide + (112 << 23))) | sign);
#endif
}

static ptrdiff_t HSAE(gather_half)(float *out, const void *const *rows, ptrdiff_t n, ptrdiff_t d) {
  enum { ahead = 3 };
  for (ptrdiff_t t = 0; t < n; t++) {
    if (t + ahead < n) {
      const uint8_t *next = rows[t + ahead];
      for (ptrdiff_t i = 0; i < 2 * d; i += 64) __builtin_prefetch(next + i, 0, 2);
    }
    const uint8_t *row = rows[t];
    float *to = out + t * d;
    u16x16 largest = {0};
    ptrdiff_t i = 0;
    for (; i + 16 <= d; i += 16) HSAE(store)(to + i, HSAE(load_half)(row + 2 * i, &largest));
    if (i < d) {
      uint8_t rest[32] = {0};
      __builtin_memcpy(rest, row + 2 * i, (size_t)(2 * (d - i)));
      v16 last = HSAE(load_half)(rest, &largest);
      __builtin_memcpy(to + i, &last, (size_t)(4 * (d - i)));
    }
    if (__builtin_reduce_max(largest) >= 0x7c00) return t;
  }
  return n;
}

static float HSAE(dot)(const float *a, const float *b, ptrdiff_t n) {
  v16 s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
  ptrdiff_t i = 0;
  for (; i + 64 <= n; i += 64) {
    s0 += HSAE(load)(a + i) * HSAE(load)(b + i);
    s1 += HSAE(load)(a + i + 16) * HSAE(load)(b + i + 16);
    s2 += HSAE(load)(a + i + 32) * HSAE(load)(b + i + 32);
    s3 += HSAE(load)(a + i + 48) * HSAE(load)(b + i + 48);
  }
  for (; i + 16 <= n; i += 16) s0 += HSAE(load)(a + i) * HSAE(load)(b + i);
  float tail = 0;
  for (; i < n; i++) tail += a[i] * b[i];
  return HSAE(reduce)((s0 + s1) + (s2 + s3)) + tail;
}

static void HSAE(axpy)(float *y, const float *x, float c, ptrdiff_t n) {
  ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16) HSAE(store)(y + i, HSAE(load)(y + i) + c * HSAE(load)(x + i));
  for (; i < n; i++) y[i] += c * x[i];
}

static void HSAE(scale)(float *out, const float *x, float c, ptrdiff_t n) {
  ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16) HSAE(store)(out + i, c * HSAE(load)(x + i));
  for (; i < n; i++) out[i] = c * x[i];
}

static double HSAE(sum_squares)(const float *x, ptrdiff_t n) {
  double total = 0;
  for (ptrdiff_t start = 0; start < n; start += 4096) {
    ptrdiff_t part = n - start < 4096 ? n - start : 4096;
    total += (double)HSAE(dot)(x + start, x + start, part);
  }
  return total;
}

static float HSAE(fourth_powers)(const float *x, ptrdiff_t n) {
  v16 s0 = {0}, s1 = {0};
  ptrdiff_t i = 0;
  for (; i + 32 <= n; i += 32) {
    v16 a = HSAE(load)(x + i), b = HSAE(load)(x + i + 16);
    a *= a, b *= b;
    s0 += a * a, s1 += b * b;
  }
  float tail = 0;
  for (; i < n; i++) tail += (x[i] * x[i]) * (x[i] * x[i]);
  return HSAE(reduce)(s0 + s1) + tail;
}

// Tiles of 16 columns; each visit keeps as many sums in registers as the instruction set has room for.
static void HSAE(gram_panel)(double *sums, ptrdiff_t ld, const double *a, const double *b, ptrdiff_t n) {
  enum { size = HSAE_GRAM_PANEL, rows = HSAE_WIDE ? 8 : 4, columns = HSAE_WIDE ? 16 : 8 };
  for (ptrdiff_t i = 0; i < size; i += rows)
    for (ptrdiff_t j = 0; j < size; j += columns) {
      d8 sum[rows][columns / 8] = {0};
      for (ptrdiff_t t = 0; t < n; t++) {
        d8 right[columns / 8];
        for (int c = 0; c < columns / 8; c++) right[c] = *(const d8 *)(b + t * size + j + 8 * c);
        for (int r = 0; r < rows; r++)
          for (int c = 0; c < columns / 8; c++) sum[r][c] += right[c] * a[t * size + i + r];
      }
      for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns / 8; c++) *(d8 *)(sums + (i + r) * ld + j + 8 * c) += sum[r][c];
    }
}

// ---- predictions ----

static float HSAE(largest)(const float *x, ptrdiff_t n) {
  v16 m0 = (v16){0} + x[0], m1 = m0, m2 = m0, m3 = m0;
  ptrdiff_t i = 0;
  for (; i + 64 <= n; i += 64) {
    m0 = __builtin_elementwise_max(m0, HSAE(load)(x + i));
    m1 = __builtin_elementwise_max(m1, HSAE(load)(x + i + 16));
    m2 = __builtin_elementwise_max(m2, HSAE(load)(x + i + 32));
    m3 = __builtin_elementwise_max(m3, HSAE(load)(x + i + 48));
  }
  float most = HSAE(reduce_max)(
      __builtin_elementwise_max(__builtin_elementwise_max(m0, m1), __builtin_elementwise_max(m2, m3)));
  for (; i < n; i++) most = x[i] > most ? x[i] : most;
  return most;
}

// exp of 16 numbers of at most 0, to about 1 part in 10⁷. The whole power of 2 comes from exponent
// bits; e to the rest, which is within ± ln 2 / 2, comes from its Taylor polynomial.
static inline __attribute__((always_inline)) v16 HSAE(exp)(v16 x) {
  const float magic = 12582912.0f;  // 1.5 · 2²³: adding it rounds to a whole number
  i16 none = x < -87.0f;  // a NaN stays one
  v16 bounded = (v16)((none & (i16)((v16){0} - 87.0f)) | (~none & (i16)x));
  v16 shifted = bounded * 1.44269504f + magic;
  v16 n = shifted - magic;
  v16 r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;  // ln 2 in two parts
  v16 p = r * (1.0f / 720) + (1.0f / 120);
  p = p * r + (1.0f / 24);
  p = p * r + (1.0f / 6);
  p = p * r + 0.5f;
  p = p * r * r + r + 1.0f;
  v16 power = (v16)(((i16)shifted << 23) + (127 << 23));
  return (v16)((i16)(p * power) & ~none);
}

static double HSAE(exp_sum)(float *out, const float *x, float shift, ptrdiff_t n) {
  double total = 0;
  for (ptrdiff_t start = 0; start < n; start += 4096) {
    ptrdiff_t end = n - start < 4096 ? n : start + 4096;
    v16 s0 = {0}, s1 = {0};
    ptrdiff_t i = start;
    for (; i + 32 <= end; i += 32) {
      v16 e0 = HSAE(exp)(HSAE(load)(x + i) - shift), e1 = HSAE(exp)(HSAE(load)(x + i + 16) - shift);
      if (out) HSAE(store)(out + i, e0), HSAE(store)(out + i + 16, e1);
      s0 += e0, s1 += e1;
    }
    for (; i < end; i += 16) {
      // The rest, padded to vectors with numbers that add nothing.
      v16 rest = (v16){0} - INFINITY;
      ptrdiff_t width = end - i < 16 ? end - i : 16;
      __builtin_memcpy(&rest, x + i, (size_t)(4 * width));
      v16 e = HSAE(exp)(rest - shift);
      if (out) __builtin_memcpy(out + i, &e, (size_t)(4 * width));
      s0 += e;
    }
    total += (double)HSAE(reduce)(s0 + s1);
  }
  return total;
}
