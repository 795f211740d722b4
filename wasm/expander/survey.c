/* survey.c — what in the trees of a program is worth a closer look before it runs: prelude/runtime/check.scm
 * takes it from there.
 *
 * A quick survey finds only what may be wrong: nearly every program has nothing of that, so it costs little
 * beside expanding it. A full one also finds what says whether something wrong may be reached.
 *
 * The walk knows of each node where it stands: in which procedure of the top level (the cell that
 * (define (f …) …) defines), else in a procedure (#t), or in what runs when the form does (#f); and whether
 * what it raises is caught around it.
 */
#include "compiler/work.h"
#include "core/globals.h"
#include "core/prims.h"
#include "core/template.h"
#include "core/worklist.h"
#include "data/table.h"
#include "expander/env.h"
#include "expander/support.h"
#include "expander/syntax.h"
#include "numbers/number.h"
#include "text/string.h"
#include "text/symbol.h"

/* What is found: a vector of its kind, where it stands, whether it is guarded, the node, and something more. */
enum finding {
  FOUND_REFERENCE,     /* of a name that has no value yet; a full survey: of every name of the program's, and of
                          what makes definitions or asks arities */
  FOUND_CALL,          /* with arguments that may not fit; more: true where they do, and one is a pattern; a full
                          survey: of every procedure of the program's */
  FOUND_DEFINITION,    /* full; more: whether the name meant something else before */
  FOUND_ASSIGNMENT,    /* full */
  FOUND_REGEXP,        /* full: a constant */
  FOUND_LOCAL_CALL,    /* of a local procedure, with arguments that do not fit; more: the variable */
  FOUND_EARLIER,       /* of a procedure that an earlier program has defined, which refers to a name that has no value;
                          more: #(cell of the name, cell of the procedure in whose code it is, may it be caught?) */
  FOUND_ALWAYS,        /* an LLM call whose result, which is never false, is the test of an if */
  FOUND_LLM_CALL,      /* with literal arguments that may be refused; more: a vector of them, by enum llm_argument */
};

/* What is said of a library procedure, in the flags of its cell, and of the copies that programs have. */
enum special {
  SPECIAL_NONE,
  SPECIAL_GUARD,       /* it catches what its second argument, a thunk, raises */
  SPECIAL_PATTERN,     /* its first argument is a regular expression, or the text of one */
  SPECIAL_TEXT,        /* it takes texts to look for */
  SPECIAL_DEFINES,     /* it makes definitions while the program runs */
  SPECIAL_ASKS_ARITY,  /* it tells how many arguments a procedure takes: who asks may call it accordingly */
  SPECIAL_LLM,         /* it sends an LLM call */
  SPECIAL_ENDS,        /* it ends the program */
  SPECIAL_ASKS,        /* it sends LLM calls, or is made to run what does */
  SPECIAL_TAKES_1,     /* it makes a procedure of one argument, as of a struct's field */
  SPECIAL_TAKES_2,     /* one of two */
  SPECIAL_MAKES,       /* a struct's constructor */
};

/* Of an LLM call's arguments, each where it is a literal; V_DEFAULT where it is not. LLM_TOLD: the list that the
   host judges (protocol.py: check-calls), V_FALSE where the program itself would refuse one of them. */
enum llm_argument { LLM_MODEL, LLM_TEMPERATURE, LLM_MAX_TOKENS, LLM_JSON, LLM_RECURSIVE, LLM_INSTRUCTION, LLM_IMAGE,
                    LLM_TOLD, LLM_ARGUMENTS };

typedef struct {
  Stack stack;         /* three Values each: a node, or a list of them; where it stands; guarded? */
  Value found;         /* the list, newest first */
  Value keywords;      /* table: keyword to fixnum of enum llm_argument */
  Value to_come;       /* table: cell to the node that will be its value */
  int64_t steps;       /* of looking into what earlier programs have defined, that are left */
  bool full;
} Survey;

static void visit(Survey *s, Value nodes, Value owner, Value guarded) {
  if (nodes == V_NIL) return;
  Value *top = VEC(s->stack.slots) + s->stack.top;       /* (the loop has made room) */
  top[0] = nodes;
  top[1] = owner;
  top[2] = guarded;
  s->stack.top += 3;
}

static void found(Survey *s, enum finding kind, Value node, Value owner, Value guarded, Value more) {
  Value finding = make_vector(5, V_FALSE);
  VEC(finding)[0] = FIX(kind);
  VEC(finding)[1] = owner;
  VEC(finding)[2] = guarded;
  VEC(finding)[3] = node;
  VEC(finding)[4] = more;
  s->found = cons(finding, s->found);
}

