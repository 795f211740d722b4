/* body.c — bodies and top-level forms: the places where definitions may stand.
 *
 * A body is scanned form by form, macros in head position being expanded, until every definition
 * is known; only then are the right-hand sides and expressions expanded, inside the scope of all
 * of them. Definitions and expressions may be mixed: the whole is one letrec*.
 */
#include "expander/body.h"
#include "core/template.h"
#include "expander/env.h"
#include "expander/forms.h"
#include "expander/nodes.h"
#include "expander/syntax.h"
#include "expander/syntax_rules.h"
#include "text/symbol.h"

struct Body {          /* a T_VECTOR */
  uint64_t header;
  Value frame;         /* where its definitions are bound */
  Value place;
  Value flags;
  Value first, last;   /* the entries so far, a list */
  Value count, definitions;
};
enum { BODY_SLOTS = 7 };
#define BODY(v) ((struct Body *)PTR(v))

struct Entry {         /* a T_VECTOR: a definition or an expression of a body */
  uint64_t header;
  Value var;           /* #f: an expression */
  Value form, env, place, name;
  Value node;          /* instead of the form, where it is ready */
};
enum { ENTRY_SLOTS = 6, ENTRY_BYTES = 512 };
#define ENTRY(v) ((struct Entry *)PTR(v))

Value body_later(State *s, Job j, int flags) {
  if (is_pair(j.form) && CDR(j.form) == V_NIL && !is_pair(CAR(j.form)) && !IS(CAR(j.form), T_SYNTAX)) {
    if (pair_place(j.form)) j.place = pair_place(j.form);
    j.form = CAR(j.form);
    return expand_later(s, j);
  }
  if (list_length(j.form) < 0) return syntax_fail(j, "a body must be a proper list of forms, got %v", j.form);
  Value body = heap_object(T_VECTOR, 0, BODY_SLOTS), forms = j.form;
  *BODY(body) = (struct Body){.header = BODY(body)->header, .frame = make_frame(j.env), .place = FIX(j.place),
                              .flags = FIX(flags), .first = V_NIL, .last = V_NIL, .count = FIX(0), .definitions = FIX(0)};
  j.form = V_UNBOUND;
  push_item(s, DO_BODY, j, V_FALSE, forms, body);
  return V_TRUE;
}

static void add_entry(Value item, Value var, Value form, Value name, Value node) {
  struct Item *i = ITEM(item);
  struct Body *b = BODY(i->c);
  Value entry = heap_object(T_VECTOR, 0, ENTRY_SLOTS);
  *ENTRY(entry) = (struct Entry){.header = ENTRY(entry)->header, .var = var, .form = form, .env = i->env,
                                 .place = i->place, .name = name, .node = node};
  Value pair = cons(entry, V_NIL);
  if (b->first == V_NIL) b->first = pair; else CDR(b->last) = pair;
  b->last = pair;
  b->count = FIX(FIX_VALUE(b->count) + 1);
  if (var != V_FALSE) b->definitions = FIX(FIX_VALUE(b->definitions) + 1);
}

static void next_form(Value item) { ITEM(item)->form = V_UNBOUND; }

/* ---- definitions ---- */

/* An alias for what the environment of the definition itself calls by its symbol is that symbol:
   what (close-syntax name use-env) gives. */
Value definition_name(Value id, Value env) {
  uint32_t depth = 0;
  for (; IS(id, T_SYNTAX) && SYNTAX_ENV(id) == env; id = SYNTAX_EXPR(id)) depth++;
  charge(depth / 8);
  return id;
}

