/* regexp.c — the primitives on regular expressions: making, searching, all matches, splitting,
 * replacing. Those that go through a whole text work in pieces and keep their progress (Scan) in
 * vm.resume, so that any of them may be paused anywhere.
 */
#include "text/regexp.h"
#include "text/regexp_compile.h"
#include "text/regexp_match.h"
#include "text/symbol.h"

/* ---- making ---- */

/* Programs often give a pattern as a string, in a loop: the last few are remembered. */
enum { CACHE = 16 };
static Value cache[CACHE];
static uint32_t cache_next;

static Value cached(Value source, bool px) {
  for (int i = 0; i < CACHE; i++)
    if (cache[i] != V_FALSE && REGEXP(cache[i])->px == BOOL(px) && string_equal(REGEXP(cache[i])->source, source))
      return cache[i];
  return V_FALSE;
}

static void remember(Value rx) {
  uint32_t i = cache_next++ % CACHE;
  heap_root(&cache[i]);
  cache[i] = rx;
}

static Value frozen_source(Value source) {
  if ((OBJ_FLAGS(source) & H_IMMUTABLE) && STR(source)->lineage == V_FALSE) return source;
  Value copy = string_substring(source, 0, STR_LENGTH(source));
  STR(copy)->lineage = V_FALSE;
  SET_FLAG(copy, H_IMMUTABLE);
  return copy;
}

/* A pattern is compiled in one go, so that it may not be of any length: a class takes the longest. */
enum { MAX_PATTERN = 1 << 18 };
Value regexp_make(Value source, bool px, bool bytes) {
  if (STR_LENGTH(source) > MAX_PATTERN)
    return err_failf("exn:fail:contract", "%s: pattern is too large: it has %d characters, and may have %d",
                     px ? "pregexp" : "regexp", (int)STR_LENGTH(source), (int)MAX_PATTERN);
  Value rx = bytes ? V_FALSE : cached(source, px);
  if (rx != V_FALSE) return rx;
  RESERVE(string_size(STR_LENGTH(source), STR_WIDTH(source)));
  source = frozen_source(source);
  Tree tree;
  Value parsed = regexp_parse(source, px, &tree);
  if (IS_SIGNAL(parsed)) return parsed;
  rx = regexp_compile(source, px, &tree);
  if (IS_SIGNAL(rx)) return rx;
  if (bytes) SET_FLAG(rx, H_OF_BYTES);
  else remember(rx);
  return rx;
}

Value regexp_source(Value rx) { return REGEXP(rx)->source; }
bool regexp_is_px(Value rx) { return TRUTH(REGEXP(rx)->px); }
bool regexp_is_of_bytes(Value rx) { return (OBJ_FLAGS(rx) & H_OF_BYTES) != 0; }

static Value prim_make(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  return regexp_make(args[0], TRUTH(ARG_OR(1, V_FALSE)), TRUTH(ARG_OR(2, V_FALSE)));
}

static Value prim_is_regexp(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_REGEXP)); }
static Value prim_is_of_bytes(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_REGEXP) && regexp_is_of_bytes(args[0])); }
static Value prim_is_pregexp(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_REGEXP) && TRUTH(REGEXP(args[0])->px)); }

#define CHECK_REGEXP(i) do { if (!IS(args[i], T_REGEXP)) return err_type(NULL, i, "regexp", args[i]); } while (0)

static Value prim_source(int argc, Value *args) { (void)argc; CHECK_REGEXP(0); return REGEXP(args[0])->source; }
static Value prim_lookbehind(int argc, Value *args) { (void)argc; CHECK_REGEXP(0); return REGEXP(args[0])->lookbehind; }

/* ---- going through a text ---- */

typedef struct {
  Value rx, text;                /* text is args[1], or the end of the prefix with the part in front of which it is put */
  uint32_t low, start, end;      /* of text: what lookbehind sees, what is searched */
  int64_t shift;                 /* what to add to a position in text for one in args[1] */
  uint32_t from, least_end;      /* of the next search */
  uint32_t done;                 /* up to where text has been used for the result */
  enum { SEARCH, SEARCHING, FOUND, NOT_FOUND } stage;    /* of the next match: what was found is kept while its texts are cut */
  uint32_t groups;               /* of the match that was found: its texts are in `strings` from that one on */
  Value strings;                 /* V_FALSE: none is made yet */
  Value cut;                     /* the state of a long text that is being cut */
  Value results;                 /* a list, the newest first */
  Builder out;
  uint32_t room;                 /* bytes that may be allocated before asking again */
} Scan;

