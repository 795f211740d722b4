/* forms.c — the core forms: one function each, and the table of them.
 *
 * A function gets the job (form, environment, hole) and fills the hole with a node whose parts are
 * expanded later. It checks the form's shape first; what a program sees of a mistake is the form's
 * name, the shape that was expected, and what was found.
 */
#include "expander/forms.h"
#include "expander/body.h"
#include "expander/env.h"
#include "expander/lambda.h"
#include "expander/let.h"
#include "expander/library.h"
#include "expander/nodes.h"
#include "expander/syntax.h"
#include "text/symbol.h"
#include "text/utf8.h"
#include <string.h>

/* ---- constants and variables ---- */
static Value form_quote(State *s, Job j) {
  if (list_length(j.form) != 2) return bad_shape(j);
  Value datum = CADR(j.form);
  TRY_STEP(strip_syntax_pausing(&s->walk, datum, ENV_KIND(env_top(j.env)) != ENV_REPL, &datum));
  return fill_const(j, datum);
}

/* Chibi's: the datum as the macro made it, aliases and all. */
static Value form_syntax_quote(State *s, Job j) {
  (void)s;
  if (list_length(j.form) != 2) return bad_shape(j);
  return fill_const(j, CADR(j.form));
}

static Value set_global(State *s, Job j, Value top, Value symbol, Value cell) {
  Value id = CADR(j.form);
  int64_t flags = FIX_VALUE(CELL(cell)->flags);
  if (ENV_KIND(top) == ENV_REPL && (flags & CELL_PROTECTED)) return refuse_redefinition(j, id);
  if (!env_owns(top, symbol, cell))
    return syntax_fail(j, "set!: %v is imported from a library and cannot be assigned; (define %v ...) makes a variable of your own",
                       id, id);
  if (!(flags & CELL_ASSIGNED)) env_version++;
  CELL(cell)->flags = FIX((flags | CELL_ASSIGNED) & ~(CELL_IMPORTED | CELL_CONSTANT));
  Value node = make_node(N_GSET, j.place, 2, cell, V_FALSE);
  fill(j.hole, node);
  return expand_later(s, element(j, CDDR(j.form), SLOT(node, 1)));
}

static Value form_set(State *s, Job j) {
  if (list_length(j.form) != 3 || !is_identifier(CADR(j.form))) return bad_shape(j);
  Value id = CADR(j.form), top, symbol, binding = adjusted(j.env, env_lookup_place(j.env, id, &top, &symbol));
  if (binding == V_FALSE) binding = env_own_cell(top, symbol);
  if (IS(binding, T_CELL)) return set_global(s, j, top, symbol, binding);
  if (IS(binding, T_MACRO) && MACRO_KIND(binding) == MACRO_SETTER) {
    TRY_STEP(expand_macro(s, binding, j, &j.form));
    return expand_later(s, j);
  }
  if (!IS(binding, T_ENVVAR)) return syntax_fail(j, "set!: %v is not a variable", id);
  Value node = make_node(N_LSET, j.place, 2, binding, V_FALSE);
  fill(j.hole, node);
  return expand_later(s, element(j, CDDR(j.form), SLOT(node, 1)));
}

static Value form_current_environment(State *s, Job j) {
  (void)s;
  return fill_const(j, env_top(j.env));
}

/* ---- conditionals ---- */
static Value form_if(State *s, Job j) {
  int64_t n = list_length(j.form);
  if (n != 3 && n != 4) return bad_shape(j);
  Value node = node_if(j.place, V_FALSE, V_FALSE, node_const(V_VOID)), rest = CDR(j.form);
  fill(j.hole, node);
  for (uint32_t i = 0; rest != V_NIL; rest = CDR(rest), i++) {
    Job e = element(j, rest, SLOT(node, i));
    if (i > 0) e.name = j.name;
    TRY_STEP(expand_later(s, e));
  }
  return V_TRUE;
}

static Value when_or_unless(State *s, Job j, int body) {
  if (list_length(j.form) < 2) return bad_shape(j);
  Value node = node_if(j.place, V_FALSE, node_const(V_VOID), node_const(V_VOID));
  fill(j.hole, node);
  TRY_STEP(expand_later(s, element(j, CDR(j.form), SLOT(node, 0))));
  if (CDDR(j.form) == V_NIL) return V_TRUE;
  return body_later(s, tail_part(j, CDDR(j.form), SLOT(node, body)), BODY_MAY_END_IN_DEFINE);
}
static Value form_when(State *s, Job j) { return when_or_unless(s, j, 1); }
static Value form_unless(State *s, Job j) { return when_or_unless(s, j, 2); }

