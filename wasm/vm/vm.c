/* vm.c — the virtual machine: one switch over the instructions of code.h, and aside of it what is rare.
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

/* While the machine runs, pc, sp and fp are locals of its loop, and the engine keeps them in the processor's registers: as long as
   the loop has few others that live across its calls, and few calls. So the other registers are here, and so are those three while
   something is done aside. */
static struct {
  Value self, *consts;         /* the running closure, its constants */
  struct Frame *frame;         /* the next frame to be pushed */
  const uint32_t *pc, *ip;     /* the next word, the instruction that is being done */
  Value *sp, *fp;
  Value proc, result;          /* what is called, or what became of that */
  uint32_t prim, argc;         /* the primitive that is being called, on how many arguments */
  bool by_value, tail;         /* whether it was called as a value, and in the running procedure's place */
} now;

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

/* Bring accepted arguments into the shape that the running procedure's optional or rest parameters want; returns
   the new stack top. The stack has room (VALUE_RESERVE). */
static __attribute__((noinline)) Value *shape_arguments(Value *slot, uint32_t argc) {
  Value arity = TEMPLATE(CLOSURE_TEMPLATE(now.self))->arity;
  uint32_t positional = ARITY_REQUIRED(arity) + ARITY_OPTIONAL(arity);
  Value rest = V_NIL;
  while (argc > positional) rest = cons(slot[--argc], rest);
  while (argc < positional) slot[argc++] = V_DEFAULT;
  if (ARITY_REST(arity)) slot[argc++] = rest;
  return slot + argc;
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

/* SAVE and LOAD move them to where they stand between two slices. */
#define SAVE() (m.self = now.self, m.pc = (uint32_t)(pc - CODE_OF(now.self)), m.fp = (uint32_t)(fp - m.values), \
                m.sp = (uint32_t)(sp - m.values), m.depth = (uint32_t)(now.frame - m.frames))
#define LOAD() (now.self = m.self, now.consts = CONSTS_OF(now.self), pc = CODE_OF(now.self) + m.pc, fp = m.values + m.fp, \
                sp = m.values + m.sp, now.frame = m.frames + m.depth)
#define PUSH_FRAME() (now.frame->self = now.self, now.frame->pc = ADDRESS(pc), now.frame->fp = ADDRESS(fp), now.frame++)
/* the caller's registers; its sp is where the callee's arguments began */
#define POP_FRAME() (now.frame--, now.self = now.frame->self, now.consts = CONSTS_OF(now.self), \
                     pc = (const uint32_t *)(uintptr_t)now.frame->pc, fp = (Value *)(uintptr_t)now.frame->fp)
/* A tail call leaves nothing of its caller, and so an error in the library's procedure that was called would have
   no place: (define (check x) (error "bad" x)). Therefore a tail call out of a program into the library keeps the
   caller's frame, with no values in it, until the library returns or makes a tail call into a program: that
   drops it, so that no loop grows by such frames. A frame was kept when its call is the last thing that it does. */
#define KEEP_FRAME() do { if (OF_PROGRAM(TEMPLATE(CLOSURE_TEMPLATE(now.self)))) PUSH_FRAME(); } while (0)
#define DROP_KEPT_FRAME() do { if ((*(const uint32_t *)(uintptr_t)now.frame[-1].pc & 0xff) == OP_RETURN) now.frame--, fp = (Value *)(uintptr_t)now.frame->fp; } while (0)
#define PUSH(v) (*sp++ = (v))
#define POP() (*--sp)
/* of the instruction whose first word was just passed. The loop looks at its first byte alone, and each instruction that has an operand reads the
   word for itself: else a register would hold it for all of them. */
#define W word = pc[-1]
#define OPCODE (*(const volatile uint8_t *)(pc - 1))
#define A (word >> 8)
#define SIGNED_A ((int32_t)word >> 8)
#define A_LOW (word >> 8 & 0xfff)
#define A_HIGH (word >> 20)
#define A_HIGH_SIGNED ((int32_t)word >> 20)
#define TYPE_FAST(v, t) (TAG(v) == (t))

/* A primitive that is done is charged, but it is no safe point: what the prelude does between two calls of
   procedures stays whole. Only code of many thousand primitives in a row is stopped between two of them. */
#define OVERDRAWN (-100000)

/* An inline operation that its fast path cannot do: the primitive, on its n arguments in place. */
#define SLOW(n) do { argc = (n); prim = op_primitive[OPCODE]; goto inline_slow; } while (0)

#define FIX_ADD(a, b, out) (((a) & (b) & 1) && !__builtin_add_overflow((int64_t)(a), (int64_t)(b) - 1, (int64_t *)&(out)))
#define FIX_SUB(a, b, out) (((a) & (b) & 1) && !__builtin_sub_overflow((int64_t)(a), (int64_t)(b) - 1, (int64_t *)&(out)))

#define FIX_MUL(a, b, out) (((a) & (b) & 1) && FIX_VALUE(a) == (int32_t)FIX_VALUE(a) && FIX_VALUE(b) == (int32_t)FIX_VALUE(b) && \
                            FIX_VALUE(a) * FIX_VALUE(b) <= FIX_MAX && ((out) = FIX(FIX_VALUE(a) * FIX_VALUE(b)), true))
#define FIX_QUOTIENT(a, b, out) (((a) & (b) & 1) && (int64_t)(b) > 1 && ((out) = FIX(FIX_VALUE(a) / FIX_VALUE(b)), true))
#define FIX_REMAINDER(a, b, out) (((a) & (b) & 1) && (int64_t)(b) > 1 && ((out) = FIX(FIX_VALUE(a) % FIX_VALUE(b)), true))
#define FIX_MODULO(a, b, out) (((a) & (b) & 1) && (int64_t)(b) > 1 && (int64_t)(a) >= 0 && ((out) = FIX(FIX_VALUE(a) % FIX_VALUE(b)), true))

/* What the fast path cannot do is done at one place for all of them: x, y and what the instruction drops from
   the stack are left in proc, result and argc. */
#define ARITHMETIC(a, b, drop, FAST) do { \
    Value x_ = (a), y_ = (b), r_; \
    if (!FAST(x_, y_, r_)) { proc = x_; result = y_; argc = (drop); goto arithmetic; } \
    sp -= (drop); PUSH(r_); } while (0)

#define DIVISION_CASES(NAME, FAST) \
    case OP_##NAME##_SS: W; ARITHMETIC(sp[-2], sp[-1], 2, FAST); continue; \
    case OP_##NAME##_SI: W; ARITHMETIC(sp[-1], FIX(SIGNED_A), 1, FAST); continue; \
    case OP_##NAME##_LI: W; ARITHMETIC(fp[A_LOW], FIX(A_HIGH_SIGNED), 0, FAST); continue; \
    case OP_##NAME##_LL: W; ARITHMETIC(fp[A_LOW], fp[A_HIGH], 0, FAST); continue;

#define COMPARE(a, b, dropped, op, holds) do { \
    Value x_ = (a), y_ = (b); \
    if (!(x_ & y_ & 1)) { proc = x_; result = y_; argc = (dropped); goto compare; } \
    holds = (int64_t)x_ op (int64_t)y_; } while (0)

