/* sort.c — sorting by the orders that are primitives: no guest procedure is called.
 *
 * A stable merge sort from the bottom up, resumable between any two comparisons. What is not
 * covered (a procedure of the program's, items of mixed kinds) is answered with #f: the prelude
 * then sorts in Scheme, and its comparison raises the error, if there is one to raise.
 */
#include "core/worklist.h"
#include "numbers/number.h"
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

static int compare_strings(Value a, Value b) {
  uint32_t shorter = STR_LENGTH(a) < STR_LENGTH(b) ? STR_LENGTH(a) : STR_LENGTH(b);
  charge(shorter / 64);
  return string_compare(a, b);
}

/* (less a b). A number too long to compare with what memory is left: V_AGAIN. */
static Value is_less(const Order *o, Value a, Value b) {
  int c;
  if (o->reversed) { Value kept = a; a = b; b = kept; }
  if (IS_FIX(a) && IS_FIX(b)) return BOOL(o->or_equal ? (int64_t)a <= (int64_t)b : (int64_t)a < (int64_t)b);
  switch (o->kind) {
    case NUMBERS: {
      Value compared = num_compare(o->name, a, b, &c);
      if (IS_SIGNAL(compared)) return compared;
      if (c == 2) return V_FALSE;                     /* NaN */
      break;
    }
    case STRINGS: c = compare_strings(a, b); break;
    case CHARS: c = CHAR_VALUE(a) < CHAR_VALUE(b) ? -1 : CHAR_VALUE(a) > CHAR_VALUE(b); break;
    default: c = compare_strings(SYM(a)->name, SYM(b)->name);
  }
  return BOOL(c < 0 || (o->or_equal && c == 0));
}

/* ---- the sort ----
 * The entries are item, key, item, key ... (or items alone, stride 1) in `from`; runs of `width`
 * are in order. Of the runs at `low`, `left` and `right` stand at what comes next; `at` is where
 * it goes in `to`. All counted in entries. */
enum { Q_FROM, Q_TO, Q_WIDTH, Q_LOW, Q_LEFT, Q_RIGHT, Q_AT, Q_SIZE };
typedef struct { Value from, to; uint32_t width, low, left, right, at, count, stride; } Sort;

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
  vm.resume = state;
  return V_AGAIN;
}

static inline void move_entry(Sort *s, uint32_t *source) {
  Value *to = VEC(s->to) + (size_t)s->at++ * s->stride, *from = VEC(s->from) + (size_t)(*source)++ * s->stride;
  to[0] = from[0];
  if (s->stride == 2) to[1] = from[1];
}

static inline Value key_at(Sort *s, uint32_t i) { return VEC(s->from)[(size_t)i * s->stride + s->stride - 1]; }

/* Merges until everything is one run, which is then in s->from. V_VOID or a signal. */
static Value merge_all(Sort *s, const Order *o) {
  uint32_t n = 1;
  while (s->width < s->count) {
    uint32_t middle = s->count - s->low < s->width ? s->count : s->low + s->width;
    uint32_t end = s->count - middle < s->width ? s->count : middle + s->width;
    while (s->left < middle && s->right < end) {
      Value right_first = is_less(o, key_at(s, s->right), key_at(s, s->left));
      if (IS_SIGNAL(right_first)) return right_first == V_AGAIN ? sort_pause(s) : right_first;
      move_entry(s, right_first == V_TRUE ? &s->right : &s->left);
      if (n++ % ROUND) continue;
      charge(ROUND / 2);
      if (should_pause()) return sort_pause(s);
    }
    while (s->left < middle) move_entry(s, &s->left);
    while (s->right < end) move_entry(s, &s->right);
    charge((end - s->low) / 16);
    if (end < s->count) { start_run(s, end); continue; }
    Value kept = s->from;
    s->from = s->to;
    s->to = kept;
    s->width = s->width > UINT32_MAX / 2 ? UINT32_MAX : s->width * 2;
    start_run(s, 0);
  }
  return V_VOID;
}

/* The next item of a list or vector that is walked along. */
typedef struct { Value list, vector; uint32_t i; } Walk;
static Walk walk_of(Value v) { return IS(v, T_VECTOR) ? (Walk){V_NIL, v, 0} : (Walk){v, V_FALSE, 0}; }
static bool walk_next(Walk *w, Value *item) {
  if (w->vector != V_FALSE) {
    if (w->i >= VEC_LENGTH(w->vector)) return false;
    *item = VEC(w->vector)[w->i++];
    return true;
  }
  if (!is_pair(w->list)) return false;
  *item = CAR(w->list);
  w->list = CDR(w->list);
  return true;
}

/* How many items; -1: no finite list or vector, or too many. */
static int64_t count_items(Value v) {
  if (IS(v, T_VECTOR)) return VEC_LENGTH(v);
  int64_t n = 0;
  for (; is_pair(v) && n <= 1 << 28; v = CDR(v)) n++;
  charge(n / 8);
  return v == V_NIL ? n : -1;
}

/* Fills s->from; false: something in it is not of the order's kind. */
static bool load_entries(Sort *s, const Order *o, Value items, Value keys) {
  Walk item_walk = walk_of(items), key_walk = walk_of(keys);
  Value item, key;
  for (uint32_t i = 0; i < s->count; i++) {
    walk_next(&item_walk, &item);
    if (s->stride == 2) walk_next(&key_walk, &key); else key = item;
    if (!is_sortable(o->kind, key)) return false;
    VEC(s->from)[(size_t)i * s->stride] = item;
    if (s->stride == 2) VEC(s->from)[(size_t)i * 2 + 1] = key;
  }
  charge(s->count / 4);
  return true;
}

/* V_TRUE: s->from is sorted. V_FALSE: not covered. */
static Value sort_items(Sort *s, Value items, Value less, Value keys) {
  const Order *o = order_of(less);
  int64_t count = o ? count_items(items) : -1;
  if (count < 0 || (keys != V_FALSE && count_items(keys) != count)) return V_FALSE;
  s->count = (uint32_t)count;
  s->stride = keys == V_FALSE ? 1 : 2;
  if (IS(vm.resume, T_VECTOR)) {
    sort_load(s, vm.resume);
  } else {
    uint64_t bytes = 16ull * s->count * s->stride + 64;
    if (!heap_reserve(bytes)) return need_memory(bytes);
    s->from = make_vector(s->count * s->stride, V_FALSE);
    s->to = make_vector(s->count * s->stride, V_FALSE);
    s->width = 1;
    if (!load_entries(s, o, items, keys)) return V_FALSE;
    start_run(s, 0);
  }
  Value merged = merge_all(s, o);
  return IS_SIGNAL(merged) ? merged : V_TRUE;
}

/* (%sort-list items less keys): a fresh sorted list, or #f. items: list or vector; keys: #f, or
   as many in a list or vector. */
static Value prim_native_sort(int argc, Value *args) {
  Sort s;
  Value sorted = sort_items(&s, args[0], args[1], ARG_OR(2, V_FALSE));
  if (sorted != V_TRUE) return sorted;
  uint64_t bytes = 16ull * s.count;
  if (!reserve_small(bytes)) {
    sort_pause(&s);
    return need_memory(2 * bytes);
  }
  Value list = V_NIL;
  for (uint32_t i = s.count; i-- > 0;) list = cons(VEC(s.from)[(size_t)i * s.stride], list);
  charge(s.count / 8);
  return list;
}

const PrimDef sort_prims[] = {
  {"%sort-list", prim_native_sort, 2, 3, "(%sort-list items less [keys])"},
  {0},
};
