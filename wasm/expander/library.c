/* library.c — define-library, import, cond-expand and include.
 *
 * The registry maps a library's name to (environment . exports), where exports is a table from the
 * name outside to the name inside. The standard libraries are such tables over the core
 * environment. A library of a program's, or of a library folder, has an environment of its own; it
 * is registered by the last form of its body, so that one whose body failed is not there.
 *
 * What needs the host (a library's text, an included file) is asked of the driver. A step that
 * asks starts again with the answer: so everything before the question is repeatable.
 */
#include "expander/library.h"
#include "core/globals.h"
#include "data/table.h"
#include "expander/env.h"
#include "expander/forms.h"
#include "expander/nodes.h"
#include "expander/syntax.h"
#include "text/string.h"
#include "text/symbol.h"
#include <stdlib.h>
#include <string.h>

static Value registry;         /* name -> (env . exports) */
static Value existing;         /* name -> #t or #f: what the driver said of libraries not registered */

void library_init(void) {
  heap_root(&registry);
  heap_root(&existing);
  registry = table_make(TABLE_EQUAL, false);
  existing = table_make(TABLE_EQUAL, false);
}

static Value find_library(Value name) { return table_get(registry, name, V_FALSE); }

static Value put(Value table, Value key, Value value) {
  if (!table_room(table)) return short_of_room();
  table_set(table, key, value);
  return V_TRUE;
}

/* A name: a proper list of identifiers, exact integers, strings; without aliases and places. */
static Value library_name(Job j, Value name, Value *out) {
  TRY_STEP(strip_syntax(name, true, out));
  bool good = list_length(*out) > 0;
  for (Value n = *out; good && n != V_NIL; n = CDR(n))
    good = IS(CAR(n), T_SYMBOL) || IS_FIX(CAR(n)) || IS(CAR(n), T_STRING);
  return good ? V_TRUE : syntax_fail(j, "a library name is a list of identifiers and integers, as in (srfi 1), got %v", name);
}

static bool is_word(Value v, const char *word) { return is_identifier(v) && identifier_symbol(v) == intern(word); }

/* ---- import sets ---- */

/* All that a library exports: a table from name to binding. */
static Value library_bindings(Value library, Value *out) {
  Value env = CAR(library), exports = CDR(library), outside, inside;
  uint32_t position = 0, count = table_count(exports);
  *out = V_FALSE;
  if (!room(table_bytes(count) + (uint64_t)count * 64)) return short_of_room();
  *out = table_make_sized(TABLE_EQ, false, count);
  charge(count / 4);
  while (table_next(exports, &position, &outside, &inside)) {
    Value binding = env_lookup(env, inside);
    table_set(*out, outside, binding == V_FALSE ? env_own_cell(env, inside) : binding);
  }
  return V_TRUE;
}

static Value not_exported(Job j, Value name, Value set) {
  return syntax_fail(j, "import: %v is not exported by the library, in %v", name, set);
}

static Value import_only(Job j, Value set, Value all, Value *out) {
  if (!room(table_bytes((uint32_t)list_length(set)))) return short_of_room();
  *out = table_make_sized(TABLE_EQ, false, (uint32_t)list_length(set));
  for (Value n = CDDR(set); n != V_NIL; n = CDR(n)) {
    Value binding = is_identifier(CAR(n)) ? table_get(all, identifier_symbol(CAR(n)), V_FALSE) : V_FALSE;
    if (binding == V_FALSE) return not_exported(j, CAR(n), set);
    table_set(*out, identifier_symbol(CAR(n)), binding);
  }
  return V_TRUE;
}

static Value import_except(Job j, Value set, Value all, Value *out) {
  for (Value n = CDDR(set); n != V_NIL; n = CDR(n))
    if (!is_identifier(CAR(n)) || !table_remove(all, identifier_symbol(CAR(n)))) return not_exported(j, CAR(n), set);
  *out = all;
  return V_TRUE;
}

static Value prefixed(Value prefix, Value name) {
  Builder b;
  builder_init(&b);
  builder_string(&b, SYM(prefix)->name);
  builder_string(&b, SYM(name)->name);
  return intern_string(builder_finish(&b));
}

