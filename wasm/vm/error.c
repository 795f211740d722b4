/* error.c — conditions: records of the built-in exn types, and where in the program they arose.
 *
 * A condition has two fields, as Racket's exn: `message` and `marks`. marks is a vector; the places
 * in it are MARK_ below. The VM fills in where; the wording is for somebody who will repair the
 * program: what was expected, what came instead, where.
 */
#include "vm/error.h"
#include "core/check.h"
#include "core/globals.h"
#include "data/rtd.h"
#include "io/printer.h"
#include "numbers/bignum.h"
#include "text/symbol.h"
#include "text/utf8.h"
#include "vm/continuation.h"
#include "vm/machine.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum mark { MARK_IRRITANTS, MARK_WHO, MARK_SOURCE, MARK_LINE, MARK_COLUMN, MARK_TRACE, MARK_HINT, MARK_DATA, MARK_COUNT };
#define TRACE_LIMIT 12

/* ---- the types ---- */
static const struct { const char *name, *parent; } types[] = {
  {"exn", NULL}, {"exn:fail", "exn"}, {"exn:break", "exn"},
  {"exn:fail:contract", "exn:fail"}, {"exn:fail:contract:arity", "exn:fail:contract"},
  {"exn:fail:contract:variable", "exn:fail:contract"}, {"exn:fail:contract:divide-by-zero", "exn:fail:contract"},
  {"exn:fail:contract:continuation", "exn:fail:contract"}, {"exn:fail:contract:non-fixnum-result", "exn:fail:contract"},
  {"exn:fail:read", "exn:fail"}, {"exn:fail:read:eof", "exn:fail:read"}, {"exn:fail:read:non-char", "exn:fail:read"},
  {"exn:fail:syntax", "exn:fail"}, {"exn:fail:syntax:unbound", "exn:fail:syntax"},
  {"exn:fail:user", "exn:fail"}, {"exn:fail:unsupported", "exn:fail"}, {"exn:fail:out-of-memory", "exn:fail"},
  {"exn:fail:filesystem", "exn:fail"}, {"exn:fail:network", "exn:fail"},
  {"exn:fail:capability", "exn:fail"}, {"exn:fail:llm", "exn:fail"}, {"exn:fail:python", "exn:fail"},
  {"exn:fail:budget", "exn:fail:llm"}, {"exn:fail:timeout", "exn:fail"}, {"exn:fail:deadlock", "exn:fail"},
};
#define TYPE_COUNT (sizeof types / sizeof *types)
static Value type_rtds[TYPE_COUNT];

Value exn_type(const char *name) {
  for (size_t i = 0; i < TYPE_COUNT; i++)
    if (strcmp(types[i].name, name) == 0) return type_rtds[i];
  return type_rtds[1];
}

void error_init(void) {
  for (size_t i = 0; i < TYPE_COUNT; i++) {
    Value fields = make_vector(types[i].parent ? 0 : 2, V_FALSE);
    if (!types[i].parent) {
      VEC(fields)[0] = intern("message");
      VEC(fields)[1] = intern("continuation-marks");
    }
    type_rtds[i] = make_rtd(intern(types[i].name), types[i].parent ? exn_type(types[i].parent) : V_FALSE, fields, 0);
    heap_root(&type_rtds[i]);
    char global[80];
    snprintf(global, sizeof global, "struct:%s", types[i].name);
    define_global(intern(global), type_rtds[i]);
  }
}

/* ---- making conditions ---- */
static Value make_condition(Value rtd, Value message, Value irritants, Value hint) {
  Value marks = make_vector(MARK_COUNT, V_FALSE), c = make_record(rtd, 2);
  VEC(marks)[MARK_IRRITANTS] = irritants;
  VEC(marks)[MARK_HINT] = hint;
  VEC(marks)[MARK_TRACE] = V_NIL;
  RECORD_FIELD(c, 0) = message;
  RECORD_FIELD(c, 1) = marks;
  return c;
}
static Value raise_condition(const char *kind, Value message, Value irritants, const char *hint) {
  vm.error = make_condition(exn_type(kind), message, irritants, hint ? string_from_c(hint) : V_FALSE);
  return V_ERROR;
}

