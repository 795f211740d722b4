/* exp.c — e^x to within 0.51 units in the last place: (exp 1) is the double nearest to e, whichever
 * mathematical library the compiler brings.
 *
 * x = k ln2/64 + r with |r| <= ln2/128, so e^x = 2^(k/64) e^r. The 64 fractional powers of two are
 * kept as unevaluated sums of two doubles; they are computed at boot by exact square roots.
 */
#include "numbers/exp.h"
#include "numbers/bignum.h"
#include "numbers/flonum.h"
#include <math.h>

static struct { double high, low; } powers[64];        /* 2^(i/64) */
#define SCALE 128                                       /* bits of fixed point while they are computed */

void exp_init(void) {
  Value root = int_shift(FIX(2), SCALE), power = int_shift(FIX(1), SCALE);
  for (int i = 0; i < 6; i++) root = int_sqrt(int_shift(root, SCALE), NULL);
  for (int i = 0; i < 64; i++) {
    double high = int_to_double(power);
    powers[i].high = ldexp(high, -SCALE);
    powers[i].low = ldexp(int_to_double(int_sub(power, int_from_double(high))), -SCALE);
    power = int_shift(int_mul(power, root), -SCALE);
  }
}

double flonum_exp(double x) {
  if (!(x < 710)) return x < INFINITY ? INFINITY : x;   /* infinite or NaN too */
  if (x < -746) return 0;
  static const double ln2_high = 0x1.62e42feep-1, ln2_low = 0x1.a39ef35793c76p-33;   /* high: 32 bits, so k * high is exact */
  double k = rint(x * (64 / 0.6931471805599453));
  double r = x - k * (ln2_high / 64) - k * (ln2_low / 64);
  double p = r + r * r * (1.0 / 2 + r * (1.0 / 6 + r * (1.0 / 24 + r * (1.0 / 120 + r / 720))));
  int n = (int)k, i = n & 63;
  return ldexp(powers[i].high + (powers[i].low + powers[i].high * p), (n - i) / 64);
}
