/* printer.c — values to text: display, write and Racket's print.
 *
 * Two walks, both with an explicit stack and resumable. The first, left out where a short look
 * shows that the value is small and finite, finds which nodes need a datum label (those that a
 * cycle comes back to; for write-shared all that are met twice) and, for print, which contain a
 * structure and so are shown as constructor calls. The second emits text to a builder.
 */
#include "io/printer.h"
#include "core/template.h"
#include "core/worklist.h"
#include "data/rtd.h"
#include "data/table.h"
#include "data/uvector.h"
#include "io/port.h"
#include "numbers/number.h"
#include "numbers/numprint.h"
#include "numbers/numread.h"
#include "text/regexp.h"
#include "text/string.h"
#include "text/symbol.h"
#include "text/unicode.h"
#include "text/utf8.h"
#include <stdio.h>

enum mode { DISPLAY, WRITE, PRINT, STANDARD };   /* STANDARD: WRITE, symbols as R7RS has them */
enum labels { LABEL_CYCLES, LABEL_SHARED, LABEL_NONE };

typedef struct {
  Value value;            /* what is printed */
  enum mode mode;
  enum labels labels;
  bool scanning;
  Stack stack;
  Builder out;
  Value info;             /* V_FALSE, or a table: node to fixnum of INFO_ bits */
  uint32_t next_label;
  uint32_t limit;         /* of characters, for print_bounded; 0: none */
  Value number;           /* progress with a long one; V_FALSE: none */
  Value record;           /* one with its own printer, met just now; V_FALSE: none */
  Value list;             /* a long one, met just now, that may be flat: #(list at slow), see flatness_of; V_FALSE: none */
} Printer;

/* In info: known to be finite below; contains a structure; needs a label; and the label + 1. */
enum { INFO_DONE = 1, INFO_OPEN = 2, INFO_LABEL = 4, INFO_NUMBER = 8 };

/* ---- the shape of values ---- */

static int64_t rtd_flags(Value record) { return FIX_VALUE(RTD(RECORD_RTD(record))->flags); }
static bool is_exn(Value record) { return rtd_is_a(RECORD_RTD(record), exn_type("exn")); }
static bool is_prefab(Value v) { return IS(v, T_RECORD) && (rtd_flags(v) & RTD_PREFAB); }
static bool prints_itself(Value v) { return IS(v, T_RECORD) && TRUTH(RTD(RECORD_RTD(v))->printer); }
static bool shows_fields(Value rtd) {
  if (FIX_VALUE(RTD(rtd)->flags) & (RTD_TRANSPARENT | RTD_PREFAB)) return true;
  return VEC_LENGTH(RTD(rtd)->fields) == 2 && rtd_is_a(rtd, exn_type("exn"));    /* the built-in ones */
}
/* A record of which some fields are shown: those of the transparent ones among its types. */
static bool is_shown(Value v) {
  if (!IS(v, T_RECORD) || prints_itself(v)) return false;
  for (Value rtd = RECORD_RTD(v); rtd != V_FALSE; rtd = RTD(rtd)->parent)
    if (shows_fields(rtd)) return true;
  return false;
}
/* From slot i of a record on: the first slot that is shown; the end where none is. */
static uint32_t skip_hidden(Value v, uint32_t i) {
  Value types = RTD(RECORD_RTD(v))->ancestors;
  for (uint32_t d = 0; d < VEC_LENGTH(types) && i < OBJ_LENGTH(v); d++) {
    uint32_t end = VEC_LENGTH(RTD(VEC(types)[d])->fields) + 1;      /* of this type's own slots */
    if (i >= end) continue;
    if (shows_fields(VEC(types)[d])) return i;
    i = end;
  }
  return i;
}

static bool is_compound(Value v) {
  if (IS_FIX(v)) return false;
  switch (TAG(v)) {
    case T_PAIR: case T_LPAIR: case T_BOX: return true;
    case T_VECTOR: return VEC_LENGTH(v) != 0;
    case T_TABLE: return table_count(v) != 0;
    case T_RECORD: return is_shown(v);
    default: return false;
  }
}

/* The child at *i, in the order of printing; false: no more. */
static bool next_child(Value v, uint32_t *i, Value *child) {
  if (is_pair(v)) {
    if (*i > 1) return false;
    *child = (*i)++ ? CDR(v) : CAR(v);
    return true;
  }
  if (!IS(v, T_TABLE)) {
    if (IS(v, T_RECORD)) *i = skip_hidden(v, *i ? *i : 1);
    if (*i >= OBJ_LENGTH(v)) return false;
    *child = SLOTS(v)[(*i)++];
    return true;
  }
  int64_t at = table_next_position(v, *i / 2);     /* even: the key, odd: its value */
  if (at < 0) return false;
  if (at != *i / 2) *i = 2 * (uint32_t)at;
  Value key, value;
  table_entry(v, (uint32_t)at, &key, &value);
  *child = (*i)++ & 1 ? value : key;
  return true;
}

/* ---- the first walk ---- */

/* Walks a value that may be small. True: it was, and so is finite; *has_record: a structure is in it. */
static bool is_small(Value v, bool *has_record) {
  enum { FRAMES = 40, NODES = 600, CHILDREN = 10000 };
  struct { Value node; uint32_t i; } frames[FRAMES];
  uint32_t top = 0, nodes = 0, children = 0;
  *has_record = false;
  for (;;) {
    if (is_compound(v)) {
      if (top == FRAMES || ++nodes > NODES) return false;
      if (IS(v, T_RECORD) && !is_prefab(v)) *has_record = true;
      frames[top].node = v;
      frames[top++].i = 0;
    }
    for (;;) {
      if (!top) { charge((nodes + children) / 4); return true; }
      Value node = frames[top - 1].node;
      if (IS(node, T_TABLE) && !table_is_near(node, 0)) return false;
      if (!next_child(node, &frames[top - 1].i, &v)) { top--; continue; }
      if (++children > CHILDREN) return false;       /* of a vector with many atoms */
      if (is_pair(node) && frames[top - 1].i == 2) top--;      /* its last child: nothing to come back for */
      break;
    }
  }
}

/* A finite list of atoms only can be left out of the search for cycles. From *at on, of which *slow is as far behind as
   it has come from the list's beginning; after so many pairs it is not known yet. */
enum flatness { FLAT, NOT_FLAT, NOT_KNOWN };
enum { FLAT_ROUND = 4096 };      /* pairs between two looks whether to pause */
static enum flatness flatness_of(Value *at, Value *slow, uint32_t most) {
  Value v = *at, behind = *slow;
  for (uint32_t n = 0; n < most; n += 2) {               /* as list_length goes through it */
    if (!is_pair(v) || is_compound(CAR(v))) break;
    v = CDR(v);
    if (!is_pair(v) || is_compound(CAR(v))) break;
    v = CDR(v);
    behind = CDR(behind);
    if (behind == v) break;
  }
  charge(most / 8);
  if (!is_compound(v)) return FLAT;
  if (behind == v || is_compound(CAR(v))) return NOT_FLAT;
  *at = v;
  *slow = behind;
  return NOT_KNOWN;
}