/* (define name expr) (define (name . formals) body ...) (define ((name . formals) . formals) body ...) */
Value define_target(Job j, Value form, Value *id, Value *expr) {
  int64_t n = list_length(form);
  if (n < 2) return bad_shape(j);
  Value target = CADR(form), body = CDDR(form);
  while (is_pair(target)) {
    if (body == V_NIL)
      return syntax_fail(j, "define: the procedure has no body; expected %s, got %v",
                         CORE_FORM(core_keyword(F_DEFINE))->shape, form);
    body = list_n(1, cons_at(core_keyword(F_LAMBDA), cons(CDR(target), body), pair_place(form)));
    target = CAR(target);
    n = 3;
  }
  if (!is_identifier(target)) return bad_shape(j);
  if (n > 3) return syntax_fail(j, "define: more than one expression for %v; expected (define name expression), or for a "
                                   "procedure (define (%v parameter ...) body ...)", target, target);
  *id = target;
  *expr = body == V_NIL ? V_VOID : CAR(body);
  return V_TRUE;
}

/* A new variable of the body. */
static Value bind_local(Job j, Value frame, Value id, Value *var) {
  id = definition_name(id, frame);
  if (frame_find(frame, id) != V_FALSE)
    return syntax_fail(j, "%v is defined twice in the same body; to change a variable use (set! %v ...)", id, id);
  *var = make_envvar(identifier_symbol(id));
  return frame_bind(frame, id, *var) ? V_TRUE : short_of_room();
}

static Value body_define(Value item, Job j) {
  Value id, expr, var;
  TRY_STEP(check_variables(j, 1 + FIX_VALUE(BODY(ITEM(item)->c)->definitions)));
  TRY_STEP(define_target(j, j.form, &id, &expr));
  TRY_STEP(bind_local(j, BODY(ITEM(item)->c)->frame, id, &var));
  add_entry(item, var, expr, identifier_symbol(id), V_FALSE);
  next_form(item);
  return V_VOID;
}

/* The names of (a b . rest): how many before the rest; V_ERROR where one is no identifier. */
static Value value_names(Job j, Value formals, int64_t *count, bool *rest) {
  *count = 0;
  Value f = formals;
  for (; is_pair(f); f = CDR(f), ++*count)
    if (*count == VARIABLES_MOST) return check_variables(j, *count + 1);
    else if (!is_identifier(CAR(f))) return syntax_fail(j, "define-values: expected a name, got %v", CAR(f));
  *rest = f != V_NIL;
  if (*rest && !is_identifier(f)) return syntax_fail(j, "define-values: expected a name, got %v", f);
  return V_TRUE;
}

/* (%values-ref t i n) or (%values-rest t i) */
static Value value_part(uint32_t place, Value temporary, int64_t i, int64_t count, bool rest) {
  Value t = node_local(temporary);
  if (i == count) return node_call(place, C_VALUES_REST, 2, t, node_const(FIX(i)));
  return node_call(place, C_VALUES_REF, 3, t, node_const(FIX(i)), node_const(FIX(rest ? -1 - count : count)));
}

static Value body_define_values(Value item, Job j) {
  if (list_length(j.form) != 3) return bad_shape(j);
  Value formals = CADR(j.form), frame = BODY(ITEM(item)->c)->frame, var;
  int64_t count, i = 0;
  bool rest;
  TRY_STEP(value_names(j, formals, &count, &rest));
  TRY_STEP(check_variables(j, count + FIX_VALUE(BODY(ITEM(item)->c)->definitions)));
  Value temporary = make_envvar(intern("values"));
  for (Value f = formals; f != V_NIL; f = is_pair(f) ? CDR(f) : V_NIL, i++) {
    TRY_STEP(bind_local(j, frame, is_pair(f) ? CAR(f) : f, &var));
    if (i == 0) add_entry(item, temporary, CADDR(j.form), V_FALSE, V_FALSE);
    add_entry(item, var, V_FALSE, V_FALSE, value_part(j.place, temporary, i, count, rest));
  }
  if (i == 0) add_entry(item, V_FALSE, CADDR(j.form), V_FALSE, V_FALSE);
  next_form(item);
  return V_VOID;
}

/* (begin form ...): its forms come first, each in the environment of the begin. */
enum { SPLICE_PIECE = 256 };     /* forms between two looks whether to pause: their objects fit the headroom */
static Value splice_form(Value forms, Value env, Value home, uint32_t place) {
  Value form = form_at(CAR(forms), pair_place(forms) ? pair_place(forms) : place);
  return env != home ? make_syntax(env, V_NIL, form) : form;
}

