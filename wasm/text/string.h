/* string.h — strings, growing strings, raw characters in memory, and lineages. */
#ifndef RLM_TEXT_STRING_H
#define RLM_TEXT_STRING_H
#include <string.h>
#include "core/prims.h"

/* Whole texts go through some loops in one piece: so those go sixteen bytes at a time, where the compiler
   can have them do so. */
#ifdef __wasm__
#include <wasm_simd128.h>
#define WIDE_STEPS __attribute__((target("simd128")))
#else
#define WIDE_STEPS
#endif

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
size_t same_bytes(const uint8_t *a, const uint8_t *b, size_t count);   /* how many from the start on: eight at a time */
bool bytes_equal(const uint8_t *a, const uint8_t *b, size_t count);
bool ascii_bytes(const uint8_t *data, size_t count);
bool chars_equal(const uint8_t *a, uint32_t a_width, const uint8_t *b, uint32_t b_width, uint32_t count);

/* Short texts are copied as sixteen bytes, whatever their length: where what lies behind both may be read and written.
   Behind what was just made in the block of small objects is free room. */
enum { FEW = 16 };
static inline bool may_read_few(const uint8_t *from) {
#ifdef __wasm__
  return (uint32_t)(uintptr_t)from <= ((uint32_t)__builtin_wasm_memory_size(0) << 16) - FEW;
#else
  (void)from;
  return false;                         /* the sanitizer knows where objects end */
#endif
}

/* ---- strings ---- */
bool is_ascii(Value s);
Value string_make(uint32_t length, uint32_t width);      /* width 1, 2 or 4; characters not initialised */
Value string_substring(Value s, uint32_t start, uint32_t end); /* narrowest width is not required; keeps lineage */
void string_put(Value s, uint32_t i, uint32_t c);        /* c must fit the width */
/* The same of what may be long, in pieces: V_AGAIN where it pauses, with what it needs in *state, which is V_FALSE before
   and afterwards. It asks for its memory itself. `chars` are raw characters of that width. */
Value cut_chars(Value *state, Value chars, uint32_t width, uint32_t start, uint32_t end, Value lineage);
Value cut_go_on(Value *state);
Value string_cut(Value *state, Value s, uint32_t start, uint32_t end);
/* For a primitive that does nothing else that is long: its state is vm.resume. At its top: GO_ON_CUTTING. */
bool is_cutting(Value state);
#define GO_ON_CUTTING() do { if (is_cutting(vm.resume)) return cut_go_on(&vm.resume); } while (0)
bool string_equal(Value a, Value b);
int string_compare(Value a, Value b);                    /* by code point: <0, 0, >0 */
uint64_t string_hash(Value s);
uint64_t narrow_hash(const uint8_t *data, uint32_t count);   /* that of a string of these, of up to 65,536 */
enum { NAME_HASH_BITS = 61 };                            /* what fits a fixnum: a symbol's hash is that of its name */
static inline uint64_t name_hash(Value name) { return string_hash(name) >> (64 - NAME_HASH_BITS); }
Value lineage_union(Value a, Value b);                   /* of two lineage slots, without their parts */

/* Which part of a string comes from which calls is kept where a run log wants it (%keep-parts!): then the slot of a string
   that was put together may hold #(ids marks count), with marks ((start . ids) ...), the last first; #f in place of ids is
   a part without any. Who copies the slot to another string copies what lineage_flat gives, unless every character
   stays at its place. Parts are an account, not a promise: where there is no room for them, or they are too many, marks
   is #f, and only the ids are known. */
Value lineage_flat(Value lineage);                       /* #f, or the ids */
static inline uint64_t string_size(uint64_t length, uint32_t width) {
  return length > UINT32_MAX ? UINT64_MAX / 2 : length * width + 64;      /* the first is more than any memory */
}
Value string_from_chars(const uint8_t *data, uint32_t width, uint32_t count);   /* as narrow as can be */
#define CHECK_MUTABLE_STRING(i) do { \
    if (!IS(args[i], T_STRING)) return err_type(NULL, i, "string", args[i]); \
    if (OBJ_FLAGS(args[i]) & H_IMMUTABLE) return err_type(NULL, i, "mutable string", args[i]); } while (0)

/* A growing string: the characters are kept in a T_RAW that doubles. Lives across V_AGAIN where
   kept in Values (save/restore: builder_save gives a Value, builder_load takes it back). */
typedef struct { Value chars; uint32_t length, width; Value lineage; } Builder;
void strings_init(void);                                 /* at boot */
void builder_init(Builder *b);
void builder_char(Builder *b, uint32_t c);
void builder_c(Builder *b, const char *utf8);
void builder_string(Builder *b, Value s);
void builder_mark(Builder *b, uint32_t start, Value lineage);  /* what stands there from `start` on has this lineage */
Value builder_finish(Builder *b);                        /* a fresh string */
Value builder_save(Builder *b);
void builder_load(Builder *b, Value saved);

/* Makes room for so many more characters of that width; false where memory is short, or where moving what there is
   takes longer than a moment: then builder_bytes is 0, and it goes on when it is asked again. */
bool builder_room(Builder *b, uint64_t more, uint32_t width);

/* Raw characters or bytes move to a larger place of `bytes` bytes, whose memory is reserved: in pieces, where false says that
   it goes on with the next call. One such move is under way at a time. */
bool chars_moved(Value *chars, uint32_t *width, uint32_t length, uint64_t bytes, uint32_t to_width);
bool chars_moving(Value chars);

/* What to ask for where there is none: need_memory(builder_bytes(...)). */
uint64_t builder_bytes(const Builder *b, uint64_t more, uint32_t width);
#define BUILDER_ROOM(b, more, width) do { \
    if (!builder_room((b), (more), (width))) return need_memory(builder_bytes((b), (more), (width))); } while (0)

/* Appends characters; room has been made or the piece is small. */
void builder_chars(Builder *b, const uint8_t *data, uint32_t width, uint32_t count);

/* The union of the lineages of many strings. Start, count all of them, reserve lineage_cost, begin, take
   all of them again in the same order, end. */
enum { LINEAGE_SEEN = 64 };

typedef struct {
  Value seen[LINEAGE_SEEN];
  Value only;              /* the first one found */
  bool several;
  uint64_t ids;
  Value gathered;          /* raw: so many ids */
} LineageSum;
static inline void lineage_start(LineageSum *sum) {     /* `seen` is cleared where there is a lineage at all */
  sum->only = sum->gathered = V_FALSE;
  sum->several = false;
  sum->ids = 0;
}
void lineage_count(LineageSum *sum, Value s);
uint64_t lineage_cost(const LineageSum *sum);
void lineage_begin(LineageSum *sum);
void lineage_take(LineageSum *sum, Value s);
Value lineage_end(LineageSum *sum);
uint64_t lineage_length(Value lineage);
#endif