static void mark_place(uint32_t place) {
  if (!place) return;
  Value marks = RECORD_FIELD(vm.error, 1);
  VEC(marks)[MARK_LINE] = FIX(PLACE_LINE(place));
  VEC(marks)[MARK_COLUMN] = FIX(PLACE_COLUMN(place));
}

static Value vformat(const char *format, va_list items) {
  Builder b;
  builder_init(&b);
  char text[32];
  for (; *format; format++) {
    if (*format != '%') {
      char one[5] = {0};     /* UTF-8 sequences pass through whole */
      int n = (uint8_t)*format < 0x80 ? 1 : (uint8_t)*format < 0xe0 ? 2 : (uint8_t)*format < 0xf0 ? 3 : 4;
      memcpy(one, format, (size_t)n);
      builder_c(&b, one);
      format += n - 1;
      continue;
    }
    switch (*++format) {
      case 's': builder_c(&b, va_arg(items, const char *)); break;
      case 'd': snprintf(text, sizeof text, "%d", va_arg(items, int)); builder_c(&b, text); break;
      case 'v': print_bounded(&b, va_arg(items, Value), true, 60); break;
      case 'q': print_bounded(&b, va_arg(items, Value), false, 60); break;
      case 'S': builder_string(&b, va_arg(items, Value)); break;
      case '%': builder_char(&b, '%'); break;
      default: TRAP("no such directive");
    }
  }
  return builder_finish(&b);
}
static Value format_string(const char *format, ...) {
  va_list items;
  va_start(items, format);
  Value s = vformat(format, items);
  va_end(items);
  return s;
}

Value err_fail(const char *kind, const char *message, Value irritants) {
  return raise_condition(kind, string_from_c(message), irritants, NULL);
}
Value err_fail_hint(const char *kind, const char *message, Value irritants, const char *hint) {
  return raise_condition(kind, string_from_c(message), irritants, hint);
}
Value err_failf(const char *kind, const char *format, ...) {
  va_list items;
  va_start(items, format);
  Value message = vformat(format, items);
  va_end(items);
  return raise_condition(kind, message, V_NIL, NULL);
}

/* ---- wrong arguments: worded as Racket words them, which models know well ---- */

static Value shown(Value v);

/* Where the position matters to Racket, its messages go on with the other arguments. */
static Value with_other_arguments(Value message, int bad, int argc, const Value *args) {
  static const char *const ordinals[] = {"1st", "2nd", "3rd", "4th", "5th"};
  Builder b;
  builder_init(&b);
  builder_string(&b, message);
  builder_c(&b, "\n  argument position: ");
  builder_c(&b, ordinals[bad < 5 ? bad : 4]);
  builder_c(&b, "\n  other arguments...:");
  for (int i = 0; i < argc && i < 8; i++) {
    if (i == bad) continue;
    builder_c(&b, "\n   ");
    builder_string(&b, shown(args[i]));
  }
  return builder_finish(&b);
}

/* A primitive may leave out its own name: the VM knows it and calls error_blame. */
static Value named_message(const char *who, Value message) {
  if (!who) return message;
  return format_string("%s: %S", who, message);
}
static Value raise_named(const char *kind, const char *who, Value message, Value irritants, const char *hint) {
  raise_condition(kind, named_message(who, message), irritants, hint);
  VEC(RECORD_FIELD(vm.error, 1))[MARK_WHO] = who ? intern(who) : V_DEFAULT;
  return V_ERROR;
}
void error_blame(const char *who, int argc, const Value *args) {
  if (!record_is_a(vm.error, type_rtds[0])) return;
  Value marks = RECORD_FIELD(vm.error, 1);
  if (!IS(marks, T_VECTOR) || VEC_LENGTH(marks) != MARK_COUNT || VEC(marks)[MARK_WHO] != V_DEFAULT) return;
  who += *who == '%';                     /* %string-split is string-split to the program */
  VEC(marks)[MARK_WHO] = intern(who);
  RECORD_FIELD(vm.error, 0) = named_message(who, RECORD_FIELD(vm.error, 0));
  if (strncmp(who, "hash-", 5) == 0 && IS_FIX(VEC(marks)[MARK_DATA]) && argc > 1)
    RECORD_FIELD(vm.error, 0) = with_other_arguments(RECORD_FIELD(vm.error, 0), (int)FIX_VALUE(VEC(marks)[MARK_DATA]) - 1, argc, args);
}

