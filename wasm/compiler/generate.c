/* generate.c — from the expander's tree (compiler/ast.h) to code (vm/code.h).
 *
 * Two passes, each a stack of things still to do (work.h), so that no C recursion follows the
 * program: analyse.c finds which variables are assigned or used too early (they live in boxes) and
 * which named lets are plain loops and which procedures are but places to jump to (joins); this file writes the code. Both pause between two items; the
 * stack and the functions under construction are heap objects, so a pause may collect or snapshot.
 *
 * Assigned variables are always boxed: a continuation may be entered twice, and copies the stack.
 */
#include "compiler/generate.h"
#include "compiler/analyse.h"
#include "core/check.h"
#include "compiler/work.h"
#include "core/prims.h"
#include "core/template.h"
#include "core/worklist.h"
#include "text/string.h"
#include "vm/inline_prims.h"
#include <string.h>

Value work;
uint32_t work_top;
static Value fn, source, tree;
static bool generating;

/* ---- functions under construction ---- */
struct Fn {
  uint64_t header;           /* a T_VECTOR */
  Value parent, node;        /* node: N_LAMBDA, or #f for the top-level thunk */
  Value code, places;        /* T_RAW of uint32_t, growing */
  Value consts, free;        /* vectors, growing */
  Value code_count, place_count, const_count, free_count;   /* fixnums */
  Value depth, max_depth;    /* of the value stack above fp */
  Value last, before, label; /* offset of the last instruction; of the one in front of it; of the last jump target */
  Value finish_mode;         /* of the closure in the parent */
  Value counts;              /* offsets of the COUNT instructions, a list */
};
#define FN ((struct Fn *)PTR(fn))
#define FN_SLOTS (sizeof(struct Fn) / 8 - 1)
#define GET(field) ((uint32_t)FIX_VALUE(FN->field))
#define SET(field, n) (FN->field = FIX(n))
#define CODE ((uint32_t *)RAW_BYTES(FN->code))

static void begin_fn(Value node, int mode) {
  Value f = make_vector(FN_SLOTS, FIX(0));
  Value parent = fn;
  fn = f;
  FN->parent = parent;
  FN->node = node;
  FN->code = heap_raw(T_RAW, 0, 64 * 4);
  FN->places = heap_raw(T_RAW, 0, 16 * 4);
  FN->consts = make_vector(8, V_FALSE);
  FN->free = make_vector(4, V_FALSE);
  SET(label, -1);
  SET(last, -1);
  SET(before, -1);
  SET(finish_mode, mode);
  FN->counts = V_NIL;
}

static Value grown_raw(Value raw, uint32_t bytes) {
  Value bigger = heap_raw(T_RAW, 0, bytes);
  memcpy(RAW_BYTES(bigger), RAW_BYTES(raw), OBJ_LENGTH(raw));
  return bigger;
}
static Value grown_vector(Value v) {
  Value bigger = make_vector(VEC_LENGTH(v) * 2, V_FALSE);
  memcpy(VEC(bigger), VEC(v), VEC_LENGTH(v) * sizeof(Value));
  return bigger;
}

static void emit_word(uint32_t word) {
  uint32_t n = GET(code_count);
  if ((n + 1) * 4 > OBJ_LENGTH(FN->code)) FN->code = grown_raw(FN->code, OBJ_LENGTH(FN->code) * 2);
  CODE[n] = word;
  SET(code_count, n + 1);
}
static bool compares(uint32_t op) { return op >= OP_JN_LT_SS && op <= OP_JN_EQN_LL; }
static bool distance_in_next_word(uint32_t op) {
  return compares(op) || (op >= OP_JN_NULL_L && op <= OP_J_PAIR_L) || op == OP_JN_EQ_LC || op == OP_J_EQ_LC ||
         op == OP_JN_PAIR_CAR || op == OP_JN_PAIR_CDR || op == OP_UNPAIR || op == OP_JN_PAIR_CDR_NULL;
}

/* What is in front of the instruction that comes now may do both: see code.h. */
static void join_instructions(enum opcode op, int32_t a) {
  uint32_t n = GET(code_count), last = GET(last), before = GET(before);
  if (last >= n) return;                 /* none, or the last is no longer there */
  uint32_t length = distance_in_next_word(CODE[last] & 0xff) ? 2 : 1, was = CODE[last] & 0xff;
  if (last + length != n) return;
  bool same = CODE[last] >> 8 == (uint32_t)a;
  enum opcode joined = OP_COUNT;
  if (op == OP_CALL_PRIM) joined = was == OP_LOCAL ? OP_LOCAL_PRIM : was == OP_CONST ? OP_CONST_PRIM : OP_COUNT;
  else if (op == OP_CALL && was == OP_LOCAL) joined = OP_LOCAL_CALL;
  else if (op == OP_CALL_GLOBAL) joined = was == OP_LOCAL ? OP_LOCAL_GLOBAL : was == OP_LOCAL2 ? OP_LOCAL2_GLOBAL : OP_COUNT;
  else if (op == OP_JUMP && was == OP_POPN) joined = OP_POPN_JUMP;
  else if (op == OP_SET_LOCAL && was == OP_ADD_LL) joined = OP_ADD_LL_SET;
  else if (op == OP_CAR_L && was == OP_JN_PAIR_L && same) joined = OP_JN_PAIR_CAR;
  else if (op == OP_CDR_L && was == OP_JN_PAIR_L && same) joined = OP_JN_PAIR_CDR;
  else if (op == OP_JUMP_FALSE) joined = was == OP_CHAR_EQ ? OP_CHAR_EQ_TEST : was == OP_IS_TAG ? OP_IS_TAG_TEST : OP_COUNT;
  else if (op == OP_ADD_SS) joined = was == OP_MUL_SS ? OP_MUL_ADD_SS : was == OP_MUL_LL ? OP_MUL_ADD_LL : OP_COUNT;
  if (joined != OP_COUNT) { CODE[last] = (CODE[last] & ~0xffu) | joined; return; }
  if (before >= last || before + 2 != last) return;
  was = CODE[before] & 0xff;
  if (op == OP_CDR_L && same && was == OP_JN_PAIR_CAR) joined = OP_UNPAIR;
  else if (op == OP_JN_NULL && was == OP_JN_PAIR_CDR) joined = OP_JN_PAIR_CDR_NULL;
  if (joined != OP_COUNT) CODE[before] = (CODE[before] & ~0xffu) | joined;
}

static uint32_t emit(enum opcode op, int32_t a) {
  uint32_t at = GET(code_count);
  join_instructions(op, a);
  SET(before, GET(last));
  SET(last, at);
  emit_word((uint32_t)op | (uint32_t)a << 8);
  return at;
}
static void adjust_depth(int32_t by) {
  int32_t depth = (int32_t)GET(depth) + by;
  CHECK(depth >= 0);                    /* the code would pop what it never pushed */
  SET(depth, depth);
  if (depth > (int32_t)GET(max_depth)) SET(max_depth, depth);
}
static void set_label(void) { SET(label, GET(code_count)); }

static void put_place(uint32_t place, uint32_t mark) {
  uint32_t n = GET(place_count);
  uint32_t *places = (uint32_t *)RAW_BYTES(FN->places);
  if (!place || (!mark && n && places[2 * n - 1] == place)) return;
  if ((n + 1) * 8 > OBJ_LENGTH(FN->places)) {
    FN->places = grown_raw(FN->places, OBJ_LENGTH(FN->places) * 2);
    places = (uint32_t *)RAW_BYTES(FN->places);
  }
  places[2 * n] = GET(code_count) | mark;
  places[2 * n + 1] = place;
  SET(place_count, n + 1);
}
static void emit_place(uint32_t place) { put_place(place, 0); }

static uint32_t constant(Value v) {
  uint32_t n = GET(const_count), from = n > 64 ? n - 64 : 0;
  for (uint32_t i = from; i < n; i++)
    if (VEC(FN->consts)[i] == v) return i;
  if (n == VEC_LENGTH(FN->consts)) FN->consts = grown_vector(FN->consts);
  VEC(FN->consts)[n] = v;
  SET(const_count, n + 1);
  return n;
}

static void emit_constant(Value v) {
  if (IS_FIX(v) && FIX_VALUE(v) >= -(1 << 23) && FIX_VALUE(v) < 1 << 23) emit(OP_FIXNUM, (int32_t)FIX_VALUE(v));
  else if (IS(v, T_SPECIAL)) emit(OP_SPECIAL, (int32_t)PAYLOAD(v));
  else emit(OP_CONST, (int32_t)constant(v));
  adjust_depth(1);
}

static uint32_t capture(Value var) {
  uint32_t n = GET(free_count);
  for (uint32_t i = 0; i < n; i++)
    if (VEC(FN->free)[i] == var) { charge(i / 32); return i; }
  charge(n / 32);
  if (n == VEC_LENGTH(FN->free)) FN->free = grown_vector(FN->free);
  VEC(FN->free)[n] = var;
  SET(free_count, n + 1);
  return n;
}
#define VAR_SLOT(var) ((uint32_t)FIX_VALUE(ENVVAR(var)->slot))
static bool is_local(Value var) { return ENVVAR(var)->owner == fn; }
static void bind_local(Value var, uint32_t slot) {
  ENVVAR(var)->owner = fn;
  ENVVAR(var)->slot = FIX(slot);
}

