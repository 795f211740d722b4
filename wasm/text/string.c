/* string.c — strings: representation, lineage, builders, and R7RS's procedures except comparison
 * without case and case mapping (string_case.c) and conversion to bytes (utf8.c).
 *
 * A string's characters all have one width. Reading never changes it; string-set! and
 * string-copy! into a string widen it in place. New strings are as narrow as their source or
 * narrower. Whatever copies text carries its lineage along (value.h).
 */
#include "text/string.h"
#include "core/check.h"
#include "text/symbol.h"
#include "text/utf8.h"
#include <stdlib.h>

/* ---- arrays of characters ---- */

uint32_t chars_width(const uint8_t *data, uint32_t width, uint32_t count) {
  uint64_t many = 0;
  if (width == 1) return 1;
  /* eight bytes at a time: it is asked of whole texts */
  uint32_t i = 0, step = 8 / width;
  for (uint64_t word; i + step <= count; i += step) {
    memcpy(&word, data + (size_t)i * width, 8);
    many |= word;
  }
  uint32_t all = (uint32_t)(many | many >> 32);
  if (width == 2) all = (all | all >> 16) & 0xffff;
  for (; i < count; i++) all |= chars_get(data, width, i);
  return char_width(all);
}

#define COPY_LOOP(to_type, from_type) do { \
    to_type *restrict t = (to_type *)to; \
    const from_type *restrict f = (const from_type *)from; \
    for (uint32_t i = 0; i < count; i++) t[i] = (to_type)f[i]; } while (0)

/* Up to 32 bytes by words, the last of which may overlap those before it. All are read before the first is written,
   as memmove does; its call takes longer than this. */
enum { SHORT_COPY = 32 };
#define COPY_ENDS(type) do { \
    type first, last; \
    memcpy(&first, from, sizeof(type)); \
    memcpy(&last, from + bytes - sizeof(type), sizeof(type)); \
    memcpy(to, &first, sizeof(type)); \
    memcpy(to + bytes - sizeof(type), &last, sizeof(type)); } while (0)
static inline void copy_short(uint8_t *to, const uint8_t *from, size_t bytes) {
  if (bytes > 16) {
    uint64_t a, b, c, d;
    memcpy(&a, from, 8);
    memcpy(&b, from + 8, 8);
    memcpy(&c, from + bytes - 16, 8);
    memcpy(&d, from + bytes - 8, 8);
    memcpy(to, &a, 8);
    memcpy(to + 8, &b, 8);
    memcpy(to + bytes - 16, &c, 8);
    memcpy(to + bytes - 8, &d, 8);
  } else if (bytes >= 8) COPY_ENDS(uint64_t);
  else if (bytes >= 4) COPY_ENDS(uint32_t);
  else if (bytes >= 2) COPY_ENDS(uint16_t);
  else if (bytes) *to = *from;
}

/* Sixteen at a time; the last ones, which may overlap those before them, are read first. */
enum { MEDIUM_COPY = 256 };
static __attribute__((noinline)) void copy_medium(uint8_t *to, const uint8_t *from, size_t bytes) {
  uint64_t last[2], some[2];
  memcpy(last, from + bytes - 16, 16);
  for (size_t i = 0; i < bytes - 16; i += 16) {
    memcpy(some, from + i, 16);
    memcpy(to + i, some, 16);
  }
  memcpy(to + bytes - 16, last, 16);
}

static inline __attribute__((always_inline)) void copy_bytes(uint8_t *to, const uint8_t *from, size_t bytes) {
  if (bytes <= SHORT_COPY) copy_short(to, from, bytes);
  else if (bytes <= MEDIUM_COPY && (uintptr_t)to - (uintptr_t)from >= bytes) copy_medium(to, from, bytes);
  else memmove(to, from, bytes);
}

WIDE_STEPS void chars_copy(uint8_t *to, uint32_t to_width, const uint8_t *from, uint32_t from_width, uint32_t count) {
  if (to_width == from_width) copy_bytes(to, from, (size_t)count * to_width);
  else if (to_width == 1 && from_width == 2) COPY_LOOP(uint8_t, uint16_t);
  else if (to_width == 1) COPY_LOOP(uint8_t, uint32_t);
  else if (to_width == 2 && from_width == 1) COPY_LOOP(uint16_t, uint8_t);
  else if (to_width == 2) COPY_LOOP(uint16_t, uint32_t);
  else if (from_width == 1) COPY_LOOP(uint32_t, uint8_t);
  else COPY_LOOP(uint32_t, uint16_t);
}

WIDE_STEPS void chars_fill(uint8_t *to, uint32_t width, uint32_t c, uint32_t count) {
  if (width == 1) memset(to, (int)c, count);
  else if (width == 2) for (uint32_t i = 0; i < count; i++) ((uint16_t *)to)[i] = (uint16_t)c;
  else for (uint32_t i = 0; i < count; i++) ((uint32_t *)to)[i] = c;
}

size_t same_bytes(const uint8_t *a, const uint8_t *b, size_t count) {
  size_t i = 0;
  for (uint64_t x, y; i + 8 <= count; i += 8) {
    memcpy(&x, a + i, 8);
    memcpy(&y, b + i, 8);
    if (x != y) break;
  }
  while (i < count && a[i] == b[i]) i++;
  return i;
}

enum { SAME_AT_ONCE = 64 };
#define SAME_LOOP(a_type, b_type) do { \
    const a_type *x = (const a_type *)a; \
    const b_type *y = (const b_type *)b; \
    for (; i + SAME_AT_ONCE <= count; i += SAME_AT_ONCE) { \
      uint32_t differ = 0; \
      for (uint32_t k = 0; k < SAME_AT_ONCE; k++) differ |= (uint32_t)(x[i + k] ^ y[i + k]); \
      if (differ) break; \
    } \
    while (i < count && x[i] == y[i]) i++; } while (0)
/* How many characters from the start on are the same. */
WIDE_STEPS static uint32_t same_chars(const uint8_t *a, uint32_t a_width, const uint8_t *b, uint32_t b_width, uint32_t count) {
  uint32_t i = 0;
  if (a_width == b_width) return (uint32_t)(same_bytes(a, b, (size_t)count * a_width) >> (a_width >> 1));
  if (a_width > b_width) {
    const uint8_t *t = a; a = b; b = t;
    uint32_t width = a_width; a_width = b_width; b_width = width;
  }
  if (a_width == 2) SAME_LOOP(uint16_t, uint32_t);
  else if (b_width == 2) SAME_LOOP(uint8_t, uint16_t);
  else SAME_LOOP(uint8_t, uint32_t);
  return i;
}

WIDE_STEPS bool ascii_bytes(const uint8_t *data, size_t count) {
  size_t i = 0;
  uint64_t all = 0, word;
  for (; i + 8 <= count; i += 8) {
    memcpy(&word, data + i, 8);
    all |= word;
  }
  for (; i < count; i++) all |= data[i];
  return !(all & 0x8080808080808080u);
}
bool is_ascii(Value s) { return STR_WIDTH(s) == 1 && ascii_bytes(STR_DATA(s), STR_LENGTH(s)); }

bool bytes_equal(const uint8_t *a, const uint8_t *b, size_t count) {
  uint64_t x, y;
  if (count < 8) {                      /* few by two words that overlap, or one by one */
    uint32_t v, w;
    if (count < 4) return count == 0 || (a[0] == b[0] && a[count - 1] == b[count - 1] && a[count / 2] == b[count / 2]);
    memcpy(&v, a, 4);
    memcpy(&w, b, 4);
    if (v != w) return false;
    memcpy(&v, a + count - 4, 4);
    memcpy(&w, b + count - 4, 4);
    return v == w;
  }
  size_t i = 0;
  for (; i + 32 < count; i += 32) {
    uint64_t differ = 0;
    _Pragma("GCC unroll 4") for (uint32_t k = 0; k < 32; k += 8) {
      memcpy(&x, a + i + k, 8);
      memcpy(&y, b + i + k, 8);
      differ |= x ^ y;
    }
    if (differ) return false;
  }
  for (; i + 8 < count; i += 8) {
    memcpy(&x, a + i, 8);
    memcpy(&y, b + i, 8);
    if (x != y) return false;
  }
  memcpy(&x, a + count - 8, 8);
  memcpy(&y, b + count - 8, 8);
  return x == y;
}

bool chars_equal(const uint8_t *a, uint32_t a_width, const uint8_t *b, uint32_t b_width, uint32_t count) {
  if (a_width == b_width) return bytes_equal(a, b, (size_t)count * a_width);
  return same_chars(a, a_width, b, b_width, count) == count;
}

/* ---- lineage: #f, an ascending list of call ids, or one with parts (string.h) ---- */

static Value append_id(Value *head, Value last, Value id) {
  Value pair = cons(id, V_NIL);
  if (last == V_FALSE) *head = pair;
  else CDR(last) = pair;
  return pair;
}

static bool lineage_includes(Value all, Value some) {
  while (some != V_NIL) {
    while (all != V_NIL && FIX_VALUE(CAR(all)) < FIX_VALUE(CAR(some))) all = CDR(all);
    if (all == V_NIL || CAR(all) != CAR(some)) return false;
    some = CDR(some);
  }
  return true;
}

Value lineage_flat(Value lineage) { return IS(lineage, T_VECTOR) ? VEC(lineage)[0] : lineage; }

