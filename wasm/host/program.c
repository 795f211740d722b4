/* program.c — a program from its message to thunks, and a plain value to its message, each in one step.
 *
 * Most programs are small, and most of their forms need nothing of the driver in runtime/boot.scm: so what
 * it would do in many steps of the machine is done here in one, and what is out of the ordinary is left to it.
 */
#include "compiler/generate.h"
#include "core/globals.h"
#include "core/prims.h"
#include "core/slip.h"
#include "data/table.h"
#include "expander/env.h"
#include "expander/expand.h"
#include "expander/forms.h"
#include "host/boot.h"
#include "host/mailbox.h"
#include "io/port.h"
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
  if (at == end || *at >> 5 != 3) return NULL;
  uint32_t info = *at++ & 31, width = info < 24 ? 0 : 1u << (info - 24), n = info;
  if (width > 4 || (uint32_t)(end - at) < width) return NULL;
  if (width) for (n = 0; width; width--) n = n << 8 | *at++;
  if ((uint32_t)(end - at) < n) return NULL;
  for (uint32_t i = 0; i < n; i++) if (at[i] >= 0x80) return NULL;      /* not ASCII */
  *text = at;
  *length = n;
  return at + n;
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
  m.message_waiting = false;
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
/* A form that was expanded ahead stands in its list as #(tag tree form plain?), where plain? says that the tree needs
   no analysis. Nobody else has the tag. */
enum { EXPANDED_TAG, EXPANDED_TREE, EXPANDED_FORM, EXPANDED_PLAIN, EXPANDED_SLOTS };
static Value expanded_tag, splice_symbol;
static uint64_t changes_then;          /* env_changes when forms were last expanded ahead */
void program_init(void) {
  heap_root(&expanded_tag);
  heap_root(&splice_symbol);
  expanded_tag = cons(V_FALSE, V_NIL);
  splice_symbol = intern("%splice");
}
static bool is_expanded(Value form) {
  return IS(form, T_VECTOR) && VEC_LENGTH(form) == EXPANDED_SLOTS && VEC(form)[EXPANDED_TAG] == expanded_tag;
}
static Value make_expanded(Value form, Value tree, Value plain) {
  Value expanded = make_vector(EXPANDED_SLOTS, plain);
  VEC(expanded)[EXPANDED_TAG] = expanded_tag;
  VEC(expanded)[EXPANDED_TREE] = tree;
  VEC(expanded)[EXPANDED_FORM] = form;
  return expanded;
}
/* (%expanded form tree) */
static Value prim_expanded(int argc, Value *args) { (void)argc; return make_expanded(args[0], args[1], V_FALSE); }

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
    Value form = CAR(forms), tree = V_FALSE;
    look[LOOK_HERE] = forms;
    look[LOOK_ENV] = env;
    if (!IS(env, T_ENV)) return err_type(NULL, 2, "environment", env);
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
        if (VEC(tree)[0] != splice_symbol) return cons(state, tree);
        CAR(forms) = make_expanded(form, tree, V_FALSE);
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
    CAR(forms) = make_expanded(form, tree, plain);
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

static Value prim_compile_form(int argc, Value *args) {
  (void)argc;
  if (!IS(args[1], T_ENV)) return err_type(NULL, 1, "environment", args[1]);
  if (args[3] != V_FALSE && !(IS(args[3], T_VECTOR) && VEC_LENGTH(args[3]) > 0)) return err_type(NULL, 3, "vector", args[3]);
  if (vm.resume == V_FALSE && is_expanded(args[0]) && changes_then != env_changes)
    args[0] = VEC(args[0])[EXPANDED_FORM];               /* eval, it may be, has defined a macro */
  if (vm.resume == V_FALSE && is_expanded(args[0])) {
    Value tree = VEC(args[0])[EXPANDED_TREE];
    if (!IS_FIX(VEC(tree)[0])) return cons(V_FALSE, tree);
    if (VEC(args[0])[EXPANDED_PLAIN] != V_FALSE) compile_begin_plain(tree, args[2]);
    else compile_begin(tree, args[2]);
    vm.resume = V_TRUE;
  }
  if (vm.resume == V_FALSE) {
    Value tree = expansion_at_once(args[0], args[1]);
    if (tree != V_FALSE) {
      keep_tree(args[3], tree);
      compile_begin_plain(tree, args[2]);
      vm.resume = V_TRUE;
    }
  }
  if (vm.resume != V_TRUE) {
    Value state = vm.resume == V_FALSE ? expansion_begin(args[0], args[1]) : vm.resume;
    Value tree = expansion_run(state);
    if (tree == V_AGAIN) vm.resume = state;
    if (IS_SIGNAL(tree)) return tree;
    if (!IS_FIX(VEC(tree)[0])) return cons(state, tree);
    keep_tree(args[3], tree);
    compile_begin(tree, args[2]);
    vm.resume = V_TRUE;
  }
  return compile_run();
}

