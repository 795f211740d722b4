/* error.h — errors that the machine itself raises, and where an error arose. The others: core/raise.h. */
#ifndef RLM_VM_ERROR_H
#define RLM_VM_ERROR_H
#include "core/raise.h"

void error_locate(Value condition);     /* fill in place and backtrace from the machine's state */
void error_blame(const char *who, int argc, const Value *args);   /* names the primitive in a message that does not */
uint32_t template_place(Value template, uint32_t pc);
bool template_tests_zero(Value template, uint32_t pc);
Value err_arity(Value proc, int argc, const Value *args);
Value err_apply(Value object, int argc);
Value err_unbound(Value cell);
Value err_record(Value procedure, Value got);
void error_init(void);
#endif
