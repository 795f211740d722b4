/* port.c — see port.h. */
#include "io/port.h"
#include "core/globals.h"
#include "data/bytes.h"
#include "text/string.h"
#include "text/string_search.h"
#include "text/symbol.h"
#include "text/utf8.h"

static Value make_port(int64_t flags, Value data, Value handler) {
  Value port = heap_object(T_PORT, 0, PORT_SLOTS);
  *PORT(port) = (struct Port){
    .header = HEADER_OF(port), .flags = FIX(flags | PORT_OPEN), .data = data, .length = FIX(0), .width = FIX(1),
    .lineage = V_FALSE, .position = FIX(0), .located = FIX(0), .line = FIX(1), .column = FIX(0),
    .handler = handler,
  };
  return port;
}

static void set_flag(Value port, int64_t flag, bool on) {
  int64_t flags = FIX_VALUE(PORT(port)->flags);
  PORT(port)->flags = FIX(on ? flags | flag : flags & ~flag);
}

/* ---- default ports: what the prelude's parameters hold at the moment ---- */

static Value defaults[3];

Value default_port(int which) { return defaults[which]; }

static Value prim_set_defaults(int argc, Value *args) {
  for (int i = 0; i < argc; i++) {
    if (!IS(args[i], T_PORT)) return err_type(NULL, i, "port", args[i]);
    heap_root(&defaults[i]);
    defaults[i] = args[i];
  }
  return V_VOID;
}

static Value prim_default(int argc, Value *args) {
  (void)argc;
  uint32_t which;
  CHECK_INDEX(NULL, 0, 0, 2, args[0], which);
  return defaults[which];
}

static Value check_port(Value port, int i, int64_t flags, const char *expected) {
  if (!IS(port, T_PORT) || !port_has(port, flags)) return err_type(NULL, i, expected, port);
  if (!port_has(port, PORT_OPEN)) return err_fail("exn:fail", "the port is closed", list_n(1, port));
  return port;
}

Value port_argument(int argc, Value *args, int i, int which) {
  Value port = ARG_OR(i, defaults[which]);
  return which == PORT_STDIN ? check_port(port, i, PORT_INPUT, "input port")
                             : check_port(port, i, PORT_OUTPUT, "output port");
}

static Value text_input(int argc, Value *args, int i) {
  return check_port(ARG_OR(i, defaults[PORT_STDIN]), i, PORT_INPUT | PORT_TEXT, "textual input port");
}

static Value binary_input(int argc, Value *args, int i) {
  Value port = ARG_OR(i, defaults[PORT_STDIN]);
  if (IS(port, T_PORT) && port_has(port, PORT_TEXT)) return err_type(NULL, i, "binary input port", port);
  return check_port(port, i, PORT_INPUT, "binary input port");
}

#define GET_PORT(port, expression) \
  Value port = (expression); \
  if (IS_SIGNAL(port)) return port

/* ---- custom ports ---- */

static bool is_filling(Value port) { return PORT(port)->handler != V_FALSE && !port_has(port, PORT_EOF); }

/* The handler gets the primitive to call again and its arguments, with the port in its place. */
static Value fill(Value port, const char *name, int i, int argc, Value *args) {
  Value list = V_NIL;
  for (int j = argc - 1; j > i; j--) list = cons(args[j], list);
  list = cons(port, list);
  for (int j = i - 1; j >= 0; j--) list = cons(args[j], list);
  Value retry = CELL(global_cell(intern(name)))->value;
  return tail_call(PORT(port)->handler, 4, port, intern("fill"), retry, list);
}

Value port_complete(Value port, const char *name, int i, int argc, Value *args) {
  return is_filling(port) ? fill(port, name, i, argc, args) : V_TRUE;
}

static Value prim_make_custom(int argc, Value *args) {
  (void)argc;
  if (!is_procedure(args[2])) return err_type(NULL, 2, "procedure", args[2]);
  bool input = TRUTH(args[0]), text = TRUTH(args[1]);
  Value data = !input ? V_FALSE : text ? string_make(0, 1) : heap_raw(T_BYTES, 0, 0);
  return make_port((input ? PORT_INPUT : PORT_OUTPUT) | (text ? PORT_TEXT : 0), data, args[2]);
}

static uint32_t input_end(Value port) {
  return port_has(port, PORT_TEXT) ? STR_LENGTH(PORT(port)->data) : BYTES_LENGTH(PORT(port)->data);
}
static uint32_t input_position(Value port) { return (uint32_t)FIX_VALUE(PORT(port)->position); }