#define COMPARE_SS(op) do { bool h_; COMPARE(sp[-2], sp[-1], 1, op, h_); sp--; sp[-1] = BOOL(h_); } while (0)
#define JUMP_UNLESS(a, b, drop, op) do { bool h_; COMPARE(a, b, drop, op, h_); \
    int32_t d_ = (int32_t)*pc++; sp -= (drop); if (!h_) pc += d_; } while (0)
#define COMPARE_CASES(NAME, op) \
    case OP_JN_##NAME##_SS: W; JUMP_UNLESS(sp[-2], sp[-1], 2, op); continue; \
    case OP_JN_##NAME##_SI: W; JUMP_UNLESS(sp[-1], FIX(SIGNED_A), 1, op); continue; \
    case OP_JN_##NAME##_LI: W; JUMP_UNLESS(fp[A_LOW], FIX(A_HIGH_SIGNED), 0, op); continue; \
    case OP_JN_##NAME##_LL: W; JUMP_UNLESS(fp[A_LOW], fp[A_HIGH], 0, op); continue; \
    case OP_##NAME##_SS: W; COMPARE_SS(op); continue; \
    case OP_##NAME##_3: W; { \
      Value x_ = sp[-3], y_ = sp[-2], z_ = sp[-1]; \
      if (!(x_ & y_ & z_ & 1)) SLOW(3); \
      sp -= 2; sp[-1] = BOOL((int64_t)x_ op (int64_t)y_ && (int64_t)y_ op (int64_t)z_); continue; }

/* See code.h. The sum is right where the variable is less than 2^61 and no less than -2^61: what is added has 32 bits. */
#define COUNT(limit, is_small, op) do { \
    Value *slot_ = (Value *)((uint8_t *)fp + ((const uint16_t *)(pc - 1))[1]); \
    Value x_ = *slot_, sum_ = x_ + (Value)(int64_t)(int32_t)pc[0], y_ = (limit); \
    int64_t steps_ = vm.steps - ((const uint8_t *)(pc - 1))[1]; \
    if (((x_ + ((Value)1 << 62)) & ((Value)1 << 63 | 1)) != 1 || !(is_small) || !((int64_t)sum_ op (int64_t)y_) || steps_ <= 0) { \
      pc += 3; \
      continue; \
    } \
    vm.steps = steps_; \
    *slot_ = sum_; \
    pc = (const uint32_t *)((const uint8_t *)pc + (int32_t)pc[2]); } while (0)
#define COUNT_I(op) COUNT((Value)(int64_t)(int32_t)pc[1], true, op)
#define COUNT_L(op) COUNT(*(const Value *)((const uint8_t *)fp + pc[1]), y_ & 1, op)
#define COUNT_G(op) COUNT(CELL(*(const Value *)((const uint8_t *)now.consts + pc[1]))->value, y_ & 1, op)
/* A LOOP of two variables, not far back, and the test that the loop begins with. */
#define LOOP2(limit, op) do { \
    fp[A] = sp[-2]; \
    fp[A + 1] = sp[-1]; \
    sp = fp + A + 2; \
    pc -= *pc & 0xffffff; \
    if (--vm.steps <= 0) ASIDE(SAFE_POINT); \
    uint32_t test_ = *pc; \
    Value x_ = fp[test_ >> 8 & 0xfff], y_ = (limit); \
    if (!(x_ & y_ & 1)) continue; \
    pc += 2; \
    if (!((int64_t)x_ op (int64_t)y_)) pc += (int32_t)pc[-1]; } while (0)
#define LOOP2_CASES(NAME, op) \
    case OP_LOOP2_##NAME##_LI: W; LOOP2(FIX((int32_t)test_ >> 20), op); continue; \
    case OP_LOOP2_##NAME##_LL: W; LOOP2(fp[test_ >> 20], op); continue;

/* The sum, difference, product or quotient of what are not two small integers, or a signal. */
static __attribute__((noinline)) Value arithmetic(enum opcode op, Value x, Value y) {
  bool adds = op <= OP_ADD_LL || (op >= OP_ADD_LI_SET && op <= OP_ADD_INTO);
  if (TYPE_FAST(x, T_FLONUM) && TYPE_FAST(y, T_FLONUM) && (op < OP_QUOTIENT_SS || op > OP_MODULO_LL)) {
    double a = FLO_VALUE(x), b = FLO_VALUE(y);       /* the block is full */
    return make_flonum(adds ? a + b : op <= OP_SUB_LL ? a - b : a * b);
  }
  if (op >= OP_QUOTIENT_SS && op <= OP_MODULO_LL) {
    const PrimDef *p = prim_table[op_primitive[op]];
    Value operands[] = {x, y}, result = p->fn(2, operands);
    if (result == V_ERROR) error_blame(p->name, 2, operands);
    return result;
  }
  if (adds) return num_add_pausing(x, y);
  return op <= OP_SUB_LL ? num_sub_pausing(x, y) : num_mul_pausing(x, y);
}

/* Whether the comparison of an instruction holds for what are not two small integers: a boolean, or a signal. */
static __attribute__((noinline)) Value compare(enum opcode op, Value x, Value y) {
  static const char *const names[] = {"<", ">", "<=", ">=", "="};
  uint32_t kind = op <= OP_EQN_SS ? op - OP_LT_SS : (op - OP_JN_LT_SS) / 4;
  int order;
  if (TYPE_FAST(x, T_FLONUM) && TYPE_FAST(y, T_FLONUM)) {
    double a = FLO_VALUE(x), b = FLO_VALUE(y);
    order = a < b ? -1 : a > b ? 1 : a == b ? 0 : 2;
  } else {
    if (kind == 4 && y == FIX(0) && !is_number(x) && template_tests_zero(CLOSURE_TEMPLATE(now.self), (uint32_t)(now.ip - CODE_OF(now.self))))
      return err_type("zero?", 0, "number", x);
    Value signal = num_compare_pausing(names[kind], x, y, &order);
    if (IS_SIGNAL(signal)) return signal;
  }
  if (order == 2) return V_FALSE;
  return BOOL(kind == 0 ? order < 0 : kind == 1 ? order > 0 : kind == 2 ? order <= 0 : kind == 3 ? order >= 0 : order == 0);
}

/* A closure over what the words at `from` tell: of the running one, or of its locals. */
static __attribute__((noinline)) Value make_closure(Value template, const uint32_t *from, Value running, const Value *locals) {
  uint32_t count = *from++;
  Value c = heap_object(T_CLOSURE, 0, count + 1);
  CLOSURE_TEMPLATE(c) = template;
  for (uint32_t i = 0; i < count; i++) CLOSURE_FREE(c, i) = from[i] & 1 ? CLOSURE_FREE(running, from[i] >> 1) : locals[from[i] >> 1];
  return c;
}

/* A new record, as the constructor's constants tell. */
static __attribute__((noinline)) Value construct(uint32_t fields, const Value *constants, const Value *arguments) {
  Value record = heap_object(T_RECORD, 0, fields + 1);
  RECORD_RTD(record) = constants[0];
  for (uint32_t i = 0; i < fields; i++) {
    Value from = constants[1] == V_FALSE ? FIX(i) : VEC(constants[1])[i];
    RECORD_FIELD(record, i) = FIX_VALUE(from) < 0 ? V_FALSE : arguments[FIX_VALUE(from)];
  }
  return record;
}

