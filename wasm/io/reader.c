/* reader.c — the reader: text to data, with places.
 *
 * A reader is a vector: the text, where it stands, and a stack of frames for what has been opened
 * and not yet closed. One token is read at a time; a datum that is complete is delivered to the
 * frame on top, which may complete another. So nothing recurses, and between two tokens reading
 * can stop for a collection or the end of a time slice and go on later. A token for which memory
 * is short is simply read again.
 */
#include "core/worklist.h"
#include "data/equal.h"
#include "data/rtd.h"
#include "data/table.h"
#include "data/uvector.h"
#include "io/port.h"
#include "io/reader.h"
#include "numbers/numread.h"
#include "text/regexp.h"
#include "text/symbol.h"
#include "text/unicode.h"
#include "text/utf8.h"
#include <stdarg.h>
#include <stdio.h>

/* ---- the state ---- */

enum { R_MARK, R_TEXT, R_SOURCE, R_AT, R_LINE, R_COLUMN, R_FLAGS, R_STACK, R_TOP, R_LABELS, R_MARGIN, R_NUMBER, R_PLACE, R_TOKEN, R_LOOKED, R_BODY, R_SLOTS };
enum { FOLD_CASE = 1, CODE = 2, PLACES = 4 };      /* CODE: literals are immutable */
#define READER_MARK FIX(0x7265616465)

typedef struct {
  Value state, text;
  const uint8_t *data;
  uint32_t width, length;
  uint32_t at, line, column;
  uint32_t flags;
  uint32_t margin;        /* the first line that opens a bracket at the left margin within another */
  uint32_t place;         /* of the token that ended the last datum */
  Stack stack;
  Value labels;           /* #f, or a table: number to label (see below) */
  bool at_eof;            /* the error was that the text ended */
} Reader;

/* Frames, five Values each. */
enum { F_KIND, F_PLACE, F_HEAD, F_LAST, F_EXTRA, F_SLOTS };
enum frame {
  LIST,        /* extra: fixnum: enum dot */
  VECTOR, BYTES_LITERAL,
  PREFAB,
  UNIFORM,     /* extra: fixnum: enum uvector_type */
  HASH,        /* extra: fixnum: enum table_kind */
  PREFIX,      /* extra: the symbol of (quote x) and the like */
  BOX,
  COMMENT,     /* #; */
  LABEL,       /* extra: the label */
};
enum dot { NO_DOT, AFTER_DOT, AFTER_TAIL };
#define FRAME(kind, opener) FIX((kind) | (opener) << 8)
#define FRAME_KIND(f) ((enum frame)(FIX_VALUE((f)[F_KIND]) & 0xff))
#define FRAME_OPENER(f) ((uint32_t)FIX_VALUE((f)[F_KIND]) >> 8)

/* The end of the text, as a character. */
#define END 0xffffffffu
/* What a token may be besides a value. */
#define NOTHING MAKE(T_SIGNAL, 16)     /* a comment, an opened frame */

static Value make_reader(Value text, Value source, uint32_t at, uint32_t line, uint32_t column, uint32_t flags) {
  Value state = make_vector(R_SLOTS, V_FALSE);
  Stack stack;
  stack_init(&stack);
  Value *s = VEC(state);
  s[R_MARK] = READER_MARK;
  s[R_TEXT] = text;
  s[R_SOURCE] = source;
  s[R_AT] = FIX(at);
  s[R_LINE] = FIX(line);
  s[R_COLUMN] = FIX(column);
  s[R_FLAGS] = FIX(flags);
  s[R_STACK] = stack.slots;
  s[R_TOP] = FIX(0);
  s[R_MARGIN] = FIX(0);
  s[R_PLACE] = FIX(0);
  return state;
}

static void reader_load(Reader *r, Value state) {
  Value *s = VEC(state);
  r->state = state;
  r->text = s[R_TEXT];
  r->data = STR_DATA(r->text);
  r->width = STR_WIDTH(r->text);
  r->length = STR_LENGTH(r->text);
  r->at = (uint32_t)FIX_VALUE(s[R_AT]);
  r->line = (uint32_t)FIX_VALUE(s[R_LINE]);
  r->column = (uint32_t)FIX_VALUE(s[R_COLUMN]);
  r->flags = (uint32_t)FIX_VALUE(s[R_FLAGS]);
  r->margin = (uint32_t)FIX_VALUE(s[R_MARGIN]);
  r->place = (uint32_t)FIX_VALUE(s[R_PLACE]);
  r->stack = (Stack){s[R_STACK], (uint32_t)FIX_VALUE(s[R_TOP])};
  r->labels = s[R_LABELS];
  r->at_eof = false;
  if (r->at > r->length) r->at = r->length;      /* the text is shorter by now */
}

static void reader_save(Reader *r) {
  Value *s = VEC(r->state);
  s[R_AT] = FIX(r->at);
  s[R_LINE] = FIX(r->line);
  s[R_COLUMN] = FIX(r->column);
  s[R_FLAGS] = FIX(r->flags);
  s[R_MARGIN] = FIX(r->margin);
  s[R_PLACE] = FIX(r->place);
  s[R_STACK] = r->stack.slots;
  s[R_TOP] = FIX(r->stack.top);
  s[R_LABELS] = r->labels;
}

/* ---- characters ---- */

static inline uint32_t char_at(Reader *r, uint32_t i) { return i < r->length ? chars_get(r->data, r->width, i) : END; }
static inline uint32_t peek(Reader *r) { return char_at(r, r->at); }
static inline uint32_t peek_at(Reader *r, uint32_t ahead) { return char_at(r, r->at + ahead); }

static inline void advance(Reader *r) {
  if (char_at(r, r->at++) == '\n') {
    r->line++;
    r->column = 1;
  } else {
    r->column++;
  }
}
/* Over characters none of which ends a line. */
static inline void advance_in_line(Reader *r, uint32_t n) { r->at += n; r->column += n; }
static void advance_to(Reader *r, uint32_t end) { while (r->at < end) advance(r); }

static bool is_space(uint32_t c) { return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x80 && c != END && uc_whitespace(c)) || c == 0xfeff; }
static bool is_delimiter(uint32_t c) {
  if (c >= 0x80) return c == END || is_space(c);
  static const uint64_t delimiters[2] = {                 /* 9 to 13, blank, and "'(),; then [ ] ` { } */
    0x3e00ull | 1ull << ' ' | 1ull << '"' | 1ull << '\'' | 1ull << '(' | 1ull << ')' | 1ull << ',' | 1ull << ';',
    1ull << ('[' - 64) | 1ull << (']' - 64) | 1ull << ('`' - 64) | 1ull << ('{' - 64) | 1ull << ('}' - 64)};
  return delimiters[c >> 6] >> (c & 63) & 1;
}
static int hex_digit(uint32_t c) {
  return c >= '0' && c <= '9' ? (int)c - '0' : c >= 'a' && c <= 'f' ? (int)c - 'a' + 10 : c >= 'A' && c <= 'F' ? (int)c - 'A' + 10 : -1;
}
static uint32_t closer_of(uint32_t opener) { return opener == '(' ? ')' : opener == '[' ? ']' : '}'; }

