/* fixflo.c — Racket's operations on fixnums and flonums alone: fx+, fl< and their kin.
 *
 * Here they are no faster than the generic ones; what they add is the check of their arguments.
 */
#include "numbers/bignum.h"
#include "numbers/exp.h"
#include "numbers/flonum.h"
#include "numbers/number.h"
#include "numbers/numdiv.h"
#include <math.h>

/* ---- fixnums ---- */
static Value want_fixnums(const char *who, int argc, Value *args) {
  for (int i = 0; i < argc; i++)
    if (!IS_FIX(args[i])) return err_type(who, i, "fixnum?", args[i]);
  return V_TRUE;
}

static Value as_fixnum(const char *who, Value v) {
  if (IS_SIGNAL(v) || IS_FIX(v)) return v;
  return err_failf("exn:fail:contract:non-fixnum-result", "%s: result is not a fixnum", who);
}

/* One argument is combined with `unit` before it: (fx- 5) is 0 - 5. */
static Value fold_fixnums(const char *who, int argc, Value *args, Value unit, Value (*op)(Value, Value)) {
  TRY_LET(fine, want_fixnums(who, argc, args));
  Value r = argc == 1 ? unit : args[0];
  for (int i = argc == 1 ? 0 : 1; i < argc; i++) TRY_SET(r, as_fixnum(who, op(r, args[i])));
  return r;
}

static Value bits_and(Value a, Value b) { return a & b; }                      /* the tag bit is 1 in both */
static Value bits_ior(Value a, Value b) { return a | b; }
static Value bits_xor(Value a, Value b) { return (a ^ b) | 1; }
static Value larger(Value a, Value b) { return (int64_t)a > (int64_t)b ? a : b; }
static Value smaller(Value a, Value b) { return (int64_t)a < (int64_t)b ? a : b; }
static Value quotient(Value a, Value b) { return b == FIX(0) ? err_divide("fxquotient") : num_quotient(a, b); }
static Value remainder_of(Value a, Value b) { return b == FIX(0) ? err_divide("fxremainder") : num_remainder(a, b); }
static Value modulo(Value a, Value b) { return b == FIX(0) ? err_divide("fxmodulo") : num_modulo(a, b); }
static Value shift_left(Value a, Value b) { return int_shift(a, FIX_VALUE(b)); }
static Value shift_right(Value a, Value b) { return int_shift(a, -FIX_VALUE(b)); }

#define FX(name, scheme_name, unit, op) \
  static Value name(int argc, Value *args) { return fold_fixnums(scheme_name, argc, args, unit, op); }
FX(p_fx_add, "fx+", FIX(0), num_add)
FX(p_fx_sub, "fx-", FIX(0), num_sub)
FX(p_fx_mul, "fx*", FIX(1), num_mul)
FX(p_fx_quotient, "fxquotient", FIX(0), quotient)
FX(p_fx_remainder, "fxremainder", FIX(0), remainder_of)
FX(p_fx_modulo, "fxmodulo", FIX(0), modulo)
FX(p_fx_and, "fxand", FIX(-1), bits_and)
FX(p_fx_ior, "fxior", FIX(0), bits_ior)
FX(p_fx_xor, "fxxor", FIX(0), bits_xor)
FX(p_fx_max, "fxmax", FIX(FIX_MIN), larger)
FX(p_fx_min, "fxmin", FIX(FIX_MAX), smaller)

static Value shift(const char *who, int argc, Value *args, Value (*op)(Value, Value)) {
  TRY_LET(fine, want_fixnums(who, argc, args));
  if (FIX_VALUE(args[1]) < 0 || FIX_VALUE(args[1]) > 62) return err_type(who, 1, "(integer-in 0 62)", args[1]);
  return as_fixnum(who, op(args[0], args[1]));
}
static Value p_fx_left(int argc, Value *args) { return shift("fxlshift", argc, args, shift_left); }
static Value p_fx_right(int argc, Value *args) { return shift("fxrshift", argc, args, shift_right); }

static Value p_fx_not(int argc, Value *args) {
  TRY_LET(fine, want_fixnums("fxnot", argc, args));
  return FIX(~FIX_VALUE(args[0]));
}
static Value p_fx_abs(int argc, Value *args) {
  TRY_LET(fine, want_fixnums("fxabs", argc, args));
  return as_fixnum("fxabs", int_abs(args[0]));
}
static Value p_fx_to_fl(int argc, Value *args) {
  TRY_LET(fine, want_fixnums("fx->fl", argc, args));
  return make_flonum((double)FIX_VALUE(args[0]));
}