/* What has been read goes, what was fed comes behind the rest. */
static Value prim_feed(int argc, Value *args) {
  (void)argc;
  Value port = args[0], more = args[1];
  if (!IS(port, T_PORT) || !port_has(port, PORT_INPUT) || PORT(port)->handler == V_FALSE)
    return err_type(NULL, 0, "custom input port", port);
  bool text = port_has(port, PORT_TEXT);
  if (more == V_EOF) {
    set_flag(port, PORT_EOF, true);
    return V_VOID;
  }
  if (!IS(more, text ? T_STRING : T_BYTES)) return err_type(NULL, 1, text ? "string or eof" : "bytevector or eof", more);
  Value data = PORT(port)->data;
  uint32_t from = input_position(port), rest = input_end(port) - from;
  uint32_t line, column;
  TRY_LET(located, port_location(port, &line, &column));
  if (text) {
    uint32_t width = STR_WIDTH(data) > STR_WIDTH(more) ? STR_WIDTH(data) : STR_WIDTH(more);
    RESERVE(string_size((uint64_t)rest + STR_LENGTH(more), width) + 16 * (lineage_length(STR(data)->lineage) + lineage_length(STR(more)->lineage)));
    Value all = string_make(rest + STR_LENGTH(more), width);
    chars_copy(STR_DATA(all), width, STR_DATA(data) + (size_t)from * STR_WIDTH(data), STR_WIDTH(data), rest);
    chars_copy(STR_DATA(all) + (size_t)rest * width, width, STR_DATA(more), STR_WIDTH(more), STR_LENGTH(more));
    STR(all)->lineage = lineage_union(STR(data)->lineage, STR(more)->lineage);
    PORT(port)->data = all;
  } else {
    RESERVE((uint64_t)rest + BYTES_LENGTH(more) + 16);
    Value all = heap_raw(T_BYTES, 0, rest + BYTES_LENGTH(more));
    memcpy(BYTES(all), BYTES(data) + from, rest);
    memcpy(BYTES(all) + rest, BYTES(more), BYTES_LENGTH(more));
    PORT(port)->data = all;
  }
  charge(input_end(port) / 64);
  PORT(port)->position = PORT(port)->located = FIX(0);
  return V_VOID;
}

/* ---- opening, closing, asking ---- */

static Value prim_open_input_string(int argc, Value *args) {
  (void)argc;
  CHECK_STRING(NULL, 0);
  Value s = args[0];
  if (!(OBJ_FLAGS(s) & H_IMMUTABLE))               /* later changes of the string are not read */
    TRY_SET(s, is_cutting(vm.resume) ? cut_go_on(&vm.resume) : string_cut(&vm.resume, s, 0, STR_LENGTH(s)));
  return make_port(PORT_INPUT | PORT_TEXT, s, V_FALSE);
}

static Value prim_open_input_bytes(int argc, Value *args) {
  (void)argc;
  CHECK_BYTES(NULL, 0);
  TRY_LET(copy, bytes_cut(args[0], 0, BYTES_LENGTH(args[0])));
  return make_port(PORT_INPUT, copy, V_FALSE);
}

static Value prim_open_output_string(int argc, Value *args) {
  (void)argc, (void)args;
  return make_port(PORT_OUTPUT | PORT_TEXT, V_FALSE, V_FALSE);
}

static Value prim_open_output_bytes(int argc, Value *args) {
  (void)argc, (void)args;
  return make_port(PORT_OUTPUT, V_FALSE, V_FALSE);
}

static Value close(Value *args, int64_t direction, const char *expected) {
  Value port = args[0];
  if (!IS(port, T_PORT) || !port_has(port, direction)) return err_type(NULL, 0, expected, port);
  if (!port_has(port, PORT_OPEN)) return V_VOID;
  set_flag(port, PORT_OPEN, false);
  return PORT(port)->handler == V_FALSE ? V_VOID : tail_call(PORT(port)->handler, 2, port, intern("close"));
}
static Value prim_close(int argc, Value *args) { (void)argc; return close(args, 0, "port"); }
static Value prim_close_input(int argc, Value *args) { (void)argc; return close(args, PORT_INPUT, "input port"); }
static Value prim_close_output(int argc, Value *args) { (void)argc; return close(args, PORT_OUTPUT, "output port"); }

#define PORT_TEST(name, test) \
  static Value name(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_PORT) && (test)); }
PORT_TEST(prim_is_port, true)
PORT_TEST(prim_is_input, port_has(args[0], PORT_INPUT))
PORT_TEST(prim_is_output, port_has(args[0], PORT_OUTPUT))
PORT_TEST(prim_is_textual, port_has(args[0], PORT_TEXT))
PORT_TEST(prim_is_binary, !port_has(args[0], PORT_TEXT))
PORT_TEST(prim_is_string_port, PORT(args[0])->handler == V_FALSE)

static Value prim_input_open(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_PORT) || !port_has(args[0], PORT_INPUT)) return err_type(NULL, 0, "input port", args[0]);
  return BOOL(port_has(args[0], PORT_OPEN));
}

static Value prim_output_open(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_PORT) || !port_has(args[0], PORT_OUTPUT)) return err_type(NULL, 0, "output port", args[0]);
  return BOOL(port_has(args[0], PORT_OPEN));
}

static Value prim_is_closed(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_PORT)) return err_type(NULL, 0, "port", args[0]);
  return BOOL(!port_has(args[0], PORT_OPEN));
}

static Value prim_eof(int argc, Value *args) { (void)argc, (void)args; return V_EOF; }
static Value prim_is_eof(int argc, Value *args) { (void)argc; return BOOL(args[0] == V_EOF); }

/* ---- places: counted only when somebody asks ---- */

static void locate(Value port, uint32_t end, uint32_t *line, uint32_t *column) {
  uint32_t at = (uint32_t)FIX_VALUE(PORT(port)->located);
  *line = (uint32_t)FIX_VALUE(PORT(port)->line);
  *column = (uint32_t)FIX_VALUE(PORT(port)->column);
  charge((end - at) / 16);
  for (; at < end && port_has(port, PORT_TEXT); at++) {
    uint32_t c = string_char(PORT(port)->data, at);
    bool crlf = c == '\r' && at + 1 < input_end(port) && string_char(PORT(port)->data, at + 1) == '\n';
    if (c == '\n' || (c == '\r' && !crlf)) {
      (*line)++;
      *column = 0;
    } else if (c == '\t') {
      *column = (*column / 8 + 1) * 8;
    } else if (!crlf) {
      (*column)++;
    }
  }
  PORT(port)->located = FIX(end);
  PORT(port)->line = FIX(*line);
  PORT(port)->column = FIX(*column);
}