/* V_TRUE and the list; a long one in pieces: the state's walk is #(forms left, all that stand already, their last
   pair), and before that how they were counted. */
enum { WALK_FORMS, WALK_HEAD, WALK_LAST, WALK_SIZE };
static Value splice(State *s, Job j, Value home, Value rest, uint32_t place, Value *out) {
  Value forms, head = rest, last = V_NIL;
  if (s->walk == V_FALSE || VEC_LENGTH(s->walk) == LIST_WALK_SIZE) {
    int64_t length;
    Value end;
    TRY_STEP(list_walk_count(j.form, &s->walk, &length, &end));
    if (length < 0 || end != V_NIL) return bad_shape(j);
    forms = CDR(j.form);
  } else {
    Value *kept = VEC(s->walk);
    forms = kept[WALK_FORMS];
    head = kept[WALK_HEAD];
    last = kept[WALK_LAST];
  }
  for (uint32_t n = 1; is_pair(forms); forms = CDR(forms), n++) {
    Value pair = cons(splice_form(forms, j.env, home, place), rest);
    if (last == V_NIL) head = pair; else CDR(last) = pair;
    last = pair;
    if (n % SPLICE_PIECE || (charge(SPLICE_PIECE / 4), !should_pause())) continue;
    Value kept = s->walk = make_vector(WALK_SIZE, CDR(forms));
    VEC(kept)[WALK_HEAD] = head;
    VEC(kept)[WALK_LAST] = last;
    return V_AGAIN;
  }
  s->walk = V_FALSE;
  *out = head;
  return V_TRUE;
}

static Value body_core(State *s, Value item, Job j, const CoreForm *core) {
  struct Item *i = ITEM(item);
  Value frame = BODY(i->c)->frame;
  switch (core->id) {
    case F_BEGIN:
      TRY_STEP(splice(s, j, frame, i->b, 0, &i->b));
      next_form(item);
      return V_VOID;
    case F_DEFINE: return body_define(item, j);
    case F_DEFINE_VALUES: return body_define_values(item, j);
    case F_DEFINE_SYNTAX:
      j.form = plain_define_syntax(j.form);
      if (list_length(j.form) != 3 || !is_identifier(CADR(j.form))) return bad_shape(j);
      next_form(item);
      Value id = CADR(j.form);
      j.form = CADDR(j.form);
      TRY_STEP(macro_later(s, j, frame, definition_name(id, frame)));
      return V_VOID;
    case F_REWRITE: {
      Value form;
      TRY_STEP(core->rewrite(s, j, &form));
      i->form = form;
      return V_VOID;
    }
    default:
      add_entry(item, V_FALSE, j.form, V_FALSE, V_FALSE);
      next_form(item);
      return V_VOID;
  }
}

/* ---- when every definition is known ---- */
static Value entry_node(State *s, Value entry, Value env, Hole hole) {
  struct Entry *e = ENTRY(entry);
  if (e->node != V_FALSE) {
    fill(hole, e->node);
    return V_TRUE;
  }
  Job j = {.form = e->form, .env = env == V_FALSE ? e->env : env, .hole = hole,
           .place = (uint32_t)FIX_VALUE(e->place), .name = e->name};
  return expand_later(s, j);
}

/* A list of nodes for the entries up to `count` of them; env #f: each in its own. */
static Value entry_nodes(State *s, Value *entries, int64_t count, Value frame, Value env, Value *nodes) {
  Value last = V_NIL;
  *nodes = V_NIL;
  for (; count > 0; count--, *entries = CDR(*entries)) {
    Value pair = cons(V_FALSE, V_NIL), entry = CAR(*entries);
    if (last == V_NIL) *nodes = pair; else CDR(last) = pair;
    last = pair;
    TRY_STEP(entry_node(s, entry, ENTRY(entry)->env == frame ? env : V_FALSE, CAR_OF(pair)));
  }
  return V_TRUE;
}