#define FX_COMPARE(name, scheme_name, op) \
  static Value name(int argc, Value *args) { \
    TRY_LET(fine, want_fixnums(scheme_name, argc, args)); \
    bool all = true; \
    for (int i = 0; i + 1 < argc; i++) all = all && (int64_t)args[i] op (int64_t)args[i + 1]; \
    return BOOL(all); }
FX_COMPARE(p_fx_equal, "fx=", ==)
FX_COMPARE(p_fx_less, "fx<", <)
FX_COMPARE(p_fx_greater, "fx>", >)
FX_COMPARE(p_fx_less_equal, "fx<=", <=)
FX_COMPARE(p_fx_greater_equal, "fx>=", >=)

/* ---- flonums ---- */
static Value want_flonums(const char *who, int argc, Value *args) {
  for (int i = 0; i < argc; i++)
    if (!IS(args[i], T_FLONUM)) return err_type(who, i, "flonum?", args[i]);
  return V_TRUE;
}

#define FL(name, scheme_name, unit, expression) \
  static Value name(int argc, Value *args) { \
    TRY_LET(fine, want_flonums(scheme_name, argc, args)); \
    double a = argc > 1 ? FLO_VALUE(args[0]) : unit; \
    for (int i = argc > 1 ? 1 : 0; i < argc; i++) { double b = FLO_VALUE(args[i]); a = (expression); } \
    return make_flonum(a); }
FL(p_fl_add, "fl+", -0.0, a + b)
FL(p_fl_sub, "fl-", -0.0, a - b)
FL(p_fl_mul, "fl*", 1.0, a * b)
FL(p_fl_div, "fl/", 1.0, a / b)
FL(p_fl_max, "flmax", -INFINITY, isnan(a) || a > b ? a : b)
FL(p_fl_min, "flmin", INFINITY, isnan(a) || a < b ? a : b)
FL(p_fl_expt, "flexpt", 1.0, pow(a, b))

#define FL_COMPARE(name, scheme_name, op) \
  static Value name(int argc, Value *args) { \
    TRY_LET(fine, want_flonums(scheme_name, argc, args)); \
    bool all = true; \
    for (int i = 0; i + 1 < argc; i++) all = all && FLO_VALUE(args[i]) op FLO_VALUE(args[i + 1]); \
    return BOOL(all); }
FL_COMPARE(p_fl_equal, "fl=", ==)
FL_COMPARE(p_fl_less, "fl<", <)
FL_COMPARE(p_fl_greater, "fl>", >)
FL_COMPARE(p_fl_less_equal, "fl<=", <=)
FL_COMPARE(p_fl_greater_equal, "fl>=", >=)

