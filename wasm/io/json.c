/* json.c — JSON text to Racket's jsexprs and back: strict (RFC 8259), unless asked to be lenient.
 *
 * An object becomes an immutable hasheq with symbol keys in which strings find their symbols, too
 * (table.h: loose); an array a list; null the symbol `null`, as Racket has it. Both directions are
 * resumable, with an explicit stack.
 */
#include "core/worklist.h"
#include "data/equal.h"
#include "data/table.h"
#include "numbers/number.h"
#include "numbers/numprint.h"
#include "numbers/numread.h"
#include "text/string.h"
#include "text/symbol.h"
#include "text/utf8.h"
#include <stdarg.h>
#include <stdio.h>

static Value null_symbol(void) {
  static Value symbol = V_FALSE;
  if (symbol == V_FALSE) {
    heap_root(&symbol);
    symbol = intern("null");
  }
  return symbol;
}

/* ---- parsing ---- */

typedef struct {
  Value text;
  const uint8_t *data;
  uint32_t width, length, at;
  bool lenient;
  Stack stack;
  Value null;
  int expect;             /* enum expect */
  Value number;           /* progress with a long one */
  Value string;           /* a builder that is saved, V_FALSE where none is under way; and where it goes on */
  uint32_t string_at;
  uint32_t place_at, line, column;   /* how far the place of an error is counted */
} Parser;

/* Frames: the list so far and its last pair; or the table and the key that waits. Objects are mostly like others that
   stand before them: `like` is the one that this table has followed so far, key by key, #f where none, or where it
   goes another way; then the key that waits is the position there. `last` is the object that was closed in it last. */
enum { J_KIND, J_DATA, J_MORE, J_LIKE, J_LAST, J_FRAME };
enum { J_ARRAY, J_OBJECT };
enum expect { EXPECT_VALUE, EXPECT_VALUE_OR_END, EXPECT_KEY, EXPECT_KEY_OR_END, EXPECT_COLON, EXPECT_COMMA, EXPECT_FENCE, EXPECT_BRACKET };
#define END 0xffffffffu
#define NOTHING MAKE(T_SIGNAL, 16)

static inline uint32_t char_at(Parser *p, uint32_t i) { return i < p->length ? chars_get(p->data, p->width, i) : END; }

static void parser_text(Parser *p, Value text) {
  p->text = text;
  p->data = STR_DATA(text);
  p->width = STR_WIDTH(text);
  p->length = STR_LENGTH(text);
}

/* ---- errors: what was expected, where, and the text around ---- */

static uint32_t add_excerpt(Parser *p, uint32_t from, uint32_t end, char *out) {
  uint32_t n = 0;
  for (uint32_t i = from; i < end && i < p->length; i++) {
    uint32_t c = char_at(p, i);
    n += utf8_encode(c < ' ' ? ' ' : c, (uint8_t *)out + n);
  }
  out[n] = 0;
  return n;
}

/* The place of an error is counted when there is one, in pieces: V_AGAIN where it pauses. */
static bool place_found(Parser *p, uint32_t at) {
  enum { PIECE = 1 << 16 };
  if (p->place_at > at) { p->place_at = 0; p->line = p->column = 1; }
  while (p->place_at < at && p->place_at < p->length) {
    uint32_t end = at < p->length ? at : p->length, stop = end - p->place_at < PIECE ? end : p->place_at + PIECE;
    charge((stop - p->place_at) / 16);
    for (; p->place_at < stop; p->place_at++) {
      if (char_at(p, p->place_at) == '\n') { p->line++; p->column = 1; } else p->column++;
    }
    if (p->place_at < end && should_pause()) return false;
  }
  return true;
}

static Value fail(Parser *p, uint32_t at, const char *format, ...) {
  char what[160], before[100], after[100], message[420];
  va_list rest;
  va_start(rest, format);
  vsnprintf(what, sizeof what, format, rest);
  va_end(rest);
  if (!place_found(p, at)) return V_AGAIN;
  add_excerpt(p, at > 20 ? at - 20 : 0, at, before);
  add_excerpt(p, at, at + 20, after);
  snprintf(message, sizeof message, "bad JSON: %s at line %u, column %u: %s%s<here>%s%s", what, (unsigned)p->line, (unsigned)p->column,
           at > 20 ? "..." : "", before, after, at + 20 < p->length ? "..." : "");
  return err_read(message, 0, at >= p->length, V_NIL);
}

static Value fail_expected(Parser *p, const char *expected) {
  uint32_t c = char_at(p, p->at);
  char found[8];
  if (c == END) return fail(p, p->at, "expected %s, but the text ends", expected);
  found[utf8_encode(c, (uint8_t *)found)] = 0;
  if (c == '\'') return fail(p, p->at, "expected %s, but found `'`: strings are in double quotes", expected);
  return fail(p, p->at, "expected %s, but found `%s`", expected, found);
}

/* ---- plain characters ---- */

/* Where the first of narrow characters [from, to) is that ends a string or is written otherwise than it stands: a quote, a
   backslash, a control character (DEL among them, in our own writing), and in ASCII what is none. Eight at a time. */
static inline bool is_plain_word(uint64_t word, bool ascii) {
  const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
#define HAS(word, byte) ((((word) ^ ones * (byte)) - ones) & ~((word) ^ ones * (byte)))
  uint64_t other = HAS(word, '"') | HAS(word, '\\') | HAS(word, 0x7f) | ((word - ones * ' ') & ~word) | (ascii ? word : 0);
#undef HAS
  return !(other & tops);
}
static uint32_t plain_end(const uint8_t *data, uint32_t from, uint32_t to, bool ascii) {
  for (uint64_t word; to - from >= 8; from += 8) {
    memcpy(&word, data + from, 8);
    if (!is_plain_word(word, ascii)) break;
  }
  for (; from < to; from++) {
    uint32_t c = data[from];
    if (c == '"' || c == '\\' || c < ' ' || c == 0x7f || (ascii && c >= 0x80)) break;
  }
  return from;
}

/* ---- leaves ---- */

static bool is_blank(uint32_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0xfeff; }
static bool is_digit(uint32_t c) { return c >= '0' && c <= '9'; }

/* False: there are many, and it pauses among them. */
static bool skip_blanks(Parser *p) {
  enum { PIECE = 1 << 16 };
  if (char_at(p, p->at) > ' ' && char_at(p, p->at) != 0xfeff) return true;
  for (uint32_t n = 0; is_blank(char_at(p, p->at)); p->at++)
    if (++n % 16 == 0 && (charge(1), n % PIECE == 0) && should_pause()) return false;
  return true;
}

static uint32_t digits(Parser *p, uint32_t at) {
  while (is_digit(char_at(p, at))) at++;
  return at;
}