Value port_location(Value port, uint32_t *line, uint32_t *column) {
  enum { PIECE = 1 << 16 };
  for (uint32_t end = input_position(port);;) {
    uint32_t at = (uint32_t)FIX_VALUE(PORT(port)->located), left = end > at ? end - at : 0;
    locate(port, left > PIECE ? at + PIECE : end, line, column);
    if (left <= PIECE) return V_TRUE;
    if (should_pause()) return V_AGAIN;
  }
}

/* (port-next-location port): line, column, position, as Racket counts them */
static Value prim_next_location(int argc, Value *args) {
  (void)argc;
  GET_PORT(port, check_port(args[0], 0, PORT_INPUT, "input port"));
  uint32_t line, column;
  TRY_LET(located, port_location(port, &line, &column));
  return make_values(3, (Value[]){FIX(line), FIX(column), FIX(input_position(port) + 1)});
}

static Value prim_line(int argc, Value *args) {
  (void)argc;
  GET_PORT(port, check_port(args[0], 0, PORT_INPUT, "input port"));
  uint32_t line, column;
  TRY_LET(located, port_location(port, &line, &column));
  return FIX(line);
}

static Value prim_column(int argc, Value *args) {
  (void)argc;
  GET_PORT(port, check_port(args[0], 0, PORT_INPUT, "input port"));
  uint32_t line, column;
  TRY_LET(located, port_location(port, &line, &column));
  return FIX(column);
}

static Value prim_nothing(int argc, Value *args) { (void)argc, (void)args; return V_VOID; }

/* ---- reading text ---- */

void port_text(Value port, Value *string, uint32_t *position) {
  *string = PORT(port)->data;
  *position = input_position(port);
}

void port_set_fold_case(Value port, bool fold) {
  int64_t flags = FIX_VALUE(PORT(port)->flags) & ~(int64_t)PORT_FOLD_CASE;
  PORT(port)->flags = FIX(fold ? flags | PORT_FOLD_CASE : flags);
}
void port_set_position(Value port, uint32_t position) { PORT(port)->position = FIX(position); }

static Value next_char(int argc, Value *args, const char *name, bool take) {
  GET_PORT(port, text_input(argc, args, 0));
  uint32_t at = input_position(port);
  if (at == input_end(port)) return is_filling(port) ? fill(port, name, 0, argc, args) : V_EOF;
  if (take) port_set_position(port, at + 1);
  return CHAR(string_char(PORT(port)->data, at));
}
static Value prim_read_char(int argc, Value *args) { return next_char(argc, args, "read-char", true); }
static Value prim_peek_char(int argc, Value *args) { return next_char(argc, args, "peek-char", false); }

static Value prim_char_ready(int argc, Value *args) {
  GET_PORT(port, text_input(argc, args, 0));
  return V_TRUE;
}

/* Takes [from, to) of the port's text, and goes on at `next`. */
static Value take_text(Value port, uint32_t from, uint32_t to, uint32_t next) {
  Value s = PORT(port)->data;
  vm.resume = V_FALSE;
  if (to - from <= LONG_PART) RESERVE(string_size(to - from, STR_WIDTH(s)));
  port_set_position(port, next);
  return string_cut(&vm.resume, s, from, to);
}

enum line_mode { LINEFEED, RETURN, RETURN_LINEFEED, ANY, ANY_ONE };
#define NO_END UINT32_MAX

/* Racket's modes: 'linefeed (the default), 'return, 'return-linefeed, 'any, 'any-one */
static bool line_mode(Value symbol, enum line_mode *mode) {
  static const char *const names[] = {"linefeed", "return", "return-linefeed", "any", "any-one"};
  for (int i = 0; i < 5; i++)
    if (symbol == intern(names[i])) {
      *mode = (enum line_mode)i;
      return true;
    }
  return false;
}

/* Where the line from *from on ends; *next is after its end mark. At the end of the text both are `end`. NO_END: a long
   one pauses, and goes on at *from. */
static uint32_t find_line_end(Value s, uint32_t *from, uint32_t end, enum line_mode mode, uint32_t *next) {
  const uint8_t *data = STR_DATA(s);
  uint32_t width = STR_WIDTH(s), i = *from;
  for (;; i++) {
    for (uint32_t stop, begun;; *from = i) {
      begun = i;
      stop = end - i < LONG_PART ? end : i + LONG_PART;
      if (mode == LINEFEED) i = chars_find(data, width, i, stop, '\n');
      else if (mode == RETURN || mode == RETURN_LINEFEED) i = chars_find(data, width, i, stop, '\r');
      else i = chars_find(data, width, i, chars_find(data, width, i, stop, '\n'), '\r');
      charge((i - begun) / 32);
      if (i < stop || i == end) break;
      if (should_pause()) { *from = i; return NO_END; }
    }
    bool crlf = i + 1 < end && string_char(s, i) == '\r' && string_char(s, i + 1) == '\n';
    if (i < end && mode == RETURN_LINEFEED && !crlf) continue;
    bool two = i < end && crlf && (mode == RETURN_LINEFEED || mode == ANY);
    *next = i == end ? end : i + 1 + two;
    return i;
  }
}