/* What C calls it, and the contract that says so in Racket. */
static const struct { const char *noun, *contract; } contracts[] = {
  {"pair", "pair?"}, {"list", "list?"}, {"proper list", "list?"}, {"string", "string?"}, {"symbol", "symbol?"},
  {"character", "char?"}, {"vector", "vector?"}, {"bytevector", "bytes?"}, {"procedure", "procedure?"},
  {"number", "number?"}, {"real number", "real?"}, {"rational number", "rational?"}, {"integer", "integer?"},
  {"exact integer", "exact-integer?"}, {"exact nonnegative integer", "exact-nonnegative-integer?"},
  {"exact positive integer", "exact-positive-integer?"}, {"index", "exact-nonnegative-integer?"}, {"byte", "byte?"},
  {"hash", "hash?"}, {"table", "hash?"}, {"mutable hash", "(and/c hash? (not/c immutable?))"},
  {"immutable hash", "(and/c hash? immutable?)"}, {"mutable string", "(and/c string? (not/c immutable?))"},
  {"mutable bytevector", "(and/c bytes? (not/c immutable?))"},
  {"mutable vector (this one is a literal or immutable)", "(and/c vector? (not/c immutable?))"},
  {"list of strings", "(listof string?)"}, {"list of pairs", "(listof pair?)"}, {"list of characters", "(listof char?)"},
  {"list of bytes", "(listof byte?)"}, {"list of lists", "(listof list?)"},
  {"port", "port?"}, {"input port", "input-port?"}, {"output port", "output-port?"}, {"promise", "promise?"},
  {"keyword", "keyword?"}, {"box", "box?"}, {"regexp", "regexp?"}, {"exn", "exn?"},
  {"string or symbol", "(or/c string? symbol?)"}, {"bytevector or string", "(or/c bytes? string?)"},
};
static const char *contract_of(const char *noun) {
  for (size_t i = 0; i < sizeof contracts / sizeof *contracts; i++)
    if (strcmp(contracts[i].noun, noun) == 0) return contracts[i].contract;
  return noun;
}
/* As `print` shows it: data that would be a variable or a call is quoted. */
static Value shown(Value v) {
  bool quoted = IS(v, T_SYMBOL) || is_pair(v) || v == V_NIL || IS(v, T_VECTOR) || IS(v, T_TABLE);
  Builder b;
  builder_init(&b);
  if (quoted) builder_char(&b, '\'');
  print_bounded(&b, v, true, 160);
  return builder_finish(&b);
}
Value error_shown(Value v) { return shown(v); }
void error_of_caller(void) { VEC(RECORD_FIELD(vm.error, 1))[MARK_DATA] = V_DEFAULT; }
void error_irritants(Value list) { VEC(RECORD_FIELD(vm.error, 1))[MARK_IRRITANTS] = list; }

Value err_type(const char *who, int argument, const char *expected, Value got) {
  raise_named("exn:fail:contract", who,
    format_string("contract violation\n  expected: %s\n  given: %S", contract_of(expected), shown(got)), cons(got, V_NIL), NULL);
  VEC(RECORD_FIELD(vm.error, 1))[MARK_DATA] = FIX(argument + 1);
  return V_ERROR;
}
Value err_record(Value procedure, Value got) {
  struct Template *t = TEMPLATE(CLOSURE_TEMPLATE(procedure));
  Value rtd = TEMPLATE_CONSTS(t)[0];
  return raise_condition("exn:fail:contract",
    format_string("%q: contract violation\n  expected: %q?\n  given: %S", t->name, RTD(rtd)->name, shown(got)), cons(got, V_NIL), NULL);
}

