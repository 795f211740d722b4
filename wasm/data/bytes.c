/* bytes.c — bytevectors (Racket's bytes), R7RS's and Racket's names for the same procedures. */
#include "core/prims.h"
#include "text/string.h"
#include <string.h>

#define CHECK_BYTE(i) do { if (!IS_FIX(args[i]) || FIX_VALUE(args[i]) < 0 || FIX_VALUE(args[i]) > 255) \
    return err_type(NULL, i, "byte", args[i]); } while (0)
#define CHECK_MUTABLE_BYTES(i) do { CHECK_BYTES(NULL, i); \
    if (OBJ_FLAGS(args[i]) & H_IMMUTABLE) return err_type(NULL, i, "mutable bytevector", args[i]); } while (0)

static Value new_bytes(const uint8_t *from, uint32_t length) {
  Value bytes = heap_raw(T_BYTES, 0, length);
  if (length) memcpy(BYTES(bytes), from, length);
  return bytes;
}

static Value prim_is_bytes(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_BYTES)); }

static Value prim_length(int argc, Value *args) {
  (void)argc;
  CHECK_BYTES(NULL, 0);
  return FIX(BYTES_LENGTH(args[0]));
}

/* What R6RS fills bytevectors with: a byte, or one with a sign. */
#define CHECK_FILL(i) do { if (!IS_FIX(args[i]) || FIX_VALUE(args[i]) < -128 || FIX_VALUE(args[i]) > 255) \
    return err_type(NULL, i, "byte", args[i]); } while (0)

enum { FILL_AT_ONCE = 1 << 18 };

static Value make_filled(int argc, Value *args) {
  if (!IS_FIX(args[0]) || FIX_VALUE(args[0]) < 0) return err_type(NULL, 0, "exact nonnegative integer", args[0]);
  uint64_t length = (uint64_t)FIX_VALUE(args[0]);
  Value *kept = progress(), bytes = kept ? kept[0] : V_FALSE;
  if (bytes == V_FALSE) {
    RESERVE(length + 16);
    bytes = heap_raw(T_BYTES, 0, (uint32_t)length);
  }
  /* fresh memory costs the machine more than the fill does */
  for (uint32_t i = kept ? (uint32_t)FIX_VALUE(kept[1]) : 0; i < length;) {
    uint32_t part = length - i < FILL_AT_ONCE ? (uint32_t)length - i : FILL_AT_ONCE;
    memset(BYTES(bytes) + i, HAS_ARG(1) ? (int)FIX_VALUE(args[1]) : 0, part);
    i += part;
    charge(part / 64);
    if (i < length && should_pause()) return pause_keeping(2, bytes, FIX(i));
  }
  return bytes;
}

static Value prim_make(int argc, Value *args) {
  if (HAS_ARG(1)) CHECK_FILL(1);
  return make_filled(argc, args);
}
static Value prim_make_bytes(int argc, Value *args) {
  if (HAS_ARG(1)) CHECK_BYTE(1);
  return make_filled(argc, args);
}

static Value prim_bytes(int argc, Value *args) {
  for (int i = 0; i < argc; i++) CHECK_BYTE(i);
  RESERVE((uint64_t)argc + 16);
  Value bytes = heap_raw(T_BYTES, 0, (uint32_t)argc);
  for (int i = 0; i < argc; i++) BYTES(bytes)[i] = (uint8_t)FIX_VALUE(args[i]);
  return bytes;
}

static Value prim_ref(int argc, Value *args) {
  (void)argc;
  CHECK_BYTES(NULL, 0);
  uint32_t i;
  CHECK_INDEX(NULL, 1, 0, (int64_t)BYTES_LENGTH(args[0]) - 1, args[0], i);
  return FIX(BYTES(args[0])[i]);
}

static Value prim_set(int argc, Value *args) {
  (void)argc;
  CHECK_MUTABLE_BYTES(0);
  uint32_t i;
  CHECK_INDEX(NULL, 1, 0, (int64_t)BYTES_LENGTH(args[0]) - 1, args[0], i);
  CHECK_BYTE(2);
  BYTES(args[0])[i] = (uint8_t)FIX_VALUE(args[2]);
  return V_VOID;
}

static Value prim_copy(int argc, Value *args) {
  CHECK_BYTES(NULL, 0);
  RANGE(1, args[0], BYTES_LENGTH(args[0]), start, end);
  RESERVE((uint64_t)(end - start) + 16);
  charge((end - start) / 64);
  return new_bytes(BYTES(args[0]) + start, end - start);
}

static Value prim_copy_to(int argc, Value *args) {
  CHECK_MUTABLE_BYTES(0);
  uint32_t at, room = BYTES_LENGTH(args[0]);
  CHECK_INDEX(NULL, 1, 0, room, args[0], at);
  CHECK_BYTES(NULL, 2);
  RANGE(3, args[2], BYTES_LENGTH(args[2]), start, end);
  if (end - start > room - at) return err_range(NULL, "end of the copy", (int64_t)at + (end - start), 0, room, args[0]);
  charge((end - start) / 64);
  if (end > start) memmove(BYTES(args[0]) + at, BYTES(args[2]) + start, end - start);
  return V_VOID;
}

static Value prim_fill(int argc, Value *args) {
  CHECK_MUTABLE_BYTES(0);
  CHECK_FILL(1);
  RANGE(2, args[0], BYTES_LENGTH(args[0]), start, end);
  charge((end - start) / 64);
  memset(BYTES(args[0]) + start, (int)FIX_VALUE(args[1]), end - start);
  return V_VOID;
}