/* (read-line [port [mode]]) */
static Value prim_read_line(int argc, Value *args) {
  GO_ON_CUTTING();
  GET_PORT(port, text_input(argc, args, 0));
  enum line_mode mode = LINEFEED;
  if (HAS_ARG(1) && !line_mode(args[1], &mode))
    return err_type(NULL, 1, "linefeed, return, return-linefeed, any or any-one", args[1]);
  uint32_t at = input_position(port), end = input_end(port), next, from = IS_FIX(vm.resume) ? (uint32_t)FIX_VALUE(vm.resume) : at;
  uint32_t stop = find_line_end(PORT(port)->data, &from, end, mode, &next);
  if (stop == NO_END) {
    vm.resume = FIX(from);
    return V_AGAIN;
  }
  if (next == end && is_filling(port)) return fill(port, "read-line", 0, argc, args);
  return at == end ? V_EOF : take_text(port, at, stop, next);
}

static Value prim_read_string(int argc, Value *args) {
  GO_ON_CUTTING();
  if (!IS_FIX(args[0]) || FIX_VALUE(args[0]) < 0) return err_type(NULL, 0, "exact nonnegative integer", args[0]);
  GET_PORT(port, text_input(argc, args, 1));
  uint32_t at = input_position(port), there = input_end(port) - at;
  uint64_t count = (uint64_t)FIX_VALUE(args[0]);
  if (count > there && is_filling(port)) return fill(port, "read-string", 1, argc, args);
  if (count > there) count = there;
  if (!count && FIX_VALUE(args[0])) return V_EOF;
  return take_text(port, at, at + (uint32_t)count, at + (uint32_t)count);
}

/* (peek-string k skip [port]) */
static Value prim_peek_string(int argc, Value *args) {
  GO_ON_CUTTING();
  for (int i = 0; i < 2; i++)
    if (!IS_FIX(args[i]) || FIX_VALUE(args[i]) < 0) return err_type(NULL, i, "exact nonnegative integer", args[i]);
  GET_PORT(port, text_input(argc, args, 2));
  uint64_t at = input_position(port), there = input_end(port) - at;
  uint64_t count = (uint64_t)FIX_VALUE(args[0]), skip = (uint64_t)FIX_VALUE(args[1]);
  if (skip + count > there && is_filling(port)) return fill(port, "peek-string", 2, argc, args);
  if (skip > there) skip = there;
  if (count > there - skip) count = there - skip;
  if (!count && FIX_VALUE(args[0])) return V_EOF;
  return take_text(port, (uint32_t)(at + skip), (uint32_t)(at + skip + count), (uint32_t)at);
}

/* (%peek-bytes k skip port) */
static Value prim_peek_bytes(int argc, Value *args) {
  for (int i = 0; i < 2; i++)
    if (!IS_FIX(args[i]) || FIX_VALUE(args[i]) < 0) return err_type(NULL, i, "exact nonnegative integer", args[i]);
  GET_PORT(port, binary_input(argc, args, 2));
  uint64_t at = input_position(port), there = input_end(port) - at;
  uint64_t count = (uint64_t)FIX_VALUE(args[0]), skip = (uint64_t)FIX_VALUE(args[1]);
  if (skip + count > there && is_filling(port)) return fill(port, "%peek-bytes", 2, argc, args);
  if (skip > there) skip = there;
  if (count > there - skip) count = there - skip;
  if (!count && FIX_VALUE(args[0])) return V_EOF;
  return bytes_cut(PORT(port)->data, (uint32_t)(at + skip), (uint32_t)(at + skip + count));
}

/* (%port->string [port]): all that is left */
static Value prim_rest(int argc, Value *args) {
  GO_ON_CUTTING();
  GET_PORT(port, text_input(argc, args, 0));
  if (is_filling(port)) return fill(port, "%port->string", 0, argc, args);
  uint32_t at = input_position(port), end = input_end(port);
  return take_text(port, at, end, end);
}

/* (%port->lines [port]): in pieces of a few thousand lines, so that no reservation is huge */
static Value prim_rest_lines(int argc, Value *args) {
  GET_PORT(port, text_input(argc, args, 0));
  if (is_filling(port)) return fill(port, "%port->lines", 0, argc, args);
  /* #(lines in reverse, where the search for a line's end is, progress of a long line, lines that stand in order) */
  Value *kept = progress(), reversed = kept ? kept[0] : V_NIL, cut = kept ? kept[2] : V_FALSE, list = kept ? kept[3] : V_NIL;
  Value s = PORT(port)->data;
  uint32_t at = input_position(port), end = input_end(port), next, lines = 0, from = kept ? (uint32_t)FIX_VALUE(kept[1]) : at;
  uint64_t budget = HEAP_HEADROOM / 2;
  for (; at < end; at = from = next) {
    uint32_t stop = find_line_end(s, &from, end, ANY, &next);
    if (stop == NO_END) return pause_keeping(4, reversed, FIX(from), V_FALSE, V_NIL);
    Value line;
    if (stop - at > LONG_PART) {
      line = is_cutting(cut) ? cut_go_on(&cut) : string_cut(&cut, s, at, stop);
      if (line == V_AGAIN) return pause_keeping(4, reversed, FIX(stop), cut, V_NIL);
      cut = V_FALSE;
    } else {
      uint64_t cost = string_size(stop - at, STR_WIDTH(s)) + 32;
      if ((cost > budget || should_pause()) && lines > 0) return pause_keeping(4, reversed, FIX(stop), V_FALSE, V_NIL);
      if (cost > budget) RESERVE(cost);
      else budget -= cost;
      line = string_substring(s, at, stop);
    }
    charge(2);
    reversed = cons(line, reversed);
    port_set_position(port, next);
    lines++;
  }
  for (uint32_t n = 1; reversed != V_NIL; n++) {     /* reverse in place: nobody else has it */
    Value rest = CDR(reversed);
    CDR(reversed) = list;
    list = reversed;
    reversed = rest;
    if (n % LONG_ROUND == 0 && (charge(LONG_ROUND / 8), should_pause())) return pause_keeping(4, reversed, FIX(at), V_FALSE, list);
  }
  return list;
}

