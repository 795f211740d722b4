/* quasi.h — quasiquote. */
#ifndef RLM_EXPANDER_QUASI_H
#define RLM_EXPANDER_QUASI_H
#include "expander/expand.h"

Value step_quasi(State *s, Value item);
#endif