static const char *container(Value of) {
  return IS(of, T_STRING) ? "string" : IS(of, T_VECTOR) ? "vector" : IS(of, T_BYTES) ? "bytevector" : IS(of, T_UVECTOR) ? "uniform vector" :
         is_pair(of) || of == V_NIL ? "list" : "value";
}
Value err_range(const char *who, const char *what, int64_t index, int64_t low, int64_t high, Value of) {
  Value at = int_from_i64(index), message;
  if (index < 0) return err_type(who, 1, "exact nonnegative integer", at);
  if (low > high && strcmp(what, "index") == 0)
    message = format_string("index is out of range for empty %s\n  index: %v\n  %s: %S", container(of), at, container(of), shown(of));
  else if (is_pair(of) || of == V_NIL)
    message = format_string("%s too large for list\n  %s: %v\n  in: %S", what, what, at, shown(of));
  else
    message = format_string("%s is out of range\n  %s: %v\n  valid range: [%v, %v]\n  %s: %S", what, what, at,
                            int_from_i64(low), int_from_i64(high), container(of), shown(of));
  return raise_named("exn:fail:contract", who, message, list_n(2, at, of), NULL);
}
Value err_slice(int64_t start, int64_t end, int64_t length, Value of) {
  if (end < 0 || end > length) return err_range(NULL, "ending index", end, 0, length, of);
  Value message = format_string("ending index is smaller than starting index\n  ending index: %v\n  starting index: %v\n  valid range: [0, %v]\n  %s: %S",
                                int_from_i64(end), int_from_i64(start), int_from_i64(length), container(of), shown(of));
  return raise_named("exn:fail:contract", NULL, message, list_n(2, int_from_i64(end), of), NULL);
}
Value err_divide(const char *who) {
  return raise_named("exn:fail:contract:divide-by-zero", who, string_from_c("division by zero"), V_NIL, NULL);
}
Value err_read(const char *message, uint32_t place, bool at_eof, Value irritants) {
  raise_condition(at_eof ? "exn:fail:read:eof" : "exn:fail:read", string_from_c(message), irritants, NULL);
  mark_place(place);
  return V_ERROR;
}
Value err_syntax(const char *message, Value form, uint32_t place) {
  raise_condition("exn:fail:syntax", string_from_c(message), cons(form, V_NIL), NULL);
  mark_place(place);
  return V_ERROR;
}