/* ---- reading bytes ---- */

static Value next_byte(int argc, Value *args, const char *name, bool take) {
  GET_PORT(port, binary_input(argc, args, 0));
  uint32_t at = input_position(port);
  if (at == input_end(port)) return is_filling(port) ? fill(port, name, 0, argc, args) : V_EOF;
  if (take) port_set_position(port, at + 1);
  return FIX(BYTES(PORT(port)->data)[at]);
}
static Value prim_read_byte(int argc, Value *args) { return next_byte(argc, args, "read-u8", true); }
static Value prim_peek_byte(int argc, Value *args) { return next_byte(argc, args, "peek-u8", false); }

static Value prim_byte_ready(int argc, Value *args) {
  GET_PORT(port, binary_input(argc, args, 0));
  return V_TRUE;
}

static Value prim_read_bytes(int argc, Value *args) {
  if (!IS_FIX(args[0]) || FIX_VALUE(args[0]) < 0) return err_type(NULL, 0, "exact nonnegative integer", args[0]);
  GET_PORT(port, binary_input(argc, args, 1));
  uint32_t at = input_position(port), there = input_end(port) - at;
  uint64_t count = (uint64_t)FIX_VALUE(args[0]);
  if (count > there && is_filling(port)) return fill(port, "read-bytevector", 1, argc, args);
  if (count > there) count = there;
  if (!count && FIX_VALUE(args[0])) return V_EOF;
  TRY_LET(bytes, bytes_cut(PORT(port)->data, at, at + (uint32_t)count));
  port_set_position(port, at + (uint32_t)count);
  return bytes;
}

/* (read-bytevector! bytevector [port start end]) */
static Value prim_read_bytes_to(int argc, Value *args) {
  CHECK_BYTES(NULL, 0);
  if (OBJ_FLAGS(args[0]) & H_IMMUTABLE) return err_type(NULL, 0, "mutable bytevector", args[0]);
  GET_PORT(port, binary_input(argc, args, 1));
  RANGE(2, args[0], BYTES_LENGTH(args[0]), start, end);
  uint32_t at = input_position(port), there = input_end(port) - at, count = end - start;
  if (count > there && is_filling(port)) return fill(port, "read-bytevector!", 1, argc, args);
  if (!there && count) return V_EOF;
  if (count > there) count = there;
  FOR_PARTS(i, part, progress() ? (uint32_t)FIX_VALUE(progress()[0]) : 0, count, 64, pause_keeping(1, FIX(i)))
    memcpy(BYTES(args[0]) + start + i, BYTES(PORT(port)->data) + at + i, part);
  port_set_position(port, at + count);
  return FIX(count);
}

/* ---- writing ---- */

bool port_mid_line(Value port) { return port_has(port, PORT_MID_LINE); }

static Builder port_builder(Value port) {
  return (Builder){PORT(port)->data, (uint32_t)FIX_VALUE(PORT(port)->length), (uint32_t)FIX_VALUE(PORT(port)->width),
                   PORT(port)->lineage};
}

static void port_store(Value port, const Builder *b) {
  PORT(port)->data = b->chars;
  PORT(port)->length = FIX(b->length);
  PORT(port)->width = FIX(b->width);
  PORT(port)->lineage = b->lineage;
}

/* Text to a binary port is written as UTF-8, as to Racket's ports, which are all both. Piece by piece; vm.resume says
   how far. */
static Value write_encoded(Value port, Value s, uint32_t start, uint32_t end) {
  Builder b = port_builder(port);
  uint32_t from = IS_FIX(vm.resume) ? (uint32_t)FIX_VALUE(vm.resume) : start;
  while (from < end) {
    uint8_t utf8[4 * LONG_ROUND];
    uint32_t to = end - from > LONG_ROUND ? from + LONG_ROUND : end;
    uint32_t bytes = string_piece_to_utf8(s, from, to, utf8);
    vm.resume = FIX(from);
    if (!builder_room(&b, bytes, 1)) return need_memory(builder_bytes(&b, bytes, 1));
    builder_chars(&b, utf8, 1, bytes);
    port_store(port, &b);
    charge((to - from) / 16 + 1);
    vm.resume = FIX(from = to);
    if (from < end && should_pause()) return V_AGAIN;
  }
  return V_VOID;
}

static void text_written(Value port, Builder *b, Value s, uint32_t start, uint32_t end) {
  if (STR(s)->lineage != V_FALSE)
    builder_mark(b, b->length - (end - start), start || end < STR_LENGTH(s) ? lineage_flat(STR(s)->lineage) : STR(s)->lineage);
  set_flag(port, PORT_MID_LINE, string_char(s, end - 1) != '\n');
  port_store(port, b);
}

static Value write_text(Value port, Value s, uint32_t start, uint32_t end) {
  uint32_t width = STR_WIDTH(s), count = end - start;
  const uint8_t *data = STR_DATA(s) + (size_t)start * width;
  Builder b = port_builder(port);
  charge(count / 32 + 1);
  BUILDER_ROOM(&b, count, b.width < width ? chars_width(data, width, count) : width);
  builder_chars(&b, data, width, count);
  text_written(port, &b, s, start, end);
  return V_VOID;
}

