/* env.c — environments: what an identifier means.
 *
 * A chain of frames ends in a top level. The core environment holds all of the prelude. The REPL
 * environment, in which programs run, sees the core's public names: a variable that a program
 * mentions is copied into a cell of its own at that moment (CELL_IMPORTED), so that a program may
 * redefine any name, for its earlier references too, and the library's procedures never notice.
 * A library's environment shares the bindings that it imports and cannot change them.
 */
#include "expander/env.h"
#include "core/globals.h"
#include "data/table.h"
#include "expander/forms.h"
#include "expander/library.h"
#include "expander/syntax.h"
#include "text/symbol.h"

enum { LONG_FRAME = 24 };     /* from so many bindings on a frame is a hash table */

static Value core_env;
Value core_environment(void) { return core_env; }

/* ---- making ---- */
Value make_frame(Value parent) {
  Value frame = heap_object(T_ENV, 0, FRAME_SLOTS);
  ENV(frame)->parent = parent;
  ENV(frame)->kind = FIX(ENV_FRAME);
  ENV(frame)->bindings = V_NIL;
  ENV(frame)->extra = FIX(0);
  return frame;
}

Value make_top(enum env_kind kind, Value name) {
  Value top = heap_object(T_ENV, 0, TOP_SLOTS);
  for (int i = 0; i < TOP_SLOTS; i++) SLOTS(top)[i] = V_FALSE;
  ENV(top)->kind = FIX(kind);
  ENV(top)->bindings = table_make(TABLE_EQ, false);
  ENV(top)->name = name;
  return top;
}

Value make_cell(Value name, Value value, int64_t flags) {
  Value cell = heap_object(T_CELL, 0, 3);
  CELL(cell)->name = name;
  CELL(cell)->value = value;
  CELL(cell)->flags = FIX(flags);
  return cell;
}

static Value copy_cell(Value origin) {
  Value cell = heap_object(T_CELL, 0, 4);
  CELL(cell)->name = CELL(origin)->name;
  CELL(cell)->value = CELL(origin)->value;
  CELL(cell)->flags = FIX(FIX_VALUE(CELL(origin)->flags) | CELL_IMPORTED);
  SLOTS(cell)[3] = origin;
  return cell;
}

static bool cell_has(Value cell, int64_t flags) { return (FIX_VALUE(CELL(cell)->flags) & flags) != 0; }
static void cell_clear(Value cell, int64_t flags) {
  CELL(cell)->flags = FIX(FIX_VALUE(CELL(cell)->flags) & ~flags);
}

Value env_top(Value env) {
  uint32_t frames = 0;
  for (; !IS_TOP(env); env = ENV(env)->parent) frames++;
  charge(frames / 16);
  return env;
}

/* ---- frames ---- */
Value frame_find(Value frame, Value id) {
  Value bindings = ENV(frame)->bindings;
  if (IS(bindings, T_TABLE)) return table_get(bindings, id, V_FALSE);
  for (; bindings != V_NIL; bindings = CDR(bindings))
    if (CAR(CAR(bindings)) == id) return CDR(CAR(bindings));
  return V_FALSE;
}

bool frame_bind(Value frame, Value id, Value binding) {
  struct Env *f = ENV(frame);
  if (IS(f->bindings, T_TABLE)) {
    if (!table_room(f->bindings)) return false;
    table_set(f->bindings, id, binding);
    return true;
  }
  f->bindings = cons(cons(id, binding), f->bindings);
  f->extra = FIX(FIX_VALUE(f->extra) + 1);
  if (FIX_VALUE(f->extra) < LONG_FRAME) return true;
  Value table = table_make(TABLE_EQ, false);
  for (Value b = f->bindings; b != V_NIL; b = CDR(b))
    if (table_get(table, CAR(CAR(b)), V_FALSE) == V_FALSE) table_set(table, CAR(CAR(b)), CDR(CAR(b)));
  f->bindings = table;
  return true;
}

static bool listed(Value id, Value names) {
  uint32_t passed = 0;
  for (; is_pair(names) && CAR(names) != id; names = CDR(names)) passed++;
  charge(passed / 8);
  return is_pair(names);
}

