/* sort.c — sorting by the orders that are primitives: no guest procedure is called.
 *
 * A stable merge sort from the bottom up, resumable between any two comparisons. What is not
 * covered (a procedure of the program's, items of mixed kinds) is answered with #f: the prelude
 * then sorts in Scheme, and its comparison raises the error, if there is one to raise.
 */
#include "core/worklist.h"
#include "numbers/number.h"
#include "numbers/resume_log.h"
#include "text/string.h"

enum kind { NUMBERS, STRINGS, CHARS, SYMBOLS };
typedef struct { const char *name; enum kind kind; bool reversed, or_equal; } Order;

static const Order orders[] = {
  {"<", NUMBERS, false, false}, {">", NUMBERS, true, false}, {"<=", NUMBERS, false, true}, {">=", NUMBERS, true, true},
  {"string<?", STRINGS, false, false}, {"string>?", STRINGS, true, false},
  {"string<=?", STRINGS, false, true}, {"string>=?", STRINGS, true, true},
  {"char<?", CHARS, false, false}, {"char>?", CHARS, true, false},
  {"char<=?", CHARS, false, true}, {"char>=?", CHARS, true, true},
  {"symbol<?", SYMBOLS, false, false},
};

static const Order *order_of(Value less) {
  if (!IS(less, T_PRIM)) return NULL;
  const char *name = prim_table[PAYLOAD(less)]->name;
  for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
    if (strcmp(orders[i].name, name) == 0) return &orders[i];
  return NULL;
}

static bool is_sortable(enum kind kind, Value v) {
  switch (kind) {
    case NUMBERS: return IS_FIX(v) || IS(v, T_FLONUM) || is_real(v);
    case STRINGS: return IS(v, T_STRING);
    case CHARS: return IS(v, T_CHAR);
    default: return IS(v, T_SYMBOL);
  }
}

/* Long ones in pieces: V_TRUE, or V_AGAIN with how far they are the same in *progress. */
static Value compare_strings(Value a, Value b, int *order, Value *progress) {
  uint32_t shorter = STR_LENGTH(a) < STR_LENGTH(b) ? STR_LENGTH(a) : STR_LENGTH(b);
  if (shorter <= LONG_PART) {
    charge(shorter / 64);
    *order = string_compare(a, b);
    return V_TRUE;
  }
  for (uint32_t i = IS_FIX(*progress) ? (uint32_t)FIX_VALUE(*progress) : 0; i < shorter;) {
    uint32_t end = shorter - i < LONG_PART ? shorter : i + LONG_PART;
    while (i < end && string_char(a, i) == string_char(b, i)) i++;
    charge(LONG_PART / 64);
    if (i < end) {
      *order = string_char(a, i) < string_char(b, i) ? -1 : 1;
      *progress = V_FALSE;
      return V_TRUE;
    }
    if (i < shorter && should_pause()) {
      *progress = FIX(i);
      return V_AGAIN;
    }
  }
  *order = STR_LENGTH(a) < STR_LENGTH(b) ? -1 : STR_LENGTH(a) > STR_LENGTH(b);
  *progress = V_FALSE;
  return V_TRUE;
}

/* (less a b). V_AGAIN: a long comparison pauses, with *progress. */
static Value is_less(const Order *o, Value a, Value b, Value *progress) {
  int c;
  Value compared;
  if (o->reversed) { Value kept = a; a = b; b = kept; }
  if (IS_FIX(a) && IS_FIX(b)) return BOOL(o->or_equal ? (int64_t)a <= (int64_t)b : (int64_t)a < (int64_t)b);
  switch (o->kind) {
    case NUMBERS: compared = num_compare_with_progress(o->name, a, b, &c, progress); break;
    case STRINGS: compared = compare_strings(a, b, &c, progress); break;
    case CHARS: c = CHAR_VALUE(a) < CHAR_VALUE(b) ? -1 : CHAR_VALUE(a) > CHAR_VALUE(b); return BOOL(c < 0 || (o->or_equal && c == 0));
    default: compared = compare_strings(SYM(a)->name, SYM(b)->name, &c, progress);
  }
  if (IS_SIGNAL(compared)) return compared;
  if (c == 2) return V_FALSE;                         /* NaN */
  return BOOL(c < 0 || (o->or_equal && c == 0));
}

/* ---- the sort ----
 * The entries are item, key, item, key ... (or items alone, stride 1) in `from`; runs of `width`
 * are in order. Of the runs at `low`, `left` and `right` stand at what comes next; `at` is where
 * it goes in `to`. All counted in entries. */
enum { Q_FROM, Q_TO, Q_WIDTH, Q_LOW, Q_LEFT, Q_RIGHT, Q_AT, Q_COUNT, Q_REST, Q_REST_OF_KEYS, Q_PHASE, Q_COMPARISON, Q_SIZE };
enum phase { COUNTING, COUNTING_KEYS, MAKING, LOADING, MERGING, LISTING };
typedef struct {
  Value from, to;
  uint32_t width, low, left, right, at, count, stride;
  Value rest, rest_of_keys;
  enum phase phase;
  Value comparison;        /* progress with a long one; V_FALSE: none */
} Sort;

