/* vector.c — vectors and boxes: everything that needs no guest procedure. */
#include "core/prims.h"
#include "core/worklist.h"

#define CHECK_MUTABLE_VECTOR(i) do { CHECK_VECTOR(NULL, i); \
    if (OBJ_FLAGS(args[i]) & H_IMMUTABLE) return err_type(NULL, i, "mutable vector (this one is a literal or immutable)", args[i]); } while (0)
#define MAX_SLOTS (1u << 28)

/* A vector whose slots are to be filled at once; the caller has reserved. */
static Value blank_vector(uint32_t length) { return heap_object(T_VECTOR, 0, length); }
/* [start [end]] of a vector; the messages name which is wrong. */
#define SPAN(i, of, start, end) \
  uint32_t start = 0, end = VEC_LENGTH(of); \
  do { Value wrong_ = span(argc, args, i, of, &start, &end); if (IS_SIGNAL(wrong_)) return wrong_; } while (0)
static Value span(int argc, Value *args, int i, Value of, uint32_t *start, uint32_t *end) {
  uint32_t *into[2] = {start, end}, length = VEC_LENGTH(of);
  for (int k = 0; k < 2; k++) {
    if (!HAS_ARG(i + k) || (k && args[i + k] == V_FALSE)) continue;
    Value index = args[i + k];
    if (!IS_FIX(index) || FIX_VALUE(index) < 0) return err_type(NULL, i + k, "exact nonnegative integer", index);
    int64_t low = k ? *start : 0;
    if (FIX_VALUE(index) < low || FIX_VALUE(index) > length)
      return err_range(NULL, k ? "ending index" : "starting index", FIX_VALUE(index), low, length, of);
    *into[k] = (uint32_t)FIX_VALUE(index);
  }
  return V_VOID;
}
#define RESERVE_VECTOR(n) RESERVE(8ull * (n) + 16)

static void copy_slots(Value to, uint32_t at, Value from, uint32_t start, uint32_t end) {
  if (end > start) memmove(VEC(to) + at, VEC(from) + start, (size_t)(end - start) * sizeof(Value));
  charge((end - start) / 16);
}

enum { FILL_AT_ONCE = 1 << 16 };
static Value make_large_vector(uint32_t n, Value fill) {
  Value *kept = progress(), v = kept ? kept[0] : V_FALSE, plain = IS_FIX(fill) || TAG(fill) < T_PAIR ? fill : FIX(0);
  uint32_t i = kept ? (uint32_t)FIX_VALUE(kept[1]) : 0;
  if (!IS(v, T_VECTOR)) {
    if (vector_filled(&v, &i, n, plain) == V_AGAIN) return v == V_FALSE ? V_AGAIN : pause_keeping(2, v, FIX(i));
    if (plain == fill) return v;
  }
  FOR_PARTS(k, part, i, n, 16, pause_keeping(2, v, FIX(k)))
    for (uint32_t at = k; at < k + part; at++) VEC(v)[at] = fill;
  return v;
}

/* The slots of several vectors, behind each other; the rest of n is filled. What is long is copied in pieces. Progress:
   the result; which vector is copied and from which slot on; where it begins in the result. */
typedef struct { Value from; uint32_t start, end; } Span;
static Value spans_copied(uint32_t n, uint32_t count, Span (*span_at)(Value *args, uint32_t), Value *args, Value fill) {
  Value *kept = progress(), v = kept ? kept[0] : V_FALSE;
  uint32_t which = kept ? (uint32_t)FIX_VALUE(kept[1]) : 0, within = kept ? (uint32_t)FIX_VALUE(kept[2]) : 0;
  uint32_t at = kept ? (uint32_t)FIX_VALUE(kept[3]) : 0;
  if (!IS(v, T_VECTOR)) {
    if (n <= FILL_AT_ONCE) {
      RESERVE_VECTOR(n);
      v = make_vector(n, fill);
    } else if (vector_filled(&v, &within, n, fill) == V_AGAIN) {
      return v == V_FALSE ? V_AGAIN : pause_keeping(4, v, FIX(0), FIX(within), FIX(0));
    }
  }
  for (; which < count; which++, within = 0) {
    Span span = span_at(args, which);
    uint32_t length = span.end - span.start;
    FOR_PARTS(i, part, within, length, 16, pause_keeping(4, v, FIX(which), FIX(i), FIX(at)))
      memcpy(VEC(v) + at + i, VEC(span.from) + span.start + i, part * sizeof(Value));
    at += length;
    if (length > 64 && which + 1 < count && should_pause()) return pause_keeping(4, v, FIX(which + 1), FIX(0), FIX(at));
  }
  return v;
}

