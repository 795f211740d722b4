/* cbor.c — data to the messages of rlm.h and back (RFC 8949).
 *
 * Both directions keep what is open on an explicit stack and are resumable. What comes in may be
 * hostile: every length is held against what is left of the input before anything is allocated,
 * and nesting costs heap only.
 *
 *   null            the symbol `null`, which is also JSON's (json-null)
 *   undefined       void
 *   map             an immutable equal?-based table. Where all keys are text it is loose: symbols
 *                   find their names, too
 *   40005 [k, map]  any other table; k: enum table_kind + 4 loose + 8 mutable
 *   40007 [v]       a box
 *   40008 [k, m …]  a set; k: enum table_kind + 8 mutable
 *   40010 [k, n …]  a uniform vector; k: enum uvector_type
 *   40009 [name, fields, v …]   a struct that is transparent or prefab; fields: a vector of symbols
 *
 * What a set or a struct is made of, the reader is told: a table from names to record types.
 */
#include "io/cbor.h"
#include "core/worklist.h"
#include "data/equal.h"
#include "data/table.h"
#include "data/uvector.h"
#include "io/printer.h"
#include "numbers/bignum.h"
#include "numbers/number.h"
#include "numbers/numread.h"
#include "text/symbol.h"
#include "text/utf8.h"

enum {
  TAG_POSITIVE = 2, TAG_NEGATIVE = 3, TAG_RATIO = 30, TAG_KEYWORD = 40001, TAG_CHAR = 40002,
  TAG_VECTOR = 40003, TAG_IMPROPER = 40004, TAG_TABLE = 40005, TAG_COMPLEX = 40006, TAG_BOX = 40007, TAG_SET = 40008, TAG_STRUCT = 40009,
  TAG_UVECTOR = 40010,
};
enum { TABLE_MUTABLE = 8 };

/* ---- encoding ---- */

typedef struct {
  Value out;              /* T_BYTES with room to spare */
  uint32_t length;
  Stack stack;
  uint32_t checked;       /* the height at which the stack was last searched for a cycle */
  bool lossy;
} Encoder;

/* Frames: kind, the container, what is left of it. */
enum { E_ITEM, E_LIST, E_VECTOR, E_TABLE, E_MEMBERS, E_FIELDS, E_BOX, E_MEASURE, E_SPINE, E_TEXT, E_BYTES, E_UNIFORM, E_FRAME = 3 };
#define LONG_TEXT 16384u    /* characters: a longer one is measured and written in pieces */

static void put_byte(Encoder *e, uint8_t byte) { BYTES(e->out)[e->length++] = byte; }
static void put_bytes(Encoder *e, uint64_t value, int count) {
  while (count-- > 0) put_byte(e, (uint8_t)(value >> (8 * count)));
}
static void put_head(Encoder *e, int major, uint64_t n) {
  uint8_t high = (uint8_t)(major << 5);
  if (n < 24) put_byte(e, high | (uint8_t)n);
  else if (n < 0x100) { put_byte(e, high | 24); put_bytes(e, n, 1); }
  else if (n < 0x10000) { put_byte(e, high | 25); put_bytes(e, n, 2); }
  else if (n < 0x100000000) { put_byte(e, high | 26); put_bytes(e, n, 4); }
  else { put_byte(e, high | 27); put_bytes(e, n, 8); }
}

/* The least that the output grows to: by a part of itself, as a builder does. */
#define OUT_LEAST(need) ((need) + (need) / 8 + 64)

/* Makes room for n more bytes. */
static bool out_room(Encoder *e, uint64_t n) {
  uint32_t width = 1;
  if (chars_moving(e->out) && !chars_moved(&e->out, &width, e->length, 0, 0)) return false;
  uint64_t need = e->length + n, capacity = BYTES_LENGTH(e->out);
  if (need <= capacity) return true;
  uint64_t wanted = need + need / 2;
  if (wanted > UINT32_MAX / 2 || !heap_reserve(wanted)) wanted = OUT_LEAST(need);
  if (wanted > UINT32_MAX / 2 || !heap_reserve(wanted)) return false;
  return chars_moved(&e->out, &width, e->length, wanted, 1);
}
static uint64_t out_bytes(const Encoder *e, uint64_t n) { return chars_moving(e->out) ? 0 : OUT_LEAST(e->length + n); }
#define ROOM(e, n) do { if (!out_room((e), (n))) return need_memory(out_bytes((e), (n))); } while (0)

static void push_item(Encoder *e, int kind, Value container, Value rest) {
  push(&e->stack, FIX(kind));
  push(&e->stack, container);
  push(&e->stack, rest);
}

static Value no_data_form(const char *what, Value v) {
  return err_failf("exn:fail:contract", "%s has no data form: %v", what, v);
}

static Value put_text(Encoder *e, Value s) {
  uint32_t length = STR_LENGTH(s), ascii = 0;
  if (STR_WIDTH(s) == 1) {
    const uint8_t *data = STR_DATA(s);
    while (ascii < length && data[ascii] < 0x80) ascii++;
  }
  uint32_t bytes = ascii == length ? length : string_utf8_length(s);
  ROOM(e, (uint64_t)bytes + 9);
  put_head(e, TEXT_STRING, bytes);
  if (ascii == length) memcpy(BYTES(e->out) + e->length, STR_DATA(s), bytes);
  else string_to_utf8(s, BYTES(e->out) + e->length);
  e->length += bytes;
  charge(length / 16);
  return V_VOID;
}

/* A piece of a long text: measured first, since its length stands before it, with #(characters bytes) in the frame;
   then written, with how many characters are. */
