/* bitwise.c — exact integers as endless two's complement bit strings. */
#include "numbers/bignum.h"
#include "numbers/number.h"
#include "numbers/resume_log.h"

/* The i-th limb of n in two's complement. `carry` starts as 1 and goes from limb to limb. */
static Limb complement_limb(const Int *n, uint32_t i, Limb *carry) {
  Limb limb = i < n->count ? n->limbs[i] : 0;
  if (!n->negative) return limb;
  limb = ~limb + *carry;
  *carry = *carry && limb == 0;
  return limb;
}

enum operation { AND, IOR, XOR };
static inline uint64_t operate(enum operation op, uint64_t a, uint64_t b) {
  return op == AND ? a & b : op == IOR ? a | b : a ^ b;
}

static Value bitwise(enum operation op, Value x, Value y) {
  if (IS_FIX(x) && IS_FIX(y)) return FIX(operate(op, (uint64_t)FIX_VALUE(x), (uint64_t)FIX_VALUE(y)));
  Int a, b;
  int_view(x, &a);
  int_view(y, &b);
  uint32_t count = (a.count > b.count ? a.count : b.count) + 1;    /* one more for the sign */
  Value r;
  if (resume_log_pass(count, &r)) return r;
  TRY_LET(room, int_room(count));
  charge(count / 8);
  bool negative = operate(op, a.negative, b.negative) & 1;
  r = int_new(count, negative);
  Limb *out = BIG_LIMBS(r), a_carry = 1, b_carry = 1, carry = 1;
  for (uint32_t i = 0; i < count; i++) {
    Limb limb = (Limb)operate(op, complement_limb(&a, i, &a_carry), complement_limb(&b, i, &b_carry));
    if (negative) {
      limb = ~limb + carry;
      carry = carry && limb == 0;
    }
    out[i] = limb;
  }
  return resume_log_note_pass(count, int_trim(r));
}
static Value bit_and(Value a, Value b) { return bitwise(AND, a, b); }
static Value bit_ior(Value a, Value b) { return bitwise(IOR, a, b); }
static Value bit_xor(Value a, Value b) { return bitwise(XOR, a, b); }
static Value bit_not(Value a) { return IS_FIX(a) ? FIX(~FIX_VALUE(a)) : int_sub(FIX(-1), a); }

#define WANT_INTEGER(who, i) if (!is_exact_integer(args[i])) return err_type(who, i, "exact integer", args[i])

static Value fold_bits(const char *who, int argc, Value *args, Value start, Value (*op)(Value, Value)) {
  for (int i = 0; i < argc; i++) WANT_INTEGER(who, i);
  return fold_numbers(who, argc, args, start, op);
}
static Value p_and(int argc, Value *args) { return fold_bits("bitwise-and", argc, args, FIX(-1), bit_and); }
static Value p_ior(int argc, Value *args) { return fold_bits("bitwise-ior", argc, args, FIX(0), bit_ior); }
static Value p_xor(int argc, Value *args) { return fold_bits("bitwise-xor", argc, args, FIX(0), bit_xor); }
static Value p_not(int argc, Value *args) { (void)argc; WANT_INTEGER("bitwise-not", 0); return PAUSING(bit_not(args[0])); }

static Value p_shift(int argc, Value *args) {
  (void)argc;
  WANT_INTEGER("arithmetic-shift", 0);
  WANT_INTEGER("arithmetic-shift", 1);
  if (!IS_FIX(args[1])) {
    if (int_sign(args[1]) < 0) return FIX(int_sign(args[0]) < 0 ? -1 : 0);
    return args[0] == FIX(0) ? args[0] : int_too_large();
  }
  return PAUSING(int_shift(args[0], FIX_VALUE(args[1])));
}

static Value p_length(int argc, Value *args) {
  (void)argc;
  WANT_INTEGER("integer-length", 0);
  if (int_sign(args[0]) >= 0) return FIX(int_bits(args[0]));
  TRY_LET(n, PAUSING(bit_not(args[0])));
  return FIX(int_bits(n));
}