static bool has(Value cell, int64_t flags) { return (FIX_VALUE(CELL(cell)->flags) & flags) != 0; }
static enum special special_of(Value cell) { return (enum special)(FIX_VALUE(CELL(cell)->flags) >> CELL_SPECIAL_SHIFT); }
static bool asks(Value cell) { return special_of(cell) == SPECIAL_LLM || special_of(cell) == SPECIAL_ASKS; }
/* The node that will be the value of a variable which a form to come defines, or V_FALSE. */
static Value to_come(Survey *s, Value cell) {
  return has(cell, CELL_OWN) ? table_get(s->to_come, cell, V_FALSE) : V_FALSE;
}
static bool is_bound(Value cell) { return CELL(cell)->value != V_UNBOUND || has(cell, CELL_LAZY); }

/* ---- do arguments fit? ---- */
static bool is_listed(Value v, Value list) {
  for (; is_pair(list); list = CDR(list)) if (CAR(list) == v) return true;
  return false;
}
static Value literal(Value node) { return NODE_KIND(node) == N_CONST ? NODE(node, 0) : V_UNBOUND; }

/* The same keyword twice? Only where there are few: the time would grow with the square of them. */
static bool is_given_before(Value keyword, Value operands, Value here) {
  for (int i = 0; operands != here && i < 64; operands = CDR(operands), i++) if (literal(CAR(operands)) == keyword) return true;
  return false;
}

/* spec: lambda.c's keyword_spec */
static bool keywords_fit(Value spec, Value operands) {
  Value all = operands;
  Value known = VEC(spec)[4], needed = VEC(spec)[5];
  int64_t required = FIX_VALUE(VEC(spec)[1]), most = VEC(spec)[3] == V_FALSE ? required + FIX_VALUE(VEC(spec)[2]) : INT64_MAX;
  int64_t positional = 0, given = 0, needs = 0;
  for (; is_pair(operands); operands = CDR(operands)) {
    Value keyword = literal(CAR(operands));
    if (!IS(keyword, T_KEYWORD)) { positional++; continue; }
    if (!is_listed(keyword, known) || !is_pair(CDR(operands)) || is_given_before(keyword, all, operands)) return false;
    operands = CDR(operands);
    Value n = needed;
    for (Value k = known; CAR(k) != keyword; k = CDR(k)) n = CDR(n);
    if (CAR(n) != V_FALSE) given++;
  }
  for (; is_pair(needed); needed = CDR(needed)) if (CAR(needed) != V_FALSE) needs++;
  return positional >= required && positional <= most && given == needs;
}

static bool arity_takes(Value arity, int64_t count) {
  int64_t required = ARITY_REQUIRED(arity);
  return count >= required && (ARITY_REST(arity) || count <= required + ARITY_OPTIONAL(arity));
}

/* What is no procedure, or one whose arity nobody knows, is not told of: that shows when it runs. */
static bool procedure_takes(Value procedure, Value operands) {
  int64_t count = list_count(operands);
  if (IS(procedure, T_PRIM)) {
    const PrimDef *p = prim_table[PAYLOAD(procedure)];
    return count >= p->min_args && (p->max_args < 0 || count <= p->max_args);
  }
  if (IS(procedure, T_CLOSURE)) {
    Value spec = keyword_spec_of(procedure);
    return spec == V_FALSE ? arity_takes(TEMPLATE(CLOSURE_TEMPLATE(procedure))->arity, count) : keywords_fit(spec, operands);
  }
  if (IS(procedure, T_CASE)) {
    for (uint32_t i = 0; i < OBJ_LENGTH(procedure); i++)
      if (arity_takes(TEMPLATE(CLOSURE_TEMPLATE(SLOTS(procedure)[i]))->arity, count)) return true;
    return false;
  }
  return true;
}

/* The spec in (lambda args (let ((v (%keyword-arguments spec args))) …)), or V_FALSE */
static Value spec_of_lambda(Value lambda) {
  Value body = NODE(lambda, L_BODY);
  if (!TRUTH(NODE(lambda, L_REST)) || NODE_KIND(body) != N_LET || !is_pair(NODE(body, 1))) return V_FALSE;
  Value init = CAR(NODE(body, 1));
  if (NODE_KIND(init) != N_CALL || !is_pair(NODE(init, 1))) return V_FALSE;
  Value spec = literal(CAR(NODE(init, 1)));
  return IS(spec, T_VECTOR) && VEC_LENGTH(spec) == 7 && is_pair(VEC(spec)[4]) && IS(VEC(spec)[6], T_STRING) ? spec : V_FALSE;
}

