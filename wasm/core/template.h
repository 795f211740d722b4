/* template.h — compiled code as a value: what compiler/generate.c makes and the machine runs. */
#ifndef RLM_CORE_TEMPLATE_H
#define RLM_CORE_TEMPLATE_H
#include "core/value.h"

struct Template {
  uint64_t header;    /* T_TEMPLATE, TEMPLATE_FIXED + constants slots */
  Value code;         /* T_RAW of uint32_t */
  Value arity;        /* fixnum: required where there is neither optional nor rest; else negative:
                         -(1 + required + optional * 0x1000 + (rest ? 0x1000000 : 0)) */
  Value name;         /* symbol or #f */
  Value source;       /* string: a program's source name; symbol: a prelude file (not shown in backtraces) */
  Value places;       /* T_RAW of uint32_t pairs (code offset, place), ascending; an offset with PLACE_OF_ZEROP: what a test by zero? became */
  Value params;       /* list of symbols, for signatures */
  Value place;        /* fixnum: of the lambda */
};
#define TEMPLATE_FIXED 7
#define PLACE_OF_ZEROP 0x80000000u
#define TEMPLATE(v) ((struct Template *)PTR(v))
#define OF_PROGRAM(t) IS((t)->source, T_STRING)      /* not of the prelude or the machine */
#define TEMPLATE_CONSTS(t) ((Value *)(t) + 1 + TEMPLATE_FIXED)
#define ARITY_SIMPLE(required) FIX(required)
#define ARITY_GENERAL(required, optional, rest) \
  FIX(-(1 + (int64_t)(required) + (int64_t)(optional) * 0x1000 + ((rest) ? 0x1000000 : 0)))
#define ARITY_OF_LOOK ARITY_GENERAL(1, 0, false)   /* of a record type's accessors and predicate alone: their calls need no frame */
#define ARITY_PARTS(a) (-FIX_VALUE(a) - 1)
#define ARITY_REQUIRED(a) (FIX_VALUE(a) >= 0 ? (uint32_t)FIX_VALUE(a) : (uint32_t)(ARITY_PARTS(a) & 0xfff))
#define ARITY_OPTIONAL(a) (FIX_VALUE(a) >= 0 ? 0u : (uint32_t)(ARITY_PARTS(a) >> 12 & 0xfff))
#define ARITY_REST(a) (FIX_VALUE(a) < 0 && (ARITY_PARTS(a) >> 24 & 1))

static inline bool arity_accepts(Value arity, uint32_t argc) {
  uint32_t required = ARITY_REQUIRED(arity);
  return argc >= required && (ARITY_REST(arity) || argc <= required + ARITY_OPTIONAL(arity));
}

/* The closure of a case-lambda that takes so many arguments, or #f. */
static inline Value select_case(Value procedure, uint32_t argc) {
  for (uint32_t i = 0; i < OBJ_LENGTH(procedure); i++) {
    Value closure = SLOTS(procedure)[i];
    if (arity_accepts(TEMPLATE(CLOSURE_TEMPLATE(closure))->arity, argc)) return closure;
  }
  return V_FALSE;
}
#endif
