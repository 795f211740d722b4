/* syntax_rules.c — syntax-rules: patterns and templates are translated once, when the macro is
 * defined (mistakes in them are reported there), and interpreted at every use.
 *
 * A translated pattern:                    A translated template:
 *   fixnum      a variable: bind it          fixnum     a variable: its binding
 *   #t          anything (_)                 ()
 *   ()          the empty list               (t . t)
 *   (p . p)     a pair                       #(RENAME k)  the use's alias number k
 *   #(LITERAL id)                            #(DATUM d)
 *   #(DATUM d)  an atom equal to d           #(VECTOR t)
 *   #(VECTOR p) a vector, as a list          #(ELLIPSIS sub vars splice? rest)
 *   #(ELLIPSIS sub vars after rest)
 * where sub is repeated: binding the pattern variables `vars` to lists, or taking them apart. After
 * a repeated pattern come `after` more elements, which rest matches. A template that repeats what
 * is itself repeated (x ... ...) is spliced.
 *
 * C recursion here follows the nesting of patterns and templates, never what they are applied to,
 * and NESTING bounds it.
 */
#include "expander/syntax_rules.h"
#include "data/equal.h"
#include "expander/env.h"
#include "expander/forms.h"
#include "expander/nodes.h"
#include "expander/syntax.h"

enum { LITERAL, DATUM, VECTOR, ELLIPSIS, RENAME };
enum { NESTING = 200, ELLIPSES = 32, ROOM_A_STEP = 256 };
/* A macro is translated in one go, and so is a use by one rule. What they may be is bounded by their work: of translating a
   unit is a name that another is compared with, and PART_WORK of them a part of a pattern or template. */
enum { PART_WORK = 6, LOOKUP_WORK = 12, TRANSLATION_MOST = 800000, USE_MOST = 170000 };
enum { RULE_PATTERN, RULE_VARS, RULE_TEMPLATE, RULE_RENAMES, RULE_SOURCE, RULE_SLOTS };
enum { MACRO_RULES_LIST, MACRO_SLOTS };

#define KIND(v) FIX_VALUE(VEC(v)[0])
#define PART(v, i) (VEC(v)[1 + (i)])

static Value node1(int kind, Value a) {
  Value v = make_vector(2, FIX(kind));
  PART(v, 0) = a;
  return v;
}
static Value ellipsis_node(Value sub, Value vars, Value third, Value rest) {
  Value v = make_vector(5, FIX(ELLIPSIS));
  PART(v, 0) = sub;
  PART(v, 1) = vars;
  PART(v, 2) = third;
  PART(v, 3) = rest;
  return v;
}

/* ---- translating ---- */
typedef struct {
  Job j;
  Value ellipsis;          /* the identifier that the form names, or #f: ... */
  Value literals;
  Value vars;              /* ((id index . depth) ...), of the pattern */
  int64_t var_count;
  Value renames;           /* (id ...), last first, of the template */
  int64_t rename_count;
  Value iterated[ELLIPSES + 1];   /* the variables that each ellipsis around here repeats */
  bool escaped;            /* within (... template) */
  int64_t work;
} Rules;

static bool listed(Rules *r, Value v, Value list) {
  for (; is_pair(list); list = CDR(list), r->work++)
    if (CAR(list) == v) return true;
  return false;
}

/* Memory and work for one part more. */
static Value part_room(Rules *r) {
  r->work += PART_WORK;
  if (r->work > TRANSLATION_MOST)
    return syntax_fail(r->j, "syntax-rules: the rules are too large, or have too many names; use a procedure, or several macros");
  return room(ROOM_A_STEP) ? V_TRUE : short_of_room();
}

static bool is_ellipsis(Rules *r, Value v) {
  if (!is_identifier(v) || r->escaped || listed(r, v, r->literals)) return false;
  r->work += LOOKUP_WORK;
  if (r->ellipsis != V_FALSE) return v == r->ellipsis || same_identifier(r->j.env, v, r->j.env, r->ellipsis);
  return is_core(r->j.env, v, F_ELLIPSIS);
}

