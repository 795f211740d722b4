/* support.h — what expanded code calls, as others of the expander see it: see support.c. */
#ifndef RLM_EXPANDER_SUPPORT_H
#define RLM_EXPANDER_SUPPORT_H
#include "core/value.h"

Value keyword_spec_of(Value procedure);   /* lambda.c's keyword_spec; V_FALSE: no keywords */
#endif