static Span one_span;
static Span the_span(Value *args, uint32_t i) { (void)args, (void)i; return one_span; }
static Value copy_of(Value v, uint32_t start, uint32_t end) {
  uint32_t n = end - start;
  if (n <= FILL_AT_ONCE) {
    RESERVE_VECTOR(n);
    Value copy = blank_vector(n);
    copy_slots(copy, 0, v, start, end);
    return copy;
  }
  one_span = (Span){v, start, end};
  return spans_copied(n, 1, the_span, NULL, FIX(0));
}

/* ---- R7RS ---- */

static Value prim_is_vector(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_VECTOR)); }

static Value prim_make_vector(int argc, Value *args) {
  if (!IS_FIX(args[0]) || FIX_VALUE(args[0]) < 0) return err_type(NULL, 0, "exact nonnegative integer", args[0]);
  if (FIX_VALUE(args[0]) > MAX_SLOTS) return need_memory(UINT64_MAX / 2);    /* more than any memory */
  uint32_t n = (uint32_t)FIX_VALUE(args[0]);
  if (n > FILL_AT_ONCE) return make_large_vector(n, ARG_OR(1, FIX(0)));
  RESERVE_VECTOR(n);
  charge(n / 16);
  return make_vector(n, ARG_OR(1, FIX(0)));
}

static Value prim_vector(int argc, Value *args) {
  RESERVE_VECTOR((uint32_t)argc);
  charge(argc / 16);
  Value v = blank_vector((uint32_t)argc);
  if (argc) memcpy(VEC(v), args, (size_t)argc * sizeof(Value));
  return v;
}

static Value prim_vector_length(int argc, Value *args) { (void)argc; CHECK_VECTOR(NULL, 0); return FIX(VEC_LENGTH(args[0])); }

static Value bad_index(Value v, Value index, int argument) {
  if (!IS_FIX(index)) return err_type(NULL, argument, "index", index);
  return err_range(NULL, "index", FIX_VALUE(index), 0, (int64_t)VEC_LENGTH(v) - 1, v);
}

static Value prim_vector_ref(int argc, Value *args) {
  (void)argc;
  CHECK_VECTOR(NULL, 0);
  if (!IS_FIX(args[1]) || (uint64_t)FIX_VALUE(args[1]) >= VEC_LENGTH(args[0])) return bad_index(args[0], args[1], 1);
  return VEC(args[0])[FIX_VALUE(args[1])];
}

static Value prim_vector_set(int argc, Value *args) {
  (void)argc;
  CHECK_MUTABLE_VECTOR(0);
  if (!IS_FIX(args[1]) || (uint64_t)FIX_VALUE(args[1]) >= VEC_LENGTH(args[0])) return bad_index(args[0], args[1], 1);
  VEC(args[0])[FIX_VALUE(args[1])] = args[2];
  return V_VOID;
}

static Value prim_vector_to_list(int argc, Value *args) {
  CHECK_VECTOR(NULL, 0);
  SPAN(1, args[0], start, end);
  Value *kept = progress(), list = kept ? kept[1] : V_NIL;
  FOR_PAUSING(i, kept ? (uint32_t)FIX_VALUE(kept[0]) : 0, end - start, 3, pause_keeping(2, FIX(i), list))
    list = cons(VEC(args[0])[end - 1 - i], list);
  return list;
}

/* Progress: the pairs counted, where the count has come to, and a pair that it met; then the vector, and where it is
   filled: first with zeros (L_BLANK: up to where), then from the list. */