static Value put_piece(Encoder *e, Value *frame) {
  Value s = frame[1], rest = frame[2];
  bool measuring = frame[0] == FIX(E_MEASURE);
  uint32_t from = (uint32_t)FIX_VALUE(measuring ? VEC(rest)[0] : rest), length = STR_LENGTH(s);
  uint32_t to = length - from > LONG_ROUND ? from + LONG_ROUND : length;
  charge((to - from) / 8);
  if (!measuring) {
    e->length += string_piece_to_utf8(s, from, to, BYTES(e->out) + e->length);
    frame[2] = FIX(to);
    if (to == length) e->stack.top -= E_FRAME;
    return V_VOID;
  }
  uint64_t bytes = (uint64_t)FIX_VALUE(VEC(rest)[1]) + string_piece_utf8_length(s, from, to);
  if (to == length) {
    ROOM(e, bytes + 9);
    put_head(e, TEXT_STRING, bytes);
    frame[0] = FIX(E_TEXT);
    frame[2] = FIX(0);
    return V_VOID;
  }
  VEC(rest)[0] = FIX(to);
  VEC(rest)[1] = FIX(bytes);
  return V_VOID;
}

/* So many bytes of a byte string are copied between two looks at the clock. */
enum { BYTES_PIECE = 65536 };
static uint32_t piece_end(uint32_t at, uint32_t length) { return length - at > BYTES_PIECE ? at + BYTES_PIECE : length; }

static void put_bytes_piece(Encoder *e, Value *frame) {
  uint32_t at = (uint32_t)FIX_VALUE(frame[2]), length = BYTES_LENGTH(frame[1]), end = piece_end(at, length);
  memcpy(BYTES(e->out) + e->length, BYTES(frame[1]) + at, end - at);
  e->length += end - at;
  charge((end - at) / 64);
  frame[2] = FIX(end);
  if (end == length) e->stack.top -= E_FRAME;
}

static Value put_tagged_text(Encoder *e, uint32_t tag, Value s) {
  uint32_t start = e->length;
  ROOM(e, 8);
  put_head(e, TAGGED, tag);
  Value done = put_text(e, s);
  if (IS_SIGNAL(done)) e->length = start;
  return done;
}

static Value put_integer(Encoder *e, Value v) {
  if (IS_FIX(v)) {
    int64_t n = FIX_VALUE(v);
    put_head(e, n < 0 ? NEGATIVE : UNSIGNED, (uint64_t)(n < 0 ? -1 - n : n));
    return V_VOID;
  }
  bool negative = BIG_NEGATIVE(v);
  if (negative) v = num_sub(FIX(-1), v);
  if (IS_SIGNAL(v)) return v;
  if (IS_FIX(v)) {
    put_head(e, NEGATIVE, (uint64_t)FIX_VALUE(v));
    return V_VOID;
  }
  uint32_t bytes = int_byte_length(v);
  ROOM(e, (uint64_t)bytes + 16);
  if (bytes > 8) {
    put_head(e, TAGGED, negative ? TAG_NEGATIVE : TAG_POSITIVE);
    put_head(e, BYTE_STRING, bytes);
    int_to_bytes(v, BYTES(e->out) + e->length);
    e->length += bytes;
  } else {
    uint8_t magnitude[8];
    uint64_t n = 0;
    int_to_bytes(v, magnitude);
    for (uint32_t i = 0; i < bytes; i++) n = n << 8 | magnitude[i];
    put_head(e, negative ? NEGATIVE : UNSIGNED, n);
  }
  charge(bytes / 8);
  return V_VOID;
}

static void put_double(Encoder *e, double d) {
  uint64_t bits;
  memcpy(&bits, &d, 8);
  put_byte(e, BYTE_DOUBLE);
  put_bytes(e, bits, 8);
}

/* A number of two parts: an array of both, which are numbers of one. */
static void put_parts(Encoder *e, uint32_t tag, Value first, Value second) {
  put_head(e, TAGGED, tag);
  put_head(e, ARRAY, 2);
  push_item(e, E_ITEM, second, V_NIL);
  push_item(e, E_ITEM, first, V_NIL);
}

static Value circular(Value v) {
  return err_failf("exn:fail:contract", "cyclic data has no data form: %v", v);
}

/* Its length stands before it. A long one is counted in pieces: the frame is that of the list, with the progress. */
static Value put_list(Encoder *e, Value v, Value progress) {
  Value end;
  int64_t n;
  if (list_walk_count(v, &progress, &n, &end) == V_AGAIN) {
    push_item(e, E_SPINE, v, progress);
    return V_VOID;
  }
  if (n < 0) return circular(v);
  if (end != V_NIL) put_head(e, TAGGED, TAG_IMPROPER);
  put_head(e, ARRAY, (uint64_t)n + (end != V_NIL));
  push_item(e, E_LIST, v, v);
  return V_VOID;
}

static Value put_table(Encoder *e, Value v) {
  int64_t kind = TABLE_KIND(v) | (table_is_loose(v) ? TABLE_LOOSE : 0) | (OBJ_FLAGS(v) & H_IMMUTABLE ? 0 : TABLE_MUTABLE);
  if (kind != TABLE_EQUAL && kind != (TABLE_EQUAL | TABLE_LOOSE)) {
    put_head(e, TAGGED, TAG_TABLE);
    put_head(e, ARRAY, 2);
    put_head(e, UNSIGNED, (uint64_t)kind);
  }
  put_head(e, MAP, table_count(v));
  push_item(e, E_TABLE, v, FIX(0));
  return V_VOID;
}

static Value put_set(Encoder *e, Value v) {
  Value table = RECORD_FIELD(v, 0);
  put_head(e, TAGGED, TAG_SET);
  put_head(e, ARRAY, (uint64_t)table_count(table) + 1);
  put_head(e, UNSIGNED, (uint64_t)(TABLE_KIND(table) | (OBJ_FLAGS(table) & H_IMMUTABLE ? 0 : TABLE_MUTABLE)));
  push_item(e, E_MEMBERS, table, FIX(0));
  return V_VOID;
}

static bool is_condition(Value v) { return rtd_is_a(RECORD_RTD(v), exn_type("exn")); }

