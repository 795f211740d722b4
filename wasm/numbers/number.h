/* number.h — what the files of the numeric tower share.
 *
 *   limbs.c     natural numbers as bare limb vectors: no Values, no allocation
 *   transform.c their product by a number-theoretic transform
 *   bignum.c    exact integers as Values (fixnum or T_BIGNUM)
 *   ratio.c     exact rationals
 *   journal.c   how long computations pause
 *   flonum.c    doubles: to and from exact numbers and decimal digits, correctly rounded
 *   number.c    the tower: generic arithmetic, comparison, predicates
 *   numdiv.c    integer division, gcd, rounding
 *   exp.c       e^x
 *   numfun.c    sqrt, expt, exp, log, sin ..., on reals and complex numbers
 *   bitwise.c, random.c, fixflo.c, numread.c (parsing), numprint.c (printing)
 *
 * A function that returns a Value may return a signal (V_ERROR: a number too large, a wrong type;
 * V_AGAIN: memory is short) unless it says otherwise. TRY passes it on.
 */
#ifndef RLM_NUMBER_H
#define RLM_NUMBER_H
#include "core.h"

#define TRY(name, expression) Value name = (expression); if (IS_SIGNAL(name)) return name
#define TRY_SET(name, expression) do { name = (expression); if (IS_SIGNAL(name)) return name; } while (0)

/* ---- limbs.c: little-endian vectors of 32-bit limbs ---- */
typedef uint32_t Limb;
uint32_t limbs_trim(const Limb *a, uint32_t count);               /* count without leading zeros */
int limbs_compare(const Limb *a, uint32_t an, const Limb *b, uint32_t bn);   /* both trimmed */
uint32_t limbs_bits(const Limb *a, uint32_t count);               /* of a trimmed vector; 0 for zero */
/* r may be a. The result has an limbs (an >= bn); returns the carry or borrow. */
Limb limbs_add(Limb *r, const Limb *a, uint32_t an, const Limb *b, uint32_t bn);
Limb limbs_sub(Limb *r, const Limb *a, uint32_t an, const Limb *b, uint32_t bn);
Limb limbs_mul1(Limb *r, const Limb *a, uint32_t n, Limb m, Limb carry);     /* r = a * m + carry */
Limb limbs_div1(Limb *q, const Limb *a, uint32_t n, Limb d);                 /* returns the remainder */
/* By 0..31 bits; r may be a. left returns what went out at the top. */
Limb limbs_left(Limb *r, const Limb *a, uint32_t n, uint32_t bits);
void limbs_right(Limb *r, const Limb *a, uint32_t n, uint32_t bits);
/* r (an + bn limbs, apart from a and b) = a * b. */
uint32_t limbs_mul_scratch(uint32_t an, uint32_t bn);             /* limbs of scratch that it wants */
void limbs_mul(Limb *r, const Limb *a, uint32_t an, const Limb *b, uint32_t bn, Limb *scratch);
uint64_t limbs_mul_cost(uint32_t an, uint32_t bn);                /* in steps, for charge() */
/* transform.c: the same for long factors */
uint32_t transform_scratch(uint32_t an, uint32_t bn);
uint64_t transform_cost(uint32_t an, uint32_t bn);
void transform_mul(Limb *r, const Limb *a, uint32_t an, const Limb *b, uint32_t bn, Limb *scratch);
/* a: an + 1 limbs (the top one may be anything below b's top), becomes the remainder in bn limbs;
   b: bn >= 2 limbs with its top bit set; q: an - bn + 1 limbs. */
uint32_t limbs_div_scratch(uint32_t an, uint32_t bn);
void limbs_div(Limb *q, Limb *a, uint32_t an, const Limb *b, uint32_t bn, Limb *scratch);
uint64_t limbs_div_cost(uint32_t an, uint32_t bn);

/* ---- journal.c ---- */
struct journal {
  bool open;
  Value list, rest, last;   /* all entries; those not read yet; the one that was read or made last */
  int64_t begun_at;         /* vm.steps at the beginning */
  int64_t patience;         /* steps to do before a pause */
};
extern struct journal journal;
#define LONG_STEPS 100000                               /* an operation of so many steps is long: about a millisecond */
void journal_open(Value list);
bool journal_should_pause(void);
Value journal_close(Value result);
bool journal_next(Value *entry);
Value journal_note(Value result);
void journal_note_part(Value part, bool replace);
/* Does a primitive's work with the journal open. */
#define PAUSING(expression) (journal_open(vm.resume), journal_close(expression))

