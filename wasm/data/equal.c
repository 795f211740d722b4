/* equal.c — eq?, eqv?, equal? and the hash that goes with equal?.
 *
 * equal? walks both values with an explicit stack of frames (a, b, i): compare the slots of a and
 * b from the i-th on. Most comparisons end within a bounded effort on a small C array. Those that
 * don't go on with a stack in the heap, resumable, and look out for cycles: now and then a stretch
 * of the walk enters the nodes that it meets into a union-find of nodes taken to be equal
 * (Adams and Dybvig, "Efficient nondestructive equality checking"), so that cyclic data ends and
 * long acyclic data pays little for it.
 */
#include "data/equal.h"
#include "core/slip.h"
#include "core/worklist.h"
#include "data/table.h"
#include "data/uvector.h"
#include "numbers/number.h"
#include "text/string.h"

bool is_eqv(Value a, Value b) { return a == b || (is_number(a) && is_number(b) && num_eqv(a, b)); }

/* ---- one pair of values ---- */

enum leaf { LEAF_DIFFERENT, LEAF_SAME, NODE, LEAF_CUSTOM };

static enum leaf leaf(bool same) { return same ? LEAF_SAME : LEAF_DIFFERENT; }

void note_comparison(Value a, Value b) {
  enum { LONGEST_NAME = 100 };
  if (IS(b, T_STRING) || is_scoped(a)) {
    Value other = a;
    a = b;
    b = other;
  }
  if (is_scoped(b) && (IS(a, T_STRING) || IS(a, T_SYMBOL))) note_slip(SLIP_SCOPED, a, V_FALSE);
  else if (!IS(a, T_STRING)) return;
  else if (IS(b, T_SYMBOL) && STR_LENGTH(a) <= LONGEST_NAME && string_equal(a, SYM(b)->name)) note_slip(SLIP_TWIN, b, a);
}

/* Two long texts of one kind and length: they are compared in parts, as a node of so many slots is. */
static bool is_long_text(Value v) {
  switch (TAG(v)) {
    case T_STRING: return STR_LENGTH(v) > LONG_PART;
    case T_BYTES: case T_UVECTOR: return OBJ_LENGTH(v) > LONG_PART;
    default: return false;
  }
}
static uint32_t text_length(Value v) { return IS(v, T_STRING) ? STR_LENGTH(v) : OBJ_LENGTH(v); }
static bool same_part(Value a, Value b, uint32_t from, uint32_t to) {
  charge((to - from) >> 5);
  if (!IS(a, T_STRING)) return bytes_equal(RAW_BYTES(a) + from, RAW_BYTES(b) + from, to - from);
  uint32_t x = STR_WIDTH(a), y = STR_WIDTH(b);
  return chars_equal(STR_DATA(a) + (size_t)from * x, x, STR_DATA(b) + (size_t)from * y, y, to - from);
}

/* Decides what can be decided without looking inside; NODE: both have as many slots to compare; LEAF_CUSTOM: a
   procedure of their type decides. */
