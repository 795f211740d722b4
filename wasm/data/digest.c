/* digest.c — base64, hexadecimal, SHA-256, MD5 and CRC-32 of bytevectors and of strings (as UTF-8). */
#include "text/string.h"
#include "text/utf8.h"

/* ---- the bytes of an argument ---- */

typedef struct { const uint8_t *data; uint32_t length; } Bytes;

/* A string that is not ASCII is encoded first; that may need memory. */
static Value bytes_argument(Value *args, Bytes *out) {
  if (IS(args[0], T_BYTES)) {
    *out = (Bytes){BYTES(args[0]), BYTES_LENGTH(args[0])};
    return V_TRUE;
  }
  if (!IS(args[0], T_STRING)) return err_type(NULL, 0, "bytevector or string", args[0]);
  uint32_t length = string_utf8_length(args[0]);
  if (length == STR_LENGTH(args[0]) && STR_WIDTH(args[0]) == 1) {
    *out = (Bytes){STR_DATA(args[0]), length};
    return V_TRUE;
  }
  RESERVE((uint64_t)length + 16);
  Value copy = heap_raw(T_RAW, 0, length);
  string_to_utf8(args[0], RAW_BYTES(copy));
  *out = (Bytes){RAW_BYTES(copy), length};
  return V_TRUE;
}

#define BYTES_ARGUMENT(bytes) \
  Bytes bytes; \
  do { Value got_ = bytes_argument(args, &bytes); if (IS_SIGNAL(got_)) return got_; } while (0)

static Value bytes_of(const uint8_t *data, uint32_t length) {
  Value bytes = heap_raw(T_BYTES, 0, length);
  memcpy(BYTES(bytes), data, length);
  return bytes;
}

/* ---- base64 ---- */

static const char base64_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* (%base64-encode bytes-or-string [url?]): the url form has - and _ and no = */
static Value prim_base64_encode(int argc, Value *args) {
  BYTES_ARGUMENT(from);
  bool url = TRUTH(ARG_OR(1, V_FALSE));
  uint64_t whole = from.length / 3, rest = from.length % 3;
  uint64_t length = whole * 4 + (rest ? url ? rest + 1 : 4 : 0);
  RESERVE(string_size(length, 1) + from.length);
  charge((int64_t)(length / 8));
  Value s = string_make((uint32_t)length, 1);
  uint8_t *to = STR_DATA(s), *end = to + length;
  for (uint32_t i = 0; i < from.length; i += 3) {
    uint32_t left = from.length - i;
    uint32_t group = (uint32_t)from.data[i] << 16 | (left > 1 ? (uint32_t)from.data[i + 1] << 8 : 0) | (left > 2 ? from.data[i + 2] : 0);
    for (uint32_t digit = 0; digit < 4 && to < end; digit++)
      *to++ = digit > left ? '=' : (uint8_t)base64_digits[group >> (18 - 6 * digit) & 63];
  }
  for (to = STR_DATA(s); url && to < end; to++) *to = *to == '+' ? '-' : *to == '/' ? '_' : *to;
  STR(s)->lineage = IS(args[0], T_STRING) ? STR(args[0])->lineage : V_FALSE;
  return s;
}

