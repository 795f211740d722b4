/* limbs.c — natural numbers as bare vectors of 32-bit limbs, least significant first.
 *
 * No Values and no allocation here: callers bring the room. Multiplication is schoolbook, then
 * Karatsuba, then by transform (transform.c); division is Knuth's algorithm D, above a size
 * recursive (Burnikel and Ziegler 1998), so that it costs a few multiplications.
 */
#include "numbers/limbs.h"
#include "core/check.h"
#include "numbers/transform.h"
#include <string.h>

/* limbs of the smaller operand; measured */
#define KARATSUBA_FROM 40u
#define TRANSFORM_FROM 2500u
#define RECURSIVE_DIVISION_FROM 100u

/* The engine counts fuel at every turn of a loop: fewer turns. */
#define UNROLLED _Pragma("GCC unroll 4")

uint32_t limbs_trim(const Limb *a, uint32_t count) {
  while (count && !a[count - 1]) count--;
  return count;
}

int limbs_compare(const Limb *a, uint32_t an, const Limb *b, uint32_t bn) {
  if (an != bn) return an < bn ? -1 : 1;
  while (an--)
    if (a[an] != b[an]) return a[an] < b[an] ? -1 : 1;
  return 0;
}

uint32_t limbs_bits(const Limb *a, uint32_t count) {
  return count ? 32 * count - (uint32_t)__builtin_clz(a[count - 1]) : 0;
}

Limb limbs_add(Limb *r, const Limb *a, uint32_t an, const Limb *b, uint32_t bn) {
  uint64_t carry = 0;
  UNROLLED for (uint32_t i = 0; i < bn; i++) {
    carry += (uint64_t)a[i] + b[i];
    r[i] = (Limb)carry;
    carry >>= 32;
  }
  UNROLLED for (uint32_t i = bn; i < an; i++) {
    carry += a[i];
    r[i] = (Limb)carry;
    carry >>= 32;
  }
  return (Limb)carry;
}

Limb limbs_sub(Limb *r, const Limb *a, uint32_t an, const Limb *b, uint32_t bn) {
  CHECK(an >= bn);
  uint64_t borrow = 0;
  UNROLLED for (uint32_t i = 0; i < bn; i++) {
    uint64_t d = (uint64_t)a[i] - b[i] - borrow;
    r[i] = (Limb)d;
    borrow = d >> 63;
  }
  UNROLLED for (uint32_t i = bn; i < an; i++) {
    uint64_t d = (uint64_t)a[i] - borrow;
    r[i] = (Limb)d;
    borrow = d >> 63;
  }
  return (Limb)borrow;
}

Limb limbs_mul1(Limb *r, const Limb *a, uint32_t n, Limb m, Limb carry) {
  uint64_t t = carry;
  UNROLLED for (uint32_t i = 0; i < n; i++) {
    t += (uint64_t)a[i] * m;
    r[i] = (Limb)t;
    t >>= 32;
  }
  return (Limb)t;
}

Limb limbs_div1(Limb *q, const Limb *a, uint32_t n, Limb d) {
  uint64_t rest = 0;
  while (n--) {
    rest = rest << 32 | a[n];
    q[n] = (Limb)(rest / d);
    rest %= d;
  }
  return (Limb)rest;
}

Limb limbs_left(Limb *r, const Limb *a, uint32_t n, uint32_t bits) {
  uint64_t out = 0;
  if (!bits) { memmove(r, a, n * sizeof(Limb)); return 0; }
  UNROLLED for (uint32_t i = 0; i < n; i++) {
    out |= (uint64_t)a[i] << bits;
    r[i] = (Limb)out;
    out >>= 32;
  }
  return (Limb)out;
}

void limbs_right(Limb *r, const Limb *a, uint32_t n, uint32_t bits) {
  if (!bits) { memmove(r, a, n * sizeof(Limb)); return; }
  UNROLLED for (uint32_t i = 0; i + 1 < n; i++) r[i] = (Limb)((a[i] | (uint64_t)a[i + 1] << 32) >> bits);
  if (n) r[n - 1] = a[n - 1] >> bits;
}

/* ---- multiplication ---- */

/* r[0..n) += a * m, returns the carry */
static Limb add_product(Limb *r, const Limb *a, uint32_t n, Limb m) {
  uint64_t t = 0;
  UNROLLED for (uint32_t i = 0; i < n; i++) {
    t += (uint64_t)a[i] * m + r[i];
    r[i] = (Limb)t;
    t >>= 32;
  }
  return (Limb)t;
}

static void mul_schoolbook(Limb *r, const Limb *a, uint32_t an, const Limb *b, uint32_t bn) {
  r[an] = limbs_mul1(r, a, an, b[0], 0);
  for (uint32_t i = 1; i < bn; i++) r[an + i] = add_product(r + i, a, an, b[i]);
}