/* In parts, as far as vm.resume says. */
static Value write_long(Value port, Value s, uint32_t start, uint32_t end) {
  uint32_t width = STR_WIDTH(s), from = IS_FIX(vm.resume) ? (uint32_t)FIX_VALUE(vm.resume) : start;
  Builder b = port_builder(port);
  while (from < end) {
    uint32_t part = end - from < LONG_PART ? end - from : LONG_PART;
    const uint8_t *data = STR_DATA(s) + (size_t)from * width;
    vm.resume = FIX(from);
    if (!builder_room(&b, end - from, b.width < width ? chars_width(data, width, part) : width)) {
      port_store(port, &b);                                /* it may have moved */
      return need_memory(builder_bytes(&b, end - from, width));
    }
    builder_chars(&b, data, width, part);
    port_store(port, &b);
    charge(part / 32 + 1);
    from += part;
    vm.resume = FIX(from);
    if (from < end && should_pause()) return V_AGAIN;
  }
  vm.resume = V_FALSE;
  text_written(port, &b, s, start, end);
  return V_VOID;
}

Value port_write_string(Value port, Value s, uint32_t start, uint32_t end) {
  if (start == end) return V_VOID;
  if (PORT(port)->handler == V_FALSE && !port_has(port, PORT_TEXT)) return write_encoded(port, s, start, end);
  if (PORT(port)->handler == V_FALSE) return end - start > LONG_PART ? write_long(port, s, start, end) : write_text(port, s, start, end);
  charge((end - start) / 32 + 1);
  set_flag(port, PORT_MID_LINE, string_char(s, end - 1) != '\n');
  if (start > 0 || end < STR_LENGTH(s))
    TRY_SET(s, is_cutting(vm.resume) ? cut_go_on(&vm.resume) : string_cut(&vm.resume, s, start, end));
  return tail_call(PORT(port)->handler, 3, port, intern("write"), s);
}

static Value write_bytes(Value port, const uint8_t *data, uint32_t count) {
  charge(count / 64 + 1);
  if (PORT(port)->handler != V_FALSE) {
    RESERVE((uint64_t)count + 16);
    Value bytes = heap_raw(T_BYTES, 0, count);
    memcpy(BYTES(bytes), data, count);
    return tail_call(PORT(port)->handler, 3, port, intern("write"), bytes);
  }
  Builder b = port_builder(port);
  BUILDER_ROOM(&b, count, 1);
  builder_chars(&b, data, 1, count);
  port_store(port, &b);
  return V_VOID;
}

/* One character: the commonest case, without a string around it where the port is a plain one. */
static Value write_char(Value port, uint32_t c) {
  bool plain = PORT(port)->handler == V_FALSE && port_has(port, PORT_TEXT);
  if (!plain) {
    Value s = string_make(1, char_width(c));
    string_put(s, 0, c);
    return port_write_string(port, s, 0, 1);
  }
  Builder b = port_builder(port);
  BUILDER_ROOM(&b, 1, char_width(c));
  builder_char(&b, c);
  set_flag(port, PORT_MID_LINE, c != '\n');
  port_store(port, &b);
  return V_VOID;
}

static Value prim_write_char(int argc, Value *args) {
  CHECK_CHAR(NULL, 0);
  GET_PORT(port, port_argument(argc, args, 1, PORT_STDOUT));
  return write_char(port, CHAR_VALUE(args[0]));
}

static Value prim_newline(int argc, Value *args) {
  GET_PORT(port, port_argument(argc, args, 0, PORT_STDOUT));
  return write_char(port, '\n');
}

static Value prim_fresh_line(int argc, Value *args) {
  GET_PORT(port, port_argument(argc, args, 0, PORT_STDOUT));
  return port_mid_line(port) ? write_char(port, '\n') : V_VOID;
}

static Value prim_write_string(int argc, Value *args) {
  CHECK_STRING(NULL, 0);
  GET_PORT(port, port_argument(argc, args, 1, PORT_STDOUT));
  RANGE(2, args[0], STR_LENGTH(args[0]), start, end);
  return port_write_string(port, args[0], start, end);
}

/* (write-string string port) and the like, where the port is given and its text is kept here; the prelude does the rest,
   and knows the current output port. */
static bool is_text_sink(Value port) {
  return IS(port, T_PORT) && PORT(port)->handler == V_FALSE && port_has(port, PORT_OUTPUT | PORT_TEXT | PORT_OPEN);
}
static Value prim_usual_write_string(int argc, Value *args) {
  static InPrelude otherwise = {"%write-string-otherwise", V_FALSE};
  if (argc != 2 || !IS(args[0], T_STRING) || !is_text_sink(args[1])) return leave_to(&otherwise, argc, args);
  TRY_LET(written, port_write_string(args[1], args[0], 0, STR_LENGTH(args[0])));
  return STR(args[0])->length;
}
static Value prim_usual_write_char(int argc, Value *args) {
  static InPrelude otherwise = {"%write-char-otherwise", V_FALSE};
  if (argc != 2 || !IS(args[0], T_CHAR) || !is_text_sink(args[1])) return leave_to(&otherwise, argc, args);
  return write_char(args[1], CHAR_VALUE(args[0]));
}
static Value prim_usual_newline(int argc, Value *args) {
  static InPrelude otherwise = {"%newline-otherwise", V_FALSE};
  return argc == 1 && is_text_sink(args[0]) ? write_char(args[0], '\n') : leave_to(&otherwise, argc, args);
}