/* ---- calls ---- */
/* "(name a b [c] . rest)"; of a procedure without a name "(lambda (a b [c] . rest) ...)" */
static void build_signature(Builder *b, Value procedure) {
  if (IS(procedure, T_PRIM)) {
    const PrimDef *p = prim_table[PAYLOAD(procedure)];
    if (p->signature) { builder_c(b, p->signature); return; }
    builder_char(b, '(');
    builder_c(b, p->name);
    char text[24];
    int most = p->max_args < 0 ? p->min_args : p->max_args;
    for (int i = 0; i < most; i++) {
      snprintf(text, sizeof text, i < p->min_args ? " arg%d" : " [arg%d]", i + 1);
      builder_c(b, text);
    }
    builder_c(b, p->max_args < 0 ? " ...)" : ")");
    return;
  }
  struct Template *t = TEMPLATE(CLOSURE_TEMPLATE(procedure));
  uint32_t required = ARITY_REQUIRED(t->arity), optional = ARITY_OPTIONAL(t->arity), i = 0;
  bool nameless = t->name == V_FALSE;
  if (nameless && required + optional == 0 && is_pair(t->params)) {
    builder_c(b, "(lambda ");
    print_bounded(b, CAR(t->params), false, 40);
    builder_c(b, " ...)");
    return;
  }
  builder_char(b, '(');
  if (nameless) builder_c(b, "lambda ("); else print_bounded(b, t->name, false, 60);
  for (Value p = t->params; is_pair(p); p = CDR(p), i++) {
    if (i || !nameless) builder_char(b, ' ');
    builder_c(b, i < required ? "" : i < required + optional ? "[" : ". ");
    print_bounded(b, CAR(p), false, 40);
    if (i >= required && i < required + optional) builder_char(b, ']');
  }
  builder_c(b, nameless ? ") ...)" : ")");
}
Value procedure_signature(Value procedure) {
  Builder b;
  builder_init(&b);
  if (IS(procedure, T_CASE)) {
    for (uint32_t i = 0; i < OBJ_LENGTH(procedure); i++) {
      if (i) builder_c(&b, " or ");
      build_signature(&b, SLOTS(procedure)[i]);
    }
  } else if (IS(procedure, T_CLOSURE) || IS(procedure, T_PRIM)) {
    build_signature(&b, procedure);
  } else {
    builder_c(&b, "(procedure ...)");
  }
  return builder_finish(&b);
}
static Value procedure_name(Value p) {
  if (IS(p, T_PRIM)) return intern(prim_table[PAYLOAD(p)]->name);
  if (IS(p, T_CASE)) p = SLOTS(p)[0];
  Value name = IS(p, T_CLOSURE) ? TEMPLATE(CLOSURE_TEMPLATE(p))->name : V_FALSE;
  return name == V_FALSE ? intern("#<procedure>") : name;
}

/* Of clauses that take one more argument each, and the last any more: how many it takes at least. -1: of others. */
static int case_minimum(Value procedure) {
  int least = -1, next = -1;
  for (uint32_t i = 0; i < OBJ_LENGTH(procedure); i++) {
    Value arity = TEMPLATE(CLOSURE_TEMPLATE(SLOTS(procedure)[i]))->arity;
    int low = (int)ARITY_REQUIRED(arity);
    if (least < 0) least = low;
    else if (low > next || low < least) return -1;
    if (ARITY_REST(arity)) return least;
    next = low + (int)ARITY_OPTIONAL(arity) + 1;
  }
  return -1;
}

/* "2", "at least 1", "between 1 and 3" */
static void build_expected(Builder *b, Value procedure) {
  int low = 0, high = 0;
  if (IS(procedure, T_PRIM)) {
    low = prim_table[PAYLOAD(procedure)]->min_args;
    high = prim_table[PAYLOAD(procedure)]->max_args;
  } else if (IS(procedure, T_CLOSURE)) {
    Value arity = TEMPLATE(CLOSURE_TEMPLATE(procedure))->arity;
    low = (int)ARITY_REQUIRED(arity);
    high = ARITY_REST(arity) ? -1 : low + (int)ARITY_OPTIONAL(arity);
  } else if (IS(procedure, T_CASE) && (low = case_minimum(procedure)) >= 0) {
    high = -1;
  } else if (IS(procedure, T_CASE)) {
    for (uint32_t i = 0; i < OBJ_LENGTH(procedure); i++) {
      if (i) builder_c(b, " or ");
      build_expected(b, SLOTS(procedure)[i]);
    }
    return;
  } else {
    builder_c(b, "another number");
    return;
  }
  char text[64];
  if (high < 0) snprintf(text, sizeof text, "at least %d", low);
  else if (high == low) snprintf(text, sizeof text, "%d", low);
  else snprintf(text, sizeof text, "between %d and %d", low, high);
  builder_c(b, text);
}

