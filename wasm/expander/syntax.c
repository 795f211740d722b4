/* syntax.c — identifiers, aliases and syntactic closures.
 *
 * A T_SYNTAX object is (environment, free names, expression): the expression as it is meant in
 * that environment, except that the free names mean what they mean where the object is used.
 * Where the expression is an identifier the object is one too: an alias.
 */
#include "expander/syntax.h"
#include "core/worklist.h"
#include "data/table.h"
#include "expander/env.h"
#include "expander/forms.h"
#include "text/string.h"
#include "text/utf8.h"

Value make_syntax(Value env, Value free, Value expr) {
  Value v = heap_object(T_SYNTAX, 0, 3);
  SYNTAX_ENV(v) = env;
  SYNTAX_FREE(v) = free;
  SYNTAX_EXPR(v) = expr;
  return v;
}

/* Whoever looks at an identifier looks through all closures around it: programs may put so many around one. */
enum { CLOSURES_MOST = 256, FREE_NAMES_MOST = 1000 };
Value closed_too_often(Value v) {
  uint32_t depth = 0;
  for (; IS(v, T_SYNTAX); v = SYNTAX_EXPR(v)) depth++;
  if (depth < CLOSURES_MOST) return V_FALSE;
  return err_fail("exn:fail:syntax", "syntactic closures are nested too deeply", V_NIL);
}

static Value innermost(Value v) {
  uint32_t depth = 0;
  for (; IS(v, T_SYNTAX); v = SYNTAX_EXPR(v)) depth++;
  charge(depth / 8);
  return v;
}

bool is_identifier(Value v) { return IS(innermost(v), T_SYMBOL); }

Value identifier_symbol(Value id) {
  id = innermost(id);
  if (IS(id, T_MACRO)) return MACRO(id)->name;       /* what syntax-parameterize binds */
  return id;
}

/* ---- stripping: a datum without aliases ----
 * A first walk looks whether there are any, and most data have none. A second one copies. Data may
 * be deep, and cyclic (datum labels): the looking gives up after so many nodes and leaves the datum
 * as it is, for aliases come from macro templates, which are not so large. */
enum { LOOK_AT_MOST = 1 << 20,
       LOOK_AT_SHOWN = 1 << 14 };       /* for an error */

/* A keyword's macro object, which the expander itself puts into forms, becomes its name again. */
static Value bare(Value v) {
  v = innermost(v);
  return IS(v, T_MACRO) ? MACRO(v)->name : v;
}

static bool stack_push(Stack *s, Value v) {
  if (!stack_room_now(s, 1)) return false;
  push(s, v);
  return true;
}

typedef struct {
  Stack stack;
  Value at;                            /* where it is: the rest of a list, or a vector */
  int64_t seen, most;
  bool drop_places, dirty, pausing;
} Look;

/* An alias, or a pair with a place that is not wanted, has to be copied; what is inside is looked at. */
static Value look_through(Look *l, Value v) {
  if (IS(v, T_SYNTAX) || IS(v, T_MACRO) || (l->drop_places && IS(v, T_LPAIR))) l->dirty = true;
  return bare(v);
}

static bool look_later(Look *l, Value v) {
  v = look_through(l, v);
  return !(is_pair(v) || IS(v, T_VECTOR)) || stack_push(&l->stack, v);
}

/* V_TRUE, or V_AGAIN where it is to go on later; V_FALSE: memory is short. */
static Value look(Look *l) {
  for (;;) {
    for (; is_pair(l->at) && ++l->seen < l->most; l->at = look_through(l, CDR(l->at))) {
      if (l->seen % LONG_ROUND == 0 && l->pausing && (charge(LONG_ROUND / 8), should_pause())) return V_AGAIN;
      if (!look_later(l, CAR(l->at))) return V_FALSE;
    }
    if (IS(l->at, T_VECTOR)) {
      Value vector = l->at;
      if (!stack_room_now(&l->stack, VEC_LENGTH(vector))) return V_FALSE;
      l->seen += VEC_LENGTH(vector);
      for (uint32_t i = 0; i < VEC_LENGTH(vector); i++) look_later(l, VEC(vector)[i]);
    }
    if (!l->stack.top || l->seen >= l->most) return V_TRUE;
    l->at = pop(&l->stack);
  }
}

/* The copying keeps pairs (where the copy goes, what to copy) on the stack. `where` is a pair,
   meaning its car, or (index . vector), or (-1 . pair), meaning its cdr. */
