// The innermost loops, in plain C, compiled once per instruction set, which is chosen at run time.
//
// Every function is reached through a table (`hsae_kernels_best`, `hsae_kernels_named`), so that tests
// can compare each instruction set with the scalar twins in Swift. All arithmetic uses vectors of 16
// floats for every machine width, so sums associate in the same way everywhere; only fused multiply-adds
// differ between sets. Matrices are row-major. No kernel allocates or keeps state.
//
// Letters: d width of a row, R rows of one expert's matrix (1 + s), n number of data rows, ld distance
// between rows in floats, `vectors` the indices of the n data rows within x.
#ifndef HSAE_KERNELS_H
#define HSAE_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

/// Columns of a panel, for `panel_sums`.
#define HSAE_PANEL 64
/// Columns of a panel, for `gram_panel`.
#define HSAE_GRAM_PANEL 16

/// The sublatents of one expert, for `sub_forward` and `sub_backward`.
typedef struct {
  ptrdiff_t subspace;    // s
  ptrdiff_t sublatents;  // a
  float threshold;       // α of the second level
  float slope;           // slope below it
  const float *encoder;  // [a × s]
  const float *decoder;  // [a × s]
  float *scratch;        // (2·s + 3)·(a + 16) floats, owned by the calling thread
} hsae_sub_expert;

typedef struct {
  const char *name;

  /// out[i] = bf16(in[i]), rounded to nearest even.
  void (*to_bfloat16)(uint16_t *out, const float *in, ptrdiff_t n);
  /// a · b over n.
  float (*dot)(const float *a, const float *b, ptrdiff_t n);
  /// y += c x over n.
  void (*axpy)(float *y, const float *x, float c, ptrdiff_t n);
  /// out = c · x over n (out may be x).
  void (*scale)(float *out, const float *x, float c, ptrdiff_t n);

  /// Prefetches the cache lines of `bytes` bytes from p.
  void (*fetch)(const void *p, ptrdiff_t bytes);
  /// out[t·R + r] = rows[r] · x[vectors[t]]      rows [R × d], out [n × R].
  void (*rows_dot)(float *out, const float *rows, ptrdiff_t R, ptrdiff_t d, const float *x,
                   ptrdiff_t ld, const int32_t *vectors, ptrdiff_t n);
  /// The same for an x of bf16 numbers.
  void (*rows_dot_bfloat16)(float *out, const float *rows, ptrdiff_t R, ptrdiff_t d,
                            const uint16_t *x, ptrdiff_t ld, const int32_t *vectors, ptrdiff_t n);
  /// grad[r] += Σ_t coefficients[t·R + r] x[vectors[t]]      grad [R × d].
  void (*outer)(float *grad, ptrdiff_t R, ptrdiff_t d, const float *coefficients, const float *x,
                ptrdiff_t ld, const int32_t *vectors, ptrdiff_t n);
  /// The same for an x of bf16 numbers.
  void (*outer_bfloat16)(float *grad, ptrdiff_t R, ptrdiff_t d, const float *coefficients,
                         const uint16_t *x, ptrdiff_t ld, const int32_t *vectors, ptrdiff_t n);
  /// sums[j·ld + c] += Σ_t panel[list[t]·HSAE_PANEL + c] over t in starts[j] ..< starts[j + 1], for j <
  /// n and c < HSAE_PANEL: sums of chosen rows of a panel that is small enough to stay in the cache.
  void (*panel_sums)(float *sums, ptrdiff_t ld, ptrdiff_t n, const uint16_t *list,
                     const int32_t *starts, const float *panel);
  /// The same for a panel of paired bf16 numbers, as `pair_columns` makes it.
  void (*panel_sums_bfloat16)(float *sums, ptrdiff_t ld, ptrdiff_t n, const uint16_t *list,
                              const int32_t *starts, const uint32_t *panel);
  /// Packs HSAE_PANEL columns of a bf16 row into HSAE_PANEL / 2 words: of every 32 columns, column i
  /// and column 16 + i share a word. Columns from n on are zero.
  void (*pair_columns)(uint32_t *out, const uint16_t *in, ptrdiff_t n);
  /// out[i] = bit i of bits as a bf16 0 or 1, for i < 64.
  void (*expand_bits)(uint16_t *out, uint64_t bits);

  /// high[vectors[t]] += z[t] rows[0], low[vectors[t]] += Σ_r v[t·s + r] rows[1 + r], for all t, in the first `columns` of
  /// d columns; rows [R × d], s = R − 1; high and low have d floats a row. With s = 0 low is not touched. A sum adds its
  /// terms in the order of t and r, whatever the columns.
  void (*spread)(float *high, float *low, const float *rows, ptrdiff_t R, ptrdiff_t d,
                 ptrdiff_t columns, const float *z, const float *v, const int32_t *vectors,
                 ptrdiff_t n);
  /// r = high + low − x, h = high − x; low ← a·r, high ← a·r + b·h; sums[0] += ‖r‖², sums[1] += ‖h‖².
  void (*residuals)(float *high, float *low, const float *x, float a, float b, ptrdiff_t d,
                    double *sums);

  /// Scans n pre-activations u of latents first, first + 1, …. Sets bit i of mask where u[i] >=
  /// threshold and adds those u to sum; if mask is NULL it does neither. Appends the key of every u[i]
  /// > *floor to keys. Whenever `capacity` keys are held, keeps only the `keep` largest and raises
  /// *floor to the smallest of them. Returns the new number of keys. capacity ≥ keep + 16; any n is
  /// allowed; mask has (n + 63) / 64 words.
  ptrdiff_t (*scan)(const float *u, ptrdiff_t n, int32_t first, float threshold,
                    uint64_t *_Nullable mask, double *sum, float *floor, uint64_t *keys,
                    ptrdiff_t count, ptrdiff_t keep, ptrdiff_t capacity);

  /// For each data row t, with pre-activations from y[t] [s]: q[t] and c[t], the number and code of the
  /// strongest sublatent, v[t] = c·D[q] [s], and penalty[t] = Σ_a |c_a|.
  void (*sub_forward)(const hsae_sub_expert *expert, const float *y, ptrdiff_t n, int32_t *q,
                      float *c, float *v, float *penalty);
  /// From y[t], q[t], c[t] and the gradient dv[t] of v[t]: adds to the gradients of the sub-encoder
  /// and sub-decoder [a × s] and writes dy[t] [s]. penalty is the weight of Σ_a |c_a|.
  void (*sub_backward)(const hsae_sub_expert *expert, const float *y, const float *dv,
                       const int32_t *q, const float *c, ptrdiff_t n, float penalty,
                       float *encoder_gradient, float *decoder_gradient, float *dy);

  /// Adam on n numbers with the gradient scaled by `clip`; rate and epsilon contain the bias
  /// corrections: p −= rate · m / (√v + epsilon).
  void (*adam)(float *p, float *m, float *v, const float *g, ptrdiff_t n, float clip, float rate,
               float beta1, float beta2, float epsilon);
  /// The same with moments in bf16, rounded up or down at random so that their mean is exact. `key` and
  /// first + i determine the random number for element i.
  void (*adam_bfloat16)(float *p, uint16_t *m, uint16_t *v, const float *g, ptrdiff_t n, float clip,
                        float rate, float beta1, float beta2, float epsilon, uint64_t key,
                        uint32_t first);
  /// Σ x² over n, in double.
  double (*sum_squares)(const float *x, ptrdiff_t n);
  /// Σ x⁴ over n.
  float (*fourth_powers)(const float *x, ptrdiff_t n);
  /// sums[i·ld + j] += Σ_t a[t·p + i] b[t·p + j] for i, j < p = HSAE_GRAM_PANEL and t < n, in double: part of the
  /// product of columns with columns, of which a and b are panels.
  void (*gram_panel)(double *sums, ptrdiff_t ld, const double *a, const double *b, ptrdiff_t n);

  /// The largest of n numbers, n > 0.
  float (*largest)(const float *x, ptrdiff_t n);
  /// Σ exp(x − shift) over n, in double, and each term into out (may be NULL). x ≤ shift; a term
  /// below e^−87 is 0.
  double (*exp_sum)(float *_Nullable out, const float *x, float shift, ptrdiff_t n);

  /// out[t·d + i] = half-precision number i of rows[t] (at any address), for n rows of d numbers. Stops
  /// at the first row with an infinity or a NaN and returns its t; otherwise returns n.
  ptrdiff_t (*gather_half)(float *out, const void *_Nonnull const *_Nonnull rows, ptrdiff_t n,
                           ptrdiff_t d);
} hsae_kernels;