static Value scan_save(const Scan *s) {
  Value raw = heap_raw(T_RAW, 0, sizeof *s), saved = make_vector(7, V_FALSE);
  memcpy(RAW_BYTES(raw), s, sizeof *s);
  VEC(saved)[0] = raw;
  VEC(saved)[1] = s->stage == SEARCHING || s->stage == FOUND ? match_save() : V_FALSE;
  VEC(saved)[2] = s->text;
  VEC(saved)[3] = s->results;
  VEC(saved)[4] = builder_save((Builder *)&s->out);
  VEC(saved)[5] = s->strings;
  VEC(saved)[6] = s->cut;
  return saved;
}

static void scan_load(Scan *s, Value saved) {
  memcpy(s, RAW_BYTES(VEC(saved)[0]), sizeof *s);
  if (VEC(saved)[1] != V_FALSE) match_load(VEC(saved)[1]);
  s->text = VEC(saved)[2];
  s->results = VEC(saved)[3];
  builder_load(&s->out, VEC(saved)[4]);
  s->strings = VEC(saved)[5];
  s->cut = VEC(saved)[6];
  s->room = HEAP_HEADROOM / 2;
}

/* For a prefix: a text that has its end in front of the part that is searched. */
static Value put_prefix(Scan *s, Value prefix) {
  uint32_t all = STR_LENGTH(prefix), wanted = (uint32_t)FIX_VALUE(REGEXP(s->rx)->lookbehind);
  uint32_t count = all < wanted ? all : wanted, length = s->end - s->start;
  uint32_t width = STR_WIDTH(prefix) > STR_WIDTH(s->text) ? STR_WIDTH(prefix) : STR_WIDTH(s->text);
  RESERVE(string_size((uint64_t)count + length, width));
  charge(length / 64);
  Value text = string_make(count + length, width);
  chars_copy(STR_DATA(text), width, STR_DATA(prefix) + (size_t)(all - count) * STR_WIDTH(prefix), STR_WIDTH(prefix), count);
  chars_copy(STR_DATA(text) + (size_t)count * width, width, STR_DATA(s->text) + (size_t)s->start * STR_WIDTH(s->text),
             STR_WIDTH(s->text), length);
  STR(text)->lineage = lineage_flat(STR(s->text)->lineage);
  s->shift = (int64_t)s->start - count;
  s->text = text;
  s->low = 0;
  s->start = s->from = s->done = count;
  s->end = count + length;
  return V_TRUE;
}

/* The arguments are (rx text [start end prefix]); `lookbehind`: the place of one more that says from where on lookbehind sees
   text before start. V_TRUE, or a signal. */
static Value scan_begin(Scan *s, int argc, Value *args, int range, int lookbehind) {
  if (vm.resume != V_FALSE) {
    s->rx = args[0];
    scan_load(s, vm.resume);
    s->rx = args[0];
    return V_TRUE;
  }
  CHECK_REGEXP(0);
  CHECK_STRING(NULL, 1);
  RANGE(range, args[1], STR_LENGTH(args[1]), start, end);
  Value prefix = ARG_OR(range + 2, V_FALSE);
  if (prefix != V_FALSE && !IS(prefix, T_STRING)) return err_type(NULL, range + 2, "string or #f", prefix);
  *s = (Scan){.rx = args[0], .text = args[1], .low = start, .start = start, .end = end, .from = start, .done = start,
              .results = V_NIL, .strings = V_FALSE, .cut = V_FALSE, .room = HEAP_HEADROOM / 2};
  builder_init(&s->out);
  if (lookbehind && HAS_ARG(lookbehind) && args[lookbehind] != V_FALSE)
    CHECK_INDEX(NULL, lookbehind, 0, start, args[1], s->low);
  return prefix != V_FALSE && STR_LENGTH(prefix) ? put_prefix(s, prefix) : V_TRUE;
}