static int base64_value(uint32_t c) {
  if (c >= 'A' && c <= 'Z') return (int)c - 'A';
  if (c >= 'a' && c <= 'z') return (int)c - 'a' + 26;
  if (c >= '0' && c <= '9') return (int)c - '0' + 52;
  return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* Both alphabets; white space is skipped; padding may be missing. */
static Value prim_base64_decode(int argc, Value *args) {
  (void)argc;
  BYTES_ARGUMENT(from);
  RESERVE(2 * (uint64_t)from.length + 64);
  charge(from.length / 8);
  Value raw = heap_raw(T_RAW, 0, from.length);
  uint32_t count = 0, group = 0, digits = 0, padding = 0;
  for (uint32_t i = 0; i < from.length; i++) {
    uint32_t c = from.data[i];
    if (c == ' ' || (c >= 9 && c <= 13)) continue;
    int value = base64_value(c);
    if (c == '=') padding++;
    if (padding ? c != '=' || padding > 2 : value < 0)
      return err_failf("exn:fail:contract", "base64-decode: no base64 digit at index %d", (int)i);
    if (padding) continue;
    group = group << 6 | (uint32_t)value;
    if (++digits % 4) continue;
    for (int shift = 16; shift >= 0; shift -= 8) RAW_BYTES(raw)[count++] = (uint8_t)(group >> shift);
  }
  if (digits % 4 == 1 || (padding && (digits + padding) % 4))
    return err_fail("exn:fail:contract", "base64-decode: the text ends in the middle of a group", V_NIL);
  if (digits % 4 > 1) RAW_BYTES(raw)[count++] = (uint8_t)(digits % 4 == 2 ? group >> 4 : group >> 10);
  if (digits % 4 == 3) RAW_BYTES(raw)[count++] = (uint8_t)(group >> 2);
  return bytes_of(RAW_BYTES(raw), count);
}

/* ---- hexadecimal ---- */

static Value prim_hex_encode(int argc, Value *args) {
  (void)argc;
  BYTES_ARGUMENT(from);
  RESERVE(string_size(2 * (uint64_t)from.length, 1) + from.length);
  charge(from.length / 4);
  Value s = string_make(2 * from.length, 1);
  for (uint32_t i = 0; i < from.length; i++) {
    STR_DATA(s)[2 * i] = (uint8_t)"0123456789abcdef"[from.data[i] >> 4];
    STR_DATA(s)[2 * i + 1] = (uint8_t)"0123456789abcdef"[from.data[i] & 15];
  }
  return s;
}

static int hex_value(uint32_t c) {
  return c >= '0' && c <= '9' ? (int)c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (int)(c | 32) - 'a' + 10 : -1;
}

static Value prim_hex_decode(int argc, Value *args) {
  (void)argc;
  BYTES_ARGUMENT(from);
  if (from.length % 2) return err_fail("exn:fail:contract", "hex-decode: the number of digits is odd", V_NIL);
  RESERVE(2 * (uint64_t)from.length + 64);
  charge(from.length / 8);
  Value bytes = heap_raw(T_BYTES, 0, from.length / 2);
  for (uint32_t i = 0; i < from.length; i += 2) {
    int high = hex_value(from.data[i]), low = hex_value(from.data[i + 1]);
    if (high < 0 || low < 0)
      return err_failf("exn:fail:contract", "hex-decode: no hexadecimal digit at index %d", (int)(high < 0 ? i : i + 1));
    BYTES(bytes)[i / 2] = (uint8_t)(high << 4 | low);
  }
  return bytes;
}

/* ---- blocks: SHA-256 and MD5 both take 64 bytes at a time, then 0x80, zeros and the bit length ---- */

typedef void (*BlockFn)(uint32_t *state, const uint8_t block[64]);

static void digest(Bytes from, BlockFn take, uint32_t *state, bool big_endian) {
  uint8_t tail[128] = {0};
  uint32_t whole = from.length / 64 * 64, rest = from.length % 64;
  for (uint32_t i = 0; i < whole; i += 64) take(state, from.data + i);
  if (rest) memcpy(tail, from.data + whole, rest);
  tail[rest] = 0x80;
  uint32_t size = rest < 56 ? 64 : 128;
  uint64_t bits = (uint64_t)from.length * 8;
  for (int i = 0; i < 8; i++) tail[size - (big_endian ? 1 + (uint32_t)i : 8 - (uint32_t)i)] = (uint8_t)(bits >> 8 * i);
  for (uint32_t i = 0; i < size; i += 64) take(state, tail + i);
}

static uint32_t rotate_right(uint32_t x, int n) { return x >> n | x << (32 - n); }
static uint32_t rotate_left(uint32_t x, int n) { return x << n | x >> (32 - n); }

/* ---- SHA-256 (FIPS 180-4) ---- */

static const uint32_t sha256_k[64] = {
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
  0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
  0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
  0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
  0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
  0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
  0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
  0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static void sha256_block(uint32_t *state, const uint8_t block[64]) {
  uint32_t w[64], s[8];
  for (int i = 0; i < 16; i++)
    w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
  for (int i = 16; i < 64; i++) {
    uint32_t s0 = rotate_right(w[i - 15], 7) ^ rotate_right(w[i - 15], 18) ^ w[i - 15] >> 3;
    uint32_t s1 = rotate_right(w[i - 2], 17) ^ rotate_right(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  memcpy(s, state, sizeof s);
  for (int i = 0; i < 64; i++) {
    uint32_t sum1 = rotate_right(s[4], 6) ^ rotate_right(s[4], 11) ^ rotate_right(s[4], 25);
    uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
    uint32_t t1 = s[7] + sum1 + choice + sha256_k[i] + w[i];
    uint32_t sum0 = rotate_right(s[0], 2) ^ rotate_right(s[0], 13) ^ rotate_right(s[0], 22);
    uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
    memmove(s + 1, s, 7 * sizeof *s);
    s[4] += t1;
    s[0] = t1 + sum0 + majority;
  }
  for (int i = 0; i < 8; i++) state[i] += s[i];
}

static Value prim_sha256(int argc, Value *args) {
  (void)argc;
  BYTES_ARGUMENT(from);
  charge(from.length);
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  digest(from, sha256_block, state, true);
  uint8_t out[32];
  for (int i = 0; i < 32; i++) out[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
  return bytes_of(out, sizeof out);
}

/* ---- MD5 (RFC 1321): for content keys and old formats, not for secrets ---- */

static const uint32_t md5_k[64] = {
  0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
  0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
  0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
  0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
  0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
  0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
  0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
  0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};
static const uint8_t md5_shifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};

static void md5_block(uint32_t *state, const uint8_t block[64]) {
  uint32_t w[16], a = state[0], b = state[1], c = state[2], d = state[3];
  for (int i = 0; i < 16; i++)
    w[i] = block[4 * i] | (uint32_t)block[4 * i + 1] << 8 | (uint32_t)block[4 * i + 2] << 16 | (uint32_t)block[4 * i + 3] << 24;
  for (int i = 0; i < 64; i++) {
    uint32_t f = i < 16 ? (b & c) | (~b & d) : i < 32 ? (d & b) | (~d & c) : i < 48 ? b ^ c ^ d : c ^ (b | ~d);
    int word = i < 16 ? i : i < 32 ? (5 * i + 1) % 16 : i < 48 ? (3 * i + 5) % 16 : 7 * i % 16;
    uint32_t next = b + rotate_left(a + f + md5_k[i] + w[word], md5_shifts[i / 16][i % 4]);
    a = d;
    d = c;
    c = b;
    b = next;
  }
  state[0] += a;
  state[1] += b;
  state[2] += c;
  state[3] += d;
}

static Value prim_md5(int argc, Value *args) {
  (void)argc;
  BYTES_ARGUMENT(from);
  charge(from.length / 2);
  uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
  digest(from, md5_block, state, false);
  uint8_t out[16];
  for (int i = 0; i < 16; i++) out[i] = (uint8_t)(state[i / 4] >> 8 * (i % 4));
  return bytes_of(out, sizeof out);
}

static Value prim_crc32(int argc, Value *args) {
  (void)argc;
  BYTES_ARGUMENT(from);
  charge(from.length);
  uint32_t crc = 0xffffffff;
  for (uint32_t i = 0; i < from.length; i++) {
    crc ^= from.data[i];
    for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0xedb88320 & -(crc & 1));
  }
  return FIX((uint32_t)~crc);
}

const PrimDef digest_prims[] = {
  {"%base64-encode", prim_base64_encode, 1, 2, "(%base64-encode bytes-or-string [url?])"},
  {"%base64-decode", prim_base64_decode, 1, 1, "(%base64-decode string-or-bytes)"},
  {"%hex-encode", prim_hex_encode, 1, 1, "(%hex-encode bytes-or-string)"},
  {"%hex-decode", prim_hex_decode, 1, 1, "(%hex-decode string-or-bytes)"},
  {"%sha256", prim_sha256, 1, 1, "(%sha256 bytes-or-string)"},
  {"%md5", prim_md5, 1, 1, "(%md5 bytes-or-string)"},
  {"%crc32", prim_crc32, 1, 1, "(%crc32 bytes-or-string)"},
  {0},
};
