// Kernels that choose latents, those of sublatents and of the optimizer, and the table of all kernels (see
// kernels-rows.h).

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
        keys_select(keys, count, keep);
        count = keep;
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
    HSAE(adam_bfloat16), HSAE(sum_squares), HSAE(fourth_powers), HSAE(gram_panel),
    HSAE(largest),      HSAE(exp_sum),     HSAE(gather_half)};
#undef HSAE
#undef HSAE_NAME
