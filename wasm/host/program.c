/* program.c — a program from its message to thunks, and a plain value to its message, each in one step.
 *
 * Most programs are small, and most of their forms need nothing of the driver in runtime/boot.scm: so what
 * it would do in many steps of the machine is done here in one, and what is out of the ordinary is left to it.
 */
#include "compiler/generate.h"
#include "core/globals.h"
#include "core/prims.h"
#include "core/slip.h"
#include "core/template.h"
#include "data/table.h"
#include "expander/env.h"
#include "expander/expand.h"
#include "expander/forms.h"
#include "host/boot.h"
#include "host/driver.h"
#include "host/mailbox.h"
#include "host/plain.h"
#include "io/cbor.h"
#include "io/port.h"
#include "io/printer.h"
#include "io/reader.h"
#include "numbers/numprint.h"
#include "text/string.h"
#include "text/symbol.h"
#include "text/utf8.h"
#include "vm/machine.h"
#include <string.h>

/* ---- the message ---- */
enum { PLAIN_BYTES = 16 * 1024 };       /* a longer message is decoded in pieces, by %cbor-decode */

static const char EVAL_SOURCE[] = "\x82\x64" "eval" "\xa2\x66" "source", NAME[] = "\x64" "name";

/* A text of definite length in front of `end`; NULL: none. */
static const uint8_t *take_text(const uint8_t *at, const uint8_t *end, const uint8_t **text, uint32_t *length) {
  PlainReader r = {at, end, 0};
  int major;
  uint64_t n;
  if (!take_head(&r, &major, &n) || major != TEXT_STRING || (uint64_t)(end - r.at) < n || !ascii_bytes(r.at, (size_t)n)) return NULL;
  *text = r.at;
  *length = (uint32_t)n;
  return r.at + n;
}
static const uint8_t *take_literal(const uint8_t *at, const uint8_t *end, const char *literal, uint32_t length) {
  return at && (uint32_t)(end - at) >= length && memcmp(at, literal, length) == 0 ? at + length : NULL;
}

/* (source . name) of a waiting eval message that has nothing else, in ASCII, and is no longer than `most` bytes; else #f. */
static Value eval_message(uint32_t most) {
  if (!m.message_waiting || BYTES_LENGTH(m.inbox) > most) return V_FALSE;
  const uint8_t *at = BYTES(m.inbox), *end = at + BYTES_LENGTH(m.inbox), *source, *name;
  uint32_t source_length, name_length;
  at = take_literal(at, end, EVAL_SOURCE, sizeof EVAL_SOURCE - 1);
  if (!at || !(at = take_text(at, end, &source, &source_length))) return V_FALSE;
  at = take_literal(at, end, NAME, sizeof NAME - 1);
  if (!at || take_text(at, end, &name, &name_length) != end) return V_FALSE;
  charge((int64_t)(end - at) / 64);
  return cons(string_from_chars(source, 1, source_length), string_from_chars(name, 1, name_length));
}
static void take_message(void) {
  m.message_waiting = m.fresh = false;
  m.inbox = V_FALSE;
}

/* (%eval-message): that of a message of any length, which is taken; where there is none, the message waits on. */
static Value prim_eval_message(int argc, Value *args) {
  (void)argc, (void)args;
  Value program = eval_message(PLAIN_BYTES);
  if (program != V_FALSE) take_message();
  return program;
}

/* ---- the text ---- */
/* The form that was read last; a name alone gets the place at which it stands. */
static Value placed(Value form, Value reader) { return IS(form, T_SYMBOL) ? form_at(form, reader_place(reader)) : form; }

/* (%read-all text name): its forms. What was read is kept in vm.resume while it goes on. */
enum { P_READER, P_FIRST, P_LAST, P_SLOTS };
static Value prim_read_all(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  Value state = vm.resume;
  if (state == V_FALSE) {
    state = make_vector(P_SLOTS, V_NIL);
    VEC(state)[P_READER] = reader_of_program(args[0], args[1]);
  }
  for (;;) {
    Value form = reader_next(VEC(state)[P_READER]);
    if (form == V_EOF) return VEC(state)[P_FIRST];
    if (!IS_SIGNAL(form)) {
      Value pair = cons(placed(form, VEC(state)[P_READER]), V_NIL);
      if (VEC(state)[P_FIRST] == V_NIL) VEC(state)[P_FIRST] = pair; else CDR(VEC(state)[P_LAST]) = pair;
      VEC(state)[P_LAST] = pair;
      if (!should_pause()) continue;
      form = V_AGAIN;
    }
    if (form == V_AGAIN) vm.resume = state;
    return form;
  }
}

/* (%note-program! env forms): what its forms define is known before the first is expanded. Whether one of them
   defines a struct. */
