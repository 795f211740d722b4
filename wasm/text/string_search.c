/* string_search.c — finding, splitting, trimming and replacing literal text.
 *
 * The names with % are what the prelude's string-split, string-trim, string-replace ... come down to
 * where the pattern is a string; their rules for empty pieces are Racket's.
 */
#include "text/string_search.h"
#include "text/string.h"
#include "text/symbol.h"

/* ---- searching characters ---- */

WIDE_STEPS uint32_t chars_find(const uint8_t *data, uint32_t width, uint32_t start, uint32_t end, uint32_t c) {
  if (char_width(c) > width || start >= end) return end;
  if (width == 1) {
#ifdef __wasm__
    const v128_t many = wasm_u8x16_splat((uint8_t)c);
    for (; end - start >= 16; start += 16) {
      v128_t same = wasm_i8x16_eq(wasm_v128_load(data + start), many);
      if (wasm_v128_any_true(same)) return start + (uint32_t)__builtin_ctz(wasm_i8x16_bitmask(same));
    }
#endif
    /* eight at a time: the lowest byte of `word` that is zero is the first one of c */
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    for (uint64_t word; end - start >= 8; start += 8) {
      memcpy(&word, data + start, 8);
      word ^= ones * c;
      uint64_t zeros = (word - ones) & ~word & tops;
      if (zeros) return start + ((uint32_t)__builtin_ctzll(zeros) >> 3);
    }
    while (start < end && data[start] != c) start++;
    return start;
  }
  if (width == 2) {
    const uint16_t *chars = (const uint16_t *)data;
    const uint64_t ones = 0x0001000100010001u, tops = 0x8000800080008000u;
    for (uint64_t word; end - start >= 4; start += 4) {
      memcpy(&word, chars + start, 8);
      word ^= ones * c;
      if ((word - ones) & ~word & tops) break;
    }
    while (start < end && chars[start] != c) start++;
    return start;
  }
  const uint32_t *chars = (const uint32_t *)data;
  while (start < end && chars[start] != c) start++;
  return start;
}

typedef struct { const uint8_t *data; uint32_t width; } Chars;
static inline uint32_t at(Chars c, uint32_t i) { return chars_get(c.data, c.width, i); }

/* Two-way string matching (Crochemore and Perrin): linear time, constant space. */
static uint32_t maximal_suffix(Chars p, uint32_t count, bool reversed, uint32_t *period) {
  uint32_t suffix = UINT32_MAX, j = 0, k = 1;     /* UINT32_MAX is -1: arithmetic wraps */
  *period = 1;
  while (j + k < count) {
    uint32_t a = at(p, j + k), b = at(p, suffix + k);
    if (a == b) {
      if (k == *period) { j += *period; k = 1; }
      else k++;
    } else if (reversed ? a > b : a < b) {
      j += k;
      k = 1;
      *period = j - suffix;
    } else {
      suffix = j++;
      k = *period = 1;
    }
  }
  return suffix;
}

static uint32_t two_way(Chars text, uint32_t start, uint32_t end, Chars p, uint32_t count) {
  uint32_t period, other_period;
  uint32_t suffix = maximal_suffix(p, count, false, &period);
  uint32_t other = maximal_suffix(p, count, true, &other_period);
  if (other + 1 > suffix + 1) {
    suffix = other;
    period = other_period;
  }
  uint32_t cut = suffix + 1, memory = 0;
  bool periodic = cut + period <= count && chars_equal(p.data, p.width, p.data + (size_t)period * p.width, p.width, cut);
  if (!periodic) period = (cut > count - cut ? cut : count - cut) + 1;
  while ((uint64_t)start + count <= end) {
    uint32_t i = cut > memory ? cut : memory;
    while (i < count && at(p, i) == at(text, start + i)) i++;
    if (i < count) {
      start += i - cut + 1;
      memory = 0;
      continue;
    }
    i = cut;
    while (i > memory && at(p, i - 1) == at(text, start + i - 1)) i--;
    if (i <= memory) return start;
    start += period;
    memory = periodic ? count - period : 0;
  }
  return UINT32_MAX;
}

#ifdef __wasm__
/* The first place from `start` on, before `last`, where the pattern's first and last characters stand; sixteen at a time. What
   is read ends before the text does: the last few places are left to the caller. All of narrow characters. */
WIDE_STEPS static uint32_t find_ends(const uint8_t *data, uint32_t start, uint32_t last, uint8_t a, uint8_t b, uint32_t apart, bool *found) {
  const v128_t first = wasm_u8x16_splat(a), second = wasm_u8x16_splat(b);
  *found = true;
  for (; start + 16 <= last; start += 16) {
    v128_t both = wasm_v128_and(wasm_i8x16_eq(wasm_v128_load(data + start), first), wasm_i8x16_eq(wasm_v128_load(data + start + apart), second));
    if (wasm_v128_any_true(both)) return start + (uint32_t)__builtin_ctz(wasm_i8x16_bitmask(both));
  }
  *found = false;
  return start;
}
#endif

/* A plain scan for the first character, and for the last one with it; where too many candidates fail, two-way takes over. */
uint32_t chars_search(const uint8_t *data, uint32_t width, uint32_t start, uint32_t end,
                      const uint8_t *pattern, uint32_t pattern_width, uint32_t count) {
  uint32_t nowhere = end + 1;
  if (count == 0) return start;
  if (end - start < count) return nowhere;
  if (chars_width(pattern, pattern_width, count) > width) return nowhere;
  uint32_t first = chars_get(pattern, pattern_width, 0), last = end - count + 1;
  uint64_t wasted = 0;
  for (uint32_t i = start;; i++) {
#ifdef __wasm__
    bool found = false;
    if (width == 1 && count > 1) i = find_ends(data, i, last, (uint8_t)first, (uint8_t)chars_get(pattern, pattern_width, count - 1), count - 1, &found);
    if (!found)
#endif
      i = chars_find(data, width, i, last, first);
    if (i >= last) break;
    uint32_t n = 1;
    while (n < count && chars_get(data, width, i + n) == chars_get(pattern, pattern_width, n)) n++;
    if (n == count) return i;
    wasted += n;
    if (wasted > 64 && wasted > 2 * (uint64_t)(i - start)) {
      uint32_t found = two_way((Chars){data, width}, i + 1, end, (Chars){pattern, pattern_width}, count);
      return found == UINT32_MAX ? nowhere : found;
    }
  }
  return nowhere;
}

#define WINDOW 65536u
enum { LONG_PATTERN = 4096 };

/* A search that pauses, as numbers that are kept in raw storage. A pattern of usual length is looked for in window
   after window. Before a long one is looked for it is gone through itself, two times and a half: two-way matching
   step by step, from the first place on that looks promising. */
