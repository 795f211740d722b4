/* bignum.c — exact integers as Values: fixnums where they fit, else T_BIGNUM.
 *
 * Every operation first asks for the memory of its result and scratch (int_room), then computes
 * on bare limbs; so a V_AGAIN leaves nothing half done. Results above INT_BITS_LIMIT are refused
 * before they are computed where that can be foreseen.
 */
#include "numbers/bignum.h"
#include "numbers/resume_log.h"
#include "numbers/transform.h"
#include <string.h>

/* ---- limbs of a Value, and back ---- */
void int_view(Value v, Int *out) {
  if (!IS_FIX(v)) {
    out->limbs = BIG_LIMBS(v);
    out->count = BIG_COUNT(v);
    out->negative = BIG_NEGATIVE(v);
    return;
  }
  int64_t n = FIX_VALUE(v);
  uint64_t magnitude = n < 0 ? -(uint64_t)n : (uint64_t)n;
  out->small[0] = (Limb)magnitude;
  out->small[1] = (Limb)(magnitude >> 32);
  out->limbs = out->small;
  out->count = out->small[1] ? 2 : out->small[0] ? 1 : 0;
  out->negative = n < 0;
}

Value int_too_large(void) {
  return err_failf("exn:fail", "exact integer too large: the limit is %d bits", (int)INT_BITS_LIMIT);
}

Value int_room(uint64_t limbs) {
  uint64_t bytes = limbs * sizeof(Limb) + 64;
  return heap_reserve(bytes) ? V_TRUE : need_memory(bytes);
}

Limb *limbs_alloc(uint64_t count) {
  return count ? (Limb *)RAW_BYTES(heap_raw(T_RAW, 0, (uint32_t)(count * sizeof(Limb)))) : NULL;
}

Value int_new(uint32_t limbs, bool negative) {
  return heap_raw(T_BIGNUM, negative ? H_NEGATIVE : 0, limbs * (uint32_t)sizeof(Limb));
}

static Value trim(Value big) {                          /* of any size */
  Limb *limbs = BIG_LIMBS(big);
  uint32_t count = limbs_trim(limbs, BIG_COUNT(big));
  if (count <= 2) {
    uint64_t magnitude = (count > 0 ? limbs[0] : 0) | (count > 1 ? (uint64_t)limbs[1] << 32 : 0);
    if (magnitude <= (uint64_t)FIX_MAX) return FIX(BIG_NEGATIVE(big) ? -(int64_t)magnitude : (int64_t)magnitude);
    if (magnitude == (uint64_t)FIX_MAX + 1 && BIG_NEGATIVE(big)) return FIX(FIX_MIN);
  }
  HEADER_OF(big) = HEADER(T_BIGNUM, OBJ_FLAGS(big), count * (uint32_t)sizeof(Limb));
  return big;
}

static Value within_limit(Value v) { return IS(v, T_BIGNUM) && BIG_COUNT(v) > INT_LIMBS_LIMIT ? int_too_large() : v; }

Value int_trim(Value big) { return within_limit(trim(big)); }

Value int_from_u64(uint64_t n) {
  if (n <= (uint64_t)FIX_MAX) return FIX(n);
  Value v = int_new(2, false);
  BIG_LIMBS(v)[0] = (Limb)n;
  BIG_LIMBS(v)[1] = (Limb)(n >> 32);
  return v;
}

Value int_from_i64(int64_t n) {
  if (FITS_FIX(n)) return FIX(n);
  Value v = int_from_u64(n < 0 ? -(uint64_t)n : (uint64_t)n);
  if (n < 0) SET_FLAG(v, H_NEGATIVE);
  return v;
}

Value int_from_bytes(const uint8_t *big_endian, uint32_t count, bool negative) {
  while (count && !*big_endian) big_endian++, count--;
  if (count > INT_BITS_LIMIT / 8) return int_too_large();
  uint32_t limbs = (count + 3) / 4;
  TRY_LET(room, int_room(limbs));
  Value v = int_new(limbs, negative);
  memset(BIG_LIMBS(v), 0, limbs * sizeof(Limb));
  for (uint32_t i = 0; i < count; i++)
    BIG_LIMBS(v)[i / 4] |= (Limb)big_endian[count - 1 - i] << (8 * (i % 4));
  return int_trim(v);
}

uint32_t int_byte_length(Value n) { return (int_bits(n) + 7) / 8; }