static bool copy_list(Stack *s, Value v, bool drop_places, Value *out) {
  Value head = V_NIL, last = V_NIL;
  for (v = bare(v); is_pair(v); v = bare(CDR(v))) {
    if (!room(48) || !stack_room_now(s, 2)) return false;
    Value pair = drop_places ? cons(V_NIL, V_NIL) : cons_at(V_NIL, V_NIL, pair_place(v));
    Value car = bare(CAR(v));
    if (is_pair(car) || IS(car, T_VECTOR)) { push(s, pair); push(s, car); }
    else CAR(pair) = car;
    if (head == V_NIL) head = pair; else CDR(last) = pair;
    last = pair;
  }
  if (!IS(v, T_VECTOR)) CDR(last) = v;
  else if (!stack_room_now(s, 2)) return false;
  else { push(s, cons(FIX(-1), last)); push(s, v); }
  *out = head;
  return true;
}

static bool copy_vector(Stack *s, Value v, Value *out) {
  uint32_t length = VEC_LENGTH(v);
  if (!room(8 + (uint64_t)length * 8)) return false;
  Value copy = heap_object(T_VECTOR, OBJ_FLAGS(v) & H_IMMUTABLE, length);
  for (uint32_t i = 0; i < length; i++) {
    Value element = VEC(copy)[i] = bare(VEC(v)[i]);
    if (!is_pair(element) && !IS(element, T_VECTOR)) continue;
    VEC(copy)[i] = V_FALSE;
    if (!room(32) || !stack_room_now(s, 2)) return false;
    push(s, cons(FIX(i), copy));
    push(s, element);
  }
  *out = copy;
  return true;
}

static void place_copy(Value where, Value copy) {
  if (IS(where, T_PAIR) && IS_FIX(CAR(where))) {
    if (CAR(where) == FIX(-1)) CDR(CDR(where)) = copy;
    else VEC(CDR(where))[FIX_VALUE(CAR(where))] = copy;
  } else {
    CAR(where) = copy;
  }
}

static Value copy_stripped(Value datum, bool drop_places, Value *out) {
  Stack s;
  stack_init(&s);
  Value result = cons(V_NIL, V_NIL);
  push(&s, result);
  push(&s, bare(datum));
  while (s.top) {
    Value v = pop(&s), where = pop(&s), copy = v;
    bool fits = is_pair(v) ? copy_list(&s, v, drop_places, &copy)
              : IS(v, T_VECTOR) ? copy_vector(&s, v, &copy) : true;
    if (!fits) return short_of_room();
    place_copy(where, copy);
  }
  *out = CAR(result);
  return V_TRUE;
}

static Look look_begun(Value datum, bool drop_places, int64_t most) {
  Look l = {.drop_places = drop_places, .most = most};
  l.at = look_through(&l, datum);
  stack_init(&l.stack);
  return l;
}
static bool is_atom(Value v) { return !is_pair(v) && !IS(v, T_VECTOR); }

static Value strip_seen(const Look *l, Value datum, Value *out) {
  return !l->dirty || l->seen >= l->most ? V_TRUE : copy_stripped(datum, l->drop_places, out);
}

static Value strip_most(Value datum, bool drop_places, int64_t most, Value *out) {
  *out = bare(datum);
  if (is_atom(*out)) return V_TRUE;
  Look l = look_begun(datum, drop_places, most);
  if (look(&l) != V_TRUE) return short_of_room();
  charge(l.seen / 8 + 1);
  return strip_seen(&l, datum, out);
}
Value strip_syntax(Value datum, bool drop_places, Value *out) { return strip_most(datum, drop_places, LOOK_AT_MOST, out); }
Value strip_shown(Value datum, Value *out) { return strip_most(datum, false, LOOK_AT_SHOWN, out); }

enum { WALK_SLOTS, WALK_TOP, WALK_AT, WALK_SEEN, WALK_DIRTY, WALK_LENGTH };
Value strip_syntax_pausing(Value *walk, Value datum, bool drop_places, Value *out) {
  *out = bare(datum);
  if (is_atom(*out)) return V_TRUE;
  Look l;
  if (*walk == V_FALSE) {
    l = look_begun(datum, drop_places, LOOK_AT_MOST);
  } else {
    Value *kept = VEC(*walk);
    l = (Look){.stack = {kept[WALK_SLOTS], (uint32_t)FIX_VALUE(kept[WALK_TOP])}, .at = kept[WALK_AT], .most = LOOK_AT_MOST,
               .seen = FIX_VALUE(kept[WALK_SEEN]), .drop_places = drop_places, .dirty = TRUTH(kept[WALK_DIRTY])};
  }
  l.pausing = true;
  Value outcome = look(&l);
  if (outcome == V_TRUE) {
    charge(l.seen % LONG_ROUND / 8 + 1);
    outcome = strip_seen(&l, datum, out);
    if (outcome == V_TRUE) *walk = V_FALSE;
    if (outcome == V_TRUE || *walk == V_FALSE) return outcome;
  }
  *walk = make_vector(WALK_LENGTH, V_FALSE);
  Value *kept = VEC(*walk);
  kept[WALK_SLOTS] = l.stack.slots;
  kept[WALK_TOP] = FIX(l.stack.top);
  kept[WALK_AT] = l.at;
  kept[WALK_SEEN] = FIX(l.seen);
  kept[WALK_DIRTY] = BOOL(l.dirty);
  return outcome == V_FALSE ? short_of_room() : V_AGAIN;
}

