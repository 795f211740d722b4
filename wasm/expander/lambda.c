/* lambda.c — procedures and their parameters.
 *
 * Required, optional and rest parameters are the machine's own. An optional parameter that is not
 * given holds V_DEFAULT; where it has a default expression the body begins with a let that takes
 * the one or the other, so that defaults are evaluated left to right and see earlier parameters:
 *
 *   (lambda (a [b e]) body)  ->  (lambda (a #!optional b') (let ((b (if (eq? b' default) e b'))) body))
 *
 * A procedure with keyword parameters takes one list; %keyword-arguments (support.c) sorts
 * it out into a vector:
 *
 *   (lambda (a #:k [k e]) body)
 *     ->  (lambda args (let ((v (%keyword-arguments spec args)))
 *           (let ((a (vector-ref v 0)) (k' (vector-ref v 1))) (let ((k (if ...))) body))))
 */
#include "expander/lambda.h"
#include "expander/env.h"
#include "expander/nodes.h"
#include "expander/syntax.h"
#include "text/symbol.h"

enum param_kind { P_REQUIRED, P_OPTIONAL, P_REST, P_KEY };

struct Param {         /* a T_VECTOR */
  uint64_t header;
  Value kind, id;
  Value otherwise;     /* the default expression; V_UNBOUND: none */
  Value keyword;
};
#define PARAM(v) ((struct Param *)PTR(v))

typedef struct {
  Value params, last;
  int64_t required, optional, keys;
  bool rest, defaults;
} Formals;

static void add_param(Formals *f, enum param_kind kind, Value id, Value otherwise, Value keyword) {
  Value param = heap_object(T_VECTOR, 0, 4), pair;
  *PARAM(param) = (struct Param){.header = PARAM(param)->header, .kind = FIX(kind), .id = id,
                                 .otherwise = otherwise, .keyword = keyword};
  pair = cons(param, V_NIL);
  if (f->params == V_NIL) f->params = pair; else CDR(f->last) = pair;
  f->last = pair;
  if (kind == P_REQUIRED) f->required++;
  if (kind == P_OPTIONAL) f->optional++;
  if (kind == P_KEY) f->keys++;
  if (kind == P_REST) f->rest = true;
  if (otherwise != V_UNBOUND) f->defaults = true;
}

static Value bad_parameter(Job j, Value param) {
  return syntax_fail(j, "a parameter must be a name, [name default], #:keyword name or #:keyword [name default], got %v", param);
}

static bool is_named(Value v, const char *name) { return IS(v, T_SYMBOL) && v == intern(name); }

/* A positional parameter: name or [name default]. */
static Value parse_positional(Job j, Formals *f, Value param, bool optional) {
  if (is_identifier(param)) {
    if (!optional && f->optional)
      return syntax_fail(j, "the required parameter %v comes after an optional one", param);
    add_param(f, optional ? P_OPTIONAL : P_REQUIRED, param, V_UNBOUND, V_FALSE);
    return V_TRUE;
  }
  if (list_length(param) != 2 || !is_identifier(CAR(param))) return bad_parameter(j, param);
  add_param(f, P_OPTIONAL, CAR(param), CADR(param), V_FALSE);
  return V_TRUE;
}

static Value parse_keyword(Job j, Formals *f, Value keyword, Value param) {
  for (Value p = f->params; p != V_NIL; p = CDR(p))
    if (PARAM(CAR(p))->keyword == keyword) return syntax_fail(j, "the keyword %v is a parameter twice", keyword);
  if (is_identifier(param)) add_param(f, P_KEY, param, V_UNBOUND, keyword);
  else if (list_length(param) == 2 && is_identifier(CAR(param))) add_param(f, P_KEY, CAR(param), CADR(param), keyword);
  else return bad_parameter(j, param);
  return V_TRUE;
}

static Value parse_formals(Job j, Value formals, Formals *f) {
  enum { KEYWORDS_MOST = 1000 };               /* each is compared with those before */
  bool optional = false;
  *f = (Formals){.params = V_NIL, .last = V_NIL};
  for (; is_pair(formals); formals = CDR(formals)) {
    Value param = CAR(formals);
    if (f->keys > KEYWORDS_MOST) return syntax_fail(j, "more than %d keyword parameters; pass a table", (int)KEYWORDS_MOST);
    if (IS(param, T_KEYWORD)) {
      formals = CDR(formals);
      if (!is_pair(formals)) return syntax_fail(j, "the keyword %v needs a parameter name after it", param);
      TRY_STEP(parse_keyword(j, f, param, CAR(formals)));
    } else if (is_named(param, "#!optional")) {
      optional = true;
    } else if (is_named(param, "#!rest")) {
      formals = CDR(formals);
      if (!is_pair(formals) || CDR(formals) != V_NIL) return syntax_fail(j, "#!rest is followed by one name");
      formals = CAR(formals);
      break;
    } else {
      TRY_STEP(parse_positional(j, f, param, optional));
    }
  }
  if (formals == V_NIL) return V_TRUE;
  if (!is_identifier(formals)) return bad_parameter(j, formals);
  add_param(f, P_REST, formals, V_UNBOUND, V_FALSE);
  return V_TRUE;
}

