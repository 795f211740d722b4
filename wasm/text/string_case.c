/* string_case.c — case mapping, comparison without case, and normalisation of strings.
 *
 * All of these may change the number of characters. They run in two passes over a source of mapped
 * characters: one that measures the result, one that writes it.
 */
#include "text/string.h"
#include "text/unicode.h"

/* ---- case mapping ---- */

/* Capital sigma at the end of a word: a cased letter before it and none after, not counting
   characters that case ignores (Unicode 3.13, Final_Sigma). Nobody looks farther than FAR: a text that
   was written to be slow has a word's end there. */
enum { FAR = 1 << 16 };
static bool is_final_sigma(Value s, uint32_t at) {
  uint32_t i = at, length = STR_LENGTH(s), first = at > FAR ? at - FAR : 0, last = length - at > FAR ? at + FAR : length;
  while (i > first && uc_case_ignorable(string_char(s, i - 1))) i--;
  charge((at - i) / 16);
  if (i == first || !uc_cased(string_char(s, i - 1))) return false;
  for (i = at + 1; i < last && uc_case_ignorable(string_char(s, i)); i++) {}
  charge((i - at) / 16);
  return i == last || !uc_cased(string_char(s, i));
}

enum case_kind { UPCASE, DOWNCASE, FOLDCASE, TITLECASE };

/* Whether the word goes on at i: with letters, digits, marks, _ and, between two letters, with
   what joins them, as in don't (Unicode 29, rules WB4 to WB13). */
static bool word_goes_on(Value s, uint32_t i) {
  uint32_t c = string_char(s, i);
  int category = uc_category(c);
  if (uc_alphabetic(c) || category == CAT_ND || category == CAT_PC || category == CAT_MN ||
      category == CAT_MC || category == CAT_CF)
    return true;
  bool joins = c == '\'' || c == '.' || c == ':' || c == 0xb7 || c == 0x2018 || c == 0x2019;
  return joins && i > 0 && i + 1 < STR_LENGTH(s) && uc_alphabetic(string_char(s, i - 1)) &&
         uc_alphabetic(string_char(s, i + 1));
}

/* *in_word: for title case, whether a letter of the same word came before. */
static int map_char(Value s, uint32_t i, enum case_kind kind, bool *in_word, uint32_t out[UC_MAX_MAPPING]) {
  uint32_t c = string_char(s, i);
  switch (kind) {
    case UPCASE: return uc_full_upcase(c, out);
    case FOLDCASE: return uc_full_foldcase(c, out);
    case TITLECASE:
      if (!*in_word) {
        *in_word = uc_cased(c);
        return uc_full_titlecase(c, out);
      }
      *in_word = word_goes_on(s, i);
      __attribute__((fallthrough));
    default:
      if (c == 0x3a3) {
        out[0] = is_final_sigma(s, i) ? 0x3c2 : 0x3c3;
        return 1;
      }
      return uc_full_downcase(c, out);
  }
}

/* Characters [from, to). */
static bool is_ascii_part(Value s, uint32_t from, uint32_t to) { return STR_WIDTH(s) == 1 && ascii_bytes(STR_DATA(s) + from, to - from); }

/* The end of the round that begins at `from`. */
static uint32_t round_end(Value s, uint32_t from) {
  uint32_t length = STR_LENGTH(s);
  return length - from > LONG_ROUND ? from + LONG_ROUND : length;
}

/* Says whether all of it was ASCII. */
WIDE_STEPS static bool map_ascii(Value s, uint32_t from, uint32_t to, enum case_kind kind, Value result, uint32_t at) {
  const uint8_t *data = STR_DATA(s);
  uint8_t low = kind == UPCASE ? 'a' : 'A', all = 0;
  if (STR_WIDTH(result) == 1) {
    uint8_t *out = STR_DATA(result) + at;
    for (uint32_t i = from; i < to; i++) {
      all |= data[i];
      *out++ = (uint8_t)(data[i] - low) < 26 ? data[i] ^ 32 : data[i];
    }
  } else {
    for (uint32_t i = from; i < to; i++) string_put(result, at++, (uint8_t)(data[i] - low) < 26 ? data[i] ^ 32 : data[i]);
  }
  return all < 0x80;
}

/* Progress: what is known of the result (its characters and all of their bits), where the pass has come to,
   whether that is in a word; then the result and how much of it is written. */
enum { M_TOTAL, M_BITS, M_NEXT, M_IN_WORD, M_RESULT, M_WRITTEN };

