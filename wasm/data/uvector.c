/* uvector.c — uniform vectors (SRFI 4, SRFI 160): numbers of one machine type.
 *
 * An integer that does not fit its type is an error; a real number becomes the nearest one that the type has. f8 has
 * five bits of exponent and two of fraction: what is too large for it becomes its largest number, as an infinity of
 * so coarse a type would say nothing.
 */
#include "data/uvector.h"
#include "numbers/bignum.h"
#include "numbers/number.h"
#include <math.h>
#include <string.h>

static const struct { const char *name; uint8_t bytes; bool is_signed; const char *holds; } types[UV_END] = {
  [UV_U1] = {"u1", 1, false, "0 or 1"},
  [UV_S8] = {"s8", 1, true, "exact integer from -128 to 127"},
  [UV_U8] = {"u8", 1, false, "exact integer from 0 to 255"},
  [UV_S16] = {"s16", 2, true, "exact integer from -32768 to 32767"},
  [UV_U16] = {"u16", 2, false, "exact integer from 0 to 65535"},
  [UV_S32] = {"s32", 4, true, "exact integer from -2147483648 to 2147483647"},
  [UV_U32] = {"u32", 4, false, "exact integer from 0 to 4294967295"},
  [UV_S64] = {"s64", 8, true, "exact integer from -9223372036854775808 to 9223372036854775807"},
  [UV_U64] = {"u64", 8, false, "exact integer from 0 to 18446744073709551615"},
  [UV_F32] = {"f32", 4, true, "real number"},
  [UV_F64] = {"f64", 8, true, "real number"},
  [UV_F8] = {"f8", 1, true, "real number"},
  [UV_F16] = {"f16", 2, true, "real number"},
  [UV_C64] = {"c64", 8, true, "number"},
  [UV_C128] = {"c128", 16, true, "number"},
};

const char *uvector_name(enum uvector_type type) { return types[type].name; }
const char *uvector_holds(enum uvector_type type) { return types[type].holds; }
uint64_t uvector_bytes(enum uvector_type type, uint64_t count) { return count * types[type].bytes; }
uint32_t uvector_length(Value v) { return OBJ_LENGTH(v) / types[UVECTOR_TYPE(v)].bytes; }
static uint8_t *element(Value v, uint32_t i) { return RAW_BYTES(v) + (size_t)i * types[UVECTOR_TYPE(v)].bytes; }

Value uvector_make(enum uvector_type type, uint32_t count) {
  return heap_raw(T_UVECTOR, (uint32_t)type << UVECTOR_TYPE_SHIFT, (uint32_t)uvector_bytes(type, count));
}

/* ---- small floating-point numbers ---- */

static uint64_t bits_of(double d) { uint64_t bits; memcpy(&bits, &d, 8); return bits; }
static double of_bits(uint64_t bits) { double d; memcpy(&d, &bits, 8); return d; }
static double power_of_two(int e) { return of_bits((uint64_t)(e + 1023) << 52); }     /* -1022 <= e <= 1023 */

double half_to_double(uint32_t half) {
  uint32_t exponent = half >> 10 & 31, fraction = half & 0x3ff;
  uint64_t sign = (uint64_t)(half >> 15) << 63;
  if (exponent == 31) return of_bits(sign | 0x7ff0000000000000 | (uint64_t)fraction << 42);
  if (exponent) return of_bits(sign | (uint64_t)(exponent + 1008) << 52 | (uint64_t)fraction << 42);
  double d = fraction / 16777216.0;
  return sign ? -d : d;
}

/* The nearest of those with five bits of exponent and so many of fraction, ties to even: its bits. */
static uint32_t to_small_float(double d, int fraction_bits, bool saturate) {
  uint32_t sign = (uint32_t)(bits_of(d) >> 63) << (fraction_bits + 5), infinity = 31u << fraction_bits;
  double x = fabs(d);
  if (isnan(d)) return sign | infinity | 1u << (fraction_bits - 1);
  if (isinf(d)) return sign | infinity;
  int e = (int)(bits_of(x) >> 52) - 1023;
  if (e > 15) return sign | (saturate ? infinity - 1 : infinity);
  if (e < -14) e = -14;                              /* a subnormal's unit is that of the smallest normal one */
  double scaled = x * power_of_two(fraction_bits - e);
  uint32_t units = (uint32_t)scaled;
  double rest = scaled - units;
  if (rest > 0.5 || (rest == 0.5 && (units & 1))) units++;
  uint32_t bits = ((uint32_t)(e + 14) << fraction_bits) + units;   /* a carry goes into the exponent, as it should */
  return sign | (saturate && bits >= infinity ? infinity - 1 : bits);
}

