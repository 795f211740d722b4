/* numread.c — text to numbers: the syntax of R7RS section 7.1.1, over code points.
 *
 *   number  = prefix (real | real @ real | [real] sign [ureal] i | [real] infnan i)
 *   prefix  = at most one radix (#b #o #d #x) and one exactness (#e #i), in any order
 *   real    = [sign] ureal | infnan        ureal = digits | digits / digits | decimal
 *
 * A scanner goes over the text once; digits are not converted before their part's end is known.
 */
#include "numbers/numread.h"
#include "numbers/bignum.h"
#include "numbers/flonum.h"
#include "numbers/number.h"
#include "numbers/ratio.h"
#include "numbers/resume_log.h"
#include "text/string.h"
#include <math.h>
#include <string.h>

typedef struct {
  const uint32_t *at, *end;
  int radix;
  char exactness;           /* 'e', 'i', or 0 */
} Scanner;

static uint32_t lower(uint32_t c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; }
static uint32_t peek(const Scanner *s) { return s->at < s->end ? lower(*s->at) : 0; }

static inline int digit_value(uint32_t c, int radix) {
  uint32_t value = c - '0' < 10 ? c - '0' : (c | 32) - 'a' < 26 ? (c | 32) - 'a' + 10 : 99;
  return value < (uint32_t)radix ? (int)value : -1;
}

static bool skip_text(Scanner *s, const char *text) {
  const uint32_t *p = s->at;
  for (; *text; text++, p++)
    if (p == s->end || lower(*p) != (uint32_t)*text) return false;
  s->at = p;
  return true;
}

/* ---- digits to integers ---- */

/* Digits as they stand in the text: [start, end) with perhaps a point inside, which is skipped. */
typedef struct { const uint32_t *start, *end, *point; uint32_t count; } Digits;

/* Goes on to the first character that is no digit; with ZEROS, no zero and no point. A long way is one of pieces: the
   entry of the resume_log is how far it came, in a box when that was all. */
enum { ZEROS = 1, SCAN_PIECE = 1 << 16 };
static const uint32_t *scan_piece(const uint32_t *at, const uint32_t *end, int radix) {
  if (radix == ZEROS) while (at < end && (*at == '0' || *at == '.')) at++;
  else if (radix <= 10) while (at < end && *at - '0' < (uint32_t)radix) at++;
  else while (at < end && digit_value(*at, radix) >= 0) at++;
  return at;
}
static Value scan_over(const uint32_t **at, const uint32_t *end, int radix) {
  const uint32_t *begun = *at;
  if (end - begun <= SCAN_PIECE) { *at = scan_piece(begun, end, radix); return V_TRUE; }
  *at = scan_piece(begun, begun + SCAN_PIECE, radix);
  if (*at < begun + SCAN_PIECE) return V_TRUE;
  Value entry;
  bool again = resume_log_next(&entry);
  if (again && !IS_FIX(entry)) { *at = begun + FIX_VALUE(SLOTS(entry)[0]); return V_TRUE; }
  if (again) *at = begun + FIX_VALUE(entry);
  for (const uint32_t *piece_end = *at; *at == piece_end && *at < end;) {
    piece_end = end - *at < SCAN_PIECE ? end : *at + SCAN_PIECE;
    *at = scan_piece(*at, piece_end, radix);
    charge(SCAN_PIECE / 64);
    if (*at == piece_end && *at < end && resume_log_should_pause()) {
      resume_log_note_part(FIX(*at - begun), again);
      return V_AGAIN;
    }
  }
  if (resume_log.open) resume_log_note_part(make_box(FIX(*at - begun)), again);
  return V_TRUE;
}

/* Leaves the zeros out that it begins with. */
static Value skip_zeros(Digits *d) {
  const uint32_t *begun = d->start;
  TRY_LET(done, scan_over(&d->start, d->end, ZEROS));
  d->count -= (uint32_t)(d->start - begun) - (d->point && d->point >= begun && d->point < d->start);
  return V_TRUE;
}

