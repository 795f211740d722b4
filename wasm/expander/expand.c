/* expand.c — the machine: items, expressions, calls, macro uses.
 *
 * %expand-run steps the item on top of the stack until none is left. A step pops its item, fills
 * the hole that the item names with a node, and pushes items for the holes of that node. Memory is
 * reserved before a step changes anything; where it turns out too short in the middle, the step is
 * abandoned and starts again after a collection.
 */
#include "expander/expand.h"
#include "core/check.h"
#include "core/globals.h"
#include "expander/body.h"
#include "expander/env.h"
#include "expander/forms.h"
#include "expander/library.h"
#include "expander/nodes.h"
#include "expander/quasi.h"
#include "expander/syntax.h"
#include "expander/syntax_rules.h"
#include "text/symbol.h"
#include <stdarg.h>

/* Items pushed by the running step, in order; they go on the stack when it succeeds. */
static Value fresh_first, fresh_last;

void fill(Hole hole, Value node) {
  if (is_pair(hole.obj)) CAR(hole.obj) = node;
  else {
    CHECK(IS(hole.obj, T_VECTOR) && hole.index < VEC_LENGTH(hole.obj));
    VEC(hole.obj)[hole.index] = node;
  }
}

/* ---- memory within a step ---- */
enum { ROOM_PIECE = 64 << 10, STEP_BYTES = 8 << 10, BYTES_A_PAIR = 256, LENGTH_MOST = 4096 };
static int64_t room_left;
static uint64_t room_used;

bool room(uint64_t bytes) {
  room_left -= (int64_t)bytes;
  room_used += bytes;
  if (room_left >= 0) return true;
  if (!heap_reserve(bytes + ROOM_PIECE)) return false;
  room_left = ROOM_PIECE;
  return true;
}

/* The step starts again with all that it used this time, and half as much more, reserved. */
Value short_of_room(void) { return need_memory(room_used + room_used / 2 + 2 * ROOM_PIECE); }

/* ---- items ---- */
Value push_item(State *s, enum item_kind kind, Job j, Value a, Value b, Value c) {
  (void)s;
  Value item = heap_object(T_VECTOR, 0, ITEM_SLOTS);
  struct Item *i = ITEM(item);
  i->kind = FIX(kind);
  i->form = j.form;
  i->env = j.env;
  i->obj = j.hole.obj;
  i->index = FIX(j.hole.index);
  i->place = FIX(j.place);
  i->name = j.name;
  i->a = a;
  i->b = b;
  i->c = c;
  i->next = V_NIL;
  if (fresh_first == V_NIL) fresh_first = item;
  else ITEM(fresh_last)->next = item;
  fresh_last = item;
  return item;
}

Job item_job(Value item) {
  struct Item *i = ITEM(item);
  return (Job){.form = i->form, .env = i->env, .hole = {i->obj, (uint32_t)FIX_VALUE(i->index)},
               .place = (uint32_t)FIX_VALUE(i->place), .name = i->name};
}

/* ---- syntax parameters ---- */
Value adjusted(Value env, Value binding) {
  if (!IS(binding, T_MACRO) || !(OBJ_FLAGS(binding) & H_PARAMETERIZED)) return binding;
  uint32_t frames = 0;
  for (; !IS_TOP(env); env = ENV(env)->parent) {
    if (++frames % 16 == 0) charge(1);
    Value other = ENV_KIND(env) == ENV_FRAME ? frame_find(env, binding) : V_FALSE;
    if (other != V_FALSE) return other;
  }
  return binding;
}

/* ---- identifiers as expressions ---- */
static Value keyword_as_variable(Job j) {
  return syntax_fail(j, "%v: this is a keyword of the syntax, not a variable; it must stand first in a form",
                     identifier_symbol(j.form));
}