static int64_t info_of(Printer *p, Value v) {
  return p->info == V_FALSE ? 0 : FIX_VALUE(table_get(p->info, v, FIX(0)));
}
static void set_info(Printer *p, Value v, int64_t bits) { table_set(p->info, v, FIX(bits)); }

/* Frames of this walk: node, index of the next child, whether a structure was met below. */
static void scan_push(Printer *p, Value v) {
  set_info(p, v, 0);
  push(&p->stack, v);
  push(&p->stack, FIX(0));
  push(&p->stack, BOOL(IS(v, T_RECORD) && !is_prefab(v)));
}

enum { SHORT_LIST = 64 };        /* pairs that are looked at where a list is met */
static void scan_enter(Printer *p, Value v, bool in_list) {
  if (!is_compound(v)) return;
  Value bits = table_get(p->info, v, V_FALSE);
  if (bits != V_FALSE) {
    bool again = p->labels == LABEL_SHARED || (p->labels == LABEL_CYCLES && !(FIX_VALUE(bits) & INFO_DONE));
    if (again) set_info(p, v, FIX_VALUE(bits) | INFO_LABEL);
    if ((FIX_VALUE(bits) & INFO_OPEN) && p->stack.top) stack_top(&p->stack, 3)[2] = V_TRUE;
    return;
  }
  if (p->labels == LABEL_CYCLES && !in_list && is_pair(v)) {
    Value at = v, slow = v;
    enum flatness flatness = flatness_of(&at, &slow, SHORT_LIST);
    if (flatness == FLAT) return;
    if (flatness == NOT_KNOWN) {
      p->list = make_vector(3, v);
      VEC(p->list)[1] = at;
      VEC(p->list)[2] = slow;
      return;
    }
  }
  scan_push(p, v);
}

/* Goes on with the long list that was met: V_VOID where it is flat, or stands on the stack; V_AGAIN. */
static Value scan_list(Printer *p) {
  Value *at = VEC(p->list);
  enum flatness flatness;
  while ((flatness = flatness_of(at + 1, at + 2, FLAT_ROUND)) == NOT_KNOWN)
    if (should_pause()) return V_AGAIN;
  if (flatness == NOT_FLAT) scan_push(p, at[0]);
  p->list = V_FALSE;
  return V_VOID;
}

static Value scan(Printer *p) {
  for (uint32_t n = 1; p->stack.top || p->list != V_FALSE; n++) {
    if (!stack_room(&p->stack, 3)) return need_memory(stack_bytes(&p->stack));
    if (!table_ready(p->info)) return table_wait(p->info);
    if (p->list != V_FALSE) {
      TRY_LET(listed, scan_list(p));
      continue;
    }
    Value *frame = stack_top(&p->stack, 3), node = frame[0], child;
    uint32_t i = (uint32_t)FIX_VALUE(frame[1]);
    if (IS(node, T_TABLE) && table_bring(node) != V_TRUE) return V_AGAIN;
    if (next_child(node, &i, &child)) {
      frame[1] = FIX(i);
      scan_enter(p, child, is_pair(node) && i == 2);
    } else {
      bool open = frame[2] == V_TRUE;
      set_info(p, node, info_of(p, node) | INFO_DONE | (open ? INFO_OPEN : 0));
      p->stack.top -= 3;
      if (open && p->stack.top) stack_top(&p->stack, 3)[2] = V_TRUE;
    }
    charge(3);
    if (n % ROUND == 0 && should_pause()) return V_AGAIN;
  }
  return V_VOID;
}

/* ---- atoms ---- */

/* Room for so many characters; else the caller returns V_AGAIN and is called again. */
#define ROOM(p, n, width) BUILDER_ROOM(&(p)->out, (n), (width))

static bool is_graphic(uint32_t c) {
  if (c < 0x80) return c > ' ' && c < 0x7f;
  int category = uc_category(c);
  return category < CAT_ZS;
}

static const char *escape_of(uint32_t c) {
  switch (c) {
    case 7: return "\\a";
    case 8: return "\\b";
    case 9: return "\\t";
    case 10: return "\\n";
    case 11: return "\\v";
    case 12: return "\\f";
    case 13: return "\\r";
    case 27: return "\\e";
    case '"': return "\\\"";
    case '\\': return "\\\\";
    default: return NULL;
  }
}

static const char *escape_in(enum mode mode, uint32_t c) {
  if (mode == STANDARD && (c == 11 || c == 12 || c == 27)) return NULL;      /* R7RS has no short names for these */
  return escape_of(c);
}

/* How many characters c takes in a written string, at the most. */
static uint32_t written_size(enum mode mode, uint32_t c) {
  if (c >= ' ' && c < 0x7f) return c == '"' || c == '\\' ? 2 : 1;
  if (escape_in(mode, c)) return 2;
  return is_graphic(c) || (c >= 0x80 && uc_category(c) == CAT_ZS) ? 1 : 10;
}

static void write_string_char(Builder *b, enum mode mode, uint32_t c) {
  char text[16];
  const char *escape = escape_in(mode, c);
  if (escape) builder_c(b, escape);
  else if (written_size(mode, c) == 1) builder_char(b, c);
  else {
    snprintf(text, sizeof text, mode == STANDARD ? "\\x%x;" : c < 0x10000 ? "\\u%04X" : "\\U%08X", (unsigned)c);
    builder_c(b, text);
  }
}

/* *next: 0 at first, and when all of it is there. */
static Value emit_string(Printer *p, Value s, uint32_t *next) {
  uint32_t length = STR_LENGTH(s), cut = length;
  if (p->limit && cut > p->limit) cut = p->limit;
  if (p->mode == DISPLAY) {
    ROOM(p, cut, STR_WIDTH(s));
    if (cut < length) for (uint32_t i = 0; i < cut; i++) builder_char(&p->out, string_char(s, i));
    else builder_string(&p->out, s);
    charge(cut / 32);
    return V_VOID;
  }
  /* a piece at a time: the frame's index is where the next one begins, plus one */
  uint32_t from = *next ? *next - 1 : 0, end = cut - from > LONG_ROUND ? from + LONG_ROUND : cut;
  uint64_t size = 2;
  for (uint32_t i = from; i < end; i++) size += written_size(p->mode, string_char(s, i));
  ROOM(p, size, STR_WIDTH(s));
  uint32_t begun = p->out.length;
  if (from == 0) builder_char(&p->out, '"');
  bool plain = size == end - from + 2ull;
  if (plain) builder_chars(&p->out, STR_DATA(s) + (size_t)from * STR_WIDTH(s), STR_WIDTH(s), end - from);
  else for (uint32_t i = from; i < end; i++) write_string_char(&p->out, p->mode, string_char(s, i));
  charge((end - from) / (plain ? 8 : 1));
  *next = end + 1;
  if (end < cut) return V_VOID;
  *next = 0;
  builder_char(&p->out, '"');
  if (from == 0) builder_mark(&p->out, begun, lineage_flat(STR(s)->lineage));
  else p->out.lineage = lineage_union(p->out.lineage, STR(s)->lineage);   /* where a long one began is not known any longer */
  return V_VOID;
}