static Value binary_output(int argc, Value *args, int i) {
  Value port = ARG_OR(i, defaults[PORT_STDOUT]);
  if (IS(port, T_PORT) && port_has(port, PORT_TEXT)) return err_type(NULL, i, "binary output port", port);
  return check_port(port, i, PORT_OUTPUT, "binary output port");
}

static Value prim_write_byte(int argc, Value *args) {
  if (!IS_FIX(args[0]) || FIX_VALUE(args[0]) < 0 || FIX_VALUE(args[0]) > 255) return err_type(NULL, 0, "byte", args[0]);
  GET_PORT(port, binary_output(argc, args, 1));
  uint8_t byte = (uint8_t)FIX_VALUE(args[0]);
  return write_bytes(port, &byte, 1);
}

static Value prim_write_bytes(int argc, Value *args) {
  CHECK_BYTES(NULL, 0);
  GET_PORT(port, binary_output(argc, args, 1));
  RANGE(2, args[0], BYTES_LENGTH(args[0]), start, end);
  return write_bytes(port, BYTES(args[0]) + start, end - start);
}

static Value prim_flush(int argc, Value *args) {
  GET_PORT(port, port_argument(argc, args, 0, PORT_STDOUT));
  return PORT(port)->handler == V_FALSE ? V_VOID : tail_call(PORT(port)->handler, 2, port, intern("flush"));
}

/* ---- what an output port holds ---- */

static Value plain_output(Value *args) {
  Value port = args[0];
  if (!IS(port, T_PORT) || !port_has(port, PORT_OUTPUT) || PORT(port)->handler != V_FALSE)
    return err_type(NULL, 0, "string or bytevector output port", port);
  return port;
}

static const uint8_t *output_data(Value port) { return PORT(port)->data == V_FALSE ? NULL : RAW_BYTES(PORT(port)->data); }

static Value prim_get_string(int argc, Value *args) {
  (void)argc;
  GET_PORT(port, plain_output(args));
  uint32_t length = (uint32_t)FIX_VALUE(PORT(port)->length), width = (uint32_t)FIX_VALUE(PORT(port)->width);
  if (port_has(port, PORT_TEXT)) {
    TRY_LET(text, is_cutting(vm.resume) ? cut_go_on(&vm.resume)
                                        : cut_chars(&vm.resume, PORT(port)->data, width, 0, length, PORT(port)->lineage));
    return text;
  }
  Utf8Reading r = UTF8_READING;
  Value *kept = progress();
  if (kept)
    r = (Utf8Reading){(size_t)FIX_VALUE(kept[0]), (uint32_t)FIX_VALUE(kept[1]), (uint32_t)FIX_VALUE(kept[2]), kept[3], 0};
  Value s = utf8_read(output_data(port), length, 0xfffd, &r);
  if (s == V_AGAIN) return pause_keeping(4, FIX(r.next), FIX(r.length), FIX(r.width), r.s);
  if (!IS_SIGNAL(s)) STR(s)->lineage = lineage_flat(PORT(port)->lineage);
  return s;
}

/* A port's text in UTF-8, measured before it is written: #(text, characters gone through, bytes measured or written, bytevector). */
static Value text_as_bytes(Value s, Value *kept) {
  enum { PIECE = 1 << 14 };
  uint32_t at = kept ? (uint32_t)FIX_VALUE(kept[1]) : 0, count = kept ? (uint32_t)FIX_VALUE(kept[2]) : 0, length = STR_LENGTH(s);
  Value bytes = kept ? kept[3] : V_FALSE;
  while (bytes == V_FALSE) {
    if (at == length) {
      RESERVE((uint64_t)count + 64);
      bytes = heap_raw(T_BYTES, 0, count);
      at = count = 0;
      break;
    }
    uint32_t end = length - at < PIECE ? length : at + PIECE;
    count += string_piece_utf8_length(s, at, end);
    at = end;
    charge(PIECE / 16);
    if (should_pause()) return pause_keeping(4, s, FIX(at), FIX(count), V_FALSE);
  }
  while (at < length) {
    uint32_t end = length - at < PIECE ? length : at + PIECE;
    count += string_piece_to_utf8(s, at, end, BYTES(bytes) + count);
    at = end;
    charge(PIECE / 16);
    if (at < length && should_pause()) return pause_keeping(4, s, FIX(at), FIX(count), bytes);
  }
  return bytes;
}

static Value prim_get_bytes(int argc, Value *args) {
  (void)argc;
  GET_PORT(port, plain_output(args));
  uint32_t length = (uint32_t)FIX_VALUE(PORT(port)->length), width = (uint32_t)FIX_VALUE(PORT(port)->width);
  if (!port_has(port, PORT_TEXT)) {
    return bytes_cut(PORT(port)->data, 0, length);
  }
  bool begun = progress() && !is_cutting(vm.resume);
  Value s = begun ? progress()[0] : is_cutting(vm.resume) ? cut_go_on(&vm.resume)
                                                         : cut_chars(&vm.resume, PORT(port)->data, width, 0, length, V_FALSE);
  if (IS_SIGNAL(s)) return s;
  return text_as_bytes(s, begun ? progress() : NULL);
}

/* (%port-take! port): the text so far; the port is empty afterwards */
static Value prim_take(int argc, Value *args) {
  Value content = prim_get_string(argc, args);
  if (IS_SIGNAL(content)) return content;
  Builder empty;
  builder_init(&empty);
  port_store(args[0], &empty);
  return content;
}