static Value reference(State *s, Job j) {
  Value top, symbol, binding = adjusted(j.env, env_lookup_place(j.env, j.form, &top, &symbol));
  if (binding == V_FALSE) binding = env_own_cell(top, symbol);
  if (IS(binding, T_CELL)) fill(j.hole, make_leaf(N_GREF, j.place, binding));
  else if (IS(binding, T_ENVVAR)) fill(j.hole, make_leaf(N_LREF, j.place, binding));
  else if (IS(binding, T_MACRO) && stands_alone(binding)) push_item(s, DO_EXPR, j, V_FALSE, V_FALSE, V_FALSE);
  else if (IS(binding, T_MACRO)) return keyword_as_variable(j);
  else return syntax_fail(j, "%v: a local variable of the run time cannot be used in a macro transformer",
                          identifier_symbol(j.form));
  return V_TRUE;
}

/* The macro that an identifier stands for where it is no head of a form: V_FALSE, none that takes that. */
static Value alone_macro(Job j) {
  if (!is_identifier(j.form)) return V_FALSE;
  Value binding = adjusted(j.env, env_lookup(j.env, j.form));
  return IS(binding, T_MACRO) && stands_alone(binding) ? binding : V_FALSE;
}

/* ---- constants ---- */
static Value constant(Job j) {
  Value datum = j.form;
  if (IS(datum, T_VECTOR)) TRY_STEP(strip_syntax(datum, ENV_KIND(env_top(j.env)) != ENV_REPL, &datum));
  fill(j.hole, make_leaf(N_CONST, j.place, datum));
  return V_TRUE;
}

Value expand_later(State *s, Job j) {
  if (is_pair(j.form) || (IS(j.form, T_SYNTAX) && !is_identifier(j.form)))
    push_item(s, DO_EXPR, j, V_FALSE, V_FALSE, V_FALSE);
  else if (IS(j.form, T_SYMBOL) || IS(j.form, T_SYNTAX))
    return reference(s, j);
  else if (j.form == V_NIL)
    return syntax_fail(j, "(): a call needs a procedure; the empty list is written '()");
  else
    return constant(j);
  return V_TRUE;
}

/* Some of a list's forms: their nodes come behind *last. */
static Value expand_piece(State *s, Value *forms, Job j, Value *last) {
  for (uint32_t n = 0; is_pair(*forms) && n < LIST_PIECE; *forms = CDR(*forms), n++) {
    Value pair = cons(V_FALSE, V_NIL);
    CDR(*last) = pair;
    *last = pair;
    uint32_t place = pair_place(*forms);      /* of the element, even of an atom */
    Job part = {.form = CAR(*forms), .env = j.env, .hole = CAR_OF(pair), .place = place ? place : j.place, .name = V_FALSE};
    TRY_STEP(expand_later(s, part));
  }
  return V_TRUE;
}

Value expand_list_after(State *s, Value forms, Job j, Value last) {
  j.form = forms;
  push_item(s, DO_LIST, j, last, V_FALSE, V_FALSE);
  return V_TRUE;
}

Value expand_sequence(State *s, enum node kind, Job j) {
  Value before = cons(V_FALSE, V_NIL), last = before, forms = j.form;
  Hole hole = j.hole;
  if (CDR(forms) == V_NIL) {
    if (pair_place(forms)) j.place = pair_place(forms);
    j.form = CAR(forms);
    return expand_later(s, j);
  }
  TRY_STEP(expand_piece(s, &forms, j, &last));
  fill(hole, make_node(kind, j.place, 1, CDR(before)));
  if (!is_pair(forms)) return V_TRUE;
  CDR(last) = cons(V_FALSE, V_NIL);
  j.form = forms;
  j.hole = CAR_OF(CDR(last));
  push_item(s, DO_LIST, j, V_FALSE, FIX(kind), V_FALSE);
  return V_TRUE;
}

/* The item's form is what is left of the list, `a` the last pair of the nodes; or `b` the kind of a sequence's node. */
static Value step_list(State *s, Value item) {
  if (ITEM(item)->b != V_FALSE) return expand_sequence(s, (enum node)FIX_VALUE(ITEM(item)->b), item_job(item));
  Value forms = ITEM(item)->form, last = ITEM(item)->a;
  TRY_STEP(expand_piece(s, &forms, item_job(item), &last));
  ITEM(item)->form = forms;
  ITEM(item)->a = last;
  return is_pair(forms) ? V_VOID : V_TRUE;
}

