/* bytes.c — bytevectors (Racket's bytes), R7RS's and Racket's names for the same procedures. */
#include "data/bytes.h"
#include "text/string.h"
#include <string.h>

#define CHECK_BYTE(i) do { if (!IS_FIX(args[i]) || FIX_VALUE(args[i]) < 0 || FIX_VALUE(args[i]) > 255) \
    return err_type(NULL, i, "byte", args[i]); } while (0)
#define CHECK_MUTABLE_BYTES(i) do { CHECK_BYTES(NULL, i); \
    if (OBJ_FLAGS(args[i]) & H_IMMUTABLE) return err_type(NULL, i, "mutable bytevector", args[i]); } while (0)

/* Progress: the copy, and how much of it there is. */
Value bytes_cut(Value from, uint32_t start, uint32_t end) {
  uint32_t count = end - start;
  Value *kept = progress(), bytes = kept ? kept[0] : V_FALSE;
  if (bytes == V_FALSE) {
    RESERVE((uint64_t)count + 16);
    bytes = heap_raw(T_BYTES, 0, count);
  }
  FOR_PARTS(i, part, kept ? (uint32_t)FIX_VALUE(kept[1]) : 0, count, 64, pause_keeping(2, bytes, FIX(i)))
    memcpy(BYTES(bytes) + i, RAW_BYTES(from) + start + i, part);
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

static Value make_filled(int argc, Value *args) {
  if (!IS_FIX(args[0]) || FIX_VALUE(args[0]) < 0) return err_type(NULL, 0, "exact nonnegative integer", args[0]);
  uint64_t length = (uint64_t)FIX_VALUE(args[0]);
  Value *kept = progress(), bytes = kept ? kept[0] : V_FALSE;
  if (bytes == V_FALSE) {
    RESERVE(length + 16);
    bytes = heap_raw(T_BYTES, 0, (uint32_t)length);
  }
  FOR_PARTS(i, part, kept ? (uint32_t)FIX_VALUE(kept[1]) : 0, (uint32_t)length, 64, pause_keeping(2, bytes, FIX(i)))
    memset(BYTES(bytes) + i, HAS_ARG(1) ? (int)FIX_VALUE(args[1]) : 0, part);
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
  return bytes_cut(args[0], start, end);
}

static Value prim_copy_to(int argc, Value *args) {
  CHECK_MUTABLE_BYTES(0);
  uint32_t at, room = BYTES_LENGTH(args[0]);
  CHECK_INDEX(NULL, 1, 0, room, args[0], at);
  CHECK_BYTES(NULL, 2);
  RANGE(3, args[2], BYTES_LENGTH(args[2]), start, end);
  if (end - start > room - at) return err_range(NULL, "end of the copy", (int64_t)at + (end - start), 0, room, args[0]);
  uint32_t count = end - start;
  bool backwards = args[0] == args[2] && at > start;       /* a part may lie over what is still to be copied */
  FOR_PARTS(i, part, progress() ? (uint32_t)FIX_VALUE(progress()[0]) : 0, count, 64, pause_keeping(1, FIX(i))) {
    uint32_t k = backwards ? count - i - part : i;
    memmove(BYTES(args[0]) + at + k, BYTES(args[2]) + start + k, part);
  }
  return V_VOID;
}

static Value prim_fill(int argc, Value *args) {
  CHECK_MUTABLE_BYTES(0);
  CHECK_FILL(1);
  RANGE(2, args[0], BYTES_LENGTH(args[0]), start, end);
  FOR_PARTS(i, part, progress() ? (uint32_t)FIX_VALUE(progress()[0]) : start, end, 64, pause_keeping(1, FIX(i)))
    memset(BYTES(args[0]) + i, (int)FIX_VALUE(args[1]), part);
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
  /* progress: the result; which is being copied, from which byte on; where it begins in the result */
  Value *kept = progress(), bytes = kept ? kept[0] : V_FALSE;
  int first = kept ? (int)FIX_VALUE(kept[1]) : 0;
  uint32_t within = kept ? (uint32_t)FIX_VALUE(kept[2]) : 0, at = kept ? (uint32_t)FIX_VALUE(kept[3]) : 0;
  if (bytes == V_FALSE) {
    RESERVE(length + 16);
    charge(argc / 4);
    bytes = heap_raw(T_BYTES, 0, (uint32_t)length);
  }
  for (int k = first; k < argc; k++, within = 0) {
    FOR_PARTS(i, part, within, BYTES_LENGTH(args[k]), 64, pause_keeping(4, bytes, FIX(k), FIX(i), FIX(at)))
      memcpy(BYTES(bytes) + at + i, BYTES(args[k]) + i, part);
    at += BYTES_LENGTH(args[k]);
    if (BYTES_LENGTH(args[k]) > 64 && k + 1 < argc && should_pause()) return pause_keeping(4, bytes, FIX(k + 1), FIX(0), FIX(at));
  }
  return bytes;
}

/* From the byte at *at on; V_AGAIN where it pauses there. */
static Value ordered(Value a, Value b, uint32_t *at, int *order) {
  uint32_t la = BYTES_LENGTH(a), lb = BYTES_LENGTH(b), common = la < lb ? la : lb;
  FOR_PARTS(i, part, *at, common, 64, (*at = i, V_AGAIN)) {
    uint32_t same = (uint32_t)same_bytes(BYTES(a) + i, BYTES(b) + i, part);
    if (same == part) continue;
    *order = BYTES(a)[i + same] < BYTES(b)[i + same] ? -1 : 1;
    return V_TRUE;
  }
  *order = la < lb ? -1 : la > lb;
  return V_TRUE;
}

/* Progress: which is compared with the one before it, and the byte where to go on. */
#define COMPARISON(name, op) \
  static Value name(int argc, Value *args) { \
    bool all = true; \
    Value *kept = progress(); \
    uint32_t at = kept ? (uint32_t)FIX_VALUE(kept[1]) : 0; \
    for (int i = 0; i < argc; i++) CHECK_BYTES(NULL, i); \
    for (int i = kept ? (int)FIX_VALUE(kept[0]) : 1, order; i < argc && all; i++, at = 0) { \
      if (ordered(args[i - 1], args[i], &at, &order) == V_AGAIN) return pause_keeping(2, FIX(i), FIX(at)); \
      all = order op 0; \
    } \
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
  Value *kept = progress(), bytes, rest = args[0];        /* counted, then #(done bytes rest) */
  uint32_t begun = 0;
  if (!kept || VEC_LENGTH(vm.resume) == LIST_WALK_SIZE) {
    Value count = kept ? vm.resume : V_FALSE, end;
    int64_t length;
    if (list_walk_count(args[0], &count, &length, &end) == V_AGAIN) {
      vm.resume = count;
      return V_AGAIN;
    }
    if (length < 0 || end != V_NIL) return err_type(NULL, 0, "list of bytes", args[0]);
    RESERVE((uint64_t)length + 16);
    bytes = heap_raw(T_BYTES, 0, (uint32_t)length);
  } else {
    begun = (uint32_t)FIX_VALUE(kept[0]);
    bytes = kept[1];
    rest = kept[2];
  }
  uint8_t *to = BYTES(bytes);
  FOR_PAUSING(i, begun, BYTES_LENGTH(bytes), 4, pause_keeping(3, FIX(i), bytes, rest)) {
    Value item = CAR(rest);
    if (!IS_FIX(item) || FIX_VALUE(item) < 0 || FIX_VALUE(item) > 255) return err_type(NULL, 0, "list of bytes", args[0]);
    to[i] = (uint8_t)FIX_VALUE(item);
    rest = CDR(rest);
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