static enum leaf compare_leaf(Value a, Value b) {
  if (a == b) return LEAF_SAME;
  if (IS_FIX(a) || IS_FIX(b) || TAG(a) < T_PAIR || TAG(b) < T_PAIR) return LEAF_DIFFERENT;
  if (is_pair(a)) return is_pair(b) ? NODE : LEAF_DIFFERENT;
  if (TAG(a) != TAG(b)) {
    if (IS(a, T_STRING) || IS(b, T_STRING) || IS(a, T_RECORD) || IS(b, T_RECORD)) note_comparison(a, b);
    return LEAF_DIFFERENT;
  }
  switch (TAG(a)) {
    case T_STRING:
      if (is_long_text(a)) return STR_LENGTH(a) == STR_LENGTH(b) ? NODE : LEAF_DIFFERENT;
      charge(STR_LENGTH(a) >> 5);
      return leaf(string_equal(a, b));
    case T_FLONUM: case T_BIGNUM: case T_RATIO: case T_COMPLEX:
      return leaf(num_eqv(a, b));
    case T_BYTES:
      if (is_long_text(a)) return BYTES_LENGTH(a) == BYTES_LENGTH(b) ? NODE : LEAF_DIFFERENT;
      charge(BYTES_LENGTH(a) >> 5);
      return leaf(BYTES_LENGTH(a) == BYTES_LENGTH(b) && bytes_equal(BYTES(a), BYTES(b), BYTES_LENGTH(a)));
    case T_UVECTOR:
      if (is_long_text(a)) return uvector_alike(a, b) ? NODE : LEAF_DIFFERENT;
      return leaf(uvector_equal(a, b));
    case T_VECTOR:
      return VEC_LENGTH(a) == VEC_LENGTH(b) ? NODE : LEAF_DIFFERENT;
    case T_BOX:
      return NODE;
    case T_RECORD:
      if (is_custom_record(a)) return is_custom_record(b) ? LEAF_CUSTOM : LEAF_DIFFERENT;
      if (is_scoped(a) && is_scoped(b)) note_slip(SLIP_SCOPED, V_FALSE, V_FALSE);
      return RECORD_RTD(a) == RECORD_RTD(b) && is_open_record(a) ? NODE : LEAF_DIFFERENT;
    case T_TABLE:
      return TABLE_KIND(a) == TABLE_KIND(b) && !((OBJ_FLAGS(a) ^ OBJ_FLAGS(b)) & H_IMMUTABLE) &&
             table_count(a) == table_count(b) ? NODE : LEAF_DIFFERENT;
    default:
      return LEAF_DIFFERENT;
  }
}

/* ---- the walk ---- */

typedef struct {
  Value *frames;          /* three Values each */
  uint32_t top, size;     /* in Values */
  int64_t effort;         /* nodes that may still be looked at */
  Value classes;          /* the union-find, V_FALSE: not used */
  int64_t phase;          /* > 0: so many nodes without it; <= 0: with it, up to -CAREFUL */
  bool thorough;          /* nobody would go on where it gives up */
  uint64_t random;        /* chooses the length of the next phase: no data may outwit it */
} Walk;

enum { CARELESS = 400, CAREFUL = 40 };
enum outcome { WALK_DIFFERENT, WALK_EQUAL, WALK_TIRED, WALK_FULL, WALK_CUSTOM };

/* The representative of a node's class. */
static Value class_of(Value classes, Value node) {
  for (;;) {
    Value parent = table_get(classes, node, V_FALSE);
    if (parent == V_FALSE) return node;
    Value grandparent = table_get(classes, parent, V_FALSE);
    if (grandparent == V_FALSE) return parent;
    table_set(classes, node, grandparent);
    node = parent;
  }
}

/* Are the two already taken to be equal? If not, from now on they are: should they differ, the
   walk finds out and ends. */
static bool known_equal(Walk *w, Value a, Value b) {
  if (w->classes == V_FALSE) return false;
  if (--w->phase > 0) return false;
  if (w->phase < -CAREFUL) {
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    w->phase = (int64_t)(w->random >> 33) % (2 * CARELESS);
    return false;
  }
  Value class_a = class_of(w->classes, a), class_b = class_of(w->classes, b);
  charge(8);
  if (class_a == class_b) {
    w->phase = 0;                       /* a good place to look: more of it */
    return true;
  }
  table_set(w->classes, class_a, class_b);
  return false;
}

static uint32_t slot_count(Value v) {
  return IS(v, T_TABLE) ? UINT32_MAX : is_pair(v) ? 2 : IS(v, T_STRING) ? STR_LENGTH(v) : OBJ_LENGTH(v);
}

