/* lambda.h — parameters. */
#ifndef RLM_EXPANDER_LAMBDA_H
#define RLM_EXPANDER_LAMBDA_H
#include "expander/expand.h"

Value expand_lambda(State *s, Job j, Value formals, Value body);
#endif