static Value map_string(Value *args, enum case_kind kind) {
  CHECK_STRING(NULL, 0);
  Value s = args[0], result = V_FALSE, *kept = progress();
  uint32_t length = STR_LENGTH(s), all = 0, next = 0, at = 0, out[UC_MAX_MAPPING];
  uint64_t total = 0;
  bool in_word = false;
  if (length <= LONG_ROUND && STR_WIDTH(s) == 1 && kind != TITLECASE) {     /* short and ASCII: nearly always */
    result = make_narrow_in_place(length);
    if (map_ascii(s, 0, length, kind, result, 0)) {
      charge(length / 32);
      STR(result)->lineage = lineage_flat(STR(s)->lineage);
      return result;
    }
    result = V_FALSE;
  }
  if (kept) {
    total = (uint64_t)FIX_VALUE(kept[M_TOTAL]);
    all = (uint32_t)FIX_VALUE(kept[M_BITS]);
    next = (uint32_t)FIX_VALUE(kept[M_NEXT]);
    in_word = TRUTH(kept[M_IN_WORD]);
    result = kept[M_RESULT];
    at = (uint32_t)FIX_VALUE(kept[M_WRITTEN]);
  }
#define PAUSE() pause_keeping(6, FIX(total), FIX(all), FIX(next), BOOL(in_word), result, FIX(at))
  while (result == V_FALSE && next < length) {
    uint32_t end = round_end(s, next);
    if (kind != TITLECASE && is_ascii_part(s, next, end)) {
      total += end - next;
      charge((end - next) / 256);
      next = end;
    } else {
      charge((end - next) / 2);
      for (; next < end; next++) {
        int count = map_char(s, next, kind, &in_word, out);
        total += (uint64_t)count;
        while (count) all |= out[--count];
      }
    }
    if (should_pause() && next < length) return PAUSE();
  }
  if (result == V_FALSE) {
    uint32_t width = char_width(all);
    if (string_size(total, width) > HEAP_HEADROOM / 4 && !heap_reserve(string_size(total, width))) {
      PAUSE();
      return need_memory(string_size(total, width));
    }
    result = string_make((uint32_t)total, width);
    next = 0;
    in_word = false;
  }
  while (next < length) {
    uint32_t end = round_end(s, next);
    if (kind != TITLECASE && is_ascii_part(s, next, end)) {
      map_ascii(s, next, end, kind, result, at);
      at += end - next;
      charge((end - next) / 32);
      next = end;
    } else {
      charge((end - next) / 2);
      for (; next < end; next++) {
        int count = map_char(s, next, kind, &in_word, out);
        for (int j = 0; j < count; j++) string_put(result, at++, out[j]);
      }
    }
    if (should_pause() && next < length) return PAUSE();
  }
#undef PAUSE
  STR(result)->lineage = lineage_flat(STR(s)->lineage);
  return result;
}

/* A few ASCII characters, the commonest case, all at once. V_FALSE where it is another one. */
#ifdef __wasm__
WIDE_STEPS static Value map_few(Value s, enum case_kind kind) {
  if (!IS(s, T_STRING) || OBJ_FLAGS(s) & H_WIDTH_MASK || STR(s)->lineage != V_FALSE) return V_FALSE;
  uint32_t length = STR_LENGTH(s);
  const uint8_t *from = STR_DATA(s);
  if (length > FEW || !may_read_few(from)) return V_FALSE;
  v128_t all = wasm_v128_load(from);
  if (wasm_i8x16_bitmask(all) & ((1u << length) - 1)) return V_FALSE;
  v128_t letters = wasm_u8x16_lt(wasm_i8x16_sub(all, wasm_i8x16_splat(kind == UPCASE ? 'a' : 'A')), wasm_i8x16_splat(26));
  all = wasm_v128_xor(all, wasm_v128_and(letters, wasm_i8x16_splat(32)));
  Value result = make_narrow_in_place(length);
  uint8_t *to = STR_DATA(result);
  if (to <= heap_bump_end - FEW) {
    wasm_v128_store(to, all);
  } else {
    uint8_t few[FEW];
    wasm_v128_store(few, all);
    memcpy(to, few, length);
  }
  return result;
}
#else
static Value map_few(Value s, enum case_kind kind) { (void)s, (void)kind; return V_FALSE; }
#endif
static Value map_usual(Value *args, enum case_kind kind) {
  Value few = map_few(args[0], kind);
  return few == V_FALSE ? map_string(args, kind) : few;
}

