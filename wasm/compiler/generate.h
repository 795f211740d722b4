/* generate.h — from trees to code: (%compile ast source-name) makes a thunk; see generate.c. */
#ifndef RLM_COMPILER_GENERATE_H
#define RLM_COMPILER_GENERATE_H

void compiler_init(void);
#endif
