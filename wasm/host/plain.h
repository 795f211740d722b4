/* plain.h — small plain data to CBOR and back, in one step: numbers, texts, symbols, and lists of them. What is large,
 * nested deeper or of another kind is io/cbor.c's, which goes in pieces. Both write the same bytes. */
#ifndef RLM_HOST_PLAIN_H
#define RLM_HOST_PLAIN_H
#include "core/value.h"

enum { PLAIN_BYTES_MOST = 16384 };      /* of what is written or read so */

uint8_t *put_head(uint8_t *at, int major, uint64_t n);
uint32_t head_size(uint64_t n);

/* Sizes of items are added up; `items` is how many may still come. False: it is none that is plain. */
typedef struct { uint32_t bytes, items; } PlainSize;
#define PLAIN_SIZE ((PlainSize){0, 200})
bool plain_size(PlainSize *size, Value v);
uint8_t *put_plain(uint8_t *at, Value v);       /* of which plain_size is true */

/* The item at *at, which is moved behind it; V_UNBOUND: it is none that is plain. */
typedef struct { const uint8_t *at, *end; uint32_t items; } PlainReader;
#define PLAIN_ITEMS 500
Value take_plain(PlainReader *r);
bool take_head(PlainReader *r, int *major, uint64_t *n);   /* false: cut short, or of no definite length */
#endif