static Value prim_note_program(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_ENV) || !IS_TOP(args[0])) return err_type(NULL, 0, "top-level environment", args[0]);
  Value forms = args[1], structs = V_FALSE;
  if (is_pair(vm.resume)) { forms = CAR(vm.resume); structs = CDR(vm.resume); }
  for (; is_pair(forms); forms = CDR(forms)) {
    Value form = CAR(forms);
    if (!is_pair(form)) continue;
    env_note_form(args[0], form);
    if (CAR(form) == intern("struct") || CAR(form) == intern("define-struct")) structs = V_TRUE;
    charge(1);
    if (should_pause() && is_pair(CDR(forms))) { vm.resume = cons(CDR(forms), structs); return V_AGAIN; }
  }
  return structs;
}

/* ---- its forms ---- */
/* (%compile-form form env name record): a thunk; or, where its expansion needs the driver, a pair of the expansion's
   state and the request (see expander/expand.c); of a form that was expanded ahead #f and the splice. vm.resume: the state while it is expanded, then #t.
   record: #f, or a vector whose first element lists the trees of a program, the last first: this one is added. */
static void keep_tree(Value record, Value tree) {
  if (record != V_FALSE) VEC(record)[0] = cons(tree, VEC(record)[0]);
}
/* A form that was expanded ahead, or one of a program that may be run again, stands in its list as #(tag tree form plain? thunk
   version again? asked quotes?): plain? says that the tree needs no analysis; the thunk is its code as long as env_version is this one, a tree without one
   is that of the execution of this number. #f: not yet. again?: whether it is of a program that is kept; IN_DOUBT: as long as the driver is asked
   for something. Nobody else has the tag. */
#define IN_DOUBT FIX(0)
enum { EXPANDED_TAG, EXPANDED_TREE, EXPANDED_FORM, EXPANDED_PLAIN, EXPANDED_THUNK, EXPANDED_VERSION, EXPANDED_AGAIN, EXPANDED_ASKED, EXPANDED_QUOTES, EXPANDED_SLOTS };
static Value expanded_tag, splice_symbol;
static Value compiled_form, compiled_tree;      /* what %compile-form is at, where its code is to be kept in it */
static uint64_t changes_before;        /* env_changes before its expansion */
static uint64_t changes_then;          /* env_changes when forms were last expanded ahead */
static uint64_t executions;            /* begun here */
void program_init(void) {
  heap_root(&expanded_tag);
  heap_root(&splice_symbol);
  heap_root(&compiled_form);
  heap_root(&compiled_tree);
  compiled_form = compiled_tree = V_FALSE;
  expanded_tag = cons(V_FALSE, V_NIL);
  splice_symbol = intern("%splice");
}
static bool is_expanded(Value form) {
  return IS(form, T_VECTOR) && VEC_LENGTH(form) == EXPANDED_SLOTS && VEC(form)[EXPANDED_TAG] == expanded_tag;
}
static Value make_expanded(Value form, Value tree, Value plain, Value again) {
  Value expanded = heap_object(T_VECTOR, 0, EXPANDED_SLOTS), *slot = VEC(expanded);
  slot[EXPANDED_TAG] = expanded_tag;
  slot[EXPANDED_TREE] = tree;
  slot[EXPANDED_FORM] = form;
  slot[EXPANDED_PLAIN] = plain;
  slot[EXPANDED_THUNK] = V_FALSE;
  slot[EXPANDED_VERSION] = FIX(executions);
  slot[EXPANDED_AGAIN] = again;
  slot[EXPANDED_ASKED] = V_NIL;
  slot[EXPANDED_QUOTES] = V_FALSE;
  return expanded;
}
static Value own_form(Value form) { return is_expanded(form) ? VEC(form)[EXPANDED_FORM] : form; }
static bool has_code(Value form) {
  return VEC(form)[EXPANDED_THUNK] != V_FALSE && VEC(form)[EXPANDED_VERSION] == FIX(env_version) &&
         (VEC(form)[EXPANDED_ASKED] == V_NIL || answers_still_hold(VEC(form)[EXPANDED_ASKED]));
}
/* Its tree, where that means today what it meant then: eval, it may be, has defined a macro. */
static Value tree_of(Value form) {
  bool ahead = VEC(form)[EXPANDED_THUNK] == V_FALSE && VEC(form)[EXPANDED_VERSION] == FIX(executions) && changes_then == env_changes;
  return ahead || has_code(form) ? VEC(form)[EXPANDED_TREE] : V_FALSE;
}
static void put_tree(Value form, Value tree, Value plain) {
  VEC(form)[EXPANDED_TREE] = tree;
  VEC(form)[EXPANDED_PLAIN] = plain;
  VEC(form)[EXPANDED_THUNK] = V_FALSE;
  VEC(form)[EXPANDED_VERSION] = FIX(executions);
}