/* ---- top levels ---- */
static bool is_internal(Value symbol) {
  Value name = SYM(symbol)->name;
  return STR_LENGTH(name) > 1 && string_char(name, 0) == '%';
}

/* A table entry, unless memory is short. */
static bool put(Value *table, Value key, Value value) {
  if (*table == V_FALSE) *table = table_make(TABLE_EQ, false);
  if (!table_room(*table)) return false;
  table_set(*table, key, value);
  return true;
}

static bool is_noted(Value top, Value symbol) {
  return ENV(top)->noted != V_FALSE && table_get(ENV(top)->noted, symbol, V_FALSE) != V_FALSE;
}

/* What the program cannot redefine, and what its library assigns, it shares. */
static bool is_shared(Value binding) {
  return !IS(binding, T_CELL) || CELL(binding)->value == V_UNBOUND ||
         cell_has(binding, CELL_PROTECTED | CELL_LAZY | CELL_ASSIGNED);
}

/* What another environment's binding is for a program: mostly a copy in a cell of its own. */
static Value adopt(Value top, Value symbol, Value binding) {
  if (IS(binding, T_MACRO)) put(&ENV(top)->bindings, symbol, binding);   /* found at once the next time */
  if (is_shared(binding)) return binding;
  Value cell = copy_cell(binding);
  if (is_noted(top, symbol)) cell_clear(cell, CELL_IMPORTED | CELL_CONSTANT);
  return put(&ENV(top)->bindings, symbol, cell) ? cell : binding;
}

/* A symbol's binding at a top level before a program's own copy is made. */
static Value visible(Value top, Value symbol) {
  struct Env *e = ENV(top);
  Value binding = e->imports == V_FALSE ? V_FALSE : table_get(e->imports, symbol, V_FALSE);
  if (binding == V_FALSE && FIX_VALUE(e->kind) == ENV_REPL && !is_internal(symbol))
    binding = table_get(ENV(core_env)->bindings, symbol, V_FALSE);
  return binding;
}

static Value top_lookup(Value top, Value id) {
  struct Env *e = ENV(top);
  if (!IS(id, T_SYMBOL))
    return e->renames == V_FALSE ? V_FALSE : table_get(e->renames, id, V_FALSE);
  Value binding = table_get(e->bindings, id, V_FALSE);
  if (binding != V_FALSE) return binding;
  binding = visible(top, id);
  if (binding == V_FALSE || FIX_VALUE(e->kind) != ENV_REPL) return binding;
  return adopt(top, id, binding);
}

/* ---- looking up ---- */
Value env_lookup_place(Value env, Value id, Value *top, Value *symbol) {
  bool phase = false;
  uint32_t frames = 0;
  for (uint32_t aliases = 0;; aliases++) {
    Value at = env, found = V_FALSE;
    if (aliases >= 8) charge(1);
    while (!IS_TOP(at)) {
      if (++frames % 16 == 0) charge(1);
      enum env_kind kind = ENV_KIND(at);
      if (kind == ENV_FRAME) {
        found = frame_find(at, id);
        if (found != V_FALSE) return phase && IS(found, T_ENVVAR) ? OUT_OF_PHASE : found;
      } else if (kind == ENV_PHASE) {
        phase = true;
      } else if (listed(id, ENV(at)->bindings)) {
        at = ENV(at)->extra;
        continue;
      }
      at = ENV(at)->parent;
    }
    found = top_lookup(at, id);
    *top = at;
    *symbol = id;
    if (found != V_FALSE || !IS(id, T_SYNTAX)) return found;
    if (!listed(SYNTAX_EXPR(id), SYNTAX_FREE(id))) env = SYNTAX_ENV(id);
    id = SYNTAX_EXPR(id);
  }
}

Value env_lookup(Value env, Value id) {
  Value top, symbol;
  return env_lookup_place(env, id, &top, &symbol);
}