static Value import_prefix(Job j, Value set, Value all, Value *out) {
  if (list_length(set) != 3 || !is_identifier(CADDR(set)))
    return syntax_fail(j, "import: expected (prefix import-set identifier), got %v", set);
  uint32_t count = table_count(all), position = 0;
  if (!room(table_bytes(count) + (uint64_t)count * 512)) return short_of_room();
  *out = table_make_sized(TABLE_EQ, false, count);
  Value name, binding;
  while (table_next(all, &position, &name, &binding))
    table_set(*out, prefixed(identifier_symbol(CADDR(set)), name), binding);
  return V_TRUE;
}

/* All old names go before the new ones come, so that two may be exchanged. */
static Value import_rename(Job j, Value set, Value all, Value *out) {
  Value renamed = V_NIL;
  for (Value n = CDDR(set); n != V_NIL; n = CDR(n)) {
    Value pair = CAR(n);
    if (list_length(pair) != 2 || !is_identifier(CAR(pair)) || !is_identifier(CADR(pair)))
      return syntax_fail(j, "import: expected (rename import-set (old new) ...), got %v", set);
    Value binding = table_get(all, identifier_symbol(CAR(pair)), V_FALSE);
    if (binding == V_FALSE) {       /* Chibi lets it pass, and its libraries rely on that */
      if (ENV_KIND(env_top(j.env)) == ENV_REPL) return not_exported(j, CAR(pair), set);
      continue;
    }
    renamed = cons(cons(identifier_symbol(CADR(pair)), binding), renamed);
  }
  for (Value n = CDDR(set); n != V_NIL; n = CDR(n)) table_remove(all, identifier_symbol(CAR(CAR(n))));
  for (; renamed != V_NIL; renamed = CDR(renamed)) TRY_STEP(put(all, CAR(CAR(renamed)), CDR(CAR(renamed))));
  *out = all;
  return V_TRUE;
}

static bool is_modifier(Value set) {
  if (!is_pair(set) || !is_pair(CDR(set)) || !is_pair(CADR(set))) return false;
  Value word = CAR(set);
  return is_word(word, "only") || is_word(word, "except") || is_word(word, "prefix") || is_word(word, "rename");
}

static Value modify(Job j, Value set, Value all, Value *out) {
  if (list_length(set) < 2) return syntax_fail(j, "import: bad import set %v", set);
  if (is_word(CAR(set), "only")) return import_only(j, set, all, out);
  if (is_word(CAR(set), "except")) return import_except(j, set, all, out);
  if (is_word(CAR(set), "prefix")) return import_prefix(j, set, all, out);
  return import_rename(j, set, all, out);
}

/* The registered library of that name, loaded where it is not there yet. */
static Value need_library(State *s, Job j, Value name, Value *library) {
  *library = find_library(name);
  if (*library != V_FALSE) {
    s->given = V_UNBOUND;      /* it was asked for and came: the answer is not for the next question */
    return V_TRUE;
  }
  Value loaded;
  TRY_STEP(ask(s, &loaded, 2, intern("%load-library"), name));
  *library = find_library(name);
  if (*library == V_FALSE) return syntax_fail(j, "import: there is no library %v", name);
  return V_TRUE;
}

static Value import_set(State *s, Job j, Value set, Value top) {
  Value modifiers = V_NIL, name, library, bindings;
  if (list_length(set) < 1) return syntax_fail(j, "import: bad import set %v; expected a library name such as (srfi 1)", set);
  for (; is_modifier(set); set = CADR(set)) modifiers = cons(set, modifiers);
  TRY_STEP(library_name(j, set, &name));
  TRY_STEP(need_library(s, j, name, &library));
  TRY_STEP(library_bindings(library, &bindings));
  for (; modifiers != V_NIL; modifiers = CDR(modifiers)) TRY_STEP(modify(j, CAR(modifiers), bindings, &bindings));
  uint32_t position = 0;
  Value symbol, binding;
  if (!room(2 * table_bytes(table_count(bindings)))) return short_of_room();
  while (table_next(bindings, &position, &symbol, &binding)) env_import(top, symbol, binding);
  return V_TRUE;
}

/* (import set ...): the item's form is the list of the sets that are left */
Value step_import(State *s, Value item) {
  Job j = item_job(item);
  if (j.form == V_NIL) return V_TRUE;
  if (!is_pair(j.form)) return syntax_fail(j, "import: expected (import import-set ...)");
  TRY_STEP(import_set(s, j, CAR(j.form), env_top(j.env)));
  ITEM(item)->form = CDR(j.form);
  return V_VOID;
}

