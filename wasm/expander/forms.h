/* expand_forms.h — what the files of core forms share: parts of a job, lists under construction. */
#ifndef RLM_EXPAND_FORMS_H
#define RLM_EXPAND_FORMS_H
#include "expand.h"

static inline Job part(Job j, Value form, Hole hole) {
  return (Job){.form = form, .env = j.env, .hole = hole, .place = j.place, .name = V_FALSE};
}
/* The element of a list, at its own place: an atom has none, but the pair that holds it has. */
static inline Job element(Job j, Value pair, Hole hole) {
  Job p = part(j, CAR(pair), hole);
  if (pair_place(pair)) p.place = pair_place(pair);
  return p;
}
static inline Job named_part(Job j, Value form, Hole hole, Value name) {
  Job p = part(j, form, hole);
  p.name = name;
  return p;
}
/* The last part of a form: what it is called, the whole is called. */
static inline Job tail_part(Job j, Value form, Hole hole) { return named_part(j, form, hole, j.name); }

static inline uint32_t place_of(Value form, uint32_t otherwise) {
  uint32_t place = pair_place(form);
  return place ? place : otherwise;
}

static inline Value fill_const(Job j, Value v) {
  fill(j.hole, make_leaf(N_CONST, j.place, v));
  return V_TRUE;
}

/* A list under construction. */
typedef struct { Value head, last; } List;
static inline void list_start(List *l) { l->head = l->last = V_NIL; }
static inline Value list_add(List *l, Value v) {
  Value pair = cons(v, V_NIL);
  if (l->last == V_NIL) l->head = pair; else CDR(l->last) = pair;
  l->last = pair;
  return pair;
}

/* expand_let.c */
Value check_bindings(Job j, Value bindings);             /* ((name expression) ...) */
Value let_body(State *s, Job j, Value env, Value body, Hole hole);
Value form_let(State *s, Job j);
Value form_let_star(State *s, Job j);
Value form_letrec(State *s, Job j);
Value form_let_values(State *s, Job j);
Value form_let_star_values(State *s, Job j);
Value form_do(State *s, Job j);
Value rewrite_receive(State *s, Job j, Value *out);
#endif
