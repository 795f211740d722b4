/* unicode.c — look-ups in the character tables. */
#include "text/unicode.h"
#include "text/unicode_data.h"
#include <stddef.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

const char *const uc_category_names[CAT_COUNT] = {
  "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe",
  "Pi", "Pf", "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn",
};

static const struct uc_record *record_of(uint32_t c) {
  if (c > 0x10ffff) c = 0x10ffff;
  uint32_t block = uc_first[c >> UC_BLOCK_BITS];
  return &uc_records[uc_second[(block << UC_BLOCK_BITS) | (c & ((1u << UC_BLOCK_BITS) - 1))]];
}

static bool has_flag(uint32_t c, uint8_t flag) { return (record_of(c)->flags & flag) != 0; }

bool uc_alphabetic(uint32_t c) { return has_flag(c, UC_ALPHABETIC); }
bool uc_whitespace(uint32_t c) { return has_flag(c, UC_WHITE_SPACE); }
bool uc_upper(uint32_t c) { return has_flag(c, UC_UPPER); }
bool uc_lower(uint32_t c) { return has_flag(c, UC_LOWER); }
bool uc_cased(uint32_t c) { return has_flag(c, UC_CASED); }
bool uc_case_ignorable(uint32_t c) { return has_flag(c, UC_IGNORABLE); }
bool uc_numeric(uint32_t c) { return record_of(c)->category == CAT_ND; }
int uc_category(uint32_t c) { return record_of(c)->category; }
int uc_digit_value(uint32_t c) { return record_of(c)->digit; }
int uc_combining_class(uint32_t c) { return record_of(c)->combining; }

uint32_t uc_upcase(uint32_t c) { return c + (uint32_t)record_of(c)->upper; }
uint32_t uc_downcase(uint32_t c) { return c + (uint32_t)record_of(c)->lower; }
uint32_t uc_titlecase(uint32_t c) { return c + (uint32_t)record_of(c)->title; }
uint32_t uc_foldcase(uint32_t c) { return c + (uint32_t)record_of(c)->fold; }

/* ---- full case mappings ---- */

enum { MAP_UPPER, MAP_LOWER, MAP_TITLE, MAP_FOLD };

static int special_mapping(uint32_t c, int which, uint32_t out[UC_MAX_MAPPING]) {
  size_t low = 0, high = COUNT(special_codes);
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (special_codes[middle] < c) low = middle + 1;
    else high = middle;
  }
  int count = 0;
  while (count < UC_MAX_MAPPING && special_mappings[low].to[which][count]) {
    out[count] = special_mappings[low].to[which][count];
    count++;
  }
  return count;
}

static int full_mapping(uint32_t c, int which, int32_t delta, uint32_t out[UC_MAX_MAPPING]) {
  if (has_flag(c, UC_SPECIAL)) return special_mapping(c, which, out);
  out[0] = c + (uint32_t)delta;
  return 1;
}

int uc_full_upcase(uint32_t c, uint32_t out[UC_MAX_MAPPING]) { return full_mapping(c, MAP_UPPER, record_of(c)->upper, out); }
int uc_full_downcase(uint32_t c, uint32_t out[UC_MAX_MAPPING]) { return full_mapping(c, MAP_LOWER, record_of(c)->lower, out); }
int uc_full_titlecase(uint32_t c, uint32_t out[UC_MAX_MAPPING]) { return full_mapping(c, MAP_TITLE, record_of(c)->title, out); }
int uc_full_foldcase(uint32_t c, uint32_t out[UC_MAX_MAPPING]) { return full_mapping(c, MAP_FOLD, record_of(c)->fold, out); }

/* ---- decomposition and composition ---- */

/* Hangul syllables are composed by arithmetic (Unicode 3.12). */
enum { HANGUL_S = 0xac00, HANGUL_L = 0x1100, HANGUL_V = 0x1161, HANGUL_T = 0x11a7,
       HANGUL_LS = 19, HANGUL_VS = 21, HANGUL_TS = 28, HANGUL_SS = HANGUL_LS * HANGUL_VS * HANGUL_TS };

static int decompose_hangul(uint32_t index, uint32_t *out) {
  out[0] = HANGUL_L + index / (HANGUL_VS * HANGUL_TS);
  out[1] = HANGUL_V + index % (HANGUL_VS * HANGUL_TS) / HANGUL_TS;
  out[2] = HANGUL_T + index % HANGUL_TS;
  return index % HANGUL_TS ? 3 : 2;
}

static const struct decomposition *decomposition_of(uint32_t c, bool compatibility) {
  size_t low = 0, high = COUNT(decompositions);
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (decompositions[middle].code < c) low = middle + 1;
    else high = middle;
  }
  if (low == COUNT(decompositions) || decompositions[low].code != c) return NULL;
  return compatibility || !decompositions[low].compatibility ? &decompositions[low] : NULL;
}

/* The tables hold one step; steps are repeated in place, from the left, until none is left. */
int uc_decompose(uint32_t c, bool compatibility, uint32_t out[UC_MAX_DECOMPOSITION]) {
  if (c - HANGUL_S < HANGUL_SS) return decompose_hangul(c - HANGUL_S, out);
  out[0] = c;
  int length = 1, done = 0;
  while (done < length) {
    const struct decomposition *step = out[done] < 0xa0 ? NULL : decomposition_of(out[done], compatibility);
    if (!step) {
      done++;
      continue;
    }
    for (int i = length - 1; i > done; i--) out[i + step->length - 1] = out[i];
    for (int i = 0; i < step->length; i++) out[done + i] = decomposition_pool[step->start + i];
    length += step->length - 1;
  }
  return length;
}

uint32_t uc_compose(uint32_t first, uint32_t second) {
  if (first - HANGUL_L < HANGUL_LS && second - HANGUL_V < HANGUL_VS)
    return HANGUL_S + ((first - HANGUL_L) * HANGUL_VS + (second - HANGUL_V)) * HANGUL_TS;
  if (first - HANGUL_S < HANGUL_SS && (first - HANGUL_S) % HANGUL_TS == 0 && second - HANGUL_T - 1 < HANGUL_TS - 1)
    return first + (second - HANGUL_T);
  size_t low = 0, high = COUNT(compositions);
  while (low < high) {
    size_t middle = (low + high) / 2;
    const struct composition *pair = &compositions[middle];
    if (pair->first == first && pair->second == second) return pair->composed;
    if (pair->first < first || (pair->first == first && pair->second < second)) low = middle + 1;
    else high = middle;
  }
  return 0;
}