typedef struct {
  uint32_t phase, i, wasted;                     /* where the search, or the comparison, has come to */
  uint32_t suffix, j, k, period;                 /* maximal_suffix; then what it gave */
  uint32_t first_suffix, first_period;           /* of the usual order */
  uint32_t start, memory, periodic;
} Hunt;
enum { HUNT_SCAN, HUNT_SUFFIX, HUNT_REVERSED, HUNT_PERIOD, HUNT_RIGHT, HUNT_LEFT };
enum hunt { HUNT_FOUND, HUNT_NOWHERE, HUNT_PAUSED };
enum { HUNT_ROUND = 4096 };

static Value hunt_save(const Hunt *h) {
  Value raw = heap_raw(T_RAW, 0, sizeof *h);
  memcpy(RAW_BYTES(raw), h, sizeof *h);
  return raw;
}
static void hunt_load(Hunt *h, Value raw) { memcpy(h, RAW_BYTES(raw), sizeof *h); }
static inline void hunt_from(Hunt *h, uint32_t start) {  /* the rest is set by the phase that needs it */
  h->phase = HUNT_SCAN;
  h->i = h->start = start;
  h->wasted = 0;
}

/* So much of the budget of a phase is used: is it time to pause? */
#define HUNT_STEP(save) if (++steps == HUNT_ROUND) { steps = 0; charge(HUNT_ROUND / 16); if (should_pause()) { save; return HUNT_PAUSED; } }

static inline enum hunt hunt_short(Hunt *h, Chars text, uint32_t end, Chars p, uint32_t count, uint32_t *hit) {
  for (;;) {
    uint32_t to = end - h->i > WINDOW ? h->i + WINDOW : end;
    *hit = chars_search(text.data, text.width, h->i, to, p.data, p.width, count);
    if (*hit <= to) return HUNT_FOUND;
    if (to == end) return HUNT_NOWHERE;
    charge((to - h->i) / 16);
    h->i = to - (count ? count - 1 : 0);         /* it may begin in one and end in the next */
    if (should_pause()) return HUNT_PAUSED;
  }
}

/* The first place from h->i on where the pattern's beginning is, unless there are too many that only seem so. */
static enum hunt hunt_scan(Hunt *h, Chars text, uint32_t end, Chars p, uint32_t count) {
  uint32_t last = end - count + 1, first = at(p, 0), from = h->start;
  while (h->i < last) {
    uint32_t to = last - h->i > WINDOW ? h->i + WINDOW : last;
    uint32_t i = chars_find(text.data, text.width, h->i, to, first);
    charge((i - h->i) / 64);
    h->i = i;
    if (i < to) {
      if (h->wasted > WINDOW + 2 * (uint64_t)(i - from)) return HUNT_FOUND;
      if (chars_equal(text.data + (size_t)i * text.width, text.width, p.data, p.width, LONG_PATTERN)) return HUNT_FOUND;
      h->wasted += LONG_PATTERN / 8;
      charge(LONG_PATTERN / 64);
      h->i++;
    }
    if (should_pause()) return HUNT_PAUSED;
  }
  return HUNT_NOWHERE;
}

static enum hunt hunt_suffix(Hunt *h, Chars p, uint32_t count, bool reversed) {
  uint32_t suffix = h->suffix, j = h->j, k = h->k, period = h->period, steps = 0;
  while (j + k < count) {
    uint32_t a = at(p, j + k), b = at(p, suffix + k);
    if (a == b) {
      if (k == period) { j += period; k = 1; }
      else k++;
    } else if (reversed ? a > b : a < b) {
      j += k;
      k = 1;
      period = j - suffix;
    } else {
      suffix = j++;
      k = period = 1;
    }
    HUNT_STEP((h->suffix = suffix, h->j = j, h->k = k, h->period = period))
  }
  h->suffix = suffix;
  h->period = period;
  return HUNT_FOUND;
}
static void hunt_suffix_begins(Hunt *h) {
  h->suffix = UINT32_MAX;
  h->j = 0;
  h->k = h->period = 1;
}

static enum hunt hunt_long(Hunt *h, Chars text, uint32_t end, Chars p, uint32_t count, uint32_t *hit) {
  enum hunt how;
  uint32_t cut, steps = 0;
  if (h->phase == HUNT_SCAN) {
    if ((how = hunt_scan(h, text, end, p, count)) != HUNT_FOUND) return how;
    h->start = h->i;
    h->phase = HUNT_SUFFIX;
    hunt_suffix_begins(h);
  }
  if (h->phase == HUNT_SUFFIX) {
    if ((how = hunt_suffix(h, p, count, false)) != HUNT_FOUND) return how;
    h->first_suffix = h->suffix;
    h->first_period = h->period;
    h->phase = HUNT_REVERSED;
    hunt_suffix_begins(h);
  }
  if (h->phase == HUNT_REVERSED) {
    if ((how = hunt_suffix(h, p, count, true)) != HUNT_FOUND) return how;
    if (h->suffix + 1 <= h->first_suffix + 1) {
      h->suffix = h->first_suffix;
      h->period = h->first_period;
    }
    h->phase = HUNT_PERIOD;
    h->i = 0;
  }
  cut = h->suffix + 1;
  if (h->phase == HUNT_PERIOD) {                 /* are its first `cut` characters there again, a period later? */
    bool same = cut + h->period <= count;
    while (same && h->i < cut) {
      uint32_t part = cut - h->i < WINDOW ? cut - h->i : WINDOW;
      same = chars_equal(p.data + (size_t)h->i * p.width, p.width, p.data + (size_t)(h->period + h->i) * p.width, p.width, part);
      h->i += part;
      charge(part / 64);
      if (should_pause() && same && h->i < cut) return HUNT_PAUSED;
    }
    h->periodic = same;
    if (!same) h->period = (cut > count - cut ? cut : count - cut) + 1;
    h->memory = 0;
    h->i = cut;
    h->phase = HUNT_RIGHT;
  }
  while ((uint64_t)h->start + count <= end) {
    uint32_t i = h->i, start = h->start;
    if (h->phase == HUNT_RIGHT) {
      while (i < count && at(p, i) == at(text, start + i)) {
        i++;
        HUNT_STEP(h->i = i)
      }
      if (i < count) {
        h->start += i - cut + 1;
        h->memory = 0;
        h->i = cut;
        HUNT_STEP((void)0)
        continue;
      }
      h->phase = HUNT_LEFT;
      i = cut;
    }
    while (i > h->memory && at(p, i - 1) == at(text, start + i - 1)) {
      i--;
      HUNT_STEP(h->i = i)
    }
    if (i <= h->memory) {
      *hit = start;
      return HUNT_FOUND;
    }
    h->start += h->period;
    h->memory = h->periodic ? count - h->period : 0;
    h->i = cut > h->memory ? cut : h->memory;
    h->phase = HUNT_RIGHT;
    HUNT_STEP((void)0)
  }
  return HUNT_NOWHERE;
}

