/* bignum.c — exact integers as Values: fixnums where they fit, else T_BIGNUM.
 *
 * Every operation first asks for the memory of its result and scratch (int_room), then computes
 * on bare limbs; so a V_AGAIN leaves nothing half done. Results above INT_BITS_LIMIT are refused
 * before they are computed where that can be foreseen.
 */
#include "numbers/bignum.h"
#include "numbers/resume_log.h"
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

Value int_trim(Value big) {
  Limb *limbs = BIG_LIMBS(big);
  uint32_t count = limbs_trim(limbs, BIG_COUNT(big));
  if (count <= 2) {
    uint64_t magnitude = (count > 0 ? limbs[0] : 0) | (count > 1 ? (uint64_t)limbs[1] << 32 : 0);
    if (magnitude <= (uint64_t)FIX_MAX) return FIX(BIG_NEGATIVE(big) ? -(int64_t)magnitude : (int64_t)magnitude);
    if (magnitude == (uint64_t)FIX_MAX + 1 && BIG_NEGATIVE(big)) return FIX(FIX_MIN);
  }
  if (count > INT_LIMBS_LIMIT) return int_too_large();
  HEADER_OF(big) = HEADER(T_BIGNUM, OBJ_FLAGS(big), count * (uint32_t)sizeof(Limb));
  return big;
}

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
  TRY_LET(room, int_room(count));
  charge(count / 8);
  Value r = int_new(count, !BIG_NEGATIVE(v));
  memcpy(BIG_LIMBS(r), BIG_LIMBS(v), count * sizeof(Limb));
  return int_trim(r);                        /* -(FIX_MAX + 1) is a fixnum */
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
  TRY_LET(room, int_room(big->count + 1));
  charge(big->count / 8);
  Value r = int_new(big->count + 1, negative);
  Limb *out = BIG_LIMBS(r);
  if (a.negative == b_negative) {
    out[big->count] = limbs_add(out, big->limbs, big->count, small->limbs, small->count);
  } else {
    limbs_sub(out, big->limbs, big->count, small->limbs, small->count);
    out[big->count] = 0;
  }
  return int_trim(r);
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
Value int_mul(Value x, Value y) {
  int64_t product;
  if (IS_FIX(x) && IS_FIX(y) && !__builtin_mul_overflow(FIX_VALUE(x), FIX_VALUE(y), &product))
    return int_from_i64(product);
  Int a, b;
  int_view(x, &a);
  int_view(y, &b);
  if (!a.count || !b.count) return FIX(0);
  if (a.count + b.count > INT_LIMBS_LIMIT + 1) return int_too_large();
  uint64_t cost = limbs_mul_cost(a.count, b.count);
  Value r;
  if (cost > LONG_STEPS && resume_log_next(&r)) return r;
  uint32_t scratch = limbs_mul_scratch(a.count, b.count);
  TRY_LET(room, int_room((uint64_t)a.count + b.count + scratch));
  charge((int64_t)cost);
  r = int_new(a.count + b.count, a.negative != b.negative);
  limbs_mul(BIG_LIMBS(r), a.limbs, a.count, b.limbs, b.count, limbs_alloc(scratch));
  r = int_trim(r);
  return cost > LONG_STEPS ? resume_log_note(r) : r;
}

/* ---- division ---- */
/* |a| >= |b| > 0 */
static Value divide_big(const Int *a, const Int *b, Value *q, Value *r) {
  uint32_t an = a->count, bn = b->count, scratch = bn == 1 ? 0 : limbs_div_scratch(an, bn);
  TRY_LET(room, int_room(2ull * an + 2 * bn + 4 + scratch));
  Value quotient = int_new(an - bn + 1, a->negative != b->negative);
  if (bn == 1) {
    Limb rest = limbs_div1(BIG_LIMBS(quotient), a->limbs, an, b->limbs[0]);
    if (r) *r = FIX(a->negative ? -(int64_t)rest : (int64_t)rest);
  } else {
    uint32_t shift = (uint32_t)__builtin_clz(b->limbs[bn - 1]);
    Value rest = int_new(an + 1, a->negative);
    Limb *divisor = limbs_alloc(bn), *dividend = BIG_LIMBS(rest);
    limbs_left(divisor, b->limbs, bn, shift);
    dividend[an] = limbs_left(dividend, a->limbs, an, shift);
    limbs_div(BIG_LIMBS(quotient), dividend, an, divisor, bn, limbs_alloc(scratch));
    if (r) {
      limbs_right(dividend, dividend, bn, shift);
      memset(dividend + bn, 0, (an + 1 - bn) * sizeof(Limb));
      *r = int_trim(rest);
    }
  }
  if (q) *q = int_trim(quotient);
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
  uint64_t cost = limbs_div_cost(a.count, b.count);
  Value both;
  if (cost <= LONG_STEPS || !resume_log_next(&both)) {
    TRY_SET(both, divide_big(&a, &b, q, r));
    charge((int64_t)cost);
    if (cost <= LONG_STEPS || !resume_log.open) return V_TRUE;
    TRY_SET(both, resume_log_note(cons(q ? *q : V_FALSE, r ? *r : V_FALSE)));
  }
  if (q) *q = CAR(both);
  if (r) *r = CDR(both);
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
  TRY_LET(room, int_room(count));
  charge(count / 8);
  Value r = int_new(count, a.negative);
  Limb *out = BIG_LIMBS(r);
  memset(out, 0, whole * sizeof(Limb));
  out[count - 1] = limbs_left(out + whole, a.limbs, a.count, bits % 32);
  return int_trim(r);
}

static Value shift_right(Value v, uint64_t bits) {
  Int a;
  int_view(v, &a);
  if (bits >= limbs_bits(a.limbs, a.count)) return FIX(a.negative ? -1 : 0);
  uint32_t whole = (uint32_t)(bits / 32), count = a.count - whole;
  bool round = a.negative && int_trailing_zeros(v) < bits;
  TRY_LET(room, int_room(count));
  charge(count / 8);
  Value r = int_new(count, a.negative);
  limbs_right(BIG_LIMBS(r), a.limbs + whole, count, bits % 32);
  r = int_trim(r);
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
      TRY_LET(head, int_shift(n, -(2 * c - e - d + 1)));
      TRY_LET(correction, int_quotient(head, root));
      TRY_SET(root, int_shift(root, d - e - 1));
      TRY_SET(root, int_add(root, correction));
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