/* Takes the next two values to compare out of the frame; or a table lacks the other's key, or its key is custom. */
enum next { NEXT_PAIR, NEXT_LACKING, NEXT_CUSTOM };
static enum next frame_next(Value a, Value b, uint32_t *i, bool *end, Value *x, Value *y) {
  *end = false;
  if (is_pair(a)) {
    *x = *i ? CDR(a) : CAR(a);
    *y = (*i)++ ? CDR(b) : CAR(b);
    *end = *i == 2;
    return NEXT_PAIR;
  }
  if (is_long_text(a)) {
    uint32_t length = text_length(a), to = length - *i < LONG_PART ? length : *i + LONG_PART;
    if (!same_part(a, b, *i, to)) return NEXT_LACKING;
    *x = *y = V_NIL;
    *i = to;
    *end = to == length;
    return NEXT_PAIR;
  }
  if (!IS(a, T_TABLE)) {
    *x = SLOTS(a)[*i];
    *y = SLOTS(b)[(*i)++];
    *end = *i >= OBJ_LENGTH(a);
    return NEXT_PAIR;
  }
  Value key;
  int64_t at = table_next_position(a, *i);
  if (at < 0) { *x = *y = V_NIL; *end = true; return NEXT_PAIR; }
  *i = (uint32_t)at + 1;
  table_entry(a, (uint32_t)at, &key, x);
  int64_t other = table_find(b, key, EQUAL_THOROUGH);
  if (other < 0) return other == TABLE_CUSTOM ? NEXT_CUSTOM : NEXT_LACKING;
  table_entry(b, (uint32_t)other, &key, y);
  return NEXT_PAIR;
}

/* Are both tables where they can be gone through? What is thorough goes to old versions itself, as far as its effort
   lasts; equal_run brings them in pieces. */
static bool are_here(Walk *w, Value a, Value b) {
  if (table_is_near(a, 0) && table_is_near(b, 0)) return true;
  if (!w->thorough || !table_is_near(a, w->effort / 2) || !table_is_near(b, w->effort / 2)) return false;
  for (int64_t steps = 1; !table_is_near(a, steps) || !table_is_near(b, steps); steps *= 2) w->effort -= steps;
  return true;
}

static enum outcome walk(Walk *w) {
  while (w->top) {
    if (w->effort-- <= 0) return WALK_TIRED;
    if (w->top + 3 > w->size) return WALK_FULL;
    Value *frame = w->frames + w->top - 3, x, y;
    if (IS(frame[0], T_TABLE) && !are_here(w, frame[0], frame[1])) return WALK_TIRED;
    uint32_t i = (uint32_t)FIX_VALUE(frame[2]);
    if (i >= slot_count(frame[0])) { w->top -= 3; continue; }      /* an empty vector */
    bool end;
    switch (frame_next(frame[0], frame[1], &i, &end, &x, &y)) {
      case NEXT_PAIR: break;
      case NEXT_LACKING: return WALK_DIFFERENT;
      case NEXT_CUSTOM: return WALK_CUSTOM;
    }
    frame[2] = FIX(i);
    if (is_long_text(frame[0]) && !w->thorough) w->effort = 0;        /* a part of it is much */
    if (end) w->top -= 3;               /* the last slot needs no way back: lists take no stack */
    switch (compare_leaf(x, y)) {
      case LEAF_DIFFERENT: return WALK_DIFFERENT;
      case LEAF_CUSTOM: return WALK_CUSTOM;
      case LEAF_SAME: continue;
      case NODE: break;
    }
    if (!is_long_text(x) && known_equal(w, x, y)) continue;
    w->frames[w->top++] = x;
    w->frames[w->top++] = y;
    w->frames[w->top++] = FIX(IS(x, T_RECORD) ? 1 : 0);
  }
  return WALK_EQUAL;
}

static void walk_start(Walk *w, Value a, Value b) {
  w->frames[0] = a;
  w->frames[1] = b;
  w->frames[2] = FIX(IS(a, T_RECORD) ? 1 : 0);
  w->top = 3;
}

int equal_bounded(Value a, Value b, int effort) {
  switch (compare_leaf(a, b)) {
    case LEAF_DIFFERENT: return EQUAL_NO;
    case LEAF_CUSTOM: return EQUAL_CUSTOM;
    case LEAF_SAME: return EQUAL_YES;
    case NODE: break;
  }
  Value frames[3 * 40];
  Walk w = {.frames = frames, .size = 3 * 40, .effort = effort, .classes = V_FALSE, .thorough = effort >= EQUAL_THOROUGH};
  walk_start(&w, a, b);
  enum outcome outcome = walk(&w);
  charge((effort - w.effort) / 8 + 1);
  switch (outcome) {
    case WALK_EQUAL: return EQUAL_YES;
    case WALK_DIFFERENT: return EQUAL_NO;
    case WALK_CUSTOM: return EQUAL_CUSTOM;
    default: return EQUAL_DEEP;
  }
}

/* ---- without bounds ---- */

