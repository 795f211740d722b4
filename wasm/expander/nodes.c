/* nodes.c — what the core forms are made of: nodes of the AST, and the errors that show a form. */
#include "expander/nodes.h"
#include "core/globals.h"
#include "expander/forms.h"
#include "expander/syntax.h"
#include "io/printer.h"
#include "text/symbol.h"
#include "text/utf8.h"
#include <stdarg.h>
#include <stdio.h>

/* ---- nodes ---- */
Value node_const(Value v) { return make_leaf(N_CONST, 0, v); }
Value node_local(Value var) { return make_leaf(N_LREF, 0, var); }
Value node_if(uint32_t place, Value test, Value then, Value otherwise) {
  return make_node(N_IF, place, 3, test, then, otherwise);
}
Value node_let1(uint32_t place, Value var, Value init, Value body) {
  return make_node(N_LET, place, 3, list_n(1, var), list_n(1, init), body);
}

/* The core environment's procedures that expanded code calls. */
static const char *const core_names[CORE_NAMES] = {
  [C_EQ] = "eq?", [C_EQUAL] = "equal?", [C_CONS] = "cons", [C_LIST] = "list", [C_CONS_STAR] = "%cons*", [C_APPEND] = "append",
  [C_LIST_TO_VECTOR] = "list->vector", [C_VECTOR_REF] = "vector-ref", [C_VALUES_REF] = "%values-ref",
  [C_VALUES_REST] = "%values-rest", [C_KEYWORD_ARGUMENTS] = "%keyword-arguments", [C_CASE_MEMBER] = "%case-member",
  [C_CASE_MISSED] = "%case-missed",
  [C_MAKE_TRANSFORMER] = "%make-transformer",
};
static Value core_cells;       /* a vector */

void nodes_init(void) {
  heap_root(&core_cells);
  core_cells = make_vector(CORE_NAMES, V_FALSE);
  for (int i = 0; i < CORE_NAMES; i++) VEC(core_cells)[i] = global_cell(intern(core_names[i]));
}

Value node_core(enum core_name name, uint32_t place) {
  return make_leaf(N_GREF, place, VEC(core_cells)[name]);
}
Value node_call(uint32_t place, enum core_name primitive, int count, ...) {
  Value operands = V_NIL, last = V_NIL;
  va_list parts;
  va_start(parts, count);
  for (int i = 0; i < count; i++) {
    Value pair = cons(va_arg(parts, Value), V_NIL);
    if (last == V_NIL) operands = pair; else CDR(last) = pair;
    last = pair;
  }
  va_end(parts);
  return make_node(N_CALL, place, 2, node_core(primitive, place), operands);
}

/* ---- errors ---- */
void put_datum(Builder *b, Value v) {
  Value stripped = v;
  if (strip_shown(v, &stripped) != V_TRUE) stripped = v;
  print_bounded(b, stripped, true, 80);
}

Value syntax_fail(Job j, const char *format, ...) {
  Builder b;
  builder_init(&b);
  va_list parts;
  va_start(parts, format);
  for (const char *p = format; *p; p++) {
    char text[2] = {*p, 0}, number[24];
    if (*p != '%') { builder_c(&b, text); continue; }
    switch (*++p) {
      case 'v': put_datum(&b, va_arg(parts, Value)); break;
      case 's': builder_c(&b, va_arg(parts, const char *)); break;
      case 'd': snprintf(number, sizeof number, "%d", va_arg(parts, int)); builder_c(&b, number); break;
      default: builder_c(&b, "%");
    }
  }
  va_end(parts);
  Value string = builder_finish(&b), form = V_FALSE;
  char message[2048];
  if (string_utf8_length(string) >= sizeof message) string = string_substring(string, 0, sizeof message / 4 - 1);
  message[string_to_utf8(string, (uint8_t *)message)] = 0;
  if (is_pair(j.form)) TRY_STEP(strip_shown(j.form, &form));
  return err_syntax(message, form, j.place);
}

Value bad_shape(Job j) {
  Value macro = head_macro(j.form, j.env);
  if (!IS(macro, T_MACRO) || MACRO_KIND(macro) != MACRO_CORE) return syntax_fail(j, "bad syntax: %v", j.form);
  const CoreForm *core = CORE_FORM(macro);
  return syntax_fail(j, "%s: expected %s, got %v", core->name, core->shape, j.form);
}

Value check_variables(Job j, int64_t count) {
  if (count <= VARIABLES_MOST) return V_TRUE;
  return syntax_fail(j, "%v: more than %d variables in one form; keep the data in a vector or a table",
                     is_pair(j.form) ? CAR(j.form) : j.form, (int)VARIABLES_MOST);
}

Value refuse_redefinition(Job j, Value id) {
  Builder b;
  builder_init(&b);
  builder_c(&b, "cannot redefine scaffold binding '");
  builder_string(&b, SYM(identifier_symbol(id))->name);
  builder_c(&b, "'");
  Value string = builder_finish(&b), form = V_FALSE;
  char message[512];
  if (string_utf8_length(string) >= sizeof message) string = string_substring(string, 0, 100);
  message[string_to_utf8(string, (uint8_t *)message)] = 0;
  if (is_pair(j.form)) TRY_STEP(strip_shown(j.form, &form));
  return err_syntax(message, form, j.place);
}
