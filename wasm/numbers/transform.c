/* transform.c — multiplication of long numbers by a number-theoretic transform.
 *
 * The factors are cut into 16-bit digits; their convolution is computed modulo the prime
 * p = 2^64 - 2^32 + 1, which is larger than every sum of up to 2^32 products of digits. Modulo p,
 * 2^64 is 2^32 - 1 and 2^96 is -1, so reduction needs no division; 7 generates the group, whose
 * order p - 1 is divisible by 2^32.
 */
#include "numbers/transform.h"
#include <string.h>

#define P 0xffffffff00000001u
#define ORDER_LOG 32

static inline uint64_t mod_add(uint64_t a, uint64_t b) { return a >= P - b ? a - (P - b) : a + b; }
static inline uint64_t mod_sub(uint64_t a, uint64_t b) { return a >= b ? a - b : a + (P - b); }

static inline uint64_t mod_mul(uint64_t a, uint64_t b) {
  uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
  uint64_t ll = al * bl, lh = al * bh, hl = ah * bl, hh = ah * bh;
  uint64_t middle = (ll >> 32) + (uint32_t)lh + (uint32_t)hl;
  uint64_t low = middle << 32 | (uint32_t)ll, high = hh + (lh >> 32) + (hl >> 32) + (middle >> 32);
  /* low + high 2^64, with high = h1 2^32 + h0: low - h1 + h0 (2^32 - 1) */
  uint64_t h0 = (uint32_t)high, h1 = high >> 32, t = low - h1;
  if (t > low) t -= 0xffffffff;                          /* borrowed 2^64 */
  uint64_t r = t + (h0 << 32) - h0;
  if (r < t) r += 0xffffffff;                            /* carried out 2^64 */
  return r >= P ? r - P : r;
}

static uint64_t mod_power(uint64_t base, uint64_t exponent) {
  uint64_t r = 1;
  for (; exponent; exponent >>= 1, base = mod_mul(base, base))
    if (exponent & 1) r = mod_mul(r, base);
  return r;
}

/* Blocks of the transform are visited in order; from block s to s + 1 the bit-reversed exponent of
   the twiddle factor changes by an amount that depends only on the trailing ones of s. */
struct roots { uint64_t step[ORDER_LOG], inverse_step[ORDER_LOG], of_bit[ORDER_LOG], inverse_of_bit[ORDER_LOG]; };

static void make_roots(struct roots *r) {
  uint64_t root[ORDER_LOG + 1], inverse[ORDER_LOG + 1], up = 1, down = 1;
  root[ORDER_LOG] = mod_power(7, (P - 1) >> ORDER_LOG);
  inverse[ORDER_LOG] = mod_power(root[ORDER_LOG], P - 2);
  for (int i = ORDER_LOG; i > 0; i--) {
    root[i - 1] = mod_mul(root[i], root[i]);
    inverse[i - 1] = mod_mul(inverse[i], inverse[i]);
  }
  for (int i = 0; i + 2 <= ORDER_LOG; i++) {
    r->of_bit[i] = root[i + 2];
    r->inverse_of_bit[i] = inverse[i + 2];
    r->step[i] = mod_mul(root[i + 2], up);
    r->inverse_step[i] = mod_mul(inverse[i + 2], down);
    up = mod_mul(up, inverse[i + 2]);
    down = mod_mul(down, root[i + 2]);
  }
}

/* The factor of block s: that of each bit in its number. */
static uint64_t twiddle(uint32_t s, const uint64_t *of_bit) {
  uint64_t w = 1;
  for (; s; s &= s - 1) w = mod_mul(w, of_bit[__builtin_ctz(s)]);
  return w;
}

/* Some of one pass of the way there, in place; after the last the result is in bit-reversed order, which the way
   back undoes. */
static void forward_pass(uint64_t *a, uint32_t from, uint32_t to, uint32_t half, const struct roots *roots) {
  uint64_t w = twiddle(from / half, roots->of_bit);
  for (uint32_t at = from, end; at < to; at = end) {
    uint32_t s = at / half;
    uint64_t *x = a + 2 * half * s, *y = x + half;
    end = to < half * (s + 1) ? to : half * (s + 1);
    for (uint32_t i = at - half * s; i < end - half * s; i++) {
      uint64_t l = x[i], r = mod_mul(y[i], w);
      x[i] = mod_add(l, r);
      y[i] = mod_sub(l, r);
    }
    w = mod_mul(w, roots->step[__builtin_ctz(~s)]);
  }
}

