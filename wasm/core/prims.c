/* prims.c — the table of all primitives, and which of them have an instruction of their own. */
#include "code.h"
#include <string.h>

/* Every file's table; the order gives the primitives their numbers. */
#define TABLES(X) \
  X(control) X(machine) X(record) X(error) X(compile) X(message) \
  X(number) X(division) X(function) X(bitwise) X(random) X(numprint) X(numread) X(fixflo) \
  X(symbol) X(string) X(string_case) X(string_search) X(utf8) X(char) X(bytes) X(digest) X(port) X(regexp) \
  X(read) X(print) X(table) X(equal) X(list) X(vector) X(sort) X(cbor) X(json) \
  X(expand) X(expand_support) X(syntax) X(env) X(library)

#define X(name) extern const PrimDef name##_prims[] __attribute__((weak));
TABLES(X)
#undef X

#define MAX_PRIMS 2048
const PrimDef *prim_table[MAX_PRIMS];
uint32_t prim_count;
uint8_t prim_opcode[MAX_PRIMS];
uint8_t prim_tag[MAX_PRIMS];
bool prim_tail[MAX_PRIMS];
extern uint16_t op_primitive[256];

static const struct { const char *name; uint8_t op, tag; } inlined[] = {
  {"car", OP_CAR, 0}, {"cdr", OP_CDR, 0}, {"cadr", OP_CADR, 0}, {"cddr", OP_CDDR, 0}, {"cons", OP_CONS, 0},
  {"set-car!", OP_SET_CAR, 0}, {"set-cdr!", OP_SET_CDR, 0}, {"pair?", OP_PAIRP, 0}, {"null?", OP_NULLP, 0},
  {"not", OP_NOT, 0}, {"eq?", OP_EQ, 0}, {"eqv?", OP_EQV, 0}, {"zero?", OP_ZEROP, 0}, {"list", OP_LIST, 0},
  {"+", OP_ADD_SS, 0}, {"-", OP_SUB_SS, 0}, {"*", OP_MUL_SS, 0}, {"quotient", OP_QUOTIENT, 0},
  {"remainder", OP_REMAINDER, 0}, {"modulo", OP_MODULO, 0},
  {"<", OP_LT_SS, 0}, {">", OP_GT_SS, 0}, {"<=", OP_LE_SS, 0}, {">=", OP_GE_SS, 0}, {"=", OP_EQN_SS, 0},
  {"vector-ref", OP_VECTOR_REF, 0}, {"vector-set!", OP_VECTOR_SET, 0}, {"vector-length", OP_VECTOR_LENGTH, 0},
  {"string-ref", OP_STRING_REF, 0}, {"string-length", OP_STRING_LENGTH, 0}, {"char=?", OP_CHAR_EQ, 0},
  {"unbox", OP_UNBOX, 0}, {"box", OP_BOX, 0}, {"set-box!", OP_SET_BOX, 0},
  {"%record-ref", OP_RECORD_REF, 0}, {"%record-is-a?", OP_RECORD_IS, 0},
  {"symbol?", OP_IS_TAG, T_SYMBOL}, {"string?", OP_IS_TAG, T_STRING}, {"char?", OP_IS_TAG, T_CHAR},
  {"vector?", OP_IS_TAG, T_VECTOR}, {"keyword?", OP_IS_TAG, T_KEYWORD}, {"bytevector?", OP_IS_TAG, T_BYTES},
  {"%record?", OP_IS_TAG, T_RECORD}, {"promise?", OP_IS_TAG, T_PROMISE},
};

int prim_index(const char *name) {
  for (uint32_t i = 0; i < prim_count; i++)
    if (strcmp(prim_table[i]->name, name) == 0) return (int)i;
  return -1;
}

static void add_table(const PrimDef *table, bool tail) {
  for (; table && table->name; table++) {
    if (prim_count == MAX_PRIMS) __builtin_trap();
    prim_table[prim_count] = table;
    prim_opcode[prim_count] = OP_COUNT;
    prim_tail[prim_count] = tail;
    define_global(table->name, MAKE(T_PRIM, prim_count));
    Value cell = global_cell(intern(table->name));
    CELL(cell)->flags = FIX(FIX_VALUE(CELL(cell)->flags) | CELL_CONSTANT);
    prim_count++;
  }
}

void prims_init(void) {
#define X(name) add_table(name##_prims, strcmp(#name, "control") == 0);
  TABLES(X)
#undef X
  for (size_t i = 0; i < sizeof inlined / sizeof *inlined; i++) {
    int prim = prim_index(inlined[i].name);
    if (prim < 0) continue;
    prim_opcode[prim] = inlined[i].op;
    prim_tag[prim] = inlined[i].tag;
    if (inlined[i].op != OP_IS_TAG) op_primitive[inlined[i].op] = (uint16_t)prim;
  }
}