static uint32_t limb_of(const uint32_t **at, uint32_t count, int radix) {
  uint32_t value = 0;
  while (count) {
    uint32_t c = *(*at)++;
    if (c == '.') continue;
    value = value * (uint32_t)radix + (uint32_t)digit_value(c, radix);
    count--;
  }
  return value;
}

static Value short_integer(const uint32_t **at, uint32_t count, int radix, uint32_t step) {
  Limb limbs[40];
  uint32_t n = 0;
  for (uint32_t first = count % step; count; first = step) {
    if (!first) continue;
    uint64_t power = 1;
    for (uint32_t i = 0; i < first; i++) power *= (uint64_t)radix;
    Limb carry = limbs_mul1(limbs, limbs, n, (Limb)power, limb_of(at, first, radix));
    if (carry) limbs[n++] = carry;
    count -= first;
  }
  TRY_LET(room, int_room(n));
  Value v = int_new(n, false);
  for (uint32_t i = 0; i < n; i++) BIG_LIMBS(v)[i] = limbs[i];
  return int_trim(v);
}

#define SHORT_LIMBS 32u
#define MAX_LEVEL 24
#define NOTED_LEVEL 6                         /* blocks of about 2000 limbs are long operations */

struct splitting { int radix; uint32_t base, step; const uint32_t *point; Value powers[MAX_LEVEL]; };   /* powers[i] = radix^(base << i) */

/* Splits so that the lower part has base << i digits: as deep as i. */
static Value split_integer(struct splitting *c, const uint32_t **at, uint32_t count, int level) {
  uint32_t base = c->base;
  while (level && count <= base << (level - 1)) level--;
  if (!level) return short_integer(at, count, c->radix, c->step);
  uint32_t low_count = base << (level - 1);
  Value known, mark = V_FALSE;
  bool noted = level >= NOTED_LEVEL;
  if (noted && resume_log_begin(&mark, &known)) {
    const uint32_t *to = *at + count;
    *at = to + (c->point && c->point >= *at && c->point < to);
    return known;
  }
  TRY_LET(high, split_integer(c, at, count - low_count, level - 1));
  TRY_LET(low, split_integer(c, at, low_count, level - 1));
  TRY_SET(high, int_mul(high, c->powers[level - 1]));
  TRY_LET(whole, int_add(high, low));
  return noted ? resume_log_finish(mark, whole) : whole;
}

/* Where the radix is a power of two, the digits are groups of bits. */
enum { BITS_PIECE = 1 << 16 };                 /* digits; 32 of them fill whole limbs */
static Value integer_of_bits(const uint32_t *at, uint32_t count, int radix) {
  uint32_t bits = (uint32_t)__builtin_ctz((uint32_t)radix), limbs = (uint32_t)(((uint64_t)count * bits + 31) / 32);
  Value part, v = V_FALSE;
  bool is_long = count > BITS_PIECE, again = is_long && resume_log_next(&part);
  if (again && !IS(part, T_VECTOR)) return part;
  if (again) {                                           /* #(digits done, number) */
    v = VEC(part)[1];
  } else {
    TRY_LET(room, int_room(limbs + 16));
    v = int_new(limbs, false);
  }
  for (uint32_t done = again ? (uint32_t)FIX_VALUE(VEC(part)[0]) : 0; done < count;) {
    uint32_t end = count - done < BITS_PIECE ? count : done + BITS_PIECE, filled = 0, limb = done / 32 * bits;
    uint64_t group = 0;
    for (const uint32_t *digit = at + count - done; done < end; done++) {     /* from the last one, which is the lowest */
      group |= (uint64_t)digit_value(*--digit, radix) << filled;
      filled += bits;
      if (filled < 32) continue;
      BIG_LIMBS(v)[limb++] = (Limb)group;
      group >>= 32;
      filled -= 32;
    }
    if (filled) BIG_LIMBS(v)[limb++] = (Limb)group;
    charge(BITS_PIECE / 32);
    if (end < count ? !resume_log_should_pause() : (memset(BIG_LIMBS(v) + limb, 0, (limbs - limb) * sizeof(Limb)), true)) continue;
    if (!again) part = make_vector(2, v);
    VEC(part)[0] = FIX(done);
    if (!again) resume_log_note_part(part, false);
    return V_AGAIN;
  }
  v = int_trim(v);
  if (is_long && resume_log.open && !IS_SIGNAL(v)) resume_log_note_part(v, again);
  return v;
}

