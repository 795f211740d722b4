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

/* `replacement` stands for what is ill-formed; it fits the width. */
static Value decode(const uint8_t *utf8, size_t bytes, Measure m, uint32_t replacement) {
  const uint8_t *at = utf8, *end = utf8 + bytes;
  Value s = string_make(m.length, m.width);
  uint8_t *to = STR_DATA(s);
  uint32_t i = 0;
  while (at < end) {
    size_t run = ascii_run(at, end);
    chars_copy(to + (size_t)i * m.width, m.width, at, 1, (uint32_t)run);
    i += (uint32_t)run;
    if ((at += run) == end) break;
    uint32_t c = utf8_decode(at, end, &at);
    chars_put(to, m.width, i++, c == UTF8_BAD ? replacement : c);
  }
  return s;
}

Value string_from_utf8(const char *utf8, size_t bytes) {
  return decode((const uint8_t *)utf8, bytes, measure((const uint8_t *)utf8, bytes), 0xfffd);
}

Value string_from_c(const char *utf8) { return string_from_utf8(utf8, strlen(utf8)); }

/* (utf8->string bytes [start end]): ill-formed is an error; bytes->string/utf-8 has a character
   for it, where that is not #f. */
static Value decode_argument(int argc, Value *args, int range, Value error_char) {
  CHECK_BYTES(NULL, 0);
  RANGE(range, args[0], BYTES_LENGTH(args[0]), start, end);
  const uint8_t *at = BYTES(args[0]) + start;
  Measure m = measure(at, end - start);
  if (m.bad && error_char == V_FALSE)
    return err_failf("exn:fail:contract", "%s: the bytevector is not well-formed UTF-8 at index %d",
                     range == 1 ? "utf8->string" : "bytes->string/utf-8", (int)(start + m.bad - 1));
  uint32_t replacement = error_char == V_FALSE ? 0 : CHAR_VALUE(error_char);
  if (char_width(replacement) > m.width) m.width = char_width(replacement);
  RESERVE(string_size(m.length, m.width));
  charge((end - start) / 32);
  return decode(at, end - start, m, replacement);
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

uint32_t string_utf8_length(Value s) { return (uint32_t)encoded_length(s, 0, STR_LENGTH(s)); }

uint32_t string_to_utf8(Value s, uint8_t *out) {
  uint64_t length = encoded_length(s, 0, STR_LENGTH(s));
  encode(s, 0, STR_LENGTH(s), length, out);
  return (uint32_t)length;
}

static Value encode_argument(int argc, Value *args, int range) {
  CHECK_STRING(NULL, 0);
  RANGE(range, args[0], STR_LENGTH(args[0]), start, end);
  uint64_t length = encoded_length(args[0], start, end);
  RESERVE(length + 16);
  charge((int64_t)(length / 32));
  Value bytes = heap_raw(T_BYTES, 0, (uint32_t)length);
  encode(args[0], start, end, length, BYTES(bytes));
  return bytes;
}

static Value prim_string_to_utf8(int argc, Value *args) { return encode_argument(argc, args, 1); }
static Value prim_string_to_bytes(int argc, Value *args) { return encode_argument(argc, args, 2); }

static Value prim_string_utf8_length(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  RANGE(1, args[0], STR_LENGTH(args[0]), start, end);
  charge((end - start) / 32);
  return FIX((int64_t)encoded_length(args[0], start, end));
}

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
  RESERVE((uint64_t)(end - start) + 16);
  charge((end - start) / 16);
  Value bytes = heap_raw(T_BYTES, 0, end - start);
  for (uint32_t i = start; i < end; i++) {
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