static void emit_local(uint32_t slot) {
  uint32_t last = GET(last), n = GET(code_count);
  if (n && last == n - 1 && GET(label) != n && (CODE[last] & 0xff) == OP_LOCAL && CODE[last] >> 8 < 0x1000 && slot < 0x1000)
    CODE[last] = OP_LOCAL2 | (CODE[last] >> 8) << 8 | slot << 20;
  else
    emit(OP_LOCAL, (int32_t)slot);
}

/* Whether a local was pushed last of all: then it is not, and its slot is told. */
static bool take_local(uint32_t *slot) {
  uint32_t last = GET(last), n = GET(code_count);
  if (!n || last != n - 1 || GET(label) == n) return false;
  uint32_t word = CODE[last];
  if ((word & 0xff) == OP_LOCAL2) {
    *slot = word >> 20;
    CODE[last] = OP_LOCAL | (word >> 8 & 0xfff) << 8;
    return true;
  }
  *slot = word >> 8;
  if ((word & 0xff) != OP_LOCAL || *slot >= 0x1000) return false;
  SET(code_count, n - 1);
  SET(last, -1);
  return true;
}

static void emit_reference(Value var) {
  if (is_local(var)) {
    if (BOXED(var)) emit(OP_LOCAL_BOX, (int32_t)VAR_SLOT(var)); else emit_local(VAR_SLOT(var));
  } else {
    emit(BOXED(var) ? OP_FREE_BOX : OP_FREE, (int32_t)capture(var));
  }
  adjust_depth(1);
}

/* ---- jumps: a chain of unpatched jumps runs through their distance fields, 0 at its end ---- */
static uint32_t jump_link(uint32_t at) {
  return distance_in_next_word(CODE[at] & 0xff) ? CODE[at + 1] : CODE[at] >> 8;
}
static void set_jump(uint32_t at, uint32_t field) {
  if (distance_in_next_word(CODE[at] & 0xff)) CODE[at + 1] = field;
  else CODE[at] = (CODE[at] & 0xff) | field << 8;
}
/* Chain heads are kept in a work item's slot 3, plus one so that 0 means none. */
static void chain_jump(uint32_t holder, uint32_t at) {
  set_jump(at, (uint32_t)FIX_VALUE(ITEM_SLOT(holder, 3)));
  ITEM_SLOT(holder, 3) = FIX(at + 1);
}
static void patch_chain(uint32_t head) {
  uint32_t here = GET(code_count);
  while (head) {
    uint32_t at = head - 1, next = jump_link(at);
    uint32_t after = at + (distance_in_next_word(CODE[at] & 0xff) ? 2 : 1);
    set_jump(at, (here - after) & (distance_in_next_word(CODE[at] & 0xff) ? 0xffffffffu : 0xffffffu));
    head = next;
  }
  set_label();
}

/* ---- generation ---- */
enum mode { PUSH_VALUE, TAIL, EFFECT };
enum generate { G_EXPR, G_TEST, G_IF_THEN, G_IF_ELSE, G_IF_END, G_BRANCH, G_SET, G_FINISH_FN, G_BIND, G_UNLET,
                G_ANDOR_JUMP, G_ANDOR_END, G_CALL_END, G_INLINE_END, G_FOLD, G_LOOP_START, G_LOOP_JUMP,
                G_LETREC_INIT, G_LETREC_KNOT, G_CASE_END, G_RETURN, G_JOIN, G_JOIN_JUMP, G_JOIN_END, G_TEST_ELSE,
                G_TEST_END, G_TEST_NEGATED };
#define DO(action, a, b, c, d, e) push_item(action, a, b, c, d, e)
#define EXPR(node, mode) push_item(G_EXPR, node, FIX(mode), V_FALSE, V_FALSE, V_FALSE)

/* A value has just been pushed: what the mode wants of it. */
static void finish(int mode) {
  if (mode == TAIL) emit(OP_RETURN, 0);
  else if (mode == EFFECT) { emit(OP_POP, 0); adjust_depth(-1); }
}
static void push_void(int mode) {
  if (mode == EFFECT) return;
  emit_constant(V_VOID);
  finish(mode);
}

/* The primitive that a global reference surely means, or -1. */
static int known_primitive(Value node) {
  if (NODE_KIND(node) != N_GREF) return -1;
  struct Cell *cell = CELL(NODE(node, 0));
  if (!(FIX_VALUE(cell->flags) & (CELL_CONSTANT | CELL_IMPORTED)) || !IS(cell->value, T_PRIM)) return -1;
  return (int)PAYLOAD(cell->value);
}

static bool plain_local(Value node, uint32_t *slot) {
  if (NODE_KIND(node) != N_LREF || !is_local(NODE(node, 0)) || BOXED(NODE(node, 0))) return false;
  *slot = VAR_SLOT(NODE(node, 0));
  return *slot < 0x1000;
}
static bool small_constant(Value node, int bits, int32_t *n) {
  if (NODE_KIND(node) != N_CONST || !IS_FIX(NODE(node, 0))) return false;
  int64_t v = FIX_VALUE(NODE(node, 0));
  *n = (int32_t)v;
  return v >= -(1 << (bits - 1)) && v < 1 << (bits - 1);
}

/* The four forms of a binary operation; op is the SS form's. Emits it at once or pushes the
   operands with `after` (an item of that action) behind them. */
static void binary(enum opcode op, Value x, Value y, uint32_t place, int after, int32_t b) {
  uint32_t s, t;
  int32_t n;
  int form = 0, a = 0;
  if (plain_local(x, &s) && plain_local(y, &t)) { form = 3; a = (int32_t)(s | t << 12); }
  else if (plain_local(x, &s) && small_constant(y, 12, &n)) { form = 2; a = (int32_t)(s | (uint32_t)n << 12); }
  else if (small_constant(y, 24, &n)) { form = 1; a = n; }
  DO(after, FIX((int)op + form), FIX(b), FIX(a), FIX(place), FIX(form));
  if (form == 0) EXPR(y, PUSH_VALUE);
  if (form <= 1) EXPR(x, PUSH_VALUE);
}

static void generate_lambda(Value node, int mode) {
  begin_fn(node, mode);
  DO(G_FINISH_FN, V_FALSE, V_FALSE, V_FALSE, V_FALSE, V_FALSE);
  uint32_t slot = 0;
  for (Value v = NODE(node, L_VARS); is_pair(v); v = CDR(v), slot++) bind_local(CAR(v), slot);
  adjust_depth((int32_t)slot);
  slot = 0;
  for (Value v = NODE(node, L_VARS); is_pair(v); v = CDR(v), slot++)
    if (BOXED(CAR(v))) emit(OP_BOX_LOCAL, (int32_t)slot);
  EXPR(NODE(node, L_BODY), TAIL);
}

static Value exact_vector(Value v, uint32_t n) {
  Value out = make_vector(n, V_FALSE);
  memcpy(VEC(out), VEC(v), n * sizeof(Value));
  return out;
}

static void finish_count(uint32_t at);
static Value make_template(void) {
  for (Value counts = FN->counts; is_pair(counts); counts = CDR(counts)) finish_count((uint32_t)FIX_VALUE(CAR(counts)));
  uint32_t consts = GET(const_count), code = GET(code_count) * 4, places = GET(place_count) * 8;
  uint32_t charged = GET(code_count) / WORDS_A_STEP, shift = charged ? 1 : 0;      /* by a first instruction */
  Value node = FN->node;
  Value t = heap_object(T_TEMPLATE, 0, TEMPLATE_FIXED + consts);
  TEMPLATE(t)->code = heap_raw(T_RAW, 0, code + 4 * shift);
  if (charged) *(uint32_t *)RAW_BYTES(TEMPLATE(t)->code) = OP_CHARGE | charged << 8;
  memcpy(RAW_BYTES(TEMPLATE(t)->code) + 4 * shift, CODE, code);
  TEMPLATE(t)->places = heap_raw(T_RAW, 0, places);
  memcpy(RAW_BYTES(TEMPLATE(t)->places), RAW_BYTES(FN->places), places);
  for (uint32_t i = 0; shift && i < places / 8; i++) ((uint32_t *)RAW_BYTES(TEMPLATE(t)->places))[2 * i]++;
  memcpy(TEMPLATE_CONSTS(TEMPLATE(t)), VEC(FN->consts), consts * sizeof(Value));
  TEMPLATE(t)->source = source;
  TEMPLATE(t)->name = V_FALSE;
  TEMPLATE(t)->arity = ARITY_SIMPLE(0);
  TEMPLATE(t)->params = V_NIL;
  TEMPLATE(t)->place = FIX(0);
  if (node == V_FALSE) return t;
  TEMPLATE(t)->name = NODE(node, L_NAME);
  TEMPLATE(t)->place = FIX(NODE_PLACE(node));
  uint32_t required = (uint32_t)FIX_VALUE(NODE(node, L_REQUIRED)), optional = (uint32_t)FIX_VALUE(NODE(node, L_OPTIONAL));
  bool rest = TRUTH(NODE(node, L_REST));
  TEMPLATE(t)->arity = optional || rest ? ARITY_GENERAL(required, optional, rest) : ARITY_SIMPLE(required);
  Value names = V_NIL;
  for (Value v = NODE(node, L_VARS); is_pair(v); v = CDR(v)) names = cons(ENVVAR(CAR(v))->name, names);
  for (; is_pair(names); names = CDR(names)) TEMPLATE(t)->params = cons(CAR(names), TEMPLATE(t)->params);
  return t;
}

