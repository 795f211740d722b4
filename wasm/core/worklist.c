/* worklist.c — how a stack grows: a long one in pieces, so that no walk keeps the host. */
#include "core/worklist.h"
#include "core/prims.h"
#include <string.h>

enum { AT_ONCE = 1u << 14 };   /* slots */

/* The move that is under way: nobody else runs meanwhile, so one is enough. It is given up where another stack grows.
   `to` is raw until all of it is filled: the collector must not look into it before. */
static struct { Value from, to; uint32_t at; } moving;

void worklist_init(void) {
  heap_root(&moving.from);
  heap_root(&moving.to);
  moving.from = moving.to = V_FALSE;
}

static uint64_t wanted(const Stack *s, uint32_t n) {
  uint64_t size = 2 * (uint64_t)VEC_LENGTH(s->slots);
  while (size < (uint64_t)s->top + n) size *= 2;
  return size;
}
uint64_t stack_bytes(Stack *s) { return moving.from == s->slots ? 0 : 8 * wanted(s, 0) + 64; }

static bool moved(Stack *s) {
  if (IS(moving.to, T_RAW)) {
    uint32_t n = OBJ_LENGTH(moving.to) / 8;
    Value *slots = (Value *)RAW_BYTES(moving.to);
    while (moving.at < n) {
      uint32_t end = n - moving.at < AT_ONCE ? n : moving.at + AT_ONCE;
      charge((end - moving.at) / 16);
      for (; moving.at < end; moving.at++) slots[moving.at] = V_FALSE;
      if (should_pause() && moving.at < n) return false;
    }
    moving.to = vector_of_raw(moving.to, n);
    moving.at = 0;
  }
  while (moving.at < s->top) {
    uint32_t part = s->top - moving.at < AT_ONCE ? s->top - moving.at : AT_ONCE;
    memcpy(VEC(moving.to) + moving.at, VEC(s->slots) + moving.at, part * sizeof(Value));
    moving.at += part;
    charge(part / 16);
    if (should_pause() && moving.at < s->top) return false;
  }
  s->slots = moving.to;
  moving.from = moving.to = V_FALSE;
  return true;
}

bool stack_grow(Stack *s, uint32_t n, bool pausing) {
  if (moving.from != s->slots || !pausing) {
    uint64_t size = wanted(s, n);
    if (8 * size > UINT32_MAX - 64 || !heap_reserve(8 * size + 64)) return false;
    if (!pausing || size <= 2 * AT_ONCE) {
      Value bigger = make_vector((uint32_t)size, V_FALSE);
      memcpy(VEC(bigger), VEC(s->slots), s->top * sizeof(Value));
      s->slots = bigger;
      return true;
    }
    moving.from = s->slots;
    moving.to = heap_raw(T_RAW, 0, 8 * (uint32_t)size);
    moving.at = 0;
  }
  return moved(s) && s->top + n <= VEC_LENGTH(s->slots);
}