void int_to_bytes(Value n, uint8_t *big_endian) {
  Int a;
  int_view(n, &a);
  uint32_t count = int_byte_length(n);
  for (uint32_t i = 0; i < count; i++)
    big_endian[count - 1 - i] = (uint8_t)(a.limbs[i / 4] >> (8 * (i % 4)));
}

/* ---- sign and size ---- */
int int_sign(Value a) {
  if (IS_FIX(a)) return FIX_VALUE(a) < 0 ? -1 : FIX_VALUE(a) > 0;
  return BIG_NEGATIVE(a) ? -1 : 1;
}

bool int_odd(Value a) { return IS_FIX(a) ? FIX_VALUE(a) & 1 : BIG_LIMBS(a)[0] & 1; }

uint32_t int_bits(Value v) {
  Int a;
  int_view(v, &a);
  return limbs_bits(a.limbs, a.count);
}

uint32_t int_trailing_zeros(Value v) {
  Int a;
  int_view(v, &a);
  uint32_t i = 0;
  while (!a.limbs[i]) i++;
  return 32 * i + (uint32_t)__builtin_ctz(a.limbs[i]);
}

int int_compare(Value x, Value y) {
  if (IS_FIX(x) && IS_FIX(y)) return (int64_t)x < (int64_t)y ? -1 : (int64_t)x > (int64_t)y;
  Int a, b;
  int_view(x, &a);
  int_view(y, &b);
  if (a.negative != b.negative) return a.negative ? -1 : 1;
  int order = limbs_compare(a.limbs, a.count, b.limbs, b.count);
  return a.negative ? -order : order;
}

Value int_negate(Value v) {
  if (IS_FIX(v)) return int_from_i64(-FIX_VALUE(v));
  uint32_t count = BIG_COUNT(v);
  Value r;
  if (resume_log_pass(count, &r)) return r;
  TRY_LET(room, int_room(count));
  charge(count / 8);
  r = int_new(count, !BIG_NEGATIVE(v));
  memcpy(BIG_LIMBS(r), BIG_LIMBS(v), count * sizeof(Limb));
  return resume_log_note_pass(count, int_trim(r));      /* -(FIX_MAX + 1) is a fixnum */
}

Value int_abs(Value v) { return int_sign(v) < 0 ? int_negate(v) : v; }

/* ---- addition ---- */
static Value add_signed(Value x, Value y, bool flip) {
  Int a, b;
  int_view(x, &a);
  int_view(y, &b);
  bool b_negative = b.negative != flip;
  const Int *big = &a, *small = &b;
  bool negative = a.negative;
  if (limbs_compare(a.limbs, a.count, b.limbs, b.count) < 0) { big = &b; small = &a; negative = b_negative; }
  Value r;
  if (resume_log_pass(big->count, &r)) return r;
  TRY_LET(room, int_room(big->count + 1));
  charge(big->count / 8);
  r = int_new(big->count + 1, negative);
  Limb *out = BIG_LIMBS(r);
  if (a.negative == b_negative) {
    out[big->count] = limbs_add(out, big->limbs, big->count, small->limbs, small->count);
  } else {
    limbs_sub(out, big->limbs, big->count, small->limbs, small->count);
    out[big->count] = 0;
  }
  return resume_log_note_pass(big->count, int_trim(r));
}

Value int_add(Value a, Value b) {
  if (IS_FIX(a) && IS_FIX(b)) return int_from_i64(FIX_VALUE(a) + FIX_VALUE(b));
  return add_signed(a, b, false);
}

Value int_sub(Value a, Value b) {
  if (IS_FIX(a) && IS_FIX(b)) return int_from_i64(FIX_VALUE(a) - FIX_VALUE(b));
  return add_signed(a, b, true);
}

/* ---- multiplication ---- */

/* A product or quotient that takes long is noted in the resume_log while it is under way: a vector of
   what has been done so far, which its result takes the place of. */
static bool go_on(Value *part) { return resume_log.open && resume_log_next(part); }

static Value pause_part(Value part, bool again) {
  resume_log_note_part(part, again);
  return V_AGAIN;
}

static Value finish(Value result, bool again) {
  if (!resume_log.open || IS_SIGNAL(result)) return result;
  resume_log_note_part(result, again);
  return resume_log_should_pause() ? V_AGAIN : result;
}