static Value emit_char(Printer *p, uint32_t c) {
  ROOM(p, 16, char_width(c));
  if (p->mode == DISPLAY) {
    builder_char(&p->out, c);
    return V_VOID;
  }
  static const struct { uint32_t code; const char *name; } names[] = {
    {0, "nul"}, {8, "backspace"}, {9, "tab"}, {10, "newline"}, {11, "vtab"}, {12, "page"}, {13, "return"},
    {' ', "space"}, {0x7f, "rubout"},
  };
  static const struct { uint32_t code; const char *name; } standard_names[] = {
    {0, "null"}, {7, "alarm"}, {8, "backspace"}, {9, "tab"}, {10, "newline"}, {13, "return"}, {27, "escape"}, {' ', "space"},
    {0x7f, "delete"},
  };
  bool standard = p->mode == STANDARD;
  builder_c(&p->out, "#\\");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (!standard && names[i].code == c) { builder_c(&p->out, names[i].name); return V_VOID; }
  for (size_t i = 0; i < sizeof standard_names / sizeof *standard_names; i++)
    if (standard && standard_names[i].code == c) { builder_c(&p->out, standard_names[i].name); return V_VOID; }
  if (is_graphic(c)) builder_char(&p->out, c);
  else {
    char text[16];
    snprintf(text, sizeof text, standard ? "x%x" : c < 0x10000 ? "u%04X" : "U%08X", (unsigned)c);
    builder_c(&p->out, text);
  }
  return V_VOID;
}

/* How a symbol's name must be written so that it reads back. */
enum quoting { PLAIN, BARS, BACKSLASHES };

