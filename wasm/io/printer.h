/* printer.h — how values are shown. */
#ifndef RLM_IO_PRINTER_H
#define RLM_IO_PRINTER_H
#include "text/string.h"

/* A bounded rendering for error messages: at most `most` characters then "...", never resumes,
   never charges more than `most`, safe on cycles. */
void print_bounded(Builder *out, Value v, bool write, uint32_t most);

/* What `display` shows of a number, a narrow text, a symbol, or a list of them, where it is short: a string; else #f. */
Value printed_briefly(Value v);
#endif