Value expand_list(State *s, Value forms, Job j, Value *nodes) {
  Value before = cons(V_FALSE, V_NIL), last = before;
  TRY_STEP(expand_piece(s, &forms, j, &last));
  *nodes = CDR(before);
  return is_pair(forms) ? expand_list_after(s, forms, j, last) : V_TRUE;
}

/* As many as apply takes. */
enum { OPERANDS_MOST = 229376 };
/* (name () ...) is mostly a form of another language: its name is missed before its () is looked at. */
static bool misses_name(Value form, Value env) {
  if (!is_identifier(CAR(form))) return false;
  bool has_nil = false;
  for (Value rest = CDR(form); is_pair(rest) && !has_nil; rest = CDR(rest)) has_nil = CAR(rest) == V_NIL;
  if (!has_nil) return false;
  Value binding = env_lookup(env, CAR(form));
  return binding == V_FALSE || (IS(binding, T_CELL) && CELL(binding)->value == V_UNBOUND);
}

static Value expand_call(State *s, Job j) {
  int64_t length = list_length(j.form);
  if (length < 0)
    return syntax_fail(j, "a call must be a proper list, got %v", j.form);
  if (length > OPERANDS_MOST + 1)
    return syntax_fail(j, "a call of too many arguments (the limit is %d); build the data in parts", (int)OPERANDS_MOST);
  charge(length / 16);
  if (misses_name(j.form, j.env))
    return syntax_fail(j, "unbound variable: %v; and its argument () is no expression: the empty list is written '()",
                       identifier_symbol(CAR(j.form)));
  Value node = make_node(N_CALL, j.place, 2, V_FALSE, V_NIL), operands;
  fill(j.hole, node);
  Job operator = {.form = CAR(j.form), .env = j.env, .hole = SLOT(node, 0), .place = j.place, .name = V_FALSE};
  TRY_STEP(expand_later(s, operator));
  TRY_STEP(expand_list(s, CDR(j.form), j, &operands));
  NODE(node, 1) = operands;
  return V_TRUE;
}

/* ---- macro uses ---- */
Value make_macro(enum macro_kind kind, Value env, Value data, Value name) {
  Value macro = heap_object(T_MACRO, 0, 4);
  *MACRO(macro) = (struct Macro){.header = MACRO(macro)->header, .kind = FIX(kind), .env = env, .data = data, .name = name};
  return macro;
}

/* An environment without any import knows how to import. */
static Value import_keyword(Value symbol) {
  static const char *const names[] = {"import", "define-library", "cond-expand", "begin", NULL};
  for (int i = 0; names[i]; i++) {
    Value keyword = core_named(names[i]);
    if (MACRO(keyword)->name == symbol) return keyword;
  }
  return V_FALSE;
}

Value head_macro(Value form, Value env) {
  if (!is_pair(form)) return V_FALSE;
  Value head = CAR(form);
  if (IS(head, T_MACRO)) return head;
  if (!is_identifier(head)) return V_FALSE;
  Value binding = adjusted(env, env_lookup(env, head));
  if (IS(binding, T_MACRO)) return binding;
  return binding == V_FALSE && IS_TOP(env) && ENV_KIND(env) == ENV_LIBRARY ? import_keyword(head) : V_FALSE;
}

bool is_core(Value env, Value id, int form) {
  if (!is_identifier(id)) return false;
  Value binding = env_lookup(env, id), keyword = core_keyword((enum form_id)form);
  if (binding != V_FALSE) return binding == keyword;
  return identifier_symbol(id) == MACRO(keyword)->name;
}

/* The driver's answer to a request, or the request itself. */
Value ask(State *s, Value *answer, int count, ...) {
  if (s->given != V_UNBOUND) {
    *answer = s->given;
    s->given = V_UNBOUND;
    return V_TRUE;
  }
  s->stamp = V_FALSE;
  Value request = heap_object(T_VECTOR, 0, (uint32_t)count);
  va_list parts;
  va_start(parts, count);
  for (int i = 0; i < count; i++) VEC(request)[i] = va_arg(parts, Value);
  va_end(parts);
  return request;
}

