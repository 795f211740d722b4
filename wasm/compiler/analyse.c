/* analyse.c — the first pass over a tree: which variables are assigned or used too early (they live in
 * boxes), and which named lets are plain loops, which procedures places to jump to. */
#include "compiler/analyse.h"
#include "compiler/work.h"

/* ---- analysis ----
 * An item's context is the list of variables of loops and joins in whose tail position the expression stands. */
enum analysis { AN_NODE, AN_INDEX, AN_LETREC_END, AN_JOIN_END };
#define LATER FIX(1 << 30)

/* A use of a letrec variable while an initialisation at or before its own runs is "early". */
static void note_use(Value var) {
  Value record = ENVVAR(var)->data1;
  if (IS(record, T_BOX) && FIX_VALUE(SLOTS(record)[0]) < FIX_VALUE(ENVVAR(var)->data2)) VAR_ADD(var, VAR_EARLY);
}

/* A call of a variable in a tail position: fine for a loop; loops in between must be loops too. */
static void note_call(Value var, uint32_t argc, Value context) {
  note_use(var);
  Value at = context;
  while (is_pair(at) && CAR(at) != var) at = CDR(at);
  if (!is_pair(at) || !lambda_takes(ENVVAR(var)->slot, argc)) { VAR_ADD(var, VAR_NOT_LOOP); return; }
  for (Value inner = context; inner != at; inner = CDR(inner))
    ENVVAR(CAR(inner))->owner = cons(var, ENVVAR(CAR(inner))->owner);
}

static void analyse_letrec(Value node, Value context) {
  Value vars = NODE(node, 0), inits = NODE(node, 1);
  Value record = make_box(FIX(0));
  bool loop = loop_candidate(node);
  int64_t index = 0, run = 0;
  for (Value v = vars, i = inits; is_pair(v); v = CDR(v), i = CDR(i), index++) {
    struct EnvVar *var = ENVVAR(CAR(v));
    bool lambda = NODE_KIND(CAR(i)) == N_LAMBDA;
    if (!lambda) run = index + 1;
    var->data1 = record;
    var->data2 = FIX(lambda ? run : index + 1);
    var->slot = CAR(i);
    var->owner = V_NIL;
    if (!loop) VAR_ADD(CAR(v), VAR_NOT_LOOP);
  }
  push_item(AN_LETREC_END, node, V_FALSE, V_FALSE, V_FALSE, V_FALSE);
  if (loop) {
    Value operands = NODE(NODE(node, 2), 1);
    push_item(AN_NODE, NODE(CAR(inits), L_BODY), cons(CAR(vars), context), V_FALSE, V_FALSE, V_FALSE);
    push_reversed(AN_NODE, operands, V_NIL, V_NIL);
    push_item(AN_INDEX, record, LATER, V_FALSE, V_FALSE, V_FALSE);
    return;
  }
  push_item(AN_NODE, NODE(node, 2), context, V_FALSE, V_FALSE, V_FALSE);
  push_item(AN_INDEX, record, LATER, V_FALSE, V_FALSE, V_FALSE);
  uint32_t n = list_count(inits), first = work_top;
  for (uint32_t i = 0; i < 2 * n; i++) push_item(AN_NODE, V_FALSE, V_NIL, V_FALSE, V_FALSE, V_FALSE);
  Value init = inits;
  for (uint32_t i = 0; i < n; i++, init = CDR(init)) {
    uint32_t at = first + 2 * (n - 1 - i);
    ITEM_SLOT(at, 1) = CAR(init);
    ITEM_SLOT(at + 1, 0) = FIX(AN_INDEX);
    ITEM_SLOT(at + 1, 1) = record;
    ITEM_SLOT(at + 1, 2) = FIX(i);
  }
}

#define VISIT(n, c) push_item(AN_NODE, n, c, V_FALSE, V_FALSE, V_FALSE)

/* The procedure's body stands in the let's tail position, if it is a join: what is called from there hangs on that. */
static void analyse_join(Value var, Value lambda, Value body, Value context) {
  Value inside = cons(var, context);
  ENVVAR(var)->slot = lambda;
  ENVVAR(var)->owner = V_NIL;
  VAR_ADD(var, VAR_JOIN);
  push_item(AN_JOIN_END, var, V_FALSE, V_FALSE, V_FALSE, V_FALSE);
  VISIT(body, inside);
  VISIT(NODE(lambda, L_BODY), inside);
}

static void analyse_node(Value node, Value context) {
  switch (NODE_KIND(node)) {
    case N_CONST: case N_GREF: break;
    case N_LREF: VAR_ADD(NODE(node, 0), VAR_NOT_LOOP); note_use(NODE(node, 0)); break;
    case N_LSET:
      VAR_ADD(NODE(node, 0), VAR_NOT_LOOP | VAR_ASSIGNED);
      note_use(NODE(node, 0));
      VISIT(NODE(node, 1), V_NIL);
      break;
    case N_GSET: case N_GDEF: VISIT(NODE(node, 1), V_NIL); break;
    case N_IF:
      VISIT(NODE(node, 2), context);
      VISIT(NODE(node, 1), context);
      VISIT(NODE(node, 0), V_NIL);
      break;
    case N_SEQ: case N_AND: case N_OR: push_reversed(AN_NODE, NODE(node, 0), V_NIL, context); break;
    case N_LAMBDA: VISIT(NODE(node, L_BODY), V_NIL); break;
    case N_CASE: push_reversed(AN_NODE, NODE(node, 1), V_NIL, V_NIL); break;
    case N_CALL: {
      Value operator = NODE(node, 0);
      uint32_t argc = list_count(NODE(node, 1));
      if (NODE_KIND(operator) == N_LREF) note_call(NODE(operator, 0), argc, context);
      else if (lambda_takes(operator, argc)) VISIT(NODE(operator, L_BODY), context);
      else VISIT(operator, V_NIL);
      push_reversed(AN_NODE, NODE(node, 1), V_NIL, V_NIL);
      break;
    }
    case N_LET:
      if (join_candidate(node)) { analyse_join(CAR(NODE(node, 0)), CAR(NODE(node, 1)), NODE(node, 2), context); break; }
      VISIT(NODE(node, 2), context);
      push_reversed(AN_NODE, NODE(node, 1), V_NIL, V_NIL);
      break;
    case N_LETREC: analyse_letrec(node, context); break;
  }
}

/* All uses of it have been seen: is it a loop, or a join? */
static void decide(Value var) {
  if (VAR_FLAGS(var) & (VAR_NOT_LOOP | VAR_ASSIGNED)) {
    for (Value outer = ENVVAR(var)->owner; is_pair(outer); outer = CDR(outer)) VAR_ADD(CAR(outer), VAR_NOT_LOOP);
  } else {
    VAR_ADD(var, VAR_LOOP);
  }
}

void analyse_item(Value *item) {
  switch ((enum analysis)FIX_VALUE(item[0])) {
    case AN_NODE: analyse_node(item[1], item[2]); break;
    case AN_INDEX: SLOTS(item[1])[0] = item[2]; break;
    case AN_LETREC_END: if (loop_candidate(item[1])) decide(CAR(NODE(item[1], 0))); break;
    case AN_JOIN_END: decide(item[1]); break;
  }
}

void analyse_begin(Value tree) {
  push_item(AN_NODE, tree, V_NIL, V_FALSE, V_FALSE, V_FALSE);
}