/* The list of the values from here to the top. */
static __attribute__((noinline)) Value list_of(uint32_t count, const Value *from) {
  Value list = V_NIL;
  while (count) list = cons(from[--count], list);
  return list;
}

/* More values than two, down the stack: the place above them. */
static __attribute__((noinline)) Value *move_down(Value *to, const Value *from, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) to[i] = from[i];
  return to + count;
}

/* ---- aside: what is rare, with the registers in `now` ---- */

enum aside { SAFE_POINT, SIGNAL, PRIMITIVE_SIGNAL, CALL, UNDERFLOW, UNBOUND_GLOBAL, UNBOUND_BOX, UNBOUND_SET, WRONG_ARITY, WRONG_RECORD };
#define GO_ON (-1)

/* What is to be called is on top of its argc arguments. */
static Value *put_in_front(Value v, Value *sp, uint32_t argc) {
  for (Value *p = sp; p > sp - argc; p--) *p = p[-1];
  sp[-(int32_t)argc] = v;
  return sp + 1;
}

/* The values of a T_CONT are given to it: it takes the place of everything on the stack. */
static void reenter(Value cont, uint32_t argc, const Value *values) {
  Value result = make_values(argc, values);
  m.cont = cont;
  m.dynamic = SLOTS(cont)[CONT_DYNAMIC];
  m.in_tick = false;                    /* a tick may leave for another fiber for good */
  m.self = m.underflow;
  m.pc = m.fp = m.sp = 0;
  m.depth = 1;
  stack_underflow();
  m.values[m.sp++] = result;
}

/* GO_ON, or why vm_run returns. What stands where, by the reason (the registers are those of the running procedure):

     reason            on the stack (top right)        in variables
     ----------------  ------------------------------  ------------------------------------------------
     SAFE_POINT        all of it in place              every register can be saved: nothing is in a variable
     SIGNAL            as the instruction found it     now.result: V_ERROR (vm.error is set), or V_AGAIN: pc goes back to now.ip, so
                                                       the instruction is done again with its operands
     PRIMITIVE_SIGNAL  ... a1 ... an                   now.prim; now.argc: n; now.result: a signal; now.by_value, now.tail
     CALL              ... a1 ... an                   now.proc: what is called; now.argc: n; now.tail
     UNDERFLOW         ... result
     UNBOUND_GLOBAL                                    now.proc: its cell
     WRONG_ARITY       ... a1 ... an                   now.proc; now.argc: n
     the other errors  as the instruction found it

   and the label call_again: ... a1 ... an proc; argc: n; tail. */
