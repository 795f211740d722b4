/* numprint.c — numbers as text: number->string, real->decimal-string.
 *
 * The display form is Racket's: 3.14, 100.0, 1e+21, 1e-7, +inf.0, 1/3, 1+2i, 0+1i.
 */
#include "numbers/numprint.h"
#include "numbers/bignum.h"
#include "numbers/flonum.h"
#include "numbers/number.h"
#include "numbers/ratio.h"
#include "numbers/resume_log.h"
#include "text/string.h"
#include <math.h>
#include <string.h>

static const char digit_chars[] = "0123456789abcdefghijklmnopqrstuvwxyz";

/* ---- exact integers ---- */

/* Digits from the end of out[0..width) backwards; what is left is filled with zeros. */
static void write_small(uint64_t n, int radix, uint8_t *out, uint32_t width) {
  while (width) {
    out[--width] = (uint8_t)digit_chars[n % (uint64_t)radix];
    n /= (uint64_t)radix;
  }
}

static uint32_t digits_of(uint64_t n, int radix) {
  uint32_t count = 1;
  while (n >= (uint64_t)radix) { n /= (uint64_t)radix; count++; }
  return count;
}

/* The largest power of the radix that is a limb. */
static Limb limb_power(int radix, uint32_t *digits) {
  uint64_t power = (uint64_t)radix;
  *digits = 1;
  while (power * (uint64_t)radix <= UINT32_MAX) { power *= (uint64_t)radix; ++*digits; }
  return (Limb)power;
}

#define BASE_POWERS 16u                       /* so many limbs' digits are converted by plain division */

/* n >= 0, of up to about BASE_POWERS limbs, in exactly `width` digits */
static void write_base(Value n, int radix, uint8_t *out, uint32_t width) {
  Limb rest[2 * BASE_POWERS];
  Int a;
  int_view(n, &a);
  memcpy(rest, a.limbs, a.count * sizeof(Limb));
  uint32_t count = a.count, step;
  Limb power = limb_power(radix, &step);
  while (width) {
    Limb part = limbs_div1(rest, rest, count, power);
    count = limbs_trim(rest, count);
    uint32_t digits = width < step ? width : step;
    write_small(part, radix, out + width - digits, digits);
    width -= digits;
  }
}

#define MAX_LEVEL 24
struct conversion { int radix; uint32_t base_width; Value powers[MAX_LEVEL]; };   /* powers[i] = radix^(base_width << i) */

#define NOTED_LEVEL 6                         /* blocks of about 1000 limbs are long operations */

/* Exactly base_width << level digits of n. Halves by division; as deep as `level`, below MAX_LEVEL. */
static Value write_halves(struct conversion *c, Value n, int level, uint8_t *out);

/* The same, noting in the resume_log blocks that take long: that they stand in the text. */
static Value write_block(struct conversion *c, Value n, int level, uint8_t *out) {
  Value mark, done;
  if (level < NOTED_LEVEL) return write_halves(c, n, level, out);
  if (resume_log_begin(&mark, &done)) return done;
  TRY_SET(done, write_halves(c, n, level, out));
  charge(level == NOTED_LEVEL ? c->base_width << level : 0);
  return resume_log_finish(mark, done);
}

static Value write_halves(struct conversion *c, Value n, int level, uint8_t *out) {
  if (level == 0 || IS_FIX(n)) {
    uint32_t width = c->base_width << level, used = level ? 64 : width;
    memset(out, '0', width - used);
    if (IS_FIX(n)) write_small((uint64_t)FIX_VALUE(n), c->radix, out + width - used, used);
    else write_base(n, c->radix, out + width - used, used);
    return V_TRUE;
  }
  Value high, low;
  TRY_LET(done, int_divide(n, c->powers[level - 1], &high, &low));
  TRY_LET(first, write_block(c, high, level - 1, out));
  return write_block(c, low, level - 1, out + (c->base_width << (level - 1)));
}

/* Room for so many digits, which stays what it is while the computation pauses. */
static Value scratch_text(uint32_t width) {
  Value text;
  if (resume_log_next(&text)) return text;
  TRY_LET(room, int_room(width / 4 + 1));
  text = heap_raw(T_RAW, 0, width);
  if (resume_log.open) resume_log_note_part(text, false);
  return text;
}