enum { L_COUNT, L_AT, L_TORTOISE, L_VECTOR, L_BLANK, L_SIZE };
static Value prim_list_to_vector(int argc, Value *args) {
  (void)argc;
  Value *kept = progress(), at = args[0], tortoise = V_FALSE, v = V_FALSE, blank = V_FALSE;
  uint32_t n = 0;
  if (kept) {
    n = (uint32_t)FIX_VALUE(kept[L_COUNT]);
    at = kept[L_AT];
    tortoise = kept[L_TORTOISE];
    v = kept[L_VECTOR];
    blank = kept[L_BLANK];
  }
  if (v == V_FALSE && blank == V_FALSE) {
    while (is_pair(at)) {
      if (at == tortoise) return err_type(NULL, 0, "list", args[0]);
      if (n && (n & (n - 1)) == 0) tortoise = at;        /* Brent: moved up at every power of two */
      at = CDR(at);
      if (++n % LONG_ROUND) continue;
      charge(LONG_ROUND / 8);
      if (should_pause()) return pause_keeping(L_SIZE, FIX(n), at, tortoise, v, blank);
    }
    if (at != V_NIL) return err_type(NULL, 0, "list", args[0]);
    charge(n % LONG_ROUND / 8);
    blank = FIX(0);
  }
  if (blank != V_FALSE) {
    if (n < LONG_ROUND) {
      v = blank_vector(n);
    } else {
      uint32_t to = (uint32_t)FIX_VALUE(blank);
      if (vector_filled(&v, &to, n, FIX(0)) == V_AGAIN) {
        pause_keeping(L_SIZE, FIX(n), at, tortoise, v, FIX(to));
        return V_AGAIN;
      }
    }
    at = args[0];
    n = 0;
  }
  FOR_PAUSING(i, n, VEC_LENGTH(v), 8, pause_keeping(L_SIZE, FIX(i), at, V_FALSE, v, V_FALSE)) {
    VEC(v)[i] = CAR(at);
    at = CDR(at);
  }
  return v;
}

static Value prim_vector_fill(int argc, Value *args) {
  CHECK_MUTABLE_VECTOR(0);
  SPAN(2, args[0], start, end);
  Value *kept = progress();
  FOR_PAUSING(i, kept ? (uint32_t)FIX_VALUE(kept[0]) : start, end, 16, pause_keeping(1, FIX(i))) VEC(args[0])[i] = args[1];
  return V_VOID;
}

static Value prim_vector_copy(int argc, Value *args) {
  CHECK_VECTOR(NULL, 0);
  SPAN(1, args[0], start, end);
  return copy_of(args[0], start, end);
}

/* (vector-copy! to at from [start end]) */
static Value prim_vector_copy_into(int argc, Value *args) {
  CHECK_MUTABLE_VECTOR(0);
  CHECK_VECTOR(NULL, 2);
  uint32_t at;
  CHECK_INDEX(NULL, 1, 0, VEC_LENGTH(args[0]), args[0], at);
  SPAN(3, args[2], start, end);
  if (end - start > VEC_LENGTH(args[0]) - at)
    return err_failf("exn:fail:contract", "vector-copy!: not enough room in target vector\n  target length: %d\n  needed length: %d",
                     (int)VEC_LENGTH(args[0]), (int)(at + end - start));
  uint32_t count = end - start;
  bool backwards = args[0] == args[2] && at > start;       /* a part may lie over what is still to be copied */
  FOR_PARTS(i, part, progress() ? (uint32_t)FIX_VALUE(progress()[0]) : 0, count, 16, pause_keeping(1, FIX(i))) {
    uint32_t k = backwards ? count - i - part : i;
    memmove(VEC(args[0]) + at + k, VEC(args[2]) + start + k, part * sizeof(Value));
  }
  return V_VOID;
}

static Span whole_argument(Value *args, uint32_t i) { return (Span){args[i], 0, VEC_LENGTH(args[i])}; }
static Value prim_vector_append(int argc, Value *args) {
  uint64_t total = 0;
  for (int i = 0; i < argc; i++) {
    CHECK_VECTOR(NULL, i);
    total += VEC_LENGTH(args[i]);
  }
  if (total > MAX_SLOTS) return need_memory(8 * total);
  if (total > FILL_AT_ONCE) return spans_copied((uint32_t)total, (uint32_t)argc, whole_argument, args, FIX(0));
  RESERVE_VECTOR(total);
  Value v = blank_vector((uint32_t)total);
  uint32_t at = 0;
  for (int i = 0; i < argc; at += VEC_LENGTH(args[i]), i++) copy_slots(v, at, args[i], 0, VEC_LENGTH(args[i]));
  return v;
}

