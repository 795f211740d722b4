/* quasi.c — quasiquote.
 *
 * A list template becomes one call for each run of elements, so that `(a ,b c ,@d) costs
 * (%cons* 'a b 'c d): what has no unquote in it stays a constant, shared by every evaluation.
 */
#include "expander/quasi.h"
#include "core/worklist.h"
#include "expander/env.h"
#include "expander/forms.h"
#include "expander/nodes.h"
#include "expander/syntax.h"

enum { RUN_MOST = 60,          /* operands of one call */
       PART = 1 << 15 };       /* elements of a list that are gone through in one step */

static Value name_of(enum form_id id) { return MACRO(core_keyword(id))->name; }

/* Might there be an unquote in it? Any identifier of that name counts. Gives up on huge (or cyclic)
   templates with "no". */
enum { LOOK_AT_MOST = 1 << 20 };
typedef struct { Stack stack; Value at; int64_t seen; bool found, pausing; } Look;

static bool says_unquote(Value v) {
  if (!is_identifier(v)) return false;
  Value symbol = identifier_symbol(v);
  return symbol == name_of(F_UNQUOTE) || symbol == name_of(F_SPLICING) || symbol == name_of(F_QUASIQUOTE);
}
static bool has_parts(Value v) { return is_pair(v) || IS(v, T_VECTOR) || IS(v, T_SYNTAX); }

/* An element: told at once, or looked into later. False: memory is short. */
static bool look_later(Look *l, Value v) {
  if (says_unquote(v)) l->found = true;
  else if (has_parts(v)) {
    if (!stack_room_now(&l->stack, 1)) return false;
    push(&l->stack, v);
  }
  return true;
}

/* V_TRUE, or V_AGAIN where it is to go on later; V_FALSE: memory is short. */
static Value look(Look *l) {
  for (;;) {
    for (; is_pair(l->at) && ++l->seen < LOOK_AT_MOST && !l->found; l->at = CDR(l->at)) {
      if (l->seen % LONG_ROUND == 0 && l->pausing && (charge(LONG_ROUND / 8), should_pause())) return V_AGAIN;
      if (!look_later(l, CAR(l->at))) return V_FALSE;
    }
    l->seen++;
    if (says_unquote(l->at)) l->found = true;
    else if (IS(l->at, T_SYNTAX)) { l->at = SYNTAX_EXPR(l->at); continue; }
    else if (IS(l->at, T_VECTOR)) {
      Value vector = l->at;
      if (!stack_room_now(&l->stack, VEC_LENGTH(vector))) return V_FALSE;
      l->seen += VEC_LENGTH(vector);
      for (uint32_t i = 0; i < VEC_LENGTH(vector); i++) look_later(l, VEC(vector)[i]);
    }
    if (l->found || !l->stack.top || l->seen >= LOOK_AT_MOST) return V_TRUE;
    l->at = pop(&l->stack);
  }
}

static Value may_unquote(Value v, bool *found) {
  *found = says_unquote(v);
  if (*found || !has_parts(v)) return V_TRUE;
  Look l = {.at = v};
  stack_init(&l.stack);
  if (look(&l) != V_TRUE) return short_of_room();
  *found = l.found;
  charge(l.seen / 8);
  return V_TRUE;
}

/* The same of a step's own form, in pieces. */
enum { WALK_SLOTS, WALK_TOP, WALK_AT, WALK_SEEN, WALK_LENGTH };
static Value form_may_unquote(State *s, Value v, bool *found) {
  *found = says_unquote(v);
  if (*found || !has_parts(v)) return V_TRUE;
  Look l = {.at = v, .pausing = true};
  if (s->walk == V_FALSE) stack_init(&l.stack);
  else {
    Value *kept = VEC(s->walk);
    l.stack = (Stack){kept[WALK_SLOTS], (uint32_t)FIX_VALUE(kept[WALK_TOP])};
    l.at = kept[WALK_AT];
    l.seen = FIX_VALUE(kept[WALK_SEEN]);
  }
  Value outcome = look(&l);
  if (outcome == V_TRUE) {
    *found = l.found;
    s->walk = V_FALSE;
    charge(l.seen % LONG_ROUND / 8);
    return V_TRUE;
  }
  s->walk = make_vector(WALK_LENGTH, V_FALSE);
  Value *kept = VEC(s->walk);
  kept[WALK_SLOTS] = l.stack.slots;
  kept[WALK_TOP] = FIX(l.stack.top);
  kept[WALK_AT] = l.at;
  kept[WALK_SEEN] = FIX(l.seen);
  return outcome == V_FALSE ? short_of_room() : V_AGAIN;
}