static bool lambda_fits(Value lambda, Value operands) {
  Value spec = spec_of_lambda(lambda);
  if (spec != V_FALSE) return keywords_fit(spec, operands);
  int64_t count = list_count(operands), required = FIX_VALUE(NODE(lambda, L_REQUIRED));
  return count >= required && (TRUTH(NODE(lambda, L_REST)) || count <= required + FIX_VALUE(NODE(lambda, L_OPTIONAL)));
}

/* ---- calls ---- */
static bool is_text(Value node) { return IS(literal(node), T_STRING); }

static bool says_instruction(Value keyword) {
  static const char name[] = "instruction";
  Value text = SYM(keyword)->name;
  if (STR_LENGTH(text) != sizeof name - 1) return false;
  for (uint32_t i = 0; i < sizeof name - 1; i++)
    if (string_char(text, i) != (uint8_t)name[i]) return false;
  return true;
}
/* No instruction, or a literal that is neither a text nor #f: the others are right, or only the host can tell. */
static bool may_be_refused(Value operands) {
  bool instructed = is_pair(operands) && !IS(literal(CAR(operands)), T_KEYWORD);
  for (; is_pair(operands); operands = CDR(operands)) {
    Value v = literal(CAR(operands));
    if (IS(v, T_KEYWORD) && is_pair(CDR(operands))) {
      bool instruction = says_instruction(v);
      operands = CDR(operands);
      v = literal(CAR(operands));
      if (instruction) instructed = !IS(v, T_STRING) || STR_LENGTH(v) > 0;
    }
    if (v != V_UNBOUND && v != V_FALSE && !IS(v, T_STRING)) return true;
  }
  return !instructed;
}
static bool is_literal_of(Value v, bool right) { return v == V_DEFAULT || v == V_FALSE || right; }
static bool is_count(Value v) { return IS_FIX(v) && FIX_VALUE(v) > 0; }
static bool is_model_name(Value v) { return IS(v, T_STRING) || IS(v, T_SYMBOL); }   /* a role may be a symbol */
static bool arguments_fit(Value *a) {
  return is_literal_of(a[LLM_MODEL], is_model_name(a[LLM_MODEL])) && is_literal_of(a[LLM_TEMPERATURE], is_number(a[LLM_TEMPERATURE])) &&
         is_literal_of(a[LLM_MAX_TOKENS], is_count(a[LLM_MAX_TOKENS])) && is_literal_of(a[LLM_JSON], a[LLM_JSON] == V_TRUE) &&
         is_literal_of(a[LLM_RECURSIVE], a[LLM_RECURSIVE] == V_TRUE || is_count(a[LLM_RECURSIVE])) &&
         (a[LLM_INSTRUCTION] == V_DEFAULT || (IS(a[LLM_INSTRUCTION], T_STRING) && STR_LENGTH(a[LLM_INSTRUCTION]) > 0));
}
/* op, model (true: unknown), temperature, json?, instruction (false: unknown), images? */
static Value told_of(Value cell, Value *a) {
  Value list = cons(BOOL(a[LLM_IMAGE] != V_FALSE), V_NIL);
  list = cons(a[LLM_INSTRUCTION] == V_DEFAULT ? V_FALSE : a[LLM_INSTRUCTION], list);
  list = cons(BOOL(a[LLM_JSON] == V_TRUE), list);
  list = cons(a[LLM_TEMPERATURE] == V_DEFAULT ? V_FALSE : a[LLM_TEMPERATURE], list);
  Value model = a[LLM_MODEL] == V_DEFAULT ? V_TRUE : a[LLM_MODEL];
  list = cons(IS(model, T_SYMBOL) ? SYM(model)->name : model, list);
  return cons(SYM(CELL(cell)->name)->name, list);
}
static Value llm_arguments(Survey *s, Value cell, Value operands) {
  Value found = make_vector(LLM_ARGUMENTS, V_FALSE);
  VEC(found)[LLM_INSTRUCTION] = string_make(0, 1);
  for (; is_pair(operands); operands = CDR(operands)) {
    Value keyword = literal(CAR(operands)), argument = FIX(LLM_INSTRUCTION);   /* the only one without a keyword */
    if (IS(keyword, T_KEYWORD) && is_pair(CDR(operands))) {
      operands = CDR(operands);
      argument = table_get(s->keywords, keyword, V_FALSE);
    }
    Value v = literal(CAR(operands));
    if (argument != V_FALSE) VEC(found)[FIX_VALUE(argument)] = v == V_UNBOUND ? V_DEFAULT : v;
  }
  if (arguments_fit(VEC(found))) VEC(found)[LLM_TOLD] = told_of(cell, VEC(found));
  return found;
}