static enum hunt hunt_whole(Hunt *h, Chars text, uint32_t end, Chars p, uint32_t count, uint32_t *hit) {
  if (end - h->start < count) return HUNT_NOWHERE;
  bool fresh = h->phase == HUNT_SCAN && h->i == h->start && !h->wasted;
  if (fresh && p.width > text.width && chars_width(p.data, p.width, count) > text.width) return HUNT_NOWHERE;
  return hunt_long(h, text, end, p, count, hit);
}

/* Where `sub` is in [h, end) of s. */
static enum hunt hunt(Hunt *h, Value s, uint32_t end, Value sub, uint32_t *hit) {
  Chars text = {STR_DATA(s), STR_WIDTH(s)}, p = {STR_DATA(sub), STR_WIDTH(sub)};
  uint32_t count = STR_LENGTH(sub);
  if (count <= LONG_PATTERN) return hunt_short(h, text, end, p, count, hit);
  return hunt_whole(h, text, end, p, count, hit);
}

static Value prim_index_of(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  CHECK_STRING(NULL, 1);
  RANGE(2, args[0], STR_LENGTH(args[0]), start, end);
  Hunt h = {0};
  uint32_t found = 0;
  Value *kept = progress();
  if (kept) hunt_load(&h, kept[0]);
  else hunt_from(&h, start);
  enum hunt how = hunt(&h, args[0], end, args[1], &found);
  if (how == HUNT_PAUSED) return pause_keeping(1, hunt_save(&h));
  charge(((how == HUNT_FOUND ? found : end) - h.i) / 16);
  return how == HUNT_FOUND ? FIX(found) : V_FALSE;
}

static Value prim_last_index_of(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  CHECK_STRING(NULL, 1);
  RANGE(2, args[0], STR_LENGTH(args[0]), start, end);
  Value s = args[0], sub = args[1], *kept = progress();
  uint32_t count = STR_LENGTH(sub), width = STR_WIDTH(s);
  if (end - start < count) return V_FALSE;
  if (!count) return FIX(end);
  uint32_t first = string_char(sub, 0), tried = 0, i = kept ? (uint32_t)FIX_VALUE(kept[0]) : end - count + 1;
  while (i-- > start) {
    if (string_char(s, i) == first) {
      if (chars_equal(STR_DATA(s) + (size_t)i * width, width, STR_DATA(sub), STR_WIDTH(sub), count)) return FIX(i);
      charge(1 + count / 64);                            /* it may have been nearly all of it */
    }
    if (++tried % 16) continue;
    charge(1);
    if (should_pause() && i > start) return pause_keeping(1, FIX(i));
  }
  return V_FALSE;
}

static Value prim_contains(int argc, Value *args) {
  TRY_LET(found, prim_index_of(argc, args));
  return BOOL(found != V_FALSE);
}

static Value prim_string_contains(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  CHECK_STRING(NULL, 1);
  return prim_contains(argc, args);
}

static bool region_equal(Value s, uint32_t start, Value other) {
  return chars_equal(STR_DATA(s) + (size_t)start * STR_WIDTH(s), STR_WIDTH(s), STR_DATA(other), STR_WIDTH(other),
                     STR_LENGTH(other));
}

/* The same, in pieces. */
static Value is_region(Value s, uint32_t start, Value other) {
  const uint8_t *x = STR_DATA(s) + (size_t)start * STR_WIDTH(s), *y = STR_DATA(other);
  uint32_t x_width = STR_WIDTH(s), y_width = STR_WIDTH(other);
  FOR_PARTS(i, part, progress() ? (uint32_t)FIX_VALUE(progress()[0]) : 0, STR_LENGTH(other), 64, pause_keeping(1, FIX(i)))
    if (!chars_equal(x + (size_t)i * x_width, x_width, y + (size_t)i * y_width, y_width, part)) return V_FALSE;
  return V_TRUE;
}

static Value prim_is_prefix(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  CHECK_STRING(NULL, 1);
  return STR_LENGTH(args[1]) <= STR_LENGTH(args[0]) ? is_region(args[0], 0, args[1]) : V_FALSE;
}

static Value prim_is_suffix(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  CHECK_STRING(NULL, 1);
  uint32_t length = STR_LENGTH(args[0]), part = STR_LENGTH(args[1]);
  return part <= length ? is_region(args[0], length - part, args[1]) : V_FALSE;
}

static Value prim_prefix_length(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  CHECK_STRING(NULL, 1);
  uint32_t la = STR_LENGTH(args[0]), lb = STR_LENGTH(args[1]);
  FOR_PAUSING(n, progress() ? (uint32_t)FIX_VALUE(progress()[0]) : 0, la < lb ? la : lb, 8, pause_keeping(1, FIX(n)))
    if (string_char(args[0], n) != string_char(args[1], n)) return FIX(n);
  return FIX(la < lb ? la : lb);
}

static Value prim_suffix_length(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  CHECK_STRING(NULL, 1);
  uint32_t la = STR_LENGTH(args[0]), lb = STR_LENGTH(args[1]);
  FOR_PAUSING(n, progress() ? (uint32_t)FIX_VALUE(progress()[0]) : 0, la < lb ? la : lb, 8, pause_keeping(1, FIX(n)))
    if (string_char(args[0], la - 1 - n) != string_char(args[1], lb - 1 - n)) return FIX(n);
  return FIX(la < lb ? la : lb);
}

/* ---- sets of characters: a character, a string of characters, or #f for whitespace ---- */

static bool is_char_set(Value set) { return set == V_FALSE || IS(set, T_CHAR) || IS(set, T_STRING); }
#define CHECK_CHAR_SET(i) do { if (!is_char_set(args[i])) return err_type(NULL, i, "character or string of characters", args[i]); } while (0)

/* Space, tab, newline, page and return: what Racket's string-split, string-trim and \s take as white. */
static bool is_separating(uint32_t c) { return c == ' ' || (c >= 9 && c <= 13 && c != 11); }

static bool in_set(Value set, uint32_t c) {
  if (set == V_FALSE) return is_separating(c);
  if (IS(set, T_CHAR)) return c == CHAR_VALUE(set);
  uint32_t length = STR_LENGTH(set);
  return chars_find(STR_DATA(set), STR_WIDTH(set), 0, length, c) < length;
}

static uint32_t set_cost(Value set) { return set != V_FALSE && IS(set, T_STRING) ? 1 + STR_LENGTH(set) / 8 : 1; }

