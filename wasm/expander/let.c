/* let.c — the core forms that bind variables: let and its relatives, multiple values, do. */
#include "expander/let.h"
#include "expander/env.h"
#include "expander/forms.h"
#include "expander/lambda.h"
#include "expander/nodes.h"
#include "expander/syntax.h"
#include "text/symbol.h"

static Value bind_variable(Job j, Value frame, Value id, Value *var) {
  if (frame_find(frame, id) != V_FALSE) return syntax_fail(j, "the name %v is bound twice in %v", id, CAR(j.form));
  *var = make_envvar(identifier_symbol(id));
  return frame_bind(frame, id, *var) ? V_TRUE : short_of_room();
}

/* One (name expression) of a let-like form. */
static Value check_binding(Job j, Value binding) {
  if (list_length(binding) == 2 && is_identifier(CAR(binding))) return V_TRUE;
  return syntax_fail(j, "%v: each binding must be (name expression), as in (%v ((x 1) (y 2)) ...), got %v", CAR(j.form),
                     CAR(j.form), binding);
}

Value check_bindings(Job j, Value bindings) {
  int64_t count = list_length(bindings);
  if (count < 0) return bad_shape(j);
  TRY_STEP(check_variables(j, count));
  for (; bindings != V_NIL; bindings = CDR(bindings)) TRY_STEP(check_binding(j, CAR(bindings)));
  return V_TRUE;
}

/* Bind the names of the bindings in the frame; their expressions are expanded in j.env. */
static Value let_bindings(State *s, Job j, Value bindings, Value frame, Value env, Value node) {
  List vars, inits;
  list_start(&vars);
  list_start(&inits);
  Value var;
  for (Value b = bindings; b != V_NIL; b = CDR(b)) {
    TRY_STEP(bind_variable(j, frame, CAR(CAR(b)), &var));
    list_add(&vars, var);
  }
  NODE(node, 0) = vars.head;
  for (Value b = bindings; b != V_NIL; b = CDR(b)) {
    Job init = named_part(j, CADR(CAR(b)), CAR_OF(list_add(&inits, V_FALSE)), identifier_symbol(CAR(CAR(b))));
    init.env = env;
    init.place = place_of(CDR(CAR(b)), j.place);
    TRY_STEP(expand_later(s, init));
  }
  NODE(node, 1) = inits.head;
  return V_TRUE;
}

Value let_body(State *s, Job j, Value env, Value body, Hole hole) {
  Job b = tail_part(j, body, hole);
  b.env = env;
  if (body == V_NIL) return bad_shape(j);
  return body_later(s, b, 0);
}

/* (let name ((x e) ...) body ...) */
static Value named_let(State *s, Job j) {
  if (list_length(j.form) < 4) return bad_shape(j);
  Value name = CADR(j.form), bindings = CADDR(j.form), frame = make_frame(j.env), var, operands;
  TRY_STEP(check_bindings(j, bindings));
  TRY_STEP(bind_variable(j, frame, name, &var));
  List formals, inits;
  list_start(&formals);
  list_start(&inits);
  for (Value b = bindings; b != V_NIL; b = CDR(b)) {
    list_add(&formals, CAR(CAR(b)));
    list_add(&inits, CADR(CAR(b)));
  }
  Value call = make_node(N_CALL, j.place, 2, node_local(var), V_NIL);
  Value node = make_node(N_LETREC, j.place, 3, list_n(1, var), list_n(1, V_FALSE), call);
  fill(j.hole, node);
  TRY_STEP(expand_list(s, inits.head, j, &operands));
  NODE(call, 1) = operands;
  Job procedure = named_part(j, j.form, CAR_OF(NODE(node, 1)), identifier_symbol(name));
  procedure.env = frame;
  return expand_lambda(s, procedure, formals.head, CDDR(CDR(j.form)));
}

Value form_let(State *s, Job j) {
  if (list_length(j.form) < 3) return bad_shape(j);
  if (is_identifier(CADR(j.form))) return named_let(s, j);
  Value bindings = CADR(j.form);
  TRY_STEP(check_bindings(j, bindings));
  if (bindings == V_NIL) return let_body(s, j, j.env, CDDR(j.form), j.hole);
  Value frame = make_frame(j.env), node = make_node(N_LET, j.place, 3, V_NIL, V_NIL, V_FALSE);
  fill(j.hole, node);
  TRY_STEP(let_bindings(s, j, bindings, frame, j.env, node));
  return let_body(s, j, frame, CDDR(j.form), SLOT(node, 2));
}