/* Many are a node whose last part is another one, for the next step: so nobody goes through all of them in one go. */
static Value sequence(State *s, Job j, Value entries, int64_t count, Value body) {
  Value frame = BODY(body)->frame;
  bool empty = ENV(frame)->bindings == V_NIL;         /* such a frame is left out */
  Value env = empty && BODY(body)->definitions == FIX(0) ? ENV(frame)->parent : V_FALSE;
  if (count == 1)
    return entry_node(s, CAR(entries), ENTRY(CAR(entries))->env == frame ? env : V_FALSE, j.hole);
  int64_t now = count > LIST_PIECE ? LIST_PIECE : count;
  Value nodes;
  TRY_STEP(entry_nodes(s, &entries, now, frame, env, &nodes));
  fill(j.hole, make_node(N_SEQ, j.place, 1, nodes));
  if (now == count) return V_TRUE;
  Value last = nodes;
  while (CDR(last) != V_NIL) last = CDR(last);
  CDR(last) = cons(V_FALSE, V_NIL);
  j.hole = CAR_OF(CDR(last));
  j.form = entries;
  push_item(s, DO_BODY, j, FIX(count - now), V_FALSE, body);
  return V_TRUE;
}

/* How many entries up to the last definition. */
static int64_t defined_part(Value entries) {
  int64_t i = 0, last = 0;
  for (; entries != V_NIL; entries = CDR(entries)) {
    i++;
    if (ENTRY(CAR(entries))->var != V_FALSE) last = i;
  }
  return last;
}

static Value letrec_vars(Value entries, int64_t count) {
  Value head = V_NIL, last = V_NIL;
  for (; count > 0; count--, entries = CDR(entries)) {
    Value var = ENTRY(CAR(entries))->var;
    Value pair = cons(var == V_FALSE ? make_envvar(V_FALSE) : var, V_NIL);
    if (last == V_NIL) head = pair; else CDR(last) = pair;
    last = pair;
  }
  return head;
}

static Value ends_in_definition(Job j, Value last) {
  const char *advice = "after the definitions it needs an expression, whose value it returns";
  if (j.name == V_FALSE) return syntax_fail(j, "a body ends with a definition (of %v): %s", last, advice);
  return syntax_fail(j, "the body of %v ends with a definition (of %v): %s", j.name, last, advice);
}

static Value body_with_definitions(State *s, Job j, Value body) {
  struct Body *b = BODY(body);
  int64_t count = FIX_VALUE(b->count), defined = defined_part(b->first);
  bool may_end = FIX_VALUE(b->flags) & BODY_MAY_END_IN_DEFINE || ENV_KIND(env_top(j.env)) == ENV_LIBRARY;
  if (defined == count && !may_end)      /* libraries are published: other Schemes take it, and what they mean is void */
    return ends_in_definition(j, ENVVAR(ENTRY(CAR(b->last))->var)->name);
  if (defined > VARIABLES_MOST) return check_variables(j, defined);       /* expressions between them are initialisations, too */
  Value entries = b->first, inits, vars = letrec_vars(entries, defined);
  TRY_STEP(entry_nodes(s, &entries, defined, b->frame, V_FALSE, &inits));
  Value node = make_node(N_LETREC, j.place, 3, vars, inits, V_FALSE);
  fill(j.hole, node);
  j.hole = SLOT(node, 2);
  if (defined < count) return sequence(s, j, entries, count - defined, body);
  fill(j.hole, node_const(V_VOID));
  return V_TRUE;
}

static Value finish_body(State *s, Value item) {
  struct Body *b = BODY(ITEM(item)->c);
  Job j = item_job(item);
  j.place = (uint32_t)FIX_VALUE(b->place);
  j.form = V_FALSE;
  int64_t count = FIX_VALUE(b->count);
  int64_t at_once = VARIABLES_MOST + LIST_PIECE;
  if (!room((uint64_t)(count < at_once ? count : at_once) * ENTRY_BYTES)) return short_of_room();
  if (FIX_VALUE(b->definitions)) return body_with_definitions(s, j, ITEM(item)->c);
  if (count) return sequence(s, j, b->first, count, ITEM(item)->c);
  if (!(FIX_VALUE(b->flags) & BODY_MAY_BE_EMPTY))
    return syntax_fail(j, "a body is empty: it needs at least one expression");
  fill(j.hole, node_const(V_VOID));
  return V_TRUE;
}