/* How many arguments a struct's constructor takes, by the forms that define the struct and those above it; -1 where
   they do not tell. (check.scm: %struct-field-count) */
static int64_t field_count(Survey *s, Value type) {
  enum { DEEPEST = 10, OPERANDS = 8 };
  int64_t count = 0;
  for (int depth = 0; depth < DEEPEST; depth++) {
    Value made = NODE_KIND(type) == N_GREF ? to_come(s, NODE(type, 0)) : V_FALSE;
    if (made == V_FALSE || NODE_KIND(made) != N_CALL || list_count(NODE(made, 1)) != OPERANDS) return -1;
    Value operands = CDR(NODE(made, 1)), parent = CAR(operands), fields = literal(CADR(operands));
    Value automatic = literal(CADR(CDDR(operands)));
    if (!IS(fields, T_VECTOR) || !IS_FIX(automatic)) return -1;
    count += VEC_LENGTH(fields) - FIX_VALUE(automatic);
    if (literal(parent) == V_FALSE) return count;
    type = parent;
  }
  return -1;
}

/* The same of a procedure that a form to come defines: nothing is known of most that are no lambda. */
static bool coming_fits(Survey *s, Value node, Value operands) {
  if (NODE_KIND(node) == N_LAMBDA) return lambda_fits(node, operands);
  if (NODE_KIND(node) == N_CASE) {
    for (Value l = NODE(node, 1); is_pair(l); l = CDR(l)) if (lambda_fits(CAR(l), operands)) return true;
    return false;
  }
  if (NODE_KIND(node) != N_CALL || NODE_KIND(NODE(node, 0)) != N_GREF || !is_pair(NODE(node, 1))) return true;
  int64_t count = list_count(operands);
  switch (special_of(NODE(NODE(node, 0), 0))) {
    case SPECIAL_TAKES_1: return count == 1;
    case SPECIAL_TAKES_2: return count == 2;
    case SPECIAL_MAKES: {
      int64_t fields = field_count(s, CAR(NODE(node, 1)));
      return fields < 0 || count == fields;
    }
    default: return true;
  }
}

static bool call_fits(Survey *s, Value cell, Value operands) {
  Value coming = to_come(s, cell);
  if (coming != V_FALSE) return coming_fits(s, coming, operands);
  return CELL(cell)->value == V_UNBOUND || procedure_takes(CELL(cell)->value, operands);
}

static void survey_global_call(Survey *s, Value node, Value owner, Value guarded) {
  Value operands = NODE(node, 1), cell = NODE(NODE(node, 0), 0);
  enum special special = special_of(cell);
  bool look = s->full && (has(cell, CELL_OWN) || special == SPECIAL_TEXT);
  bool fits = call_fits(s, cell, operands), pattern = special == SPECIAL_PATTERN && is_pair(operands) && is_text(CAR(operands));
  if (look || pattern || !fits) found(s, FOUND_CALL, node, owner, guarded, BOOL(fits && pattern));
  else if (special == SPECIAL_LLM && may_be_refused(operands))
    found(s, FOUND_LLM_CALL, node, owner, guarded, llm_arguments(s, cell, operands));
  if (special == SPECIAL_GUARD && list_count(operands) == 2) {
    visit(s, CADR(operands), owner, V_TRUE);
    operands = CAR(operands);
  }
  visit(s, operands, owner, guarded);
}

/* While the walk lasts a variable's data1 is the procedure that it surely is, V_TRUE where it is assigned. */
static void survey_local_call(Survey *s, Value node, Value var, Value owner, Value guarded) {
  Value lambda = ENVVAR(var)->data1;
  if (IS(lambda, T_VECTOR) && NODE_KIND(lambda) == N_LAMBDA && !lambda_fits(lambda, NODE(node, 1)))
    found(s, FOUND_LOCAL_CALL, node, owner, guarded, var);
}

static void note_procedures(Value node) {
  Value vars = NODE(node, 0);
  for (Value init = NODE(node, 1); is_pair(init); init = CDR(init), vars = CDR(vars))
    if (ENVVAR(CAR(vars))->data1 != V_TRUE)
      ENVVAR(CAR(vars))->data1 = NODE_KIND(CAR(init)) == N_LAMBDA && !(VAR_FLAGS(CAR(vars)) & VAR_ASSIGNED) ? CAR(init) : V_FALSE;
}

/* ---- procedures of earlier programs ----
 * Of these there is the code alone: its constants are the cells of the names that it refers to. What has been looked
 * through and is well is not looked through again, until a program defines something. */
enum { EARLIER_STEPS = 4000, EARLIER_DEEP = 200 };   /* constants looked at, and procedures that wait, in one survey */
static Value looked_through;                         /* a table, by template */

