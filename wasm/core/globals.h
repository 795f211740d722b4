/* globals.h — the variables of the core environment, as C sees them.
 *
 * The expander owns environments; at boot it says how a symbol's cell is found, so that what lies below
 * it can call a procedure of the prelude by name.
 */
#ifndef RLM_CORE_GLOBALS_H
#define RLM_CORE_GLOBALS_H
#include "core/value.h"

void globals_init(Value (*find_cell)(Value symbol));
Value global_cell(Value symbol);            /* made unbound where missing */
void define_global(Value symbol, Value v);  /* at boot; a primitive is marked as never assigned */
#endif