static Value find_var(Rules *r, Value id) {
  for (Value v = r->vars; v != V_NIL; v = CDR(v), r->work++)
    if (CAR(CAR(v)) == id) return CDR(CAR(v));
  return V_FALSE;
}

static Value too_deep(Rules *r) { return syntax_fail(r->j, "syntax-rules: nested more than %d deep", NESTING); }

static Value pattern_identifier(Rules *r, Value id, int depth, Value *out) {
  if (listed(r, id, r->literals)) {
    *out = node1(LITERAL, id);
  } else if (is_core(r->j.env, id, F_UNDERSCORE)) {
    *out = V_TRUE;
  } else if (is_ellipsis(r, id)) {
    return syntax_fail(r->j, "syntax-rules: %v in a pattern must come after what it repeats", id);
  } else {
    if (find_var(r, id) != V_FALSE) return syntax_fail(r->j, "syntax-rules: the pattern variable %v appears twice", id);
    *out = FIX(r->var_count);
    r->vars = cons(cons(id, cons(FIX(r->var_count), FIX(depth))), r->vars);
    r->var_count++;
  }
  return V_TRUE;
}

static Value pattern(Rules *r, Value p, int depth, int nesting, Value *out);

static Value vector_list(Value vector, Value *list) {
  *list = V_NIL;
  if (!room((uint64_t)VEC_LENGTH(vector) * 16)) return short_of_room();
  for (uint32_t i = VEC_LENGTH(vector); i > 0; i--) *list = cons(VEC(vector)[i - 1], *list);
  return V_TRUE;
}

/* The variables with an index of at least `from`: those that a repeated pattern has bound. */
static Value vars_from(Rules *r, int64_t from) {
  Value vars = V_NIL;
  for (int64_t i = r->var_count - 1; i >= from; i--) vars = cons(FIX(i), vars);
  return vars;
}

static Value pattern_list(Rules *r, Value p, int depth, int nesting, Value *out) {
  Value *next = out;
  bool repeated = false;
  for (; is_pair(p); p = CDR(p)) {
    TRY_STEP(part_room(r));
    Value sub;
    bool more = is_pair(CDR(p)) && is_ellipsis(r, CADR(p));
    int64_t first = r->var_count;
    TRY_STEP(pattern(r, CAR(p), depth + more, nesting + 1, &sub));
    if (!more) {
      *next = cons(sub, V_NIL);
      next = &CDR(*next);
      continue;
    }
    if (repeated) return syntax_fail(r->j, "syntax-rules: two ellipses in one list of a pattern: %v", p);
    repeated = true;
    p = CDR(p);
    int64_t after = 0;
    for (Value rest = CDR(p); is_pair(rest); rest = CDR(rest)) after++;
    *next = ellipsis_node(sub, vars_from(r, first), FIX(after), V_NIL);
    next = &PART(*next, 3);
  }
  return p == V_NIL ? V_TRUE : pattern(r, p, depth, nesting + 1, next);
}

static Value pattern(Rules *r, Value p, int depth, int nesting, Value *out) {
  if (nesting > NESTING || depth > ELLIPSES) return too_deep(r);
  TRY_STEP(part_room(r));
  if (is_identifier(p)) return pattern_identifier(r, p, depth, out);
  *out = V_NIL;
  if (p == V_NIL) return V_TRUE;
  if (is_pair(p)) return pattern_list(r, p, depth, nesting, out);
  if (!IS(p, T_VECTOR)) {
    *out = node1(DATUM, p);
    return V_TRUE;
  }
  Value list, sub;
  TRY_STEP(vector_list(p, &list));
  TRY_STEP(pattern(r, list, depth, nesting + 1, &sub));
  *out = node1(VECTOR, sub);
  return V_TRUE;
}

/* A pattern variable, `depth` deep in the pattern, is repeated by the innermost so many ellipses
   around it in the template. */