/* The pairs of the quoted lists of a form's code. */
enum { QUOTED_PAIRS = 64, QUOTED_DEEP = 8 };
typedef struct { Value pairs[QUOTED_PAIRS]; int count; } Quoted;
/* A quoted list of atoms and such lists, in which no pair is met twice, nor in another one of them: a copy would show. And that is small. */
static bool is_quotable(Value v, Quoted *met, int deep) {
  for (; is_pair(v); v = CDR(v)) {
    for (int i = 0; i < met->count; i++) if (met->pairs[i] == v) return false;
    if (met->count == QUOTED_PAIRS || !deep) return false;
    met->pairs[met->count++] = v;
    if (!is_quotable(CAR(v), met, deep - 1)) return false;
  }
  return IS_FIX(v) || IS(v, T_SPECIAL) || IS(v, T_CHAR) || IS(v, T_SYMBOL) || IS(v, T_KEYWORD) || IS(v, T_FLONUM) ||
         (IS(v, T_STRING) && OBJ_FLAGS(v) & H_IMMUTABLE);
}
static Value copy_of_quoted(Value v) {
  List list = EMPTY_LIST;
  for (; is_pair(v); v = CDR(v)) list_add_pair(&list, cons_at(copy_of_quoted(CAR(v)), V_NIL, pair_place(v)));
  if (list.head == V_NIL) return v;
  CDR(list.last) = v;
  return list.head;
}

/* Code may be run again where nothing that it holds can be changed. A quoted list can: so each run has its own, where it is the code of a form itself,
   and not of a procedure in it, which may live on. Looks at so many constants at the most. */
static bool is_pure(Value template, int *looked, Quoted *quoted) {
  struct Template *t = TEMPLATE(template);
  for (uint32_t i = 0; i < OBJ_LENGTH(template) - TEMPLATE_FIXED; i++) {
    Value v = TEMPLATE_CONSTS(t)[i];
    if (--*looked < 0) return false;
    if (IS_FIX(v)) continue;
    switch (TAG(v)) {
      case T_SPECIAL: case T_CHAR: case T_PRIM: case T_FLONUM: case T_BIGNUM: case T_RATIO: case T_COMPLEX: case T_SYMBOL: case T_KEYWORD:
      case T_CELL: case T_REGEXP: case T_RTD: case T_CASE: break;
      case T_STRING: case T_BYTES: if (!(OBJ_FLAGS(v) & H_IMMUTABLE)) return false; break;
      case T_TEMPLATE: if (!is_pure(v, looked, NULL)) return false; break;
      case T_CLOSURE: if (OF_PROGRAM(TEMPLATE(CLOSURE_TEMPLATE(v))) && !is_pure(CLOSURE_TEMPLATE(v), looked, NULL)) return false; break;
      case T_PAIR: case T_LPAIR: if (!quoted || !is_quotable(v, quoted, QUOTED_DEEP)) return false; break;
      default: return false;
    }
  }
  return true;
}
/* The code of a form for one run. What is kept (and the form and its tree, which have the same lists) is never seen by a program. */
static Value code_to_run(Value form) {
  Value code = VEC(form)[EXPANDED_THUNK];
  if (VEC(form)[EXPANDED_QUOTES] == V_FALSE) return code;
  Value kept = CLOSURE_TEMPLATE(code), own = heap_object(T_TEMPLATE, 0, OBJ_LENGTH(kept)), closure = heap_object(T_CLOSURE, 0, 1);
  memcpy(SLOTS(own), SLOTS(kept), OBJ_LENGTH(kept) * sizeof(Value));
  for (uint32_t i = 0; i < OBJ_LENGTH(own) - TEMPLATE_FIXED; i++)
    if (is_pair(TEMPLATE_CONSTS(TEMPLATE(own))[i])) TEMPLATE_CONSTS(TEMPLATE(own))[i] = copy_of_quoted(TEMPLATE_CONSTS(TEMPLATE(own))[i]);
  CLOSURE_TEMPLATE(closure) = own;
  return closure;
}
/* The program is read anew, should it come again: what it quotes is the program's own then, and so are its macros. */
static void do_not_keep(Value form) { if (is_expanded(form)) VEC(form)[EXPANDED_AGAIN] = V_FALSE; }
static Value compile_on(void) {
  enum { CONSTANTS_LOOKED_AT = 200 };
  Value code = compile_run();
  if (IS_SIGNAL(code) || compiled_form == V_FALSE) return code;
  int looked = CONSTANTS_LOOKED_AT;
  Quoted quoted;
  quoted.count = 0;
  if (changes_before == env_changes && is_pure(CLOSURE_TEMPLATE(code), &looked, &quoted)) {
    VEC(compiled_form)[EXPANDED_TREE] = compiled_tree;
    VEC(compiled_form)[EXPANDED_THUNK] = code;
    VEC(compiled_form)[EXPANDED_VERSION] = FIX(env_version);
    VEC(compiled_form)[EXPANDED_QUOTES] = BOOL(quoted.count);
    code = code_to_run(compiled_form);
  } else {
    do_not_keep(compiled_form);
  }
  compiled_form = compiled_tree = V_FALSE;
  return code;
}
/* Its code is to be kept in the form, where that is one of those. */
static Value begin_compiling(Value form, Value tree, Value name, bool plain) {
  compiled_form = is_expanded(form) && VEC(form)[EXPANDED_AGAIN] == V_TRUE ? form : V_FALSE;
  compiled_tree = tree;
  if (compiled_form != V_FALSE) VEC(form)[EXPANDED_TREE] = VEC(form)[EXPANDED_THUNK] = V_FALSE;   /* a tree is compiled once */
  if (plain) compile_begin_plain(tree, name);
  else compile_begin(tree, name);
  vm.resume = V_TRUE;
  return compile_on();
}
/* (%expanded form tree) */
static Value prim_expanded(int argc, Value *args) { (void)argc; return make_expanded(args[0], args[1], V_FALSE, V_FALSE); }