Value lineage_union(Value a, Value b) {
  a = lineage_flat(a);
  b = lineage_flat(b);
  if (a == b || b == V_FALSE) return a;
  if (a == V_FALSE) return b;
  if (lineage_includes(a, b)) return a;
  if (lineage_includes(b, a)) return b;
  Value head = V_FALSE, last = V_FALSE;
  while (a != V_NIL || b != V_NIL) {
    bool from_a = b == V_NIL || (a != V_NIL && FIX_VALUE(CAR(a)) <= FIX_VALUE(CAR(b)));
    Value id = CAR(from_a ? a : b);
    if (a != V_NIL && CAR(a) == id) a = CDR(a);
    if (b != V_NIL && CAR(b) == id) b = CDR(b);
    last = append_id(&head, last, id);
  }
  return head;
}

uint64_t lineage_length(Value lineage) {
  uint64_t n = 0;
  lineage = lineage_flat(lineage);
  if (lineage == V_FALSE) return 0;
  for (; lineage != V_NIL; lineage = CDR(lineage)) n++;
  return n;
}

/* The sum of many: pass 1 counts, pass 2 gathers the ids in an array that lineage_end sorts. The
   same few lineages usually come again and again: those seen lately are skipped. */

static bool seen_before(LineageSum *sum, Value lineage) {
  Value *place = &sum->seen[(PAYLOAD(lineage) >> 3) % LINEAGE_SEEN];
  if (*place == lineage) return true;
  *place = lineage;
  return false;
}

void lineage_count(LineageSum *sum, Value s) {
  Value lineage = STR(s)->lineage;
  if (lineage == V_FALSE) return;
  if (sum->only == V_FALSE) memset(sum->seen, 0, sizeof sum->seen);
  if (seen_before(sum, lineage = lineage_flat(lineage))) return;
  if (sum->only == V_FALSE) sum->only = lineage;
  else sum->several = true;
  sum->ids += lineage_length(lineage);
}

uint64_t lineage_cost(const LineageSum *sum) { return sum->several ? sum->ids * 24 + 64 : 0; }

static int64_t *gathered_ids(const LineageSum *sum) { return (int64_t *)RAW_BYTES(sum->gathered); }

void lineage_begin(LineageSum *sum) {
  if (!sum->several) return;
  sum->gathered = heap_raw(T_RAW, 0, (uint32_t)sum->ids * 8);
  sum->ids = 0;
  memset(sum->seen, 0, sizeof sum->seen);
}

void lineage_take(LineageSum *sum, Value s) {
  Value lineage = STR(s)->lineage;
  if (!sum->several || lineage == V_FALSE || seen_before(sum, lineage = lineage_flat(lineage))) return;
  for (; lineage != V_NIL; lineage = CDR(lineage)) gathered_ids(sum)[sum->ids++] = FIX_VALUE(CAR(lineage));
}