/* ---- more ---- */

static Value prim_vector_immutable(int argc, Value *args) {
  Value v = prim_vector(argc, args);
  if (!IS_SIGNAL(v)) SET_FLAG(v, H_IMMUTABLE);
  return v;
}

static Value prim_to_immutable_vector(int argc, Value *args) {
  (void)argc;
  CHECK_VECTOR(NULL, 0);
  if (OBJ_FLAGS(args[0]) & H_IMMUTABLE) return args[0];
  Value v = copy_of(args[0], 0, VEC_LENGTH(args[0]));
  if (!IS_SIGNAL(v)) SET_FLAG(v, H_IMMUTABLE);
  return v;
}

/* A string or a vector of any kind, which from now on cannot be changed; anything else as it is. */
static Value prim_make_immutable(int argc, Value *args) {
  (void)argc;
  switch (IS_FIX(args[0]) ? T_SPECIAL : TAG(args[0])) {
    case T_STRING: case T_VECTOR: case T_BYTES: case T_UVECTOR: SET_FLAG(args[0], H_IMMUTABLE); break;
    default: break;
  }
  return args[0];
}

/* Is it a string, vector, bytevector, box or hash that cannot be changed? */
static Value prim_is_immutable(int argc, Value *args) {
  (void)argc;
  switch (IS_FIX(args[0]) ? T_SPECIAL : TAG(args[0])) {
    case T_STRING: case T_VECTOR: case T_BYTES: case T_UVECTOR: case T_BOX: case T_TABLE:
      return BOOL(OBJ_FLAGS(args[0]) & H_IMMUTABLE);
    default:
      return V_FALSE;
  }
}

static Value prim_vector_grow(int argc, Value *args) {
  (void)argc;
  CHECK_VECTOR(NULL, 0);
  uint32_t n, length = VEC_LENGTH(args[0]);
  if (IS_FIX(args[1]) && FIX_VALUE(args[1]) > MAX_SLOTS) return need_memory(UINT64_MAX / 2);
  CHECK_INDEX(NULL, 1, length, MAX_SLOTS, args[0], n);
  return spans_copied(n, 1, whole_argument, args, V_FALSE);
}

enum part { TAKE, DROP, TAKE_RIGHT, DROP_RIGHT };
static Value part_of(Value *args, enum part part) {
  CHECK_VECTOR(NULL, 0);
  uint32_t k, length = VEC_LENGTH(args[0]);
  CHECK_INDEX(NULL, 1, 0, length, args[0], k);
  switch (part) {
    case TAKE: return copy_of(args[0], 0, k);
    case DROP: return copy_of(args[0], k, length);
    case TAKE_RIGHT: return copy_of(args[0], length - k, length);
    default: return copy_of(args[0], 0, length - k);
  }
}
static Value prim_vector_take(int argc, Value *args) { (void)argc; return part_of(args, TAKE); }
static Value prim_vector_drop(int argc, Value *args) { (void)argc; return part_of(args, DROP); }
static Value prim_vector_take_right(int argc, Value *args) { (void)argc; return part_of(args, TAKE_RIGHT); }
static Value prim_vector_drop_right(int argc, Value *args) { (void)argc; return part_of(args, DROP_RIGHT); }

static Value prim_vector_swap(int argc, Value *args) {
  (void)argc;
  CHECK_MUTABLE_VECTOR(0);
  uint32_t i, j;
  CHECK_INDEX(NULL, 1, 0, (int64_t)VEC_LENGTH(args[0]) - 1, args[0], i);
  CHECK_INDEX(NULL, 2, 0, (int64_t)VEC_LENGTH(args[0]) - 1, args[0], j);
  Value kept = VEC(args[0])[i];
  VEC(args[0])[i] = VEC(args[0])[j];
  VEC(args[0])[j] = kept;
  return V_VOID;
}

