/* control.c — primitives that steer the machine: application, continuations, the dynamic state,
 * messages, hooks; and what can be asked of procedures. */
#include "text/symbol.h"
#include "vm/continuation.h"
#include "vm/machine.h"
#include <string.h>

/* Room on the stack for n more values: true, or the primitive returns V_AGAIN after a spill. */
static bool stack_room(uint64_t n) {
  if (m.sp + n < VALUE_STACK - VALUE_RESERVE) return true;
  m.spill = true;
  return false;
}

/* Room for the list that a rest parameter makes of so many arguments: V_FALSE, or what the primitive returns. Calls that
   stand in code have no more of them than the margin has room for. */
static Value rest_room(uint64_t n) {
  enum { WITHIN_MARGIN = 4096 };
  uint64_t bytes = 2 * 16 * n;        /* pairs are copied when they are collected */
  return n <= WITHIN_MARGIN || heap_reserve(bytes) ? V_FALSE : need_memory(bytes);
}

/* (apply f a ... list) */
static Value prim_apply(int argc, Value *args) {
  Value list = args[argc - 1];
  uint64_t n = 0;
  Value end = list;
  for (; is_pair(end); end = CDR(end))
    if (++n > MAX_ARGUMENTS) return err_failf("exn:fail:contract", "apply: too many arguments (the limit is %d); fold over the list instead", (int)MAX_ARGUMENTS);
  if (end != V_NIL) return err_type("apply", argc - 1, "proper list", list);
  if (!stack_room(n + (uint64_t)argc)) return V_AGAIN;
  Value failed = rest_room(n + (uint64_t)argc);
  if (failed != V_FALSE) return failed;
  if (argc == 2) return tail_apply(args[0], list);
  for (int i = argc - 2; i > 0; i--) list = cons(args[i], list);
  return tail_apply(args[0], list);
}

/* (%apply-values f v): v as made by `values` */
static Value prim_apply_values(int argc, Value *args) {
  (void)argc;
  if (IS(args[1], T_VALUES)) {
    if (!stack_room(OBJ_LENGTH(args[1]))) return V_AGAIN;
    Value failed = rest_room(OBJ_LENGTH(args[1]));
    if (failed != V_FALSE) return failed;
  }
  vm.tail_proc = args[0];
  vm.tail_args[0] = args[1];
  vm.tail_argc = TAIL_VALUES;
  return V_TAIL;
}
static Value prim_values(int argc, Value *args) {
  if (!heap_reserve((uint64_t)argc * 8)) return need_memory((uint64_t)argc * 8);
  return make_values((uint32_t)argc, args);
}
static Value prim_values_to_list(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_VALUES)) return cons(args[0], V_NIL);
  uint32_t n = OBJ_LENGTH(args[0]);
  if (!heap_reserve((uint64_t)n * 16)) return need_memory((uint64_t)n * 16);
  Value list = V_NIL;
  for (uint32_t i = n; i-- > 0;) list = cons(SLOTS(args[0])[i], list);
  return list;
}

/* (%call/cc f): f gets the raw continuation (T_CONT) */
static Value prim_call_cc(int argc, Value *args) {
  (void)argc;
  if (!stack_can_capture()) return need_memory(((uint64_t)m.sp + 2 * m.depth) * 16 + 4096);
  vm.tail_proc = args[0];
  return V_CAPTURE;
}
static Value prim_dynamic(int argc, Value *args) { (void)argc, (void)args; return m.dynamic; }
/* (%parameter-value parameter): its binding in the dynamic state, which is #f or #(winders handlers params), the last a
   list of (parameter . box) that ends, in a thread, with (%thread-values . box), whose box has such a list; outside of
   every parameterize its record's own value (r7rs/parameters.scm) */
Value parameter_value(Value parameter) {
  enum { PARAMS = 2, OWN = 0 };
  int64_t looked = 0;
  for (Value rest = IS(m.dynamic, T_VECTOR) ? VEC(m.dynamic)[PARAMS] : V_NIL; is_pair(rest); looked++) {
    Value name = CAR(CAR(rest)), box = CDR(CAR(rest));
    if (name == parameter) return SLOTS(box)[0];
    rest = IS(name, T_SYMBOL) ? SLOTS(box)[0] : CDR(rest);
  }
  charge(looked / 8);
  return RECORD_FIELD(parameter, OWN);
}
static Value prim_parameter_value(int argc, Value *args) {
  (void)argc;
  return IS(args[0], T_RECORD) ? parameter_value(args[0]) : err_type(NULL, 0, "parameter", args[0]);
}
static Value prim_set_dynamic(int argc, Value *args) { (void)argc; m.dynamic = args[0]; return V_VOID; }