/* ---- the procedures that an er-macro-transformer gets ----
 * Records that can be applied: (rename symbol), (compare id1 id2). */
static Value rename_type, compare_type;

static Value make_applicable(const char *name, const char *primitive) {
  Value rtd = heap_object(T_RTD, 0, 9);
  for (int i = 0; i < 9; i++) SLOTS(rtd)[i] = V_FALSE;
  struct Rtd *r = RTD(rtd);
  r->name = intern(name);
  r->fields = make_vector(2, V_FALSE);
  VEC(r->fields)[0] = intern("env");
  VEC(r->fields)[1] = intern("aliases");
  r->depth = FIX(0);
  r->ancestors = make_vector(1, rtd);
  r->apply = CELL(global_cell(intern(primitive)))->value;
  r->flags = FIX(RTD_OPAQUE);
  r->properties = V_NIL;
  return rtd;
}

static Value applicable(Value *type, const char *name, const char *primitive, Value env) {
  if (*type == 0) {                /* made at the first use: the primitive exists by then */
    heap_root(type);
    *type = make_applicable(name, primitive);
  }
  Value record = make_record(*type, 2);
  RECORD_FIELD(record, 0) = env;
  RECORD_FIELD(record, 1) = V_NIL;
  return record;
}

/* The same symbol gives the same alias within one use of the macro. */
static Value prim_rename(int argc, Value *args) {
  (void)argc;
  if (!is_identifier(args[1])) return err_type("rename", 0, "identifier", args[1]);
  uint64_t passed = 0;
  Value known = V_FALSE;
  for (Value a = RECORD_FIELD(args[0], 1); a != V_NIL; a = CDR(a), passed++)
    if (CAR(CAR(a)) == args[1]) { known = CDR(CAR(a)); break; }
  charge(passed / 8);
  if (known != V_FALSE) return known;
  Value failed = closed_too_often(args[1]);
  if (failed != V_FALSE) return failed;
  Value alias = make_syntax(RECORD_FIELD(args[0], 0), args[0], args[1]);
  RECORD_FIELD(args[0], 1) = cons(cons(args[1], alias), RECORD_FIELD(args[0], 1));
  return alias;
}

static Value prim_compare(int argc, Value *args) {
  (void)argc;
  if (!is_identifier(args[1]) || !is_identifier(args[2])) return BOOL(args[1] == args[2]);
  Value env = RECORD_FIELD(args[0], 0);
  return BOOL(same_identifier(env, args[1], env, args[2]));
}

/* (%used-in-library? compare): does the form that the macro was given stand in a library? */
static Value prim_used_in_library(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_RECORD) || RECORD_RTD(args[0]) != compare_type) return err_type(NULL, 0, "compare procedure", args[0]);
  return BOOL(ENV_KIND(env_top(RECORD_FIELD(args[0], 0))) == ENV_LIBRARY);
}

/* (%make-transformer kind proc): define-syntax gives it its environment */
static Value prim_make_transformer(int argc, Value *args) {
  (void)argc;
  if (!is_procedure(args[1])) return err_type("er-macro-transformer", 0, "procedure", args[1]);
  return make_macro((enum macro_kind)FIX_VALUE(args[0]), V_FALSE, args[1], V_FALSE);
}

/* (%macro-kind macro), (%macro-data macro): of one that is a procedure's, the procedure */
static Value prim_macro_kind(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_MACRO)) return err_type("%macro-kind", 0, "macro", args[0]);
  return MACRO(args[0])->kind;
}
static Value prim_macro_data(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_MACRO)) return err_type("%macro-data", 0, "macro", args[0]);
  return MACRO(args[0])->data;
}