/* ---- cond-expand ---- */
static const char *const features[] = {
  "r7rs", "exact-closed", "exact-complex", "ratios", "full-unicode", "ieee-float", "rlm-wasm", "chibi", "modules",
  "wasm", "little-endian", "uvector", "complex", "else", NULL,
};

static bool is_feature(Value symbol) {
  Value name = SYM(symbol)->name;
  for (int i = 0; features[i]; i++) {
    uint32_t n = (uint32_t)strlen(features[i]), k = 0;
    if (n != STR_LENGTH(name)) continue;
    while (k < n && string_char(name, k) == (uint8_t)features[i][k]) k++;
    if (k == n) return true;
  }
  return false;
}

/* srfi-1 stands for (library (srfi 1)) */
static bool is_srfi_feature(Value symbol) {
  Value name = SYM(symbol)->name;
  int64_t n = 0;
  const char *srfi = "srfi-";
  if (STR_LENGTH(name) < 6 || STR_LENGTH(name) > 9) return false;
  for (uint32_t i = 0; i < STR_LENGTH(name); i++) {
    uint32_t c = string_char(name, i);
    if (i < 5 ? c != (uint32_t)srfi[i] : c < '0' || c > '9') return false;
    if (i >= 5) n = n * 10 + (c - '0');
  }
  return find_library(list_n(2, intern("srfi"), FIX(n))) != V_FALSE;
}

static Value library_exists(State *s, Job j, Value name, bool *yes) {
  Value known, answer;
  TRY_STEP(library_name(j, name, &name));
  *yes = true;
  if (find_library(name) != V_FALSE) return V_TRUE;
  known = table_get(existing, name, V_DEFAULT);
  if (known == V_DEFAULT) {
    TRY_STEP(ask(s, &answer, 2, intern("%library-exists?"), name));
    known = BOOL(TRUTH(answer));
    TRY_STEP(put(existing, name, known));
  }
  *yes = TRUTH(known);
  return V_TRUE;
}

enum { REQUIREMENT_NESTING = 100, REQUIREMENTS_MOST = 1000 };

static Value requirement(State *s, Job j, Value r, int nesting, bool *yes) {
  *yes = false;
  if (is_identifier(r)) {
    *yes = is_feature(identifier_symbol(r)) || is_srfi_feature(identifier_symbol(r));
    return V_TRUE;
  }
  if (nesting > REQUIREMENT_NESTING || list_length(r) < 1 || list_length(r) > REQUIREMENTS_MOST)
    return syntax_fail(j, "cond-expand: bad feature requirement %v", r);
  if (is_word(CAR(r), "library") && list_length(r) == 2) return library_exists(s, j, CADR(r), yes);
  bool all = is_word(CAR(r), "and");
  if (is_word(CAR(r), "not") && list_length(r) == 2) {
    TRY_STEP(requirement(s, j, CADR(r), nesting + 1, yes));
    *yes = !*yes;
    return V_TRUE;
  }
  if (!all && !is_word(CAR(r), "or")) return syntax_fail(j, "cond-expand: bad feature requirement %v", r);
  *yes = all;
  for (r = CDR(r); r != V_NIL && *yes == all; r = CDR(r)) TRY_STEP(requirement(s, j, CAR(r), nesting + 1, yes));
  return V_TRUE;
}

/* The forms of the first clause whose requirement holds. Many clauses are looked at in pieces: the state's walk is what is left. */
static Value choose_clause(State *s, Job j, Value *forms) {
  *forms = V_NIL;
  Value left = s->walk;
  s->walk = V_FALSE;
  if (!is_pair(left)) {
    if (list_length(j.form) < 0) return bad_shape(j);
    left = CDR(j.form);
  }
  int count = 0;
  for (Value c = left; c != V_NIL; c = CDR(c)) {
    bool yes;
    if (++count % 64 == 0 && (charge(16), should_pause())) {
      s->walk = c;
      return V_AGAIN;
    }
    if (list_length(CAR(c)) < 1) return syntax_fail(j, "cond-expand: each clause must be [requirement form ...], got %v", CAR(c));
    TRY_STEP(requirement(s, j, CAR(CAR(c)), 0, &yes));
    if (!yes) continue;
    *forms = CDR(CAR(c));
    return V_TRUE;
  }
  return V_TRUE;
}

