/* cbor.h — data from the messages of rlm.h. */
#ifndef RLM_IO_CBOR_H
#define RLM_IO_CBOR_H
#include "core/value.h"

/* The item that begins there, and ends where the bytevector does. Resumable: vm.resume is its own. types: a table from names to record
   types, or V_FALSE. */
Value cbor_decode_from(Value bytes, uint32_t at, Value types);
#endif