static Value and_or(State *s, Job j, enum node kind, Value empty) {
  int64_t n = list_length(j.form);
  if (n < 0) return bad_shape(j);
  if (n == 1) return fill_const(j, empty);
  if (n == 2) return expand_later(s, tail_part(j, CADR(j.form), j.hole));
  j.form = CDR(j.form);
  return expand_sequence(s, kind, j);
}
static Value form_and(State *s, Job j) { return and_or(s, j, N_AND, V_TRUE); }
static Value form_or(State *s, Job j) { return and_or(s, j, N_OR, V_FALSE); }

/* [test => receiver]: the node's hole for what follows comes back. */
static Value arrow_clause(State *s, Job j, Value clause, Hole *rest) {
  if (list_length(clause) != 3) return syntax_fail(j, "cond: a clause with => is [test => procedure], got %v", clause);
  Value var = make_envvar(intern("test"));
  Value call = make_node(N_CALL, j.place, 2, V_FALSE, list_n(1, node_local(var)));
  Value branch = node_if(j.place, node_local(var), call, V_FALSE);
  Value node = node_let1(j.place, var, V_FALSE, branch);
  fill(j.hole, node);
  TRY_STEP(expand_later(s, element(j, clause, CAR_OF(NODE(node, 1)))));
  TRY_STEP(expand_later(s, part(j, CADDR(clause), SLOT(call, 0))));
  *rest = SLOT(branch, 2);
  return V_TRUE;
}

static Value cond_clause(State *s, Job j, Value clause, Hole *rest) {
  if (CDR(clause) == V_NIL) {
    Value node = make_node(N_OR, j.place, 1, list_n(2, V_FALSE, V_FALSE));
    fill(j.hole, node);
    *rest = CAR_OF(CDR(NODE(node, 0)));
    return expand_later(s, element(j, clause, CAR_OF(NODE(node, 0))));
  }
  if (is_core(j.env, CADR(clause), F_ARROW)) return arrow_clause(s, j, clause, rest);
  Value node = node_if(j.place, V_FALSE, V_FALSE, V_FALSE);
  fill(j.hole, node);
  *rest = SLOT(node, 2);
  TRY_STEP(expand_later(s, element(j, clause, SLOT(node, 0))));
  return body_later(s, tail_part(j, CDR(clause), SLOT(node, 1)), BODY_MAY_END_IN_DEFINE);
}

/* Clauses after else are a mistake to tell a program's author of; published libraries have some. */
static bool is_program(Job j) { return ENV_KIND(env_top(j.env)) == ENV_REPL; }

/* So many clauses of a cond or a case are expanded in one step; the others are a form of their own, of the same keyword,
   and with something in front that no program writes: they are not counted again, which would take the square of them.
   A transformer may have changed the list in between: each pair is looked at. */
enum { CLAUSES_AT_ONCE = 1 << 10, CLAUSE_BYTES = 1024, CASE_DATA_MOST = 1 << 18 };
/* Memory for those, beside what every step has; and the time that they take. */
static bool clauses_room(int count) {
  if (count % 32) return true;
  charge(32);
  return room(32 * CLAUSE_BYTES);
}

static Value other_clauses(State *s, Job j, Value front, Value clauses) {
  j.form = cons(CAR(j.form), cons(front, clauses));
  return expand_later(s, j);
}

