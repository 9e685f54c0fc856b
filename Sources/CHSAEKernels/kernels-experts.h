// Kernels of one expert and its data rows (see kernels-rows.h).

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

// ROWS matrix rows against DATA data rows of TYPE, with ROWS · DATA ≤ 16 chains of multiply-adds in flight. Results
// associate in the same way whatever ROWS and DATA, so a data row's result does not depend on the expert's others.
#define HSAE_DOTS(ROWS, DATA, KIND, TYPE)                                                       \
  static inline __attribute__((always_inline)) void HSAE(dots_##ROWS##x##DATA##KIND)(           \
      float *const *out, const float *rows, ptrdiff_t d, const TYPE *const *x) {                \
    v16 sums[16] = {0};                                                                         \
    ptrdiff_t i = 0;                                                                            \
    for (; i + 16 <= d; i += 16) {                                                              \
      v16 p[DATA];                                                                              \
      _Pragma("clang loop unroll(full)") for (int t = 0; t < DATA; t++)                         \
        p[t] = HSAE(load##KIND)(x[t] + i);                                                      \
      _Pragma("clang loop unroll(full)") for (int r = 0; r < ROWS; r++) {                       \
        v16 w = HSAE(load)(rows + r * d + i);                                                   \
        _Pragma("clang loop unroll(full)") for (int t = 0; t < DATA; t++)                       \
          sums[t * ROWS + r] += w * p[t];                                                       \
      }                                                                                         \
    }                                                                                           \
    float totals[16];                                                                           \
    if (HSAE_WIDE && ROWS * DATA > 2) HSAE(store)(totals, HSAE(reduce_16)(sums));               \
    else {                                                                                      \
      _Pragma("clang loop unroll(full)") for (int j = 0; j < ROWS * DATA; j++)                  \
        totals[j] = HSAE(reduce)(sums[j]);                                                      \
    }                                                                                           \
    _Pragma("clang loop unroll(full)") for (int t = 0; t < DATA; t++)                           \
      _Pragma("clang loop unroll(full)") for (int r = 0; r < ROWS; r++) {                       \
        float tail = 0;                                                                         \
        for (ptrdiff_t j = i; j < d; j++)                                                       \
          tail += rows[r * d + j] * HSAE(number##KIND)(x[t] + j);                               \
        out[t][r] = totals[t * ROWS + r] + tail;                                                \
      }                                                                                         \
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
  HSAE_DOTS(1, 2, KIND, TYPE)                                                                   \
  HSAE_DOTS(1, 8, KIND, TYPE)                                                                   \
  HSAE_DOTS(2, 2, KIND, TYPE)                                                                   \
  HSAE_DOTS(3, 2, KIND, TYPE)                                                                   \
  HSAE_DOTS(4, 2, KIND, TYPE)                                                                   \
  HSAE_DOTS(5, 2, KIND, TYPE)                                                                   \
  static void HSAE(rows_dot##KIND)(float *out, const float *rows, ptrdiff_t R, ptrdiff_t d,     \
                                   const TYPE *x, ptrdiff_t ld, const int32_t *vectors,         \
                                   ptrdiff_t n) {                                               \
    ptrdiff_t bytes = d * (ptrdiff_t)sizeof *x, group;                                          \
    for (ptrdiff_t t = 0; t < n; t += group) {                                                  \
      group = R == 1 && n - t > 4 ? 8 : 2;                                                      \
      const TYPE *data[8];                                                                      \
      float *target[8];                                                                         \
      for (ptrdiff_t q = 0; q < group; q++) {                                                   \
        /* At the end the last data row takes the places of those that lack. */                 \
        ptrdiff_t own = t + q < n ? t + q : n - 1;                                              \
        data[q] = x + vectors[own] * ld;                                                        \
        target[q] = out + own * R;                                                              \
        if (t + group + q < n) HSAE(fetch)(x + vectors[t + group + q] * ld, bytes);             \
      }                                                                                         \
      if (group == 8) {                                                                         \
        HSAE(dots_1x8##KIND)(target, rows, d, data);                                            \
        continue;                                                                               \
      }                                                                                         \
      for (ptrdiff_t r = 0; r < R;) {                                                           \
        ptrdiff_t left = R - r, block = left <= 5 ? left : left < 8 ? 4 : 5;                    \
        const float *own = rows + r * d;                                                        \
        float *const part[2] = {target[0] + r, target[1] + r};                                  \
        switch (block) {                                                                        \
          case 1: HSAE(dots_1x2##KIND)(part, own, d, data); break;                              \
          case 2: HSAE(dots_2x2##KIND)(part, own, d, data); break;                              \
          case 3: HSAE(dots_3x2##KIND)(part, own, d, data); break;                              \
          case 4: HSAE(dots_4x2##KIND)(part, own, d, data); break;                              \
          default: HSAE(dots_5x2##KIND)(part, own, d, data); break;                             \
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

// out[vectors[t]] += Σ_r w[t·ld + r] rows[r] for ROWS rows. 16 · VECTORS columns of these rows stay in registers while all
// data rows pass. Data rows lie at random, so the fourth one after each is fetched meanwhile.
#define HSAE_SPREAD(ROWS)                                                                       \
  static inline __attribute__((always_inline)) void HSAE(spread_columns_##ROWS)(                \
      float *out, const float *rows, ptrdiff_t d, const float *w, ptrdiff_t ld,                 \
      const int32_t *vectors, ptrdiff_t n, const int VECTORS) {                                 \
    v16 own[ROWS][HSAE_SPREAD_VECTORS], sum[HSAE_SPREAD_VECTORS];                               \
    for (int r = 0; r < ROWS; r++)                                                              \
      for (int c = 0; c < VECTORS; c++) own[r][c] = HSAE(load)(rows + r * d + 16 * c);          \
    for (ptrdiff_t t = 0; t < n; t++, w += ld) {                                                \
      float *x = out + vectors[t] * d;                                                          \
      if (t + 4 < n)                                                                            \
        for (int c = 0; c < VECTORS; c++) __builtin_prefetch(out + vectors[t + 4] * d + 16 * c, 1); \
      for (int c = 0; c < VECTORS; c++) sum[c] = HSAE(load)(x + 16 * c);                        \
      for (int r = 0; r < ROWS; r++)                                                            \
        for (int c = 0; c < VECTORS; c++) sum[c] += w[r] * own[r][c];                           \
      for (int c = 0; c < VECTORS; c++) HSAE(store)(x + 16 * c, sum[c]);                        \
    }                                                                                           \
  }                                                                                             \
  static void HSAE(spread_##ROWS)(float *out, const float *rows, ptrdiff_t d, ptrdiff_t columns, \
                                  const float *w, ptrdiff_t ld, const int32_t *vectors,         \
                                  ptrdiff_t n) {                                                \
    ptrdiff_t i = 0;                                                                            \
    for (; i + 16 * HSAE_SPREAD_VECTORS <= columns; i += 16 * HSAE_SPREAD_VECTORS)              \
      HSAE(spread_columns_##ROWS)(out + i, rows + i, d, w, ld, vectors, n, HSAE_SPREAD_VECTORS); \
    for (; i + 16 <= columns; i += 16)                                                          \
      HSAE(spread_columns_##ROWS)(out + i, rows + i, d, w, ld, vectors, n, 1);                  \
    for (ptrdiff_t t = 0; i < columns && t < n; t++)                                            \
      for (ptrdiff_t j = i; j < columns; j++)                                                   \
        for (int r = 0; r < ROWS; r++) out[vectors[t] * d + j] += w[t * ld + r] * rows[r * d + j]; \
  }
HSAE_SPREAD(1)
HSAE_SPREAD(2)
HSAE_SPREAD(3)
HSAE_SPREAD(4)

static void HSAE(spread)(float *high, float *low, const float *rows, ptrdiff_t R, ptrdiff_t d,
                         ptrdiff_t columns, const float *z, const float *v, const int32_t *vectors,
                         ptrdiff_t n) {
  HSAE(spread_1)(high, rows, d, columns, z, 1, vectors, n);
  ptrdiff_t s = R - 1;
  for (ptrdiff_t r = 0; r < s; r += 4) {
    const float *own = rows + (r + 1) * d, *w = v + r;
    switch (s - r) {
      case 1: HSAE(spread_1)(low, own, d, columns, w, s, vectors, n); break;
      case 2: HSAE(spread_2)(low, own, d, columns, w, s, vectors, n); break;
      case 3: HSAE(spread_3)(low, own, d, columns, w, s, vectors, n); break;
      default: HSAE(spread_4)(low, own, d, columns, w, s, vectors, n); break;
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
#undef HSAE_DOTS
#undef HSAE_OUTER
#undef HSAE_EXPERT_KERNELS
#undef HSAE_ADD_FLOATS
#undef HSAE_ADD_PAIRS
#undef HSAE_PANEL_SUMS
