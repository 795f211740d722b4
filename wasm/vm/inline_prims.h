/* inline_prims.h — primitives that have an instruction of their own. */
#ifndef RLM_VM_INLINE_PRIMS_H
#define RLM_VM_INLINE_PRIMS_H
#include "vm/code.h"

extern uint8_t prim_opcode[];   /* by primitive index: the SS form's opcode, or OP_COUNT */
extern uint8_t prim_tag[];      /* for OP_IS_TAG: the tag */
extern uint16_t op_primitive[256]; /* by opcode: the primitive behind it, for what the instruction cannot do itself */
void inline_prims_init(void);   /* after all primitives have been added */
#endif