/* The item's form is the one being looked at (V_UNBOUND: take the next), b the forms after it; or it is what is left of the entries,
   so many as `a` says. */
Value step_body(State *s, Value item) {
  struct Item *i = ITEM(item);
  if (IS_FIX(i->a)) return sequence(s, item_job(item), i->form, FIX_VALUE(i->a), i->c);
  if (i->form == V_UNBOUND) {
    if (!is_pair(i->b)) return finish_body(s, item);
    s->expansions = FIX(0);
    i->form = CAR(i->b);
    i->env = BODY(i->c)->frame;
    i->place = pair_place(i->b) ? FIX(pair_place(i->b)) : BODY(i->c)->place;
    i->b = CDR(i->b);
    return V_VOID;
  }
  Job j = item_job(item);
  if (IS(j.form, T_SYNTAX) && !is_identifier(j.form)) {
    i->env = enter_closure(j.form, j.env);
    i->form = SYNTAX_EXPR(j.form);
    return V_VOID;
  }
  if (pair_place(j.form)) {
    j.place = pair_place(j.form);
    i->place = FIX(j.place);
  }
  Value macro = head_macro(j.form, j.env), form;
  if (macro == V_FALSE) {
    add_entry(item, V_FALSE, j.form, V_FALSE, V_FALSE);
    next_form(item);
    return V_VOID;
  }
  if (MACRO_KIND(macro) == MACRO_CORE) return body_core(s, item, j, CORE_FORM(macro));
  TRY_STEP(expand_macro(s, macro, j, &form));
  i->form = form;
  return V_VOID;
}

/* ---- the top level ---- */
static Value top_define(State *s, Job j, Value home) {
  Value id, expr, cell;
  TRY_STEP(define_target(j, j.form, &id, &expr));
  Value outcome = env_define_cell(env_top(home), id, &cell);
  if (outcome == V_FALSE) return refuse_redefinition(j, id);
  if (outcome != V_TRUE) return outcome;
  Value node = make_node(N_GDEF, j.place, 2, cell, V_FALSE);
  fill(j.hole, node);
  Job value = {.form = expr, .env = j.env, .hole = SLOT(node, 1), .place = j.place, .name = identifier_symbol(id)};
  return expand_later(s, value);
}

static Value top_define_values(State *s, Job j, Value home) {
  if (list_length(j.form) != 3) return bad_shape(j);
  Value formals = CADR(j.form), cell;
  int64_t count, i = 0;
  bool rest;
  TRY_STEP(value_names(j, formals, &count, &rest));
  Value temporary = make_envvar(intern("values")), definitions = V_NIL;
  for (Value f = formals; f != V_NIL; f = is_pair(f) ? CDR(f) : V_NIL, i++) {
    Value id = is_pair(f) ? CAR(f) : f, outcome = env_define_cell(env_top(home), id, &cell);
    if (outcome == V_FALSE) return refuse_redefinition(j, id);
    if (outcome != V_TRUE) return outcome;
    definitions = cons(make_node(N_GDEF, j.place, 2, cell, value_part(j.place, temporary, i, count, rest)), definitions);
  }
  if (i == 0) definitions = list_n(1, node_const(V_VOID));
  Value node = node_let1(j.place, temporary, V_FALSE, make_node(N_SEQ, j.place, 1, definitions));
  fill(j.hole, node);
  j.form = CADDR(j.form);
  j.hole = CAR_OF(NODE(node, 1));
  j.name = V_FALSE;
  return expand_later(s, j);
}

/* More than one form: the driver evaluates them one after the other, for a later one may need what
   an earlier one does. */
