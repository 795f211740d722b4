/* numprint.h — numbers as text. */
#ifndef RLM_NUMBERS_NUMPRINT_H
#define RLM_NUMBERS_NUMPRINT_H
#include "core/value.h"

Value num_to_string(Value n, int radix);                  /* as `display` shows it (1e21, 1e-7, +inf.0); charged */
Value num_to_string_pausing(Value n, int radix, Value *progress);   /* *progress: as num_parse_pausing has it */
#endif