/* (%expand-list! look forms env library): each form, in its place, becomes what it is expanded to,
   and its tree comes before those in look[0]. look[4] is where it is, look[6] its environment; look[5] what comes
   after the forms of (begin form ...), lists of forms with their environments. #t; or, where a form's expansion needs
   the driver, a pair of the expansion's state and the request; the condition where one cannot be expanded; #f at a
   form that begins with `library`. vm.resume: the state, or #t between two forms. */
enum { LOOK_TREES = 0, LOOK_HERE = 4, LOOK_AFTER, LOOK_ENV, LOOK_SLOTS };

static Value expand_ahead(Value *args) {
  if (!IS(args[0], T_VECTOR) || VEC_LENGTH(args[0]) != LOOK_SLOTS) return err_type(NULL, 0, "vector", args[0]);
  Value *look = VEC(args[0]), forms = args[1], env = args[2], state = V_FALSE;
  if (vm.resume != V_FALSE) {
    forms = look[LOOK_HERE];
    env = look[LOOK_ENV];
    if (vm.resume != V_TRUE) state = vm.resume;
  }
  for (;;) {
    if (!is_pair(forms)) {
      if (!is_pair(look[LOOK_AFTER])) return V_TRUE;
      forms = CAR(CAR(look[LOOK_AFTER]));
      env = CDR(CAR(look[LOOK_AFTER]));
      look[LOOK_AFTER] = CDR(look[LOOK_AFTER]);
      continue;
    }
    Value form = CAR(forms), kept = is_expanded(form) ? form : V_FALSE, tree = V_FALSE;
    look[LOOK_HERE] = forms;
    look[LOOK_ENV] = env;
    if (!IS(env, T_ENV)) return err_type(NULL, 2, "environment", env);
    if (kept != V_FALSE && state == V_FALSE && (tree = tree_of(kept)) != V_FALSE) {
      if (IS_FIX(VEC(tree)[0])) {
        look[LOOK_TREES] = cons(tree, look[LOOK_TREES]);
        forms = CDR(forms);
      } else {
        look[LOOK_AFTER] = cons(cons(CDR(forms), env), look[LOOK_AFTER]);
        forms = VEC(tree)[1];
        env = VEC(tree)[2];
      }
      continue;
    }
    tree = V_FALSE;
    form = own_form(form);
    uint64_t changes = env_changes;
    if (state == V_FALSE) {
      if (is_pair(form) && CAR(form) == args[3]) return V_FALSE;
      tree = expansion_at_once(form, env);
    }
    Value plain = BOOL(tree != V_FALSE);
    if (tree == V_FALSE) {
      if (state == V_FALSE) state = expansion_begin(form, env);
      tree = expansion_run(state);
      if (tree == V_AGAIN) vm.resume = state;
      if (tree == V_ERROR) return vm.error;
      if (IS_SIGNAL(tree)) return tree;
      if (!IS_FIX(VEC(tree)[0])) {
        if (VEC(tree)[0] != splice_symbol) {
          do_not_keep(kept);
          CAR(forms) = form;
          return cons(state, tree);
        }
        do_not_keep(kept);
        CAR(forms) = make_expanded(form, tree, V_FALSE, V_FALSE);
        look[LOOK_AFTER] = cons(cons(CDR(forms), env), look[LOOK_AFTER]);
        forms = look[LOOK_HERE] = VEC(tree)[1];         /* a list of its own, to be written to */
        env = look[LOOK_ENV] = VEC(tree)[2];
        state = V_FALSE;
        if (!should_pause()) continue;
        vm.resume = V_TRUE;
        return V_AGAIN;
      }
      state = V_FALSE;
    }
    if (changes != env_changes) do_not_keep(kept);
    if (kept != V_FALSE) put_tree(kept, tree, plain);
    else CAR(forms) = make_expanded(form, tree, plain, V_FALSE);
    look[LOOK_TREES] = cons(tree, look[LOOK_TREES]);
    forms = CDR(forms);
    if (should_pause() && is_pair(forms)) {
      look[LOOK_HERE] = forms;
      vm.resume = V_TRUE;
      return V_AGAIN;
    }
  }
}

static Value prim_expand_list(int argc, Value *args) {
  (void)argc;
  Value outcome = expand_ahead(args);
  changes_then = env_changes;
  return outcome;
}