static Value template_variable(Rules *r, Value id, Value var, int level, Value *out) {
  int depth = (int)FIX_VALUE(CDR(var));
  if (depth > level)
    return syntax_fail(r->j, "syntax-rules: the pattern variable %v is followed by ... in the pattern, but not in the template", id);
  for (int k = level - depth + 1; k <= level; k++)
    if (!listed(r, CAR(var), r->iterated[k])) r->iterated[k] = cons(CAR(var), r->iterated[k]);
  *out = CAR(var);
  return V_TRUE;
}

static Value template_identifier(Rules *r, Value id, int level, Value *out) {
  Value var = find_var(r, id);
  if (var != V_FALSE) return template_variable(r, id, var, level, out);
  int64_t k = r->rename_count - 1;
  for (Value n = r->renames; n != V_NIL && CAR(n) != id; n = CDR(n), r->work++) k--;
  if (k < 0) {
    r->renames = cons(id, r->renames);
    k = r->rename_count++;
  }
  *out = node1(RENAME, FIX(k));
  return V_TRUE;
}

static Value template(Rules *r, Value t, int level, int nesting, Value *out);

/* sub ... with more ellipses after it. */
static Value template_repeated(Rules *r, Value sub, int more, int level, int nesting, Value *out) {
  if (level + more > ELLIPSES) return too_deep(r);
  for (int k = level + 1; k <= level + more; k++) r->iterated[k] = V_NIL;
  Value inner;
  TRY_STEP(template(r, sub, level + more, nesting + 1, &inner));
  for (int k = level + more; k > level; k--) {
    if (r->iterated[k] == V_NIL)
      return syntax_fail(r->j, "syntax-rules: no pattern variable in %v can be repeated by the ... after it", sub);
    inner = ellipsis_node(inner, r->iterated[k], BOOL(k < level + more), V_NIL);
  }
  *out = inner;
  return V_TRUE;
}

static Value template_list(Rules *r, Value t, int level, int nesting, Value *out) {
  Value *next = out;
  for (; is_pair(t); t = CDR(t)) {
    TRY_STEP(part_room(r));
    int more = 0;
    Value element = CAR(t);
    if (is_ellipsis(r, element))
      return syntax_fail(r->j, "syntax-rules: %v in a template must come after what it repeats", element);
    while (is_pair(CDR(t)) && is_ellipsis(r, CADR(t))) { more++; t = CDR(t); }
    if (more) {
      TRY_STEP(template_repeated(r, element, more, level, nesting, next));
      next = &PART(*next, 3);
    } else {
      Value sub;
      TRY_STEP(template(r, element, level, nesting + 1, &sub));
      *next = cons(sub, V_NIL);
      next = &CDR(*next);
    }
  }
  return t == V_NIL ? V_TRUE : template(r, t, level, nesting + 1, next);
}

static Value template(Rules *r, Value t, int level, int nesting, Value *out) {
  if (nesting > NESTING) return too_deep(r);
  TRY_STEP(part_room(r));
  if (is_identifier(t)) return template_identifier(r, t, level, out);
  *out = V_NIL;
  if (t == V_NIL) return V_TRUE;
  if (is_pair(t)) {
    if (!is_ellipsis(r, CAR(t)) || !is_pair(CDR(t)) || CDDR(t) != V_NIL)
      return template_list(r, t, level, nesting, out);
    r->escaped = true;                      /* (... template) */
    Value outcome = template(r, CADR(t), level, nesting + 1, out);
    r->escaped = false;
    return outcome;
  }
  if (!IS(t, T_VECTOR)) {
    *out = node1(DATUM, t);
    return V_TRUE;
  }
  Value list, sub;
  TRY_STEP(vector_list(t, &list));
  TRY_STEP(template(r, list, level, nesting + 1, &sub));
  *out = node1(VECTOR, sub);
  return V_TRUE;
}