static Value put_struct(Encoder *e, Value v) {
  struct Rtd *rtd = RTD(RECORD_RTD(v));
  put_head(e, TAGGED, TAG_STRUCT);
  put_head(e, ARRAY, (uint64_t)VEC_LENGTH(rtd->fields) + 2);
  push_item(e, E_FIELDS, v, FIX(0));
  push_item(e, E_ITEM, rtd->fields, V_NIL);
  push_item(e, E_ITEM, rtd->name, V_NIL);
  return V_VOID;
}

static Value put_other(Encoder *e, Value v) {
  if (e->lossy) {
    Builder b;
    builder_init(&b);
    print_bounded(&b, v, true, 1000);
    return put_text(e, builder_finish(&b));
  }
  bool is_struct = IS(v, T_RECORD) && !is_data_record(v) && !TRUTH(RTD(RECORD_RTD(v))->printer);
  return no_data_form(is_procedure(v) ? "a procedure" : is_struct ? "a struct that is not #:transparent" :
                      IS(v, T_RECORD) ? "a record" : "this", v);
}

static Value put_record(Encoder *e, Value v) {
  if (!is_data_record(v) || is_condition(v)) return put_other(e, v);
  return FIX_VALUE(RTD(RECORD_RTD(v))->flags) & RTD_SET ? put_set(e, v) : put_struct(e, v);
}

static Value put_special(Encoder *e, Value v) {
  if (v == V_FALSE) put_byte(e, BYTE_FALSE);
  else if (v == V_TRUE) put_byte(e, BYTE_TRUE);
  else if (v == V_NIL) put_head(e, ARRAY, 0);
  else if (v == V_NULL) put_byte(e, BYTE_NULL);
  else if (v == V_VOID) put_byte(e, BYTE_UNDEFINED);
  else return put_other(e, v);
  return V_VOID;
}

static Value put_symbol(Encoder *e, Value v) {
  if (v != intern("null")) return put_tagged_text(e, TAG_SYMBOL, SYM(v)->name);
  put_byte(e, BYTE_NULL);
  return V_VOID;
}

/* A value: a leaf whole, a container's head and a frame for the rest. */
static Value put_value(Encoder *e, Value v) {
  ROOM(e, 64);
  if (IS_FIX(v)) return put_integer(e, v);
  switch (TAG(v)) {
    case T_SPECIAL: return put_special(e, v);
    case T_CHAR: put_head(e, TAGGED, TAG_CHAR); put_head(e, UNSIGNED, CHAR_VALUE(v)); return V_VOID;
    case T_PAIR: case T_LPAIR: return put_list(e, v, V_FALSE);
    case T_FLONUM: put_double(e, FLO_VALUE(v)); return V_VOID;
    case T_BIGNUM: return put_integer(e, v);
    case T_RATIO: put_parts(e, TAG_RATIO, NUMERATOR(v), DENOMINATOR(v)); return V_VOID;
    case T_COMPLEX: put_parts(e, TAG_COMPLEX, REAL_PART(v), IMAG_PART(v)); return V_VOID;
    case T_STRING:
      if (STR_LENGTH(v) <= LONG_TEXT) return put_text(e, v);
      push_item(e, E_MEASURE, v, make_vector(2, FIX(0)));
      return V_VOID;
    case T_SYMBOL: return put_symbol(e, v);
    case T_KEYWORD: return put_tagged_text(e, TAG_KEYWORD, SYM(v)->name);
    case T_BYTES:
      ROOM(e, (uint64_t)BYTES_LENGTH(v) + 9);
      put_head(e, BYTE_STRING, BYTES_LENGTH(v));
      push_item(e, E_BYTES, v, FIX(0));
      return V_VOID;
    case T_VECTOR:
      put_head(e, TAGGED, TAG_VECTOR);
      put_head(e, ARRAY, VEC_LENGTH(v));
      push_item(e, E_VECTOR, v, FIX(0));
      return V_VOID;
    case T_UVECTOR:
      put_head(e, TAGGED, TAG_UVECTOR);
      put_head(e, ARRAY, (uint64_t)uvector_length(v) + 1);
      put_head(e, UNSIGNED, UVECTOR_TYPE(v));
      push_item(e, E_UNIFORM, v, FIX(0));
      return V_VOID;
    case T_TABLE: return put_table(e, v);
    case T_BOX:
      put_head(e, TAGGED, TAG_BOX);
      put_head(e, ARRAY, 1);
      push_item(e, E_BOX, v, V_TRUE);
      return V_VOID;
    case T_RECORD: return put_record(e, v);
    default: return put_other(e, v);
  }
}

/* A cycle makes the stack grow without end, and its containers come up on it again and again:
   whenever the height has doubled, the one on top is looked for below. */
static bool is_cyclic(Encoder *e) {
  if (e->stack.top < e->checked) return false;
  e->checked = e->stack.top * 2;
  Value *frames = VEC(e->stack.slots);
  uint32_t newest = e->stack.top - E_FRAME;
  while (newest && frames[newest] == FIX(E_ITEM)) newest -= E_FRAME;
  for (uint32_t i = 0; i < newest; i += E_FRAME)
    if (frames[i + 1] == frames[newest + 1] && frames[i] != FIX(E_ITEM)) return true;
  charge(e->stack.top / 16);
  return false;
}