/* By a transform: #(passes done, scratch, result). */
enum { MUL_PASS, MUL_SCRATCH, MUL_RESULT, MUL_PART };
static Value mul_in_passes(const Int *a, const Int *b) {
  uint32_t an = a->count, bn = b->count;
  Value part;
  bool again = go_on(&part);
  if (again && !IS(part, T_VECTOR)) return part;
  if (!again) {
    TRY_LET(room, int_room((uint64_t)an + bn + 2 * transform_words(an, bn) + 32));
    part = make_vector(MUL_PART, FIX(0));
    VEC(part)[MUL_SCRATCH] = heap_raw(T_RAW, 0, 8 * transform_words(an, bn));
    VEC(part)[MUL_RESULT] = int_new(an + bn, a->negative != b->negative);
    transform_begin((uint64_t *)RAW_BYTES(VEC(part)[MUL_SCRATCH]), a->limbs, an, b->limbs, bn);
    charge((an + bn) / 8);
    if (resume_log_should_pause()) return pause_part(part, again);
  }
  Value r = VEC(part)[MUL_RESULT];
  uint32_t passes = transform_passes(an, bn), pass = (uint32_t)FIX_VALUE(VEC(part)[MUL_PASS]);
  for (; pass < passes; pass++) {
    if (resume_log_should_pause() && pass != (uint32_t)FIX_VALUE(VEC(part)[MUL_PASS])) {
      VEC(part)[MUL_PASS] = FIX(pass);
      return pause_part(part, again);
    }
    transform_pass(pass, (uint64_t *)RAW_BYTES(VEC(part)[MUL_SCRATCH]), BIG_LIMBS(r), an, bn);
    charge((int64_t)transform_pass_cost(an, bn));
  }
  return finish(trim(r), again);
}

/* A long factor by a short one, a piece of the long one at a time: #(limbs done, result). */
static Value mul_in_pieces(const Int *a, const Int *b) {
  uint32_t an = a->count, bn = b->count, length = bn < 256 ? 4096 : bn, scratch = limbs_mul_scratch(length, bn);
  Value part;
  bool again = go_on(&part);
  if (again && !IS(part, T_VECTOR)) return part;
  TRY_LET(room, int_room((again ? 0 : (uint64_t)an + bn) + length + bn + scratch + 32));
  if (!again) {
    part = make_vector(2, FIX(0));
    VEC(part)[1] = int_new(an + bn, a->negative != b->negative);
    memset(BIG_LIMBS(VEC(part)[1]), 0, (an + bn) * sizeof(Limb));
  }
  Limb *r = BIG_LIMBS(VEC(part)[1]), *product = limbs_alloc(length + bn), *rest = limbs_alloc(scratch);
  uint32_t begun = (uint32_t)FIX_VALUE(VEC(part)[0]);
  for (uint32_t at = begun; at < an; at += length) {
    if (resume_log_should_pause() && at != begun) {
      VEC(part)[0] = FIX(at);
      return pause_part(part, again);
    }
    uint32_t n = an - at < length ? an - at : length;
    limbs_mul(product, a->limbs + at, n, b->limbs, bn, rest);
    limbs_add(r + at, r + at, n + bn, product, n + bn);
    charge((int64_t)limbs_mul_cost(n, bn));
  }
  return finish(trim(VEC(part)[1]), again);
}

/* Also of factors whose product is beyond the limit, on the way to a number that is not. */
static Value multiply(Value x, Value y) {
  int64_t product;
  if (IS_FIX(x) && IS_FIX(y) && !__builtin_mul_overflow(FIX_VALUE(x), FIX_VALUE(y), &product))
    return int_from_i64(product);
  Int a, b;
  int_view(x, &a);
  int_view(y, &b);
  if (!a.count || !b.count) return FIX(0);
  uint64_t cost = limbs_mul_cost(a.count, b.count);
  if (resume_log.open && cost > LONG_STEPS) {
    const Int *large = a.count < b.count ? &b : &a, *small = a.count < b.count ? &a : &b;
    if (limbs_mul_cost(small->count, small->count) > LONG_STEPS) return mul_in_passes(large, small);
    if (large->count >= 2 * small->count) return mul_in_pieces(large, small);
  }
  Value r;
  if (cost > LONG_STEPS && resume_log_next(&r)) return r;
  uint32_t scratch = limbs_mul_scratch(a.count, b.count);
  TRY_LET(room, int_room((uint64_t)a.count + b.count + scratch));
  charge((int64_t)cost);
  r = int_new(a.count + b.count, a.negative != b.negative);
  limbs_mul(BIG_LIMBS(r), a.limbs, a.count, b.limbs, b.count, limbs_alloc(scratch));
  r = trim(r);
  return cost > LONG_STEPS ? resume_log_note(r) : r;
}