static Value form_cond(State *s, Job j) {
  bool others = is_pair(CDR(j.form)) && CADR(j.form) == V_UNBOUND;
  if (!others && list_length(j.form) < 1) return bad_shape(j);
  Job c = j;
  int count = 0;
  for (Value clauses = others ? CDDR(j.form) : CDR(j.form); clauses != V_NIL; clauses = CDR(clauses)) {
    if (!is_pair(clauses)) return bad_shape(j);
    if (!clauses_room(++count)) return short_of_room();
    if (count > CLAUSES_AT_ONCE) return other_clauses(s, c, V_UNBOUND, clauses);
    Value clause = CAR(clauses);
    if (list_length(clause) < 1) return syntax_fail(j, "cond: each clause must be [test expression ...], got %v", clause);
    c.place = place_of(clause, j.place);
    if (is_core(j.env, CAR(clause), F_ELSE)) {
      if (CDR(clauses) != V_NIL && is_program(j))
        return syntax_fail(j, "cond: the else clause must be the last one");
      return body_later(s, tail_part(c, CDR(clause), c.hole), BODY_MAY_BE_EMPTY | BODY_MAY_END_IN_DEFINE);
    }
    Hole rest;
    TRY_STEP(cond_clause(s, c, clause, &rest));
    c.hole = rest;
  }
  fill(c.hole, node_const(V_VOID));
  return V_TRUE;
}

/* ---- case ---- */
static bool is_eq_datum(Value v) { return IS(v, T_SYMBOL) || IS_FIX(v) || IS(v, T_CHAR) || IS(v, T_SPECIAL) || IS(v, T_KEYWORD); }
static bool is_compound(Value v) { return is_pair(v) || IS(v, T_VECTOR) || IS(v, T_BYTES) || IS(v, T_UVECTOR) || IS(v, T_TABLE) || IS(v, T_BOX); }

/* Is the key one of the data? One or two tests, or a search, and equal? for compound data. */
static Value case_test(Job j, Value key, Value data) {
  Value tests = V_NIL, atoms = V_NIL;
  bool eq = true;
  int64_t count = 0;
  for (; is_pair(data); data = CDR(data)) {
    Value datum = CAR(data);
    if (is_compound(datum)) {
      tests = cons(node_call(j.place, C_EQUAL, 2, node_local(key), node_const(datum)), tests);
    } else {
      atoms = cons(datum, atoms);
      eq = eq && is_eq_datum(datum);
      count++;
    }
  }
  if (eq && count <= 2)
    for (; atoms != V_NIL; atoms = CDR(atoms))
      tests = cons(node_call(j.place, C_EQ, 2, node_local(key), node_const(CAR(atoms))), tests);
  else
    tests = cons(node_call(j.place, C_CASE_MEMBER, 2, node_local(key), node_const(atoms)), tests);
  if (tests == V_NIL) return node_const(V_FALSE);
  return CDR(tests) == V_NIL ? CAR(tests) : make_node(N_OR, j.place, 1, tests);
}

/* The consequence of a clause: a body, or => procedure. */
static Value case_body(State *s, Job j, Value key, Value body, Hole hole) {
  if (!is_pair(body) || !is_core(j.env, CAR(body), F_ARROW))
    return body_later(s, tail_part(j, body, hole), BODY_MAY_BE_EMPTY | BODY_MAY_END_IN_DEFINE);
  if (list_length(body) != 2) return syntax_fail(j, "case: => is followed by one procedure, got %v", body);
  Value call = make_node(N_CALL, j.place, 2, V_FALSE, list_n(1, node_local(key)));
  fill(hole, call);
  return expand_later(s, part(j, CADR(body), SLOT(call, 0)));
}

/* Before what is done where the key is none of the data: a look whether that is a slip. */
static void case_missed(Job *c, Value key, Value texts) {
  if (texts == V_NIL || !is_program(*c)) return;
  Value look = node_call(c->place, C_CASE_MISSED, 2, node_local(key), node_const(texts));
  Value both = list_n(2, look, V_FALSE);
  fill(c->hole, make_node(N_SEQ, c->place, 1, both));
  c->hole = CAR_OF(CDR(both));
}
static Value texts_of(Value data, Value texts, int *room) {
  for (; is_pair(data) && *room; data = CDR(data))
    if (IS(CAR(data), T_STRING) || IS(CAR(data), T_SYMBOL)) {
      texts = cons(CAR(data), texts);
      --*room;
    }
  return texts;
}

