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
} Parser;

/* Frames: the list so far and its last pair; or the table and the key that waits. */
enum { J_KIND, J_DATA, J_MORE, J_FRAME };
enum { J_ARRAY, J_OBJECT };
enum expect { EXPECT_VALUE, EXPECT_VALUE_OR_END, EXPECT_KEY, EXPECT_KEY_OR_END, EXPECT_COLON, EXPECT_COMMA };
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

static Value fail(Parser *p, uint32_t at, const char *format, ...) {
  char what[160], before[100], after[100], message[420];
  va_list rest;
  va_start(rest, format);
  vsnprintf(what, sizeof what, format, rest);
  va_end(rest);
  uint32_t line = 1, column = 1;
  for (uint32_t i = 0; i < at && i < p->length; i++) {
    if (char_at(p, i) == '\n') { line++; column = 1; } else column++;
  }
  charge(at / 16);
  add_excerpt(p, at > 20 ? at - 20 : 0, at, before);
  add_excerpt(p, at, at + 20, after);
  snprintf(message, sizeof message, "bad JSON: %s at line %u, column %u: %s%s<here>%s%s", what, (unsigned)line, (unsigned)column,
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

/* ---- leaves ---- */

static bool is_blank(uint32_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0xfeff; }
static bool is_digit(uint32_t c) { return c >= '0' && c <= '9'; }

static void skip_blanks(Parser *p) {
  uint32_t from = p->at;
  while (is_blank(char_at(p, p->at))) p->at++;
  charge((p->at - from) / 16);
}

static uint32_t digits(Parser *p, uint32_t at) {
  while (is_digit(char_at(p, at))) at++;
  return at;
}

static Value parse_number(Parser *p) {
  uint32_t from = p->at, at = from, first;
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
static Value plain_string(Parser *p) {
  uint32_t from = p->at + 1, at = from, c = END;
  while (at - from < PLAIN_STRING && (c = char_at(p, at)) != '"' && c != '\\' && c >= ' ' && c != END) at++;
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

static Value open_container(Parser *p, int kind) {
  Value table = V_NIL;
  if (kind == J_OBJECT) {
    table = table_make(TABLE_EQ, false);
    table_set_loose(table);
  }
  push(&p->stack, FIX(kind));
  push(&p->stack, table);
  push(&p->stack, V_NIL);
  p->at++;
  p->expect = kind == J_OBJECT ? EXPECT_KEY_OR_END : EXPECT_VALUE_OR_END;
  return NOTHING;
}

static Value close_container(Parser *p) {
  Value *frame = stack_top(&p->stack, J_FRAME), v = frame[J_DATA];
  if (frame[J_KIND] == FIX(J_OBJECT)) SET_FLAG(v, H_IMMUTABLE);
  p->stack.top -= J_FRAME;
  p->at++;
  return v;
}

/* A value joins what is open. V_AGAIN: nothing has been done. */
static Value add_value(Parser *p, Value v) {
  Value *frame = stack_top(&p->stack, J_FRAME);
  if (frame[J_KIND] == FIX(J_OBJECT)) {
    if (!table_ready(frame[J_DATA])) return table_wait(frame[J_DATA]);
    table_set(frame[J_DATA], frame[J_MORE], v);
  } else {
    Value pair = cons(v, V_NIL);
    if (frame[J_DATA] == V_NIL) frame[J_DATA] = pair; else CDR(frame[J_MORE]) = pair;
    frame[J_MORE] = pair;
  }
  p->expect = EXPECT_COMMA;
  return NOTHING;
}

static Value parse_key(Parser *p, uint32_t c) {
  if (c != '"') return fail_expected(p, p->expect == EXPECT_KEY ? "a key in double quotes" : "a key in double quotes or `}`");
  Value key = parse_string(p);
  if (IS_SIGNAL(key)) return key;
  stack_top(&p->stack, J_FRAME)[J_MORE] = intern_string(key);
  p->expect = EXPECT_COLON;
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
      p->at++;
      p->expect = in_object ? (p->lenient ? EXPECT_KEY_OR_END : EXPECT_KEY) : p->lenient ? EXPECT_VALUE_OR_END : EXPECT_VALUE;
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

static Value parse(Parser *p) {
  for (;;) {
    skip_blanks(p);
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

/* ---- leniency: code fences and prose around ---- */

static bool text_at(Parser *p, uint32_t at, const char *word) {
  for (uint32_t i = 0; word[i]; i++) if (char_at(p, at + i) != (uint8_t)word[i]) return false;
  return true;
}

/* Where the JSON begins: in the first code fence, else at the first bracket or brace where the
   text begins with neither a value nor one of them. */
static void find_start(Parser *p) {
  charge(p->length / 16);
  for (uint32_t i = 0; i + 3 < p->length; i++) {
    if (char_at(p, i) != '`' || !text_at(p, i, "```")) continue;
    uint32_t line = i + 3;
    while (char_at(p, line) != '\n' && char_at(p, line) != END && char_at(p, line) != '{' && char_at(p, line) != '[') line++;
    if (char_at(p, line) == END) break;
    p->at = line;
    return;
  }
  skip_blanks(p);
  uint32_t c = char_at(p, p->at);
  if (c == '"' || c == '-' || is_digit(c) || word_at(p, "true") || word_at(p, "false") || word_at(p, "null")) return;
  for (uint32_t i = p->at; i < p->length; i++)
    if (char_at(p, i) == '{' || char_at(p, i) == '[') { p->at = i; return; }
}

enum { PS_AT, PS_STACK, PS_TOP, PS_EXPECT, PS_NUMBER, PS_STRING, PS_STRING_AT, PS_SIZE };

static void parser_start(Parser *p, Value text, uint32_t at, bool lenient) {
  parser_text(p, text);
  p->null = intern("null");
  p->lenient = lenient;
  if (IS(vm.resume, T_VECTOR)) {
    Value *s = VEC(vm.resume);
    p->at = (uint32_t)FIX_VALUE(s[PS_AT]);
    p->stack = (Stack){s[PS_STACK], (uint32_t)FIX_VALUE(s[PS_TOP])};
    p->expect = (int)FIX_VALUE(s[PS_EXPECT]);
    p->number = s[PS_NUMBER];
    p->string = s[PS_STRING];
    p->string_at = (uint32_t)FIX_VALUE(s[PS_STRING_AT]);
    return;
  }
  p->at = at;
  p->expect = EXPECT_VALUE;
  p->number = p->string = V_FALSE;
  p->string_at = 0;
  stack_init(&p->stack);
  if (lenient) find_start(p);
}

static Value parser_pause(Parser *p) {
  Value state = make_vector(PS_SIZE, V_FALSE), *s = VEC(state);
  s[PS_AT] = FIX(p->at);
  s[PS_STACK] = p->stack.slots;
  s[PS_TOP] = FIX(p->stack.top);
  s[PS_EXPECT] = FIX(p->expect);
  s[PS_NUMBER] = p->number;
  s[PS_STRING] = p->string;
  s[PS_STRING_AT] = FIX(p->string_at);
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
  Value v = parse(&p);
  if (v == V_AGAIN) return parser_pause(&p);
  if (IS_SIGNAL(v) || p.lenient) return v;
  skip_blanks(&p);
  return p.at == p.length ? v : fail(&p, p.at, "something follows the value");
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

/* Frames: kind, container, what is left (a list; a position of a table). */
enum { W_VALUE, W_LIST, W_TABLE, W_FRAME = 3 };
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
  else for (uint32_t i = from; i < to; i++) write_char(w, string_char(s, i));
}

static uint64_t escaped_size(Writer *w, Value s, uint32_t from, uint32_t to) {
  uint64_t size = 0;
  for (uint32_t i = from; i < to; i++) size += json_size(string_char(s, i), w->ascii);
  return size;
}

/* A key: all of it. */
static Value write_text(Writer *w, Value s, const char *after) {
  uint32_t length = STR_LENGTH(s);
  uint64_t size = escaped_size(w, s, 0, length);
  ROOM(w, size + 8, STR_WIDTH(s));
  charge(length / 8);
  uint32_t begun = w->out.length;
  builder_char(&w->out, '"');
  write_chars(w, s, 0, length, size == length);
  builder_char(&w->out, '"');
  builder_mark(&w->out, begun, lineage_flat(STR(s)->lineage));
  builder_c(&w->out, after);
  return V_VOID;
}

/* A string, a piece at a time: *next is where the next one begins, 0 at first and when all of it is there. */
static Value write_string(Writer *w, Value s, uint32_t *next) {
  if (w->only_check) return V_VOID;
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

static bool is_finite_list(Value v) {
  int64_t n = 0, limit = 2;
  for (Value tortoise = v; is_pair(v); ) {
    v = CDR(v);
    if (v == tortoise) return false;
    if (++n == limit) { tortoise = v; limit *= 2; }
  }
  charge(n / 8);
  return v == V_NIL;
}

static Value write_value(Writer *w, Value v, uint32_t *next) {
  if (is_number(v)) return write_number(w, v);
  if (v == V_TRUE || v == V_FALSE) { write_c(w, v == V_TRUE ? "true" : "false"); return V_VOID; }
  if (v == w->null || v == V_NULL) { write_c(w, "null"); return V_VOID; }
  if (v == V_NIL) { write_c(w, "[]"); return V_VOID; }
  switch (TAG(v)) {
    case T_STRING: return write_string(w, v, next);
    case T_PAIR: case T_LPAIR:
      if (!is_finite_list(v)) return not_json(v, "JSON has proper lists only");
      write_c(w, "[");
      push_item(w, W_LIST, v, v);
      return V_VOID;
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

/* The next entry's key; V_VOID, or a signal: nothing has been done. */
static Value write_key(Writer *w, Value key, bool first) {
  if (IS(key, T_SYMBOL)) key = SYM(key)->name;
  if (!IS(key, T_STRING)) return not_json(key, "the keys of an object are symbols");
  if (w->only_check) return V_VOID;
  uint64_t size = 16 + (w->indent > 0 ? (uint64_t)w->indent * (w->stack.top / W_FRAME) : 0);
  for (uint32_t i = 0; i < STR_LENGTH(key); i++) size += json_size(string_char(key, i), w->ascii);
  ROOM(w, size, STR_WIDTH(key));
  if (!first) write_c(w, ",");
  write_break(w, w->stack.top / W_FRAME);
  return write_text(w, key, w->indent < 0 ? ":" : ": ");
}

/* A table may have "a" and 'a, which are one key in JSON. A loose one has a single form of each. */
static bool has_twin(Value table, Value symbol) {
  return TABLE_KIND(table) == TABLE_EQUAL && !table_is_loose(table) &&
         table_get(table, SYM(symbol)->name, V_UNBOUND) != V_UNBOUND;
}

static Value write_step(Writer *w) {
  Value *frame = stack_top(&w->stack, W_FRAME), v = frame[1], rest = frame[2];
  uint32_t depth = w->stack.top / W_FRAME;
  ROOM(w, 64 + (w->indent > 0 ? (uint64_t)w->indent * depth : 0), 1);
  switch (FIX_VALUE(frame[0])) {
    case W_VALUE: {
      uint32_t next = IS_FIX(rest) ? (uint32_t)FIX_VALUE(rest) : 0;
      w->stack.top -= W_FRAME;
      Value done = write_value(w, v, &next);
      if (done == V_AGAIN || next) w->stack.top += W_FRAME;     /* a string has more to come */
      if (next) frame[2] = FIX(next);
      return done;
    }
    case W_LIST:
      if (rest == V_NIL) {
        write_break(w, depth - 1);
        write_c(w, "]");
        w->stack.top -= W_FRAME;
        return V_VOID;
      }
      if (rest != v) write_c(w, ",");
      write_break(w, depth);
      frame[2] = CDR(rest);
      push_item(w, W_VALUE, CAR(rest), V_NIL);
      return V_VOID;
    default: {
      Value key, value;
      uint32_t position = (uint32_t)FIX_VALUE(rest);
      if (!table_next(v, &position, &key, &value)) {
        write_break(w, depth - 1);
        write_c(w, "}");
        w->stack.top -= W_FRAME;
        return V_VOID;
      }
      if (IS(key, T_SYMBOL) && has_twin(v, key)) return not_json(key, "the object has this key as a string, too");
      Value done = write_key(w, key, rest == FIX(0));
      if (IS_SIGNAL(done)) return done;
      frame[2] = FIX(position);
      push_item(w, W_VALUE, value, V_NIL);
      return V_VOID;
    }
  }
}

enum { WS_OUT, WS_STACK, WS_TOP, WS_CHECKED, WS_NUMBER, WS_SIZE };

static Value write_json(Writer *w, Value v) {
  w->null = intern("null");
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

static Value prim_is_jsexpr(int argc, Value *args) {
  (void)argc;
  Writer w = {.indent = -1, .only_check = true};
  Value done = write_json(&w, args[0]);
  return done == V_AGAIN ? done : BOOL(done != V_ERROR);
}

static Value prim_json_null(int argc, Value *args) { (void)argc; (void)args; return intern("null"); }

const PrimDef json_prims[] = {
  {"%json-parse", prim_json_parse, 1, 3, "(%json-parse string [lenient? [start]])"},
  {"%json-write", prim_json_write, 1, 3, "(%json-write value [indent [ascii?]])"},
  {"jsexpr?", prim_is_jsexpr, 1, 1, "(jsexpr? obj)"},
  {"json-null", prim_json_null, 0, 0, "(json-null)"},
  {0},
};