static Value prim_upcase(int argc, Value *args) { (void)argc; return map_usual(args, UPCASE); }
static Value prim_downcase(int argc, Value *args) { (void)argc; return map_usual(args, DOWNCASE); }
static Value prim_foldcase(int argc, Value *args) { (void)argc; return map_usual(args, FOLDCASE); }
static Value prim_titlecase(int argc, Value *args) { (void)argc; return map_string(args, TITLECASE); }

/* ---- comparison without case: the folded characters are compared as they come ---- */

typedef struct { Value s; uint32_t next; uint32_t folded[UC_MAX_MAPPING]; int at, count; } Fold;

/* The next folded character; 0xffffffff at the end. */
static uint32_t fold_next(Fold *f) {
  if (f->at < f->count) return f->folded[f->at++];
  if (f->next == STR_LENGTH(f->s)) return 0xffffffff;
  uint32_t c = string_char(f->s, f->next++);
  if (c < 0x80) return c - 'A' < 26 ? c | 32 : c;
  f->count = uc_full_foldcase(c, f->folded);
  f->at = 1;
  return f->folded[0];
}

/* Where a string's folding stands, as one number; and there again. */
static Value fold_save(const Fold *f) { return FIX((int64_t)f->next * 8 + (f->count - f->at)); }
static void fold_load(Fold *f, Value saved) {
  int left = (int)(FIX_VALUE(saved) & 7);
  f->next = (uint32_t)(FIX_VALUE(saved) >> 3);
  if (!left) return;
  f->count = uc_full_foldcase(string_char(f->s, f->next - 1), f->folded);
  f->at = f->count - left;
}

enum { FOLDED_PAUSED = 2 };                          /* beside -1, 0 and 1 */
static int compare_folded(Fold *a, Fold *b) {
  for (uint32_t n = 1;; n++) {
    uint32_t ca = fold_next(a), cb = fold_next(b);
    if (ca == cb && ca == 0xffffffff) return 0;
    if (ca != cb) return ca + 1 < cb + 1 ? -1 : 1;   /* the end (0xffffffff) is before everything */
    if (n % LONG_ROUND) continue;
    charge(LONG_ROUND / 2);
    if (should_pause()) return FOLDED_PAUSED;
  }
}

/* Progress: the string that is compared with the one before it, and where both stand. */
#define COMPARISON(name, op) \
  static Value name(int argc, Value *args) { \
    Value *kept = progress(); \
    bool all = true; \
    int i = kept ? (int)FIX_VALUE(kept[0]) : 1; \
    if (!kept) for (int k = 0; k < argc; k++) CHECK_STRING(NULL, k); \
    for (; i < argc && all; i++, kept = NULL) { \
      Fold a = {.s = args[i - 1]}, b = {.s = args[i]}; \
      if (kept) { fold_load(&a, kept[1]); fold_load(&b, kept[2]); } \
      uint32_t begun = b.next; \
      int order = compare_folded(&a, &b); \
      if (order == FOLDED_PAUSED) return pause_keeping(3, FIX(i), fold_save(&a), fold_save(&b)); \
      charge((b.next - begun) % LONG_ROUND / 4); \
      all = order op 0; \
    } \
    return BOOL(all); \
  }
COMPARISON(prim_ci_eq, ==)
COMPARISON(prim_ci_lt, <)
COMPARISON(prim_ci_gt, >)
COMPARISON(prim_ci_le, <=)
COMPARISON(prim_ci_ge, >=)

/* (string-ci-hash s [bound]): FNV-1a over the folded characters */
static Value prim_ci_hash(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  uint64_t bound = (uint64_t)1 << 60, hash = 0xcbf29ce484222325u;
  if (HAS_ARG(1)) {
    if (!IS_FIX(args[1]) || FIX_VALUE(args[1]) <= 0) return err_type(NULL, 1, "exact positive integer", args[1]);
    bound = (uint64_t)FIX_VALUE(args[1]);
  }
  Fold f = {.s = args[0]};
  Value *kept = progress();
  if (kept) {
    fold_load(&f, kept[0]);
    hash = (uint64_t)FIX_VALUE(kept[1]) << 32 | (uint64_t)FIX_VALUE(kept[2]);
  }
  uint32_t n = 1;
  for (uint32_t c; (c = fold_next(&f)) != 0xffffffff; n++) {
    hash = (hash ^ c) * 0x100000001b3u;
    if (n % LONG_ROUND) continue;
    charge(LONG_ROUND / 2);
    if (should_pause()) return pause_keeping(3, fold_save(&f), FIX(hash >> 32), FIX(hash & 0xffffffff));
  }
  charge(n % LONG_ROUND / 4);
  return FIX((int64_t)((hash ^ hash >> 32) % bound));
}