/* ---- elements ---- */

/* The integer in 64 bits, where it fits. */
static bool integer_bits(enum uvector_type type, Value n, uint64_t *bits) {
  int width = type == UV_U1 ? 1 : 8 * types[type].bytes;
  bool is_signed = types[type].is_signed;
  if (IS_FIX(n)) {
    int64_t i = FIX_VALUE(n);
    *bits = (uint64_t)i;
    if (is_signed) return width == 64 || (i >= -((int64_t)1 << (width - 1)) && i < (int64_t)1 << (width - 1));
    return i >= 0 && (width == 64 || i < (int64_t)1 << width);
  }
  if (!IS(n, T_BIGNUM) || width < 64 || BIG_COUNT(n) > 2) return false;
  uint64_t magnitude = BIG_LIMBS(n)[0] | (BIG_COUNT(n) > 1 ? (uint64_t)BIG_LIMBS(n)[1] << 32 : 0);
  bool negative = BIG_NEGATIVE(n);
  *bits = negative ? 0 - magnitude : magnitude;
  if (!is_signed) return !negative;
  return magnitude <= (uint64_t)INT64_MAX + negative;
}

bool uvector_fits(enum uvector_type type, Value number) {
  uint64_t bits;
  if (type >= UV_C64) return is_number(number);
  return type >= UV_F32 ? is_real(number) : integer_bits(type, number, &bits);
}

static void store_float(uint8_t *to, float f) { memcpy(to, &f, 4); }
static double load_float(const uint8_t *from) { float f; memcpy(&f, from, 4); return f; }
static double load_double(const uint8_t *from) { double d; memcpy(&d, from, 8); return d; }

void uvector_store(Value v, uint32_t i, Value number) {
  enum uvector_type type = UVECTOR_TYPE(v);
  uint8_t *to = element(v, i);
  if (type < UV_F32) {
    uint64_t bits = 0;
    integer_bits(type, number, &bits);
    memcpy(to, &bits, types[type].bytes);              /* little-endian, as both builds are */
    return;
  }
  double re = num_to_double(num_real_part(number)), im = type >= UV_C64 ? num_to_double(num_imag_part(number)) : 0;
  uint32_t small;
  switch (type) {
    case UV_F32: store_float(to, (float)re); break;
    case UV_F64: memcpy(to, &re, 8); break;
    case UV_F8: *to = (uint8_t)to_small_float(re, 2, true); break;
    case UV_F16: small = to_small_float(re, 10, false); memcpy(to, &small, 2); break;
    case UV_C64: store_float(to, (float)re); store_float(to + 4, (float)im); break;
    default: memcpy(to, &re, 8); memcpy(to + 8, &im, 8);
  }
}

Value uvector_load(Value v, uint32_t i) {
  const uint8_t *from = element(v, i);
  uint16_t half;
  uint64_t bits = 0;
  enum uvector_type type = UVECTOR_TYPE(v);
  switch (type) {
    case UV_F32: return make_flonum(load_float(from));
    case UV_F64: return make_flonum(load_double(from));
    case UV_F8: return make_flonum(half_to_double((uint32_t)*from << 8));
    case UV_F16: memcpy(&half, from, 2); return make_flonum(half_to_double(half));
    case UV_C64: return make_complex_double(load_float(from), load_float(from + 4));
    case UV_C128: return make_complex_double(load_double(from), load_double(from + 8));
    default: memcpy(&bits, from, types[type].bytes);
  }
  if (!types[type].is_signed) return int_from_u64(bits);
  int unused = 64 - 8 * types[type].bytes;
  return int_from_i64((int64_t)(bits << unused) >> unused);
}

bool uvector_alike(Value a, Value b) { return UVECTOR_TYPE(a) == UVECTOR_TYPE(b) && OBJ_LENGTH(a) == OBJ_LENGTH(b); }

bool uvector_equal(Value a, Value b) {
  charge(OBJ_LENGTH(a) >> 5);
  return uvector_alike(a, b) && memcmp(RAW_BYTES(a), RAW_BYTES(b), OBJ_LENGTH(a)) == 0;
}

/* ---- primitives ----
 * Those of one type do what these do, which are given the type. */

static bool is_of(Value v, enum uvector_type type) { return IS(v, T_UVECTOR) && UVECTOR_TYPE(v) == type; }

static Value wrong_vector(int i, enum uvector_type type, Value got) {
  char text[32];
  strcat(strcpy(text, types[type].name), "vector");
  return err_type(NULL, i, text, got);
}
#define CHECK_OF(i, type) do { if (!is_of(args[i], type)) return wrong_vector(i, type, args[i]); } while (0)
#define CHECK_FITS(i, type) do { if (!uvector_fits(type, args[i])) return err_type(NULL, i, types[type].holds, args[i]); } while (0)