static Value transformer_arguments(struct Macro *m, Job j) {
  switch (FIX_VALUE(m->kind)) {
    case MACRO_ER:
      return list_n(3, j.form, applicable(&rename_type, "rename", "%rename", m->env),
                    applicable(&compare_type, "compare", "%compare", j.env));
    case MACRO_SC: return list_n(2, j.form, j.env);
    case MACRO_RSC: return list_n(2, j.form, m->env);
    case MACRO_STX: case MACRO_SETTER: return list_n(4, m->data, j.form, j.env, m->env);
    default: return list_n(3, j.form, j.env, m->env);
  }
}

/* One form that becomes another macro use again and again. */
enum { EXPANSIONS_MOST = 100000 };

Value expand_macro(State *s, Value macro, Job j, Value *out) {
  if (s->expansions == FIX(EXPANSIONS_MOST))
    return syntax_fail(j, "%v: the expansion of this macro does not end: it became a macro use %d times",
                       is_pair(j.form) ? CAR(j.form) : j.form, EXPANSIONS_MOST);
  if (s->given == V_UNBOUND && s->walk == V_FALSE) s->expansions = FIX(FIX_VALUE(s->expansions) + 1);
  if (MACRO_KIND(macro) == MACRO_RULES) return apply_rules(s, macro, j, out);
  struct Macro *m = MACRO(macro);
  Value answer, arguments = s->given == V_UNBOUND ? transformer_arguments(m, j) : V_NIL;
  Value procedure = stands_alone(macro) ? CELL(global_cell(intern("%call-syntax-transformer")))->value : m->data;
  Value stamp = OBJ_FLAGS(macro) & H_REPEATABLE ? s->stamp : V_FALSE, asked = ask(s, &answer, 3, intern("%call"), procedure, arguments);
  s->stamp = asked == V_TRUE ? s->stamp : stamp;
  TRY_STEP(asked);
  *out = FIX_VALUE(m->kind) == MACRO_SC ? make_syntax(m->env, V_NIL, answer) : answer;
  return V_TRUE;
}

/* ---- expressions ---- */
Value enter_closure(Value syntax, Value env) {
  if (SYNTAX_FREE(syntax) == V_NIL) return SYNTAX_ENV(syntax);
  Value frame = make_frame(SYNTAX_ENV(syntax));
  ENV(frame)->kind = FIX(ENV_FREE);
  ENV(frame)->bindings = SYNTAX_FREE(syntax);
  ENV(frame)->extra = env;
  return frame;
}

static Value not_an_expression(Job j, const CoreForm *form) {
  switch (form->id) {
    case F_DEFINE: case F_DEFINE_VALUES: case F_DEFINE_SYNTAX:
      return syntax_fail(j, "%s: a definition cannot stand where an expression is expected; put it at the start of a "
                         "body, or wrap it: (let () (define ...) ...)", form->name);
    case F_IMPORT: case F_DEFINE_LIBRARY:
      return syntax_fail(j, "%s: only allowed at the top level of a program", form->name);
    case F_SYNTAX_RULES:
      return syntax_fail(j, "%s: only allowed as a transformer: (define-syntax name (%s ...))", form->name, form->name);
    default:
      return syntax_fail(j, "%s: not allowed as an expression; it is part of another form's syntax", form->name);
  }
}

/* One expression: what it becomes is rewritten in the item until it is a core form or a call. */
static Value step_expr(State *s, Value item) {
  Job j = item_job(item);
  if (IS(j.form, T_SYNTAX) && !is_identifier(j.form)) {
    ITEM(item)->env = enter_closure(j.form, j.env);
    ITEM(item)->form = SYNTAX_EXPR(j.form);
    return V_VOID;
  }
  Value macro = alone_macro(j), form;
  if (macro != V_FALSE) {
    TRY_STEP(expand_macro(s, macro, j, &form));
    ITEM(item)->form = form;
    return V_VOID;
  }
  if (!is_pair(j.form)) return expand_later(s, j);
  uint32_t place = pair_place(j.form);
  if (place) { j.place = place; ITEM(item)->place = FIX(place); }
  macro = head_macro(j.form, j.env);
  if (macro == V_FALSE) return expand_call(s, j);
  if (MACRO_KIND(macro) != MACRO_CORE) {
    TRY_STEP(expand_macro(s, macro, j, &form));
  } else {
    const CoreForm *core = CORE_FORM(macro);
    if (core->id != F_REWRITE) return core->expand ? core->expand(s, j) : not_an_expression(j, core);
    TRY_STEP(core->rewrite(s, j, &form));
  }
  ITEM(item)->form = form;
  return V_VOID;
}