/* The trees of a program's forms, the last first: of those that were done, and those to come, lists of forms with their environments, which
   are expanded ahead, of a program that is kept. V_FALSE: that needs the driver, or more than a moment; what is expanded by then stays so. */
Value trees_to_come(Value done, Value to_come) {
  Value look = make_vector(LOOK_SLOTS, V_NIL), args[] = {look, V_NIL, V_NIL, intern("define-library")};
  VEC(look)[LOOK_TREES] = done;
  if (to_come == V_NIL) return done;
  for (Value rest = to_come; is_pair(rest); rest = CDR(rest))
    for (Value forms = CAR(CAR(rest)); is_pair(forms); forms = CDR(forms)) if (!is_expanded(CAR(forms))) return V_FALSE;
  bool all = true;
  for (; all && is_pair(to_come); to_come = CDR(to_come)) {
    args[1] = CAR(CAR(to_come));
    args[2] = CDR(CAR(to_come));
    VEC(look)[LOOK_AFTER] = V_NIL;
    all = expand_ahead(args) == V_TRUE;
  }
  changes_then = env_changes;
  if (all && heap_reserve(HEAP_HEADROOM)) return VEC(look)[LOOK_TREES];
  vm.resume = vm.error = V_FALSE;
  vm.need_bytes = 0;
  return V_FALSE;
}

static Value prim_compile_form(int argc, Value *args) {
  (void)argc;
  if (!IS(args[1], T_ENV)) return err_type(NULL, 1, "environment", args[1]);
  if (args[3] != V_FALSE && !(IS(args[3], T_VECTOR) && VEC_LENGTH(args[3]) > 0)) return err_type(NULL, 3, "vector", args[3]);
  if (vm.resume == V_TRUE) return compile_on();
  if (vm.resume == V_FALSE && is_expanded(args[0])) {
    Value tree = tree_of(args[0]);
    changes_before = env_changes;
    if (tree != V_FALSE && !IS_FIX(VEC(tree)[0])) return cons(V_FALSE, tree);
    if (tree != V_FALSE && has_code(args[0])) {
      keep_tree(args[3], tree);
      return code_to_run(args[0]);
    }
    if (tree != V_FALSE) return begin_compiling(args[0], tree, args[2], VEC(args[0])[EXPANDED_PLAIN] != V_FALSE);
  }
  Value form = own_form(args[0]), state = vm.resume;
  if (state == V_FALSE) {
    Value tree = expansion_at_once(form, args[1]);
    if (tree != V_FALSE) {
      keep_tree(args[3], tree);
      return begin_compiling(args[0], tree, args[2], true);
    }
    state = expansion_begin(form, args[1]);
  }
  Value tree = expansion_run(state);
  if (tree == V_AGAIN) vm.resume = state;
  if (IS_SIGNAL(tree)) return tree;
  if (!IS_FIX(VEC(tree)[0])) {
    if (is_expanded(args[0]) && VEC(args[0])[EXPANDED_AGAIN] == V_TRUE) VEC(args[0])[EXPANDED_AGAIN] = IN_DOUBT;
    return cons(state, tree);
  }
  keep_tree(args[3], tree);
  return begin_compiling(args[0], tree, args[2], false);
}

/* (%compile-answered form state tree name): a thunk, once the driver has given the form's expansion all that it asked for. Its code is kept where
   that would be the same again. */
static Value prim_compile_answered(int argc, Value *args) {
  (void)argc;
  if (vm.resume == V_TRUE) return compile_on();
  if (!is_expansion(args[1])) return err_type(NULL, 1, "expansion", args[1]);
  if (!IS(args[2], T_VECTOR)) return err_type(NULL, 2, "syntax tree", args[2]);
  if (is_expanded(args[0]) && VEC(args[0])[EXPANDED_AGAIN] == IN_DOUBT) {
    VEC(args[0])[EXPANDED_AGAIN] = BOOL(expansion_repeatable(args[1]));
    VEC(args[0])[EXPANDED_ASKED] = asked;
  }
  changes_before = env_changes;
  return begin_compiling(args[0], args[2], args[3], false);
}

/* ---- the outcome ---- */
static uint8_t *put_field(uint8_t *at, const char *literal, Value text) {
  size_t n = strlen(literal);
  memcpy(at, literal, n);
  at += n;
  uint32_t length = STR_LENGTH(text);
  at = put_head(at, TEXT_STRING, length);
  memcpy(at, STR_DATA(text), length);
  return at + length;
}
static uint8_t *put_fixnum(uint8_t *at, Value n) {      /* in a byte string */
  uint8_t *start = at++;
  at = put_plain(at, n);
  *start = (uint8_t)(0x40 + (at - start - 1));
  return at;
}

/* (%plain-outcome status v most [data?]): the "done" message of a value that needs no printer, in a pair with
   whether its status is "ok"; #f for another one. `most` is how many characters its text may have, `data?` whether
   it is to be sent as data, too. */
