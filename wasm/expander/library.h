/* library.h — libraries and imports. */
#ifndef RLM_EXPANDER_LIBRARY_H
#define RLM_EXPANDER_LIBRARY_H
#include "expander/expand.h"

void library_init(void);
Value step_library(State *s, Value item);
Value step_import(State *s, Value item);
Value rewrite_cond_expand(State *s, Job j, Value *out);
Value rewrite_include(State *s, Job j, Value *out);
#endif