/* Does the text go on with this word (ASCII)? */
static bool looking_at(Reader *r, uint32_t ahead, const char *word) {
  for (uint32_t i = 0; word[i]; i++)
    if (peek_at(r, ahead + i) != (uint8_t)word[i]) return false;
  return true;
}

/* The end of the token that goes on at `from`. */
static uint32_t token_end(Reader *r, uint32_t from) {
  while (!is_delimiter(char_at(r, from))) from++;
  return from;
}

/* ---- what is long ----
 * A token of megabytes is gone over in pieces: V_AGAIN puts the reader back to its beginning, and how far it had come
 * stands in the state: the place where the search began, and where it goes on. */
enum { PIECE = 1 << 14 };

static uint32_t looked_to(Reader *r, uint32_t from) {
  Value *s = VEC(r->state);
  return s[R_TOKEN] == FIX(from) ? (uint32_t)FIX_VALUE(s[R_LOOKED]) : from;
}
static bool look_pauses(Reader *r, uint32_t from, uint32_t to) {
  VEC(r->state)[R_TOKEN] = FIX(from);
  VEC(r->state)[R_LOOKED] = FIX(to);
  return should_pause();
}

/* token_end, but V_AGAIN where it pauses. */
static Value long_token_end(Reader *r, uint32_t from, uint32_t *end) {
  uint32_t at = looked_to(r, from);
  for (uint32_t n = 1; !is_delimiter(char_at(r, at)); n++) {
    at++;
    if (n % PIECE == 0 && (charge(PIECE / 32), look_pauses(r, from, at))) return V_AGAIN;
  }
  if (at - from >= PIECE) look_pauses(r, from, at);       /* to be found at once when this token is read again */
  *end = at;
  return V_TRUE;
}

/* The progress of what is made of a long token: #(its beginning, what there is of it ...) */
static Value *body_progress(Reader *r, uint32_t from, uint32_t slots) {
  Value body = VEC(r->state)[R_BODY];
  return IS(body, T_VECTOR) && VEC_LENGTH(body) == slots && VEC(body)[0] == FIX(from) ? VEC(body) : NULL;
}
static Value *keep_body(Reader *r, uint32_t from, uint32_t slots) {
  Value body = make_vector(slots, FIX(from));
  VEC(r->state)[R_BODY] = body;
  return VEC(body);
}

/* ---- errors ---- */

static Value fail_at(Reader *r, uint32_t place, bool at_eof, const char *format, ...) {
  char message[400];
  va_list rest;
  va_start(rest, format);
  vsnprintf(message, sizeof message, format, rest);
  va_end(rest);
  r->at_eof = at_eof;
  if (!(r->flags & PLACES)) {                            /* it is data: the place in the program is that of the call of read */
    size_t n = strlen(message);
    snprintf(message + n, sizeof message - n, "; it is in line %u, column %u of what is read", (unsigned)PLACE_LINE(place), (unsigned)PLACE_COLUMN(place));
    place = 0;
  }
  return err_read(message, place, at_eof, V_NIL);
}
static uint32_t here(Reader *r) { return PLACE(r->line, r->column); }

/* Text for a message: a few characters as UTF-8. */
typedef struct { char text[80]; } Excerpt;
static Excerpt excerpt(Reader *r, uint32_t from, uint32_t end) {
  Excerpt e;
  uint32_t n = 0, i = from;
  for (; i < end && i < r->length && n < sizeof e.text - 8; i++) n += utf8_encode(char_at(r, i), (uint8_t *)e.text + n);
  if (i < end && i < r->length) { memcpy(e.text + n, "...", 3); n += 3; }
  e.text[n] = 0;
  return e;
}

static const char *frame_name(Value *frame) {
  switch (FRAME_KIND(frame)) {
    case PREFIX: return "a quote mark";
    case BOX: return "#&";
    case COMMENT: return "#;";
    case LABEL: return "a datum label";
    default: return "a bracket";
  }
}
static bool is_bracket(Value *frame) { return FRAME_KIND(frame) <= HASH; }

/* The innermost bracket that is still open, or NULL. */
static Value *open_bracket(Reader *r) {
  for (uint32_t top = r->stack.top; top; top -= F_SLOTS) {
    Value *frame = VEC(r->stack.slots) + top - F_SLOTS;
    if (is_bracket(frame)) return frame;
  }
  return NULL;
}

static Value fail_text_ended(Reader *r) {
  Value *frame = open_bracket(r);
  if (!frame) {
    frame = stack_top(&r->stack, F_SLOTS);
    return fail_at(r, (uint32_t)FIX_VALUE(frame[F_PLACE]), true, "expected a datum after %s, but the text ended", frame_name(frame));
  }
  uint32_t place = (uint32_t)FIX_VALUE(frame[F_PLACE]), opener = FRAME_OPENER(frame);
  if (r->margin > PLACE_LINE(place))
    return fail_at(r, place, true, "expected a `%c` to close this `%c`, but the text ended; line %u begins at the left margin: "
                   "is the `%c` missing before it?", closer_of(opener), opener, r->margin, closer_of(opener));
  return fail_at(r, place, true, "expected a `%c` to close this `%c`, but the text ended", closer_of(opener), opener);
}

/* ---- frames ---- */

static Value push_frame(Reader *r, enum frame kind, uint32_t opener, uint32_t place, Value extra) {
  Value *frame = VEC(r->stack.slots) + r->stack.top;      /* room was made before the token */
  frame[F_KIND] = FRAME(kind, opener);
  frame[F_PLACE] = FIX(place);
  frame[F_HEAD] = frame[F_LAST] = V_NIL;
  frame[F_EXTRA] = extra;
  r->stack.top += F_SLOTS;
  return NOTHING;
}

static Value open_frame(Reader *r, enum frame kind, uint32_t prefix, uint32_t place, Value extra) {
  uint32_t opener = peek_at(r, prefix);
  if (r->stack.top && PLACE_COLUMN(place) == 1 && !r->margin) r->margin = PLACE_LINE(place);
  advance_in_line(r, prefix + 1);
  return push_frame(r, kind, opener, place, extra);
}

/* ---- datum labels ----
 * A label is a T_VALUES (which is no datum) of its datum (V_UNBOUND until complete) and the places
 * that wait for it: (kind container . index) each. It stands for the datum until then. */
enum { LABEL_DATUM, LABEL_WAITING };
enum wait { WAIT_CAR, WAIT_CDR, WAIT_SLOT, WAIT_HASH };
#define IS_LABEL(v) IS(v, T_VALUES)

static void wait_for(Value label, enum wait kind, Value container, Value index) {
  if (IS_LABEL(label)) SLOTS(label)[LABEL_WAITING] = cons(cons(FIX(kind), cons(container, index)), SLOTS(label)[LABEL_WAITING]);
}

static void label_complete(Value label, Value datum) {
  SLOTS(label)[LABEL_DATUM] = datum;
  uint32_t n = 0;
  for (Value l = SLOTS(label)[LABEL_WAITING]; l != V_NIL; l = CDR(l), n++) {
    Value container = CAR(CDR(CAR(l))), index = CDR(CDR(CAR(l)));
    switch ((enum wait)FIX_VALUE(CAR(CAR(l)))) {
      case WAIT_CAR: CAR(container) = datum; break;
      case WAIT_CDR: CDR(container) = datum; break;
      case WAIT_SLOT: SLOTS(container)[FIX_VALUE(index)] = datum; break;
      case WAIT_HASH: {
        int64_t i = table_find(container, index, EQUAL_EFFORT);
        if (i >= 0) table_patch(container, (uint32_t)i, datum);
        break;
      }
    }
  }
  SLOTS(label)[LABEL_WAITING] = V_NIL;
  charge(n / 2);
}

