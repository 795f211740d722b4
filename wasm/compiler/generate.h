/* generate.h — from trees to code: (%compile ast source-name) makes a thunk; see generate.c. */
#ifndef RLM_COMPILER_GENERATE_H
#define RLM_COMPILER_GENERATE_H

void compiler_init(void);
void compiler_drop(void);            /* what it has in hand, for an execution that ends in the midst of it */
#endif
