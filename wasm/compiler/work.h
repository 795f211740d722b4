/* work.h — what the two passes of the compiler share: the stack of things still to do, and what they
 * note about variables and lambdas. */
#ifndef RLM_COMPILER_WORK_H
#define RLM_COMPILER_WORK_H
#include <string.h>
#include "compiler/ast.h"
#include "core/heap.h"

/* ---- the stack of things to do ---- */
#define ITEM 6
extern Value work;             /* a vector: ITEM slots an item; both are defined in generate.c */
extern uint32_t work_top;      /* items */

static inline void work_begin(void) {
  work = make_vector(6 * ITEM, V_FALSE);
  work_top = 0;
}
static inline uint32_t push_item(int action, Value a, Value b, Value c, Value d, Value e) {
  if ((work_top + 1) * ITEM > VEC_LENGTH(work)) {
    Value bigger = make_vector(VEC_LENGTH(work) * 2, V_FALSE);
    memcpy(VEC(bigger), VEC(work), work_top * ITEM * sizeof(Value));
    work = bigger;
  }
  Value *item = VEC(work) + work_top * ITEM;
  item[0] = FIX(action); item[1] = a; item[2] = b; item[3] = c; item[4] = d; item[5] = e;
  return work_top++;
}
#define ITEM_SLOT(index, slot) (VEC(work)[(index) * ITEM + (slot)])

static inline uint32_t list_count(Value list) {
  uint32_t n = 0;
  for (; is_pair(list); list = CDR(list)) n++;
  return n;
}

/* Push an item for each element so that the first is done first. */
static inline void push_reversed(int action, Value list, Value b, Value last_b) {
  uint32_t n = list_count(list), first = work_top;
  for (uint32_t i = 0; i < n; i++) push_item(action, V_FALSE, b, V_FALSE, V_FALSE, V_FALSE);
  for (uint32_t i = n; i-- > 0; list = CDR(list)) ITEM_SLOT(first + i, 1) = CAR(list);
  if (n) ITEM_SLOT(first, 2) = last_b;
}

/* ---- variables ---- */
enum var_flags { VAR_ASSIGNED = 1, VAR_NOT_LOOP = 2, VAR_EARLY = 4, VAR_LOOP = 8, VAR_JOIN = 16 };   /* VAR_JOIN: with VAR_LOOP, where it is one */
#define VAR_FLAGS(v) FIX_VALUE(ENVVAR(v)->flags)
#define VAR_ADD(v, f) (ENVVAR(v)->flags = FIX(VAR_FLAGS(v) | (f)))
#define BOXED(v) ((VAR_FLAGS(v) & (VAR_ASSIGNED | VAR_EARLY)) != 0)

/* N_LAMBDA's slots */
#define L_NAME 0
#define L_REQUIRED 1
#define L_OPTIONAL 2
#define L_REST 3
#define L_VARS 4
#define L_BODY 5
#define L_FREE 6     /* after its code is made: the vector of captured variables */

static inline bool simple_lambda(Value node) {
  return NODE_KIND(node) == N_LAMBDA && NODE(node, L_OPTIONAL) == FIX(0) && !TRUTH(NODE(node, L_REST));
}
static inline bool lambda_takes(Value node, uint32_t count) {
  return simple_lambda(node) && NODE(node, L_REQUIRED) == FIX(count);
}

/* A named let whose one variable is called by the letrec's body: a loop, if its other uses allow. */
static inline bool loop_candidate(Value node) {
  if (list_count(NODE(node, 0)) != 1) return false;
  Value var = CAR(NODE(node, 0)), lambda = CAR(NODE(node, 1)), body = NODE(node, 2);
  return simple_lambda(lambda) && NODE_KIND(body) == N_CALL && NODE_KIND(NODE(body, 0)) == N_LREF &&
         NODE(NODE(body, 0), 0) == var && list_count(NODE(body, 1)) < 200 &&
         lambda_takes(lambda, list_count(NODE(body, 1)));
}

/* A let of one procedure, as `match` makes them of what is to be done where a clause fails: a place that its calls jump to, if all of
   them are in the let's tail position. */
static inline bool join_candidate(Value node) {
  if (!is_pair(NODE(node, 0)) || CDR(NODE(node, 0)) != V_NIL) return false;
  Value lambda = CAR(NODE(node, 1));
  return lambda_takes(lambda, 0) || lambda_takes(lambda, 1);
}
#endif