static void start_run(Sort *s, uint32_t low) {
  s->low = s->left = s->at = low;
  s->right = s->count - low < s->width ? s->count : low + s->width;
}

static void sort_load(Sort *s, Value state) {
  Value *q = VEC(state);
  s->from = q[Q_FROM];
  s->to = q[Q_TO];
  s->width = (uint32_t)FIX_VALUE(q[Q_WIDTH]);
  s->low = (uint32_t)FIX_VALUE(q[Q_LOW]);
  s->left = (uint32_t)FIX_VALUE(q[Q_LEFT]);
  s->right = (uint32_t)FIX_VALUE(q[Q_RIGHT]);
  s->at = (uint32_t)FIX_VALUE(q[Q_AT]);
  s->count = (uint32_t)FIX_VALUE(q[Q_COUNT]);
  s->rest = q[Q_REST];
  s->rest_of_keys = q[Q_REST_OF_KEYS];
  s->phase = (enum phase)FIX_VALUE(q[Q_PHASE]);
  s->comparison = q[Q_COMPARISON];
}

static Value sort_pause(Sort *s) {
  Value state = make_vector(Q_SIZE, V_FALSE), *q = VEC(state);
  q[Q_FROM] = s->from;
  q[Q_TO] = s->to;
  q[Q_WIDTH] = FIX(s->width);
  q[Q_LOW] = FIX(s->low);
  q[Q_LEFT] = FIX(s->left);
  q[Q_RIGHT] = FIX(s->right);
  q[Q_AT] = FIX(s->at);
  q[Q_COUNT] = FIX(s->count);
  q[Q_REST] = s->rest;
  q[Q_REST_OF_KEYS] = s->rest_of_keys;
  q[Q_PHASE] = FIX(s->phase);
  q[Q_COMPARISON] = s->comparison;
  vm.resume = state;
  return V_AGAIN;
}

static inline void move_entry(Sort *s, uint32_t *source) {
  Value *to = VEC(s->to) + (size_t)s->at++ * s->stride, *from = VEC(s->from) + (size_t)(*source)++ * s->stride;
  to[0] = from[0];
  if (s->stride == 2) to[1] = from[1];
}

/* Those of a run that are left; false where it pauses among them. */
static bool move_rest(Sort *s, uint32_t *source, uint32_t end) {
  while (*source < end) {
    uint32_t to = end - *source < LONG_ROUND ? end : *source + LONG_ROUND;
    charge((to - *source) / 16);
    while (*source < to) move_entry(s, source);
    if (*source < end && should_pause()) return false;
  }
  return true;
}

/* Merges until everything is one run, which is then in s->from. V_VOID or a signal. */
static Value merge_all(Sort *s, const Order *o) {
  uint32_t n = 1;
  while (s->width < s->count) {
    uint32_t middle = s->count - s->low < s->width ? s->count : s->low + s->width;
    uint32_t end = s->count - middle < s->width ? s->count : middle + s->width;
    const Value *keys = VEC(s->from) + s->stride - 1;
    while (s->left < middle && s->right < end) {
      Value right_first = is_less(o, keys[(size_t)s->right * s->stride], keys[(size_t)s->left * s->stride], &s->comparison);
      if (IS_SIGNAL(right_first)) return right_first;
      move_entry(s, right_first == V_TRUE ? &s->right : &s->left);
      if (n++ % ROUND == 0) charge(ROUND / 2);
      else if (steps_left() > -LONG_STEPS) continue;       /* but where the comparisons are long */
      if (should_pause()) return V_AGAIN;
    }
    if (s->width <= LONG_ROUND) {
      while (s->left < middle) move_entry(s, &s->left);
      while (s->right < end) move_entry(s, &s->right);
    } else if (!move_rest(s, &s->left, middle) || !move_rest(s, &s->right, end)) {
      return V_AGAIN;
    }
    if (end < s->count) { start_run(s, end); continue; }
    charge(s->count / 16);
    Value kept = s->from;
    s->from = s->to;
    s->to = kept;
    s->width = s->width > UINT32_MAX / 2 ? UINT32_MAX : s->width * 2;
    start_run(s, 0);
  }
  return V_VOID;
}

/* Goes on counting the items of v at s->rest, s->at of them so far. V_TRUE, V_FALSE: it is no finite list, or too long;
   V_AGAIN: it pauses. */
static Value count_items(Sort *s, Value v) {
  if (IS(v, T_VECTOR)) {
    s->at = VEC_LENGTH(v);
    return V_TRUE;
  }
  while (is_pair(s->rest)) {
    uint32_t n = 0;
    Value rest = s->rest;
    for (; n < LONG_ROUND && is_pair(rest); n++) rest = CDR(rest);
    s->rest = rest;
    s->at += n;
    charge(n / 8);
    if (s->at > 1 << 28) return V_FALSE;
    if (is_pair(rest) && should_pause()) return V_AGAIN;
  }
  return BOOL(s->rest == V_NIL);
}

