/* primitives.c — the table of all primitives. */
#include "host/primitives.h"
#include "core/globals.h"
#include "core/prims.h"
#include "text/symbol.h"
#include "vm/inline_prims.h"
#include <string.h>

/* Every file's table; the order gives the primitives their numbers. */
#define TABLES(X) \
  X(control) X(machine) X(slip) X(record) X(rtd) X(error) X(compile) X(message) X(driver) X(program) X(request) \
  X(number) X(division) X(function) X(bitwise) X(random) X(numprint) X(numread) X(fixflo) \
  X(symbol) X(near) X(string) X(string_case) X(string_search) X(utf8) X(char) X(bytes) X(uvector) X(digest) X(port) X(regexp) \
  X(read) X(print) X(table) X(equal) X(list) X(vector) X(sort) X(cbor) X(json) \
  X(expand) X(expand_support) X(survey) X(syntax) X(env) X(library)

#define X(name) extern const PrimDef name##_prims[];
TABLES(X)
#undef X

static void add(const PrimDef *table, bool tail) {
  uint32_t first = prims_add(table, tail);
  for (uint32_t i = first; i < prim_count; i++) define_global(intern(prim_table[i]->name), MAKE(T_PRIM, i));
}

void primitives_init(void) {
#define X(name) add(name##_prims, strcmp(#name, "control") == 0);
  TABLES(X)
#undef X
  inline_prims_init();
}