/* One step: the next item of the frame on top. A signal: nothing has been done. */
static Value encode_step(Encoder *e) {
  Value *frame = stack_top(&e->stack, E_FRAME), v = frame[1], rest = frame[2];
  switch (FIX_VALUE(frame[0])) {
    case E_ITEM: {
      e->stack.top -= E_FRAME;
      Value done = put_value(e, v);
      if (IS_SIGNAL(done)) e->stack.top += E_FRAME;      /* the frame is still there */
      return done;
    }
    case E_LIST:
      if (rest == V_NIL) { e->stack.top -= E_FRAME; return V_VOID; }
      if (!is_pair(rest)) {                              /* the tail */
        frame[0] = FIX(E_ITEM);
        frame[1] = rest;
        return V_VOID;
      }
      frame[2] = CDR(rest);
      push_item(e, E_ITEM, CAR(rest), V_NIL);
      return V_VOID;
    case E_VECTOR: {
      uint32_t i = (uint32_t)FIX_VALUE(rest);
      if (i == VEC_LENGTH(v)) { e->stack.top -= E_FRAME; return V_VOID; }
      frame[2] = FIX(i + 1);
      push_item(e, E_ITEM, VEC(v)[i], V_NIL);
      return V_VOID;
    }
    case E_UNIFORM: {
      uint32_t i = (uint32_t)FIX_VALUE(rest);
      if (i == uvector_length(v)) { e->stack.top -= E_FRAME; return V_VOID; }
      frame[2] = FIX(i + 1);
      push_item(e, E_ITEM, uvector_load(v, i), V_NIL);
      return V_VOID;
    }
    case E_SPINE:
      ROOM(e, 64);
      e->stack.top -= E_FRAME;
      return put_list(e, v, rest);
    case E_MEASURE: case E_TEXT: return put_piece(e, frame);
    case E_BYTES: put_bytes_piece(e, frame); return V_VOID;
    case E_BOX:
      if (rest != V_TRUE) { e->stack.top -= E_FRAME; return V_VOID; }
      frame[2] = V_FALSE;
      push_item(e, E_ITEM, SLOTS(v)[0], V_NIL);
      return V_VOID;
    case E_FIELDS: {
      uint32_t i = (uint32_t)FIX_VALUE(rest);
      if (i == VEC_LENGTH(RTD(RECORD_RTD(v))->fields)) { e->stack.top -= E_FRAME; return V_VOID; }
      frame[2] = FIX(i + 1);
      push_item(e, E_ITEM, RECORD_FIELD(v, i), V_NIL);
      return V_VOID;
    }
    default: {
      Value key, value;
      uint32_t position = (uint32_t)FIX_VALUE(rest);
      bool with_values = FIX_VALUE(frame[0]) == E_TABLE;
      if (table_bring(v) != V_TRUE) return V_AGAIN;
      if (!table_next(v, &position, &key, &value)) { e->stack.top -= E_FRAME; return V_VOID; }
      frame[2] = FIX(position);
      if (with_values) push_item(e, E_ITEM, value, V_NIL);
      push_item(e, E_ITEM, key, V_NIL);
      return V_VOID;
    }
  }
}

static Value encode(Encoder *e) {
  for (uint32_t n = 1; e->stack.top; n++) {
    if (!stack_room(&e->stack, 3 * E_FRAME)) return need_memory(stack_bytes(&e->stack));
    Value done = encode_step(e);
    if (IS_SIGNAL(done)) return done;
    charge(1);
    if (e->stack.top && is_cyclic(e)) return circular(VEC(e->stack.slots)[1]);
    bool in_text = e->stack.top && FIX_VALUE(stack_top(&e->stack, E_FRAME)[0]) >= E_MEASURE;
    if ((n % ROUND == 0 || in_text) && should_pause()) return V_AGAIN;
  }
  return V_VOID;
}

/* The bytes so far, as long as they are. */
static Value encoder_finish(Encoder *e) {
  uint32_t waste = BYTES_LENGTH(e->out) - e->length;
  if (waste > e->length / 4 && e->length <= LONG_PART && heap_reserve(e->length + 16)) {      /* a long one does not live long */
    Value exact = heap_raw(T_BYTES, 0, e->length);
    memcpy(BYTES(exact), BYTES(e->out), e->length);
    return exact;
  }
  HEADER_OF(e->out) = HEADER(T_BYTES, OBJ_FLAGS(e->out), e->length);
  return e->out;
}

enum { ES_OUT, ES_LENGTH, ES_STACK, ES_TOP, ES_CHECKED, ES_SIZE };

/* (%cbor-encode value [lossy?]) */
static Value prim_cbor_encode(int argc, Value *args) {
  Encoder e = {.lossy = TRUTH(ARG_OR(1, V_FALSE))};
  if (IS(vm.resume, T_VECTOR)) {
    Value *s = VEC(vm.resume);
    e.out = s[ES_OUT];
    e.length = (uint32_t)FIX_VALUE(s[ES_LENGTH]);
    e.stack = (Stack){s[ES_STACK], (uint32_t)FIX_VALUE(s[ES_TOP])};
    e.checked = (uint32_t)FIX_VALUE(s[ES_CHECKED]);
  } else {
    e.out = heap_raw(T_BYTES, 0, 240);
    e.checked = 96;
    stack_init(&e.stack);
    push_item(&e, E_ITEM, args[0], V_NIL);
  }
  Value done = encode(&e);
  if (done == V_AGAIN) {
    Value state = make_vector(ES_SIZE, V_FALSE), *s = VEC(state);
    s[ES_OUT] = e.out;
    s[ES_LENGTH] = FIX(e.length);
    s[ES_STACK] = e.stack.slots;
    s[ES_TOP] = FIX(e.stack.top);
    s[ES_CHECKED] = FIX(e.checked);
    vm.resume = state;
  }
  return IS_SIGNAL(done) ? done : encoder_finish(&e);
}

/* ---- decoding ---- */

typedef struct {
  const uint8_t *data;
  uint32_t at, length;
  Stack stack;
  Value pending;          /* a value that waits to be delivered; V_UNBOUND: none */
  Value types;            /* a table from symbols to record types, or #f */
  Utf8Reading reading;    /* a long text or byte string, as far as it has come */
  Value number;           /* progress with a long one; V_FALSE: none */
  bool text_apart;        /* the characters of the text that it ends with are in vm.long_text */
} Decoder;

/* Frames: kind (major type), how many items are to come (-1: up to a break), and:
   array: the list so far, its last pair; map: the table, the key; tag: its number. */