static int compare_ids(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

Value lineage_end(LineageSum *sum) {
  if (!sum->several) return sum->only;
  int64_t *ids = gathered_ids(sum);
  qsort(ids, (size_t)sum->ids, sizeof *ids, compare_ids);
  Value list = V_NIL;
  for (uint64_t i = sum->ids; i-- > 0;)
    if (list == V_NIL || CAR(list) != FIX(ids[i])) list = cons(FIX(ids[i]), list);
  return list;
}

/* ---- parts of strings ---- */

static bool keep_parts;
enum { MAX_PARTS = 4000 };
typedef struct { Value marks; uint32_t count; bool lost; } Parts;

static Parts parts_of(Value lineage) {
  if (!IS(lineage, T_VECTOR)) return (Parts){V_NIL, 0, false};
  Value marks = VEC(lineage)[1];
  return (Parts){marks == V_FALSE ? V_NIL : marks, (uint32_t)FIX_VALUE(VEC(lineage)[2]), marks == V_FALSE};
}

static void mark(Parts *p, uint32_t start, Value ids) {
  if (p->marks != V_NIL && CAR(CAR(p->marks)) == FIX(start)) {           /* what began there is empty */
    p->marks = CDR(p->marks);
    p->count--;
  }
  if (p->marks == V_NIL ? ids == V_FALSE : CDR(CAR(p->marks)) == ids) return;
  p->marks = cons(cons(FIX(start), ids), p->marks);
  p->count++;
}

/* The characters from..to of a string with this lineage stand at `start`. */
static void parts_add(Parts *p, uint32_t start, Value lineage, uint32_t from, uint32_t to) {
  if (lineage == V_FALSE || p->lost || from >= to) return;
  Parts piece = parts_of(lineage);
  charge(piece.count / 4);
  if (piece.lost || p->count + piece.count + 2 > MAX_PARTS || !heap_reserve((uint64_t)(piece.count + 2) * 64 + 256)) {
    p->lost = true;
    return;
  }
  if (!IS(lineage, T_VECTOR)) mark(p, start, lineage);
  else {
    static Value in_order[MAX_PARTS];     /* not a root: nothing is collected meanwhile */
    uint32_t n = 0;
    for (Value m = piece.marks; m != V_NIL; m = CDR(m)) in_order[n++] = CAR(m);
    while (n-- > 0) {
      int64_t at = FIX_VALUE(CAR(in_order[n]));
      if (at < to) mark(p, start + (at > from ? (uint32_t)at - from : 0), CDR(in_order[n]));
    }
  }
  mark(p, start + (to - from), V_FALSE);
}

/* The slot of the whole. */
static Value parts_end(const Parts *p, Value ids) {
  if (ids == V_FALSE || (!p->lost && p->marks == V_NIL)) return ids;
  Value slot = make_vector(3, ids);
  VEC(slot)[1] = p->lost ? V_FALSE : p->marks;
  VEC(slot)[2] = FIX(p->count);
  return slot;
}

/* The slot of a part of a string. */
static Value parts_cut(Value lineage, uint32_t start, uint32_t end) {
  if (!IS(lineage, T_VECTOR)) return lineage;
  Parts p = parts_of(V_FALSE);
  parts_add(&p, 0, lineage, start, end);
  return parts_end(&p, lineage_flat(lineage));
}

/* ---- making strings ---- */

static Value string_around(Value chars, uint32_t length, uint32_t width) {
  Value s = heap_object(T_STRING, width == 1 ? H_WIDTH1 : width == 2 ? H_WIDTH2 : H_WIDTH4, 3);
  STR(s)->length = FIX(length);
  STR(s)->chars = chars;
  STR(s)->lineage = V_FALSE;
  return s;
}

Value string_make(uint32_t length, uint32_t width) {
  return heap_string(width == 1 ? H_WIDTH1 : width == 2 ? H_WIDTH2 : H_WIDTH4, length, length * width);
}

Value string_from_chars(const uint8_t *data, uint32_t width, uint32_t count) {
  if (width == 1) {
    Value s = make_narrow_in_place(count);
    copy_bytes(STR_DATA(s), data, count);
    return s;
  }
  uint32_t narrow = chars_width(data, width, count);
  Value s = string_make(count, narrow);
  chars_copy(STR_DATA(s), narrow, data, width, count);
  return s;
}

Value string_substring(Value s, uint32_t start, uint32_t end) {
  uint32_t width = STR_WIDTH(s);
  Value part = string_from_chars(STR_DATA(s) + (size_t)start * width, width, end - start), lineage = STR(s)->lineage;
  STR(part)->lineage = lineage == V_FALSE ? lineage : parts_cut(lineage, start, end);
  return part;
}

/* ---- what is long is cut in pieces ---- */

enum { CUT_MARK, CUT_FROM, CUT_WIDTH, CUT_START, CUT_COUNT, CUT_LINEAGE, CUT_NARROW, CUT_AT, CUT_COPY, CUT_SIZE };
bool is_cutting(Value state) {
  return IS(state, T_VECTOR) && VEC_LENGTH(state) == CUT_SIZE && VEC(state)[CUT_MARK] == V_DEFAULT;
}

static Value cut_pause(Value *kept, uint32_t at, uint32_t narrow) {
  kept[CUT_AT] = FIX(at);
  kept[CUT_NARROW] = FIX(narrow);
  return V_AGAIN;
}

Value cut_go_on(Value *state) {
  Value *kept = VEC(*state), copy = kept[CUT_COPY];
  uint32_t width = (uint32_t)FIX_VALUE(kept[CUT_WIDTH]), count = (uint32_t)FIX_VALUE(kept[CUT_COUNT]);
  uint32_t narrow = (uint32_t)FIX_VALUE(kept[CUT_NARROW]), at = (uint32_t)FIX_VALUE(kept[CUT_AT]);
  const uint8_t *from = RAW_BYTES(kept[CUT_FROM]) + (size_t)FIX_VALUE(kept[CUT_START]) * width;
  if (copy == V_FALSE) {
    FOR_PARTS(i, part, at, count, 64, cut_pause(kept, i, narrow)) {
      if (narrow == width) break;
      uint32_t needed = chars_width(from + (size_t)i * width, width, part);
      if (needed > narrow) narrow = needed;
    }
    uint64_t size = string_size(count, narrow);
    if (!heap_reserve(size)) {
      cut_pause(kept, count, narrow);
      return need_memory(size);
    }
    kept[CUT_COPY] = copy = string_make(count, narrow);
    at = 0;
  }
  uint8_t *to = STR_DATA(copy);
  FOR_PARTS(i, part, at, count, 64, cut_pause(kept, i, narrow))
    chars_copy(to + (size_t)i * narrow, narrow, from + (size_t)i * width, width, part);
  STR(copy)->lineage = kept[CUT_LINEAGE];
  *state = V_FALSE;
  return copy;
}

Value cut_chars(Value *state, Value chars, uint32_t width, uint32_t start, uint32_t end, Value lineage) {
  uint32_t count = end - start;
  if (count <= LONG_PART) {
    RESERVE(string_size(count, width));
    charge(count / 64);
    Value part = string_from_chars(count ? RAW_BYTES(chars) + (size_t)start * width : NULL, width, count);
    STR(part)->lineage = lineage == V_FALSE ? lineage : parts_cut(lineage, start, end);
    return part;
  }
  *state = make_vector(CUT_SIZE, V_FALSE);
  Value *kept = VEC(*state);
  kept[CUT_MARK] = V_DEFAULT;
  kept[CUT_FROM] = chars;
  kept[CUT_WIDTH] = FIX(width);
  kept[CUT_START] = FIX(start);
  kept[CUT_COUNT] = FIX(count);
  kept[CUT_LINEAGE] = parts_cut(lineage, start, end);
  kept[CUT_NARROW] = FIX(1);
  kept[CUT_AT] = FIX(0);
  return cut_go_on(state);
}

Value string_cut(Value *state, Value s, uint32_t start, uint32_t end) {
  return cut_chars(state, STR(s)->chars, STR_WIDTH(s), start, end, STR(s)->lineage);
}

void string_put(Value s, uint32_t i, uint32_t c) {
  CHECK(i < STR_LENGTH(s) && char_width(c) <= STR_WIDTH(s));
  chars_put(STR_DATA(s), STR_WIDTH(s), i, c);
}

static void string_use(Value s, Value chars, uint32_t width) {
  STR(s)->chars = chars;
  uint64_t flags = width == 2 ? H_WIDTH2 : H_WIDTH4;
  HEADER_OF(s) = (HEADER_OF(s) & ~((uint64_t)H_WIDTH_MASK << 16)) | flags << 16;
}

/* Makes the characters of s at least so wide, in a primitive whose progress this is while it is a vector of so many.
   Not #t: it pauses, or waits for memory. */
enum { WIDEN_CHARS, WIDEN_AT, WIDEN_SIZE };
static bool copied_in_parts(uint8_t *to, uint32_t to_width, const uint8_t *from, uint32_t from_width, uint32_t *at, uint32_t count) {
  while (*at < count) {
    uint32_t part = count - *at < LONG_PART ? count - *at : LONG_PART;
    chars_copy(to + (size_t)*at * to_width, to_width, from + (size_t)*at * from_width, from_width, part);
    *at += part;
    charge(part / 64);
    if (*at < count && should_pause()) return false;
  }
  return true;
}
static Value widen_pausing(Value s, uint32_t width) {
  uint32_t old = STR_WIDTH(s), length = STR_LENGTH(s);
  if (old >= width) return V_TRUE;
  Value *kept = progress(), chars = kept ? kept[WIDEN_CHARS] : V_FALSE;
  if (kept && VEC_LENGTH(vm.resume) != WIDEN_SIZE) return V_TRUE;
  uint32_t at = kept ? (uint32_t)FIX_VALUE(kept[WIDEN_AT]) : 0;
  if (chars == V_FALSE) {
    RESERVE(string_size(length, width));
    chars = heap_raw(T_RAW, 0, length * width);
  }
  if (!copied_in_parts(RAW_BYTES(chars), width, STR_DATA(s), old, &at, length)) return pause_keeping(WIDEN_SIZE, chars, FIX(at));
  string_use(s, chars, width);
  vm.resume = V_FALSE;
  return V_TRUE;
}

/* ---- comparing, hashing ---- */

bool string_equal(Value a, Value b) {
  if (a == b) return true;
  uint32_t length = STR_LENGTH(a);
  return length == STR_LENGTH(b) && chars_equal(STR_DATA(a), STR_WIDTH(a), STR_DATA(b), STR_WIDTH(b), length);
}

int string_compare(Value a, Value b) {
  uint32_t la = STR_LENGTH(a), lb = STR_LENGTH(b), common = la < lb ? la : lb;
  uint32_t i = same_chars(STR_DATA(a), STR_WIDTH(a), STR_DATA(b), STR_WIDTH(b), common);
  if (i < common) return string_char(a, i) < string_char(b, i) ? -1 : 1;
  return la < lb ? -1 : la > lb;
}

static inline uint64_t hash_mix(uint64_t h, uint64_t word) {
  h = (h ^ word) * 0x9e3779b97f4a7c15u;
  return h ^ (h >> 29);
}

/* Eight narrow characters at a time; the last eight may overlap those before them (the length is in the hash), and
   fewer are put together from both ends. */
static uint64_t hash_narrow(uint64_t h, const uint8_t *data, uint32_t count) {
  uint64_t word;
  if (count >= 8) {
    for (uint32_t i = 0; i + 8 < count; i += 8) {
      memcpy(&word, data + i, 8);
      h = hash_mix(h, word);
    }
    memcpy(&word, data + count - 8, 8);
  } else if (count >= 4) {
    uint32_t first, last;
    memcpy(&first, data, 4);
    memcpy(&last, data + count - 4, 4);
    word = first | (uint64_t)last << 32;
  } else if (count) {
    word = data[0] | (uint64_t)data[count / 2] << 8 | (uint64_t)data[count - 1] << 16;
  } else {
    return h;
  }
  return hash_mix(h, word);
}

/* What stands in a wide string, but would fit a narrow one, has the narrow one's hash. */
static uint64_t hash_wide(uint64_t h, const uint8_t *data, uint32_t width, uint32_t count) {
  uint32_t i = 0;
  if (chars_width(data, width, count) > 1) {
    for (; i + 1 < count; i += 2)
      h = hash_mix(h, chars_get(data, width, i) | (uint64_t)chars_get(data, width, i + 1) << 32);
    return i < count ? hash_mix(h, chars_get(data, width, i)) : h;
  }
  uint8_t narrow[8];
  for (; i + 8 < count; i += 8) {
    chars_copy(narrow, 1, data + (size_t)i * width, width, 8);
    h = hash_narrow(h, narrow, 8);
  }
  uint32_t last = count < 8 ? count : 8;
  chars_copy(narrow, 1, data + (size_t)(count - last) * width, width, last);
  return hash_narrow(h, narrow, last);
}

static inline uint64_t hash_chars(uint64_t h, const uint8_t *data, uint32_t width, uint32_t start, uint32_t end) {
  return width == 1 ? hash_narrow(h, data + start, end - start) : hash_wide(h, data + (size_t)start * width, width, end - start);
}

/* Strings that are equal have equal hashes whatever their widths. Of a very long one only the
   ends are looked at, so that the cost is bounded. */
enum { HASH_WHOLE = 1 << 16, HASH_END = 1 << 14 };
static inline uint64_t hash_start(uint32_t length) { return hash_mix(0x51ed270b27b4f3cfu, length); }
static inline uint64_t hash_finish(uint64_t h) {
  h ^= h >> 32;
  h *= 0xd6e8feb86659fd93u;
  return h ^ (h >> 32);
}
uint64_t narrow_hash(const uint8_t *data, uint32_t count) { return hash_finish(hash_narrow(hash_start(count), data, count)); }
uint64_t string_hash(Value s) {
  uint32_t length = STR_LENGTH(s), width = STR_WIDTH(s);
  uint64_t h = hash_start(length);
  if (length <= HASH_WHOLE) {
    h = hash_chars(h, STR_DATA(s), width, 0, length);
  } else {
    h = hash_chars(h, STR_DATA(s), width, 0, HASH_END);
    h = hash_chars(h, STR_DATA(s), width, length - HASH_END, length);
  }
  return hash_finish(h);
}

/* ---- builders ---- */

enum { BUILDER_FIRST = 64 };   /* bytes */

void builder_init(Builder *b) { *b = (Builder){V_FALSE, 0, 1, V_FALSE}; }

/* a shift, since a width is 1, 2 or 4: it is asked for every character, and a division takes longer than all the rest */
static uint32_t builder_capacity(const Builder *b) { return b->chars == V_FALSE ? 0 : OBJ_LENGTH(b->chars) >> (b->width >> 1); }

static void builder_move(Builder *b, uint64_t capacity, uint32_t width) {
  uint64_t bytes = capacity * width;
  if (bytes < BUILDER_FIRST) bytes = BUILDER_FIRST;
  Value chars = heap_raw(T_RAW, 0, (uint32_t)bytes);
  if (b->length) chars_copy(RAW_BYTES(chars), width, RAW_BYTES(b->chars), b->width, b->length);
  b->chars = chars;
  b->width = width;
}

/* The capacity to move to for so many more characters of that width; 0 where there is room. */
static uint64_t builder_wants(const Builder *b, uint64_t more, uint32_t width) {
  uint64_t need = b->length + more;
  if (width <= b->width && need <= builder_capacity(b)) return 0;
  return need <= builder_capacity(b) ? need : need + need / 2;
}

/* The least that it grows by is a part of itself: else the edge of memory would be reached in steps of a few
   characters, each with a collection. */
static uint64_t builder_least(const Builder *b, uint64_t more) { return b->length + more + b->length / 8; }

/* What is long moves in pieces, while the primitive that wants room is called again and again: nobody else runs
   meanwhile, so one move at a time is enough. It is given up where something else is moved before it is done. */
static struct { Value from, to; uint32_t width, at; } moving = {V_FALSE, V_FALSE, 0, 0};
void strings_init(void) {
  heap_root(&moving.from);
  heap_root(&moving.to);
  moving.from = moving.to = V_FALSE;
}

bool chars_moving(Value chars) { return chars != V_FALSE && moving.from == chars; }

bool chars_moved(Value *chars, uint32_t *width, uint32_t length, uint64_t bytes, uint32_t to_width) {
  if (!chars_moving(*chars)) {
    moving.to = heap_raw(TAG(*chars), 0, (uint32_t)bytes);
    moving.from = *chars;
    moving.width = to_width;
    moving.at = 0;
  }
  if (!copied_in_parts(RAW_BYTES(moving.to), moving.width, RAW_BYTES(*chars), *width, &moving.at, length)) return false;
  *chars = moving.to;
  *width = moving.width;
  moving.from = moving.to = V_FALSE;
  return true;
}

bool builder_room(Builder *b, uint64_t more, uint32_t width) {
  if (chars_moving(b->chars) && !chars_moved(&b->chars, &b->width, b->length, 0, 0)) return false;
  uint64_t capacity = builder_wants(b, more, width);
  if (!capacity) return true;
  if (width < b->width) width = b->width;
  uint64_t bytes = capacity * width;
  if (bytes > HEAP_HEADROOM / 4) {
    if (bytes > UINT32_MAX / 2 || !heap_reserve(bytes + 64)) {
      capacity = builder_least(b, more);         /* then with little to spare */
      bytes = capacity * width;
      if (bytes > UINT32_MAX - 64 || !heap_reserve(bytes + 64)) return false;
    }
  }
  if (b->length <= LONG_PART) {
    builder_move(b, capacity, width);
    return true;
  }
  return chars_moved(&b->chars, &b->width, b->length, bytes, width);
}

/* All of the characters move to the new place: it is not the increment that is wanted. */
uint64_t builder_bytes(const Builder *b, uint64_t more, uint32_t width) {
  if (chars_moving(b->chars)) return 0;
  return builder_least(b, more) * (width > b->width ? width : b->width) + 64;
}

static void builder_need(Builder *b, uint32_t more, uint32_t width) {
  uint64_t capacity = builder_wants(b, more, width);
  if (capacity) builder_move(b, capacity, width > b->width ? width : b->width);
}

void builder_char(Builder *b, uint32_t c) {
  if (char_width(c) > b->width || b->length >= builder_capacity(b)) builder_need(b, 1, char_width(c));
  CHECK((uint64_t)(b->length + 1) * b->width <= OBJ_LENGTH(b->chars));
  chars_put(RAW_BYTES(b->chars), b->width, b->length++, c);
}

void builder_chars(Builder *b, const uint8_t *data, uint32_t width, uint32_t count) {
  if (width == b->width && (uint64_t)b->length + count <= builder_capacity(b)) {
    if (count) copy_bytes(RAW_BYTES(b->chars) + (size_t)b->length * width, data, (size_t)count * width);
    b->length += count;
    return;
  }
  if (!count) return;
  uint32_t narrow = b->width < width ? chars_width(data, width, count) : width;
  builder_need(b, count, narrow);
  CHECK((uint64_t)(b->length + count) * b->width <= OBJ_LENGTH(b->chars));
  chars_copy(RAW_BYTES(b->chars) + (size_t)b->length * b->width, b->width, data, width, count);
  b->length += count;
}

void builder_string(Builder *b, Value s) {
  uint32_t start = b->length;
  builder_chars(b, STR_DATA(s), STR_WIDTH(s), STR_LENGTH(s));
  if (STR(s)->lineage != V_FALSE) builder_mark(b, start, STR(s)->lineage);
}

void builder_mark(Builder *b, uint32_t start, Value lineage) {
  if (!keep_parts || lineage == V_FALSE) {
    b->lineage = lineage_union(b->lineage, lineage);
    return;
  }
  Parts p = parts_of(b->lineage);
  parts_add(&p, start, lineage, 0, b->length - start);
  b->lineage = parts_end(&p, lineage_union(b->lineage, lineage));
}

void builder_c(Builder *b, const char *utf8) {
  const uint8_t *at = (const uint8_t *)utf8, *end = at + strlen(utf8);
  while (at < end) {
    uint32_t c = utf8_decode(at, end, &at);
    builder_char(b, c == UTF8_BAD ? 0xfffd : c);
  }
}

/* The characters are copied to where they just fit, unless that would save little, or would be
   a large allocation that nobody has reserved. */
Value builder_finish(Builder *b) {
  uint64_t bytes = (uint64_t)b->length * b->width;
  bool as_is = bytes && (bytes > HEAP_HEADROOM / 4 || bytes * 8 >= (uint64_t)OBJ_LENGTH(b->chars) * 7);
  Value s = as_is ? string_around(b->chars, b->length, b->width)
                  : string_from_chars(bytes ? RAW_BYTES(b->chars) : NULL, b->width, b->length);
  STR(s)->lineage = b->lineage;
  builder_init(b);
  return s;
}

Value builder_save(Builder *b) {
  Value saved = make_vector(4, V_FALSE);
  VEC(saved)[0] = b->chars;
  VEC(saved)[1] = FIX(b->length);
  VEC(saved)[2] = FIX(b->width);
  VEC(saved)[3] = b->lineage;
  return saved;
}

void builder_load(Builder *b, Value saved) {
  b->chars = VEC(saved)[0];
  b->length = (uint32_t)FIX_VALUE(VEC(saved)[1]);
  b->width = (uint32_t)FIX_VALUE(VEC(saved)[2]);
  b->lineage = VEC(saved)[3];
}

/* ---- primitives: making and looking ---- */

static Value prim_is_string(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_STRING)); }