/* ---- running ---- */
static Value (*const steps[ITEM_KINDS])(State *, Value) = {
  [DO_EXPR] = step_expr, [DO_BODY] = step_body, [DO_TOP] = step_top, [DO_MACRO] = step_macro,
  [DO_QUASI] = step_quasi, [DO_LIBRARY] = step_library, [DO_IMPORT] = step_import,
  [DO_LIST] = step_list,
};

/* Reserve what the step may take: what a core form allocates is in proportion to its length, as far as it is counted
   here. What goes through longer lists asks for room itself, or goes through them by parts. */
static Value prepare(Value item) {
  int64_t length = 0;
  for (Value form = ITEM(item)->form; is_pair(form) && length < LENGTH_MOST; form = CDR(form)) length++;
  charge(1 + length / 8);
  uint64_t bytes = STEP_BYTES + (uint64_t)length * BYTES_A_PAIR;
  if (!heap_reserve(bytes)) return need_memory(bytes);
  room_left = 0;
  room_used = bytes;
  return V_TRUE;
}

static void push_fresh(State *s) {
  if (fresh_first == V_NIL) return;
  ITEM(fresh_last)->next = s->stack;
  s->stack = fresh_first;
}

static Value step(State *s) {
  Value item = s->stack;
  TRY_STEP(prepare(item));
  fresh_first = fresh_last = V_NIL;
  Value outcome = steps[FIX_VALUE(ITEM(item)->kind)](s, item);
  if (outcome == V_TRUE) {
    s->stack = ITEM(item)->next;
    s->expansions = FIX(0);
  }
  if (outcome == V_TRUE || outcome == V_VOID) push_fresh(s);
  fresh_first = fresh_last = V_NIL;
  return outcome;
}

/* ---- expansions that may be kept ---- */
static uint64_t begun;                 /* expansions: what another one asks of is not told apart */
static Value stamp_now(void) { return FIX(env_version + begun); }
bool expansion_repeatable(Value state) { return ((State *)PTR(state))->stamp == stamp_now(); }

/* (%meanings-changed!): what a macro of the prelude makes of a form may be something else from now on */
static Value prim_meanings_changed(int argc, Value *args) {
  (void)argc, (void)args;
  env_version++;
  return V_VOID;
}

/* (%repeatable! symbol ...): these macros of the core give the same for the same form, as far as the counts tell */
static Value prim_repeatable(int argc, Value *args) {
  for (int i = 0; i < argc; i++) {
    CHECK_SYMBOL(NULL, i);
    Value macro = env_lookup(core_environment(), args[i]);
    if (!IS(macro, T_MACRO)) return err_type(NULL, i, "macro's name", args[i]);
    SET_FLAG(macro, H_REPEATABLE);
  }
  return V_VOID;
}

/* ---- primitives ---- */
bool is_expansion(Value v) { return IS(v, T_VECTOR) && VEC_LENGTH(v) == STATE_SLOTS; }
static State *check_state(Value v) {
  return is_expansion(v) ? PTR(v) : NULL;
}

Value expansion_begin(Value form, Value env) {
  begun++;
  asked = V_NIL;
  Value state = heap_object(T_VECTOR, 0, STATE_SLOTS);
  State *s = PTR(state);
  *s = (State){.header = s->header, .stack = V_NIL, .result = V_FALSE, .given = V_UNBOUND,
               .done = V_FALSE, .expansions = FIX(0), .walk = V_FALSE, .stamp = stamp_now()};
  fresh_first = fresh_last = V_NIL;
  Job j = {.form = form, .env = env, .hole = {state, 1}, .place = pair_place(form), .name = V_FALSE};
  push_item(s, DO_TOP, j, V_FALSE, V_FALSE, V_FALSE);
  push_fresh(s);
  return state;
}