/* The innermost function is complete: its closure is made by the code of the one around it. */
static void finish_fn(void) {
  Value template = make_template();
  uint32_t count = GET(free_count);
  Value free = exact_vector(FN->free, count), node = FN->node;
  int mode = (int)FIX_VALUE(FN->finish_mode);
  fn = FN->parent;
  if (node != V_FALSE) NODE(node, L_FREE) = free;
  if (count == 0) {
    Value closure = heap_object(T_CLOSURE, 0, 1);
    CLOSURE_TEMPLATE(closure) = template;
    emit_constant(closure);
  } else {
    emit(OP_CLOSURE, (int32_t)constant(template));
    emit_word(count);
    for (uint32_t i = 0; i < count; i++) {
      Value var = VEC(free)[i];
      emit_word(is_local(var) ? VAR_SLOT(var) << 1 : capture(var) << 1 | 1);
    }
    adjust_depth(1);
  }
  finish(mode);
}

/* A let of a join: the body, and behind it the procedure's, which the body's calls jump to. */
static void generate_join(Value node, int mode) {
  ENVVAR(CAR(NODE(node, 0)))->data1 = FIX(DO(G_JOIN, CAR(NODE(node, 1)), FIX(mode), FIX(0), FIX(GET(depth)), V_FALSE));
  EXPR(NODE(node, 2), mode);
}

/* Its argument, if it has one, on top: down to where the let began. */
static void join_jump(Value var, uint32_t count, int mode, uint32_t depth) {
  uint32_t holder = (uint32_t)FIX_VALUE(ENVVAR(var)->data1), more = depth - (uint32_t)FIX_VALUE(ITEM_SLOT(holder, 4));
  if (more) emit(count ? OP_SLIDE : OP_POPN, (int32_t)more);
  chain_jump(holder, emit(OP_JUMP, 0));
  SET(depth, depth + (mode == PUSH_VALUE ? 1 : 0));   /* as if it had come back */
}

static void join(Value lambda, int mode, uint32_t chain, uint32_t base) {
  if (!chain) return;                                 /* nobody calls it */
  uint32_t end = mode == TAIL ? 0 : emit(OP_JUMP, 0) + 1, slot = base;
  patch_chain(chain);
  SET(depth, base);
  for (Value v = NODE(lambda, L_VARS); is_pair(v); v = CDR(v), slot++) {
    adjust_depth(1);
    bind_local(CAR(v), slot);
    if (BOXED(CAR(v))) emit(OP_BOX_LOCAL, (int32_t)slot);
  }
  DO(G_JOIN_END, FIX(mode), FIX(end), FIX(base), FIX(slot - base), V_FALSE);
  EXPR(NODE(lambda, L_BODY), mode);
}

/* A variable that is another one, when neither is ever assigned, has its slot: as what a `for` loop's clause binds, which is the loop's own. */
static bool is_alias(Value var, Value init) {
  uint32_t slot;
  if (BOXED(var) || !plain_local(init, &slot)) return false;
  bind_local(var, slot);
  return true;
}

static void generate_let(Value vars, Value inits, Value body, int mode) {
  List bound = EMPTY_LIST, values = EMPTY_LIST;
  for (; is_pair(vars); vars = CDR(vars), inits = CDR(inits)) {
    if (is_alias(CAR(vars), CAR(inits))) continue;
    list_add(&bound, CAR(vars));
    list_add(&values, CAR(inits));
  }
  vars = bound.head;
  inits = values.head;
  uint32_t n = list_count(vars), first;
  DO(G_UNLET, FIX(n), FIX(mode), V_FALSE, V_FALSE, V_FALSE);
  EXPR(body, mode);
  first = work_top;
  for (uint32_t i = 0; i < 2 * n; i++) DO(G_BIND, V_FALSE, V_FALSE, V_FALSE, V_FALSE, V_FALSE);
  for (uint32_t i = 0; i < n; i++, vars = CDR(vars), inits = CDR(inits)) {
    uint32_t at = first + 2 * (n - 1 - i);
    ITEM_SLOT(at, 1) = CAR(vars);
    ITEM_SLOT(at + 1, 0) = FIX(G_EXPR);
    ITEM_SLOT(at + 1, 1) = CAR(inits);
    ITEM_SLOT(at + 1, 2) = FIX(PUSH_VALUE);
  }
}

static void generate_loop(Value node, int mode) {
  Value lambda = CAR(NODE(node, 1)), operands = NODE(NODE(node, 2), 1);
  DO(G_UNLET, FIX(list_count(operands)), FIX(mode), V_FALSE, V_FALSE, V_FALSE);
  EXPR(NODE(lambda, L_BODY), mode);
  DO(G_LOOP_START, node, FIX(GET(depth)), FIX(mode), V_FALSE, V_FALSE);
  push_reversed(G_EXPR, operands, FIX(PUSH_VALUE), FIX(PUSH_VALUE));
}

static void loop_start(Value node, uint32_t base) {
  Value var = CAR(NODE(node, 0)), lambda = CAR(NODE(node, 1));
  uint32_t slot = base;
  for (Value v = NODE(lambda, L_VARS); is_pair(v); v = CDR(v)) bind_local(CAR(v), slot++);
  set_label();
  ENVVAR(var)->data1 = FIX(GET(code_count));
  ENVVAR(var)->data2 = FIX(base);
  slot = base;
  for (Value v = NODE(lambda, L_VARS); is_pair(v); v = CDR(v), slot++)
    if (BOXED(CAR(v))) emit(OP_BOX_LOCAL, (int32_t)slot);
}

/* The one of three kinds of instructions, in two forms each, that makes the test at a loop's start, too: from the first kind's on; 0: none does. */
static uint32_t with_test(uint32_t test, enum opcode less, enum opcode greater_or_equal, enum opcode equal) {
  uint32_t form = (test & 0xff) - OP_JN_LT_SS;
  if (!compares(test & 0xff) || !(form & 2)) return 0;
  switch (form / 4) {
    case 0: return less + (form & 1);
    case 3: return greater_or_equal + (form & 1);
    case 4: return equal + (form & 1);
    default: return 0;
  }
}

/* ---- where a loop begins anew ---- */
/* A comparison of a local that a loop begins with, and jumps where it does not hold. */
typedef struct {
  enum { NO_TEST, WITH_NUMBER, WITH_LOCAL, WITH_GLOBAL } with;
  uint32_t kind, slot;         /* of comparison: 0 <, 1 >, 2 <=, 3 >=, 4 =; of the local */
  int64_t other;               /* the number, or a slot or the index of a constant */
  uint32_t behind;             /* where it ends: its last word is the distance */
} LoopTest;
static LoopTest loop_test(uint32_t start) {
  uint32_t n = GET(code_count), word = start < n ? CODE[start] : OP_CONST, op = word & 0xff;
  LoopTest t = {NO_TEST, 0, 0, 0, 0};
  if (compares(op) && (op - OP_JN_LT_SS) & 2) {
    bool both = (op - OP_JN_LT_SS) & 1;
    return (LoopTest){both ? WITH_LOCAL : WITH_NUMBER, (op - OP_JN_LT_SS) / 4, word >> 8 & 0xfff, both ? (int64_t)(word >> 20) : (int32_t)word >> 20, start + 2};
  }
  if (op != OP_LOCAL || start + 3 > n) return t;
  t.slot = word >> 8;
  word = CODE[start + 1];
  op = word & 0xff;
  if (compares(op) && ((op - OP_JN_LT_SS) & 3) == 1) {
    t.with = WITH_NUMBER;
    t.other = (int32_t)word >> 8;
    t.behind = start + 3;
  } else if (start + 4 <= n && (op == OP_GLOBAL || (op == OP_CONST && IS_FIX(VEC(FN->consts)[word >> 8])))) {
    t.other = op == OP_GLOBAL ? word >> 8 : FIX_VALUE(VEC(FN->consts)[word >> 8]);
    t.behind = start + 4;
    if (compares(CODE[start + 2] & 0xff) && ((CODE[start + 2] & 0xff) - OP_JN_LT_SS) % 4 == 0) t.with = op == OP_GLOBAL ? WITH_GLOBAL : WITH_NUMBER;
    op = CODE[start + 2] & 0xff;
  }
  t.kind = (op - OP_JN_LT_SS) / 4;
  return t;
}
/* Whether it has found that what is in the slot is a number. */
static bool is_tested(LoopTest t, uint32_t slot) { return t.with != NO_TEST && (t.slot == slot || (t.with == WITH_LOCAL && t.other == slot)); }

