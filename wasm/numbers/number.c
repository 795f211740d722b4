/* number.c — the tower: generic arithmetic, comparison, exactness, predicates.
 *
 * The ranks are exact integer, ratio, flonum, complex; an operation works at the higher rank of its
 * two arguments. A complex number has both parts exact or both flonums, and its imaginary part is
 * never an exact 0. As in Racket an exact 0 stays exact in a product.
 */
#include "numbers/number.h"
#include "core/globals.h"
#include "numbers/bignum.h"
#include "numbers/exp.h"
#include "numbers/flonum.h"
#include "numbers/random.h"
#include "numbers/ratio.h"
#include "numbers/resume_log.h"
#include "text/symbol.h"
#include <math.h>
#include <string.h>

bool is_number(Value v) { return num_rank(v) != RANK_NONE; }
bool is_real(Value v) { enum rank r = num_rank(v); return r >= RANK_INTEGER && r <= RANK_FLONUM; }
bool is_exact_integer(Value v) { return num_rank(v) == RANK_INTEGER; }

bool num_is_exact(Value v) {
  if (IS(v, T_COMPLEX)) v = REAL_PART(v);
  return !IS(v, T_FLONUM);
}

static enum rank higher_rank(Value a, Value b) {
  enum rank x = num_rank(a), y = num_rank(b);
  if (x == RANK_NONE || y == RANK_NONE) return RANK_NONE;
  return x > y ? x : y;
}

static Value not_numbers(const char *who, Value a, Value b) {
  int bad = is_number(a);
  return err_type(who, bad, "number", bad ? b : a);
}

/* ---- conversions ---- */
/* A real as a double; only a ratio so large that memory is short can make this a signal. */
static inline Value to_double(Value v, double *out) {
  if (IS(v, T_FLONUM)) { *out = FLO_VALUE(v); return V_TRUE; }
  if (IS_FIX(v)) { *out = (double)FIX_VALUE(v); return V_TRUE; }
  return rational_to_double(v, out);
}

double num_to_double(Value v) {
  double d;
  return to_double(v, &d) == V_TRUE ? d : NAN;
}

static Value real_to_inexact(Value v) {
  double d;
  if (IS(v, T_FLONUM)) return v;
  TRY_LET(done, rational_to_double(v, &d));
  return make_flonum(d);
}

Value num_to_inexact(Value v) {
  if (!IS(v, T_COMPLEX)) return real_to_inexact(v);
  TRY_LET(re, real_to_inexact(REAL_PART(v)));
  TRY_LET(im, real_to_inexact(IMAG_PART(v)));
  return make_rectangular(re, im);
}

static Value real_to_exact(const char *who, Value v) {
  if (!IS(v, T_FLONUM)) return v;
  if (!isfinite(FLO_VALUE(v))) return err_failf("exn:fail:contract", "%s: no exact representation for %v", who, v);
  return rational_from_double(FLO_VALUE(v));
}

Value num_to_exact(const char *who, Value v) {
  if (!IS(v, T_COMPLEX)) return real_to_exact(who, v);
  TRY_LET(re, real_to_exact(who, REAL_PART(v)));
  TRY_LET(im, real_to_exact(who, IMAG_PART(v)));
  return make_rectangular(re, im);
}

/* ---- complex numbers ---- */
Value num_real_part(Value v) { return IS(v, T_COMPLEX) ? REAL_PART(v) : v; }
Value num_imag_part(Value v) { return IS(v, T_COMPLEX) ? IMAG_PART(v) : FIX(0); }

Value make_rectangular(Value re, Value im) {
  if (im == FIX(0)) return re;
  if (IS(re, T_FLONUM) != IS(im, T_FLONUM)) {
    TRY_SET(re, real_to_inexact(re));
    TRY_SET(im, real_to_inexact(im));
  }
  Value z = heap_object(T_COMPLEX, 0, 2);
  REAL_PART(z) = re;
  IMAG_PART(z) = im;
  return z;
}

Value make_complex_double(double re, double im) { return make_rectangular(make_flonum(re), make_flonum(im)); }

