/* numread.h — numbers from text. */
#ifndef RLM_NUMBERS_NUMREAD_H
#define RLM_NUMBERS_NUMREAD_H
#include "core/value.h"

Value num_parse(const uint32_t *chars, uint32_t count, int radix); /* V_FALSE where it is no number */
#endif
