/* bignum.h — exact integers as Values: fixnums and T_BIGNUMs. Arguments must be exact integers.
 *
 * A function that returns a Value may return a signal (V_ERROR: too large; V_AGAIN: memory is short)
 * unless it says otherwise.
 */
#ifndef RLM_NUMBERS_BIGNUM_H
#define RLM_NUMBERS_BIGNUM_H
#include "core/prims.h"
#include "numbers/limbs.h"

#define INT_BITS_LIMIT (1u << 23)                       /* the largest integer: 1 MiB */
#define INT_LIMBS_LIMIT (INT_BITS_LIMIT / 32)

typedef struct { const Limb *limbs; uint32_t count; bool negative; Limb small[2]; } Int;  /* never copy one */
void int_view(Value v, Int *out);
Value int_too_large(void);                              /* V_ERROR */
Value int_new(uint32_t limbs, bool negative);           /* room for a result; memory must be reserved */
Value int_trim(Value big);                              /* drops leading zero limbs; a fixnum where it fits */
Value int_room(uint64_t limbs);                         /* V_TRUE, or a signal: reserves so much */
Value int_add(Value a, Value b);
Value int_sub(Value a, Value b);
Value int_mul(Value a, Value b);
Value int_negate(Value a);
Value int_abs(Value a);
int int_sign(Value a);
bool int_odd(Value a);
int int_compare(Value a, Value b);
uint32_t int_bits(Value a);                             /* of the magnitude */

/* Truncating division; q or r may be NULL; b is not zero. V_TRUE or a signal. */
Value int_divide(Value a, Value b, Value *q, Value *r);
Value int_quotient(Value a, Value b);
Value int_gcd(Value a, Value b);
Value int_shift(Value a, int64_t left);                 /* arithmetic: a right shift rounds down */
uint32_t int_trailing_zeros(Value a);                   /* a is not zero */
Value int_power(Value base, uint64_t exponent);
Value int_sqrt(Value n, Value *remainder);              /* n >= 0; remainder may be NULL */
Limb *limbs_alloc(uint64_t count);                      /* scratch in the heap; memory must be reserved */
Value int_from_i64(int64_t n);
Value int_from_u64(uint64_t n);
Value int_from_bytes(const uint8_t *big_endian, uint32_t count, bool negative);   /* CBOR bignums */
uint32_t int_byte_length(Value n);                        /* of the magnitude */
void int_to_bytes(Value n, uint8_t *big_endian);          /* magnitude, int_byte_length bytes */
#endif