static Value prim_string_length(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  return STR(args[0])->length;
}

static Value prim_string_ref(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  uint32_t i, length = STR_LENGTH(args[0]);
  CHECK_INDEX(NULL, 1, 0, (int64_t)length - 1, args[0], i);
  return CHAR(string_char(args[0], i));
}

static Value prim_string_set(int argc, Value *args) {
  (void)argc;
  CHECK_MUTABLE_STRING(0);
  uint32_t i, length = STR_LENGTH(args[0]);
  CHECK_INDEX(NULL, 1, 0, (int64_t)length - 1, args[0], i);
  CHECK_CHAR(NULL, 2);
  uint32_t c = CHAR_VALUE(args[2]), width = char_width(c);
  if (width > STR_WIDTH(args[0])) {
    charge(length / 64);
    TRY_LET(wide, widen_pausing(args[0], width));
  }
  string_put(args[0], i, c);
  return V_VOID;
}

static Value prim_make_string(int argc, Value *args) {
  if (!IS_FIX(args[0]) || FIX_VALUE(args[0]) < 0) return err_type(NULL, 0, "exact nonnegative integer", args[0]);
  if (HAS_ARG(1)) CHECK_CHAR(NULL, 1);
  uint64_t length = (uint64_t)FIX_VALUE(args[0]);
  uint32_t c = HAS_ARG(1) ? CHAR_VALUE(args[1]) : 0, width = char_width(c);
  Value *kept = progress(), s = kept ? kept[0] : V_FALSE;
  if (s == V_FALSE) {
    RESERVE(string_size(length, width));
    s = string_make((uint32_t)length, width);
  }
  FOR_PARTS(i, part, kept ? (uint32_t)FIX_VALUE(kept[1]) : 0, (uint32_t)length, 64, pause_keeping(2, s, FIX(i)))
    chars_fill(STR_DATA(s) + (size_t)i * width, width, c, part);
  return s;
}

static Value prim_string(int argc, Value *args) {
  uint32_t all = 0;
  for (int i = 0; i < argc; i++) {
    CHECK_CHAR(NULL, i);
    all |= CHAR_VALUE(args[i]);
  }
  uint32_t width = char_width(all);
  RESERVE(string_size((uint64_t)argc, width));
  charge(argc / 8);
  Value s = string_make((uint32_t)argc, width);
  for (int i = 0; i < argc; i++) string_put(s, (uint32_t)i, CHAR_VALUE(args[i]));
  return s;
}

static Value prim_substring(int argc, Value *args) {
  GO_ON_CUTTING();
  CHECK_STRING(NULL, 0);
  RANGE(1, args[0], STR_LENGTH(args[0]), start, end);
  return string_cut(&vm.resume, args[0], start, end);
}

static Value whole_copy(Value s) {
  GO_ON_CUTTING();
  return string_cut(&vm.resume, s, 0, STR_LENGTH(s));
}

static Value prim_string_to_immutable(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  if (OBJ_FLAGS(args[0]) & H_IMMUTABLE) return args[0];
  TRY_LET(copy, whole_copy(args[0]));
  SET_FLAG(copy, H_IMMUTABLE);
  return copy;
}

static Value prim_string_is_null(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  return BOOL(STR_LENGTH(args[0]) == 0);
}

static Value prim_non_empty_string(int argc, Value *args) {
  (void)argc;
  return BOOL(IS(args[0], T_STRING) && STR_LENGTH(args[0]) > 0);
}

/* ---- appending ---- */

/* What is put together most often: short texts of narrow characters, without a lineage. */
enum { PLAIN_PIECES = 256, PLAIN_CHARS = 8192 };
static inline bool is_plain(Value s) {
  return IS(s, T_STRING) && !(OBJ_FLAGS(s) & H_WIDTH_MASK) && STR(s)->lineage == V_FALSE;
}
static inline uint8_t *put_narrow_piece(uint8_t *to, Value piece, const uint8_t *last_few) {
  uint32_t length = STR_LENGTH(piece);
  const uint8_t *from = STR_DATA(piece);
  if (length <= FEW && to <= last_few && may_read_few(from)) memcpy(to, from, FEW);
  else copy_bytes(to, from, length);
  return to + length;
}

/* The last place in a string that is being filled from which on so many bytes may be written. */
static inline const uint8_t *last_few_of(Value s) {
  uint8_t *end = STR_DATA(s) + ((OBJ_LENGTH(STR(s)->chars) + 7) & ~7u);
  return (end == heap_bump ? heap_bump_end : end) - FEW;
}

