/* prims.c — the registry of primitives, and how one answers the machine. */
#include "core/prims.h"
#include "core/check.h"
#include <stdarg.h>
#include <string.h>

const PrimDef *prim_table[MAX_PRIMS];
bool prim_tail[MAX_PRIMS];
uint32_t prim_count;
_Alignas(64) struct VmShared vm;        /* the steps are counted all the time: a cache line of their own */

uint32_t prims_add(const PrimDef *table, bool tail) {
  uint32_t first = prim_count;
  for (; table->name; table++) {
    if (prim_count == MAX_PRIMS) TRAP("too many primitives: see MAX_PRIMS");
    prim_tail[prim_count] = tail;
    prim_table[prim_count++] = table;
  }
  return first;
}

int prim_index(const char *name) {
  for (uint32_t i = 0; i < prim_count; i++)
    if (strcmp(prim_table[i]->name, name) == 0) return (int)i;
  return -1;
}

Value need_memory(uint64_t bytes) {
  vm.need_bytes = bytes;
  return V_AGAIN;
}

/* Brent: the hare meets the tortoise, which is moved up to it at every power of two. */
Value list_walk_count(Value list, Value *progress, int64_t *pairs, Value *end) {
  enum { AT, TORTOISE, PAIRS, LIMIT, COUNT_ROUND = 4096 };
  Value v = list, tortoise = list;
  int64_t n = 0, limit = 2;
  if (*progress != V_FALSE) {
    Value *kept = VEC(*progress);
    v = kept[AT];
    tortoise = kept[TORTOISE];
    n = FIX_VALUE(kept[PAIRS]);
    limit = FIX_VALUE(kept[LIMIT]);
  }
  *pairs = -1;
  while (is_pair(v)) {
    v = CDR(v);
    n++;
    if (v == tortoise) break;
    if (n == limit) { tortoise = v; limit *= 2; }
    if (n % COUNT_ROUND) continue;
    charge(COUNT_ROUND / 8);
    if (!should_pause()) continue;
    Value kept = *progress = make_vector(LIST_WALK_SIZE, v);
    VEC(kept)[TORTOISE] = tortoise;
    VEC(kept)[PAIRS] = FIX(n);
    VEC(kept)[LIMIT] = FIX(limit);
    return V_AGAIN;
  }
  charge(n % COUNT_ROUND / 8);
  *progress = V_FALSE;
  *end = v;
  if (!is_pair(v)) *pairs = n;
  return V_TRUE;
}

Value pause_keeping(int count, ...) {
  Value kept = make_vector((uint32_t)count, V_FALSE);
  va_list items;
  va_start(items, count);
  for (int i = 0; i < count; i++) VEC(kept)[i] = va_arg(items, Value);
  va_end(items);
  vm.resume = kept;
  return V_AGAIN;
}

/* It is raw storage until all of it is filled: fresh memory costs the machine more than the fill does, and the collector,
   which may come in between, does not look into it. That it would not mend what is in there is why only a value that is
   no pointer is written so. */
Value vector_filled(Value *v, uint32_t *i, uint32_t n, Value plain) {
  if (*v == V_FALSE) {
    RESERVE(8ull * n + 16);
    *v = heap_raw(T_RAW, 0, n * 8);
    *i = 0;
  }
  Value *slots = (Value *)RAW_BYTES(*v);
  while (*i < n) {
    uint32_t to = n - *i < LONG_PART / 2 ? n : *i + LONG_PART / 2;
    charge((to - *i) / 16);
    for (; *i < to; ++*i) slots[*i] = plain;
    if (*i < n && should_pause()) return V_AGAIN;
  }
  *v = vector_of_raw(*v, n);
  *i = 0;
  return V_TRUE;
}

Value tail_apply(Value proc, Value list) {
  vm.tail_proc = proc;
  vm.tail_args[0] = list;
  vm.tail_argc = TAIL_LIST;
  return V_TAIL;
}
Value tail_call(Value proc, int argc, ...) {
  CHECK(argc >= 0 && argc <= (int)(sizeof vm.tail_args / sizeof *vm.tail_args));
  va_list items;
  va_start(items, argc);
  vm.tail_proc = proc;
  for (int i = 0; i < argc; i++) vm.tail_args[i] = va_arg(items, Value);
  va_end(items);
  vm.tail_argc = argc;
  return V_TAIL;
}
