/* vm.c — the virtual machine: one switch over the instructions of code.h.
 *
 * The machine is entered by vm_run and left only between two instructions, with all of its state
 * in `m`; so nothing of it is ever on the C stack while it waits. Safe points are procedure entry,
 * loops' back jumps and primitives that return V_AGAIN: there the collector may run, the time
 * slice may end, and the prelude's tick may be called. Steps are calls, turns of loops, primitives, and so
 * many words of code between them: else a slice could be made as long as its code.
 */
#include "vm/vm.h"
#include "core/check.h"
#include "data/equal.h"
#include "numbers/number.h"
#include "vm/continuation.h"
#include "vm/error.h"
#include "vm/inline_prims.h"
#include "vm/machine.h"
#include <string.h>

/* Defined here, where they are used the most: the loop is faster where the compiler sees them whole.
   The stacks begin with a page, so that what a snapshot leaves out of them are whole pages, and speed
   does not hang on what the linker puts in front of them. */
_Alignas(4096) struct Machine m;
uint16_t op_primitive[256];

#define CONSTS_OF(self) TEMPLATE_CONSTS(TEMPLATE(CLOSURE_TEMPLATE(self)))

/* A message came in while the running fiber was preempted: call the prelude's tick in front of
   what it was about to do. */
static void enter_tick(void) {
  if (m.hook_tick == V_FALSE || m.in_tick || vm.resume != V_FALSE) return;
  m.in_tick = true;
  m.frames[m.depth++] = (struct Frame){m.self, ADDRESS(CODE_OF(m.self) + m.pc), ADDRESS(m.values + m.fp)};
  m.self = m.tick_stub;
  m.pc = 0;
  m.fp = m.sp;
  m.values[m.sp++] = m.hook_tick;
}

static bool arity_accepts(Value arity, uint32_t argc) {
  uint32_t required = ARITY_REQUIRED(arity);
  return argc >= required && (ARITY_REST(arity) || argc <= required + ARITY_OPTIONAL(arity));
}

/* Bring accepted arguments into the shape that an optional or rest parameter wants; returns the
   new stack top. The stack has room (VALUE_RESERVE). */
static Value *shape_arguments(Value arity, Value *slot, uint32_t argc) {
  uint32_t positional = ARITY_REQUIRED(arity) + ARITY_OPTIONAL(arity);
  Value rest = V_NIL;
  while (argc > positional) rest = cons(slot[--argc], rest);
  while (argc < positional) slot[argc++] = V_DEFAULT;
  if (ARITY_REST(arity)) slot[argc++] = rest;
  return slot + argc;
}

static Value select_case(Value procedure, uint32_t argc) {
  for (uint32_t i = 0; i < OBJ_LENGTH(procedure); i++) {
    Value closure = SLOTS(procedure)[i];
    if (arity_accepts(TEMPLATE(CLOSURE_TEMPLATE(closure))->arity, argc)) return closure;
  }
  return V_FALSE;
}

/* Collect, at a safe point, with the registers saved. RUN_DONE: go on. */
static enum run_status collect(void) {
  m.collecting = true;
  if (!heap_collect()) return RUN_PREEMPTED;
  m.collecting = false;
  uint64_t need = vm.need_bytes;
  vm.need_bytes = 0;
  return heap_has_room(need) ? RUN_DONE : RUN_NO_MEMORY;
}

/* ---- the machine ---- */

/* The registers live in C locals while it runs; SAVE and LOAD move them. */
#define SAVE() (m.self = self, m.pc = (uint32_t)(pc - CODE_OF(self)), m.fp = (uint32_t)(fp - m.values), \
                m.sp = (uint32_t)(sp - m.values), m.depth = (uint32_t)(frame - m.frames))
#define LOAD() (self = m.self, consts = CONSTS_OF(self), pc = CODE_OF(self) + m.pc, fp = m.values + m.fp, \
                sp = m.values + m.sp, frame = m.frames + m.depth)
#define PUSH_FRAME() (frame->self = self, frame->pc = ADDRESS(pc), frame->fp = ADDRESS(fp), frame++)
/* the caller's registers; its sp is where the callee's arguments began */
#define POP_FRAME() (frame--, self = frame->self, consts = CONSTS_OF(self), \
                     pc = (const uint32_t *)(uintptr_t)frame->pc, fp = (Value *)(uintptr_t)frame->fp)
/* A tail call leaves nothing of its caller, and so an error in the library's procedure that was called would have
   no place: (define (check x) (error "bad" x)). Therefore a tail call out of a program into the library keeps the
   caller's frame, with no values in it, until the library returns or makes a tail call into a program: that
   drops it, so that no loop grows by such frames. A frame was kept when its call is the last thing that it does. */