Value form_let_star(State *s, Job j) {
  if (list_length(j.form) < 3) return bad_shape(j);
  TRY_STEP(check_bindings(j, CADR(j.form)));
  Value env = j.env;
  Hole hole = j.hole;
  for (Value b = CADR(j.form); b != V_NIL; b = CDR(b)) {
    Value frame = make_frame(env), node = make_node(N_LET, j.place, 3, V_NIL, V_NIL, V_FALSE);
    fill(hole, node);
    TRY_STEP(let_bindings(s, j, list_n(1, CAR(b)), frame, env, node));
    env = frame;
    hole = SLOT(node, 2);
  }
  return let_body(s, j, env, CDDR(j.form), hole);
}

Value form_letrec(State *s, Job j) {
  if (list_length(j.form) < 3) return bad_shape(j);
  Value bindings = CADR(j.form);
  TRY_STEP(check_bindings(j, bindings));
  if (bindings == V_NIL) return let_body(s, j, j.env, CDDR(j.form), j.hole);
  Value frame = make_frame(j.env), node = make_node(N_LETREC, j.place, 3, V_NIL, V_NIL, V_FALSE);
  fill(j.hole, node);
  TRY_STEP(let_bindings(s, j, bindings, frame, frame, node));
  return let_body(s, j, frame, CDDR(j.form), SLOT(node, 2));
}

/* ---- multiple values ---- */

/* The parts of the values object in `temporary`, bound in the frame. */
static Value bind_values(Job j, Value binding, Value temporary, Value frame, List *vars, List *inits) {
  int64_t count = 0, i = 0;
  Value formals = CAR(binding);
  j.place = place_of(CDR(binding), j.place);
  for (Value f = formals; is_pair(f); f = CDR(f)) count++;
  bool rest = false;
  for (Value f = formals; f != V_NIL; f = is_pair(f) ? CDR(f) : V_NIL)
    if (!is_pair(f)) rest = true;
  for (Value f = formals; f != V_NIL; f = is_pair(f) ? CDR(f) : V_NIL, i++) {
    Value id = is_pair(f) ? CAR(f) : f, var, t = node_local(temporary);
    if (!is_identifier(id)) return syntax_fail(j, "%v: expected a name to bind, got %v", CAR(j.form), id);
    TRY_STEP(bind_variable(j, frame, id, &var));
    list_add(vars, var);
    list_add(inits, i == count ? node_call(j.place, C_VALUES_REST, 2, t, node_const(FIX(i)))
                               : node_call(j.place, C_VALUES_REF, 3, t, node_const(FIX(i)),
                                           node_const(FIX(rest ? -1 - count : count))));
  }
  return V_TRUE;
}

static Value check_value_bindings(Job j) {
  if (list_length(j.form) < 3 || list_length(CADR(j.form)) < 0) return bad_shape(j);
  int64_t count = 0;
  for (Value b = CADR(j.form); b != V_NIL; b = CDR(b)) {
    if (list_length(CAR(b)) != 2)
      return syntax_fail(j, "%v: each binding must be [(name ...) expression], got %v", CAR(j.form), CAR(b));
    count++;                                   /* of values; and the names in them */
    for (Value names = CAR(CAR(b)); is_pair(names); names = CDR(names))
      if (++count > VARIABLES_MOST) break;
    TRY_STEP(check_variables(j, count));
  }
  return V_TRUE;
}

/* All expressions first, then all names. */
Value form_let_values(State *s, Job j) {
  TRY_STEP(check_value_bindings(j));
  if (CADR(j.form) == V_NIL) return let_body(s, j, j.env, CDDR(j.form), j.hole);
  List temporaries, expressions, vars, inits;
  list_start(&temporaries); list_start(&expressions); list_start(&vars); list_start(&inits);
  Value frame = make_frame(j.env);
  for (Value b = CADR(j.form); b != V_NIL; b = CDR(b)) {
    Value temporary = make_envvar(intern("values"));
    list_add(&temporaries, temporary);
    TRY_STEP(expand_later(s, part(j, CADR(CAR(b)), CAR_OF(list_add(&expressions, V_FALSE)))));
    TRY_STEP(bind_values(j, CAR(b), temporary, frame, &vars, &inits));
  }
  Value inner = make_node(N_LET, j.place, 3, vars.head, inits.head, V_FALSE);
  fill(j.hole, make_node(N_LET, j.place, 3, temporaries.head, expressions.head, inner));
  return let_body(s, j, frame, CDDR(j.form), SLOT(inner, 2));
}

