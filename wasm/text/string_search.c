/* string_search.c — finding, splitting, trimming and replacing literal text.
 *
 * The names with % are what the prelude's string-split, string-trim, string-replace ... come down to
 * where the pattern is a string; their rules for empty pieces are Racket's.
 */
#include "text/string_search.h"
#include "text/string.h"

/* ---- searching characters ---- */

uint32_t chars_find(const uint8_t *data, uint32_t width, uint32_t start, uint32_t end, uint32_t c) {
  if (char_width(c) > width || start >= end) return end;
  if (width == 1) {
    /* eight at a time: a byte of `word` that is zero is one of c */
    const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
    for (uint64_t word; end - start >= 8; start += 8) {
      memcpy(&word, data + start, 8);
      word ^= ones * c;
      if ((word - ones) & ~word & tops) break;
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

/* A plain scan for the first character; where too many candidates fail, two-way takes over. */
uint32_t chars_search(const uint8_t *data, uint32_t width, uint32_t start, uint32_t end,
                      const uint8_t *pattern, uint32_t pattern_width, uint32_t count) {
  uint32_t nowhere = end + 1;
  if (count == 0) return start;
  if (end - start < count) return nowhere;
  if (chars_width(pattern, pattern_width, count) > width) return nowhere;
  uint32_t first = chars_get(pattern, pattern_width, 0), last = end - count + 1;
  uint64_t wasted = 0;
  for (uint32_t i = start; (i = chars_find(data, width, i, last, first)) < last; i++) {
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

static uint32_t search(Value s, uint32_t start, uint32_t end, Value sub) {
  return chars_search(STR_DATA(s), STR_WIDTH(s), start, end, STR_DATA(sub), STR_WIDTH(sub), STR_LENGTH(sub));
}

#define WINDOW 65536u

static Value prim_index_of(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  CHECK_STRING(NULL, 1);
  RANGE(2, args[0], STR_LENGTH(args[0]), start, end);
  uint32_t count = STR_LENGTH(args[1]), at = start;
  Value *kept = progress();
  if (kept) at = (uint32_t)FIX_VALUE(kept[0]);
  /* Stretch by stretch, each so long that looking at the pattern first is little beside it. */
  uint64_t stretch = WINDOW + 4 * (uint64_t)count;
  for (;;) {
    uint32_t to = end - at > stretch ? (uint32_t)(at + stretch) : end;
    uint32_t found = search(args[0], at, to, args[1]);
    charge((to - at) / 16);
    if (found <= to) return FIX(found);
    if (to == end) return V_FALSE;
    at = to - (count ? count - 1 : 0);                   /* it may begin in one and end in the next */
    if (should_pause()) return pause_keeping(1, FIX(at));
  }
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

static Value prim_is_prefix(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  CHECK_STRING(NULL, 1);
  return BOOL(STR_LENGTH(args[1]) <= STR_LENGTH(args[0]) && region_equal(args[0], 0, args[1]));
}

static Value prim_is_suffix(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  CHECK_STRING(NULL, 1);
  uint32_t length = STR_LENGTH(args[0]), part = STR_LENGTH(args[1]);
  return BOOL(part <= length && region_equal(args[0], length - part, args[1]));
}

static Value prim_prefix_length(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  CHECK_STRING(NULL, 1);
  uint32_t la = STR_LENGTH(args[0]), lb = STR_LENGTH(args[1]), n = 0;
  while (n < la && n < lb && string_char(args[0], n) == string_char(args[1], n)) n++;
  charge(n / 8);
  return FIX(n);
}

static Value prim_suffix_length(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  CHECK_STRING(NULL, 1);
  uint32_t la = STR_LENGTH(args[0]), lb = STR_LENGTH(args[1]), n = 0;
  while (n < la && n < lb && string_char(args[0], la - 1 - n) == string_char(args[1], lb - 1 - n)) n++;
  charge(n / 8);
  return FIX(n);
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
    i = chars_find(STR_DATA(args[0]), STR_WIDTH(args[0]), start, end, CHAR_VALUE(args[1]));
    charge((i - start) / 32);
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
static bool next_hit(Value s, Value from, uint32_t at, uint32_t *hit) {
  uint32_t length = STR_LENGTH(s);
  *hit = STR_LENGTH(from) ? search(s, at, length, from) : at;
  return at <= length && *hit <= length;
}

/* (%string-replace s from to [all?]). Progress: how many hits there are, where the pass has come to; then the
   result and how much of it is written. */
enum { R_HITS, R_AT, R_RESULT, R_WRITTEN, R_SIZE };
static Value prim_replace(int argc, Value *args) {
  for (int i = 0; i < 3; i++) CHECK_STRING(NULL, i);
  Value s = args[0], from = args[1], to = args[2], *kept = progress();
  bool all = TRUTH(ARG_OR(3, V_TRUE));
  uint32_t length = STR_LENGTH(s), step = STR_LENGTH(from) ? STR_LENGTH(from) : 1, at = 0, hit;
  uint64_t hits = 0;
  Output out = {V_FALSE, 0};
  if (kept) {
    hits = (uint64_t)FIX_VALUE(kept[R_HITS]);
    at = (uint32_t)FIX_VALUE(kept[R_AT]);
    out = (Output){kept[R_RESULT], (uint64_t)FIX_VALUE(kept[R_WRITTEN])};
  }
#define PAUSE() pause_keeping(R_SIZE, FIX(hits), FIX(at), out.s, FIX(out.at))
  if (out.s == V_FALSE) {
    while ((all || !hits) && next_hit(s, from, at, &hit)) {
      hits++;
      charge(1 + (hit - at) / 32);
      at = hit + step;
      if (should_pause()) return PAUSE();
    }
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
  }
  while (hits && next_hit(s, from, at, &hit)) {
    put_range(&out, s, at, hit);
    put_range(&out, to, 0, STR_LENGTH(to));
    if (!STR_LENGTH(from) && hit < length) put_range(&out, s, hit, hit + 1);
    hits--;
    charge(1 + (hit - at) / 32 + STR_LENGTH(to) / 64);
    at = hit + step;
    if (should_pause()) return PAUSE();
  }
#undef PAUSE
  if (at < length) put_range(&out, s, at, length);
  charge(at < length ? (length - at) / 64 : 0);
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

static uint32_t skip_back(Value s, Value sep, uint32_t start, uint32_t end, bool repeat) {
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

/* As Racket does it: both ends are looked for in the whole string; where they overlap nothing is left. */
static void trim(Value s, Value sep, bool left, bool right, bool repeat, uint32_t *start, uint32_t *end) {
  uint32_t length = STR_LENGTH(s);
  *start = left ? skip_forward(s, sep, 0, length, repeat) : 0;
  *end = right ? skip_back(s, sep, 0, length, repeat) : length;
  if (*end < *start) *end = *start;
}

static Value whole_or_part(Value s, uint32_t start, uint32_t end) {
  if (start == 0 && end == STR_LENGTH(s)) return s;
  RESERVE(string_size(end - start, STR_WIDTH(s)));
  charge((end - start) / 64);
  return string_substring(s, start, end);
}

#define CHECK_SEPARATOR(i) do { if (args[i] != V_FALSE) CHECK_STRING(NULL, i); } while (0)

/* (%string-trim s separator-or-#f left? right? repeat?) */
static Value prim_trim(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  Value sep = ARG_OR(1, V_FALSE);
  if (argc > 1) CHECK_SEPARATOR(1);
  uint32_t start, end;
  trim(args[0], sep, TRUTH(ARG_OR(2, V_TRUE)), TRUTH(ARG_OR(3, V_TRUE)), TRUTH(ARG_OR(4, V_FALSE)), &start, &end);
  charge((STR_LENGTH(args[0]) - (end - start)) / 8);
  return whole_or_part(args[0], start, end);
}

/* ---- splitting ---- */

/* A list that grows at its end. */
typedef struct { Value first, last; } List;
static void list_add(List *list, Value item) {
  Value pair = cons(item, V_NIL);
  if (list->first == V_NIL) list->first = pair;
  else CDR(list->last) = pair;
  list->last = pair;
}

/* How a text is cut: at white space, at a string, at the ends of lines, or into its characters. */
enum cut { AT_SPACE, AT_STRING, AT_LINE_ENDS, AT_CHARACTERS };
typedef struct {
  Value s, sep;
  enum cut cut;
  bool repeat;
  uint32_t start, end;    /* what is cut */
  uint32_t piece, at;     /* where the next piece begins; how far it was looked for its end */
  List list;
} Splitter;

static bool ends_piece(const Splitter *p, uint32_t c) {
  return p->cut == AT_SPACE ? is_separating(c) : c == '\n' || c == '\r';
}

/* The end of the next piece, and where the one after it begins; false where the text's end comes first.
   *paused: the search itself is long, and it is time to pause. */
static bool next_separator(Splitter *p, uint32_t *stop, uint32_t *after, bool *paused) {
  *paused = false;
  if (p->cut == AT_STRING) {
    *stop = search(p->s, p->piece, p->end, p->sep);
    if (*stop > p->end) return false;
    *after = p->repeat ? skip_forward(p->s, p->sep, *stop, p->end, true) : *stop + STR_LENGTH(p->sep);
    return true;
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
  *stop = i;
  if (i == p->end) return false;
  if (p->cut == AT_SPACE) {
    *after = skip_forward(p->s, V_FALSE, i, p->end, true);
  } else {
    *after = i + 1;
    if (*after < p->end && string_char(p->s, i) == '\r' && string_char(p->s, *after) == '\n') ++*after;
  }
  return true;
}

enum { SPLIT_PIECE, SPLIT_AT, SPLIT_START, SPLIT_END, SPLIT_FIRST, SPLIT_LAST, SPLIT_SIZE };
static Value splitter_pause(Splitter *p) {
  return pause_keeping(SPLIT_SIZE, FIX(p->piece), FIX(p->at), FIX(p->start), FIX(p->end), p->list.first, p->list.last);
}
static void splitter_load(Splitter *p, Value *kept) {
  p->piece = (uint32_t)FIX_VALUE(kept[SPLIT_PIECE]);
  p->at = (uint32_t)FIX_VALUE(kept[SPLIT_AT]);
  p->start = (uint32_t)FIX_VALUE(kept[SPLIT_START]);
  p->end = (uint32_t)FIX_VALUE(kept[SPLIT_END]);
  p->list = (List){kept[SPLIT_FIRST], kept[SPLIT_LAST]};
}

static Value split(Splitter *p) {
  for (bool more = true; more;) {
    uint32_t stop = p->end, after = p->end;
    if (p->cut == AT_CHARACTERS) {
      stop = after = p->piece + 1;
      more = p->piece < p->end;
      if (!more) break;
    } else {
      bool paused;
      more = next_separator(p, &stop, &after, &paused);
      if (paused) return splitter_pause(p);
      if (!more) stop = p->end;
      if (p->cut == AT_LINE_ENDS && p->piece == p->end) break;    /* a line's end ends a line: it does not separate two */
    }
    uint64_t size = string_size(stop - p->piece, STR_WIDTH(p->s));
    if (size > HEAP_HEADROOM / 4 && !heap_reserve(size)) {
      splitter_pause(p);
      return need_memory(size);
    }
    list_add(&p->list, string_substring(p->s, p->piece, stop));
    charge(1 + (stop - p->piece) / 16);
    p->piece = p->at = after;
    if (more && should_pause()) return splitter_pause(p);
  }
  return p->list.first;
}

/* (%string-split s separator-or-#f trim? repeat?) */
static Value prim_split(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  Splitter p = {.s = args[0], .sep = ARG_OR(1, V_FALSE), .list = {V_NIL, V_NIL}, .repeat = TRUTH(ARG_OR(3, V_FALSE))};
  if (argc > 1) CHECK_SEPARATOR(1);
  p.cut = p.sep == V_FALSE ? AT_SPACE : STR_LENGTH(p.sep) ? AT_STRING : AT_CHARACTERS;
  Value *kept = progress();
  if (kept) {
    splitter_load(&p, kept);
  } else {
    p.end = STR_LENGTH(p.s);
    if (TRUTH(ARG_OR(2, V_TRUE))) trim(p.s, p.sep, true, true, p.repeat, &p.start, &p.end);
    if (p.start == p.end) return V_NIL;
    p.piece = p.start;
    /* Racket splits at an empty separator before, between and after all characters */
    if (p.cut == AT_CHARACTERS) list_add(&p.list, string_make(0, 1));
  }
  Value list = split(&p);
  if (list != V_AGAIN && p.cut == AT_CHARACTERS) list_add(&p.list, string_make(0, 1));
  return list;
}

/* (%string-normalize-spaces s): words with one space between */
static Value prim_normalize_spaces(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  Value s = args[0], all, *kept = progress();
  uint32_t start, end, i, length;
  if (kept) {
    i = (uint32_t)FIX_VALUE(kept[0]);
    end = (uint32_t)FIX_VALUE(kept[1]);
    length = (uint32_t)FIX_VALUE(kept[2]);
    all = kept[3];
  } else {
    trim(s, V_FALSE, true, true, true, &start, &end);
    charge((STR_LENGTH(s) - (end - start)) / 16);
    RESERVE(2 * string_size(end - start, STR_WIDTH(s)));
    all = string_make(end - start, STR_WIDTH(s));
    STR(all)->lineage = STR(s)->lineage;
    i = start;
    length = 0;
  }
  for (uint32_t n = 1; i < end; n++) {
    bool space = is_separating(string_char(s, i));
    string_put(all, length++, space ? ' ' : string_char(s, i));
    uint32_t from = i++;
    if (space) i = skip_forward(s, V_FALSE, i, end, true);
    charge((i - from) / 16);
    if (n % LONG_ROUND) continue;
    charge(LONG_ROUND / 8);
    if (should_pause()) return pause_keeping(4, FIX(i), FIX(end), FIX(length), all);
  }
  if (length == STR_LENGTH(all)) return all;
  uint64_t size = string_size(length, STR_WIDTH(all));
  if (size > HEAP_HEADROOM / 4 && !heap_reserve(size)) {
    pause_keeping(4, FIX(i), FIX(end), FIX(length), all);
    return need_memory(size);
  }
  return string_substring(all, 0, length);
}

/* (%string-lines s): cut at \n, \r\n and \r, which end a line rather than separating two */
static Value prim_lines(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  Splitter p = {.s = args[0], .cut = AT_LINE_ENDS, .list = {V_NIL, V_NIL}, .end = STR_LENGTH(args[0])};
  Value *kept = progress();
  if (kept) splitter_load(&p, kept);
  return split(&p);
}

/* ---- padding: cuts on the same side where the string is longer ---- */

static Value pad(int argc, Value *args, bool left) {
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
  RESERVE(string_size(wanted, width));
  charge((int64_t)(wanted / 64));
  uint32_t more = (uint32_t)wanted - length;
  Output out = {string_make((uint32_t)wanted, width), left ? more : 0};
  put_range(&out, s, 0, length);
  chars_fill(STR_DATA(out.s) + (left ? 0 : (size_t)length * width), width, c, more);
  STR(out.s)->lineage = STR(s)->lineage;
  return out.s;
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
  {"%string-split", prim_split, 1, 4, "(%string-split string [separator trim? repeat?])"},
  {"%string-normalize-spaces", prim_normalize_spaces, 1, 1, "(%string-normalize-spaces string)"},
  {"%string-lines", prim_lines, 1, 1, "(%string-lines string)"},
  {"%string-pad-left", prim_pad_left, 2, 3, "(%string-pad-left string width [char])"},
  {"%string-pad-right", prim_pad_right, 2, 3, "(%string-pad-right string width [char])"},
  {0},
};