Value rewrite_cond_expand(State *s, Job j, Value *out) {
  Value forms;
  TRY_STEP(choose_clause(s, j, &forms));
  *out = cons_at(core_keyword(F_BEGIN), forms, pair_place(j.form));
  return V_TRUE;
}

/* ---- include ---- */

/* Do all of the paths begin with ../ ? */
static bool lead_upwards(Value paths) {
  for (Value p = paths; is_pair(p); p = CDR(p)) {
    Value path = CAR(p);
    if (STR_LENGTH(path) < 3 || string_char(path, 0) != '.' || string_char(path, 1) != '.' || string_char(path, 2) != '/') return false;
  }
  return is_pair(paths);
}

/* A file is looked for beside its library's: ../x of the library (a b c) is x of (a b). What leads out of the
   library folder stays as it is, for the host to refuse. */
static Value resolve_upwards(Value *paths, Value *library) {
  while (lead_upwards(*paths) && is_pair(*library) && list_length(*library) > 1) {
    uint64_t bytes = 64 * (uint64_t)list_length(*library);
    for (Value p = *paths; is_pair(p); p = CDR(p)) bytes += 4ull * STR_LENGTH(CAR(p)) + 96;
    if (!room(bytes)) return short_of_room();
    List inner, outer;
    list_start(&inner);
    list_start(&outer);
    for (Value p = *paths; is_pair(p); p = CDR(p)) list_add(&inner, string_substring(CAR(p), 3, STR_LENGTH(CAR(p))));
    for (Value n = *library; CDR(n) != V_NIL; n = CDR(n)) list_add(&outer, CAR(n));
    *paths = inner.head;
    *library = outer.head;
  }
  return V_TRUE;
}

static Value included_forms(State *s, Job j, Value library, Value *forms) {
  Value paths;
  if (list_length(j.form) < 2) return bad_shape(j);
  for (Value p = CDR(j.form); p != V_NIL; p = CDR(p))
    if (!IS(CAR(p), T_STRING)) return syntax_fail(j, "include: expected a string, got %v", CAR(p));
  TRY_STEP(strip_syntax(CDR(j.form), true, &paths));
  TRY_STEP(resolve_upwards(&paths, &library));
  TRY_STEP(ask(s, forms, 6, intern("%include"), paths, BOOL(is_word(CAR(j.form), "include-ci")), library,
               FIX(PLACE_LINE(j.place)), FIX(PLACE_COLUMN(j.place))));
  if (list_length(*forms) < 0) return syntax_fail(j, "include: the file could not be read");
  return V_TRUE;
}

Value rewrite_include(State *s, Job j, Value *out) {
  Value forms;
  TRY_STEP(included_forms(s, j, ENV(env_top(j.env))->name, &forms));
  *out = cons_at(core_keyword(F_BEGIN), forms, pair_place(j.form));
  return V_TRUE;
}

/* ---- define-library ----
 * The item: form, the declaration at hand (V_UNBOUND: take the next one; at first, the whole
 * define-library form); b, the declarations after it; a, the forms of the body, last first;
 * c, #f at first, then (environment . exports); name, the library's. */
static Value start_library(Value item, Job j) {
  Value name;
  if (list_length(j.form) < 2) return bad_shape(j);
  TRY_STEP(library_name(j, CADR(j.form), &name));
  struct Item *i = ITEM(item);
  i->c = cons(make_top(ENV_LIBRARY, name), table_make(TABLE_EQ, false));
  i->name = name;
  i->a = V_NIL;
  i->b = CDDR(j.form);
  i->form = V_UNBOUND;
  return V_VOID;
}

static Value add_export(Job j, Value exports, Value outside, Value inside) {
  if (!is_identifier(outside) || !is_identifier(inside))
    return syntax_fail(j, "export: expected a name or (rename inside outside), got %v", inside);
  return put(exports, identifier_symbol(outside), identifier_symbol(inside));
}

/* Who imports a library goes through its names in one go. */
enum { EXPORTS_MOST = 1 << 15 };
static Value check_exports(Job j, uint32_t count) {
  return count < EXPORTS_MOST ? V_TRUE : syntax_fail(j, "export: more than %d names; make several libraries", (int)EXPORTS_MOST);
}

