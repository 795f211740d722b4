/* utf8.c — UTF-8 in and out of strings. */
#include "text/utf8.h"
#include "text/string.h"

uint32_t utf8_encode(uint32_t c, uint8_t *out) {
  if (c - 0xd800 < 0x800) c = 0xfffd;
  if (c < 0x80) {
    out[0] = (uint8_t)c;
    return 1;
  }
  uint32_t size = utf8_size(c);
  for (uint32_t i = size - 1; i > 0; i--, c >>= 6) out[i] = (uint8_t)(0x80 | (c & 0x3f));
  out[0] = (uint8_t)((0xf00u >> size & 0xff) | c);
  return size;
}

/* The second byte's range depends on the first (Unicode, table 3-7): that is what keeps out
   overlong forms, surrogates and what is beyond U+10FFFF. */
uint32_t utf8_decode(const uint8_t *at, const uint8_t *end, const uint8_t **next) {
  uint32_t first = *at++;
  *next = at;
  if (first < 0x80) return first;
  if (first < 0xc2 || first > 0xf4) return UTF8_BAD;
  uint32_t more = first < 0xe0 ? 1 : first < 0xf0 ? 2 : 3;
  uint32_t c = first & (0x3fu >> more);
  uint8_t low = first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
  uint8_t high = first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
  for (; more; more--, at++) {
    if (at == end || *at < low || *at > high) return UTF8_BAD;
    c = c << 6 | (*at & 0x3f);
    *next = at + 1;
    low = 0x80;
    high = 0xbf;
  }
  return c;
}

/* How many bytes from `at` on are ASCII: eight at a time. */
static size_t ascii_run(const uint8_t *at, const uint8_t *end) {
  const uint8_t *p = at;
  for (uint64_t word; end - p >= 8; p += 8) {
    memcpy(&word, p, 8);
    if (word & 0x8080808080808080u) break;
  }
  while (p < end && *p < 0x80) p++;
  return (size_t)(p - at);
}

/* ---- decoding ---- */

typedef struct { uint32_t length, width; size_t bad; } Measure;   /* bad: offset of the first ill-formed byte + 1 */

static Measure measure(const uint8_t *utf8, size_t bytes) {
  const uint8_t *at = utf8, *end = utf8 + bytes;
  Measure m = {0, 1, 0};
  uint32_t all = 0;
  while (at < end) {
    size_t run = ascii_run(at, end);
    m.length += (uint32_t)run;
    if ((at += run) == end) break;
    const uint8_t *start = at;
    uint32_t c = utf8_decode(at, end, &at);
    if (c == UTF8_BAD && !m.bad) m.bad = (size_t)(start - utf8) + 1;
    all |= c == UTF8_BAD ? 0xfffd : c;
    m.length++;
  }
  m.width = char_width(all);
  return m;
}

/* `replacement` stands for what is ill-formed; it fits the width. Returns how many characters there are. */
static uint32_t decode_to(const uint8_t *utf8, size_t bytes, uint8_t *to, uint32_t width, uint32_t replacement) {
  const uint8_t *at = utf8, *end = utf8 + bytes;
  uint32_t i = 0;
  while (at < end) {
    size_t run = ascii_run(at, end);
    chars_copy(to + (size_t)i * width, width, at, 1, (uint32_t)run);
    i += (uint32_t)run;
    if ((at += run) == end) break;
    uint32_t c = utf8_decode(at, end, &at);
    chars_put(to, width, i++, c == UTF8_BAD ? replacement : c);
  }
  return i;
}

Value string_from_utf8(const char *utf8, size_t bytes) {
  Measure m = measure((const uint8_t *)utf8, bytes);
  Value s = string_make(m.length, m.width);
  decode_to((const uint8_t *)utf8, bytes, STR_DATA(s), m.width, 0xfffd);
  return s;
}

Value string_from_c(const char *utf8) { return string_from_utf8(utf8, strlen(utf8)); }

/* The end of a piece of well-formed UTF-8 of about so many bytes: before a first byte. */
static size_t piece_end(const uint8_t *utf8, size_t from, size_t bytes) {
  size_t end = bytes - from > LONG_ROUND ? from + LONG_ROUND : bytes;
  while (end < bytes && (utf8[end] & 0xc0) == 0x80 && end - from < LONG_ROUND + 3) end++;
  return end;
}

