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

static Value index_or_false(uint32_t i, uint32_t end) { return i > end ? V_FALSE : FIX(i); }

static Value prim_index_of(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  CHECK_STRING(NULL, 1);
  RANGE(2, args[0], STR_LENGTH(args[0]), start, end);
  charge((end - start) / 32);
  return index_or_false(search(args[0], start, end, args[1]), end);
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

static Value prim_contains(int argc, Value *args) { return BOOL(prim_index_of(argc, args) != V_FALSE); }

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

/* Calls body with `hit` at each non-overlapping occurrence of sub (which is not empty). */
#define FOR_EACH_HIT(s, sub, from, to, hit) \
  for (uint32_t hit = search(s, from, to, sub); hit <= (to); hit = search(s, hit + STR_LENGTH(sub), to, sub))

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
static Value replace_nothing(Value s, Value to, bool all) {
  uint32_t length = STR_LENGTH(s);
  uint64_t times = all ? (uint64_t)length + 1 : 1;
  uint32_t width = STR_WIDTH(s) > STR_WIDTH(to) ? STR_WIDTH(s) : STR_WIDTH(to);
  uint64_t total = length + times * STR_LENGTH(to);
  RESERVE(string_size(total, width));
  charge((int64_t)(total / 8));
  Output out = {string_make((uint32_t)total, width), 0};
  for (uint32_t i = 0; i <= length; i++) {
    if (i < times) put_range(&out, to, 0, STR_LENGTH(to));
    if (i < length) put_range(&out, s, i, i + 1);
  }
  return out.s;
}

static Value replace_hits(Value s, Value from, Value to, uint64_t hits) {
  uint32_t length = STR_LENGTH(s), done = 0;
  uint32_t width = STR_WIDTH(s) > STR_WIDTH(to) ? STR_WIDTH(s) : STR_WIDTH(to);
  uint64_t total = length - hits * STR_LENGTH(from) + hits * STR_LENGTH(to);
  RESERVE(string_size(total, width));
  charge((int64_t)(total / 32));
  Output out = {string_make((uint32_t)total, width), 0};
  FOR_EACH_HIT(s, from, 0, length, hit) {
    put_range(&out, s, done, hit);
    put_range(&out, to, 0, STR_LENGTH(to));
    done = hit + STR_LENGTH(from);
    if (--hits == 0) break;
  }
  put_range(&out, s, done, length);
  return out.s;
}

/* (%string-replace s from to [all?]) */
static Value prim_replace(int argc, Value *args) {
  for (int i = 0; i < 3; i++) CHECK_STRING(NULL, i);
  Value s = args[0], from = args[1], to = args[2], result;
  bool all = TRUTH(ARG_OR(3, V_TRUE));
  uint64_t hits = 0;
  uint32_t length = STR_LENGTH(s);
  LineageSum sum = {0};
  lineage_count(&sum, s);
  lineage_count(&sum, to);
  RESERVE(lineage_cost(&sum));
  charge(length / 32);
  if (STR_LENGTH(from) == 0) {
    result = replace_nothing(s, to, all);
  } else {
    FOR_EACH_HIT(s, from, 0, length, hit) {
      hits++;
      if (!all) break;
    }
    if (!hits) return s;
    result = replace_hits(s, from, to, hits);
  }
  if (!IS_SIGNAL(result)) STR(result)->lineage = lineage_union(STR(s)->lineage, STR(to)->lineage);
  return result;
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

/* The next separator at or after `from`: false where there is none. */
static bool next_separator(Value s, Value sep, uint32_t from, uint32_t end, bool repeat, uint32_t *start, uint32_t *after) {
  if (sep == V_FALSE) {
    uint32_t i = from;
    while (i < end && !is_separating(string_char(s, i))) i++;
    *start = i;
    *after = skip_forward(s, sep, i, end, true);
    return i < end;
  }
  *start = search(s, from, end, sep);
  if (*start > end) return false;
  *after = repeat ? skip_forward(s, sep, *start, end, true) : *start + STR_LENGTH(sep);
  return true;
}

static uint64_t count_pieces(Value s, Value sep, uint32_t start, uint32_t end, bool repeat) {
  uint64_t count = 1;
  uint32_t hit;
  while (next_separator(s, sep, start, end, repeat, &hit, &start)) count++;
  return count;
}

/* Racket splits at an empty separator before, between and after all characters. */
static Value split_characters(Value s, uint32_t start, uint32_t end) {
  RESERVE((uint64_t)(end - start + 2) * 80);
  charge((int64_t)(end - start) + 1);
  List list = {V_NIL, V_NIL};
  list_add(&list, string_make(0, 1));
  for (uint32_t i = start; i < end; i++) list_add(&list, string_substring(s, i, i + 1));
  list_add(&list, string_make(0, 1));
  return list.first;
}

/* (%string-split s separator-or-#f trim? repeat?) */
static Value prim_split(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  Value s = args[0], sep = ARG_OR(1, V_FALSE);
  if (argc > 1) CHECK_SEPARATOR(1);
  bool repeat = TRUTH(ARG_OR(3, V_FALSE));
  uint32_t start = 0, end = STR_LENGTH(s), hit, after;
  if (TRUTH(ARG_OR(2, V_TRUE))) trim(s, sep, true, true, repeat, &start, &end);
  if (start == end) return V_NIL;
  if (sep != V_FALSE && STR_LENGTH(sep) == 0) return split_characters(s, start, end);
  uint64_t count = count_pieces(s, sep, start, end, repeat);
  RESERVE(count * 80 + (uint64_t)(end - start) * STR_WIDTH(s));
  charge((int64_t)((end - start) / 8 + count));
  List list = {V_NIL, V_NIL};
  for (; next_separator(s, sep, start, end, repeat, &hit, &after); start = after)
    list_add(&list, string_substring(s, start, hit));
  list_add(&list, string_substring(s, start, end));
  return list.first;
}

/* (%string-normalize-spaces s): words with one space between */
static Value prim_normalize_spaces(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  Value s = args[0];
  uint32_t start, end, width = STR_WIDTH(s), length = 0;
  trim(s, V_FALSE, true, true, true, &start, &end);
  RESERVE(2 * string_size(end - start, width));
  charge((end - start) / 4);
  Value all = string_make(end - start, width);
  for (uint32_t i = start; i < end;) {
    if (is_separating(string_char(s, i))) {
      string_put(all, length++, ' ');
      i = skip_forward(s, V_FALSE, i, end, true);
    } else {
      string_put(all, length++, string_char(s, i++));
    }
  }
  STR(all)->lineage = STR(s)->lineage;
  return length == end - start ? all : string_substring(all, 0, length);
}

/* (%string-lines s): cut at \n, \r\n and \r, which end a line rather than separating two */
static uint32_t line_end(Value s, uint32_t from, uint32_t end, uint32_t *after) {
  uint32_t i = from;
  while (i < end && string_char(s, i) != '\n' && string_char(s, i) != '\r') i++;
  bool two = i + 1 < end && string_char(s, i) == '\r' && string_char(s, i + 1) == '\n';
  *after = i == end ? end : i + 1 + two;
  return i;
}

static Value prim_lines(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  Value s = args[0];
  uint32_t end = STR_LENGTH(s), at = 0;
  uint64_t count = 0;
  for (; at < end; count++) line_end(s, at, end, &at);
  RESERVE(count * 80 + (uint64_t)end * STR_WIDTH(s));
  charge((int64_t)(end / 4 + count));
  List list = {V_NIL, V_NIL};
  for (uint32_t start = 0; start < end; start = at) {
    uint32_t stop = line_end(s, start, end, &at);
    list_add(&list, string_substring(s, start, stop));
  }
  return list.first;
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
