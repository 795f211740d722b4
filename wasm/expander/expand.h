/* expand.h — the macro expander: environments, macros, and the worklist machine.
 *
 * The expander turns a form (a datum, perhaps with places) and an environment into an AST (ast.h).
 * It never recurses along program text: what is left to do is a linked list of items in a State,
 * an ordinary vector, so that an expansion survives collections, time slices and snapshots.
 *
 * An identifier is a symbol, or an alias: a T_SYNTAX object that says "this symbol, as it is meant
 * in that environment". An alias that no frame binds means what its symbol means in its own
 * environment; that is the whole of hygiene.
 *
 * Files: env.c (what an identifier means), syntax.c (aliases and closures), expand.c (the machine:
 * expressions, calls, macro uses), expand_body.c (bodies and top-level forms), expand_forms.c and
 * expand_let.c (the core forms), expand_lambda.c (parameters), nodes.c (nodes, errors), quasi.c,
 * syntax_rules.c, library.c; expand_support.c is what expanded code calls.
 */
#ifndef RLM_EXPAND_H
#define RLM_EXPAND_H
#include "ast.h"

/* ---- environments ---- */
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
       CELL_DEFINED = 32 };        /* an alias was defined as it, even if it has no value yet */
#define CELL_ORIGIN(cell) (OBJ_LENGTH(cell) > 3 ? SLOTS(cell)[3] : V_FALSE)  /* what an import was copied from */

Value core_environment(void);
void expand_init(void);            /* at boot: the core environment and the core forms */

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
Value make_cell(Value name, Value value, int64_t flags);
Value env_own_cell(Value top, Value symbol);             /* the cell of an unbound name, made */
bool env_owns(Value top, Value id, Value cell);          /* is it this top level's, not only seen there? */
/* For definitions: V_TRUE; V_FALSE for a binding that a program must not change; V_AGAIN. */
Value env_define_cell(Value top, Value id, Value *cell);
Value env_define_macro(Value top, Value id, Value macro);
void env_note(Value top, Value symbol);
void env_import(Value top, Value symbol, Value binding);
bool same_identifier(Value env1, Value id1, Value env2, Value id2);

/* ---- identifiers and syntactic closures (syntax.c) ---- */
#define SYNTAX_ENV(v) (SLOTS(v)[0])
#define SYNTAX_FREE(v) (SLOTS(v)[1])
#define SYNTAX_EXPR(v) (SLOTS(v)[2])
Value make_syntax(Value env, Value free, Value expr);
bool is_identifier(Value v);
Value identifier_symbol(Value id);
Value strip_syntax(Value datum, bool drop_places, Value *out);  /* V_TRUE or V_AGAIN */
int64_t list_length(Value v);                            /* -1: not a proper list */

/* ---- macros ---- */
struct Macro {         /* T_MACRO */
  uint64_t header;
  Value kind;          /* fixnum of enum macro_kind */
  Value env;           /* where it was defined */
  Value data;          /* MACRO_CORE: index in core_forms; MACRO_RULES: see syntax_rules.c; else the procedure */
  Value name;          /* symbol or #f */
};
enum macro_kind { MACRO_CORE, MACRO_RULES, MACRO_ER, MACRO_SC, MACRO_RSC, MACRO_RAW };
#define MACRO(v) ((struct Macro *)PTR(v))
#define MACRO_KIND(v) ((enum macro_kind)FIX_VALUE(MACRO(v)->kind))
Value make_macro(enum macro_kind kind, Value env, Value data, Value name);

/* ---- the machine (expand.c) ---- */
typedef struct State {   /* a T_VECTOR */
  uint64_t header;
  Value stack;         /* the items left to do, linked */
  Value result;        /* the AST, when the stack is empty */
  Value given;         /* what the driver gave for the last request; V_UNBOUND: nothing */
  Value done;          /* a request that ends the expansion (%splice) */
  Value expansions;    /* fixnum: macro uses since an item was done */
} State;
enum { STATE_SLOTS = 5 };

/* Where a node goes when it is ready: a slot of a node or item, or the car of a pair. */
typedef struct { Value obj; uint32_t index; } Hole;
#define SLOT(node, i) ((Hole){(node), 2 + (i)})          /* of an AST node, as NODE(node, i) */
#define CAR_OF(pair) ((Hole){(pair), 0})
void fill(Hole hole, Value node);

typedef struct {
  Value form, env;
  Hole hole;
  uint32_t place;      /* of the innermost form of the program's text around this */
  Value name;          /* what a lambda here is called: a symbol or #f */
} Job;

struct Item {          /* a T_VECTOR */
  uint64_t header;
  Value kind, form, env, obj, index, place, name;
  Value a, b, c;       /* by kind */
  Value next;
};
enum { ITEM_SLOTS = 11, ITEM_FORM = 1, ITEM_A = 7, ITEM_B = 8, ITEM_C = 9 };
enum item_kind { DO_EXPR, DO_BODY, DO_TOP, DO_MACRO, DO_QUASI, DO_LIBRARY, DO_IMPORT, ITEM_KINDS };
#define ITEM(v) ((struct Item *)PTR(v))