/* Most are integers of few digits; V_FALSE for another. */
static inline Value quick_integer(Parser *p) {
  if (p->width != 1) return V_FALSE;
  uint32_t from = p->at, most = p->length - from > 16 ? from + 16 : p->length, i = from + (p->data[from] == '-'), begun = i;
  int64_t n = 0;
  for (; i < most && is_digit(p->data[i]); i++) n = n * 10 + (p->data[i] - '0');
  uint32_t c = i < most ? p->data[i] : i == p->length ? END : '0';
  if (i == begun || is_digit(c) || c == '.' || (c | 32) == 'e' || (p->data[begun] == '0' && i != begun + 1)) return V_FALSE;
  p->at = i;
  return FIX(begun > from ? -n : n);
}

static Value parse_number(Parser *p) {
  uint32_t from = p->at, at = from, first;
  Value quick = quick_integer(p);
  if (quick != V_FALSE) return quick;
  if (char_at(p, at) == '-') at++;
  first = char_at(p, at);
  if (!is_digit(first)) { p->at = at; return fail_expected(p, "a digit"); }
  at = digits(p, at);
  if (first == '0' && at - from > 1u + (char_at(p, from) == '-') && !p->lenient) return fail(p, from, "a number that begins with 0");
  if (char_at(p, at) == '.') {
    if (!is_digit(char_at(p, at + 1))) { p->at = at + 1; return fail_expected(p, "a digit"); }
    at = digits(p, at + 1);
  }
  if (char_at(p, at) == 'e' || char_at(p, at) == 'E') {
    uint32_t exponent = at + 1;
    if (char_at(p, exponent) == '+' || char_at(p, exponent) == '-') exponent++;
    if (!is_digit(char_at(p, exponent))) { p->at = exponent; return fail_expected(p, "a digit"); }
    at = digits(p, exponent);
  }
  Value number = num_parse_pausing(p->data + (size_t)from * p->width, p->width, at - from, 10, &p->number);
  if (!IS_SIGNAL(number)) p->at = at;
  return number;
}

static bool word_at(Parser *p, const char *word) {
  uint32_t i = 0;
  for (; word[i]; i++) if (char_at(p, p->at + i) != (uint8_t)word[i]) return false;
  uint32_t c = char_at(p, p->at + i);
  return c == END || !((c | 32) >= 'a' && (c | 32) <= 'z') || c >= 0x80;
}

static Value parse_word(Parser *p) {
  static const char *const words[] = {"true", "false", "null"};
  for (int i = 0; i < 3; i++)
    if (word_at(p, words[i])) {
      p->at += (uint32_t)strlen(words[i]);
      return i == 0 ? V_TRUE : i == 1 ? V_FALSE : p->null;
    }
  if (word_at(p, "None") || word_at(p, "True") || word_at(p, "False"))
    return fail(p, p->at, "a Python word: JSON has null, true and false");
  if (word_at(p, "NaN") || word_at(p, "Infinity")) return fail(p, p->at, "a number that JSON does not have");
  return fail_expected(p, "a value");
}

static int hex4(Parser *p, uint32_t at) {
  int value = 0;
  for (uint32_t i = 0; i < 4; i++) {
    uint32_t c = char_at(p, at + i);
    int d = is_digit(c) ? (int)c - '0' : c >= 'a' && c <= 'f' ? (int)c - 'a' + 10 : c >= 'A' && c <= 'F' ? (int)c - 'A' + 10 : -1;
    if (d < 0) return -1;
    value = value * 16 + d;
  }
  return value;
}