/* (%string-index-char s set [start end negated?]) */
static Value prim_index_char(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  CHECK_CHAR_SET(1);
  RANGE(2, args[0], STR_LENGTH(args[0]), start, end);
  bool negated = TRUTH(ARG_OR(4, V_FALSE));
  Value *kept = progress();
  uint32_t i = kept ? (uint32_t)FIX_VALUE(kept[0]) : start, cost = set_cost(args[1]);
  if (IS(args[1], T_CHAR) && !negated) {
    FOR_PARTS(at, part, i, end, 32, pause_keeping(1, FIX(at))) {
      i = chars_find(STR_DATA(args[0]), STR_WIDTH(args[0]), at, at + part, CHAR_VALUE(args[1]));
      if (i < at + part) break;
    }
  } else {
    for (uint32_t n = 1; i < end && in_set(args[1], string_char(args[0], i)) == negated; i++, n++) {
      if (n % 8) continue;
      charge(cost);
      if (should_pause()) return pause_keeping(1, FIX(i + 1));
    }
  }
  return i < end ? FIX(i) : V_FALSE;
}

static Value prim_count_char(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  CHECK_CHAR_SET(1);
  RANGE(2, args[0], STR_LENGTH(args[0]), start, end);
  Value *kept = progress();
  uint32_t count = kept ? (uint32_t)FIX_VALUE(kept[1]) : 0, i = kept ? (uint32_t)FIX_VALUE(kept[0]) : start, cost = set_cost(args[1]);
  for (uint32_t n = 1; i < end; i++, n++) {
    count += in_set(args[1], string_char(args[0], i));
    if (n % 8) continue;
    charge(cost);
    if (should_pause()) return pause_keeping(2, FIX(i + 1), FIX(count));
  }
  return FIX(count);
}

/* ---- replacing ---- */

typedef struct { Value s; uint64_t at; } Output;

static void put_range(Output *out, Value from, uint32_t start, uint32_t end) {
  uint32_t width = STR_WIDTH(out->s);
  chars_copy(STR_DATA(out->s) + out->at * width, width, STR_DATA(from) + (size_t)start * STR_WIDTH(from), STR_WIDTH(from),
             end - start);
  out->at += end - start;
}

/* An empty pattern is found before every character and at the end, as by Racket's regexp-replace*:
   (string-replace "ab" "" "-") is "-a-b-". */
static enum hunt next_hit(Hunt *h, Value s, Value from, uint32_t at, uint32_t *hit) {
  uint32_t length = STR_LENGTH(s);
  *hit = at;
  if (at > length) return HUNT_NOWHERE;
  return STR_LENGTH(from) ? hunt(h, s, length, from, hit) : HUNT_FOUND;
}

/* [start, end) of a string behind what is written from there on. False: it pauses. How much there is says out->at. */
static bool put_rest(Output *out, uint64_t begun, Value from, uint32_t start, uint32_t end) {
  uint32_t i = start + (uint32_t)(out->at - begun);
  while (i < end) {
    uint32_t part = end - i < LONG_PART ? end - i : LONG_PART;
    put_range(out, from, i, i + part);
    charge(part / 64);
    i += part;
    if (i < end && should_pause()) return false;
  }
  return true;
}

/* (%string-replace s from to [all?]). Progress: how many hits there are, where the pass has come to; the result and
   how much of it is written; the search for the next hit; where the piece before it begins in the result. */
enum { R_HITS, R_AT, R_RESULT, R_WRITTEN, R_HUNT, R_BEGUN, R_SIZE };
static Value prim_replace(int argc, Value *args) {
  for (int i = 0; i < 3; i++) CHECK_STRING(NULL, i);
  Value s = args[0], from = args[1], to = args[2], *kept = progress();
  bool all = TRUTH(ARG_OR(3, V_TRUE));
  uint32_t length = STR_LENGTH(s), step = STR_LENGTH(from) ? STR_LENGTH(from) : 1, at = 0, hit;
  uint64_t hits = 0;
  int64_t begun = -1;         /* where in the result the piece that is under way begins; -1: none is */
  Output out = {V_FALSE, 0};
  Hunt h = {0};
  enum hunt how = HUNT_NOWHERE;
  hunt_from(&h, 0);
  if (kept) {
    hits = (uint64_t)FIX_VALUE(kept[R_HITS]);
    at = (uint32_t)FIX_VALUE(kept[R_AT]);
    out = (Output){kept[R_RESULT], (uint64_t)FIX_VALUE(kept[R_WRITTEN])};
    hunt_load(&h, kept[R_HUNT]);
    begun = FIX_VALUE(kept[R_BEGUN]);
  }
#define PAUSE() pause_keeping(R_SIZE, FIX(hits), FIX(at), out.s, FIX(out.at), hunt_save(&h), FIX(begun))
  if (out.s == V_FALSE) {
    while ((all || !hits) && (how = next_hit(&h, s, from, at, &hit)) == HUNT_FOUND) {
      hits++;
      charge(1 + (hit - at) / 32);
      at = hit + step;
      hunt_from(&h, at);
      if (should_pause()) return PAUSE();
    }
    if (how == HUNT_PAUSED) return PAUSE();
    if (!hits) {
      charge((length - at) / 32);
      return s;
    }
    LineageSum sum;
    lineage_start(&sum);
    lineage_count(&sum, s);
    lineage_count(&sum, to);
    uint32_t width = STR_WIDTH(s) > STR_WIDTH(to) ? STR_WIDTH(s) : STR_WIDTH(to);
    uint64_t total = length - hits * STR_LENGTH(from) + hits * STR_LENGTH(to), size = string_size(total, width) + lineage_cost(&sum);
    if (size > HEAP_HEADROOM / 4 && !heap_reserve(size)) {
      PAUSE();
      return need_memory(size);
    }
    out.s = string_make((uint32_t)total, width);
    STR(out.s)->lineage = lineage_union(STR(s)->lineage, STR(to)->lineage);
    at = 0;
    hunt_from(&h, 0);
  }
  while (hits && (how = next_hit(&h, s, from, at, &hit)) == HUNT_FOUND) {
    /* what is long goes in pieces: then the hit is looked for again, from where it is */
    uint64_t piece = (uint64_t)(hit - at) + STR_LENGTH(to);
    if (begun < 0) begun = (int64_t)out.at;
    if (piece > LONG_PART) {
      hunt_from(&h, hit);
      if (out.at < (uint64_t)begun + (hit - at) && !put_rest(&out, (uint64_t)begun, s, at, hit)) return PAUSE();
      if (!put_rest(&out, (uint64_t)begun + (hit - at), to, 0, STR_LENGTH(to))) return PAUSE();
    } else {
      put_range(&out, s, at, hit);
      put_range(&out, to, 0, STR_LENGTH(to));
    }
    begun = -1;
    if (!STR_LENGTH(from) && hit < length) put_range(&out, s, hit, hit + 1);
    hits--;
    charge(1 + (hit - at) / 32);
    at = hit + step;
    hunt_from(&h, at);
    if (should_pause()) return PAUSE();
  }
  if (hits && how == HUNT_PAUSED) return PAUSE();
  if (at < length && !put_rest(&out, STR_LENGTH(out.s) - (length - at), s, at, length)) return PAUSE();
#undef PAUSE
  return out.s;
}

/* ---- trimming: [*start, *end) shrinks ---- */

