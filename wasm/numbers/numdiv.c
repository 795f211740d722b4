/* numdiv.c — integer division, gcd and lcm, rounding, the parts of rationals. */
#include "numbers/numdiv.h"
#include "numbers/bignum.h"
#include "numbers/flonum.h"
#include "numbers/number.h"
#include "numbers/ratio.h"
#include "numbers/resume_log.h"
#include <math.h>

/* ---- division with remainder ---- */
enum division { TRUNCATE, FLOOR };

static Value divide_flonums(Value a, Value b, enum division how, Value *q, Value *r) {
  double x = num_to_double(a), y = num_to_double(b);
  double rest = fmod(x, y), quotient = rint((x - rest) / y);
  if (how == FLOOR && rest != 0 && (rest < 0) != (y < 0)) {
    rest += y;
    quotient -= 1;
  }
  if (q) *q = make_flonum(quotient);
  if (r) *r = make_flonum(rest + 0.0);             /* never -0.0 */
  return V_TRUE;
}

/* q and r may be NULL */
static Value divide(const char *who, Value a, Value b, enum division how, Value *q, Value *r) {
  if (!num_is_integer(a)) return err_type(who, 0, "integer", a);
  if (!num_is_integer(b)) return err_type(who, 1, "integer", b);
  if (num_is_zero(b)) return err_divide(who);
  if (a == FIX(0)) {                               /* also of a flonum: exact, as in a product */
    if (q) *q = a;
    if (r) *r = a;
    return V_TRUE;
  }
  if (IS(a, T_FLONUM) || IS(b, T_FLONUM)) return divide_flonums(a, b, how, q, r);
  if (how == TRUNCATE) return int_divide(a, b, q, r);
  Value quotient, rest;
  TRY_LET(done, int_divide(a, b, &quotient, &rest));
  if (rest != FIX(0) && (int_sign(rest) < 0) != (int_sign(b) < 0)) {
    TRY_SET(rest, int_add(rest, b));
    if (q) TRY_SET(quotient, int_sub(quotient, FIX(1)));
  }
  if (q) *q = quotient;
  if (r) *r = rest;
  return V_TRUE;
}

static Value quotient_of(const char *who, Value a, Value b, enum division how) {
  Value q;
  TRY_LET(done, divide(who, a, b, how, &q, NULL));
  return q;
}
static Value remainder_of(const char *who, Value a, Value b, enum division how) {
  Value r;
  TRY_LET(done, divide(who, a, b, how, NULL, &r));
  return r;
}
static Value both_of(const char *who, Value a, Value b, enum division how) {
  Value values[2];
  TRY_LET(done, divide(who, a, b, how, values, values + 1));
  return make_values(2, values);
}

Value num_quotient(Value a, Value b) { return quotient_of("quotient", a, b, TRUNCATE); }
Value num_remainder(Value a, Value b) { return remainder_of("remainder", a, b, TRUNCATE); }
Value num_modulo(Value a, Value b) { return remainder_of("modulo", a, b, FLOOR); }

#define DIVISION(name, scheme_name, part, how) \
  static Value name(int argc, Value *args) { (void)argc; return PAUSING(part(scheme_name, args[0], args[1], how)); }
DIVISION(p_quotient, "quotient", quotient_of, TRUNCATE)
DIVISION(p_remainder, "remainder", remainder_of, TRUNCATE)
DIVISION(p_modulo, "modulo", remainder_of, FLOOR)
DIVISION(p_quotient_remainder, "quotient/remainder", both_of, TRUNCATE)
DIVISION(p_truncate_both, "truncate/", both_of, TRUNCATE)
DIVISION(p_truncate_quotient, "truncate-quotient", quotient_of, TRUNCATE)
DIVISION(p_truncate_remainder, "truncate-remainder", remainder_of, TRUNCATE)
DIVISION(p_floor_both, "floor/", both_of, FLOOR)
DIVISION(p_floor_quotient, "floor-quotient", quotient_of, FLOOR)
DIVISION(p_floor_remainder, "floor-remainder", remainder_of, FLOOR)

/* ---- gcd, lcm: of rationals as in Racket; inexact where an argument is ---- */
static Value absolute(Value v) { return num_sign(v) < 0 ? num_negate(v) : v; }

static Value int_lcm(Value a, Value b) {
  if (a == FIX(0) || b == FIX(0)) return FIX(0);
  TRY_LET(g, int_gcd(a, b));
  TRY_LET(part, int_quotient(a, g));
  TRY_LET(product, int_mul(part, b));
  return int_abs(product);
}

/* For n/d in lowest terms: gcd is gcd of the numerators over lcm of the denominators; lcm the reverse. */
static Value rational_gcd(Value a, Value b) {
  TRY_LET(n, int_gcd(rational_numerator(a), rational_numerator(b)));
  TRY_LET(d, int_lcm(rational_denominator(a), rational_denominator(b)));
  return d == FIX(1) ? n : rational_make(n, d);
}
static Value rational_lcm(Value a, Value b) {
  TRY_LET(n, int_lcm(rational_numerator(a), rational_numerator(b)));
  TRY_LET(d, int_gcd(rational_denominator(a), rational_denominator(b)));
  return d == FIX(1) ? n : rational_make(n, d);
}