static Value is_type(enum uvector_type type, Value *args) { return BOOL(is_of(args[0], type)); }

static Value make_filled(enum uvector_type type, int argc, Value *args) {
  if (!IS_FIX(args[0]) || FIX_VALUE(args[0]) < 0) return err_type(NULL, 0, "exact nonnegative integer", args[0]);
  if (HAS_ARG(1)) CHECK_FITS(1, type);
  uint64_t count = (uint64_t)FIX_VALUE(args[0]), bytes = uvector_bytes(type, count);
  if (count > UINT32_MAX || bytes > UINT32_MAX - 64) return need_memory(UINT64_MAX / 2);
  Value *kept = progress(), v = kept ? kept[0] : V_FALSE;
  if (v == V_FALSE) {
    RESERVE(bytes + 16);
    v = uvector_make(type, (uint32_t)count);
  }
  if (!HAS_ARG(1) || !count) {
    FOR_PARTS(i, part, kept ? (uint32_t)FIX_VALUE(kept[1]) : 0, (uint32_t)bytes, 64, pause_keeping(2, v, FIX(i)))
      memset(RAW_BYTES(v) + i, 0, part);
    return v;
  }
  uint32_t filled = kept ? (uint32_t)FIX_VALUE(kept[1]) : (uint32_t)uvector_bytes(type, 1);
  if (!kept) uvector_store(v, 0, args[1]);
  while (filled < bytes) {                /* twice as much each time, up to a part; that is a multiple of what an element has */
    uint32_t part = filled < LONG_PART ? filled : LONG_PART;
    if (part > bytes - filled) part = (uint32_t)bytes - filled;
    memcpy(RAW_BYTES(v) + filled, RAW_BYTES(v), part);
    filled += part;
    charge(part / 64);
    if (filled < bytes && should_pause()) return pause_keeping(2, v, FIX(filled));
  }
  return v;
}

static Value of_arguments(enum uvector_type type, int argc, Value *args) {
  for (int i = 0; i < argc; i++) CHECK_FITS(i, type);
  RESERVE(uvector_bytes(type, (uint64_t)argc) + 16);
  charge(argc / 8);
  Value v = uvector_make(type, (uint32_t)argc);
  for (int i = 0; i < argc; i++) uvector_store(v, (uint32_t)i, args[i]);
  return v;
}

static Value length_of(enum uvector_type type, Value *args) {
  CHECK_OF(0, type);
  return FIX(uvector_length(args[0]));
}

static Value ref(enum uvector_type type, Value *args) {
  uint32_t i;
  CHECK_OF(0, type);
  CHECK_INDEX(NULL, 1, 0, (int64_t)uvector_length(args[0]) - 1, args[0], i);
  return uvector_load(args[0], i);
}

static Value set(enum uvector_type type, Value *args) {
  uint32_t i;
  CHECK_OF(0, type);
  if (OBJ_FLAGS(args[0]) & H_IMMUTABLE) return err_type(NULL, 0, "mutable uniform vector", args[0]);
  CHECK_INDEX(NULL, 1, 0, (int64_t)uvector_length(args[0]) - 1, args[0], i);
  CHECK_FITS(2, type);
  uvector_store(args[0], i, args[2]);
  return V_VOID;
}

static Value to_list(enum uvector_type type, int argc, Value *args) {
  CHECK_OF(0, type);
  RANGE(1, args[0], uvector_length(args[0]), start, end);
  enum { ROUND = 512 };                    /* a pair and a number each: more than FOR_PAUSING's rounds leave room for */
  Value *kept = progress(), list = kept ? kept[1] : V_NIL;
  uint32_t begun = kept ? (uint32_t)FIX_VALUE(kept[0]) : 0;
  for (uint32_t i = begun; i < end - start; i++) {
    if (i != begun && (i - begun) % ROUND == 0 && (charge(ROUND / 2), should_pause())) return pause_keeping(2, FIX(i), list);
    list = cons(uvector_load(args[0], end - 1 - i), list);
  }
  charge((end - start - begun) % ROUND / 2);
  return list;
}