/* ---- normalisation ---- */

/* Canonical ordering of what came last: out[start, end) holds one starter and its marks. */
static void insert_mark(uint32_t *out, uint32_t first, uint32_t at, uint32_t c) {
  int class = uc_combining_class(c);
  uint32_t from = at;
  while (at > first && uc_combining_class(out[at - 1]) > class) {
    out[at] = out[at - 1];
    at--;
  }
  out[at] = c;
  charge((from - at) / 16);
}

/* It goes in phases over the characters: how many there will be; decomposing them, the marks in order;
   composing in place (Unicode 3.11, D117); copying them to where they just fit. A run of marks is bounded
   by nobody, so ordering is by insertion from the right, which is linear on marks in order; runs that were
   written to be slow are cut by treating every 256th mark as a starter. */
enum { LONGEST_RUN = 256, NORMALIZE_ROUND = 256 };
enum phase { COUNT, DECOMPOSE, COMPOSE, COPY };

typedef struct {
  Value s, result;
  bool compatibility;
  uint32_t *chars;                                   /* from DECOMPOSE on */
  uint32_t next, count;                              /* where the phase has come to, of so many */
  uint32_t total;                                    /* characters that there are behind it */
  uint32_t first_mark;                               /* DECOMPOSE: after the last starter */
  uint32_t starter;                                  /* COMPOSE: the last one's index + 1, 0: none; and the class of */
  int last_class;                                    /* the character that was kept last */
  uint32_t bits;                                     /* of all characters that were kept */
} Normalizer;

static void decompose_next(Normalizer *n, bool store) {
  uint32_t parts[UC_MAX_DECOMPOSITION];
  int count = uc_decompose(string_char(n->s, n->next), n->compatibility, parts);
  for (int j = 0; j < count && store; j++) {
    uint32_t at = n->total + (uint32_t)j;
    n->bits |= parts[j];
    if (uc_combining_class(parts[j]) == 0 || at - n->first_mark >= LONGEST_RUN) {
      n->chars[at] = parts[j];
      n->first_mark = at + 1;
    } else {
      insert_mark(n->chars, n->first_mark, at, parts[j]);
    }
  }
  n->total += (uint32_t)count;
}

static void compose_next(Normalizer *n) {
  uint32_t c = n->chars[n->next];
  int class = uc_combining_class(c);
  bool blocked = !n->starter || (n->total > n->starter && n->last_class >= class);
  uint32_t composed = blocked ? 0 : uc_compose(n->chars[n->starter - 1], c);
  if (composed) {
    n->chars[n->starter - 1] = composed;
    n->bits |= composed;
    return;
  }
  if (class == 0) n->starter = n->total + 1;
  n->last_class = class;
  n->bits |= c;
  n->chars[n->total++] = c;
}

enum { N_PHASE, N_NEXT, N_COUNT, N_TOTAL, N_CHARS, N_RESULT, N_FIRST_MARK, N_STARTER, N_CLASS, N_BITS, N_SIZE };

static Value normalizer_pause(Normalizer *n, enum phase phase, Value chars) {
  return pause_keeping(N_SIZE, FIX(phase), FIX(n->next), FIX(n->count), FIX(n->total), chars, n->result,
                       FIX(n->first_mark), FIX(n->starter), FIX(n->last_class), FIX(n->bits));
}