static Value form_case(State *s, Job j) {
  enum { MOST_TEXTS = 100 };
  bool others = is_pair(CDR(j.form)) && IS(CADR(j.form), T_ENVVAR);     /* their key is there already */
  if (!others && list_length(j.form) < 2) return bad_shape(j);
  Job c = j;
  Value texts = V_NIL;
  int room = MOST_TEXTS;
  Value key = CADR(j.form);
  if (!others) {
    key = make_envvar(intern("key"));
    Value node = node_let1(j.place, key, V_FALSE, V_FALSE);
    fill(j.hole, node);
    TRY_STEP(expand_later(s, element(j, CDR(j.form), CAR_OF(NODE(node, 1)))));
    c.hole = SLOT(node, 2);
  }
  int count = 0;
  for (Value clauses = CDDR(j.form); clauses != V_NIL; clauses = CDR(clauses)) {
    if (!is_pair(clauses)) return bad_shape(j);
    if (!clauses_room(++count)) return short_of_room();
    if (count > CLAUSES_AT_ONCE) return other_clauses(s, c, key, clauses);
    Value clause = CAR(clauses);
    if (list_length(clause) < (is_program(j) ? 2 : 1))
      return syntax_fail(j, "case: each clause must be [(datum ...) expression ...], got %v", clause);
    c.place = place_of(clause, j.place);
    if (is_core(j.env, CAR(clause), F_ELSE)) {
      if (CDR(clauses) != V_NIL && is_program(j))
        return syntax_fail(j, "case: the else clause must be the last one");
      case_missed(&c, key, texts);
      return case_body(s, c, key, CDR(clause), c.hole);
    }
    Value data = CAR(clause);
    int64_t length = list_length(data);
    if (length <= CASE_DATA_MOST) {
      TRY_STEP(strip_syntax(data, false, &data));
      length = list_length(data);
    }
    if (length < 0) return syntax_fail(j, "case: a clause begins with a list of data, as in [(%v) ...], got %v", data, clause);
    if (length > CASE_DATA_MOST)
      return syntax_fail(j, "case: a clause of too many data (the limit is %d); look the key up in a table", (int)CASE_DATA_MOST);
    texts = texts_of(data, texts, &room);
    Value branch = node_if(c.place, case_test(c, key, data), V_FALSE, V_FALSE);
    fill(c.hole, branch);
    TRY_STEP(case_body(s, c, key, CDR(clause), SLOT(branch, 1)));
    c.hole = SLOT(branch, 2);
  }
  case_missed(&c, key, texts);
  fill(c.hole, node_const(V_VOID));
  return V_TRUE;
}

/* ---- sequences ---- */
static Value form_begin(State *s, Job j) {
  int64_t n = list_length(j.form);
  if (n < 0) return bad_shape(j);
  if (n == 1) return fill_const(j, V_VOID);
  return body_later(s, tail_part(j, CDR(j.form), j.hole), BODY_MAY_END_IN_DEFINE);
}

static Value form_begin0(State *s, Job j) {
  int64_t n = list_length(j.form);
  if (n < 2) return bad_shape(j);
  if (n == 2) return expand_later(s, tail_part(j, CADR(j.form), j.hole));
  Value var = make_envvar(intern("first")), both = list_n(2, V_FALSE, node_local(var));
  Value node = node_let1(j.place, var, V_FALSE, make_node(N_SEQ, j.place, 1, both));
  fill(j.hole, node);
  TRY_STEP(expand_later(s, element(j, CDR(j.form), CAR_OF(NODE(node, 1)))));
  j.form = CDDR(j.form);
  j.hole = CAR_OF(both);
  return expand_sequence(s, N_SEQ, j);
}

/* ---- procedures ---- */
static Value form_lambda(State *s, Job j) {
  if (list_length(j.form) < 3) return bad_shape(j);
  return expand_lambda(s, j, CADR(j.form), CDDR(j.form));
}

static Value form_named_lambda(State *s, Job j) {
  if (list_length(j.form) < 3 || !is_pair(CADR(j.form)) || !is_identifier(CAR(CADR(j.form)))) return bad_shape(j);
  j.name = identifier_symbol(CAR(CADR(j.form)));
  return expand_lambda(s, j, CDR(CADR(j.form)), CDDR(j.form));
}