Value env_own_cell(Value top, Value symbol) {
  Value cell = table_get(ENV(top)->bindings, symbol, V_FALSE);
  if (IS(cell, T_CELL)) return cell;
  cell = make_cell(symbol, V_UNBOUND, 0);
  put(&ENV(top)->bindings, symbol, cell);
  return cell;
}

bool env_owns(Value top, Value id, Value cell) {
  struct Env *e = ENV(top);
  if (FIX_VALUE(e->kind) == ENV_CORE) return true;
  if (IS(id, T_SYMBOL)) return table_get(e->bindings, id, V_FALSE) == cell;
  return e->renames != V_FALSE && table_get(e->renames, id, V_FALSE) == cell;
}

/* Do two identifiers mean the same? Copies of one library binding do; and a name that is bound
   nowhere means the auxiliary keyword of that name (a library need not import `else`). */
static Value canonical(Value binding) {
  while (IS(binding, T_CELL) && cell_has(binding, CELL_IMPORTED) && CELL_ORIGIN(binding) != V_FALSE)
    binding = CELL_ORIGIN(binding);
  if (IS(binding, T_CELL) && CELL(binding)->value == V_UNBOUND && !cell_has(binding, CELL_PROTECTED))
    return V_FALSE;
  return binding;
}

static bool is_auxiliary(Value binding, Value symbol) {
  return IS(binding, T_MACRO) && MACRO_KIND(binding) == MACRO_CORE &&
         CORE_FORM(binding)->id >= F_ELSE && MACRO(binding)->name == symbol;
}

bool same_identifier(Value env1, Value id1, Value env2, Value id2) {
  Value top1, top2, symbol1, symbol2;
  Value binding1 = env_lookup_place(env1, id1, &top1, &symbol1);
  Value binding2 = env_lookup_place(env2, id2, &top2, &symbol2);
  if (binding1 != V_FALSE && binding1 == binding2) return true;
  binding1 = canonical(binding1);
  binding2 = canonical(binding2);
  if (binding1 != V_FALSE && binding2 != V_FALSE) return binding1 == binding2;
  if (identifier_symbol(id1) != identifier_symbol(id2)) return false;
  if (binding1 == V_FALSE && binding2 == V_FALSE) return true;
  return is_auxiliary(binding1 == V_FALSE ? binding2 : binding1, identifier_symbol(id1));
}

/* ---- defining ---- */
static bool is_protected(Value top, Value symbol, Value own) {
  if (ENV_KIND(top) != ENV_REPL) return false;
  Value binding = own == V_FALSE ? visible(top, symbol) : own;
  return IS(binding, T_CELL) && cell_has(binding, CELL_PROTECTED);
}

/* May the definition of an alias define the plain symbol, too? As long as that means nothing else:
   what a macro defines for itself must not change a variable of the program's, nor one that the
   same macro defined at another use. */
static bool is_free_name(Value top, Value symbol, Value own) {
  if (IS(own, T_CELL) && CELL(own)->value == V_UNBOUND && !is_noted(top, symbol) && !cell_has(own, CELL_DEFINED)) return true;
  return own == V_FALSE && (ENV_KIND(top) != ENV_REPL || visible(top, symbol) == V_FALSE);
}

static Value no_room(Value table) { return need_memory(table_bytes(2 * table_count(table))); }

/* The alias alone is bound: a cell of its own. */
static Value define_hidden(Value top, Value id, Value *cell) {
  Value known = top_lookup(top, id);
  *cell = IS(known, T_CELL) ? known : make_cell(identifier_symbol(id), V_UNBOUND, ENV_KIND(top) == ENV_REPL ? CELL_OWN : 0);
  return put(&ENV(top)->renames, id, *cell) ? V_TRUE : no_room(ENV(top)->renames);
}

/* A program defines it. */
static void note_own(Value cell) {
  int64_t flags = FIX_VALUE(CELL(cell)->flags) & ((1 << CELL_SPECIAL_SHIFT) - 1) & ~CELL_REDEFINED;
  SET_FLAG(CELL(cell)->name, H_WATCHED);
  CELL(cell)->flags = FIX(flags | CELL_OWN | (CELL(cell)->value == V_UNBOUND ? 0 : CELL_REDEFINED));
}