/* r = |a - b|, both of n limbs with b padded by zeros from bn on; true where a < b */
static bool difference(Limb *r, const Limb *a, const Limb *b, uint32_t n, uint32_t bn) {
  uint32_t at = limbs_trim(a, n), bt = limbs_trim(b, bn);
  bool less = limbs_compare(a, at, b, bt) < 0;
  if (less) limbs_sub(r, b, bn, a, at); else limbs_sub(r, a, n, b, bt);
  if (less) memset(r + bn, 0, (n - bn) * sizeof(Limb));
  return less;
}

/* Both of n limbs. With a = a1 B + a0 and b alike, three half-size products give
   a1 b1 B^2 + (a0 b0 + a1 b1 - (a0 - a1)(b0 - b1)) B + a0 b0.
   Recursion is as deep as log2 of n. */
static void mul_karatsuba(Limb *r, const Limb *a, const Limb *b, uint32_t n, Limb *scratch) {
  if (n < KARATSUBA_FROM) { mul_schoolbook(r, a, n, b, n); return; }
  uint32_t low = (n + 1) / 2, high = n - low;
  Limb *da = scratch, *db = scratch + low, *product = scratch + 2 * low, *rest = scratch + 4 * low;
  bool negative = difference(da, a, a + low, low, high) != difference(db, b, b + low, low, high);
  mul_karatsuba(product, da, db, low, rest);
  mul_karatsuba(r, a, b, low, rest);
  mul_karatsuba(r + 2 * low, a + low, b + low, high, rest);
  Limb *sum = scratch;                                  /* the differences are used up */
  Limb top = limbs_add(sum, r, 2 * low, r + 2 * low, 2 * high);
  if (negative) top += limbs_add(sum, sum, 2 * low, product, 2 * low);
  else top -= limbs_sub(sum, sum, 2 * low, product, 2 * low);
  Limb carry = limbs_add(r + low, r + low, 2 * n - low, sum, 2 * low);
  (void)carry;                                          /* the product fits */
  for (uint32_t i = 3 * low; top; i++) {
    uint64_t t = (uint64_t)r[i] + top;
    r[i] = (Limb)t;
    top = (Limb)(t >> 32);
  }
}

uint32_t limbs_mul_scratch(uint32_t an, uint32_t bn) {
  uint32_t n = an < bn ? an : bn;
  if (n >= TRANSFORM_FROM) return transform_scratch(an, bn);
  return n < KARATSUBA_FROM ? 0 : 7 * n + 256;
}

void limbs_mul(Limb *r, const Limb *a, uint32_t an, const Limb *b, uint32_t bn, Limb *scratch) {
  if (an < bn) {
    const Limb *t = a; a = b; b = t;
    uint32_t n = an; an = bn; bn = n;
  }
  if (!bn) { memset(r, 0, an * sizeof(Limb)); return; }
  if (bn < KARATSUBA_FROM) { mul_schoolbook(r, a, an, b, bn); return; }
  if (bn >= TRANSFORM_FROM) { transform_mul(r, a, an, b, bn, scratch); return; }
  if (an == bn) { mul_karatsuba(r, a, b, an, scratch); return; }
  /* pieces of a as long as b; the last one padded */
  Limb *product = scratch, *padded = scratch + 2 * bn, *rest = padded + bn;
  memset(r, 0, (an + bn) * sizeof(Limb));
  for (uint32_t i = 0; i < an; i += bn) {
    uint32_t n = an - i < bn ? an - i : bn;
    const Limb *piece = a + i;
    if (n < KARATSUBA_FROM) {
      mul_schoolbook(product, b, bn, piece, n);
    } else {
      if (n < bn) {
        memcpy(padded, piece, n * sizeof(Limb));
        memset(padded + n, 0, (bn - n) * sizeof(Limb));
        piece = padded;
      }
      mul_karatsuba(product, piece, b, bn, rest);
    }
    limbs_add(r + i, r + i, an + bn - i, product, n + bn);
  }
}

uint64_t limbs_mul_cost(uint32_t an, uint32_t bn) {
  uint64_t n = an < bn ? an : bn, pieces = n ? (an + bn - n) / n : 0, cost = 1;
  if (n >= TRANSFORM_FROM) return transform_cost(an, bn);
  for (; n >= KARATSUBA_FROM; n = (n + 1) / 2) cost *= 3;
  return 1 + pieces * cost * n * n / 8;
}

/* ---- division ---- */

/* r[0..n) -= a * m, returns the borrow */
static Limb sub_product(Limb *r, const Limb *a, uint32_t n, Limb m) {
  uint64_t carry = 0;
  UNROLLED for (uint32_t i = 0; i < n; i++) {
    carry += (uint64_t)a[i] * m;
    uint64_t d = (uint64_t)r[i] - (Limb)carry;
    r[i] = (Limb)d;
    carry = (carry >> 32) + (d >> 63);
  }
  return (Limb)carry;
}

