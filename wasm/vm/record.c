/* record.c — record types and records. */
#include "data/rtd.h"
#include "text/symbol.h"
#include "vm/machine.h"
#include <string.h>

#define CHECK_RTD(who, i) do { if (!IS(args[i], T_RTD)) return err_type(who, i, "record type", args[i]); } while (0)
#define CHECK_RECORD(who, i) do { if (!IS(args[i], T_RECORD)) return err_type(who, i, "record", args[i]); } while (0)

static const struct { const char *name; int flag; } flag_names[] = {
  {"transparent", RTD_TRANSPARENT}, {"mutable", RTD_MUTABLE}, {"sealed", RTD_SEALED}, {"opaque", RTD_OPAQUE}, {"prefab", RTD_PREFAB},
  {"set", RTD_SET}, {"equal", RTD_EQUAL}, {"scoped", RTD_SCOPED}, {"open", RTD_OPEN},
};
#define FLAG_COUNT (sizeof flag_names / sizeof *flag_names)

/* (%make-rtd name parent fields [flags]): fields a vector of symbols, flags a list of symbols */
static Value prim_make_rtd(int argc, Value *args) {
  CHECK_SYMBOL("%make-rtd", 0);
  if (args[1] != V_FALSE) CHECK_RTD("%make-rtd", 1);
  CHECK_VECTOR("%make-rtd", 2);
  int64_t flags = 0;
  for (Value f = argc > 3 ? args[3] : V_NIL; is_pair(f); f = CDR(f))
    for (size_t i = 0; i < FLAG_COUNT; i++)
      if (CAR(f) == intern(flag_names[i].name)) flags |= flag_names[i].flag;
  return make_rtd(args[0], args[1], args[2], flags);
}
static Value prim_rtd_flags(int argc, Value *args) {
  (void)argc;
  CHECK_RTD("%rtd-flags", 0);
  Value list = V_NIL;
  for (size_t i = FLAG_COUNT; i-- > 0;)
    if (FIX_VALUE(RTD(args[0])->flags) & flag_names[i].flag) list = cons(intern(flag_names[i].name), list);
  return list;
}

/* The index of a field: an index, or a symbol (the last field of that name: the type's own first). */
static int64_t field_index(Value rtd, Value field) {
  Value fields = RTD(rtd)->fields;
  if (IS_FIX(field)) return FIX_VALUE(field) >= 0 && FIX_VALUE(field) < VEC_LENGTH(fields) ? FIX_VALUE(field) : -1;
  for (uint32_t i = VEC_LENGTH(fields); i-- > 0;)
    if (VEC(fields)[i] == field) return i;
  return -1;
}

static Value record_procedure(uint32_t word, Value rtd, Value extra, Value name, Value params, Value arity) {
  Value constants[] = {rtd, extra};
  return make_procedure(&word, 1, 2, constants, name, params, arity);
}
static Value no_field(const char *who, Value rtd, Value field) {
  return err_failf("exn:fail:contract", "%s: no field %v in record type %q", who, field, RTD(rtd)->name);
}
/* (%record-accessor rtd field name), (%record-modifier rtd field name): field a symbol or an index */
static Value prim_accessor(int argc, Value *args) {
  (void)argc;
  CHECK_RTD("%record-accessor", 0);
  int64_t i = field_index(args[0], args[1]);
  if (i < 0) return no_field("record-accessor", args[0], args[1]);
  return record_procedure(OP_ACCESS | (uint32_t)i << 8, args[0], V_FALSE, args[2], list_n(1, RTD(args[0])->name), ARITY_OF_LOOK);
}
static Value prim_modifier(int argc, Value *args) {
  (void)argc;
  CHECK_RTD("%record-modifier", 0);
  int64_t i = field_index(args[0], args[1]);
  if (i < 0) return no_field("record-modifier", args[0], args[1]);
  return record_procedure(OP_MODIFY | (uint32_t)i << 8, args[0], V_FALSE, args[2], list_n(2, RTD(args[0])->name, intern("value")), ARITY_SIMPLE(2));
}
static Value prim_predicate(int argc, Value *args) {
  (void)argc;
  CHECK_RTD("%record-predicate", 0);
  return record_procedure(OP_PREDICATE, args[0], V_FALSE, args[1], list_n(1, intern("v")), ARITY_OF_LOOK);
}
/* (%record-constructor rtd fields name): fields a vector of symbols, the others start as #f; or #f: all */
static Value prim_constructor(int argc, Value *args) {
  (void)argc;
  CHECK_RTD("%record-constructor", 0);
  Value fields = RTD(args[0])->fields, map = V_FALSE, params = V_NIL, wanted = args[1];
  uint32_t n = VEC_LENGTH(fields), given = n;
  if (wanted != V_FALSE) {
    CHECK_VECTOR("%record-constructor", 1);
    map = make_vector(n, FIX(-1));
    given = VEC_LENGTH(wanted);
    for (uint32_t i = 0; i < given; i++) {
      int64_t at = field_index(args[0], VEC(wanted)[i]);
      if (at < 0) return no_field("record-constructor", args[0], VEC(wanted)[i]);
      VEC(map)[at] = FIX(i);
    }
  } else {
    wanted = fields;
  }
  for (uint32_t i = given; i-- > 0;) params = cons(VEC(wanted)[i], params);
  return record_procedure(OP_CONSTRUCT | n << 8, args[0], map, args[2], params, ARITY_SIMPLE(given));
}

