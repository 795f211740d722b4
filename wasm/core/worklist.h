/* worklist.h — an explicit stack of Values, for walks along guest data.
 *
 * No function here recurses along data: it pushes what is left to do. The slots are a vector, so
 * that the stack lives across V_AGAIN: a walk keeps it (and its height) in vm.resume.
 */
#ifndef RLM_WORKLIST_H
#define RLM_WORKLIST_H
#include "core/check.h"
#include "core/heap.h"
#include <string.h>

typedef struct { Value slots; uint32_t top; } Stack;

static inline void stack_init(Stack *s) {
  s->slots = make_vector(24, V_FALSE);
  s->top = 0;
}

/* Room for n more? False where memory is short, or where the move to a larger one takes longer than a moment (it then
   goes on when it is asked again): save, and return need_memory(stack_bytes(s)). */
void worklist_init(void);
uint64_t stack_bytes(Stack *s);
bool stack_grow(Stack *s, uint32_t n, bool pausing);
static inline bool stack_room(Stack *s, uint32_t n) {
  return s->top + n <= VEC_LENGTH(s->slots) || stack_grow(s, n, true);
}
/* The same for a walk that is not kept, but begins again where memory was short: it never pauses. */
static inline bool stack_room_now(Stack *s, uint32_t n) {
  return s->top + n <= VEC_LENGTH(s->slots) || stack_grow(s, n, false);
}

static inline void push(Stack *s, Value v) {
  CHECK(s->top < VEC_LENGTH(s->slots));
  VEC(s->slots)[s->top++] = v;
}
static inline Value pop(Stack *s) {
  CHECK(s->top > 0);
  return VEC(s->slots)[--s->top];
}
static inline Value *stack_top(Stack *s, uint32_t depth) { return VEC(s->slots) + s->top - depth; }

/* Small objects are copied by the collector, so room for them counts twice. */
static inline bool reserve_small(uint64_t bytes) { return heap_reserve(2 * bytes); }

/* A walk looks up after so many nodes whether to pause. The nodes of one round must fit the
   headroom, whatever they allocate. */
#define ROUND 256
#endif