Value err_arity(Value procedure, int argc, const Value *args) {
  (void)args;
  Builder b, hint;
  builder_init(&b);
  print_bounded(&b, procedure_name(procedure), false, 60);
  builder_c(&b, ": arity mismatch;\n the expected number of arguments does not match the given number\n  expected: ");
  build_expected(&b, procedure);
  char text[32];
  snprintf(text, sizeof text, "\n  given: %d", argc);
  builder_c(&b, text);
  raise_condition("exn:fail:contract:arity", builder_finish(&b), V_NIL, NULL);
  builder_init(&hint);
  builder_c(&hint, "The signature is ");
  builder_string(&hint, procedure_signature(procedure));
  VEC(RECORD_FIELD(vm.error, 1))[MARK_HINT] = builder_finish(&hint);
  return V_ERROR;
}
Value err_apply(Value object, int argc) {
  return raise_condition("exn:fail:contract",
    format_string("application: not a procedure;\n expected a procedure that can be applied to arguments\n  given: %S", shown(object)),
    cons(object, V_NIL), argc == 0 ? "Brackets call: (x) calls x, ((f)) calls the result of (f). A value that is no procedure stands without them." : NULL);
}
Value err_unbound(Value cell) {
  Value name = CELL(cell)->name;
  raise_condition("exn:fail:contract:variable", format_string("unbound variable: %q", name), cons(name, V_NIL), NULL);
  VEC(RECORD_FIELD(vm.error, 1))[MARK_DATA] = name;   /* the prelude looks for near misses */
  return V_ERROR;
}

/* ---- where ---- */
static uint32_t places_up_to(Value template, uint32_t pc) {
  Value raw = TEMPLATE(template)->places;
  uint32_t *pairs = (uint32_t *)RAW_BYTES(raw), low = 0, high = OBJ_LENGTH(raw) / 8;
  while (low < high) {          /* behind the last pair with offset <= pc */
    uint32_t middle = (low + high) / 2;
    if ((pairs[2 * middle] & ~PLACE_OF_ZEROP) <= pc) low = middle + 1; else high = middle;
  }
  return low;
}
uint32_t template_place(Value template, uint32_t pc) {
  uint32_t n = places_up_to(template, pc);
  return n ? ((uint32_t *)RAW_BYTES(TEMPLATE(template)->places))[2 * n - 1] : 0;
}
bool template_tests_zero(Value template, uint32_t pc) {
  uint32_t n = places_up_to(template, pc);
  return n && ((uint32_t *)RAW_BYTES(TEMPLATE(template)->places))[2 * n - 2] == (pc | PLACE_OF_ZEROP);
}

struct walk { Value source; uint32_t place; Value trace, last; int count; bool place_only; };

/* One frame: a program's own frames give the place (the innermost) and the backtrace's lines. */
static void visit_frame(struct walk *w, Value self, uint32_t pc) {
  if (!IS(self, T_CLOSURE)) return;
  Value t = CLOSURE_TEMPLATE(self);
  if (!OF_PROGRAM(TEMPLATE(t))) return;
  uint32_t place = template_place(t, pc);
  if (!w->place && place) {
    w->place = place;
    w->source = TEMPLATE(t)->source;
  }
  Value name = TEMPLATE(t)->name;
  bool named = name != V_FALSE && !(OBJ_FLAGS(name) & H_UNINTERNED);       /* by the program, not by a macro of ours */
  if (w->place_only || !named || w->count >= TRACE_LIMIT) return;
  Value entry = list_n(3, name, FIX(PLACE_LINE(place)), FIX(PLACE_COLUMN(place)));
  Value pair = cons(entry, V_NIL);
  if (w->last == V_NIL) w->trace = pair; else CDR(w->last) = pair;
  w->last = pair;
  w->count++;
}

/* caller: the running frame is that of a procedure that was called wrongly, so not to blame. */
static bool walked(struct walk *w) { return w->place_only ? w->place : w->count >= TRACE_LIMIT; }
static void walk_stack(struct walk *w, bool caller) {
  if (!caller) visit_frame(w, m.self, m.pc);
  uint32_t frames = 0;
  for (uint32_t i = m.depth; i-- > 1 && frames++ < 2000 && !(w->place_only && w->place);) visit_frame(w, m.frames[i].self, FRAME_PC(m.frames[i]) ? FRAME_PC(m.frames[i]) - 1 : 0);
  for (Value c = m.cont; IS(c, T_CONT) && frames < 2000 && !walked(w); c = SLOTS(c)[CONT_PARENT]) {
    uint32_t n = (uint32_t)FIX_VALUE(SLOTS(c)[CONT_FRAMES]);
    Value *frame = SLOTS(c) + CONT_DATA + FIX_VALUE(SLOTS(c)[CONT_VALUES]);
    for (uint32_t i = n; i-- > 0; frames++) {
      uint32_t pc = (uint32_t)((uint64_t)FIX_VALUE(frame[2 * i + 1]) >> 30);
      visit_frame(w, frame[2 * i], pc ? pc - 1 : 0);
    }
  }
}