static Value declare_export(Job j, Value exports) {
  for (Value e = CDR(j.form); e != V_NIL; e = CDR(e)) {
    TRY_STEP(check_exports(j, table_count(exports)));
    Value spec = CAR(e);
    if (list_length(spec) == 3 && is_word(CAR(spec), "rename")) TRY_STEP(add_export(j, exports, CADDR(spec), CADR(spec)));
    else TRY_STEP(add_export(j, exports, spec, spec));
  }
  return V_TRUE;
}

/* The forms of a body, in front of those that came before, reversed. */
static Value add_forms(Value item, Value forms) {
  for (; is_pair(forms); forms = CDR(forms)) {
    if (!room(16)) return short_of_room();
    ITEM(item)->a = cons(CAR(forms), ITEM(item)->a);
  }
  return V_TRUE;
}

/* More declarations, in the place of this one. */
static Value more_declarations(Value item, Value declarations) {
  Value rest = ITEM(item)->b, head = rest, last = V_NIL;
  for (; is_pair(declarations); declarations = CDR(declarations)) {
    if (!room(16)) return short_of_room();
    Value pair = cons(CAR(declarations), rest);
    if (last == V_NIL) head = pair; else CDR(last) = pair;
    last = pair;
  }
  ITEM(item)->b = head;
  return V_TRUE;
}

/* (include-shared "path"): what Chibi has in C, and the core offers as the library (%native "path") */
static Value declare_shared(State *s, Job j, Value env) {
  for (Value p = CDR(j.form); p != V_NIL; p = CDR(p)) {
    Value name = list_n(2, intern("%native"), CAR(p));
    if (find_library(name) == V_FALSE)
      return syntax_fail(j, "include-shared: the native module %v is not available", CAR(p));
    TRY_STEP(import_set(s, j, name, env));
  }
  return V_TRUE;
}

static Value declare_imports(State *s, Value item, Job j, Value env) {
  while (CDR(j.form) != V_NIL) {       /* one at a time: a load in between starts this step again */
    TRY_STEP(import_set(s, j, CADR(j.form), env));
    j.form = ITEM(item)->form = cons_at(CAR(j.form), CDDR(j.form), j.place);
  }
  return V_TRUE;
}

/* (alias-for name): this library is that one */
static Value declare_alias(State *s, Value item, Job j) {
  Value name, library;
  if (list_length(j.form) != 2) return syntax_fail(j, "alias-for: expected (alias-for library-name)");
  TRY_STEP(library_name(j, CADR(j.form), &name));
  TRY_STEP(need_library(s, j, name, &library));
  ITEM(item)->c = cons(CAR(library), CDR(library));
  return V_TRUE;
}

static Value declaration(State *s, Value item, Job j) {
  Value env = CAR(ITEM(item)->c), exports = CDR(ITEM(item)->c), word = CAR(j.form), forms;
  if (is_word(word, "export")) return declare_export(j, exports);
  if (is_word(word, "import")) return declare_imports(s, item, j, env);
  if (is_word(word, "begin") || is_word(word, "body")) return add_forms(item, CDR(j.form));
  if (is_word(word, "include") || is_word(word, "include-ci")) {
    TRY_STEP(included_forms(s, j, ENV(env)->name, &forms));
    return add_forms(item, forms);
  }
  if (is_word(word, "include-library-declarations")) {
    TRY_STEP(included_forms(s, j, ENV(env)->name, &forms));
    return more_declarations(item, forms);
  }
  if (is_word(word, "cond-expand")) {
    TRY_STEP(choose_clause(s, j, &forms));
    return more_declarations(item, forms);
  }
  if (is_word(word, "include-shared") || is_word(word, "include-shared-optionally")) return declare_shared(s, j, env);
  if (is_word(word, "alias-for")) return declare_alias(s, item, j);
  if (is_word(word, "export-all")) { ENV(env)->extra = V_TRUE; return V_TRUE; }
  if (is_word(word, "error") && list_length(j.form) > 1)        /* how some say in a cond-expand what they miss */
    return syntax_fail(j, "the library %v cannot be loaded here, it says: %v", ENV(env)->name, CADR(j.form));
  return syntax_fail(j, "define-library: expected export, import, begin, include or cond-expand, got %v", j.form);
}