/* The text of a large n >= 0, in the end of a fresh scratch area: *out points at the first digit. */
static Value big_digits(Value n, int radix, uint8_t **out, uint32_t *count) {
  struct conversion c = {.radix = radix};
  uint32_t step;
  Limb power = limb_power(radix, &step);
  c.base_width = BASE_POWERS * step;
  TRY_SET(c.powers[0], int_power(FIX(power), BASE_POWERS));
  int level = 0;                              /* n < radix^(base_width << level) */
  if (int_compare(n, c.powers[0]) >= 0) {
    level = 1;
    while (2 * (uint64_t)int_bits(c.powers[level - 1]) - 1 <= int_bits(n)) {
      TRY_SET(c.powers[level], int_mul(c.powers[level - 1], c.powers[level - 1]));
      level++;
    }
  }
  uint32_t width = c.base_width << level;
  TRY_LET(whole, scratch_text(width));
  uint8_t *text = RAW_BYTES(whole);
  TRY_LET(done, write_block(&c, n, level, text));
  uint32_t zeros = 0;
  while (text[zeros] == '0') zeros++;
  *out = text + zeros;
  *count = width - zeros;
  return V_TRUE;
}

/* Where the radix is a power of two the digits are groups of bits. The entry of the resume_log: how many digits stand
   there, from the right. */
static Value bit_digits(Value n, int radix, uint8_t **out, uint32_t *count) {
  enum { PART = 32 * 512 };                    /* digits; so many that a part begins with a limb */
  uint32_t bits = (uint32_t)__builtin_ctz((uint32_t)radix), total = (int_bits(n) + bits - 1) / bits;
  TRY_LET(whole, scratch_text(total));
  uint8_t *text = RAW_BYTES(whole);
  Value begun = FIX(0);
  Int a;
  int_view(n, &a);
  bool again = resume_log_next(&begun);
  for (uint32_t i = (uint32_t)FIX_VALUE(begun); i < total;) {
    uint32_t end = total - i < PART ? total : i + PART;
    if (32 % bits == 0)                        /* a digit is all in one limb */
      for (uint32_t limb = i * bits / 32; i + 32 / bits <= end; limb++)
        for (uint32_t rest = a.limbs[limb], n = 32 / bits; n-- > 0; rest >>= bits, i++)
          text[total - 1 - i] = (uint8_t)digit_chars[rest & (uint32_t)(radix - 1)];
    for (; i < end; i++) {
      uint32_t at = i * bits, limb = at / 32;
      uint64_t both = a.limbs[limb] | (limb + 1 < a.count ? (uint64_t)a.limbs[limb + 1] << 32 : 0);
      text[total - 1 - i] = (uint8_t)digit_chars[both >> at % 32 & (uint32_t)(radix - 1)];
    }
    charge(PART / 8);
    if (end == total || !resume_log_should_pause()) continue;
    resume_log_note_part(FIX(end), again);
    return V_AGAIN;
  }
  if (resume_log.open) resume_log_note_part(FIX(total), again);
  *out = text;
  *count = total;
  return V_TRUE;
}

/* A piece of text that is being put together. The longest: two ratios, thus four integers. */
struct piece { const uint8_t *text; uint32_t count; };
struct pieces { struct piece items[12]; uint32_t count; uint64_t total; uint8_t small[4][80]; uint32_t smalls; };

static void put(struct pieces *p, const void *text, uint32_t count) {
  p->items[p->count++] = (struct piece){text, count};
  p->total += count;
}
static uint8_t *small_buffer(struct pieces *p) { return p->small[p->smalls++]; }

static Value put_integer(struct pieces *p, Value n, int radix) {
  if (int_sign(n) < 0) {
    put(p, "-", 1);
    TRY_SET(n, int_negate(n));
  }
  uint8_t *text;
  uint32_t count;
  if (IS_FIX(n)) {
    text = small_buffer(p);
    count = digits_of((uint64_t)FIX_VALUE(n), radix);
    write_small((uint64_t)FIX_VALUE(n), radix, text, count);
  } else {
    TRY_LET(done, (radix & (radix - 1) ? big_digits : bit_digits)(n, radix, &text, &count));
  }
  put(p, text, count);
  return V_TRUE;
}

