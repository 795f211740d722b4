/* analyse.h — the compiler's first pass: see analyse.c. */
#ifndef RLM_COMPILER_ANALYSE_H
#define RLM_COMPILER_ANALYSE_H
#include "core/value.h"

void analyse_begin(Value tree);
void analyse_item(Value *item);     /* one piece of work, taken off the stack */
#endif
