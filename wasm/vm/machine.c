/* machine.c — the machine's state at rest, and what the collector needs to know of it. */
#include "vm/machine.h"
#include "core/check.h"
#include <string.h>

/* Frames hold addresses, for speed; code moves when the heap is collected. */
static void before_collection(void) {
  for (uint32_t i = 0; i < m.depth; i++) m.frames[i].pc -= ADDRESS(CODE_OF(m.frames[i].self));
}
static void after_collection(void) {
  for (uint32_t i = 0; i < m.depth; i++) m.frames[i].pc += ADDRESS(CODE_OF(m.frames[i].self));
}

/* The stacks' values, then the frames' closures, then the registers. */
static uint32_t scan_roots(void (*visit)(Value *), uint32_t from, uint32_t most) {
  CHECK(m.sp <= VALUE_STACK && m.depth <= FRAME_STACK);
  Value *registers[] = {&m.self, &m.cont, &m.dynamic, &m.result, &m.underflow, &m.tick_stub,
                        &m.hook_raise, &m.hook_main, &m.hook_interrupt, &m.hook_memory, &m.hook_tick,
                        &m.hook_lazy, &m.hook_custom, &m.inbox, &vm.long_text, &vm.resume, &vm.walk, &vm.error,
                        &vm.tail_proc};
  const uint32_t r = sizeof registers / sizeof *registers, frames = m.sp + m.depth, args = frames + r, stubs = args + 8;
  uint32_t i = from, to = from + most < stubs + CALL_STUBS ? from + most : stubs + CALL_STUBS;
  for (; i < to; i++)
    visit(i < m.sp ? &m.values[i] : i < frames ? &m.frames[i - m.sp].self : i < args ? registers[i - frames]
          : i < stubs ? &vm.tail_args[i - args] : &m.call_stubs[i - stubs]);
  return i - from;
}

/* Address ranges (from, to) of stack that is not in use: a snapshot leaves them out. */
static void unused_memory(uintptr_t ranges[4]) {
  ranges[0] = (uintptr_t)(m.values + m.sp);
  ranges[1] = (uintptr_t)(m.values + VALUE_STACK);
  ranges[2] = (uintptr_t)(m.frames + m.depth);
  ranges[3] = (uintptr_t)(m.frames + FRAME_STACK);
}

Value make_procedure(const uint32_t *code, uint32_t words, uint32_t consts, const Value *constants, Value name, Value params, Value arity) {
  Value t = heap_object(T_TEMPLATE, 0, TEMPLATE_FIXED + consts);
  TEMPLATE(t)->code = heap_raw(T_RAW, 0, words * 4);
  memcpy(RAW_BYTES(TEMPLATE(t)->code), code, words * 4);
  for (uint32_t i = 0; i < consts; i++) TEMPLATE_CONSTS(TEMPLATE(t))[i] = constants[i];
  TEMPLATE(t)->arity = arity;
  TEMPLATE(t)->name = name;
  TEMPLATE(t)->source = V_FALSE;
  TEMPLATE(t)->places = heap_raw(T_RAW, 0, 0);
  TEMPLATE(t)->params = params;
  TEMPLATE(t)->place = FIX(0);
  Value c = heap_object(T_CLOSURE, 0, 1);
  CLOSURE_TEMPLATE(c) = t;
  return c;
}

/* A closure whose code is one instruction. */
static Value stub(uint32_t word) {
  return make_procedure(&word, 1, 0, NULL, V_FALSE, V_NIL, ARITY_SIMPLE(0));
}

Value make_call_stub(uint32_t argc) {
  return make_procedure((uint32_t[]){OP_TAIL_CALL | argc << 8, OP_RETURN}, 2, 0, NULL, V_FALSE, V_NIL, ARITY_SIMPLE(0));
}

static const HeapClient client = {before_collection, after_collection, scan_roots, unused_memory};

void machine_init(void) {
  heap_serve(&client);
  for (uint32_t i = 0; i < CALL_STUBS; i++) m.call_stubs[i] = make_call_stub(i);
  m.underflow = stub(OP_UNDERFLOW);
  m.tick_stub = make_procedure((uint32_t[]){OP_CALL, OP_RESUME}, 2, 0, NULL, V_FALSE, V_NIL, ARITY_SIMPLE(0));
  machine_reset();
}

void machine_reset(void) {
  m.sp = m.fp = m.pc = 0;
  m.frames[0] = (struct Frame){m.underflow, ADDRESS(CODE_OF(m.underflow)), ADDRESS(m.values)};
  m.depth = 1;
  m.cont = V_FALSE;
  m.dynamic = V_FALSE;
  m.self = m.underflow;
  m.waiting = m.in_tick = m.fresh = false;
  /* nor does it keep alive what the instruction that was under way had in its hands */
  vm.resume = vm.walk = vm.error = vm.tail_proc = m.result = V_FALSE;
  for (int i = 0; i < 8; i++) vm.tail_args[i] = V_FALSE;
  m.spill = m.collecting = m.dropping = false;
  vm.need_bytes = 0;
}

/* Arrange that vm_run calls proc: in the underflow frame's place, so that its return ends the run. */
void machine_start(Value proc, int argc, const Value *args) {
  machine_reset();
  for (int i = 0; i < argc; i++) m.values[m.sp++] = args[i];
  m.values[m.sp++] = proc;
  m.self = call_stub((uint32_t)argc);
}