enum { D_KIND, D_LEFT, D_DATA, D_MORE, D_FRAME };
#define NOTHING MAKE(T_SIGNAL, 16)      /* no value yet */

static Value malformed(const char *what) {
  return err_failf("exn:fail:contract", "not a well-formed message: %s", what);
}
static Value cut_short(void) { return malformed("it ends too early"); }

static uint32_t left(Decoder *d) { return d->length - d->at; }

static Value push_open(Decoder *d, int kind, int64_t count, Value data, Value more) {
  push(&d->stack, FIX(kind));
  push(&d->stack, FIX(count));
  push(&d->stack, data);
  push(&d->stack, more);
  return NOTHING;
}

/* The argument of an initial byte. false: cut short or reserved. *indefinite: it is 31. */
static bool read_argument(Decoder *d, uint8_t info, uint64_t *n, bool *indefinite) {
  *indefinite = info == 31;
  *n = info;
  if (info < 24 || info == 31) return true;
  if (info > 27) return false;
  uint32_t bytes = 1u << (info - 24);
  if (left(d) < bytes) return false;
  for (*n = 0; bytes > 0; bytes--) *n = *n << 8 | d->data[d->at++];
  return true;
}

static Value read_text(Decoder *d, const uint8_t *data, uint32_t n) {
  Value s = utf8_read(data, n, 0xfffd, &d->reading);
  if (s != V_AGAIN) d->reading = UTF8_READING;
  return s;
}

/* The text that a message ends with: the host has put its characters where they stay, each as wide as the widest
   needs. Its length is told in characters. */
static Value take_text_apart(Decoder *d, uint64_t n) {
  if (!d->text_apart || left(d) || !IS(vm.long_text, T_RAW)) return cut_short();
  Value chars = vm.long_text;
  uint32_t bytes = OBJ_LENGTH(chars), flags = OBJ_FLAGS(chars), width = flags & H_WIDTH_MASK;
  if (n > bytes || n << (width >> 2) != bytes) return cut_short();
  HEADER_OF(chars) = HEADER(T_RAW, flags & ~(uint32_t)H_WIDTH_MASK, bytes);
  Value s = heap_object(T_STRING, width, 3);
  STR(s)->length = FIX(n);
  STR(s)->chars = chars;
  STR(s)->lineage = V_FALSE;
  vm.long_text = V_FALSE;
  d->text_apart = false;
  return s;
}

/* Like a text: what is there already stands in d->reading. */
static Value read_bytes(Decoder *d, const uint8_t *data, uint32_t n) {
  Utf8Reading *r = &d->reading;
  if (r->s == V_FALSE) {
    if (!heap_reserve((uint64_t)n + 16)) return need_memory(n);
    r->s = heap_raw(T_BYTES, 0, n);
  }
  for (uint32_t at = (uint32_t)r->next, end; at < n; at = end) {
    end = piece_end(at, n);
    memcpy(BYTES(r->s) + at, data + at, end - at);
    charge((end - at) / 64);
    r->next = end;
    if (should_pause() && end < n) return V_AGAIN;
  }
  Value bytes = r->s;
  *r = UTF8_READING;
  return bytes;
}

static Value make_stringy(Decoder *d, int major, const uint8_t *data, uint32_t n) {
  return major == TEXT_STRING ? read_text(d, data, n) : read_bytes(d, data, n);
}

/* In one go: no host of ours sends a long text in chunks. */
static Value make_chunked(int major, const uint8_t *data, uint32_t n) {
  charge(n / 32);
  if (!heap_reserve((major == TEXT_STRING ? 4ull : 1ull) * n + 64)) return need_memory(4ull * n);
  if (major == TEXT_STRING) return string_from_utf8((const char *)data, n);
  Value bytes = heap_raw(T_BYTES, 0, n);
  if (n) memcpy(BYTES(bytes), data, n);
  return bytes;
}

/* A string in chunks, up to a break. */
static Value read_chunks(Decoder *d, int major) {
  uint32_t start = d->at, total = 0;
  Value whole = V_FALSE;
  for (int pass = 0; pass < 2; pass++) {       /* measure, then copy */
    d->at = start;
    if (pass && !heap_reserve((uint64_t)total + 16)) return need_memory(total);
    if (pass) whole = heap_raw(T_RAW, 0, total);
    total = 0;
    for (;;) {
      uint64_t n;
      bool indefinite;
      if (!left(d)) return cut_short();
      uint8_t initial = d->data[d->at++];
      if (initial == BYTE_BREAK) break;
      if (initial >> 5 != major || !read_argument(d, initial & 31, &n, &indefinite) || indefinite) return malformed("a chunk of a string");
      if (n > left(d)) return cut_short();
      if (pass) memcpy(RAW_BYTES(whole) + total, d->data + d->at, n);
      d->at += (uint32_t)n;
      total += (uint32_t)n;
    }
  }
  return make_chunked(major, RAW_BYTES(whole), total);
}

static Value make_float(uint8_t info, uint64_t n) {
  double d;
  if (info == 25) return make_flonum(half_to_double((uint32_t)n));
  if (info == 26) {
    uint32_t bits = (uint32_t)n;
    float f;
    memcpy(&f, &bits, 4);
    return make_flonum(f);
  }
  memcpy(&d, &n, 8);
  return make_flonum(d);
}

static Value make_simple(uint8_t info, uint64_t n) {
  switch (info) {
    case 20: return V_FALSE;
    case 21: return V_TRUE;
    case 22: return intern("null");
    case 23: return V_VOID;
    case 25: case 26: case 27: return make_float(info, n);
    default: return malformed("an unknown simple value");
  }
}

static Value negative_integer(uint64_t n) {
  if (n <= (uint64_t)FIX_MAX) return FIX(-1 - (int64_t)n);
  Value magnitude = int_from_u64(n);
  return num_sub(FIX(-1), magnitude);
}