static void div_schoolbook(Limb *q, Limb *a, uint32_t an, const Limb *b, uint32_t bn) {
  uint64_t top = b[bn - 1], next = b[bn - 2];
  for (uint32_t i = an - bn + 1; i--;) {
    Limb *part = a + i;                                /* bn + 1 limbs, less than b * 2^32 */
    uint64_t lead = (uint64_t)part[bn] << 32 | part[bn - 1];
    uint64_t guess = lead / top, rest = lead % top;
    while (guess >> 32 || guess * next > (rest << 32 | part[bn - 2])) {
      guess--;
      rest += top;
      if (rest >> 32) break;
    }
    Limb borrow = sub_product(part, b, bn, (Limb)guess);
    bool over = part[bn] < borrow;
    part[bn] -= borrow;
    if (over) {                                        /* one too many: rare */
      guess--;
      part[bn] += limbs_add(part, part, bn, b, bn);
    }
    q[i] = (Limb)guess;
  }
}

static void div_even(Limb *q, Limb *a, const Limb *b, uint32_t n, Limb *scratch);

/* a: n + k limbs of which the upper n are less than b (n limbs); q: k limbs, k <= n. The quotient is
   guessed from the upper 2k limbs of a and the upper k of b, then what the lower limbs of b
   take off is subtracted: the guess is at most 2 too large. Recursion is twice as deep as log2 of k. */
static void div_step(Limb *q, Limb *a, const Limb *b, uint32_t n, uint32_t k, Limb *scratch) {
  if (k < RECURSIVE_DIVISION_FROM) { div_schoolbook(q, a, n + k - 1, b, n); return; }
  if (k == n) { div_even(q, a, b, n, scratch); return; }
  uint32_t low = n - k;
  Limb over = 0;                                       /* what stands above the n limbs of the remainder */
  if (limbs_compare(a + n, limbs_trim(a + n, k), b + low, k) < 0) {
    div_even(q, a + low, b + low, k, scratch);
  } else {                                             /* equal: the guess is B^k - 1 */
    memset(q, 0xff, k * sizeof(Limb));
    memset(a + n, 0, k * sizeof(Limb));
    over = limbs_add(a + low, a + low, k, b + low, k);
  }
  Limb *product = scratch;
  limbs_mul(product, q, k, b, low, scratch + n);
  over -= limbs_sub(a, a, n, product, n);
  while (over >> 31) {                                 /* below zero */
    const Limb one = 1;
    limbs_sub(q, q, k, &one, 1);
    over += limbs_add(a, a, n, b, n);
  }
}

/* 2n limbs by n limbs, the upper half of a being less than b */
static void div_even(Limb *q, Limb *a, const Limb *b, uint32_t n, Limb *scratch) {
  if (n < RECURSIVE_DIVISION_FROM) { div_schoolbook(q, a, 2 * n - 1, b, n); return; }
  uint32_t half = n / 2;
  div_step(q + half, a + half, b, n, n - half, scratch);
  div_step(q, a, b, n, half, scratch);
}

uint32_t limbs_div_scratch(uint32_t an, uint32_t bn) {
  uint32_t qn = an - bn + 1, half = (bn + 1) / 2, karatsuba = 7 * half + 256;
  if (qn < RECURSIVE_DIVISION_FROM || bn < RECURSIVE_DIVISION_FROM) return 0;
  uint32_t transform = half >= TRANSFORM_FROM ? transform_scratch(half, half) : 0;
  return bn + (karatsuba > transform ? karatsuba : transform);
}

#define DIVISION_PART 256u                     /* limbs of a quotient that are found at once by a long divisor: a millisecond's work */
void limbs_div(Limb *q, Limb *a, uint32_t an, const Limb *b, uint32_t bn, Limb *scratch) {
  CHECK(bn >= 2 && an >= bn && b[bn - 1] >> 31);
  for (uint32_t left = an - bn + 1; left;) left = limbs_div_part(q, a, left, b, bn, scratch);
}

uint32_t limbs_div_part(Limb *q, Limb *a, uint32_t left, const Limb *b, uint32_t bn, Limb *scratch) {
  uint32_t most = bn > 2 * DIVISION_PART ? DIVISION_PART : bn, k = left % most ? left % most : most;
  left -= k;
  div_step(q + left, a + left, b, bn, k, scratch);
  return left;
}

uint64_t limbs_div_cost(uint32_t an, uint32_t bn) {
  if (an < bn) return 1;
  uint32_t qn = an - bn + 1, k = qn < bn ? qn : bn, parts = 1;
  uint64_t cost = 0;
  for (; k >= RECURSIVE_DIVISION_FROM; k = (k + 1) / 2, parts *= 2)
    cost += 2 * parts * limbs_mul_cost((k + 1) / 2, (k + 1) / 2);
  cost += (uint64_t)parts * k * k / 8;
  return qn < bn ? cost + limbs_mul_cost(qn, bn - qn) : cost * ((qn + bn - 1) / bn);
}