const PrimDef port_prims[] = {
  {"%set-default-ports!", prim_set_defaults, 3, 3, "(%set-default-ports! in out err)"},
  {"%default-port", prim_default, 1, 1, "(%default-port which)"},
  {"%make-custom-port", prim_make_custom, 3, 3, "(%make-custom-port input? textual? handler)"},
  {"%port-feed!", prim_feed, 2, 2, "(%port-feed! port more)"},
  {"port?", prim_is_port, 1, 1, "(port? obj)"},
  {"input-port?", prim_is_input, 1, 1, "(input-port? obj)"},
  {"output-port?", prim_is_output, 1, 1, "(output-port? obj)"},
  {"textual-port?", prim_is_textual, 1, 1, "(textual-port? obj)"},
  {"binary-port?", prim_is_binary, 1, 1, "(binary-port? obj)"},
  {"string-port?", prim_is_string_port, 1, 1, "(string-port? obj)"},
  {"input-port-open?", prim_input_open, 1, 1, "(input-port-open? port)"},
  {"output-port-open?", prim_output_open, 1, 1, "(output-port-open? port)"},
  {"port-closed?", prim_is_closed, 1, 1, "(port-closed? port)"},
  {"close-port", prim_close, 1, 1, "(close-port port)"},
  {"close-input-port", prim_close_input, 1, 1, "(close-input-port port)"},
  {"close-output-port", prim_close_output, 1, 1, "(close-output-port port)"},
  {"open-input-string", prim_open_input_string, 1, 2, "(open-input-string string)"},
  {"open-output-string", prim_open_output_string, 0, 1, "(open-output-string)"},
  {"open-input-bytevector", prim_open_input_bytes, 1, 1, "(open-input-bytevector bytevector)"},
  {"open-output-bytevector", prim_open_output_bytes, 0, 0, "(open-output-bytevector)"},
  {"open-input-bytes", prim_open_input_bytes, 1, 2, "(open-input-bytes bytes)"},
  {"open-output-bytes", prim_open_output_bytes, 0, 1, "(open-output-bytes)"},
  {"get-output-string", prim_get_string, 1, 1, "(get-output-string port)"},
  {"get-output-bytevector", prim_get_bytes, 1, 1, "(get-output-bytevector port)"},
  {"get-output-bytes", prim_get_bytes, 1, 1, "(get-output-bytes port)"},
  {"read-char", prim_read_char, 0, 1, "(read-char [port])"},
  {"peek-char", prim_peek_char, 0, 1, "(peek-char [port])"},
  {"char-ready?", prim_char_ready, 0, 1, "(char-ready? [port])"},
  {"read-line", prim_read_line, 0, 2, "(read-line [port mode])"},
  {"read-string", prim_read_string, 1, 2, "(read-string k [port])"},
  {"peek-string", prim_peek_string, 2, 3, "(peek-string k skip [port])"},
  {"%peek-bytes", prim_peek_bytes, 3, 3, "(%peek-bytes k skip port)"},
  {"%port->string", prim_rest, 0, 1, "(%port->string [port])"},
  {"%port->lines", prim_rest_lines, 0, 1, "(%port->lines [port])"},
  {"read-u8", prim_read_byte, 0, 1, "(read-u8 [port])"},
  {"peek-u8", prim_peek_byte, 0, 1, "(peek-u8 [port])"},
  {"u8-ready?", prim_byte_ready, 0, 1, "(u8-ready? [port])"},
  {"read-bytevector", prim_read_bytes, 1, 2, "(read-bytevector k [port])"},
  {"read-bytevector!", prim_read_bytes_to, 1, 4, "(read-bytevector! bytevector [port start end])"},
  {"read-byte", prim_read_byte, 0, 1, "(read-byte [port])"},
  {"peek-byte", prim_peek_byte, 0, 1, "(peek-byte [port])"},
  {"read-bytes", prim_read_bytes, 1, 2, "(read-bytes k [port])"},
  {"%write-char", prim_write_char, 1, 2, "(write-char char [port])"},
  {"%write-string", prim_write_string, 1, 4, "(write-string string [port start end])"},
  {"%newline", prim_newline, 0, 1, "(newline [port])"},
  {"write-char", prim_usual_write_char, 1, 2, "(write-char char [port])"},
  {"write-string", prim_usual_write_string, 1, 4, "(write-string string [port start end])"},
  {"newline", prim_usual_newline, 0, 1, "(newline [port])"},
  {"fresh-line", prim_fresh_line, 0, 1, "(fresh-line [port])"},
  {"write-u8", prim_write_byte, 1, 2, "(write-u8 byte [port])"},
  {"write-bytevector", prim_write_bytes, 1, 4, "(write-bytevector bytevector [port start end])"},
  {"write-byte", prim_write_byte, 1, 2, "(write-byte byte [port])"},
  {"write-bytes", prim_write_bytes, 1, 4, "(write-bytes bytes [port start end])"},
  {"flush-output", prim_flush, 0, 1, "(flush-output [port])"},
  {"flush-output-port", prim_flush, 0, 1, "(flush-output-port [port])"},
  {"port-next-location", prim_next_location, 1, 1, "(port-next-location port)"},
  {"port-line", prim_line, 1, 1, "(port-line port)"},
  {"port-column", prim_column, 1, 1, "(port-column port)"},
  {"port-count-lines!", prim_nothing, 1, 1, "(port-count-lines! port)"},
  {"%port-take!", prim_take, 1, 1, "(%port-take! port)"},
  {"eof-object", prim_eof, 0, 0, "(eof-object)"},
  {"eof-object?", prim_is_eof, 1, 1, "(eof-object? obj)"},
  {0},
};