Value int_mul(Value x, Value y) {
  if ((uint64_t)int_bits(x) + int_bits(y) > INT_BITS_LIMIT + 32) return int_too_large();
  TRY_LET(product, multiply(x, y));
  return within_limit(product);
}

/* ---- division ---- */

/* |a| >= |b| > 0, from the left; where it takes long: #(limbs of the quotient yet to find, quotient, rest, divisor). */
enum { DIV_LEFT, DIV_QUOTIENT, DIV_REST, DIV_DIVISOR, DIV_PART };
static Value divide_from_left(const Int *a, const Int *b, bool is_long, Value *q, Value *r) {
  uint32_t an = a->count, bn = b->count, scratch = bn == 1 ? 0 : limbs_div_scratch(an, bn);
  Value part = V_FALSE;
  bool again = is_long && go_on(&part);
  if (again && is_pair(part)) { *q = CAR(part); *r = CDR(part); return V_TRUE; }
  TRY_LET(room, int_room((again ? 0 : 2ull * an + 2 * bn + 32) + scratch));
  Value quotient, rest;
  if (bn == 1) {                                        /* never long */
    quotient = int_new(an, a->negative != b->negative);
    Limb left = limbs_div1(BIG_LIMBS(quotient), a->limbs, an, b->limbs[0]);
    *q = int_trim(quotient);
    *r = FIX(a->negative ? -(int64_t)left : (int64_t)left);
    return is_long ? finish(cons(*q, *r), again) : V_TRUE;
  }
  uint32_t shift = (uint32_t)__builtin_clz(b->limbs[bn - 1]);
  if (!again) {
    quotient = int_new(an - bn + 1, a->negative != b->negative);
    rest = int_new(an + 1, a->negative);
    Value divisor = heap_raw(T_RAW, 0, bn * (uint32_t)sizeof(Limb));
    Limb *dividend = BIG_LIMBS(rest);
    limbs_left((Limb *)RAW_BYTES(divisor), b->limbs, bn, shift);
    dividend[an] = limbs_left(dividend, a->limbs, an, shift);
    if (!is_long || !resume_log.open) {
      limbs_div(BIG_LIMBS(quotient), dividend, an, (Limb *)RAW_BYTES(divisor), bn, limbs_alloc(scratch));
    } else {
      part = make_vector(DIV_PART, FIX(an - bn + 1));
      VEC(part)[DIV_QUOTIENT] = quotient;
      VEC(part)[DIV_REST] = rest;
      VEC(part)[DIV_DIVISOR] = divisor;
    }
  } else {
    quotient = VEC(part)[DIV_QUOTIENT];
    rest = VEC(part)[DIV_REST];
  }
  if (part != V_FALSE) {
    Limb *room_to_work = limbs_alloc(scratch), *divisor = (Limb *)RAW_BYTES(VEC(part)[DIV_DIVISOR]);
    uint32_t left = (uint32_t)FIX_VALUE(VEC(part)[DIV_LEFT]), begun = left;
    while (left) {
      if (resume_log_should_pause() && left != begun) {
        VEC(part)[DIV_LEFT] = FIX(left);
        return pause_part(part, again);
      }
      uint32_t before = left;
      left = limbs_div_part(BIG_LIMBS(quotient), BIG_LIMBS(rest), left, divisor, bn, room_to_work);
      charge((int64_t)limbs_div_cost(bn + before - left, bn));
    }
  }
  Limb *dividend = BIG_LIMBS(rest);
  limbs_right(dividend, dividend, bn, shift);
  memset(dividend + bn, 0, (an + 1 - bn) * sizeof(Limb));
  *q = int_trim(quotient);
  *r = int_trim(rest);
  return is_long ? finish(cons(*q, *r), again) : V_TRUE;
}

/* Shifts a natural number by whole limbs, to the left where it is positive. */
static Value magnitude_shift(Value v, int64_t limbs) { return int_shift(v, 32 * limbs); }