static Value renames_vector(Rules *r) {
  Value vector = make_vector((uint32_t)r->rename_count, V_FALSE);
  int64_t i = r->rename_count;
  for (Value n = r->renames; n != V_NIL; n = CDR(n)) VEC(vector)[--i] = CAR(n);
  return vector;
}

static Value compile_rule(Rules *r, Value rule, Value *out) {
  TRY_STEP(part_room(r));
  if (list_length(rule) != 2 || !is_pair(CAR(rule)))
    return syntax_fail(r->j, "syntax-rules: each rule must be ((_ pattern ...) template), got %v", rule);
  r->vars = r->renames = V_NIL;
  r->var_count = r->rename_count = 0;
  Value compiled = make_vector(RULE_SLOTS, V_FALSE), part;
  TRY_STEP(pattern(r, CDR(CAR(rule)), 0, 0, &part));
  VEC(compiled)[RULE_PATTERN] = part;
  VEC(compiled)[RULE_VARS] = FIX(r->var_count);
  TRY_STEP(template(r, CADR(rule), 0, 0, &part));
  VEC(compiled)[RULE_TEMPLATE] = part;
  if (!room((uint64_t)r->rename_count * 8)) return short_of_room();
  VEC(compiled)[RULE_RENAMES] = renames_vector(r);
  VEC(compiled)[RULE_SOURCE] = CDR(CAR(rule));
  *out = compiled;
  return V_TRUE;
}

static Value check_literals(Rules *r) {
  for (Value l = r->literals; l != V_NIL; l = CDR(l))
    if (!is_identifier(CAR(l))) return syntax_fail(r->j, "syntax-rules: a literal must be an identifier, got %v", CAR(l));
  return V_TRUE;
}

Value compile_rules(Job j, Value form, Value *macro) {
  Rules r = {.j = j, .ellipsis = V_FALSE};
  r.j.form = form;
  Value rest = CDR(form);
  if (is_pair(rest) && is_identifier(CAR(rest))) {
    r.ellipsis = CAR(rest);
    rest = CDR(rest);
  }
  if (list_length(rest) < 1 || list_length(CAR(rest)) < 0) return bad_shape(r.j);
  r.literals = CAR(rest);
  TRY_STEP(check_literals(&r));
  Value rules = V_NIL, *next = &rules, compiled = V_FALSE;
  for (rest = CDR(rest); rest != V_NIL; rest = CDR(rest)) {
    TRY_STEP(compile_rule(&r, CAR(rest), &compiled));
    *next = cons(compiled, V_NIL);
    next = &CDR(*next);
  }
  *macro = make_macro(MACRO_RULES, j.env, rules, V_FALSE);
  charge(r.work / 32);
  return V_TRUE;
}

/* ---- matching ---- */
typedef struct {
  Value env, macro_env;
  Value bindings;          /* vector: what each pattern variable matched */
  Value renames;           /* vector of identifiers */
  Value aliases;           /* vector: their aliases in this use, made when needed */
  Value siblings;          /* what the aliases know one another by; V_FALSE: none is made yet */
  int64_t work;            /* by this rule */
  bool unequal;            /* variables repeated together have lists of different lengths */
} Use;
enum { NO, YES, NO_ROOM, TOO_LARGE };

/* A closure around a list or vector is moved inwards, to the elements. */
static Value open_closure(Value form) {
  if (!IS(form, T_SYNTAX) || is_identifier(form)) return form;
  Value env = SYNTAX_ENV(form), free = SYNTAX_FREE(form), expr = SYNTAX_EXPR(form);
  if (IS(expr, T_SYNTAX)) return open_closure(expr);
  if (is_pair(expr))
    return cons_at(make_syntax(env, free, CAR(expr)), CDR(expr) == V_NIL ? V_NIL : make_syntax(env, free, CDR(expr)),
                   pair_place(expr));
  return expr;
}

static int match(Use *u, Value pattern, Value form);