static __attribute__((noinline)) int aside(enum aside why) {
  Value proc = now.proc, result = now.result;
  uint32_t argc = now.argc;
  bool tail = now.tail;
  Value *sp = now.sp, *fp = now.fp;
  const uint32_t *pc = now.pc;
  switch (why) {
    case SAFE_POINT: goto safe_point;
    case SIGNAL: goto signal;
    case PRIMITIVE_SIGNAL: break;
    case CALL: goto call;
    case UNDERFLOW:
      result = POP();
      if (m.cont == V_FALSE) {
        m.result = result;
        sp = fp = m.values;
        now.frame = m.frames + 1;
        pc = now.ip;
        SAVE();
        return RUN_DONE;
      }
      sp = fp = m.values;
      SAVE();
      stack_underflow();
      LOAD();
      PUSH(result);
      if ((vm.steps -= m.depth) > OVERDRAWN) goto go_on;      /* returns are no steps otherwise */
      goto safe_point;
    case UNBOUND_GLOBAL: result = err_unbound(proc); goto signal;
    case UNBOUND_BOX: result = err_fail("exn:fail:contract:variable", "variable used before its definition", V_NIL); goto signal;
    case UNBOUND_SET: result = err_fail("exn:fail:contract:variable", "set!: variable assigned before its definition", V_NIL); goto signal;
    case WRONG_ARITY: result = err_arity(proc, (int)argc, sp - argc); goto signal;
    case WRONG_RECORD: result = err_record(now.self, fp[0]); goto signal;
  }

primitive_signal:
  if (result == V_ERROR) error_blame(prim_table[now.prim]->name, (int)argc, sp - argc);
  if (result == V_AGAIN && now.by_value) {
    PUSH(MAKE(T_PRIM, now.prim));         /* park the arguments where OP_CALL finds them again: procedure on top */
    goto call_again;
  }
  if (result == V_ERROR || result == V_AGAIN) goto signal;
  vm.resume = V_FALSE;
  if (result == V_CUSTOM) {                      /* (hook primitive a1 ... an) */
    sp = put_in_front(MAKE(T_PRIM, now.prim), sp, argc);
    PUSH(m.hook_custom);
    argc++;
    goto call_again;
  }
  if (result == V_WAIT && now.by_value) TRAP("%wait was called by value");   /* the compiler calls it by OP_CALL_PRIM */
  sp -= argc;
  if (result == V_WAIT && m.message_waiting) {   /* it came while nobody looked */
    PUSH(m.inbox);
    m.inbox = V_FALSE;
    m.message_waiting = false;
    goto go_on;
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
  proc = vm.tail_proc;
  if (result == V_CAPTURE) {
    if (!tail) {
      PUSH_FRAME();
    } else {
      DROP_KEPT_FRAME();
      sp = fp;
    }
    SAVE();
    result = stack_capture();
    now.self = m.underflow;
    now.consts = CONSTS_OF(now.self);
    pc = now.ip = CODE_OF(now.self);
    sp = fp = m.values;
    now.frame = m.frames + 1;
    PUSH(result);
    PUSH(proc);
    argc = 1;
    tail = true;
    goto call_again;
  }
  /* V_TAIL */
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

call:
  if (TYPE_FAST(proc, T_CASE)) {
    Value closure = select_case(proc, argc);
    if (closure == V_FALSE) { result = err_arity(proc, (int)argc, sp - argc); goto signal; }
    PUSH(closure);
    goto call_again;
  }
  if (TYPE_FAST(proc, T_CONT)) {
    reenter(proc, argc, sp - argc);
    LOAD();
    if (--vm.steps > 0) goto go_on;
    goto safe_point;
  }
  if (TYPE_FAST(proc, T_RECORD) && TRUTH(RTD(RECORD_RTD(proc))->apply)) {
    Value apply = RTD(RECORD_RTD(proc))->apply;
    sp = put_in_front(proc, sp, argc);
    argc++;
    if (!IS(apply, T_PRIM) || (int)argc < prim_table[PAYLOAD(apply)]->min_args || (int)argc > prim_table[PAYLOAD(apply)]->max_args) {
      PUSH(apply);
      goto call_again;
    }
    now.prim = PAYLOAD(apply);           /* rename and compare of macros: a primitive, which is called in place */
    now.argc = argc;
    now.by_value = true;
    m.sp = (uint32_t)(sp - m.values);
    m.depth = (uint32_t)(now.frame - m.frames);
    result = prim_table[now.prim]->fn((int)argc, sp - argc);
    if (IS_SIGNAL(result)) goto primitive_signal;
    vm.resume = V_FALSE;
    sp -= argc;
    if (tail) {
      sp = fp;
      POP_FRAME();
    }
    PUSH(result);
    if (--vm.steps > OVERDRAWN) goto go_on;
    goto safe_point;
  }
  if (TYPE_FAST(proc, T_CLOSURE)) {
    PUSH(proc);
    goto call_again;
  }
  result = err_apply(proc, (int)argc);

signal:
  if (result == V_AGAIN) { pc = now.ip; goto safe_point; }
  if (result == V_TAIL) TRAP("a tail call came to the wrong label");
  vm.resume = V_FALSE;
  SAVE();
  m.pc = (uint32_t)(now.ip - CODE_OF(now.self));
  error_locate(vm.error);
  PUSH(vm.error);
  vm.error = V_FALSE;
  if (m.hook_raise == V_FALSE) { m.result = sp[-1]; return RUN_ERROR; }
  PUSH(m.hook_raise);
  argc = 1;
  tail = false;        /* keeps the failing frame; the hook never returns to it */

call_again:            /* procedure on top of argc arguments: call it by a stub in our place or above us */
  if (!tail) {
    PUSH_FRAME();
    fp = sp - argc - 1;
  } else {
    Value *from = sp - argc - 1;
    KEEP_FRAME();
    sp = move_down(fp, from, argc + 1);
  }
  now.self = call_stub(argc);
  now.consts = CONSTS_OF(now.self);
  pc = CODE_OF(now.self);
  if (--vm.steps > 0 && !vm.need_bytes && !m.spill) goto go_on;

safe_point:
  SAVE();
  CHECK(m.fp <= m.sp && m.sp < VALUE_STACK && m.depth >= 1 && m.depth < FRAME_STACK && IS(m.self, T_CLOSURE));
  if ((vm.collect || vm.need_bytes) && !m.fresh) {
    enum run_status status = collect();
    if (status != RUN_DONE) return status;
  }
  if (m.spill || m.sp >= VALUE_STACK - VALUE_RESERVE || m.depth >= FRAME_STACK - 8) {
    m.spill = false;
    if (!stack_spill_below()) return RUN_NO_MEMORY;   /* deep recursion goes to the heap */
    LOAD();
    if (vm.collect && !m.fresh) goto safe_point;      /* steps is 0 for the collector's sake */
  }
  if (vm.steps <= 0 && !m.fresh) return RUN_PREEMPTED;
  LOAD();

go_on:
  now.sp = sp;
  now.fp = fp;
  now.pc = pc;
  return GO_ON;
}

/* ---- the loop ---- */

/* Turn aside before anything was called; what was called since then has set now.ip. */
#define ASIDE(reason) do { now.ip = pc - 1; why = (reason); goto aside; } while (0)

static int run(void) {
  Value *fp, *sp;
  const uint32_t *pc;
  LOAD();

  /* What stands where at each label. `...` is what the frame had before; the registers are those of the running procedure, pc is past the
     instruction's first word where nothing else is said.

       label             on the stack (top right)        in variables
       ----------------  ------------------------------  ------------------------------------------------
       push_bound        ...                             result: a box's content, perhaps V_UNBOUND
       do_return         fp: arguments, locals           result: what the procedure returns
       call_cell         ... a1 ... an                   proc: a cell; word's A: n; tail
       call              ... a1 ... an                   proc: what is called; argc: n; tail; pc is past the instruction
       call_primitive    ... a1 ... an                   prim; argc: n; now.by_value, now.tail; pc is past the instruction
       call_accepting    ... a1 ... an                   the same, where the primitive takes so many
       inline_slow       ... a1 ... an                   prim; argc: n
       multiply_add      as the instruction found it     as arithmetic
       arithmetic        as the instruction found it     proc, result: its operands; argc: how many of them it drops
       compare           as the instruction found it     likewise, but a comparison that pushes drops one less
       aside             as `why` tells                  as `why` tells; now.ip

     tail: the call takes the place of the running procedure; else it goes on top, and pc is where to return.

     Every way back to the top is a `continue`, and the labels below the switch only jump forward.
     So the loop has one entry and no loop inside it, which structured control flow needs to be fast: each loop header costs a check
     of fuel. And nothing but pc, sp and fp is used after a call that was known before it: else the engine takes the processor's
     registers from those three. */
  for (;;) {
    /* Declared in here, since no instruction leaves anything in them for the next one: outside they would be
       handed from turn to turn, a copy each. */
    Value result, proc;
    uint32_t word, argc, prim;
    bool tail;
    enum aside why;
    switch ((enum opcode)*(const uint8_t *)(pc++)) {
      case OP_CONST: W; PUSH(now.consts[A]); continue;
      case OP_FIXNUM: W; PUSH(FIX(SIGNED_A)); continue;
      case OP_SPECIAL: W; PUSH(MAKE(T_SPECIAL, A)); if (A == 0) sp[-1] = V_FALSE; continue;
      case OP_LOCAL: W; PUSH(fp[A]); continue;
      case OP_LOCAL2: W; sp[0] = fp[A_LOW]; sp[1] = fp[A_HIGH]; sp += 2; continue;
      case OP_FREE: W; PUSH(CLOSURE_FREE(now.self, A)); continue;
      case OP_LOCAL_BOX: W; result = SLOTS(fp[A])[0]; goto push_bound;
      case OP_FREE_BOX: W; result = SLOTS(CLOSURE_FREE(now.self, A))[0];
      push_bound:
        if (result == V_UNBOUND) ASIDE(UNBOUND_BOX);
        PUSH(result);
        continue;
      case OP_GLOBAL: W; {
        Value cell = now.consts[A];
        Value v = CELL(cell)->value;
        if (v != V_UNBOUND) { PUSH(v); continue; }
        now.proc = cell;
        if (!(FIX_VALUE(CELL(cell)->flags) & CELL_LAZY) || m.hook_lazy == V_FALSE) ASIDE(UNBOUND_GLOBAL);
        PUSH(cell);                      /* a lazy global: the hook gives its value, and stores it */
        proc = m.hook_lazy;
        argc = 1;
        tail = false;
        goto call;
      }
      case OP_SET_LOCAL_BOX: W; result = POP(); if (SLOTS(fp[A])[0] == V_UNBOUND) ASIDE(UNBOUND_SET); SLOTS(fp[A])[0] = result; continue;
      case OP_SET_FREE_BOX: W; result = POP(); if (SLOTS(CLOSURE_FREE(now.self, A))[0] == V_UNBOUND) ASIDE(UNBOUND_SET); SLOTS(CLOSURE_FREE(now.self, A))[0] = result; continue;
      case OP_INIT_BOX: W; SLOTS(fp[A])[0] = POP(); continue;
      case OP_SET_GLOBAL: W; {
        Value cell = now.consts[A];
        if (CELL(cell)->value == V_UNBOUND) { now.proc = cell; ASIDE(UNBOUND_GLOBAL); }
        CELL(cell)->value = POP();
        CELL(cell)->flags = FIX(FIX_VALUE(CELL(cell)->flags) & ~(CELL_CONSTANT | CELL_LAZY | CELL_IMPORTED));
        continue;
      }
      case OP_DEFINE_GLOBAL: W; {
        Value cell = now.consts[A];
        CELL(cell)->value = POP();
        CELL(cell)->flags = FIX(FIX_VALUE(CELL(cell)->flags) & ~(CELL_CONSTANT | CELL_LAZY | CELL_IMPORTED));
        continue;
      }
      case OP_BOX_TOP: W; goto box;
      case OP_BOX_LOCAL: W; result = make_box(fp[A]); fp[pc[-1] >> 8] = result; continue;
      case OP_CLOSURE: W; {
        result = make_closure(now.consts[A], pc, now.self, fp);
        PUSH(result);
        pc += 1 + *pc;
        continue;
      }
      case OP_PATCH: W; { uint32_t w = *pc++; CHECK((w >> 16) + 1 < OBJ_LENGTH(fp[A])); CLOSURE_FREE(fp[A], w >> 16) = fp[w & 0xffff]; continue; }
      case OP_POP: W; sp--; continue;
      case OP_POPN: W; sp -= A; continue;
      case OP_POPN_JUMP: W; sp -= A; pc += 1 + ((int32_t)*pc >> 8); continue;
      case OP_SLIDE: W; result = sp[-1]; sp -= A; sp[-1] = result; continue;
      case OP_JUMP: W; pc += SIGNED_A; continue;
      case OP_JUMP_FALSE: W; if (POP() == V_FALSE) pc += SIGNED_A; continue;
      case OP_JUMP_TRUE: W; if (POP() != V_FALSE) pc += SIGNED_A; continue;
      case OP_AND_JUMP: W; if (sp[-1] == V_FALSE) pc += SIGNED_A; else sp--; continue;
      case OP_OR_JUMP: W; if (sp[-1] != V_FALSE) pc += SIGNED_A; else sp--; continue;
      case OP_ADD_LI_SET: W; {
        Value x_ = fp[A_LOW], y_ = FIX(A_HIGH_SIGNED), r_;
        if (!FIX_ADD(x_, y_, r_)) { proc = x_; result = y_; argc = 0; goto arithmetic; }
        fp[A_LOW] = r_;
        pc++;
        continue;
      }
      case OP_ADD_LL_SET: W; {
        Value x_ = fp[A_LOW], y_ = fp[A_HIGH], r_;
        if (!FIX_ADD(x_, y_, r_)) { proc = x_; result = y_; argc = 0; goto arithmetic; }
        fp[*pc++ >> 8] = r_;
        continue;
      }
      case OP_ADD_INTO: W; {
        Value x_ = fp[A], y_ = sp[-1], r_;
        if (!FIX_ADD(x_, y_, r_)) { proc = x_; result = y_; argc = 1; goto arithmetic; }
        fp[A] = r_;
        sp--;
        pc++;
        continue;
      }
      case OP_CONS_INTO: W; result = cons_in_place(sp[-1], fp[A]); fp[pc[-1] >> 8] = result; sp--; continue;
      case OP_SET_LOCAL: W; fp[A] = POP(); continue;
      case OP_COUNT_LT_I: COUNT_I(<); continue;
      case OP_COUNT_LT_L: COUNT_L(<); continue;
      case OP_COUNT_LT_G: COUNT_G(<); continue;
      case OP_COUNT_GT_I: COUNT_I(>); continue;
      case OP_COUNT_GT_L: COUNT_L(>); continue;
      case OP_COUNT_GT_G: COUNT_G(>); continue;
      case OP_COUNT_NE_I: COUNT_I(!=); continue;
      case OP_COUNT_NE_L: COUNT_L(!=); continue;
      case OP_COUNT_NE_G: COUNT_G(!=); continue;
      case OP_COUNT_LE_L: COUNT_L(<=); continue;
      case OP_COUNT_LE_G: COUNT_G(<=); continue;
      case OP_COUNT_GE_L: COUNT_L(>=); continue;
      case OP_COUNT_GE_G: COUNT_G(>=); continue;
      LOOP2_CASES(LT, <)
      LOOP2_CASES(GE, >=)
      LOOP2_CASES(EQN, ==)
      case OP_LOOP_BACK: goto looped;
      case OP_LOOP: W; {
        uint32_t count = *pc >> 24;
        Value *to = fp + A, *from = sp - count;
        to[0] = from[0];                       /* where there is none: what lies above the top */
        if (count > 1) {
          to[1] = from[1];
          if (count > 2) {
            sp = move_down(to + 2, from + 2, count - 2);
            goto looped;
          }
        }
        sp = to + count;
      }
      looped: {
        uint32_t w = *pc;
        pc -= w & 0xffffff;
        if ((vm.steps -= 1 + (w & 0xffffff) / WORDS_A_STEP) > 0) continue;
        ASIDE(SAFE_POINT);
      }
      case OP_RETURN_LOCAL: W; result = fp[A]; goto do_return;
      case OP_RETURN: W; result = sp[-1];
      do_return:
        sp = fp;
        POP_FRAME();
        PUSH(result);
        continue;
      case OP_LOCAL_CALL: W; proc = fp[A]; argc = *pc++ >> 8; tail = false; goto call;
      case OP_CALL: W; proc = POP(); argc = A; tail = false; goto call;
      case OP_TAIL_CALL: W; proc = POP(); argc = A; tail = true; goto call;
      case OP_ACCESS_GLOBAL: W; {
        const Value *known = now.consts + (*pc & ~TAIL_BIT);
        Value v = sp[-1];
        if (CELL(known[0])->value == known[1] && IS(v, T_RECORD) && RECORD_RTD(v) == known[2]) {
          sp[-1] = RECORD_FIELD(v, A);
          pc++;
          continue;
        }
        argc = 1;
        goto record_procedure;
      }
      case OP_ACCESS_LOCAL: W; {
        const Value *known = now.consts + (*pc & ~TAIL_BIT);
        Value v = fp[A_LOW];
        PUSH(v);
        if (CELL(known[0])->value == known[1] && IS(v, T_RECORD) && RECORD_RTD(v) == known[2]) {
          sp[-1] = RECORD_FIELD(v, A_HIGH);
          pc++;
          continue;
        }
        argc = 1;
        goto record_procedure;
      }
      case OP_PREDICATE_GLOBAL: W; {
        const Value *known = now.consts + (*pc & ~TAIL_BIT);
        if (CELL(known[0])->value == known[1]) {
          sp[-1] = BOOL(record_is_a(sp[-1], known[2]));
          pc++;
          continue;
        }
        argc = 1;
        goto record_procedure;
      }
      case OP_CONSTRUCT_GLOBAL: W; {
        const Value *known = now.consts + (*pc & ~TAIL_BIT);
        argc = A;
        if (CELL(known[0])->value == known[1]) {
          struct Template *t = TEMPLATE(CLOSURE_TEMPLATE(known[1]));
          result = construct(*(uint32_t *)RAW_BYTES(t->code) >> 8, TEMPLATE_CONSTS(t), sp - argc);
          sp -= pc[-1] >> 8;
          PUSH(result);
          pc++;
          continue;
        }
        goto record_procedure;
      }
      case OP_CASE_GLOBAL: W; {
        const Value *known = now.consts + (*pc & ~TAIL_BIT);
        argc = A;
        if (CELL(known[0])->value == known[1]) {
          proc = known[2];
          tail = *pc++ >> 31;
          goto call;
        }
      }
      record_procedure:                /* what it is has changed: any call */
        proc = now.consts[*pc & ~TAIL_BIT];
        tail = *pc++ >> 31;
        now.proc = proc;
        proc = CELL(proc)->value;
        if (proc != V_UNBOUND) goto call;
        ASIDE(UNBOUND_GLOBAL);
      case OP_LOCAL2_GLOBAL: W;
        sp[0] = fp[A_LOW];
        sp[1] = fp[A_HIGH];
        sp += 2;
        word = *pc++;
        proc = now.consts[*pc++];
        tail = false;
        goto call_cell;
      case OP_LOCAL_GLOBAL: W;
        PUSH(fp[A]);
        word = *pc++;
        proc = now.consts[*pc++];
        tail = false;
        goto call_cell;
      case OP_CALL_GLOBAL: W; proc = now.consts[*pc++]; tail = false; goto call_cell;
      case OP_TAIL_CALL_GLOBAL: W; proc = now.consts[*pc++]; tail = true;
      call_cell: {
        Value cell = proc;
        proc = CELL(cell)->value;
        argc = A;
        if (proc != V_UNBOUND) goto call;
        now.proc = cell;
        ASIDE(UNBOUND_GLOBAL);
      }
      case OP_LOCAL_PRIM: W; result = fp[A]; goto then_primitive;
      case OP_CONST_PRIM: W; result = now.consts[A];
      then_primitive:
        PUSH(result);
        argc = *pc++ >> 8;
        prim = *pc++;
        now.by_value = now.tail = false;
        goto call_accepting;
      case OP_CALL_PRIM: W;
        argc = A;
        prim = *pc++;
        now.by_value = now.tail = false;
        goto call_accepting;
      case OP_CALL_PRIM_ANY: W;
        argc = A;
        prim = *pc++;
        now.by_value = now.tail = false;
        goto call_primitive;

      case OP_UNDERFLOW: W; ASIDE(UNDERFLOW);
      case OP_RESUME: W;
        sp = fp;                              /* drops the tick's value: fp is where it was pushed */
        POP_FRAME();
        m.in_tick = false;
        continue;

      case OP_CAR: W; if (!is_pair(sp[-1])) SLOW(1); sp[-1] = CAR(sp[-1]); continue;
      case OP_CDR: W; if (!is_pair(sp[-1])) SLOW(1); sp[-1] = CDR(sp[-1]); continue;
      case OP_CAR_L: W; PUSH(fp[A]); if (!is_pair(sp[-1])) SLOW(1); sp[-1] = CAR(sp[-1]); continue;
      case OP_CDR_L: W; PUSH(fp[A]); if (!is_pair(sp[-1])) SLOW(1); sp[-1] = CDR(sp[-1]); continue;
      case OP_CADR: W; if (!is_pair(sp[-1]) || !is_pair(CDR(sp[-1]))) SLOW(1); sp[-1] = CADR(sp[-1]); continue;
      case OP_CDDR: W; if (!is_pair(sp[-1]) || !is_pair(CDR(sp[-1]))) SLOW(1); sp[-1] = CDDR(sp[-1]); continue;
      case OP_CONS: W; result = cons_in_place(sp[-2], sp[-1]); sp--; sp[-1] = result; continue;
      case OP_CONS_L: W; result = cons_in_place(sp[-1], fp[A]); sp[-1] = result; continue;
      case OP_SET_CAR: W; if (!is_pair(sp[-2])) SLOW(2); CAR(sp[-2]) = sp[-1]; sp--; sp[-1] = V_VOID; continue;
      case OP_SET_CDR: W; if (!is_pair(sp[-2])) SLOW(2); CDR(sp[-2]) = sp[-1]; sp--; sp[-1] = V_VOID; continue;
      case OP_PAIRP: W; sp[-1] = BOOL(is_pair(sp[-1])); continue;
      case OP_NULLP: W; sp[-1] = BOOL(sp[-1] == V_NIL); continue;
      case OP_NOT: W; sp[-1] = BOOL(sp[-1] == V_FALSE); continue;
      case OP_EQ: W; sp--; sp[-1] = BOOL(sp[-1] == sp[0]); continue;
      case OP_EQV: W; sp--; if (sp[-1] == sp[0]) { sp[-1] = V_TRUE; continue; } result = BOOL(is_eqv(sp[-1], sp[0])); sp[-1] = result; continue;
      case OP_ZEROP: W; if (!IS_FIX(sp[-1])) SLOW(1); sp[-1] = BOOL(sp[-1] == FIX(0)); continue;
      case OP_IS_TAG: W; sp[-1] = BOOL(IS(sp[-1], A)); continue;

      case OP_ADD_SS: W; ARITHMETIC(sp[-2], sp[-1], 2, FIX_ADD); continue;
      case OP_ADD_SI: W; ARITHMETIC(sp[-1], FIX(SIGNED_A), 1, FIX_ADD); continue;
      case OP_ADD_LI: W; ARITHMETIC(fp[A_LOW], FIX(A_HIGH_SIGNED), 0, FIX_ADD); continue;
      case OP_ADD_LL: W; ARITHMETIC(fp[A_LOW], fp[A_HIGH], 0, FIX_ADD); continue;
      case OP_SUB_SS: W; ARITHMETIC(sp[-2], sp[-1], 2, FIX_SUB); continue;
      case OP_SUB_SI: W; ARITHMETIC(sp[-1], FIX(SIGNED_A), 1, FIX_SUB); continue;
      case OP_SUB_LI: W; ARITHMETIC(fp[A_LOW], FIX(A_HIGH_SIGNED), 0, FIX_SUB); continue;
      case OP_SUB_LL: W; ARITHMETIC(fp[A_LOW], fp[A_HIGH], 0, FIX_SUB); continue;
      case OP_MUL_SS: W; ARITHMETIC(sp[-2], sp[-1], 2, FIX_MUL); continue;
      case OP_MUL_SI: W; ARITHMETIC(sp[-1], FIX(SIGNED_A), 1, FIX_MUL); continue;
      case OP_MUL_LI: W; ARITHMETIC(fp[A_LOW], FIX(A_HIGH_SIGNED), 0, FIX_MUL); continue;
      case OP_MUL_LL: W; ARITHMETIC(fp[A_LOW], fp[A_HIGH], 0, FIX_MUL); continue;
      case OP_MUL_ADD_SS: W; {
        Value x_ = sp[-2], y_ = sp[-1], z_ = sp[-3], r_;
        if (!FIX_MUL(x_, y_, r_)) { proc = x_; result = y_; argc = 2; goto multiply_add; }
        Value sum_;
        sp--;
        if (FIX_ADD(z_, r_, sum_)) { pc++; sp--; r_ = sum_; }
        sp[-1] = r_;
        continue;
      }
      case OP_MUL_ADD_LL: W; {
        Value x_ = fp[A_LOW], y_ = fp[A_HIGH], z_ = sp[-1], r_;
        if (!FIX_MUL(x_, y_, r_)) { proc = x_; result = y_; argc = 0; goto multiply_add; }
        Value sum_;
        if (FIX_ADD(z_, r_, sum_)) { pc++; sp--; r_ = sum_; }
        PUSH(r_);
        continue;
      }
      DIVISION_CASES(QUOTIENT, FIX_QUOTIENT)
      DIVISION_CASES(REMAINDER, FIX_REMAINDER)
      DIVISION_CASES(MODULO, FIX_MODULO)

      COMPARE_CASES(LT, <)
      COMPARE_CASES(GT, >)
      COMPARE_CASES(LE, <=)
      COMPARE_CASES(GE, >=)
      COMPARE_CASES(EQN, ==)

      case OP_JN_EQ: W; sp -= 2; if (sp[0] != sp[1]) pc += SIGNED_A; continue;
      case OP_J_EQ: W; sp -= 2; if (sp[0] == sp[1]) pc += SIGNED_A; continue;
      case OP_JN_NULL: W; if (POP() != V_NIL) pc += SIGNED_A; continue;
      case OP_J_NULL: W; if (POP() == V_NIL) pc += SIGNED_A; continue;
      case OP_JN_PAIR: W; sp--; if (!is_pair(sp[0])) pc += SIGNED_A; continue;
      case OP_J_PAIR: W; sp--; if (is_pair(sp[0])) pc += SIGNED_A; continue;
      case OP_JN_NULL_L: W; { int32_t d = (int32_t)*pc++; if (fp[A] != V_NIL) pc += d; continue; }
      case OP_J_NULL_L: W; { int32_t d = (int32_t)*pc++; if (fp[A] == V_NIL) pc += d; continue; }
      case OP_JN_PAIR_L: W; { int32_t d = (int32_t)*pc++; if (!is_pair(fp[A])) pc += d; continue; }
      case OP_JN_EQ_LC: W; { int32_t d = (int32_t)*pc++; if (fp[A_LOW] != now.consts[A_HIGH]) pc += d; continue; }
      case OP_J_EQ_LC: W; { int32_t d = (int32_t)*pc++; if (fp[A_LOW] == now.consts[A_HIGH]) pc += d; continue; }
      case OP_JN_PAIR_CAR: W; {
        int32_t d = (int32_t)*pc++;
        Value v = fp[A];
        if (!is_pair(v)) { pc += d; continue; }
        PUSH(CAR(v));
        pc++;
        continue;
      }
      case OP_JN_PAIR_CDR: W; {
        int32_t d = (int32_t)*pc++;
        Value v = fp[A];
        if (!is_pair(v)) { pc += d; continue; }
        PUSH(CDR(v));
        pc++;
        continue;
      }
      case OP_UNPAIR: W; {
        int32_t d = (int32_t)*pc++;
        Value v = fp[A];
        if (!is_pair(v)) { pc += d; continue; }
        sp[0] = CAR(v);
        sp[1] = CDR(v);
        sp += 2;
        pc += 2;
        continue;
      }
      case OP_JN_PAIR_CDR_NULL: W; {
        int32_t d = (int32_t)*pc++;
        Value v = fp[A];
        if (is_pair(v)) { d = CDR(v) == V_NIL ? 0 : (int32_t)pc[1] >> 8; pc += 2; }
        pc += d;
        continue;
      }
      case OP_J_PAIR_L: W; { int32_t d = (int32_t)*pc++; if (is_pair(fp[A])) pc += d; continue; }

      case OP_VECTOR_REF: W;
        if (!IS(sp[-2], T_VECTOR) || !IS_FIX(sp[-1]) || (uint64_t)FIX_VALUE(sp[-1]) >= VEC_LENGTH(sp[-2])) SLOW(2);
        sp--; sp[-1] = VEC(sp[-1])[FIX_VALUE(sp[0])]; continue;
      case OP_VECTOR_REF_L: W;
        if (!IS(sp[-1], T_VECTOR) || !IS_FIX(fp[A]) || (uint64_t)FIX_VALUE(fp[A]) >= VEC_LENGTH(sp[-1])) { PUSH(fp[A]); SLOW(2); }
        sp[-1] = VEC(sp[-1])[FIX_VALUE(fp[A])]; continue;
      case OP_VECTOR_REF_LL: W; {
        Value v = fp[A_LOW], i = fp[A_HIGH];
        if (!IS(v, T_VECTOR) || !IS_FIX(i) || (uint64_t)FIX_VALUE(i) >= VEC_LENGTH(v)) { PUSH(v); PUSH(i); SLOW(2); }
        PUSH(VEC(v)[FIX_VALUE(i)]); continue;
      }
      case OP_VECTOR_SET: W;
        if (!IS(sp[-3], T_VECTOR) || !IS_FIX(sp[-2]) || (uint64_t)FIX_VALUE(sp[-2]) >= VEC_LENGTH(sp[-3]) ||
            (OBJ_FLAGS(sp[-3]) & H_IMMUTABLE)) SLOW(3);
        VEC(sp[-3])[FIX_VALUE(sp[-2])] = sp[-1]; sp -= 2; sp[-1] = V_VOID; continue;
      case OP_VECTOR_LENGTH: W; if (!IS(sp[-1], T_VECTOR)) SLOW(1); sp[-1] = FIX(VEC_LENGTH(sp[-1])); continue;
      case OP_STRING_REF: W;
        if (!IS(sp[-2], T_STRING) || !IS_FIX(sp[-1]) || (uint64_t)FIX_VALUE(sp[-1]) >= STR_LENGTH(sp[-2])) SLOW(2);
        sp--; sp[-1] = CHAR(string_char(sp[-1], (uint32_t)FIX_VALUE(sp[0]))); continue;
      case OP_STRING_LENGTH: W; if (!IS(sp[-1], T_STRING)) SLOW(1); sp[-1] = STR(sp[-1])->length; continue;
      case OP_CHAR_EQ: W; if (!IS(sp[-2], T_CHAR) || !IS(sp[-1], T_CHAR)) SLOW(2); sp--; sp[-1] = BOOL(sp[-1] == sp[0]); continue;
      case OP_CHAR_EQ_TEST: W;
        if (!IS(sp[-2], T_CHAR) || !IS(sp[-1], T_CHAR)) SLOW(2);
        sp -= 2;
        if (sp[0] != sp[1]) pc += (int32_t)*pc >> 8;
        pc++;
        continue;
      case OP_IS_TAG_TEST: W;
        sp--;
        if (!IS(sp[0], A)) pc += (int32_t)*pc >> 8;
        pc++;
        continue;
      case OP_UNBOX: W; if (!IS(sp[-1], T_BOX)) SLOW(1); sp[-1] = SLOTS(sp[-1])[0]; continue;
      case OP_BOX: W; box: result = make_box(sp[-1]); sp[-1] = result; continue;
      case OP_SET_BOX: W; if (!IS(sp[-2], T_BOX) || (OBJ_FLAGS(sp[-2]) & H_IMMUTABLE)) SLOW(2); SLOTS(sp[-2])[0] = sp[-1]; sp--; sp[-1] = V_VOID; continue;
      case OP_RECORD_REF: W;
        if (!IS(sp[-2], T_RECORD) || !IS_FIX(sp[-1]) || (uint64_t)FIX_VALUE(sp[-1]) >= OBJ_LENGTH(sp[-2]) - 1) SLOW(2);
        sp--; sp[-1] = RECORD_FIELD(sp[-1], FIX_VALUE(sp[0])); continue;
      case OP_RECORD_IS: W; if (!IS(sp[-1], T_RTD)) SLOW(2); sp--; sp[-1] = BOOL(record_is_a(sp[-1], sp[0])); continue;
      case OP_ACCESS: W;
        if (!IS(fp[0], T_RECORD) || (RECORD_RTD(fp[0]) != now.consts[0] && !record_is_a(fp[0], now.consts[0]))) {
          ASIDE(WRONG_RECORD);
        }
        result = RECORD_FIELD(fp[0], A);
        goto do_return;
      case OP_MODIFY: W;
        if (!record_is_a(fp[0], now.consts[0])) ASIDE(WRONG_RECORD);
        RECORD_FIELD(fp[0], A) = fp[1];
        result = V_VOID;
        goto do_return;
      case OP_PREDICATE: W; result = BOOL(record_is_a(fp[0], now.consts[0])); goto do_return;
      case OP_CONSTRUCT: W; result = construct(A, now.consts, fp); goto do_return;
      case OP_LIST: W;
        result = list_of(A, sp - A);
        sp -= pc[-1] >> 8;               /* the word anew: see above */
        PUSH(result);
        continue;
      case OP_MERGE_TAKE: W; {
        Value *from = fp + 1 + (TRUTH(sp[-1]) != (A & 1));
        sp--;
        result = cons_in_place(CAR(*from), fp[3]);
        from = fp + 1 + (TRUTH(sp[0]) != (pc[-1] >> 8 & 1));     /* anew, as above */
        *from = CDR(*from);
        fp[3] = result;
        pc--;                                  /* behind the word of MERGE_NEXT, which says the same */
      } /* fall through */
      case OP_MERGE_NEXT: W;
        if (is_pair(fp[1]) && is_pair(fp[2])) {
          Value x = CAR(fp[2]), y = CAR(fp[1]);
          sp[0] = word >> 8 & 2 && is_pair(x) ? CAR(x) : x;
          sp[1] = word >> 8 & 2 && is_pair(y) ? CAR(y) : y;
          sp += 2;
          proc = fp[0];
          argc = 2;
          tail = false;
          goto call;
        }
        if (fp[1] == V_NIL) fp[1] = fp[2];
        pc++;
        continue;
      case OP_CHARGE: W; vm.steps -= A; continue;
      case OP_COUNT: break;
    }
    TRAP("no such instruction");         /* the compiler's mistake */

  multiply_add:
    if (TYPE_FAST(proc, T_FLONUM) && TYPE_FAST(result, T_FLONUM) && room_in_place()) {
      Value other = sp[-1 - (int32_t)argc];
      double product = FLO_VALUE(proc) * FLO_VALUE(result);
      if (TYPE_FAST(other, T_FLONUM)) {
        product = FLO_VALUE(other) + product;
        pc++;
        argc++;
      }
      sp -= argc;
      PUSH(flonum_in_room(product));
      continue;
    }
    goto any_arithmetic;

  arithmetic: {
      uint32_t op = OPCODE;
      if (TYPE_FAST(proc, T_FLONUM) && TYPE_FAST(result, T_FLONUM) && (op <= OP_MUL_LL || op >= OP_ADD_LI_SET) && room_in_place()) {
        double x = FLO_VALUE(proc), y = FLO_VALUE(result);
        sp -= argc;
        PUSH(flonum_in_room(op <= OP_ADD_LL || op >= OP_ADD_LI_SET ? x + y : op <= OP_SUB_LL ? x - y : x * y));
        continue;
      }
    }
  any_arithmetic:
    now.ip = pc - 1;
    now.argc = argc;
    result = arithmetic(OPCODE, proc, result);
    if (IS_SIGNAL(result)) { now.result = result; why = SIGNAL; goto aside; }
    sp -= now.argc;
    PUSH(result);
    continue;

  compare:
    now.ip = pc - 1;
    now.argc = argc;
    result = compare(OPCODE, proc, result);
    if (IS_SIGNAL(result)) { now.result = result; why = SIGNAL; goto aside; }
    sp -= now.argc;
    if (OPCODE <= OP_EQN_SS) {
      sp[-1] = result;
    } else {
      int32_t distance = (int32_t)*pc++;
      if (result == V_FALSE) pc += distance;
    }
    continue;

  inline_slow:
    now.ip = pc - 1;
    now.prim = prim;
    now.argc = argc;
    result = prim_table[prim]->fn((int)argc, sp - argc);
    if (IS_SIGNAL(result)) {
      now.by_value = now.tail = false;
      now.result = result;
      why = PRIMITIVE_SIGNAL;
      goto aside;
    }
    sp -= now.argc;
    PUSH(result);
    if (--vm.steps > OVERDRAWN) continue;
    why = SAFE_POINT;
    goto aside;

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
            why = SAFE_POINT;
            goto aside;
          }
        }
        if (!arity_accepts(arity, argc)) { now.proc = proc; now.argc = argc; ASIDE(WRONG_ARITY); }
      }
      if (tail) {
        Value *from = sp - argc;
        if (OF_PROGRAM(t)) DROP_KEPT_FRAME(); else KEEP_FRAME();
        now.self = proc;
        now.consts = TEMPLATE_CONSTS(t);
        pc = (uint32_t *)RAW_BYTES(t->code);
        fp[0] = from[0];                       /* as in LOOP */
        if (argc <= 2) {
          fp[1] = from[1];
          sp = fp + argc;
        } else {
          sp = move_down(fp, from, argc);
        }
      } else {
        PUSH_FRAME();
        fp = sp - argc;
        now.self = proc;
        now.consts = TEMPLATE_CONSTS(t);
        pc = (uint32_t *)RAW_BYTES(t->code);
      }
      if (FIX_VALUE(arity) < 0) sp = shape_arguments(fp, (uint32_t)(sp - fp));
      if (--vm.steps > 0 && sp < m.values + VALUE_STACK - VALUE_RESERVE && now.frame < m.frames + FRAME_STACK - 8) continue;
      why = SAFE_POINT;
      goto aside;
    }
    now.tail = tail;
    if (!TYPE_FAST(proc, T_PRIM)) { now.proc = proc; now.argc = argc; ASIDE(CALL); }
    prim = PAYLOAD(proc);
    now.by_value = true;

  call_primitive: {
      CHECK(prim < prim_count);
      const PrimDef *p = prim_table[prim];
      now.ip = pc - (now.by_value ? 1 : 2);
      now.prim = prim;
      now.argc = argc;
      if ((int)argc < p->min_args || (p->max_args >= 0 && (int)argc > p->max_args)) {
        now.proc = MAKE(T_PRIM, prim);
        why = WRONG_ARITY;
        goto aside;
      }
    }
  call_accepting: {
      const PrimDef *p = prim_table[prim];
      now.ip = pc - (now.by_value ? 1 : 2);
      now.prim = prim;
      now.argc = argc;
      /* primitives that look at the machine itself find it saved */
      m.sp = (uint32_t)(sp - m.values);
      m.depth = (uint32_t)(now.frame - m.frames);
      result = p->fn((int)argc, sp - argc);
      if (IS_SIGNAL(result)) { now.result = result; why = PRIMITIVE_SIGNAL; goto aside; }
      vm.resume = V_FALSE;
      vm.steps--;
      sp -= now.argc;
      if (now.tail) {
        sp = fp;
        POP_FRAME();
      }
      PUSH(result);
      if (vm.steps > OVERDRAWN) continue;
      why = SAFE_POINT;
    }

  aside: {
      now.pc = pc;
      now.sp = sp;
      now.fp = fp;
      int status = aside(why);
      if (status != GO_ON) return status;
      pc = now.pc;
      sp = now.sp;
      fp = now.fp;
    }
  }
}

enum run_status vm_run(void) {
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
  return (enum run_status)run();
}
