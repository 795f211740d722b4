/* numfun.c — sqrt, expt and the transcendental functions, on reals and complex numbers.
 *
 * Exact arguments give exact results where the result is rational and that is easy to see:
 * roots of perfect squares, integer powers, exp 0, log 1, sin 0 ... Else doubles; a real result of
 * a real argument stays real.
 */
#include "numbers/bignum.h"
#include "numbers/exp.h"
#include "numbers/flonum.h"
#include "numbers/number.h"
#include "numbers/ratio.h"
#include "numbers/resume_log.h"
#include <math.h>

#define PI 3.141592653589793
typedef struct { double re, im; } Complex;

static Value complex_value(Complex z) { return make_complex_double(z.re, z.im); }

static Value to_complex(Value v, Complex *out) {
  TRY_LET(re, num_to_inexact(num_real_part(v)));
  TRY_LET(im, num_to_inexact(num_imag_part(v)));
  *out = (Complex){FLO_VALUE(re), FLO_VALUE(im)};
  return V_TRUE;
}

static Complex complex_times(Complex a, Complex b) {
  return (Complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

/* ---- sqrt ---- */
static Complex complex_sqrt(Complex z) {
  if (z.re == 0 && z.im == 0) return (Complex){0, z.im};
  if (isinf(z.im)) return (Complex){INFINITY, z.im};
  double scale = 1;
  if (fabs(z.re) > 0x1p1020 || fabs(z.im) > 0x1p1020) { z.re /= 16; z.im /= 16; scale = 4; }
  else if (fabs(z.re) < 0x1p-1000 && fabs(z.im) < 0x1p-1000) { z.re *= 0x1p100; z.im *= 0x1p100; scale = 0x1p-50; }
  double t = sqrt((fabs(z.re) + hypot(z.re, z.im)) / 2);
  if (z.re >= 0) return (Complex){t * scale, z.im / (2 * t) * scale};
  return (Complex){fabs(z.im) / (2 * t) * scale, copysign(t, z.im) * scale};
}

/* The exact root of an exact rational, or V_FALSE where it is irrational. v >= 0 */
static Value rational_root(Value v) {
  Value rest;
  TRY_LET(n, int_sqrt(rational_numerator(v), &rest));
  if (rest != FIX(0)) return V_FALSE;
  TRY_LET(d, int_sqrt(rational_denominator(v), &rest));
  if (rest != FIX(0)) return V_FALSE;
  return d == FIX(1) ? n : rational_make(n, d);
}

/* sqrt of an exact v >= 0, also beyond the range of doubles */
static Value inexact_root(Value v) {
  double d;
  TRY_LET(done, rational_to_double(v, &d));
  if (isfinite(d) && d >= 0x1p-1000) return make_flonum(sqrt(d));
  int64_t up = 2 * ((int64_t)int_bits(rational_denominator(v)) / 2 + 64);
  TRY_LET(scaled, int_shift(rational_numerator(v), up));
  TRY_SET(scaled, int_quotient(scaled, rational_denominator(v)));
  TRY_LET(root, int_sqrt(scaled, NULL));
  TRY_LET(power, int_shift(FIX(1), up / 2));
  TRY_LET(ratio, rational_make(root, power));
  return num_to_inexact(ratio);
}

static Value real_sqrt(Value v) {
  bool negative = num_sign(v) < 0;
  Value root;
  if (IS(v, T_FLONUM)) {
    root = make_flonum(negative ? sqrt(-FLO_VALUE(v)) : sqrt(FLO_VALUE(v)));
  } else {
    if (negative) TRY_SET(v, num_negate(v));
    TRY_SET(root, rational_root(v));
    if (root == V_FALSE) TRY_SET(root, inexact_root(v));
  }
  return negative ? make_rectangular(FIX(0), root) : root;
}

/* (x + yi)^2 = a + bi exactly, with m = |a + bi|: x^2 = (m + a)/2, y^2 = (m - a)/2. Signals, or V_FALSE. */
static Value exact_complex_root(Value z) {
  Value a = REAL_PART(z), b = IMAG_PART(z);
  TRY_LET(aa, rational_mul(a, a));
  TRY_LET(bb, rational_mul(b, b));
  TRY_LET(norm, rational_add(aa, bb));
  TRY_LET(m, rational_root(norm));
  if (m == V_FALSE) return m;
  Value x, y;
  TRY_SET(x, rational_add(m, a));
  TRY_SET(x, rational_div(x, FIX(2)));
  TRY_SET(x, rational_root(x));
  TRY_SET(y, rational_sub(m, a));
  TRY_SET(y, rational_div(y, FIX(2)));
  TRY_SET(y, rational_root(y));
  if (x == V_FALSE || y == V_FALSE) return V_FALSE;
  if (num_sign(b) < 0) TRY_SET(y, num_negate(y));
  return make_rectangular(x, y);
}

static Value num_sqrt(Value z) {
  if (!IS(z, T_COMPLEX)) return real_sqrt(z);
  if (num_is_exact(z)) {
    TRY_LET(root, exact_complex_root(z));
    if (root != V_FALSE) return root;
  }
  Complex c;
  TRY_LET(done, to_complex(z, &c));
  return complex_value(complex_sqrt(c));
}

/* ---- exp and log ---- */
static Complex complex_exp(Complex z) {
  double r = flonum_exp(z.re);
  if (z.im == 0) return (Complex){r, z.im};
  return (Complex){r * cos(z.im), r * sin(z.im)};
}
static Complex complex_log(Complex z) {
  double larger = fmax(fabs(z.re), fabs(z.im)), size = hypot(z.re, z.im);
  double re = log(size);
  if (larger > 0.7 && size < 1.5 && isfinite(larger)) {       /* near the unit circle: keep the digits */
    double smaller = fmin(fabs(z.re), fabs(z.im));
    re = log1p((larger - 1) * (larger + 1) + smaller * smaller) / 2;
  } else if (isinf(size) && isfinite(larger)) {
    re = log(hypot(z.re / 2, z.im / 2)) + 0.6931471805599453;
  }
  return (Complex){re, atan2(z.im, z.re)};
}

/* The logarithm of |v|, v an exact rational other than 0, of any size. */
static Value exact_log(Value v) {
  double d;
  TRY_LET(n, int_abs(rational_numerator(v)));
  TRY_LET(magnitude, rational_make(n, rational_denominator(v)));
  TRY_LET(done, rational_to_double(magnitude, &d));
  if (isfinite(d) && d >= 0x1p-1000) return make_flonum(log(d));
  int64_t up, down;
  double a = int_to_parts(n, &up), b = int_to_parts(rational_denominator(v), &down);
  return make_flonum(log(a / b) + (double)(up - down) * 0.6931471805599453);
}

static Value num_log(const char *who, Value z) {
  if (z == FIX(1)) return FIX(0);
  if (z == FIX(0)) return err_divide(who);
  if (IS(z, T_COMPLEX)) {
    Complex c;
    TRY_LET(done, to_complex(z, &c));
    return complex_value(complex_log(c));
  }
  Value size;
  if (IS(z, T_FLONUM)) size = make_flonum(log(fabs(FLO_VALUE(z))));
  else TRY_SET(size, exact_log(z));
  return num_sign(z) < 0 ? make_rectangular(size, make_flonum(PI)) : size;
}

static Value num_exp(Value z) {
  if (z == FIX(0)) return FIX(1);
  Complex c;
  TRY_LET(done, to_complex(z, &c));
  return IS(z, T_COMPLEX) ? complex_value(complex_exp(c)) : make_flonum(flonum_exp(c.re));
}

/* ---- expt ---- */
static Value power_by_squaring(Value base, uint64_t exponent) {
  Value r = FIX(1);
  for (int i = 63 - __builtin_clzll(exponent); i >= 0; i--) {
    TRY_SET(r, num_mul(r, r));
    if (exponent >> i & 1) TRY_SET(r, num_mul(r, base));
  }
  return r;
}

static Value rational_power(Value base, uint64_t exponent, bool negative) {
  TRY_LET(n, int_power(rational_numerator(base), exponent));
  TRY_LET(d, int_power(rational_denominator(base), exponent));
  if (!negative) return d == FIX(1) ? n : rational_make(n, d);
  return rational_div(d, n);
}

/* Any base to an exact integer. */
static Value integer_power(Value base, Value exponent) {
  bool negative = int_sign(exponent) < 0;
  if (exponent == FIX(0)) return FIX(1);
  if (IS(base, T_FLONUM)) return make_flonum(pow(FLO_VALUE(base), int_to_double(exponent)));
  if (base == FIX(1)) return base;
  if (base == FIX(0)) return negative ? err_divide("expt") : base;
  if (base == FIX(-1)) return int_odd(exponent) ? base : FIX(1);
  if (!IS_FIX(exponent)) {
    if (num_is_exact(base)) return int_too_large();
    exponent = FIX(negative ? FIX_MIN + 1 : FIX_MAX);
  }
  uint64_t n = (uint64_t)(negative ? -FIX_VALUE(exponent) : FIX_VALUE(exponent));
  if (is_exact_rational(base)) return rational_power(base, n, negative);
  TRY_LET(r, power_by_squaring(base, n));
  return negative ? num_div(FIX(1), r) : r;
}

static Value power_of_zero(Value base, Value exponent) {
  if (IS(exponent, T_COMPLEX) ? num_sign(REAL_PART(exponent)) > 0 : num_sign(exponent) > 0) return base;
  if (base == FIX(0) && num_is_zero(exponent)) return make_flonum(1);
  return base == FIX(0) ? err_divide("expt") : make_flonum(num_is_zero(exponent) ? 1 : INFINITY);
}

static Value num_expt(Value base, Value exponent) {
  if (is_exact_integer(exponent)) return integer_power(base, exponent);
  if (base == FIX(1)) return base;
  if (IS(exponent, T_RATIO) && DENOMINATOR(exponent) == FIX(2)) {      /* a power of the square root */
    TRY_LET(root, num_sqrt(base));
    if (NUMERATOR(exponent) == FIX(1)) return root;
    if (num_is_exact(root)) return integer_power(root, NUMERATOR(exponent));
  }
  Complex b, e;
  TRY_LET(first, to_complex(base, &b));
  TRY_LET(second, to_complex(exponent, &e));
  if (is_real(base) && is_real(exponent)) {
    if (base == FIX(0)) return power_of_zero(base, exponent);
    if (b.re >= 0 || isnan(b.re) || e.re == trunc(e.re) || isnan(e.re)) return make_flonum(pow(b.re, e.re));
  }
  if (num_is_zero(base)) return power_of_zero(base, exponent);
  return complex_value(complex_exp(complex_times(e, complex_log(b))));
}

/* ---- trigonometry ---- */
static Complex complex_sin(Complex z) { return (Complex){sin(z.re) * cosh(z.im), cos(z.re) * sinh(z.im)}; }
static Complex complex_cos(Complex z) { return (Complex){cos(z.re) * cosh(z.im), -(sin(z.re) * sinh(z.im))}; }
static Complex complex_tan(Complex z) {
  if (fabs(z.im) > 20) return (Complex){4 * sin(z.re) * cos(z.re) * exp(-2 * fabs(z.im)), copysign(1, z.im)};
  double scale = cos(2 * z.re) + cosh(2 * z.im);
  return (Complex){sin(2 * z.re) / scale, sinh(2 * z.im) / scale};
}

/* Kahan's formulas: no cancellation, and the sign of a zero part tells the side of a cut. */
static void inverse_roots(Complex z, Complex *minus, Complex *plus) {
  *minus = complex_sqrt((Complex){1 - z.re, -z.im});
  *plus = complex_sqrt((Complex){1 + z.re, z.im});
}
static Complex complex_asin(Complex z) {
  Complex m, p;
  inverse_roots(z, &m, &p);
  return (Complex){atan2(z.re, m.re * p.re - m.im * p.im), asinh(m.re * p.im - m.im * p.re)};
}
static Complex complex_acos(Complex z) {
  Complex m, p;
  inverse_roots(z, &m, &p);
  return (Complex){2 * atan2(m.re, p.re), asinh(p.re * m.im - p.im * m.re)};
}
static Complex complex_atan(Complex z) {
  double x = z.re, y = fabs(z.im);
  double re = x == 0 && y > 1 ? copysign(PI / 2, z.im) : atan2(2 * x, (1 - y) * (1 + y) - x * x) / 2;
  return (Complex){re, copysign(log1p(4 * y / (x * x + (y - 1) * (y - 1))) / 4, z.im)};
}

struct function {
  const char *name;
  double (*real)(double);
  Complex (*complex)(Complex);
  Value exact_argument, exact_result;       /* where both are exact */
  double limit;                             /* beyond +-limit a real argument has a complex result */
};

/* On the cuts of asin and acos, what R7RS's formulas give: as if from below on the right, above on the left. */
static Value apply_function(const struct function *f, Value *args) {
  Value z = args[0];
  if (!is_number(z)) return err_type(f->name, 0, "number", z);
  if (z == f->exact_argument) return f->exact_result;
  Complex c;
  TRY_LET(done, to_complex(z, &c));
  if (IS(z, T_COMPLEX)) return complex_value(f->complex(c));
  if (fabs(c.re) > f->limit) {
    if (c.re > 0) c.im = -0.0;
    return complex_value(f->complex(c));
  }
  return make_flonum(f->real(c.re));
}

#define FUNCTION(name, argument, result, limit) \
  static Value p_##name(int argc, Value *args) { \
    static const struct function f = {#name, name, complex_##name, argument, result, limit}; \
    (void)argc; \
    return apply_function(&f, args); }
FUNCTION(sin, FIX(0), FIX(0), INFINITY)
FUNCTION(cos, FIX(0), FIX(1), INFINITY)
FUNCTION(tan, FIX(0), FIX(0), INFINITY)
FUNCTION(asin, FIX(0), FIX(0), 1)
FUNCTION(acos, FIX(1), FIX(0), 1)

static Complex complex_sinh(Complex z) { return (Complex){sinh(z.re) * cos(z.im), cosh(z.re) * sin(z.im)}; }
static Complex complex_cosh(Complex z) { return (Complex){cosh(z.re) * cos(z.im), sinh(z.re) * sin(z.im)}; }
static Complex complex_tanh(Complex z) {
  Complex t = complex_tan((Complex){-z.im, z.re});       /* tanh z = -i tan iz */
  return (Complex){t.im, -t.re};
}
FUNCTION(sinh, FIX(0), FIX(0), INFINITY)
FUNCTION(cosh, FIX(0), FIX(1), INFINITY)
FUNCTION(tanh, FIX(0), FIX(0), INFINITY)

static Value atan_two(Value y, Value x) {
  if (!is_real(y)) return err_type("atan", 0, "real number", y);
  if (!is_real(x)) return err_type("atan", 1, "real number", x);
  if (y == FIX(0)) {
    if (x == FIX(0)) return err_divide("atan");
    if (num_sign(x) > 0) return y;
  }
  TRY_SET(y, num_to_inexact(y));
  TRY_SET(x, num_to_inexact(x));
  return make_flonum(atan2(FLO_VALUE(y), FLO_VALUE(x)));
}

static Value p_atan(int argc, Value *args) {
  if (argc == 2) return atan_two(args[0], args[1]);
  Value z = args[0];
  if (IS(z, T_COMPLEX) && num_is_exact(z) && REAL_PART(z) == FIX(0) &&
      (IMAG_PART(z) == FIX(1) || IMAG_PART(z) == FIX(-1))) return err_divide("atan");
  static const struct function f = {"atan", atan, complex_atan, FIX(0), FIX(0), INFINITY};
  return apply_function(&f, args);
}

/* ---- the other primitives ---- */
#define WANT_NUMBER(who, i) if (!is_number(args[i])) return err_type(who, i, "number", args[i])
#define WANT_REAL(who, i) if (!is_real(args[i])) return err_type(who, i, "real number", args[i])

static Value p_sqrt(int argc, Value *args) {
  (void)argc;
  if (IS(args[0], T_FLONUM) && !(FLO_VALUE(args[0]) < 0)) return make_flonum(sqrt(FLO_VALUE(args[0])));
  WANT_NUMBER("sqrt", 0);
  return PAUSING(num_sqrt(args[0]));
}
static Value p_exp(int argc, Value *args) { (void)argc; WANT_NUMBER("exp", 0); return num_exp(args[0]); }

static Value p_log(int argc, Value *args) {
  WANT_NUMBER("log", 0);
  TRY_LET(a, num_log("log", args[0]));
  if (argc == 1) return a;
  WANT_NUMBER("log", 1);
  if (args[1] == FIX(1)) return err_divide("log");
  if ((args[1] == FIX(2) || args[1] == FIX(10)) && is_real(args[0]) && args[0] != FIX(1)) {
    double d = num_to_double(args[0]);                    /* exact for powers of the base */
    if (d > 0 && isfinite(d)) return make_flonum(args[1] == FIX(2) ? log2(d) : log10(d));
  }
  TRY_LET(b, num_log("log", args[1]));
  return num_div(a, b);
}

static Value p_expt(int argc, Value *args) {
  (void)argc;
  WANT_NUMBER("expt", 0);
  WANT_NUMBER("expt", 1);
  return PAUSING(num_expt(args[0], args[1]));
}

static Value p_make_rectangular(int argc, Value *args) {
  (void)argc;
  WANT_REAL("make-rectangular", 0);
  WANT_REAL("make-rectangular", 1);
  return make_rectangular(args[0], args[1]);
}

static Value p_make_polar(int argc, Value *args) {
  (void)argc;
  WANT_REAL("make-polar", 0);
  WANT_REAL("make-polar", 1);
  if (args[1] == FIX(0) || args[0] == FIX(0)) return args[0];
  TRY_LET(angle, num_to_inexact(args[1]));
  double a = FLO_VALUE(angle);
  TRY_LET(re, num_mul(args[0], make_flonum(cos(a))));
  TRY_LET(im, num_mul(args[0], make_flonum(sin(a))));
  return make_rectangular(re, im);
}

static Value p_real_part(int argc, Value *args) { (void)argc; WANT_NUMBER("real-part", 0); return num_real_part(args[0]); }
static Value p_imag_part(int argc, Value *args) { (void)argc; WANT_NUMBER("imag-part", 0); return num_imag_part(args[0]); }

static Value magnitude(Value z) {
  if (IS(z, T_FLONUM)) return make_flonum(fabs(FLO_VALUE(z)));
  if (!IS(z, T_COMPLEX)) return num_sign(z) < 0 ? num_negate(z) : z;
  if (IS(REAL_PART(z), T_FLONUM)) return make_flonum(hypot(FLO_VALUE(REAL_PART(z)), FLO_VALUE(IMAG_PART(z))));
  TRY_LET(aa, rational_mul(REAL_PART(z), REAL_PART(z)));
  TRY_LET(bb, rational_mul(IMAG_PART(z), IMAG_PART(z)));
  TRY_LET(norm, rational_add(aa, bb));
  return real_sqrt(norm);
}
static Value p_magnitude(int argc, Value *args) { (void)argc; WANT_NUMBER("magnitude", 0); return PAUSING(magnitude(args[0])); }

static Value p_angle(int argc, Value *args) {
  (void)argc;
  WANT_NUMBER("angle", 0);
  Value z = args[0];
  if (IS(z, T_COMPLEX)) return atan_two(IMAG_PART(z), REAL_PART(z));
  if (IS(z, T_FLONUM) && isnan(FLO_VALUE(z))) return z;
  return num_sign(z) < 0 || (IS(z, T_FLONUM) && signbit(FLO_VALUE(z))) ? make_flonum(PI) : FIX(0);
}

static Value p_conjugate(int argc, Value *args) {
  (void)argc;
  WANT_NUMBER("conjugate", 0);
  TRY_LET(im, num_negate(num_imag_part(args[0])));
  return make_rectangular(num_real_part(args[0]), im);
}

static Value scaled(const char *who, Value *args, double factor) {
  WANT_REAL(who, 0);
  if (args[0] == FIX(0)) return args[0];
  TRY_LET(x, num_to_inexact(args[0]));
  return make_flonum(FLO_VALUE(x) * factor);
}
static Value p_degrees_radians(int argc, Value *args) { (void)argc; return scaled("degrees->radians", args, PI / 180); }
static Value p_radians_degrees(int argc, Value *args) { (void)argc; return scaled("radians->degrees", args, 180 / PI); }

/* v / 10^m against 1 */
static Value compare_with_power(Value v, int64_t m, int *order) {
  TRY_LET(power, int_power(FIX(10), (uint64_t)(m < 0 ? -m : m)));
  if (m < 0) TRY_SET(v, rational_mul(v, power));
  return rational_compare(v, m < 0 ? FIX(1) : power, order);
}

/* The m with 10^m <= v < 10^(m+1): guessed from the numbers of bits, which is off by 1 at the most. */
static Value order_of_magnitude(Value v) {
  if (!is_real(v) || num_sign(v) <= 0 || (IS(v, T_FLONUM) && isinf(FLO_VALUE(v))))
    return err_type("order-of-magnitude", 0, "(and/c (>/c 0.0) (not/c +inf.0))", v);
  TRY_SET(v, num_to_exact("order-of-magnitude", v));
  int64_t bits = (int64_t)int_bits(rational_numerator(v)) - (int64_t)int_bits(rational_denominator(v));
  int64_t m = (int64_t)floor((double)bits * 0.30102999566398120);
  int order;
  TRY_LET(low, compare_with_power(v, m, &order));
  if (order < 0) return FIX(m - 1);
  TRY_LET(high, compare_with_power(v, m + 1, &order));
  return FIX(order < 0 ? m : m + 1);
}
static Value p_order_of_magnitude(int argc, Value *args) { (void)argc; return PAUSING(order_of_magnitude(args[0])); }

const PrimDef function_prims[] = {
  {"sqrt", p_sqrt, 1, 1, "(sqrt z)"},
  {"exp", p_exp, 1, 1, "(exp z)"},
  {"log", p_log, 1, 2, "(log z [base])"},
  {"expt", p_expt, 2, 2, "(expt z w)"},
  {"sin", p_sin, 1, 1, "(sin z)"},
  {"cos", p_cos, 1, 1, "(cos z)"},
  {"tan", p_tan, 1, 1, "(tan z)"},
  {"asin", p_asin, 1, 1, "(asin z)"},
  {"acos", p_acos, 1, 1, "(acos z)"},
  {"atan", p_atan, 1, 2, "(atan z) or (atan y x)"},
  {"sinh", p_sinh, 1, 1, "(sinh z)"},
  {"cosh", p_cosh, 1, 1, "(cosh z)"},
  {"tanh", p_tanh, 1, 1, "(tanh z)"},
  {"make-rectangular", p_make_rectangular, 2, 2, "(make-rectangular x y)"},
  {"make-polar", p_make_polar, 2, 2, "(make-polar magnitude angle)"},
  {"real-part", p_real_part, 1, 1, "(real-part z)"},
  {"imag-part", p_imag_part, 1, 1, "(imag-part z)"},
  {"magnitude", p_magnitude, 1, 1, "(magnitude z)"},
  {"angle", p_angle, 1, 1, "(angle z)"},
  {"conjugate", p_conjugate, 1, 1, "(conjugate z)"},
  {"degrees->radians", p_degrees_radians, 1, 1, "(degrees->radians x)"},
  {"radians->degrees", p_radians_degrees, 1, 1, "(radians->degrees x)"},
  {"order-of-magnitude", p_order_of_magnitude, 1, 1, "(order-of-magnitude x)"},
  {0},
};
