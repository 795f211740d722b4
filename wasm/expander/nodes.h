/* nodes.h — what the core forms are made of: nodes of the tree, and the errors that show a form. */
#ifndef RLM_EXPANDER_NODES_H
#define RLM_EXPANDER_NODES_H
#include "text/string.h"
#include "expander/expand.h"

void nodes_init(void);
Value node_const(Value v);

enum core_name { C_EQ, C_EQUAL, C_CONS, C_LIST, C_CONS_STAR, C_APPEND, C_LIST_TO_VECTOR, C_VECTOR_REF, C_VALUES_REF, C_VALUES_REST,
                 C_KEYWORD_ARGUMENTS, C_CASE_MEMBER, C_CASE_MISSED, C_MAKE_TRANSFORMER, CORE_NAMES };
Value node_core(enum core_name name, uint32_t place);    /* a reference to the core environment's procedure */
Value node_call(uint32_t place, enum core_name procedure, int count, ...);
Value node_if(uint32_t place, Value test, Value then, Value otherwise);
Value node_let1(uint32_t place, Value var, Value init, Value body);
Value node_local(Value var);

/* Errors: exn:fail:syntax with the form and its place. */
Value bad_shape(Job j);                                  /* "if: expected (if test then [else]), got (if)" */
Value syntax_fail(Job j, const char *format, ...);       /* %v: a datum, stripped and cut; %s: C string; %d: int */

enum { VARIABLES_MOST = 12000 };                         /* that one form binds: the compiler has no place for more on the stack */
Value check_variables(Job j, int64_t count);             /* V_TRUE, or the error that they are too many */

Value refuse_redefinition(Job j, Value id);               /* a protected binding */
void put_datum(Builder *b, Value v);                      /* stripped, cut */
#endif