/* V_FALSE where they are not all of that kind. */
static Value append_plain(int argc, Value *args) {
  uint64_t length = 0;
  for (int i = 0; i < argc; i++) {
    if (!is_plain(args[i])) return V_FALSE;
    length += STR_LENGTH(args[i]);
  }
  if (length > PLAIN_CHARS) return V_FALSE;
  charge((int64_t)(length / 64) + argc / 4);
  Value s = make_narrow_in_place((uint32_t)length);
  uint8_t *to = STR_DATA(s);
  const uint8_t *last_few = last_few_of(s);
  for (int i = 0; i < argc; i++) to = put_narrow_piece(to, args[i], last_few);
  return s;
}
static Value join_plain(Value list, Value separator) {
  uint64_t length = 0;
  uint32_t count = 0, between = 0;
  if (separator != V_FALSE) {
    if (!is_plain(separator)) return V_FALSE;
    between = STR_LENGTH(separator);
  }
  for (Value rest = list; rest != V_NIL; rest = CDR(rest), count++) {
    if (!is_pair(rest) || count == PLAIN_PIECES || !is_plain(CAR(rest))) return V_FALSE;
    length += STR_LENGTH(CAR(rest)) + between;
  }
  if (count) length -= between;
  if (length > PLAIN_CHARS) return V_FALSE;
  charge(count / 4);
  Value s = make_narrow_in_place((uint32_t)length);
  uint8_t *to = STR_DATA(s);
  const uint8_t *last_few = last_few_of(s);
  for (Value rest = list; rest != V_NIL; rest = CDR(rest)) {
    if (between && rest != list) to = put_narrow_piece(to, separator, last_few);
    to = put_narrow_piece(to, CAR(rest), last_few);
  }
  return s;
}

/* What a concatenation will need, gathered in a first pass over its pieces. */
typedef struct { uint64_t length; uint32_t width; LineageSum lineage; } Total;

static void total_start(Total *t) {
  t->length = 0;
  t->width = 1;
  lineage_start(&t->lineage);
}

static void total_add(Total *t, Value s) {
  t->length += STR_LENGTH(s);
  if (STR_WIDTH(s) > t->width) t->width = STR_WIDTH(s);
  lineage_count(&t->lineage, s);
}

static uint64_t total_size(const Total *t) { return string_size(t->length, t->width) + lineage_cost(&t->lineage); }

static Value total_begin(Total *t) {
  lineage_begin(&t->lineage);
  return string_make((uint32_t)t->length, t->width);
}

static void put_piece(Total *t, Value s, uint64_t *at, Value piece) {
  chars_copy(STR_DATA(s) + *at * STR_WIDTH(s), STR_WIDTH(s), STR_DATA(piece), STR_WIDTH(piece), STR_LENGTH(piece));
  *at += STR_LENGTH(piece);
  lineage_take(&t->lineage, piece);
}

static uint32_t add_piece(Parts *p, uint32_t at, Value piece) {
  parts_add(p, at, STR(piece)->lineage, 0, STR_LENGTH(piece));
  return at + STR_LENGTH(piece);
}

/* The lineage of what was put together of `first` strings, then of those of the list with the separator between them. */
static void set_lineage(Value s, Total *t, int first, Value *args, Value list, Value separator) {
  Value ids = STR(s)->lineage = lineage_end(&t->lineage);
  if (ids == V_FALSE || !keep_parts) return;
  Parts p = parts_of(V_FALSE);
  uint32_t at = 0;
  for (int i = 0; i < first; i++) at = add_piece(&p, at, args[i]);
  uint32_t pieces = 0;
  for (Value rest = list; rest != V_NIL && !p.lost; rest = CDR(rest)) {
    if (separator != V_FALSE && rest != list) at = add_piece(&p, at, separator);
    at = add_piece(&p, at, CAR(rest));
    if (++pieces == 16 * MAX_PARTS) p.lost = true;      /* most of them without any lineage: no more time is spent on it */
  }
  charge(pieces / 4);
  STR(s)->lineage = parts_end(&p, ids);
}

/* What is long is put together in pieces. Progress: the result; the string and its character where to go on; where the
   string begins in the result. */
static Value append_long(Total *t, int argc, Value *args) {
  Value *kept = progress(), s;
  int first = 0;
  uint32_t within = 0, at = 0;
  if (kept) {
    s = kept[0];
    first = (int)FIX_VALUE(kept[1]);
    within = (uint32_t)FIX_VALUE(kept[2]);
    at = (uint32_t)FIX_VALUE(kept[3]);
  } else {
    RESERVE(string_size(t->length, t->width));
    charge(argc / 4);
    s = string_make((uint32_t)t->length, t->width);
  }
  uint32_t to_width = STR_WIDTH(s);
  for (int k = first; k < argc; k++, within = 0) {
    uint32_t width = STR_WIDTH(args[k]), length = STR_LENGTH(args[k]);
    FOR_PARTS(i, part, within, length, 64, pause_keeping(4, s, FIX(k), FIX(i), FIX(at)))
      chars_copy(STR_DATA(s) + (size_t)(at + i) * to_width, to_width, STR_DATA(args[k]) + (size_t)i * width, width, part);
    at += length;
    if (k + 1 < argc && should_pause()) return pause_keeping(4, s, FIX(k + 1), FIX(0), FIX(at));
  }
  uint64_t cost = lineage_cost(&t->lineage);
  if (cost > HEAP_HEADROOM / 4 && !heap_reserve(cost)) {
    pause_keeping(4, s, FIX(argc), FIX(0), FIX(at));
    return need_memory(cost);
  }
  lineage_begin(&t->lineage);
  for (int k = 0; k < argc; k++) lineage_take(&t->lineage, args[k]);
  set_lineage(s, t, argc, args, V_NIL, V_FALSE);
  return s;
}

static Value append_strings(int argc, Value *args) {
  if (argc <= PLAIN_PIECES) {
    Value s = append_plain(argc, args);
    if (s != V_FALSE) return s;
  }
  Total t;
  total_start(&t);
  for (int i = 0; i < argc; i++) {
    CHECK_STRING(NULL, i);
    total_add(&t, args[i]);
  }
  if (t.length > LONG_PART) return append_long(&t, argc, args);
  RESERVE(total_size(&t));
  charge((int64_t)(t.length / 64) + argc / 4);
  Value s = total_begin(&t);
  uint64_t at = 0;
  for (int i = 0; i < argc; i++) put_piece(&t, s, &at, args[i]);
  set_lineage(s, &t, argc, args, V_NIL, V_FALSE);
  return s;
}

/* The strings of `list`, which is argument `argument`, with `first` strings before and `separator`
   (or #f) between them. Progress: the strings of the list that are still to be counted and how many were; what all
   of them need; then the result, how much of it is written, how much of the string under way, and whether the
   separator before it; then whether lineages are being gathered. Lineages seen are forgotten at every pause that
   there may be, in both passes alike, so that the second finds as many as the first. */
enum { JOIN_REST, JOIN_COUNT, JOIN_LENGTH, JOIN_WIDTH, JOIN_ONLY, JOIN_SEVERAL, JOIN_IDS, JOIN_GATHERED, JOIN_RESULT,
       JOIN_AT, JOIN_TORTOISE, JOIN_WITHIN, JOIN_SEPARATED, JOIN_TAKING, JOIN_SIZE };
typedef struct { Total t; Value rest, s, tortoise; uint64_t count, at; uint32_t within; bool separated, taking; } Joiner;
static Value join_pause(Joiner *j) {
  LineageSum *sum = &j->t.lineage;
  return pause_keeping(JOIN_SIZE, j->rest, FIX(j->count), FIX(j->t.length), FIX(j->t.width), sum->only, BOOL(sum->several),
                       FIX(sum->ids), sum->gathered, j->s, FIX(j->at), j->tortoise, FIX(j->within), BOOL(j->separated), BOOL(j->taking));
}
static void join_load(Joiner *j, Value *kept) {
  LineageSum *sum = &j->t.lineage;
  j->rest = kept[JOIN_REST];
  j->count = (uint64_t)FIX_VALUE(kept[JOIN_COUNT]);
  j->t.length = (uint64_t)FIX_VALUE(kept[JOIN_LENGTH]);
  j->t.width = (uint32_t)FIX_VALUE(kept[JOIN_WIDTH]);
  sum->only = kept[JOIN_ONLY];
  sum->several = TRUTH(kept[JOIN_SEVERAL]);
  sum->ids = (uint64_t)FIX_VALUE(kept[JOIN_IDS]);
  sum->gathered = kept[JOIN_GATHERED];
  j->s = kept[JOIN_RESULT];
  j->at = (uint64_t)FIX_VALUE(kept[JOIN_AT]);
  j->tortoise = kept[JOIN_TORTOISE];
  j->within = (uint32_t)FIX_VALUE(kept[JOIN_WITHIN]);
  j->separated = TRUTH(kept[JOIN_SEPARATED]);
  j->taking = TRUTH(kept[JOIN_TAKING]);
  memset(sum->seen, 0, sizeof sum->seen);
}
static bool join_round(Joiner *j) {
  if (++j->count % LONG_ROUND) return false;
  memset(j->t.lineage.seen, 0, sizeof j->t.lineage.seen);
  charge(LONG_ROUND / 8);
  return should_pause();
}

