// The kernels. kernels.c includes this file once per instruction set, with HSAE(name) naming the copy.
// It is plain C over vectors of 16 floats, which the compiler maps to the target's instructions.
// include/hsae_kernels.h documents every function and its shapes.

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

// ---- one expert against its data rows ----

// Loads 16 bf16 numbers as floats.
static inline __attribute__((always_inline)) v16 HSAE(load_bfloat16)(const uint16_t *p) {
  return (v16)(__builtin_convertvector(*(const h16 *)p, w16) << 16);
}

static inline __attribute__((always_inline)) float HSAE(number)(const float *p) { return *p; }
static inline __attribute__((always_inline)) float HSAE(number_bfloat16)(const uint16_t *p) {
  uint32_t bits = (uint32_t)*p << 16;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

// Prefetches cache lines, because data rows lie at random.
static void HSAE(fetch)(const void *p, ptrdiff_t bytes) {
  for (ptrdiff_t i = 0; i < bytes; i += 64) __builtin_prefetch((const char *)p + i, 0, 2);
}

// ROWS matrix rows against two data rows of TYPE, with 2 · ROWS chains of multiply-adds in flight. Results
// associate alike whatever ROWS is, so a data row's result does not depend on the expert's other data rows.
#define HSAE_DOTS(ROWS, KIND, TYPE)                                                             \
  static inline __attribute__((always_inline)) void HSAE(dots_##ROWS##KIND)(                    \
      float *out0, float *out1, const float *rows, ptrdiff_t d, const TYPE *x0,                 \
      const TYPE *x1) {                                                                         \
    v16 a[ROWS] = {0}, b[ROWS] = {0};                                                           \
    ptrdiff_t i = 0;                                                                            \
    for (; i + 16 <= d; i += 16) {                                                              \
      v16 p = HSAE(load##KIND)(x0 + i), q = HSAE(load##KIND)(x1 + i);                           \
      _Pragma("clang loop unroll(full)") for (int r = 0; r < ROWS; r++) {                       \
        v16 w = HSAE(load)(rows + r * d + i);                                                   \
        a[r] += w * p, b[r] += w * q;                                                           \
      }                                                                                         \
    }                                                                                           \
    _Pragma("clang loop unroll(full)") for (int r = 0; r < ROWS; r++) {                         \
      float s = 0, t = 0;                                                                       \
      for (ptrdiff_t j = i; j < d; j++) {                                                       \
        s += rows[r * d + j] * HSAE(number##KIND)(x0 + j);                                      \
        t += rows[r * d + j] * HSAE(number##KIND)(x1 + j);                                      \
      }                                                                                         \
      out0[r] = HSAE(reduce)(a[r]) + s;                                                         \
      out1[r] = HSAE(reduce)(b[r]) + t;                                                         \
    }                                                                                           \
  }

// grad[r .. r + ROWS): 64 columns stay in registers while all data rows pass.
#define HSAE_OUTER(ROWS, KIND, TYPE)                                                            \
  static void HSAE(outer_##ROWS##KIND)(float *grad, ptrdiff_t R, ptrdiff_t d,                   \
                                       const float *coefficients, const TYPE *x, ptrdiff_t ld,  \
                                       const int32_t *vectors, ptrdiff_t n) {                   \
    ptrdiff_t i = 0;                                                                            \
    for (; i + 64 <= d; i += 64) {                                                              \
      v16 acc[ROWS][4];                                                                         \
      for (int r = 0; r < ROWS; r++)                                                            \
        for (int c = 0; c < 4; c++) acc[r][c] = HSAE(load)(grad + r * d + i + 16 * c);          \
      for (ptrdiff_t t = 0; t < n; t++) {                                                       \
        const TYPE *row = x + vectors[t] * ld + i;                                              \
        const float *w = coefficients + t * R;                                                  \
        v16 x0 = HSAE(load##KIND)(row), x1 = HSAE(load##KIND)(row + 16);                        \
        v16 x2 = HSAE(load##KIND)(row + 32), x3 = HSAE(load##KIND)(row + 48);                   \
        _Pragma("clang loop unroll(full)") for (int r = 0; r < ROWS; r++) {                     \
          acc[r][0] += w[r] * x0, acc[r][1] += w[r] * x1;                                       \
          acc[r][2] += w[r] * x2, acc[r][3] += w[r] * x3;                                       \
        }                                                                                       \
      }                                                                                         \
      for (int r = 0; r < ROWS; r++)                                                            \
        for (int c = 0; c < 4; c++) HSAE(store)(grad + r * d + i + 16 * c, acc[r][c]);          \
    }                                                                                           \
    for (; i < d; i++)                                                                          \
      for (int r = 0; r < ROWS; r++) {                                                          \
        float s = grad[r * d + i];                                                              \
        for (ptrdiff_t t = 0; t < n; t++)                                                       \
          s += coefficients[t * R + r] * HSAE(number##KIND)(x + vectors[t] * ld + i);           \
        grad[r * d + i] = s;                                                                    \
      }                                                                                         \
  }

// Both kernels for data rows of TYPE.
#define HSAE_EXPERT_KERNELS(KIND, TYPE)                                                         \
  HSAE_DOTS(1, KIND, TYPE)                                                                      \
  HSAE_DOTS(2, KIND, TYPE)                                                                      \
  HSAE_DOTS(3, KIND, TYPE)                                                                      \
  HSAE_DOTS(4, KIND, TYPE)                                                                      \
  HSAE_DOTS(5, KIND, TYPE)                                                                      \
  static void HSAE(rows_dot##KIND)(float *out, const float *rows, ptrdiff_t R, ptrdiff_t d,     \
                                   const TYPE *x, ptrdiff_t ld, const int32_t *vectors,         \
                                   ptrdiff_t n) {                                               \
    ptrdiff_t bytes = d * (ptrdiff_t)sizeof *x;                                                 \
    for (ptrdiff_t t = 0; t < n; t += 2) {                                                      \
      /* An odd vector at the end is paired with itself. */                                     \
      ptrdiff_t u = t + 1 < n ? t + 1 : t;                                                      \
      const TYPE *x0 = x + vectors[t] * ld, *x1 = x + vectors[u] * ld;                          \
      float *out0 = out + t * R, *out1 = out + u * R;                                           \
      if (t + 3 < n) {                                                                          \
        HSAE(fetch)(x + vectors[t + 2] * ld, bytes);                                            \
        HSAE(fetch)(x + vectors[t + 3] * ld, bytes);                                            \
      }                                                                                         \
      for (ptrdiff_t r = 0; r < R;) {                                                           \
        ptrdiff_t left = R - r, block = left <= 5 ? left : left < 8 ? 4 : 5;                    \
        const float *own = rows + r * d;                                                        \
        switch (block) {                                                                        \
          case 1: HSAE(dots_1##KIND)(out0 + r, out1 + r, own, d, x0, x1); break;                \
          case 2: HSAE(dots_2##KIND)(out0 + r, out1 + r, own, d, x0, x1); break;                \
          case 3: HSAE(dots_3##KIND)(out0 + r, out1 + r, own, d, x0, x1); break;                \
          case 4: HSAE(dots_4##KIND)(out0 + r, out1 + r, own, d, x0, x1); break;                \
          default: HSAE(dots_5##KIND)(out0 + r, out1 + r, own, d, x0, x1); break;               \
        }                                                                                       \
        r += block;                                                                             \
      }                                                                                         \
    }                                                                                           \
  }                                                                                             \
  HSAE_OUTER(1, KIND, TYPE)                                                                     \
  HSAE_OUTER(2, KIND, TYPE)                                                                     \
  HSAE_OUTER(3, KIND, TYPE)                                                                     \
  static void HSAE(outer##KIND)(float *grad, ptrdiff_t R, ptrdiff_t d,                          \
                                const float *coefficients, const TYPE *x, ptrdiff_t ld,         \
                                const int32_t *vectors, ptrdiff_t n) {                          \
    if (n == 0) return;                                                                         \
    ptrdiff_t r = 0;                                                                            \
    for (; r + 3 <= R; r += 3)                                                                  \
      HSAE(outer_3##KIND)(grad + r * d, R, d, coefficients + r, x, ld, vectors, n);             \
    if (R - r == 2)                                                                             \
      HSAE(outer_2##KIND)(grad + r * d, R, d, coefficients + r, x, ld, vectors, n);             \
    if (R - r == 1)                                                                             \
      HSAE(outer_1##KIND)(grad + r * d, R, d, coefficients + r, x, ld, vectors, n);             \
  }
HSAE_EXPERT_KERNELS(, float)
HSAE_EXPERT_KERNELS(_bfloat16, uint16_t)

#define HSAE_ADD_FLOATS(SUM, P) \
  for (int c = 0; c < 4; c++) SUM[c] += HSAE(load)((P) + 16 * c);

// A word holds two bf16 numbers; shifting and masking turn them into floats.
#define HSAE_ADD_PAIRS(SUM, P)                                       \
  for (int c = 0; c < 2; c++) {                                      \
    i16 word = *(const i16u *)((P) + 16 * c);                        \
    SUM[2 * c] += (v16)(word << 16);                                 \
    SUM[2 * c + 1] += (v16)(word & (int32_t)0xffff0000);             \
  }

// Sums of chosen rows of WIDTH elements of TYPE, two rows at a time; ADD adds a row.
#define HSAE_PANEL_SUMS(NAME, TYPE, WIDTH, ADD)                                                  \
  static void HSAE(NAME)(float *sums, ptrdiff_t ld, ptrdiff_t n, const uint16_t *list,           \
                         const int32_t *starts, const TYPE *panel) {                             \
    for (ptrdiff_t j = 0; j < n; j++) {                                                          \
      const uint16_t *own = list + starts[j];                                                    \
      ptrdiff_t count = starts[j + 1] - starts[j], i = 0;                                        \
      if (count == 0) continue;                                                                  \
      float *sum = sums + j * ld;                                                                \
      v16 a[4], b[4] = {0};                                                                      \
      for (int c = 0; c < 4; c++) a[c] = HSAE(load)(sum + 16 * c);                               \
      for (; i + 2 <= count; i += 2) {                                                           \
        ADD(a, panel + own[i] * (WIDTH))                                                         \
        ADD(b, panel + own[i + 1] * (WIDTH))                                                     \
      }                                                                                          \
      if (i < count) { ADD(a, panel + own[i] * (WIDTH)) }                                        \
      for (int c = 0; c < 4; c++) HSAE(store)(sum + 16 * c, a[c] + b[c]);                        \
    }                                                                                            \
  }
HSAE_PANEL_SUMS(panel_sums, float, HSAE_PANEL, HSAE_ADD_FLOATS)
HSAE_PANEL_SUMS(panel_sums_bfloat16, uint32_t, HSAE_PANEL / 2, HSAE_ADD_PAIRS)

static void HSAE(pair_columns)(uint32_t *out, const uint16_t *in, ptrdiff_t n) {
  for (ptrdiff_t i = 0; i < HSAE_PANEL / 2; i++) {
    ptrdiff_t low = i / 16 * 32 + i % 16, high = low + 16;
    out[i] = (low < n ? in[low] : 0u) | (high < n ? (uint32_t)in[high] << 16 : 0u);
  }
}

static void HSAE(expand_bits)(uint16_t *out, uint64_t bits) {
  for (int i = 0; i < 64; i++) out[i] = (uint16_t)(-(bits >> i & 1) & 0x3f80);
}

// ---- one expert into the reconstructions of its data rows ----

static void HSAE(spread)(float *high, float *low, const float *rows, ptrdiff_t R, ptrdiff_t d,
                         const float *z, const float *v, const int32_t *vectors, ptrdiff_t n) {
  ptrdiff_t s = R - 1;
  for (ptrdiff_t t = 0; t < n; t++) {
    float *h = high + vectors[t] * d, *l = low + vectors[t] * d, c = z[t];
    const float *w = v + t * s;
    if (t + 2 < n) {
      HSAE(fetch)(high + vectors[t + 2] * d, d * 4);
      if (s) HSAE(fetch)(low + vectors[t + 2] * d, d * 4);
    }
    ptrdiff_t i = 0;
    for (; i + 32 <= d; i += 32) {
      HSAE(store)(h + i, HSAE(load)(h + i) + c * HSAE(load)(rows + i));
      HSAE(store)(h + i + 16, HSAE(load)(h + i + 16) + c * HSAE(load)(rows + i + 16));
      if (!s) continue;
      v16 l0 = HSAE(load)(l + i), l1 = HSAE(load)(l + i + 16);
      const float *row = rows + d + i;
      for (ptrdiff_t r = 0; r < s; r++, row += d)
        l0 += w[r] * HSAE(load)(row), l1 += w[r] * HSAE(load)(row + 16);
      HSAE(store)(l + i, l0);
      HSAE(store)(l + i + 16, l1);
    }
    for (; i < d; i++) {
      h[i] += c * rows[i];
      for (ptrdiff_t r = 0; r < s; r++) l[i] += w[r] * rows[(r + 1) * d + i];
    }
  }
}

static void HSAE(residuals)(float *high, float *low, const float *x, float a, float b, ptrdiff_t d,
                            double *sums) {
  v16 sr = {0}, sh = {0};
  ptrdiff_t i = 0;
  for (; i + 16 <= d; i += 16) {
    v16 h = HSAE(load)(high + i) - HSAE(load)(x + i), r = h + HSAE(load)(low + i);
    sr += r * r, sh += h * h;
    v16 g = a * r;
    HSAE(store)(low + i, g);
    HSAE(store)(high + i, g + b * h);
  }
  float tr = 0, th = 0;
  for (; i < d; i++) {
    float h = high[i] - x[i], r = h + low[i];
    tr += r * r, th += h * h;
    low[i] = a * r;
    high[i] = a * r + b * h;
  }
  sums[0] += (double)(HSAE(reduce)(sr) + tr);
  sums[1] += (double)(HSAE(reduce)(sh) + th);
}

// ---- choosing latents ----

static ptrdiff_t HSAE(scan)(const float *u, ptrdiff_t n, int32_t first, float threshold,
                            uint64_t *mask, double *sum, float *floor, uint64_t *keys,
                            ptrdiff_t count, ptrdiff_t keep, ptrdiff_t capacity) {
  float least = *floor;
  v16 total = {0};
  float tail_total = 0;
  for (ptrdiff_t i = 0; i < n; i += 64) {
    ptrdiff_t width = n - i < 64 ? n - i : 64;
    uint64_t bits = 0, above = 0;
    if (width == 64) {
      for (int c = 0; c < 4; c++) {
        v16 x = HSAE(load)(u + i + 16 * c);
        above |= (uint64_t)HSAE_BITS(x > least) << (16 * c);
        if (mask) {
          i16 over = x >= threshold;
          bits |= (uint64_t)HSAE_BITS(over) << (16 * c);
          total += (v16)((i16)x & over);
        }
      }
    } else {
      for (ptrdiff_t j = 0; j < width; j++) {
        float x = u[i + j];
        above |= (uint64_t)(x > least) << j;
        if (mask && x >= threshold) bits |= (uint64_t)1 << j, tail_total += x;
      }
    }
    if (mask) mask[i / 64] = bits;
    while (above) {
      int j = __builtin_ctzll(above);
      above &= above - 1;
      float x = u[i + j];
      if (!(x > least)) continue;
      keys[count++] = hsae_key(x, first + (int32_t)(i + j));
      if (count == capacity) {
        count = hsae_keys_top(keys, count, keep);
        least = hsae_key_value(keys[count - 1]);
      }
    }
  }
  *floor = least;
  if (mask) *sum += (double)(HSAE(reduce)(total) + tail_total);
  return count;
}

// ---- sublatents ----
// Scratch: the sub-encoder transposed [s × a'], a row of pre-activations, a row of gradients, and the
// transposed gradient [s × a']. a' is a rounded up to a multiple of 16, so loops have no tail.

static inline __attribute__((always_inline)) ptrdiff_t HSAE(padded)(ptrdiff_t a) { return (a + 15) / 16 * 16; }

static void HSAE(sub_transpose)(const hsae_sub_expert *e) {
  ptrdiff_t s = e->subspace, a = e->sublatents, p = HSAE(padded)(a);
  for (ptrdiff_t r = 0; r < s; r++)
    for (ptrdiff_t j = 0; j < p; j++) e->scratch[r * p + j] = j < a ? e->encoder[j * s + r] : 0;
}

static inline __attribute__((always_inline)) void HSAE(sub_codes)(const hsae_sub_expert *e, const float *y, float *u) {
  ptrdiff_t s = e->subspace, p = HSAE(padded)(e->sublatents);
  for (ptrdiff_t j = 0; j < p; j += 16) {
    v16 x = {0};
    for (ptrdiff_t r = 0; r < s; r++) x += y[r] * HSAE(load)(e->scratch + r * p + j);
    HSAE(store)(u + j, x);
  }
}

static void HSAE(sub_forward)(const hsae_sub_expert *e, const float *y, ptrdiff_t n, int32_t *q,
                              float *c, float *v, float *penalty) {
  ptrdiff_t s = e->subspace, a = e->sublatents, p = HSAE(padded)(a);
  const i16 lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  if (n == 0) return;
  HSAE(sub_transpose)(e);
  for (ptrdiff_t t = 0; t < n; t++) {
    v16 total = {0};
    float best = 0;
    int32_t chosen = -1;
    for (ptrdiff_t j = 0; j < p; j += 16) {
      v16 u = {0};
      for (ptrdiff_t r = 0; r < s; r++) u += y[t * s + r] * HSAE(load)(e->scratch + r * p + j);
      i16 above = u >= e->threshold, inside = lanes < (int32_t)(a - j);
      v16 scaled = e->slope * u;
      v16 x = (v16)(((i16)u & above) | ((i16)scaled & ~above));
      total += (v16)((i16)x & inside & 0x7fffffff);
      // Lanes beyond a lose to every code.
      x = (v16)(((i16)x & inside) | (~inside & (int32_t)0xff7fffff));
      float m = HSAE(reduce_max)(x);
      if (chosen < 0 || m > best)
        best = m, chosen = (int32_t)j + __builtin_ctz(HSAE_BITS(x == m) | 0x10000u);
    }
    penalty[t] = HSAE(reduce)(total);
    // With NaNs no lane equals the maximum; the first index then passes the NaN on.
    if (chosen >= a) chosen = 0;
    q[t] = chosen;
    c[t] = best;
    for (ptrdiff_t r = 0; r < s; r++) v[t * s + r] = best * e->decoder[chosen * s + r];
  }
}

static void HSAE(sub_backward)(const hsae_sub_expert *e, const float *y, const float *dv,
                               const int32_t *q, const float *c, ptrdiff_t n, float penalty,
                               float *encoder_gradient, float *decoder_gradient, float *dy) {
  ptrdiff_t s = e->subspace, a = e->sublatents, p = HSAE(padded)(a);
  float *u = e->scratch + s * p, *du = u + p, *gradient = du + p;
  if (n == 0) return;
  HSAE(sub_transpose)(e);
  for (ptrdiff_t i = 0; i < s * p; i++) gradient[i] = 0;
  for (ptrdiff_t t = 0; t < n; t++) {
    HSAE(sub_codes)(e, y + t * s, u);
    float direct = 0;
    for (ptrdiff_t r = 0; r < s; r++) {
      direct += dv[t * s + r] * e->decoder[q[t] * s + r];
      decoder_gradient[q[t] * s + r] += c[t] * dv[t * s + r];
    }
    for (ptrdiff_t j = 0; j < p; j++) {
      float derivative = u[j] >= e->threshold ? 1.0f : e->slope;
      float x = derivative * u[j];
      float sign = x > 0 ? 1.0f : (x < 0 ? -1.0f : 0.0f);
      du[j] = derivative * penalty * sign;
    }
    for (ptrdiff_t j = a; j < p; j++) du[j] = 0;
    du[q[t]] += (u[q[t]] >= e->threshold ? 1.0f : e->slope) * direct;
    for (ptrdiff_t r = 0; r < s; r++) {
      v16 back = {0};
      float w = y[t * s + r];
      for (ptrdiff_t j = 0; j < p; j += 16) {
        v16 g = HSAE(load)(du + j);
        back += g * HSAE(load)(e->scratch + r * p + j);
        HSAE(store)(gradient + r * p + j, HSAE(load)(gradient + r * p + j) + w * g);
      }
      dy[t * s + r] = HSAE(reduce)(back);
    }
  }
  for (ptrdiff_t j = 0; j < a; j++)
    for (ptrdiff_t r = 0; r < s; r++) encoder_gradient[j * s + r] += gradient[r * p + j];
}

// ---- optimizer ----

static void HSAE(adam)(float *restrict p, float *restrict m, float *restrict v,
                       const float *restrict g, ptrdiff_t n, float clip, float rate, float beta1,
                       float beta2, float epsilon) {
  // Written with vectors: sqrtf may set errno, so the compiler does not vectorise a plain loop.
  ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16) {
    v16 x = clip * HSAE(load)(g + i);
    v16 first = beta1 * HSAE(load)(m + i) + (1 - beta1) * x;
    v16 second = beta2 * HSAE(load)(v + i) + (1 - beta2) * (x * x);
    HSAE(store)(m + i, first);
    HSAE(store)(v + i, second);
    HSAE(store)(p + i, HSAE(load)(p + i) - rate * first / (__builtin_elementwise_sqrt(second) + epsilon));
  }
  for (; i < n; i++) {
    float x = clip * g[i];
    float first = beta1 * m[i] + (1 - beta1) * x;
    float second = beta2 * v[i] + (1 - beta2) * (x * x);
    m[i] = first;
    v[i] = second;
    p[i] -= rate * first / (__builtin_sqrtf(second) + epsilon);
  }
}

// 32 random bits for each element, from its number and a key: rounds of xor-shift and multiply
// (Wellons' lowbias32, with the key's halves mixed in before each multiplication).
#define HSAE_DRAW(type, index, key) \
  type x = (index) ^ (uint32_t)(key); \
  x = (x ^ (x >> 16)) * 0x7feb352du; \
  x = (x ^ (x >> 15) ^ (uint32_t)((key) >> 32)) * 0x846ca68bu; \
  x ^= x >> 16;

static void HSAE(adam_bfloat16)(float *restrict p, uint16_t *restrict m, uint16_t *restrict v,
                                const float *restrict g, ptrdiff_t n, float clip, float rate,
                                float beta1, float beta2, float epsilon, uint64_t key,
                                uint32_t first) {
  const w16 lanes = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  ptrdiff_t i = 0;
  for (; i + 16 <= n; i += 16) {
    v16 y = clip * HSAE(load)(g + i);
    v16 old_m = (v16)(__builtin_convertvector(*(const h16 *)(m + i), w16) << 16);
    v16 old_v = (v16)(__builtin_convertvector(*(const h16 *)(v + i), w16) << 16);
    v16 mean = beta1 * old_m + (1 - beta1) * y;
    v16 square = beta2 * old_v + (1 - beta2) * (y * y);
    HSAE(store)(p + i, HSAE(load)(p + i) - rate * mean / (__builtin_elementwise_sqrt(square) + epsilon));
    HSAE_DRAW(w16, lanes + (first + (uint32_t)i), key)
    // Adding a random number below the cut carries into the kept half with the right probability.
    *(h16 *)(m + i) = __builtin_convertvector(((w16)mean + (x & 0xffffu)) >> 16, h16);
    *(h16 *)(v + i) = __builtin_convertvector(((w16)square + (x >> 16)) >> 16, h16);
  }
  for (; i < n; i++) {
    uint32_t bits_m = (uint32_t)m[i] << 16, bits_v = (uint32_t)v[i] << 16;
    float old_m, old_v, y = clip * g[i];
    __builtin_memcpy(&old_m, &bits_m, 4);
    __builtin_memcpy(&old_v, &bits_v, 4);
    float mean = beta1 * old_m + (1 - beta1) * y;
    float square = beta2 * old_v + (1 - beta2) * (y * y);
    p[i] -= rate * mean / (__builtin_sqrtf(square) + epsilon);
    HSAE_DRAW(uint32_t, first + (uint32_t)i, key)
    __builtin_memcpy(&bits_m, &mean, 4);
    __builtin_memcpy(&bits_v, &square, 4);
    m[i] = (uint16_t)((bits_m + (x & 0xffffu)) >> 16);
    v[i] = (uint16_t)((bits_v + (x >> 16)) >> 16);
  }
}
#undef HSAE_DRAW

static const hsae_kernels HSAE(table) = {
    HSAE_NAME,          HSAE(to_bfloat16), HSAE(dot),         HSAE(axpy),         HSAE(scale),
    HSAE(fetch),        HSAE(rows_dot),    HSAE(rows_dot_bfloat16), HSAE(outer),
    HSAE(outer_bfloat16), HSAE(panel_sums), HSAE(panel_sums_bfloat16),
    HSAE(pair_columns), HSAE(expand_bits), HSAE(spread),      HSAE(residuals),
    HSAE(scan),         HSAE(sub_forward), HSAE(sub_backward), HSAE(adam),
    HSAE(adam_bfloat16), HSAE(sum_squares), HSAE(fourth_powers),
    HSAE(largest),      HSAE(exp_sum),     HSAE(gather_half)};
#undef HSAE_DOTS
#undef HSAE_OUTER
#undef HSAE_EXPERT_KERNELS
#undef HSAE_ADD_FLOATS
#undef HSAE_ADD_PAIRS
#undef HSAE_PANEL_SUMS