/* Every step and helper returns V_TRUE (done), V_VOID (the item stays: step it again after what it
   pushed), or what %expand-run returns at once: V_ERROR, V_AGAIN, or a request vector. A step that
   does not return V_TRUE or V_VOID must be such that it can start again. */
#define TRY(call) do { Value outcome_ = (call); if (outcome_ != V_TRUE) return outcome_; } while (0)

Value push_item(State *s, enum item_kind kind, Job j, Value a, Value b, Value c);
Job item_job(Value item);
Value expand_later(State *s, Job j);                     /* atoms at once, the rest as an item */
Value body_later(State *s, Job j, int flags);            /* j.form: the list of the body's forms */
enum { BODY_MAY_BE_EMPTY = 1,   /* (when x): void */
       BODY_MAY_END_IN_DEFINE = 2 };
Value expand_list(State *s, Value forms, Job j, Value *nodes);  /* a list of nodes, filled later */
Value ask(State *s, Value *answer, int count, ...);      /* a request of count Values; V_TRUE: answered */
Value reference(Job j);
Value enter_closure(Value syntax, Value env);             /* the environment of a closure's expression, used in env */
/* One use of a macro that is not core: V_TRUE and the expansion. */
Value expand_macro(State *s, Value macro, Job j, Value *out);
/* What the head of a form means: a T_MACRO, or V_FALSE. */
Value head_macro(Value form, Value env);
bool is_core(Value env, Value id, int form);

/* Memory within a step whose size is not known before: false: give up with short_of_room(s). */
bool room(uint64_t bytes);
Value short_of_room(void);

/* ---- core forms (expand_forms.c) ---- */
enum form_id {
  F_PLAIN,             /* an expression */
  F_REWRITE,           /* becomes another form, wherever it stands */
  F_BEGIN, F_DEFINE, F_DEFINE_VALUES, F_DEFINE_SYNTAX, F_IMPORT, F_DEFINE_LIBRARY,
  F_LAMBDA, F_SYNTAX_RULES, F_ER, F_SC, F_RSC, F_QUOTE, F_QUASIQUOTE,
  F_ELSE, F_ARROW, F_ELLIPSIS, F_UNDERSCORE, F_UNQUOTE, F_SPLICING,
  F_COUNT
};
typedef struct {
  const char *name;
  enum form_id id;
  Value (*expand)(State *s, Job j);
  Value (*rewrite)(State *s, Job j, Value *out);         /* F_REWRITE */
  const char *shape;                                     /* what an error shows */
} CoreForm;
extern const CoreForm core_forms[];
#define CORE_FORM(macro) (&core_forms[FIX_VALUE(MACRO(macro)->data)])
Value core_keyword(enum form_id id);                     /* the macro object: stands for the keyword in any form */
Value core_named(const char *name);                      /* by name, for the plain ones */
void forms_init(Value env, void (*bind)(Value env, Value name, Value macro));

/* Constructors of nodes (nodes.c) */
void nodes_init(void);
Value make_leaf(enum node kind, uint32_t place, Value part);
Value node_const(Value v);
enum core_name { C_EQ, C_EQUAL, C_CONS, C_LIST, C_CONS_STAR, C_APPEND, C_LIST_TO_VECTOR, C_VECTOR_REF, C_VALUES_REF, C_VALUES_REST,
                 C_KEYWORD_ARGUMENTS, C_CASE_MEMBER, C_MAKE_TRANSFORMER, CORE_NAMES };
Value node_core(enum core_name name, uint32_t place);    /* a reference to the core environment's procedure */
Value node_call(uint32_t place, enum core_name procedure, int count, ...);
Value node_if(uint32_t place, Value test, Value then, Value otherwise);
Value node_let1(uint32_t place, Value var, Value init, Value body);
Value node_local(Value var);

/* Errors: exn:fail:syntax with the form and its place. */
Value bad_shape(Job j);                                  /* "if: expected (if test then [else]), got (if)" */
Value syntax_fail(Job j, const char *format, ...);       /* %v: a datum, stripped and cut; %s: C string; %d: int */

Value refuse_redefinition(Job j, Value id);               /* a protected binding */
void put_datum(Builder *b, Value v);                      /* stripped, cut */

/* expand_lambda.c */
Value expand_lambda(State *s, Job j, Value formals, Value body);
/* expand_body.c */
Value step_body(State *s, Value item);
Value step_top(State *s, Value item);
Value step_macro(State *s, Value item);
Value macro_later(State *s, Job j, Value frame_or_top, Value id);   /* j.form: the transformer expression */
Value define_target(Job j, Value form, Value *id, Value *expr); /* takes a define apart */
Value definition_name(Value id, Value env);
/* quasi.c, syntax_rules.c, library.c */
Value step_quasi(State *s, Value item);
Value compile_rules(Job j, Value form, Value *macro);    /* a (syntax-rules ...) form */
Value apply_rules(State *s, Value macro, Job j, Value *out);
void library_init(void);
Value step_library(State *s, Value item);
Value step_import(State *s, Value item);
Value rewrite_cond_expand(State *s, Job j, Value *out);
Value rewrite_include(State *s, Job j, Value *out);
#endif
