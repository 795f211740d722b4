/* text.h — what the text files (string.c, symbol.c, bytes.c, port.c, regexp_*.c) share among
 * themselves and that core.h does not need to say: raw character arrays, reservations, ranges. */
#ifndef RLM_TEXT_H
#define RLM_TEXT_H
#include <string.h>
#include "core.h"

/* ---- characters in memory: a pointer, a width (1, 2 or 4) and a count ---- */
static inline uint32_t chars_get(const uint8_t *data, uint32_t width, uint32_t i) {
  return width == 1 ? data[i] : width == 2 ? ((const uint16_t *)data)[i] : ((const uint32_t *)data)[i];
}
static inline void chars_put(uint8_t *data, uint32_t width, uint32_t i, uint32_t c) {
  if (width == 1) data[i] = (uint8_t)c;
  else if (width == 2) ((uint16_t *)data)[i] = (uint16_t)c;
  else ((uint32_t *)data)[i] = c;
}
static inline uint32_t char_width(uint32_t c) { return c < 0x100 ? 1 : c < 0x10000 ? 2 : 4; }

/* The narrowest width that holds all of them. */
uint32_t chars_width(const uint8_t *data, uint32_t width, uint32_t count);
/* Copies between widths; overlapping is fine where the widths are equal. Narrowing needs characters that fit. */
void chars_copy(uint8_t *to, uint32_t to_width, const uint8_t *from, uint32_t from_width, uint32_t count);
void chars_fill(uint8_t *to, uint32_t width, uint32_t c, uint32_t count);
bool chars_equal(const uint8_t *a, uint32_t a_width, const uint8_t *b, uint32_t b_width, uint32_t count);
/* Where c is first among chars [start, end); end where it is not. */
uint32_t chars_find(const uint8_t *data, uint32_t width, uint32_t start, uint32_t end, uint32_t c);
/* Where the pattern first begins within [start, end); end + 1 where nowhere. Linear time. */
uint32_t chars_search(const uint8_t *data, uint32_t width, uint32_t start, uint32_t end,
                      const uint8_t *pattern, uint32_t pattern_width, uint32_t count);

/* ---- UTF-8 ---- */
uint32_t utf8_encode(uint32_t c, uint8_t *out);          /* 1 to 4 bytes; a lone surrogate as U+FFFD */
static inline uint32_t utf8_size(uint32_t c) { return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4; }
/* Decodes one character of [at, end); *next is where to go on. Ill-formed: UTF8_BAD, and *next is
   after the maximal subpart. */
enum { UTF8_BAD = 0xffffffff };
uint32_t utf8_decode(const uint8_t *at, const uint8_t *end, const uint8_t **next);

/* ---- strings ---- */
static inline uint64_t string_size(uint64_t length, uint32_t width) { return length * width + 64; }
Value string_from_chars(const uint8_t *data, uint32_t width, uint32_t count);   /* as narrow as can be */
void string_widen(Value s, uint32_t width);              /* in place, at least that wide; reserved by the caller */
#define CHECK_MUTABLE_STRING(i) do { \
    if (!IS(args[i], T_STRING)) return err_type(NULL, i, "string", args[i]); \
    if (OBJ_FLAGS(args[i]) & H_IMMUTABLE) return err_type(NULL, i, "mutable string", args[i]); } while (0)

/* Makes room for so many more characters of that width; false where memory is short. */
bool builder_room(Builder *b, uint64_t more, uint32_t width);
/* Appends characters; room has been made or the piece is small. */
void builder_chars(Builder *b, const uint8_t *data, uint32_t width, uint32_t count);

/* The union of the lineages of many strings. Count all of them, reserve lineage_cost, begin, take
   all of them again in the same order, end. */
enum { LINEAGE_SEEN = 64 };
typedef struct {
  Value seen[LINEAGE_SEEN];
  Value only;              /* the first one found */
  bool several;
  uint64_t ids;
  int64_t *gathered;
} LineageSum;              /* starts as {0} */
void lineage_count(LineageSum *sum, Value s);
uint64_t lineage_cost(const LineageSum *sum);
void lineage_begin(LineageSum *sum);
void lineage_take(LineageSum *sum, Value s);
Value lineage_end(LineageSum *sum);
uint64_t lineage_length(Value lineage);

int64_t list_length_checked(Value list);                         /* -1: not a proper list */

/* ---- asking for memory ---- */
#define RESERVE(bytes) do { uint64_t bytes_ = (bytes); \
    if (bytes_ > HEAP_HEADROOM / 4 && !heap_reserve(bytes_)) return need_memory(bytes_); } while (0)

/* ---- optional [start [end]] arguments ---- */
#define RANGE(i, of, length, start, end) \
  uint32_t start = 0, end = (length); \
  do { if (HAS_ARG(i)) { CHECK_FIX(NULL, i); \
         if (FIX_VALUE(args[i]) < 0 || FIX_VALUE(args[i]) > (int64_t)end) \
           return err_range(NULL, "starting index", FIX_VALUE(args[i]), 0, end, of); \
         start = (uint32_t)FIX_VALUE(args[i]); } \
       if (HAS_ARG((i) + 1) && args[(i) + 1] != V_FALSE) { CHECK_FIX(NULL, (i) + 1); \
         if (FIX_VALUE(args[(i) + 1]) < (int64_t)start || FIX_VALUE(args[(i) + 1]) > (int64_t)end) \
           return err_slice(start, FIX_VALUE(args[(i) + 1]), end, of); \
         end = (uint32_t)FIX_VALUE(args[(i) + 1]); } } while (0)
#endif
