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
/* An alias has there what keeps all aliases of the same use of a macro, so that a name put together from one of them
   (point-x from point) can be that of the same use: a T_VECTOR of these, for syntax-rules; the record that is an
   er-macro-transformer's rename; a table from identifier to alias. Other closures have their list of free names. */
enum { USE_RENAMES, USE_ALIASES, USE_MORE, USE_SLOTS };
#define SYNTAX_EXPR(v) (SLOTS(v)[2])
Value make_syntax(Value env, Value free, Value expr);
bool is_identifier(Value v);
Value closed_too_often(Value v);        /* V_FALSE, or the error: no closure can be put around it any more */
Value identifier_symbol(Value id);
Value strip_syntax(Value datum, bool drop_places, Value *out);  /* V_TRUE or V_AGAIN */
/* The same in pieces: *walk is where it is in between, V_FALSE at first and when it is done. */
Value strip_syntax_pausing(Value *walk, Value datum, bool drop_places, Value *out);
/* The same for an error's sake, which shows little of it: what is large stays as it is. */
Value strip_shown(Value datum, Value *out);
#endif