/* Forms may have been expanded before their turn: what does a program's top level mean by its names since then? */
uint64_t env_changes, env_version;
static void note_change(struct Env *e) {
  if (FIX_VALUE(e->kind) != ENV_REPL) return;
  env_changes++;
  env_version++;
}
/* What code that was made rests on (generate.c, primitive_of). */
static void no_longer_given(Value cell) {
  if (cell_has(cell, CELL_IMPORTED | CELL_CONSTANT | CELL_LAZY)) env_version++;
}

Value env_define_cell(Value top, Value id, Value *cell) {
  Value symbol = identifier_symbol(id), seen = V_FALSE;
  struct Env *e = ENV(top);
  Value own = table_get(e->bindings, symbol, V_FALSE);
  if (IS(id, T_SYNTAX) && !is_free_name(top, symbol, own)) return define_hidden(top, id, cell);
  if (is_protected(top, symbol, own)) return V_FALSE;
  if (!table_room(e->bindings)) return no_room(e->bindings);
  if (own == V_FALSE && FIX_VALUE(e->kind) == ENV_REPL) {
    seen = visible(top, symbol);
    if (seen != V_FALSE) own = adopt(top, symbol, seen);
    if (own == seen) own = V_FALSE;
  }
  if (FIX_VALUE(e->kind) == ENV_REPL) survey_forget();
  if (own == V_FALSE ? seen != V_FALSE || IS(id, T_SYNTAX) : seen != V_FALSE || !IS(own, T_CELL)) note_change(e);
  if (!IS(own, T_CELL)) {
    env_version++;
    own = make_cell(symbol, V_UNBOUND, 0);
    table_set(e->bindings, symbol, own);
  }
  no_longer_given(own);
  cell_clear(own, CELL_IMPORTED | CELL_CONSTANT | CELL_LAZY);
  if (FIX_VALUE(e->kind) == ENV_REPL && !cell_has(own, CELL_OWN)) note_own(own);
  if (IS(id, T_SYNTAX)) CELL(own)->flags = FIX(FIX_VALUE(CELL(own)->flags) | CELL_DEFINED);
  if (IS(id, T_SYNTAX) && !put(&e->renames, id, own)) return no_room(e->renames);
  *cell = own;
  return V_TRUE;
}

Value env_define_macro(Value top, Value id, Value macro) {
  Value symbol = identifier_symbol(id);
  struct Env *e = ENV(top);
  Value own = table_get(e->bindings, symbol, V_FALSE);
  bool alias = IS(id, T_SYNTAX);
  if (!alias && is_protected(top, symbol, own)) return V_FALSE;
  note_change(e);
  if (alias && !put(&e->renames, id, macro)) return no_room(e->renames);
  if (alias && !is_free_name(top, symbol, own)) return V_TRUE;
  return put(&e->bindings, symbol, macro) ? V_TRUE : no_room(e->bindings);
}

/* The program that is about to run defines this name: so it is a variable of the program's own,
   from its first form on. Until it is defined it has the library's value. */
void env_note(Value top, Value symbol) {
  struct Env *e = ENV(top);
  if (FIX_VALUE(e->kind) == ENV_CORE) return;
  Value own = table_get(e->bindings, symbol, V_FALSE), cell;
  if (is_protected(top, symbol, own)) return;   /* refused where it stands, with its place */
  put(&e->noted, symbol, V_TRUE);
  if (IS(own, T_MACRO) || (own == V_FALSE && visible(top, symbol) != V_FALSE)) {
    env_define_cell(top, symbol, &cell);
  } else if (IS(own, T_CELL)) {
    no_longer_given(own);
    cell_clear(own, CELL_IMPORTED | CELL_CONSTANT);
    if (FIX_VALUE(e->kind) == ENV_REPL) note_own(own);
  }
}

/* Earlier references to a name that meant nothing until now go to its cell: it takes the value. */
static void fulfil(Value own, Value binding) {
  CELL(own)->value = CELL(binding)->value;
  CELL(own)->flags = FIX(FIX_VALUE(CELL(binding)->flags) | CELL_IMPORTED);
}

