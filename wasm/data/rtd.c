/* rtd.c — record types, and those of prefab structures.
 *
 * A prefab structure's type is found by its name, its number of fields and its parent, so that what is read as
 * #s(point 1 2) is an instance of (struct point (x y) #:prefab) wherever and whenever that is defined. */
#include "data/rtd.h"
#include "core/prims.h"
#include "data/table.h"
#include "text/symbol.h"
#include <string.h>

static Value prefab_types;     /* (name count . parent) -> rtd */

void prefab_init(void) {
  heap_root(&prefab_types);
  prefab_types = table_make(TABLE_EQUAL, false);
}

Value make_rtd(Value name, Value parent, Value own_fields, int64_t flags) {
  uint32_t inherited = parent == V_FALSE ? 0 : VEC_LENGTH(RTD(parent)->fields);
  uint32_t depth = parent == V_FALSE ? 0 : (uint32_t)FIX_VALUE(RTD(parent)->depth) + 1;
  Value fields = make_vector(inherited + VEC_LENGTH(own_fields), V_FALSE);
  if (inherited) memcpy(VEC(fields), VEC(RTD(parent)->fields), inherited * sizeof(Value));
  memcpy(VEC(fields) + inherited, VEC(own_fields), VEC_LENGTH(own_fields) * sizeof(Value));
  Value ancestors = make_vector(depth + 1, V_FALSE);
  if (depth) memcpy(VEC(ancestors), VEC(RTD(parent)->ancestors), depth * sizeof(Value));
  Value rtd = heap_object(T_RTD, 0, sizeof(struct Rtd) / 8 - 1);
  struct Rtd *r = RTD(rtd);
  r->name = name;
  r->parent = parent;
  r->fields = fields;
  r->depth = FIX(depth);
  r->ancestors = ancestors;
  r->apply = parent == V_FALSE ? V_FALSE : RTD(parent)->apply;
  r->printer = parent == V_FALSE ? V_FALSE : RTD(parent)->printer;
  r->flags = FIX(flags);
  r->properties = V_NIL;
  VEC(ancestors)[depth] = rtd;
  return rtd;
}

/* ---- prefab ---- */
enum { FIELDS_MOST = 32768, DEPTH_MOST = 64 };       /* Racket's limit; and a bound for what is read */

Value prefab_type(Value name, Value parent, uint32_t own_count) {
  uint64_t inherited = parent == V_FALSE ? 0 : VEC_LENGTH(RTD(parent)->fields);
  if (!heap_reserve((inherited + own_count) * 16 + 4096)) return need_memory((inherited + own_count) * 16 + 4096);
  if (!table_ready(prefab_types)) return table_wait(prefab_types);
  Value key = cons(name, cons(FIX(own_count), parent)), rtd = table_get(prefab_types, key, V_FALSE);
  if (rtd != V_FALSE) return rtd;
  Value fields = make_vector(own_count, intern("field"));   /* until a definition gives their names */
  rtd = make_rtd(name, parent, fields, RTD_PREFAB);
  table_set(prefab_types, key, rtd);
  return rtd;
}

/* The type of a key's rest, (name [count] name count ...), from its last name on; `items`: how many there are. */
static Value type_of_key(Value key, int64_t items) {
  struct { Value name; int64_t count; } types[DEPTH_MOST];
  int depth = 0;
  int64_t said = 0;
  for (; is_pair(key); depth++) {
    if (depth == DEPTH_MOST || !IS(CAR(key), T_SYMBOL)) return V_FALSE;
    types[depth].name = CAR(key);
    types[depth].count = -1;
    key = CDR(key);
    if (is_pair(key) && IS_FIX(CAR(key))) {
      types[depth].count = FIX_VALUE(CAR(key));
      if (types[depth].count < 0 || types[depth].count > FIELDS_MOST) return V_FALSE;
      said += types[depth].count;
      key = CDR(key);
    } else if (depth) {
      return V_FALSE;
    }
  }
  if (key != V_NIL || !depth) return V_FALSE;
  if (types[0].count < 0) said += types[0].count = items - said;
  if (said != items || types[0].count < 0 || items > FIELDS_MOST) return V_FALSE;
  Value type = V_FALSE;
  while (depth-- > 0) {
    type = prefab_type(types[depth].name, type, (uint32_t)types[depth].count);
    if (IS_SIGNAL(type)) return type;
  }
  return type;
}