/* Whether the operand is the variable of this slot and a small number more: the number. */
static bool is_step(Value node, uint32_t slot, int32_t *step) {
  int prim = NODE_KIND(node) == N_CALL ? known_primitive(NODE(node, 0)) : -1;
  enum opcode op = prim < 0 ? OP_COUNT : (enum opcode)prim_opcode[prim];
  if ((op != OP_ADD_SS && op != OP_SUB_SS) || list_count(NODE(node, 1)) != 2) return false;
  Value x = CAR(NODE(node, 1)), y = CADR(NODE(node, 1));
  if (op == OP_ADD_SS && NODE_KIND(x) == N_CONST) { Value t = x; x = y; y = t; }
  uint32_t of;
  if (!plain_local(x, &of) || of != slot || !small_constant(y, 12, step) || *step == -2048) return false;
  if (op == OP_SUB_SS) *step = -*step;
  return true;
}

/* A local or a number is added in one instruction as it is, and a product of two that are not known is added by the one that multiplies. */
static bool added_otherwise(Value node) {
  uint32_t slot;
  int prim = NODE_KIND(node) == N_CALL ? known_primitive(NODE(node, 0)) : -1;
  if (plain_local(node, &slot) || NODE_KIND(node) == N_CONST) return true;
  if (prim < 0 || prim_opcode[prim] != OP_MUL_SS) return false;
  for (Value factors = NODE(node, 1); is_pair(factors); factors = CDR(factors)) if (NODE_KIND(CAR(factors)) == N_CONST) return false;
  return true;
}

/* What the last one that is pushed adds to its variable or puts in front of it, as (+ sum x) and (cons x list) do: the instruction, and x; else SET_LOCAL. */
static enum opcode gathers(Value node, uint32_t slot, Value *other) {
  int prim = NODE_KIND(node) == N_CALL ? known_primitive(NODE(node, 0)) : -1;
  enum opcode op = prim < 0 ? OP_COUNT : (enum opcode)prim_opcode[prim];
  if ((op != OP_ADD_SS && op != OP_CONS) || list_count(NODE(node, 1)) != 2) return OP_SET_LOCAL;
  Value variable = op == OP_CONS ? CADR(NODE(node, 1)) : CAR(NODE(node, 1));
  uint32_t of;
  *other = op == OP_CONS ? CAR(NODE(node, 1)) : CADR(NODE(node, 1));
  if (!plain_local(variable, &of) || of != slot || (op == OP_ADD_SS && added_otherwise(*other))) return OP_SET_LOCAL;
  return op == OP_CONS ? OP_CONS_INTO : OP_ADD_INTO;
}

/* A variable that stays what it is takes no instruction. One that the loop's test has found to be a number is counted up or down last of all: that
   cannot fail, and so nobody sees that it waits for its turn. The others are pushed, and popped into their slots. */
static void generate_loop_call(Value var, Value operands, int mode) {
  uint32_t count = list_count(operands), slot = (uint32_t)FIX_VALUE(ENVVAR(var)->data2), of;
  LoopTest test = loop_test((uint32_t)FIX_VALUE(ENVVAR(var)->data1));
  List pushed = EMPTY_LIST;
  Value slots = V_NIL, steps = V_NIL, node;
  for (Value rest = operands; is_pair(rest); rest = CDR(rest), slot++) {
    int32_t step;
    if (plain_local(CAR(rest), &of) && of == slot) continue;
    if (slot < 0x1000 && is_tested(test, slot) && is_step(CAR(rest), slot, &step)) {
      steps = cons(cons(FIX(slot), FIX(step)), steps);
    } else {
      list_add(&pushed, CAR(rest));
      slots = cons(FIX(slot), slots);
    }
  }
  bool all = list_count(slots) == count;
  enum opcode into = OP_SET_LOCAL;
  Value place = FIX(0);
  if (slots != V_NIL && (!all || count == 1)) {
    into = gathers(CAR(pushed.last), (uint32_t)FIX_VALUE(CAR(slots)), &node);
    if (into != OP_SET_LOCAL) {
      place = FIX(NODE_PLACE(CAR(pushed.last)));
      CAR(pushed.last) = node;
    }
  }
  Value own = all && into == OP_SET_LOCAL ? V_FALSE : cons(cons(FIX(into), place), cons(slots, steps));
  DO(G_LOOP_JUMP, var, FIX(count), FIX(mode), FIX(GET(depth)), own);
  push_reversed(G_EXPR, pushed.head, FIX(PUSH_VALUE), FIX(PUSH_VALUE));
}

/* What the loop's test and its jump have become is known when all of its code is there: until then the last word tells where it begins. */
static void emit_count(uint32_t slot, int32_t step, uint32_t start) {
  uint32_t charged = 1 + (GET(code_count) + 7 - start) / WORDS_A_STEP;      /* as LOOP_BACK, behind it, charges */
  LoopTest t = loop_test(start);
  if (t.with == WITH_LOCAL && t.other == t.slot) return;                    /* the limit counts, too */
  if (charged > 255 || (t.with == WITH_NUMBER ? t.other <= -(1 << 29) || t.other >= 1 << 29 : t.with == WITH_GLOBAL && t.other > 0xffffff)) return;
  uint32_t at = emit(OP_COUNT_LT_I, (int32_t)(charged | slot * 8 << 8));
  emit_word((uint32_t)step * 2);
  emit_word(slot);
  emit_word(start);
  FN->counts = cons(FIX(at), FN->counts);
}
static void finish_count(uint32_t at) {
  enum { LT, GT, LE, GE, NE, EQ };
  static const uint8_t negated[] = {GE, LE, GT, LT, EQ, NE}, swapped[] = {GT, LT, GE, LE, NE, EQ};
  static const uint8_t ops[][3] = {{OP_COUNT_LT_I, OP_COUNT_LT_L, OP_COUNT_LT_G}, {OP_COUNT_GT_I, OP_COUNT_GT_L, OP_COUNT_GT_G},
                                   {OP_COUNT_LT_I, OP_COUNT_LE_L, OP_COUNT_LE_G}, {OP_COUNT_GT_I, OP_COUNT_GE_L, OP_COUNT_GE_G},
                                   {OP_COUNT_NE_I, OP_COUNT_NE_L, OP_COUNT_NE_G}};
  uint32_t slot = CODE[at + 2];
  LoopTest t = loop_test(CODE[at + 3]);
  uint32_t jumps_to = t.behind + CODE[t.behind - 1];
  bool jumps = jumps_to > t.behind && jumps_to <= at;     /* it is there that this is: the loop goes on where the test does not hold */
  int fulfils = t.kind == 4 ? EQ : (int)t.kind;
  if (t.slot != slot) {                                   /* it is the other of two locals */
    fulfils = swapped[fulfils];
    t.other = t.slot;
  }
  if (jumps) fulfils = negated[fulfils];
  if (fulfils == EQ) { CODE[at] = OP_JUMP | 3 << 8; return; }
  if (t.with == WITH_NUMBER) t.other += fulfils == LE ? 1 : fulfils == GE ? -1 : 0;
  CODE[at] = (CODE[at] & ~0xffu) | ops[fulfils][t.with - WITH_NUMBER];
  CODE[at + 2] = (uint32_t)(t.with == WITH_NUMBER ? (int64_t)FIX(t.other) : t.other * 8);
  CODE[at + 3] = ((jumps ? jumps_to : t.behind) - (at + 1)) * 4;
}

static void emit_step(uint32_t slot, int32_t step) {
  emit(OP_ADD_LI_SET, (int32_t)(slot | (uint32_t)step << 12));
  emit(OP_SET_LOCAL, (int32_t)slot);
}

/* own: #f; or ((how the last value that was pushed gets into its slot . the place of that) slots of those that were, the last first . steps). */
static void loop_jump(Value var, uint32_t count, int mode, uint32_t depth, Value own) {
  uint32_t base = (uint32_t)FIX_VALUE(ENVVAR(var)->data2), start = (uint32_t)FIX_VALUE(ENVVAR(var)->data1), n = GET(code_count);
  if (own == V_FALSE) {
    uint32_t with = count == 2 && n + 1 - start < WORDS_A_STEP ? with_test(CODE[start], OP_LOOP2_LT_LI, OP_LOOP2_GE_LI, OP_LOOP2_EQN_LI) : 0;
    uint32_t at = emit(with ? (enum opcode)with : OP_LOOP, (int32_t)base);
    emit_word(count << 24 | (at + 1 - start));
  } else {
    enum opcode into = (enum opcode)FIX_VALUE(CAR(CAR(own)));
    if (into != OP_SET_LOCAL) emit_place((uint32_t)FIX_VALUE(CDR(CAR(own))));
    for (Value slots = CADR(own); is_pair(slots); slots = CDR(slots), into = OP_SET_LOCAL) {
      if (into != OP_SET_LOCAL) emit(into, (int32_t)FIX_VALUE(CAR(slots)));
      if (into != OP_CONS_INTO) emit(OP_SET_LOCAL, (int32_t)FIX_VALUE(CAR(slots)));
    }
    if (depth > base + count) emit(OP_POPN, (int32_t)(depth - base - count));
    for (Value steps = CDDR(own); is_pair(steps); steps = CDR(steps)) {
      uint32_t slot = (uint32_t)FIX_VALUE(CAR(CAR(steps)));
      int32_t step = (int32_t)FIX_VALUE(CDR(CAR(steps)));
      if (CDR(steps) == V_NIL) emit_count(slot, step, start);
      emit_step(slot, step);
    }
    uint32_t at = emit(OP_LOOP_BACK, 0);
    emit_word(at + 1 - start);
  }
  SET(last, -1);
  SET(depth, depth + (mode == PUSH_VALUE ? 1 : 0));   /* as if it had come back */
}