static Value prim_fill_bytes(int argc, Value *args) {
  CHECK_MUTABLE_BYTES(0);
  CHECK_BYTE(1);
  return prim_fill(argc, args);
}

static Value prim_append(int argc, Value *args) {
  uint64_t length = 0;
  for (int i = 0; i < argc; i++) {
    CHECK_BYTES(NULL, i);
    length += BYTES_LENGTH(args[i]);
  }
  RESERVE(length + 16);
  charge((int64_t)(length / 64) + argc / 4);
  Value bytes = heap_raw(T_BYTES, 0, (uint32_t)length);
  uint8_t *to = BYTES(bytes);
  for (int i = 0; i < argc; i++) {
    if (BYTES_LENGTH(args[i])) memcpy(to, BYTES(args[i]), BYTES_LENGTH(args[i]));
    to += BYTES_LENGTH(args[i]);
  }
  return bytes;
}

static int compare(Value a, Value b) {
  uint32_t la = BYTES_LENGTH(a), lb = BYTES_LENGTH(b);
  uint32_t common = la < lb ? la : lb, i = (uint32_t)same_bytes(BYTES(a), BYTES(b), common);
  charge(common / 64);
  if (i < common) return BYTES(a)[i] < BYTES(b)[i] ? -1 : 1;
  return la < lb ? -1 : la > lb;
}

#define COMPARISON(name, op) \
  static Value name(int argc, Value *args) { \
    bool all = true; \
    for (int i = 0; i < argc; i++) CHECK_BYTES(NULL, i); \
    for (int i = 1; i < argc && all; i++) all = compare(args[i - 1], args[i]) op 0; \
    return BOOL(all); \
  }
COMPARISON(prim_eq, ==)
COMPARISON(prim_lt, <)
COMPARISON(prim_gt, >)

static Value prim_to_list(int argc, Value *args) {
  CHECK_BYTES(NULL, 0);
  RANGE(1, args[0], BYTES_LENGTH(args[0]), start, end);
  Value *kept = progress(), list = kept ? kept[1] : V_NIL;
  FOR_PAUSING(i, kept ? (uint32_t)FIX_VALUE(kept[0]) : 0, end - start, 2, pause_keeping(2, FIX(i), list))
    list = cons(FIX(BYTES(args[0])[end - 1 - i]), list);
  return list;
}

static Value prim_from_list(int argc, Value *args) {
  (void)argc;
  int64_t length = list_length(args[0]);
  if (length < 0) return err_type(NULL, 0, "list of bytes", args[0]);
  RESERVE((uint64_t)length + 16);
  charge(length / 4);
  Value bytes = heap_raw(T_BYTES, 0, (uint32_t)length);
  uint8_t *to = BYTES(bytes);
  for (Value rest = args[0]; rest != V_NIL; rest = CDR(rest)) {
    Value item = CAR(rest);
    if (!IS_FIX(item) || FIX_VALUE(item) < 0 || FIX_VALUE(item) > 255) return err_type(NULL, 0, "list of bytes", args[0]);
    *to++ = (uint8_t)FIX_VALUE(item);
  }
  return bytes;
}

const PrimDef bytes_prims[] = {
  {"bytevector?", prim_is_bytes, 1, 1, "(bytevector? obj)"},
  {"bytes?", prim_is_bytes, 1, 1, "(bytes? obj)"},
  {"bytevector-length", prim_length, 1, 1, "(bytevector-length bytevector)"},
  {"bytes-length", prim_length, 1, 1, "(bytes-length bytes)"},
  {"make-bytevector", prim_make, 1, 2, "(make-bytevector k [byte])"},
  {"make-bytes", prim_make_bytes, 1, 2, "(make-bytes k [byte])"},
  {"bytevector", prim_bytes, 0, -1, "(bytevector byte ...)"},
  {"bytes", prim_bytes, 0, -1, "(bytes byte ...)"},
  {"bytevector-u8-ref", prim_ref, 2, 2, "(bytevector-u8-ref bytevector k)"},
  {"bytes-ref", prim_ref, 2, 2, "(bytes-ref bytes k)"},
  {"bytevector-u8-set!", prim_set, 3, 3, "(bytevector-u8-set! bytevector k byte)"},
  {"bytes-set!", prim_set, 3, 3, "(bytes-set! bytes k byte)"},
  {"bytevector-copy", prim_copy, 1, 3, "(bytevector-copy bytevector [start end])"},
  {"bytes-copy", prim_copy, 1, 1, "(bytes-copy bytes)"},
  {"subbytes", prim_copy, 2, 3, "(subbytes bytes start [end])"},
  {"bytevector-copy!", prim_copy_to, 3, 5, "(bytevector-copy! to at from [start end])"},
  {"bytes-copy!", prim_copy_to, 3, 5, "(bytes-copy! to at from [start end])"},
  {"bytevector-fill!", prim_fill, 2, 4, "(bytevector-fill! bytevector byte [start end])"},
  {"bytes-fill!", prim_fill_bytes, 2, 2, "(bytes-fill! bytes byte)"},
  {"bytevector-append", prim_append, 0, -1, "(bytevector-append bytevector ...)"},
  {"bytes-append", prim_append, 0, -1, "(bytes-append bytes ...)"},
  {"bytes=?", prim_eq, 1, -1, "(bytes=? bytes ...)"},
  {"bytes<?", prim_lt, 1, -1, "(bytes<? bytes ...)"},
  {"bytes>?", prim_gt, 1, -1, "(bytes>? bytes ...)"},
  {"bytes->list", prim_to_list, 1, 3, "(bytes->list bytes [start end])"},
  {"list->bytes", prim_from_list, 1, 1, "(list->bytes list)"},
  {0},
};