static Value complex_add(Value a, Value b, Value (*op)(Value, Value)) {
  TRY_LET(re, op(num_real_part(a), num_real_part(b)));
  TRY_LET(im, op(num_imag_part(a), num_imag_part(b)));
  return make_rectangular(re, im);
}

static Value complex_mul(Value a, Value b) {
  Value ar = num_real_part(a), ai = num_imag_part(a), br = num_real_part(b), bi = num_imag_part(b);
  TRY_LET(rr, num_mul(ar, br));
  TRY_LET(ii, num_mul(ai, bi));
  TRY_LET(ri, num_mul(ar, bi));
  TRY_LET(ir, num_mul(ai, br));
  TRY_LET(re, num_sub(rr, ii));
  TRY_LET(im, num_add(ri, ir));
  return make_rectangular(re, im);
}

/* Dividing by the larger part first keeps c*c + d*d from overflowing (Smith 1962). */
static Value complex_div_double(double a, double b, double c, double d) {
  if (fabs(c) >= fabs(d)) {
    double r = d / c, scale = c + d * r;
    return make_complex_double((a + b * r) / scale, (b - a * r) / scale);
  }
  double r = c / d, scale = c * r + d;
  return make_complex_double((a * r + b) / scale, (b * r - a) / scale);
}

static Value complex_div(Value a, Value b) {
  Value ar = num_real_part(a), ai = num_imag_part(a), br = num_real_part(b), bi = num_imag_part(b);
  if (!IS(b, T_COMPLEX)) {
    TRY_LET(re, num_div(ar, b));
    TRY_LET(im, num_div(ai, b));
    return make_rectangular(re, im);
  }
  if (!num_is_exact(a) || !num_is_exact(b)) {
    double parts[4];
    Value values[4] = {ar, ai, br, bi};
    for (int i = 0; i < 4; i++) { TRY_LET(done, to_double(values[i], parts + i)); }
    return complex_div_double(parts[0], parts[1], parts[2], parts[3]);
  }
  TRY_LET(rr, num_mul(br, br));
  TRY_LET(ii, num_mul(bi, bi));
  TRY_LET(norm, num_add(rr, ii));
  TRY_LET(minus, num_negate(bi));
  TRY_LET(conjugate, make_rectangular(br, minus));
  TRY_LET(product, complex_mul(a, conjugate));
  return complex_div(product, norm);
}

/* ---- the four operations ---- */
#define FLONUM_PAIR(a, b, x, y) \
  double x, y; { TRY_LET(x_, to_double(a, &x)); TRY_LET(y_, to_double(b, &y)); }

Value num_add(Value a, Value b) {
  if (IS_FIX(a) && IS_FIX(b)) return int_from_i64(FIX_VALUE(a) + FIX_VALUE(b));
  if (IS(a, T_FLONUM) && IS(b, T_FLONUM)) return make_flonum(FLO_VALUE(a) + FLO_VALUE(b));
  switch (higher_rank(a, b)) {
    case RANK_INTEGER: return int_add(a, b);
    case RANK_RATIO: return rational_add(a, b);
    case RANK_FLONUM: {
      if (a == FIX(0)) return b;                  /* so that -0.0 survives */
      if (b == FIX(0)) return a;
      FLONUM_PAIR(a, b, x, y);
      return make_flonum(x + y);
    }
    case RANK_COMPLEX: return complex_add(a, b, num_add);
    default: return not_numbers("+", a, b);
  }
}

Value num_sub(Value a, Value b) {
  if (IS_FIX(a) && IS_FIX(b)) return int_from_i64(FIX_VALUE(a) - FIX_VALUE(b));
  if (IS(a, T_FLONUM) && IS(b, T_FLONUM)) return make_flonum(FLO_VALUE(a) - FLO_VALUE(b));
  switch (higher_rank(a, b)) {
    case RANK_INTEGER: return int_sub(a, b);
    case RANK_RATIO: return rational_sub(a, b);
    case RANK_FLONUM: {
      if (b == FIX(0)) return a;
      if (a == FIX(0)) return make_flonum(-FLO_VALUE(b));
      FLONUM_PAIR(a, b, x, y);
      return make_flonum(x - y);
    }
    case RANK_COMPLEX: return complex_add(a, b, num_sub);
    default: return not_numbers("-", a, b);
  }
}