static Value scan_pause(Scan *s) {
  vm.resume = scan_save(s);
  return V_AGAIN;
}

/* The next match, by Racket's rule: the search goes on where the last match ended, and after an
   empty one the next has to end further on. */
static enum match_outcome scan_next(Scan *s) {
  if (s->stage == FOUND) return MATCH_YES;
  if (s->stage == NOT_FOUND) return MATCH_NO;
  if (s->stage == SEARCH) {
    match_begin(s->rx, s->text, s->low, s->from, s->end, s->least_end);
    s->stage = SEARCHING;
    charge(4);
  }
  enum match_outcome outcome = match_run();
  if (outcome != MATCH_PAUSED) s->stage = outcome == MATCH_YES ? FOUND : NOT_FOUND;
  return outcome;
}

static void scan_advance(Scan *s) {
  s->stage = SEARCH;
  s->from = match_slot(1);
  s->least_end = match_slot(0) == match_slot(1) ? s->from + 1 : 0;
}

/* May so many bytes be allocated? Where not, need_memory has been called, and what was found waits. */
static bool scan_room(Scan *s, uint64_t bytes) {
  if (bytes <= s->room) {
    s->room -= (uint32_t)bytes;
    return true;
  }
  if (!heap_reserve(bytes + HEAP_HEADROOM)) {
    need_memory(bytes + HEAP_HEADROOM);
    return false;
  }
  s->room = HEAP_HEADROOM / 2;
  return true;
}

static Value reversed(Value list) {          /* in place: nobody else has it */
  Value result = V_NIL;
  while (list != V_NIL) {
    Value rest = CDR(list);
    CDR(list) = result;
    result = list;
    list = rest;
  }
  return result;
}

/* ---- one match ---- */

static Value position(const Scan *s, uint32_t slot) {
  return match_slot(slot) == NOWHERE ? V_FALSE : FIX((int64_t)match_slot(slot) + s->shift);
}

static uint32_t group_count(Value rx) { return (uint32_t)FIX_VALUE(REGEXP(rx)->groups) + 1; }

static Value prim_groups(int argc, Value *args) { (void)argc; CHECK_REGEXP(0); return REGEXP(args[0])->groups; }

static Value match_positions(const Scan *s) {
  uint32_t count = 2 * group_count(s->rx);
  Value positions = heap_object(T_VECTOR, 0, count);
  for (uint32_t i = 0; i < count; i++) VEC(positions)[i] = position(s, i);
  return positions;
}

/* What a part of the text takes, and the part: V_AGAIN where it is long and cut in pieces; those ask for memory themselves. */
static uint64_t part_size(const Scan *s, uint32_t from, uint32_t to) {
  return (to - from > LONG_PART ? 0 : string_size(to - from, STR_WIDTH(s->text))) + 32;
}
static Value text_part(Scan *s, uint32_t from, uint32_t to) {
  if (s->cut != V_FALSE) return cut_go_on(&s->cut);
  if (to - from > LONG_PART) return string_cut(&s->cut, s->text, from, to);
  return string_substring(s->text, from, to);
}

static Value match_string(Scan *s, uint32_t group) {
  if (match_slot(2 * group) == NOWHERE || match_slot(2 * group + 1) == NOWHERE) return V_FALSE;
  return text_part(s, match_slot(2 * group), match_slot(2 * group + 1));
}

static uint64_t match_string_size(const Scan *s, uint32_t group) {
  if (match_slot(2 * group) == NOWHERE || match_slot(2 * group + 1) == NOWHERE) return 32;
  return part_size(s, match_slot(2 * group), match_slot(2 * group + 1));
}

/* Each asks for its own room: there may be a hundred groups, and each of megabytes. */
static Value match_strings(Scan *s) {
  if (s->strings == V_FALSE) {
    s->strings = V_NIL;
    s->groups = group_count(s->rx);
  }
  for (; s->groups > 0; s->groups--) {
    uint64_t bytes = match_string_size(s, s->groups - 1);
    if (s->cut == V_FALSE && !scan_room(s, bytes)) return V_AGAIN;
    TRY_LET(string, match_string(s, s->groups - 1));
    s->strings = cons(string, s->strings);
    charge((int64_t)(bytes / 64) + 1);
    if (s->groups > 1 && should_pause()) {
      s->groups--;
      return V_AGAIN;
    }
  }
  Value list = s->strings;
  s->strings = V_FALSE;
  return list;
}