#define FL_FUNCTION(function, c_function) \
  static Value p_fl_##function(int argc, Value *args) { \
    TRY_LET(fine, want_flonums("fl" #function, argc, args)); \
    return make_flonum(c_function(FLO_VALUE(args[0]))); }
FL_FUNCTION(abs, fabs)
FL_FUNCTION(sqrt, sqrt)
FL_FUNCTION(exp, flonum_exp)
FL_FUNCTION(log, log)
FL_FUNCTION(sin, sin)
FL_FUNCTION(cos, cos)
FL_FUNCTION(tan, tan)
FL_FUNCTION(asin, asin)
FL_FUNCTION(acos, acos)
FL_FUNCTION(atan, atan)
FL_FUNCTION(floor, floor)
FL_FUNCTION(ceiling, ceil)
FL_FUNCTION(round, rint)
FL_FUNCTION(truncate, trunc)

static Value p_to_fl(int argc, Value *args) {
  (void)argc;
  if (!is_exact_integer(args[0])) return err_type("->fl", 0, "exact integer", args[0]);
  return num_to_inexact(args[0]);
}
static Value fl_to_integer(const char *who, Value v) {
  if (!IS(v, T_FLONUM) || !num_is_integer(v)) return err_type(who, 0, "(and/c flonum? integer?)", v);
  return int_from_double(FLO_VALUE(v));
}
static Value p_fl_to_integer(int argc, Value *args) { (void)argc; return fl_to_integer("fl->exact-integer", args[0]); }
static Value p_fl_to_fx(int argc, Value *args) {
  TRY_LET(fine, want_flonums("fl->fx", argc, args));
  return as_fixnum("fl->fx", fl_to_integer("fl->fx", make_flonum(trunc(FLO_VALUE(args[0])))));
}

const PrimDef fixflo_prims[] = {
  {"fx+", p_fx_add, 1, -1, "(fx+ a ...)"},
  {"fx-", p_fx_sub, 1, -1, "(fx- a b ...)"},
  {"fx*", p_fx_mul, 1, -1, "(fx* a ...)"},
  {"fxquotient", p_fx_quotient, 2, 2, "(fxquotient a b)"},
  {"fxremainder", p_fx_remainder, 2, 2, "(fxremainder a b)"},
  {"fxmodulo", p_fx_modulo, 2, 2, "(fxmodulo a b)"},
  {"fxabs", p_fx_abs, 1, 1, "(fxabs a)"},
  {"fxand", p_fx_and, 1, -1, "(fxand a ...)"},
  {"fxior", p_fx_ior, 1, -1, "(fxior a ...)"},
  {"fxxor", p_fx_xor, 1, -1, "(fxxor a ...)"},
  {"fxnot", p_fx_not, 1, 1, "(fxnot a)"},
  {"fxlshift", p_fx_left, 2, 2, "(fxlshift a b)"},
  {"fxrshift", p_fx_right, 2, 2, "(fxrshift a b)"},
  {"fxmax", p_fx_max, 1, -1, "(fxmax a ...)"},
  {"fxmin", p_fx_min, 1, -1, "(fxmin a ...)"},
  {"fx=", p_fx_equal, 1, -1, "(fx= a b ...)"},
  {"fx<", p_fx_less, 1, -1, "(fx< a b ...)"},
  {"fx>", p_fx_greater, 1, -1, "(fx> a b ...)"},
  {"fx<=", p_fx_less_equal, 1, -1, "(fx<= a b ...)"},
  {"fx>=", p_fx_greater_equal, 1, -1, "(fx>= a b ...)"},
  {"fx->fl", p_fx_to_fl, 1, 1, "(fx->fl a)"},
  {"fl->fx", p_fl_to_fx, 1, 1, "(fl->fx a)"},
  {"fl+", p_fl_add, 1, -1, "(fl+ a ...)"},
  {"fl-", p_fl_sub, 1, -1, "(fl- a b ...)"},
  {"fl*", p_fl_mul, 1, -1, "(fl* a ...)"},
  {"fl/", p_fl_div, 1, -1, "(fl/ a b ...)"},
  {"flmax", p_fl_max, 1, -1, "(flmax a ...)"},
  {"flmin", p_fl_min, 1, -1, "(flmin a ...)"},
  {"flexpt", p_fl_expt, 2, 2, "(flexpt a b)"},
  {"fl=", p_fl_equal, 1, -1, "(fl= a b ...)"},
  {"fl<", p_fl_less, 1, -1, "(fl< a b ...)"},
  {"fl>", p_fl_greater, 1, -1, "(fl> a b ...)"},
  {"fl<=", p_fl_less_equal, 1, -1, "(fl<= a b ...)"},
  {"fl>=", p_fl_greater_equal, 1, -1, "(fl>= a b ...)"},
  {"flabs", p_fl_abs, 1, 1, "(flabs a)"},
  {"flsqrt", p_fl_sqrt, 1, 1, "(flsqrt a)"},
  {"flexp", p_fl_exp, 1, 1, "(flexp a)"},
  {"fllog", p_fl_log, 1, 1, "(fllog a)"},
  {"flsin", p_fl_sin, 1, 1, "(flsin a)"},
  {"flcos", p_fl_cos, 1, 1, "(flcos a)"},
  {"fltan", p_fl_tan, 1, 1, "(fltan a)"},
  {"flasin", p_fl_asin, 1, 1, "(flasin a)"},
  {"flacos", p_fl_acos, 1, 1, "(flacos a)"},
  {"flatan", p_fl_atan, 1, 1, "(flatan a)"},
  {"flfloor", p_fl_floor, 1, 1, "(flfloor a)"},
  {"flceiling", p_fl_ceiling, 1, 1, "(flceiling a)"},
  {"flround", p_fl_round, 1, 1, "(flround a)"},
  {"fltruncate", p_fl_truncate, 1, 1, "(fltruncate a)"},
  {"->fl", p_to_fl, 1, 1, "(->fl n)"},
  {"fl->exact-integer", p_fl_to_integer, 1, 1, "(fl->exact-integer a)"},
  {0},
};
