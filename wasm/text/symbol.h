/* symbol.h — symbols and keywords, interned. */
#ifndef RLM_TEXT_SYMBOL_H
#define RLM_TEXT_SYMBOL_H
#include "core/prims.h"

Value intern(const char *name);                       /* UTF-8, NUL-terminated */
Value intern_string(Value string);                    /* copies the name if it is mutable */
Value intern_narrow(const uint8_t *name, uint32_t length);   /* of characters of one byte; no string is made where it is known */
Value keyword_string(Value string);                   /* the keyword of that name */

/* What a primitive leaves to a procedure of the prelude, with its own arguments: what is out of the ordinary. */
typedef struct { const char *name; Value cell; } InPrelude;
Value leave_to(InPrelude *procedure, int argc, Value *args);
#endif