/* ---- messages ---- */
static Value prim_wait(int argc, Value *args) { (void)argc, (void)args; return V_WAIT; }
static Value prim_inbox(int argc, Value *args) {
  (void)argc, (void)args;
  if (!m.message_waiting) return V_FALSE;
  Value message = m.inbox;
  m.message_waiting = m.fresh = false;
  m.inbox = V_FALSE;
  return message;
}
static Value prim_panic(int argc, Value *args) { (void)argc; vm.tail_args[0] = args[0]; return V_PANIC; }

static Value prim_set_hook(int argc, Value *args) {
  (void)argc;
  CHECK_SYMBOL("%set-hook!", 0);
  const struct { const char *name; Value *hook; } hooks[] = {
    {"raise", &m.hook_raise}, {"main", &m.hook_main}, {"interrupt", &m.hook_interrupt},
    {"memory-limit", &m.hook_memory}, {"tick", &m.hook_tick}, {"lazy", &m.hook_lazy},
    {"custom", &m.hook_custom},
  };
  for (size_t i = 0; i < sizeof hooks / sizeof *hooks; i++)
    if (args[0] == intern(hooks[i].name)) { *hooks[i].hook = args[1]; return V_VOID; }
  return err_type("%set-hook!", 0, "hook's name", args[0]);
}

/* ---- procedures ---- */
static Value prim_is_procedure(int argc, Value *args) { (void)argc; return BOOL(is_procedure(args[0])); }
static Value prim_make_case(int argc, Value *args) {
  Value c = heap_object(T_CASE, 0, (uint32_t)argc);
  memcpy(SLOTS(c), args, (size_t)argc * sizeof(Value));
  return c;
}
static uint64_t renamed_size(Value closure) {
  return (uint64_t)(OBJ_LENGTH(CLOSURE_TEMPLATE(closure)) + OBJ_LENGTH(closure)) * 8 + 64;
}
/* There is room for it. */
static Value renamed(Value closure, Value name) {
  Value old = CLOSURE_TEMPLATE(closure);
  Value t = heap_object(T_TEMPLATE, 0, OBJ_LENGTH(old)), c = heap_object(T_CLOSURE, 0, OBJ_LENGTH(closure));
  memcpy(SLOTS(t), SLOTS(old), OBJ_LENGTH(old) * sizeof(Value));
  memcpy(SLOTS(c), SLOTS(closure), OBJ_LENGTH(closure) * sizeof(Value));
  TEMPLATE(t)->name = name;
  CLOSURE_TEMPLATE(c) = t;
  return c;
}
/* (%case-for p n): the procedure that takes n arguments, of those that a case-lambda is made of; of another p that one */
static Value prim_case_for(int argc, Value *args) {
  (void)argc;
  uint32_t n;
  CHECK_INDEX(NULL, 1, 0, MAX_ARGUMENTS, V_FALSE, n);
  return IS(args[0], T_CASE) ? select_case(args[0], n) : args[0];
}
/* (%procedure-named name p): p under another name, for messages and printing */
static Value prim_procedure_named(int argc, Value *args) {
  (void)argc;
  if (IS(args[1], T_CLOSURE)) {
    uint64_t bytes = renamed_size(args[1]);
    return heap_reserve(bytes) ? renamed(args[1], args[0]) : need_memory(bytes);
  }
  if (!IS(args[1], T_CASE)) return args[1];
  uint32_t n = OBJ_LENGTH(args[1]);
  uint64_t bytes = (uint64_t)n * 8 + 32;
  for (uint32_t i = 0; i < n; i++) bytes += renamed_size(SLOTS(args[1])[i]);
  if (!heap_reserve(bytes)) return need_memory(bytes);
  Value all = heap_object(T_CASE, 0, n);
  for (uint32_t i = 0; i < n; i++) SLOTS(all)[i] = V_FALSE;
  for (uint32_t i = 0; i < n; i++) SLOTS(all)[i] = renamed(SLOTS(args[1])[i], args[0]);
  return all;
}
static Value prim_procedure_name(int argc, Value *args) {
  (void)argc;
  Value p = args[0];
  if (IS(p, T_PRIM)) return intern(prim_table[PAYLOAD(p)]->name);
  if (IS(p, T_CASE) && OBJ_LENGTH(p)) p = SLOTS(p)[0];
  return IS(p, T_CLOSURE) ? TEMPLATE(CLOSURE_TEMPLATE(p))->name : V_FALSE;
}
/* (%procedure-arities p): a list of (least . most), most #f where there is no limit; #f where unknown */
static Value arity_pair(int64_t least, int64_t most) { return cons(FIX(least), most < 0 ? V_FALSE : FIX(most)); }
static Value closure_arity(Value c) {
  Value a = TEMPLATE(CLOSURE_TEMPLATE(c))->arity;
  int64_t required = ARITY_REQUIRED(a);
  return arity_pair(required, ARITY_REST(a) ? -1 : required + ARITY_OPTIONAL(a));
}
static Value prim_procedure_arities(int argc, Value *args) {
  (void)argc;
  Value p = args[0];
  if (IS(p, T_PRIM)) return cons(arity_pair(prim_table[PAYLOAD(p)]->min_args, prim_table[PAYLOAD(p)]->max_args), V_NIL);
  if (IS(p, T_CLOSURE)) return cons(closure_arity(p), V_NIL);
  if (IS(p, T_CONT)) return cons(arity_pair(0, -1), V_NIL);
  if (!IS(p, T_CASE)) return V_FALSE;
  Value list = V_NIL;
  for (uint32_t i = OBJ_LENGTH(p); i-- > 0;) list = cons(closure_arity(SLOTS(p)[i]), list);
  return list;
}