Value num_mul(Value a, Value b) {
  if (IS(a, T_FLONUM) && IS(b, T_FLONUM)) return make_flonum(FLO_VALUE(a) * FLO_VALUE(b));
  switch (higher_rank(a, b)) {
    case RANK_INTEGER: return int_mul(a, b);
    case RANK_RATIO: return rational_mul(a, b);
    case RANK_FLONUM: {
      if (a == FIX(0) || b == FIX(0)) return FIX(0);
      FLONUM_PAIR(a, b, x, y);
      return make_flonum(x * y);
    }
    case RANK_COMPLEX:
      return complex_mul(a, b);
    default: return not_numbers("*", a, b);
  }
}

Value num_div(Value a, Value b) {
  if (IS(a, T_FLONUM) && IS(b, T_FLONUM)) return make_flonum(FLO_VALUE(a) / FLO_VALUE(b));
  enum rank rank = higher_rank(a, b);
  if (rank != RANK_NONE && b == FIX(0)) return err_divide("/");
  switch (rank) {
    case RANK_INTEGER: return rational_make(a, b);
    case RANK_RATIO: return rational_div(a, b);
    case RANK_FLONUM: {
      if (a == FIX(0)) return a;
      FLONUM_PAIR(a, b, x, y);
      return make_flonum(x / y);
    }
    case RANK_COMPLEX: return complex_div(a, b);
    default: return not_numbers("/", a, b);
  }
}

Value num_negate(Value v) {
  switch (num_rank(v)) {
    case RANK_INTEGER: return int_negate(v);
    case RANK_FLONUM: return make_flonum(-FLO_VALUE(v));
    case RANK_COMPLEX: {
      TRY_LET(re, num_negate(REAL_PART(v)));
      TRY_LET(im, num_negate(IMAG_PART(v)));
      return make_rectangular(re, im);
    }
    default: return num_sub(FIX(0), v);
  }
}

/* ---- comparison ---- */
static Value compare_reals(Value a, Value b, int *order) {
  if (IS_FIX(a) && IS_FIX(b)) { *order = (int64_t)a < (int64_t)b ? -1 : (int64_t)a > (int64_t)b; return V_TRUE; }
  bool af = IS(a, T_FLONUM), bf = IS(b, T_FLONUM);
  if (af && bf) {
    double x = FLO_VALUE(a), y = FLO_VALUE(b);
    *order = x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
    return V_TRUE;
  }
  if (bf) return compare_with_double(a, FLO_VALUE(b), order);
  if (af) {
    Value done = compare_with_double(b, FLO_VALUE(a), order);
    if (*order != 2) *order = -*order;
    return done;
  }
  return rational_compare(a, b, order);
}

static Value equal_complex(Value a, Value b, int *order) {
  int re, im;
  TRY_LET(first, compare_reals(num_real_part(a), num_real_part(b), &re));
  TRY_LET(second, compare_reals(num_imag_part(a), num_imag_part(b), &im));
  *order = re == 0 && im == 0 ? 0 : 2;
  return V_TRUE;
}

Value num_compare(const char *who, Value a, Value b, int *order) {
  *order = 2;
  if (is_real(a) && is_real(b)) return compare_reals(a, b, order);
  bool equality = who && !strcmp(who, "=");
  if (equality && is_number(a) && is_number(b)) return equal_complex(a, b, order);
  bool first = equality ? is_number(a) : is_real(a);
  return err_type(who, first, equality ? "number" : "real number", first ? b : a);
}

