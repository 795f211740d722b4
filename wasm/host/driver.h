/* driver.h — the variables of the driver in Scheme (prelude/runtime, prelude/llm) that C reads and writes in its place. */
#ifndef RLM_HOST_DRIVER_H
#define RLM_HOST_DRIVER_H
#include "core/value.h"

#define DRIVER_VARIABLES(X) \
  X(MAIN_FIBER, "%main-fiber") X(CURRENT_FIBER, "%current-fiber") X(NEW_FIBER, "%new-main-fiber") X(OUTCOME, "%outcome") \
  X(PROGRAM, "%program") X(PROGRAM_FORMS, "%program-forms") X(SHOW, "%show") X(CONVERSATION, "%conversation?") \
  X(COUNTING, "%counting?") X(ITEMS_TOLD, "%items-told?") X(ITEMS, "%items") X(ITEMS_BEGUN, "%items-begun") X(ITEMS_DONE, "%items-done") \
  X(WARNED, "%warned") X(QUEUE_HEAD, "%queue-head") X(ARRIVED, "%arrived") X(DOOMED, "%doomed") X(NEXT_ID, "%next-id") \
  X(STDOUT, "%stdout") X(STDERR, "%stderr") X(OUTPUT_LIMIT, "%output-limit") X(MESSAGE_LIMIT, "%message-limit") \
  X(TOP_LEVEL, "%repl-environment") X(OK, "%ok") X(NONE, "%none") X(DATA_TYPES, "%data-types") \
  X(TRACING, "%tracing?") X(LOOKING, "%looking?") X(REFUSED, "%refused?") X(CALLS_TO_JUDGE, "%calls-to-judge") \
  X(TOKEN_BUDGET, "token-budget") X(VOID, "void") \
  X(SCOPED_SHOWN, "%scoped-shown") X(CALLS_TOLD, "%calls-told") X(LLM_KEYWORDS, "%llm-keywords") X(SCOPED_TYPE, "%scoped-type")
enum driver_variable {
#define X(name, of) name,
  DRIVER_VARIABLES(X)
#undef X
  DRIVER_VARIABLES_END
};

/* Symbols that begin forms, and the keywords of LLM calls. */
enum {
  MODULE_FORMS = 3, STRUCT_FORMS = 2, CALL_KEYWORDS = 9,
  MODULES = DRIVER_VARIABLES_END, STRUCTS = MODULES + MODULE_FORMS, KEYWORDS = STRUCTS + STRUCT_FORMS, DRIVER_CELLS = KEYWORDS + CALL_KEYWORDS
};
enum call_keyword { K_INSTRUCTION, K_DATA, K_MODEL, K_TEMPERATURE, K_MAX_TOKENS, K_JSON, K_IMAGE, K_IMAGES, K_RECURSIVE };

extern Value driver_cells;              /* a vector: the cells of the variables; then the symbols and keywords */
#define VARIABLE(name) (CELL(VEC(driver_cells)[name])->value)

/* Of a fiber's record, as fibers.scm defines it: its third field and its last. Of a budget's, as budgets.scm does, its
   first and its last. Of a program's record (boot.scm, %program) both. */
enum { FIBER_STATE = 3, FIBER_POOL = 9, BUDGET_LIMIT = 0, BUDGET_OUTER = 3, PROGRAM_TREES = 0, PROGRAM_TO_COME = 1 };

/* program.c: the trees of a program's forms, done and to come; V_FALSE: those cannot be made at once. */
Value trees_to_come(Value done, Value to_come);
#endif
