/* record.h — record types. */
#ifndef RLM_VM_RECORD_H
#define RLM_VM_RECORD_H
#include "core/value.h"

Value make_rtd(Value name, Value parent, Value own_fields, int64_t flags);   /* parent: an rtd or #f; fields: a vector of symbols */
#endif