void survey_init(void) {
  heap_root(&asked);
  asked = V_NIL;
  heap_root(&looked_through);
  looked_through = V_FALSE;
}
void survey_forget(void) { looked_through = V_FALSE; }

typedef struct {
  Value templates[EARLIER_DEEP], cells[EARLIER_DEEP];
  bool caught[EARLIER_DEEP];
  uint32_t waiting;
} Earlier;

static void look_later(Earlier *e, Value template, Value cell, bool caught) {
  if (e->waiting == EARLIER_DEEP || table_get(looked_through, template, V_FALSE) != V_FALSE || !table_room(looked_through)) return;
  table_set(looked_through, template, V_TRUE);
  e->templates[e->waiting] = template;
  e->cells[e->waiting] = cell;
  e->caught[e->waiting++] = caught;
}
static void look_into(Earlier *e, Value procedure, Value cell, bool caught) {
  if (IS(procedure, T_CLOSURE)) look_later(e, CLOSURE_TEMPLATE(procedure), cell, caught);
  else if (IS(procedure, T_CASE))
    for (uint32_t i = 0; i < OBJ_LENGTH(procedure); i++)
      if (IS(SLOTS(procedure)[i], T_CLOSURE)) look_later(e, CLOSURE_TEMPLATE(SLOTS(procedure)[i]), cell, caught);
}
static bool is_soft(Value cell) { return special_of(cell) == SPECIAL_GUARD || special_of(cell) == SPECIAL_DEFINES; }

static void survey_earlier(Survey *s, Value node, Value owner, Value guarded) {
  if (s->steps <= 0) return;
  if (looked_through == V_FALSE || table_count(looked_through) > EARLIER_STEPS) looked_through = table_make_sized(TABLE_EQ, false, 100);
  Earlier e;
  e.waiting = 0;
  bool well = true;
  look_into(&e, CELL(NODE(node, 0))->value, NODE(node, 0), false);
  while (e.waiting && s->steps > 0) {
    uint32_t top = --e.waiting;
    Value template = e.templates[top], cell = e.cells[top];
    bool caught = e.caught[top];
    uint32_t count = OBJ_LENGTH(template) - TEMPLATE_FIXED;
    Value *constants = TEMPLATE_CONSTS(TEMPLATE(template));
    s->steps -= count + 1;
    charge((count + 1) / 4);
    for (uint32_t i = 0; i < count; i++) caught = caught || (IS(constants[i], T_CELL) && is_soft(constants[i]));
    for (uint32_t i = 0; i < count; i++) {
      Value v = constants[i];
      if (IS(v, T_TEMPLATE)) look_later(&e, v, cell, caught);
      if (IS(v, T_CLOSURE)) look_into(&e, v, cell, caught);      /* one that captures nothing */
      if (!IS(v, T_CELL)) continue;
      if (is_bound(v)) {
        if (has(v, CELL_OWN) && table_get(s->to_come, v, V_FALSE) == V_FALSE) look_into(&e, CELL(v)->value, v, caught);
      } else if (table_get(s->to_come, v, V_FALSE) == V_FALSE) {
        Value more = make_vector(3, BOOL(caught));
        VEC(more)[0] = v;
        VEC(more)[1] = cell;
        found(s, FOUND_EARLIER, node, owner, guarded, more);
        well = false;
      }
    }
  }
  if (!well || e.waiting) looked_through = V_FALSE;    /* it is told of in every program that calls it */
}

/* ---- nodes ---- */
static void survey_reference(Survey *s, Value node, Value owner, Value guarded) {
  Value cell = NODE(node, 0);
  if (has(cell, CELL_OWN) && (IS(CELL(cell)->value, T_CLOSURE) || IS(CELL(cell)->value, T_CASE)) && to_come(s, cell) == V_FALSE)
    survey_earlier(s, node, owner, guarded);
  enum special special = special_of(cell);
  bool look = s->full && (special == SPECIAL_DEFINES || special == SPECIAL_ASKS_ARITY || has(cell, CELL_OWN));
  if (look || (!is_bound(cell) && to_come(s, cell) == V_FALSE))
    found(s, FOUND_REFERENCE, node, owner, guarded, V_FALSE);
}

static void survey_definition(Survey *s, Value node, Value owner, Value guarded) {
  Value cell = NODE(node, 0), value = NODE(node, 1);
  if (s->full) found(s, FOUND_DEFINITION, node, owner, guarded, BOOL(has(cell, CELL_REDEFINED)));
  if (NODE_KIND(value) == N_LAMBDA) visit(s, NODE(value, L_BODY), cell, guarded);
  else visit(s, value, NODE_KIND(value) == N_CASE ? cell : owner, guarded);
}

