/* driver.c — the cells of the driver's variables, looked up once, when they are there. */
#include "host/driver.h"
#include "core/globals.h"
#include "core/prims.h"
#include "text/symbol.h"

Value driver_cells = V_FALSE;

/* (%know-driver!): when its variables are there */
static Value prim_know_driver(int argc, Value *args) {
  static const char *const names[] = {
#define X(name, of) of,
    DRIVER_VARIABLES(X)
#undef X
  }, *const module_forms[] = {"module", "module+", "module*"}, *const struct_forms[] = {"struct", "define-struct"},
     *const keywords[] = {"instruction", "data", "model", "temperature", "max-tokens", "json", "image", "images", "recursive"};
  (void)argc, (void)args;
  if (driver_cells == V_FALSE) heap_root(&driver_cells);
  driver_cells = make_vector(DRIVER_CELLS, V_FALSE);
  for (int i = 0; i < DRIVER_VARIABLES_END; i++) VEC(driver_cells)[i] = global_cell(intern(names[i]));
  for (int i = 0; i < MODULE_FORMS; i++) VEC(driver_cells)[MODULES + i] = intern(module_forms[i]);
  for (int i = 0; i < STRUCT_FORMS; i++) VEC(driver_cells)[STRUCTS + i] = intern(struct_forms[i]);
  for (int i = 0; i < CALL_KEYWORDS; i++) VEC(driver_cells)[KEYWORDS + i] = keyword_string(SYM(intern(keywords[i]))->name);
  return V_VOID;
}

const PrimDef driver_prims[] = {
  {"%know-driver!", prim_know_driver, 0, 0, NULL},
  {0}
};
