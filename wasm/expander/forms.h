/* forms.h — the core forms, and what the files that expand them share: parts of a job, lists under construction. */
#ifndef RLM_EXPANDER_FORMS_H
#define RLM_EXPANDER_FORMS_H
#include "expander/expand.h"

enum form_id {
  F_PLAIN,             /* an expression */
  F_REWRITE,           /* becomes another form, wherever it stands */
  F_BEGIN, F_DEFINE, F_DEFINE_VALUES, F_DEFINE_SYNTAX, F_IMPORT, F_DEFINE_LIBRARY,
  F_LAMBDA, F_SYNTAX_RULES, F_ER, F_SC, F_RSC, F_QUOTE, F_QUASIQUOTE, F_IF, F_AND, F_OR,
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
Value form_at(Value form, uint32_t place);               /* a form without a place as one that has this one; 0: none */
void forms_init(Value env, void (*bind)(Value env, Value name, Value macro));

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

#endif