static Value quoted(Job j, Value datum, Hole hole) {
  TRY_STEP(strip_syntax(datum, ENV_KIND(env_top(j.env)) != ENV_REPL, &datum));
  fill(hole, node_const(datum));
  return V_TRUE;
}

static Value quasi_later(State *s, Job j, Value template, int64_t level, Hole hole) {
  j.form = template;
  j.hole = hole;
  if (pair_place(template)) j.place = pair_place(template);
  push_item(s, DO_QUASI, j, FIX(level), V_FALSE, V_FALSE);
  return V_TRUE;
}

static Value unquoted(State *s, Job j, Value expr, Hole hole) {
  j.form = expr;
  j.hole = hole;
  j.name = V_FALSE;
  return expand_later(s, j);
}

/* (keyword x) */
static bool is_form(Job j, Value v, enum form_id id) {
  return is_pair(v) && is_identifier(CAR(v)) && identifier_symbol(CAR(v)) == name_of(id) && is_pair(CDR(v)) &&
         CDDR(v) == V_NIL && is_core(j.env, CAR(v), id);
}
static bool is_unquote(Job j, Value v) { return is_form(j, v, F_UNQUOTE); }
static bool is_splicing(Job j, Value v) { return is_form(j, v, F_SPLICING); }
static bool is_nested(Job j, Value v) { return is_form(j, v, F_QUASIQUOTE); }

/* The run of elements so far as a call, whose last operand is the hole for what follows. */
typedef struct { Value head, last; int count; } Run;

static void run_add(Run *r, Value pair) {
  if (r->count++ == 0) r->head = pair; else CDR(r->last) = pair;
  r->last = pair;
}

/* A long template is (append (list a ...) rest): its parts do not wait on the stack. */
static Hole run_part(Run *r, Job j, Hole hole) {
  Value list = make_node(N_CALL, j.place, 2, node_core(C_LIST, j.place), r->head), operands = list_n(2, list, V_FALSE);
  fill(hole, make_node(N_CALL, j.place, 2, node_core(C_APPEND, j.place), operands));
  r->count = 0;
  return CAR_OF(CDR(operands));
}

static Hole run_flush(Run *r, Job j, Hole hole) {
  if (r->count == 0) return hole;
  Value rest = cons(V_FALSE, V_NIL);
  CDR(r->last) = rest;
  fill(hole, make_node(N_CALL, j.place, 2, node_core(C_CONS_STAR, j.place), r->head));
  r->count = 0;
  return CAR_OF(rest);
}

/* How many of the list's pairs come up to the last one that has an unquote in it; of a long list, as if there were
   one behind its first part: what follows is a template of its own. */
static Value dynamic_part(Job j, Value list, int64_t *count) {
  int64_t i = 0;
  *count = 0;
  for (; is_pair(list); list = CDR(list)) {
    bool found;
    TRY_STEP(may_unquote(CAR(list), &found));
    i++;
    if (found) *count = i;
    if (i > 1 && (is_unquote(j, list) || is_nested(j, list))) { *count = i; return V_TRUE; }
    if (i == PART && is_pair(CDR(list))) { *count = i + 1; return V_TRUE; }
  }
  bool found;
  TRY_STEP(may_unquote(list, &found));
  if (found) *count = i + 1;
  return V_TRUE;
}

static Value quasi_element(State *s, Job j, Value element, int64_t level, Run *run) {
  bool found;
  Value pair = cons(V_FALSE, V_NIL);
  run_add(run, pair);
  TRY_STEP(may_unquote(element, &found));
  return found ? quasi_later(s, j, element, level, CAR_OF(pair)) : quoted(j, element, CAR_OF(pair));
}