enum { AS_POSITIONS, AS_STRINGS, AS_BOOLEAN };

static Value exec_once(int argc, Value *args, int form, int lookbehind) {
  Scan s;
  Value ready = scan_begin(&s, argc, args, 2, lookbehind);
  if (IS_SIGNAL(ready)) return ready;
  enum match_outcome outcome = scan_next(&s);
  if (outcome == MATCH_PAUSED) return scan_pause(&s);
  if (outcome == MATCH_NO) return V_FALSE;
  if (form == AS_BOOLEAN) return V_TRUE;
  uint64_t bytes = form == AS_STRINGS ? 0 : group_count(s.rx) * 16 + 8;
  if (!scan_room(&s, bytes)) return scan_pause(&s);
  charge((int64_t)(bytes / 64));
  if (form != AS_STRINGS) return match_positions(&s);
  Value strings = match_strings(&s);
  return IS_SIGNAL(strings) ? scan_pause(&s) : strings;
}

static Value prim_exec(int argc, Value *args) { return exec_once(argc, args, AS_POSITIONS, 5); }
static Value prim_match_strings(int argc, Value *args) { return exec_once(argc, args, AS_STRINGS, 5); }
static Value prim_is_match(int argc, Value *args) { return exec_once(argc, args, AS_BOOLEAN, 5); }

/* ---- all matches ---- */

/* What is kept of each match: its positions or its text, of one group or (#t) of all. */
static Value exec_all(int argc, Value *args, int form) {
  Value wanted = ARG_OR(5, FIX(0));
  Scan s;
  Value ready = scan_begin(&s, argc, args, 2, 0);
  if (IS_SIGNAL(ready)) return ready;
  uint32_t group = 0;
  if (HAS_ARG(5) && wanted != V_TRUE) CHECK_INDEX(NULL, 5, 0, group_count(s.rx) - 1, args[0], group);
  for (;;) {
    enum match_outcome outcome = scan_next(&s);
    if (outcome == MATCH_NO) return reversed(s.results);
    if (outcome == MATCH_PAUSED) return scan_pause(&s);
    uint64_t bytes = form == AS_POSITIONS ? group_count(s.rx) * 16 + 64
                     : wanted == V_TRUE   ? 64 : match_string_size(&s, group) + 32;
    if (s.cut == V_FALSE && !scan_room(&s, bytes)) return scan_pause(&s);
    Value result;
    if (wanted == V_TRUE) result = form == AS_POSITIONS ? match_positions(&s) : match_strings(&s);
    else if (form == AS_STRINGS) result = match_string(&s, group);
    else result = match_slot(2 * group) == NOWHERE ? V_FALSE : cons(position(&s, 2 * group), position(&s, 2 * group + 1));
    if (IS_SIGNAL(result)) return scan_pause(&s);
    s.results = cons(result, s.results);
    charge((int64_t)(bytes / 64) + 2);
    scan_advance(&s);
    if (should_pause()) return scan_pause(&s);
  }
}

static Value prim_exec_all(int argc, Value *args) { return exec_all(argc, args, AS_POSITIONS); }
static Value prim_match_all_strings(int argc, Value *args) { return exec_all(argc, args, AS_STRINGS); }

/* (%regexp-split rx text [start end prefix]) → list of strings */
static Value prim_split(int argc, Value *args) {
  Scan s;
  Value ready = scan_begin(&s, argc, args, 2, 0);
  if (IS_SIGNAL(ready)) return ready;
  for (;;) {
    enum match_outcome outcome = scan_next(&s);
    if (outcome == MATCH_PAUSED) return scan_pause(&s);
    uint32_t stop = outcome == MATCH_YES ? match_slot(0) : s.end;
    uint64_t bytes = part_size(&s, s.done, stop);
    if (s.cut == V_FALSE && !scan_room(&s, bytes + 32)) return scan_pause(&s);
    Value part = text_part(&s, s.done, stop);
    if (IS_SIGNAL(part)) return scan_pause(&s);
    s.results = cons(part, s.results);
    charge((int64_t)(bytes / 64) + 2);
    if (outcome == MATCH_NO) return reversed(s.results);
    s.done = match_slot(1);
    scan_advance(&s);
    if (should_pause()) return scan_pause(&s);
  }
}