/* #n= and #n# */
static Value read_label(Reader *r, uint32_t place) {
  uint32_t end = r->at + 1;
  int64_t number = 0;
  for (; char_at(r, end) >= '0' && char_at(r, end) <= '9'; end++)
    if (number < 1 << 30) number = number * 10 + char_at(r, end) - '0';
  uint32_t mark = char_at(r, end);
  if (mark != '=' && mark != '#') {
    Excerpt e = excerpt(r, r->at, token_end(r, end));
    return fail_at(r, place, mark == END, "bad syntax `%s`", e.text);
  }
  if (r->labels == V_FALSE) r->labels = table_make(TABLE_EQV, false);
  if (!table_ready(r->labels)) return table_wait(r->labels);
  Value label = table_get(r->labels, FIX(number), V_FALSE);
  if (mark == '#' && label == V_FALSE)
    return fail_at(r, place, false, "no datum is labelled `#%d=`", (int)number);
  if (mark == '=' && label != V_FALSE)
    return fail_at(r, place, false, "the label `#%d=` is used twice", (int)number);
  advance_in_line(r, end + 1 - r->at);
  if (mark == '#') return SLOTS(label)[LABEL_DATUM] == V_UNBOUND ? label : SLOTS(label)[LABEL_DATUM];
  label = heap_object(T_VALUES, 0, 2);
  SLOTS(label)[LABEL_DATUM] = V_UNBOUND;
  SLOTS(label)[LABEL_WAITING] = V_NIL;
  table_set(r->labels, FIX(number), label);
  return push_frame(r, LABEL, 0, place, label);
}

/* ---- numbers, symbols, keywords ---- */

static Value parse_number(Reader *r, uint32_t from, uint32_t end) {
  Value integer = r->width == 1 ? num_parse_short(r->data + from, end - from) : V_FALSE;
  if (integer != V_FALSE) return integer;
  return num_parse_pausing(r->data + (size_t)from * r->width, r->width, end - from, 10, &VEC(r->state)[R_NUMBER]);
}

static bool may_be_number(Reader *r, uint32_t from) {
  uint32_t c = char_at(r, from), next = char_at(r, from + 1);
  if (c >= '0' && c <= '9') return true;
  if (c == '.') return next >= '0' && next <= '9';
  return (c == '+' || c == '-') && !is_delimiter(next);
}

static Value substring(Reader *r, uint32_t from, uint32_t end) {
  uint32_t width = chars_width(r->data + (size_t)from * r->width, r->width, end - from);
  Value s = string_make(end - from, width);
  chars_copy(STR_DATA(s), width, r->data + (size_t)from * r->width, r->width, end - from);
  return s;
}

static void add_folded(Reader *r, Builder *b, uint32_t c) {
  builder_char(b, r->flags & FOLD_CASE ? uc_foldcase(c) : c);
}

static Value bad_escape(Reader *r, uint32_t from, uint32_t line, uint32_t column, const char *what) {
  Excerpt e = excerpt(r, from, from + 2);
  uint32_t c = char_at(r, from + 1);
  if (c == 'd' || c == 's' || c == 'w' || c == 'b' || c == '.' || c == '(' || c == '[')
    return fail_at(r, PLACE(line, column), false, "unknown escape `%s` in %s; a backslash itself is written `\\\\`: `\\%s`", e.text, what, e.text);
  return fail_at(r, PLACE(line, column), c == END, "unknown escape `%s` in %s", e.text, what);
}

/* The escape at `*at` (a backslash), in a string or between vertical bars: its character, or END
   where it is none that both know. *at is left behind it. */
static uint32_t simple_escape(Reader *r, uint32_t *at) {
  uint32_t c = char_at(r, *at + 1);
  *at += 2;
  switch (c) {
    case 'a': return 7;
    case 'b': return 8;
    case 't': return 9;
    case 'n': return 10;
    case 'v': return 11;
    case 'f': return 12;
    case 'r': return 13;
    case 'e': return 27;
    case '"': case '\\': case '\'': case '|': return c;
  }
  if (c == 'x' || c == 'X') {
    uint32_t value = 0, digits = 0;
    while (hex_digit(char_at(r, *at + digits)) >= 0 && digits < 8)
      value = value * 16 + (uint32_t)hex_digit(char_at(r, *at + digits++));
    if (digits && char_at(r, *at + digits) == ';' && value < 0x110000 && (value < 0xd800 || value >= 0xe000)) {
      *at += digits + 1;
      return value;
    }
    if (digits > 2 && char_at(r, *at + digits) == ';') { *at -= 2; return END; }   /* R7RS's, and no character */
    if (digits > 2) {                           /* Racket's: two digits at the most, no semicolon */
      value = (uint32_t)(hex_digit(char_at(r, *at)) * 16 + hex_digit(char_at(r, *at + 1)));
      digits = 2;
    }
    *at += digits;
    if (digits) return value;
  }
  *at -= 2;
  return END;
}

/* A name is read in one step. */
enum { NAME_MOST = 1 << 17 };
static Value name_too_long(Reader *r, uint32_t place) {
  return fail_at(r, place, false, "a name of more than %d characters", (int)NAME_MOST);
}

/* A symbol or keyword whose name starts at the reader's position: with |bars| and \escapes. */
static Value read_quoted_name(Reader *r, uint32_t place, bool keyword) {
  uint32_t end = r->at;
  for (bool bars = false; char_at(r, end) != END && (bars || !is_delimiter(char_at(r, end))); end++) {
    if (end - r->at > NAME_MOST) return name_too_long(r, place);
    if (char_at(r, end) == '|') bars = !bars;
    else if (char_at(r, end) == '\\' && char_at(r, end + 1) != END) end++;
  }
  uint64_t bytes = 8ull * (end - r->at) + 256;
  if (!heap_reserve(bytes)) return need_memory(bytes);
  Builder b;
  builder_init(&b);
  while (!is_delimiter(peek(r))) {
    uint32_t c = peek(r);
    if (c == '\\') {
      advance(r);
      if (peek(r) == END) return fail_at(r, place, true, "the text ended after a backslash");
      builder_char(&b, peek(r));
      advance(r);
    } else if (c == '|') {
      uint32_t bar = here(r);
      advance(r);
      for (; peek(r) != '|'; ) {
        if (peek(r) == END) return fail_at(r, bar, true, "expected a `|` to close this `|`, but the text ended");
        uint32_t at = r->at;
        c = peek(r) == '\\' ? simple_escape(r, &at) : char_at(r, at++);
        if (c == END) return bad_escape(r, r->at, r->line, r->column, "a symbol");
        builder_char(&b, c);
        advance_to(r, at);
      }
      advance(r);
    } else {
      add_folded(r, &b, c);
      advance(r);
    }
  }
  Value name = builder_finish(&b);
  return keyword ? keyword_string(name) : intern_string(name);
}

