/* equal.h — sameness and hashing. */
#ifndef RLM_DATA_EQUAL_H
#define RLM_DATA_EQUAL_H
#include "core/value.h"

bool is_eqv(Value a, Value b);

/* A structural hash, consistent with equal?, of at most a bounded number of nodes: O(1) stack. */
uint64_t equal_hash(Value v);

/* EQUAL_DEEP: more than `effort` nodes; EQUAL_CUSTOM: it hangs on a record whose type has an equality of its own,
   which only the prelude can ask (V_CUSTOM). */
enum { EQUAL_NO, EQUAL_YES, EQUAL_DEEP, EQUAL_CUSTOM };
enum { EQUAL_THOROUGH = 100000 };      /* an effort for which long texts are compared to their end */
int equal_bounded(Value a, Value b, int effort);

/* Any two values, resumable: V_TRUE, V_FALSE, V_CUSTOM, or V_AGAIN with *state to go on from (V_FALSE at
   first). Where equal_bounded gave up. */
Value equal_run(Value a, Value b, Value *state);
#define EQUAL_EFFORT 500

/* Does it stand for a text that has to be unwrapped? */
static inline bool is_scoped(Value v) { return IS(v, T_RECORD) && FIX_VALUE(RTD(RECORD_RTD(v))->flags) & RTD_SCOPED; }

/* A string and a symbol are compared, or an LLM call's result and a string: does that look like a slip? */
void note_comparison(Value a, Value b);

static inline bool is_custom_record(Value v) { return IS(v, T_RECORD) && FIX_VALUE(RTD(RECORD_RTD(v))->flags) & RTD_EQUAL; }

/* Has its type one of the flags, and so all types above? */
static inline bool all_types_have(Value record, int64_t flags) {
  for (Value rtd = RECORD_RTD(record); rtd != V_FALSE; rtd = RTD(rtd)->parent)
    if (!(FIX_VALUE(RTD(rtd)->flags) & flags)) return false;
  return true;
}
/* Do equal? and hashing look inside? */
static inline bool is_open_record(Value record) { return all_types_have(record, RTD_TRANSPARENT | RTD_PREFAB | RTD_OPEN); }
/* Is it data, which its fields say wholly? */
static inline bool is_data_record(Value record) { return all_types_have(record, RTD_TRANSPARENT | RTD_PREFAB); }
#endif
