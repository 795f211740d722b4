/* transform.h — the product of long factors, by a number-theoretic transform. */
#ifndef RLM_NUMBERS_TRANSFORM_H
#define RLM_NUMBERS_TRANSFORM_H
#include "numbers/limbs.h"

uint32_t transform_scratch(uint32_t an, uint32_t bn);
uint64_t transform_cost(uint32_t an, uint32_t bn);
/* In passes, for whoever must pause: begin, then pass 0 up to transform_passes; the last one gives r. The
   scratch has transform_words 64-bit words, and is all that there is between two passes. A pass over many words is
   several of these. */
uint32_t transform_words(uint32_t an, uint32_t bn);
uint32_t transform_passes(uint32_t an, uint32_t bn);
uint64_t transform_pass_cost(uint32_t an, uint32_t bn);            /* in steps */
void transform_begin(uint64_t *scratch, const Limb *a, uint32_t an, const Limb *b, uint32_t bn);
void transform_pass(uint32_t pass, uint64_t *scratch, Limb *r, uint32_t an, uint32_t bn);
void transform_mul(Limb *r, const Limb *a, uint32_t an, const Limb *b, uint32_t bn, Limb *scratch);
#endif