/* A map inside of tag 40005 tells its kind first. */
static int64_t announced_kind(Decoder *d) {
  if (d->stack.top < 2 * D_FRAME) return -1;
  Value *array = stack_top(&d->stack, D_FRAME), *tag = stack_top(&d->stack, 2 * D_FRAME);
  if (array[D_KIND] != FIX(ARRAY) || tag[D_KIND] != FIX(TAGGED) || tag[D_DATA] != FIX(TAG_TABLE)) return -1;
  Value list = array[D_DATA];
  if (!is_pair(list) || CDR(list) != V_NIL || !IS_FIX(CAR(list))) return -1;
  int64_t kind = FIX_VALUE(CAR(list));
  return kind >= 0 && kind <= (TABLE_STRING | TABLE_LOOSE | TABLE_MUTABLE) ? kind : -1;
}

static Value open_map(Decoder *d, uint64_t n, bool indefinite) {
  if (!indefinite && n > left(d) / 2) return cut_short();
  int64_t kind = announced_kind(d);
  Value table = table_make_sized(kind < 0 ? TABLE_EQUAL : (enum table_kind)(kind & 3), false, n < 100 ? (uint32_t)n : 100);
  if (kind < 0 || kind & TABLE_LOOSE) table_set_loose(table);       /* until a key says otherwise */
  if (kind < 0) kind = 0;
  return push_open(d, MAP, indefinite ? -1 : (int64_t)n, table, kind & TABLE_MUTABLE ? V_DEFAULT : V_UNBOUND);
}

/* The value that the frame on top is complete with. */
static Value close_open(Value *frame) {
  if (frame[D_KIND] != FIX(MAP)) return frame[D_DATA];
  if (frame[D_MORE] == V_UNBOUND) SET_FLAG(frame[D_DATA], H_IMMUTABLE);
  return frame[D_DATA];
}

/* One item's head: a whole value, NOTHING where a container was opened, or a signal. */
static Value read_item(Decoder *d) {
  if (!left(d)) return cut_short();
  uint8_t initial = d->data[d->at++], info = initial & 31;
  int major = initial >> 5;
  uint64_t n;
  bool indefinite;
  if (initial == BYTE_BREAK) {
    Value *frame = d->stack.top ? stack_top(&d->stack, D_FRAME) : NULL;
    if (!frame || frame[D_LEFT] != FIX(-1)) return malformed("a break where nothing is open");
    if (frame[D_KIND] == FIX(MAP) && frame[D_MORE] != V_UNBOUND && frame[D_MORE] != V_DEFAULT) return malformed("a key without a value");
    d->stack.top -= D_FRAME;
    return close_open(frame);
  }
  if (!read_argument(d, info, &n, &indefinite)) return info > 27 ? malformed("a reserved length") : cut_short();
  if (indefinite && (major < BYTE_STRING || major > MAP)) return malformed("a length that is missing");
  switch (major) {
    case UNSIGNED: return int_from_u64(n);
    case NEGATIVE: return negative_integer(n);
    case BYTE_STRING: case TEXT_STRING: {
      if (indefinite) return read_chunks(d, major);
      if (n > left(d)) return major == TEXT_STRING ? take_text_apart(d, n) : cut_short();
      Value s = make_stringy(d, major, d->data + d->at, (uint32_t)n);
      if (!IS_SIGNAL(s)) d->at += (uint32_t)n;
      return s;
    }
    case ARRAY:
      if (!indefinite && n > left(d)) return cut_short();
      return n == 0 && !indefinite ? V_NIL : push_open(d, ARRAY, indefinite ? -1 : (int64_t)n, V_NIL, V_NIL);
    case MAP: return open_map(d, n, indefinite);
    case TAGGED: return push_open(d, TAGGED, 1, int_from_u64(n), V_NIL);
    default: return make_simple(info, n);
  }
}

/* ---- what tags make of their content ---- */

static int64_t length_of(Value list) {
  int64_t n = 0;
  for (; is_pair(list); list = CDR(list)) n++;
  return list == V_NIL ? n : -1;
}

static Value tag_number(Decoder *d, Value tag, Value v) {
  if (tag == FIX(TAG_POSITIVE) || tag == FIX(TAG_NEGATIVE)) {
    if (!IS(v, T_BYTES)) return malformed("an integer of no bytes");
    if (!heap_reserve((uint64_t)BYTES_LENGTH(v) + 64)) return need_memory(BYTES_LENGTH(v));
    charge(BYTES_LENGTH(v) / 8);
    Value n = int_from_bytes(BYTES(v), BYTES_LENGTH(v), false);
    return tag == FIX(TAG_POSITIVE) ? n : num_sub(FIX(-1), n);
  }
  if (length_of(v) != 2) return malformed("a number of other than two parts");
  if (tag == FIX(TAG_RATIO)) {
    if (!is_exact_integer(CAR(v)) || !is_exact_integer(CADR(v)) || CADR(v) == FIX(0)) return malformed("the parts of a ratio");
    return num_with_progress(num_div, CAR(v), CADR(v), &d->number);
  }
  if (!is_real(CAR(v)) || !is_real(CADR(v))) return malformed("the parts of a complex number");
  static const uint32_t i_text[] = {'+', 'i'};
  Value imaginary = num_mul(CADR(v), num_parse(i_text, 2, 10));
  return IS_SIGNAL(imaginary) ? imaginary : num_add(CAR(v), imaginary);
}

static Value tag_vector(Value list) {
  int64_t n = length_of(list);
  if (n < 0) return malformed("a vector of no array");
  if (!heap_reserve(8 * (uint64_t)n + 16)) return need_memory(8 * (uint64_t)n);
  charge(n / 8);
  Value v = heap_object(T_VECTOR, 0, (uint32_t)n);
  for (uint32_t i = 0; list != V_NIL; list = CDR(list)) VEC(v)[i++] = CAR(list);
  return v;
}