/* ---- primitives ---- */
static Value prim_is_identifier(int argc, Value *args) {
  (void)argc;
  return BOOL(is_identifier(args[0]));
}

static Value prim_identifier_to_symbol(int argc, Value *args) {
  (void)argc;
  if (!is_identifier(args[0])) return err_type(NULL, 0, "identifier", args[0]);
  return identifier_symbol(args[0]);
}

/* (identifier=? env1 id1 env2 id2) */
static Value prim_same_identifier(int argc, Value *args) {
  (void)argc;
  for (int i = 0; i < 4; i += 2) {
    if (!IS(args[i], T_ENV)) return err_type(NULL, i, "environment", args[i]);
    if (!is_identifier(args[i + 1])) return args[1] == args[3] ? V_TRUE : V_FALSE;
  }
  return BOOL(same_identifier(args[0], args[1], args[2], args[3]));
}

/* (make-syntactic-closure env free-names expression) */
static Value close_over(Value env, Value free, Value expr) {
  if (!is_pair(expr) && !IS(expr, T_SYMBOL) && !IS(expr, T_SYNTAX) && !IS(expr, T_VECTOR)) return expr;
  Value failed = closed_too_often(expr);
  return failed != V_FALSE ? failed : make_syntax(env, free, expr);
}

static Value prim_make_syntactic_closure(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_ENV)) return err_type(NULL, 0, "environment", args[0]);
  int64_t names = list_length(args[1]);
  if (names < 0) return err_type(NULL, 1, "list of identifiers", args[1]);
  if (names > FREE_NAMES_MOST) return err_fail("exn:fail:syntax", "a syntactic closure of too many free names", V_NIL);
  return close_over(args[0], args[1], args[2]);
}

/* (%make-alias table env identifier): one of the use whose aliases are in the table */
static Value prim_make_alias(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_TABLE)) return err_type("%make-alias", 0, "table", args[0]);
  if (!IS(args[1], T_ENV)) return err_type("%make-alias", 1, "environment", args[1]);
  if (!is_identifier(args[2])) return err_type("%make-alias", 2, "identifier", args[2]);
  Value failed = closed_too_often(args[2]);
  if (failed != V_FALSE) return failed;
  return make_syntax(args[1], args[0], args[2]);
}

/* The alias of the identifier in the use of a macro that `kin` is of. */
static Value sibling(Value kin, Value id) {
  Value use = SYNTAX_FREE(kin), *kept = NULL;
  if (IS(use, T_VECTOR) && VEC_LENGTH(use) == USE_SLOTS) {
    Value renames = VEC(use)[USE_RENAMES], aliases = VEC(use)[USE_ALIASES];
    charge(VEC_LENGTH(renames) / 8);
    for (uint32_t k = 0; k < VEC_LENGTH(renames); k++) {
      if (VEC(renames)[k] != id) continue;
      if (VEC(aliases)[k] == V_FALSE) VEC(aliases)[k] = make_syntax(SYNTAX_ENV(kin), use, id);
      return VEC(aliases)[k];
    }
    kept = &VEC(use)[USE_MORE];
  } else if (IS(use, T_RECORD)) {
    kept = &RECORD_FIELD(use, 1);
  } else if (IS(use, T_TABLE) && table_room(use)) {
    Value alias = table_get(use, id, V_FALSE);
    if (alias == V_FALSE) table_set(use, id, alias = make_syntax(SYNTAX_ENV(kin), use, id));
    return alias;
  }
  if (!kept) return make_syntax(SYNTAX_ENV(kin), V_NIL, id);
  uint64_t passed = 0;
  Value known = V_FALSE;
  for (Value a = *kept; is_pair(a); a = CDR(a), passed++)
    if (CAR(CAR(a)) == id) { known = CDR(CAR(a)); break; }
  charge(passed / 8);
  if (known != V_FALSE) return known;
  Value alias = make_syntax(SYNTAX_ENV(kin), use, id);
  *kept = cons(cons(id, alias), *kept);
  return alias;
}