/* A call of a procedure of the library's, of which nothing special is to be said, that fits: which most of them are. */
static bool is_common_call(Value cell, Value operands) {
  Value procedure = CELL(cell)->value;
  if (FIX_VALUE(CELL(cell)->flags) & ~(int64_t)((1 << CELL_SPECIAL_SHIFT) - 1 - CELL_OWN)) return false;
  if (IS(procedure, T_PRIM)) {
    const PrimDef *p = prim_table[PAYLOAD(procedure)];
    int64_t count = list_count(operands);
    return count >= p->min_args && (p->max_args < 0 || count <= p->max_args);
  }
  if (!IS(procedure, T_CLOSURE)) return false;
  Value arity = TEMPLATE(CLOSURE_TEMPLATE(procedure))->arity;
  return !ARITY_REST(arity) && arity_takes(arity, list_count(operands));
}

static void survey_call(Survey *s, Value node, Value owner, Value guarded) {
  Value operator = NODE(node, 0);
  switch (NODE_KIND(operator)) {
    case N_GREF:
      if (is_common_call(NODE(operator, 0), NODE(node, 1))) {
        visit(s, NODE(node, 1), owner, guarded);
        break;
      }
      survey_reference(s, operator, owner, guarded);
      survey_global_call(s, node, owner, guarded);
      break;
    case N_LREF:
      survey_local_call(s, node, NODE(operator, 0), owner, guarded);
      visit(s, NODE(node, 1), owner, guarded);
      break;
    default:
      visit(s, NODE(node, 1), owner, guarded);
      visit(s, operator, owner, guarded);
      break;
  }
}

/* What leads to no other node, which is most of them: whether it is. */
static bool survey_leaf(Survey *s, Value node, Value owner, Value guarded) {
  switch (NODE_KIND(node)) {
    case N_LREF: return true;
    case N_CONST:
      if (s->full && IS(NODE(node, 0), T_REGEXP)) found(s, FOUND_REGEXP, node, owner, guarded, V_FALSE);
      return true;
    case N_GREF: survey_reference(s, node, owner, guarded); return true;
    default: return false;
  }
}

static bool is_answer(Value node) {
  return NODE_KIND(node) == N_CALL && NODE_KIND(NODE(node, 0)) == N_GREF && special_of(NODE(NODE(node, 0), 0)) == SPECIAL_LLM;
}

static void survey_node(Survey *s, Value node, Value owner, Value guarded) {
  switch (NODE_KIND(node)) {
    case N_LREF: case N_CONST: case N_GREF: survey_leaf(s, node, owner, guarded); break;
    case N_LSET:
      ENVVAR(NODE(node, 0))->data1 = V_TRUE;
      visit(s, NODE(node, 1), owner, guarded);
      break;
    case N_GSET:
      if (s->full) found(s, FOUND_ASSIGNMENT, node, owner, guarded, V_FALSE);
      if (!is_bound(NODE(node, 0)) && to_come(s, NODE(node, 0)) == V_FALSE)   /* set! defines nothing */
        found(s, FOUND_REFERENCE, node, owner, guarded, V_FALSE);
      visit(s, NODE(node, 1), owner, guarded);
      break;
    case N_GDEF: survey_definition(s, node, owner, guarded); break;
    case N_IF:
      if (is_answer(NODE(node, 0))) found(s, FOUND_ALWAYS, NODE(node, 0), owner, guarded, V_FALSE);
      visit(s, NODE(node, 2), owner, guarded);
      visit(s, NODE(node, 1), owner, guarded);
      visit(s, NODE(node, 0), owner, guarded);
      break;
    case N_SEQ: case N_AND: case N_OR: visit(s, NODE(node, 0), owner, guarded); break;
    case N_LAMBDA: visit(s, NODE(node, L_BODY), owner == V_FALSE ? V_TRUE : owner, guarded); break;
    case N_CASE: visit(s, NODE(node, 1), owner, guarded); break;
    case N_CALL: survey_call(s, node, owner, guarded); break;
    case N_LET: case N_LETREC:
      note_procedures(node);
      visit(s, NODE(node, 2), owner, guarded);
      if (NODE_KIND(node) == N_LETREC && loop_candidate(node)) visit(s, NODE(CAR(NODE(node, 1)), L_BODY), owner, guarded);
      else visit(s, NODE(node, 1), owner, guarded);
      break;
  }
}

enum { MOST_VISITS = 3 };      /* that one node leads to */

