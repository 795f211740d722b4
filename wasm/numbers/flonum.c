/* flonum.c — doubles against exact numbers and decimal digits, always correctly rounded.
 *
 * One table of powers of ten, 128 bits each, serves both directions of decimal conversion. It is
 * computed at boot (so it is part of the image) with the limb arithmetic.
 */
#include "numbers/flonum.h"
#include "numbers/bignum.h"
#include "numbers/ratio.h"
#include <math.h>
#include <string.h>

typedef unsigned __int128 u128;

static uint64_t double_bits(double d) { uint64_t b; memcpy(&b, &d, 8); return b; }
static double double_from_bits(uint64_t b) { double d; memcpy(&d, &b, 8); return d; }

/* ---- to double ---- */
/* m * 2^e rounded to nearest even; sticky: the value is a little more than that */
static double double_make(bool negative, uint64_t m, bool sticky, int64_t e) {
  uint64_t sign = (uint64_t)negative << 63;
  if (!m) return double_from_bits(sign);
  int zeros = __builtin_clzll(m);
  m <<= zeros;
  e += 63 - zeros;                                       /* the value is in [2^e, 2^(e+1)) */
  if (e > 1023) return double_from_bits(sign | 0x7ff0000000000000);
  if (e < -1075) return double_from_bits(sign);
  int drop = e >= -1022 ? 11 : (int)(11 - 1022 - e);     /* bits of m beyond the precision: 11 to 64 */
  uint64_t kept = drop == 64 ? 0 : m >> drop, rest = m << (64 - drop), half = 1ull << 63;
  if (rest > half || (rest == half && (sticky || kept & 1))) kept++;
  /* the leading 1 of a normal number, and a carry out of kept, add to the exponent field */
  uint64_t exponent = e >= -1022 ? (uint64_t)(e + 1022) << 52 : 0;
  return double_from_bits(sign | (exponent + kept));
}

/* The top 64 bits of n as a mantissa for double_make. */
static uint64_t top_bits(Value n, bool *sticky, int64_t *exponent) {
  Int a;
  int_view(n, &a);
  uint64_t m = 0;
  uint32_t used = 0;
  while (used < 2 && used < a.count) m = m << 32 | a.limbs[a.count - ++used];
  uint32_t left = a.count - used;
  *exponent = 32 * (int64_t)left;
  *sticky = false;
  if (m && left) {
    int zeros = __builtin_clzll(m);
    if (zeros) m = m << zeros | a.limbs[left - 1] >> (32 - zeros);
    *exponent -= zeros;
    *sticky = zeros ? (Limb)(a.limbs[left - 1] << zeros) != 0 : a.limbs[left - 1] != 0;
    for (uint32_t i = 0; i + 1 < left && !*sticky; i++) *sticky = a.limbs[i] != 0;
  }
  return m;
}

double int_to_double(Value n) {
  if (IS_FIX(n)) return (double)FIX_VALUE(n);
  bool sticky;
  int64_t exponent;
  uint64_t m = top_bits(n, &sticky, &exponent);
  return double_make(BIG_NEGATIVE(n), m, sticky, exponent);
}

double int_to_parts(Value n, int64_t *exponent) {
  bool sticky;
  uint64_t m = top_bits(n, &sticky, exponent);
  int zeros = __builtin_clzll(m);
  *exponent += 64 - zeros;
  return ldexp((double)(m << zeros), -64);
}

/* a fixnum that a double holds exactly */
static bool small(Value v) { return IS_FIX(v) && FIX_VALUE(v) < 1ll << 53 && FIX_VALUE(v) > -(1ll << 53); }

Value rational_to_double(Value v, double *out) {
  if (!IS(v, T_RATIO)) { *out = int_to_double(v); return V_TRUE; }
  Value n = NUMERATOR(v), d = DENOMINATOR(v), q, r;
  if (small(n) && small(d)) {
    *out = (double)FIX_VALUE(n) / (double)FIX_VALUE(d);  /* both exact, so rounded once */
    return V_TRUE;
  }
  int64_t shift = 65 - ((int64_t)int_bits(n) - (int64_t)int_bits(d)), exponent;
  if (shift >= 0) TRY_SET(n, int_shift(n, shift)); else TRY_SET(d, int_shift(d, -shift));
  TRY_LET(done, int_divide(n, d, &q, &r));                   /* 65 or 66 bits */
  bool sticky;
  uint64_t m = top_bits(q, &sticky, &exponent);
  *out = double_make(int_sign(n) < 0, m, sticky || r != FIX(0), exponent - shift);
  return V_TRUE;
}