/* ---- flonums ---- */
static int copy_text(char *out, const char *text) {
  size_t n = strlen(text);
  memcpy(out, text, n);
  return (int)n;
}

static int zeros(char *out, int count) {
  memset(out, '0', (size_t)count);
  return count;
}

/* The point stands `point` digits after the first one's place: 0.ddd * 10^point. As in Racket a number of more than
   14 digits before the point has an exponent where more than three of them were zeros that stand for nothing. */
static int place_digits(char *out, const char *digits, int count, int point) {
  char *start = out;
  if ((point > 14 && point > count + 3) || point < -3) {
    *out++ = digits[0];
    if (count > 1) {
      *out++ = '.';
      memcpy(out, digits + 1, (size_t)count - 1);
      out += count - 1;
    }
    *out++ = 'e';
    int e = point - 1;
    *out++ = e < 0 ? '-' : '+';
    if (e < 0) e = -e;
    int width = e > 99 ? 3 : e > 9 ? 2 : 1;
    write_small((uint64_t)e, 10, (uint8_t *)out, (uint32_t)width);
    return (int)(out + width - start);
  }
  int whole = point < 0 ? 0 : point < count ? point : count;
  memcpy(out, digits, (size_t)whole);
  out += whole;
  if (point > count) out += zeros(out, point - count);
  if (point <= 0) *out++ = '0';
  *out++ = '.';
  if (point < 0) out += zeros(out, -point);
  memcpy(out, digits + whole, (size_t)(count - whole));
  out += count - whole;
  if (whole == count) *out++ = '0';
  return (int)(out - start);
}

/* The display form; at most 32 characters. */
static int format_flonum(double d, char *out) {
  if (isnan(d)) return copy_text(out, "+nan.0");
  if (isinf(d)) return copy_text(out, d > 0 ? "+inf.0" : "-inf.0");
  int n = 0;
  if (signbit(d)) out[n++] = '-';
  d = fabs(d);
  if (d == 0) return n + copy_text(out + n, "0.0");
  uint64_t digits;
  int exponent;
  double_to_decimal(d, &digits, &exponent);
  while (digits % 10 == 0) { digits /= 10; exponent++; }
  char text[20];
  int count = (int)digits_of(digits, 10);
  write_small(digits, 10, (uint8_t *)text, (uint32_t)count);
  return n + place_digits(out + n, text, count, count + exponent);
}

/* ---- any number ---- */
static Value put_real(struct pieces *p, Value v, int radix) {
  if (IS(v, T_FLONUM)) {
    if (radix != 10 && isfinite(FLO_VALUE(v)))
      return err_failf("exn:fail:contract", "number->string: an inexact number can be shown in base 10 only, got %v and base %d", v, radix);
    uint8_t *text = small_buffer(p);
    put(p, text, (uint32_t)format_flonum(FLO_VALUE(v), (char *)text));
    return V_TRUE;
  }
  TRY_LET(numerator, put_integer(p, rational_numerator(v), radix));
  if (!IS(v, T_RATIO)) return V_TRUE;
  put(p, "/", 1);
  return put_integer(p, DENOMINATOR(v), radix);
}

static Value put_imaginary(struct pieces *p, Value v, int radix) {
  uint32_t at = p->count;
  put(p, "+", 1);
  TRY_LET(done, put_real(p, v, radix));
  uint8_t first = p->items[at + 1].text[0];
  if (first == '-' || first == '+') { p->items[at].count = 0; p->total--; }   /* has a sign of its own */
  put(p, "i", 1);
  return V_TRUE;
}

/* The usual number: 0 ≤ n < 2^32, in decimal. */
static Value short_decimal(uint32_t n) {
  uint32_t count = 1;
  for (uint64_t power = 10; n >= power; power *= 10) count++;
  Value s = make_narrow_in_place(count);
  uint8_t *at = STR_DATA(s) + count;
  do { *--at = (uint8_t)('0' + n % 10); n /= 10; } while (n);
  return s;
}

