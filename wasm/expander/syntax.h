/* syntax.h — identifiers and syntactic closures.
 *
 * An identifier is a symbol, or an alias: a T_SYNTAX object that says "this symbol, as it is meant in
 * that environment".
 */
#ifndef RLM_EXPANDER_SYNTAX_H
#define RLM_EXPANDER_SYNTAX_H
#include "core/value.h"

#define SYNTAX_ENV(v) (SLOTS(v)[0])
#define SYNTAX_FREE(v) (SLOTS(v)[1])
#define SYNTAX_EXPR(v) (SLOTS(v)[2])
Value make_syntax(Value env, Value free, Value expr);
bool is_identifier(Value v);
Value identifier_symbol(Value id);
Value strip_syntax(Value datum, bool drop_places, Value *out);  /* V_TRUE or V_AGAIN */
#endif