/* The escape at *at; END: it is none. A half of a surrogate pair alone is U+FFFD. */
static uint32_t escape(Parser *p, uint32_t *at) {
  static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
  uint32_t c = char_at(p, *at + 1);
  const char *known = c < 0x80 && c ? strchr(from, (int)c) : NULL;
  if (known) { *at += 2; return (uint8_t)to[known - from]; }
  int value = c == 'u' ? hex4(p, *at + 2) : -1;
  if (value < 0) return END;
  *at += 6;
  if (value < 0xd800 || value >= 0xe000) return (uint32_t)value;
  int low = value < 0xdc00 && char_at(p, *at) == '\\' && char_at(p, *at + 1) == 'u' ? hex4(p, *at + 2) : -1;
  if (low < 0xdc00 || low >= 0xe000) return 0xfffd;
  *at += 6;
  return 0x10000 + (((uint32_t)value - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
}

/* A string that is short and has no escape, copied once; V_FALSE for another. */
enum { PLAIN_STRING = 256 };

/* The same of narrow characters with escapes of such: what does not fit is left to the way through a builder. */
static Value escaped_string(Parser *p, uint32_t from, uint32_t at) {
  uint8_t text[PLAIN_STRING];
  uint32_t n = at - from, most = p->length;
  memcpy(text, p->data + from, n);
  while (at < most && n < PLAIN_STRING) {
    uint32_t c = p->data[at];
    if (c == '"') {
      charge(n);
      Value s = string_from_chars(text, 1, n);
      STR(s)->lineage = lineage_flat(STR(p->text)->lineage);
      p->at = at + 1;
      return s;
    }
    if (c == '\\') {
      if ((c = escape(p, &at)) >= 0x100) return V_FALSE;         /* END, too */
      text[n++] = (uint8_t)c;
      continue;
    }
    if (c < ' ') return V_FALSE;
    uint32_t end = plain_end(p->data, at + 1, most - at > PLAIN_STRING - n ? at + PLAIN_STRING - n : most, false);
    memcpy(text + n, p->data + at, end - at);
    n += end - at;
    at = end;
  }
  return V_FALSE;
}
static Value plain_string(Parser *p) {
  uint32_t from = p->at + 1, at = from, c = END;
  if (p->width == 1) at = plain_end(p->data, from, p->length - from > PLAIN_STRING ? from + PLAIN_STRING : p->length, false);
  while (at - from < PLAIN_STRING && (c = char_at(p, at)) != '"' && c != '\\' && c >= ' ' && c != END) at++;
  if (c == '\\' && p->width == 1) return escaped_string(p, from, at);
  if (c != '"') return V_FALSE;
  charge((at - from) / 8);
  Value s = string_from_chars(p->data + (size_t)from * p->width, p->width, at - from);
  STR(s)->lineage = lineage_flat(STR(p->text)->lineage);
  p->at = at + 1;
  return s;
}

/* A piece at a time, each up to the next escape; between two of them the parser keeps what there is. */
static Value parse_string(Parser *p) {
  Builder b;
  uint32_t at = p->at + 1;
  if (p->string == V_FALSE) {
    Value plain = plain_string(p);
    if (plain != V_FALSE) return plain;
    builder_init(&b);
  } else {
    builder_load(&b, p->string);
    at = p->string_at;
  }
  for (uint32_t c;;) {
    uint32_t from = at, most = p->length - at > LONG_ROUND ? at + LONG_ROUND : p->length;
    if (p->width == 1) at = plain_end(p->data, at, most, false);
    while (at < most && (c = char_at(p, at)) != '"' && c != '\\' && c >= ' ') at++;
    if (!builder_room(&b, at - from + 2, p->width)) {
      p->string = builder_save(&b);
      p->string_at = from;
      return need_memory(builder_bytes(&b, at - from + 2, p->width));
    }
    builder_chars(&b, p->data + (size_t)from * p->width, p->width, at - from);
    charge((at - from) / 8);
    c = char_at(p, at);
    if (c == '"') break;
    if (c == END) return fail(p, p->at, "a string that does not end begins");
    if (c == '\\') {
      if ((c = escape(p, &at)) == END) return fail(p, at, "an unknown escape");
      builder_char(&b, c);
      charge(1);
    } else if (c < ' ') {
      if (!p->lenient) return fail(p, at, c == '\n' ? "a line ends inside a string (write \\n)" : "a control character inside a string");
      builder_char(&b, c);
      at++;
    }
    if (!should_pause()) continue;
    p->string = builder_save(&b);
    p->string_at = at;
    return V_AGAIN;
  }
  Value s = builder_finish(&b);
  STR(s)->lineage = lineage_flat(STR(p->text)->lineage);
  p->string = V_FALSE;
  p->at = at + 1;
  return s;
}

/* ---- structure ---- */

enum { USUAL_KEYS = 5, MOST_LIKE = 64 };

/* What may be like the container that is opened now: of an array, its first item. */
static Value model_of(Parser *p) {
  if (!p->stack.top) return V_FALSE;
  Value *frame = stack_top(&p->stack, J_FRAME), model = frame[J_LAST];
  if (frame[J_KIND] == FIX(J_OBJECT) && frame[J_LIKE] != V_FALSE) {
    Value key, there;
    table_entry(frame[J_LIKE], table_count(frame[J_DATA]), &key, &there);
    if (is_pair(there)) there = CAR(there);
    if (IS(there, T_TABLE)) return there;
  }
  return model;
}

static Value open_container(Parser *p, int kind) {
  Value table = V_NIL, model = model_of(p);
  uint32_t count = model == V_FALSE ? 0 : table_count(model);
  if (count > MOST_LIKE || !count) model = V_FALSE;
  if (kind == J_OBJECT) {
    table = table_make_sized(TABLE_EQ, false, model == V_FALSE ? USUAL_KEYS : count);
    table_set_loose(table);
  }
  push(&p->stack, FIX(kind));
  push(&p->stack, table);
  push(&p->stack, V_NIL);
  push(&p->stack, kind == J_OBJECT ? model : V_FALSE);
  push(&p->stack, kind == J_OBJECT ? V_FALSE : model);
  p->at++;
  p->expect = kind == J_OBJECT ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
  return NOTHING;
}

static Value close_container(Parser *p) {
  Value *frame = stack_top(&p->stack, J_FRAME), v = frame[J_DATA];
  p->stack.top -= J_FRAME;
  if (frame[J_KIND] == FIX(J_OBJECT)) {
    SET_FLAG(v, H_IMMUTABLE);
    if (p->stack.top) stack_top(&p->stack, J_FRAME)[J_LAST] = v;
  }
  p->at++;
  return v;
}

static void comma(Parser *p, bool in_object) {
  p->at++;
  p->expect = in_object ? (p->lenient ? EXPECT_KEY_OR_END : EXPECT_KEY) : p->lenient ? EXPECT_VALUE_OR_END : EXPECT_VALUE;
}

/* A value joins what is open. V_AGAIN: nothing has been done. */
static Value add_value(Parser *p, Value v) {
  Value *frame = stack_top(&p->stack, J_FRAME);
  if (frame[J_KIND] == FIX(J_OBJECT) && frame[J_LIKE] != V_FALSE) {
    uint32_t i = table_count(frame[J_DATA]);
    table_append_like(frame[J_DATA], frame[J_LIKE], i, v);
    if (i + 1 == table_count(frame[J_LIKE])) frame[J_LIKE] = V_FALSE;
  } else if (frame[J_KIND] == FIX(J_OBJECT)) {
    if (!table_ready(frame[J_DATA])) return table_wait(frame[J_DATA]);
    table_set(frame[J_DATA], frame[J_MORE], v);
  } else {
    Value pair = cons(v, V_NIL);
    if (frame[J_DATA] == V_NIL) frame[J_DATA] = pair; else CDR(frame[J_MORE]) = pair;
    frame[J_MORE] = pair;
  }
  p->expect = EXPECT_COMMA;
  if (char_at(p, p->at) == ',') {
    comma(p, frame[J_KIND] == FIX(J_OBJECT));
    charge(2);
  }
  return NOTHING;
}

/* Is the key that stands here the one that the model has next? */
static bool is_as_in_model(Parser *p, Value *frame) {
  if (p->width != 1 || p->string != V_FALSE) return false;
  Value key, value;
  table_entry(frame[J_LIKE], table_count(frame[J_DATA]), &key, &value);
  Value name = SYM(key)->name;
  uint32_t length = STR_LENGTH(name), from = p->at + 1;
  if (STR_WIDTH(name) != 1 || length > PLAIN_STRING || p->length - from <= length || p->data[from + length] != '"') return false;
  if (!bytes_equal(p->data + from, STR_DATA(name), length) || plain_end(STR_DATA(name), 0, length, false) < length) return false;
  frame[J_MORE] = key;
  p->at = from + length + 1;
  charge(length / 16);
  return true;
}

static Value parse_key(Parser *p, uint32_t c) {
  if (c != '"') return fail_expected(p, p->expect == EXPECT_KEY ? "a key in double quotes" : "a key in double quotes or `}`");
  Value *frame = stack_top(&p->stack, J_FRAME);
  if (frame[J_LIKE] == V_FALSE || !is_as_in_model(p, frame)) {
    frame[J_LIKE] = V_FALSE;
    uint32_t from = p->at + 1, end;
    Value key;
    if (p->width == 1 && p->string == V_FALSE &&
        (end = plain_end(p->data, from, p->length - from > PLAIN_STRING ? from + PLAIN_STRING : p->length, false)) < p->length &&
        p->data[end] == '"') {
      charge((end - from) / 8);
      key = intern_narrow(p->data + from, end - from);
      p->at = end + 1;
    } else {
      key = parse_string(p);
      if (IS_SIGNAL(key)) return key;
      key = intern_string(key);
    }
    stack_top(&p->stack, J_FRAME)[J_MORE] = key;
  }
  p->expect = EXPECT_COLON;
  if (char_at(p, p->at) == ':') {               /* at once, where it follows */
    p->at++;
    p->expect = EXPECT_VALUE;
    charge(2);
  }
  return NOTHING;
}

static Value parse_value(Parser *p, uint32_t c) {
  switch (c) {
    case '{': return open_container(p, J_OBJECT);
    case '[': return open_container(p, J_ARRAY);
    case '"': return parse_string(p);
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
      return parse_number(p);
    default: return parse_word(p);
  }
}

/* One token: a whole value, NOTHING or a signal. */
static Value parse_token(Parser *p, uint32_t c) {
  bool in_object = p->stack.top && stack_top(&p->stack, J_FRAME)[J_KIND] == FIX(J_OBJECT);
  uint32_t closer = in_object ? '}' : ']';
  switch (p->expect) {
    case EXPECT_COLON:
      if (c != ':') return fail_expected(p, "`:` after a key");
      p->at++;
      p->expect = EXPECT_VALUE;
      return NOTHING;
    case EXPECT_COMMA:
      if (c == closer) return close_container(p);
      if (c != ',') return fail_expected(p, in_object ? "`,` or `}`" : "`,` or `]`");
      comma(p, in_object);
      return NOTHING;
    case EXPECT_KEY_OR_END: case EXPECT_KEY:
      if (c == closer && p->expect == EXPECT_KEY_OR_END) return close_container(p);
      return parse_key(p, c);
    case EXPECT_VALUE_OR_END:
      if (c == closer) return close_container(p);
      return parse_value(p, c);
    default:
      return parse_value(p, c);
  }
}

/* ---- leniency: code fences and prose around ---- */

static bool text_at(Parser *p, uint32_t at, const char *word) {
  for (uint32_t i = 0; word[i]; i++) if (char_at(p, at + i) != (uint8_t)word[i]) return false;
  return true;
}

/* Where the JSON begins: in the first code fence, else at the first bracket or brace where the
   text begins with neither a value nor one of them. False: it pauses, at p->string_at. */
static bool find_start(Parser *p) {
  enum { PIECE = 1 << 14 };
  uint32_t i = p->string_at;
  if (p->expect == EXPECT_FENCE) {
    for (; i + 3 < p->length; i++) {
      if (i % PIECE == PIECE - 1 && (charge(PIECE / 16), should_pause()) && i != p->string_at) { p->string_at = i; return false; }
      if (char_at(p, i) != '`' || !text_at(p, i, "```")) continue;
      uint32_t line = i + 3;
      while (char_at(p, line) != '\n' && char_at(p, line) != END && char_at(p, line) != '{' && char_at(p, line) != '[') line++;
      if (char_at(p, line) == END) break;
      p->at = line;
      p->expect = EXPECT_VALUE;
      return true;
    }
    charge(p->length % PIECE / 16);
    p->expect = EXPECT_BRACKET;
    p->string_at = p->length;                             /* not begun */
  }
  if (p->string_at == p->length) {
    if (!skip_blanks(p)) return false;
    uint32_t c = char_at(p, p->at);
    bool begins = c == '"' || c == '-' || is_digit(c) || word_at(p, "true") || word_at(p, "false") || word_at(p, "null");
    p->string_at = begins ? p->length : p->at;
    if (begins) { p->expect = EXPECT_VALUE; return true; }
  }
  for (i = p->string_at; i < p->length && char_at(p, i) != '{' && char_at(p, i) != '['; i++)
    if (i % PIECE == PIECE - 1 && (charge(PIECE / 16), should_pause()) && i != p->string_at) { p->string_at = i; return false; }
  if (i < p->length) p->at = i;
  p->expect = EXPECT_VALUE;
  return true;
}

/* Items of an array and entries of an object that take no frame, one after the other: integers, strings, true and false,
   with single spaces between. It begins where a value is expected and leaves where it likes, before a token; NOTHING,
   or a signal. */
static inline uint32_t after_space(const Parser *p, uint32_t at) { return at < p->length && p->data[at] == ' ' ? at + 1 : at; }
static Value parse_quickly(Parser *p) {
  const uint8_t *data = p->data;
  bool in_object = stack_top(&p->stack, J_FRAME)[J_KIND] == FIX(J_OBJECT);
  while (!should_pause()) {
    uint32_t begun = p->at, at = after_space(p, begun);
    int expect = p->expect;
    if (p->length - at < 5) return NOTHING;
    Value v = V_DEFAULT;
    uint32_t c = data[at];
    p->at = at;
    if (c == '"') {
      uint32_t end = plain_end(data, at + 1, p->length - at > PLAIN_STRING ? at + PLAIN_STRING : p->length, false);
      if (end < p->length && data[end] == '"') {
        v = string_from_chars(data + at + 1, 1, end - at - 1);
        STR(v)->lineage = lineage_flat(STR(p->text)->lineage);
        charge((end - at) / 8);
        p->at = end + 1;
      }
    } else if (is_digit(c) || c == '-') {
      Value integer = quick_integer(p);
      if (integer != V_FALSE) v = integer;
    } else if (c == 't' && word_at(p, "true")) {
      p->at += 4;
      v = V_TRUE;
    } else if (c == 'f' && word_at(p, "false")) {
      p->at += 5;
      v = V_FALSE;
    }
    if (v == V_DEFAULT) {
      p->at = begun;
      return NOTHING;
    }
    Value added = add_value(p, v);
    if (added != NOTHING) {
      p->at = begun;
      p->expect = expect;
      return added;
    }
    charge(2);
    if (p->expect == EXPECT_COMMA) return NOTHING;
    if (!in_object) continue;
    at = after_space(p, p->at);
    if (at == p->length || data[at] != '"' || should_pause()) return NOTHING;
    begun = p->at;
    p->at = at;
    expect = p->expect;
    Value key = parse_key(p, '"');
    if (key == V_AGAIN) {
      p->at = begun;
      p->expect = expect;
    }
    if (key != NOTHING) return key;
    charge(2);
    if (p->expect != EXPECT_VALUE) return NOTHING;
  }
  return NOTHING;
}

static Value parse(Parser *p) {
  if ((p->expect == EXPECT_FENCE || p->expect == EXPECT_BRACKET) && !find_start(p)) return V_AGAIN;
  for (;;) {
    if (p->width == 1 && p->stack.top && (p->expect == EXPECT_VALUE || p->expect == EXPECT_VALUE_OR_END) && p->string == V_FALSE &&
        p->number == V_FALSE) {
      Value done = parse_quickly(p);
      if (done != NOTHING) return done;
    }
    if (!skip_blanks(p)) return V_AGAIN;
    uint32_t at = p->at, top = p->stack.top;
    int expect = p->expect;
    if (at == p->length && !top) return V_EOF;
    if (!stack_room(&p->stack, J_FRAME)) return need_memory(stack_bytes(&p->stack));
    Value v = parse_token(p, char_at(p, at));
    if (v != NOTHING && !IS_SIGNAL(v)) {
      if (!p->stack.top) return v;
      Value container = p->stack.top < top ? v : V_FALSE;
      v = add_value(p, v);
      if (v == V_AGAIN && container != V_FALSE) p->stack.top = top;   /* its frame is still there: close it again */
    }
    if (v == V_AGAIN) {
      p->at = at;
      p->expect = expect;
    }
    if (v != NOTHING) return v;
    charge(2);
    if (should_pause()) return V_AGAIN;
  }
}

enum { PS_AT, PS_STACK, PS_TOP, PS_EXPECT, PS_NUMBER, PS_STRING, PS_STRING_AT, PS_PLACE_AT, PS_LINE, PS_COLUMN, PS_DONE, PS_SIZE };

static void parser_start(Parser *p, Value text, uint32_t at, bool lenient) {
  parser_text(p, text);
  p->null = null_symbol();
  p->lenient = lenient;
  if (IS(vm.resume, T_VECTOR)) {
    Value *s = VEC(vm.resume);
    p->at = (uint32_t)FIX_VALUE(s[PS_AT]);
    p->stack = (Stack){s[PS_STACK], (uint32_t)FIX_VALUE(s[PS_TOP])};
    p->expect = (int)FIX_VALUE(s[PS_EXPECT]);
    p->number = s[PS_NUMBER];
    p->string = s[PS_STRING];
    p->string_at = (uint32_t)FIX_VALUE(s[PS_STRING_AT]);
    p->place_at = (uint32_t)FIX_VALUE(s[PS_PLACE_AT]);
    p->line = (uint32_t)FIX_VALUE(s[PS_LINE]);
    p->column = (uint32_t)FIX_VALUE(s[PS_COLUMN]);
    return;
  }
  p->at = at;
  p->expect = lenient ? EXPECT_FENCE : EXPECT_VALUE;
  p->number = p->string = V_FALSE;
  p->string_at = p->place_at = 0;
  p->line = p->column = 1;
  stack_init(&p->stack);
}

static Value parser_pause(Parser *p, Value done) {
  Value state = make_vector(PS_SIZE, V_FALSE), *s = VEC(state);
  s[PS_AT] = FIX(p->at);
  s[PS_STACK] = p->stack.slots;
  s[PS_TOP] = FIX(p->stack.top);
  s[PS_EXPECT] = FIX(p->expect);
  s[PS_NUMBER] = p->number;
  s[PS_STRING] = p->string;
  s[PS_STRING_AT] = FIX(p->string_at);
  s[PS_PLACE_AT] = FIX(p->place_at);
  s[PS_LINE] = FIX(p->line);
  s[PS_COLUMN] = FIX(p->column);
  s[PS_DONE] = done;
  vm.resume = state;
  return V_AGAIN;
}

/* (%json-parse string [lenient? [start]]): the whole text; eof where it is blank. */
static Value prim_json_parse(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  uint32_t start = 0;
  if (HAS_ARG(2)) CHECK_INDEX(NULL, 2, 0, STR_LENGTH(args[0]), args[0], start);
  Parser p;
  parser_start(&p, args[0], start, TRUTH(ARG_OR(1, V_FALSE)));
  Value *kept = progress(), v = kept ? VEC(vm.resume)[PS_DONE] : V_UNBOUND;      /* the whole value, once it is there */
  if (v == V_UNBOUND) v = parse(&p);
  if (v == V_AGAIN) return parser_pause(&p, V_UNBOUND);
  if (IS_SIGNAL(v) || p.lenient) return v;
  if (!skip_blanks(&p)) return parser_pause(&p, v);
  if (p.at == p.length) return v;
  Value failed = fail(&p, p.at, "something follows the value");
  return failed == V_AGAIN ? parser_pause(&p, v) : failed;
}

/* ---- writing ---- */

typedef struct {
  Builder out;
  Stack stack;
  Value null;
  int64_t indent;         /* spaces a level, -1: all on one line */
  uint32_t checked;       /* see is_cyclic in cbor.c */
  bool only_check;        /* for jsexpr?: nothing is written */
  bool ascii;
  Value number;           /* progress with a long one */
} Writer;

/* Frames: kind, container, what is left (a list; a position of a table; how far a long list was gone through). */
enum { W_VALUE, W_LIST, W_TABLE, W_COURSE, W_FRAME = 3 };
#define ROOM(w, n, width) BUILDER_ROOM(&(w)->out, (n), (width))

static void push_item(Writer *w, int kind, Value container, Value rest) {
  push(&w->stack, FIX(kind));
  push(&w->stack, container);
  push(&w->stack, rest);
}

static Value not_json(Value v, const char *hint) {
  Value shown = error_shown(v);
  if (!hint) return err_failf("exn:fail:contract", "jsexpr->string: expected argument of type <legal JSON value>; given: %S", shown);
  return err_failf("exn:fail:contract", "jsexpr->string: expected argument of type <legal JSON value>; given: %S (%s)", shown, hint);
}

static uint32_t json_size(uint32_t c, bool ascii) {
  if (c == '"' || c == '\\' || c == '\n' || c == '\t' || c == '\r' || c == '\b' || c == '\f') return 2;
  if (c < ' ' || c == 0x7f) return 6;
  return c < 0x80 || !ascii ? 1 : c < 0x10000 ? 6 : 12;
}

/* Narrow characters in their escapes, to where there is room for six times as many; where the next is written. What needs
   none is copied eight at a time. */
static const uint8_t short_escapes[128] = {['"'] = '"', ['\\'] = '\\', ['\n'] = 'n', ['\t'] = 't', ['\r'] = 'r', ['\b'] = 'b', ['\f'] = 'f'};
static uint8_t *put_escaped(uint8_t *to, const uint8_t *data, uint32_t count, bool ascii) {
  static const char digits[] = "0123456789abcdef";
  uint64_t word;
  for (uint32_t i = 0; i < count;) {
    if (count - i >= 8 && (memcpy(&word, data + i, 8), is_plain_word(word, ascii))) {
      memcpy(to, &word, 8);
      to += 8;
      i += 8;
      continue;
    }
    uint32_t stop = count - i < 8 ? count : i + 8;
    for (; i < stop; i++) {
      uint32_t c = data[i];
      if (c < 0x80 && short_escapes[c]) {
        *to++ = '\\';
        *to++ = short_escapes[c];
      } else if (c < ' ' || c == 0x7f || (ascii && c >= 0x80)) {
        memcpy(to, "\\u00", 4);
        to[4] = (uint8_t)digits[c >> 4];
        to[5] = (uint8_t)digits[c & 15];
        to += 6;
      } else {
        *to++ = (uint8_t)c;
      }
    }
  }
  return to;
}
/* A short string of narrow characters goes the short way, where what is written is narrow, too. */
enum { SHORT_STRING = 128 };
static inline bool is_short(const Writer *w, Value s) {
  return !w->only_check && w->out.width == 1 && STR_WIDTH(s) == 1 && STR_LENGTH(s) <= SHORT_STRING;
}
static void write_short(Writer *w, Value s) {
  uint8_t *begin = RAW_BYTES(w->out.chars) + w->out.length, *to = begin;
  *to++ = '"';
  to = put_escaped(to, STR_DATA(s), STR_LENGTH(s), w->ascii);
  *to++ = '"';
  uint32_t begun = w->out.length;
  w->out.length += (uint32_t)(to - begin);
  CHECK(w->out.length <= OBJ_LENGTH(w->out.chars));
  charge(STR_LENGTH(s) / 8);
  if (STR(s)->lineage != V_FALSE) builder_mark(&w->out, begun, lineage_flat(STR(s)->lineage));
}

static void write_char(Writer *w, uint32_t c) {
  static const char from[] = "\"\\\n\t\r\b\f", to[] = "\"\\ntrbf";
  const char *short_form = c && c < 0x80 ? strchr(from, (int)c) : NULL;
  char text[16];
  if (short_form) {
    builder_char(&w->out, '\\');
    builder_char(&w->out, (uint8_t)to[short_form - from]);
  } else if (json_size(c, w->ascii) == 1) {
    builder_char(&w->out, c);
  } else {
    if (c >= 0x10000) {
      snprintf(text, sizeof text, "\\u%04x", (unsigned)(0xd800 + ((c - 0x10000) >> 10)));
      builder_c(&w->out, text);
      c = 0xdc00 + ((c - 0x10000) & 0x3ff);
    }
    snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
    builder_c(&w->out, text);
  }
}

/* Characters [from, to) of it, in the writer's escapes; the caller made room. */
static void write_chars(Writer *w, Value s, uint32_t from, uint32_t to, bool plain) {
  if (plain) builder_chars(&w->out, STR_DATA(s) + (size_t)from * STR_WIDTH(s), STR_WIDTH(s), to - from);
  else for (uint32_t i = from; i < to; i++) {
    if (STR_WIDTH(s) == 1) {
      uint32_t run = plain_end(STR_DATA(s), i, to, w->ascii);
      builder_chars(&w->out, STR_DATA(s) + i, 1, run - i);
      if ((i = run) == to) break;
    }
    write_char(w, string_char(s, i));
  }
}

static uint64_t escaped_size(Writer *w, Value s, uint32_t from, uint32_t to) {
  uint64_t size = 0;
  if (STR_WIDTH(s) == 1) {
    uint32_t run = plain_end(STR_DATA(s), from, to, w->ascii);
    size = run - from;
    from = run;
  }
  for (uint32_t i = from; i < to; i++) size += json_size(string_char(s, i), w->ascii);
  return size;
}

/* A string, a piece at a time: *next is where the next one begins, 0 at first and when all of it is there. */
static Value write_string(Writer *w, Value s, uint32_t *next) {
  if (w->only_check) return V_VOID;
  if (!*next && is_short(w, s)) {
    ROOM(w, 6ull * STR_LENGTH(s) + 2, 1);
    write_short(w, s);
    return V_VOID;
  }
  uint32_t length = STR_LENGTH(s), from = *next, end = length - from > LONG_ROUND ? from + LONG_ROUND : length;
  uint64_t size = escaped_size(w, s, from, end);
  ROOM(w, size + 8, STR_WIDTH(s));
  charge((end - from) / (size == end - from ? 8 : 1));
  uint32_t begun = w->out.length;
  if (!from) builder_char(&w->out, '"');
  write_chars(w, s, from, end, size == end - from);
  *next = end < length ? end : 0;
  if (end < length) return V_VOID;
  builder_char(&w->out, '"');
  if (!from) builder_mark(&w->out, begun, lineage_flat(STR(s)->lineage));
  else w->out.lineage = lineage_union(w->out.lineage, STR(s)->lineage);   /* where a long one began is not known any longer */
  return V_VOID;
}

static void write_c(Writer *w, const char *text) { if (!w->only_check) builder_c(&w->out, text); }

/* A new line for the next item or the closing bracket, at so many open containers. */
static void write_break(Writer *w, uint32_t depth) {
  if (w->indent < 0 || w->only_check) return;
  builder_char(&w->out, '\n');
  for (int64_t i = w->indent * depth; i > 0; i--) builder_char(&w->out, ' ');
}

static Value write_number(Writer *w, Value v) {
  bool fits = IS_FIX(v) || IS(v, T_BIGNUM) ||
              (IS(v, T_FLONUM) && FLO_VALUE(v) - FLO_VALUE(v) == 0);
  if (!fits) return not_json(v, IS(v, T_RATIO) ? "exact->inexact makes a number of it that JSON has" : NULL);
  if (w->only_check) return V_VOID;
  Value text = num_to_string_pausing(v, 10, &w->number);
  if (IS_SIGNAL(text)) return text;
  ROOM(w, STR_LENGTH(text), 1);
  builder_string(&w->out, text);
  return V_VOID;
}

/* A long list is gone through before it is written, in pieces: its frame has the progress. */
static Value write_course(Writer *w, Value list, Value progress) {
  int64_t pairs;
  Value end;
  if (list_walk_count(list, &progress, &pairs, &end) == V_AGAIN) {
    push_item(w, W_COURSE, list, progress);
    return V_VOID;
  }
  if (pairs < 0 || end != V_NIL) return not_json(list, "JSON has proper lists only");
  write_c(w, "[");
  push_item(w, W_LIST, list, list);
  return V_VOID;
}

static Value write_value(Writer *w, Value v, uint32_t *next) {
  if (is_number(v)) return write_number(w, v);
  if (v == V_TRUE || v == V_FALSE) { write_c(w, v == V_TRUE ? "true" : "false"); return V_VOID; }
  if (v == w->null || v == V_NULL) { write_c(w, "null"); return V_VOID; }
  if (v == V_NIL) { write_c(w, "[]"); return V_VOID; }
  switch (TAG(v)) {
    case T_STRING: return write_string(w, v, next);
    case T_PAIR: case T_LPAIR:
      return write_course(w, v, V_FALSE);
    case T_TABLE:
      if (!table_count(v)) { write_c(w, "{}"); return V_VOID; }
      write_c(w, "{");
      push_item(w, W_TABLE, v, FIX(0));
      return V_VOID;
    case T_SYMBOL: return not_json(v, "symbol->string makes a string of it");
    case T_VECTOR: return not_json(v, "vector->list makes a list of it");
    case T_CHAR: return not_json(v, "string makes a string of it");
    case T_KEYWORD: return not_json(v, "keyword->string makes a string of it");
    case T_BOX: return not_json(v, "unbox gives its content");
    case T_BYTES: return not_json(v, "bytes->string/utf-8 makes a string of it");
    case T_RECORD:
      if (FIX_VALUE(RTD(RECORD_RTD(v))->flags) & RTD_SET) return not_json(v, "set->list makes a list of it");
      if (is_data_record(v)) return not_json(v, "make a table of its fields, such as (hasheq 'field value ...)");
      return not_json(v, NULL);
    default: return not_json(v, NULL);
  }
}

static bool is_cyclic(Writer *w) {
  if (w->stack.top < w->checked) return false;
  w->checked = w->stack.top * 2;
  Value *frames = VEC(w->stack.slots);
  uint32_t newest = w->stack.top - W_FRAME;
  while (newest && frames[newest] == FIX(W_VALUE)) newest -= W_FRAME;
  for (uint32_t i = 0; i < newest; i += W_FRAME)
    if (frames[i + 1] == frames[newest + 1] && frames[i] != FIX(W_VALUE)) return true;
  charge(w->stack.top / 16);
  return false;
}

/* The next entry's key, with room for a value of so many characters; V_VOID, or a signal: nothing has been done. */
static Value write_key(Writer *w, Value key, bool first, uint64_t more, uint32_t width) {
  if (IS(key, T_SYMBOL)) key = SYM(key)->name;
  if (!IS(key, T_STRING)) return not_json(key, "the keys of an object are symbols");
  if (w->only_check) return V_VOID;
  uint32_t length = STR_LENGTH(key);
  uint64_t indent = w->indent > 0 ? (uint64_t)w->indent * (w->stack.top / W_FRAME) : 0;
  if (width == 1 && is_short(w, key)) {
    ROOM(w, 6ull * length + more + indent + 64, 1);
    if (!first) builder_char(&w->out, ',');
    write_break(w, w->stack.top / W_FRAME);
    write_short(w, key);
    builder_char(&w->out, ':');
    if (w->indent >= 0) builder_char(&w->out, ' ');
    return V_VOID;
  }
  uint64_t size = escaped_size(w, key, 0, length);
  ROOM(w, size + more + indent + 64, STR_WIDTH(key) > width ? STR_WIDTH(key) : width);
  if (!first) builder_char(&w->out, ',');
  write_break(w, w->stack.top / W_FRAME);
  charge(length / 8);
  uint32_t begun = w->out.length;
  builder_char(&w->out, '"');
  write_chars(w, key, 0, length, size == length);
  builder_char(&w->out, '"');
  builder_mark(&w->out, begun, lineage_flat(STR(key)->lineage));
  builder_char(&w->out, ':');
  if (w->indent >= 0) builder_char(&w->out, ' ');
  return V_VOID;
}

/* A table may have "a" and 'a, which are one key in JSON. A loose one has a single form of each. */
static bool has_twin(Value table, Value symbol) {
  return TABLE_KIND(table) == TABLE_EQUAL && !table_is_loose(table) &&
         table_get(table, SYM(symbol)->name, V_UNBOUND) != V_UNBOUND;
}

/* What is written at once, without a frame: most of what there is. */
static bool is_leaf(Writer *w, Value v) {
  return IS_FIX(v) || v == V_TRUE || v == V_FALSE || v == V_NIL || v == w->null || v == V_NULL ||
         (IS(v, T_STRING) && STR_LENGTH(v) <= LONG_ROUND);
}
/* Of a string, the characters that it is written in. */
static uint64_t leaf_size(Writer *w, Value v) {
  if (!IS(v, T_STRING) || w->only_check) return 0;
  return is_short(w, v) ? 6ull * STR_LENGTH(v) + 2 : escaped_size(w, v, 0, STR_LENGTH(v));
}
static void write_leaf(Writer *w, Value v, uint64_t size) {
  if (w->only_check) return;
  if (IS_FIX(v)) {
    uint8_t text[24], *at = text + sizeof text;
    int64_t n = FIX_VALUE(v);
    uint64_t rest = n < 0 ? -(uint64_t)n : (uint64_t)n;
    do *--at = (uint8_t)('0' + rest % 10); while (rest /= 10);
    if (n < 0) *--at = '-';
    builder_chars(&w->out, at, 1, (uint32_t)(text + sizeof text - at));
  } else if (IS(v, T_STRING) && is_short(w, v)) {
    write_short(w, v);
  } else if (IS(v, T_STRING)) {
    uint32_t length = STR_LENGTH(v), begun = w->out.length;
    size = escaped_size(w, v, 0, length);          /* what was reserved may be more */
    charge(length / (size == length ? 8 : 1));
    builder_char(&w->out, '"');
    write_chars(w, v, 0, length, size == length);
    builder_char(&w->out, '"');
    builder_mark(&w->out, begun, lineage_flat(STR(v)->lineage));
  } else {
    write_c(w, v == V_TRUE ? "true" : v == V_FALSE ? "false" : v == V_NIL ? "[]" : "null");
  }
}

/* Items and entries that take no looking at, one after the other, on one line and in narrow characters: written to where
   room was made for the most that they may take. It stops before the first that is otherwise, and for a pause. */
static uint32_t quick_size(const Writer *w, Value v) {
  if (IS_FIX(v)) return 24;
  if (IS(v, T_STRING)) return is_short(w, v) && STR(v)->lineage == V_FALSE ? 6 * STR_LENGTH(v) + 2 : 0;
  return v == V_TRUE || v == V_FALSE || v == V_NIL || v == w->null || v == V_NULL ? 5 : 0;
}
static uint8_t *put_quickly(const Writer *w, uint8_t *to, Value v) {
  if (IS(v, T_STRING)) {
    *to++ = '"';
    to = put_escaped(to, STR_DATA(v), STR_LENGTH(v), w->ascii);
    *to++ = '"';
    return to;
  }
  if (IS_FIX(v)) {
    uint8_t text[24], *at = text + sizeof text;
    int64_t n = FIX_VALUE(v);
    uint64_t rest = n < 0 ? -(uint64_t)n : (uint64_t)n;
    for (; rest > UINT32_MAX; rest /= 10) *--at = (uint8_t)('0' + rest % 10);
    uint32_t few = (uint32_t)rest;
    do *--at = (uint8_t)('0' + few % 10); while (few /= 10);
    if (n < 0) *--at = '-';
    while (at < text + sizeof text) *to++ = *at++;
    return to;
  }
  for (const char *word = v == V_TRUE ? "true" : v == V_FALSE ? "false" : v == V_NIL ? "[]" : "null"; *word; word++)
    *to++ = (uint8_t)*word;
  return to;
}
static Value write_quickly(Writer *w, Value *frame, bool is_table) {
  if (is_table && table_bring(frame[1]) != V_TRUE) return V_AGAIN;
  while (!should_pause()) {
    Value key = V_FALSE, item, next;
    uint32_t size = 2;
    if (is_table) {
      uint32_t position = (uint32_t)FIX_VALUE(frame[2]);
      if (!table_next(frame[1], &position, &key, &item)) return V_VOID;
      if (IS(key, T_SYMBOL) && TABLE_KIND(frame[1]) == TABLE_EQ) key = SYM(key)->name;
      if (!IS(key, T_STRING) || !(size = quick_size(w, key))) return V_VOID;
      next = FIX(position);
    } else {
      if (frame[2] == V_NIL) return V_VOID;
      item = CAR(frame[2]);
      next = CDR(frame[2]);
    }
    uint32_t more = quick_size(w, item);
    if (!more) return V_VOID;
    if (w->out.chars == V_FALSE || w->out.length + size + more + 8 > OBJ_LENGTH(w->out.chars)) ROOM(w, size + more + 8, 1);
    uint8_t *begin = RAW_BYTES(w->out.chars) + w->out.length, *to = begin;
    if (is_table ? frame[2] != FIX(0) : frame[2] != frame[1]) *to++ = ',';
    if (is_table) {
      to = put_quickly(w, to, key);
      *to++ = ':';
    }
    to = put_quickly(w, to, item);
    w->out.length += (uint32_t)(to - begin);
    CHECK(w->out.length <= OBJ_LENGTH(w->out.chars));
    frame[2] = next;
    charge(1 + (int64_t)(to - begin) / 8);
  }
  return V_VOID;
}

static Value write_step(Writer *w) {
  Value *frame = stack_top(&w->stack, W_FRAME), v = frame[1], rest = frame[2];
  uint32_t depth = w->stack.top / W_FRAME;
  ROOM(w, 64 + (w->indent > 0 ? (uint64_t)w->indent * depth : 0), 1);
  int64_t kind = FIX_VALUE(frame[0]);
  if ((kind == W_LIST || kind == W_TABLE) && w->indent < 0 && !w->only_check && w->out.width == 1) {
    TRY_LET(written, write_quickly(w, frame, kind == W_TABLE));
    if (should_pause()) return V_VOID;
    rest = frame[2];
  }
  switch (kind) {
    case W_VALUE: {
      uint32_t next = IS_FIX(rest) ? (uint32_t)FIX_VALUE(rest) : 0;
      w->stack.top -= W_FRAME;
      Value done = write_value(w, v, &next);
      if (done == V_AGAIN || next) w->stack.top += W_FRAME;     /* a string has more to come */
      if (next) frame[2] = FIX(next);
      return done;
    }
    case W_COURSE:
      w->stack.top -= W_FRAME;
      return write_course(w, v, rest);
    case W_LIST: {
      if (rest == V_NIL) {
        write_break(w, depth - 1);
        write_c(w, "]");
        w->stack.top -= W_FRAME;
        return V_VOID;
      }
      Value item = CAR(rest);
      bool leaf = is_leaf(w, item);
      uint64_t size = leaf ? leaf_size(w, item) : 0;
      if (size) ROOM(w, size + 64 + (w->indent > 0 ? (uint64_t)w->indent * depth : 0), STR_WIDTH(item));
      if (rest != v) write_c(w, ",");
      write_break(w, depth);
      frame[2] = CDR(rest);
      if (leaf) write_leaf(w, item, size);
      else push_item(w, W_VALUE, item, V_NIL);
      return V_VOID;
    }
    default: {
      Value key, value;
      uint32_t position = (uint32_t)FIX_VALUE(rest);
      if (table_bring(v) != V_TRUE) return V_AGAIN;
      if (!table_next(v, &position, &key, &value)) {
        write_break(w, depth - 1);
        write_c(w, "}");
        w->stack.top -= W_FRAME;
        return V_VOID;
      }
      if (IS(key, T_SYMBOL) && has_twin(v, key)) return not_json(key, "the object has this key as a string, too");
      bool leaf = is_leaf(w, value);
      uint64_t size = leaf ? leaf_size(w, value) : 0;
      Value done = write_key(w, key, rest == FIX(0), size, size ? STR_WIDTH(value) : 1);
      if (IS_SIGNAL(done)) return done;
      frame[2] = FIX(position);
      if (leaf) write_leaf(w, value, size);
      else push_item(w, W_VALUE, value, V_NIL);
      return V_VOID;
    }
  }
}

enum { WS_OUT, WS_STACK, WS_TOP, WS_CHECKED, WS_NUMBER, WS_SIZE };

static Value write_json(Writer *w, Value v) {
  w->null = null_symbol();
  if (IS(vm.resume, T_VECTOR)) {
    Value *s = VEC(vm.resume);
    builder_load(&w->out, s[WS_OUT]);
    w->stack = (Stack){s[WS_STACK], (uint32_t)FIX_VALUE(s[WS_TOP])};
    w->checked = (uint32_t)FIX_VALUE(s[WS_CHECKED]);
    w->number = s[WS_NUMBER];
  } else {
    builder_init(&w->out);
    stack_init(&w->stack);
    w->checked = 96;
    w->number = V_FALSE;
    push_item(w, W_VALUE, v, V_NIL);
  }
  Value done = V_VOID;
  while (w->stack.top && !IS_SIGNAL(done)) {
    if (!stack_room(&w->stack, 2 * W_FRAME)) { done = need_memory(stack_bytes(&w->stack)); break; }
    done = write_step(w);
    charge(1);
    if (!IS_SIGNAL(done) && w->stack.top && is_cyclic(w)) done = not_json(VEC(w->stack.slots)[1], "it is cyclic");
    if (done == V_VOID && should_pause()) done = V_AGAIN;
  }
  if (done != V_AGAIN) return done;
  Value state = make_vector(WS_SIZE, V_FALSE), *s = VEC(state);
  s[WS_OUT] = builder_save(&w->out);
  s[WS_STACK] = w->stack.slots;
  s[WS_TOP] = FIX(w->stack.top);
  s[WS_CHECKED] = FIX(w->checked);
  s[WS_NUMBER] = w->number;
  vm.resume = state;
  return V_AGAIN;
}

/* (%json-write value [indent [ascii?]]): indent #f or the spaces of a level. */
static Value prim_json_write(int argc, Value *args) {
  Writer w = {.indent = -1, .ascii = TRUTH(ARG_OR(2, V_FALSE))};
  if (TRUTH(ARG_OR(1, V_FALSE))) {
    uint32_t indent;
    CHECK_INDEX(NULL, 1, 0, 64, V_FALSE, indent);
    w.indent = indent;
  }
  Value done = write_json(&w, args[0]);
  return IS_SIGNAL(done) ? done : builder_finish(&w.out);
}

/* (string->jsexpr text), (jsexpr->string value): with options, or of what is no text, the prelude's */
static Value prim_usual_parse(int argc, Value *args) {
  static InPrelude otherwise = {"%string->jsexpr-otherwise", V_FALSE};
  return argc == 1 && IS(args[0], T_STRING) ? prim_json_parse(1, args) : leave_to(&otherwise, argc, args);
}
static Value prim_usual_write(int argc, Value *args) {
  static InPrelude otherwise = {"%jsexpr->string-otherwise", V_FALSE};
  return argc == 1 ? prim_json_write(1, args) : leave_to(&otherwise, argc, args);
}

static Value prim_is_jsexpr(int argc, Value *args) {
  (void)argc;
  Writer w = {.indent = -1, .only_check = true};
  Value done = write_json(&w, args[0]);
  return done == V_AGAIN ? done : BOOL(done != V_ERROR);
}

static Value prim_json_null(int argc, Value *args) { (void)argc; (void)args; return null_symbol(); }

const PrimDef json_prims[] = {
  {"%json-parse", prim_json_parse, 1, 3, "(%json-parse string [lenient? [start]])"},
  {"%json-write", prim_json_write, 1, 3, "(%json-write value [indent [ascii?]])"},
  {"string->jsexpr", prim_usual_parse, 1, -1, "(string->jsexpr string [#:lenient? lenient?] [#:null null])"},
  {"jsexpr->string", prim_usual_write, 1, -1, "(jsexpr->string value [#:indent indent] [#:encode encode] [#:null null])"},
  {"jsexpr?", prim_is_jsexpr, 1, 1, "(jsexpr? obj)"},
  {"json-null", prim_json_null, 0, 0, "(json-null)"},
  {0},
};