static Value prim_record(int argc, Value *args) {              /* (%record rtd field ...) */
  CHECK_RTD("%record", 0);
  uint32_t n = VEC_LENGTH(RTD(args[0])->fields);
  if ((uint32_t)argc - 1 != n)
    return err_failf("exn:fail:contract:arity", "%q: expected %d fields, got %d", RTD(args[0])->name, (int)n, argc - 1);
  Value r = make_record(args[0], n);
  memcpy(&RECORD_FIELD(r, 0), args + 1, n * sizeof(Value));
  return r;
}
static Value prim_is_record(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_RECORD)); }
static Value prim_record_is(int argc, Value *args) {
  (void)argc;
  CHECK_RTD("%record-is-a?", 1);
  return BOOL(record_is_a(args[0], args[1]));
}
static Value prim_record_rtd(int argc, Value *args) { (void)argc; CHECK_RECORD("%record-rtd", 0); return RECORD_RTD(args[0]); }
static Value prim_record_ref(int argc, Value *args) {
  (void)argc;
  uint32_t i;
  CHECK_RECORD("%record-ref", 0);
  CHECK_INDEX("%record-ref", 1, 0, (int64_t)OBJ_LENGTH(args[0]) - 2, args[0], i);
  return RECORD_FIELD(args[0], i);
}
static Value prim_record_set(int argc, Value *args) {
  (void)argc;
  uint32_t i;
  CHECK_RECORD("%record-set!", 0);
  CHECK_INDEX("%record-set!", 1, 0, (int64_t)OBJ_LENGTH(args[0]) - 2, args[0], i);
  RECORD_FIELD(args[0], i) = args[2];
  return V_VOID;
}
static Value prim_record_copy(int argc, Value *args) {
  (void)argc;
  CHECK_RECORD("%record-copy", 0);
  uint32_t n = OBJ_LENGTH(args[0]);
  Value r = heap_object(T_RECORD, 0, n);
  memcpy(SLOTS(r), SLOTS(args[0]), n * sizeof(Value));
  return r;
}
static Value prim_is_rtd(int argc, Value *args) { (void)argc; return BOOL(IS(args[0], T_RTD)); }

#define RTD_GETTER(field, name) static Value prim_rtd_##field(int argc, Value *args) { (void)argc; CHECK_RTD(name, 0); return RTD(args[0])->field; }
#define RTD_SETTER(field, name) static Value prim_set_rtd_##field(int argc, Value *args) { (void)argc; CHECK_RTD(name, 0); RTD(args[0])->field = args[1]; return V_VOID; }
RTD_GETTER(name, "%rtd-name")
RTD_GETTER(parent, "%rtd-parent")
RTD_GETTER(fields, "%rtd-fields")
RTD_GETTER(apply, "%rtd-apply")
RTD_GETTER(printer, "%rtd-printer")
RTD_GETTER(properties, "%rtd-properties")
RTD_SETTER(apply, "%set-rtd-apply!")
RTD_SETTER(printer, "%set-rtd-printer!")
RTD_SETTER(properties, "%set-rtd-properties!")

const PrimDef record_prims[] = {
  {"%make-rtd", prim_make_rtd, 3, 4, NULL},
  {"%rtd-flags", prim_rtd_flags, 1, 1, NULL},
  {"%record-accessor", prim_accessor, 3, 3, NULL},
  {"%record-modifier", prim_modifier, 3, 3, NULL},
  {"%record-predicate", prim_predicate, 2, 2, NULL},
  {"%record-constructor", prim_constructor, 3, 3, NULL},
  {"%record", prim_record, 1, -1, NULL},
  {"%record?", prim_is_record, 1, 1, NULL},
  {"%record-is-a?", prim_record_is, 2, 2, NULL},
  {"%record-rtd", prim_record_rtd, 1, 1, NULL},
  {"%record-ref", prim_record_ref, 2, 2, NULL},
  {"%record-set!", prim_record_set, 3, 3, NULL},
  {"%record-copy", prim_record_copy, 1, 1, NULL},
  {"%rtd?", prim_is_rtd, 1, 1, NULL},
  {"%rtd-name", prim_rtd_name, 1, 1, NULL},
  {"%rtd-parent", prim_rtd_parent, 1, 1, NULL},
  {"%rtd-fields", prim_rtd_fields, 1, 1, NULL},
  {"%rtd-apply", prim_rtd_apply, 1, 1, NULL},
  {"%rtd-printer", prim_rtd_printer, 1, 1, NULL},
  {"%rtd-properties", prim_rtd_properties, 1, 1, NULL},
  {"%set-rtd-apply!", prim_set_rtd_apply, 2, 2, NULL},
  {"%set-rtd-printer!", prim_set_rtd_printer, 2, 2, NULL},
  {"%set-rtd-properties!", prim_set_rtd_properties, 2, 2, NULL},
  {0}
};