/* ---- bignum.c: exact integers. Arguments must be exact integers. ---- */
#define INT_BITS_LIMIT (1u << 23)                       /* the largest integer: 1 MiB */
#define INT_LIMBS_LIMIT (INT_BITS_LIMIT / 32)
typedef struct { const Limb *limbs; uint32_t count; bool negative; Limb small[2]; } Int;  /* never copy one */
void int_view(Value v, Int *out);
Value int_too_large(void);                              /* V_ERROR */
Value int_new(uint32_t limbs, bool negative);           /* room for a result; memory must be reserved */
Value int_trim(Value big);                              /* drops leading zero limbs; a fixnum where it fits */
Value int_room(uint64_t limbs);                         /* V_TRUE, or a signal: reserves so much */
Value int_add(Value a, Value b);
Value int_sub(Value a, Value b);
Value int_mul(Value a, Value b);
Value int_negate(Value a);
Value int_abs(Value a);
int int_sign(Value a);
bool int_odd(Value a);
int int_compare(Value a, Value b);
uint32_t int_bits(Value a);                             /* of the magnitude */
/* Truncating division; q or r may be NULL; b is not zero. V_TRUE or a signal. */
Value int_divide(Value a, Value b, Value *q, Value *r);
Value int_quotient(Value a, Value b);
Value int_gcd(Value a, Value b);
Value int_shift(Value a, int64_t left);                 /* arithmetic: a right shift rounds down */
uint32_t int_trailing_zeros(Value a);                   /* a is not zero */
Value int_power(Value base, uint64_t exponent);
Value int_sqrt(Value n, Value *remainder);              /* n >= 0; remainder may be NULL */
Limb *limbs_alloc(uint64_t count);                      /* scratch in the heap; memory must be reserved */

/* ---- ratio.c: exact rationals (integers too) ---- */
Value rational_make(Value n, Value d);                  /* n/d in lowest terms; d is not zero */
Value rational_numerator(Value v);                      /* these two never signal */
Value rational_denominator(Value v);
Value rational_add(Value a, Value b);
Value rational_sub(Value a, Value b);
Value rational_mul(Value a, Value b);
Value rational_div(Value a, Value b);                   /* b is not zero */
Value rational_compare(Value a, Value b, int *order);   /* V_TRUE or a signal */
enum rounding { ROUND_FLOOR, ROUND_CEILING, ROUND_TRUNCATE, ROUND_EVEN };
Value rational_round(Value v, enum rounding how);
Value rational_simplest(Value low, Value high);         /* the simplest rational in [low, high], 0 < low */

/* ---- flonum.c ---- */
void flonum_init(void);                                 /* makes the table of powers of ten */
double int_to_double(Value n);
Value rational_to_double(Value v, double *out);           /* V_TRUE or a signal */
double int_to_parts(Value n, int64_t *exponent);        /* n > 0 is about result * 2^exponent, result in [0.5, 1] */
Value int_from_double(double d);                        /* d is an integer */
Value rational_from_double(double d);                   /* d is finite */
Value compare_with_double(Value exact, double d, int *order);   /* exact real against a double */
/* digits * 10^exponent, where `inexact` says that the true digits may be a little more */
bool decimal_to_double(uint64_t digits, bool inexact, int64_t exponent, double *out);  /* false: too close to call */
void double_to_decimal(double d, uint64_t *digits, int *exponent);    /* d > 0, finite: shortest digits that read back */

/* ---- exp.c ---- */
void exp_init(void);
double flonum_exp(double x);

/* ---- number.c ---- */
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

void random_init(void);                                 /* random.c */
void numbers_init(void);                                /* at boot: tables, seed, pi, euler */
extern const PrimDef number_prims[], division_prims[], function_prims[], bitwise_prims[], random_prims[], numprint_prims[], numread_prims[], fixflo_prims[];
#endif