/// The table of the best instruction set this processor has, or of the set that the environment
/// variable HSAE_ISA names (`generic`, `avx2`, `avx512`) if the processor has it.
const hsae_kernels *hsae_kernels_best(void);
/// The table called `name`, or NULL if the processor lacks it.
const hsae_kernels *_Nullable hsae_kernels_named(const char *name);

/// A key that sorts by value; among equal values the lowest index has the largest key.
uint64_t hsae_key(float value, int32_t index);
/// The value in a key.
float hsae_key_value(uint64_t key);
/// The index in a key.
int32_t hsae_key_index(uint64_t key);
/// Keeps the `keep` largest of `count` keys, sorted from large to small; returns their number.
ptrdiff_t hsae_keys_top(uint64_t *keys, ptrdiff_t count, ptrdiff_t keep);

/// Transposes a 64 × 64 bit matrix: bit c of in[r·ld] becomes bit r of out[c].
void hsae_transpose_bits(uint64_t *out, const uint64_t *in, ptrdiff_t ld);

/// Makes every OpenMP region that this thread starts run on this thread alone. We divide the work into
/// tiles ourselves, so results cannot depend on the number of threads.
void hsae_single_openmp_thread(void);
/// How this thread divides AMX's tile registers. All bytes are 0 if it does not use them or there are none.
typedef struct {
  uint8_t bytes[64];
} hsae_tile_configuration;
/// This thread's division of tile registers.
hsae_tile_configuration hsae_tile_configuration_now(void);
/// Divides this thread's tile registers as `own` says; does nothing if it does not use them. They are then 0.
void hsae_restore_tile_configuration(const hsae_tile_configuration *own);

/// Whether the processor multiplies bf16 pairs in hardware (AVX512_BF16 or AMX).
int hsae_has_bfloat16(void);

#pragma clang assume_nonnull end
#endif
