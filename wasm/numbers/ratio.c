/* ratio.c — exact rationals. Every function takes integers too; a T_RATIO is in lowest terms with
 * a denominator above 1, so equality is equality of parts. */
#include "numbers/ratio.h"
#include "numbers/bignum.h"

static Value ratio_new(Value n, Value d) {
  charge(2);                             /* for what the small numbers took that brought us here */
  if (d == FIX(1)) return n;
  Value r = heap_object(T_RATIO, 0, 2);
  NUMERATOR(r) = n;
  DENOMINATOR(r) = d;
  return r;
}

Value rational_numerator(Value v) { return IS(v, T_RATIO) ? NUMERATOR(v) : v; }
Value rational_denominator(Value v) { return IS(v, T_RATIO) ? DENOMINATOR(v) : FIX(1); }

Value rational_make(Value n, Value d) {
  TRY_LET(g, int_gcd(n, d));
  if (g != FIX(1)) {
    TRY_SET(n, int_quotient(n, g));
    TRY_SET(d, int_quotient(d, g));
  }
  if (int_sign(d) < 0) {
    TRY_SET(n, int_negate(n));
    TRY_SET(d, int_negate(d));
  }
  return ratio_new(n, d);
}

/* a/b + c/d. With g = gcd(b, d), what can still cancel divides g (Knuth 4.5.1). */
static Value add_parts(Value a, Value b, Value c, Value d, Value (*combine)(Value, Value)) {
  TRY_LET(g, int_gcd(b, d));
  TRY_LET(b1, g == FIX(1) ? b : int_quotient(b, g));
  TRY_LET(d1, g == FIX(1) ? d : int_quotient(d, g));
  TRY_LET(left, int_mul(a, d1));
  TRY_LET(right, int_mul(c, b1));
  TRY_LET(n, combine(left, right));
  if (n == FIX(0)) return n;
  if (g == FIX(1)) {
    TRY_LET(bd, int_mul(b, d));
    return ratio_new(n, bd);
  }
  TRY_LET(h, int_gcd(n, g));
  if (h != FIX(1)) {
    TRY_SET(n, int_quotient(n, h));
    TRY_SET(d, int_quotient(d, h));
  }
  TRY_LET(product, int_mul(b1, d));
  return ratio_new(n, product);
}

Value rational_add(Value a, Value b) {
  return add_parts(rational_numerator(a), rational_denominator(a), rational_numerator(b), rational_denominator(b), int_add);
}

Value rational_sub(Value a, Value b) {
  return add_parts(rational_numerator(a), rational_denominator(a), rational_numerator(b), rational_denominator(b), int_sub);
}

/* (a/b)(c/d): cancelling crosswise first keeps the products small. */
static Value mul_parts(Value a, Value b, Value c, Value d) {
  TRY_LET(g, int_gcd(a, d));
  TRY_LET(h, int_gcd(c, b));
  if (g != FIX(1)) { TRY_SET(a, int_quotient(a, g)); TRY_SET(d, int_quotient(d, g)); }
  if (h != FIX(1)) { TRY_SET(c, int_quotient(c, h)); TRY_SET(b, int_quotient(b, h)); }
  TRY_LET(n, int_mul(a, c));
  TRY_LET(m, int_mul(b, d));
  if (int_sign(m) < 0) {
    TRY_SET(n, int_negate(n));
    TRY_SET(m, int_negate(m));
  }
  return ratio_new(n, m);
}

Value rational_mul(Value a, Value b) {
  if (a == FIX(0) || b == FIX(0)) return FIX(0);
  return mul_parts(rational_numerator(a), rational_denominator(a), rational_numerator(b), rational_denominator(b));
}

Value rational_div(Value a, Value b) {
  if (a == FIX(0)) return a;
  return mul_parts(rational_numerator(a), rational_denominator(a), rational_denominator(b), rational_numerator(b));
}

Value rational_compare(Value a, Value b, int *order) {
  charge(1);
  Value an = rational_numerator(a), ad = rational_denominator(a);
  Value bn = rational_numerator(b), bd = rational_denominator(b);
  int as = int_sign(an), bs = int_sign(bn);
  if (as != bs) { *order = as < bs ? -1 : 1; return V_TRUE; }
  if (ad != bd) {
    TRY_SET(an, int_mul(an, bd));
    TRY_SET(bn, int_mul(bn, ad));
  }
  *order = int_compare(an, bn);
  return V_TRUE;
}

Value rational_round(Value v, enum rounding how) {
  if (!IS(v, T_RATIO)) return v;
  Value n = NUMERATOR(v), d = DENOMINATOR(v), q, r;
  if (how == ROUND_EVEN) {                  /* floor((2n + d) / 2d), one less where odd and exactly half */
    TRY_SET(n, int_shift(n, 1));
    TRY_SET(n, int_add(n, d));
    TRY_SET(d, int_shift(d, 1));
  }
  TRY_LET(done, int_divide(n, d, &q, &r));
  if (how == ROUND_TRUNCATE) return q;
  if (how == ROUND_CEILING) return int_sign(r) > 0 ? int_add(q, FIX(1)) : q;
  if (int_sign(r) < 0) return int_sub(q, FIX(1));
  return how == ROUND_EVEN && r == FIX(0) && int_odd(q) ? int_sub(q, FIX(1)) : q;
}

/* The simplest fraction between two positive ones: a walk down the continued fraction while the
   two agree. The convergents' coefficients p, q build the answer on the way, so nothing nests. */
Value rational_simplest(Value low, Value high) {
  Value p0 = FIX(0), p1 = FIX(1), q0 = FIX(1), q1 = FIX(0);
  for (;;) {
    TRY_LET(whole, rational_round(low, ROUND_FLOOR));
    TRY_LET(top, rational_round(high, ROUND_FLOOR));
    bool exact = whole == low || !IS(low, T_RATIO), differ = int_compare(whole, top) < 0;
    Value term = whole;
    if (!exact && differ) TRY_SET(term, int_add(whole, FIX(1)));
    TRY_LET(tp, int_mul(term, p1));
    TRY_LET(p2, int_add(tp, p0));
    TRY_LET(tq, int_mul(term, q1));
    TRY_LET(q2, int_add(tq, q0));
    if (exact || differ) return ratio_new(p2, q2);
    TRY_LET(low_rest, rational_sub(low, whole));
    TRY_LET(high_rest, rational_sub(high, whole));
    TRY_SET(low, rational_div(FIX(1), high_rest));
    TRY_SET(high, rational_div(FIX(1), low_rest));
    p0 = p1; p1 = p2;
    q0 = q1; q1 = q2;
  }
}
