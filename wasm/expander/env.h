/* env.h — environments: what an identifier means. */
#ifndef RLM_EXPANDER_ENV_H
#define RLM_EXPANDER_ENV_H
#include "core/value.h"

struct Env {           /* T_ENV: a frame has the first four slots only */
  uint64_t header;
  Value parent;        /* the enclosing environment; #f: this is a top level */
  Value kind;          /* fixnum of enum env_kind */
  Value bindings;      /* frame: ((identifier . binding) ...), a table once it is long;
                          top level: its own bindings, a table from symbol to binding */
  Value extra;         /* ENV_FREE: the environment of those names; frame: how many bindings */
  Value renames;       /* #f, or a table: aliases that were defined here, to bindings */
  Value imports;       /* #f, or a table: symbol to the binding of another environment */
  Value noted;         /* #f, or a table of symbols: the program defines them itself */
  Value name;          /* #f, or the library's name */
};

enum env_kind {
  ENV_FRAME,           /* local bindings */
  ENV_FREE,            /* `bindings` is a list of names that mean what they mean in `extra` */
  ENV_PHASE,           /* within a transformer expression: local variables outside do not exist yet */
  ENV_CORE,            /* top level: all of the prelude */
  ENV_LIBRARY,         /* top level: imports are shared, nothing else is visible */
  ENV_REPL,            /* top level: programs. Sees the core's public names, as copies */
};

enum { FRAME_SLOTS = 4, TOP_SLOTS = 8 };
#define ENV(v) ((struct Env *)PTR(v))
#define ENV_KIND(v) ((enum env_kind)FIX_VALUE(ENV(v)->kind))
#define IS_TOP(v) (ENV(v)->parent == V_FALSE)

enum { CELL_ASSIGNED = 16,         /* flags of cells: some set! names it, so it is shared, never copied */
       CELL_DEFINED = 32,          /* an alias was defined as it, even if it has no value yet */
       CELL_OWN = 64,              /* programs define it, at their top level */
       CELL_REDEFINED = 128,       /* and it had another value before the last program that does */
       CELL_SPECIAL_SHIFT = 8 };   /* the flags from here on: survey.c's */
#define CELL_ORIGIN(cell) (OBJ_LENGTH(cell) > 3 ? SLOTS(cell)[3] : V_FALSE)  /* what an import was copied from */

Value core_environment(void);
void env_seal(void);                /* at the end of the boot: the core is complete */
void expander_init(void);           /* at boot: the core environment and the core forms */

Value make_frame(Value parent);
Value make_top(enum env_kind kind, Value name);
Value env_top(Value env);
Value frame_find(Value frame, Value id);                 /* in this frame only; V_FALSE: not there */
bool frame_bind(Value frame, Value id, Value binding);   /* false: memory is short */

/* A binding is a T_ENVVAR, a T_MACRO or a T_CELL. V_FALSE: unbound. */
#define OUT_OF_PHASE V_EOF         /* a local variable, seen from a transformer expression */
Value env_lookup(Value env, Value id);

/* Where the search ended: for what no frame binds, the top level, and what its binding there goes by. */
Value env_lookup_place(Value env, Value id, Value *top, Value *symbol);
Value env_own_cell(Value top, Value symbol);             /* the cell of an unbound name, made */
bool env_owns(Value top, Value id, Value cell);          /* is it this top level's, not only seen there? */

/* For definitions: V_TRUE; V_FALSE for a binding that a program must not change; V_AGAIN. */
void survey_init(void);         /* survey.c: what programs have defined may mean something else from now on */
void survey_forget(void);
Value survey_quickly(Value trees, Value keywords);       /* V_NIL: nothing is found; V_AGAIN: it takes longer, and was given up */
extern uint64_t env_changes;    /* of what names mean at the top level of programs */
extern uint64_t env_version;    /* the same, and of what code may rest on: that a name is the library's, and not assigned */
extern Value asked;             /* what an expansion rests on beside that: survey.c */
bool answers_still_hold(Value list);
Value survey_judged(Value finding, bool *guarded);       /* what the host is to judge of an LLM call; V_FALSE: the finding is another one */
Value env_define_cell(Value top, Value id, Value *cell);
Value env_define_macro(Value top, Value id, Value macro);
void env_note_form(Value top, Value form);               /* what a program's form defines, told before it is expanded */
void env_import(Value top, Value symbol, Value binding);
bool same_identifier(Value env1, Value id1, Value env2, Value id2);
#endif