/* The string goes behind what is written; false where a long one pauses. */
enum { SHORT_PIECE = 64 };
static bool join_put(Joiner *j, Value piece) {
  uint32_t length = STR_LENGTH(piece), width = STR_WIDTH(j->s);
  if (length <= SHORT_PIECE) {
    chars_copy(STR_DATA(j->s) + j->at * width, width, STR_DATA(piece), STR_WIDTH(piece), length);
    j->at += length;
    return true;
  }
  if (!copied_in_parts(STR_DATA(j->s) + j->at * width, width, STR_DATA(piece), STR_WIDTH(piece), &j->within, length)) return false;
  j->within = 0;
  j->at += length;
  return true;
}

/* Short pieces of narrow characters, one after the other, as far as they come: all are narrow where the result is. True
   where it is time to pause. */
static bool join_short(Joiner *j, Value separator) {
  uint8_t *begin = STR_DATA(j->s), *to = begin + j->at;
  const uint8_t *last_few = last_few_of(j->s);
  bool paused = false;
  if (separator != V_FALSE && STR_LENGTH(separator) > SHORT_PIECE) return false;
  while (j->rest != V_NIL && !paused) {
    Value piece = CAR(j->rest);
    if (STR_LENGTH(piece) > SHORT_PIECE) break;
    if (separator != V_FALSE && j->count) to = put_narrow_piece(to, separator, last_few);
    to = put_narrow_piece(to, piece, last_few);
    j->rest = CDR(j->rest);
    paused = join_round(j);
  }
  j->at = (uint64_t)(to - begin);
  return paused;
}

/* The last pass, where there are several lineages: as the first went. */
static Value join_lineage(Joiner *j, int first, Value *args, Value list, Value separator) {
  if (j->t.lineage.several) {
    if (!j->taking) {
      j->taking = true;
      j->rest = list;
      j->count = 0;
      memset(j->t.lineage.seen, 0, sizeof j->t.lineage.seen);
      for (int i = 0; i < first; i++) lineage_take(&j->t.lineage, args[i]);
    }
    while (j->rest != V_NIL) {
      if (separator != V_FALSE && j->count) lineage_take(&j->t.lineage, separator);
      lineage_take(&j->t.lineage, CAR(j->rest));
      j->rest = CDR(j->rest);
      if (join_round(j) && j->rest != V_NIL) return join_pause(j);
    }
    uint64_t cost = lineage_cost(&j->t.lineage);
    if (cost > HEAP_HEADROOM / 4 && !heap_reserve(cost)) {
      join_pause(j);
      return need_memory(cost);
    }
  }
  charge((int64_t)(j->count % LONG_ROUND / 4));
  set_lineage(j->s, &j->t, first, args, list, separator);
  return j->s;
}

/* What is no list of strings: an error; or #f, where the caller has more to say about it. */
static Value join_list(int first, Value *args, int argument, Value separator, bool lenient) {
  Value list = args[argument], *kept = progress();
  if (!kept && !first) {
    Value s = join_plain(list, separator);
    if (s != V_FALSE) return s;
  }
  Joiner j;
  total_start(&j.t);
  j.rest = list;
  j.s = j.tortoise = V_FALSE;
  j.count = j.at = j.within = 0;
  j.separated = j.taking = false;
  if (kept) {
    join_load(&j, kept);
  } else {
    for (int i = 0; i < first; i++) {
      CHECK_STRING(NULL, i);
      total_add(&j.t, args[i]);
    }
  }
  if (j.s == V_FALSE) {
    while (is_pair(j.rest)) {
      if (!IS(CAR(j.rest), T_STRING) || j.rest == j.tortoise) return lenient ? V_FALSE : err_type(NULL, argument, "list of strings", list);
      if (j.count && (j.count & (j.count - 1)) == 0) j.tortoise = j.rest;      /* Brent looks for a circle */
      if (separator != V_FALSE && j.count) lineage_count(&j.t.lineage, separator);
      if (is_plain(CAR(j.rest))) j.t.length += STR_LENGTH(CAR(j.rest));
      else total_add(&j.t, CAR(j.rest));
      j.rest = CDR(j.rest);
      if (join_round(&j)) return join_pause(&j);
    }
    if (j.rest != V_NIL) return lenient ? V_FALSE : err_type(NULL, argument, "list of strings", list);
    uint64_t length = j.t.length;
    if (separator != V_FALSE && j.count > 1) {
      length += (uint64_t)STR_LENGTH(separator) * (j.count - 1);
      if (STR_WIDTH(separator) > j.t.width) j.t.width = STR_WIDTH(separator);
    }
    uint64_t size = string_size(length, j.t.width) + lineage_cost(&j.t.lineage);
    if (size > HEAP_HEADROOM / 4 && !heap_reserve(size)) {
      join_pause(&j);
      return need_memory(size);
    }
    j.t.length = length;
    j.s = total_begin(&j.t);
    j.rest = first ? FIX(0) : list;
    j.count = 0;
  }
  while (IS_FIX(j.rest)) {                /* which of the first strings is next */
    int64_t i = FIX_VALUE(j.rest);
    if (!join_put(&j, args[i])) return join_pause(&j);
    j.rest = i + 1 < first ? FIX(i + 1) : list;
    if (should_pause()) return join_pause(&j);
  }
  while (j.rest != V_NIL && !j.taking) {
    if (STR_WIDTH(j.s) == 1 && !j.separated && !j.within) {
      bool paused = join_short(&j, separator);
      if (j.rest == V_NIL) break;
      if (paused) return join_pause(&j);
    }
    if (separator != V_FALSE && j.count && !j.separated) {
      if (!join_put(&j, separator)) return join_pause(&j);
      j.separated = true;
    }
    bool is_long = STR_LENGTH(CAR(j.rest)) > SHORT_PIECE;
    if (!join_put(&j, CAR(j.rest))) return join_pause(&j);
    j.separated = false;
    j.rest = CDR(j.rest);
    if ((join_round(&j) || (is_long && should_pause())) && j.rest != V_NIL) return join_pause(&j);
  }
  return join_lineage(&j, first, args, list, separator);
}

static Value prim_string_append_star(int argc, Value *args) { return join_list(argc - 1, args, argc - 1, V_FALSE, false); }

static Value prim_string_join(int argc, Value *args) {
  Value separator = ARG_OR(1, V_FALSE);
  if (separator != V_FALSE) CHECK_STRING(NULL, 1);
  return join_list(0, args, 0, separator, false);
}

/* (string-join list [separator]) of a list of strings; the prelude does the rest. */
static Value prim_join_usual(int argc, Value *args) {
  static InPrelude otherwise = {"%string-join-otherwise", V_FALSE};
  static Value space = V_FALSE;
  if (argc == 1 && space == V_FALSE) {
    heap_root(&space);
    space = string_make(1, 1);
    string_put(space, 0, ' ');
    SET_FLAG(space, H_IMMUTABLE);
  }
  Value separator = argc == 1 ? space : args[1];
  if (argc > 2 || !IS(separator, T_STRING)) return leave_to(&otherwise, argc, args);
  Value joined = join_list(0, args, 0, separator, true);
  return joined == V_FALSE ? leave_to(&otherwise, argc, args) : joined;
}

static Value prim_string_repeat(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  if (!IS_FIX(args[1]) || FIX_VALUE(args[1]) < 0) return err_type(NULL, 1, "exact nonnegative integer", args[1]);
  uint64_t length = STR_LENGTH(args[0]), times = (uint64_t)FIX_VALUE(args[1]), total;
  uint32_t width = STR_WIDTH(args[0]);
  if (__builtin_mul_overflow(length, times, &total)) total = UINT64_MAX / 64;
  Value *kept = progress(), s = kept ? kept[0] : V_FALSE;
  uint64_t done = kept ? (uint64_t)FIX_VALUE(kept[1]) : 0;
  if (s == V_FALSE) {
    RESERVE(string_size(total, width));
    s = string_make((uint32_t)total, width);
  }
  while (done < total) {                  /* the string's parts, then what there is already, in growing pieces */
    uint64_t from = length ? done % length : 0, part = done < length ? length - from : done - from;
    if (part > LONG_PART) part = LONG_PART;
    if (part > total - done) part = total - done;
    memcpy(STR_DATA(s) + done * width, (done < length ? STR_DATA(args[0]) : STR_DATA(s)) + from * width, part * width);
    done += part;
    charge((int64_t)(part / 64));
    if (done < total && should_pause()) return pause_keeping(2, s, FIX((int64_t)done));
  }
  STR(s)->lineage = lineage_flat(STR(args[0])->lineage);
  return s;
}

/* ---- changing in place ---- */

/* Progress: that of the widening, then how many characters are copied. */
enum { COPYING_SIZE = 1 };
static bool is_copying(void) { return progress() && VEC_LENGTH(vm.resume) == COPYING_SIZE; }
static Value prim_string_copy_to(int argc, Value *args) {
  CHECK_MUTABLE_STRING(0);
  uint32_t at, room = STR_LENGTH(args[0]);
  CHECK_INDEX(NULL, 1, 0, room, args[0], at);
  CHECK_STRING(NULL, 2);
  RANGE(3, args[2], STR_LENGTH(args[2]), start, end);
  uint32_t count = end - start, width = STR_WIDTH(args[2]);
  if (count > room - at) return err_range(NULL, "end of the copy", (int64_t)at + count, 0, room, args[0]);
  if (STR_WIDTH(args[0]) < width && !is_copying()) {
    if (count <= LONG_PART) width = chars_width(STR_DATA(args[2]) + (size_t)start * width, width, count);
    TRY_LET(wide, widen_pausing(args[0], width));
  }
  width = STR_WIDTH(args[0]);
  uint32_t from_width = STR_WIDTH(args[2]);
  uint8_t *to = STR_DATA(args[0]) + (size_t)at * width;
  const uint8_t *from = STR_DATA(args[2]) + (size_t)start * from_width;
  bool backwards = args[0] == args[2] && at > start;       /* a part may lie over what is still to be copied */
  FOR_PARTS(i, part, is_copying() ? (uint32_t)FIX_VALUE(progress()[0]) : 0, count, 64, pause_keeping(COPYING_SIZE, FIX(i))) {
    uint32_t k = backwards ? count - i - part : i;
    chars_copy(to + (size_t)k * width, width, from + (size_t)k * from_width, from_width, part);
  }
  STR(args[0])->lineage = lineage_union(STR(args[0])->lineage, STR(args[2])->lineage);
  return V_VOID;
}

