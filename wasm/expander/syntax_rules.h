/* syntax_rules.h — syntax-rules. */
#ifndef RLM_EXPANDER_SYNTAX_RULES_H
#define RLM_EXPANDER_SYNTAX_RULES_H
#include "expander/expand.h"

Value compile_rules(Job j, Value form, Value *macro);    /* a (syntax-rules ...) form */
Value apply_rules(State *s, Value macro, Job j, Value *out);
#endif