/* q is at most a little too large or too small: corrects it by the remainder. All are positive. */
static Value settle(Value a, Value b, Value *q, Value *r) {
  TRY_LET(product, multiply(*q, b));
  TRY_SET(*r, int_sub(a, product));
  while (int_sign(*r) < 0) {
    TRY_SET(*r, int_add(*r, b));
    TRY_SET(*q, int_sub(*q, FIX(1)));
  }
  while (int_compare(*r, b) >= 0) {
    TRY_SET(*r, int_sub(*r, b));
    TRY_SET(*q, int_add(*q, FIX(1)));
  }
  return V_TRUE;
}

/* From so many limbs of the divisor and of the quotient on, multiplications by the reciprocal pay. */
enum { RECIPROCAL_FROM = 1000 };

/* About 2^(64n) / b, b having n limbs. Newton's iteration, whose precision doubles; beneath the last
   steps, a division. */
static Value newton_step(Value b, int64_t n);
static Value reciprocal_of(Value b) {
  Value x, mark;
  if (resume_log_begin(&mark, &x)) return x;
  int64_t n = (int_bits(b) + 31) / 32;
  if (n >= RECIPROCAL_FROM) {
    TRY_SET(x, newton_step(b, n));
  } else {
    TRY_LET(power, int_shift(FIX(1), 64 * n));
    TRY_SET(x, int_quotient(power, b));
  }
  return resume_log_finish(mark, x);
}

static Value newton_step(Value b, int64_t n) {
  int64_t half = n / 2 + 2;                             /* of its upper limbs, and two more to be sure */
  TRY_LET(upper, magnitude_shift(b, half - n));
  TRY_LET(x, reciprocal_of(upper));
  /* With B a limb's base, x is about B^(n + half) / b, and x B^(n - half) what is wanted, to half its length;
     x (B^(n + half) - b x) / B^(2 half) is to be added. */
  TRY_LET(product, int_mul(b, x));                      /* about 2^(32 (n + half)) */
  TRY_LET(one, int_shift(FIX(1), 32 * (n + half)));
  TRY_LET(error, int_sub(one, product));
  bool negative = int_sign(error) < 0;
  TRY_SET(error, int_abs(error));
  TRY_SET(error, magnitude_shift(error, -(n - half)));  /* what the lower limbs say is beyond the precision */
  TRY_LET(correction, int_mul(error, x));
  TRY_SET(correction, magnitude_shift(correction, n - 3 * half));
  TRY_SET(x, magnitude_shift(x, n - half));
  return negative ? int_sub(x, correction) : int_add(x, correction);
}

/* a >= b > 0; reciprocal: that of b, or #f. */
static Value divide_long(Value a, Value b, Value reciprocal, Value *q, Value *r) {
  int64_t an = (int_bits(a) + 31) / 32, bn = (int_bits(b) + 31) / 32, qn = an - bn + 1;
  if (int_compare(a, b) < 0) {
    *q = FIX(0);
    *r = a;
    return V_TRUE;
  }
  Value both, mark;
  if (resume_log_begin(&mark, &both)) {
    *q = CAR(both);
    *r = CDR(both);
    return V_TRUE;
  }
  if (qn > bn + 1) {                                    /* in two: the upper part, and what it leaves with the lower */
    int64_t low = qn / 2;
    TRY_LET(upper, magnitude_shift(a, -low));
    TRY_LET(shifted, magnitude_shift(upper, low));
    TRY_LET(lower, int_sub(a, shifted));
    Value high, rest;
    TRY_LET(first, divide_long(upper, b, reciprocal, &high, &rest));
    TRY_SET(rest, magnitude_shift(rest, low));
    TRY_SET(rest, int_add(rest, lower));
    Value low_quotient;
    TRY_LET(second, divide_long(rest, b, reciprocal, &low_quotient, r));
    TRY_SET(high, magnitude_shift(high, low));
    TRY_SET(*q, int_add(high, low_quotient));
  } else {
    TRY_LET(head, magnitude_shift(a, -(bn - 1)));       /* what decides the quotient */
    TRY_SET(head, multiply(head, reciprocal));
    TRY_SET(*q, magnitude_shift(head, -(bn + 1)));
    TRY_LET(done, settle(a, b, q, r));
  }
  TRY_SET(both, resume_log_finish(mark, cons(*q, *r)));
  return V_TRUE;
}

