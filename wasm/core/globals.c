/* globals.c — the variables of the core environment, as C sees them. */
#include "core/globals.h"

static Value (*find)(Value symbol);

void globals_init(Value (*find_cell)(Value symbol)) { find = find_cell; }
Value global_cell(Value symbol) { return find(symbol); }

void define_global(Value symbol, Value v) {
  Value cell = global_cell(symbol);
  CELL(cell)->value = v;
  if (IS(v, T_PRIM)) CELL(cell)->flags = FIX(FIX_VALUE(CELL(cell)->flags) | CELL_CONSTANT);
}