/* The bindings of the repeated variables are collected in lists. */
static int match_each(Use *u, Value sub, Value vars, Value form, int64_t count, Value *rest) {
  uint32_t width = 0;
  for (Value v = vars; v != V_NIL; v = CDR(v)) width++;
  if (!room(8 + width * 16)) return NO_ROOM;
  Value collected = make_vector(2 * width, V_NIL);        /* heads, lasts */
  for (; count > 0; count--, form = open_closure(CDR(form))) {
    int outcome = match(u, sub, CAR(form));
    if (outcome != YES) return outcome;
    u->work += width / 4;
    if (!room(width * 16 + 64)) return NO_ROOM;
    uint32_t i = 0;
    for (Value v = vars; v != V_NIL; v = CDR(v), i++) {
      Value pair = cons(VEC(u->bindings)[FIX_VALUE(CAR(v))], V_NIL);
      if (VEC(collected)[i] == V_NIL) VEC(collected)[i] = pair;
      else CDR(VEC(collected)[width + i]) = pair;
      VEC(collected)[width + i] = pair;
    }
  }
  uint32_t i = 0;
  for (Value v = vars; v != V_NIL; v = CDR(v), i++) VEC(u->bindings)[FIX_VALUE(CAR(v))] = VEC(collected)[i];
  *rest = form;
  return YES;
}

static int match_ellipsis(Use *u, Value pattern, Value form) {
  Value sub = PART(pattern, 0), vars = PART(pattern, 1), rest_pattern = PART(pattern, 3), rest;
  int64_t after = FIX_VALUE(PART(pattern, 2)), count = 0;
  if (rest_pattern == V_NIL && IS_FIX(sub) && list_length(form) >= 0) {    /* x ... at the end: the list itself */
    VEC(u->bindings)[FIX_VALUE(sub)] = form;
    return YES;
  }
  Value slow = form;
  for (Value f = form; is_pair(f); f = open_closure(CDR(f))) {
    if (++count % 2 == 0) slow = CDR(slow);
    if (count > 2 && slow == f) return NO;                                 /* a circular list */
    if (!room(64)) return NO_ROOM;
  }
  if (count < after) return NO;
  u->work += count;
  int outcome = match_each(u, sub, vars, form, count - after, &rest);
  return outcome == YES ? match(u, rest_pattern, rest) : outcome;
}

static bool same_atom(Value a, Value b) {
  return is_eqv(a, b) || (IS(a, T_STRING) && IS(b, T_STRING) && string_equal(a, b)) ||
         (IS(a, T_BYTES) && IS(b, T_BYTES) && equal_hash(a) == equal_hash(b));
}

static int match_node(Use *u, Value pattern, Value form) {
  switch (KIND(pattern)) {
    case LITERAL:
      return is_identifier(form) && same_identifier(u->env, form, u->macro_env, PART(pattern, 0)) ? YES : NO;
    case DATUM: return same_atom(form, PART(pattern, 0)) ? YES : NO;
    case VECTOR: {
      Value list;
      form = open_closure(form);
      if (!IS(form, T_VECTOR)) return NO;
      if (vector_list(form, &list) != V_TRUE) return NO_ROOM;
      return match(u, PART(pattern, 0), list);
    }
    default: return match_ellipsis(u, pattern, open_closure(form));
  }
}

static int match(Use *u, Value pattern, Value form) {
  for (;; pattern = CDR(pattern), form = CDR(form)) {
    if (++u->work > 2 * USE_MOST) return TOO_LARGE;
    if (IS_FIX(pattern)) {
      VEC(u->bindings)[FIX_VALUE(pattern)] = form;
      return YES;
    }
    if (pattern == V_TRUE) return YES;
    if (IS(pattern, T_VECTOR)) return match_node(u, pattern, form);
    if (IS(form, T_SYNTAX)) {
      if (!room(128)) return NO_ROOM;
      form = open_closure(form);
    }
    if (pattern == V_NIL) return form == V_NIL ? YES : NO;
    if (!is_pair(form)) return NO;
    int outcome = match(u, CAR(pattern), CAR(form));
    if (outcome != YES) return outcome;
  }
}