/* The body's forms, and last the one that registers the library. */
static Value finish_library(State *s, Value item) {
  Value env = CAR(ITEM(item)->c), exports = CDR(ITEM(item)->c);
  Value registrar = CELL(global_cell(intern("%register-library!")))->value;
  Value name = list_n(2, core_keyword(F_QUOTE), ITEM(item)->name);
  Value forms = list_n(1, list_n(4, registrar, name, env, exports));
  for (Value f = ITEM(item)->a; f != V_NIL; f = CDR(f)) {
    if (!room(16)) return short_of_room();
    forms = cons(CAR(f), forms);
  }
  Value request = make_vector(3, intern("%splice"));
  VEC(request)[1] = forms;
  VEC(request)[2] = env;
  s->done = request;
  return V_TRUE;
}

Value step_library(State *s, Value item) {
  struct Item *i = ITEM(item);
  Job j = item_job(item);
  if (i->c == V_FALSE) return start_library(item, j);
  if (j.form == V_UNBOUND) {
    if (i->b == V_NIL) return finish_library(s, item);
    i->form = CAR(i->b);
    i->b = CDR(i->b);
    return V_VOID;
  }
  if (list_length(j.form) < 1) return syntax_fail(j, "define-library: expected a declaration, got %v", j.form);
  if (pair_place(j.form)) j.place = pair_place(j.form);
  TRY_STEP(declaration(s, item, j));
  i->form = V_UNBOUND;
  return V_VOID;
}

/* ---- primitives ---- */
static Value export_all(Value env, Value exports) {
  uint32_t position = 0;
  Value name, binding;
  Job j = {.form = ENV(env)->name, .env = env, .place = 0, .name = V_FALSE};
  TRY_STEP(check_exports(j, table_count(ENV(env)->bindings)));
  while (table_next(ENV(env)->bindings, &position, &name, &binding)) {
    if (!table_room(exports)) return need_memory(table_bytes(table_count(exports) * 2));
    table_set(exports, name, name);
  }
  return V_TRUE;
}

/* (%register-library! name env exports): the last form of a library's body */
static Value prim_register_library(int argc, Value *args) {
  (void)argc;
  if (!IS(args[1], T_ENV)) return err_type(NULL, 1, "environment", args[1]);
  if (!IS(args[2], T_TABLE)) return err_type(NULL, 2, "table", args[2]);
  if (!table_room(registry)) return need_memory(table_bytes(table_count(registry) * 2));
  if (ENV(args[1])->extra == V_TRUE) TRY_STEP(export_all(args[1], args[2]));
  table_set(registry, args[0], cons(args[1], args[2]));
  return V_VOID;
}

/* (%define-core-library! name (name-or-(internal . external) ...)): bindings of the core environment */
static Value prim_define_core_library(int argc, Value *args) {
  (void)argc;
  int64_t count = list_length(args[1]);
  if (count < 0) return err_type(NULL, 1, "list", args[1]);
  uint64_t bytes = table_bytes((uint32_t)count) + table_bytes(table_count(registry) * 2);
  if (!heap_reserve(bytes)) return need_memory(bytes);
  Value exports = table_make_sized(TABLE_EQ, false, (uint32_t)count), name = args[0];
  for (Value e = args[1]; e != V_NIL; e = CDR(e)) {
    Value inside = is_pair(CAR(e)) ? CAR(CAR(e)) : CAR(e), outside = is_pair(CAR(e)) ? CDR(CAR(e)) : CAR(e);
    if (!IS(inside, T_SYMBOL) || !IS(outside, T_SYMBOL))
      return err_failf("exn:fail", "%%define-core-library!: bad entry %v in %v", CAR(e), args[0]);
    table_set(exports, outside, inside);
  }
  Value outcome = strip_syntax(args[0], true, &name);
  if (outcome != V_TRUE) return outcome;
  table_set(registry, name, cons(core_environment(), exports));
  return V_VOID;
}

/* (features): R7RS */
static Value prim_features(int argc, Value *args) {
  (void)argc; (void)args;
  Value list = V_NIL;
  for (int i = sizeof features / sizeof *features - 2; i >= 0; i--)
    if (strcmp(features[i], "else")) list = cons(intern(features[i]), list);
  return list;
}

const PrimDef library_prims[] = {
  {"%register-library!", prim_register_library, 3, 3, NULL},
  {"%define-core-library!", prim_define_core_library, 2, 2, NULL},
  {"features", prim_features, 0, 0, NULL},
  {0}
};