/* (%sibling-identifier id symbol): the symbol as whoever wrote the identifier would mean it. Where macros made macros an
   identifier is an alias of an alias, and so on; from some depth on nobody looks for that. */
static Value prim_sibling_identifier(int argc, Value *args) {
  (void)argc;
  enum { LEVELS = 32 };
  Value levels[LEVELS], id = args[0];
  uint32_t depth = 0;
  if (!is_identifier(id)) return err_type(NULL, 0, "identifier", id);
  CHECK_SYMBOL(NULL, 1);
  for (; IS(id, T_SYNTAX) && depth < LEVELS; id = SYNTAX_EXPR(id)) levels[depth++] = id;
  if (IS(id, T_SYNTAX)) return make_syntax(SYNTAX_ENV(args[0]), V_NIL, args[1]);
  for (id = args[1]; depth > 0; depth--) id = sibling(levels[depth - 1], id);
  return id;
}

static Value prim_close_syntax(int argc, Value *args) {
  (void)argc;
  if (!IS(args[1], T_ENV)) return err_type(NULL, 1, "environment", args[1]);
  return close_over(args[1], V_NIL, args[0]);
}

static Value prim_is_closure(int argc, Value *args) {
  (void)argc;
  return BOOL(IS(args[0], T_SYNTAX));
}

static Value closure_part(Value *args, int part) {
  if (!IS(args[0], T_SYNTAX)) return err_type(NULL, 0, "syntactic closure", args[0]);
  return SLOTS(args[0])[part];
}
static Value prim_closure_env(int argc, Value *args) { (void)argc; return closure_part(args, 0); }
static Value prim_closure_free(int argc, Value *args) {
  (void)argc;
  Value free = closure_part(args, 1);
  return IS_SIGNAL(free) || list_length(free) >= 0 ? free : V_NIL;
}
static Value prim_closure_expr(int argc, Value *args) { (void)argc; return closure_part(args, 2); }

static Value prim_strip(int argc, Value *args) {
  (void)argc;
  Value out, outcome = strip_syntax(args[0], false, &out);
  return outcome == V_TRUE ? out : outcome;
}

static Value prim_is_macro(int argc, Value *args) {
  (void)argc;
  return BOOL(IS(args[0], T_MACRO));
}

/* (%syntax-error message form) from a transformer: the expander adds the place */
static Value prim_syntax_error(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  Value form = ARG_OR(1, V_FALSE), stripped = form;
  Value outcome = strip_syntax(form, false, &stripped);
  if (outcome != V_TRUE) return outcome;
  uint32_t size = string_utf8_length(args[0]);
  if (size > 2000) size = 2000;
  char message[2001];
  Value cut = size == string_utf8_length(args[0]) ? args[0] : string_substring(args[0], 0, 500);
  message[string_to_utf8(cut, (uint8_t *)message)] = 0;
  return err_syntax(message, stripped, pair_place(form));
}

/* (%pair-place v): (line . column) of a pair of program text, or #f */
static Value prim_pair_place(int argc, Value *args) {
  (void)argc;
  uint32_t place = pair_place(args[0]);
  return place ? cons(FIX(PLACE_LINE(place)), FIX(PLACE_COLUMN(place))) : V_FALSE;
}

const PrimDef syntax_prims[] = {
  {"identifier?", prim_is_identifier, 1, 1, NULL},
  {"identifier->symbol", prim_identifier_to_symbol, 1, 1, NULL},
  {"identifier=?", prim_same_identifier, 4, 4, "(identifier=? env1 id1 env2 id2)"},
  {"make-syntactic-closure", prim_make_syntactic_closure, 3, 3, "(make-syntactic-closure env free-names form)"},
  {"close-syntax", prim_close_syntax, 2, 2, "(close-syntax form env)"},
  {"%make-alias", prim_make_alias, 3, 3, NULL},
  {"%sibling-identifier", prim_sibling_identifier, 2, 2, NULL},
  {"syntactic-closure?", prim_is_closure, 1, 1, NULL},
  {"syntactic-closure-env", prim_closure_env, 1, 1, NULL},
  {"syntactic-closure-vars", prim_closure_free, 1, 1, NULL},
  {"syntactic-closure-expr", prim_closure_expr, 1, 1, NULL},
  {"strip-syntactic-closures", prim_strip, 1, 1, NULL},
  {"%macro?", prim_is_macro, 1, 1, NULL},
  {"%pair-place", prim_pair_place, 1, 1, NULL},
  {"%syntax-error", prim_syntax_error, 1, 2, NULL},
  {0}
};