/* ---- replacing ---- */

/* The pieces of an insert string: & and \n stand for groups, \& \\ for themselves, \$ for nothing, and
   any other \ is \0. Returns where the next piece begins; *group: NOWHERE for literal text [*from, *to). */
static uint32_t insert_piece(Value insert, uint32_t at, uint32_t *group, uint32_t *from, uint32_t *to) {
  uint32_t length = STR_LENGTH(insert), c = string_char(insert, at);
  *group = NOWHERE;
  *from = *to = at;
  if (c == '&') {
    *group = 0;
    return at + 1;
  }
  if (c != '\\') {
    while (*to < length && string_char(insert, *to) != '&' && string_char(insert, *to) != '\\') ++*to;
    return *to;
  }
  uint32_t next = at + 1 < length ? string_char(insert, at + 1) : 0;
  if (next == '$') return at + 2;
  if (next == '&' || next == '\\') {
    *from = at + 1;
    *to = at + 2;
    return at + 2;
  }
  *group = 0;
  for (at++; at < length && string_char(insert, at) >= '0' && string_char(insert, at) <= '9'; at++)
    if (*group < MAX_GROUPS) *group = *group * 10 + (string_char(insert, at) - '0');
  return at;
}

static void add_text(Scan *s, Value from, uint32_t start, uint32_t end) {
  builder_chars(&s->out, STR_DATA(from) + (size_t)start * STR_WIDTH(from), STR_WIDTH(from), end - start);
}

/* Goes through the insert string twice: to measure (add = false) and to add. */
static uint64_t insert_all(Scan *s, Value insert, bool add) {
  uint64_t total = 0;
  for (uint32_t at = 0; at < STR_LENGTH(insert);) {
    uint32_t group, from, to;
    Value source = insert;
    at = insert_piece(insert, at, &group, &from, &to);
    if (group != NOWHERE) {
      if (group >= group_count(s->rx) || match_slot(2 * group) == NOWHERE || match_slot(2 * group + 1) == NOWHERE) continue;
      source = s->text;
      from = match_slot(2 * group);
      to = match_slot(2 * group + 1);
    }
    total += to - from;
    if (add) add_text(s, source, from, to);
  }
  return total;
}

/* Of a long text all will be written, more or less: room for it at once, a half more than is asked for, instead of moving
   again and again what there is. */
static void out_begin(Scan *s, uint32_t width) {
  uint64_t rest = s->end - s->done, wanted = (rest + rest / 16) / 3 * 2;
  if (s->out.chars == V_FALSE && rest > LONG_ROUND && heap_reserve(2 * string_size(wanted, width))) builder_room(&s->out, wanted, width);
}

static bool out_room(Scan *s, uint64_t more, uint32_t width) {
  if (builder_room(&s->out, more, width)) return true;
  need_memory((s->out.length + more) * 4);
  return false;
}

/* Racket's regexp-replace* goes on otherwise than regexp-match*: after an empty match it leaves the next
   character alone. false: that was the last one. */
static bool replace_advance(Scan *s) {
  s->stage = SEARCH;
  s->from = match_slot(1);
  if (match_slot(0) < s->from) return true;
  return s->from++ < s->end;
}