static Value integer_of(Digits d, int radix) {
  TRY_LET(zeros, skip_zeros(&d));
  const uint32_t *at = d.start;
  if (d.count <= 11 || (d.count <= 18 && radix <= 10)) {
    int64_t value = 0;
    for (; at < d.end; at++)
      if (*at != '.') value = value * radix + digit_value(*at, radix);
    return FIX(value);
  }
  if (d.count > INT_BITS_LIMIT) return int_too_large();
  if (!(radix & (radix - 1)) && at + d.count == d.end) return integer_of_bits(at, d.count, radix);
  struct splitting c = {.radix = radix, .step = 1, .point = d.point};
  for (uint64_t power = (uint64_t)radix; power * (uint64_t)radix <= UINT32_MAX; c.step++) power *= (uint64_t)radix;
  uint32_t base = c.base = c.step * SHORT_LIMBS;
  Value *powers = c.powers;
  int level = 0;
  for (; d.count > base << level; level++) {
    if (!level) { TRY_SET(powers[0], int_power(FIX(radix), base)); continue; }
    Value mark = V_FALSE;
    if (level >= NOTED_LEVEL && resume_log_begin(&mark, &powers[level])) continue;
    TRY_SET(powers[level], int_mul(powers[level - 1], powers[level - 1]));
    if (level >= NOTED_LEVEL) TRY_SET(powers[level], resume_log_finish(mark, powers[level]));
  }
  charge(d.count / 32);
  return split_integer(&c, &at, d.count, level);
}

/* ---- decimals ---- */
#define EXPONENT_LIMIT ((int64_t)1 << 40)     /* where it stops counting: far beyond every use */
#define DOUBLE_DIGITS 800                     /* no more decide a double's rounding, but for "not all zero" */

/* digits * 10^exponent, negated: a double */
static Value inexact_decimal(Digits d, int64_t exponent, bool negative) {
  TRY_LET(zeros, skip_zeros(&d));
  const uint32_t *at = d.start;
  uint64_t w = 0;
  uint32_t used = 0;
  double value;
  for (; at < d.end && used < 19; at++)
    if (*at != '.') { w = w * 10 + (*at - '0'); used++; }
  if (decimal_to_double(w, used < d.count, exponent + (d.count - used), &value)) return make_flonum(negative ? -value : value);
  bool rest = false;                          /* is anything but zeros cut off? */
  if (d.count > DOUBLE_DIGITS) {
    exponent += d.count - DOUBLE_DIGITS;
    for (at = d.start, used = 0; used < DOUBLE_DIGITS; at++) used += *at != '.';
    const uint32_t *after = at;
    TRY_LET(looked, scan_over(&after, d.end, ZEROS));
    rest = after < d.end;
    d.end = at;
    d.count = DOUBLE_DIGITS;
  }
  TRY_LET(n, integer_of(d, 10));                  /* what is left is near the doubles' range: a small power */
  if (rest) {
    TRY_SET(n, int_mul(n, FIX(10)));
    TRY_SET(n, int_add(n, FIX(1)));
    exponent--;
  }
  TRY_LET(power, int_power(FIX(10), (uint64_t)(exponent < 0 ? -exponent : exponent)));
  TRY_LET(exact, exponent < 0 ? rational_make(n, power) : int_mul(n, power));
  TRY_LET(done, rational_to_double(exact, &value));
  return make_flonum(negative ? -value : value);
}

static Value exact_decimal(Digits d, int64_t exponent, bool negative) {
  TRY_LET(n, integer_of(d, 10));
  if (n == FIX(0)) return n;
  if (negative) TRY_SET(n, int_negate(n));
  uint64_t size = (uint64_t)(exponent < 0 ? -exponent : exponent);
  if (size > INT_BITS_LIMIT) return int_too_large();
  TRY_LET(power, int_power(FIX(10), size));
  return exponent < 0 ? rational_make(n, power) : int_mul(n, power);
}