static Value top_begin(State *s, Value item, Job j, Value home) {
  if (CDR(j.form) == V_NIL) {
    fill(j.hole, node_const(V_VOID));
    return V_TRUE;
  }
  if (is_pair(CDR(j.form)) && CDDR(j.form) == V_NIL) {
    ITEM(item)->form = CADR(j.form);
    return V_VOID;
  }
  Value forms;
  TRY_STEP(splice(s, j, home, V_NIL, j.place, &forms));
  Value request = make_vector(3, intern("%splice"));
  VEC(request)[1] = forms;
  VEC(request)[2] = home;
  s->done = request;
  return V_TRUE;
}

static Value top_core(State *s, Value item, Job j, Value home, const CoreForm *core) {
  Value form;
  switch (core->id) {
    case F_BEGIN: return top_begin(s, item, j, home);
    case F_DEFINE: return top_define(s, j, home);
    case F_DEFINE_VALUES: return top_define_values(s, j, home);
    case F_DEFINE_SYNTAX:
      j.form = plain_define_syntax(j.form);
      if (list_length(j.form) != 3 || !is_identifier(CADR(j.form))) return bad_shape(j);
      fill(j.hole, node_const(V_VOID));
      Value id = CADR(j.form);
      j.form = CADDR(j.form);
      return macro_later(s, j, env_top(home), id);
    case F_IMPORT:
      fill(j.hole, node_const(V_VOID));
      j.env = home;
      j.form = CDR(j.form);
      push_item(s, DO_IMPORT, j, V_FALSE, V_FALSE, V_FALSE);
      return V_TRUE;
    case F_DEFINE_LIBRARY:
      push_item(s, DO_LIBRARY, j, V_FALSE, V_FALSE, V_FALSE);
      return V_TRUE;
    case F_REWRITE:
      TRY_STEP(core->rewrite(s, j, &form));
      ITEM(item)->form = form;
      return V_VOID;
    default:
      push_item(s, DO_EXPR, j, V_FALSE, V_FALSE, V_FALSE);
      return V_TRUE;
  }
}

/* The item's `a` is the environment that definitions go to, where the form is in a closure. */
Value step_top(State *s, Value item) {
  struct Item *i = ITEM(item);
  if (i->a == V_FALSE) i->a = i->env;
  Job j = item_job(item);
  if (IS(j.form, T_SYNTAX) && !is_identifier(j.form)) {
    i->env = enter_closure(j.form, j.env);
    i->form = SYNTAX_EXPR(j.form);
    return V_VOID;
  }
  if (pair_place(j.form)) {
    j.place = pair_place(j.form);
    i->place = FIX(j.place);
  }
  Value macro = head_macro(j.form, j.env), form;
  if (macro == V_FALSE) return expand_later(s, j);
  if (MACRO_KIND(macro) == MACRO_CORE) return top_core(s, item, j, i->a, CORE_FORM(macro));
  TRY_STEP(expand_macro(s, macro, j, &form));
  i->form = form;
  return V_VOID;
}

/* ---- define-syntax: the transformer ----
 * The item: form, the transformer expression; a, where the keyword is bound; b, the keyword; c, the
 * expression's AST once it is expanded; index, the kind of macro that its value makes. */
Value macro_later(State *s, Job j, Value target, Value id) {
  j.hole = (Hole){V_FALSE, MACRO_RAW};
  push_item(s, DO_MACRO, j, target, id, V_FALSE);
  return V_TRUE;
}

Value plain_define_syntax(Value form) {
  if (list_length(form) < 3 || !is_pair(CADR(form))) return form;
  Value head = CADR(form), lambda = cons(core_keyword(F_LAMBDA), cons(CDR(head), CDDR(form)));
  return cons_at(CAR(form), list_n(2, CAR(head), lambda), pair_place(form));
}

/* Racket's transformers take the form, those of other Schemes two environments besides. */
static bool takes_one_argument(Value procedure) {
  if (!IS(procedure, T_CLOSURE)) return false;
  Value arity = TEMPLATE(CLOSURE_TEMPLATE(procedure))->arity;
  return arity == ARITY_SIMPLE(1) || arity == ARITY_OF_LOOK;
}