/* A quotient that is much shorter than the divisor is decided by the upper limbs of both. */
static Value divide_by_upper(Value a, Value b, int64_t qn, Value *q, Value *r) {
  int64_t bn = (int_bits(b) + 31) / 32, low = bn - qn - 2;
  TRY_LET(upper_a, magnitude_shift(a, -low));
  TRY_LET(upper_b, magnitude_shift(b, -low));
  TRY_SET(*q, int_quotient(upper_a, upper_b));
  return settle(a, b, q, r);
}

/* The same for any signs, as one entry of the log. */
static Value divide_whole(Value x, Value y, int64_t qn, bool by_upper, Value *q, Value *r) {
  Value both, mark;
  if (!resume_log_begin(&mark, &both)) {
    TRY_LET(a, int_abs(x));
    TRY_LET(b, int_abs(y));
    Value quotient, rest, reciprocal = V_FALSE;
    if (!by_upper) TRY_SET(reciprocal, reciprocal_of(b));
    TRY_LET(done, by_upper ? divide_by_upper(a, b, qn, &quotient, &rest) : divide_long(a, b, reciprocal, &quotient, &rest));
    if (int_sign(x) != int_sign(y)) TRY_SET(quotient, int_negate(quotient));
    if (int_sign(x) < 0) TRY_SET(rest, int_negate(rest));
    TRY_SET(both, resume_log_finish(mark, cons(quotient, rest)));
  }
  *q = CAR(both);
  *r = CDR(both);
  return V_TRUE;
}

Value int_divide(Value x, Value y, Value *q, Value *r) {
  if (IS_FIX(x) && IS_FIX(y)) {
    int64_t a = FIX_VALUE(x), b = FIX_VALUE(y);
    if (q) *q = int_from_i64(a / b);         /* FIX_MIN / -1 is no fixnum, but fits 64 bits */
    if (r) *r = FIX(a % b);
    return V_TRUE;
  }
  Int a, b;
  int_view(x, &a);
  int_view(y, &b);
  if (limbs_compare(a.limbs, a.count, b.limbs, b.count) < 0) {
    if (q) *q = FIX(0);
    if (r) *r = x;
    return V_TRUE;
  }
  Value quotient, rest;
  uint64_t cost = limbs_div_cost(a.count, b.count);
  uint32_t qn = a.count - b.count + 1;
  bool is_long = cost > LONG_STEPS, upper = is_long && qn + 8 < b.count;
  if (upper || (is_long && qn >= RECIPROCAL_FROM && b.count >= RECIPROCAL_FROM)) {
    TRY_LET(done, divide_whole(x, y, qn, upper, &quotient, &rest));
  } else {
    if (!is_long || !resume_log.open) charge((int64_t)cost);
    TRY_LET(done, divide_from_left(&a, &b, is_long, &quotient, &rest));
  }
  if (q) *q = quotient;
  if (r) *r = rest;
  return V_TRUE;
}

Value int_quotient(Value a, Value b) {
  Value q;
  TRY_LET(done, int_divide(a, b, &q, NULL));
  return q;
}

/* ---- greatest common divisor ---- */
static uint64_t gcd64(uint64_t a, uint64_t b) {
  while (b) { uint64_t r = a % b; a = b; b = r; }
  return a;
}

/* The 62 bits of a that stand at and below bit `top`. */
static uint64_t leading(const Limb *a, uint32_t count, uint32_t top) {
  uint64_t bits = 0;
  for (uint32_t i = 0; i < 3; i++) {
    int64_t at = (int64_t)top / 32 - i;
    uint64_t limb = at >= 0 && at < count ? a[at] : 0;
    int shift = 61 - (int)(top % 32) - (int)(32 * i);
    bits |= shift >= 0 ? limb << shift : limb >> -shift;
  }
  return bits;
}

/* r = |x a + y b| in n limbs; x and y have opposite signs */
static void combine(Limb *r, const Limb *a, const Limb *b, uint32_t n, int64_t x, int64_t y) {
  int64_t carry = 0;
  uint64_t px = (uint64_t)(x < 0 ? -x : x), py = (uint64_t)(y < 0 ? -y : y);
  for (uint32_t i = 0; i < n; i++) {
    int64_t t = (int64_t)(px * a[i]) - (int64_t)(py * b[i]) + carry;
    r[i] = (Limb)t;
    carry = t >> 32;
  }
  if (carry < 0) {
    uint64_t borrow = 1;
    for (uint32_t i = 0; i < n; i++) {
      borrow += (Limb)~r[i];
      r[i] = (Limb)borrow;
      borrow >>= 32;
    }
  }
}

