/* reader.h — the reader, a datum at a time. */
#ifndef RLM_IO_READER_H
#define RLM_IO_READER_H
#include "core/value.h"

Value reader_of_program(Value text, Value source);       /* a reader; its data have places, and literals are immutable */
Value reader_of_library(Value text, Value source);       /* the same without places: nobody is shown those of the prelude, and
                                                            an image that has none is the same when a comment changes */
uint32_t reader_place(Value reader);                     /* of the token that ended the last datum: of a symbol, its own */
Value reader_next(Value reader);                         /* a datum, V_EOF, or a signal; V_AGAIN: ask again */
#endif