/* ---- the outcome ---- */
static uint8_t *put_text(uint8_t *at, const char *literal, Value text) {
  size_t n = strlen(literal);
  memcpy(at, literal, n);
  at += n;
  uint32_t length = STR_LENGTH(text);
  if (length < 24) *at++ = (uint8_t)(0x60 | length);
  else { *at++ = 0x79; *at++ = (uint8_t)(length >> 8); *at++ = (uint8_t)length; }
  memcpy(at, STR_DATA(text), length);
  return at + length;
}
static bool is_ascii(Value text) {
  if (STR_WIDTH(text) != 1) return false;
  uint8_t all = 0;
  for (uint32_t i = 0; i < STR_LENGTH(text); i++) all |= STR_DATA(text)[i];
  return all < 0x80;
}
static uint8_t *put_integer(uint8_t *at, int major, uint64_t n) {
  int width = n < 24 ? 0 : n < 0x100 ? 1 : n < 0x10000 ? 2 : n < 0x100000000 ? 4 : 8;
  *at++ = (uint8_t)(major << 5 | (width == 0 ? (int)n : width == 1 ? 24 : width == 2 ? 25 : width == 4 ? 26 : 27));
  while (width-- > 0) *at++ = (uint8_t)(n >> (8 * width));
  return at;
}
static uint8_t *put_fixnum(uint8_t *at, int64_t n) {     /* in a byte string */
  uint8_t *start = at++;
  at = n < 0 ? put_integer(at, 1, (uint64_t)(-1 - n)) : put_integer(at, 0, (uint64_t)n);
  *start = (uint8_t)(0x40 + (at - start - 1));
  return at;
}

/* (%plain-outcome status v most [data?]): the "done" message of a value that needs no printer, in a pair with
   whether its status is "ok"; #f for another one. `most` is how many characters its text may have, `data?` whether
   it is to be sent as data, too. */