/* Where the ASCII letters, digits and signs of names end. */
static uint32_t plain_end(Reader *r, uint32_t from) {
  static const uint64_t plain[2] = {0xf7ffec7200000000, 0x47fffffec7ffffff};     /* without ( ) " ' , ; # [ ] { } | \ ` and blanks */
  uint32_t end = from, stop = r->length - from < NAME_MOST ? r->length : from + NAME_MOST;
  if (r->width == 1) while (end < stop && r->data[end] < 0x80 && plain[r->data[end] >> 6] >> (r->data[end] & 63) & 1) end++;
  return end;
}

static Value read_name(Reader *r, uint32_t place, bool keyword) {
  bool plain = !(r->flags & FOLD_CASE);
  uint32_t end = plain_end(r, r->at);
  for (; !is_delimiter(char_at(r, end)) && end - r->at <= NAME_MOST; end++)
    if (char_at(r, end) == '|' || char_at(r, end) == '\\') plain = false;
  charge((end - r->at) / 32);
  if (end - r->at > NAME_MOST) return name_too_long(r, place);
  if (!plain) return read_quoted_name(r, place, keyword);
  uint64_t bytes = 8ull * (end - r->at);
  if (!heap_reserve(bytes)) return need_memory(bytes);
  Value name = substring(r, r->at, end);
  charge((end - r->at) / 8);
  advance_in_line(r, end - r->at);
  return keyword ? keyword_string(name) : intern_string(name);
}

static Value read_atom(Reader *r, uint32_t place) {
  if (may_be_number(r, r->at)) {
    uint32_t end;
    TRY_LET(scanned, long_token_end(r, r->at, &end));
    TRY_LET(number, parse_number(r, r->at, end));
    if (number != V_FALSE) {
      advance_in_line(r, end - r->at);
      return number;
    }
  }
  return read_name(r, place, false);
}

/* ---- strings ---- */

static Value literal(Reader *r, Value v) {
  if (r->flags & CODE) SET_FLAG(v, H_IMMUTABLE);
  return v;
}
static Value string_literal(Reader *r, Builder *b) {
  Value s = builder_finish(b);
  if (STR(r->text)->lineage != V_FALSE) STR(s)->lineage = lineage_flat(STR(r->text)->lineage);
  return literal(r, s);
}

/* Up to `most` hex digits (or octal ones); how many there were. */
static uint32_t digits_at(Reader *r, uint32_t at, uint32_t most, uint32_t base, uint32_t *value) {
  uint32_t n = 0;
  for (*value = 0; n < most; n++) {
    int d = hex_digit(char_at(r, at + n));
    if (d < 0 || d >= (int)base) break;
    *value = *value * base + (uint32_t)d;
  }
  return n;
}

/* \uXXXX, where two halves of a surrogate pair make one character, and \UXXXXXXXX. */
static uint32_t unicode_escape(Reader *r, uint32_t *at) {
  bool small = char_at(r, *at + 1) == 'u';
  uint32_t value, low, n = digits_at(r, *at + 2, small ? 4 : 8, 16, &value);
  if (!n || value > 0x10ffff) return END;
  *at += 2 + n;
  if (small && value >= 0xd800 && value < 0xdc00 && char_at(r, *at) == '\\' && char_at(r, *at + 1) == 'u' &&
      digits_at(r, *at + 2, 4, 16, &low) == 4 && low >= 0xdc00 && low < 0xe000) {
    *at += 6;
    return 0x10000 + ((value - 0xd800) << 10) + (low - 0xdc00);
  }
  return value >= 0xd800 && value < 0xe000 ? END : value;
}

/* A backslash before the end of a line: both go, with the blanks around. */
static bool line_continues(Reader *r, uint32_t *at) {
  uint32_t i = *at + 1;
  while (char_at(r, i) == ' ' || char_at(r, i) == '\t') i++;
  if (char_at(r, i) == '\r') i++;
  if (char_at(r, i) != '\n') return false;
  i++;
  while (char_at(r, i) == ' ' || char_at(r, i) == '\t') i++;
  *at = i;
  return true;
}

/* One escape of a string; false: it is none. */
static bool string_escape(Reader *r, uint32_t *at, uint32_t *out) {
  uint32_t c = char_at(r, *at + 1), value;
  if (c == 'u' || c == 'U') c = unicode_escape(r, at);
  else if (c >= '0' && c <= '7') { *at += 1 + digits_at(r, *at + 1, 3, 8, &value); c = value; }
  else if ((c == ' ' || c == '\t' || c == '\r' || c == '\n') && line_continues(r, at)) { *out = END; return true; }
  else c = simple_escape(r, at);
  *out = c;
  return c != END;
}

/* Reads up to the closing quote into the builder. The position is behind the opening one. */
enum { TEXT_FROM, TEXT_BUILDER, TEXT_AT, TEXT_LINE, TEXT_COLUMN, TEXT_SLOTS };
static Value pause_text(Reader *r, uint32_t from, Builder *b, Value signal) {
  Value *kept = keep_body(r, from, TEXT_SLOTS);
  kept[TEXT_BUILDER] = builder_save(b);
  kept[TEXT_AT] = FIX(r->at);
  kept[TEXT_LINE] = FIX(r->line);
  kept[TEXT_COLUMN] = FIX(r->column);
  return signal;
}
static Value read_string_body(Reader *r, uint32_t place, Builder *b) {
  uint32_t from = r->at;
  Value *kept = body_progress(r, from, TEXT_SLOTS);
  if (kept) {
    builder_load(b, kept[TEXT_BUILDER]);
    r->at = (uint32_t)FIX_VALUE(kept[TEXT_AT]);
    r->line = (uint32_t)FIX_VALUE(kept[TEXT_LINE]);
    r->column = (uint32_t)FIX_VALUE(kept[TEXT_COLUMN]);
  }
  for (;;) {
    uint32_t run = r->at, stop = r->length - run < PIECE ? r->length : run + PIECE, c;
    while (run < stop && (c = char_at(r, run)) != '"' && c != '\\' && c != '\r') run++;
    uint32_t n = run - r->at;
    if (!builder_room(b, n + 1, r->width)) return pause_text(r, from, b, need_memory(builder_bytes(b, n + 1, r->width)));
    builder_chars(b, r->data + (size_t)r->at * r->width, r->width, n);
    advance_to(r, run);
    charge(n / 8);
    if (run < stop || run == r->length) {
      uint32_t at = run;
      c = peek(r);
      if (c == '"') break;
      if (c == END) return fail_at(r, place, true, "expected a `\"` to close this string, but the text ended");
      if (c == '\r') {
        c = '\n';
        at += peek_at(r, 1) == '\n' ? 2 : 1;
      } else if (peek_at(r, 1) == END) {
        return fail_at(r, place, true, "expected a `\"` to close this string, but the text ended");
      } else if (!string_escape(r, &at, &c)) {
        return bad_escape(r, r->at, r->line, r->column, "a string");
      }
      if (c != END) {
        if (!builder_room(b, 1, char_width(c))) return pause_text(r, from, b, need_memory(builder_bytes(b, 1, char_width(c))));
        builder_char(b, c);
      }
      advance_to(r, at);
      charge(1);
    }
    if (should_pause()) return pause_text(r, from, b, V_AGAIN);
  }
  VEC(r->state)[R_BODY] = V_FALSE;
  advance(r);
  return V_VOID;
}