static bool is_finite_real(Value v) { return is_real(v) && !(IS(v, T_FLONUM) && !isfinite(FLO_VALUE(v))); }

/* Operands are checked by fold_rationals before. */
static Value exactly(Value a, Value b, Value (*op)(Value, Value)) {
  bool inexact = IS(a, T_FLONUM) || IS(b, T_FLONUM);
  TRY_SET(a, num_to_exact(NULL, a));
  TRY_SET(b, num_to_exact(NULL, b));
  TRY_LET(r, op(a, b));
  return inexact ? num_to_inexact(r) : r;
}
static Value gcd_any(Value a, Value b) { return exactly(a, b, rational_gcd); }
static Value lcm_any(Value a, Value b) { return exactly(a, b, rational_lcm); }

static Value fold_rationals(const char *who, int argc, Value *args, Value start, Value (*op)(Value, Value)) {
  for (int i = 0; i < argc; i++)
    if (!is_finite_real(args[i])) return err_type(who, i, "rational number", args[i]);
  return fold_numbers(who, argc, args, start, op);
}
static Value p_gcd(int argc, Value *args) { return fold_rationals("gcd", argc, args, FIX(0), gcd_any); }
static Value p_lcm(int argc, Value *args) {              /* 1 is neutral among integers only: start with the first */
  Value start = argc && is_finite_real(args[0]) ? absolute(args[0]) : FIX(1);
  return IS_SIGNAL(start) ? start : fold_rationals("lcm", argc, args, start, lcm_any);
}

/* ---- numerator, denominator ---- */
static Value part_of_rational(const char *who, Value v, Value (*part)(Value)) {
  if (!is_finite_real(v)) return err_type(who, 0, "rational number", v);
  if (!IS(v, T_FLONUM)) return part(v);
  if (FLO_VALUE(v) == 0 && part == rational_numerator) return v;
  TRY_LET(exact, rational_from_double(FLO_VALUE(v)));
  return num_to_inexact(part(exact));
}
static Value p_numerator(int argc, Value *args) {
  (void)argc;
  return part_of_rational("numerator", args[0], rational_numerator);
}
static Value p_denominator(int argc, Value *args) {
  (void)argc;
  return part_of_rational("denominator", args[0], rational_denominator);
}

/* ---- rounding ---- */
static double round_double(double d, enum rounding how) {
  switch (how) {
    case ROUND_FLOOR: return floor(d);
    case ROUND_CEILING: return ceil(d);
    case ROUND_TRUNCATE: return trunc(d);
    default: return rint(d);
  }
}

static Value num_round(const char *who, Value v, enum rounding how) {
  if (!is_real(v)) return err_type(who, 0, "real number", v);
  return IS(v, T_FLONUM) ? make_flonum(round_double(FLO_VALUE(v), how)) : rational_round(v, how);
}

static Value round_to_exact(const char *who, Value v, enum rounding how) {
  if (!is_finite_real(v)) return err_type(who, 0, "rational number", v);
  return IS(v, T_FLONUM) ? int_from_double(round_double(FLO_VALUE(v), how)) : rational_round(v, how);
}

#define ROUNDING(name, exact_name, scheme_name, exact_scheme_name, how) \
  static Value name(int argc, Value *args) { (void)argc; return PAUSING(num_round(scheme_name, args[0], how)); } \
  static Value exact_name(int argc, Value *args) { (void)argc; return PAUSING(round_to_exact(exact_scheme_name, args[0], how)); }
ROUNDING(p_floor, p_exact_floor, "floor", "exact-floor", ROUND_FLOOR)
ROUNDING(p_ceiling, p_exact_ceiling, "ceiling", "exact-ceiling", ROUND_CEILING)
ROUNDING(p_truncate, p_exact_truncate, "truncate", "exact-truncate", ROUND_TRUNCATE)
ROUNDING(p_round, p_exact_round, "round", "exact-round", ROUND_EVEN)

/* ---- rationalize: the simplest rational within y of x ---- */
static Value rationalize_exact(Value x, Value y) {
  TRY_SET(y, absolute(y));
  TRY_LET(low, rational_sub(x, y));
  TRY_LET(high, rational_add(x, y));
  if (num_sign(low) > 0) return rational_simplest(low, high);
  if (num_sign(high) >= 0) return FIX(0);
  TRY_LET(a, num_negate(high));
  TRY_LET(b, num_negate(low));
  TRY_LET(mirrored, rational_simplest(a, b));
  return num_negate(mirrored);
}

