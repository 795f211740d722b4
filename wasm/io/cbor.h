/* cbor.h — data from the messages of rlm.h. */
#ifndef RLM_IO_CBOR_H
#define RLM_IO_CBOR_H
#include "core/value.h"

enum cbor_major { UNSIGNED, NEGATIVE, BYTE_STRING, TEXT_STRING, ARRAY, MAP, TAGGED, SIMPLE };
enum { BYTE_FALSE = 0xf4, BYTE_TRUE, BYTE_NULL, BYTE_UNDEFINED, BYTE_HALF = 0xf9, BYTE_SINGLE, BYTE_DOUBLE, BYTE_BREAK = 0xff };
enum { TAG_SYMBOL = 39 };               /* others are io/cbor.c's alone */

/* The item that begins there, and ends where the bytevector does. Resumable: vm.resume is its own. types: a table from names to record
   types, or V_FALSE. */
Value cbor_decode_from(Value bytes, uint32_t at, Value types);
#endif