/* letrec*: boxed variables first, then the initialisations in order; neighbouring lambdas are made
   together and tied afterwards. */
static void generate_letrec(Value node, int mode) {
  if (loop_candidate(node) && (VAR_FLAGS(CAR(NODE(node, 0))) & VAR_LOOP)) { generate_loop(node, mode); return; }
  uint32_t n = 0;
  for (Value v = NODE(node, 0); is_pair(v); v = CDR(v), n++) {
    if (!BOXED(CAR(v))) continue;
    emit_constant(V_UNBOUND);
    emit(OP_BOX_TOP, 0);
    bind_local(CAR(v), GET(depth) - 1);
  }
  DO(G_UNLET, FIX(n), FIX(mode), V_FALSE, V_FALSE, V_FALSE);
  EXPR(NODE(node, 2), mode);
  DO(G_LETREC_INIT, NODE(node, 0), NODE(node, 1), V_FALSE, V_FALSE, V_FALSE);
}

static void letrec_init(Value vars, Value inits) {
  if (!is_pair(vars)) return;
  if (BOXED(CAR(vars))) {
    DO(G_LETREC_INIT, CDR(vars), CDR(inits), V_FALSE, V_FALSE, V_FALSE);
    DO(G_SET, CAR(vars), FIX(EFFECT), V_TRUE, V_FALSE, V_FALSE);
    EXPR(CAR(inits), PUSH_VALUE);
    return;
  }
  if (NODE_KIND(CAR(inits)) != N_LAMBDA) {
    DO(G_LETREC_INIT, CDR(vars), CDR(inits), V_FALSE, V_FALSE, V_FALSE);
    DO(G_BIND, CAR(vars), V_FALSE, V_FALSE, V_FALSE, V_FALSE);
    EXPR(CAR(inits), PUSH_VALUE);
    return;
  }
  /* a run of unboxed lambdas: their slots are known before any is made */
  uint32_t slot = GET(depth), count = 0;
  Value v = vars, i = inits, lambdas = V_NIL;
  for (; is_pair(v) && !BOXED(CAR(v)) && NODE_KIND(CAR(i)) == N_LAMBDA; v = CDR(v), i = CDR(i), count++) {
    bind_local(CAR(v), slot + count);
    lambdas = cons(CAR(i), lambdas);
  }
  DO(G_LETREC_INIT, v, i, V_FALSE, V_FALSE, V_FALSE);
  DO(G_LETREC_KNOT, vars, inits, FIX(count), V_FALSE, V_FALSE);
  for (; is_pair(lambdas); lambdas = CDR(lambdas)) EXPR(CAR(lambdas), PUSH_VALUE);
}

/* Closure k of the run captured variables k and later of it before they were there. */
static void letrec_knot(Value vars, Value inits, uint32_t count) {
  uint32_t first = VAR_SLOT(CAR(vars));
  for (uint32_t k = 0; k < count; k++, vars = CDR(vars), inits = CDR(inits)) {
    Value free = NODE(CAR(inits), L_FREE);
    for (uint32_t j = 0; j < VEC_LENGTH(free); j++) {
      Value var = VEC(free)[j];
      if (!is_local(var) || BOXED(var) || VAR_SLOT(var) < first + k || VAR_SLOT(var) >= first + count) continue;
      emit(OP_PATCH, (int32_t)(first + k));
      emit_word(j << 16 | VAR_SLOT(var));
    }
  }
}

/* A primitive whose value is a boolean, and that is tested without making one. */
static bool is_predicate(Value node) {
  int prim = NODE_KIND(node) == N_CALL ? known_primitive(NODE(node, 0)) : -1;
  switch (prim < 0 ? OP_COUNT : prim_opcode[prim]) {
    case OP_NULLP: case OP_PAIRP: case OP_ZEROP: case OP_NOT: case OP_IS_TAG: return list_count(NODE(node, 1)) == 1;
    case OP_EQ: case OP_EQV: case OP_CHAR_EQ: case OP_LT_SS: case OP_GT_SS: case OP_LE_SS: case OP_GE_SS: case OP_EQN_SS:
      return list_count(NODE(node, 1)) == 2;
    default: return false;
  }
}

/* `and` and `or` that begin with a predicate are an `if`: (and (null? x) y) is (if (null? x) y #f). */
static Value as_if(Value node) {
  Value first = CAR(NODE(node, 0)), rest = CDR(NODE(node, 0));
  rest = CDR(rest) == V_NIL ? CAR(rest) : make_node(NODE_KIND(node), NODE_PLACE(node), 1, rest);
  if (NODE_KIND(node) == N_AND) return make_node(N_IF, NODE_PLACE(node), 3, first, rest, make_leaf(N_CONST, 0, V_FALSE));
  return make_node(N_IF, NODE_PLACE(node), 3, first, make_leaf(N_CONST, 0, V_TRUE), rest);
}

static void generate_andor(Value node, int mode) {
  Value exprs = NODE(node, 0);
  if (is_predicate(CAR(exprs))) { EXPR(as_if(node), mode); return; }
  enum opcode op = NODE_KIND(node) == N_AND ? OP_AND_JUMP : OP_OR_JUMP;
  int inner = mode == EFFECT ? PUSH_VALUE : mode;
  uint32_t holder = DO(G_ANDOR_END, FIX(mode), FIX(GET(depth)), FIX(0), V_FALSE, V_FALSE);
  uint32_t n = list_count(exprs), first = work_top;
  for (uint32_t i = 0; i < 2 * n - 1; i++) DO(G_EXPR, V_FALSE, FIX(PUSH_VALUE), V_FALSE, V_FALSE, V_FALSE);
  for (uint32_t i = 0; i < n; i++, exprs = CDR(exprs)) {
    uint32_t at = first + 2 * (n - 1 - i);
    ITEM_SLOT(at, 1) = CAR(exprs);
    if (i == n - 1) { ITEM_SLOT(at, 2) = FIX(inner); break; }
    ITEM_SLOT(at - 1, 0) = FIX(G_ANDOR_JUMP);
    ITEM_SLOT(at - 1, 1) = FIX(op);
    ITEM_SLOT(at - 1, 2) = FIX(holder);
  }
}

static void andor_end(int mode, uint32_t depth, uint32_t chain) {
  patch_chain(chain);
  SET(depth, depth + 1);
  finish(mode);
}

/* Whether eqv? is eq? on these operands: where one of them is a constant that is the same wherever it is. */
static bool told_by_eq(Value operands) {
  for (; is_pair(operands); operands = CDR(operands)) {
    if (NODE_KIND(CAR(operands)) != N_CONST) continue;
    Value v = NODE(CAR(operands), 0);
    if (IS_FIX(v) || IS(v, T_SPECIAL) || IS(v, T_CHAR) || IS(v, T_SYMBOL)) return true;
  }
  return false;
}

/* Two operands that are a local and a constant, in either order: a slot and a constant index, 12 bits each. */
static bool local_and_constant(Value operands, uint32_t *both) {
  Value x = CAR(operands), y = CADR(operands);
  if (NODE_KIND(x) == N_CONST) { Value kept = x; x = y; y = kept; }
  uint32_t slot;
  if (NODE_KIND(y) != N_CONST || !plain_local(x, &slot) || GET(const_count) >= 0xfff) return false;
  *both = slot | constant(NODE(y, 0)) << 12;
  return true;
}

/* A test: falls through where it holds, or with `negated` where it does not; jumps of the other case join the holder's chain. */
static void test(Value node, uint32_t holder, bool negated) {
  DO(G_TEST, node, FIX(holder), BOOL(negated), V_FALSE, V_FALSE);
}

/* All of them have to hold (or none, negated): each goes to the holder's chain where that fails. */
static void test_all(Value nodes, uint32_t holder, bool negated) {
  uint32_t n = list_count(nodes), first = work_top;
  for (uint32_t i = 0; i < n; i++) test(V_FALSE, holder, negated);
  for (uint32_t i = n; i-- > 0; nodes = CDR(nodes)) ITEM_SLOT(first + i, 1) = CAR(nodes);
}

/* One of them has to hold (or to fail, negated): all but the last go behind the test where that is so. */
static void test_some(Value nodes, uint32_t holder, bool negated) {
  uint32_t behind = DO(G_TEST_END, V_FALSE, V_FALSE, FIX(0), V_FALSE, V_FALSE), n = list_count(nodes), first = work_top;
  for (uint32_t i = 0; i < n; i++) test(V_FALSE, i ? behind : holder, i ? !negated : negated);
  for (uint32_t i = n; i-- > 0; nodes = CDR(nodes)) ITEM_SLOT(first + i, 1) = CAR(nodes);
}

static bool is_constant(Value node, Value v) { return NODE_KIND(node) == N_CONST && NODE(node, 0) == v; }

