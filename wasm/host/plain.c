/* plain.c — small plain data to CBOR and back. Neither way goes deeper than a few lists: so both are recursive. */
#include "host/plain.h"
#include "core/heap.h"
#include "io/cbor.h"
#include "text/string.h"
#include "text/symbol.h"
#include "text/utf8.h"
#include <string.h>

enum { NESTING = 5 };

/* ---- writing ---- */
uint32_t head_size(uint64_t n) { return n < 24 ? 1 : n < 0x100 ? 2 : n < 0x10000 ? 3 : n < 0x100000000 ? 5 : 9; }

uint8_t *put_head(uint8_t *at, int major, uint64_t n) {
  uint8_t high = (uint8_t)(major << 5);
  if (n < 24) {
    *at = high | (uint8_t)n;
    return at + 1;
  }
  uint32_t width = head_size(n) - 1;
  *at++ = high | (uint8_t)(width == 1 ? 24 : width == 2 ? 25 : width == 4 ? 26 : 27);
  while (width-- > 0) *at++ = (uint8_t)(n >> (8 * width));
  return at;
}

static uint64_t magnitude(Value fixnum) { return (uint64_t)(FIX_VALUE(fixnum) < 0 ? -1 - FIX_VALUE(fixnum) : FIX_VALUE(fixnum)); }

static bool text_size(PlainSize *size, Value text) {
  if (STR_LENGTH(text) > PLAIN_BYTES_MOST) return false;
  uint32_t n = is_ascii(text) ? STR_LENGTH(text) : string_utf8_length(text);
  size->bytes += n + head_size(n);
  return size->bytes <= PLAIN_BYTES_MOST;
}

static bool size_of(PlainSize *size, Value v, int nesting) {
  if (size->items-- == 0) return false;
  if (IS_FIX(v)) {
    size->bytes += head_size(magnitude(v));
    return true;
  }
  switch (TAG(v)) {
    case T_SPECIAL:
      size->bytes++;
      return v == V_FALSE || v == V_TRUE || v == V_NIL || v == V_NULL || v == V_VOID;
    case T_FLONUM: size->bytes += 9; return true;
    case T_STRING: return text_size(size, v);
    case T_SYMBOL:
      if (v == intern("null")) size->bytes++;
      else size->bytes += 2;
      return v == intern("null") || text_size(size, SYM(v)->name);
    case T_PAIR: case T_LPAIR: {
      uint32_t n = 0;
      if (!nesting) return false;
      for (; is_pair(v); v = CDR(v), n++) if (!size_of(size, CAR(v), nesting - 1)) return false;
      size->bytes += head_size(n);
      return v == V_NIL;
    }
    default: return false;
  }
}
bool plain_size(PlainSize *size, Value v) { return size_of(size, v, NESTING) && size->bytes <= PLAIN_BYTES_MOST; }

static uint8_t *put_text(uint8_t *at, Value text) {
  uint32_t n = STR_LENGTH(text);
  if (is_ascii(text)) {
    at = put_head(at, TEXT_STRING, n);
    memcpy(at, STR_DATA(text), n);
    return at + n;
  }
  at = put_head(at, TEXT_STRING, string_utf8_length(text));
  return at + string_to_utf8(text, at);
}

uint8_t *put_plain(uint8_t *at, Value v) {
  if (IS_FIX(v)) return put_head(at, FIX_VALUE(v) < 0 ? NEGATIVE : UNSIGNED, magnitude(v));
  switch (TAG(v)) {
    case T_FLONUM: {
      uint64_t bits;
      memcpy(&bits, RAW_BYTES(v), 8);
      *at++ = BYTE_DOUBLE;
      for (int shift = 56; shift >= 0; shift -= 8) *at++ = (uint8_t)(bits >> shift);
      return at;
    }
    case T_STRING: return put_text(at, v);
    case T_SYMBOL:
      if (v != intern("null")) return put_text(put_head(at, TAGGED, TAG_SYMBOL), SYM(v)->name);
      *at = BYTE_NULL;
      return at + 1;
    case T_PAIR: case T_LPAIR: {
      uint32_t n = 0;
      for (Value rest = v; is_pair(rest); rest = CDR(rest)) n++;
      at = put_head(at, ARRAY, n);
      for (; is_pair(v); v = CDR(v)) at = put_plain(at, CAR(v));
      return at;
    }
    default:
      *at = v == V_NIL ? ARRAY << 5 : v == V_FALSE ? BYTE_FALSE : v == V_TRUE ? BYTE_TRUE : v == V_NULL ? BYTE_NULL : BYTE_UNDEFINED;
      return at + 1;
  }
}

/* ---- reading ---- */
bool take_head(PlainReader *r, int *major, uint64_t *n) {
  if (r->at == r->end) return false;
  uint32_t info = *r->at & 31;
  *major = *r->at++ >> 5;
  *n = info;
  if (info < 24) return true;
  if (info > 27) return false;
  uint32_t width = 1u << (info - 24);
  if ((uint32_t)(r->end - r->at) < width) return false;
  for (*n = 0; width; width--) *n = *n << 8 | *r->at++;
  return true;
}

static Value take_text(PlainReader *r, uint64_t n) {
  if ((uint64_t)(r->end - r->at) < n) return V_UNBOUND;
  const uint8_t *text = r->at;
  r->at += n;
  if (!ascii_bytes(text, (uint32_t)n)) return string_from_utf8((const char *)text, (size_t)n);
  Value s = string_make((uint32_t)n, 1);
  memcpy(STR_DATA(s), text, (size_t)n);
  return s;
}

static Value take_item(PlainReader *r, int nesting) {
  int major;
  uint64_t n;
  if (r->items-- == 0 || r->at == r->end) return V_UNBOUND;
  uint8_t initial = *r->at;
  if (!take_head(r, &major, &n)) return V_UNBOUND;
  switch (major) {
    case UNSIGNED: return n <= (uint64_t)FIX_MAX ? FIX(n) : V_UNBOUND;
    case NEGATIVE: return n <= (uint64_t)FIX_MAX ? FIX(-1 - (int64_t)n) : V_UNBOUND;
    case TEXT_STRING: return take_text(r, n);
    case ARRAY: {
      List list = EMPTY_LIST;
      if (!nesting) return V_UNBOUND;
      for (; n; n--) {
        Value v = take_item(r, nesting - 1);
        if (v == V_UNBOUND) return v;
        list_add(&list, v);
      }
      return list.head;
    }
    case SIMPLE:
      switch (initial) {
        case BYTE_FALSE: return V_FALSE;
        case BYTE_TRUE: return V_TRUE;
        case BYTE_NULL: return intern("null");
        case BYTE_UNDEFINED: return V_VOID;
        case BYTE_DOUBLE: {
          double d;
          memcpy(&d, &n, 8);
          return make_flonum(d);
        }
        default: return V_UNBOUND;
      }
    default: return V_UNBOUND;
  }
}
Value take_plain(PlainReader *r) { return take_item(r, NESTING); }
