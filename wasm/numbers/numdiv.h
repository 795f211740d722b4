/* numdiv.h — integer division. */
#ifndef RLM_NUMBERS_NUMDIV_H
#define RLM_NUMBERS_NUMDIV_H
#include "core/value.h"

Value num_quotient(Value a, Value b);
Value num_remainder(Value a, Value b);
Value num_modulo(Value a, Value b);
#endif