Value utf8_read(const uint8_t *bytes, size_t count, uint32_t replacement, Utf8Reading *r) {
  while (r->s == V_FALSE && r->next < count) {
    size_t stop = piece_end(bytes, r->next, count);
    Measure m = measure(bytes + r->next, stop - r->next);
    if (m.bad && replacement == UTF8_BAD) {
      r->bad = r->next + m.bad - 1;
      return V_ERROR;
    }
    charge((int64_t)(stop - r->next) / 16);
    r->length += m.length;
    if (m.bad && char_width(replacement) > m.width) m.width = char_width(replacement);
    if (m.width > r->width) r->width = m.width;
    r->next = stop;
    if (should_pause() && r->next < count) return V_AGAIN;
  }
  if (replacement == UTF8_BAD) replacement = 0;          /* nothing is ill-formed */
  if (r->s == V_FALSE) {
    uint64_t size = string_size(r->length, r->width);
    if (!heap_reserve(size + 64)) return need_memory(size);
    r->s = string_make(r->length, r->width);
    r->next = r->length = 0;                             /* from here on: how many are there already */
  }
  while (r->next < count) {
    size_t stop = piece_end(bytes, r->next, count);
    r->length += decode_to(bytes + r->next, stop - r->next, STR_DATA(r->s) + (size_t)r->length * r->width, r->width, replacement);
    charge((int64_t)(stop - r->next) / 16);
    r->next = stop;
    if (should_pause() && r->next < count) return V_AGAIN;
  }
  return r->s;
}

/* (utf8->string bytes [start end]): ill-formed is an error; bytes->string/utf-8 has a character for it, where
   that is not #f. */
enum { D_AT, D_LENGTH, D_WIDTH, D_STRING, D_SIZE };
static Value decode_argument(int argc, Value *args, int range, Value error_char) {
  CHECK_BYTES(NULL, 0);
  RANGE(range, args[0], BYTES_LENGTH(args[0]), start, end);
  Utf8Reading r = UTF8_READING;
  Value *kept = progress();
  if (kept)
    r = (Utf8Reading){(size_t)FIX_VALUE(kept[D_AT]), (uint32_t)FIX_VALUE(kept[D_LENGTH]),
                      (uint32_t)FIX_VALUE(kept[D_WIDTH]), kept[D_STRING], 0};
  Value s = utf8_read(BYTES(args[0]) + start, end - start, error_char == V_FALSE ? (uint32_t)UTF8_BAD : CHAR_VALUE(error_char), &r);
  if (s == V_AGAIN) return pause_keeping(D_SIZE, FIX(r.next), FIX(r.length), FIX(r.width), r.s);
  if (s == V_ERROR)
    return err_failf("exn:fail:contract", "%s: the bytevector is not well-formed UTF-8 at index %d",
                     range == 1 ? "utf8->string" : "bytes->string/utf-8", (int)(start + r.bad));
  return s;
}

static Value prim_utf8_to_string(int argc, Value *args) { return decode_argument(argc, args, 1, V_FALSE); }

static Value prim_bytes_to_string(int argc, Value *args) {
  Value error_char = ARG_OR(1, V_FALSE);
  if (error_char != V_FALSE) CHECK_CHAR(NULL, 1);
  return decode_argument(argc, args, 2, error_char);
}

/* ---- encoding ---- */

static uint64_t encoded_length(Value s, uint32_t start, uint32_t end) {
  uint64_t bytes = 0;
  uint32_t width = STR_WIDTH(s);
  const uint8_t *data = STR_DATA(s);
  if (width == 1) {
    bytes = end - start;
    for (uint32_t i = start; i < end; i++) bytes += data[i] >> 7;
    return bytes;
  }
  for (uint32_t i = start; i < end; i++) bytes += utf8_size(chars_get(data, width, i));
  return bytes;
}

static void encode(Value s, uint32_t start, uint32_t end, uint64_t length, uint8_t *out) {
  uint32_t width = STR_WIDTH(s);
  const uint8_t *data = STR_DATA(s);
  if (length == end - start) {                     /* all of it is ASCII */
    chars_copy(out, 1, data + (size_t)start * width, width, end - start);
    return;
  }
  for (uint32_t i = start; i < end; i++) out += utf8_encode(chars_get(data, width, i), out);
}

uint32_t string_piece_utf8_length(Value s, uint32_t start, uint32_t end) { return (uint32_t)encoded_length(s, start, end); }
uint32_t string_utf8_length(Value s) { return string_piece_utf8_length(s, 0, STR_LENGTH(s)); }

uint32_t string_piece_to_utf8(Value s, uint32_t start, uint32_t end, uint8_t *out) {
  uint64_t length = encoded_length(s, start, end);
  encode(s, start, end, length, out);
  return (uint32_t)length;
}
uint32_t string_to_utf8(Value s, uint8_t *out) { return string_piece_to_utf8(s, 0, STR_LENGTH(s), out); }