void env_import(Value top, Value symbol, Value binding) {
  struct Env *e = ENV(top);
  put(&e->imports, symbol, binding);
  note_change(e);
  Value own = table_get(e->bindings, symbol, V_FALSE);
  if (own == V_FALSE || own == binding || FIX_VALUE(e->kind) == ENV_CORE) return;
  if (IS(own, T_CELL) && CELL(own)->value == V_UNBOUND && !is_shared(binding) && FIX_VALUE(e->kind) == ENV_REPL)
    fulfil(own, binding);
  else if (canonical(own) != canonical(binding) || canonical(own) == V_FALSE)
    table_remove(e->bindings, symbol);
}

/* The core environment, as C sees it: core/globals.h. */
static Value core_cell(Value symbol) { return env_own_cell(core_env, symbol); }

static void bind_keyword(Value env, Value name, Value macro) { put(&ENV(env)->bindings, name, macro); }

void expander_init(void) {
  survey_init();
  heap_root(&core_env);
  core_env = make_top(ENV_CORE, V_FALSE);
  globals_init(core_cell);
  forms_init(core_env, bind_keyword);
  library_init();
}

/* ---- primitives ---- */
#define CHECK_TOP(i) do { if (!IS(args[i], T_ENV) || !IS_TOP(args[i])) \
    return err_type(NULL, i, "environment", args[i]); } while (0)

static Value prim_core_environment(int argc, Value *args) {
  (void)argc; (void)args;
  return core_env;
}

static Value prim_make_repl_environment(int argc, Value *args) {
  (void)argc; (void)args;
  return make_top(ENV_REPL, V_FALSE);
}

static Value prim_make_environment(int argc, Value *args) {
  return make_top(ENV_LIBRARY, ARG_OR(0, V_FALSE));
}

static Value prim_is_environment(int argc, Value *args) {
  (void)argc;
  return BOOL(IS(args[0], T_ENV));
}

static Value add_names(Value table, bool all, Value names) {
  uint32_t position = 0;
  Value key, value;
  while (table != V_FALSE && table_next(table, &position, &key, &value))
    if (IS(key, T_SYMBOL) && (all || !is_internal(key)) &&
        !(IS(value, T_CELL) && CELL(value)->value == V_UNBOUND))
      names = cons(key, names);
  return names;
}

/* The core's public names, as they are when the image is made. */
static Value core_names = V_FALSE;
void env_seal(void) {
  heap_root(&core_names);
  core_names = add_names(ENV(core_env)->bindings, false, V_NIL);
}

/* (%environment-names env): every name that is bound there; one may come twice. The list's end is shared. */
static Value prim_environment_names(int argc, Value *args) {
  (void)argc;
  CHECK_TOP(0);
  struct Env *e = ENV(args[0]);
  bool repl = FIX_VALUE(e->kind) == ENV_REPL;
  uint64_t count = table_count(e->bindings) + (e->imports == V_FALSE ? 0 : table_count(e->imports));
  if (!heap_reserve(count * 16 + 64)) return need_memory(count * 16 + 64);
  charge((int64_t)count / 8);
  Value names = add_names(e->bindings, !repl, repl ? core_names : V_NIL);
  names = add_names(e->imports, true, names);
  return names;
}

/* (%environment-ref env symbol default): a variable's value; the default where it is none */
static Value prim_environment_ref(int argc, Value *args) {
  CHECK_TOP(0);
  CHECK_SYMBOL(NULL, 1);
  Value binding = env_lookup(args[0], args[1]);
  if (!IS(binding, T_CELL) || CELL(binding)->value == V_UNBOUND) return ARG_OR(2, V_FALSE);
  return CELL(binding)->value;
}

/* (%cell-name cell), (%cell-ref cell otherwise): a cell that is filled at its first use counts as bound, to void */
static Value prim_cell_name(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_CELL)) return err_type(NULL, 0, "cell", args[0]);
  return CELL(args[0])->name;
}
static Value prim_cell_ref(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_CELL)) return err_type(NULL, 0, "cell", args[0]);
  if (CELL(args[0])->value != V_UNBOUND) return CELL(args[0])->value;
  return cell_has(args[0], CELL_LAZY) ? V_VOID : args[1];
}