/* What the forms to come define, so that it has no value yet; deep: how deep in them. */
static Value note_to_come(Value trees, Value table, int deep) {
  for (; is_pair(trees); trees = CDR(trees)) {
    Value tree = CAR(trees);
    if (deep && NODE_KIND(tree) == N_LET && NODE_KIND(NODE(tree, 2)) == N_SEQ) {   /* as define-values makes them */
      Value noted = note_to_come(NODE(NODE(tree, 2), 0), table, deep - 1);
      if (noted != V_TRUE) return noted;
    }
    if (NODE_KIND(tree) != N_GDEF) continue;
    charge(1);
    if (!table_room(table)) return need_memory(table_bytes(2 * table_count(table)));
    table_set(table, NODE(tree, 0), NODE(tree, 1));
  }
  return V_TRUE;
}

/* (%survey trees to-come keywords full?) -> findings, in no order; to-come is filled from the trees */
static Value prim_survey(int argc, Value *args) {
  (void)argc;
  Survey s = {.found = V_NIL, .to_come = args[1], .keywords = args[2], .full = TRUTH(args[3]), .steps = EARLIER_STEPS};
  if (s.full && !progress()) looked_through = V_FALSE;         /* what the quick one found has to be found again */
  Value *kept = progress();
  if (kept) {
    s.stack = (Stack){kept[0], (uint32_t)FIX_VALUE(kept[1])};
    s.found = kept[2];
  } else {
    for (int i = 1; i <= 2; i++) if (!IS(args[i], T_TABLE)) return err_type(NULL, i, "hash", args[i]);
    Value noted = note_to_come(args[0], args[1], 2);
    if (noted != V_TRUE) return noted;
    stack_init(&s.stack);
    visit(&s, args[0], V_FALSE, V_FALSE);
  }
  for (uint32_t n = 1; s.stack.top; n++) {
    if (!stack_room(&s.stack, MOST_VISITS * 3)) {
      pause_keeping(3, s.stack.slots, FIX(s.stack.top), s.found);
      return need_memory(stack_bytes(&s.stack));
    }
    Value guarded = pop(&s.stack), owner = pop(&s.stack), nodes = pop(&s.stack);
    while (is_pair(nodes) && survey_leaf(&s, CAR(nodes), owner, guarded)) nodes = CDR(nodes);
    if (is_pair(nodes)) {
      visit(&s, CDR(nodes), owner, guarded);
      nodes = CAR(nodes);
    }
    if (nodes != V_NIL) survey_node(&s, nodes, owner, guarded);
    if (n % ROUND) continue;
    charge(ROUND * 2);
    if (should_pause()) return pause_keeping(3, s.stack.slots, FIX(s.stack.top), s.found);
  }
  return s.found;
}

Value survey_quickly(Value trees, Value keywords) {
  Value args[] = {trees, table_make(TABLE_EQ, false), keywords, V_FALSE}, found = prim_survey(4, args);
  if (found != V_AGAIN) return found;
  vm.resume = V_FALSE;
  vm.need_bytes = 0;
  return V_AGAIN;
}

Value survey_judged(Value finding, bool *guarded) {
  *guarded = VEC(finding)[2] != V_FALSE;
  return VEC(finding)[0] == FIX(FOUND_LLM_CALL) ? VEC(VEC(finding)[4])[LLM_TOLD] : V_FALSE;
}

/* (%local-procedure var): the lambda node that a variable of a finding surely is, or #f */
static Value prim_local_procedure(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_ENVVAR)) return err_type(NULL, 0, "variable", args[0]);
  return IS(ENVVAR(args[0])->data1, T_VECTOR) ? ENVVAR(args[0])->data1 : V_FALSE;
}

/* (%special! symbol code): what enum special says of a procedure of the core; (%cell-special cell) */
static Value prim_mark_special(int argc, Value *args) {
  (void)argc;
  CHECK_SYMBOL(NULL, 0);
  CHECK_FIX(NULL, 1);
  Value cell = global_cell(args[0]);
  CELL(cell)->flags = FIX(FIX_VALUE(CELL(cell)->flags) | FIX_VALUE(args[1]) << CELL_SPECIAL_SHIFT);
  if (asks(cell)) SET_FLAG(args[0], H_WATCHED);
  return V_VOID;
}
static Value prim_cell_special(int argc, Value *args) {
  (void)argc;
  if (!IS(args[0], T_CELL)) return err_type(NULL, 0, "cell", args[0]);
  return FIX(special_of(args[0]));
}

/* ---- does a form make LLM calls? ----
 * Told from its names alone, before it is expanded: those of the LLM API, and those of the program's own
 * procedures whose code has such a name. What is not found within so many steps is not there: the answer
 * is for an account of the progress, and no program depends on it. Nothing is allocated. */