static Value prim_vector_reverse_in_place(int argc, Value *args) {
  CHECK_MUTABLE_VECTOR(0);
  SPAN(1, args[0], start, end);
  Value *v = VEC(args[0]);
  FOR_PAUSING(i, progress() ? (uint32_t)FIX_VALUE(progress()[0]) : 0, (end - start) / 2, 4, pause_keeping(1, FIX(i))) {
    Value kept = v[start + i];
    v[start + i] = v[end - 1 - i];
    v[end - 1 - i] = kept;
  }
  return V_VOID;
}

/* ---- boxes ---- */

#define CHECK_BOX(i) do { if (!IS(args[i], T_BOX)) return err_type(NULL, i, "box", args[i]); } while (0)

static Value prim_box(int argc, Value *args) { (void)argc; return make_box(args[0]); }
static Value prim_box_immutable(int argc, Value *args) {
  (void)argc;
  Value box = make_box(args[0]);
  SET_FLAG(box, H_IMMUTABLE);
  return box;
}
static Value prim_is_box(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_BOX)); }
static Value prim_unbox(int argc, Value *args) { (void)argc; CHECK_BOX(0); return SLOTS(args[0])[0]; }
static Value prim_set_box(int argc, Value *args) {
  (void)argc;
  CHECK_BOX(0);
  if (OBJ_FLAGS(args[0]) & H_IMMUTABLE) return err_type(NULL, 0, "(and/c box? (not/c immutable?))", args[0]);
  SLOTS(args[0])[0] = args[1];
  return V_VOID;
}

const PrimDef vector_prims[] = {
  {"vector?", prim_is_vector, 1, 1, "(vector? obj)"},
  {"make-vector", prim_make_vector, 1, 2, "(make-vector length [fill])"},
  {"vector", prim_vector, 0, -1, "(vector obj ...)"},
  {"vector-length", prim_vector_length, 1, 1, "(vector-length vector)"},
  {"vector-ref", prim_vector_ref, 2, 2, "(vector-ref vector k)"},
  {"vector-set!", prim_vector_set, 3, 3, "(vector-set! vector k obj)"},
  {"vector->list", prim_vector_to_list, 1, 3, "(vector->list vector [start end])"},
  {"list->vector", prim_list_to_vector, 1, 1, "(list->vector list)"},
  {"vector-fill!", prim_vector_fill, 2, 4, "(vector-fill! vector fill [start end])"},
  {"vector-copy", prim_vector_copy, 1, 3, "(vector-copy vector [start end])"},
  {"subvector", prim_vector_copy, 3, 3, "(subvector vector start end)"},
  {"vector-copy!", prim_vector_copy_into, 3, 5, "(vector-copy! to at from [start end])"},
  {"vector-append", prim_vector_append, 0, -1, "(vector-append vector ...)"},
  {"vector-immutable", prim_vector_immutable, 0, -1, "(vector-immutable obj ...)"},
  {"vector->immutable-vector", prim_to_immutable_vector, 1, 1, "(vector->immutable-vector vector)"},
  {"immutable?", prim_is_immutable, 1, 1, "(immutable? obj)"},
  {"%make-immutable!", prim_make_immutable, 1, 1, "(make-immutable! obj)"},
  {"vector-grow", prim_vector_grow, 2, 2, "(vector-grow vector length)"},
  {"vector-take", prim_vector_take, 2, 2, "(vector-take vector k)"},
  {"vector-drop", prim_vector_drop, 2, 2, "(vector-drop vector k)"},
  {"vector-take-right", prim_vector_take_right, 2, 2, "(vector-take-right vector k)"},
  {"vector-drop-right", prim_vector_drop_right, 2, 2, "(vector-drop-right vector k)"},
  {"vector-swap!", prim_vector_swap, 3, 3, "(vector-swap! vector i j)"},
  {"%vector-reverse!", prim_vector_reverse_in_place, 1, 3, "(%vector-reverse! vector [start end])"},
  {"box", prim_box, 1, 1, "(box obj)"},
  {"box-immutable", prim_box_immutable, 1, 1, "(box-immutable obj)"},
  {"box?", prim_is_box, 1, 1, "(box? obj)"},
  {"unbox", prim_unbox, 1, 1, "(unbox box)"},
  {"set-box!", prim_set_box, 2, 2, "(set-box! box obj)"},
  {0},
};