enum { CLAUSES_MOST = 1000 };      /* of a case-lambda: a call tries one after the other */
static Value form_case_lambda(State *s, Job j) {
  if (list_length(j.form) < 1) return bad_shape(j);
  if (list_length(j.form) > CLAUSES_MOST)
    return syntax_fail(j, "case-lambda: more than %d clauses; look at the arguments' number in one of them", (int)CLAUSES_MOST);
  List lambdas;
  list_start(&lambdas);
  for (Value c = CDR(j.form); c != V_NIL; c = CDR(c)) {
    if (list_length(CAR(c)) < 2) return syntax_fail(j, "case-lambda: each clause must be [formals body ...], got %v", CAR(c));
    Job clause = tail_part(j, CAR(c), CAR_OF(list_add(&lambdas, V_FALSE)));
    clause.place = place_of(CAR(c), j.place);
    TRY_STEP(expand_lambda(s, clause, CAR(CAR(c)), CDR(CAR(c))));
  }
  fill(j.hole, make_node(N_CASE, j.place, 2, j.name, lambdas.head));
  return V_TRUE;
}

/* ---- syntax definitions ---- */

/* The body of keywords that are bound by the items before it: even a name alone may be one, and has to wait. */
static Value keywords_body(State *s, Job j, Value frame) {
  Value body = CDDR(j.form);
  if (is_pair(CAR(body)) || CDR(body) != V_NIL) return let_body(s, j, frame, body, j.hole);
  Job alone = tail_part(j, CAR(body), j.hole);
  alone.env = frame;
  push_item(s, DO_EXPR, alone, V_FALSE, V_FALSE, V_FALSE);
  return V_TRUE;
}

static Value let_syntax(State *s, Job j, bool recursive) {
  if (list_length(j.form) < 3) return bad_shape(j);
  TRY_STEP(check_bindings(j, CADR(j.form)));
  Value frame = make_frame(j.env);
  for (Value b = CADR(j.form); b != V_NIL; b = CDR(b)) {
    Job transformer = part(j, CADR(CAR(b)), j.hole);
    transformer.place = place_of(CAR(b), j.place);
    if (recursive) transformer.env = frame;
    TRY_STEP(macro_later(s, transformer, frame, CAR(CAR(b))));
  }
  return keywords_body(s, j, frame);
}
static Value form_let_syntax(State *s, Job j) { return let_syntax(s, j, false); }
static Value form_letrec_syntax(State *s, Job j) { return let_syntax(s, j, true); }

/* (syntax-parameterize ((keyword transformer) ...) body ...): wherever in the body's expansion a name means the
   keyword's macro, it means the transformer. So not the name is bound, but the macro. */
static Value form_syntax_parameterize(State *s, Job j) {
  if (list_length(j.form) < 3) return bad_shape(j);
  TRY_STEP(check_bindings(j, CADR(j.form)));
  Value frame = make_frame(j.env);
  for (Value b = CADR(j.form); b != V_NIL; b = CDR(b)) {
    Value keyword = CAR(CAR(b)), macro = env_lookup(j.env, keyword);
    if (!IS(macro, T_MACRO) || MACRO_KIND(macro) == MACRO_CORE)
      return syntax_fail(j, "syntax-parameterize: %v is not a syntax parameter; (define-syntax-parameter %v transformer) makes one",
                         keyword, keyword);
    SET_FLAG(macro, H_PARAMETERIZED);
    Job transformer = part(j, CADR(CAR(b)), j.hole);
    transformer.place = place_of(CAR(b), j.place);
    TRY_STEP(macro_later(s, transformer, frame, macro));
  }
  return keywords_body(s, j, frame);
}

/* (define-syntax-rule (name . pattern) template) */
static Value rewrite_define_syntax_rule(State *s, Job j, Value *out) {
  (void)s;
  if (list_length(j.form) != 3 || !is_pair(CADR(j.form)) || !is_identifier(CAR(CADR(j.form)))) return bad_shape(j);
  Value pattern = CADR(j.form), place = pair_place(j.form);
  Value rules = list_n(3, core_keyword(F_SYNTAX_RULES), V_NIL, list_n(2, pattern, CADDR(j.form)));
  *out = cons_at(core_keyword(F_DEFINE_SYNTAX), list_n(2, CAR(pattern), rules), (uint32_t)place);
  return V_TRUE;
}