static Value quasi_list(State *s, Job j, Value list, int64_t level) {
  Run run = {.count = 0};
  Hole hole = j.hole;
  int64_t count, i = 0;
  TRY_STEP(dynamic_part(j, list, &count));
  for (; is_pair(list) && i < count; list = CDR(list), i++) {
    if (i == PART || (i > 0 && (is_unquote(j, list) || is_nested(j, list)))) break;    /* (a . ,b) */
    Value element = CAR(list);
    if (level == 0 && is_splicing(j, element)) {
      hole = run_flush(&run, j, hole);
      if (CDR(list) == V_NIL) return unquoted(s, j, CADR(element), hole);
      Value operands = list_n(2, V_FALSE, V_FALSE);
      fill(hole, make_node(N_CALL, j.place, 2, node_core(C_APPEND, j.place), operands));
      TRY_STEP(unquoted(s, j, CADR(element), CAR_OF(operands)));
      hole = CAR_OF(CDR(operands));
      continue;
    }
    if (run.count == RUN_MOST) hole = run_part(&run, j, hole);
    TRY_STEP(quasi_element(s, j, element, level, &run));
  }
  hole = run_flush(&run, j, hole);
  return i < count ? quasi_later(s, j, list, level, hole) : quoted(j, list, hole);
}

/* (keyword . rest), the rest at another level */
static Value quasi_keyword(State *s, Job j, int64_t level) {
  Value operands = list_n(2, V_FALSE, V_FALSE);
  fill(j.hole, make_node(N_CALL, j.place, 2, node_core(C_CONS, j.place), operands));
  TRY_STEP(quoted(j, CAR(j.form), CAR_OF(operands)));
  return quasi_later(s, j, CDR(j.form), level, CAR_OF(CDR(operands)));
}

static Value vector_to_list(Value vector, Value *list) {
  *list = V_NIL;
  if (!room((uint64_t)VEC_LENGTH(vector) * 512)) return short_of_room();
  for (uint32_t i = VEC_LENGTH(vector); i > 0; i--) *list = cons(VEC(vector)[i - 1], *list);
  return V_TRUE;
}

static Value quasi_vector(State *s, Job j, int64_t level) {
  Value list, operands = list_n(1, V_FALSE);
  TRY_STEP(vector_to_list(j.form, &list));
  fill(j.hole, make_node(N_CALL, j.place, 2, node_core(C_LIST_TO_VECTOR, j.place), operands));
  return quasi_later(s, j, list, level, CAR_OF(operands));
}

Value step_quasi(State *s, Value item) {
  Job j = item_job(item);
  int64_t level = FIX_VALUE(ITEM(item)->a);
  bool found;
  if (IS(j.form, T_SYNTAX) && !is_identifier(j.form)) {
    ITEM(item)->env = enter_closure(j.form, j.env);
    ITEM(item)->form = SYNTAX_EXPR(j.form);
    return V_VOID;
  }
  TRY_STEP(form_may_unquote(s, j.form, &found));
  if (!found && is_pair(j.form)) {               /* (quote form), as a step of its own */
    j.form = cons(core_keyword(F_QUOTE), cons(j.form, V_NIL));
    push_item(s, DO_EXPR, j, V_FALSE, V_FALSE, V_FALSE);
    return V_TRUE;
  }
  if (!found) return quoted(j, j.form, j.hole);
  if (IS(j.form, T_VECTOR)) return quasi_vector(s, j, level);
  if (!is_pair(j.form)) return quoted(j, j.form, j.hole);
  if (is_unquote(j, j.form)) return level == 0 ? unquoted(s, j, CADR(j.form), j.hole) : quasi_keyword(s, j, level - 1);
  if (is_splicing(j, j.form)) {
    if (level == 0) return syntax_fail(j, "unquote-splicing: ,@ must be inside of a list or vector template, got %v", j.form);
    return quasi_keyword(s, j, level - 1);
  }
  if (is_nested(j, j.form)) return quasi_keyword(s, j, level + 1);
  return quasi_list(s, j, j.form, level);
}
