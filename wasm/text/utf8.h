/* utf8.h — UTF-8: strings from and to it, and single characters. */
#ifndef RLM_TEXT_UTF8_H
#define RLM_TEXT_UTF8_H
#include "core/value.h"

Value string_from_utf8(const char *utf8, size_t bytes);  /* ill-formed input: U+FFFD a maximal subpart */
Value string_from_c(const char *utf8);
uint32_t string_utf8_length(Value s);
uint32_t string_to_utf8(Value s, uint8_t *out);          /* returns bytes written; lone surrogates as U+FFFD */

/* Likewise for a piece of it: for what is done in pieces. */
uint32_t string_piece_utf8_length(Value s, uint32_t start, uint32_t end);
uint32_t string_piece_to_utf8(Value s, uint32_t start, uint32_t end, uint8_t *out);

/* A long text from UTF-8, resumable: V_AGAIN with the progress in r, else the string. It begins as UTF8_READING.
   Ill-formed input: the replacement a maximal subpart, or V_ERROR with r->bad where that is UTF8_BAD. */
typedef struct { size_t next; uint32_t length, width; Value s; size_t bad; } Utf8Reading;
#define UTF8_READING ((Utf8Reading){0, 0, 1, V_FALSE, 0})
Value utf8_read(const uint8_t *bytes, size_t count, uint32_t replacement, Utf8Reading *r);

uint32_t utf8_encode(uint32_t c, uint8_t *out);          /* 1 to 4 bytes; a lone surrogate as U+FFFD */
static inline uint32_t utf8_size(uint32_t c) { return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4; }

/* Decodes one character of [at, end); *next is where to go on. Ill-formed: UTF8_BAD, and *next is
   after the maximal subpart. */
enum { UTF8_BAD = 0xffffffff };
uint32_t utf8_decode(const uint8_t *at, const uint8_t *end, const uint8_t **next);
#endif
