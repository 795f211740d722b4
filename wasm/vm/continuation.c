/* continuation.c — continuations: the value and frame stacks as heap objects.
 *
 * A captured stack is a chain of T_CONT chunks, each with whole frames and at most about
 * CHUNK_VALUES values, so that returning into a deep captured stack copies a little at a time and a
 * continuation that is captured again shares what lies below. A chunk is never changed: it can be
 * entered many times.
 */
#include "vm/continuation.h"
#include "core/check.h"
#include "vm/machine.h"
#include <string.h>

#define CHUNK_VALUES 160u
#define CHUNK_FRAMES 64u

/* frames[from..to) and values[start..end) as a chunk on top of parent */
static Value make_chunk(Value parent, uint32_t from, uint32_t to, uint32_t start, uint32_t end) {
  CHECK(from <= to && to <= m.depth && start <= end && end <= m.sp);
  uint32_t frames = to - from, values = end - start;
  Value c = heap_object(T_CONT, 0, CONT_DATA + values + 2 * frames);
  Value *slot = SLOTS(c);
  slot[CONT_PARENT] = parent;
  slot[CONT_DYNAMIC] = m.dynamic;
  slot[CONT_FRAMES] = FIX(frames);
  slot[CONT_VALUES] = FIX(values);
  memcpy(slot + CONT_DATA, m.values + start, values * sizeof(Value));
  slot += CONT_DATA + values;
  for (uint32_t i = from; i < to; i++) {
    *slot++ = m.frames[i].self;
    *slot++ = FIX(((uint64_t)FRAME_PC(m.frames[i]) << 30) | (FRAME_FP(m.frames[i]) - start));
  }
  return c;
}

/* Move frames[1..depth) and the values below `end` into chunks on top of m.cont. */
static void spill(uint32_t end) {
  uint32_t from = 1;
  while (from < m.depth) {
    uint32_t start = from == 1 ? 0 : FRAME_FP(m.frames[from]), to = from + 1;
    while (to < m.depth && to - from < CHUNK_FRAMES && FRAME_FP(m.frames[to]) - start < CHUNK_VALUES) to++;
    m.cont = make_chunk(m.cont, from, to, start, to < m.depth ? FRAME_FP(m.frames[to]) : end);
    from = to;
  }
  m.depth = 1;
}

static uint64_t spill_bytes(void) { return ((uint64_t)m.sp + 2 * m.depth) * 16 + 4096; }
bool stack_can_capture(void) { return heap_reserve(spill_bytes()); }

Value stack_capture(void) {
  if (m.depth > 1) {
    spill(m.sp);
    return m.cont;
  }
  /* nothing on the stack: a chunk without frames, not itself part of the chain, so that a loop of
     captures in tail position does not grow one */
  return make_chunk(m.cont, 1, 1, 0, 0);
}

void stack_underflow(void) {
  while (IS(m.cont, T_CONT) && SLOTS(m.cont)[CONT_FRAMES] == FIX(0)) m.cont = SLOTS(m.cont)[CONT_PARENT];
  m.depth = 1;
  m.sp = 0;
  if (m.cont == V_FALSE) {       /* nothing below: the underflow frame itself, to halt */
    m.self = m.underflow;
    m.pc = m.fp = 0;
    m.depth = 0;
    return;
  }
  Value *slot = SLOTS(m.cont);
  uint32_t frames = (uint32_t)FIX_VALUE(slot[CONT_FRAMES]), values = (uint32_t)FIX_VALUE(slot[CONT_VALUES]);
  CHECK(frames < FRAME_STACK && values < VALUE_STACK && CONT_DATA + values + 2 * frames == OBJ_LENGTH(m.cont));
  memcpy(m.values, slot + CONT_DATA, values * sizeof(Value));
  Value *frame = slot + CONT_DATA + values;
  for (uint32_t i = 0; i < frames; i++) {
    struct Frame *f = &m.frames[1 + i];
    uint64_t where = (uint64_t)FIX_VALUE(frame[2 * i + 1]);
    f->self = frame[2 * i];
    f->pc = ADDRESS(CODE_OF(f->self) + (where >> 30));
    f->fp = ADDRESS(m.values + (where & 0x3fffffff));
  }
  m.cont = slot[CONT_PARENT];
  struct Frame *top = &m.frames[frames];
  m.self = top->self;
  m.pc = FRAME_PC(*top);
  m.fp = FRAME_FP(*top);
  m.sp = values;
  m.depth = frames;            /* the top frame is running; frames[0] is the underflow frame */
}

bool stack_spill_below(void) {
  if (!heap_reserve(spill_bytes())) return false;
  spill(m.fp);
  memmove(m.values, m.values + m.fp, (m.sp - m.fp) * sizeof(Value));
  m.sp -= m.fp;
  m.fp = 0;
  return true;
}
