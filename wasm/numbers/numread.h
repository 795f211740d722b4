/* numread.h — numbers from text. */
#ifndef RLM_NUMBERS_NUMREAD_H
#define RLM_NUMBERS_NUMREAD_H
#include "core/value.h"

/* The usual number: a few decimal digits, perhaps with a minus before them. V_FALSE where it is another text. */
Value num_parse_short(const uint8_t *chars, uint32_t count);
Value num_parse(const uint32_t *chars, uint32_t count, int radix); /* V_FALSE where it is no number */
/* The same for a number of any length, in characters of so many bytes. *progress is V_FALSE at first; after V_AGAIN the
   caller keeps it, and gives it again with the same characters. */
Value num_parse_pausing(const void *chars, uint32_t width, uint32_t count, int radix, Value *progress);
#endif
