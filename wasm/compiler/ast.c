/* ast.c — making nodes. */
#include "compiler/ast.h"
#include "core/heap.h"
#include <stdarg.h>

Value make_envvar(Value name) {
  Value var = heap_object(T_ENVVAR, 0, 6);
  for (int i = 0; i < 6; i++) SLOTS(var)[i] = V_FALSE;
  ENVVAR(var)->name = name;
  ENVVAR(var)->flags = FIX(0);
  return var;
}

Value make_leaf(enum node kind, uint32_t place, Value part) {
  Value node = heap_object(T_VECTOR, 0, 3);
  VEC(node)[0] = FIX(kind);
  VEC(node)[1] = FIX(place);
  NODE(node, 0) = part;
  return node;
}

Value make_node(enum node kind, uint32_t place, int count, ...) {
  Value node = heap_object(T_VECTOR, 0, (uint32_t)count + 2);
  VEC(node)[0] = FIX(kind);
  VEC(node)[1] = FIX(place);
  va_list parts;
  va_start(parts, count);
  for (int i = 0; i < count; i++) NODE(node, i) = va_arg(parts, Value);
  va_end(parts);
  return node;
}
