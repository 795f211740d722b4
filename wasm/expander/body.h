/* body.h — bodies and top-level forms. */
#ifndef RLM_EXPANDER_BODY_H
#define RLM_EXPANDER_BODY_H
#include "expander/expand.h"

Value step_body(State *s, Value item);
Value step_top(State *s, Value item);
Value step_macro(State *s, Value item);
Value macro_later(State *s, Job j, Value frame_or_top, Value id);   /* j.form: the transformer expression */
#endif
