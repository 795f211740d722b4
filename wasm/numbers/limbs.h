/* limbs.h — natural numbers as bare little-endian vectors of 32-bit limbs: no Values, no allocation. */
#ifndef RLM_NUMBERS_LIMBS_H
#define RLM_NUMBERS_LIMBS_H
#include <stdbool.h>
#include <stdint.h>

typedef uint32_t Limb;
uint32_t limbs_trim(const Limb *a, uint32_t count);               /* count without leading zeros */
int limbs_compare(const Limb *a, uint32_t an, const Limb *b, uint32_t bn);   /* both trimmed */
uint32_t limbs_bits(const Limb *a, uint32_t count);               /* of a trimmed vector; 0 for zero */
/* r may be a. The result has an limbs (an >= bn); returns the carry or borrow. */
Limb limbs_add(Limb *r, const Limb *a, uint32_t an, const Limb *b, uint32_t bn);
Limb limbs_sub(Limb *r, const Limb *a, uint32_t an, const Limb *b, uint32_t bn);
Limb limbs_mul1(Limb *r, const Limb *a, uint32_t n, Limb m, Limb carry);     /* r = a * m + carry */
Limb limbs_div1(Limb *q, const Limb *a, uint32_t n, Limb d);                 /* returns the remainder */

/* By 0..31 bits; r may be a. left returns what went out at the top. */
Limb limbs_left(Limb *r, const Limb *a, uint32_t n, uint32_t bits);
void limbs_right(Limb *r, const Limb *a, uint32_t n, uint32_t bits);
/* r (an + bn limbs, apart from a and b) = a * b. */
uint32_t limbs_mul_scratch(uint32_t an, uint32_t bn);             /* limbs of scratch that it wants */
void limbs_mul(Limb *r, const Limb *a, uint32_t an, const Limb *b, uint32_t bn, Limb *scratch);
uint64_t limbs_mul_cost(uint32_t an, uint32_t bn);                /* in steps, for charge() */
/* a: an + 1 limbs (the top one may be anything below b's top), becomes the remainder in bn limbs;
   b: bn >= 2 limbs with its top bit set; q: an - bn + 1 limbs. */
uint32_t limbs_div_scratch(uint32_t an, uint32_t bn);
void limbs_div(Limb *q, Limb *a, uint32_t an, const Limb *b, uint32_t bn, Limb *scratch);
/* One step of it, from the left: `left` limbs of the quotient are yet to find; returns how many then. */
uint32_t limbs_div_part(Limb *q, Limb *a, uint32_t left, const Limb *b, uint32_t bn, Limb *scratch);
uint64_t limbs_div_cost(uint32_t an, uint32_t bn);
#endif