/* ---- instantiating ---- */
static bool instantiate(Use *u, Value template, Value *out);

static Value alias_number(Use *u, int64_t k) {
  Value *alias = &VEC(u->aliases)[k];
  if (*alias != V_FALSE) return *alias;
  if (u->siblings == V_FALSE) {
    u->siblings = make_vector(USE_SLOTS, V_NIL);
    VEC(u->siblings)[USE_RENAMES] = u->renames;
    VEC(u->siblings)[USE_ALIASES] = u->aliases;
  }
  return *alias = make_syntax(u->macro_env, u->siblings, VEC(u->renames)[k]);
}

/* How often to repeat: the length of the variables' lists, -1 where they differ. */
static int64_t repetitions(Use *u, Value vars) {
  int64_t count = -1;
  for (; vars != V_NIL; vars = CDR(vars)) {
    int64_t n = 0;
    for (Value l = VEC(u->bindings)[FIX_VALUE(CAR(vars))]; is_pair(l); l = CDR(l)) n++;
    u->work += n / 16;
    if (count >= 0 && n != count) { u->unequal = true; return -1; }
    count = n;
  }
  return count;
}

/* Append the items of a list to what `next` points into. */
static Value *append_copy(Use *u, Value list, Value *next) {
  for (; is_pair(list); list = CDR(list)) {
    if (++u->work > USE_MOST || !room(32)) return NULL;
    *next = cons(CAR(list), V_NIL);
    next = &CDR(*next);
  }
  return next;
}

static Value *repeat(Use *u, Value node, Value *next) {
  Value vars = PART(node, 1), saved = V_NIL;
  int64_t count = repetitions(u, vars);
  if (count < 0) return NULL;
  for (Value v = vars; v != V_NIL; v = CDR(v)) saved = cons(VEC(u->bindings)[FIX_VALUE(CAR(v))], saved);
  Value lists = V_NIL;
  for (Value s = saved; s != V_NIL; s = CDR(s)) lists = cons(CAR(s), lists);   /* in the order of vars */
  Value remaining = lists;
  u->work += count;
  for (; count > 0 && next; count--) {
    Value list = remaining, item;
    for (Value v = vars; v != V_NIL; v = CDR(v), list = CDR(list)) {
      VEC(u->bindings)[FIX_VALUE(CAR(v))] = CAR(CAR(list));
      CAR(list) = CDR(CAR(list));
    }
    if (!room(64) || !instantiate(u, PART(node, 0), &item)) return NULL;
    if (PART(node, 2) != V_FALSE) {
      next = append_copy(u, item, next);
    } else {
      *next = cons(item, V_NIL);
      next = &CDR(*next);
    }
  }
  Value original = V_NIL;
  for (Value s = saved; s != V_NIL; s = CDR(s)) original = cons(CAR(s), original);
  for (Value v = vars; v != V_NIL; v = CDR(v), original = CDR(original)) VEC(u->bindings)[FIX_VALUE(CAR(v))] = CAR(original);
  return next;
}

static bool list_to_vector(Value list, Value *out) {
  int64_t n = 0;
  for (Value l = list; is_pair(l); l = CDR(l)) n++;
  if (!room(16 + (uint64_t)n * 8)) return false;
  *out = make_vector((uint32_t)n, V_FALSE);
  for (int64_t i = 0; i < n; i++, list = CDR(list)) VEC(*out)[i] = CAR(list);
  return true;
}