/* ---- from double ---- */
static Value scaled_integer(double d, int64_t *exponent) {
  uint64_t bits = double_bits(d), m = bits & 0xfffffffffffff;
  int64_t e = (int64_t)(bits >> 52 & 0x7ff);
  if (e) m |= 1ull << 52; else e = 1;
  *exponent = m ? e - 1075 : 0;
  if (m) { int zeros = __builtin_ctzll(m); m >>= zeros; *exponent += zeros; }
  return FIX(bits >> 63 ? -(int64_t)m : (int64_t)m);
}

Value int_from_double(double d) {
  if (fabs(d) < 0x1p62) return FIX((int64_t)d);
  int64_t exponent;
  Value m = scaled_integer(d, &exponent);
  return int_shift(m, exponent);
}

Value rational_from_double(double d) {
  int64_t exponent;
  Value m = scaled_integer(d, &exponent);
  if (exponent >= 0) return int_shift(m, exponent);
  TRY_LET(power, int_shift(FIX(1), -exponent));
  return rational_make(m, power);
}

Value compare_with_double(Value exact, double d, int *order) {
  if (isnan(d)) { *order = 2; return V_TRUE; }
  if (isinf(d)) { *order = d > 0 ? -1 : 1; return V_TRUE; }
  if (small(exact)) {
    double e = (double)FIX_VALUE(exact);
    *order = e < d ? -1 : e > d;
    return V_TRUE;
  }
  TRY_LET(other, rational_from_double(d));
  return rational_compare(exact, other, order);
}

/* ---- the table of powers of ten ---- */
#define TEN_LOW (-342)
#define TEN_HIGH 324
typedef struct { uint64_t high, low; } Power;
static Power powers[TEN_HIGH - TEN_LOW + 1];             /* 10^k / 2^(floor_log2_ten(k) - 127), rounded down */

static int64_t floor_log2_ten(int64_t k) { return (k * 1741647) >> 19; }    /* for |k| < 1233 */
static bool power_is_exact(int64_t k) { return k >= 0 && k <= 55; }

#define POWER_LIMBS 40                                   /* 10^342 has 36 */

static void store_power(int k, const Limb *a, uint32_t count) {
  Limb padded[POWER_LIMBS + 4] = {0};                    /* zeros below, for short ones */
  count = limbs_trim(a, count);
  limbs_left(padded + 4, a, count, (uint32_t)__builtin_clz(a[count - 1]));
  const Limb *end = padded + 4 + count;
  powers[k - TEN_LOW] = (Power){(uint64_t)end[-1] << 32 | end[-2], (uint64_t)end[-3] << 32 | end[-4]};
}

/* 10^-k as 2^n / 10^k, to more than 128 bits */
static void store_inverse(int k, const Limb *ten, uint32_t count) {
  Limb dividend[POWER_LIMBS + 8] = {0}, divisor[POWER_LIMBS] = {0}, quotient[8];
  uint32_t bn = count < 2 ? 2 : count, an = bn + 6;
  limbs_left(divisor + bn - count, ten, count, (uint32_t)__builtin_clz(ten[count - 1]));
  dividend[an - 1] = 1;
  limbs_div(quotient, dividend, an, divisor, bn, NULL);
  store_power(-k, quotient, an - bn + 1);
}

void flonum_init(void) {
  Limb ten[POWER_LIMBS] = {1};
  uint32_t count = 1;
  for (int k = 0; k <= -TEN_LOW; k++) {
    if (k <= TEN_HIGH) store_power(k, ten, count);
    if (k) store_inverse(k, ten, count);
    Limb carry = limbs_mul1(ten, ten, count, 10, 0);
    if (carry) ten[count++] = carry;
  }
}