static Value from_list(enum uvector_type type, int i, Value *args) {
  Value *kept = progress(), v, rest = args[i];             /* counted, then #(done uvector rest) */
  uint32_t begun = 0;
  if (!kept || VEC_LENGTH(vm.resume) == LIST_WALK_SIZE) {
    Value progress = kept ? vm.resume : V_FALSE, end;
    int64_t count;
    if (list_walk_count(args[i], &progress, &count, &end) == V_AGAIN) {
      vm.resume = progress;
      return V_AGAIN;
    }
    if (count < 0 || end != V_NIL) return err_type(NULL, i, "list", args[i]);
    uint64_t bytes = uvector_bytes(type, (uint64_t)count);
    if (bytes > UINT32_MAX - 64) return need_memory(UINT64_MAX / 2);
    RESERVE(bytes + 16);
    v = uvector_make(type, (uint32_t)count);
  } else {
    begun = (uint32_t)FIX_VALUE(kept[0]);
    v = kept[1];
    rest = kept[2];
  }
  FOR_PAUSING(at, begun, uvector_length(v), 2, pause_keeping(3, FIX(at), v, rest)) {
    if (!uvector_fits(type, CAR(rest))) return err_type(NULL, i, types[type].holds, CAR(rest));
    uvector_store(v, at, CAR(rest));
    rest = CDR(rest);
  }
  return v;
}

/* Chibi-Scheme's own, which are given the type as a number. */
static Value check_type(Value number) {
  bool is_one = IS_FIX(number) && FIX_VALUE(number) > 0 && FIX_VALUE(number) < UV_END && FIX_VALUE(number) != UV_U8;
  return is_one ? V_TRUE : err_type(NULL, 0, "number of a uniform vector's type", number);
}
static Value prim_make_uvector(int argc, Value *args) {
  TRY_LET(fine, check_type(args[0]));
  return make_filled((enum uvector_type)FIX_VALUE(args[0]), argc - 1, args + 1);
}
static Value prim_list_to_uvector(int argc, Value *args) {
  (void)argc;
  TRY_LET(fine, check_type(args[0]));
  return from_list((enum uvector_type)FIX_VALUE(args[0]), 1, args);
}
static Value prim_uvector_length(int argc, Value *args) {
  (void)argc;
  if (IS(args[0], T_BYTES)) return FIX(BYTES_LENGTH(args[0]));
  if (!IS(args[0], T_UVECTOR)) return err_type(NULL, 0, "uniform vector", args[0]);
  return FIX(uvector_length(args[0]));
}

#define UNIFORM(X) \
  X(u1, UV_U1) X(s8, UV_S8) X(s16, UV_S16) X(u16, UV_U16) X(s32, UV_S32) X(u32, UV_U32) X(s64, UV_S64) X(u64, UV_U64) \
  X(f32, UV_F32) X(f64, UV_F64) X(f8, UV_F8) X(f16, UV_F16) X(c64, UV_C64) X(c128, UV_C128)

#define PROCEDURES(name, type) \
  static Value name##_is(int argc, Value *args) { (void)argc; return is_type(type, args); } \
  static Value name##_make(int argc, Value *args) { return make_filled(type, argc, args); } \
  static Value name##_of(int argc, Value *args) { return of_arguments(type, argc, args); } \
  static Value name##_length(int argc, Value *args) { (void)argc; return length_of(type, args); } \
  static Value name##_ref(int argc, Value *args) { (void)argc; return ref(type, args); } \
  static Value name##_set(int argc, Value *args) { (void)argc; return set(type, args); } \
  static Value name##_to_list(int argc, Value *args) { return to_list(type, argc, args); } \
  static Value name##_from_list(int argc, Value *args) { (void)argc; return from_list(type, 0, args); }
UNIFORM(PROCEDURES)

#define ROWS(name, type) \
  {"%" #name "vector?", name##_is, 1, 1, "(" #name "vector? obj)"}, \
  {"%make-" #name "vector", name##_make, 1, 2, "(make-" #name "vector k [number])"}, \
  {"%" #name "vector", name##_of, 0, -1, "(" #name "vector number ...)"}, \
  {"%" #name "vector-length", name##_length, 1, 1, "(" #name "vector-length " #name "vector)"}, \
  {"%" #name "vector-ref", name##_ref, 2, 2, "(" #name "vector-ref " #name "vector k)"}, \
  {"%" #name "vector-set!", name##_set, 3, 3, "(" #name "vector-set! " #name "vector k number)"}, \
  {"%" #name "vector->list", name##_to_list, 1, 3, "(" #name "vector->list " #name "vector [start end])"}, \
  {"%list->" #name "vector", name##_from_list, 1, 1, "(list->" #name "vector list)"},

const PrimDef uvector_prims[] = {
  {"%make-uvector", prim_make_uvector, 2, 3, "(make-uvector type k [number])"},
  {"%list->uvector", prim_list_to_uvector, 2, 2, "(list->uvector type list)"},
  {"%uvector-length", prim_uvector_length, 1, 1, "(uvector-length uvector)"},
  UNIFORM(ROWS)
  {0},
};