/* ---- the common case: names only ---- */
static bool plain_formals(Value formals) {
  for (; is_pair(formals); formals = CDR(formals)) {
    Value id = CAR(formals);
    if (!is_identifier(id)) return false;
    if (IS(id, T_SYMBOL) && STR_LENGTH(SYM(id)->name) && string_char(SYM(id)->name, 0) == '#') return false;
  }
  return formals == V_NIL || is_identifier(formals);
}

static Value bind_parameter(Job j, Value frame, Value id, Value *var) {
  if (frame_find(frame, id) != V_FALSE) return syntax_fail(j, "the parameter name %v is used twice", id);
  *var = make_envvar(identifier_symbol(id));
  return frame_bind(frame, id, *var) ? V_TRUE : short_of_room();
}

enum { LAMBDA_BODY = 5 };   /* NODE(node, LAMBDA_BODY) */
static Value lambda_node(Job j, int64_t required, int64_t optional, bool rest, Value vars) {
  return make_node(N_LAMBDA, j.place, 7, j.name, FIX(required), FIX(optional), BOOL(rest), vars, V_FALSE, FIX(0));
}

static Value body_in(State *s, Job j, Value env, Value body, Hole hole) {
  j.form = body;
  j.env = env;
  j.hole = hole;
  return body_later(s, j, 0);
}

static Value plain_lambda(State *s, Job j, Value formals, Value body) {
  Value frame = make_frame(j.env), vars = V_NIL, last = V_NIL, var;
  int64_t required = 0;
  Value f = formals;
  for (; f != V_NIL; f = is_pair(f) ? CDR(f) : V_NIL) {
    TRY_STEP(bind_parameter(j, frame, is_pair(f) ? CAR(f) : f, &var));
    if (is_pair(f)) required++;
    Value pair = cons(var, V_NIL);
    if (last == V_NIL) vars = pair; else CDR(last) = pair;
    last = pair;
  }
  int64_t count = 0;
  for (Value v = vars; v != V_NIL; v = CDR(v)) count++;
  Value node = lambda_node(j, required, 0, count > required, vars);
  fill(j.hole, node);
  return body_in(s, j, formals == V_NIL ? j.env : frame, body, SLOT(node, LAMBDA_BODY));
}

/* ---- optional and keyword parameters ---- */

/* A variable for each parameter: bound in the frame, or hidden where a default has to be looked at. */
static Value parameter_variables(Job j, Formals *f, Value frame, Value *vars) {
  Value last = V_NIL, names = make_frame(V_FALSE), var;
  *vars = V_NIL;
  for (Value p = f->params; p != V_NIL; p = CDR(p)) {
    struct Param *param = PARAM(CAR(p));
    TRY_STEP(bind_parameter(j, names, param->id, &var));
    if (param->otherwise == V_UNBOUND && !frame_bind(frame, param->id, var)) return short_of_room();
    Value pair = cons(var, V_NIL);
    if (last == V_NIL) *vars = pair; else CDR(last) = pair;
    last = pair;
  }
  return V_TRUE;
}

/* The lets that take the defaults; then the body. */
static Value defaults_and_body(State *s, Job j, Formals *f, Value vars, Value env, Value body, Hole hole) {
  for (Value p = f->params; p != V_NIL; p = CDR(p), vars = CDR(vars)) {
    struct Param *param = PARAM(CAR(p));
    if (param->otherwise == V_UNBOUND) continue;
    Value hidden = CAR(vars), var = make_envvar(identifier_symbol(param->id)), frame = make_frame(env);
    frame_bind(frame, param->id, var);
    Value missing = node_call(j.place, C_EQ, 2, node_local(hidden), node_const(V_DEFAULT));
    Value choice = node_if(j.place, missing, V_FALSE, node_local(hidden));
    Value let = node_let1(j.place, var, choice, V_FALSE);
    fill(hole, let);
    Job otherwise = {.form = param->otherwise, .env = env, .hole = SLOT(choice, 1), .place = j.place,
                     .name = identifier_symbol(param->id)};
    TRY_STEP(expand_later(s, otherwise));
    env = frame;
    hole = SLOT(let, 2);
  }
  return body_in(s, j, env, body, hole);
}

/* ---- keywords ---- */
static void put_name(Builder *b, Value id) { builder_string(b, SYM(identifier_symbol(id))->name); }