/* (%regexp-replace rx text insert all? [start end prefix]): what is outside of [start, end) is kept as it is */
static Value prim_replace(int argc, Value *args) {
  Scan s;
  if (!IS(args[2], T_STRING)) return err_type(NULL, 2, "string", args[2]);
  Value insert = args[2], text = args[1];
  Value ready = scan_begin(&s, argc, args, 4, 0);
  if (IS_SIGNAL(ready)) return ready;
  bool all = TRUTH(args[3]), any = s.from != s.start, more_to_come = s.from <= s.end;
  uint32_t width = STR_WIDTH(s.text) > STR_WIDTH(insert) ? STR_WIDTH(s.text) : STR_WIDTH(insert);
  for (;;) {
    enum match_outcome outcome = more_to_come && (all || !any) ? scan_next(&s) : MATCH_NO;
    if (outcome == MATCH_PAUSED) return scan_pause(&s);
    if (outcome == MATCH_NO) break;
    uint64_t more = match_slot(0) - s.done + insert_all(&s, insert, false);
    if (all) out_begin(&s, width);
    if (!out_room(&s, more, width)) return scan_pause(&s);
    add_text(&s, s.text, s.done, match_slot(0));
    insert_all(&s, insert, true);
    charge((int64_t)(more / 32) + 2);
    any = true;
    s.done = match_slot(1);
    more_to_come = replace_advance(&s);
    if (should_pause()) return scan_pause(&s);
  }
  if (!any) return text;
  /* what was before start goes in front, in one last step: nothing is allocated before the reservation */
  uint32_t before = (uint32_t)((int64_t)s.start + s.shift), after = (uint32_t)((int64_t)s.end + s.shift);
  uint32_t rest = s.end - s.done, tail = STR_LENGTH(text) - after;
  uint64_t length = (uint64_t)before + s.out.length + rest + tail;
  LineageSum lineage;
  lineage_start(&lineage);
  lineage_count(&lineage, text);
  lineage_count(&lineage, insert);
  uint32_t out_width = STR_WIDTH(text) > s.out.width ? STR_WIDTH(text) : s.out.width;
  if (!scan_room(&s, string_size(length, out_width) + lineage_cost(&lineage) + 64)) return scan_pause(&s);
  charge((int64_t)(length / 64));
  Value result = string_make((uint32_t)length, out_width);
  uint8_t *to = STR_DATA(result);
  chars_copy(to, out_width, STR_DATA(text), STR_WIDTH(text), before);
  to += (size_t)before * out_width;
  if (s.out.length) chars_copy(to, out_width, RAW_BYTES(s.out.chars), s.out.width, s.out.length);
  to += (size_t)s.out.length * out_width;
  chars_copy(to, out_width, STR_DATA(s.text) + (size_t)s.done * STR_WIDTH(s.text), STR_WIDTH(s.text), rest);
  to += (size_t)rest * out_width;
  chars_copy(to, out_width, STR_DATA(text) + (size_t)after * STR_WIDTH(text), STR_WIDTH(text), tail);
  STR(result)->lineage = lineage_union(STR(text)->lineage, STR(insert)->lineage);
  return result;
}

/* ---- the usual calls: a regexp over strings, a string, nothing else. The prelude does the rest ---- */

static bool is_usual(int argc, Value *args, int count) {
  return argc == count && IS(args[0], T_REGEXP) && !regexp_is_of_bytes(args[0]) && IS(args[1], T_STRING);
}
#define USUAL(name, count, usual, otherwise_name) \
  static Value name(int argc, Value *args) { \
    static InPrelude otherwise = {otherwise_name, V_FALSE}; \
    return is_usual(argc, args, count) ? (usual) : leave_to(&otherwise, argc, args); \
  }
USUAL(prim_usual_match, 2, exec_once(2, args, AS_STRINGS, 0), "%regexp-match-otherwise")
USUAL(prim_usual_is_match, 2, exec_once(2, args, AS_BOOLEAN, 0), "%regexp-match?-otherwise")
USUAL(prim_usual_match_all, 2, exec_all(2, args, AS_STRINGS), "%regexp-match*-otherwise")
USUAL(prim_usual_split, 2, prim_split(2, args), "%regexp-split-otherwise")

static Value usual_replace(int argc, Value *args, InPrelude *otherwise, bool all) {
  if (!is_usual(argc, args, 3) || !IS(args[2], T_STRING)) return leave_to(otherwise, argc, args);
  Value four[4] = {args[0], args[1], args[2], BOOL(all)};
  return prim_replace(4, four);
}
static Value prim_usual_replace(int argc, Value *args) {
  static InPrelude otherwise = {"%regexp-replace-otherwise", V_FALSE};
  return usual_replace(argc, args, &otherwise, false);
}
static Value prim_usual_replace_all(int argc, Value *args) {
  static InPrelude otherwise = {"%regexp-replace*-otherwise", V_FALSE};
  return usual_replace(argc, args, &otherwise, true);
}