static Value rationalize(Value *args) {
  for (int i = 0; i < 2; i++)
    if (!is_real(args[i])) return err_type("rationalize", i, "real number", args[i]);
  if (is_exact_rational(args[0]) && is_exact_rational(args[1])) return rationalize_exact(args[0], args[1]);
  double x = num_to_double(args[0]), y = num_to_double(args[1]);
  if (isnan(x) || isnan(y) || (isinf(x) && isinf(y))) return make_flonum(NAN);
  if (isinf(y)) return make_flonum(0);
  if (isinf(x)) return make_flonum(x);
  TRY_LET(ex, num_to_exact("rationalize", args[0]));
  TRY_LET(ey, num_to_exact("rationalize", args[1]));
  TRY_LET(r, rationalize_exact(ex, ey));
  return num_to_inexact(r);
}

static Value p_rationalize(int argc, Value *args) { (void)argc; return PAUSING(rationalize(args)); }

/* ---- integer square roots ---- */
static Value exact_integer_sqrt(Value *args) {
  if (!is_exact_integer(args[0]) || int_sign(args[0]) < 0)
    return err_type("exact-integer-sqrt", 0, "exact nonnegative integer", args[0]);
  Value values[2];
  TRY_SET(values[0], int_sqrt(args[0], values + 1));
  return make_values(2, values);
}

static Value p_exact_integer_sqrt(int argc, Value *args) { (void)argc; return PAUSING(exact_integer_sqrt(args)); }

/* Racket's: of any integer; a negative one gives an imaginary root. */
static Value integer_sqrt(const char *who, Value v, Value *remainder) {
  if (!num_is_integer(v)) return err_type(who, 0, "integer", v);
  bool inexact = IS(v, T_FLONUM), negative = num_sign(v) < 0;
  if (inexact) TRY_SET(v, int_from_double(FLO_VALUE(v)));
  TRY_SET(v, int_abs(v));
  TRY_LET(root, int_sqrt(v, remainder));
  if (negative) TRY_SET(*remainder, int_negate(*remainder));
  if (inexact) {
    TRY_SET(root, num_to_inexact(root));
    TRY_SET(*remainder, num_to_inexact(*remainder));
  }
  return negative ? make_rectangular(FIX(0), root) : root;
}
static Value p_integer_sqrt(int argc, Value *args) {
  (void)argc;
  Value rest;
  return PAUSING(integer_sqrt("integer-sqrt", args[0], &rest));
}
static Value p_integer_sqrt_remainder(int argc, Value *args) {
  (void)argc;
  Value values[2];
  TRY_SET(values[0], PAUSING(integer_sqrt("integer-sqrt/remainder", args[0], values + 1)));
  return make_values(2, values);
}

const PrimDef division_prims[] = {
  {"quotient", p_quotient, 2, 2, "(quotient n m)"},
  {"remainder", p_remainder, 2, 2, "(remainder n m)"},
  {"modulo", p_modulo, 2, 2, "(modulo n m)"},
  {"quotient/remainder", p_quotient_remainder, 2, 2, "(quotient/remainder n m)"},
  {"truncate/", p_truncate_both, 2, 2, "(truncate/ n m)"},
  {"truncate-quotient", p_truncate_quotient, 2, 2, "(truncate-quotient n m)"},
  {"truncate-remainder", p_truncate_remainder, 2, 2, "(truncate-remainder n m)"},
  {"floor/", p_floor_both, 2, 2, "(floor/ n m)"},
  {"floor-quotient", p_floor_quotient, 2, 2, "(floor-quotient n m)"},
  {"floor-remainder", p_floor_remainder, 2, 2, "(floor-remainder n m)"},
  {"gcd", p_gcd, 0, -1, "(gcd n ...)"},
  {"lcm", p_lcm, 0, -1, "(lcm n ...)"},
  {"numerator", p_numerator, 1, 1, "(numerator q)"},
  {"denominator", p_denominator, 1, 1, "(denominator q)"},
  {"floor", p_floor, 1, 1, "(floor x)"},
  {"ceiling", p_ceiling, 1, 1, "(ceiling x)"},
  {"truncate", p_truncate, 1, 1, "(truncate x)"},
  {"round", p_round, 1, 1, "(round x)"},
  {"exact-floor", p_exact_floor, 1, 1, "(exact-floor x)"},
  {"exact-ceiling", p_exact_ceiling, 1, 1, "(exact-ceiling x)"},
  {"exact-truncate", p_exact_truncate, 1, 1, "(exact-truncate x)"},
  {"exact-round", p_exact_round, 1, 1, "(exact-round x)"},
  {"rationalize", p_rationalize, 2, 2, "(rationalize x tolerance)"},
  {"exact-integer-sqrt", p_exact_integer_sqrt, 1, 1, "(exact-integer-sqrt n)"},
  {"integer-sqrt", p_integer_sqrt, 1, 1, "(integer-sqrt n)"},
  {"integer-sqrt/remainder", p_integer_sqrt_remainder, 1, 1, "(integer-sqrt/remainder n)"},
  {0},
};
