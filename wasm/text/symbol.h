/* symbol.h — symbols and keywords, interned. */
#ifndef RLM_TEXT_SYMBOL_H
#define RLM_TEXT_SYMBOL_H
#include "core/value.h"

Value intern(const char *name);                       /* UTF-8, NUL-terminated */
Value intern_string(Value string);                    /* copies the name if it is mutable */
Value keyword_string(Value string);                   /* the keyword of that name */
#endif