/* ---- the grammar ---- */
static Value scan_digits(Scanner *s, Digits *d) {
  *d = (Digits){s->at, s->at, NULL, 0};
  TRY_LET(done, scan_over(&s->at, s->end, s->radix));
  d->count = (uint32_t)(s->at - d->start);
  d->end = s->at;
  return V_TRUE;
}

/* e[sign]digits at the scanner, if it is there; V_FALSE: there is an e but no exponent after it.
   The marks of older reports for other precisions (s f d l) mean the same, as in Racket. */
static Value scan_exponent(Scanner *s, int64_t *exponent) {
  uint32_t mark = peek(s);
  if (s->radix != 10 || !(mark == 'e' || mark == 's' || mark == 'f' || mark == 'd' || mark == 'l')) return V_TRUE;
  s->at++;
  bool negative = peek(s) == '-';
  if (negative || peek(s) == '+') s->at++;
  Digits d;
  TRY_LET(done, scan_digits(s, &d));
  bool empty = d.count == 0;
  TRY_LET(zeros, skip_zeros(&d));
  int64_t value = 0;
  for (const uint32_t *p = d.start; p < d.end && value < EXPONENT_LIMIT; p++) value = value * 10 + (*p - '0');
  *exponent = negative ? -value : value;
  return BOOL(!empty);
}

/* V_FALSE: no number here. 1/0 is none either. */
static Value scan_ureal(Scanner *s, bool negative) {
  Digits whole, below;
  TRY_LET(scanned, scan_digits(s, &whole));
  if (peek(s) == '/') {
    s->at++;
    TRY_SET(scanned, scan_digits(s, &below));
    if (!whole.count || !below.count) return V_FALSE;
    TRY_LET(n, integer_of(whole, s->radix));
    TRY_LET(d, integer_of(below, s->radix));
    if (d == FIX(0)) return V_FALSE;
    if (n == FIX(0) && negative && s->exactness == 'i') return make_flonum(-0.0);
    if (negative) TRY_SET(n, int_negate(n));
    TRY_LET(ratio, rational_make(n, d));
    return s->exactness == 'i' ? num_to_inexact(ratio) : ratio;
  }
  bool point = s->radix == 10 && peek(s) == '.';
  int64_t exponent = 0, shift = 0;
  if (point) {
    whole.point = s->at++;
    TRY_SET(scanned, scan_digits(s, &below));
    whole.end = s->at;
    whole.count += below.count;
    shift = below.count;
  }
  if (!whole.count) return V_FALSE;
  const uint32_t *before = s->at;
  TRY_SET(scanned, scan_exponent(s, &exponent));
  if (scanned == V_FALSE) return V_FALSE;
  bool decimal = point || s->at != before;
  if (decimal && s->exactness != 'e') return inexact_decimal(whole, exponent - shift, negative);
  if (decimal) return exact_decimal(whole, exponent - shift, negative);
  TRY_LET(n, integer_of(whole, s->radix));
  if (s->exactness == 'i') {
    double d = int_to_double(n);
    return make_flonum(negative ? -d : d);
  }
  return negative ? int_negate(n) : n;
}

/* inf.0 or nan.0 after a sign */
static Value scan_infnan(Scanner *s, bool negative) {
  double d;
  if (skip_text(s, "inf.0")) d = INFINITY;
  else if (skip_text(s, "nan.0")) d = NAN;
  else return V_FALSE;
  return make_flonum(negative ? -d : d);
}

/* A real; *sign tells whether it began with a sign. With `imaginary`, a sign alone before an i is 1. */
static Value scan_real(Scanner *s, bool *sign, bool *bare) {
  bool negative = peek(s) == '-';
  *sign = negative || peek(s) == '+';
  *bare = false;
  if (!*sign) return scan_ureal(s, false);
  s->at++;
  TRY_LET(special, scan_infnan(s, negative));
  if (special != V_FALSE) return s->exactness == 'e' ? V_FALSE : special;
  if (peek(s) == 'i' && digit_value('i', s->radix) < 0) {
    *bare = true;
    return s->exactness == 'i' ? make_flonum(negative ? -1 : 1) : FIX(negative ? -1 : 1);
  }
  return scan_ureal(s, negative);
}