static Value p_count(int argc, Value *args) {
  (void)argc;
  WANT_INTEGER("bit-count", 0);
  Value n = args[0];
  if (int_sign(n) < 0) TRY_SET(n, PAUSING(bit_not(n)));
  Int a;
  int_view(n, &a);
  charge(a.count / 8);
  int64_t ones = 0;
  for (uint32_t i = 0; i < a.count; i++) ones += __builtin_popcount(a.limbs[i]);
  return FIX(ones);
}

static Value p_first_set(int argc, Value *args) {
  (void)argc;
  WANT_INTEGER("first-set-bit", 0);
  return FIX(args[0] == FIX(0) ? -1 : (int64_t)int_trailing_zeros(args[0]));
}

/* An index of a bit: any natural number; past the limit of integers every one is alike. */
static Value bit_index(const char *who, Value *args, int i, int64_t *out) {
  if (!is_exact_integer(args[i]) || int_sign(args[i]) < 0) return err_type(who, i, "exact nonnegative integer", args[i]);
  *out = IS_FIX(args[i]) && FIX_VALUE(args[i]) < INT_BITS_LIMIT ? FIX_VALUE(args[i]) : INT_BITS_LIMIT;
  return V_TRUE;
}

static Value bit_set(Value n, int64_t index) {
  if (IS_FIX(n)) return BOOL(FIX_VALUE(n) >> (index > 62 ? 62 : index) & 1);
  TRY_LET(shifted, int_shift(n, -index));
  return BOOL(int_odd(shifted));
}

static Value p_bit_set(int argc, Value *args) {       /* Racket: (n index) */
  (void)argc;
  int64_t index;
  WANT_INTEGER("bitwise-bit-set?", 0);
  TRY_LET(done, bit_index("bitwise-bit-set?", args, 1, &index));
  return PAUSING(bit_set(args[0], index));
}
static Value p_srfi_bit_set(int argc, Value *args) {  /* SRFI 151: (index n) */
  (void)argc;
  int64_t index;
  TRY_LET(done, bit_index("bit-set?", args, 0, &index));
  WANT_INTEGER("bit-set?", 1);
  return PAUSING(bit_set(args[1], index));
}

static Value field(const char *who, Value *args) {    /* (n start end) */
  int64_t start, end;
  WANT_INTEGER(who, 0);
  TRY_LET(first, bit_index(who, args, 1, &start));
  TRY_LET(second, bit_index(who, args, 2, &end));
  if (end < start) return err_range(who, "end", end, start, INT_BITS_LIMIT, args[0]);
  TRY_LET(shifted, int_shift(args[0], -start));
  TRY_LET(bit, int_shift(FIX(1), end - start));
  TRY_LET(mask, int_sub(bit, FIX(1)));
  return bit_and(shifted, mask);
}
static Value p_field(int argc, Value *args) { (void)argc; return PAUSING(field("bitwise-bit-field", args)); }
static Value p_srfi_field(int argc, Value *args) { (void)argc; return PAUSING(field("bit-field", args)); }

const PrimDef bitwise_prims[] = {
  {"bitwise-and", p_and, 0, -1, "(bitwise-and n ...)"},
  {"bitwise-ior", p_ior, 0, -1, "(bitwise-ior n ...)"},
  {"bitwise-xor", p_xor, 0, -1, "(bitwise-xor n ...)"},
  {"bitwise-not", p_not, 1, 1, "(bitwise-not n)"},
  {"arithmetic-shift", p_shift, 2, 2, "(arithmetic-shift n left)"},
  {"integer-length", p_length, 1, 1, "(integer-length n)"},
  {"bit-count", p_count, 1, 1, "(bit-count n)"},
  {"first-set-bit", p_first_set, 1, 1, "(first-set-bit n)"},
  {"bitwise-bit-set?", p_bit_set, 2, 2, "(bitwise-bit-set? n index)"},
  {"bitwise-bit-field", p_field, 3, 3, "(bitwise-bit-field n start end)"},
  {"bit-set?", p_srfi_bit_set, 2, 2, "(bit-set? index n)"},
  {"bit-field", p_srfi_field, 3, 3, "(bit-field n start end)"},
  {0},
};