static Value read_string(Reader *r, uint32_t place) {
  Builder b;
  builder_init(&b);
  advance(r);
  Value body = read_string_body(r, place, &b);
  return IS_SIGNAL(body) ? body : string_literal(r, &b);
}

/* #"..." : the characters' codes as bytes, those above 255 in UTF-8 */
static Value read_byte_string(Reader *r, uint32_t place, uint32_t prefix) {
  enum { FROM, STRING, AT, SIZE, OUT, LINE, COLUMN, END_AT, SLOTS };
  uint32_t from = r->at;
  Value *kept = body_progress(r, from, SLOTS), s, bytes = V_FALSE;
  uint32_t i = 0, size = 0;
  if (kept) {
    s = kept[STRING];
    i = (uint32_t)FIX_VALUE(kept[AT]);
    size = (uint32_t)FIX_VALUE(kept[SIZE]);
    bytes = kept[OUT];
    r->line = (uint32_t)FIX_VALUE(kept[LINE]);
    r->column = (uint32_t)FIX_VALUE(kept[COLUMN]);
    r->at = (uint32_t)FIX_VALUE(kept[END_AT]);
  } else {
    Builder b;
    builder_init(&b);
    advance_in_line(r, prefix + 1);
    Value body = read_string_body(r, place, &b);
    if (IS_SIGNAL(body)) return body;
    s = builder_finish(&b);
  }
  uint32_t n = STR_LENGTH(s);
  Value signal = V_TRUE;
  while (signal == V_TRUE && (bytes == V_FALSE || i < n)) {      /* measured, then written */
    uint32_t stop = n - i < PIECE ? n : i + PIECE;
    uint8_t *out = bytes == V_FALSE ? NULL : BYTES(bytes) + size;
    for (; i < stop; i++) {
      uint32_t c = string_char(s, i), width = c < 256 ? 1 : utf8_size(c);
      size += width;
      if (!out) continue;
      if (c < 256) *out++ = (uint8_t)c; else out += utf8_encode(c, out);
    }
    charge(PIECE / 16 < n ? PIECE / 16 : n / 16);
    if (i == n && bytes == V_FALSE) {
      if (heap_reserve((uint64_t)size + 64)) {
        bytes = heap_raw(T_BYTES, 0, size);
        i = size = 0;
      } else {
        signal = need_memory(size);
      }
    } else if (i < n && should_pause()) {
      signal = V_AGAIN;
    }
  }
  if (signal == V_TRUE) return literal(r, bytes);
  kept = keep_body(r, from, SLOTS);
  kept[STRING] = s;
  kept[AT] = FIX(i);
  kept[SIZE] = FIX(size);
  kept[OUT] = bytes;
  kept[LINE] = FIX(r->line);
  kept[COLUMN] = FIX(r->column);
  kept[END_AT] = FIX(r->at);
  return signal;
}

/* #<<END, up to the line that is END: read in one step. */
enum { HERE_MOST = 1 << 21 };
static Value read_here_string(Reader *r, uint32_t place) {
  uint32_t mark = r->at + 3, mark_end = mark;
  while (char_at(r, mark_end) != '\n' && char_at(r, mark_end) != END) mark_end++;
  uint32_t size = mark_end - mark;
  if (size && char_at(r, mark_end - 1) == '\r') size--;
  uint32_t start = mark_end + 1, line = start;
  for (;;) {
    if (line >= r->length) {
      Excerpt e = excerpt(r, mark, mark + size);
      return fail_at(r, place, true, "expected a line `%s` to close this here string, but the text ended", e.text);
    }
    uint32_t end = line;
    while (char_at(r, end) != '\n' && char_at(r, end) != END) end++;
    if (end - start > HERE_MOST) return fail_at(r, place, false, "a here string of more than %d characters", (int)HERE_MOST);
    uint32_t length = end - line;
    if (length && char_at(r, end - 1) == '\r') length--;
    uint32_t i = 0;
    while (i < length && i < size && char_at(r, line + i) == char_at(r, mark + i)) i++;
    if (i == size && length == size) break;
    line = end + 1;
  }
  uint64_t bytes = (uint64_t)r->width * (line - start) + 64;
  if (!heap_reserve(bytes)) return need_memory(bytes);
  charge((line - r->at) / 8);
  Value s = substring(r, start, line > start ? line - 1 : start);
  STR(s)->lineage = lineage_flat(STR(r->text)->lineage);
  advance_to(r, line + size);
  return literal(r, s);
}

/* What is wrong with a pattern is wrong with the text in which it stands: it has a place there. */
static Value fail_as_read(Reader *r, uint32_t place) {
  char text[384];
  Value message = RECORD_FIELD(vm.error, 0);
  uint32_t n = 0;
  for (uint32_t i = 0; i < STR_LENGTH(message) && n < sizeof text - 5; i++) n += utf8_encode(string_char(message, i), (uint8_t *)text + n);
  text[n] = 0;
  return fail_at(r, place, false, "%s", text);
}

static Value read_regexp(Reader *r, uint32_t place, bool px) {
  uint32_t at = r->at, line = r->line, column = r->column;
  advance_in_line(r, 3);
  bool bytes = peek(r) == '#';                    /* one on text, whose results are bytes */
  if (bytes) advance(r);
  Value source = read_string(r, place);
  if (!IS_SIGNAL(source)) {
    source = regexp_make(source, px, bytes);
    if (source == V_ERROR) return fail_as_read(r, place);
  }
  if (source == V_AGAIN) {
    r->at = at;
    r->line = line;
    r->column = column;
  }
  return source;
}

/* ---- characters ---- */

static const struct { const char *name; uint32_t code; } char_names[] = {
  {"space", ' '}, {"newline", '\n'}, {"tab", '\t'}, {"nul", 0}, {"null", 0}, {"return", '\r'}, {"linefeed", '\n'},
  {"alarm", 7}, {"backspace", 8}, {"delete", 127}, {"rubout", 127}, {"escape", 27}, {"altmode", 27}, {"vtab", 11},
  {"page", 12},
};

static bool token_is(Reader *r, uint32_t from, uint32_t end, const char *word) {
  uint32_t n = (uint32_t)strlen(word);
  if (end - from != n) return false;
  for (uint32_t i = 0; i < n; i++) {
    uint32_t c = char_at(r, from + i);
    if ((r->flags & FOLD_CASE ? uc_foldcase(c) : c) != (uint8_t)word[i]) return false;
  }
  return true;
}

static Value read_char(Reader *r, uint32_t place) {
  uint32_t from = r->at + 2, c = char_at(r, from), end = from + 1, value;
  if (c == END) return fail_at(r, place, true, "expected a character after `#\\`, but the text ended");
  if (c < 0x80 ? hex_digit(c) >= 0 || uc_alphabetic(c) : uc_alphabetic(c)) end = token_end(r, end);
  uint32_t count = end - from;
  if (count == 1) {
    advance_to(r, end);
    return CHAR(c);
  }
  advance_in_line(r, count + 2);
  if ((c == 'x' || c == 'u' || c == 'U') && digits_at(r, from + 1, c == 'u' ? 4 : 8, 16, &value) == count - 1 &&
      value < 0x110000 && (value < 0xd800 || value >= 0xe000)) return CHAR(value);
  if (count == 3 && digits_at(r, from, 3, 8, &value) == 3 && value < 256) return CHAR(value);
  for (size_t i = 0; i < sizeof char_names / sizeof *char_names; i++)
    if (token_is(r, from, end, char_names[i].name)) return CHAR(char_names[i].code);
  Excerpt e = excerpt(r, from, end);
  return fail_at(r, place, false, "unknown character name `#\\%s`", e.text);
}