Value prefab_make(Value key, Value items) {
  int64_t count = list_length(items);
  if (count < 0 || count > FIELDS_MOST) return V_FALSE;
  TRY_LET(type, IS(key, T_SYMBOL) ? prefab_type(key, V_FALSE, (uint32_t)count) : type_of_key(key, count));
  if (type == V_FALSE) return V_FALSE;
  uint64_t bytes = (uint64_t)count * 8 + 16;
  if (!heap_reserve(bytes)) return need_memory(bytes);
  charge(count / 8);
  Value record = heap_object(T_RECORD, 0, (uint32_t)count + 1);
  RECORD_RTD(record) = type;
  for (uint32_t i = 0; items != V_NIL; items = CDR(items)) RECORD_FIELD(record, i++) = CAR(items);
  return record;
}

static uint32_t own_count(struct Rtd *type) {
  return VEC_LENGTH(type->fields) - (type->parent == V_FALSE ? 0 : VEC_LENGTH(RTD(type->parent)->fields));
}

Value prefab_key(Value record) {
  struct Rtd *type = RTD(RECORD_RTD(record));
  if (type->parent == V_FALSE) return type->name;
  Value reversed = cons(type->name, V_NIL), key = V_NIL;
  for (Value above = type->parent; above != V_FALSE; above = RTD(above)->parent)
    reversed = cons(FIX(own_count(RTD(above))), cons(RTD(above)->name, reversed));
  for (; reversed != V_NIL; reversed = CDR(reversed)) key = cons(CAR(reversed), key);
  return key;
}

/* ---- primitives ---- */
static Value check_prefab(Value v) {
  return BOOL(IS(v, T_RECORD) && FIX_VALUE(RTD(RECORD_RTD(v))->flags) & RTD_PREFAB);
}

/* (%prefab-type name parent fields): the fields get these names */
static Value prim_prefab_type(int argc, Value *args) {
  (void)argc;
  CHECK_SYMBOL("%prefab-type", 0);
  if (args[1] != V_FALSE && !IS(args[1], T_RTD)) return err_type("%prefab-type", 1, "record type", args[1]);
  CHECK_VECTOR("%prefab-type", 2);
  uint32_t count = VEC_LENGTH(args[2]);
  TRY_LET(type, prefab_type(args[0], args[1], count));
  Value fields = RTD(type)->fields;
  memcpy(VEC(fields) + VEC_LENGTH(fields) - count, VEC(args[2]), count * sizeof(Value));
  return type;
}

static Value prim_make_prefab_struct(int argc, Value *args) {
  Value items = V_NIL;
  RESERVE((uint64_t)argc * 16);
  for (int i = argc - 1; i > 0; i--) items = cons(args[i], items);
  TRY_LET(record, prefab_make(args[0], items));
  return record == V_FALSE ? err_type(NULL, 0, "prefab key of as many fields as there are values", args[0]) : record;
}

static Value prim_prefab_struct_key(int argc, Value *args) {
  (void)argc;
  return TRUTH(check_prefab(args[0])) ? prefab_key(args[0]) : V_FALSE;
}

const PrimDef rtd_prims[] = {
  {"%prefab-type", prim_prefab_type, 3, 3, NULL},
  {"make-prefab-struct", prim_make_prefab_struct, 1, -1, "(make-prefab-struct key value ...)"},
  {"prefab-struct-key", prim_prefab_struct_key, 1, 1, "(prefab-struct-key v)"},
  {0},
};
