/* uvector.h — uniform vectors: numbers of one machine type, one after the other (T_UVECTOR).
 *
 * The type is in the header's flags, the length in bytes in its length. A vector of u8 is a bytevector and never
 * one of these. */
#ifndef RLM_DATA_UVECTOR_H
#define RLM_DATA_UVECTOR_H
#include "core/prims.h"

/* Chibi-Scheme's numbers for them. */
enum uvector_type { UV_U1 = 1, UV_S8, UV_U8, UV_S16, UV_U16, UV_S32, UV_U32, UV_S64, UV_U64, UV_F32, UV_F64, UV_F8, UV_F16,
                    UV_C64, UV_C128, UV_END };

enum { UVECTOR_TYPE_SHIFT = 5 };     /* bits 5 to 8 of the flags */
#define UVECTOR_TYPE(v) ((enum uvector_type)(OBJ_FLAGS(v) >> UVECTOR_TYPE_SHIFT & 15))

const char *uvector_name(enum uvector_type type);        /* "u32" */
const char *uvector_holds(enum uvector_type type);       /* what an element is, for messages */
uint64_t uvector_bytes(enum uvector_type type, uint64_t count);
uint32_t uvector_length(Value v);
Value uvector_make(enum uvector_type type, uint32_t count);      /* memory for it is reserved; what it holds is not set */
bool uvector_fits(enum uvector_type type, Value number);
void uvector_store(Value v, uint32_t i, Value number);   /* a number that fits, at an index that is there */
Value uvector_load(Value v, uint32_t i);                 /* never a signal; takes less than 64 bytes of the heap */
bool uvector_alike(Value a, Value b);                    /* of one type and length */
bool uvector_equal(Value a, Value b);
double half_to_double(uint32_t half);                    /* IEEE 754's 16 bits */
#endif
