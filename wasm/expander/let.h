/* let.h — binding forms. */
#ifndef RLM_EXPANDER_LET_H
#define RLM_EXPANDER_LET_H
#include "expander/expand.h"

Value check_bindings(Job j, Value bindings);             /* ((name expression) ...) */
Value let_body(State *s, Job j, Value env, Value body, Hole hole);
Value form_let(State *s, Job j);
Value form_let_star(State *s, Job j);
Value form_letrec(State *s, Job j);
Value form_let_values(State *s, Job j);
Value form_let_star_values(State *s, Job j);
Value form_do(State *s, Job j);
Value rewrite_receive(State *s, Job j, Value *out);
#endif