struct pair { Limb *a, *b, *spare_a, *spare_b; uint32_t count; };   /* a >= b, both of count limbs */

/* Lehmer: many Euclidean steps are found from the leading 62 bits, then applied at once. False:
   none could be found, as the next quotient is large or the numbers are short. */
static bool lehmer_step(struct pair *p) {
  uint32_t n = p->count;
  if (n <= 2) return false;
  uint32_t top = limbs_bits(p->a, n) - 1;
  uint64_t a = leading(p->a, n, top), b = leading(p->b, n, top);
  int64_t x0 = 1, x1 = 0, y0 = 0, y1 = 1;                /* a is about x0 a + y0 b, and b x1 a + y1 b */
  for (;;) {
    uint64_t lower = b + (uint64_t)x1, upper = b + (uint64_t)y1;
    if (!lower || !upper) break;
    uint64_t q = (a + (uint64_t)x0) / lower;
    if (q != (a + (uint64_t)y0) / upper || q >> 31) break;
    int64_t x2 = x0 - (int64_t)q * x1, y2 = y0 - (int64_t)q * y1;
    if (x2 > INT32_MAX || x2 < -INT32_MAX || y2 > INT32_MAX || y2 < -INT32_MAX) break;
    uint64_t rest = a - q * b;
    a = b; b = rest;
    x0 = x1; x1 = x2;
    y0 = y1; y1 = y2;
  }
  if (!y0) return false;
  combine(p->spare_a, p->a, p->b, n, x0, y0);
  combine(p->spare_b, p->a, p->b, n, x1, y1);
  *p = (struct pair){p->spare_a, p->spare_b, p->a, p->b, limbs_trim(p->spare_a, n)};
  charge(n / 2);
  return true;
}

static Value limbs_value(const Limb *a, uint32_t count) {
  Value v = int_new(count, false);
  if (count) memcpy(BIG_LIMBS(v), a, count * sizeof(Limb));
  return int_trim(v);
}

/* From x >= y to a pair with the same gcd, of which one division is more than Lehmer's steps can do.
   The resume_log's entry is that pair, in a vector while there is more to do. */
static Value gcd_big(Value x, Value y) {
  bool is_long = (uint64_t)int_bits(x) * int_bits(y) / 2048 > LONG_STEPS, again = false;
  Value entry;
  if (is_long && resume_log_next(&entry)) {
    if (is_pair(entry)) return entry;
    x = VEC(entry)[0];
    y = VEC(entry)[1];
    again = true;
  }
  Int a, b;
  int_view(x, &a);
  int_view(y, &b);
  uint32_t n = a.count;
  TRY_LET(room, int_room(6ull * n + 32));
  struct pair p = {limbs_alloc(n), limbs_alloc(n), limbs_alloc(n), limbs_alloc(n), n};
  memcpy(p.a, a.limbs, n * sizeof(Limb));
  memcpy(p.b, b.limbs, b.count * sizeof(Limb));
  memset(p.b + b.count, 0, (n - b.count) * sizeof(Limb));
  bool more;
  do more = lehmer_step(&p); while (more && !(is_long && resume_log_should_pause()));
  x = limbs_value(p.a, p.count);
  y = limbs_value(p.b, p.count);
  if (more) {
    entry = make_vector(2, x);
    VEC(entry)[1] = y;
  } else {
    entry = cons(x, y);
  }
  if (is_long && resume_log.open) resume_log_note_part(entry, again);
  return more ? V_AGAIN : entry;
}

Value int_gcd(Value a, Value b) {
  TRY_SET(a, int_abs(a));
  TRY_SET(b, int_abs(b));
  while (!IS_FIX(a) || !IS_FIX(b)) {
    if (int_compare(a, b) < 0) { Value t = a; a = b; b = t; }
    if (b == FIX(0)) return a;
    if (!IS_FIX(b) && int_bits(a) - int_bits(b) < 32) {
      TRY_LET(pair, gcd_big(a, b));
      bool smaller = int_compare(CAR(pair), a) < 0;
      a = CAR(pair);
      b = CDR(pair);
      if (smaller) continue;
    }
    Value r;
    TRY_LET(done, int_divide(a, b, NULL, &r));
    a = b;
    b = r;
  }
  return int_from_u64(gcd64((uint64_t)FIX_VALUE(a), (uint64_t)FIX_VALUE(b)));
}