static Value polar(Value magnitude, Value angle, char exactness) {
  if (angle == FIX(0) || magnitude == FIX(0)) return magnitude;
  TRY_LET(radians, num_to_inexact(angle));
  TRY_LET(re, num_mul(magnitude, make_flonum(cos(FLO_VALUE(radians)))));
  TRY_LET(im, num_mul(magnitude, make_flonum(sin(FLO_VALUE(radians)))));
  TRY_LET(z, make_rectangular(re, im));
  return exactness == 'e' ? num_to_exact("string->number", z) : z;
}

static Value scan_complex(Scanner *s) {
  bool sign, bare;
  TRY_LET(first, scan_real(s, &sign, &bare));
  if (first == V_FALSE) return V_FALSE;
  if (s->at == s->end && !bare) return first;
  switch (peek(s)) {
    case 'i':
      s->at++;
      return s->at == s->end && sign ? make_rectangular(FIX(0), first) : V_FALSE;
    case '@': {
      s->at++;
      TRY_LET(angle, scan_real(s, &sign, &bare));
      return angle == V_FALSE || bare || s->at != s->end ? V_FALSE : polar(first, angle, s->exactness);
    }
    case '+': case '-': {
      TRY_LET(imaginary, scan_real(s, &sign, &bare));
      if (imaginary == V_FALSE || peek(s) != 'i' || s->at + 1 != s->end) return V_FALSE;
      return make_rectangular(first, imaginary);
    }
    default: return V_FALSE;
  }
}

/* #x, #e and so on; false: something else after #, or one kind twice */
static bool scan_prefix(Scanner *s) {
  bool radix_seen = false;
  while (peek(s) == '#') {
    s->at++;
    uint32_t c = peek(s);
    int radix = c == 'b' ? 2 : c == 'o' ? 8 : c == 'd' ? 10 : c == 'x' ? 16 : 0;
    if (radix) {
      if (radix_seen) return false;
      radix_seen = true;
      s->radix = radix;
    } else {
      if ((c != 'e' && c != 'i') || s->exactness) return false;
      s->exactness = (char)c;
    }
    s->at++;
  }
  return true;
}

/* Can it be a number at all? The reader asks for every symbol, so this comes first. */
static bool looks_like_number(const uint32_t *chars, uint32_t count, int radix) {
  if (!count) return false;
  if (chars[0] == '#') return count > 2;
  if (chars[0] == '+' || chars[0] == '-' || chars[0] == '.') return count > 1;
  return digit_value(chars[0], radix) >= 0;
}

/* How much must be done before a pause: to begin with the digits again is work, too. */
#define PATIENCE (LONG_STEPS / 2)

Value num_parse(const uint32_t *chars, uint32_t count, int radix) {
  if (!looks_like_number(chars, count, radix)) return V_FALSE;
  Scanner s = {chars, chars + count, radix, 0};
  return scan_prefix(&s) ? scan_complex(&s) : V_FALSE;
}


/* Characters of which numbers are made, in any radix and notation. */
static bool is_of_numbers(uint32_t c) {
  return c - '0' < 10 || (c < 128 && ((c | 32) - 'a' < 26 || c == '+' || c == '-' || c == '.' || c == '/' || c == '@' || c == '#'));
}
static bool are_of_numbers(const uint8_t *data, uint32_t width, uint32_t from, uint32_t to) {
  if (width == 1) while (from < to && is_of_numbers(data[from])) from++;
  else while (from < to && is_of_numbers(chars_get(data, width, from))) from++;
  return from == to;
}

/* A long text's code points, in a heap object that is the log's first entry: the text is looked at and copied once, in
   pieces. A long text is seldom a number: that is told before there is a copy. The entry is a fixnum, up to where
   that has been looked at; then (object . up to where it is filled). V_FALSE: no number. */
