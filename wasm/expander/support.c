/* support.c — primitives that expanded code calls: multiple values, keyword arguments, case. */
#include "expander/support.h"
#include "core/template.h"
#include "data/equal.h"
#include "io/printer.h"
#include "text/utf8.h"
#include <stdio.h>

/* ---- multiple values ---- */
static int64_t values_count(Value v) { return IS(v, T_VALUES) ? (int64_t)OBJ_LENGTH(v) : 1; }

static Value wrong_count(const char *expected, int64_t count, Value got) {
  return err_failf("exn:fail:contract:arity",
                   "result arity mismatch;\n expected number of values not received\n  expected: %s%d\n  received: %d",
                   expected, (int)count, (int)values_count(got));
}

/* (%values-ref values i n): the value number i of exactly n; of at least m where n is -1 - m */
static Value prim_values_ref(int argc, Value *args) {
  (void)argc;
  int64_t n = FIX_VALUE(args[2]), count = values_count(args[0]);
  if (n >= 0 && count != n) return wrong_count("", n, args[0]);
  if (n < 0 && count < -1 - n) return wrong_count("at least ", -1 - n, args[0]);
  return IS(args[0], T_VALUES) ? SLOTS(args[0])[FIX_VALUE(args[1])] : args[0];
}

/* (%values-rest values i): the list of values from number i on */
static Value prim_values_rest(int argc, Value *args) {
  (void)argc;
  int64_t from = FIX_VALUE(args[1]), count = values_count(args[0]);
  if (count < from) return wrong_count("at least ", from, args[0]);
  uint64_t bytes = (uint64_t)(count - from) * sizeof(Value) * 2;
  if (!heap_reserve(bytes)) return need_memory(bytes);
  Value rest = V_NIL;
  if (!IS(args[0], T_VALUES)) return from == 0 ? cons(args[0], V_NIL) : V_NIL;
  charge(count / 8);
  while (count > from) rest = cons(SLOTS(args[0])[--count], rest);
  return rest;
}

/* ---- keyword arguments ---- */
enum { SPEC_NAME, SPEC_REQUIRED, SPEC_OPTIONAL, SPEC_REST, SPEC_KEYWORDS, SPEC_NEEDED, SPEC_SIGNATURE };

/* A C string of at most so many bytes, cut where a character begins. */
static void text_of(Builder *b, char *text, uint32_t size) {
  Value string = builder_finish(b);
  if (string_utf8_length(string) >= size) string = string_substring(string, 0, size / 4 - 1);
  text[string_to_utf8(string, (uint8_t *)text)] = 0;
}

static void put_name(Builder *b, Value spec) {
  builder_string(b, VEC(spec)[SPEC_NAME] == V_FALSE ? string_from_c("#<procedure>") : SYM(VEC(spec)[SPEC_NAME])->name);
}

/* It is the caller who is at fault; the signature is the hint. */
static Value blame_caller(Value spec, Builder *message) {
  char text[1024], hint[1024];
  Builder b;
  text_of(message, text, sizeof text);
  builder_init(&b);
  builder_c(&b, "The signature is ");
  print_bounded(&b, VEC(spec)[SPEC_SIGNATURE], false, 900);
  text_of(&b, hint, sizeof hint);
  err_fail_hint("exn:fail:contract:arity", text, V_NIL, hint);
  error_of_caller();
  return V_ERROR;
}

/* In Racket's words. */
static Value keyword_error(Value spec, const char *what, const char *which, Value keyword) {
  Builder b;
  builder_init(&b);
  builder_c(&b, "application: ");
  builder_c(&b, what);
  builder_c(&b, "\n  procedure: ");
  put_name(&b, spec);
  builder_c(&b, which);
  print_bounded(&b, keyword, true, 60);
  return blame_caller(spec, &b);
}

static int64_t keyword_index(Value keywords, Value keyword) {
  for (int64_t i = 0; keywords != V_NIL; keywords = CDR(keywords), i++)
    if (CAR(keywords) == keyword) return i;
  return -1;
}