/* ---- quoting ---- */

static Value quote_chars(Value s, const char *special, const char *before, const char *after) {
  uint32_t length = STR_LENGTH(s);
  Builder b;
  builder_init(&b);
  uint32_t from = 0;
  Value *kept = progress();
  if (kept) {
    from = (uint32_t)FIX_VALUE(kept[0]);
    builder_load(&b, kept[1]);
  } else {
    BUILDER_ROOM(&b, (uint64_t)length * 2 + 16, STR_WIDTH(s));
    builder_c(&b, before);
  }
  FOR_PAUSING(i, from, length, 1, pause_keeping(2, FIX(i), builder_save(&b))) {
    uint32_t c = string_char(s, i);
    if (c && c < 128 && strchr(special, (int)c)) builder_char(&b, '\\');
    builder_char(&b, c);
  }
  builder_c(&b, after);
  b.lineage = lineage_flat(STR(s)->lineage);
  return builder_finish(&b);
}

/* (regexp-quote s [case-sensitive?]) */
static Value prim_quote(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  bool no_case = !TRUTH(ARG_OR(1, V_TRUE));
  return quote_chars(args[0], "\\.[]{}()*+?^$|", no_case ? "(?i:" : "", no_case ? ")" : "");
}

static Value prim_replace_quote(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  return quote_chars(args[0], "&\\", "", "");
}

const PrimDef regexp_prims[] = {
  {"%make-regexp", prim_make, 1, 3, "(%make-regexp pattern [px? bytes?])"},
  {"regexp?", prim_is_regexp, 1, 1, "(regexp? obj)"},
  {"byte-regexp?", prim_is_of_bytes, 1, 1, "(byte-regexp? obj)"},
  {"pregexp?", prim_is_pregexp, 1, 1, "(pregexp? obj)"},
  {"%regexp-source", prim_source, 1, 1, "(%regexp-source rx)"},
  {"regexp-max-lookbehind", prim_lookbehind, 1, 1, "(regexp-max-lookbehind rx)"},
  {"%regexp-exec", prim_exec, 2, 6, "(%regexp-exec rx string [start end prefix lookbehind-from])"},
  {"%regexp-match?", prim_is_match, 2, 6, "(%regexp-match? rx string [start end prefix lookbehind-from])"},
  {"%regexp-match-strings", prim_match_strings, 2, 6, "(%regexp-match-strings rx string [start end prefix lookbehind-from])"},
  {"%regexp-exec-all", prim_exec_all, 2, 6, "(%regexp-exec-all rx string [start end prefix group])"},
  {"%regexp-match-all-strings", prim_match_all_strings, 2, 6, "(%regexp-match-all-strings rx string [start end prefix group])"},
  {"%regexp-split", prim_split, 2, 5, "(%regexp-split rx string [start end prefix])"},
  {"%regexp-replace", prim_replace, 4, 7, "(%regexp-replace rx string insert all? [start end prefix])"},
  {"%regexp-groups", prim_groups, 1, 1, "(%regexp-groups rx)"},
  {"regexp-match", prim_usual_match, 2, 6, "(regexp-match pattern input [start end output prefix])"},
  {"regexp-match?", prim_usual_is_match, 2, 6, "(regexp-match? pattern input [start end output prefix])"},
  {"regexp-match*", prim_usual_match_all, 2, -1, "(regexp-match* pattern input [start end prefix] [#:match-select select] [#:gap-select? gaps?])"},
  {"regexp-split", prim_usual_split, 2, 5, "(regexp-split pattern input [start end prefix])"},
  {"regexp-replace", prim_usual_replace, 3, 4, "(regexp-replace pattern input insert [prefix])"},
  {"regexp-replace*", prim_usual_replace_all, 3, 6, "(regexp-replace* pattern input insert [start end prefix])"},
  {"regexp-quote", prim_quote, 1, 2, "(regexp-quote string [case-sensitive?])"},
  {"regexp-replace-quote", prim_replace_quote, 1, 1, "(regexp-replace-quote string)"},
  {0},
};