bool num_eqv(Value a, Value b) {
  if (a == b) return true;
  if (TAG(a) != TAG(b) || IS_FIX(a) || IS_FIX(b)) return false;
  switch (TAG(a)) {
    case T_BIGNUM:
      return HEADER_OF(a) >> 32 == HEADER_OF(b) >> 32 && BIG_NEGATIVE(a) == BIG_NEGATIVE(b) &&
             !memcmp(BIG_LIMBS(a), BIG_LIMBS(b), OBJ_LENGTH(a));
    case T_FLONUM:
      return !memcmp(RAW_BYTES(a), RAW_BYTES(b), 8) || (isnan(FLO_VALUE(a)) && isnan(FLO_VALUE(b)));
    case T_RATIO: return num_eqv(NUMERATOR(a), NUMERATOR(b)) && num_eqv(DENOMINATOR(a), DENOMINATOR(b));
    case T_COMPLEX: return num_eqv(REAL_PART(a), REAL_PART(b)) && num_eqv(IMAG_PART(a), IMAG_PART(b));
    default: return false;
  }
}

static uint64_t mix(uint64_t h, uint64_t word) {
  h = (h ^ word) * 0x9e3779b97f4a7c15;
  return h ^ h >> 29;
}

uint64_t num_hash(Value v) {
  if (IS_FIX(v)) return mix(1, v);
  switch (TAG(v)) {
    case T_BIGNUM: {
      uint64_t h = BIG_NEGATIVE(v) ? 2 : 3;
      for (uint32_t i = 0; i < BIG_COUNT(v); i++) h = mix(h, BIG_LIMBS(v)[i]);
      charge(BIG_COUNT(v) / 8);
      return h;
    }
    case T_FLONUM: {
      uint64_t bits;
      memcpy(&bits, RAW_BYTES(v), 8);
      return mix(4, isnan(FLO_VALUE(v)) ? 0 : bits);
    }
    default: return mix(num_hash(SLOTS(v)[0]), num_hash(SLOTS(v)[1]));   /* ratio, complex */
  }
}

/* ---- signs and kinds ---- */
int num_sign(Value v) {
  if (IS(v, T_FLONUM)) return FLO_VALUE(v) < 0 ? -1 : FLO_VALUE(v) > 0;
  return int_sign(rational_numerator(v));
}

bool num_is_zero(Value v) {
  if (IS(v, T_COMPLEX)) return num_is_zero(REAL_PART(v)) && num_is_zero(IMAG_PART(v));
  return v == FIX(0) || (IS(v, T_FLONUM) && FLO_VALUE(v) == 0);
}

bool num_is_integer(Value v) {
  if (IS(v, T_FLONUM)) return isfinite(FLO_VALUE(v)) && FLO_VALUE(v) == trunc(FLO_VALUE(v));
  return is_exact_integer(v);
}

static bool is_rational(Value v) { return is_exact_rational(v) || (IS(v, T_FLONUM) && isfinite(FLO_VALUE(v))); }

#define PREDICATE(name, condition) \
  static Value name(int argc, Value *args) { (void)argc; Value v = args[0]; return BOOL(condition); }
PREDICATE(p_number, is_number(v))
PREDICATE(p_real, is_real(v))
PREDICATE(p_rational, is_rational(v))
PREDICATE(p_integer, num_is_integer(v))
PREDICATE(p_exact_integer, is_exact_integer(v))
PREDICATE(p_exact_rational, is_exact_rational(v))
PREDICATE(p_natural, is_exact_integer(v) && int_sign(v) >= 0)
PREDICATE(p_exact_positive, is_exact_integer(v) && int_sign(v) > 0)
PREDICATE(p_positive_integer, num_is_integer(v) && num_sign(v) > 0)
PREDICATE(p_negative_integer, num_is_integer(v) && num_sign(v) < 0)
PREDICATE(p_nonnegative_integer, num_is_integer(v) && num_sign(v) >= 0)
PREDICATE(p_nonpositive_integer, num_is_integer(v) && num_sign(v) <= 0)
PREDICATE(p_flonum, IS(v, T_FLONUM))
PREDICATE(p_fixnum, IS_FIX(v))
PREDICATE(p_false, ((void)v, false))
PREDICATE(p_exact_complex, is_number(v) && num_is_exact(v))