/* Whether the frame on top waits for another procedure than the one that runs: that was then called in tail position,
   by a procedure that has left no frame. Known where the frame's call is one by a global name. */
static bool called_in_tail_position(void) {
  if (m.depth < 2 || !IS(m.frames[m.depth - 1].self, T_CLOSURE)) return false;
  struct Frame *f = &m.frames[m.depth - 1];
  const uint32_t *code = CODE_OF(f->self);
  uint32_t pc = FRAME_PC(*f), count = OBJ_LENGTH(CLOSURE_TEMPLATE(f->self)) - TEMPLATE_FIXED;
  if (pc < 2) return false;
  uint32_t op = code[pc - 2] & 0xff, index = code[pc - 1];
  if (op >= OP_ACCESS_GLOBAL && op <= OP_CASE_GLOBAL) index &= ~TAIL_BIT;
  else if (op != OP_CALL_GLOBAL) return false;
  if (index >= count) return false;
  Value cell = TEMPLATE_CONSTS(TEMPLATE(CLOSURE_TEMPLATE(f->self)))[index];
  return IS(cell, T_CELL) && CELL(cell)->value != m.self;
}

static void locate(Value condition, bool caller) {
  if (!record_is_a(condition, type_rtds[0])) return;
  Value marks = RECORD_FIELD(condition, 1);
  if (!IS(marks, T_VECTOR) || VEC_LENGTH(marks) != MARK_COUNT) {
    Value fresh = make_vector(MARK_COUNT, V_FALSE);
    VEC(fresh)[MARK_IRRITANTS] = VEC(fresh)[MARK_TRACE] = V_NIL;
    RECORD_FIELD(condition, 1) = marks = fresh;
  }
  if (VEC(marks)[MARK_SOURCE] != V_FALSE) return;      /* raised before */
  struct walk w = {V_FALSE, 0, V_NIL, V_NIL, 0, false};
  bool blamed = VEC(marks)[MARK_DATA] == V_DEFAULT;      /* by error_of_caller */
  walk_stack(&w, caller || (blamed && !called_in_tail_position()));
  if (VEC(marks)[MARK_DATA] == V_DEFAULT) VEC(marks)[MARK_DATA] = V_FALSE;
  VEC(marks)[MARK_TRACE] = w.trace;
  VEC(marks)[MARK_SOURCE] = w.source;
  if (VEC(marks)[MARK_LINE] == V_FALSE && w.place) {
    VEC(marks)[MARK_LINE] = FIX(PLACE_LINE(w.place));
    VEC(marks)[MARK_COLUMN] = FIX(PLACE_COLUMN(w.place));
  }
}

void error_locate(Value condition) { locate(condition, false); }