/* How far the separator (a string, #f: whitespace) reaches from `start` on: once, or as often as it comes. */
static uint32_t skip_forward(Value s, Value sep, uint32_t start, uint32_t end, bool repeat) {
  if (sep == V_FALSE) {
    while (start < end && is_separating(string_char(s, start))) start++;
    return start;
  }
  uint32_t size = STR_LENGTH(sep);
  while (size && end - start >= size && region_equal(s, start, sep)) {
    start += size;
    if (!repeat) break;
  }
  return start;
}

static uint32_t skip_back_to(Value s, Value sep, uint32_t start, uint32_t end, bool repeat) {
  if (sep == V_FALSE) {
    while (end > start && is_separating(string_char(s, end - 1))) end--;
    return end;
  }
  uint32_t size = STR_LENGTH(sep);
  while (size && end - start >= size && region_equal(s, end - size, sep)) {
    end -= size;
    if (!repeat) break;
  }
  return end;
}

/* How long `skip_forward` and `skip_back_to` go on in one piece. */
#define SKIP_ROUND 8192u

/* As Racket does it: both ends are looked for in the whole string; where they overlap nothing is left. Gives V_VOID, or
   V_AGAIN where it pauses; then its progress has TRIM_SIZE parts. */
enum { TRIM_LEFT, TRIM_START, TRIM_END, TRIM_SIZE };
static bool trimming(void) { return progress() && VEC_LENGTH(vm.resume) == TRIM_SIZE; }
static Value trim(Value s, Value sep, bool left, bool right, bool repeat, uint32_t *start, uint32_t *end) {
  uint32_t length = STR_LENGTH(s);
  if (length <= SKIP_ROUND) {
    *start = left ? skip_forward(s, sep, 0, length, repeat) : 0;
    *end = right ? skip_back_to(s, sep, 0, length, repeat) : length;
    if (*end < *start) *end = *start;
    charge((length - (*end - *start)) / 8);
    return V_VOID;
  }
  uint32_t size = sep == V_FALSE ? 1 : STR_LENGTH(sep), round = size < SKIP_ROUND ? SKIP_ROUND : size;
  *start = 0;
  *end = length;
  if (trimming()) {
    Value *kept = progress();
    left = TRUTH(kept[TRIM_LEFT]);
    *start = (uint32_t)FIX_VALUE(kept[TRIM_START]);
    *end = (uint32_t)FIX_VALUE(kept[TRIM_END]);
  }
  while (left) {
    uint32_t to = length - *start > round ? *start + round : length, from = *start;
    *start = skip_forward(s, sep, from, to, repeat);
    charge((*start - from) / 8);
    /* what is left of the piece is shorter than a separator: on with the next */
    left = to < length && *start > from && to - *start < size && (repeat || sep == V_FALSE);
    if (left && should_pause()) return pause_keeping(TRIM_SIZE, V_TRUE, FIX(*start), FIX(*end));
  }
  while (right) {
    uint32_t from = *end > round ? *end - round : 0, before = *end;
    *end = skip_back_to(s, sep, from, before, repeat);
    charge((before - *end) / 8);
    right = from > 0 && *end < before && *end - from < size && (repeat || sep == V_FALSE);
    if (right && should_pause()) return pause_keeping(TRIM_SIZE, V_FALSE, FIX(*start), FIX(*end));
  }
  if (*end < *start) *end = *start;
  return V_VOID;
}

static Value whole_or_part(Value s, uint32_t start, uint32_t end) {
  if (start == 0 && end == STR_LENGTH(s)) return s;
  vm.resume = V_FALSE;
  return string_cut(&vm.resume, s, start, end);
}

#define CHECK_SEPARATOR(i) do { if (args[i] != V_FALSE) CHECK_STRING(NULL, i); } while (0)

/* (%string-trim s separator-or-#f left? right? repeat?) */
static Value prim_trim(int argc, Value *args) {
  GO_ON_CUTTING();
  CHECK_STRING(NULL, 0);
  Value sep = ARG_OR(1, V_FALSE);
  if (argc > 1) CHECK_SEPARATOR(1);
  uint32_t start, end;
  TRY_LET(trimmed, trim(args[0], sep, TRUTH(ARG_OR(2, V_TRUE)), TRUTH(ARG_OR(3, V_TRUE)), TRUTH(ARG_OR(4, V_FALSE)), &start, &end));
  return whole_or_part(args[0], start, end);
}

/* ---- splitting ---- */

/* How a text is cut: at white space, at a string, at the ends of lines, or into its characters. */
enum cut { AT_SPACE, AT_STRING, AT_LINE_ENDS, AT_CHARACTERS };
typedef struct {
  Value s, sep;
  enum cut cut;
  bool repeat;
  uint32_t start, end;    /* what is cut */
  uint32_t piece, at;     /* where the next piece begins; how far it was looked for its end */
  uint32_t stop, after;   /* its end, once it is known, and how far the separators behind it were skipped */
  Hunt hunt;
  List list;
  Value cutting;          /* the copy of a long piece that is under way */
} Splitter;
enum { NO_STOP = UINT32_MAX };

static bool ends_piece(const Splitter *p, uint32_t c) {
  return p->cut == AT_SPACE ? is_separating(c) : c == '\n' || c == '\r';
}

/* Looks for the end of the next piece, p->stop; false where the text's end comes first.
   *paused: the search itself is long, and it is time to pause. */
static bool find_stop(Splitter *p, bool *paused) {
  if (p->cut == AT_STRING) {
    if (STR_LENGTH(p->sep) == 1 && p->end - p->hunt.i <= WINDOW) {     /* nearly all that there are */
      p->stop = chars_find(STR_DATA(p->s), STR_WIDTH(p->s), p->hunt.i, p->end, string_char(p->sep, 0));
      if (p->stop < p->end) return true;
      p->stop = NO_STOP;
      return false;
    }
    if (STR_LENGTH(p->sep) <= LONG_PATTERN && p->end - p->hunt.i <= WINDOW) {
      p->stop = chars_search(STR_DATA(p->s), STR_WIDTH(p->s), p->hunt.i, p->end, STR_DATA(p->sep), STR_WIDTH(p->sep), STR_LENGTH(p->sep));
      if (p->stop <= p->end) return true;
      p->stop = NO_STOP;
      return false;
    }
    enum hunt how = hunt(&p->hunt, p->s, p->end, p->sep, &p->stop);
    *paused = how == HUNT_PAUSED;
    if (how == HUNT_FOUND) return true;
    p->stop = NO_STOP;
    return false;
  }
  uint32_t i = p->at > p->piece ? p->at : p->piece;
  for (uint32_t n = 1; i < p->end && !ends_piece(p, string_char(p->s, i)); i++, n++) {
    if (n % LONG_ROUND) continue;
    charge(LONG_ROUND / 16);
    if (should_pause()) {
      p->at = i + 1;
      *paused = true;
      return false;
    }
  }
  if (i == p->end) return false;
  p->stop = i;
  return true;
}