enum { PLAIN_TEXT = 4096 };
static Value plain_outcome(Value status, Value v, Value most, bool with_data) {
  Value text;
  if (IS_FIX(v)) text = num_to_string(v, 10);
  else if (IS(v, T_STRING)) text = v;
  else if (v == V_TRUE || v == V_FALSE) text = string_from_c(v == V_TRUE ? "#t" : "#f");
  else if (v == V_VOID || v == V_DEFAULT) text = string_make(0, 1);
  else return V_FALSE;
  if (IS_SIGNAL(text)) return text;
  uint32_t length = STR_LENGTH(text);
  if (length > PLAIN_TEXT || !IS_FIX(most) || length > (uint64_t)FIX_VALUE(most) || STR(text)->lineage != V_FALSE || !is_ascii(text))
    return V_FALSE;
  charge(length / 16);
  bool data = v != V_VOID && v != V_DEFAULT && with_data;
  Value bytes = heap_raw(T_BYTES, 0, length + STR_LENGTH(status) + 64);
  uint8_t *at = put_text(BYTES(bytes), data ? "\x82\x64" "done" "\xa3\x66" "status" : "\x82\x64" "done" "\xa2\x66" "status", status);
  at = put_text(at, "\x65" "value", text);
  if (data) {
    memcpy(at, "\x64" "data", 5);
    at += 5;
    if (IS_FIX(v)) at = put_fixnum(at, FIX_VALUE(v));
    else if (IS(v, T_STRING)) *at++ = 0xf5;              /* the text is the value */
    else { *at++ = 0x41; *at++ = v == V_TRUE ? 0xf5 : 0xf4; }
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
#define VARIABLES(X) \
  X(MAIN_FIBER, "%main-fiber") X(CURRENT_FIBER, "%current-fiber") X(NEW_FIBER, "%new-main-fiber") X(OUTCOME, "%outcome") \
  X(PROGRAM, "%program") X(PROGRAM_FORMS, "%program-forms") X(SHOW, "%show") X(CONVERSATION, "%conversation?") \
  X(COUNTING, "%counting?") X(WARNED, "%warned") X(QUEUE_HEAD, "%queue-head") X(ARRIVED, "%arrived") X(DOOMED, "%doomed") \
  X(STDOUT, "%stdout") X(STDERR, "%stderr") X(OUTPUT_LIMIT, "%output-limit") X(TOP_LEVEL, "%repl-environment") X(OK, "%ok")
enum variable {
#define X(name, of) name,
  VARIABLES(X)
#undef X
  VARIABLE_COUNT
};
/* Of a fiber's record, as fibers.scm defines it: its third field and its last. */
enum { FIBER_STATE = 3, FIBER_POOL = 9 };
static Value cells = V_FALSE;           /* a vector: those of the variables; then symbols that begin forms */
#define VARIABLE(name) (CELL(VEC(cells)[name])->value)
static const char *const module_forms[] = {"module", "module+", "module*"}, *const struct_forms[] = {"struct", "define-struct"};
enum { MODULE_FORMS = 3, STRUCT_FORMS = 2, MODULES = VARIABLE_COUNT, STRUCTS = MODULES + MODULE_FORMS, ALL_CELLS = STRUCTS + STRUCT_FORMS };

/* (%know-driver!): when its variables are there */
static Value prim_know_driver(int argc, Value *args) {
  static const char *const names[] = {
#define X(name, of) of,
    VARIABLES(X)
#undef X
  };
  (void)argc, (void)args;
  if (cells == V_FALSE) heap_root(&cells);
  cells = make_vector(ALL_CELLS, V_FALSE);
  for (int i = 0; i < VARIABLE_COUNT; i++) VEC(cells)[i] = global_cell(intern(names[i]));
  for (int i = 0; i < MODULE_FORMS; i++) VEC(cells)[MODULES + i] = intern(module_forms[i]);
  for (int i = 0; i < STRUCT_FORMS; i++) VEC(cells)[STRUCTS + i] = intern(struct_forms[i]);
  return V_VOID;
}

static bool begins_with(Value form, int symbols, int count) {
  if (is_pair(form))
    for (int i = 0; i < count; i++) if (CAR(form) == VEC(cells)[symbols + i]) return true;
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
  Value reader = reader_of_program(text, name), first = V_NIL, last = V_NIL;
  for (;;) {
    Value form = reader_next(reader);
    if (form == V_EOF) return first;
    if (IS_SIGNAL(form)) return form;
    if (begins_with(form, MODULES, MODULE_FORMS)) return V_FALSE;
    Value pair = cons(placed(form, reader), V_NIL);
    if (first == V_NIL) first = pair; else CDR(last) = pair;
    last = pair;
  }
}

static void begin_execution(void) {
  Value fiber = VARIABLE(NEW_FIBER), main = heap_object(T_RECORD, 0, OBJ_LENGTH(fiber));
  memcpy(SLOTS(main), SLOTS(fiber), OBJ_LENGTH(fiber) * sizeof(Value));
  VARIABLE(MAIN_FIBER) = VARIABLE(CURRENT_FIBER) = main;
  VARIABLE(OUTCOME) = V_FALSE;
  m.dynamic = RECORD_FIELD(main, FIBER_STATE);
  take_message();
}

/* (%begin-program): takes a message that is a plain program, and begins an execution with it: a thunk where it is one
   form that needs no expansion, else (forms name . whether one defines a struct); #f: none of this. vm.resume: #t while
   the thunk is compiled. */
enum { SHORT_PROGRAM = 2048 };
static Value prim_begin_program(int argc, Value *args) {
  (void)argc, (void)args;
  if (vm.resume == V_TRUE) return compile_run();
  if (VARIABLE(QUEUE_HEAD) != V_NIL || VARIABLE(CONVERSATION) != V_FALSE || VARIABLE(COUNTING) != V_FALSE ||
      table_count(VARIABLE(WARNED))) return V_FALSE;
  Value program = eval_message(SHORT_PROGRAM), env = VARIABLE(TOP_LEVEL);
  if (program == V_FALSE || is_module(CAR(program))) return V_FALSE;
  Value forms = forms_at_once(CAR(program), CDR(program));
  if (forms == V_ERROR) begin_execution();
  if (forms == V_AGAIN) {                /* the driver keeps what it has read while it waits */
    vm.resume = V_FALSE;
    return V_FALSE;
  }
  if (forms == V_ERROR || forms == V_FALSE) return forms;
  Value structs = V_FALSE;
  for (Value rest = forms; rest != V_NIL; rest = CDR(rest)) {
    if (is_pair(CAR(rest))) env_note_form(env, CAR(rest));
    if (begins_with(CAR(rest), STRUCTS, STRUCT_FORMS)) structs = V_TRUE;
  }
  begin_execution();
  VARIABLE(SHOW) = V_FALSE;
  VARIABLE(PROGRAM) = make_vector(2, V_NIL);
  VARIABLE(PROGRAM_FORMS) = forms;
  Value tree = forms != V_NIL && CDR(forms) == V_NIL ? expansion_at_once(CAR(forms), env) : V_FALSE;
  if (tree == V_FALSE) return cons(forms, cons(CDR(program), structs));
  keep_tree(VARIABLE(PROGRAM), tree);
  compile_begin_plain(tree, CDR(program));
  vm.resume = V_TRUE;
  return compile_run();
}

/* (%end-program fiber v): whether its execution could be ended here, and the host be told its value. */
static Value prim_end_program(int argc, Value *args) {
  (void)argc;
  Value fiber = args[0];
  if (VARIABLE(CURRENT_FIBER) != fiber || RECORD_FIELD(fiber, FIBER_POOL) != V_FALSE || VARIABLE(PROGRAM) == V_FALSE ||
      VARIABLE(COUNTING) != V_FALSE || VARIABLE(ARRIVED) != V_NIL || VARIABLE(DOOMED) != V_NIL || m.message_waiting || slips_noted() ||
      PORT(VARIABLE(STDOUT))->length != FIX(0) || PORT(VARIABLE(STDERR))->length != FIX(0)) return V_FALSE;
  Value message = plain_outcome(VARIABLE(OK), args[1], VARIABLE(OUTPUT_LIMIT), true);
  if (!IS(message, T_BYTES)) return message;
  TRY_LET(sent, outbox_put(message));
  VARIABLE(CURRENT_FIBER) = VARIABLE(MAIN_FIBER) = VARIABLE(PROGRAM) = V_FALSE;
  return V_TRUE;
}

/* (%call-message id operation arguments): the message of a request; arguments: encoded, in a bytevector */
static Value prim_call_message(int argc, Value *args) {
  (void)argc;
  CHECK_BYTES(NULL, 2);
  if (!IS_FIX(args[0]) || FIX_VALUE(args[0]) < 0) return err_type(NULL, 0, "exact nonnegative integer", args[0]);
  if (!IS(args[1], T_STRING) || STR_LENGTH(args[1]) > 1000 || !is_ascii(args[1])) return err_type(NULL, 1, "name of an operation", args[1]);
  uint32_t n = BYTES_LENGTH(args[2]);
  uint64_t need = (uint64_t)n + STR_LENGTH(args[1]) + 64;
  if (need > UINT32_MAX / 2) return err_fail("exn:fail", "message too large", V_NIL);
  Value *kept = progress(), bytes;
  if (kept) {
    bytes = kept[0];
  } else {
    if (!heap_reserve(need)) return need_memory(need);
    bytes = heap_raw(T_BYTES, 0, (uint32_t)need);
  }
  uint8_t *at = BYTES(bytes);
  memcpy(at, "\x84\x64" "call", 6);
  at = put_integer(at + 6, 0, (uint64_t)FIX_VALUE(args[0]));
  at = put_text(at, "", args[1]);
  at = put_integer(at, 2, n);
  FOR_PARTS(i, part, kept ? (uint32_t)FIX_VALUE(kept[1]) : 0, n, 64, pause_keeping(2, bytes, FIX(i))) memcpy(at + i, BYTES(args[2]) + i, part);
  at += n;
  HEADER_OF(bytes) = HEADER(T_BYTES, OBJ_FLAGS(bytes), (uint32_t)(at - BYTES(bytes)));
  return bytes;
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
  {"%expand-list!", prim_expand_list, 4, 4, NULL},
  {"%expanded", prim_expanded, 2, 2, NULL},
  {"%know-driver!", prim_know_driver, 0, 0, NULL},
  {"%begin-program", prim_begin_program, 0, 0, NULL},
  {"%end-program", prim_end_program, 2, 2, NULL},
  {"%plain-outcome", prim_plain_outcome, 3, 4, NULL},
  {"%call-message", prim_call_message, 3, 3, NULL},
  {"%nothing-written?", prim_nothing_written, 2, 2, NULL},
  {0}
};