/* ---- atmosphere ---- */

static Value skip_line(Reader *r) {
  uint32_t from = r->at, at = looked_to(r, from), c;
  for (uint32_t n = 1; (c = char_at(r, at)) != '\n' && c != END; n++) {
    at++;
    if (n % PIECE == 0 && (charge(PIECE / 16), look_pauses(r, from, at))) return V_AGAIN;
  }
  charge((at - from) % PIECE / 16);
  r->column += at - from;
  r->at = at;
  return NOTHING;
}

static Value skip_block_comment(Reader *r, uint32_t place) {
  enum { FROM, AT, LINE, COLUMN, DEPTH, COMMENT, SLOTS };
  uint32_t depth = 0, from = r->at, n = 0;
  Value *kept = body_progress(r, from, SLOTS);
  if (kept) {
    r->at = (uint32_t)FIX_VALUE(kept[AT]);
    r->line = (uint32_t)FIX_VALUE(kept[LINE]);
    r->column = (uint32_t)FIX_VALUE(kept[COLUMN]);
    depth = (uint32_t)FIX_VALUE(kept[DEPTH]);
  }
  do {
    if (peek(r) == END) return fail_at(r, place, true, "expected a `|#` to close this comment, but the text ended");
    if (looking_at(r, 0, "#|")) { depth++; advance_in_line(r, 2); }
    else if (looking_at(r, 0, "|#")) { depth--; advance_in_line(r, 2); }
    else advance(r);
    if (++n % PIECE == 0 && depth && (charge(PIECE / 8), should_pause())) {
      kept = keep_body(r, from, SLOTS);
      kept[AT] = FIX(r->at);
      kept[LINE] = FIX(r->line);
      kept[COLUMN] = FIX(r->column);
      kept[DEPTH] = FIX(depth);
      return V_AGAIN;
    }
  } while (depth);
  charge(n % PIECE / 16);
  return NOTHING;
}

/* ---- # ---- */

/* #!fold-case and the like; a first line #!/usr/bin/... is a comment. */
static Value read_directive(Reader *r, uint32_t place) {
  uint32_t from = r->at + 2, end = token_end(r, from);
  static const struct { const char *name; Value value; } values[] = {
    {"eof", V_EOF}, {"default", V_DEFAULT}, {"void", V_VOID}, {"unspecific", V_VOID}, {"r6rs", NOTHING}, {"r7rs", NOTHING},
  };
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    if (token_is(r, from, end, values[i].name)) { advance_in_line(r, end - r->at); return values[i].value; }
  bool fold = token_is(r, from, end, "fold-case");
  if (fold || token_is(r, from, end, "no-fold-case")) {
    r->flags = fold ? r->flags | FOLD_CASE : r->flags & ~(uint32_t)FOLD_CASE;
    advance_in_line(r, end - r->at);
    return NOTHING;
  }
  if (token_is(r, from, end, "optional") || token_is(r, from, end, "rest") || token_is(r, from, end, "key"))
    return read_name(r, place, false);
  if (r->line == 1 && r->column == 1) {
    return skip_line(r);
  }
  Excerpt e = excerpt(r, r->at, end);
  return fail_at(r, place, false, "unknown directive `%s`", e.text);
}

static Value read_prefix(Reader *r, uint32_t place, uint32_t length, const char *symbol) {
  advance_in_line(r, length);
  return push_frame(r, PREFIX, 0, place, intern(symbol));
}

static bool is_opener(uint32_t c) { return c == '(' || c == '[' || c == '{'; }

static Value read_word(Reader *r, uint32_t place) {
  static const struct { const char *word; Value value; } words[] = {
    {"t", V_TRUE}, {"f", V_FALSE}, {"true", V_TRUE}, {"false", V_FALSE}, {"T", V_TRUE}, {"F", V_FALSE},
  };
  static const struct { const char *word; enum frame kind; int64_t extra; } openers[] = {
    {"u8", BYTES_LITERAL, 0}, {"vu8", BYTES_LITERAL, 0}, {"hash", HASH, TABLE_EQUAL}, {"hasheqv", HASH, TABLE_EQV},
    {"hasheq", HASH, TABLE_EQ}, {"s", PREFAB, 0},
    {"u1", UNIFORM, UV_U1}, {"s8", UNIFORM, UV_S8}, {"s16", UNIFORM, UV_S16}, {"u16", UNIFORM, UV_U16}, {"s32", UNIFORM, UV_S32},
    {"u32", UNIFORM, UV_U32}, {"s64", UNIFORM, UV_S64}, {"u64", UNIFORM, UV_U64}, {"f32", UNIFORM, UV_F32}, {"f64", UNIFORM, UV_F64},
    {"f8", UNIFORM, UV_F8}, {"f16", UNIFORM, UV_F16}, {"c64", UNIFORM, UV_C64}, {"c128", UNIFORM, UV_C128},
  };
  uint32_t from = r->at + 1, end;
  TRY_LET(scanned, long_token_end(r, from, &end));
  uint32_t mark = char_at(r, end);
  if (is_opener(mark))
    for (size_t i = 0; i < sizeof openers / sizeof *openers; i++)
      if (token_is(r, from, end, openers[i].word))
        return open_frame(r, openers[i].kind, end - r->at, place, FIX(openers[i].extra));
  for (size_t i = 0; i < sizeof words / sizeof *words; i++)
    if (token_is(r, from, end, words[i].word)) { advance_in_line(r, end - r->at); return words[i].value; }
  if (mark == '"' && (token_is(r, from, end, "rx") || token_is(r, from, end, "rx#"))) return read_regexp(r, place, false);
  if (mark == '"' && (token_is(r, from, end, "px") || token_is(r, from, end, "px#"))) return read_regexp(r, place, true);
  if (token_is(r, from, end, "lang")) {
    return skip_line(r);
  }
  uint32_t c = char_at(r, from);
  if (c == '%') return read_name(r, place, false);
  if (c < 0x80 && memchr("eEiIxXbBoOdD", (int)c, 12)) {
    Value number = parse_number(r, r->at, end);
    if (IS_SIGNAL(number)) return number;
    if (number != V_FALSE) { advance_in_line(r, end - r->at); return number; }
  }
  Excerpt e = excerpt(r, r->at, end + (end == from));
  if (c == '<') return fail_at(r, place, false, "`%s` is how something is shown that has no readable form", e.text);
  return fail_at(r, place, c == END, "bad syntax `%s`", e.text);
}

