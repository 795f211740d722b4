/* expand.h — the macro expander: macros, and the worklist machine that steps through a form.
 *
 * The expander turns a form (a datum, perhaps with places) and an environment into an AST (compiler/ast.h).
 * It never recurses along program text: what is left to do is a linked list of items in a State,
 * an ordinary vector, so that an expansion survives collections, time slices and snapshots.
 *
 * An identifier is a symbol, or an alias: a T_SYNTAX object that says "this symbol, as it is meant
 * in that environment". An alias that no frame binds means what its symbol means in its own
 * environment; that is the whole of hygiene.
 *
 * Files: env.c (what an identifier means), syntax.c (aliases and closures), expand.c (the machine:
 * expressions, calls, macro uses), body.c (bodies and top-level forms), forms.c and let.c (the core
 * forms), lambda.c (parameters), nodes.c (nodes, errors), quasi.c, syntax_rules.c, library.c;
 * support.c is what expanded code calls.
 */
#ifndef RLM_EXPANDER_EXPAND_H
#define RLM_EXPANDER_EXPAND_H
#include "core/prims.h"
#include "compiler/ast.h"

/* ---- macros ---- */

struct Macro {         /* T_MACRO */
  uint64_t header;
  Value kind;          /* fixnum of enum macro_kind */
  Value env;           /* where it was defined */
  Value data;          /* MACRO_CORE: index in core_forms; MACRO_RULES: see syntax_rules.c; else the procedure */
  Value name;          /* symbol or #f */
};

enum macro_kind { MACRO_CORE, MACRO_RULES, MACRO_ER, MACRO_SC, MACRO_RSC, MACRO_RAW,
                  MACRO_STX,     /* Racket's: a procedure of the form, called by %call-syntax-transformer */
                  MACRO_SETTER }; /* the same, which gets (set! name value), too */
#define MACRO(v) ((struct Macro *)PTR(v))
#define MACRO_KIND(v) ((enum macro_kind)FIX_VALUE(MACRO(v)->kind))
Value make_macro(enum macro_kind kind, Value env, Value data, Value name);

/* Flags of macros. The first: some syntax-parameterize gives it another meaning. Frames bind that under the macro itself. */
enum { H_PARAMETERIZED = 1,
       H_REPEATABLE = 2 };   /* its procedure gives the same for the same form, as long as env_version, and what %asks? answers, do */
Value adjusted(Value env, Value binding);      /* what a macro means in env; other bindings as they are */

/* ---- the machine (expand.c) ---- */

enum { LIST_PIECE = 2048 };      /* forms of a list that one step takes */

typedef struct State {   /* a T_VECTOR */
  uint64_t header;
  Value stack;         /* the items left to do, linked */
  Value result;        /* the AST, when the stack is empty */
  Value given;         /* what the driver gave for the last request; V_UNBOUND: nothing */
  Value done;          /* a request that ends the expansion (%splice) */
  Value expansions;    /* fixnum: macro uses since an item was done */
  Value walk;          /* where the step that goes on next is in a long datum (syntax.c, quasi.c); V_FALSE: nowhere */
  Value stamp;         /* what tells whether its outcome may be kept, as it was when it began; V_FALSE: the driver was asked for something that may differ the next time */
} State;

enum { STATE_SLOTS = 7 };

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

enum item_kind { DO_EXPR, DO_BODY, DO_TOP, DO_MACRO, DO_QUASI, DO_LIBRARY, DO_IMPORT, DO_LIST, ITEM_KINDS };
#define ITEM(v) ((struct Item *)PTR(v))

/* Every step and helper returns V_TRUE (done), V_VOID (the item stays: step it again after what it
   pushed), or what %expand-run returns at once: V_ERROR, V_AGAIN, or a request vector. A step that
   does not return V_TRUE or V_VOID must be such that it can start again. */
#define TRY_STEP(call) do { Value outcome_ = (call); if (outcome_ != V_TRUE) return outcome_; } while (0)

/* The expansion of one form: what it gives is a tree (compiler/ast.h), a request (a vector whose first slot is
   a symbol) that is answered with %expand-give!, or a signal; V_AGAIN: go on later. */
Value expansion_begin(Value form, Value env);
bool expansion_repeatable(Value state);       /* it would come out the same again, as long as env_version and the answers in `asked` are the same */
bool is_expansion(Value v);
Value expansion_run(Value state);

/* The tree of a form that has nothing to expand and binds nothing; V_FALSE: it is none such. */
Value expansion_at_once(Value form, Value env);

Value push_item(State *s, enum item_kind kind, Job j, Value a, Value b, Value c);
Job item_job(Value item);
Value expand_later(State *s, Job j);                     /* atoms at once, the rest as an item */
Value body_later(State *s, Job j, int flags);            /* j.form: the list of the body's forms */

enum { BODY_MAY_BE_EMPTY = 1,   /* (when x): void */
       BODY_MAY_END_IN_DEFINE = 2 };
Value expand_list(State *s, Value forms, Job j, Value *nodes);  /* a list of nodes, filled later; a long one grows at its end later, too */
/* j.form, a list of one form at the least, as a node of the kind (N_SEQ, N_AND, N_OR). Of many forms it is one whose last part is another
   such node, so that nobody goes through all of them in one go. */
Value expand_sequence(State *s, enum node kind, Job j);
Value expand_list_after(State *s, Value forms, Job j, Value last); /* the same behind what is there: the next step's work */
Value ask(State *s, Value *answer, int count, ...);      /* a request of count Values; V_TRUE: answered */
Value enter_closure(Value syntax, Value env);             /* the environment of a closure's expression, used in env */

/* One use of a macro that is not core: V_TRUE and the expansion. */
Value expand_macro(State *s, Value macro, Job j, Value *out);
static inline bool stands_alone(Value macro) { return MACRO_KIND(macro) == MACRO_STX || MACRO_KIND(macro) == MACRO_SETTER; }

/* (define-syntax (name . formals) body ...) as (define-syntax name (lambda formals body ...)); others as they are. */
Value plain_define_syntax(Value form);

/* What the head of a form means: a T_MACRO, or V_FALSE. */
Value head_macro(Value form, Value env);
bool is_core(Value env, Value id, int form);

/* Memory within a step whose size is not known before: false: give up with short_of_room(s). */
bool room(uint64_t bytes);
Value short_of_room(void);
#endif