/* (syntax-error "message" form ...) */
static Value form_syntax_error(State *s, Job j) {
  enum { SHOWN_MOST = 500 };
  (void)s;
  if (list_length(j.form) < 2) return bad_shape(j);
  Builder b;
  builder_init(&b);
  if (IS(CADR(j.form), T_STRING)) builder_string(&b, CADR(j.form));
  else put_datum(&b, CADR(j.form));
  for (Value f = CDDR(j.form); f != V_NIL && b.length <= SHOWN_MOST; f = CDR(f)) {
    builder_c(&b, " ");
    put_datum(&b, CAR(f));
  }
  Value string = builder_finish(&b), irritants;
  if (STR_LENGTH(string) > SHOWN_MOST) string = string_substring(string, 0, SHOWN_MOST);
  char message[4 * SHOWN_MOST + 1];
  message[string_to_utf8(string, (uint8_t *)message)] = 0;
  TRY_STEP(strip_syntax(CDDR(j.form), false, &irritants));
  return err_syntax(message, irritants, j.place);
}

/* A transformer outside a define-syntax: a macro that its definition gives an environment. */
static Value transformer_value(State *s, Job j, enum macro_kind kind) {
  if (list_length(j.form) != 2) return bad_shape(j);
  Value call = node_call(j.place, C_MAKE_TRANSFORMER, 2, node_const(FIX(kind)), V_FALSE);
  fill(j.hole, call);
  return expand_later(s, part(j, CADR(j.form), CAR_OF(CDR(NODE(call, 1)))));
}
static Value form_er(State *s, Job j) { return transformer_value(s, j, MACRO_ER); }
static Value form_sc(State *s, Job j) { return transformer_value(s, j, MACRO_SC); }
static Value form_rsc(State *s, Job j) { return transformer_value(s, j, MACRO_RSC); }

static Value form_quasiquote(State *s, Job j) {
  if (list_length(j.form) != 2) return bad_shape(j);
  j.form = CADR(j.form);
  push_item(s, DO_QUASI, j, FIX(0), V_FALSE, V_FALSE);
  return V_TRUE;
}