/* ---- digits to double ---- */
static const double small_tens[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13,
                                    1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

bool decimal_to_double(uint64_t w, bool inexact, int64_t k, double *out) {
  if (!w) { *out = 0; return true; }
  if (!inexact && w >> 53 == 0 && k >= -22 && k <= 22) { /* both exact in a double: rounded once */
    *out = k < 0 ? (double)w / small_tens[-k] : (double)w * small_tens[k];
    return true;
  }
  if (k > 308) { *out = INFINITY; return true; }
  if (k < -342) { *out = 0; return true; }               /* w < 2^64 < 10^20 */
  int zeros = __builtin_clzll(w);
  uint64_t v = w << zeros;
  Power p = powers[k - TEN_LOW];
  u128 high = (u128)v * p.high, low = (u128)v * p.low;
  high += (uint64_t)(low >> 64);                         /* 192 bits: high, then 64 of low */
  uint64_t m = (uint64_t)(high >> 64), middle = (uint64_t)high, bottom = (uint64_t)low;
  int64_t e = floor_log2_ten(k) - 127 - zeros + 128;
  bool exact = power_is_exact(k);
  *out = double_make(false, m, middle || bottom || !exact, e);
  if (exact && !inexact) return true;
  /* The true product is above by less than one unit of the power's last bit, which can carry only
     out of a `middle` full of ones; truncated digits add less than 2^zeros units of m. */
  if (!inexact && middle != UINT64_MAX) return true;
  uint64_t more = inexact ? (1ull << zeros) + 1 : 1;
  return m + more > m && double_make(false, m + more, true, e) == *out;
}

/* ---- double to digits ----
 * R. Giulietti's Schubfach: of the decimals in the rounding interval those with one digit fewer than
 * needed to be sure are tried first. cb is 4 times the mantissa, so that the interval's ends at a
 * half (or a quarter) are integers; the product with the power of ten keeps its last bit odd where
 * something was cut off, which is all that the comparisons need. */
static uint64_t scaled_to_odd(Power g, uint64_t cp) {
  u128 x = (u128)g.low * cp, y = (u128)g.high * cp;
  y += (uint64_t)(x >> 64);
  return (uint64_t)(y >> 64) | ((uint64_t)y > 1);
}

void double_to_decimal(double d, uint64_t *digits, int *exponent) {
  uint64_t bits = double_bits(d), fraction = bits & 0xfffffffffffff;
  int64_t field = (int64_t)(bits >> 52), q = (field ? field : 1) - 1075;
  uint64_t c = field ? fraction | 1ull << 52 : fraction;
  if (q <= 0 && q > -53 && (c & ((1ull << -q) - 1)) == 0) {   /* a small integer */
    *digits = c >> -q;
    *exponent = 0;
    return;
  }
  bool even = !(c & 1), closer = !fraction && field > 1;      /* below a power of two the gap is half */
  uint64_t cb = 4 * c, left = cb - 2 + closer, right = cb + 2;
  int64_t k = (q * 1262611 - (closer ? 524031 : 0)) >> 22;    /* floor(log10(gap)) */
  int64_t h = q + floor_log2_ten(-k) + 1;
  Power g = powers[-k - TEN_LOW];
  if (!power_is_exact(-k) && ++g.low == 0) g.high++;          /* here rounded up */
  uint64_t low = scaled_to_odd(g, left << h), v = scaled_to_odd(g, cb << h), high = scaled_to_odd(g, right << h);
  low += !even;
  high -= !even;
  uint64_t s = v / 4;
  *exponent = (int)k;
  if (s >= 10) {
    uint64_t t = s / 10;
    bool down = low <= 40 * t, up = 40 * t + 40 <= high;
    if (down != up) { *digits = t + up; *exponent = (int)k + 1; return; }
  }
  bool down = low <= 4 * s, up = 4 * s + 4 <= high;
  if (down != up) { *digits = s + up; return; }
  uint64_t middle = 4 * s + 2;
  *digits = s + (v > middle || (v == middle && (s & 1)));
}