/* Progress: characters measured, bytes; then the bytes, characters and bytes written. */
enum { E_AT, E_BYTES, E_RESULT, E_SIZE };
static Value encode_argument(int argc, Value *args, int range, bool only_measure) {
  CHECK_STRING(NULL, 0);
  RANGE(range, args[0], STR_LENGTH(args[0]), start, end);
  uint32_t next = start;
  uint64_t length = 0;
  Value s = args[0], bytes = V_FALSE, *kept = progress();
  if (kept) {
    next = (uint32_t)FIX_VALUE(kept[E_AT]);
    length = (uint64_t)FIX_VALUE(kept[E_BYTES]);
    bytes = kept[E_RESULT];
  }
#define PAUSE() pause_keeping(E_SIZE, FIX(next), FIX(length), bytes)
  while (bytes == V_FALSE && next < end) {
    uint32_t stop = end - next > LONG_ROUND ? next + LONG_ROUND : end;
    length += encoded_length(s, next, stop);
    charge((stop - next) / 32);
    next = stop;
    if (should_pause() && next < end) return PAUSE();
  }
  if (only_measure) return FIX(length);
  if (bytes == V_FALSE) {
    if (length + 16 > HEAP_HEADROOM / 4 && !heap_reserve(length + 16)) {
      PAUSE();
      return need_memory(length + 16);
    }
    bytes = heap_raw(T_BYTES, 0, (uint32_t)length);
    next = start;
    length = 0;                                          /* from here on: how many are there already */
  }
  while (next < end) {
    uint32_t stop = end - next > LONG_ROUND ? next + LONG_ROUND : end;
    uint64_t piece = encoded_length(s, next, stop);
    encode(s, next, stop, piece, BYTES(bytes) + length);
    charge((stop - next) / (piece == stop - next ? 64 : 8));
    length += piece;
    next = stop;
    if (should_pause() && next < end) return PAUSE();
  }
#undef PAUSE
  return bytes;
}

static Value prim_string_to_utf8(int argc, Value *args) { return encode_argument(argc, args, 1, false); }
static Value prim_string_to_bytes(int argc, Value *args) { return encode_argument(argc, args, 2, false); }

static Value prim_string_utf8_length(int argc, Value *args) { return encode_argument(argc, args, 1, true); }

/* ---- Latin-1 ---- */

static Value prim_latin1_to_string(int argc, Value *args) {
  CHECK_BYTES(NULL, 0);
  RANGE(2, args[0], BYTES_LENGTH(args[0]), start, end);
  RESERVE(string_size(end - start, 1));
  charge((end - start) / 64);
  Value s = string_make(end - start, 1);
  if (end > start) memcpy(STR_DATA(s), BYTES(args[0]) + start, end - start);
  return s;
}

static Value prim_string_to_latin1(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  RANGE(2, args[0], STR_LENGTH(args[0]), start, end);
  if (HAS_ARG(1) && args[1] != V_FALSE && (!IS_FIX(args[1]) || FIX_VALUE(args[1]) < 0 || FIX_VALUE(args[1]) > 255))
    return err_type(NULL, 1, "byte or #f", args[1]);
  Value *kept = progress(), bytes;
  if (!kept) {
    RESERVE((uint64_t)(end - start) + 16);
    bytes = heap_raw(T_BYTES, 0, end - start);
  } else {
    bytes = kept[1];
  }
  for (uint32_t i = kept ? (uint32_t)FIX_VALUE(kept[0]) : start; i < end; i++) {
    if ((i - start) % LONG_ROUND == LONG_ROUND - 1) {
      charge(LONG_ROUND / 16);
      if (should_pause()) return pause_keeping(2, FIX(i), bytes);
    }
    uint32_t c = string_char(args[0], i);
    if (c > 0xff) {
      if (ARG_OR(1, V_FALSE) == V_FALSE) return err_type(NULL, 0, "string of Latin-1 characters", args[0]);
      c = (uint32_t)FIX_VALUE(args[1]);
    }
    BYTES(bytes)[i - start] = (uint8_t)c;
  }
  return bytes;
}

const PrimDef utf8_prims[] = {
  {"utf8->string", prim_utf8_to_string, 1, 3, "(utf8->string bytevector [start end])"},
  {"string->utf8", prim_string_to_utf8, 1, 3, "(string->utf8 string [start end])"},
  {"bytes->string/utf-8", prim_bytes_to_string, 1, 4, "(bytes->string/utf-8 bytes [error-char start end])"},
  {"string->bytes/utf-8", prim_string_to_bytes, 1, 4, "(string->bytes/utf-8 string [error-byte start end])"},
  {"string-utf-8-length", prim_string_utf8_length, 1, 3, "(string-utf-8-length string [start end])"},
  {"string-size", prim_string_utf8_length, 1, 1, "(string-size string)"},
  {"bytes->string/latin-1", prim_latin1_to_string, 1, 4, "(bytes->string/latin-1 bytes [error-char start end])"},
  {"string->bytes/latin-1", prim_string_to_latin1, 1, 4, "(string->bytes/latin-1 string [error-byte start end])"},
  {0},
};