/* (name a [b] #:k k [#:j j] . rest), for error messages; without a name (lambda (a …) ...) */
static Value signature(Job j, Formals *f) {
  Builder b;
  builder_init(&b);
  builder_c(&b, "(");
  bool nameless = j.name == V_FALSE;
  if (nameless) builder_c(&b, "lambda ("); else put_name(&b, j.name);
  for (Value p = f->params; p != V_NIL; p = CDR(p)) {
    struct Param *param = PARAM(CAR(p));
    bool optional = FIX_VALUE(param->kind) == P_OPTIONAL || param->otherwise != V_UNBOUND;
    if (p != f->params || !nameless) builder_c(&b, " ");
    builder_c(&b, FIX_VALUE(param->kind) == P_REST ? ". " : optional ? "[" : "");
    if (FIX_VALUE(param->kind) == P_KEY) {
      builder_c(&b, "#:");
      builder_string(&b, SYM(param->keyword)->name);
      builder_c(&b, " ");
    }
    put_name(&b, param->id);
    if (optional) builder_c(&b, "]");
  }
  builder_c(&b, nameless ? ") ...)" : ")");
  return builder_finish(&b);
}

/* What %keyword-arguments needs to know: name, how many required and optional, rest?, the keywords,
   which of them are required, and the signature. */
static Value keyword_spec(Job j, Formals *f) {
  Value keywords = V_NIL, required = V_NIL;
  Value *next_keyword = &keywords, *next_required = &required;
  for (Value p = f->params; p != V_NIL; p = CDR(p)) {
    struct Param *param = PARAM(CAR(p));
    if (FIX_VALUE(param->kind) != P_KEY) continue;
    *next_keyword = cons(param->keyword, V_NIL);
    next_keyword = &CDR(*next_keyword);
    *next_required = cons(BOOL(param->otherwise == V_UNBOUND), V_NIL);
    next_required = &CDR(*next_required);
  }
  Value spec = make_vector(7, V_FALSE);
  VEC(spec)[0] = j.name;
  VEC(spec)[1] = FIX(f->required);
  VEC(spec)[2] = FIX(f->optional);
  VEC(spec)[3] = BOOL(f->rest);
  VEC(spec)[4] = keywords;
  VEC(spec)[5] = required;
  VEC(spec)[6] = signature(j, f);
  return spec;
}

/* Where in the vector each parameter stands: positional ones, the rest, keywords. */
static Value keyword_inits(Job j, Formals *f, Value vector) {
  Value inits = V_NIL, *next = &inits;
  int64_t positional = 0, keyword = f->required + f->optional + f->rest;
  for (Value p = f->params; p != V_NIL; p = CDR(p)) {
    enum param_kind kind = (enum param_kind)FIX_VALUE(PARAM(CAR(p))->kind);
    int64_t index = kind == P_KEY ? keyword++ : kind == P_REST ? f->required + f->optional : positional++;
    *next = cons(node_call(j.place, C_VECTOR_REF, 2, node_local(vector), node_const(FIX(index))), V_NIL);
    next = &CDR(*next);
  }
  return inits;
}

static Value keyword_lambda(State *s, Job j, Formals *f, Value vars, Value frame, Value body) {
  Value args = make_envvar(intern("arguments")), vector = make_envvar(intern("arguments"));
  Value node = lambda_node(j, 0, 0, true, list_n(1, args));
  Value sorted = node_call(j.place, C_KEYWORD_ARGUMENTS, 2, node_const(keyword_spec(j, f)), node_local(args));
  Value inner = make_node(N_LET, j.place, 3, vars, keyword_inits(j, f, vector), V_FALSE);
  NODE(node, LAMBDA_BODY) = node_let1(j.place, vector, sorted, inner);
  fill(j.hole, node);
  return defaults_and_body(s, j, f, vars, frame, body, SLOT(inner, 2));
}

Value expand_lambda(State *s, Job j, Value formals, Value body) {
  int64_t count = 0;
  for (Value f = formals; is_pair(f) && count <= VARIABLES_MOST; f = CDR(f)) count++;
  TRY_STEP(check_variables(j, count));
  if (plain_formals(formals)) return plain_lambda(s, j, formals, body);
  Formals f;
  Value frame = make_frame(j.env), vars;
  TRY_STEP(parse_formals(j, formals, &f));
  TRY_STEP(parameter_variables(j, &f, frame, &vars));
  if (f.keys) return keyword_lambda(s, j, &f, vars, frame, body);
  Value node = lambda_node(j, f.required, f.optional, f.rest, vars);
  fill(j.hole, node);
  return defaults_and_body(s, j, &f, vars, frame, body, SLOT(node, LAMBDA_BODY));
}