static Value read_hash(Reader *r, uint32_t place) {
  uint32_t c = peek_at(r, 1);
  switch (c) {
    case '(': case '[': case '{': return open_frame(r, VECTOR, 1, place, V_FALSE);
    case '\\': return read_char(r, place);
    case '|': return skip_block_comment(r, place);
    case ';': advance_in_line(r, 2); return push_frame(r, COMMENT, 0, place, V_FALSE);
    case '&': advance_in_line(r, 2); return push_frame(r, BOX, 0, place, V_FALSE);
    case '!': return read_directive(r, place);
    case ':': {
      uint32_t at = r->at, column = r->column;
      advance_in_line(r, 2);
      Value keyword = read_name(r, place, true);
      if (keyword == V_AGAIN) { r->at = at; r->column = column; }
      return keyword;
    }
    case '"': return read_byte_string(r, place, 1);
    case '\'': return read_prefix(r, place, 2, "syntax");
    case '`': return read_prefix(r, place, 2, "quasisyntax");
    case ',':
      return peek_at(r, 2) == '@' ? read_prefix(r, place, 3, "unsyntax-splicing") : read_prefix(r, place, 2, "unsyntax");
  }
  if (c == '<' && peek_at(r, 2) == '<') return read_here_string(r, place);
  if (c >= '0' && c <= '9') return read_label(r, place);
  return read_word(r, place);
}

/* ---- completing ---- */

static Value close_vector(Reader *r, Value *frame) {
  uint64_t count = 0;
  for (Value l = frame[F_HEAD]; l != V_NIL; l = CDR(l)) count++;
  if (!heap_reserve(8 * count + 16)) return need_memory(8 * count + 16);
  charge((int64_t)count / 4);
  Value v = heap_object(T_VECTOR, 0, (uint32_t)count);
  uint32_t i = 0;
  for (Value l = frame[F_HEAD]; l != V_NIL; l = CDR(l), i++) {
    VEC(v)[i] = CAR(l);
    wait_for(CAR(l), WAIT_SLOT, v, FIX(i));
  }
  return literal(r, v);
}

static Value close_bytes(Reader *r, Value *frame) {
  uint64_t count = 0;
  for (Value l = frame[F_HEAD]; l != V_NIL; l = CDR(l), count++)
    if (!IS_FIX(CAR(l)) || FIX_VALUE(CAR(l)) < 0 || FIX_VALUE(CAR(l)) > 255)
      return fail_at(r, (uint32_t)FIX_VALUE(frame[F_PLACE]), false, "a bytevector holds only integers from 0 to 255");
  if (!heap_reserve(count + 16)) return need_memory(count + 16);
  charge((int64_t)count / 4);
  Value v = heap_raw(T_BYTES, 0, (uint32_t)count);
  uint32_t i = 0;
  for (Value l = frame[F_HEAD]; l != V_NIL; l = CDR(l)) BYTES(v)[i++] = (uint8_t)FIX_VALUE(CAR(l));
  return literal(r, v);
}

static Value close_prefab(Reader *r, Value *frame) {
  Value items = frame[F_HEAD];
  uint32_t place = (uint32_t)FIX_VALUE(frame[F_PLACE]);
  if (items == V_NIL) return fail_at(r, place, false, "a prefab structure begins with its name: #s(name value ...)");
  Value record = prefab_make(CAR(items), CDR(items));
  if (record == V_FALSE)
    return fail_at(r, place, false, "a prefab structure is #s(name value ...), or #s((name parent count ...) value ...) with as many "
                                    "values as there are fields");
  if (IS_SIGNAL(record)) return record;
  uint32_t i = 1;
  for (Value l = CDR(items); l != V_NIL; l = CDR(l), i++) wait_for(CAR(l), WAIT_SLOT, record, FIX(i));
  return record;
}

static Value close_uniform(Reader *r, Value *frame) {
  enum uvector_type type = (enum uvector_type)FIX_VALUE(frame[F_EXTRA]);
  uint64_t count = 0;
  for (Value l = frame[F_HEAD]; l != V_NIL; l = CDR(l), count++)
    if (!uvector_fits(type, CAR(l)))
      return fail_at(r, pair_place(l) ? pair_place(l) : (uint32_t)FIX_VALUE(frame[F_PLACE]), false,
                     "each element of #%s(...) must be: %s", uvector_name(type), uvector_holds(type));
  uint64_t bytes = uvector_bytes(type, count) + 16;
  if (!heap_reserve(bytes)) return need_memory(bytes);
  charge((int64_t)count / 4);
  Value v = uvector_make(type, (uint32_t)count);
  uint32_t i = 0;
  for (Value l = frame[F_HEAD]; l != V_NIL; l = CDR(l)) uvector_store(v, i++, CAR(l));
  return literal(r, v);
}

static Value close_hash(Reader *r, Value *frame) {
  uint64_t count = 0;
  for (Value l = frame[F_HEAD]; l != V_NIL; l = CDR(l), count++)
    if (!is_pair(CAR(l)) || IS_LABEL(CAR(CAR(l))))
      return fail_at(r, (uint32_t)FIX_VALUE(frame[F_PLACE]), false, "a hash literal holds only pairs: #hash((key . value) ...)");
  uint64_t bytes = table_bytes((uint32_t)count);
  if (!heap_reserve(bytes)) return need_memory(bytes);
  charge((int64_t)count);
  Value table = table_make_sized((enum table_kind)FIX_VALUE(frame[F_EXTRA]), false, (uint32_t)count);
  for (Value l = frame[F_HEAD]; l != V_NIL; l = CDR(l)) {
    Value key = CAR(CAR(l)), value = CDR(CAR(l));
    table_set(table, key, value);
    wait_for(value, WAIT_HASH, table, key);
  }
  SET_FLAG(table, H_IMMUTABLE);
  return table;
}

/* *where becomes the place of the opening bracket. */
static Value close_frame(Reader *r, uint32_t closer, uint32_t *where) {
  if (!r->stack.top) return fail_at(r, here(r), false, "unexpected `%c`: no bracket is open here", closer);
  Value *frame = stack_top(&r->stack, F_SLOTS);
  uint32_t opener = FRAME_OPENER(frame), place = (uint32_t)FIX_VALUE(frame[F_PLACE]);
  if (!is_bracket(frame)) return fail_at(r, place, false, "expected a datum after %s, but found `%c`", frame_name(frame), closer);
  if (closer_of(opener) != closer)
    return fail_at(r, here(r), false, "expected a `%c` to close the `%c` at line %u, column %u, but found `%c`",
                   closer_of(opener), opener, PLACE_LINE(place), PLACE_COLUMN(place), closer);
  Value datum = V_NIL;
  switch (FRAME_KIND(frame)) {
    case VECTOR: datum = close_vector(r, frame); break;
    case BYTES_LITERAL: datum = close_bytes(r, frame); break;
    case PREFAB: datum = close_prefab(r, frame); break;
    case UNIFORM: datum = close_uniform(r, frame); break;
    case HASH: datum = close_hash(r, frame); break;
    default:
      if (FIX_VALUE(frame[F_EXTRA]) == AFTER_DOT) return fail_at(r, here(r), false, "expected a datum after the dot");
      datum = frame[F_HEAD];
  }
  if (IS_SIGNAL(datum)) return datum;
  r->stack.top -= F_SLOTS;
  advance(r);
  *where = place;
  return datum;
}

static Value read_dot(Reader *r, uint32_t place) {
  Value *frame = r->stack.top ? stack_top(&r->stack, F_SLOTS) : NULL;
  if (!frame || FRAME_KIND(frame) != LIST || frame[F_HEAD] == V_NIL || FIX_VALUE(frame[F_EXTRA]) != NO_DOT)
    return fail_at(r, place, false, "misplaced dot");
  frame[F_EXTRA] = FIX(AFTER_DOT);
  advance(r);
  return NOTHING;
}