/* The end of the next piece, and where the one after it begins; false where there is none, or *paused. */
static bool next_separator(Splitter *p, bool *paused) {
  *paused = false;
  if (p->stop == NO_STOP) {
    if (!find_stop(p, paused)) return false;
    p->after = p->cut == AT_STRING ? p->stop + STR_LENGTH(p->sep) : p->stop + 1;
    if (p->cut == AT_LINE_ENDS && p->after < p->end && string_char(p->s, p->stop) == '\r' && string_char(p->s, p->after) == '\n')
      p->after++;
  }
  if (p->cut == AT_LINE_ENDS || (p->cut == AT_STRING && !p->repeat)) return true;
  if (p->cut == AT_SPACE && (p->after == p->end || !is_separating(string_char(p->s, p->after)))) return true;
  Value sep = p->cut == AT_SPACE ? V_FALSE : p->sep;
  uint32_t size = sep == V_FALSE ? 1 : STR_LENGTH(sep), round = size < SKIP_ROUND ? SKIP_ROUND : size;
  for (;;) {                                     /* of separators in a row none is between two pieces */
    uint32_t from = p->after, to = p->end - from > round ? from + round : p->end;
    p->after = skip_forward(p->s, sep, from, to, true);
    if (to == p->end || p->after == from || to - p->after >= size) return true;
    charge((p->after - from) / 8);
    if (should_pause()) {
      *paused = true;
      return false;
    }
  }
}

enum { SPLIT_PIECE, SPLIT_AT, SPLIT_START, SPLIT_END, SPLIT_FIRST, SPLIT_LAST, SPLIT_STOP, SPLIT_AFTER, SPLIT_HUNT, SPLIT_CUTTING, SPLIT_SIZE };
static Value splitter_pause(Splitter *p) {
  return pause_keeping(SPLIT_SIZE, FIX(p->piece), FIX(p->at), FIX(p->start), FIX(p->end), p->list.head, p->list.last,
                       FIX(p->stop), FIX(p->after), hunt_save(&p->hunt), p->cutting);
}
static void splitter_load(Splitter *p, Value *kept) {
  p->piece = (uint32_t)FIX_VALUE(kept[SPLIT_PIECE]);
  p->at = (uint32_t)FIX_VALUE(kept[SPLIT_AT]);
  p->start = (uint32_t)FIX_VALUE(kept[SPLIT_START]);
  p->end = (uint32_t)FIX_VALUE(kept[SPLIT_END]);
  p->list = (List){kept[SPLIT_FIRST], kept[SPLIT_LAST]};
  p->stop = (uint32_t)FIX_VALUE(kept[SPLIT_STOP]);
  p->after = (uint32_t)FIX_VALUE(kept[SPLIT_AFTER]);
  hunt_load(&p->hunt, kept[SPLIT_HUNT]);
  p->cutting = kept[SPLIT_CUTTING];
}

static void splitter_init(Splitter *p, Value s, Value sep, bool repeat) {
  p->s = s;
  p->sep = sep;
  p->cut = sep == V_FALSE ? AT_SPACE : STR_LENGTH(sep) ? AT_STRING : AT_CHARACTERS;
  p->repeat = repeat;
  p->start = p->piece = p->at = p->after = 0;
  p->end = STR_LENGTH(s);
  p->stop = NO_STOP;
  list_start(&p->list);
  p->cutting = V_FALSE;
  hunt_from(&p->hunt, 0);
}

/* The usual case: narrow characters without a lineage, short pieces between white space or a separator of one character.
   It goes as far as it can. */
static bool is_plain_split(const Splitter *p) {
  bool simple = p->cut == AT_SPACE || (p->cut == AT_STRING && STR_LENGTH(p->sep) == 1 && char_width(string_char(p->sep, 0)) == 1);
  return simple && STR_WIDTH(p->s) == 1 && STR(p->s)->lineage == V_FALSE;
}

/* A short piece and its pair lie side by side and are made in one step; what is copied with it is written over, or
   is room that nobody reads. */
static inline void add_plain(List *list, const uint8_t *from, uint32_t count) {
#ifndef RLM_DEBUG                       /* which counts allocations */
  if (count <= FEW && may_read_few(from) && (uint32_t)(heap_bump_end - heap_bump) >= narrow_bytes(FEW) + 16) {
    Value s = narrow_in_room(count);
    memcpy(STR_DATA(s), from, FEW);
    list_add_pair(list, pair_in_room(s, V_NIL));
    return;
  }
#endif
  list_add(list, string_from_chars(from, 1, count));
}

#ifdef __wasm__
WIDE_STEPS static inline uint32_t marks(const uint8_t *at, bool at_space, v128_t c) {
  v128_t here = wasm_v128_load(at);
  if (!at_space) return wasm_i8x16_bitmask(wasm_i8x16_eq(here, c));
  v128_t blank = wasm_i8x16_eq(here, wasm_i8x16_splat(' '));
  v128_t control = wasm_u8x16_lt(wasm_i8x16_sub(here, wasm_i8x16_splat(9)), wasm_i8x16_splat(5));
  return wasm_i8x16_bitmask(wasm_v128_or(blank, wasm_v128_andnot(control, wasm_i8x16_eq(here, wasm_i8x16_splat(11)))));
}
#endif
static inline bool ends_plain(uint32_t c, bool at_space, uint32_t separator) {
  return at_space ? is_separating(c) : c == separator;
}

/* What separates is looked for sixteen characters at a time, and then taken one by one: pieces are mostly shorter. True: it is
   done. Else p->piece is behind all separators that come in a row. */
WIDE_STEPS static inline bool split_plain_at(Splitter *p, bool at_space, uint32_t separator, bool repeat) {
  const uint8_t *data = STR_DATA(p->s);
  uint32_t piece = p->piece, end = p->end, at = piece;
  List list = p->list;
#ifdef __wasm__
  v128_t c = wasm_u8x16_splat((uint8_t)separator);
#endif
  for (;;) {
    uint32_t limit = end - piece > SKIP_ROUND ? piece + SKIP_ROUND : end;
#ifdef __wasm__
    uint32_t found = 0;
    for (; at + 16 <= limit && !(found = marks(data + at, at_space, c)); at += 16) {}
    bool any = found;
    while (found) {
      uint32_t stop = at + (uint32_t)__builtin_ctz(found), after = stop + 1;
      if (repeat && after < end && ends_plain(data[after], at_space, separator)) break;
      if (should_pause()) goto out;
      add_plain(&list, data + piece, stop - piece);
      charge(1 + (stop - piece) / 16);
      piece = after;
      found &= found - 1;
    }
    if (any && !found) {
      at += 16;
      continue;
    }
#endif
    if (at < piece) at = piece;
    while (at < limit && !ends_plain(data[at], at_space, separator)) at++;
    if (at == end && !should_pause()) {
      add_plain(&list, data + piece, end - piece);
      charge(1 + (end - piece) / 16);
      p->list = list;
      return true;
    }
    if (at == limit || should_pause()) break;
    uint32_t after = at + 1;
    if (repeat) {
      limit = end - after > SKIP_ROUND ? after + SKIP_ROUND : end;
      while (after < limit && ends_plain(data[after], at_space, separator)) after++;
      if (after == limit && after < end) break;
    }
    add_plain(&list, data + piece, at - piece);
    charge(1 + (at - piece) / 16);
    piece = at = after;
  }
#ifdef __wasm__
out:
#endif
  p->list = list;
  p->piece = p->at = piece;
  return false;
}
static bool split_plain(Splitter *p) {
  if (p->cut == AT_SPACE) return split_plain_at(p, true, ' ', true);
  bool done = split_plain_at(p, false, string_char(p->sep, 0), p->repeat);
  hunt_from(&p->hunt, p->piece);
  return done;
}