enum { ASKS_DEEP = 200,                 /* lists in lists */
       ASKS_PROCEDURES = 40,            /* of the program's own, looked into */
       ASKS_STEPS = 10000 };

typedef struct {
  Value todo[ASKS_DEEP];               /* rests of lists */
  Value seen[ASKS_PROCEDURES];         /* templates, looked into and yet to be looked into */
  uint32_t deep, known, looked;
} Asks;

static void asks_later(Asks *a, Value template) {
  for (uint32_t i = 0; i < a->known; i++) if (a->seen[i] == template) return;
  if (a->known < ASKS_PROCEDURES) a->seen[a->known++] = template;
}

/* Is it the cell of such a procedure? The code of the program's own is looked into later. */
static bool cell_asks(Asks *a, Value cell) {
  if (!has(cell, CELL_OWN)) return asks(cell);
  Value v = CELL(cell)->value;
  if (IS(v, T_CLOSURE)) asks_later(a, CLOSURE_TEMPLATE(v));
  else if (IS(v, T_CASE))
    for (uint32_t i = 0; i < OBJ_LENGTH(v); i++)
      if (IS(SLOTS(v)[i], T_CLOSURE)) asks_later(a, CLOSURE_TEMPLATE(SLOTS(v)[i]));
  return false;
}

static bool name_asks(Asks *a, Value symbol, Value top) {
  Value binding = table_get(ENV(top)->bindings, symbol, V_FALSE);
  if (binding == V_FALSE) binding = table_get(ENV(core_environment())->bindings, symbol, V_FALSE);
  return IS(binding, T_CELL) && cell_asks(a, binding);
}

static bool form_asks(Asks *a, Value form, Value top, uint32_t *steps) {
  for (;;) {
    if (++*steps > ASKS_STEPS) return false;
    if (is_pair(form)) {
      if (CDR(form) != V_NIL && a->deep < ASKS_DEEP) a->todo[a->deep++] = CDR(form);
      form = CAR(form);
      continue;
    }
    Value symbol = identifier_symbol(form);
    if (IS(symbol, T_SYMBOL) && (OBJ_FLAGS(symbol) & H_WATCHED) && name_asks(a, symbol, top)) return true;
    if (!a->deep) return false;
    form = a->todo[--a->deep];
  }
}

static bool template_asks(Asks *a, Value template, uint32_t *steps) {
  struct Template *t = TEMPLATE(template);
  uint32_t count = OBJ_LENGTH(template) - TEMPLATE_FIXED;
  *steps += count;
  for (uint32_t i = 0; i < count && *steps <= ASKS_STEPS; i++) {
    Value v = TEMPLATE_CONSTS(t)[i];
    if (IS(v, T_CELL) && cell_asks(a, v)) return true;
    if (IS(v, T_TEMPLATE)) asks_later(a, v);
    if (IS(v, T_CLOSURE)) asks_later(a, CLOSURE_TEMPLATE(v));    /* one that captures nothing */
  }
  return false;
}

static bool asks_somewhere(Value form, Value top, bool *known) {
  Asks a;
  a.deep = a.known = a.looked = 0;
  uint32_t steps = 0;
  bool found = form_asks(&a, form, top, &steps);
  while (!found && a.looked < a.known) found = template_asks(&a, a.seen[a.looked++], &steps);
  *known = a.known != 0;
  charge(steps / 8);
  return found;
}

/* What the expansion that goes on has asked of, and got an answer that rests on the code of the program's procedures, which no count tells:
   ((form . environment) . answer) each. */
Value asked;
bool answers_still_hold(Value list) {
  bool known;
  for (; is_pair(list); list = CDR(list))
    if (asks_somewhere(CAR(CAR(CAR(list))), CDR(CAR(CAR(list))), &known) != TRUTH(CDR(CAR(list)))) return false;
  return true;
}

/* (%asks? form environment) */
static Value prim_asks(int argc, Value *args) {
  (void)argc;
  if (!IS(args[1], T_ENV)) return err_type(NULL, 1, "environment", args[1]);
  if (!is_pair(args[0])) return V_FALSE;
  bool known;
  Value answer = BOOL(asks_somewhere(args[0], args[1], &known));
  if (known) asked = cons(cons(cons(args[0], args[1]), answer), asked);
  return answer;
}

const PrimDef survey_prims[] = {
  {"%special!", prim_mark_special, 2, 2, NULL},
  {"%cell-special", prim_cell_special, 1, 1, NULL},
  {"%survey", prim_survey, 4, 4, NULL},
  {"%asks?", prim_asks, 2, 2, NULL},
  {"%local-procedure", prim_local_procedure, 1, 1, NULL},
  {0}
};