/* ---- the table ---- */
const CoreForm core_forms[] = {
  {"quote", F_QUOTE, form_quote, NULL, "(quote datum)"},
  {"%syntax-quote", F_PLAIN, form_syntax_quote, NULL, "(syntax-quote datum)"},
  {"quasiquote", F_QUASIQUOTE, form_quasiquote, NULL, "(quasiquote template)"},
  {"if", F_IF, form_if, NULL, "(if test then [else])"},
  {"define", F_DEFINE, NULL, NULL, "(define name expression) or (define (name parameter ...) body ...)"},
  {"set!", F_PLAIN, form_set, NULL, "(set! name expression)"},
  {"lambda", F_LAMBDA, form_lambda, NULL, "(lambda (parameter ...) body ...)"},
  {"\xce\xbb", F_PLAIN, form_lambda, NULL, "(\xce\xbb (parameter ...) body ...)"},
  {"named-lambda", F_PLAIN, form_named_lambda, NULL, "(named-lambda (name parameter ...) body ...)"},
  {"case-lambda", F_PLAIN, form_case_lambda, NULL, "(case-lambda [formals body ...] ...)"},
  {"begin", F_BEGIN, form_begin, NULL, "(begin form ...)"},
  {"begin0", F_PLAIN, form_begin0, NULL, "(begin0 expression ...)"},
  {"let", F_PLAIN, form_let, NULL, "(let ((name expression) ...) body ...) or (let loop ((name expression) ...) body ...)"},
  {"let*", F_PLAIN, form_let_star, NULL, "(let* ((name expression) ...) body ...)"},
  {"letrec", F_PLAIN, form_letrec, NULL, "(letrec ((name expression) ...) body ...)"},
  {"letrec*", F_PLAIN, form_letrec, NULL, "(letrec* ((name expression) ...) body ...)"},
  {"let-values", F_PLAIN, form_let_values, NULL, "(let-values (((name ...) expression) ...) body ...)"},
  {"let*-values", F_PLAIN, form_let_star_values, NULL, "(let*-values (((name ...) expression) ...) body ...)"},
  {"receive", F_REWRITE, NULL, rewrite_receive, "(receive (name ...) expression body ...)"},
  {"define-values", F_DEFINE_VALUES, NULL, NULL, "(define-values (name ...) expression)"},
  {"and", F_AND, form_and, NULL, "(and expression ...)"},
  {"or", F_OR, form_or, NULL, "(or expression ...)"},
  {"when", F_PLAIN, form_when, NULL, "(when test body ...)"},
  {"unless", F_PLAIN, form_unless, NULL, "(unless test body ...)"},
  {"cond", F_PLAIN, form_cond, NULL, "(cond [test expression ...] ... [else expression ...])"},
  {"case", F_PLAIN, form_case, NULL, "(case key [(datum ...) expression ...] ... [else expression ...])"},
  {"do", F_PLAIN, form_do, NULL, "(do ((name init step) ...) (test result ...) command ...)"},
  {"define-syntax", F_DEFINE_SYNTAX, NULL, NULL, "(define-syntax name transformer)"},
  {"define-syntax-rule", F_REWRITE, NULL, rewrite_define_syntax_rule, "(define-syntax-rule (name pattern ...) template)"},
  {"let-syntax", F_PLAIN, form_let_syntax, NULL, "(let-syntax ((name transformer) ...) body ...)"},
  {"letrec-syntax", F_PLAIN, form_letrec_syntax, NULL, "(letrec-syntax ((name transformer) ...) body ...)"},
  {"syntax-parameterize", F_PLAIN, form_syntax_parameterize, NULL, "(syntax-parameterize ((keyword transformer) ...) body ...)"},
  {"syntax-rules", F_SYNTAX_RULES, NULL, NULL, "(syntax-rules (literal ...) [pattern template] ...)"},
  {"er-macro-transformer", F_ER, form_er, NULL, "(er-macro-transformer (lambda (form rename compare) ...))"},
  {"sc-macro-transformer", F_SC, form_sc, NULL, "(sc-macro-transformer (lambda (form environment) ...))"},
  {"rsc-macro-transformer", F_RSC, form_rsc, NULL, "(rsc-macro-transformer (lambda (form environment) ...))"},
  {"syntax-error", F_PLAIN, form_syntax_error, NULL, "(syntax-error \"message\" form ...)"},
  {"cond-expand", F_REWRITE, NULL, rewrite_cond_expand, "(cond-expand [requirement form ...] ... [else form ...])"},
  {"include", F_REWRITE, NULL, rewrite_include, "(include \"path\" ...)"},
  {"include-ci", F_REWRITE, NULL, rewrite_include, "(include-ci \"path\" ...)"},
  {"import", F_IMPORT, NULL, NULL, "(import import-set ...)"},
  {"define-library", F_DEFINE_LIBRARY, NULL, NULL, "(define-library (name ...) declaration ...)"},
  {"%current-environment", F_PLAIN, form_current_environment, NULL, "(%current-environment)"},
  {"else", F_ELSE, NULL, NULL, "else"},
  {"=>", F_ARROW, NULL, NULL, "=>"},
  {"...", F_ELLIPSIS, NULL, NULL, "..."},
  {"_", F_UNDERSCORE, NULL, NULL, "_"},
  {"unquote", F_UNQUOTE, NULL, NULL, ",expression within a quasiquote"},
  {"unquote-splicing", F_SPLICING, NULL, NULL, ",@expression within a quasiquote"},
  {0}
};

/* The keywords' macro objects, by their index in the table. */
static Value keywords;
static uint8_t first_form[F_COUNT];

void forms_init(Value env, void (*bind)(Value env, Value name, Value macro)) {
  uint32_t count = sizeof core_forms / sizeof *core_forms - 1;
  heap_root(&keywords);
  keywords = make_vector(count, V_FALSE);
  for (uint32_t i = count; i-- > 0;) {
    first_form[core_forms[i].id] = (uint8_t)i;
    Value name = intern(core_forms[i].name);
    VEC(keywords)[i] = make_macro(MACRO_CORE, env, FIX(i), name);
    bind(env, name, VEC(keywords)[i]);
  }
  nodes_init();
}

Value core_keyword(enum form_id id) { return VEC(keywords)[first_form[id]]; }

Value form_at(Value form, uint32_t place) {
  if (!place || pair_place(form) || !(is_pair(form) || IS(form, T_SYMBOL) || IS(form, T_SYNTAX))) return form;
  return cons_at(core_keyword(F_BEGIN), cons(form, V_NIL), place);
}

Value core_named(const char *name) {
  uint32_t i = 0;
  while (strcmp(core_forms[i].name, name)) i++;
  return VEC(keywords)[i];
}