static Value prim_environment_define(int argc, Value *args) {
  (void)argc;
  CHECK_TOP(0);
  CHECK_SYMBOL(NULL, 1);
  Value cell, outcome = env_define_cell(args[0], args[1], &cell);
  if (outcome == V_FALSE)
    return err_failf("exn:fail:syntax", "cannot redefine scaffold binding '%q'", args[1]);
  if (outcome == V_TRUE) CELL(cell)->value = args[2];
  return outcome == V_TRUE ? V_VOID : outcome;
}

/* What a form of the program's text defines as far as one can tell without expanding it. */
static void note_define(Value top, Value form) {
  Value target = is_pair(CDR(form)) ? CADR(form) : V_FALSE;
  while (is_pair(target)) target = CAR(target);
  if (IS(target, T_SYMBOL)) env_note(top, target);
}

static void note_formals(Value top, Value form) {
  Value formals = is_pair(CDR(form)) ? CADR(form) : V_FALSE;
  for (int i = 0; is_pair(formals) && i < 100; i++, formals = CDR(formals))
    if (IS(CAR(formals), T_SYMBOL)) env_note(top, CAR(formals));
  if (IS(formals, T_SYMBOL)) env_note(top, formals);
}

enum { NOTE_NESTING = 10 };
static void note_form(Value top, Value form, int nesting) {
  if (!is_pair(form) || !IS(CAR(form), T_SYMBOL) || nesting > NOTE_NESTING || list_length(form) < 0) return;
  Value macro = head_macro(form, top);
  if (!IS(macro, T_MACRO) || MACRO_KIND(macro) != MACRO_CORE) return;
  switch (CORE_FORM(macro)->id) {
    case F_DEFINE: note_define(top, form); return;
    case F_DEFINE_VALUES: note_formals(top, form); return;
    case F_BEGIN: for (form = CDR(form); form != V_NIL; form = CDR(form)) note_form(top, CAR(form), nesting + 1); return;
    default: return;
  }
}

void env_note_form(Value top, Value form) { note_form(top, form, 0); }

/* (%protect! symbol ...): programs cannot redefine these core bindings */
static Value prim_protect(int argc, Value *args) {
  for (int i = 0; i < argc; i++) {
    CHECK_SYMBOL(NULL, i);
    Value cell = table_get(ENV(core_env)->bindings, args[i], V_FALSE);
    if (!IS(cell, T_CELL)) return err_failf("exn:fail", "%%protect!: %q is no variable of the core", args[i]);
    CELL(cell)->flags = FIX(FIX_VALUE(CELL(cell)->flags) | CELL_PROTECTED);
  }
  return V_VOID;
}

/* (%lazy! symbol): the core binding's value is a thunk; its first reference stores the result */
static Value prim_lazy(int argc, Value *args) {
  (void)argc;
  CHECK_SYMBOL(NULL, 0);
  Value cell = global_cell(args[0]);
  CELL(cell)->flags = FIX(FIX_VALUE(CELL(cell)->flags) | CELL_LAZY);
  return V_VOID;
}

const PrimDef env_prims[] = {
  {"%core-environment", prim_core_environment, 0, 0, NULL},
  {"%make-repl-environment", prim_make_repl_environment, 0, 0, NULL},
  {"%make-environment", prim_make_environment, 0, 1, NULL},
  {"environment?", prim_is_environment, 1, 1, NULL},
  {"%environment-names", prim_environment_names, 1, 1, NULL},
  {"%environment-ref", prim_environment_ref, 2, 3, NULL},
  {"%environment-define!", prim_environment_define, 3, 3, NULL},
  {"%cell-name", prim_cell_name, 1, 1, NULL},
  {"%cell-ref", prim_cell_ref, 2, 2, NULL},
  {"%protect!", prim_protect, 0, -1, NULL},
  {"%lazy!", prim_lazy, 1, 1, NULL},
  {0}
};