static Value wrong_arguments(Value spec, int64_t got) {
  char text[160];
  int64_t low = FIX_VALUE(VEC(spec)[SPEC_REQUIRED]), high = low + FIX_VALUE(VEC(spec)[SPEC_OPTIONAL]);
  Builder b;
  builder_init(&b);
  put_name(&b, spec);
  builder_c(&b, ": arity mismatch;\n the expected number of arguments does not match the given number\n  expected: ");
  if (VEC(spec)[SPEC_REST] != V_FALSE) snprintf(text, sizeof text, "at least %d", (int)low);
  else if (low == high) snprintf(text, sizeof text, "%d", (int)low);
  else snprintf(text, sizeof text, "between %d and %d", (int)low, (int)high);
  builder_c(&b, text);
  snprintf(text, sizeof text, " besides keyword arguments\n  given: %d", (int)got);
  builder_c(&b, text);
  return blame_caller(spec, &b);
}

/* Positional arguments into the vector and the rest list; keyword ones to their places. */
static Value sort_arguments(Value spec, Value args, Value vector, int64_t *positional) {
  int64_t fixed = FIX_VALUE(VEC(spec)[SPEC_REQUIRED]) + FIX_VALUE(VEC(spec)[SPEC_OPTIONAL]);
  bool rest = VEC(spec)[SPEC_REST] != V_FALSE;
  int64_t keywords = fixed + rest;
  Value last = V_NIL;
  for (; args != V_NIL; args = CDR(args)) {
    Value arg = CAR(args);
    if (IS(arg, T_KEYWORD)) {
      int64_t k = keyword_index(VEC(spec)[SPEC_KEYWORDS], arg);
      if (k < 0) return keyword_error(spec, "procedure does not expect an argument with given keyword", "\n  given keyword: ", arg);
      args = CDR(args);
      if (args == V_NIL) return keyword_error(spec, "no argument after the keyword", "\n  keyword: ", arg);
      VEC(vector)[keywords + k] = CAR(args);
    } else if (*positional < fixed) {
      VEC(vector)[(*positional)++] = arg;
    } else {
      ++*positional;
      if (!rest) continue;
      Value pair = cons(arg, V_NIL);
      if (last == V_NIL) VEC(vector)[fixed] = pair; else CDR(last) = pair;
      last = pair;
    }
  }
  return V_TRUE;
}

static Value check_needed(Value spec, Value vector, int64_t first) {
  Value keywords = VEC(spec)[SPEC_KEYWORDS];
  for (Value needed = VEC(spec)[SPEC_NEEDED]; needed != V_NIL; needed = CDR(needed), keywords = CDR(keywords), first++)
    if (CAR(needed) != V_FALSE && VEC(vector)[first] == V_DEFAULT)
      return keyword_error(spec, "required keyword argument not supplied", "\n  required keyword: ", CAR(keywords));
  return V_TRUE;
}

/* What its parameters are, where some are keywords. Its code has the spec as a constant. */
Value keyword_spec_of(Value procedure) {
  if (!IS(procedure, T_CLOSURE)) return V_FALSE;
  struct Template *t = TEMPLATE(CLOSURE_TEMPLATE(procedure));
  if (!ARITY_REST(t->arity) || ARITY_REQUIRED(t->arity) || ARITY_OPTIONAL(t->arity)) return V_FALSE;
  uint32_t count = OBJ_LENGTH(CLOSURE_TEMPLATE(procedure)) - TEMPLATE_FIXED;
  for (uint32_t i = 0; i < count; i++) {
    Value v = TEMPLATE_CONSTS(t)[i];
    if (IS(v, T_VECTOR) && VEC_LENGTH(v) == SPEC_SIGNATURE + 1 && is_pair(VEC(v)[SPEC_KEYWORDS]) &&
        IS(VEC(v)[SPEC_SIGNATURE], T_STRING)) return v;
  }
  return V_FALSE;
}

/* (%keyword-spec procedure) */
static Value prim_keyword_spec(int argc, Value *args) {
  (void)argc;
  return keyword_spec_of(args[0]);
}

/* (%procedure-like keyworded procedure): the second, which takes all its arguments as a list, under the name of the first and
   with its keywords: whoever asks what they are is told so. */