static Value prim_string_fill(int argc, Value *args) {
  CHECK_MUTABLE_STRING(0);
  CHECK_CHAR(NULL, 1);
  uint32_t length = STR_LENGTH(args[0]), c = CHAR_VALUE(args[1]);
  RANGE(2, args[0], length, start, end);
  TRY_LET(wide, widen_pausing(args[0], char_width(c)));
  uint32_t width = STR_WIDTH(args[0]);
  uint8_t *data = STR_DATA(args[0]);
  FOR_PARTS(i, part, is_copying() ? (uint32_t)FIX_VALUE(progress()[0]) : start, end, 64, pause_keeping(COPYING_SIZE, FIX(i)))
    chars_fill(data + (size_t)i * width, width, c, part);
  return V_VOID;
}

static Value prim_string_reverse(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  RANGE(1, args[0], STR_LENGTH(args[0]), start, end);
  Value *kept = progress(), s;
  if (!kept) {
    RESERVE(string_size(end - start, STR_WIDTH(args[0])));
    s = string_make(end - start, STR_WIDTH(args[0]));
  } else {
    s = kept[1];
  }
  FOR_PAUSING(i, kept ? (uint32_t)FIX_VALUE(kept[0]) : start, end, 8, pause_keeping(2, FIX(i), s))
    string_put(s, end - 1 - i, string_char(args[0], i));
  STR(s)->lineage = lineage_flat(STR(args[0])->lineage);
  return s;
}

/* ---- lists and vectors of characters ---- */

static Value prim_string_to_list(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  RANGE(1, args[0], STR_LENGTH(args[0]), start, end);
  Value *kept = progress(), list = kept ? kept[1] : V_NIL;
  /* i: how many from the end are in it. No reservation: the heap asks for a pause when it is short */
  FOR_PAUSING(i, kept ? (uint32_t)FIX_VALUE(kept[0]) : 0, end - start, 2, pause_keeping(2, FIX(i), list))
    list = cons(CHAR(string_char(args[0], end - 1 - i)), list);
  return list;
}

/* Progress: the rest of the list, how many were before, all of their bits; then the string, too. */
static Value prim_list_to_string(int argc, Value *args) {
  (void)argc;
  Value *kept = progress(), rest = args[0], s = V_FALSE, end;
  uint32_t count = 0, all = 0;
  if (kept && VEC_LENGTH(vm.resume) != LIST_WALK_SIZE) {
    rest = kept[0];
    count = (uint32_t)FIX_VALUE(kept[1]);
    all = (uint32_t)FIX_VALUE(kept[2]);
    s = kept[3];
  } else {
    int64_t pairs;
    TRY_LET(counted, list_walk_count(args[0], &vm.resume, &pairs, &end));
    (void)counted;
    if (pairs < 0 || end != V_NIL) return err_type(NULL, 0, "list of characters", args[0]);
  }
#define PAUSE() pause_keeping(LIST_WALK_SIZE + 1, rest, FIX(count), FIX(all), s, V_FALSE)
  if (s == V_FALSE) {
    for (; rest != V_NIL; rest = CDR(rest)) {
      if (!IS(CAR(rest), T_CHAR)) return err_type(NULL, 0, "character", CAR(rest));
      all |= CHAR_VALUE(CAR(rest));
      if (++count % LONG_ROUND) continue;
      charge(LONG_ROUND / 8);
      if (should_pause() && CDR(rest) != V_NIL) { rest = CDR(rest); return PAUSE(); }
    }
    uint64_t size = string_size(count, char_width(all));
    if (size > HEAP_HEADROOM / 4 && !heap_reserve(size)) {
      PAUSE();
      return need_memory(size);
    }
    s = string_make(count, char_width(all));
    rest = args[0];
    count = 0;
  }
  for (; rest != V_NIL; rest = CDR(rest)) {
    string_put(s, count, CHAR_VALUE(CAR(rest)));
    if (++count % LONG_ROUND) continue;
    charge(LONG_ROUND / 8);
    if (should_pause() && CDR(rest) != V_NIL) { rest = CDR(rest); return PAUSE(); }
  }
#undef PAUSE
  charge(count % LONG_ROUND / 4);
  return s;
}

static Value prim_string_to_vector(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  RANGE(1, args[0], STR_LENGTH(args[0]), start, end);
  Value *kept = progress(), v = kept ? kept[1] : V_FALSE;
  uint32_t at = kept ? (uint32_t)FIX_VALUE(kept[0]) : 0;
  if (!IS(v, T_VECTOR)) {
    if (end - start <= LONG_ROUND) v = make_vector(end - start, V_FALSE);
    else if (vector_filled(&v, &at, end - start, V_FALSE) == V_AGAIN) return v == V_FALSE ? V_AGAIN : pause_keeping(2, FIX(at), v);
    at = start;
  }
  FOR_PAUSING(i, at, end, 8, pause_keeping(2, FIX(i), v))
    VEC(v)[i - start] = CHAR(string_char(args[0], i));
  return v;
}

static Value prim_vector_to_string(int argc, Value *args) {
  CHECK_VECTOR(NULL, 0);
  RANGE(1, args[0], VEC_LENGTH(args[0]), start, end);
  Value *kept = progress(), s = kept ? kept[2] : V_FALSE;
  uint32_t all = kept ? (uint32_t)FIX_VALUE(kept[1]) : 0, at = kept ? (uint32_t)FIX_VALUE(kept[0]) : start;
  if (s == V_FALSE) {
    FOR_PAUSING(i, at, end, 16, pause_keeping(3, FIX(i), FIX(all), s)) {
      if (!IS(VEC(args[0])[i], T_CHAR)) return err_type(NULL, 0, "vector of characters", args[0]);
      all |= CHAR_VALUE(VEC(args[0])[i]);
    }
    uint64_t size = string_size(end - start, char_width(all));
    if (size > HEAP_HEADROOM / 4 && !heap_reserve(size)) {
      pause_keeping(3, FIX(end), FIX(all), s);
      return need_memory(size);
    }
    s = string_make(end - start, char_width(all));
    at = start;
  }
  FOR_PAUSING(i, at, end, 8, pause_keeping(3, FIX(i), FIX(all), s)) string_put(s, i - start, CHAR_VALUE(VEC(args[0])[i]));
  return s;
}

/* ---- comparisons: any number of strings, all of them checked ---- */

/* The order of two, in pieces where they are long: from the character at *at on; V_AGAIN where it pauses there. */
static Value ordered(Value a, Value b, uint32_t *at, int *order) {
  uint32_t la = STR_LENGTH(a), lb = STR_LENGTH(b), common = la < lb ? la : lb;
  const uint8_t *x = STR_DATA(a), *y = STR_DATA(b);
  uint32_t x_width = STR_WIDTH(a), y_width = STR_WIDTH(b);
  FOR_PARTS(i, part, *at, common, 64, (*at = i, V_AGAIN)) {
    uint32_t same = same_chars(x + (size_t)i * x_width, x_width, y + (size_t)i * y_width, y_width, part);
    if (same == part) continue;
    *order = string_char(a, i + same) < string_char(b, i + same) ? -1 : 1;
    return V_TRUE;
  }
  *order = la < lb ? -1 : la > lb;
  return V_TRUE;
}

/* Progress: which is compared with the one before it, and the character where to go on. */
#define COMPARISON(name, differ, op) \
  static Value name(int argc, Value *args) { \
    bool all = true; \
    Value *kept = progress(); \
    uint32_t at = kept ? (uint32_t)FIX_VALUE(kept[1]) : 0; \
    for (int i = 0; i < argc; i++) CHECK_STRING(NULL, i); \
    for (int i = kept ? (int)FIX_VALUE(kept[0]) : 1, order; i < argc && all; i++, at = 0) { \
      Value a = args[i - 1], b = args[i]; \
      if (a == b) order = 0; \
      else if (differ && STR_LENGTH(a) != STR_LENGTH(b)) order = 1; \
      else if (ordered(a, b, &at, &order) == V_AGAIN) return pause_keeping(2, FIX(i), FIX(at)); \
      all = order op 0; \
    } \
    return BOOL(all); \
  }
COMPARISON(prim_string_eq, true, ==)
COMPARISON(prim_string_lt, false, <)
COMPARISON(prim_string_gt, false, >)
COMPARISON(prim_string_le, false, <=)
COMPARISON(prim_string_ge, false, >=)

static Value prim_string_hash(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  uint64_t bound = (uint64_t)1 << 60;
  if (HAS_ARG(1)) {
    if (!IS_FIX(args[1]) || FIX_VALUE(args[1]) <= 0) return err_type(NULL, 1, "exact positive integer", args[1]);
    bound = (uint64_t)FIX_VALUE(args[1]);
  }
  charge(STR_LENGTH(args[0]) / 16 < HASH_WHOLE ? STR_LENGTH(args[0]) / 16 : HASH_WHOLE / 16);
  return FIX((int64_t)(string_hash(args[0]) % bound));
}

/* ---- lineage ---- */

static Value prim_lineage(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  Value ids = lineage_flat(STR(args[0])->lineage);
  return ids == V_FALSE ? V_NIL : ids;
}