/* The datum joins the bracket on top. */
static Value add_item(Reader *r, Value *frame, Value datum, uint32_t place) {
  if (FRAME_KIND(frame) == LIST && FIX_VALUE(frame[F_EXTRA]) != NO_DOT) {
    if (FIX_VALUE(frame[F_EXTRA]) == AFTER_TAIL) return fail_at(r, place, false, "more than one datum after the dot");
    CDR(frame[F_LAST]) = datum;
    wait_for(datum, WAIT_CDR, frame[F_LAST], V_FALSE);
    frame[F_EXTRA] = FIX(AFTER_TAIL);
    return NOTHING;
  }
  bool first = frame[F_HEAD] == V_NIL;
  uint32_t where = !(r->flags & PLACES) ? 0 : first ? (uint32_t)FIX_VALUE(frame[F_PLACE]) : place;
  Value pair = cons_at(datum, V_NIL, where);
  if (first) frame[F_HEAD] = pair; else CDR(frame[F_LAST]) = pair;
  frame[F_LAST] = pair;
  if (FRAME_KIND(frame) != VECTOR && FRAME_KIND(frame) != PREFAB) wait_for(datum, WAIT_CAR, pair, V_FALSE);
  return NOTHING;
}

/* Hands a complete datum to what waits for it. NOTHING: more must be read; else the datum that is
   complete at the outermost level, or an error. */
static Value deliver(Reader *r, Value datum, uint32_t place) {
  while (r->stack.top) {
    Value *frame = stack_top(&r->stack, F_SLOTS);
    if (is_bracket(frame)) return add_item(r, frame, datum, place);
    r->stack.top -= F_SLOTS;
    place = (uint32_t)FIX_VALUE(frame[F_PLACE]);
    uint32_t where = r->flags & PLACES ? place : 0;
    switch (FRAME_KIND(frame)) {
      case COMMENT: return NOTHING;
      case BOX: {
        Value box = make_box(datum);
        wait_for(datum, WAIT_SLOT, box, FIX(0));
        datum = literal(r, box);
        break;
      }
      case LABEL:
        if (datum == frame[F_EXTRA]) return fail_at(r, place, false, "a datum label stands for itself");
        label_complete(frame[F_EXTRA], datum);
        break;
      default: {
        Value rest = cons_at(datum, V_NIL, where);
        wait_for(datum, WAIT_CAR, rest, V_FALSE);
        datum = cons_at(frame[F_EXTRA], rest, where);
      }
    }
  }
  return datum;
}

/* ---- the loop ---- */

/* One token: a datum, NOTHING or a signal. *start is its place, or that of the bracket it closes. */
static Value read_token(Reader *r, uint32_t c, uint32_t *start) {
  uint32_t place = *start;
  switch (c) {
    case '(': case '[': case '{': return open_frame(r, LIST, 0, place, FIX(NO_DOT));
    case ')': case ']': case '}': return close_frame(r, c, start);
    case '"': return read_string(r, place);
    case ';': return skip_line(r);
    case '\'': return read_prefix(r, place, 1, "quote");
    case '`': return read_prefix(r, place, 1, "quasiquote");
    case ',': return peek_at(r, 1) == '@' ? read_prefix(r, place, 2, "unquote-splicing") : read_prefix(r, place, 1, "unquote");
    case '#': return read_hash(r, place);
    case '.': if (is_delimiter(peek_at(r, 1))) return read_dot(r, place); break;
  }
  return read_atom(r, place);
}

static Value read_datum(Reader *r) {
  for (uint32_t n = 1;; n++) {
    uint32_t blanks = 0;
    while (is_space(peek(r))) {
      advance(r);
      if (++blanks % PIECE == 0 && (charge(PIECE / 8), should_pause())) return V_AGAIN;
    }
    charge(blanks % PIECE / 32);
    uint32_t c = peek(r), at = r->at, line = r->line, column = r->column, place = here(r);
    if (c == END) return r->stack.top ? fail_text_ended(r) : V_EOF;
    if (!stack_room(&r->stack, F_SLOTS)) return need_memory(stack_bytes(&r->stack));
    Value datum = read_token(r, c, &place);
    if (datum == V_AGAIN) {
      r->at = at;
      r->line = line;
      r->column = column;
      return V_AGAIN;
    }
    if (datum != NOTHING) {
      if (IS_SIGNAL(datum)) return datum;
      datum = deliver(r, datum, place);
    }
    charge(2);
    if (datum != NOTHING) {
      if (!IS_SIGNAL(datum)) r->labels = V_FALSE;
      r->place = place;
      return datum;
    }
    if ((n % ROUND == 0 || steps_left() < -PIECE / 8) && should_pause()) return V_AGAIN;   /* sooner where the tokens are long */
  }
}

/* ---- primitives ---- */

static bool is_reader(Value v) { return IS(v, T_VECTOR) && VEC_LENGTH(v) == R_SLOTS && VEC(v)[R_MARK] == READER_MARK; }
#define CHECK_READER(i) do { if (!is_reader(args[i])) return err_type(NULL, i, "reader", args[i]); } while (0)

Value reader_of_program(Value text, Value source) { return make_reader(text, source, 0, 1, 1, CODE | PLACES); }
Value reader_of_library(Value text, Value source) { return make_reader(text, source, 0, 1, 1, CODE); }
uint32_t reader_place(Value state) { return (uint32_t)FIX_VALUE(VEC(state)[R_PLACE]); }
Value reader_next(Value state) {
  Reader r;
  reader_load(&r, state);
  Value datum = read_datum(&r);
  reader_save(&r);
  return datum;
}

static Value prim_read_datum(int argc, Value *args) {
  (void)argc;
  CHECK_READER(0);
  return reader_next(args[0]);
}

/* (read [port]): the reader is kept in vm.resume while it goes on. */
static Value prim_read(int argc, Value *args) {
  Value port = port_argument(argc, args, 0, PORT_STDIN), state = vm.resume;
  if (IS_SIGNAL(port)) return port;
  if (!is_reader(state)) {
    Value complete = port_complete(port, "read", 0, argc, args), text;
    if (IS_SIGNAL(complete)) return complete;
    uint32_t at, line, column;
    port_text(port, &text, &at);
    TRY_LET(located, port_location(port, &line, &column));
    state = make_reader(text, V_FALSE, at, line, column + 1, port_has(port, PORT_FOLD_CASE) ? FOLD_CASE : 0);
  }
  Value datum = reader_next(state);
  if (datum == V_AGAIN) vm.resume = state;
  else {
    port_set_position(port, (uint32_t)FIX_VALUE(VEC(state)[R_AT]));
    port_set_fold_case(port, FIX_VALUE(VEC(state)[R_FLAGS]) & FOLD_CASE);       /* for what is read from it later, too */
  }
  return datum;
}

const PrimDef read_prims[] = {
  {"%read-datum", prim_read_datum, 1, 1, "(%read-datum reader)"},
  {"read", prim_read, 0, 1, "(read [port])"},
  {"%read", prim_read, 0, 1, "(%read [port])"},
  {0},
};