static Value split(Splitter *p) {
  bool plain = is_plain_split(p);
  for (bool more = true; more;) {
    if (plain && p->stop == NO_STOP && p->cutting == V_FALSE && split_plain(p)) return p->list.head;
    uint32_t stop = p->end, after = p->end;
    if (p->cut == AT_CHARACTERS) {
      stop = after = p->piece + 1;
      more = p->piece < p->end;
      if (!more) break;
    } else {
      bool paused;
      more = next_separator(p, &paused);
      if (paused) return splitter_pause(p);
      if (more) {
        stop = p->stop;
        after = p->after;
      }
      if (p->cut == AT_LINE_ENDS && p->piece == p->end) break;    /* a line's end ends a line: it does not separate two */
    }
    bool is_long = stop - p->piece > LONG_PART;
    uint64_t size = string_size(stop - p->piece, STR_WIDTH(p->s));
    if (!is_long && size > HEAP_HEADROOM / 4 && !heap_reserve(size)) {
      splitter_pause(p);
      return need_memory(size);
    }
    Value piece = !is_long ? string_substring(p->s, p->piece, stop)
                  : p->cutting != V_FALSE ? cut_go_on(&p->cutting) : string_cut(&p->cutting, p->s, p->piece, stop);
    if (piece == V_AGAIN) return splitter_pause(p);          /* what it needs memory for is said already */
    list_add(&p->list, piece);
    charge(1 + (is_long ? 0 : (stop - p->piece) / 16));
    p->piece = p->at = after;
    p->stop = NO_STOP;
    hunt_from(&p->hunt, after);
    if (more && should_pause()) return splitter_pause(p);
  }
  return p->list.head;
}

/* (%string-split s separator-or-#f trim? repeat?) */
static Value prim_split(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  if (argc > 1) CHECK_SEPARATOR(1);
  Splitter p;
  splitter_init(&p, args[0], ARG_OR(1, V_FALSE), TRUTH(ARG_OR(3, V_FALSE)));
  Value *kept = progress();
  if (kept && !trimming()) {
    splitter_load(&p, kept);
  } else {
    if (TRUTH(ARG_OR(2, V_TRUE))) {
      TRY_LET(trimmed, trim(p.s, p.sep, true, true, p.repeat, &p.start, &p.end));
      vm.resume = V_FALSE;
    }
    if (p.start == p.end) return V_NIL;
    p.piece = p.start;
    hunt_from(&p.hunt, p.piece);
    /* Racket splits at an empty separator before, between and after all characters */
    if (p.cut == AT_CHARACTERS) list_add(&p.list, string_make(0, 1));
  }
  Value list = split(&p);
  if (list != V_AGAIN && p.cut == AT_CHARACTERS) list_add(&p.list, string_make(0, 1));
  return list;
}

/* (string-split s [separator]): by white space, or by a character of its own where nothing more is to be said about it. The
   prelude does the rest: another kind of separator, one with a backslash, which may be meant as a pattern, lines that
   end with a return, options. */
static bool is_usual_split(Value s, Value separator) {
  if (!IS(separator, T_STRING) || STR_LENGTH(separator) != 1) return false;
  uint32_t c = string_char(separator, 0);
  if (c == '\\') return false;
  if (c != '\n') return true;
  uint32_t width = STR_WIDTH(s), length = STR_LENGTH(s), limit = length < SKIP_ROUND ? length : SKIP_ROUND, start = 0;
  while (start < limit && string_char(s, start) == '\n') start++;
  uint32_t stop = chars_find(STR_DATA(s), width, start, limit, '\n');
  return !(stop == limit && limit < length) && !(stop > start && string_char(s, stop - 1) == '\r');
}
/* A short plain text, trimmed without a trimming that may pause: false where it is another one. */
static bool begin_short(Splitter *p, Value s, Value separator) {
  if (vm.resume != V_FALSE || STR_LENGTH(s) > SKIP_ROUND) return false;
  bool at_space = separator == V_FALSE;
  splitter_init(p, s, separator, at_space);
  if (!is_plain_split(p)) return false;
  const uint8_t *data = STR_DATA(s);
  uint32_t c = at_space ? ' ' : string_char(separator, 0), start = 0, length = p->end, end = length;
  while (start < length && ends_plain(data[start], at_space, c) && (at_space || !start)) start++;
  while (end && ends_plain(data[end - 1], at_space, c) && (at_space || end == length)) end--;
  if (end < start) end = start;
  charge((length - (end - start)) / 8);
  p->start = p->piece = p->at = start;
  p->end = end;
  hunt_from(&p->hunt, start);
  return true;
}
static Value split_usual(Value s, Value separator) {
  Splitter p;
  if (begin_short(&p, s, separator)) return p.start == p.end ? V_NIL : split(&p);
  Value all[4] = {s, separator, V_TRUE, BOOL(separator == V_FALSE)};
  return prim_split(4, all);
}
static Value prim_split_usual(int argc, Value *args) {
  static InPrelude otherwise = {"%string-split-otherwise", V_FALSE};
  if (IS(args[0], T_STRING) && argc == 1) return split_usual(args[0], V_FALSE);
  if (IS(args[0], T_STRING) && argc == 2 && is_usual_split(args[0], args[1])) return split_usual(args[0], args[1]);
  return leave_to(&otherwise, argc, args);
}