/* ---- odds and ends ---- */
static Value prim_void(int argc, Value *args) { (void)argc, (void)args; return V_VOID; }
static Value prim_is_void(int argc, Value *args) { (void)argc; return BOOL(args[0] == V_VOID); }
static Value prim_not(int argc, Value *args) { (void)argc; return BOOL(args[0] == V_FALSE); }
static Value prim_is_boolean(int argc, Value *args) { (void)argc; return BOOL(args[0] == V_FALSE || args[0] == V_TRUE); }
static Value prim_is_default(int argc, Value *args) { (void)argc; return BOOL(args[0] == V_DEFAULT); }
static Value prim_set_cell_value(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_CELL)) return err_type("%set-cell-value!", 0, "cell", args[0]);
  CELL(args[0])->value = args[1];
  return V_VOID;
}
static Value prim_collect(int argc, Value *args) {
  (void)argc, (void)args;
  if (vm.resume != V_FALSE) return V_VOID;
  vm.resume = V_TRUE;
  return need_memory(1);
}

static Value prim_make_promise(int argc, Value *args) {
  (void)argc;
  Value p = heap_object(T_PROMISE, 0, 1);
  SLOTS(p)[0] = args[0];
  return p;
}
static Value prim_is_promise(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_PROMISE)); }
static Value prim_promise_content(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_PROMISE)) return err_type("force", 0, "promise", args[0]);
  return SLOTS(args[0])[0];
}
static Value prim_set_promise_content(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_PROMISE)) return err_type("force", 0, "promise", args[0]);
  SLOTS(args[0])[0] = args[1];
  return V_VOID;
}
static Value prim_make_ephemeron(int argc, Value *args) {
  (void)argc;
  Value e = heap_object(T_EPHEMERON, 0, 3);
  SLOTS(e)[0] = args[0];
  SLOTS(e)[1] = args[1];
  SLOTS(e)[2] = V_FALSE;           /* broken? the collector's: see heap.c */
  return e;
}
static Value prim_is_ephemeron(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_EPHEMERON)); }
static Value ephemeron_slot(Value e, int i, const char *who) { return IS(e, T_EPHEMERON) ? SLOTS(e)[i] : err_type(who, 0, "ephemeron", e); }
static Value prim_ephemeron_key(int argc, Value *args) { (void)argc; return ephemeron_slot(args[0], 0, "ephemeron-key"); }
static Value prim_ephemeron_broken(int argc, Value *args) { (void)argc; return ephemeron_slot(args[0], 2, "ephemeron-broken?"); }
static Value prim_ephemeron_value(int argc, Value *args) { (void)argc; return ephemeron_slot(args[0], 1, "ephemeron-value"); }