static Value bind_macro(Value item, Job j, Value macro) {
  Value target = ITEM(item)->a, id = ITEM(item)->b;
  if (IS_TOP(target)) {
    Value outcome = env_define_macro(target, id, macro);
    return outcome == V_FALSE ? refuse_redefinition(j, id) : outcome;
  }
  if (frame_find(target, id) != V_FALSE)
    return syntax_fail(j, "%v is defined twice in the same body", id);
  return frame_bind(target, id, macro) ? V_TRUE : short_of_room();
}

/* The expression runs before the program's local variables exist. */
static Value evaluate_transformer(State *s, Value item, Job j, Value expr, enum macro_kind kind) {
  ITEM(item)->index = FIX(kind);
  Value frame = make_frame(j.env);
  ENV(frame)->kind = FIX(ENV_PHASE);
  Job inner = {.form = expr, .env = frame, .hole = {item, ITEM_C}, .place = j.place, .name = identifier_symbol(ITEM(item)->b)};
  push_item(s, DO_EXPR, inner, V_FALSE, V_FALSE, V_FALSE);
  return V_VOID;
}

static Value take_transformer(State *s, Value item, Job j) {
  Value value, name = identifier_symbol(ITEM(item)->b);
  TRY_STEP(ask(s, &value, 2, intern("%eval"), ITEM(item)->c));
  if (IS(value, T_MACRO)) {
    if (MACRO(value)->env == V_FALSE)
      value = make_macro(MACRO_KIND(value), j.env, MACRO(value)->data, name);
    return bind_macro(item, j, value);
  }
  if (!is_procedure(value))
    return syntax_fail(j, "define-syntax: the transformer of %v must be (syntax-rules ...), (er-macro-transformer proc) "
                          "or the like, got %v", name, value);
  enum macro_kind kind = (enum macro_kind)j.hole.index;
  if (kind == MACRO_RAW && takes_one_argument(value)) kind = MACRO_STX;
  return bind_macro(item, j, make_macro(kind, j.env, value, name));
}

static Value core_transformer(State *s, Value item, Job j, const CoreForm *core) {
  Value value;
  switch (core->id) {
    case F_SYNTAX_RULES:
      TRY_STEP(compile_rules(j, j.form, &value));
      MACRO(value)->name = identifier_symbol(ITEM(item)->b);
      return bind_macro(item, j, value);
    case F_ER: case F_SC: case F_RSC:
      if (list_length(j.form) != 2) return bad_shape(j);
      return evaluate_transformer(s, item, j, CADR(j.form),
                                  core->id == F_ER ? MACRO_ER : core->id == F_SC ? MACRO_SC : MACRO_RSC);
    case F_REWRITE:
      TRY_STEP(core->rewrite(s, j, &value));
      ITEM(item)->form = value;
      return V_VOID;
    default: return evaluate_transformer(s, item, j, j.form, MACRO_RAW);
  }
}

Value step_macro(State *s, Value item) {
  Job j = item_job(item);
  if (ITEM(item)->c != V_FALSE) return take_transformer(s, item, j);
  if (IS(j.form, T_SYNTAX) && !is_identifier(j.form)) {
    ITEM(item)->env = enter_closure(j.form, j.env);
    ITEM(item)->form = SYNTAX_EXPR(j.form);
    return V_VOID;
  }
  if (is_identifier(j.form)) {                 /* another name for a keyword */
    Value binding = env_lookup(j.env, j.form);
    if (IS(binding, T_MACRO)) return bind_macro(item, j, binding);
  }
  if (pair_place(j.form)) j.place = pair_place(j.form);
  Value macro = head_macro(j.form, j.env), form;
  if (macro == V_FALSE) return evaluate_transformer(s, item, j, j.form, MACRO_RAW);
  if (MACRO_KIND(macro) == MACRO_CORE) return core_transformer(s, item, j, CORE_FORM(macro));
  TRY_STEP(expand_macro(s, macro, j, &form));
  ITEM(item)->form = form;
  return V_VOID;
}