enum { CHARS_PIECE = 1u << 16 };
static Value long_chars(const uint8_t *data, uint32_t width, uint32_t count) {
  Value entry;
  if (!resume_log_next(&entry)) resume_log_note_part(entry = FIX(0), false);
  for (uint32_t at = IS_FIX(entry) ? (uint32_t)FIX_VALUE(entry) : count; at < count;) {
    uint32_t end = count - at < CHARS_PIECE ? count : at + CHARS_PIECE;
    if (!are_of_numbers(data, width, at, end)) return V_FALSE;
    charge((end - at) / 32);
    at = end;
    resume_log_note_part(entry = FIX(at), true);
    if (should_pause()) return V_AGAIN;
  }
  if (IS_FIX(entry)) {
    uint64_t bytes = 4 * (uint64_t)count;
    if (bytes > UINT32_MAX - 64) return need_memory(bytes);
    if (!heap_reserve(bytes + 64)) return need_memory(bytes + 64);
    entry = cons(heap_raw(T_RAW, 0, (uint32_t)bytes), FIX(0));
    resume_log_note_part(entry, true);
  }
  uint32_t *chars = (uint32_t *)RAW_BYTES(CAR(entry));
  while (FIX_VALUE(CDR(entry)) < count) {
    uint32_t at = (uint32_t)FIX_VALUE(CDR(entry)), end = count - at < CHARS_PIECE ? count : at + CHARS_PIECE;
    chars_copy((uint8_t *)(chars + at), 4, data + (size_t)at * width, width, end - at);
    charge((end - at) / 32);
    CDR(entry) = FIX(end);
    if (should_pause()) return V_AGAIN;
  }
  return CAR(entry);
}

static Value parse_text(const uint8_t *data, uint32_t width, uint32_t count, int radix) {
  uint32_t few[64];
  if (count <= 64) {
    chars_copy((uint8_t *)few, 4, data, width, count);
    return num_parse(few, count, radix);
  }
  TRY_LET(chars, long_chars(data, width, count));
  if (chars == V_FALSE) return V_FALSE;
  resume_log.patience = PATIENCE;
  return num_parse((const uint32_t *)RAW_BYTES(chars), count, radix);
}

Value num_parse_pausing(const void *chars, uint32_t width, uint32_t count, int radix, Value *progress) {
  resume_log_open(*progress);
  Value number = parse_text(chars, width, count, radix);
  *progress = number == V_AGAIN ? resume_log.list : V_FALSE;
  resume_log.open = false;
  return number;
}

Value num_parse_short(const uint8_t *chars, uint32_t count) {
  enum { CHARS_MOST = 17 };             /* so that it is a fixnum */
  const uint8_t *at = chars, *end = at + count;
  if (!count || count > CHARS_MOST) return V_FALSE;
  bool negative = *at == '-';
  at += negative;
  if (at == end) return V_FALSE;
  int64_t n = 0;
  for (; at < end; at++) {
    uint32_t digit = *at - (uint32_t)'0';
    if (digit > 9) return V_FALSE;
    n = n * 10 + digit;
  }
  return FIX(negative ? -n : n);
}

static Value p_string_to_number(int argc, Value *args) {
  CHECK_STRING("string->number", 0);
  if (argc == 1 && STR_WIDTH(args[0]) == 1) {
    Value n = num_parse_short(STR_DATA(args[0]), STR_LENGTH(args[0]));
    if (n != V_FALSE) return n;
  }
  Value radix = ARG_OR(1, FIX(10)), s = args[0];
  if (!IS_FIX(radix) || FIX_VALUE(radix) < 2 || FIX_VALUE(radix) > 36)
    return err_type("string->number", 1, "radix from 2 to 36", radix);
  return PAUSING(parse_text(STR_DATA(s), STR_WIDTH(s), STR_LENGTH(s), (int)FIX_VALUE(radix)));
}

const PrimDef numread_prims[] = {
  {"string->number", p_string_to_number, 1, 2, "(string->number s [radix])"},
  {0},
};