/* (string-trim s), (string-replace s from to) of strings: the rest is the prelude's. */
static Value prim_trim_usual(int argc, Value *args) {
  static InPrelude otherwise = {"%string-trim-otherwise", V_FALSE};
  if (argc > 1 || !IS(args[0], T_STRING)) return leave_to(&otherwise, argc, args);
  Value by_space[5] = {args[0], V_FALSE, V_TRUE, V_TRUE, V_FALSE};
  return prim_trim(5, by_space);
}
static Value prim_replace_usual(int argc, Value *args) {
  static InPrelude otherwise = {"%string-replace-otherwise", V_FALSE};
  bool usual = argc == 3 && IS(args[0], T_STRING) && IS(args[1], T_STRING) && IS(args[2], T_STRING) &&
               STR_LENGTH(args[1]) <= LONG_PATTERN &&
               chars_find(STR_DATA(args[1]), STR_WIDTH(args[1]), 0, STR_LENGTH(args[1]), '\\') == STR_LENGTH(args[1]);
  return usual ? prim_replace(3, args) : leave_to(&otherwise, argc, args);
}

/* (%string-normalize-spaces s): words with one space between */
static Value prim_normalize_spaces(int argc, Value *args) {
  (void)argc;
  GO_ON_CUTTING();
  CHECK_STRING(NULL, 0);
  Value s = args[0], all, *kept = progress();
  uint32_t start, end, i, length;
  if (kept && !trimming()) {
    i = (uint32_t)FIX_VALUE(kept[0]);
    end = (uint32_t)FIX_VALUE(kept[1]);
    length = (uint32_t)FIX_VALUE(kept[2]);
    all = kept[3];
  } else {
    TRY_LET(trimmed, trim(s, V_FALSE, true, true, true, &start, &end));
    RESERVE(2 * string_size(end - start, STR_WIDTH(s)));
    vm.resume = V_FALSE;
    all = string_make(end - start, STR_WIDTH(s));
    STR(all)->lineage = lineage_flat(STR(s)->lineage);
    i = start;
    length = 0;
  }
  bool spaced = length && string_char(all, length - 1) == ' ';
  for (uint32_t n = 1; i < end; n++, i++) {
    bool space = is_separating(string_char(s, i));
    if (!space || !spaced) string_put(all, length++, space ? ' ' : string_char(s, i));
    spaced = space;
    if (n % LONG_ROUND) continue;
    charge(LONG_ROUND / 8);
    if (should_pause()) return pause_keeping(4, FIX(i + 1), FIX(end), FIX(length), all);
  }
  if (length == STR_LENGTH(all)) return all;
  vm.resume = V_FALSE;
  return string_cut(&vm.resume, all, 0, length);
}

/* (%string-lines s): cut at \n, \r\n and \r, which end a line rather than separating two */
static Value prim_lines(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  Splitter p;
  splitter_init(&p, args[0], V_FALSE, false);
  p.cut = AT_LINE_ENDS;
  Value *kept = progress();
  if (kept) splitter_load(&p, kept);
  return split(&p);
}

/* ---- padding: cuts on the same side where the string is longer ---- */

static Value pad(int argc, Value *args, bool left) {
  GO_ON_CUTTING();
  CHECK_STRING(NULL, 0);
  if (!IS_FIX(args[1]) || FIX_VALUE(args[1]) < 0) return err_type(NULL, 1, "exact nonnegative integer", args[1]);
  if (HAS_ARG(2)) CHECK_CHAR(NULL, 2);
  Value s = args[0];
  uint32_t c = HAS_ARG(2) ? CHAR_VALUE(args[2]) : ' ', length = STR_LENGTH(s);
  uint64_t wanted = (uint64_t)FIX_VALUE(args[1]);
  if (wanted <= length) {
    uint32_t n = (uint32_t)wanted;
    return left ? whole_or_part(s, length - n, length) : whole_or_part(s, 0, n);
  }
  uint32_t width = char_width(c) > STR_WIDTH(s) ? char_width(c) : STR_WIDTH(s);
  Value *kept = progress(), padded = kept ? kept[0] : V_FALSE;
  uint32_t at = kept ? (uint32_t)FIX_VALUE(kept[1]) : 0, more = (uint32_t)wanted - length;
  if (padded == V_FALSE) {
    RESERVE(string_size(wanted, width));
    padded = string_make((uint32_t)wanted, width);
  }
  uint8_t *text = STR_DATA(padded) + (left ? (size_t)more * width : 0);
  uint8_t *rest = STR_DATA(padded) + (left ? 0 : (size_t)length * width);
  FOR_PARTS(i, part, at, length, 64, pause_keeping(2, padded, FIX(i)))
    chars_copy(text + (size_t)i * width, width, STR_DATA(s) + (size_t)i * STR_WIDTH(s), STR_WIDTH(s), part);
  FOR_PARTS(i, part, at > length ? at - length : 0, more, 64, pause_keeping(2, padded, FIX(length + i)))
    chars_fill(rest + (size_t)i * width, width, c, part);
  STR(padded)->lineage = lineage_flat(STR(s)->lineage);
  return padded;
}
static Value prim_pad_left(int argc, Value *args) { return pad(argc, args, true); }
static Value prim_pad_right(int argc, Value *args) { return pad(argc, args, false); }

const PrimDef string_search_prims[] = {
  {"string-contains?", prim_string_contains, 2, 2, "(string-contains? string contained)"},
  {"string-prefix?", prim_is_prefix, 2, 2, "(string-prefix? string prefix)"},
  {"string-suffix?", prim_is_suffix, 2, 2, "(string-suffix? string suffix)"},
  {"%string-index-of", prim_index_of, 2, 4, "(%string-index-of string sub [start end])"},
  {"%string-last-index-of", prim_last_index_of, 2, 4, "(%string-last-index-of string sub [start end])"},
  {"%string-index-char", prim_index_char, 2, 5, "(%string-index-char string set [start end negated?])"},
  {"%string-count-char", prim_count_char, 2, 4, "(%string-count-char string set [start end])"},
  {"%string-prefix-length", prim_prefix_length, 2, 2, "(%string-prefix-length a b)"},
  {"%string-suffix-length", prim_suffix_length, 2, 2, "(%string-suffix-length a b)"},
  {"%string-replace", prim_replace, 3, 4, "(%string-replace string from to [all?])"},
  {"%string-trim", prim_trim, 1, 5, "(%string-trim string [separator left? right? repeat?])"},
  {"string-split", prim_split_usual, 1, -1, "(string-split string [separator] [#:trim? trim?] [#:repeat? repeat?])"},
  {"string-trim", prim_trim_usual, 1, -1, "(string-trim string [separator] [#:left? left?] [#:right? right?] [#:repeat? repeat?])"},
  {"string-replace", prim_replace_usual, 3, -1, "(string-replace string from to [#:all? all?])"},
  {"%string-split", prim_split, 1, 4, "(%string-split string [separator trim? repeat?])"},
  {"%string-normalize-spaces", prim_normalize_spaces, 1, 1, "(%string-normalize-spaces string)"},
  {"%string-lines", prim_lines, 1, 1, "(%string-lines string)"},
  {"%string-pad-left", prim_pad_left, 2, 3, "(%string-pad-left string width [char])"},
  {"%string-pad-right", prim_pad_right, 2, 3, "(%string-pad-right string width [char])"},
  {0},
};