/* Predicates that want a number, or a real one. */
#define NUMBER_TEST(name, scheme_name, condition) \
  static Value name(int argc, Value *args) { \
    (void)argc; Value v = args[0]; \
    if (!is_number(v)) return err_type(scheme_name, 0, "number", v); \
    return BOOL(condition); }
#define REAL_TEST(name, scheme_name, condition) \
  static Value name(int argc, Value *args) { \
    (void)argc; Value v = args[0]; \
    if (!is_real(v)) return err_type(scheme_name, 0, "real number", v); \
    return BOOL(condition); }

/* some part, or every part, of a number that may be complex */
static bool part_is_nan(Value v) { return IS(v, T_FLONUM) && isnan(FLO_VALUE(v)); }
static bool part_is_infinite(Value v) { return IS(v, T_FLONUM) && isinf(FLO_VALUE(v)); }
static bool any_part(Value v, bool (*test)(Value)) { return test(num_real_part(v)) || test(num_imag_part(v)); }

NUMBER_TEST(p_exact, "exact?", num_is_exact(v))
NUMBER_TEST(p_inexact, "inexact?", !num_is_exact(v))
NUMBER_TEST(p_nan, "nan?", any_part(v, part_is_nan))
NUMBER_TEST(p_infinite, "infinite?", any_part(v, part_is_infinite))
NUMBER_TEST(p_finite, "finite?", !any_part(v, part_is_nan) && !any_part(v, part_is_infinite))
NUMBER_TEST(p_zero, "zero?", num_is_zero(v))
REAL_TEST(p_positive, "positive?", num_sign(v) > 0)
REAL_TEST(p_negative, "negative?", num_sign(v) < 0)

static bool odd_integer(Value v) { return IS(v, T_FLONUM) ? fmod(FLO_VALUE(v), 2) != 0 : int_odd(v); }
static Value p_odd(int argc, Value *args) {
  (void)argc;
  return num_is_integer(args[0]) ? BOOL(odd_integer(args[0])) : err_type("odd?", 0, "integer", args[0]);
}
static Value p_even(int argc, Value *args) {
  (void)argc;
  return num_is_integer(args[0]) ? BOOL(!odd_integer(args[0])) : err_type("even?", 0, "integer", args[0]);
}

/* ---- as primitives ---- */
#define PAUSING_OPERATION(name) \
  Value name##_pausing(Value a, Value b) { \
    if ((IS_FIX(a) && IS_FIX(b)) || IS(a, T_FLONUM) || IS(b, T_FLONUM)) return name(a, b); \
    return PAUSING(name(a, b)); }
PAUSING_OPERATION(num_add)
PAUSING_OPERATION(num_sub)
PAUSING_OPERATION(num_mul)
PAUSING_OPERATION(num_div)

static bool is_quick(Value a, Value b) { return (IS_FIX(a) || IS(a, T_FLONUM)) && (IS_FIX(b) || IS(b, T_FLONUM)); }

Value num_with_progress(Value (*operation)(Value, Value), Value a, Value b, Value *progress) {
  if (is_quick(a, b)) return operation(a, b);
  resume_log_open(*progress);
  Value result = operation(a, b);
  *progress = result == V_AGAIN ? resume_log.list : V_FALSE;
  resume_log.open = false;
  return result;
}

Value num_compare_with_progress(const char *who, Value a, Value b, int *order, Value *progress) {
  if (is_quick(a, b)) return num_compare(who, a, b, order);
  resume_log_open(*progress);
  Value done = num_compare(who, a, b, order);
  *progress = done == V_AGAIN ? resume_log.list : V_FALSE;
  resume_log.open = false;
  return done;
}

Value num_compare_pausing(const char *who, Value a, Value b, int *order) {
  if (is_quick(a, b)) return num_compare(who, a, b, order);
  return PAUSING(num_compare(who, a, b, order));
}

/* Folds `combine` over the arguments from `first`, starting from `start`. Where memory or the time
   slice ends, vm.resume keeps the sum so far, the next argument and the resume_log of its operation. */