static void generate_test(Value node, uint32_t holder, bool negated) {
#define BRANCH(op, a) do { DO(G_BRANCH, FIX(op), FIX(holder), FIX(a), V_FALSE, V_FALSE); } while (0)
  int prim = -1;
  enum opcode op = OP_COUNT;
  uint32_t argc = 0, slot;
  for (;; negated = !negated) {
    prim = NODE_KIND(node) == N_CALL ? known_primitive(NODE(node, 0)) : -1;
    op = prim < 0 ? OP_COUNT : (enum opcode)prim_opcode[prim];
    argc = prim < 0 ? 0 : list_count(NODE(node, 1));
    if (op != OP_NOT || argc != 1) break;
    node = CAR(NODE(node, 1));
  }
  Value x = argc ? CAR(NODE(node, 1)) : V_FALSE;
  switch (NODE_KIND(node)) {
    case N_CONST:
      if (TRUTH(NODE(node, 0)) == negated) chain_jump(holder, emit(OP_JUMP, 0));
      return;
    case N_AND: case N_OR:
      if ((NODE_KIND(node) == N_AND) == negated) test_some(NODE(node, 0), holder, negated); else test_all(NODE(node, 0), holder, negated);
      return;
    case N_IF:
      if (is_constant(NODE(node, 1), V_TRUE)) {
        Value parts = list_n(2, NODE(node, 0), NODE(node, 2));
        if (negated) test_all(parts, holder, true); else test_some(parts, holder, false);
      } else if (is_constant(NODE(node, 2), V_FALSE)) {
        Value parts = list_n(2, NODE(node, 0), NODE(node, 1));
        if (negated) test_some(parts, holder, true); else test_all(parts, holder, false);
      } else {
        uint32_t otherwise = DO(G_TEST_ELSE, NODE(node, 2), FIX(holder), FIX(0), BOOL(negated), V_FALSE);
        test(NODE(node, 1), holder, negated);
        test(NODE(node, 0), otherwise, false);
      }
      return;
    default: break;
  }
  if ((op == OP_NULLP || op == OP_PAIRP) && argc == 1) {
    bool null = op == OP_NULLP;
    if (plain_local(x, &slot)) {
      BRANCH(null ? (negated ? OP_J_NULL_L : OP_JN_NULL_L) : (negated ? OP_J_PAIR_L : OP_JN_PAIR_L), slot);
    } else {
      BRANCH(null ? (negated ? OP_J_NULL : OP_JN_NULL) : (negated ? OP_J_PAIR : OP_JN_PAIR), 0);
      EXPR(x, PUSH_VALUE);
    }
  } else if ((op == OP_EQ || (op == OP_EQV && told_by_eq(NODE(node, 1)))) && argc == 2 && local_and_constant(NODE(node, 1), &slot)) {
    BRANCH(negated ? OP_J_EQ_LC : OP_JN_EQ_LC, slot);
  } else if ((op == OP_EQ || (op == OP_EQV && told_by_eq(NODE(node, 1)))) && argc == 2) {
    BRANCH(negated ? OP_J_EQ : OP_JN_EQ, 0);
    EXPR(CADR(NODE(node, 1)), PUSH_VALUE);
    EXPR(x, PUSH_VALUE);
  } else if ((op >= OP_LT_SS && op <= OP_EQN_SS && argc == 2) || (op == OP_ZEROP && argc == 1)) {
    /* these jump where they do not hold alone: the opposite of < is not >=, with a number that is none */
    if (negated) holder = DO(G_TEST_NEGATED, FIX(holder), V_FALSE, FIX(0), V_FALSE, V_FALSE);
    if (op == OP_ZEROP && plain_local(x, &slot)) {
      DO(G_BRANCH, FIX(OP_JN_EQN_LI), FIX(holder), FIX(slot), FIX(NODE_PLACE(node)), V_TRUE);
    } else if (op == OP_ZEROP) {
      DO(G_BRANCH, FIX(OP_JN_EQN_SI), FIX(holder), FIX(0), FIX(NODE_PLACE(node)), V_TRUE);
      EXPR(x, PUSH_VALUE);
    } else {
      binary((enum opcode)(OP_JN_LT_SS + 4 * (op - OP_LT_SS)), x, CADR(NODE(node, 1)), NODE_PLACE(node), G_BRANCH, (int32_t)holder);
    }
  } else {
    BRANCH(negated ? OP_JUMP_TRUE : OP_JUMP_FALSE, 0);
    EXPR(node, PUSH_VALUE);
  }
}

static int branch_pops(uint32_t op) {
  if (compares(op)) return (int[]){2, 1, 0, 0}[(op - OP_JN_LT_SS) & 3];
  if (op == OP_JN_EQ || op == OP_J_EQ) return 2;
  return op >= OP_JN_NULL_L ? 0 : 1;
}

static void branch(uint32_t op, uint32_t holder, int32_t a, Value place, bool zerop) {
  if (IS_FIX(place)) put_place((uint32_t)FIX_VALUE(place), zerop ? PLACE_OF_ZEROP : 0);
  uint32_t at = emit((enum opcode)op, a);
  if (distance_in_next_word(op)) emit_word(0);
  adjust_depth(-branch_pops(op));
  chain_jump(holder, at);
}

/* How many arguments the inline instruction of a primitive takes; 0 for none. */
uint32_t opcode_arguments(enum opcode op) {
  switch (op) {
    case OP_CAR: case OP_CDR: case OP_CADR: case OP_CDDR: case OP_PAIRP: case OP_NULLP: case OP_NOT: case OP_ZEROP:
    case OP_IS_TAG: case OP_VECTOR_LENGTH: case OP_STRING_LENGTH: case OP_UNBOX: case OP_BOX: return 1;
    case OP_CONS: case OP_SET_CAR: case OP_SET_CDR: case OP_EQ: case OP_EQV: case OP_ADD_SS: case OP_SUB_SS: case OP_MUL_SS:
    case OP_QUOTIENT_SS: case OP_REMAINDER_SS: case OP_MODULO_SS: case OP_LT_SS: case OP_GT_SS: case OP_LE_SS: case OP_GE_SS:
    case OP_EQN_SS: case OP_VECTOR_REF: case OP_STRING_REF: case OP_CHAR_EQ: case OP_SET_BOX:
    case OP_RECORD_REF: case OP_RECORD_IS: return 2;
    case OP_VECTOR_SET: return 3;
    default: return 0;
  }
}

static bool generate_primitive(Value node, int mode, int prim) {
  enum opcode op = (enum opcode)prim_opcode[prim];
  Value operands = NODE(node, 1);
  uint32_t argc = list_count(operands), slot;
  Value place = FIX(NODE_PLACE(node));
  if (op == OP_LIST && argc < 1000) {
    DO(G_INLINE_END, FIX(OP_LIST), FIX(mode), FIX(argc), place, FIX(argc));
    push_reversed(G_EXPR, operands, FIX(PUSH_VALUE), FIX(PUSH_VALUE));
    return true;
  }
  if ((op == OP_ADD_SS || op == OP_MUL_SS) && argc > 2) {       /* n-ary: from the left */
    DO(G_FOLD, CDR(operands), FIX(op), FIX(mode), place, V_FALSE);
    EXPR(CAR(operands), PUSH_VALUE);
    return true;
  }
  if (op >= OP_LT_SS && op <= OP_EQN_SS && argc == 3) {
    DO(G_INLINE_END, FIX(op + (OP_LT_3 - OP_LT_SS)), FIX(mode), FIX(0), place, FIX(3));
    push_reversed(G_EXPR, operands, FIX(PUSH_VALUE), FIX(PUSH_VALUE));
    return true;
  }
  if (op == OP_COUNT || opcode_arguments(op) != argc) return false;
  if (op == OP_VECTOR_REF && plain_local(CADR(operands), &slot)) {
    uint32_t vector;
    bool both = plain_local(CAR(operands), &vector);
    DO(G_INLINE_END, FIX(both ? OP_VECTOR_REF_LL : OP_VECTOR_REF_L), FIX(mode), FIX(both ? vector | slot << 12 : slot), place, FIX(both ? 0 : 1));
    if (!both) EXPR(CAR(operands), PUSH_VALUE);
    return true;
  }
  if ((op == OP_CAR || op == OP_CDR) && plain_local(CAR(operands), &slot)) {
    DO(G_INLINE_END, FIX(op == OP_CAR ? OP_CAR_L : OP_CDR_L), FIX(mode), FIX(slot), place, FIX(0));
    return true;
  }
  if (op >= OP_ADD_SS && op <= OP_MODULO_SS) {
    Value x = CAR(operands), y = CADR(operands);
    int32_t n;
    if ((op == OP_ADD_SS || op == OP_MUL_SS) && small_constant(x, 12, &n) && !small_constant(y, 12, &n)) { Value t = x; x = y; y = t; }
    binary(op, x, y, NODE_PLACE(node), G_INLINE_END, mode);
    return true;
  }
  DO(G_INLINE_END, FIX(op), FIX(mode), FIX(op == OP_IS_TAG ? prim_tag[prim] : 0), place, FIX(argc));
  push_reversed(G_EXPR, operands, FIX(PUSH_VALUE), FIX(PUSH_VALUE));
  return true;
}

