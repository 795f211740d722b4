/* inline_prims.c — which primitives have an instruction of their own. */
#include "vm/inline_prims.h"
#include "core/prims.h"
#include <string.h>

uint8_t prim_opcode[MAX_PRIMS];
uint8_t prim_tag[MAX_PRIMS];

static const struct { const char *name; uint8_t op, tag; } inlined[] = {
  {"car", OP_CAR, 0}, {"cdr", OP_CDR, 0}, {"cadr", OP_CADR, 0}, {"cddr", OP_CDDR, 0}, {"cons", OP_CONS, 0},
  {"set-car!", OP_SET_CAR, 0}, {"set-cdr!", OP_SET_CDR, 0}, {"pair?", OP_PAIRP, 0}, {"null?", OP_NULLP, 0},
  {"not", OP_NOT, 0}, {"eq?", OP_EQ, 0}, {"eqv?", OP_EQV, 0}, {"zero?", OP_ZEROP, 0}, {"list", OP_LIST, 0},
  {"+", OP_ADD_SS, 0}, {"-", OP_SUB_SS, 0}, {"*", OP_MUL_SS, 0}, {"quotient", OP_QUOTIENT_SS, 0},
  {"remainder", OP_REMAINDER_SS, 0}, {"modulo", OP_MODULO_SS, 0},
  {"<", OP_LT_SS, 0}, {">", OP_GT_SS, 0}, {"<=", OP_LE_SS, 0}, {">=", OP_GE_SS, 0}, {"=", OP_EQN_SS, 0},
  {"vector-ref", OP_VECTOR_REF, 0}, {"vector-set!", OP_VECTOR_SET, 0}, {"vector-length", OP_VECTOR_LENGTH, 0},
  {"string-ref", OP_STRING_REF, 0}, {"string-length", OP_STRING_LENGTH, 0}, {"char=?", OP_CHAR_EQ, 0},
  {"unbox", OP_UNBOX, 0}, {"box", OP_BOX, 0}, {"set-box!", OP_SET_BOX, 0},
  {"%record-ref", OP_RECORD_REF, 0}, {"%record-is-a?", OP_RECORD_IS, 0},
  {"symbol?", OP_IS_TAG, T_SYMBOL}, {"string?", OP_IS_TAG, T_STRING}, {"char?", OP_IS_TAG, T_CHAR},
  {"vector?", OP_IS_TAG, T_VECTOR}, {"keyword?", OP_IS_TAG, T_KEYWORD}, {"bytevector?", OP_IS_TAG, T_BYTES},
  {"%record?", OP_IS_TAG, T_RECORD}, {"promise?", OP_IS_TAG, T_PROMISE},
};

void inline_prims_init(void) {
  memset(prim_opcode, OP_COUNT, sizeof prim_opcode);
  for (size_t i = 0; i < sizeof inlined / sizeof *inlined; i++) {
    int prim = prim_index(inlined[i].name);
    if (prim < 0) continue;
    prim_opcode[prim] = inlined[i].op;
    prim_tag[prim] = inlined[i].tag;
    if (inlined[i].op != OP_IS_TAG) op_primitive[inlined[i].op] = (uint16_t)prim;
  }
  op_primitive[OP_CAR_L] = op_primitive[OP_CAR];
  op_primitive[OP_CDR_L] = op_primitive[OP_CDR];
  op_primitive[OP_CHAR_EQ_TEST] = op_primitive[OP_CHAR_EQ];
  op_primitive[OP_VECTOR_REF_L] = op_primitive[OP_VECTOR_REF_LL] = op_primitive[OP_VECTOR_REF];
  for (int op = OP_ADD_SS; op <= OP_MODULO_LL; op += 4)
    for (int form = 1; form < 4; form++) op_primitive[op + form] = op_primitive[op];
  for (int i = 0; i <= OP_EQN_SS - OP_LT_SS; i++) op_primitive[OP_LT_3 + i] = op_primitive[OP_LT_SS + i];
}