static Value fold_from(const char *who, int argc, Value *args, int first, Value start, Value (*combine)(Value, Value)) {
  int i = first;
  Value sum = start, noted = V_FALSE;
  if (IS(vm.resume, T_VECTOR)) {
    sum = VEC(vm.resume)[0];
    i = (int)FIX_VALUE(VEC(vm.resume)[1]);
    noted = VEC(vm.resume)[2];
  }
  for (int begun = i; i < argc; i++) {
    if (!is_number(args[i])) return err_type(who, i, "number", args[i]);
    resume_log_open(noted);
    Value next = i > begun && argc > 8 && should_pause() ? V_AGAIN : combine(sum, args[i]);
    resume_log_close(next);
    if (next == V_AGAIN) {
      noted = vm.resume;
      vm.resume = make_vector(3, sum);
      VEC(vm.resume)[1] = FIX(i);
      VEC(vm.resume)[2] = noted;
    }
    if (IS_SIGNAL(next)) return next;
    sum = next;
    noted = V_FALSE;
    charge(1);
  }
  return sum;
}

Value fold_numbers(const char *who, int argc, Value *args, Value start, Value (*combine)(Value, Value)) {
  return fold_from(who, argc, args, 0, start, combine);
}

static Value p_add(int argc, Value *args) {
  if (argc == 2) return num_add_pausing(args[0], args[1]);
  return fold_from("+", argc, args, 0, FIX(0), num_add);
}

static Value p_mul(int argc, Value *args) {
  if (argc == 2) return num_mul_pausing(args[0], args[1]);
  return fold_from("*", argc, args, 0, FIX(1), num_mul);
}

static Value p_sub(int argc, Value *args) {
  if (argc == 2) return num_sub_pausing(args[0], args[1]);
  if (!is_number(args[0])) return err_type("-", 0, "number", args[0]);
  return argc == 1 ? PAUSING(num_negate(args[0])) : fold_from("-", argc, args, 1, args[0], num_sub);
}

static Value p_div(int argc, Value *args) {
  if (argc == 2) return num_div_pausing(args[0], args[1]);
  if (!is_number(args[0])) return err_type("/", 0, "number", args[0]);
  return argc == 1 ? num_div_pausing(FIX(1), args[0]) : fold_from("/", argc, args, 1, args[0], num_div);
}

/* Every argument is checked, also past the one that decides. */
static Value compare_chain(const char *who, int argc, Value *args, unsigned wanted) {
  bool equality = wanted == 2, all = true;
  Value *kept = progress(), noted = kept ? kept[1] : V_FALSE;
  for (int i = kept ? argc : 0; i < argc; i++)
    if (equality ? !is_number(args[i]) : !is_real(args[i]))
      return err_type(who, i, equality ? "number" : "real number", args[i]);
  for (int i = kept ? (int)FIX_VALUE(kept[0]) : 0, round = 1; all && i + 1 < argc; i++, round++) {
    int order;
    Value done = num_compare_with_progress(who, args[i], args[i + 1], &order, &noted);
    if (done == V_AGAIN) return pause_keeping(2, FIX(i), noted);
    if (IS_SIGNAL(done)) return done;
    all = order != 2 && (wanted >> (order + 1) & 1);
    if (round % 4 == 0) charge(1);
    if (round % LONG_ROUND == 0 && should_pause()) return all ? pause_keeping(2, FIX(i + 1), V_FALSE) : V_FALSE;
  }
  return BOOL(all);
}
/* bit 0: less, bit 1: equal, bit 2: greater */
static Value p_equal(int argc, Value *args) { return compare_chain("=", argc, args, 2); }
static Value p_less(int argc, Value *args) { return compare_chain("<", argc, args, 1); }
static Value p_greater(int argc, Value *args) { return compare_chain(">", argc, args, 4); }
static Value p_less_equal(int argc, Value *args) { return compare_chain("<=", argc, args, 3); }
static Value p_greater_equal(int argc, Value *args) { return compare_chain(">=", argc, args, 6); }

