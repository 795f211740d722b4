/* ast.h — what the expander hands to the compiler.
 *
 * A node is a T_VECTOR whose slot 0 is a fixnum of enum node and slot 1 the place (fixnum, 0
 * unknown) of the form that it came from. Lists are Scheme lists. A lexical variable is one
 * T_ENVVAR object, shared by its binding node and every reference, so no node mentions names.
 *
 *   N_CONST  value
 *   N_LREF   var                     N_LSET  var expr
 *   N_GREF   cell                    N_GSET  cell expr          N_GDEF  cell expr
 *   N_IF     test then else          (else is always present: (N_CONST void) where left out)
 *   N_SEQ    exprs                   list, at least one
 *   N_LAMBDA name required optional rest body
 *                                    name: symbol or #f; required: fixnum count; optional: fixnum
 *                                    count (a parameter that is not given holds V_DEFAULT: the
 *                                    expander puts the default expressions into the body); rest:
 *                                    boolean; then the variables, one list: required, optional, rest
 *            (so slots: 2 name, 3 required, 4 optional, 5 rest?, 6 vars, 7 body, 8 flags fixnum)
 *   N_CASE   name lambdas            case-lambda: list of N_LAMBDA nodes
 *   N_CALL   operator operands
 *   N_LET    vars inits body         inits are evaluated left to right, outside the scope
 *   N_LETREC vars inits body         letrec*: in order, inside the scope. Internal defines and
 *                                    named let too. A reference before initialisation is an error
 *   N_AND    exprs                   N_OR exprs (at least two each)
 */
#ifndef RLM_COMPILER_AST_H
#define RLM_COMPILER_AST_H
#include "core/value.h"

enum node { N_CONST, N_LREF, N_LSET, N_GREF, N_GSET, N_GDEF, N_IF, N_SEQ, N_LAMBDA, N_CASE,
            N_CALL, N_LET, N_LETREC, N_AND, N_OR };

/* A lexical variable. The expander fills the name; the rest belongs to the compiler. */
struct EnvVar {
  uint64_t header;   /* T_ENVVAR, 6 slots */
  Value name;        /* symbol: the name in the program's text, for messages */
  Value flags;       /* fixnum, the compiler's: assigned, captured, ... */
  Value owner;       /* the compiler's */
  Value slot;        /* the compiler's */
  Value data1, data2;/* the compiler's */
};
#define ENVVAR(v) ((struct EnvVar *)PTR(v))
Value make_envvar(Value name);

Value make_leaf(enum node kind, uint32_t place, Value part);  /* the most frequent ones: of one part */
Value make_node(enum node kind, uint32_t place, int count, ...);   /* count Values after the place */
#define NODE_KIND(n) ((enum node)FIX_VALUE(VEC(n)[0]))
#define NODE_PLACE(n) ((uint32_t)FIX_VALUE(VEC(n)[1]))
#define NODE(n, i) (VEC(n)[2 + (i)])
#endif
