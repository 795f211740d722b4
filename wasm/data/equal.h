/* equal.h — sameness and hashing. */
#ifndef RLM_DATA_EQUAL_H
#define RLM_DATA_EQUAL_H
#include "core/value.h"

bool is_eqv(Value a, Value b);

/* A structural hash, consistent with equal?, of at most a bounded number of nodes: O(1) stack. */
uint64_t equal_hash(Value v);

enum { EQUAL_NO, EQUAL_YES, EQUAL_DEEP };
int equal_bounded(Value a, Value b, int effort); /* EQUAL_DEEP: more than `effort` nodes */

/* Any two values, resumable: V_TRUE, V_FALSE, or V_AGAIN with *state to go on from (V_FALSE at
   first). Where equal_bounded gave up. */
Value equal_run(Value a, Value b, Value *state);
#define EQUAL_EFFORT 500

/* Do equal? and hashing look inside? Where its type and all types above are transparent. */
static inline bool is_open_record(Value record) {
  for (Value rtd = RECORD_RTD(record); rtd != V_FALSE; rtd = RTD(rtd)->parent)
    if (!(FIX_VALUE(RTD(rtd)->flags) & (RTD_TRANSPARENT | RTD_PREFAB))) return false;
  return true;
}
#endif