enum { PLAIN_TEXT = 4096 };
static Value plain_outcome(Value status, Value v, Value most, bool with_data) {
  Value text;
  PlainSize size = {0, PLAIN_TEXT / 2};
  if (IS_FIX(v)) text = num_to_string(v, 10);
  else if (IS(v, T_STRING)) text = v;
  else if (v == V_TRUE || v == V_FALSE) text = string_from_c(v == V_TRUE ? "#t" : "#f");
  else if (v == V_VOID || v == V_DEFAULT) text = string_make(0, 1);
  else if (plain_size(&size, v)) text = printed_briefly(v);
  else return V_FALSE;
  if (text == V_FALSE || IS_SIGNAL(text)) return text;
  uint32_t length = STR_LENGTH(text);
  if (length > PLAIN_TEXT || !IS_FIX(most) || length > (uint64_t)FIX_VALUE(most) || STR(text)->lineage != V_FALSE || !is_ascii(text))
    return V_FALSE;
  charge(length / 16);
  bool data = v != V_VOID && v != V_DEFAULT && with_data;
  Value bytes = heap_raw(T_BYTES, 0, length + STR_LENGTH(status) + size.bytes + 64);
  uint8_t *at = put_field(BYTES(bytes), data ? "\x82\x64" "done" "\xa3\x66" "status" : "\x82\x64" "done" "\xa2\x66" "status", status);
  at = put_field(at, "\x65" "value", text);
  if (data) {
    memcpy(at, "\x64" "data", 5);
    at += 5;
    if (IS_FIX(v)) at = put_fixnum(at, v);
    else if (IS(v, T_STRING)) *at++ = BYTE_TRUE;         /* the text is the value */
    else if (v == V_TRUE || v == V_FALSE) { *at++ = 0x41; *at++ = v == V_TRUE ? BYTE_TRUE : BYTE_FALSE; }
    else at = put_plain(put_head(at, BYTE_STRING, size.bytes), v);
  }
  HEADER_OF(bytes) = HEADER(T_BYTES, OBJ_FLAGS(bytes), (uint32_t)(at - BYTES(bytes)));
  return bytes;
}
static Value prim_plain_outcome(int argc, Value *args) {
  Value bytes = plain_outcome(args[0], args[1], args[2], ARG_OR(3, V_TRUE) != V_FALSE);
  return IS(bytes, T_BYTES) ? cons(BOOL(STR_LENGTH(args[0]) == 2), bytes) : bytes;
}

/* ---- a plain program ----
 *
 * Most programs are short, define something or other, and give a plain value. What the driver (runtime/boot.scm,
 * main.scm, fibers.scm) does before and after such a one takes a hundred steps of the machine; these two primitives
 * do the same in one step each, with the driver's own variables, so that whatever happens in between (an error, a
 * call, another fiber) finds them as the driver would have left them. Where anything is out of the ordinary they do
 * nothing, and the driver takes its own way. */
static bool begins_with(Value form, int symbols, int count) {
  if (is_pair(form))
    for (int i = 0; i < count; i++) if (CAR(form) == VEC(driver_cells)[symbols + i]) return true;
  return false;
}

/* Might the text begin with #lang, or be a module, comments aside? */
static bool is_module(Value text) {
  const uint8_t *data = STR_DATA(text);
  uint32_t length = STR_LENGTH(text);
  if (length > 1 && data[0] == '(' && data[1] != 'm') return false;
  for (uint32_t i = 0; i + 5 <= length; i++) if (memcmp(data + i, "#lang", 5) == 0 || memcmp(data + i, "(modu", 5) == 0) return true;
  return false;
}

/* The forms of a text, or a signal; #f where they are a module's. */
static Value forms_at_once(Value text, Value name) {
  Value reader = reader_of_program(text, name);
  List forms = EMPTY_LIST;
  for (;;) {
    Value form = reader_next(reader);
    if (form == V_EOF) return forms.head;
    if (IS_SIGNAL(form)) return form;
    if (begins_with(form, MODULES, MODULE_FORMS)) return V_FALSE;
    list_add(&forms, placed(form, reader));
  }
}

static void begin_execution(void) {
  executions++;
  Value fiber = VARIABLE(NEW_FIBER), main = heap_object(T_RECORD, 0, OBJ_LENGTH(fiber));
  memcpy(SLOTS(main), SLOTS(fiber), OBJ_LENGTH(fiber) * sizeof(Value));
  VARIABLE(MAIN_FIBER) = VARIABLE(CURRENT_FIBER) = main;
  VARIABLE(OUTCOME) = V_FALSE;
  m.dynamic = RECORD_FIELD(main, FIBER_STATE);
  take_message();
}

/* ---- programs that were run before ----
 * The last few are kept, read, and as far as their forms need nothing of the driver compiled: a program that comes again, to the byte, is
 * found by its message. What stands here is garbage to the collector, and gone after the next collection, so nobody
 * pays for it in memory: no root leads to it, and it is looked at in the same epoch of the heap alone. */