enum { E_STACK, E_TOP, E_CLASSES, E_PHASE, E_RANDOM, E_SLOTS };

static void equal_save(Value *state, Stack *stack, Walk *w) {
  if (!IS(*state, T_VECTOR)) *state = make_vector(E_SLOTS, V_FALSE);
  VEC(*state)[E_STACK] = stack->slots;
  VEC(*state)[E_TOP] = FIX(w->top);
  VEC(*state)[E_CLASSES] = w->classes;
  VEC(*state)[E_PHASE] = FIX(w->phase);
  VEC(*state)[E_RANDOM] = FIX((int64_t)(w->random >> 2));
}

static void equal_load(Value state, Stack *stack, Walk *w) {
  stack->slots = VEC(state)[E_STACK];
  w->top = (uint32_t)FIX_VALUE(VEC(state)[E_TOP]);
  w->classes = VEC(state)[E_CLASSES];
  w->phase = FIX_VALUE(VEC(state)[E_PHASE]);
  w->random = (uint64_t)FIX_VALUE(VEC(state)[E_RANDOM]) << 2;
}

Value equal_run(Value a, Value b, Value *state) {
  Stack stack;
  Walk w = {.classes = V_FALSE, .phase = CARELESS, .random = 0x9e3779b97f4a7c15u};
  if (IS(*state, T_VECTOR)) {
    equal_load(*state, &stack, &w);
  } else {
    enum leaf l = compare_leaf(a, b);
    if (l == LEAF_CUSTOM) return V_CUSTOM;
    if (l != NODE) return BOOL(l == LEAF_SAME);
    stack_init(&stack);
    w.frames = VEC(stack.slots);
    walk_start(&w, a, b);
    w.classes = table_make(TABLE_EQ, false);
  }
  for (;;) {
    stack.top = w.top;
    if (!stack_room(&stack, 6)) {
      equal_save(state, &stack, &w);
      return need_memory(stack_bytes(&stack));
    }
    if (!table_ready(w.classes)) {
      equal_save(state, &stack, &w);
      return table_wait(w.classes);
    }
    w.frames = VEC(stack.slots);
    Value *frame = w.frames + w.top - 3;
    if (w.top && IS(frame[0], T_TABLE) && table_bring_both(frame[0], frame[1]) != V_TRUE) {
      equal_save(state, &stack, &w);
      return V_AGAIN;
    }
    w.size = VEC_LENGTH(stack.slots);
    /* With room for one more class at the least, careful stretches go node by node. */
    w.effort = w.phase > 1 ? (w.phase - 1 < ROUND ? w.phase - 1 : ROUND) : 1;
    charge(w.effort / 8 + 1);
    switch (walk(&w)) {
      case WALK_DIFFERENT: return V_FALSE;
      case WALK_EQUAL: return V_TRUE;
      case WALK_CUSTOM: return V_CUSTOM;
      default: break;
    }
    if (should_pause()) {
      equal_save(state, &stack, &w);
      return V_AGAIN;
    }
  }
}

Value prim_equal(int argc, Value *args) {
  (void)argc;
  if (vm.resume == V_FALSE) {
    int quick = equal_bounded(args[0], args[1], EQUAL_EFFORT);
    if (quick == EQUAL_CUSTOM) return V_CUSTOM;
    if (quick != EQUAL_DEEP) return BOOL(quick == EQUAL_YES);
  }
  Value state = vm.resume, result = equal_run(args[0], args[1], &state);
  if (result == V_AGAIN) vm.resume = state;
  return result;
}

/* ---- hashing ---- */

static uint64_t mix(uint64_t h, uint64_t x) {
  h = (h ^ x) * 0x9e3779b97f4a7c15u;
  return h ^ (h >> 31);
}