static Value extreme(const char *who, int argc, Value *args, int wanted) {
  Value *kept = progress(), best = kept ? kept[1] : args[0], noted = kept ? kept[3] : V_FALSE;
  bool inexact = kept && kept[2] == V_TRUE;
  for (int i = kept ? (int)FIX_VALUE(kept[0]) : 0, round = 1; i < argc; i++, round++) {
    if (!is_real(args[i])) return err_type(who, i, "real number", args[i]);
    if (IS(args[i], T_FLONUM)) inexact = true;
    int order;
    Value done = num_compare_with_progress(who, args[i], best, &order, &noted);
    if (done == V_AGAIN) return pause_keeping(4, FIX(i), best, BOOL(inexact), noted);
    if (IS_SIGNAL(done)) return done;
    if (order == wanted || part_is_nan(args[i])) best = args[i];
    if (round % 4 == 0) charge(1);
    if (round % LONG_ROUND == 0 && should_pause()) return pause_keeping(4, FIX(i + 1), best, BOOL(inexact), V_FALSE);
  }
  return inexact ? real_to_inexact(best) : best;
}
static Value p_max(int argc, Value *args) {
  if (argc == 2 && IS_FIX(args[0]) && IS_FIX(args[1])) return FIX_VALUE(args[0]) < FIX_VALUE(args[1]) ? args[1] : args[0];
  return extreme("max", argc, args, 1);
}
static Value p_min(int argc, Value *args) {
  if (argc == 2 && IS_FIX(args[0]) && IS_FIX(args[1])) return FIX_VALUE(args[1]) < FIX_VALUE(args[0]) ? args[1] : args[0];
  return extreme("min", argc, args, -1);
}

#define WANT_NUMBER(who) if (!is_number(args[0])) return err_type(who, 0, "number", args[0])
#define WANT_REAL(who) if (!is_real(args[0])) return err_type(who, 0, "real number", args[0])

static Value p_add1(int argc, Value *args) { (void)argc; WANT_NUMBER("add1"); return num_add_pausing(args[0], FIX(1)); }
static Value p_sub1(int argc, Value *args) { (void)argc; WANT_NUMBER("sub1"); return num_sub_pausing(args[0], FIX(1)); }
static Value p_sqr(int argc, Value *args) { (void)argc; WANT_NUMBER("sqr"); return num_mul_pausing(args[0], args[0]); }

static Value p_abs(int argc, Value *args) {
  (void)argc;
  WANT_REAL("abs");
  if (IS(args[0], T_FLONUM)) return make_flonum(fabs(FLO_VALUE(args[0])));
  return num_sign(args[0]) < 0 ? PAUSING(num_negate(args[0])) : args[0];
}

static Value p_sgn(int argc, Value *args) {
  (void)argc;
  WANT_REAL("sgn");
  if (!IS(args[0], T_FLONUM)) return FIX(num_sign(args[0]));
  double d = FLO_VALUE(args[0]);
  return d == 0 || isnan(d) ? args[0] : make_flonum(d < 0 ? -1 : 1);
}

static Value p_exact_of(int argc, Value *args) { (void)argc; WANT_NUMBER("exact"); return PAUSING(num_to_exact("exact", args[0])); }
static Value p_inexact_to_exact(int argc, Value *args) { (void)argc; WANT_NUMBER("inexact->exact"); return PAUSING(num_to_exact("inexact->exact", args[0])); }
static Value p_exact_to_inexact(int argc, Value *args) { (void)argc; WANT_NUMBER("exact->inexact"); return PAUSING(num_to_inexact(args[0])); }
static Value p_inexact_of(int argc, Value *args) { (void)argc; WANT_NUMBER("inexact"); return PAUSING(num_to_inexact(args[0])); }

void numbers_init(void) {
  flonum_init();
  exp_init();
  random_init();
  define_global(intern("pi"), make_flonum(3.141592653589793));
  define_global(intern("euler"), make_flonum(2.718281828459045));
}