/* The next item of a list or vector that is walked along. */
typedef struct { Value list, vector; uint32_t i; } Walk;
static inline Walk walk_of(Value v, Value rest, uint32_t i) {
  return IS(v, T_VECTOR) ? (Walk){V_NIL, v, i} : (Walk){rest, V_FALSE, i};
}
static inline Value walk_next(Walk *w) {
  if (w->vector != V_FALSE) return VEC(w->vector)[w->i++];
  Value item = CAR(w->list);
  w->list = CDR(w->list);
  return item;
}

/* Goes on filling s->from. V_TRUE, V_FALSE: something is not of the order's kind; V_AGAIN: it pauses. */
static Value load_entries(Sort *s, const Order *o, Value items, Value keys) {
  Walk item_walk = walk_of(items, s->rest, s->at), key_walk = walk_of(keys, s->rest_of_keys, s->at);
  while (s->at < s->count) {
    uint32_t end = s->count - s->at < LONG_ROUND ? s->count : s->at + LONG_ROUND;
    charge((end - s->at) / 4);
    for (uint32_t i = s->at; i < end; i++) {
      Value item = walk_next(&item_walk), key = s->stride == 2 ? walk_next(&key_walk) : item;
      if (!is_sortable(o->kind, key)) return V_FALSE;
      VEC(s->from)[(size_t)i * s->stride] = item;
      if (s->stride == 2) VEC(s->from)[(size_t)i * 2 + 1] = key;
    }
    s->at = end;
    s->rest = item_walk.list;
    s->rest_of_keys = key_walk.list;
    if (s->at < s->count && should_pause()) return V_AGAIN;
  }
  return V_TRUE;
}

/* Both arrays, in pieces where they are long. */
static Value make_arrays(Sort *s) {
  uint32_t slots = s->count * s->stride;
  if (slots <= LONG_ROUND) {
    uint64_t bytes = 16ull * slots + 64;
    if (!heap_reserve(bytes)) return need_memory(bytes);
    s->from = make_vector(slots, V_FALSE);
    s->to = make_vector(slots, V_FALSE);
    return V_TRUE;
  }
  if (!IS(s->from, T_VECTOR) && vector_filled(&s->from, &s->at, slots, V_FALSE) == V_AGAIN) return V_AGAIN;
  return vector_filled(&s->to, &s->at, slots, V_FALSE);
}

/* From one phase to the next: V_TRUE: s->from is sorted; V_FALSE: not covered; or a signal. */
static Value sort_go_on(Sort *s, const Order *o, Value items, Value keys) {
  Value done;
  switch (s->phase) {
    case COUNTING:
      done = count_items(s, items);
      if (done != V_TRUE) return done;
      s->count = s->at;
      if (keys != V_FALSE) {
        s->rest = keys;
        s->at = 0;
      }
      s->phase = COUNTING_KEYS;            /* falls through */
    case COUNTING_KEYS:
      if (keys != V_FALSE) {
        done = count_items(s, keys);
        if (done != V_TRUE) return done;
        if (s->at != s->count) return V_FALSE;
      }
      s->from = s->to = V_FALSE;
      s->phase = MAKING;                   /* falls through */
    case MAKING:
      done = make_arrays(s);
      if (done != V_TRUE) return done;
      s->rest = items;
      s->rest_of_keys = keys;
      s->at = s->low = 0;
      s->phase = LOADING;                  /* falls through */
    case LOADING:
      done = load_entries(s, o, items, keys);
      if (done != V_TRUE) return done;
      s->width = 1;
      start_run(s, 0);
      s->phase = MERGING;                  /* falls through */
    case MERGING:
      done = merge_all(s, o);
      if (IS_SIGNAL(done)) return done;
      s->rest = V_NIL;
      s->at = s->count;
      s->phase = LISTING;                  /* falls through */
    default:
      return V_TRUE;
  }
}

/* (%sort-list items less keys): a fresh sorted list, or #f. items: list or vector; keys: #f, or
   as many in a list or vector. */
static Value prim_native_sort(int argc, Value *args) {
  const Order *o = order_of(args[1]);
  if (!o) return V_FALSE;
  Value keys = ARG_OR(2, V_FALSE);
  Sort s = {.from = V_FALSE, .to = V_FALSE, .rest = args[0], .rest_of_keys = keys, .phase = COUNTING, .comparison = V_FALSE};
  if (IS(vm.resume, T_VECTOR)) sort_load(&s, vm.resume);
  s.stride = keys == V_FALSE ? 1 : 2;
  Value sorted = sort_go_on(&s, o, args[0], keys);
  if (sorted == V_AGAIN) return sort_pause(&s);
  if (sorted != V_TRUE) return sorted;
  while (s.at > 0) {                       /* s.rest: the list so far, from its end */
    uint32_t to = s.at > ROUND ? s.at - ROUND : 0, from = s.at;
    for (uint32_t i = from; i-- > to;) s.rest = cons(VEC(s.from)[(size_t)i * s.stride], s.rest);
    charge((from - to) / 8);
    s.at = to;
    if (to && should_pause()) return sort_pause(&s);
  }
  return s.rest;
}

const PrimDef sort_prims[] = {
  {"%sort-list", prim_native_sort, 2, 3, "(%sort-list items less [keys])"},
  {0},
};
