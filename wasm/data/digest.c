/* digest.c — hexadecimal and SHA-256 of bytevectors and of strings (as UTF-8). */
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

/* ---- hexadecimal ---- */

static Value prim_hex_encode(int argc, Value *args) {
  (void)argc;
  BYTES_ARGUMENT(from);
  Value *kept = progress(), s = kept ? kept[1] : V_FALSE;
  if (s == V_FALSE) {
    RESERVE(string_size(2 * (uint64_t)from.length, 1) + from.length);
    s = string_make(2 * from.length, 1);
  }
  /* bytes in pieces; of a string they would have to be made again each time */
  uint32_t i = kept ? (uint32_t)FIX_VALUE(kept[0]) : 0, round = IS(args[0], T_BYTES) ? 4 * LONG_ROUND : UINT32_MAX;
  while (i < from.length) {
    uint32_t end = from.length - i < round ? from.length : i + round;
    charge((end - i) / 4);
    for (; i < end; i++) {
      STR_DATA(s)[2 * i] = (uint8_t)"0123456789abcdef"[from.data[i] >> 4];
      STR_DATA(s)[2 * i + 1] = (uint8_t)"0123456789abcdef"[from.data[i] & 15];
    }
    if (i < from.length && should_pause()) return pause_keeping(2, FIX(i), s);
  }
  return s;
}

/* ---- SHA-256 (FIPS 180-4) ---- */

static uint32_t rotate_right(uint32_t x, int n) { return x >> n | x << (32 - n); }

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

/* The end: 0x80, zeros and the length in bits. */
static void sha256_end(Bytes from, uint32_t *state) {
  uint8_t tail[128] = {0};
  uint32_t rest = from.length % 64, whole = from.length - rest;
  if (rest) memcpy(tail, from.data + whole, rest);
  tail[rest] = 0x80;
  uint32_t size = rest < 56 ? 64 : 128;
  uint64_t bits = (uint64_t)from.length * 8;
  for (int i = 0; i < 8; i++) tail[size - 1 - (uint32_t)i] = (uint8_t)(bits >> 8 * i);
  for (uint32_t i = 0; i < size; i += 64) sha256_block(state, tail + i);
}

/* Progress: bytes digested, and the state as bytes. */
static Value prim_sha256(int argc, Value *args) {
  (void)argc;
  BYTES_ARGUMENT(from);
  uint32_t state[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  Value *kept = progress();
  uint32_t at = kept ? (uint32_t)FIX_VALUE(kept[0]) : 0, whole = from.length / 64 * 64;
  if (kept) memcpy(state, BYTES(kept[1]), sizeof state);
  for (uint32_t n = 1; at < whole; n++) {
    sha256_block(state, from.data + at);
    at += 64;
    if (n % 64 == 0 && (charge(64 * 64 / 2), should_pause()))
      return pause_keeping(2, FIX(at), bytes_of((const uint8_t *)state, sizeof state));
  }
  charge(from.length % 4096 / 2);
  sha256_end(from, state);
  uint8_t out[32];
  for (int i = 0; i < 32; i++) out[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
  return bytes_of(out, sizeof out);
}

const PrimDef digest_prims[] = {
  {"%hex-encode", prim_hex_encode, 1, 1, "(%hex-encode bytes-or-string)"},
  {"%sha256", prim_sha256, 1, 1, "(%sha256 bytes-or-string)"},
  {0},
};
