/* rtd.h — record types, and those of prefab structures, which are known by their name and shape. */
#ifndef RLM_DATA_RTD_H
#define RLM_DATA_RTD_H
#include "core/value.h"

Value make_rtd(Value name, Value parent, Value own_fields, int64_t flags);   /* parent: an rtd or #f; fields: a vector of symbols */

void prefab_init(void);                          /* at boot */
/* The type of that name, parent (an rtd or #f) and number of own fields: there is one of each. May be V_AGAIN. */
Value prefab_type(Value name, Value parent, uint32_t own_count);
/* An instance by its key, as Racket's #s(key item ...): a symbol, or (name [count] parent count ...). V_AGAIN; V_FALSE:
   the key is none, or the items are not as many as it says. */
Value prefab_make(Value key, Value items);
Value prefab_key(Value record);                  /* of an instance */
#endif