static uint64_t leaf_hash(Value v) {
  if (IS_FIX(v) || TAG(v) < T_PAIR) return mix(1, v);
  switch (TAG(v)) {
    case T_SYMBOL: case T_KEYWORD: return (uint64_t)FIX_VALUE(SYM(v)->hash);
    case T_STRING: charge(STR_LENGTH(v) < 65536 ? STR_LENGTH(v) >> 5 : 1024); return string_hash(v);
    case T_FLONUM: case T_BIGNUM: case T_RATIO: case T_COMPLEX: return num_hash(v);
    case T_BYTES: case T_UVECTOR: {
      uint32_t n = OBJ_LENGTH(v) < 4096 ? OBJ_LENGTH(v) : 4096;
      uint64_t h = OBJ_LENGTH(v);
      for (uint32_t i = 0; i < n; i++) h = mix(h, RAW_BYTES(v)[i]);
      charge(n >> 3);
      return h;
    }
    case T_TABLE: return mix(3, table_count(v));     /* equal tables may differ in order */
    case T_RECORD:
      if (is_scoped(v)) note_slip(SLIP_SCOPED_KEY, V_FALSE, V_FALSE);
      return T_RECORD;
    default: return TAG(v);                          /* its address would not last */
  }
}

/* What stands in a long list or vector, at a glance: there may be a thousand, and each of megabytes. */
static uint64_t item_hash(Value v) {
  if (is_pair(v)) return T_PAIR;
  if (IS_FIX(v)) return mix(1, v);
  switch (TAG(v)) {
    case T_STRING: return STR_LENGTH(v) <= 64 ? string_hash(v) : mix(5, STR_LENGTH(v));
    case T_BYTES: case T_UVECTOR: return mix(6, OBJ_LENGTH(v));
    case T_BIGNUM: return mix(BIG_COUNT(v), BIG_LIMBS(v)[0]);
    case T_RATIO: case T_COMPLEX: return TAG(v);
    default: return leaf_hash(v);
  }
}

/* The items of a long list or vector from the one at `from` on: keys may have their beginnings in common, as rows of
   a table do, and the steps of a search. */
static uint64_t rest_hash(uint64_t h, Value v, uint32_t from) {
  enum { ITEMS = 1000 };
  uint32_t i = 0;
  if (is_pair(v)) {
    for (; is_pair(v) && i < ITEMS; v = CDR(v), i++)
      if (i >= from) h = mix(h, item_hash(CAR(v)));
  } else {
    uint32_t n = VEC_LENGTH(v) < ITEMS ? VEC_LENGTH(v) : ITEMS;
    for (i = from; i < n; i++) h = mix(h, item_hash(VEC(v)[i]));
  }
  charge(i / 8);
  return h;
}

/* Looks at the first nodes, breadth first, in a queue as small as their number; of what is long itself, at more. */
uint64_t equal_hash(Value v) {
  enum { NODES = 48 };
  Value queue[NODES], whole = v;
  uint32_t head = 0, tail = 0;
  uint64_t h = 0x243f6a8885a308d3u;
  queue[tail++] = v;
  while (head < tail) {
    v = queue[head++];
    if (is_pair(v)) {
      h = mix(h, T_PAIR);
      if (tail < NODES) queue[tail++] = CAR(v);
      if (tail < NODES) queue[tail++] = CDR(v);
    } else if (!IS_FIX(v) && (IS(v, T_VECTOR) || IS(v, T_BOX) || (IS(v, T_RECORD) && is_open_record(v) && !is_custom_record(v)))) {
      uint32_t n = OBJ_LENGTH(v);
      h = mix(h, TAG(v) ^ ((uint64_t)n << 8));
      for (uint32_t i = IS(v, T_RECORD) ? 1 : 0; i < n && tail < NODES; i++) queue[tail++] = SLOTS(v)[i];
    } else {
      h = mix(h, leaf_hash(v));
    }
  }
  charge(1 + tail / 8);
  if (tail == NODES && is_pair(whole)) h = rest_hash(h, whole, NODES / 4);
  if (tail == NODES && IS(whole, T_VECTOR)) h = rest_hash(h, whole, NODES - 1);
  return h;
}

/* ---- primitives ---- */

static Value prim_eq(int argc, Value *args) { (void)argc; return BOOL(args[0] == args[1]); }
static Value prim_eqv(int argc, Value *args) { (void)argc; return BOOL(is_eqv(args[0], args[1])); }

const PrimDef equal_prims[] = {
  {"eq?", prim_eq, 2, 2, "(eq? a b)"},
  {"eqv?", prim_eqv, 2, 2, "(eqv? a b)"},
  {"equal?", prim_equal, 2, 2, "(equal? a b)"},
  {0},
};