static Value prim_procedure_like(int argc, Value *args) {
  (void)argc;
  Value spec = keyword_spec_of(args[0]);
  if (spec == V_FALSE) return err_type(NULL, 0, "procedure with keywords", args[0]);
  if (!IS(args[1], T_CLOSURE)) return err_type(NULL, 1, "procedure", args[1]);
  Value old = CLOSURE_TEMPLATE(args[1]);
  uint32_t slots = OBJ_LENGTH(old), captured = OBJ_LENGTH(args[1]);
  uint64_t bytes = (uint64_t)(slots + captured) * 8 + 64;
  if (!heap_reserve(bytes)) return need_memory(bytes);
  Value template = heap_object(T_TEMPLATE, 0, slots + 1), closure = heap_object(T_CLOSURE, 0, captured);
  memcpy(SLOTS(template), SLOTS(old), slots * sizeof(Value));
  memcpy(SLOTS(closure), SLOTS(args[1]), captured * sizeof(Value));
  SLOTS(template)[slots] = spec;
  TEMPLATE(template)->name = VEC(spec)[SPEC_NAME];
  CLOSURE_TEMPLATE(closure) = template;
  return closure;
}

/* (%keyword-arguments spec arguments) -> a vector: positional parameters, the rest list, keyword
   parameters; V_DEFAULT where none was given. The spec is lambda.c's keyword_spec. */
static Value prim_keyword_arguments(int argc, Value *args) {
  (void)argc;
  Value spec = args[0];
  int64_t required = FIX_VALUE(VEC(spec)[SPEC_REQUIRED]), optional = FIX_VALUE(VEC(spec)[SPEC_OPTIONAL]), keys = 0, count = 0;
  bool rest = VEC(spec)[SPEC_REST] != V_FALSE;
  for (Value a = args[1]; a != V_NIL; a = CDR(a)) count++;
  for (Value k = VEC(spec)[SPEC_KEYWORDS]; k != V_NIL; k = CDR(k)) keys++;
  uint64_t bytes = (uint64_t)(count * 2 + required + optional + keys + 2) * sizeof(Value) + 4096;
  if (!heap_reserve(bytes)) return need_memory(bytes);
  charge(count / 4);
  Value vector = make_vector((uint32_t)(required + optional + rest + keys), V_DEFAULT);
  if (rest) VEC(vector)[required + optional] = V_NIL;
  int64_t positional = 0;
  Value outcome = sort_arguments(spec, args[1], vector, &positional);
  if (outcome != V_TRUE) return outcome;
  if (positional < required || (positional > required + optional && !rest)) return wrong_arguments(spec, positional);
  outcome = check_needed(spec, vector, required + optional + rest);
  return outcome == V_TRUE ? vector : outcome;
}

/* ---- case ---- */
/* (%case-member key data): is it one of these atoms? equal? on atoms is eqv?, except for strings */
static Value prim_case_member(int argc, Value *args) {
  (void)argc;
  int64_t n = 0;
  Value found = V_FALSE;
  for (Value d = args[1]; d != V_NIL && found == V_FALSE; d = CDR(d), n++)
    if (is_eqv(args[0], CAR(d)) || (IS(args[0], T_STRING) && IS(CAR(d), T_STRING) && string_equal(args[0], CAR(d))))
      found = V_TRUE;
  charge(n / 8);
  return found;
}

/* (%case-missed key texts): the key was none of the data, of which these are strings and symbols */
static Value prim_case_missed(int argc, Value *args) {
  (void)argc;
  if (IS_FIX(args[0]) || !(IS(args[0], T_STRING) || IS(args[0], T_SYMBOL) || IS(args[0], T_RECORD))) return V_VOID;
  for (Value d = args[1]; d != V_NIL; d = CDR(d)) note_comparison(args[0], CAR(d));
  return V_VOID;
}

/* (%cons* a ... list), for quasiquote */
static Value prim_cons_star(int argc, Value *args) {
  Value list = args[argc - 1];
  for (int i = argc - 2; i >= 0; i--) list = cons(args[i], list);
  return list;
}

const PrimDef expand_support_prims[] = {
  {"%values-ref", prim_values_ref, 3, 3, NULL},
  {"%values-rest", prim_values_rest, 2, 2, NULL},
  {"%keyword-arguments", prim_keyword_arguments, 2, 2, NULL},
  {"%keyword-spec", prim_keyword_spec, 1, 1, NULL},
  {"%procedure-like", prim_procedure_like, 2, 2, NULL},
  {"%case-member", prim_case_member, 2, 2, NULL},
  {"%case-missed", prim_case_missed, 2, 2, NULL},
  {"%cons*", prim_cons_star, 1, -1, NULL},
  {0}
};