enum { SEEN_MESSAGE, SEEN_FORMS, SEEN_NAME, SEEN_STRUCTS, SEEN_VERSION, SEEN_LIST, SEEN_SPLICED, SEEN_SLOTS, SEEN_PROGRAMS = 8 };
static Value seen;                     /* a vector of vectors, the next to be replaced is that of the number: */
static uint32_t seen_next, seen_epoch;

static bool same_message(Value a, Value b) {
  return BYTES_LENGTH(a) == BYTES_LENGTH(b) && bytes_equal(BYTES(a), BYTES(b), BYTES_LENGTH(a));
}
static Value seen_program(void) {
  if (seen == V_FALSE || seen_epoch != heap_epoch() || !m.message_waiting) return V_FALSE;
  for (int i = 0; i < SEEN_PROGRAMS; i++) {
    Value program = VEC(seen)[i];
    if (program == V_FALSE || !same_message(VEC(program)[SEEN_MESSAGE], m.inbox)) continue;
    for (Value list = VEC(program)[SEEN_LIST]; list != V_NIL; list = CDR(list))
      if (VEC(CAR(list))[EXPANDED_AGAIN] != V_TRUE) return VEC(seen)[i] = V_FALSE;
    if (VEC(program)[SEEN_SPLICED] != V_FALSE && VEC(program)[SEEN_VERSION] != FIX(env_version)) return VEC(seen)[i] = V_FALSE;
    return program;
  }
  return V_FALSE;
}
/* A program that is (begin form ...) is those forms, as long as nothing has another meaning. */
static bool is_begin(Value form, Value env) {
  if (!is_pair(form) || !IS(CAR(form), T_SYMBOL) || list_length(form) < 2) return false;
  Value macro = head_macro(form, env);
  return IS(macro, T_MACRO) && MACRO_KIND(macro) == MACRO_CORE && CORE_FORM(macro)->id == F_BEGIN;
}
/* What does nothing where nobody wants its value. */
static bool is_literal(Value v) { return IS_FIX(v) || IS(v, T_STRING) || IS(v, T_CHAR) || IS(v, T_FLONUM) || v == V_TRUE || v == V_FALSE; }

static Value see_program(Value forms, Value name) {
  Value program = make_vector(SEEN_SLOTS, V_FALSE), *slot = VEC(program);
  List list = EMPTY_LIST;
  if (seen == V_FALSE || seen_epoch != heap_epoch()) {
    seen = make_vector(SEEN_PROGRAMS, V_FALSE);
    seen_epoch = heap_epoch();
    seen_next = 0;
  }
  slot[SEEN_VERSION] = FIX(-1);
  Value parts = forms, env = VARIABLE(TOP_LEVEL);
  if (forms != V_NIL && CDR(forms) == V_NIL && is_begin(CAR(forms), env)) {
    env_note_form(env, CAR(forms));
    if (is_begin(CAR(forms), env)) {     /* it does not define `begin` itself */
      parts = CDR(CAR(forms));
      slot[SEEN_VERSION] = FIX(env_version);
      slot[SEEN_SPLICED] = V_TRUE;
    }
  }
  for (Value rest = parts; rest != V_NIL; rest = CDR(rest)) {
    if (CDR(rest) != V_NIL && is_literal(CAR(rest))) continue;
    bool bare = IS(CAR(rest), T_SYMBOL) && pair_place(rest);     /* of a begin: it gets its place, as in placed() */
    Value form = bare ? form_at(CAR(rest), pair_place(rest)) : CAR(rest);
    list_add(&list, make_expanded(form, V_FALSE, V_FALSE, V_TRUE));
    if (begins_with(CAR(rest), STRUCTS, STRUCT_FORMS)) slot[SEEN_STRUCTS] = V_TRUE;
  }
  slot[SEEN_MESSAGE] = m.inbox;
  slot[SEEN_FORMS] = forms;
  slot[SEEN_NAME] = name;
  slot[SEEN_LIST] = list.head;
  VEC(seen)[seen_next++ % SEEN_PROGRAMS] = program;
  return program;
}
static Value copied(Value list) {
  List copy = EMPTY_LIST;
  for (; list != V_NIL; list = CDR(list)) list_add(&copy, CAR(list));
  return copy.head;
}

/* (%begin-program): takes a message that is a plain program, and begins an execution with it: a thunk where it is one
   form whose code is known or that needs no expansion, else (forms name . whether one defines a struct); #f: none of this.
   vm.resume: #t while the thunk is compiled. */