/* These may replace themselves by another call: the compiler calls them properly in tail position. */
/* (%make-merge falling? keyed?): a procedure (merge less? a b) of two sorted lists, which asks (less? (car b) (car a)), so that equal items of `a`
   come first. What is taken is put in front of what was taken before: so lists that rise give one that falls, and the other way
   round. All of its state is in its frame, and no pair is changed: a continuation of the order's may be entered again. */
static Value prim_make_merge(int argc, Value *args) {
  (void)argc;
  uint32_t how = (TRUTH(args[0]) ? 1u : 0u) | (TRUTH(args[1]) ? 2u : 0u);
  uint32_t code[] = {OP_SPECIAL | PAYLOAD(V_NIL) << 8, OP_MERGE_NEXT | how << 8, OP_MERGE_TAKE | how << 8,
                     OP_LOCAL | 1 << 8, OP_LOCAL | 3 << 8, OP_CALL_PRIM | 2 << 8, (uint32_t)prim_index("append-reverse"), OP_RETURN};
  Value params = list_n(3, intern("less?"), intern("a"), intern("b"));
  return make_procedure(code, sizeof code / sizeof *code, 0, NULL, intern("merge"), params, ARITY_SIMPLE(3));
}

const PrimDef control_prims[] = {
  {"apply", prim_apply, 2, -1, "(apply procedure arg ... list)"},
  {"%apply-values", prim_apply_values, 2, 2, NULL},
  {"%call/cc", prim_call_cc, 1, 1, NULL},
  {0}
};
const PrimDef machine_prims[] = {
  {"values", prim_values, 0, -1, "(values v ...)"},
  {"%values->list", prim_values_to_list, 1, 1, NULL},
  {"%dynamic", prim_dynamic, 0, 0, NULL},
  {"%parameter-value", prim_parameter_value, 1, 1, NULL},
  {"%set-dynamic!", prim_set_dynamic, 1, 1, NULL},
  {"%wait", prim_wait, 0, 0, NULL},
  {"%inbox", prim_inbox, 0, 0, NULL},
  {"%panic", prim_panic, 1, 1, NULL},
  {"%set-hook!", prim_set_hook, 2, 2, NULL},
  {"procedure?", prim_is_procedure, 1, 1, "(procedure? v)"},
  {"%make-merge", prim_make_merge, 2, 2, NULL},
  {"%make-case", prim_make_case, 0, -1, NULL},
  {"%case-for", prim_case_for, 2, 2, NULL},
  {"%procedure-named", prim_procedure_named, 2, 2, NULL},
  {"%procedure-name", prim_procedure_name, 1, 1, NULL},
  {"%procedure-arities", prim_procedure_arities, 1, 1, NULL},
  {"not", prim_not, 1, 1, "(not v)"},
  {"boolean?", prim_is_boolean, 1, 1, "(boolean? v)"},
  {"void", prim_void, 0, -1, "(void v ...)"},
  {"void?", prim_is_void, 1, 1, "(void? v)"},
  {"%default?", prim_is_default, 1, 1, NULL},
  {"%set-cell-value!", prim_set_cell_value, 2, 2, NULL},
  {"%collect-garbage", prim_collect, 0, 0, NULL},
  {"%make-promise", prim_make_promise, 1, 1, NULL},
  {"promise?", prim_is_promise, 1, 1, "(promise? v)"},
  {"%promise-content", prim_promise_content, 1, 1, NULL},
  {"%set-promise-content!", prim_set_promise_content, 2, 2, NULL},
  {"make-ephemeron", prim_make_ephemeron, 2, 2, "(make-ephemeron key value)"},
  {"ephemeron?", prim_is_ephemeron, 1, 1, "(ephemeron? v)"},
  {"%ephemeron-broken?", prim_ephemeron_broken, 1, 1, NULL},
  {"%ephemeron-key", prim_ephemeron_key, 1, 1, NULL},
  {"%ephemeron-value", prim_ephemeron_value, 1, 1, NULL},
  {0}
};
