/* bytes.h — what others need of bytevectors. */
#ifndef RLM_DATA_BYTES_H
#define RLM_DATA_BYTES_H
#include "core/prims.h"

/* A bytevector of the raw bytes [start, end) of an object, made in pieces, for a primitive that does nothing else that is
   long: V_AGAIN where it pauses or wants memory. */
Value bytes_cut(Value from, uint32_t start, uint32_t end);
#endif