#define KEEP_FRAME() do { if (OF_PROGRAM(TEMPLATE(CLOSURE_TEMPLATE(self)))) PUSH_FRAME(); } while (0)
#define DROP_KEPT_FRAME() do { if ((*(const uint32_t *)(uintptr_t)frame[-1].pc & 0xff) == OP_RETURN) frame--, fp = (Value *)(uintptr_t)frame->fp; } while (0)
#define PUSH(v) (*sp++ = (v))
#define POP() (*--sp)
#define A (word >> 8)
#define SIGNED_A ((int32_t)word >> 8)
#define A_LOW (word >> 8 & 0xfff)
#define A_HIGH (word >> 20)
#define A_HIGH_SIGNED ((int32_t)word >> 20)
/* In front of a loop that moves arguments: there are seldom more than three, and to find out how many fours of
   them there are costs more than moving them. */
#define ROLLED _Pragma("GCC unroll 1")
#define TYPE_FAST(v, t) (TAG(v) == (t))

/* A primitive that is done is charged, but it is no safe point: what the prelude does between two calls of
   procedures stays whole. Only code of many thousand primitives in a row is stopped between two of them. */
#define OVERDRAWN (-100000)

/* An inline operation that its fast path cannot do: the primitive, on its n arguments in place. */
#define SLOW(n) do { argc = (n); prim = op_primitive[word & 0xff]; goto inline_slow; } while (0)

#define FIX_ADD(a, b, out) (((a) & (b) & 1) && !__builtin_add_overflow((int64_t)(a), (int64_t)(b) - 1, (int64_t *)&(out)))
#define FIX_SUB(a, b, out) (((a) & (b) & 1) && !__builtin_sub_overflow((int64_t)(a), (int64_t)(b) - 1, (int64_t *)&(out)))

#define ARITHMETIC(a, b, drop, FAST, generic) do { \
    Value x_ = (a), y_ = (b), r_; \
    if (!FAST(x_, y_, r_)) { \
      r_ = generic(x_, y_); \
      if (IS_SIGNAL(r_)) { result = r_; goto signal; } \
    } \
    sp -= (drop); PUSH(r_); } while (0)

#define COMPARE(a, b, op, name, holds) do { \
    Value x_ = (a), y_ = (b); \
    if (x_ & y_ & 1) holds = (int64_t)x_ op (int64_t)y_; \
    else { int order_; \
      if (TYPE_FAST(x_, T_FLONUM) && TYPE_FAST(y_, T_FLONUM)) holds = FLO_VALUE(x_) op FLO_VALUE(y_); \
      else { result = num_compare_pausing(name, x_, y_, &order_); if (IS_SIGNAL(result)) goto signal; \
             holds = order_ != 2 && order_ op 0; } } } while (0)

#define COMPARE_SS(op, name) do { bool h_; COMPARE(sp[-2], sp[-1], op, name, h_); sp--; sp[-1] = BOOL(h_); } while (0)
#define JUMP_UNLESS(a, b, drop, op, name) do { bool h_; int32_t d_ = (int32_t)*pc; COMPARE(a, b, op, name, h_); \
    sp -= (drop); pc++; if (!h_) pc += d_; } while (0)
#define COMPARE_CASES(NAME, op, name) \
    case OP_JN_##NAME##_SS: JUMP_UNLESS(sp[-2], sp[-1], 2, op, name); continue; \
    case OP_JN_##NAME##_SI: JUMP_UNLESS(sp[-1], FIX(SIGNED_A), 1, op, name); continue; \
    case OP_JN_##NAME##_LI: JUMP_UNLESS(fp[A_LOW], FIX(A_HIGH_SIGNED), 0, op, name); continue; \
    case OP_JN_##NAME##_LL: JUMP_UNLESS(fp[A_LOW], fp[A_HIGH], 0, op, name); continue; \
    case OP_##NAME##_SS: COMPARE_SS(op, name); continue;

enum run_status vm_run(void) {
  Value self;
  Value *consts, *fp, *sp;
  struct Frame *frame;
  const uint32_t *pc;

  if (m.collecting) {
    enum run_status status = collect();
    if (status != RUN_DONE) return status;
    if (vm.steps <= 0) return RUN_PREEMPTED;
  }
  if (m.waiting) {            /* back from (%wait): its value is the message */
    m.waiting = false;
    m.values[m.sp++] = m.inbox;
    m.inbox = V_FALSE;
    m.message_waiting = false;
  } else if (m.message_waiting && !m.fresh) {
    enter_tick();
  }
  m.fresh = false;
  LOAD();

