/* flonum.h — doubles: to and from exact numbers and decimal digits, correctly rounded. */
#ifndef RLM_NUMBERS_FLONUM_H
#define RLM_NUMBERS_FLONUM_H
#include "core/value.h"

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
#endif