static void backward_pass(uint64_t *a, uint32_t from, uint32_t to, uint32_t half, const struct roots *roots) {
  uint64_t w = twiddle(from / half, roots->inverse_of_bit);
  for (uint32_t at = from, end; at < to; at = end) {
    uint32_t s = at / half;
    uint64_t *x = a + 2 * half * s, *y = x + half;
    end = to < half * (s + 1) ? to : half * (s + 1);
    for (uint32_t i = at - half * s; i < end - half * s; i++) {
      uint64_t l = x[i], r = y[i];
      x[i] = mod_add(l, r);
      y[i] = mod_mul(mod_sub(l, r), w);
    }
    w = mod_mul(w, roots->inverse_step[__builtin_ctz(~s)]);
  }
}

static uint32_t transform_size(uint32_t limbs) {
  uint32_t n = 2;
  while (n < 2 * limbs) n *= 2;
  return n;
}

static void load(uint64_t *out, uint32_t n, const Limb *a, uint32_t an) {
  for (uint32_t i = 0; i < an; i++) {
    out[2 * i] = a[i] & 0xffff;
    out[2 * i + 1] = a[i] >> 16;
  }
  memset(out + 2 * an, 0, (n - 2 * an) * sizeof *out);
}

uint32_t transform_words(uint32_t an, uint32_t bn) { return 2 * transform_size(an + bn); }
uint32_t transform_scratch(uint32_t an, uint32_t bn) { return 4 * transform_size(an + bn) + 2; }

uint64_t transform_cost(uint32_t an, uint32_t bn) {
  uint64_t n = transform_size(an + bn);
  return n * (uint64_t)__builtin_ctzll(n);
}

/* Passes: those of both factors, the product, those of the way back, the carries. A long one is cut into parts,
   but for the carries, which are quick. */
enum { PART = 1 << 16 };
static uint32_t parts_of(uint32_t n) { return n > PART ? n / PART : 1; }

uint32_t transform_passes(uint32_t an, uint32_t bn) {
  uint32_t n = transform_size(an + bn);
  return (3 * (uint32_t)__builtin_ctz(n) + 1) * parts_of(n) + 1;
}

uint64_t transform_pass_cost(uint32_t an, uint32_t bn) {
  uint32_t n = transform_size(an + bn);
  return n / parts_of(n) / 8;
}

void transform_begin(uint64_t *scratch, const Limb *a, uint32_t an, const Limb *b, uint32_t bn) {
  uint32_t n = transform_size(an + bn);
  load(scratch, n, a, an);
  load(scratch + n, n, b, bn);
}

void transform_pass(uint32_t number, uint64_t *scratch, Limb *r, uint32_t an, uint32_t bn) {
  struct roots roots;
  make_roots(&roots);
  uint32_t n = transform_size(an + bn), levels = (uint32_t)__builtin_ctz(n), parts = parts_of(n);
  uint32_t pass = number / parts, pairs = n / 2 / parts, from = number % parts * pairs, to = from + pairs;
  uint64_t *x = scratch, *y = scratch + n, carry = 0;
  if (pass < levels) {
    forward_pass(x, from, to, n >> (pass + 1), &roots);
  } else if (pass < 2 * levels) {
    forward_pass(y, from, to, n >> (pass - levels + 1), &roots);
  } else if (pass == 2 * levels) {
    uint64_t scale = mod_power(n, P - 2);
    for (uint32_t i = 2 * from; i < 2 * to; i++) x[i] = mod_mul(mod_mul(x[i], y[i]), scale);
  } else if (pass <= 3 * levels) {
    backward_pass(x, from, to, 1u << (pass - 2 * levels - 1), &roots);
  } else {
    for (uint32_t i = 0; i < an + bn; i++) {             /* a sum is below 2^51, so the carries fit */
      carry += x[2 * i];
      Limb low = (Limb)(carry & 0xffff);
      carry = (carry >> 16) + x[2 * i + 1];
      r[i] = low | (Limb)carry << 16;
      carry >>= 16;
    }
  }
}

void transform_mul(Limb *r, const Limb *a, uint32_t an, const Limb *b, uint32_t bn, Limb *scratch) {
  uint64_t *x = (uint64_t *)(((uintptr_t)scratch + 7) & ~(uintptr_t)7);
  uint32_t passes = transform_passes(an, bn), n = transform_size(an + bn), pass = 0;
  transform_begin(x, a, an, b, bn);
  if (a == b && an == bn) {                              /* a square: one factor's way there is both's */
    uint32_t way = (uint32_t)__builtin_ctz(n) * parts_of(n);
    for (; pass < way; pass++) transform_pass(pass, x, r, an, bn);
    memcpy(x + n, x, n * sizeof *x);
    pass = 2 * way;
  }
  for (; pass < passes; pass++) transform_pass(pass, x, r, an, bn);
}