enum { SHORT_PROGRAM = 2048 };
static Value prim_begin_program(int argc, Value *args) {
  (void)argc, (void)args;
  if (vm.resume == V_TRUE) return compile_on();
  if (VARIABLE(QUEUE_HEAD) != V_NIL || VARIABLE(CONVERSATION) != V_FALSE || VARIABLE(COUNTING) != V_FALSE ||
      table_count(VARIABLE(WARNED))) return V_FALSE;
  Value program = seen_program(), env = VARIABLE(TOP_LEVEL);
  if (program == V_FALSE) {
    Value source = eval_message(SHORT_PROGRAM);
    if (source == V_FALSE || is_module(CAR(source))) return V_FALSE;
    Value forms = forms_at_once(CAR(source), CDR(source));
    if (forms == V_ERROR) begin_execution();
    if (forms == V_AGAIN) {              /* the driver keeps what it has read while it waits */
      vm.resume = V_FALSE;
      return V_FALSE;
    }
    if (forms == V_ERROR || forms == V_FALSE) return forms;
    program = see_program(forms, CDR(source));
  }
  Value *slot = VEC(program), forms = slot[SEEN_FORMS], list = slot[SEEN_LIST];
  begin_execution();
  VARIABLE(SHOW) = V_FALSE;
  VARIABLE(PROGRAM) = make_vector(2, V_NIL);
  VARIABLE(PROGRAM_FORMS) = forms;
  if (list == V_NIL) return VARIABLE(VOID);
  if (CDR(list) == V_NIL && has_code(CAR(list))) {
    keep_tree(VARIABLE(PROGRAM), VEC(CAR(list))[EXPANDED_TREE]);
    return code_to_run(CAR(list));
  }
  if (CDR(list) == V_NIL) {              /* what has a tree at once defines nothing */
    changes_before = env_changes;
    Value tree = expansion_at_once(VEC(CAR(list))[EXPANDED_FORM], env);
    if (tree != V_FALSE) {
      keep_tree(VARIABLE(PROGRAM), tree);
      return begin_compiling(CAR(list), tree, slot[SEEN_NAME], true);
    }
  }
  if (slot[SEEN_VERSION] != FIX(env_version)) {
    for (Value rest = forms; rest != V_NIL; rest = CDR(rest)) if (is_pair(CAR(rest))) env_note_form(env, CAR(rest));
    slot[SEEN_VERSION] = FIX(env_version);
  }
  return cons(copied(list), cons(slot[SEEN_NAME], slot[SEEN_STRUCTS]));
}

/* (%end-program fiber v): whether its execution could be ended here, and the host be told its value. */
static Value prim_end_program(int argc, Value *args) {
  (void)argc;
  Value fiber = args[0];
  if (VARIABLE(CURRENT_FIBER) != fiber || RECORD_FIELD(fiber, FIBER_POOL) != V_FALSE || VARIABLE(COUNTING) != V_FALSE || VARIABLE(ARRIVED) != V_NIL || VARIABLE(DOOMED) != V_NIL || m.message_waiting || slips_noted() ||
      PORT(VARIABLE(STDOUT))->length != FIX(0) || PORT(VARIABLE(STDERR))->length != FIX(0)) return V_FALSE;
  bool scoped = IS(args[1], T_RECORD) && RECORD_RTD(args[1]) == VARIABLE(SCOPED_TYPE);
  Value message = plain_outcome(VARIABLE(OK), scoped ? VARIABLE(SCOPED_SHOWN) : args[1], VARIABLE(OUTPUT_LIMIT), !scoped);
  if (!IS(message, T_BYTES)) return message;
  TRY_LET(sent, outbox_put(message));
  if (VARIABLE(PROGRAM) == V_FALSE) {    /* calls were made: %forget-look! */
    VARIABLE(LOOKING) = VARIABLE(REFUSED) = V_FALSE;
    VARIABLE(CALLS_TO_JUDGE) = VARIABLE(CALLS_TOLD) = V_NIL;
  }
  VARIABLE(CURRENT_FIBER) = VARIABLE(MAIN_FIBER) = VARIABLE(PROGRAM) = V_FALSE;
  return V_TRUE;
}

/* (%nothing-written? port port): output ports that have no text to take */
static Value prim_nothing_written(int argc, Value *args) {
  for (int i = 0; i < argc; i++) {
    if (!IS(args[i], T_PORT)) return err_type(NULL, i, "port", args[i]);
    if (PORT(args[i])->length != FIX(0)) return V_FALSE;
  }
  return V_TRUE;
}

const PrimDef program_prims[] = {
  {"%eval-message", prim_eval_message, 0, 0, NULL},
  {"%read-all", prim_read_all, 2, 2, NULL},
  {"%note-program!", prim_note_program, 2, 2, NULL},
  {"%compile-form", prim_compile_form, 4, 4, NULL},
  {"%compile-answered", prim_compile_answered, 4, 4, NULL},
  {"%expand-list!", prim_expand_list, 4, 4, NULL},
  {"%expanded", prim_expanded, 2, 2, NULL},
  {"%begin-program", prim_begin_program, 0, 0, NULL},
  {"%end-program", prim_end_program, 2, 2, NULL},
  {"%plain-outcome", prim_plain_outcome, 3, 4, NULL},
  {"%nothing-written?", prim_nothing_written, 2, 2, NULL},
  {0}
};
