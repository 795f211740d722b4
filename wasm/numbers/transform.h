/* transform.h — the product of long factors, by a number-theoretic transform. */
#ifndef RLM_NUMBERS_TRANSFORM_H
#define RLM_NUMBERS_TRANSFORM_H
#include "numbers/limbs.h"

uint32_t transform_scratch(uint32_t an, uint32_t bn);
uint64_t transform_cost(uint32_t an, uint32_t bn);
void transform_mul(Limb *r, const Limb *a, uint32_t an, const Limb *b, uint32_t bn, Limb *scratch);
#endif