Value expansion_run(Value state) {
  State *s = PTR(state);
  while (s->stack != V_NIL) {
    Value outcome = step(s);
    if (outcome != V_TRUE && outcome != V_VOID) return outcome;
    if (s->done != V_FALSE) return s->done;
    if (should_pause()) return V_AGAIN;
  }
  return s->result;
}

/* ---- what needs no expansion ----
 * A constant, a global variable, a call, an `if`, `and` or `or` of such, and the definition of a variable as one has its tree made at once: what most
 * of a small program's forms are. It recurses no deeper than PLAIN_NESTING, and looks at PLAIN_PARTS at the most. What is not right goes the
 * usual way, which tells why. */
enum { PLAIN_NESTING = 6, PLAIN_PARTS = 48 };

static Value plain_variable(Value binding, uint32_t place) {
  bool known = IS(binding, T_CELL) && (CELL(binding)->value != V_UNBOUND || FIX_VALUE(CELL(binding)->flags) & CELL_OWN);
  return known ? make_leaf(N_GREF, place, binding) : V_FALSE;
}
static Value plain_tree(Value form, Value env, uint32_t place, int nesting, int *parts);
/* The trees of a list's elements, V_NIL for none. */
static bool plain_trees(Value rest, Value env, uint32_t place, int nesting, int *parts, List *trees) {
  list_start(trees);
  for (; is_pair(rest); rest = CDR(rest)) {
    Value tree = plain_tree(CAR(rest), env, pair_place(rest) ? pair_place(rest) : place, nesting, parts);
    if (tree == V_FALSE) return false;
    list_add(trees, tree);
  }
  return rest == V_NIL;
}
static bool is_plain_datum(Value v, int *parts) {
  for (; is_pair(v); v = CDR(v)) if (--*parts < 0 || !is_plain_datum(CAR(v), parts)) return false;
  return !IS(v, T_SYNTAX) && !IS(v, T_VECTOR);
}
/* (define name expression) at the top level of programs. The name is defined before the expression is looked at: it may occur in it. */
static Value plain_definition(Value form, Value env, uint32_t place, int *parts) {
  if (!is_pair(CDR(form)) || !IS(CADR(form), T_SYMBOL) || !is_pair(CDDR(form)) || CDR(CDDR(form)) != V_NIL) return V_FALSE;
  Value expression = CADDR(form), cell;
  if (!IS_TOP(env) || ENV_KIND(env) != ENV_REPL || (is_pair(expression) && !IS(CAR(expression), T_SYMBOL))) return V_FALSE;
  Value defined = env_define_cell(env, CADR(form), &cell);
  if (defined == V_AGAIN) vm.need_bytes = 0;              /* the usual way asks for them */
  if (defined != V_TRUE) return V_FALSE;
  Value tree = plain_tree(expression, env, place, PLAIN_NESTING - 1, parts);
  return tree == V_FALSE ? V_FALSE : make_node(N_GDEF, place, 2, cell, tree);
}
static Value plain_core(const CoreForm *core, Value form, Value env, uint32_t place, int nesting, int *parts) {
  List trees;
  switch (core->id) {
    case F_QUOTE:
      if (!is_pair(CDR(form)) || CDDR(form) != V_NIL || !is_plain_datum(CADR(form), parts)) return V_FALSE;
      return make_leaf(N_CONST, place, CADR(form));
    case F_IF: case F_AND: case F_OR:
      if (!plain_trees(CDR(form), env, place, nesting - 1, parts, &trees) || trees.head == V_NIL || CDR(trees.head) == V_NIL) return V_FALSE;
      if (core->id != F_IF) return make_node(core->id == F_AND ? N_AND : N_OR, place, 1, trees.head);
      Value branches = CDR(trees.head);
      if (CDR(branches) != V_NIL && CDDR(branches) != V_NIL) return V_FALSE;
      return node_if(place, CAR(trees.head), CAR(branches), CDR(branches) == V_NIL ? node_const(V_VOID) : CADR(branches));
    case F_DEFINE: return nesting == PLAIN_NESTING ? plain_definition(form, env, place, parts) : V_FALSE;
    default: return V_FALSE;
  }
}
static Value plain_tree(Value form, Value env, uint32_t place, int nesting, int *parts) {
  if (--*parts < 0) return V_FALSE;
  if (IS(form, T_SYMBOL)) return plain_variable(env_lookup(env, form), place);
  if (!is_pair(form)) return IS(form, T_SYNTAX) || IS(form, T_VECTOR) || form == V_NIL ? V_FALSE : make_leaf(N_CONST, place, form);
  if (!nesting || !IS(CAR(form), T_SYMBOL)) return V_FALSE;
  if (pair_place(form)) place = pair_place(form);
  Value binding = env_lookup(env, CAR(form));
  if (IS(binding, T_MACRO))
    return MACRO_KIND(binding) == MACRO_CORE && !(OBJ_FLAGS(binding) & H_PARAMETERIZED) ? plain_core(CORE_FORM(binding), form, env, place, nesting, parts) : V_FALSE;
  Value operator = plain_variable(binding, place);
  List operands;
  if (operator == V_FALSE || !plain_trees(CDR(form), env, place, nesting - 1, parts, &operands)) return V_FALSE;
  return make_node(N_CALL, place, 2, operator, operands.head);
}
Value expansion_at_once(Value form, Value env) {
  int parts = PLAIN_PARTS;
  Value tree = plain_tree(form, env, pair_place(form), PLAIN_NESTING, &parts);
  charge(1 + (PLAIN_PARTS - parts) / 4);
  return tree;
}