const PrimDef number_prims[] = {
  {"number?", p_number, 1, 1, "(number? v)"},
  {"complex?", p_number, 1, 1, "(complex? v)"},
  {"real?", p_real, 1, 1, "(real? v)"},
  {"rational?", p_rational, 1, 1, "(rational? v)"},
  {"integer?", p_integer, 1, 1, "(integer? v)"},
  {"exact-integer?", p_exact_integer, 1, 1, "(exact-integer? v)"},
  {"exact-rational?", p_exact_rational, 1, 1, "(exact-rational? v)"},
  {"exact-complex?", p_exact_complex, 1, 1, "(exact-complex? v)"},
  {"exact-nonnegative-integer?", p_natural, 1, 1, "(exact-nonnegative-integer? v)"},
  {"exact-positive-integer?", p_exact_positive, 1, 1, "(exact-positive-integer? v)"},
  {"natural?", p_natural, 1, 1, "(natural? v)"},
  {"positive-integer?", p_positive_integer, 1, 1, "(positive-integer? v)"},
  {"negative-integer?", p_negative_integer, 1, 1, "(negative-integer? v)"},
  {"nonnegative-integer?", p_nonnegative_integer, 1, 1, "(nonnegative-integer? v)"},
  {"nonpositive-integer?", p_nonpositive_integer, 1, 1, "(nonpositive-integer? v)"},
  {"flonum?", p_flonum, 1, 1, "(flonum? v)"},
  {"double-flonum?", p_flonum, 1, 1, "(double-flonum? v)"},
  {"single-flonum?", p_false, 1, 1, "(single-flonum? v)"},
  {"inexact-real?", p_flonum, 1, 1, "(inexact-real? v)"},
  {"fixnum?", p_fixnum, 1, 1, "(fixnum? v)"},
  {"exact?", p_exact, 1, 1, "(exact? z)"},
  {"inexact?", p_inexact, 1, 1, "(inexact? z)"},
  {"nan?", p_nan, 1, 1, "(nan? z)"},
  {"infinite?", p_infinite, 1, 1, "(infinite? z)"},
  {"finite?", p_finite, 1, 1, "(finite? z)"},
  {"zero?", p_zero, 1, 1, "(zero? z)"},
  {"positive?", p_positive, 1, 1, "(positive? x)"},
  {"negative?", p_negative, 1, 1, "(negative? x)"},
  {"odd?", p_odd, 1, 1, "(odd? n)"},
  {"even?", p_even, 1, 1, "(even? n)"},
  {"+", p_add, 0, -1, "(+ z ...)"},
  {"*", p_mul, 0, -1, "(* z ...)"},
  {"-", p_sub, 1, -1, "(- z w ...)"},
  {"/", p_div, 1, -1, "(/ z w ...)"},
  {"=", p_equal, 1, -1, "(= z w ...)"},
  {"<", p_less, 1, -1, "(< x y ...)"},
  {">", p_greater, 1, -1, "(> x y ...)"},
  {"<=", p_less_equal, 1, -1, "(<= x y ...)"},
  {">=", p_greater_equal, 1, -1, "(>= x y ...)"},
  {"max", p_max, 1, -1, "(max x ...)"},
  {"min", p_min, 1, -1, "(min x ...)"},
  {"add1", p_add1, 1, 1, "(add1 z)"},
  {"sub1", p_sub1, 1, 1, "(sub1 z)"},
  {"sqr", p_sqr, 1, 1, "(sqr z)"},
  {"square", p_sqr, 1, 1, "(square z)"},
  {"abs", p_abs, 1, 1, "(abs x)"},
  {"sgn", p_sgn, 1, 1, "(sgn x)"},
  {"exact", p_exact_of, 1, 1, "(exact z)"},
  {"inexact", p_inexact_of, 1, 1, "(inexact z)"},
  {"inexact->exact", p_inexact_to_exact, 1, 1, "(inexact->exact z)"},
  {"exact->inexact", p_exact_to_inexact, 1, 1, "(exact->inexact z)"},
  {0},
};
