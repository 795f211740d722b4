/* ratio.h — exact rationals, integers among them. */
#ifndef RLM_NUMBERS_RATIO_H
#define RLM_NUMBERS_RATIO_H
#include "core/value.h"

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
#endif
