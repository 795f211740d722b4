/* number.h — the numeric tower: generic arithmetic, comparison, predicates.
 *
 *   limbs.c      natural numbers as bare limb vectors: no Values, no allocation
 *   transform.c  their product by a number-theoretic transform
 *   bignum.c     exact integers as Values (fixnum or T_BIGNUM)
 *   ratio.c      exact rationals
 *   resume_log.c how long computations pause
 *   flonum.c     doubles: to and from exact numbers and decimal digits, correctly rounded
 *   number.c     the tower
 *   numdiv.c     integer division, gcd, rounding
 *   exp.c        e^x
 *   numfun.c     sqrt, expt, exp, log, sin ..., on reals and complex numbers
 *   bitwise.c, random.c, fixflo.c, numread.c (parsing), numprint.c (printing)
 *
 * A function that returns a Value may return a signal (V_ERROR: a number too large, a wrong type;
 * V_AGAIN: memory is short) unless it says otherwise. TRY_LET and TRY_SET pass it on.
 */
#ifndef RLM_NUMBERS_NUMBER_H
#define RLM_NUMBERS_NUMBER_H
#include "core/prims.h"

enum rank { RANK_NONE = -1, RANK_INTEGER, RANK_RATIO, RANK_FLONUM, RANK_COMPLEX };

static inline enum rank num_rank(Value v) {
  if (IS_FIX(v)) return RANK_INTEGER;
  switch (TAG(v)) {
    case T_BIGNUM: return RANK_INTEGER;
    case T_RATIO: return RANK_RATIO;
    case T_FLONUM: return RANK_FLONUM;
    case T_COMPLEX: return RANK_COMPLEX;
    default: return RANK_NONE;
  }
}

static inline bool is_exact_rational(Value v) { enum rank r = num_rank(v); return r == RANK_INTEGER || r == RANK_RATIO; }
Value make_rectangular(Value re, Value im);             /* parts are both exact or both flonums; exact 0 im: real */
Value make_complex_double(double re, double im);
Value num_real_part(Value v);                           /* of any number; these two never signal */
Value num_imag_part(Value v);
Value num_negate(Value v);
int num_sign(Value real);                               /* 0 for NaN */
bool num_is_zero(Value v);                              /* exact or inexact */
bool num_is_integer(Value v);                           /* 5.0 too */
Value num_to_exact(const char *who, Value v);
Value num_to_inexact(Value v);

/* The shape of a primitive that folds a binary operation over its arguments; see number.c. */
Value fold_numbers(const char *who, int argc, Value *args, Value start, Value (*combine)(Value, Value));
void numbers_init(void);                                /* at boot: tables, seed, pi, euler */

bool is_number(Value v);
bool is_real(Value v);
bool is_exact_integer(Value v);
bool num_is_exact(Value v);
double num_to_double(Value real);

/* Generic arithmetic on any numbers: a value, or a signal (V_ERROR for a non-number: the error
   names `+` and the argument; V_AGAIN where memory is short). */
Value num_add(Value a, Value b); Value num_sub(Value a, Value b);
Value num_mul(Value a, Value b); Value num_div(Value a, Value b);

/* The same as primitives and instructions do them: a long operation pauses at the end of the time
   slice, V_AGAIN with its progress in vm.resume. Only for a caller that has nothing there itself. */
Value num_add_pausing(Value a, Value b); Value num_sub_pausing(Value a, Value b);
Value num_mul_pausing(Value a, Value b); Value num_div_pausing(Value a, Value b);
Value num_compare(const char *who, Value a, Value b, int *order); /* order: -1 0 1, 2 unordered (NaN); V_TRUE or V_ERROR */
Value num_compare_pausing(const char *who, Value a, Value b, int *order);  /* for an instruction or primitive that has no other progress */

/* For a primitive that has more progress than that of one operation: *progress is V_FALSE before the operation; after
   V_AGAIN the primitive keeps it and comes again with the same numbers. */
Value num_with_progress(Value (*operation)(Value, Value), Value a, Value b, Value *progress);
Value num_compare_with_progress(const char *who, Value a, Value b, int *order, Value *progress);
bool num_eqv(Value a, Value b);                           /* eqv? on two numbers */
uint64_t num_hash(Value n);                               /* consistent with eqv? */
#endif