static Value tag_uvector(Value list) {
  int64_t n = length_of(list) - 1, type = n < 0 || !IS_FIX(CAR(list)) ? 0 : FIX_VALUE(CAR(list));
  if (type <= 0 || type >= UV_END || type == UV_U8) return malformed("a uniform vector of no type");
  uint64_t bytes = uvector_bytes((enum uvector_type)type, (uint64_t)n) + 16;
  if (!heap_reserve(bytes)) return need_memory(bytes);
  charge(n / 4);
  Value v = uvector_make((enum uvector_type)type, (uint32_t)n);
  uint32_t i = 0;
  for (Value rest = CDR(list); rest != V_NIL; rest = CDR(rest)) {
    if (!uvector_fits((enum uvector_type)type, CAR(rest))) return malformed("a number that its uniform vector cannot hold");
    uvector_store(v, i++, CAR(rest));
  }
  return v;
}

/* The last item becomes the tail: the list is changed in place. */
static Value tag_improper(Value list) {
  if (length_of(list) < 2) return malformed("an improper list of less than two items");
  Value at = list;
  while (CDDR(at) != V_NIL) at = CDR(at);
  CDR(at) = CADR(at);
  return list;
}

static Value record_type(Decoder *d, const char *name) {
  return IS(d->types, T_TABLE) ? table_get(d->types, intern(name), V_FALSE) : V_FALSE;
}

static Value tag_set(Decoder *d, Value list) {
  int64_t count = length_of(list);
  int64_t kind = count > 0 && IS_FIX(CAR(list)) ? FIX_VALUE(CAR(list)) : -1;
  if (kind < 0 || kind > (TABLE_STRING | TABLE_MUTABLE) || kind & TABLE_LOOSE) return malformed("a set");
  Value rtd = record_type(d, kind & TABLE_MUTABLE ? "%mutable-set" : "%set");
  if (!IS(rtd, T_RTD) || !(FIX_VALUE(RTD(rtd)->flags) & RTD_SET)) return malformed("a set, of which there is no type");
  uint64_t bytes = table_bytes((uint32_t)count) + 64;
  if (!heap_reserve(bytes)) return need_memory(bytes);
  charge(count * 4);
  Value table = table_make_sized((enum table_kind)(kind & 3), false, (uint32_t)count);
  for (Value rest = CDR(list); is_pair(rest); rest = CDR(rest)) table_set(table, CAR(rest), V_TRUE);
  if (!(kind & TABLE_MUTABLE)) SET_FLAG(table, H_IMMUTABLE);
  Value set = heap_object(T_RECORD, 0, 2);
  RECORD_RTD(set) = rtd;
  RECORD_FIELD(set, 0) = table;
  return set;
}

static Value tag_struct(Decoder *d, Value list) {
  int64_t count = length_of(list) - 2;
  if (count < 0 || !IS(CAR(list), T_SYMBOL) || !IS(CADR(list), T_VECTOR)) return malformed("a struct");
  Value name = CAR(list), fields = CADR(list);
  Value rtd = IS(d->types, T_TABLE) ? table_get(d->types, name, V_FALSE) : V_FALSE;
  if (!IS(rtd, T_RTD))
    return err_failf("exn:fail:contract", "a struct %q with the fields %v stands here, and no such struct is defined: "
                     "define it first, #:transparent and with these fields", name, fields);
  Value *wanted = VEC(RTD(rtd)->fields);
  bool same = VEC_LENGTH(fields) == VEC_LENGTH(RTD(rtd)->fields) && count == (int64_t)VEC_LENGTH(fields);
  for (uint32_t i = 0; same && i < count; i++) same = VEC(fields)[i] == wanted[i];
  if (!same || FIX_VALUE(RTD(rtd)->flags) & RTD_SET)
    return err_failf("exn:fail:contract", "a struct %q with the fields %v stands here, and the one that is defined has %v",
                     name, fields, RTD(rtd)->fields);
  uint64_t bytes = 8 * (uint64_t)count + 32;
  if (!heap_reserve(bytes)) return need_memory(bytes);
  Value record = heap_object(T_RECORD, 0, (uint32_t)count + 1);
  RECORD_RTD(record) = rtd;
  uint32_t i = 0;
  for (Value rest = CDDR(list); is_pair(rest); rest = CDR(rest)) RECORD_FIELD(record, i++) = CAR(rest);
  return record;
}

static Value tag_box(Value list) {
  if (length_of(list) != 1) return malformed("a box");
  Value box = heap_object(T_BOX, 0, 1);
  SLOTS(box)[0] = CAR(list);
  return box;
}

static Value apply_tag(Decoder *d, Value tag, Value v) {
  switch (IS_FIX(tag) ? FIX_VALUE(tag) : -1) {
    case TAG_POSITIVE: case TAG_NEGATIVE: case TAG_RATIO: case TAG_COMPLEX: return tag_number(d, tag, v);
    case TAG_SYMBOL: return IS(v, T_STRING) ? intern_string(v) : malformed("a symbol of no text");
    case TAG_KEYWORD: return IS(v, T_STRING) ? keyword_string(v) : malformed("a keyword of no text");
    case TAG_CHAR:
      if (!IS_FIX(v) || FIX_VALUE(v) < 0 || FIX_VALUE(v) > 0x10ffff || FIX_VALUE(v) >> 11 == 0x1b) return malformed("a character");
      return CHAR(FIX_VALUE(v));
    case TAG_VECTOR: return tag_vector(v);
    case TAG_IMPROPER: return tag_improper(v);
    case TAG_BOX: return tag_box(v);
    case TAG_UVECTOR: return tag_uvector(v);
    case TAG_SET: return tag_set(d, v);
    case TAG_STRUCT: return tag_struct(d, v);
    case TAG_TABLE:
      return length_of(v) == 2 && IS(CADR(v), T_TABLE) ? CADR(v) : malformed("a hash table");
    default: return v;                   /* an unknown tag says nothing to us */
  }
}

