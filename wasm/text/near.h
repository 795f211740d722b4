/* near.h — which letters a name has: kept with each symbol, so that most names are seen not to be near at once. */
#ifndef RLM_TEXT_NEAR_H
#define RLM_TEXT_NEAR_H
#include "core/value.h"

int64_t letters_of_name(Value string);
#endif