static void inline_end(uint32_t op, int mode, int32_t a, uint32_t place, uint32_t argc_or_form) {
  uint32_t argc = argc_or_form;
  if (op >= OP_ADD_SS && op <= OP_MODULO_LL) argc = (uint32_t[]){2, 1, 0, 0}[(op - OP_ADD_SS) & 3];
  uint32_t slot;
  if (op == OP_CONS && take_local(&slot)) { op = OP_CONS_L; a = (int32_t)slot; }
  emit_place(place);
  emit((enum opcode)op, a);
  adjust_depth(1 - (int32_t)argc);
  finish(mode);
}

enum callee { CALLEE_GLOBAL, CALLEE_PRIMITIVE, CALLEE_PUSHED, CALLEE_BELOW };

static void generate_call(Value node, int mode) {
  Value operator = NODE(node, 0), operands = NODE(node, 1);
  uint32_t argc = list_count(operands);
  enum node kind = NODE_KIND(operator);
  if (lambda_takes(operator, argc)) { generate_let(NODE(operator, L_VARS), operands, NODE(operator, L_BODY), mode); return; }
  if (kind == N_LREF && (VAR_FLAGS(NODE(operator, 0)) & VAR_LOOP)) {
    if (!(VAR_FLAGS(NODE(operator, 0)) & VAR_JOIN)) { generate_loop_call(NODE(operator, 0), operands, mode); return; }
    DO(G_JOIN_JUMP, NODE(operator, 0), FIX(argc), FIX(mode), FIX(GET(depth)), V_FALSE);
    push_reversed(G_EXPR, operands, FIX(PUSH_VALUE), FIX(PUSH_VALUE));
    return;
  }
  int prim = known_primitive(operator);
  if (prim >= 0 && generate_primitive(node, mode, prim)) return;
  enum callee callee = kind == N_LREF || kind == N_CONST || kind == N_LAMBDA ? CALLEE_PUSHED : kind == N_GREF ? CALLEE_GLOBAL : CALLEE_BELOW;
  if (prim >= 0) callee = mode == TAIL && prim_tail[prim] ? CALLEE_PUSHED : CALLEE_PRIMITIVE;
  DO(G_CALL_END, node, FIX(mode), FIX(argc), FIX(callee), FIX(GET(depth)));
  if (callee == CALLEE_PUSHED) EXPR(operator, PUSH_VALUE);
  push_reversed(G_EXPR, operands, FIX(PUSH_VALUE), FIX(PUSH_VALUE));
  if (callee == CALLEE_BELOW) EXPR(operator, PUSH_VALUE);
}

/* Where the constants have these three, one behind the other. */
static uint32_t known_constants(Value cell, Value procedure, Value what) {
  Value known[] = {cell, procedure, what};
  uint32_t n = GET(const_count), i = n > 64 ? n - 64 : 0;
  while (i + 3 <= n && memcmp(VEC(FN->consts) + i, known, sizeof known) != 0) i++;
  if (i + 3 <= n) return i;
  if (n + 3 > VEC_LENGTH(FN->consts)) FN->consts = grown_vector(FN->consts);
  memcpy(VEC(FN->consts) + n, known, sizeof known);
  SET(const_count, n + 3);
  return n;
}

/* A cell that holds a record type's accessor, predicate or constructor now, or a case-lambda, does so, most likely, when the call is made: see
   ACCESS_GLOBAL. */
static bool call_known(Value cell, uint32_t argc, bool tail) {
  Value procedure = CELL(cell)->value;
  uint32_t slot, at;
  if (IS(procedure, T_CASE)) {
    Value closure = select_case(procedure, argc);
    if (closure == V_FALSE) return false;
    at = known_constants(cell, procedure, closure);
    emit(OP_CASE_GLOBAL, (int32_t)argc);
  } else {
    if (!IS(procedure, T_CLOSURE)) return false;
    struct Template *t = TEMPLATE(CLOSURE_TEMPLATE(procedure));
    uint32_t word = *(uint32_t *)RAW_BYTES(t->code), op = word & 0xff;
    if (op == OP_CONSTRUCT ? t->arity != ARITY_SIMPLE(argc) : (op != OP_ACCESS && op != OP_PREDICATE) || argc != 1) return false;
    at = known_constants(cell, procedure, TEMPLATE_CONSTS(t)[0]);
    if (op == OP_CONSTRUCT) emit(OP_CONSTRUCT_GLOBAL, (int32_t)argc);
    else if (op == OP_PREDICATE) emit(OP_PREDICATE_GLOBAL, 0);
    else if (word >> 8 < 0x1000 && take_local(&slot)) emit(OP_ACCESS_LOCAL, (int32_t)(slot | word >> 8 << 12));
    else emit(OP_ACCESS_GLOBAL, (int32_t)(word >> 8));
  }
  emit_word(at | (tail ? TAIL_BIT : 0));
  return true;
}

static bool takes(uint32_t prim, uint32_t argc) {
  const PrimDef *p = prim_table[prim];
  return (int)argc >= p->min_args && (p->max_args < 0 || (int)argc <= p->max_args);
}

static void call_end(Value node, int mode, uint32_t argc, enum callee callee, uint32_t base) {
  Value operator = NODE(node, 0);
  if (callee == CALLEE_BELOW) { emit_local(base); adjust_depth(1); }
  emit_place(NODE_PLACE(node));
  bool tail = mode == TAIL;
  switch (callee) {
    case CALLEE_GLOBAL:
      if (call_known(NODE(operator, 0), argc, tail)) break;
      emit(tail ? OP_TAIL_CALL_GLOBAL : OP_CALL_GLOBAL, (int32_t)argc);
      emit_word(constant(NODE(operator, 0)));
      break;
    case CALLEE_PRIMITIVE:
      emit(takes((uint32_t)known_primitive(operator), argc) ? OP_CALL_PRIM : OP_CALL_PRIM_ANY, (int32_t)argc);
      emit_word((uint32_t)known_primitive(operator));
      break;
    default:
      emit(tail ? OP_TAIL_CALL : OP_CALL, (int32_t)argc);
  }
  SET(last, -1);
  SET(depth, base + 1);
  if (tail && callee != CALLEE_PRIMITIVE) { emit(OP_RETURN, 0); return; }   /* from the library, which keeps a program's frame: see vm.c */
  if (callee == CALLEE_BELOW) { SET(depth, base + 2); emit(OP_SLIDE, 1); SET(depth, base + 1); }
  finish(mode);
}

static void generate_set(Value var, int mode, bool initialise) {
  bool local = is_local(var);
  uint32_t at = local ? VAR_SLOT(var) : capture(var);
  emit(initialise ? OP_INIT_BOX : local ? OP_SET_LOCAL_BOX : OP_SET_FREE_BOX, (int32_t)at);
  adjust_depth(-1);
  push_void(mode);
}

static void unlet(uint32_t n, int mode) {
  if (mode == TAIL || n == 0) return;
  emit(mode == PUSH_VALUE ? OP_SLIDE : OP_POPN, (int32_t)n);
  adjust_depth(-(int32_t)n);
}

static void generate_expr(Value node, int mode) {
  uint32_t slot;
  switch (NODE_KIND(node)) {
    case N_CONST:
      if (mode != EFFECT) { emit_constant(NODE(node, 0)); finish(mode); }
      break;
    case N_LREF:
      if (mode == TAIL && plain_local(node, &slot)) { emit(OP_RETURN_LOCAL, (int32_t)slot); break; }
      if (mode == EFFECT && plain_local(node, &slot)) break;
      emit_place(NODE_PLACE(node));
      emit_reference(NODE(node, 0));
      finish(mode);
      break;
    case N_GREF:
      emit_place(NODE_PLACE(node));
      emit(OP_GLOBAL, (int32_t)constant(NODE(node, 0)));
      adjust_depth(1);
      finish(mode);
      break;
    case N_LSET:
      DO(G_SET, NODE(node, 0), FIX(mode), V_FALSE, V_FALSE, V_FALSE);
      EXPR(NODE(node, 1), PUSH_VALUE);
      break;
    case N_GSET: case N_GDEF:
      DO(G_SET, node, FIX(mode), V_FALSE, V_FALSE, V_FALSE);
      EXPR(NODE(node, 1), PUSH_VALUE);
      break;
    case N_IF: {
      uint32_t holder = DO(G_IF_THEN, node, FIX(mode), FIX(0), FIX(GET(depth)), V_FALSE);
      test(NODE(node, 0), holder, false);
      break;
    }
    case N_SEQ: push_reversed(G_EXPR, NODE(node, 0), FIX(EFFECT), FIX(mode)); break;
    case N_LAMBDA: generate_lambda(node, mode); break;
    case N_CASE:
      DO(G_CASE_END, FIX(list_count(NODE(node, 1))), FIX(mode), V_FALSE, V_FALSE, V_FALSE);
      push_reversed(G_EXPR, NODE(node, 1), FIX(PUSH_VALUE), FIX(PUSH_VALUE));
      break;
    case N_CALL: generate_call(node, mode); break;
    case N_LET:
      if (join_candidate(node) && (VAR_FLAGS(CAR(NODE(node, 0))) & VAR_LOOP)) generate_join(node, mode);
      else generate_let(NODE(node, 0), NODE(node, 1), NODE(node, 2), mode);
      break;
    case N_LETREC: generate_letrec(node, mode); break;
    case N_AND: case N_OR: generate_andor(node, mode); break;
  }
}