/* ---- delivering ---- */

static void append_item(Value *frame, Value v) {
  Value pair = cons(v, V_NIL);
  if (frame[D_DATA] == V_NIL) frame[D_DATA] = pair; else CDR(frame[D_MORE]) = pair;
  frame[D_MORE] = pair;
}

/* A key, then its value; V_DEFAULT and V_UNBOUND in D_MORE say that a key comes next, and in which
   sort of table. The sort is kept while a key waits: (sort . key). */
static Value add_to_map(Value *frame, Value v) {
  Value table = frame[D_DATA], more = frame[D_MORE];
  if (more == V_UNBOUND || more == V_DEFAULT) {
    if (!IS(v, T_STRING) && TABLE_KIND(table) == TABLE_EQUAL) TABLE(table)->info = FIX(TABLE_EQUAL);
    frame[D_MORE] = cons(more, v);
    return NOTHING;
  }
  if (!table_ready(table)) return table_wait(table);
  table_set(table, CDR(more), v);
  frame[D_MORE] = CAR(more);
  return NOTHING;
}

/* Hands a value to what is open: the outermost value once it is complete, else NOTHING. On
   V_AGAIN the value at hand is in d->pending. */
static Value deliver(Decoder *d, Value v) {
  while (d->stack.top) {
    Value *frame = stack_top(&d->stack, D_FRAME);
    if (frame[D_KIND] == FIX(TAGGED)) {
      Value made = apply_tag(d, frame[D_DATA], v);
      if (made == V_AGAIN) d->pending = v;
      if (IS_SIGNAL(made)) return made;
      d->stack.top -= D_FRAME;
      v = made;
      continue;
    }
    bool is_map = frame[D_KIND] == FIX(MAP);
    if (is_map) {
      Value added = add_to_map(frame, v);
      if (added == V_AGAIN) d->pending = v;
      if (added != NOTHING) return added;
    } else {
      append_item(frame, v);
    }
    if (frame[D_LEFT] == FIX(-1)) return NOTHING;
    bool item_done = !is_map || !is_pair(frame[D_MORE]);
    if (item_done) frame[D_LEFT] -= 2;                      /* a fixnum's one */
    if (!item_done || frame[D_LEFT] != FIX(0)) return NOTHING;
    d->stack.top -= D_FRAME;
    v = close_open(frame);
  }
  return v;
}

static Value decode(Decoder *d) {
  for (uint32_t n = 1;; n++) {
    if (!stack_room(&d->stack, D_FRAME)) return need_memory(stack_bytes(&d->stack));
    uint32_t at = d->at;
    Value v = d->pending;
    if (v == V_UNBOUND) v = read_item(d);
    else d->pending = V_UNBOUND;
    if (v == V_AGAIN) d->at = at;
    /* an empty map is complete at once */
    if (v == NOTHING) {
      Value *frame = stack_top(&d->stack, D_FRAME);
      if (frame[D_LEFT] == FIX(0)) { d->stack.top -= D_FRAME; v = close_open(frame); }
    }
    if (v != NOTHING && !IS_SIGNAL(v)) {
      v = deliver(d, v);
      if (!IS_SIGNAL(v)) return d->at == d->length ? v : malformed("something follows it");
    }
    if (v != NOTHING) return v;
    charge(2);
    if (n % ROUND == 0 && should_pause()) return V_AGAIN;
  }
}

enum { DS_AT, DS_STACK, DS_TOP, DS_PENDING, DS_NEXT, DS_LENGTH, DS_WIDTH, DS_STRING, DS_NUMBER, DS_SIZE };

Value cbor_decode_from(Value bytes, uint32_t at, Value types) {
  Decoder d = {.data = BYTES(bytes), .at = at, .length = BYTES_LENGTH(bytes), .pending = V_UNBOUND, .types = types, .reading = UTF8_READING,
               .number = V_FALSE, .text_apart = OBJ_FLAGS(bytes) & H_TEXT_APART};
  if (IS(vm.resume, T_VECTOR)) {
    Value *s = VEC(vm.resume);
    d.at = (uint32_t)FIX_VALUE(s[DS_AT]);
    d.stack = (Stack){s[DS_STACK], (uint32_t)FIX_VALUE(s[DS_TOP])};
    d.pending = s[DS_PENDING];
    d.reading = (Utf8Reading){(size_t)FIX_VALUE(s[DS_NEXT]), (uint32_t)FIX_VALUE(s[DS_LENGTH]), (uint32_t)FIX_VALUE(s[DS_WIDTH]), s[DS_STRING], 0};
    d.number = s[DS_NUMBER];
  } else {
    stack_init(&d.stack);
  }
  Value v = decode(&d);
  if (v == V_AGAIN) {
    Value state = make_vector(DS_SIZE, V_FALSE), *s = VEC(state);
    s[DS_AT] = FIX(d.at);
    s[DS_STACK] = d.stack.slots;
    s[DS_TOP] = FIX(d.stack.top);
    s[DS_PENDING] = d.pending;
    s[DS_NEXT] = FIX(d.reading.next);
    s[DS_LENGTH] = FIX(d.reading.length);
    s[DS_WIDTH] = FIX(d.reading.width);
    s[DS_STRING] = d.reading.s;
    s[DS_NUMBER] = d.number;
    vm.resume = state;
  }
  return v;
}

/* (%cbor-decode bytevector [types]) */
static Value prim_cbor_decode(int argc, Value *args) {
  CHECK_BYTES(NULL, 0);
  return cbor_decode_from(args[0], 0, ARG_OR(1, V_FALSE));
}

const PrimDef cbor_prims[] = {
  {"%cbor-encode", prim_cbor_encode, 1, 2, "(%cbor-encode value [lossy?])"},
  {"%cbor-decode", prim_cbor_decode, 1, 2, "(%cbor-decode bytevector [types])"},
  {0},
};