/* (%keep-parts! on?) */
static Value prim_keep_parts(int argc, Value *args) {
  (void)argc;
  keep_parts = TRUTH(args[0]);
  return V_VOID;
}

/* (%string-parts string most): which parts of its first characters come from calls, as lists (start end id ...): the
   whole, where it was not put together, none where they were too many. */
static Value prim_parts(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  CHECK_FIX(NULL, 1);
  Value lineage = STR(args[0])->lineage, parts = V_NIL;
  int64_t end = STR_LENGTH(args[0]);
  if (end > FIX_VALUE(args[1])) end = FIX_VALUE(args[1]);
  if (lineage == V_FALSE || end <= 0) return V_NIL;
  if (!IS(lineage, T_VECTOR)) return cons(cons(FIX(0), cons(FIX(end), lineage)), V_NIL);
  Parts p = parts_of(lineage);
  RESERVE((uint64_t)p.count * 64 + 64);
  charge(p.count / 4);
  for (Value m = p.marks; m != V_NIL; m = CDR(m)) {
    Value start = CAR(CAR(m)), ids = CDR(CAR(m));
    if (FIX_VALUE(start) >= end) continue;
    if (ids != V_FALSE) parts = cons(cons(start, cons(FIX(end), ids)), parts);
    end = FIX_VALUE(start);
  }
  return parts;
}

static bool is_lineage(Value list) {
  int64_t before = FIX_MIN;
  for (; is_pair(list); list = CDR(list)) {
    if (!IS_FIX(CAR(list)) || FIX_VALUE(CAR(list)) <= before) return false;
    before = FIX_VALUE(CAR(list));
  }
  return list == V_NIL;
}

static Value prim_with_lineage(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  if (!is_lineage(args[1])) return err_type(NULL, 1, "ascending list of call ids", args[1]);
  Value lineage = args[1] == V_NIL ? V_FALSE : args[1];
  bool shared = OBJ_FLAGS(args[0]) & H_IMMUTABLE;   /* nobody can change the characters: no copy */
  uint64_t ids = lineage_length(lineage) + lineage_length(STR(args[0])->lineage);
  RESERVE(ids * 16 + 64);
  TRY_LET(s, shared ? string_around(STR(args[0])->chars, STR_LENGTH(args[0]), STR_WIDTH(args[0])) : whole_copy(args[0]));
  if (shared) SET_FLAG(s, H_IMMUTABLE);
  STR(s)->lineage = lineage_union(STR(args[0])->lineage, lineage);
  return s;
}

/* ---- Chibi's string cursors: here an index is one ---- */

static Value prim_is_cursor(int argc, Value *args) { (void)argc; return BOOL(IS_FIX(args[0]) && FIX_VALUE(args[0]) >= 0); }

static Value prim_cursor_start(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  return FIX(0);
}

static Value move_cursor(Value *args, int64_t by) {
  CHECK_STRING(NULL, 0);
  CHECK_FIX(NULL, 1);
  return FIX(FIX_VALUE(args[1]) + by);
}
static Value prim_cursor_next(int argc, Value *args) { (void)argc; return move_cursor(args, 1); }
static Value prim_cursor_prev(int argc, Value *args) { (void)argc; return move_cursor(args, -1); }
static Value prim_cursor_forward(int argc, Value *args) { (void)argc; CHECK_FIX(NULL, 2); return move_cursor(args, FIX_VALUE(args[2])); }
static Value prim_cursor_back(int argc, Value *args) { (void)argc; CHECK_FIX(NULL, 2); return move_cursor(args, -FIX_VALUE(args[2])); }
static Value prim_cursor_same(int argc, Value *args) { (void)argc; return move_cursor(args, 0); }

static Value prim_cursor_diff(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  CHECK_FIX(NULL, 1);
  CHECK_FIX(NULL, 2);
  return FIX(FIX_VALUE(args[2]) - FIX_VALUE(args[1]));
}

#define CURSOR_COMPARISON(name, op) \
  static Value name(int argc, Value *args) { \
    for (int i = 0; i < argc; i++) CHECK_FIX(NULL, i); \
    for (int i = 1; i < argc; i++) \
      if (!(FIX_VALUE(args[i - 1]) op FIX_VALUE(args[i]))) return V_FALSE; \
    return V_TRUE; \
  }
CURSOR_COMPARISON(prim_cursor_eq, ==)
CURSOR_COMPARISON(prim_cursor_lt, <)
CURSOR_COMPARISON(prim_cursor_gt, >)
CURSOR_COMPARISON(prim_cursor_le, <=)
CURSOR_COMPARISON(prim_cursor_ge, >=)

const PrimDef string_prims[] = {
  {"string?", prim_is_string, 1, 1, "(string? obj)"},
  {"string-length", prim_string_length, 1, 1, "(string-length string)"},
  {"string-ref", prim_string_ref, 2, 2, "(string-ref string k)"},
  {"string-set!", prim_string_set, 3, 3, "(string-set! string k char)"},
  {"make-string", prim_make_string, 1, 2, "(make-string k [char])"},
  {"string", prim_string, 0, -1, "(string char ...)"},
  {"substring", prim_substring, 2, 3, "(substring string start [end])"},
  {"string-copy", prim_substring, 1, 3, "(string-copy string [start end])"},
  {"string->immutable-string", prim_string_to_immutable, 1, 1, "(string->immutable-string string)"},
  {"string-null?", prim_string_is_null, 1, 1, "(string-null? string)"},
  {"non-empty-string?", prim_non_empty_string, 1, 1, "(non-empty-string? obj)"},
  {"string-append", append_strings, 0, -1, "(string-append string ...)"},
  {"string-append*", prim_string_append_star, 1, -1, "(string-append* string ... list)"},
  {"%string-concatenate", prim_string_append_star, 1, 1, "(%string-concatenate list)"},
  {"%string-join", prim_string_join, 1, 2, "(%string-join list [separator])"},
  {"string-join", prim_join_usual, 1, -1, "(string-join list [separator] [#:before-first first] [#:before-last before-last] [#:after-last last])"},
  {"%string-repeat", prim_string_repeat, 2, 2, "(%string-repeat string n)"},
  {"string-copy!", prim_string_copy_to, 3, 5, "(string-copy! to at from [start end])"},
  {"string-fill!", prim_string_fill, 2, 4, "(string-fill! string char [start end])"},
  {"string-reverse", prim_string_reverse, 1, 3, "(string-reverse string [start end])"},
  {"string->list", prim_string_to_list, 1, 3, "(string->list string [start end])"},
  {"list->string", prim_list_to_string, 1, 1, "(list->string list)"},
  {"string->vector", prim_string_to_vector, 1, 3, "(string->vector string [start end])"},
  {"vector->string", prim_vector_to_string, 1, 3, "(vector->string vector [start end])"},
  {"string=?", prim_string_eq, 1, -1, "(string=? string ...)"},
  {"string<?", prim_string_lt, 1, -1, "(string<? string ...)"},
  {"string>?", prim_string_gt, 1, -1, "(string>? string ...)"},
  {"string<=?", prim_string_le, 1, -1, "(string<=? string ...)"},
  {"string>=?", prim_string_ge, 1, -1, "(string>=? string ...)"},
  {"string-hash", prim_string_hash, 1, 2, "(string-hash string [bound])"},
  {"%string-lineage", prim_lineage, 1, 1, "(%string-lineage string)"},
  {"%keep-parts!", prim_keep_parts, 1, 1, NULL},
  {"%string-parts", prim_parts, 2, 2, NULL},
  {"%string-with-lineage", prim_with_lineage, 2, 2, "(%string-with-lineage string ids)"},
  {"string-cursor?", prim_is_cursor, 1, 1, "(string-cursor? obj)"},
  {"string-cursor-start", prim_cursor_start, 1, 1, "(string-cursor-start string)"},
  {"string-cursor-end", prim_string_length, 1, 1, "(string-cursor-end string)"},
  {"string-cursor-next", prim_cursor_next, 2, 2, "(string-cursor-next string cursor)"},
  {"string-cursor-prev", prim_cursor_prev, 2, 2, "(string-cursor-prev string cursor)"},
  {"string-cursor-forward", prim_cursor_forward, 3, 3, "(string-cursor-forward string cursor n)"},
  {"string-cursor-back", prim_cursor_back, 3, 3, "(string-cursor-back string cursor n)"},
  {"string-cursor-ref", prim_string_ref, 2, 2, "(string-cursor-ref string cursor)"},
  {"string-cursor-diff", prim_cursor_diff, 3, 3, "(string-cursor-diff string from to)"},
  {"string-cursor->index", prim_cursor_same, 2, 2, "(string-cursor->index string cursor)"},
  {"string-index->cursor", prim_cursor_same, 2, 2, "(string-index->cursor string k)"},
  {"string-cursor-offset", prim_cursor_same, 2, 2, "(string-cursor-offset string cursor)"},
  {"substring-cursor", prim_substring, 2, 3, "(substring-cursor string start [end])"},
  {"string-cursor=?", prim_cursor_eq, 2, -1, "(string-cursor=? a b ...)"},
  {"string-cursor<?", prim_cursor_lt, 2, -1, "(string-cursor<? a b ...)"},
  {"string-cursor>?", prim_cursor_gt, 2, -1, "(string-cursor>? a b ...)"},
  {"string-cursor<=?", prim_cursor_le, 2, -1, "(string-cursor<=? a b ...)"},
  {"string-cursor>=?", prim_cursor_ge, 2, -1, "(string-cursor>=? a b ...)"},
  {0},
};