  /* What stands where at each label. `...` is what the frame had before; the registers sp, fp, self, pc
     and frame are those of the running procedure, `ip` is the instruction that is being done.

       label             on the stack (top right)        in variables
       ----------------  ------------------------------  ------------------------------------------------
       push_bound        ...                             result: a box's content, perhaps V_UNBOUND
       unbound_set       ...                             (the value is dropped)
       do_return         fp: arguments, locals           result: what the procedure returns
       call_cell         ... a1 ... an                   proc: a cell; word's A: n; tail
       call              ... a1 ... an                   proc: what is called; argc: n; tail
       call_again        ... a1 ... an proc              argc: n; tail
       call_primitive    ... a1 ... an                   prim; argc: n; pc is past the instruction
       inline_slow       ... a1 ... an                   prim; argc: n; pc is past the opcode only
       primitive_signal  ... a1 ... an                   prim; argc: n; result: a signal; tail. V_AGAIN only from
                                                         call_primitive: `call` goes to call_again for it
       signal            as the instruction found it     result: V_ERROR (vm.error is set), or V_AGAIN: pc goes back
                                                         to ip, so the instruction is done again with its operands
       safe_point        all of it in place              every register can be saved: nothing is in a variable

     tail: the call takes the place of the running procedure; else it goes on top, and pc is where to return.

     Every way back to the top is a `continue`, and the labels below the switch only jump forward.
     So the loop has one entry and no loop inside it, which structured control flow needs to be fast:
     each loop header costs a check of fuel and epoch. A label that has to call leaves the procedure on
     top of its arguments and goes to call_again, where a stub does the calling. */
  for (;;) {
    /* Declared in here, since no instruction leaves anything in them for the next one: outside they would be
       handed from turn to turn, a copy each. */
    Value result, proc;
    const uint32_t *ip = pc;
    uint32_t word = *pc++, argc, prim;
    bool tail;
    switch ((enum opcode)(word & 0xff)) {
      case OP_CONST: PUSH(consts[A]); continue;
      case OP_FIXNUM: PUSH(FIX(SIGNED_A)); continue;
      case OP_SPECIAL: PUSH(MAKE(T_SPECIAL, A)); if (A == 0) sp[-1] = V_FALSE; continue;
      case OP_LOCAL: PUSH(fp[A]); continue;
      case OP_LOCAL2: sp[0] = fp[A_LOW]; sp[1] = fp[A_HIGH]; sp += 2; continue;
      case OP_FREE: PUSH(CLOSURE_FREE(self, A)); continue;
      case OP_LOCAL_BOX: result = SLOTS(fp[A])[0]; goto push_bound;
      case OP_FREE_BOX: result = SLOTS(CLOSURE_FREE(self, A))[0];
      push_bound:
        if (result == V_UNBOUND) {
          result = err_fail("exn:fail:contract:variable", "variable used before its definition", V_NIL);
          goto signal;
        }
        PUSH(result);
        continue;
      case OP_GLOBAL: {
        Value cell = consts[A];
        Value v = CELL(cell)->value;
        if (v != V_UNBOUND) { PUSH(v); continue; }
        if (!(FIX_VALUE(CELL(cell)->flags) & CELL_LAZY) || m.hook_lazy == V_FALSE) { result = err_unbound(cell); goto signal; }
        PUSH(cell);                      /* a lazy global: the hook gives its value, and stores it */
        proc = m.hook_lazy;
        argc = 1;
        tail = false;
        goto call;
      }
      case OP_SET_LOCAL_BOX: result = POP(); if (SLOTS(fp[A])[0] == V_UNBOUND) goto unbound_set; SLOTS(fp[A])[0] = result; continue;
      case OP_SET_FREE_BOX: result = POP(); if (SLOTS(CLOSURE_FREE(self, A))[0] == V_UNBOUND) goto unbound_set; SLOTS(CLOSURE_FREE(self, A))[0] = result; continue;
      unbound_set:
        result = err_fail("exn:fail:contract:variable", "set!: variable assigned before its definition", V_NIL);
        goto signal;
      case OP_INIT_BOX: SLOTS(fp[A])[0] = POP(); continue;
      case OP_SET_GLOBAL: {
        Value cell = consts[A];
        if (CELL(cell)->value == V_UNBOUND) { result = err_unbound(cell); goto signal; }
        CELL(cell)->value = POP();
        CELL(cell)->flags = FIX(FIX_VALUE(CELL(cell)->flags) & ~(CELL_CONSTANT | CELL_LAZY | CELL_IMPORTED));
        continue;
      }
      case OP_DEFINE_GLOBAL: {
        Value cell = consts[A];
        CELL(cell)->value = POP();
        CELL(cell)->flags = FIX(FIX_VALUE(CELL(cell)->flags) & ~(CELL_CONSTANT | CELL_LAZY | CELL_IMPORTED));
        continue;
      }
      case OP_BOX_TOP: sp[-1] = make_box(sp[-1]); continue;
      case OP_BOX_LOCAL: fp[A] = make_box(fp[A]); continue;
      case OP_CLOSURE: {
        uint32_t count = *pc++;
        Value c = heap_object(T_CLOSURE, 0, count + 1);
        CLOSURE_TEMPLATE(c) = consts[A];
        for (uint32_t i = 0; i < count; i++) {
          uint32_t from = *pc++;
          CLOSURE_FREE(c, i) = from & 1 ? CLOSURE_FREE(self, from >> 1) : fp[from >> 1];
        }
        PUSH(c);
        continue;
      }
      case OP_PATCH: { uint32_t w = *pc++; CHECK((w >> 16) + 1 < OBJ_LENGTH(fp[A])); CLOSURE_FREE(fp[A], w >> 16) = fp[w & 0xffff]; continue; }
      case OP_POP: sp--; continue;
      case OP_POPN: sp -= A; continue;
      case OP_SLIDE: result = sp[-1]; sp -= A; sp[-1] = result; continue;
      case OP_JUMP: pc += SIGNED_A; continue;
      case OP_JUMP_FALSE: if (POP() == V_FALSE) pc += SIGNED_A; continue;
      case OP_JUMP_TRUE: if (POP() != V_FALSE) pc += SIGNED_A; continue;
      case OP_AND_JUMP: if (sp[-1] == V_FALSE) pc += SIGNED_A; else sp--; continue;
      case OP_OR_JUMP: if (sp[-1] != V_FALSE) pc += SIGNED_A; else sp--; continue;
      case OP_LOOP: {
        uint32_t w = *pc, count = w >> 24;
        Value *to = fp + A, *from = sp - count;
        to[0] = from[0];                       /* where there is none: what lies above the top */
        if (count > 1) {
          to[1] = from[1];
          if (count > 2) ROLLED for (uint32_t i = 2; i < count; i++) to[i] = from[i];
        }
        sp = to + count;
        pc -= w & 0xffffff;
        if ((vm.steps -= 1 + (w & 0xffffff) / WORDS_A_STEP) > 0) continue;
        goto safe_point;
      }
      case OP_RETURN_LOCAL: result = fp[A]; goto do_return;
      case OP_RETURN: result = sp[-1];
      do_return:
        sp = fp;
        POP_FRAME();
        PUSH(result);
        continue;
      case OP_CALL: proc = POP(); argc = A; tail = false; goto call;
      case OP_TAIL_CALL: proc = POP(); argc = A; tail = true; goto call;
      case OP_CALL_GLOBAL: proc = consts[*pc++]; tail = false; goto call_cell;
      case OP_TAIL_CALL_GLOBAL: proc = consts[*pc++]; tail = true;
      call_cell: {
        Value cell = proc;
        proc = CELL(cell)->value;
        argc = A;
        if (proc != V_UNBOUND) goto call;
        result = err_unbound(cell);
        goto signal;
      }
      case OP_CALL_PRIM:
        argc = A;
        prim = *pc++;
        goto call_primitive;

      case OP_UNDERFLOW:
        result = POP();
        if (m.cont == V_FALSE) {
          m.result = result;
          sp = m.values;
          frame = m.frames + 1;
          fp = m.values;
          pc = ip;
          SAVE();
          return RUN_DONE;
        }
        sp = fp = m.values;
        SAVE();
        stack_underflow();
        LOAD();
        PUSH(result);
        if ((vm.steps -= m.depth) > OVERDRAWN) continue;      /* returns are no steps otherwise */
        goto safe_point;
      case OP_RESUME:
        sp = fp;                              /* drops the tick's value: fp is where it was pushed */
        POP_FRAME();
        m.in_tick = false;
        continue;

      case OP_CAR: if (!is_pair(sp[-1])) SLOW(1); sp[-1] = CAR(sp[-1]); continue;
      case OP_CDR: if (!is_pair(sp[-1])) SLOW(1); sp[-1] = CDR(sp[-1]); continue;
      case OP_CAR_L: PUSH(fp[A]); if (!is_pair(sp[-1])) { word = OP_CAR; SLOW(1); } sp[-1] = CAR(sp[-1]); continue;
      case OP_CDR_L: PUSH(fp[A]); if (!is_pair(sp[-1])) { word = OP_CDR; SLOW(1); } sp[-1] = CDR(sp[-1]); continue;
      case OP_CADR: if (!is_pair(sp[-1]) || !is_pair(CDR(sp[-1]))) SLOW(1); sp[-1] = CADR(sp[-1]); continue;
      case OP_CDDR: if (!is_pair(sp[-1]) || !is_pair(CDR(sp[-1]))) SLOW(1); sp[-1] = CDDR(sp[-1]); continue;
      case OP_CONS: sp--; sp[-1] = cons(sp[-1], sp[0]); continue;
      case OP_SET_CAR: if (!is_pair(sp[-2])) SLOW(2); CAR(sp[-2]) = sp[-1]; sp--; sp[-1] = V_VOID; continue;
      case OP_SET_CDR: if (!is_pair(sp[-2])) SLOW(2); CDR(sp[-2]) = sp[-1]; sp--; sp[-1] = V_VOID; continue;
      case OP_PAIRP: sp[-1] = BOOL(is_pair(sp[-1])); continue;
      case OP_NULLP: sp[-1] = BOOL(sp[-1] == V_NIL); continue;
      case OP_NOT: sp[-1] = BOOL(sp[-1] == V_FALSE); continue;
      case OP_EQ: sp--; sp[-1] = BOOL(sp[-1] == sp[0]); continue;
      case OP_EQV: sp--; sp[-1] = BOOL(sp[-1] == sp[0] || is_eqv(sp[-1], sp[0])); continue;
      case OP_ZEROP: if (!IS_FIX(sp[-1])) SLOW(1); sp[-1] = BOOL(sp[-1] == FIX(0)); continue;
      case OP_IS_TAG: sp[-1] = BOOL(IS(sp[-1], A)); continue;

      case OP_ADD_SS: ARITHMETIC(sp[-2], sp[-1], 2, FIX_ADD, num_add_pausing); continue;
      case OP_ADD_SI: ARITHMETIC(sp[-1], FIX(SIGNED_A), 1, FIX_ADD, num_add_pausing); continue;
      case OP_ADD_LI: ARITHMETIC(fp[A_LOW], FIX(A_HIGH_SIGNED), 0, FIX_ADD, num_add_pausing); continue;
      case OP_ADD_LL: ARITHMETIC(fp[A_LOW], fp[A_HIGH], 0, FIX_ADD, num_add_pausing); continue;
      case OP_SUB_SS: ARITHMETIC(sp[-2], sp[-1], 2, FIX_SUB, num_sub_pausing); continue;
      case OP_SUB_SI: ARITHMETIC(sp[-1], FIX(SIGNED_A), 1, FIX_SUB, num_sub_pausing); continue;
      case OP_SUB_LI: ARITHMETIC(fp[A_LOW], FIX(A_HIGH_SIGNED), 0, FIX_SUB, num_sub_pausing); continue;
      case OP_SUB_LL: ARITHMETIC(fp[A_LOW], fp[A_HIGH], 0, FIX_SUB, num_sub_pausing); continue;
      case OP_MUL_SS: {
        Value x = sp[-2], y = sp[-1];
        if (x & y & 1) {
          int64_t a = FIX_VALUE(x), b = FIX_VALUE(y);
          if (a == (int32_t)a && b == (int32_t)b && a * b <= FIX_MAX) { sp--; sp[-1] = FIX(a * b); continue; }
        }
        result = num_mul_pausing(x, y);
        if (IS_SIGNAL(result)) goto signal;
        sp--;
        sp[-1] = result;
        continue;
      }
      case OP_QUOTIENT:
        if (!(sp[-2] & sp[-1] & 1) || (int64_t)sp[-1] <= 1) SLOW(2);
        sp--; sp[-1] = FIX(FIX_VALUE(sp[-1]) / FIX_VALUE(sp[0])); continue;
      case OP_REMAINDER:
        if (!(sp[-2] & sp[-1] & 1) || (int64_t)sp[-1] <= 1) SLOW(2);
        sp--; sp[-1] = FIX(FIX_VALUE(sp[-1]) % FIX_VALUE(sp[0])); continue;
      case OP_MODULO:
        if (!(sp[-2] & sp[-1] & 1) || (int64_t)sp[-1] <= 1 || (int64_t)sp[-2] < 0) SLOW(2);
        sp--; sp[-1] = FIX(FIX_VALUE(sp[-1]) % FIX_VALUE(sp[0])); continue;

      COMPARE_CASES(LT, <, "<")
      COMPARE_CASES(GT, >, ">")
      COMPARE_CASES(LE, <=, "<=")
      COMPARE_CASES(GE, >=, ">=")
      COMPARE_CASES(EQN, ==, "=")

      case OP_JN_EQ: sp -= 2; if (sp[0] != sp[1]) pc += SIGNED_A; continue;
      case OP_J_EQ: sp -= 2; if (sp[0] == sp[1]) pc += SIGNED_A; continue;
      case OP_JN_NULL: if (POP() != V_NIL) pc += SIGNED_A; continue;
      case OP_J_NULL: if (POP() == V_NIL) pc += SIGNED_A; continue;
      case OP_JN_PAIR: sp--; if (!is_pair(sp[0])) pc += SIGNED_A; continue;
      case OP_J_PAIR: sp--; if (is_pair(sp[0])) pc += SIGNED_A; continue;
      case OP_JN_NULL_L: { int32_t d = (int32_t)*pc++; if (fp[A] != V_NIL) pc += d; continue; }
      case OP_J_NULL_L: { int32_t d = (int32_t)*pc++; if (fp[A] == V_NIL) pc += d; continue; }
      case OP_JN_PAIR_L: { int32_t d = (int32_t)*pc++; if (!is_pair(fp[A])) pc += d; continue; }
      case OP_J_PAIR_L: { int32_t d = (int32_t)*pc++; if (is_pair(fp[A])) pc += d; continue; }

      case OP_VECTOR_REF:
        if (!IS(sp[-2], T_VECTOR) || !IS_FIX(sp[-1]) || (uint64_t)FIX_VALUE(sp[-1]) >= VEC_LENGTH(sp[-2])) SLOW(2);
        sp--; sp[-1] = VEC(sp[-1])[FIX_VALUE(sp[0])]; continue;
      case OP_VECTOR_SET:
        if (!IS(sp[-3], T_VECTOR) || !IS_FIX(sp[-2]) || (uint64_t)FIX_VALUE(sp[-2]) >= VEC_LENGTH(sp[-3]) ||
            (OBJ_FLAGS(sp[-3]) & H_IMMUTABLE)) SLOW(3);
        VEC(sp[-3])[FIX_VALUE(sp[-2])] = sp[-1]; sp -= 2; sp[-1] = V_VOID; continue;
      case OP_VECTOR_LENGTH: if (!IS(sp[-1], T_VECTOR)) SLOW(1); sp[-1] = FIX(VEC_LENGTH(sp[-1])); continue;
      case OP_STRING_REF:
        if (!IS(sp[-2], T_STRING) || !IS_FIX(sp[-1]) || (uint64_t)FIX_VALUE(sp[-1]) >= STR_LENGTH(sp[-2])) SLOW(2);
        sp--; sp[-1] = CHAR(string_char(sp[-1], (uint32_t)FIX_VALUE(sp[0]))); continue;
      case OP_STRING_LENGTH: if (!IS(sp[-1], T_STRING)) SLOW(1); sp[-1] = STR(sp[-1])->length; continue;
      case OP_CHAR_EQ: if (!IS(sp[-2], T_CHAR) || !IS(sp[-1], T_CHAR)) SLOW(2); sp--; sp[-1] = BOOL(sp[-1] == sp[0]); continue;
      case OP_UNBOX: if (!IS(sp[-1], T_BOX)) SLOW(1); sp[-1] = SLOTS(sp[-1])[0]; continue;
      case OP_BOX: sp[-1] = make_box(sp[-1]); continue;
      case OP_SET_BOX: if (!IS(sp[-2], T_BOX) || (OBJ_FLAGS(sp[-2]) & H_IMMUTABLE)) SLOW(2); SLOTS(sp[-2])[0] = sp[-1]; sp--; sp[-1] = V_VOID; continue;
      case OP_RECORD_REF:
        if (!IS(sp[-2], T_RECORD) || !IS_FIX(sp[-1]) || (uint64_t)FIX_VALUE(sp[-1]) >= OBJ_LENGTH(sp[-2]) - 1) SLOW(2);
        sp--; sp[-1] = RECORD_FIELD(sp[-1], FIX_VALUE(sp[0])); continue;
      case OP_RECORD_IS: if (!IS(sp[-1], T_RTD)) SLOW(2); sp--; sp[-1] = BOOL(record_is_a(sp[-1], sp[0])); continue;
      case OP_ACCESS:
        if (!IS(fp[0], T_RECORD) || (RECORD_RTD(fp[0]) != consts[0] && !record_is_a(fp[0], consts[0]))) {
          result = err_record(self, fp[0]); goto signal;
        }
        result = RECORD_FIELD(fp[0], A);
        goto do_return;
      case OP_MODIFY:
        if (!record_is_a(fp[0], consts[0])) { result = err_record(self, fp[0]); goto signal; }
        RECORD_FIELD(fp[0], A) = fp[1];
        result = V_VOID;
        goto do_return;
      case OP_PREDICATE: result = BOOL(record_is_a(fp[0], consts[0])); goto do_return;
      case OP_CONSTRUCT: {
        result = heap_object(T_RECORD, 0, A + 1);
        RECORD_RTD(result) = consts[0];
        for (uint32_t i = 0; i < A; i++) {
          Value from = consts[1] == V_FALSE ? FIX(i) : VEC(consts[1])[i];
          RECORD_FIELD(result, i) = FIX_VALUE(from) < 0 ? V_FALSE : fp[FIX_VALUE(from)];
        }
        goto do_return;
      }
      case OP_LIST: {
        Value list = V_NIL;
        for (uint32_t i = 0; i < A; i++) list = cons(POP(), list);
        PUSH(list);
        continue;
      }
      case OP_CHARGE: vm.steps -= A; continue;
      case OP_COUNT: break;
    }
    TRAP("no such instruction");         /* the compiler's mistake */

  inline_slow:
    result = prim_table[prim]->fn((int)argc, sp - argc);
    if (IS_SIGNAL(result)) {
      if (result == V_TAIL) TRAP("an inline primitive made a tail call");
      if (result == V_ERROR) error_blame(prim_table[prim]->name, (int)argc, sp - argc);
      goto signal;
    }
    sp -= argc;
    PUSH(result);
    if (--vm.steps > OVERDRAWN) continue;
    goto safe_point;

  call_primitive: {
      CHECK(prim < prim_count);
      const PrimDef *p = prim_table[prim];
      if ((int)argc < p->min_args || (p->max_args >= 0 && (int)argc > p->max_args)) {
        result = err_arity(MAKE(T_PRIM, prim), (int)argc, sp - argc);
        goto signal;
      }
      /* primitives that look at the machine itself find it saved */
      m.sp = (uint32_t)(sp - m.values);
      m.depth = (uint32_t)(frame - m.frames);
      result = p->fn((int)argc, sp - argc);
      if (!IS_SIGNAL(result)) {
        vm.resume = V_FALSE;
        sp -= argc;
        PUSH(result);
        if (--vm.steps > OVERDRAWN) continue;
        goto safe_point;
      }
      tail = false;
      goto primitive_signal;
    }

  primitive_signal:      /* from a primitive with argc arguments on the stack */
    if (result == V_ERROR) error_blame(prim_table[prim]->name, (int)argc, sp - argc);
    if (result == V_ERROR || result == V_AGAIN) goto signal;
    vm.resume = V_FALSE;
    if (result == V_CUSTOM) {                      /* (hook primitive a1 ... an) */
      for (Value *p = sp; p > sp - argc; p--) *p = p[-1];
      sp[-(int32_t)argc] = MAKE(T_PRIM, prim);
      sp++;
      PUSH(m.hook_custom);
      argc++;
      goto call_again;
    }
    sp -= argc;
    if (result == V_WAIT && m.message_waiting) {   /* it came while nobody looked */
      PUSH(m.inbox);
      m.inbox = V_FALSE;
      m.message_waiting = false;
      continue;
    }
    if (result == V_WAIT) {
      m.waiting = true;
      SAVE();
      return RUN_SUSPENDED;
    }
    if (result == V_PANIC) {
      SAVE();
      m.result = vm.tail_args[0];
      return RUN_ERROR;
    }
    if (result == V_CAPTURE) {
      if (!tail) {
        PUSH_FRAME();
      } else {
        DROP_KEPT_FRAME();
        sp = fp;
      }
      proc = vm.tail_proc;
      SAVE();
      result = stack_capture();
      self = m.underflow;
      consts = CONSTS_OF(self);
      pc = ip = CODE_OF(self);
      sp = fp = m.values;
      frame = m.frames + 1;
      PUSH(result);
      PUSH(proc);
      argc = 1;
      tail = true;
      goto call_again;
    }
    /* V_TAIL */

    proc = vm.tail_proc;
    if (vm.tail_argc == TAIL_VALUES) {
      Value v = vm.tail_args[0];
      argc = IS(v, T_VALUES) ? OBJ_LENGTH(v) : 1;
      if (IS(v, T_VALUES)) for (uint32_t i = 0; i < argc; i++) PUSH(SLOTS(v)[i]);
      else PUSH(v);
    } else if (vm.tail_argc >= 0) {
      argc = (uint32_t)vm.tail_argc;
      for (uint32_t i = 0; i < argc; i++) PUSH(vm.tail_args[i]);
    } else {
      Value list = vm.tail_args[0];
      argc = 0;
      for (; is_pair(list); list = CDR(list), argc++) PUSH(CAR(list));
      charge(argc >> 3);
    }
    vm.tail_proc = V_FALSE;
    PUSH(proc);
    goto call_again;

  call:                  /* proc, on sp - argc .. sp; tail says which kind; pc is after the call */
    if (TYPE_FAST(proc, T_CLOSURE)) {
      struct Template *t = TEMPLATE(CLOSURE_TEMPLATE(proc));
      Value arity = t->arity;
      if (arity != ARITY_SIMPLE(argc)) {
        if (arity == ARITY_OF_LOOK && argc == 1 && !tail) {      /* a tail call, and an error, take the long way */
          uint32_t look = *(uint32_t *)RAW_BYTES(t->code);
          Value rtd = TEMPLATE_CONSTS(t)[0];
          bool is_one = IS(sp[-1], T_RECORD) && (RECORD_RTD(sp[-1]) == rtd || rtd_is_a(RECORD_RTD(sp[-1]), rtd));
          if (is_one || (look & 0xff) == OP_PREDICATE) {
            sp[-1] = (look & 0xff) == OP_PREDICATE ? BOOL(is_one) : RECORD_FIELD(sp[-1], look >> 8);
            if (--vm.steps > 0) continue;
            goto safe_point;
          }
        }
        if (!arity_accepts(arity, argc)) {
          result = err_arity(proc, (int)argc, sp - argc);
          goto signal;
        }
      }
      if (tail) {
        Value *from = sp - argc;
        if (OF_PROGRAM(t)) DROP_KEPT_FRAME(); else KEEP_FRAME();
        fp[0] = from[0];                       /* as in LOOP */
        if (argc > 1) {
          fp[1] = from[1];
          if (argc > 2) ROLLED for (uint32_t i = 2; i < argc; i++) fp[i] = from[i];
        }
        sp = fp + argc;
      } else {
        PUSH_FRAME();
        fp = sp - argc;
      }
      if (FIX_VALUE(arity) < 0) sp = shape_arguments(arity, fp, argc);
      self = proc;
      consts = TEMPLATE_CONSTS(t);
      pc = (uint32_t *)RAW_BYTES(t->code);
      if (--vm.steps > 0 && sp < m.values + VALUE_STACK - VALUE_RESERVE && frame < m.frames + FRAME_STACK - 8) continue;
      goto safe_point;
    }
    if (TYPE_FAST(proc, T_CASE)) {
      Value closure = select_case(proc, argc);
      if (closure == V_FALSE) { result = err_arity(proc, (int)argc, sp - argc); goto signal; }
      PUSH(closure);
      goto call_again;
    }
    if (TYPE_FAST(proc, T_PRIM)) {
      prim = PAYLOAD(proc);
      const PrimDef *p = prim_table[prim];
      if ((int)argc < p->min_args || (p->max_args >= 0 && (int)argc > p->max_args)) {
        result = err_arity(proc, (int)argc, sp - argc);
        goto signal;
      }
      m.sp = (uint32_t)(sp - m.values);
      m.depth = (uint32_t)(frame - m.frames);
      result = p->fn((int)argc, sp - argc);
      if (result == V_AGAIN) {
        /* park the arguments where OP_CALL finds them again: procedure on top */
        PUSH(proc);
        goto call_again;
      }
      if (result == V_WAIT) TRAP("%wait was called by value");   /* the compiler calls it by OP_CALL_PRIM */
      if (IS_SIGNAL(result)) goto primitive_signal;
      vm.resume = V_FALSE;
      vm.steps--;
      if (tail) goto do_return;
      sp -= argc;
      PUSH(result);
      if (vm.steps > OVERDRAWN) continue;
      goto safe_point;
    }
    if (TYPE_FAST(proc, T_CONT)) {
      result = make_values(argc, sp - argc);
      m.cont = proc;
      m.dynamic = SLOTS(proc)[CONT_DYNAMIC];
      m.in_tick = false;                    /* a tick may leave for another fiber for good */
      frame = m.frames + 1;
      sp = fp = m.values;
      self = m.underflow;
      pc = CODE_OF(self);
      SAVE();
      stack_underflow();
      LOAD();
      PUSH(result);
      if (--vm.steps > 0) continue;
      goto safe_point;
    }
    if (TYPE_FAST(proc, T_RECORD) && TRUTH(RTD(RECORD_RTD(proc))->apply)) {
      for (Value *p = sp; p > sp - argc; p--) *p = p[-1];
      sp[-(int32_t)argc] = proc;
      sp++;
      PUSH(RTD(RECORD_RTD(proc))->apply);
      argc++;
      goto call_again;
    }
    result = err_apply(proc, (int)argc);
    goto signal;

  signal:                /* result is V_ERROR or V_AGAIN; pc is past the instruction's first word */
    if (result == V_AGAIN) { pc = ip; goto safe_point; }
    if (result == V_TAIL) TRAP("a tail call came to the wrong label");
    vm.resume = V_FALSE;
    SAVE();
    m.pc = (uint32_t)(ip - CODE_OF(self));
    error_locate(vm.error);
    PUSH(vm.error);
    vm.error = V_FALSE;
    if (m.hook_raise == V_FALSE) { m.result = sp[-1]; return RUN_ERROR; }
    PUSH(m.hook_raise);
    argc = 1;
    tail = false;        /* keeps the failing frame; the hook never returns to it */
    goto call_again;

  call_again:            /* procedure on top of argc arguments: call it by a stub in our place or above us */
    if (!tail) {
      PUSH_FRAME();
      fp = sp - argc - 1;
    } else {
      Value *from = sp - argc - 1;
      KEEP_FRAME();
      if (from != fp) ROLLED for (uint32_t i = 0; i <= argc; i++) fp[i] = from[i];
      sp = fp + argc + 1;
    }
    self = call_stub(argc);
    consts = CONSTS_OF(self);
    pc = CODE_OF(self);
    if (--vm.steps > 0 && !vm.need_bytes && !m.spill) continue;
    goto safe_point;

  safe_point:
    SAVE();
    CHECK(m.fp <= m.sp && m.sp < VALUE_STACK && m.depth >= 1 && m.depth < FRAME_STACK && IS(m.self, T_CLOSURE));
    if (vm.collect || vm.need_bytes) {
      enum run_status status = collect();
      if (status != RUN_DONE) return status;
    }
    if (m.spill || m.sp >= VALUE_STACK - VALUE_RESERVE || m.depth >= FRAME_STACK - 8) {
      m.spill = false;
      if (!stack_spill_below()) return RUN_NO_MEMORY;   /* deep recursion goes to the heap */
      LOAD();
      if (vm.collect) goto safe_point;                  /* steps is 0 for the collector's sake */
    }
    if (vm.steps <= 0) return RUN_PREEMPTED;
    LOAD();
  }
}