static bool instantiate(Use *u, Value template, Value *out) {
  Value *next = out;
  for (;;) {
    if (++u->work > USE_MOST || !room(ROOM_A_STEP)) return false;
    if (IS_FIX(template)) { *next = VEC(u->bindings)[FIX_VALUE(template)]; return true; }
    if (template == V_NIL) { *next = V_NIL; return true; }
    if (is_pair(template)) {
      Value item;
      if (!instantiate(u, CAR(template), &item)) return false;
      *next = cons(item, V_NIL);
      next = &CDR(*next);
      template = CDR(template);
      continue;
    }
    if (KIND(template) != ELLIPSIS) break;
    if (IS_FIX(PART(template, 0)) && PART(template, 3) == V_NIL) {           /* x ... at the end: the list itself */
      *next = VEC(u->bindings)[FIX_VALUE(PART(template, 0))];
      return true;
    }
    next = repeat(u, template, next);
    if (!next) return false;
    template = PART(template, 3);
  }
  switch (KIND(template)) {
    case RENAME: *next = alias_number(u, FIX_VALUE(PART(template, 0))); return true;
    case DATUM: *next = PART(template, 0); return true;
    default: {
      Value list;
      return instantiate(u, PART(template, 0), &list) && list_to_vector(list, next);
    }
  }
}

/* ---- a use ---- */
static Value no_rule(Value macro, Job j) {
  Value name = CAR(j.form), shapes = V_NIL;
  int count = 0;
  for (Value r = MACRO(macro)->data; r != V_NIL && count < 3; r = CDR(r), count++)
    shapes = cons(cons(name, VEC(CAR(r))[RULE_SOURCE]), shapes);
  if (count == 0) return syntax_fail(j, "%v: the macro has no rules", name);
  Value first = shapes;
  for (int i = 1; i < count; i++) first = CDR(first);
  if (count == 1) return syntax_fail(j, "%v: expected %v, got %v", name, CAR(first), j.form);
  if (count == 2) return syntax_fail(j, "%v: expected %v or %v, got %v", name, CAR(first), CAR(shapes), j.form);
  return syntax_fail(j, "%v: expected %v, %v, %v ..., got %v", name, CAR(first), CADR(shapes), CAR(shapes), j.form);
}

static Value too_large(Job j) {
  return syntax_fail(j, "%v: this use of the macro takes or becomes more than %d parts; build the data by a procedure",
                     CAR(j.form), (int)USE_MOST);
}

enum { PAUSE_WORK = 1 << 14 };
/* One rule after the other: the state's walk is what is left of them, where this pauses. */
Value apply_rules(State *s, Value macro, Job j, Value *out) {
  Use u = {.env = j.env, .macro_env = MACRO(macro)->env};
  Value rules = is_pair(s->walk) ? s->walk : MACRO(macro)->data;
  s->walk = V_FALSE;
  for (; rules != V_NIL; rules = CDR(rules)) {
    if (u.work > PAUSE_WORK && (charge(u.work / 8), u.work = 0, should_pause())) {
      s->walk = rules;
      return V_AGAIN;
    }
    int64_t before = u.work;
    u.work = 0;
    Value rule = CAR(rules);
    uint64_t vars = (uint64_t)FIX_VALUE(VEC(rule)[RULE_VARS]);
    if (!room(vars * 8 + 16)) return short_of_room();
    u.bindings = make_vector((uint32_t)vars, V_FALSE);
    int outcome = match(&u, VEC(rule)[RULE_PATTERN], CDR(j.form));
    if (outcome == NO_ROOM) return short_of_room();
    if (outcome == TOO_LARGE) return too_large(j);
    if (outcome == NO) {
      u.work += before + 4;
      continue;
    }
    u.work /= 2;                       /* matching takes less than making */
    u.renames = VEC(rule)[RULE_RENAMES];
    if (!room((uint64_t)VEC_LENGTH(u.renames) * 8 + 16)) return short_of_room();
    u.aliases = make_vector(VEC_LENGTH(u.renames), V_FALSE);
    u.siblings = V_FALSE;
    bool done = instantiate(&u, VEC(rule)[RULE_TEMPLATE], out);
    charge(1 + (before + u.work) / 8);
    if (u.work > USE_MOST) return too_large(j);
    if (u.unequal) return syntax_fail(j, "%v: what the macro repeats together has different lengths in %v", CAR(j.form), j.form);
    return done ? V_TRUE : short_of_room();
  }
  charge(1 + u.work / 8);
  return no_rule(macro, j);
}