static bool looks_like_number(Value name) {
  uint32_t c = string_char(name, 0), length = STR_LENGTH(name), chars[64];
  if (!((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')) return false;
  if (length > 64) return c != '.';
  for (uint32_t i = 0; i < length; i++) chars[i] = string_char(name, i);
  return num_parse(chars, length, 10) != V_FALSE;
}

/* What ends a name, so that it cannot stand there bare. */
static bool ends_name(uint32_t c) {
  if (c >= 0x80) return uc_whitespace(c) || c == 0xfeff;
  return c <= ' ' || memchr("()[]{}\",'`;", (int)c, 11);
}

static enum quoting quoting_of(Value name, bool keyword) {
  uint32_t length = STR_LENGTH(name);
  if (!length) return keyword ? PLAIN : BARS;
  enum quoting quoting = PLAIN;
  for (uint32_t i = 0; i < length; i++) {
    uint32_t c = string_char(name, i);
    if (c == '|' || c == '\\') return BACKSLASHES;
    if (ends_name(c)) quoting = BARS;
  }
  if (keyword || quoting != PLAIN) return quoting;
  uint32_t first = string_char(name, 0);
  if (first == '#' && !(length > 1 && string_char(name, 1) == '%')) return BARS;
  if (first == '.' && length == 1) return BARS;
  return looks_like_number(name) ? BARS : PLAIN;
}

static Value emit_name(Printer *p, Value name, bool keyword) {
  uint32_t length = STR_LENGTH(name);
  if (p->limit && length > p->limit) length = p->limit;
  ROOM(p, 2ull * length + 4, STR_WIDTH(name));
  charge(length / 8);
  if (keyword) builder_c(&p->out, "#:");
  enum quoting quoting = p->mode == DISPLAY ? PLAIN : quoting_of(name, keyword);
  bool standard = quoting == BACKSLASHES && p->mode == STANDARD && !keyword;
  if (standard) quoting = BARS;
  if (quoting == BARS) builder_char(&p->out, '|');
  for (uint32_t i = 0; i < length; i++) {
    uint32_t c = string_char(name, i);
    if (standard && (c == '|' || c == '\\')) builder_char(&p->out, '\\');
    if (quoting == BACKSLASHES && (ends_name(c) || c == '|' || c == '\\' || (i == 0 && c == '#' && !keyword))) builder_char(&p->out, '\\');
    builder_char(&p->out, c);
  }
  if (quoting == BARS) builder_char(&p->out, '|');
  return V_VOID;
}

/* How many limbs an exact number has in all. */
static uint64_t number_limbs(Value v) {
  if (IS(v, T_COMPLEX)) return number_limbs(REAL_PART(v)) + number_limbs(IMAG_PART(v));   /* one level deep */
  if (IS(v, T_RATIO)) return number_limbs(NUMERATOR(v)) + number_limbs(DENOMINATOR(v));   /* and another */
  return IS(v, T_BIGNUM) ? BIG_COUNT(v) : 1;
}

static Value emit_number(Printer *p, Value v) {
  uint64_t limbs = p->limit ? number_limbs(v) : 0;
  if (limbs > 64) {                                             /* for messages: never a long computation */
    char text[60];
    snprintf(text, sizeof text, "#<%s of about %u digits>", IS(v, T_BIGNUM) ? "integer" : "number", (unsigned)((double)limbs * 9.633));
    builder_c(&p->out, text);
    return V_VOID;
  }
  Value text = num_to_string_pausing(v, 10, &p->number);
  if (IS_SIGNAL(text)) return text;
  ROOM(p, STR_LENGTH(text), 1);
  builder_string(&p->out, text);
  return V_VOID;
}

/* A byte of #"...": as itself, by a short name, or in octal; three digits where a digit follows. */
static void write_byte(Builder *b, uint32_t byte, uint32_t next) {
  char text[8];
  const char *escape = byte < 0x80 ? escape_of(byte) : NULL;
  if (escape) builder_c(b, escape);
  else if (byte >= ' ' && byte < 0x7f) builder_char(b, byte);
  else {
    snprintf(text, sizeof text, next >= '0' && next <= '7' ? "\\%03o" : "\\%o", (unsigned)byte);
    builder_c(b, text);
  }
}

static Value emit_bytes(Printer *p, Value v) {
  uint32_t length = BYTES_LENGTH(v);
  if (p->limit && length > p->limit) length = p->limit;
  charge(length / 4);
  if (p->mode == DISPLAY) {                        /* the text that they encode */
    if (!heap_reserve(4ull * length + 64)) return need_memory(4ull * length);
    Value text = string_from_utf8((const char *)BYTES(v), length);
    ROOM(p, STR_LENGTH(text), STR_WIDTH(text));
    builder_string(&p->out, text);
    return V_VOID;
  }
  ROOM(p, 4ull * length + 8, 1);
  if (p->mode == STANDARD) {                       /* R7RS's */
    char text[8];
    builder_c(&p->out, "#u8(");
    for (uint32_t i = 0; i < length; i++) {
      snprintf(text, sizeof text, i ? " %u" : "%u", (unsigned)BYTES(v)[i]);
      builder_c(&p->out, text);
    }
    builder_char(&p->out, ')');
    return V_VOID;
  }
  builder_c(&p->out, "#\"");
  for (uint32_t i = 0; i < length; i++) write_byte(&p->out, BYTES(v)[i], i + 1 < length ? BYTES(v)[i + 1] : 0);
  builder_char(&p->out, '"');
  return V_VOID;
}

static void emit_cut(Printer *p, Value name) {          /* a name inside #<...> */
  uint32_t length = STR_LENGTH(name);
  for (uint32_t i = 0; i < length && i < 200; i++) builder_char(&p->out, string_char(name, i));
}

static Value emit_opaque(Printer *p, const char *what, Value name) {
  builder_c(&p->out, "#<");
  builder_c(&p->out, what);
  if (IS(name, T_SYMBOL)) {
    if (*what) builder_char(&p->out, ':');
    emit_cut(p, SYM(name)->name);
  }
  builder_char(&p->out, '>');
  return V_VOID;
}

/* A record type's name as its instances show it: <point> is point. */
static void emit_type_name(Printer *p, Value rtd) {
  Value name = SYM(RTD(rtd)->name)->name;
  uint32_t n = STR_LENGTH(name);
  bool angled = n > 2 && string_char(name, 0) == '<' && string_char(name, n - 1) == '>';
  for (uint32_t i = angled ? 1 : 0; i < n - angled && i < 200; i++) builder_char(&p->out, string_char(name, i));
}

static Value emit_procedure(Printer *p, Value v) {
  if (IS(v, T_PRIM)) {
    builder_c(&p->out, "#<procedure:");
    builder_c(&p->out, prim_table[PAYLOAD(v)]->name);
    builder_char(&p->out, '>');
    return V_VOID;
  }
  if (IS(v, T_CONT)) return emit_opaque(p, "continuation", V_FALSE);
  if (IS(v, T_CASE) && OBJ_LENGTH(v)) v = SLOTS(v)[0];
  return emit_opaque(p, "procedure", IS(v, T_CLOSURE) ? TEMPLATE(CLOSURE_TEMPLATE(v))->name : V_FALSE);
}

static Value emit_special(Printer *p, Value v) {
  static const char *const names[] = {"#f", "()", "#t", "#<void>", "#<eof>", "#<default>", "#<undefined>", "null"};
  uint32_t i = PAYLOAD(v);
  builder_c(&p->out, i < sizeof names / sizeof *names ? names[i] : "#<special>");
  return V_VOID;
}

static Value emit_regexp(Printer *p, Value v) {
  Value source = regexp_source(v);
  ROOM(p, 10ull * STR_LENGTH(source) + 8, STR_WIDTH(source));
  builder_c(&p->out, regexp_is_px(v) ? "#px" : "#rx");
  builder_c(&p->out, regexp_is_of_bytes(v) ? "#\"" : "\"");
  for (uint32_t i = 0; i < STR_LENGTH(source); i++) write_string_char(&p->out, WRITE, string_char(source, i));
  builder_char(&p->out, '"');
  return V_VOID;
}

static Value emit_atom(Printer *p, Value v, uint32_t *next) {
  if (is_number(v)) return emit_number(p, v);
  switch (TAG(v)) {
    case T_SPECIAL: return emit_special(p, v);
    case T_CHAR: return emit_char(p, CHAR_VALUE(v));
    case T_STRING: return emit_string(p, v, next);
    case T_SYMBOL: return emit_name(p, SYM(v)->name, false);
    case T_KEYWORD: return emit_name(p, SYM(v)->name, true);
    case T_BYTES: return emit_bytes(p, v);
    case T_PRIM: case T_CLOSURE: case T_CASE: case T_CONT: return emit_procedure(p, v);
    case T_REGEXP: return emit_regexp(p, v);
    case T_PORT:
      builder_c(&p->out, port_has(v, PORT_INPUT) ? "#<input-port:" : "#<output-port:");
      builder_c(&p->out, v == default_port(PORT_STDIN) ? "stdin>" : v == default_port(PORT_STDOUT) ? "stdout>" :
                         v == default_port(PORT_STDERR) ? "stderr>" : "string>");
      return V_VOID;
    case T_RTD: return emit_opaque(p, "struct-type", RTD(v)->name);
    case T_PROMISE: return emit_opaque(p, "promise", V_FALSE);
    case T_ENV: return emit_opaque(p, "environment", V_FALSE);
    case T_MACRO: return emit_opaque(p, "macro", V_FALSE);
    case T_VALUES: return emit_opaque(p, "values", V_FALSE);
    case T_EPHEMERON: return emit_opaque(p, "ephemeron", V_FALSE);
    case T_CELL: return emit_opaque(p, "variable", CELL(v)->name);
    default: return emit_opaque(p, "object", V_FALSE);
  }
}

/* ---- the second walk ---- */

/* Frames: kind and flags, value, index. */
enum { VALUE, LIST, SLOTS_FRAME, TABLE_FRAME, UNIFORM, TEXT };
enum { QUOTED = 256, SPACED = 512 };            /* print: within a quotation; a space comes first, too */
enum text { CLOSE, DOT, SPACE };
static const char *const texts[] = {")", " . ", " "};

static void push_frame(Printer *p, int64_t kind, Value v, uint32_t i) {
  push(&p->stack, FIX(kind));
  push(&p->stack, v);
  push(&p->stack, FIX(i));
}
static void push_text(Printer *p, enum text text) { push_frame(p, TEXT, FIX(text), 0); }

static const char *table_name(Value v, bool constructor) {
  switch (TABLE_KIND(v)) {
    case TABLE_EQ: return constructor ? "(hasheq" : "#hasheq(";
    case TABLE_EQV: return constructor ? "(hasheqv" : "#hasheqv(";
    default: return constructor ? "(hash" : "#hash(";
  }
}

/* Quotation marks for print: what (quote x) and its kin are shown with. */
static const char *abbreviation(Value v) {
  if (!is_pair(v) || !IS(CAR(v), T_SYMBOL) || !is_pair(CDR(v)) || CDDR(v) != V_NIL) return NULL;
  static const struct { const char *name, *mark; } marks[] = {
    {"quote", "'"}, {"quasiquote", "`"}, {"unquote", ","}, {"unquote-splicing", ",@"},
  };
  Value name = SYM(CAR(v))->name;
  for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) {
    uint32_t n = (uint32_t)strlen(marks[i].name);
    if (STR_LENGTH(name) == n && STR_WIDTH(name) == 1 && memcmp(STR_DATA(name), marks[i].name, n) == 0) return marks[i].mark;
  }
  return NULL;
}

static void emit_record(Printer *p, Value v, int64_t quoted) {
  push_frame(p, SLOTS_FRAME | SPACED | quoted, v, 1);
  if (is_prefab(v)) {
    builder_c(&p->out, "#s(");
    push_frame(p, VALUE | QUOTED, prefab_key(v), 0);
    return;
  }
  builder_c(&p->out, !quoted ? "(" : "#(struct:");
  emit_type_name(p, RECORD_RTD(v));
}

/* A list as a constructor call: (list a b), (cons a b), (list* a b c). */
static void emit_list_call(Printer *p, Value v) {
  Value end = CDR(v);
  uint32_t pairs = 1;
  for (; is_pair(end) && !(info_of(p, end) & INFO_LABEL); end = CDR(end)) pairs++;
  builder_c(&p->out, end == V_NIL ? "(list" : pairs == 1 ? "(cons" : "(list*");
  push_frame(p, LIST | SPACED, v, 0);
}

static void emit_compound(Printer *p, Value v, int64_t quoted) {
  bool constructor = p->mode == PRINT && !quoted;
  if (is_pair(v)) {
    const char *mark = p->mode == PRINT && quoted ? abbreviation(v) : NULL;
    if (mark) {
      builder_c(&p->out, mark);
      push_frame(p, VALUE | quoted, CADR(v), 0);
    } else if (constructor) {
      emit_list_call(p, v);
    } else {
      builder_char(&p->out, '(');
      push_frame(p, LIST | quoted, v, 0);
    }
  } else if (IS(v, T_BOX)) {
    builder_c(&p->out, constructor ? "(box " : "#&");
    if (constructor) push_text(p, CLOSE);
    push_frame(p, VALUE | quoted, SLOTS(v)[0], 0);
  } else if (IS(v, T_TABLE)) {
    builder_c(&p->out, table_name(v, constructor));
    push_frame(p, TABLE_FRAME | (constructor ? SPACED : 0) | quoted, v, 0);
  } else if (IS(v, T_RECORD)) {
    emit_record(p, v, quoted || p->mode != PRINT ? QUOTED : 0);
  } else {
    builder_c(&p->out, constructor ? "(vector" : "#(");
    push_frame(p, SLOTS_FRAME | (constructor ? SPACED : 0) | quoted, v, 0);
  }
}

/* Does print put a quotation mark before it (where it contains no structure)? */
static bool takes_quote(Value v) {
  return is_pair(v) || v == V_NIL || v == V_NULL || IS(v, T_SYMBOL) || IS(v, T_KEYWORD) || IS(v, T_VECTOR) || IS(v, T_BOX) ||
         IS(v, T_TABLE) || is_prefab(v);
}

/* Emits the value of the frame on top, which it takes off. A signal: nothing has been done. */
static Value emit_value(Printer *p) {
  Value *frame = stack_top(&p->stack, 3), v = frame[1];
  int64_t quoted = FIX_VALUE(frame[0]) & QUOTED;
  if (IS(v, T_SYNTAX) && OBJ_LENGTH(v) > 2) {             /* an alias: what it stands for */
    frame[1] = SLOTS(v)[2];
    return V_VOID;
  }
  if (prints_itself(v) && !p->limit) {
    p->record = v;
    p->stack.top -= 3;
    return V_VOID;
  }
  if (IS(v, T_UVECTOR)) {
    p->stack.top -= 3;
    builder_char(&p->out, '#');
    builder_c(&p->out, uvector_name(UVECTOR_TYPE(v)));
    builder_char(&p->out, '(');
    push_frame(p, UNIFORM, v, 0);
    return V_VOID;
  }
  int64_t bits = is_compound(v) ? info_of(p, v) : 0;
  bool quote = p->mode == PRINT && !quoted && takes_quote(v) && !(bits & INFO_OPEN);
  if (!is_compound(v) && !IS(v, T_VECTOR) && !IS(v, T_TABLE)) {
    if (quote) builder_char(&p->out, '\'');
    Value done = V_VOID;
    uint32_t next = (uint32_t)FIX_VALUE(frame[2]);
    if (!IS(v, T_RECORD)) done = emit_atom(p, v, &next);
    else {
      builder_c(&p->out, TRUTH(RTD(RECORD_RTD(v))->apply) ? "#<procedure:" : "#<");
      emit_type_name(p, RECORD_RTD(v));
      builder_char(&p->out, '>');
    }
    if (!IS_SIGNAL(done) && !next) p->stack.top -= 3;
    else if (quote) p->out.length--;
    if (!IS_SIGNAL(done)) frame[2] = FIX(next);
    return done;
  }
  p->stack.top -= 3;
  if (bits & INFO_LABEL) {
    char text[24];
    bool again = bits >= INFO_NUMBER;
    if (!again) set_info(p, v, bits += INFO_NUMBER * (int64_t)++p->next_label);
    snprintf(text, sizeof text, again ? "#%d#" : "#%d=", (int)(bits / INFO_NUMBER) - 1);
    builder_c(&p->out, text);
    if (again) return V_VOID;
  }
  if (quote) builder_char(&p->out, '\'');
  emit_compound(p, v, quote ? QUOTED : quoted);
  return V_VOID;
}

static void emit_list_rest(Printer *p, Value *frame) {
  int64_t flags = FIX_VALUE(frame[0]), quoted = flags & QUOTED;
  Value rest = frame[1];
  bool first = frame[2] == FIX(0);
  if (rest == V_NIL) {
    builder_char(&p->out, ')');
    p->stack.top -= 3;
  } else if (is_pair(rest) && (first || (!(info_of(p, rest) & INFO_LABEL) && !(p->mode == PRINT && quoted && abbreviation(rest))))) {
    if (!first || (flags & SPACED)) builder_char(&p->out, ' ');
    frame[1] = CDR(rest);
    frame[2] = FIX(1);
    push_frame(p, VALUE | quoted, CAR(rest), 0);
  } else {
    builder_c(&p->out, flags & SPACED ? " " : " . ");
    p->stack.top -= 3;
    push_text(p, CLOSE);
    push_frame(p, VALUE | quoted, rest, 0);
  }
}

/* A condition's message as exn-message gives it: R7RS's `error` leaves its irritants apart. */
static Value exn_message(Value exn) {
  Value message = RECORD_FIELD(exn, 0), marks = RECORD_FIELD(exn, 1);
  if (!IS(message, T_STRING) || !IS(marks, T_VECTOR) || VEC_LENGTH(marks) < 8 || !is_pair(VEC(marks)[0]) ||
      VEC(marks)[7] != intern("error") || STR_LENGTH(message) > 1000) return message;
  Builder b;
  builder_init(&b);
  builder_string(&b, message);
  uint32_t n = 0;
  for (Value l = VEC(marks)[0]; is_pair(l) && n < 20; l = CDR(l), n++) {
    builder_char(&b, ' ');
    print_bounded(&b, CAR(l), true, 200);
  }
  return builder_finish(&b);
}

static void emit_slots(Printer *p, Value *frame) {
  int64_t flags = FIX_VALUE(frame[0]);
  Value v = frame[1];
  uint32_t i = (uint32_t)FIX_VALUE(frame[2]);
  if (i >= OBJ_LENGTH(v)) {
    builder_char(&p->out, ')');
    p->stack.top -= 3;
    return;
  }
  if (i > 0 || (flags & SPACED)) builder_char(&p->out, ' ');
  uint32_t shown = IS(v, T_RECORD) ? skip_hidden(v, i) : i;
  if (shown > i) {
    builder_c(&p->out, "...");
    frame[2] = FIX(shown);
    return;
  }
  frame[2] = FIX(i + 1);
  if (i == 2 && IS(v, T_RECORD) && is_exn(v)) builder_c(&p->out, "#<continuation-mark-set>");
  else push_frame(p, VALUE | (flags & QUOTED), i == 1 && IS(v, T_RECORD) && is_exn(v) ? exn_message(v) : SLOTS(v)[i], 0);
}

static Value emit_entries(Printer *p, Value *frame) {
  enum { NEAR = 1000 };                       /* changes that a version may be old which is shown in a message */
  int64_t flags = FIX_VALUE(frame[0]), quoted = flags & QUOTED;
  Value v = frame[1], key, value;
  uint32_t position = (uint32_t)FIX_VALUE(frame[2]);
  bool far = p->limit && !table_is_near(v, NEAR);
  if (!p->limit && table_bring(v) != V_TRUE) return V_AGAIN;
  int64_t at = far ? -1 : table_next_position(v, position);
  if (at < 0) {
    builder_c(&p->out, far ? "...)" : ")");
    p->stack.top -= 3;
    return V_VOID;
  }
  table_entry(v, (uint32_t)at, &key, &value);
  if (position || (flags & SPACED)) builder_char(&p->out, ' ');
  frame[2] = FIX(at + 1);
  if (flags & SPACED) {
    push_frame(p, VALUE | quoted, value, 0);
    push_text(p, SPACE);
  } else {
    builder_char(&p->out, '(');
    push_text(p, CLOSE);
    push_frame(p, VALUE | quoted, value, 0);
    push_text(p, DOT);
  }
  push_frame(p, VALUE | quoted, key, 0);
  return V_VOID;
}

/* The next of a uniform vector's numbers, which are short ones. */
static Value emit_uniform(Printer *p, Value *frame) {
  uint32_t i = (uint32_t)FIX_VALUE(frame[2]);
  if (i >= uvector_length(frame[1])) {
    builder_char(&p->out, ')');
    p->stack.top -= 3;
    return V_VOID;
  }
  if (i) builder_char(&p->out, ' ');
  Value done = emit_number(p, uvector_load(frame[1], i));
  if (!IS_SIGNAL(done)) frame[2] = FIX(i + 1);
  else if (i) p->out.length--;
  return done;
}

/* V_VOID when done, or when a record wants to print itself. */
static Value emit(Printer *p) {
  /* a collection may have come before: the marks are found again in pieces, not at the first look */
  if (p->info != V_FALSE && !p->limit && !table_ready(p->info)) return table_wait(p->info);
  while (p->stack.top) {
    if (!stack_room(&p->stack, 18)) return need_memory(stack_bytes(&p->stack));
    ROOM(p, 300, 1);
    Value *frame = stack_top(&p->stack, 3), done = V_VOID;
    switch (FIX_VALUE(frame[0]) & 255) {
      case VALUE: done = emit_value(p); break;
      case LIST: emit_list_rest(p, frame); break;
      case SLOTS_FRAME: emit_slots(p, frame); break;
      case TABLE_FRAME: done = emit_entries(p, frame); break;
      case UNIFORM: done = emit_uniform(p, frame); break;
      default: builder_c(&p->out, texts[FIX_VALUE(frame[1])]); p->stack.top -= 3;
    }
    if (IS_SIGNAL(done)) return done;
    if (p->record != V_FALSE || (p->limit && p->out.length >= p->limit)) return V_VOID;
    charge(2);
    if (!p->limit && should_pause()) return V_AGAIN;       /* what is bounded is for a message: in one go */
  }
  return V_VOID;
}

/* ---- both ---- */

static void printer_init(Printer *p, Value v, enum mode mode, enum labels labels) {
  *p = (Printer){.value = v, .mode = mode, .labels = labels, .info = V_FALSE, .record = V_FALSE, .number = V_FALSE,
                 .list = V_FALSE};
  stack_init(&p->stack);
  builder_init(&p->out);
}

static void printer_start(Printer *p) {
  bool has_record = false;
  if (!is_compound(p->value) || p->labels == LABEL_NONE) return;
  bool small = is_small(p->value, &has_record);
  if (small && p->labels == LABEL_CYCLES && !(has_record && p->mode == PRINT)) return;
  p->info = table_make(TABLE_EQ, false);
  p->scanning = true;
  scan_enter(p, p->value, false);
}

static Value print_on(Printer *p) {
  if (p->scanning) {
    Value scanned = scan(p);
    if (IS_SIGNAL(scanned)) return scanned;
    p->scanning = false;
  }
  if (p->value != V_UNBOUND) {
    push_frame(p, VALUE | (p->mode == PRINT ? 0 : QUOTED), p->value, 0);
    p->value = V_UNBOUND;
  }
  return emit(p);
}

/* The printer between two goes, in vm.resume; or between two of a record's own printing, in the
   guest's hands. */
enum { P_MARK, P_VALUE, P_MODE, P_LABELS, P_SCANNING, P_STACK, P_TOP, P_OUT, P_INFO, P_NEXT, P_RECORD, P_NUMBER, P_LIST, P_SIZE };
#define PRINTER_MARK FIX(0x7072696e746572)

static Value printer_save(Printer *p) {
  Value state = make_vector(P_SIZE, V_FALSE), *s = VEC(state);
  s[P_MARK] = PRINTER_MARK;
  s[P_VALUE] = p->value;
  s[P_MODE] = FIX(p->mode);
  s[P_LABELS] = FIX(p->labels);
  s[P_SCANNING] = BOOL(p->scanning);
  s[P_STACK] = p->stack.slots;
  s[P_TOP] = FIX(p->stack.top);
  s[P_OUT] = builder_save(&p->out);
  s[P_INFO] = p->info;
  s[P_NEXT] = FIX(p->next_label);
  s[P_RECORD] = p->record;
  s[P_NUMBER] = p->number;
  s[P_LIST] = p->list;
  return state;
}

static bool is_printer(Value v) { return IS(v, T_VECTOR) && VEC_LENGTH(v) == P_SIZE && VEC(v)[P_MARK] == PRINTER_MARK; }

static void printer_load(Printer *p, Value state) {
  Value *s = VEC(state);
  *p = (Printer){.value = s[P_VALUE], .mode = (enum mode)FIX_VALUE(s[P_MODE]), .labels = (enum labels)FIX_VALUE(s[P_LABELS]),
                 .scanning = TRUTH(s[P_SCANNING]), .stack = {s[P_STACK], (uint32_t)FIX_VALUE(s[P_TOP])}, .info = s[P_INFO],
                 .next_label = (uint32_t)FIX_VALUE(s[P_NEXT]), .record = s[P_RECORD], .number = s[P_NUMBER], .list = s[P_LIST]};
  builder_load(&p->out, s[P_OUT]);
}

/* Goes on, and returns what a primitive does: the text, the printer as a request, or a signal. */
static Value print_result(Printer *p) {
  Value done = print_on(p);
  if (done == V_AGAIN) vm.resume = printer_save(p);
  if (IS_SIGNAL(done)) return done;
  if (p->record != V_FALSE) return printer_save(p);
  return builder_finish(&p->out);
}

void print_bounded(Builder *out, Value v, bool write, uint32_t most) {
  /* a structure as a call of its constructor: what else wants `print` has its quotation mark from the caller */
  bool structure = write && IS(v, T_RECORD) && is_shown(v);
  Printer p;
  printer_init(&p, v, structure ? PRINT : write ? WRITE : DISPLAY, LABEL_NONE);
  p.limit = most;
  Value done = print_on(&p);
  bool cut = p.stack.top || p.out.length > most || IS_SIGNAL(done);
  Value text = builder_finish(&p.out);
  uint32_t length = STR_LENGTH(text);
  if (cut && length > most) length = most;
  for (uint32_t i = 0; i < length; i++) builder_char(out, string_char(text, i));
  if (cut) builder_c(out, "...");
}

/* ---- format ---- */

/* What can be formatted in one step: short, finite, and without a printer of its own. */
enum { FORMAT_MOST = 2000, BRIEF_TEXT = 500 };
static bool is_brief_atom(Value v) {
  if (IS_FIX(v)) return true;
  switch (TAG(v)) {
    case T_SPECIAL: case T_CHAR: case T_FLONUM: return true;
    case T_STRING: return STR_LENGTH(v) <= BRIEF_TEXT;
    case T_SYMBOL: case T_KEYWORD: return STR_LENGTH(SYM(v)->name) <= BRIEF_TEXT;
    default: return false;
  }
}
static bool is_brief(Value v) {
  enum { LATER = 16, PAIRS = 100 };
  Value later[LATER];
  for (uint32_t top = 0, pairs = 0;; v = later[--top]) {
    for (; is_pair(v); v = CDR(v)) {
      if (++pairs > PAIRS) return false;
      if (!is_pair(CAR(v))) { if (!is_brief_atom(CAR(v))) return false; }
      else if (top == LATER) return false;
      else later[top++] = CAR(v);
    }
    if (!is_brief_atom(v)) return false;
    if (!top) return true;
  }
}

static void put_fixnum(Builder *b, int64_t n) {
  uint8_t text[24], *end = text + sizeof text, *at = end;
  uint64_t left = n < 0 ? -(uint64_t)n : (uint64_t)n;
  do *--at = (uint8_t)('0' + left % 10); while (left /= 10);
  if (n < 0) *--at = '-';
  builder_chars(b, at, 1, (uint32_t)(end - at));
}

/* A brief value: V_TRUE, V_FALSE where the text became long after all, or a signal. */
static Value format_value(Printer *p, Value v) {
  if (IS_FIX(v)) put_fixnum(&p->out, FIX_VALUE(v));
  else if (p->mode == DISPLAY && IS(v, T_STRING)) builder_string(&p->out, v);
  else if (is_pair(v)) {
    if (p->stack.slots == V_FALSE) stack_init(&p->stack);
    p->value = v;
    Value done = print_on(p);
    if (IS_SIGNAL(done)) return done;
    return BOOL(!p->stack.top);
  } else {
    uint32_t next = 0;
    if (p->mode == PRINT && takes_quote(v)) builder_char(&p->out, '\'');
    Value done = emit_atom(p, v, &next);
    if (IS_SIGNAL(done)) return done;
  }
  charge(1);
  return V_TRUE;
}

/* Most of all texts are short and in narrow characters: those are made in place on the C stack, without a builder. */
enum { NARROW_MOST = 1000, NARROW_DEPTH = 4 };
typedef struct { uint8_t *at, *end; } Narrow;

static bool narrow_put(Narrow *out, const void *data, uint32_t count) {
  if ((size_t)(out->end - out->at) < count) return false;
  const uint8_t *from = data;
  if (count <= FEW && may_read_few(from)) memcpy(out->at, from, FEW);       /* there is so much room behind the end */
  else memcpy(out->at, from, count);
  out->at += count;
  return true;
}
static inline bool narrow_char(Narrow *out, char c) {
  if (out->at == out->end) return false;
  *out->at++ = (uint8_t)c;
  return true;
}
static bool narrow_string(Narrow *out, Value s, bool quoted) {
  if (STR_WIDTH(s) != 1 || STR(s)->lineage != V_FALSE || STR_LENGTH(s) > (size_t)(out->end - out->at)) return false;
  if (!quoted) return narrow_put(out, STR_DATA(s), STR_LENGTH(s));
  for (uint32_t i = 0; i < STR_LENGTH(s); i++) {
    uint8_t c = STR_DATA(s)[i];
    if (c < ' ' || c >= 0x7f || c == '"' || c == '\\') return false;
  }
  return narrow_char(out, '"') && narrow_put(out, STR_DATA(s), STR_LENGTH(s)) && narrow_char(out, '"');
}
/* False where the general way has to be gone. Lists that end in a symbol and another element may be abbreviations. */
static bool narrow_value(Narrow *out, Value v, enum mode mode, uint32_t depth) {
  if (IS_FIX(v)) {
    uint8_t text[24], *end = text + sizeof text, *at = end;
    uint64_t left = FIX_VALUE(v) < 0 ? -(uint64_t)FIX_VALUE(v) : (uint64_t)FIX_VALUE(v);
    for (; left > UINT32_MAX; left /= 10) *--at = (uint8_t)('0' + left % 10);
    uint32_t few = (uint32_t)left;                       /* shorter divisions */
    do *--at = (uint8_t)('0' + few % 10); while (few /= 10);
    if (FIX_VALUE(v) < 0) *--at = '-';
    return narrow_put(out, at, (uint32_t)(end - at));
  }
  switch (TAG(v)) {
    case T_STRING: return narrow_string(out, v, mode != DISPLAY);
    case T_SYMBOL: {
      Value name = SYM(v)->name;
      return STR_LENGTH(name) <= NARROW_MOST && (mode == DISPLAY || quoting_of(name, false) == PLAIN) && narrow_string(out, name, false);
    }
    case T_FLONUM: return narrow_string(out, num_to_string(v, 10), false);
    case T_SPECIAL: return (v == V_TRUE || v == V_FALSE || v == V_NIL) && narrow_put(out, v == V_TRUE ? "#t" : v == V_NIL ? "()" : "#f", 2);
    case T_PAIR: case T_LPAIR: break;
    default: return false;
  }
  if (depth == NARROW_DEPTH) return false;
  for (char before = '(';; before = ' ') {
    if (IS(CAR(v), T_SYMBOL) && is_pair(CDR(v)) && CDDR(v) == V_NIL) return false;
    if (!narrow_char(out, before) || !narrow_value(out, CAR(v), mode, depth + 1)) return false;
    v = CDR(v);
    if (v == V_NIL) return narrow_char(out, ')');
    if (!is_pair(v)) return false;
  }
}

enum { BRIEF_MOST = 4096 };
Value printed_briefly(Value v) {
  uint8_t made[BRIEF_MOST + FEW];
  Narrow out = {made, made + BRIEF_MOST};
  if (!narrow_value(&out, v, DISPLAY, 0)) return V_FALSE;
  charge((int64_t)(out.at - made) / 16);
  return string_from_chars(made, 1, (uint32_t)(out.at - made));
}

/* What format_plain gives, or #f where the general way has to be gone. */
static Value format_narrow(const uint8_t *text, uint32_t length, Value left) {
  uint8_t made[NARROW_MOST + FEW];
  Narrow out = {made, made + NARROW_MOST};
  const uint8_t *end = text + length;
  for (;;) {
    while (text < end && *text != '~') {
      if (out.at == out.end) return V_FALSE;
      *out.at++ = *text++;
    }
    if (text == end) break;
    if (end - text < 2) return V_FALSE;
    enum mode mode;
    switch (text[1]) {
      case 'a': case 'A': mode = DISPLAY; break;
      case 's': case 'S': mode = WRITE; break;
      case 'v': case 'V': mode = PRINT; break;
      default: return V_FALSE;
    }
    if (!is_pair(left)) return V_FALSE;
    if (mode == PRINT) {                                 /* what can be done here is quoted as a whole, and then as WRITE has it */
      if (takes_quote(CAR(left)) && !narrow_char(&out, '\'')) return V_FALSE;
      mode = WRITE;
    }
    if (!narrow_value(&out, CAR(left), mode, 0)) return V_FALSE;
    left = CDR(left);
    text += 2;
  }
  if (left != V_NIL) return V_FALSE;
  charge((int64_t)(out.at - made) / 16);
  return string_from_chars(made, 1, (uint32_t)(out.at - made));
}

static uint32_t find_tilde(Value text, uint32_t from, uint32_t end) {
  if (STR_WIDTH(text) == 1) {
    const uint8_t *data = STR_DATA(text);
    while (from < end && data[from] != '~') from++;
  } else {
    while (from < end && string_char(text, from) != '~') from++;
  }
  return from;
}

/* (%format-plain text arguments): the text with the arguments in the places of its directives, where it is short and
   has none but ~a ~s ~v ~n ~% and ~~, as many as there are arguments, and these are brief; else #f. */
static Value prim_format_plain(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  Value text = args[0], left = args[1];
  uint32_t end = STR_LENGTH(text), width = STR_WIDTH(text);
  if (end > FORMAT_MOST || STR(text)->lineage != V_FALSE) return V_FALSE;
  if (width == 1) {
    Value made = format_narrow(STR_DATA(text), end, left);
    if (made != V_FALSE) return made;
  }
  Printer p = {.value = V_UNBOUND, .info = V_FALSE, .record = V_FALSE, .number = V_FALSE, .list = V_FALSE, .limit = FORMAT_MOST, .stack = {V_FALSE, 0}};
  builder_init(&p.out);
  for (uint32_t at = 0;; at += 2) {
    uint32_t tilde = find_tilde(text, at, end);
    builder_chars(&p.out, STR_DATA(text) + (size_t)at * width, width, tilde - at);
    if (tilde == end) break;
    if ((at = tilde) + 1 == end) return V_FALSE;
    switch (string_char(text, at + 1)) {
      case 'a': case 'A': p.mode = DISPLAY; break;
      case 's': case 'S': p.mode = WRITE; break;
      case 'v': case 'V': p.mode = PRINT; break;
      case 'n': case 'N': case '%': builder_char(&p.out, '\n'); continue;
      case '~': builder_char(&p.out, '~'); continue;
      default: return V_FALSE;
    }
    if (!is_pair(left) || p.out.length > FORMAT_MOST || !is_brief(CAR(left))) return V_FALSE;
    Value done = format_value(&p, CAR(left));
    if (done != V_TRUE) return done;
    left = CDR(left);
  }
  if (left != V_NIL) return V_FALSE;
  charge(end / 16);
  return builder_finish(&p.out);
}

/* ---- primitives ---- */

/* (%print value mode [labels]) */
static Value prim_print(int argc, Value *args) {
  uint32_t mode, labels = LABEL_CYCLES;
  CHECK_INDEX(NULL, 1, DISPLAY, STANDARD, V_FALSE, mode);
  if (HAS_ARG(2)) CHECK_INDEX(NULL, 2, LABEL_CYCLES, LABEL_NONE, V_FALSE, labels);
  /* without the machinery, where there is nothing to walk */
  if (IS(args[0], T_STRING) && mode == DISPLAY) return args[0];
  if (IS_FIX(args[0])) return num_to_string(args[0], 10);
  if (IS(args[0], T_SYMBOL) && mode == DISPLAY) {
    Value name = SYM(args[0])->name;
    RESERVE(string_size(STR_LENGTH(name), STR_WIDTH(name)));
    charge(STR_LENGTH(name) / 8);
    return string_substring(name, 0, STR_LENGTH(name));
  }
  Printer p;
  if (is_printer(vm.resume)) {
    printer_load(&p, vm.resume);
  } else {
    printer_init(&p, args[0], (enum mode)mode, (enum labels)labels);
    printer_start(&p);
  }
  return print_result(&p);
}

#define CHECK_REQUEST(i) do { if (!is_printer(args[i])) return err_type(NULL, i, "printer request", args[i]); } while (0)

static Value prim_print_record(int argc, Value *args) {
  (void)argc;
  CHECK_REQUEST(0);
  return VEC(args[0])[P_RECORD];
}

/* (%print-give request text): the record's text. Goes on. */
static Value prim_print_give(int argc, Value *args) {
  (void)argc;
  CHECK_REQUEST(0);
  CHECK_STRING(NULL, 1);
  Printer p;
  if (is_printer(vm.resume)) {
    printer_load(&p, vm.resume);
  } else {
    printer_load(&p, args[0]);
    ROOM(&p, STR_LENGTH(args[1]), STR_WIDTH(args[1]));
    builder_string(&p.out, args[1]);
    p.record = V_FALSE;
  }
  return print_result(&p);
}

const PrimDef print_prims[] = {
  {"%print", prim_print, 2, 3, "(%print value mode [labels])"},
  {"%format-plain", prim_format_plain, 2, 2, "(%format-plain text arguments)"},
  {"%print-record", prim_print_record, 1, 1, "(%print-record request)"},
  {"%print-give", prim_print_give, 2, 2, "(%print-give request text)"},
  {0},
};