/* ---- shifts, powers, roots ---- */
static Value shift_left(Value v, uint64_t bits) {
  Int a;
  int_view(v, &a);
  if (!a.count) return FIX(0);
  if (bits + limbs_bits(a.limbs, a.count) > INT_BITS_LIMIT) return int_too_large();
  uint32_t whole = (uint32_t)(bits / 32), count = a.count + whole + 1;
  Value r;
  if (resume_log_pass(count, &r)) return r;
  TRY_LET(room, int_room(count));
  charge(count / 8);
  r = int_new(count, a.negative);
  Limb *out = BIG_LIMBS(r);
  memset(out, 0, whole * sizeof(Limb));
  out[count - 1] = limbs_left(out + whole, a.limbs, a.count, bits % 32);
  return resume_log_note_pass(count, int_trim(r));
}

static Value shift_right(Value v, uint64_t bits) {
  Int a;
  int_view(v, &a);
  if (bits >= limbs_bits(a.limbs, a.count)) return FIX(a.negative ? -1 : 0);
  uint32_t whole = (uint32_t)(bits / 32), count = a.count - whole;
  bool round = a.negative && int_trailing_zeros(v) < bits;
  Value r;
  if (!resume_log_pass(count, &r)) {
    TRY_LET(room, int_room(count));
    charge(count / 8);
    r = int_new(count, a.negative);
    limbs_right(BIG_LIMBS(r), a.limbs + whole, count, bits % 32);
    TRY_SET(r, resume_log_note_pass(count, int_trim(r)));
  }
  return round ? int_sub(r, FIX(1)) : r;
}

Value int_shift(Value v, int64_t left) {
  if (IS_FIX(v)) {
    int64_t n = FIX_VALUE(v);
    if (left <= 0) return FIX(left < -63 ? n >> 63 : n >> -left);
    if (left < 62 && n >> (62 - left) == n >> 63) return FIX((int64_t)((uint64_t)n << left));
  }
  return left >= 0 ? shift_left(v, (uint64_t)left) : shift_right(v, -(uint64_t)left);
}

Value int_power(Value base, uint64_t exponent) {
  if (exponent == 0 || base == FIX(1)) return FIX(1);
  if (base == FIX(0)) return base;
  if (base == FIX(-1)) return exponent & 1 ? base : FIX(1);
  uint32_t bits = int_bits(base), zeros = int_trailing_zeros(base);
  if (exponent > INT_BITS_LIMIT || (bits - 1) * exponent >= INT_BITS_LIMIT) return int_too_large();
  if (zeros == bits - 1) {                                 /* a power of two */
    TRY_LET(r, int_shift(FIX(1), (int64_t)(zeros * exponent)));
    return int_sign(base) < 0 && exponent & 1 ? int_negate(r) : r;
  }
  Value r = base;
  for (int i = 62 - __builtin_clzll(exponent); i >= 0; i--) {
    TRY_SET(r, int_mul(r, r));
    if (exponent >> i & 1) TRY_SET(r, int_mul(r, base));
  }
  return r;
}

/* Newton's iteration whose precision doubles with every step: after the step for s, root is
   within 1 of sqrt(n >> 2(c - d)). So the work is that of the last division. */
Value int_sqrt(Value n, Value *remainder) {
  Value root = FIX(0), square, rest;
  if (n != FIX(0)) {
    int64_t c = (int_bits(n) - 1) / 2, d = 0;
    root = FIX(1);
    for (int s = c ? 63 - __builtin_clzll((uint64_t)c) : -1; s >= 0; s--) {
      int64_t e = d;
      d = c >> s;
      Value mark, better;
      if (!resume_log_begin(&mark, &better)) {
        TRY_LET(head, int_shift(n, -(2 * c - e - d + 1)));
        TRY_LET(correction, int_quotient(head, root));
        TRY_SET(better, int_shift(root, d - e - 1));
        TRY_SET(better, int_add(better, correction));
        TRY_SET(better, resume_log_finish(mark, better));
      }
      root = better;
    }
  }
  TRY_SET(square, int_mul(root, root));
  TRY_SET(rest, int_sub(n, square));
  if (int_sign(rest) < 0) {
    TRY_SET(root, int_sub(root, FIX(1)));
    TRY_SET(rest, int_add(rest, root));
    TRY_SET(rest, int_add(rest, root));
    TRY_SET(rest, int_add(rest, FIX(1)));
  }
  if (remainder) *remainder = rest;
  return root;
}