static Value normalize(Value *args, bool compatibility, bool compositions) {
  CHECK_STRING(NULL, 0);
  Value s = args[0], chars = V_FALSE, *kept = progress();
  uint32_t length = STR_LENGTH(s);
  Normalizer n = {.s = s, .result = V_FALSE, .compatibility = compatibility, .count = length};
  enum phase phase = COUNT;
  if (kept) {
    phase = (enum phase)FIX_VALUE(kept[N_PHASE]);
    n.next = (uint32_t)FIX_VALUE(kept[N_NEXT]);
    n.count = (uint32_t)FIX_VALUE(kept[N_COUNT]);
    n.total = (uint32_t)FIX_VALUE(kept[N_TOTAL]);
    chars = kept[N_CHARS];
    n.result = kept[N_RESULT];
    n.first_mark = (uint32_t)FIX_VALUE(kept[N_FIRST_MARK]);
    n.starter = (uint32_t)FIX_VALUE(kept[N_STARTER]);
    n.last_class = (int)FIX_VALUE(kept[N_CLASS]);
    n.bits = (uint32_t)FIX_VALUE(kept[N_BITS]);
    if (chars != V_FALSE) n.chars = (uint32_t *)RAW_BYTES(chars);
  }
  for (;;) {
    while (n.next < n.count) {
      uint32_t end = n.count - n.next > NORMALIZE_ROUND ? n.next + NORMALIZE_ROUND : n.count;
      if (phase == COUNT && is_ascii_part(s, n.next, end)) {
        n.total += end - n.next;
        charge((end - n.next) / 64 + 1);
        n.next = end;
      } else if (phase == COPY) {
        chars_copy(STR_DATA(n.result) + (size_t)n.next * STR_WIDTH(n.result), STR_WIDTH(n.result),
                   (uint8_t *)(n.chars + n.next), 4, end - n.next);
        charge((end - n.next) / 64 + 1);
        n.next = end;
      } else {
        charge(2 * (end - n.next));
        for (; n.next < end; n.next++) {
          if (phase == COMPOSE) compose_next(&n);
          else decompose_next(&n, phase == DECOMPOSE);
        }
      }
      if (should_pause() && n.next < n.count) return normalizer_pause(&n, phase, chars);
    }
    uint64_t room = 0;
    switch (phase) {
      case COUNT:
        if (n.total == length && is_ascii(s)) return s;
        room = n.total * 4ull + 64;
        break;
      case DECOMPOSE: break;
      case COMPOSE: room = string_size(n.total, char_width(n.bits)); break;
      default:
        STR(n.result)->lineage = lineage_flat(STR(s)->lineage);
        return n.result;
    }
    if (room > HEAP_HEADROOM / 4 && !heap_reserve(room)) {
      normalizer_pause(&n, phase, chars);
      return need_memory(room);
    }
    if (phase == COUNT) {
      chars = heap_raw(T_RAW, 0, n.total * 4);
      n.chars = (uint32_t *)RAW_BYTES(chars);
      n.next = n.total = 0;
      phase = DECOMPOSE;
    } else if (phase == DECOMPOSE) {
      n.count = n.total;
      n.next = compositions ? 0 : n.total;
      if (compositions) n.total = n.bits = 0;
      phase = COMPOSE;
    } else {
      n.result = string_make(n.total, char_width(n.bits));
      n.count = n.total;
      n.next = 0;
      phase = COPY;
    }
  }
}

static Value prim_nfc(int argc, Value *args) { (void)argc; return normalize(args, false, true); }
static Value prim_nfd(int argc, Value *args) { (void)argc; return normalize(args, false, false); }
static Value prim_nfkc(int argc, Value *args) { (void)argc; return normalize(args, true, true); }
static Value prim_nfkd(int argc, Value *args) { (void)argc; return normalize(args, true, false); }

const PrimDef string_case_prims[] = {
  {"string-upcase", prim_upcase, 1, 1, "(string-upcase string)"},
  {"string-downcase", prim_downcase, 1, 1, "(string-downcase string)"},
  {"string-foldcase", prim_foldcase, 1, 1, "(string-foldcase string)"},
  {"string-titlecase", prim_titlecase, 1, 1, "(string-titlecase string)"},
  {"string-ci=?", prim_ci_eq, 1, -1, "(string-ci=? string ...)"},
  {"string-ci<?", prim_ci_lt, 1, -1, "(string-ci<? string ...)"},
  {"string-ci>?", prim_ci_gt, 1, -1, "(string-ci>? string ...)"},
  {"string-ci<=?", prim_ci_le, 1, -1, "(string-ci<=? string ...)"},
  {"string-ci>=?", prim_ci_ge, 1, -1, "(string-ci>=? string ...)"},
  {"string-ci-hash", prim_ci_hash, 1, 2, "(string-ci-hash string [bound])"},
  {"string-normalize-nfc", prim_nfc, 1, 1, "(string-normalize-nfc string)"},
  {"string-normalize-nfd", prim_nfd, 1, 1, "(string-normalize-nfd string)"},
  {"string-normalize-nfkc", prim_nfkc, 1, 1, "(string-normalize-nfkc string)"},
  {"string-normalize-nfkd", prim_nfkd, 1, 1, "(string-normalize-nfkd string)"},
  {0},
};
