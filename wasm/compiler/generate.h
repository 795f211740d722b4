/* generate.h — from trees to code: (%compile ast source-name) makes a thunk; see generate.c. */
#ifndef RLM_COMPILER_GENERATE_H
#define RLM_COMPILER_GENERATE_H
#include "core/value.h"

void compiler_init(void);
void compiler_drop(void);            /* what it has in hand, for an execution that ends in the midst of it */

/* From a tree to a thunk: begin, then run until it gives a closure or an error; V_AGAIN: go on later. */
void compile_begin(Value tree, Value source_name);
void compile_begin_plain(Value tree, Value source_name); /* of constants, globals and calls: nothing to analyse */
Value compile_run(void);
#endif
