/* string_case.c — case mapping, comparison without case, and normalisation of strings.
 *
 * All of these may change the number of characters. They run in two passes over a source of mapped
 * characters: one that measures the result, one that writes it.
 */
#include "text/string.h"
#include "text/unicode.h"

/* ---- case mapping ---- */

/* Capital sigma at the end of a word: a cased letter before it and none after, not counting
   characters that case ignores (Unicode 3.13, Final_Sigma). */
static bool is_final_sigma(Value s, uint32_t at) {
  uint32_t i = at, length = STR_LENGTH(s);
  while (i > 0 && uc_case_ignorable(string_char(s, i - 1))) i--;
  if (i == 0 || !uc_cased(string_char(s, i - 1))) return false;
  for (i = at + 1; i < length && uc_case_ignorable(string_char(s, i)); i++) {}
  return i == length || !uc_cased(string_char(s, i));
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

static bool is_ascii(Value s) {
  if (STR_WIDTH(s) != 1) return false;
  const uint8_t *data = STR_DATA(s);
  uint8_t all = 0;
  for (uint32_t i = 0, n = STR_LENGTH(s); i < n; i++) all |= data[i];
  return all < 0x80;
}

static Value map_ascii(Value s, enum case_kind kind) {
  uint32_t length = STR_LENGTH(s);
  Value result = string_make(length, 1);
  const uint8_t *from = STR_DATA(s);
  uint8_t *to = STR_DATA(result), low = kind == UPCASE ? 'a' : 'A';
  for (uint32_t i = 0; i < length; i++) to[i] = (uint8_t)(from[i] - low) < 26 ? from[i] ^ 32 : from[i];
  STR(result)->lineage = STR(s)->lineage;
  return result;
}

static Value map_string(Value *args, enum case_kind kind) {
  CHECK_STRING(NULL, 0);
  Value s = args[0];
  uint32_t length = STR_LENGTH(s), all = 0, out[UC_MAX_MAPPING];
  uint64_t total = 0;
  bool in_word = false;
  if (kind != TITLECASE && is_ascii(s)) {
    RESERVE(string_size(length, 1));
    charge(length / 32);
    return map_ascii(s, kind);
  }
  for (uint32_t i = 0; i < length; i++) {
    int count = map_char(s, i, kind, &in_word, out);
    total += (uint64_t)count;
    while (count) all |= out[--count];
  }
  uint32_t width = char_width(all), at = 0;
  RESERVE(string_size(total, width));
  charge(length / 2);
  Value result = string_make((uint32_t)total, width);
  in_word = false;
  for (uint32_t i = 0; i < length; i++) {
    int count = map_char(s, i, kind, &in_word, out);
    for (int j = 0; j < count; j++) string_put(result, at++, out[j]);
  }
  STR(result)->lineage = STR(s)->lineage;
  return result;
}

static Value prim_upcase(int argc, Value *args) { (void)argc; return map_string(args, UPCASE); }
static Value prim_downcase(int argc, Value *args) { (void)argc; return map_string(args, DOWNCASE); }
static Value prim_foldcase(int argc, Value *args) { (void)argc; return map_string(args, FOLDCASE); }
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

static int compare_folded(Value a, Value b) {
  Fold fa = {.s = a}, fb = {.s = b};
  for (;;) {
    uint32_t ca = fold_next(&fa), cb = fold_next(&fb);
    if (ca == cb && ca == 0xffffffff) return 0;
    if (ca != cb) return ca + 1 < cb + 1 ? -1 : 1;     /* the end (0xffffffff) is before everything */
  }
}

#define COMPARISON(name, op) \
  static Value name(int argc, Value *args) { \
    bool all = true; \
    for (int i = 0; i < argc; i++) CHECK_STRING(NULL, i); \
    for (int i = 1; i < argc && all; i++) { \
      charge(STR_LENGTH(args[i]) / 4); \
      all = compare_folded(args[i - 1], args[i]) op 0; \
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
  charge(STR_LENGTH(args[0]) / 4);
  Fold f = {.s = args[0]};
  for (uint32_t c; (c = fold_next(&f)) != 0xffffffff;) hash = (hash ^ c) * 0x100000001b3u;
  return FIX((int64_t)((hash ^ hash >> 32) % bound));
}

/* ---- normalisation ---- */

/* Canonical ordering of what came last: out[start, end) holds one starter and its marks. */
static void insert_mark(uint32_t *out, uint32_t first, uint32_t at, uint32_t c) {
  int class = uc_combining_class(c);
  while (at > first && uc_combining_class(out[at - 1]) > class) {
    out[at] = out[at - 1];
    at--;
  }
  out[at] = c;
}

/* Decomposes s into out and orders the marks. Returns how many; out == NULL only counts. A run of
   marks is bounded by nobody, so ordering is by insertion from the right, which is linear on
   marks in order; runs that were written to be slow are cut by treating every 256th mark as a starter. */
enum { LONGEST_RUN = 256 };
static uint32_t decompose(Value s, bool compatibility, uint32_t *out) {
  uint32_t total = 0, first_mark = 0, parts[UC_MAX_DECOMPOSITION];
  for (uint32_t i = 0, n = STR_LENGTH(s); i < n; i++) {
    int count = uc_decompose(string_char(s, i), compatibility, parts);
    for (int j = 0; j < count && out; j++) {
      uint32_t at = total + (uint32_t)j;
      if (uc_combining_class(parts[j]) == 0 || at - first_mark >= LONGEST_RUN) {
        out[at] = parts[j];
        first_mark = at + 1;
      } else {
        insert_mark(out, first_mark, at, parts[j]);
      }
    }
    total += (uint32_t)count;
  }
  return total;
}

/* Composes in place (Unicode 3.11, D117). Returns how many characters are left. */
static uint32_t compose(uint32_t *chars, uint32_t count) {
  uint32_t kept = 0, starter = UINT32_MAX;
  int last_class = 0;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t c = chars[i];
    int class = uc_combining_class(c);
    bool blocked = starter == UINT32_MAX || (kept > starter + 1 && last_class >= class);
    uint32_t composed = blocked ? 0 : uc_compose(chars[starter], c);
    if (composed) {
      chars[starter] = composed;
      continue;
    }
    if (class == 0) starter = kept;
    last_class = class;
    chars[kept++] = c;
  }
  return kept;
}

static Value normalize(Value *args, bool compatibility, bool compositions) {
  CHECK_STRING(NULL, 0);
  Value s = args[0];
  if (is_ascii(s)) return s;
  charge(STR_LENGTH(s) * 4ll);
  uint32_t total = decompose(s, compatibility, NULL);
  RESERVE((uint64_t)total * 8 + 128);
  uint32_t *chars = (uint32_t *)RAW_BYTES(heap_raw(T_RAW, 0, total * 4));
  decompose(s, compatibility, chars);
  if (compositions) total = compose(chars, total);
  Value result = string_from_chars((uint8_t *)chars, 4, total);
  STR(result)->lineage = STR(s)->lineage;
  return result;
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