Value form_let_star_values(State *s, Job j) {
  TRY_STEP(check_value_bindings(j));
  Value env = j.env;
  Hole hole = j.hole;
  for (Value b = CADR(j.form); b != V_NIL; b = CDR(b)) {
    List vars, inits;
    list_start(&vars); list_start(&inits);
    Value temporary = make_envvar(intern("values")), frame = make_frame(env);
    TRY_STEP(bind_values(j, CAR(b), temporary, frame, &vars, &inits));
    Value inner = make_node(N_LET, j.place, 3, vars.head, inits.head, V_FALSE);
    Value outer = node_let1(j.place, temporary, V_FALSE, inner);
    fill(hole, outer);
    Job init = part(j, CADR(CAR(b)), CAR_OF(NODE(outer, 1)));
    init.env = env;
    TRY_STEP(expand_later(s, init));
    env = frame;
    hole = SLOT(inner, 2);
  }
  return let_body(s, j, env, CDDR(j.form), hole);
}

/* (receive formals expression body ...) */
Value rewrite_receive(State *s, Job j, Value *out) {
  (void)s;
  if (list_length(j.form) < 4) return bad_shape(j);
  Value binding = list_n(2, CADR(j.form), CADDR(j.form));
  *out = cons_at(core_named("let-values"), cons(list_n(1, binding), CDDR(CDR(j.form))), pair_place(j.form));
  return V_TRUE;
}

/* ---- do ---- */
static Value check_do(Job j) {
  if (list_length(j.form) < 3 || list_length(CADR(j.form)) < 0 || list_length(CADDR(j.form)) < 1) return bad_shape(j);
  TRY_STEP(check_variables(j, list_length(CADR(j.form))));
  for (Value b = CADR(j.form); b != V_NIL; b = CDR(b)) {
    int64_t n = list_length(CAR(b));
    if ((n != 2 && n != 3) || !is_identifier(CAR(CAR(b))))
      return syntax_fail(j, "do: each variable is (name init [step]), got %v", CAR(b));
  }
  return V_TRUE;
}

/* A loop procedure of the variables: (if test (begin result ...) (begin command ... (loop step ...))) */
Value form_do(State *s, Job j) {
  TRY_STEP(check_do(j));
  Value loop = make_envvar(intern("do")), frame = make_frame(j.env), var;
  List vars, inits, steps_;
  list_start(&vars); list_start(&inits); list_start(&steps_);
  for (Value b = CADR(j.form); b != V_NIL; b = CDR(b)) {
    TRY_STEP(bind_variable(j, frame, CAR(CAR(b)), &var));
    list_add(&vars, var);
    TRY_STEP(expand_later(s, named_part(j, CADR(CAR(b)), CAR_OF(list_add(&inits, V_FALSE)), identifier_symbol(CAR(CAR(b))))));
  }
  Job inner = j;
  inner.env = frame;
  Value result = node_if(j.place, V_FALSE, node_const(V_VOID), V_FALSE), commands = CDDR(CDR(j.form));
  TRY_STEP(expand_later(s, part(inner, CAR(CADDR(j.form)), SLOT(result, 0))));
  if (CDR(CADDR(j.form)) != V_NIL)
    TRY_STEP(body_later(s, tail_part(inner, CDR(CADDR(j.form)), SLOT(result, 1)), BODY_MAY_END_IN_DEFINE));
  for (Value b = CADR(j.form); b != V_NIL; b = CDR(b))
    TRY_STEP(expand_later(s, part(inner, CDDR(CAR(b)) == V_NIL ? CAR(CAR(b)) : CADDR(CAR(b)), CAR_OF(list_add(&steps_, V_FALSE)))));
  Value again = make_node(N_CALL, j.place, 2, node_local(loop), steps_.head);
  if (commands != V_NIL) {
    Value both = list_n(2, V_FALSE, again);
    again = make_node(N_SEQ, j.place, 1, both);
    inner.form = commands;
    inner.hole = CAR_OF(both);
    TRY_STEP(expand_sequence(s, N_SEQ, inner));
  }
  NODE(result, 2) = again;
  Value lambda = make_node(N_LAMBDA, j.place, 7, intern("do"), FIX(list_length(vars.head)), FIX(0), V_FALSE, vars.head, result, FIX(0));
  Value start = make_node(N_CALL, j.place, 2, node_local(loop), inits.head);
  fill(j.hole, make_node(N_LETREC, j.place, 3, list_n(1, loop), list_n(1, lambda), start));
  return V_TRUE;
}