/* ---- primitives ---- */
static Value prim_make_condition(int argc, Value *args) {      /* kind (symbol or rtd) message irritants hint */
  Value rtd = args[0];
  if (IS(rtd, T_SYMBOL)) {
    char name[64];
    uint32_t n = string_utf8_length(SYM(rtd)->name);
    if (n >= sizeof name) return err_type("%make-condition", 0, "condition type", args[0]);
    string_to_utf8(SYM(rtd)->name, (uint8_t *)name);
    name[n] = 0;
    rtd = exn_type(name);
  }
  if (!IS(rtd, T_RTD)) return err_type("%make-condition", 0, "condition type", args[0]);
  return make_condition(rtd, args[1], argc > 2 ? args[2] : V_NIL, argc > 3 ? args[3] : V_FALSE);
}
static Value prim_is_condition(int argc, Value *args) { (void)argc; return BOOL(record_is_a(args[0], type_rtds[0])); }
static Value prim_condition_message(int argc, Value *args) {
  (void)argc;
  if (!record_is_a(args[0], type_rtds[0])) return err_type("exn-message", 0, "exn", args[0]);
  return RECORD_FIELD(args[0], 0);
}
static Value mark_of(Value condition, enum mark which) {
  Value marks = record_is_a(condition, type_rtds[0]) ? RECORD_FIELD(condition, 1) : V_FALSE;
  return IS(marks, T_VECTOR) && VEC_LENGTH(marks) == MARK_COUNT ? VEC(marks)[which] : V_FALSE;
}
static Value prim_condition_irritants(int argc, Value *args) {
  (void)argc;
  Value list = mark_of(args[0], MARK_IRRITANTS);
  return list == V_FALSE ? V_NIL : list;
}
/* (%condition-mark c i): see enum mark; #f where there is none */
static Value prim_condition_mark(int argc, Value *args) {
  (void)argc;
  if (!IS_FIX(args[1]) || FIX_VALUE(args[1]) < 0 || FIX_VALUE(args[1]) >= MARK_COUNT) return V_FALSE;
  return mark_of(args[0], (enum mark)FIX_VALUE(args[1]));
}
static Value prim_set_condition_mark(int argc, Value *args) {
  (void)argc;
  Value marks = record_is_a(args[0], type_rtds[0]) ? RECORD_FIELD(args[0], 1) : V_FALSE;
  if (IS(marks, T_VECTOR) && VEC_LENGTH(marks) == MARK_COUNT && IS_FIX(args[1]) && (uint64_t)FIX_VALUE(args[1]) < MARK_COUNT)
    VEC(marks)[FIX_VALUE(args[1])] = args[2];
  return V_VOID;
}
/* (%condition-locate! c): fill in the place and backtrace of the caller; returns c */
static Value prim_condition_locate(int argc, Value *args) {
  (void)argc;
  locate(args[0], true);        /* the running procedure is the prelude's, and of the registers only the stacks' heights are saved */
  return args[0];
}
/* (%place): (source line column) of the innermost place of the program that is being run; #f where there is none */
static Value prim_place(int argc, Value *args) {
  (void)argc, (void)args;
  struct walk w = {V_FALSE, 0, V_NIL, V_NIL, 0, true};
  walk_stack(&w, true);
  return w.place ? list_n(3, w.source, FIX(PLACE_LINE(w.place)), FIX(PLACE_COLUMN(w.place))) : V_FALSE;
}
static Value prim_exn_type(int argc, Value *args) {
  Value c = prim_make_condition(argc, (Value[]){args[0], V_FALSE, V_NIL, V_FALSE});
  return IS_SIGNAL(c) ? c : RECORD_RTD(c);
}
static Value prim_signature(int argc, Value *args) {
  (void)argc;
  if (!is_procedure(args[0])) return err_type("%procedure-signature", 0, "procedure", args[0]);
  return procedure_signature(args[0]);
}

const PrimDef error_prims[] = {
  {"%make-condition", prim_make_condition, 2, 4, NULL},
  {"exn?", prim_is_condition, 1, 1, "(exn? v)"},
  {"%condition-message", prim_condition_message, 1, 1, NULL},
  {"%condition-irritants", prim_condition_irritants, 1, 1, NULL},
  {"%condition-mark", prim_condition_mark, 2, 2, NULL},
  {"%set-condition-mark!", prim_set_condition_mark, 3, 3, NULL},
  {"%condition-locate!", prim_condition_locate, 1, 1, NULL},
  {"%place", prim_place, 0, 0, NULL},
  {"%exn-type", prim_exn_type, 1, 1, NULL},
  {"%procedure-signature", prim_signature, 1, 1, NULL},
  {0}
};