Value num_to_string(Value v, int radix) {
  if (radix == 10 && IS_FIX(v) && (uint64_t)FIX_VALUE(v) <= UINT32_MAX) return short_decimal((uint32_t)FIX_VALUE(v));
  struct pieces p;
  p.count = p.smalls = 0;
  p.total = 0;
  TRY_LET(real, put_real(&p, num_real_part(v), radix));
  if (IS(v, T_COMPLEX)) { TRY_LET(imaginary, put_imaginary(&p, IMAG_PART(v), radix)); }
  TRY_LET(room, int_room(p.total / 4 + 16));
  charge((int64_t)p.total / 8);
  Value s = string_make((uint32_t)p.total, 1);
  uint8_t *out = STR_DATA(s);
  for (uint32_t i = 0; i < p.count; i++) {
    memcpy(out, p.items[i].text, p.items[i].count);
    out += p.items[i].count;
  }
  return s;
}

Value num_to_string_pausing(Value v, int radix, Value *progress) {
  resume_log_open(*progress);
  Value text = num_to_string(v, radix);
  *progress = text == V_AGAIN ? resume_log.list : V_FALSE;
  resume_log.open = false;
  return text;
}

static Value p_number_to_string(int argc, Value *args) {
  if (argc == 1 && IS_FIX(args[0]) && (uint64_t)FIX_VALUE(args[0]) <= UINT32_MAX) return short_decimal((uint32_t)FIX_VALUE(args[0]));
  if (!is_number(args[0])) return err_type("number->string", 0, "number", args[0]);
  Value radix = ARG_OR(1, FIX(10));
  if (!IS_FIX(radix) || FIX_VALUE(radix) < 2 || FIX_VALUE(radix) > 36)
    return err_type("number->string", 1, "radix from 2 to 36", radix);
  return PAUSING(num_to_string(args[0], (int)FIX_VALUE(radix)));
}

/* Exact arithmetic, so that the digits are those of the number itself; a half goes to even.
   As in Racket the point stands even where no digit follows. */
static Value decimal_string(int argc, Value *args) {
  Value v = args[0], digits = ARG_OR(1, FIX(2));
  if (!is_real(v) || (IS(v, T_FLONUM) && !isfinite(FLO_VALUE(v))))
    return err_type("real->decimal-string", 0, "rational number", v);
  if (!IS_FIX(digits) || FIX_VALUE(digits) < 0) return err_type("real->decimal-string", 1, "exact nonnegative integer", digits);
  bool negative = num_sign(v) < 0 || (IS(v, T_FLONUM) && signbit(FLO_VALUE(v)));
  uint32_t places = (uint32_t)(FIX_VALUE(digits) > INT_BITS_LIMIT ? INT_BITS_LIMIT : FIX_VALUE(digits));
  TRY_SET(v, num_to_exact("real->decimal-string", v));
  TRY_LET(power, int_power(FIX(10), places));
  TRY_SET(v, rational_mul(v, power));
  TRY_SET(v, rational_round(v, ROUND_EVEN));
  TRY_SET(v, int_abs(v));
  TRY_LET(text, num_to_string(v, 10));
  uint32_t count = STR_LENGTH(text), whole = count > places ? count - places : 0, pad = count > places ? 0 : places - count;
  uint32_t length = negative + (whole ? whole : 1) + 1 + places;
  TRY_LET(room, int_room(length / 4 + 16));
  Value s = string_make(length, 1);
  uint8_t *out = STR_DATA(s);
  if (negative) *out++ = '-';
  if (whole) memcpy(out, STR_DATA(text), whole); else *out = '0';
  out += whole ? whole : 1;
  *out++ = '.';
  memset(out, '0', pad);
  memcpy(out + pad, STR_DATA(text) + whole, places - pad);
  return s;
}

static Value p_decimal_string(int argc, Value *args) { return PAUSING(decimal_string(argc, args)); }

const PrimDef numprint_prims[] = {
  {"number->string", p_number_to_string, 1, 2, "(number->string z [radix])"},
  {"real->decimal-string", p_decimal_string, 1, 2, "(real->decimal-string x [digits])"},
  {0},
};