static void generate_global_set(Value node, int mode) {
  emit_place(NODE_PLACE(node));
  emit(NODE_KIND(node) == N_GDEF ? OP_DEFINE_GLOBAL : OP_SET_GLOBAL, (int32_t)constant(NODE(node, 0)));
  adjust_depth(-1);
  push_void(mode);
}

static void do_generate(Value *item) {
  Value a = item[1], b = item[2], c = item[3], d = item[4], e = item[5];
#define N(v) ((int32_t)FIX_VALUE(v))
  switch ((enum generate)FIX_VALUE(item[0])) {
    case G_EXPR: generate_expr(a, N(b)); break;
    case G_TEST: generate_test(a, (uint32_t)N(b), TRUTH(c)); break;
    case G_TEST_ELSE: {                 /* the first branch holds: behind the other */
      uint32_t jump = emit(OP_JUMP, 0);
      patch_chain((uint32_t)N(c));
      DO(G_TEST_END, V_FALSE, V_FALSE, FIX(jump + 1), V_FALSE, V_FALSE);
      test(a, (uint32_t)N(b), TRUTH(d));
      break;
    }
    case G_TEST_END: patch_chain((uint32_t)N(c)); break;
    case G_TEST_NEGATED:
      chain_jump((uint32_t)N(a), emit(OP_JUMP, 0));
      patch_chain((uint32_t)N(c));
      break;
    case G_IF_THEN:
      DO(G_IF_ELSE, a, b, c, d, V_FALSE);
      EXPR(NODE(a, 1), N(b));
      break;
    case G_IF_ELSE: {
      uint32_t end = N(b) == TAIL ? 0 : emit(OP_JUMP, 0) + 1;
      patch_chain((uint32_t)N(c));
      SET(depth, N(d));
      DO(G_IF_END, b, FIX(end), d, V_FALSE, V_FALSE);
      EXPR(NODE(a, 2), N(b));
      break;
    }
    case G_IF_END:
      if (N(b)) { set_jump((uint32_t)N(b) - 1, 0); patch_chain((uint32_t)N(b)); }
      SET(depth, N(c) + (N(a) == PUSH_VALUE ? 1 : 0));
      break;
    case G_BRANCH: branch((uint32_t)N(a), (uint32_t)N(b), N(c), d, e == V_TRUE); break;
    case G_SET:
      if (IS(a, T_ENVVAR)) generate_set(a, N(b), TRUTH(c)); else generate_global_set(a, N(b));
      break;
    case G_FINISH_FN: finish_fn(); break;
    case G_RETURN: emit(OP_RETURN, 0); break;
    case G_BIND:
      bind_local(a, GET(depth) - 1);
      if (BOXED(a)) emit(OP_BOX_TOP, 0);
      break;
    case G_UNLET: unlet((uint32_t)N(a), N(b)); break;
    case G_ANDOR_JUMP:
      chain_jump((uint32_t)N(b), emit((enum opcode)N(a), 0));
      adjust_depth(-1);
      break;
    case G_ANDOR_END: andor_end(N(a), (uint32_t)N(b), (uint32_t)N(c)); break;
    case G_CALL_END: call_end(a, N(b), (uint32_t)N(c), (enum callee)N(d), (uint32_t)N(e)); break;
    case G_INLINE_END: inline_end((uint32_t)N(a), N(b), N(c), (uint32_t)N(d), (uint32_t)N(e)); break;
    case G_FOLD:
      if (!is_pair(a)) { finish(N(c)); break; }
      DO(G_FOLD, CDR(a), b, c, d, V_FALSE);
      DO(G_INLINE_END, b, FIX(PUSH_VALUE), FIX(0), d, FIX(2));
      EXPR(CAR(a), PUSH_VALUE);
      break;
    case G_LOOP_START: loop_start(a, (uint32_t)N(b)); break;
    case G_LOOP_JUMP: loop_jump(a, (uint32_t)N(b), N(c), (uint32_t)N(d), e); break;
    case G_JOIN: join(a, N(b), (uint32_t)N(c), (uint32_t)N(d)); break;
    case G_JOIN_JUMP: join_jump(a, (uint32_t)N(b), N(c), (uint32_t)N(d)); break;
    case G_JOIN_END:
      unlet((uint32_t)N(d), N(a));
      if (N(b)) { set_jump((uint32_t)N(b) - 1, 0); patch_chain((uint32_t)N(b)); }
      SET(depth, N(c) + (N(a) == PUSH_VALUE ? 1 : 0));
      break;
    case G_LETREC_INIT: letrec_init(a, b); break;
    case G_LETREC_KNOT: letrec_knot(a, b, (uint32_t)N(c)); break;
    case G_CASE_END:
      emit(OP_CALL_PRIM, N(a));
      emit_word((uint32_t)prim_index("%make-case"));
      adjust_depth(1 - N(a));
      finish(N(b));
      break;
  }
}

/* Every item allocates in proportion to the lists of its node and to what it doubles. */
static uint64_t next_item_bytes(uint32_t *items) {
  *items = VEC_LENGTH(work) > LONG_PART / 8 ? 16 : 0;       /* that it pushes beside those of its lists */
  uint64_t bytes = (uint64_t)VEC_LENGTH(work) * 8 * 2;
  Value node = ITEM_SLOT(work_top - 1, 1);
  for (int i = 0; IS(node, T_VECTOR) && i < 2 && VEC_LENGTH(node) > 3 && VEC_LENGTH(node) < 10; i++) {
    Value list = NODE(node, i);
    if (!is_pair(list)) continue;
    uint64_t count = list_count(list);
    bytes += count * ITEM * 2 * 16;
    *items += 2 * (uint32_t)count;
    charge((int64_t)count / 8);
  }
  if (fn != V_FALSE) bytes += (uint64_t)(OBJ_LENGTH(FN->code) + OBJ_LENGTH(FN->places) + VEC_LENGTH(FN->consts) * 8 + VEC_LENGTH(FN->free) * 16) * 3;
  return bytes;
}

/* Code of megabytes moves to a larger place in pieces, before it is full. False: that pauses. */
static bool code_room(Value *raw, uint32_t bytes) {
  uint32_t size = OBJ_LENGTH(*raw), width = 1;
  if (size < LONG_PART || (size - bytes > size / 16 && !chars_moving(*raw))) return true;
  return chars_moved(raw, &width, bytes, 2 * (uint64_t)size, 1);
}

/* The same for all that grows. Memory is reserved. */
static bool long_room(uint32_t items) {
  if ((uint64_t)(work_top + items) * ITEM > VEC_LENGTH(work)) {
    Stack s = {work, work_top * ITEM};
    if (!stack_room(&s, items * ITEM)) return false;
    work = s.slots;
  }
  return fn == V_FALSE || (code_room(&FN->code, GET(code_count) * 4) && code_room(&FN->places, GET(place_count) * 8));
}

void compile_begin_plain(Value tree_, Value source_name) {
  fn = V_FALSE;
  source = source_name;
  tree = tree_;
  generating = false;
  work_begin();
}
void compile_begin(Value tree_, Value source_name) {
  compile_begin_plain(tree_, source_name);
  analyse_begin(tree);
}

Value compile_run(void) {
  for (;;) {
    if (work_top == 0) {
      if (generating) break;
      generating = true;
      begin_fn(V_FALSE, PUSH_VALUE);
      /* not a tail call: its frame tells where in the program an error of the library came from */
      DO(G_RETURN, V_FALSE, V_FALSE, V_FALSE, V_FALSE, V_FALSE);
      EXPR(tree, PUSH_VALUE);
    }
    uint32_t items;
    uint64_t bytes = next_item_bytes(&items);
    if (bytes > HEAP_HEADROOM / 4) {
      if (!heap_reserve(bytes)) return need_memory(bytes);
      if (!long_room(items)) return V_AGAIN;
    }
    charge(1);
    Value item[ITEM];
    memcpy(item, VEC(work) + --work_top * ITEM, sizeof item);
    if (generating) do_generate(item); else analyse_item(item);
    if (generating && GET(max_depth) > 12000)
      return err_fail("exn:fail:syntax", "procedure too large: it needs more than 12000 values on the stack at once; build the data in parts", V_NIL);
    if (should_pause()) return V_AGAIN;                  /* one item at the least is done before */
  }
  Value closure = heap_object(T_CLOSURE, 0, 1);
  CLOSURE_TEMPLATE(closure) = make_template();
  compiler_drop();
  return closure;
}

static Value prim_compile(int argc, Value *args) {
  (void)argc;
  if (vm.resume == V_FALSE) {
    if (!IS(args[0], T_VECTOR)) return err_type("%compile", 0, "syntax tree", args[0]);
    compile_begin(args[0], args[1]);
    vm.resume = V_TRUE;
  }
  return compile_run();
}

void compiler_drop(void) { work = fn = source = tree = V_FALSE; }

void compiler_init(void) {
  heap_root(&work);
  heap_root(&fn);
  heap_root(&source);
  heap_root(&tree);
}

const PrimDef compile_prims[] = {
  {"%compile", prim_compile, 2, 2, "(%compile ast source-name)"},
  {0}
};