/* (%form-at form line column) */
static Value prim_form_at(int argc, Value *args) {
  (void)argc;
  uint32_t line, column;
  CHECK_INDEX(NULL, 1, 1, (1u << 20) - 1, V_FALSE, line);
  CHECK_INDEX(NULL, 2, 1, (1u << 12) - 1, V_FALSE, column);
  return form_at(args[0], line << 12 | column);
}

/* (%expand-start form env) -> state */
static Value prim_expand_start(int argc, Value *args) {
  (void)argc;
  if (!IS(args[1], T_ENV)) return err_type(NULL, 1, "environment", args[1]);
  return expansion_begin(args[0], args[1]);
}

/* (%expand-run state) -> an AST, or a request */
static Value prim_expand_run(int argc, Value *args) {
  (void)argc;
  if (!check_state(args[0])) return err_type(NULL, 0, "expansion", args[0]);
  Value outcome = expansion_run(args[0]);
  if (outcome == V_AGAIN) vm.resume = V_TRUE;
  return outcome;
}

/* (%expand-give! state value): the answer to the last request */
static Value prim_expand_give(int argc, Value *args) {
  (void)argc;
  State *s = check_state(args[0]);
  if (!s) return err_type(NULL, 0, "expansion", args[0]);
  s->given = args[1];
  return V_VOID;
}

const PrimDef expand_prims[] = {
  {"%form-at", prim_form_at, 3, 3, NULL},
  {"%expand-start", prim_expand_start, 2, 2, NULL},
  {"%expand-run", prim_expand_run, 1, 1, NULL},
  {"%expand-give!", prim_expand_give, 2, 2, NULL},
  {"%meanings-changed!", prim_meanings_changed, 0, 0, NULL},
  {"%repeatable!", prim_repeatable, 0, -1, NULL},
  {"%make-transformer", prim_make_transformer, 2, 2, NULL},
  {"%macro-kind", prim_macro_kind, 1, 1, NULL},
  {"%macro-data", prim_macro_data, 1, 1, NULL},
  {"%used-in-library?", prim_used_in_library, 1, 1, NULL},
  {"%rename", prim_rename, 2, 2, "(rename identifier)"},
  {"%compare", prim_compare, 3, 3, "(compare identifier identifier)"},
  {0}
};
