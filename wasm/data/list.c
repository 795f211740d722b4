/* list.c — pairs and lists: everything that needs no guest procedure.
 *
 * A list may be improper, circular or millions long. Procedures that copy first measure (which
 * finds circularity) and reserve, then build in one go; those that only look go piece by piece,
 * because a circular list would keep them for ever.
 */
#include "core/globals.h"
#include "core/worklist.h"
#include "data/equal.h"
#include "data/table.h"
#include "numbers/number.h"
#include "text/string.h"
#include "text/symbol.h"
#include <stdio.h>

enum { IMPROPER = -1, CIRCULAR = -2 };

/* The length of a proper list, IMPROPER or CIRCULAR, and its pairs: true where it could not end. For a primitive whose
   progress this is while it is a vector of LIST_WALK_SIZE. */
static bool count_pausing(Value list, int64_t *length, int64_t *pairs) {
  Value end, kept = progress() && VEC_LENGTH(vm.resume) == LIST_WALK_SIZE ? vm.resume : V_FALSE;
  if (list_walk_count(list, &kept, pairs, &end) == V_AGAIN) {
    vm.resume = kept;
    return true;
  }
  *length = *pairs < 0 ? CIRCULAR : end == V_NIL ? *pairs : IMPROPER;
  return false;
}
static bool measure_pausing(Value list, int64_t *length) {
  int64_t pairs;
  return count_pausing(list, length, &pairs);
}

#define CHECK_LIST(i, variable) \
  int64_t variable; \
  if (measure_pausing(args[i], &variable)) return V_AGAIN; \
  if (variable < 0) return err_type(NULL, i, variable == CIRCULAR ? "proper list (this one is circular)" : "list", args[i])

#define MAX_PAIRS (1 << 28)             /* more do not fit any memory */
#define RESERVE_PAIRS(n) do { uint64_t bytes_ = 16ull * (uint64_t)(n); \
    if (!reserve_small(bytes_)) return need_memory(2 * bytes_); } while (0)

/* A list under construction. */
typedef struct { Value head, last; } Chain;
#define CHAIN_START {V_NIL, V_NIL}
static inline void chain_add(Chain *c, Value v) {
  Value pair = cons(v, V_NIL);
  if (c->head == V_NIL) c->head = pair; else CDR(c->last) = pair;
  c->last = pair;
}
static inline Value chain_end(Chain *c, Value tail) {
  if (c->head == V_NIL) return tail;
  CDR(c->last) = tail;
  return c->head;
}

/* ---- pairs ---- */

static Value prim_cons(int argc, Value *args) { (void)argc; return cons(args[0], args[1]); }
static Value prim_car(int argc, Value *args) { (void)argc; CHECK_PAIR(NULL, 0); return CAR(args[0]); }
static Value prim_cdr(int argc, Value *args) { (void)argc; CHECK_PAIR(NULL, 0); return CDR(args[0]); }
static Value prim_rest(int argc, Value *args) {
  (void)argc;
  if (!is_pair(args[0])) return err_type(NULL, 0, "(and/c list? (not/c empty?))", args[0]);
  return CDR(args[0]);
}
static Value prim_set_car(int argc, Value *args) { (void)argc; CHECK_PAIR(NULL, 0); CAR(args[0]) = args[1]; return V_VOID; }
static Value prim_set_cdr(int argc, Value *args) { (void)argc; CHECK_PAIR(NULL, 0); CDR(args[0]) = args[1]; return V_VOID; }

/* What c<path>r takes: (cons/c any/c pair?) for cadr. */
static void cxr_contract(Builder *b, const char *path) {
  size_t n = strlen(path), open = 0;
  uint32_t tails = 0;                  /* bit i: after the i-th inner contract comes any/c */
  for (size_t i = n; i-- > 1; open++) {
    builder_c(b, path[i] == 'd' ? "(cons/c any/c " : "(cons/c ");
    if (path[i] == 'a') tails |= 1u << open;
  }
  builder_c(b, "pair?");
  while (open-- > 0) builder_c(b, tails >> open & 1 ? " any/c)" : ")");
}
static Value cxr_error(const char *path, Value v) {
  char name[8];
  snprintf(name, sizeof name, "c%sr", path);
  Builder b;
  builder_init(&b);
  cxr_contract(&b, path);
  return err_failf("exn:fail:contract", "%s: contract violation\n  expected: %S\n  given: %S", name, builder_finish(&b), error_shown(v));
}

/* path: the letters between c and r; the last one comes first. */
static Value cxr(Value v, const char *path) {
  Value at = v;
  for (const char *p = path + strlen(path); p-- > path;) {
    if (!is_pair(at)) return cxr_error(path, v);
    at = *p == 'a' ? CAR(at) : CDR(at);
  }
  return at;
}

#define EACH_CXR(X) X(aa) X(ad) X(da) X(dd) \
  X(aaa) X(aad) X(ada) X(add) X(daa) X(dad) X(dda) X(ddd) \
  X(aaaa) X(aaad) X(aada) X(aadd) X(adaa) X(adad) X(adda) X(addd) \
  X(daaa) X(daad) X(dada) X(dadd) X(ddaa) X(ddad) X(ddda) X(dddd)
#define DEFINE_CXR(path) static Value prim_c##path##r(int argc, Value *args) { (void)argc; return cxr(args[0], #path); }
EACH_CXR(DEFINE_CXR)

static Value prim_is_pair(int argc, Value *args) { (void)argc; return BOOL(is_pair(args[0])); }
static Value prim_is_null(int argc, Value *args) { (void)argc; return BOOL(args[0] == V_NIL); }
#define DEFINE_SHAPE(name, test) \
  static Value name(int argc, Value *args) { \
    (void)argc; \
    int64_t n; \
    return measure_pausing(args[0], &n) ? V_AGAIN : BOOL(n test); \
  }
DEFINE_SHAPE(prim_is_list, >= 0)
DEFINE_SHAPE(prim_is_dotted, == IMPROPER)
DEFINE_SHAPE(prim_is_circular, == CIRCULAR)

/* ---- making ---- */

static Value list_from(int argc, Value *args, Value tail) {
  RESERVE_PAIRS(argc);
  charge(argc / 8);
  while (argc-- > 0) tail = cons(args[argc], tail);
  return tail;
}
static Value prim_list(int argc, Value *args) { return list_from(argc, args, V_NIL); }
static Value prim_list_star(int argc, Value *args) { return list_from(argc - 1, args, args[argc - 1]); }

static Value prim_make_list(int argc, Value *args) {
  if (!IS_FIX(args[0]) || FIX_VALUE(args[0]) < 0) return err_type(NULL, 0, "exact nonnegative integer", args[0]);
  if (FIX_VALUE(args[0]) > MAX_PAIRS) return need_memory(UINT64_MAX / 2);
  uint32_t n = (uint32_t)FIX_VALUE(args[0]);
  Value fill = ARG_OR(1, V_FALSE), *kept = progress(), list = kept ? kept[1] : V_NIL;
  FOR_PAUSING(i, kept ? (uint32_t)FIX_VALUE(kept[0]) : 0, n, 8, pause_keeping(2, FIX(i), list)) list = cons(fill, list);
  return list;
}

/* (iota count [start [step]]) */
static Value prim_iota(int argc, Value *args) {
  if (IS_FIX(args[0]) && FIX_VALUE(args[0]) > MAX_PAIRS) return need_memory(UINT64_MAX / 2);
  uint32_t n;
  CHECK_INDEX(NULL, 0, 0, MAX_PAIRS, V_FALSE, n);
  Value start = ARG_OR(1, FIX(0)), step = ARG_OR(2, FIX(1));
  if (!is_number(start)) return err_type(NULL, 1, "number", start);
  if (!is_number(step)) return err_type(NULL, 2, "number", step);
  Chain chain = CHAIN_START;
  Value *kept = progress(), noted = kept ? kept[3] : V_FALSE, offset = kept ? kept[4] : V_FALSE;   /* of the item at hand */
  if (kept) chain = (Chain){kept[1], kept[2]};
  for (uint32_t i = kept ? (uint32_t)FIX_VALUE(kept[0]) : 0, round = 1; i < n; i++, round++) {
    if (round % ROUND == 0) {
      charge(ROUND);
      if (should_pause()) return pause_keeping(5, FIX(i), chain.head, chain.last, V_FALSE, V_FALSE);
    }
    if (offset == V_FALSE) {
      Value product = num_with_progress(num_mul, FIX(i), step, &noted);
      if (product == V_AGAIN) return pause_keeping(5, FIX(i), chain.head, chain.last, noted, V_FALSE);
      if (IS_SIGNAL(product)) return product;
      offset = product;
    }
    Value item = num_with_progress(num_add, start, offset, &noted);
    if (item == V_AGAIN) return pause_keeping(5, FIX(i), chain.head, chain.last, noted, offset);
    if (IS_SIGNAL(item)) return item;
    chain_add(&chain, item);
    offset = V_FALSE;
  }
  charge(n % ROUND);
  return chain_end(&chain, V_NIL);
}

/* Progress of a list that grows at its end: #(head last where state). */
static Value save_chain(Chain *chain, Value where, Value state) {
  Value progress = make_vector(4, state);
  VEC(progress)[0] = chain->head;
  VEC(progress)[1] = chain->last;
  VEC(progress)[2] = where;
  vm.resume = progress;
  return V_AGAIN;
}
static void load_chain(Chain *chain, Value *where, Value *state) {
  if (!IS(vm.resume, T_VECTOR)) return;
  chain->head = VEC(vm.resume)[0];
  chain->last = VEC(vm.resume)[1];
  *where = VEC(vm.resume)[2];
  *state = VEC(vm.resume)[3];
}

/* (range end) (range start end [step]), by repeated addition as Racket does. */
static Value prim_range(int argc, Value *args) {
  for (int i = 0; i < argc; i++)
    if (!is_real(args[i])) return err_type(NULL, i, "real number", args[i]);
  Value start = argc > 1 ? args[0] : FIX(0), end = argc > 1 ? args[1] : args[0], step = argc > 2 ? args[2] : FIX(1);
  int sign, order;
  Value compared = num_compare(NULL, step, FIX(0), &sign);
  if (IS_SIGNAL(compared)) return compared;
  if (sign == 0) return err_fail("exn:fail:contract", "range: the step is 0: the list would never end", V_NIL);
  Chain chain = CHAIN_START;
  Value state = V_FALSE, noted = V_FALSE;       /* the state: of a comparison; in a pair, of the addition after it */
  load_chain(&chain, &start, &state);
  for (uint32_t n = 1;; n++) {
    bool within = is_pair(state) && CAR(state) == V_UNBOUND;
    noted = within ? CDR(state) : state;
    state = V_FALSE;
    if (!within) {
      compared = num_compare_with_progress(NULL, start, end, &order, &noted);
      if (compared == V_AGAIN) return save_chain(&chain, start, noted);
      if (IS_SIGNAL(compared)) return compared;
      if (order != -sign) return chain_end(&chain, V_NIL);      /* NaN ends it too */
    }
    Value next = num_with_progress(num_add, start, step, &noted);
    if (next == V_AGAIN) return save_chain(&chain, start, cons(V_UNBOUND, noted));
    if (IS_SIGNAL(next)) return next;
    chain_add(&chain, start);
    start = next;
    charge(1);
    if (n % ROUND == 0 && should_pause()) return save_chain(&chain, start, V_FALSE);
  }
}

/* ---- measuring, copying ---- */

static Value prim_length(int argc, Value *args) {
  (void)argc;
  CHECK_LIST(0, n);
  return FIX(n);
}

static Value prim_length_plus(int argc, Value *args) {
  (void)argc;
  int64_t n;
  if (measure_pausing(args[0], &n)) return V_AGAIN;
  return n == CIRCULAR ? V_FALSE : n >= 0 ? FIX(n) : err_type(NULL, 0, "list", args[0]);
}

/* A copy of list after list, which pauses. A circle is found while its items are copied. */
typedef struct {
  Chain chain;
  int64_t index;          /* of the list that is being copied */
  Value lists;            /* append*: the rest of the last argument, from that list on; else #f */
  Value at, tortoise;     /* what of it is yet to be copied; a pair that the walk met */
  int64_t n, limit;
} Copier;
enum { COPY_HEAD, COPY_LAST, COPY_INDEX, COPY_LISTS, COPY_AT, COPY_TORTOISE, COPY_N, COPY_LIMIT, COPY_SIZE };

static Value copier_pause(Copier *c) {
  return pause_keeping(COPY_SIZE, c->chain.head, c->chain.last, FIX(c->index), c->lists, c->at, c->tortoise, FIX(c->n), FIX(c->limit));
}
static bool copier_load(Copier *c) {
  Value *kept = progress();
  if (!kept) return false;
  *c = (Copier){.chain = {kept[COPY_HEAD], kept[COPY_LAST]}, .index = FIX_VALUE(kept[COPY_INDEX]), .lists = kept[COPY_LISTS],
                .at = kept[COPY_AT], .tortoise = kept[COPY_TORTOISE], .n = FIX_VALUE(kept[COPY_N]), .limit = FIX_VALUE(kept[COPY_LIMIT])};
  return true;
}
static void copier_begin(Copier *c, Value list) {
  c->at = c->tortoise = list;
  c->n = 0;
  c->limit = 2;
}

enum copied { COPIED, COPY_PAUSED, COPY_CIRCULAR };
static enum copied copier_run(Copier *c) {
  while (is_pair(c->at)) {
    chain_add(&c->chain, CAR(c->at));
    c->at = CDR(c->at);
    c->n++;
    if (c->at == c->tortoise) return COPY_CIRCULAR;
    if (c->n == c->limit) { c->tortoise = c->at; c->limit *= 2; }
    if (c->n % ROUND) continue;
    charge(ROUND / 4);
    if (should_pause()) return COPY_PAUSED;
  }
  charge(c->n % ROUND / 4);
  return COPIED;
}

static Value not_a_list(int argument, enum copied how, Value list) {
  return err_type(NULL, argument, how == COPY_CIRCULAR ? "proper list (this one is circular)" : "list", list);
}

/* Copies args[0 .. count) behind each other. V_TRUE, V_AGAIN or V_ERROR. */
static Value copy_arguments(Copier *c, bool loaded, int64_t count, Value *args) {
  if (!loaded) {
    *c = (Copier){.chain = CHAIN_START, .lists = V_FALSE};
    copier_begin(c, count ? args[0] : V_NIL);
  }
  while (c->index < count) {
    enum copied how = copier_run(c);
    if (how == COPY_PAUSED) return copier_pause(c);
    if (how == COPY_CIRCULAR || c->at != V_NIL) return not_a_list((int)c->index, how, args[c->index]);
    if (++c->index < count) copier_begin(c, args[c->index]);
    charge(1);
    if (c->index < count && c->index % ROUND == 0 && should_pause()) return copier_pause(c);
  }
  return V_TRUE;
}

/* Appends args[0 .. argc): all but the last are copied. */
static Value append(int argc, Value *args) {
  if (argc == 0) return V_NIL;
  Copier c;
  TRY_LET(copied, copy_arguments(&c, copier_load(&c), argc - 1, args));
  return chain_end(&c.chain, args[argc - 1]);
}
static Value prim_append(int argc, Value *args) { return append(argc, args); }

/* (append* list ... lists): the last argument is a list of lists. */
static Value prim_append_star(int argc, Value *args) {
  int last = argc - 1;
  Copier c;
  if (!progress() || VEC_LENGTH(vm.resume) == LIST_WALK_SIZE) {
    CHECK_LIST(last, lists);
    vm.resume = V_FALSE;
  }
  bool loaded = copier_load(&c);
  if (!loaded || c.lists == V_FALSE) {
    TRY_LET(copied, copy_arguments(&c, loaded, last, args));
    c.lists = args[last];
    copier_begin(&c, is_pair(c.lists) ? CAR(c.lists) : V_NIL);
  }
  while (is_pair(c.lists) && CDR(c.lists) != V_NIL) {
    enum copied how = copier_run(&c);
    if (how == COPY_PAUSED) return copier_pause(&c);
    if (how == COPY_CIRCULAR || c.at != V_NIL) return err_type(NULL, last, "list of lists", args[last]);
    c.lists = CDR(c.lists);
    copier_begin(&c, CAR(c.lists));
    charge(1);
    if (should_pause()) return copier_pause(&c);
  }
  return chain_end(&c.chain, c.lists == V_NIL ? V_NIL : CAR(c.lists));
}

static Value prim_append_in_place(int argc, Value *args) {
  Value *kept = progress(), result = kept ? kept[1] : V_NIL, last = kept ? kept[2] : V_FALSE;
  Value count = kept ? kept[3] : V_FALSE, walk = kept ? kept[4] : V_FALSE;    /* of the list at hand, which is joined already */
  for (int i = kept ? (int)FIX_VALUE(kept[0]) : 0; i < argc; i++, count = walk = V_FALSE) {
    if (args[i] == V_NIL) continue;
    if (count == V_FALSE && walk == V_FALSE) {
      if (last == V_FALSE) result = args[i]; else CDR(last) = args[i];
      if (i == argc - 1 || !is_pair(args[i])) break;
    }
    if (walk == V_FALSE) {
      int64_t n;
      Value end;
      if (list_walk_count(args[i], &count, &n, &end) == V_AGAIN) return pause_keeping(5, FIX(i), result, last, count, V_FALSE);
      if (n < 0 || end != V_NIL) return err_type(NULL, i, n < 0 ? "proper list (this one is circular)" : "list", args[i]);
      walk = args[i];
    }
    for (uint32_t n = 1; is_pair(CDR(walk)); walk = CDR(walk), n++)
      if (n % LONG_ROUND == 0 && (charge(LONG_ROUND / 8), should_pause())) return pause_keeping(5, FIX(i), result, last, V_FALSE, walk);
    last = walk;
  }
  return result;
}

/* Progress: the rest of the list, what has been reversed, and how the walk looks for a circle. */
static Value reverse_onto(Value *args, Value tail) {
  Value at = args[0], tortoise = at, *kept = progress();
  int64_t n = 0, limit = 2;
  if (kept) {
    at = kept[0];
    tail = kept[1];
    tortoise = kept[2];
    n = FIX_VALUE(kept[3]);
    limit = FIX_VALUE(kept[4]);
  }
  while (is_pair(at)) {
    tail = cons(CAR(at), tail);
    at = CDR(at);
    n++;
    if (at == tortoise) return not_a_list(0, COPY_CIRCULAR, args[0]);
    if (n == limit) { tortoise = at; limit *= 2; }
    if (n % ROUND) continue;
    charge(ROUND / 8);
    if (should_pause()) return pause_keeping(5, at, tail, tortoise, FIX(n), FIX(limit));
  }
  charge(n % ROUND / 8);
  return at == V_NIL ? tail : not_a_list(0, COPIED, args[0]);
}
static Value prim_reverse(int argc, Value *args) { (void)argc; return reverse_onto(args, V_NIL); }
static Value prim_append_reverse(int argc, Value *args) { (void)argc; return reverse_onto(args, args[1]); }

static Value reverse_in_place(Value *args, Value tail) {
  Value l = args[0], *kept = progress();
  if (kept && VEC_LENGTH(vm.resume) == 2) {
    l = kept[0];
    tail = kept[1];
  } else {
    CHECK_LIST(0, n);
    (void)n;
  }
  uint32_t n = 1;
  for (Value next; l != V_NIL; l = next, n++) {
    next = CDR(l);
    CDR(l) = tail;
    tail = l;
    if (n % LONG_ROUND) continue;
    charge(LONG_ROUND / 8);
    if (should_pause() && next != V_NIL) return pause_keeping(2, next, tail);
  }
  charge(n % LONG_ROUND / 8);
  return tail;
}
static Value prim_reverse_in_place(int argc, Value *args) { (void)argc; return reverse_in_place(args, V_NIL); }
static Value prim_append_reverse_in_place(int argc, Value *args) { (void)argc; return reverse_in_place(args, args[1]); }

/* A list that ends in anything is copied up to there; what is no list is its own copy. */
static Value prim_list_copy(int argc, Value *args) {
  (void)argc;
  Copier c;
  if (!copier_load(&c)) {
    c = (Copier){.chain = CHAIN_START, .lists = V_FALSE};
    copier_begin(&c, args[0]);
  }
  enum copied how = copier_run(&c);
  if (how == COPY_PAUSED) return copier_pause(&c);
  if (how == COPY_CIRCULAR) return not_a_list(0, how, args[0]);
  return chain_end(&c.chain, c.at);
}

/* ---- places ---- */

static Value too_short(Value *args, int list, int index, int64_t pairs) {
  return err_range(NULL, "index", FIX_VALUE(args[index]), 0, pairs, args[list]);
}

#define CHECK_COUNT(i) do { \
    if (!IS_FIX(args[i]) || FIX_VALUE(args[i]) < 0) return err_type(NULL, i, "exact nonnegative integer", args[i]); } while (0)

/* Follows k cdrs: V_TRUE; V_FALSE where the list is shorter, and has so many pairs; V_AGAIN. A circular one would let
   a huge k run for ever: there the rounds are left out, as soon as the hare meets the tortoise. */
enum { TAIL_AT, TAIL_LEFT, TAIL_TORTOISE, TAIL_SINCE, TAIL_LIMIT, TAIL_TAKEN, TAIL_SIZE };
enum { TAIL_ROUND = 4096 };
static bool in_tail(void) { return progress() && VEC_LENGTH(vm.resume) == TAIL_SIZE; }
static Value tail_at(Value list, int64_t k, Value *tail, int64_t *pairs) {
  Value tortoise = V_FALSE;
  int64_t since = 0, limit = 1 << 20, taken = 0;
  if (k < TAIL_ROUND && vm.resume == V_FALSE) {
    charge(k / 8);
    for (int64_t left = k; left > 0; left--, list = CDR(list)) {
      if (is_pair(list)) continue;
      *pairs = k - left;
      return V_FALSE;
    }
    *tail = list;
    return V_TRUE;
  }
  if (in_tail()) {
    Value *kept = progress();
    list = kept[TAIL_AT];
    k = FIX_VALUE(kept[TAIL_LEFT]);
    tortoise = kept[TAIL_TORTOISE];
    since = FIX_VALUE(kept[TAIL_SINCE]);
    limit = FIX_VALUE(kept[TAIL_LIMIT]);
    taken = FIX_VALUE(kept[TAIL_TAKEN]);
  }
  while (k > 0) {
    int64_t round = k < TAIL_ROUND ? k : TAIL_ROUND, n = 0;
    for (; n < round && is_pair(list) && list != tortoise; n++) list = CDR(list);
    taken += n;
    since += n;
    k -= n;
    charge(n / 8);
    if (k > 0 && list == tortoise && since) {
      k %= since;
      tortoise = V_FALSE;                                /* from here on no pair is it */
      limit = INT64_MAX;
    } else if (k > 0 && !is_pair(list)) {
      *pairs = taken;
      return V_FALSE;
    } else if (k > 0 && since >= limit) {
      tortoise = list;
      since = 0;
      limit *= 2;
      if (k > 0) { list = CDR(list); k--; taken++; since++; }    /* off the tortoise */
    }
    if (k > 0 && should_pause())
      return pause_keeping(TAIL_SIZE, list, FIX(k), tortoise, FIX(since), FIX(limit > FIX_MAX ? FIX_MAX : limit), FIX(taken));
  }
  *tail = list;
  return V_TRUE;
}

static Value list_tail(Value *args, int list, int index) {
  Value tail;
  int64_t pairs;
  CHECK_COUNT(index);
  TRY_LET(found, tail_at(args[list], FIX_VALUE(args[index]), &tail, &pairs));
  return found == V_TRUE ? tail : too_short(args, list, index, pairs);
}
static Value prim_list_tail(int argc, Value *args) { (void)argc; return list_tail(args, 0, 1); }

static Value prim_list_ref(int argc, Value *args) {
  (void)argc;
  Value tail = list_tail(args, 0, 1);
  return IS_SIGNAL(tail) ? tail : is_pair(tail) ? CAR(tail) : too_short(args, 0, 1, FIX_VALUE(args[1]));
}

static Value prim_list_set_in_place(int argc, Value *args) {
  (void)argc;
  Value tail = list_tail(args, 0, 1);
  if (IS_SIGNAL(tail)) return tail;
  if (!is_pair(tail)) return too_short(args, 0, 1, FIX_VALUE(args[1]));
  CAR(tail) = args[2];
  return V_VOID;
}

/* The first *k items of a list as a chain: V_VOID; V_FALSE where it has fewer, and *k are missing; or V_AGAIN.
   *tail is kept meanwhile. */
enum { TAKE_HEAD, TAKE_LAST, TAKE_LIST, TAKE_LEFT, TAKE_TAIL, TAKE_SIZE };
static bool taking(void) { return progress() && VEC_LENGTH(vm.resume) == TAKE_SIZE; }
static Value take_chain(Value list, int64_t *k, Chain *chain, Value *tail) {
  if (taking()) {
    Value *kept = progress();
    *chain = (Chain){kept[TAKE_HEAD], kept[TAKE_LAST]};
    list = kept[TAKE_LIST];
    *k = FIX_VALUE(kept[TAKE_LEFT]);
    *tail = kept[TAKE_TAIL];
  }
  for (uint32_t n = 1; *k > 0; --*k, n++, list = CDR(list)) {
    if (!is_pair(list)) return V_FALSE;
    if (n % ROUND == 0) {
      charge(ROUND / 8);
      if (should_pause()) return pause_keeping(TAKE_SIZE, chain->head, chain->last, list, FIX(*k), *tail);
    }
    chain_add(chain, CAR(list));
  }
  return V_VOID;
}

/* take, drop and the like, of a list that has fewer than k pairs */
static Value too_few(Value *args) {
  char expected[60];
  snprintf(expected, sizeof expected, "a list with at least %lld elements", (long long)FIX_VALUE(args[1]));
  return err_type(NULL, 0, expected, args[0]);
}

static Value prim_take(int argc, Value *args) {
  (void)argc;
  CHECK_COUNT(1);
  Chain chain = CHAIN_START;
  Value none = V_NIL;
  int64_t k = FIX_VALUE(args[1]);
  TRY_LET(taken, take_chain(args[0], &k, &chain, &none));
  return taken == V_FALSE ? too_few(args) : chain_end(&chain, V_NIL);
}

static Value prim_drop(int argc, Value *args) {
  (void)argc;
  CHECK_COUNT(1);
  Value tail;
  int64_t pairs;
  TRY_LET(found, tail_at(args[0], FIX_VALUE(args[1]), &tail, &pairs));
  return found == V_TRUE ? tail : too_few(args);
}

/* (list-set list k x), Racket's: a changed copy that shares the rest. */
static Value prim_list_set(int argc, Value *args) {
  (void)argc;
  Value tail = V_NIL;
  if (!taking()) {
    TRY_SET(tail, list_tail(args, 0, 1));
    if (!is_pair(tail)) return too_short(args, 0, 1, FIX_VALUE(args[1]));
    vm.resume = V_FALSE;
  }
  Chain chain = CHAIN_START;
  int64_t k = FIX_VALUE(args[1]);
  TRY_LET(taken, take_chain(args[0], &k, &chain, &tail));
  return chain_end(&chain, cons(args[2], CDR(tail)));
}

static Value prim_sublist(int argc, Value *args) {
  (void)argc;
  CHECK_COUNT(1);
  CHECK_COUNT(2);
  int64_t start = FIX_VALUE(args[1]), end = FIX_VALUE(args[2]), k = end - start;
  if (start > end) return err_range(NULL, "start", start, 0, end, args[0]);
  Value from = V_NIL, none = V_NIL;
  if (!taking()) {
    TRY_SET(from, list_tail(args, 0, 1));
    vm.resume = V_FALSE;
  }
  Chain chain = CHAIN_START;
  TRY_LET(taken, take_chain(from, &k, &chain, &none));
  return taken == V_FALSE ? too_short(args, 0, 2, end - k) : chain_end(&chain, V_NIL);
}

/* The pairs of a list that may be improper, k of which are wanted: V_TRUE with their number; or a signal. */
static Value pairs_for(Value *args, int64_t *pairs) {
  int64_t length;
  CHECK_COUNT(1);
  if (count_pausing(args[0], &length, pairs)) return V_AGAIN;
  if (length == CIRCULAR) return err_type(NULL, 0, "proper list", args[0]);
  if (*pairs < FIX_VALUE(args[1])) return too_few(args);
  vm.resume = V_FALSE;
  return V_TRUE;
}

static Value prim_take_right(int argc, Value *args) {
  (void)argc;
  int64_t n = 0, pairs;
  Value tail;
  if (!in_tail()) {
    TRY_LET(counted, pairs_for(args, &n));
    n -= FIX_VALUE(args[1]);
  }
  TRY_LET(found, tail_at(args[0], n, &tail, &pairs));
  return tail;
}

static Value prim_drop_right(int argc, Value *args) {
  (void)argc;
  int64_t n = 0;
  Value none = V_NIL;
  if (!taking()) {
    TRY_LET(counted, pairs_for(args, &n));
    n -= FIX_VALUE(args[1]);
  }
  Chain chain = CHAIN_START;
  TRY_LET(taken, take_chain(args[0], &n, &chain, &none));
  return chain_end(&chain, V_NIL);
}

static Value last_pair(Value *args) {
  CHECK_PAIR(NULL, 0);
  int64_t length, pairs = 0;
  Value last;
  if (!in_tail()) {
    if (count_pausing(args[0], &length, &pairs)) return V_AGAIN;
    if (length == CIRCULAR) return err_type(NULL, 0, "proper list (this one is circular)", args[0]);
    vm.resume = V_FALSE;
  }
  TRY_LET(found, tail_at(args[0], pairs - 1, &last, &pairs));
  return last;
}
static Value prim_last_pair(int argc, Value *args) { (void)argc; return last_pair(args); }
static Value prim_last(int argc, Value *args) {
  (void)argc;
  if (!is_pair(args[0])) return err_type(NULL, 0, "(and/c list? (not/c empty?))", args[0]);
  Value pair = last_pair(args);
  return IS_SIGNAL(pair) ? pair : CAR(pair);
}

static Value ordinal(Value *args, const char *name, int n) {
  Value at = args[0];
  for (int i = 0; i < n && is_pair(at); i++) at = CDR(at);
  if (is_pair(at)) return CAR(at);
  if (n == 0) return err_type(name, 0, "(and/c list? (not/c empty?))", args[0]);
  if (!is_pair(args[0]) && args[0] != V_NIL) return err_type(name, 0, "list", args[0]);
  return err_failf("exn:fail:contract", "%s: list contains too few elements\n  list: %S", name, error_shown(args[0]));
}
#define EACH_ORDINAL(X) X(first, 0) X(second, 1) X(third, 2) X(fourth, 3) X(fifth, 4) X(sixth, 5) X(seventh, 6) \
  X(eighth, 7) X(ninth, 8) X(tenth, 9)
#define DEFINE_ORDINAL(name, n) static Value prim_##name(int argc, Value *args) { (void)argc; return ordinal(args, #name, n); }
EACH_ORDINAL(DEFINE_ORDINAL)

/* ---- searching ---- */

enum sameness { SAME_EQ, SAME_EQV, SAME_EQUAL };

/* Where a search goes on: vm.resume is (rest . state of equal_run). */
static Value save_search(Value rest, Value state) { vm.resume = cons(rest, state); return V_AGAIN; }

/* Is x the item? V_TRUE, V_FALSE, V_CUSTOM, or V_AGAIN with *state. */
static inline Value same(Value x, Value item, enum sameness how, Value *state) {
  if (x == item) return V_TRUE;
  if (how == SAME_EQ) return V_FALSE;
  if (how == SAME_EQV) return BOOL(is_eqv(x, item));
  if (*state == V_FALSE) {
    int quick = equal_bounded(x, item, EQUAL_EFFORT);
    if (quick == EQUAL_CUSTOM) return V_CUSTOM;
    if (quick != EQUAL_DEEP) return BOOL(quick == EQUAL_YES);
  }
  Value result = equal_run(x, item, state);
  if (result != V_AGAIN) *state = V_FALSE;
  return result;
}

/* The first pair from args[1] on whose car is x, or (in an alist) the first entry whose key is x.
   *index counts the items before it. */
static Value search(Value *args, const char *who, enum sameness how, bool alist, int64_t *index) {
  Value rest = args[1], state = V_FALSE;
  *index = 0;
  if (is_pair(vm.resume)) {
    rest = CDR(CAR(vm.resume));
    *index = FIX_VALUE(CAR(CAR(vm.resume)));
    state = CDR(vm.resume);
  }
  for (; is_pair(rest); rest = CDR(rest), ++*index) {
    Value item = CAR(rest);
    if (alist) {
      if (!is_pair(item))
        return err_failf("exn:fail:contract", "%s: non-pair found in list\n  non-pair: %S\n  list: %S",
                         how == SAME_EQ ? "assq" : how == SAME_EQV ? "assv" : "assoc", error_shown(item), error_shown(args[1]));
      item = CAR(item);
    }
    Value found = same(args[0], item, how, &state);
    if (found == V_TRUE) return alist ? CAR(rest) : rest;
    if (found == V_AGAIN) return save_search(cons(FIX(*index), rest), state);
    if (found == V_CUSTOM) return found;
    if (*index % ROUND == ROUND - 1) {
      charge(ROUND / 8);
      if (should_pause()) return save_search(cons(FIX(*index + 1), CDR(rest)), V_FALSE);
    }
  }
  charge(*index % ROUND / 8);
  if (rest == V_NIL) return V_FALSE;
  if (who) return err_type(who, 1, "list", args[1]);
  static const char *const names[2][3] = {{"memq", "memv", "member"}, {"assq", "assv", "assoc"}};
  return err_failf("exn:fail:contract", "%s: not a proper list\n  in: %S", names[alist][how], error_shown(args[1]));
}

static Value prim_memq(int argc, Value *args) { int64_t n; (void)argc; return search(args, NULL, SAME_EQ, false, &n); }
static Value prim_memv(int argc, Value *args) { int64_t n; (void)argc; return search(args, NULL, SAME_EQV, false, &n); }
static Value prim_assq(int argc, Value *args) { int64_t n; (void)argc; return search(args, NULL, SAME_EQ, true, &n); }
static Value prim_assv(int argc, Value *args) { int64_t n; (void)argc; return search(args, NULL, SAME_EQV, true, &n); }

static Value prelude_search(const char *name, Value *args) {
  return tail_call(CELL(global_cell(intern(name)))->value, 3, args[0], args[1], args[2]);
}
static Value prim_member(int argc, Value *args) {
  int64_t n;
  return HAS_ARG(2) ? prelude_search("%member-by", args) : search(args, NULL, SAME_EQUAL, false, &n);
}
static Value prim_assoc(int argc, Value *args) {
  int64_t n;
  return HAS_ARG(2) ? prelude_search("%assoc-by", args) : search(args, NULL, SAME_EQUAL, true, &n);
}

static Value prim_list_index_equal(int argc, Value *args) {
  (void)argc;
  int64_t n;
  Value found = search(args, "index-of", SAME_EQUAL, false, &n);
  return is_pair(found) ? FIX(n) : found;
}

/* ---- removing ---- */

/* The list without the first item that is x; it shares what follows. */
static Value remove_first(Value *args, const char *who, enum sameness how) {
  int64_t n;
  Value found = search(args, who, how, false, &n);
  if (found == V_FALSE) return args[1];
  if (IS_SIGNAL(found)) return found;
  RESERVE_PAIRS(n);
  Chain chain = CHAIN_START;
  for (Value l = args[1]; l != found; l = CDR(l)) chain_add(&chain, CAR(l));
  return chain_end(&chain, CDR(found));
}
static Value prim_remq(int argc, Value *args) { (void)argc; return remove_first(args, "remq", SAME_EQ); }
static Value prim_remv(int argc, Value *args) { (void)argc; return remove_first(args, "remv", SAME_EQV); }
static Value prim_remove_equal(int argc, Value *args) { (void)argc; return remove_first(args, "remove", SAME_EQUAL); }

static Value prim_remove_all_equal(int argc, Value *args) {
  (void)argc;
  Chain chain = CHAIN_START;
  Value rest = args[1], state = V_FALSE;
  load_chain(&chain, &rest, &state);
  for (uint32_t n = 1; is_pair(rest); rest = CDR(rest), n++) {
    Value found = same(args[0], CAR(rest), SAME_EQUAL, &state);
    if (found == V_AGAIN) return save_chain(&chain, rest, state);
    if (found == V_CUSTOM) return found;
    if (found == V_FALSE) chain_add(&chain, CAR(rest));
    if (n % ROUND) continue;
    charge(ROUND / 4);
    if (should_pause()) return save_chain(&chain, CDR(rest), V_FALSE);
  }
  return rest == V_NIL ? chain_end(&chain, V_NIL) : err_type("remove*", 1, "list", args[1]);
}

/* (%remove-duplicates list kind): the first of equal items stays. */
static Value prim_remove_duplicates(int argc, Value *args) {
  (void)argc;
  uint32_t kind;
  CHECK_INDEX(NULL, 1, 0, TABLE_STRING, V_FALSE, kind);
  Chain chain = CHAIN_START;
  Value rest = args[0], seen = V_FALSE;
  load_chain(&chain, &rest, &seen);
  if (seen == V_FALSE) seen = table_make((enum table_kind)kind, false);
  if (!is_pair(rest) && rest != V_NIL) return err_type("remove-duplicates", 0, "list", args[0]);
  for (uint32_t n = 1; is_pair(rest); rest = CDR(rest), n++) {
    if (n % ROUND == 0 && should_pause()) return save_chain(&chain, rest, seen);
    if (!table_ready(seen)) {
      save_chain(&chain, rest, seen);
      return table_wait(seen);
    }
    charge(2);
    Value item = CAR(rest);
    uint32_t count = table_count(seen);
    bool structured = !IS_FIX(item) && TAG(item) >= T_PAIR && !IS(item, T_STRING) && !IS(item, T_SYMBOL);
    if (structured && table_find(seen, item, EQUAL_EFFORT) == TABLE_CUSTOM) return V_CUSTOM;
    table_set(seen, item, V_TRUE);
    if (table_count(seen) != count) chain_add(&chain, item);
  }
  return rest == V_NIL ? chain_end(&chain, V_NIL) : err_type("remove-duplicates", 0, "list", args[0]);
}

/* ---- nested lists ---- */

/* The leaves of a tree of lists in order. A stack of what is left to visit; vm.resume keeps it. */
static Value prim_flatten(int argc, Value *args) {
  (void)argc;
  Chain chain = CHAIN_START;
  Value height = V_FALSE, slots = V_FALSE;
  load_chain(&chain, &height, &slots);
  Stack stack;
  if (slots == V_FALSE) {
    stack_init(&stack);
    push(&stack, args[0]);
  } else {
    stack = (Stack){slots, (uint32_t)FIX_VALUE(height)};
  }
  for (uint32_t n = 1; stack.top; n++) {
    if (!stack_room(&stack, 2)) {
      save_chain(&chain, FIX(stack.top), stack.slots);
      return need_memory(stack_bytes(&stack));
    }
    Value v = pop(&stack);
    if (is_pair(v)) {
      if (CDR(v) != V_NIL) push(&stack, CDR(v));
      push(&stack, CAR(v));
    } else if (v != V_NIL) {
      chain_add(&chain, v);
    }
    if (n % ROUND) continue;
    charge(ROUND / 4);
    if (should_pause()) return save_chain(&chain, FIX(stack.top), stack.slots);
  }
  return chain_end(&chain, V_NIL);
}

/* (add-between list x) */
static Value prim_add_between(int argc, Value *args) {
  (void)argc;
  Chain chain = CHAIN_START;
  Value l = args[0], *kept = progress();
  if (kept && VEC_LENGTH(vm.resume) == 3) {
    chain = (Chain){kept[0], kept[1]};
    l = kept[2];
  } else {
    CHECK_LIST(0, length);
    (void)length;
  }
  for (uint32_t n = 1; l != V_NIL; l = CDR(l), n++) {
    chain_add(&chain, CAR(l));
    if (CDR(l) != V_NIL) chain_add(&chain, args[1]);
    if (n % ROUND) continue;
    charge(ROUND / 4);
    if (should_pause() && CDR(l) != V_NIL) return pause_keeping(3, chain.head, chain.last, CDR(l));
  }
  return chain_end(&chain, V_NIL);
}

#define CXR_ENTRY(path) {"c" #path "r", prim_c##path##r, 1, 1, "(c" #path "r pair)"},
#define ORDINAL_ENTRY(name, n) {#name, prim_##name, 1, 1, "(" #name " list)"},

const PrimDef list_prims[] = {
  {"cons", prim_cons, 2, 2, "(cons a b)"},
  {"car", prim_car, 1, 1, "(car pair)"},
  {"cdr", prim_cdr, 1, 1, "(cdr pair)"},
  {"rest", prim_rest, 1, 1, "(rest list)"},
  {"set-car!", prim_set_car, 2, 2, "(set-car! pair obj)"},
  {"set-cdr!", prim_set_cdr, 2, 2, "(set-cdr! pair obj)"},
  EACH_CXR(CXR_ENTRY)
  EACH_ORDINAL(ORDINAL_ENTRY)
  {"pair?", prim_is_pair, 1, 1, "(pair? obj)"},
  {"cons?", prim_is_pair, 1, 1, "(cons? obj)"},
  {"null?", prim_is_null, 1, 1, "(null? obj)"},
  {"empty?", prim_is_null, 1, 1, "(empty? obj)"},
  {"list?", prim_is_list, 1, 1, "(list? obj)"},
  {"proper-list?", prim_is_list, 1, 1, "(proper-list? obj)"},
  {"dotted-list?", prim_is_dotted, 1, 1, "(dotted-list? obj)"},
  {"circular-list?", prim_is_circular, 1, 1, "(circular-list? obj)"},
  {"list", prim_list, 0, -1, "(list obj ...)"},
  {"list*", prim_list_star, 1, -1, "(list* obj ... tail)"},
  {"cons*", prim_list_star, 1, -1, "(cons* obj ... tail)"},
  {"make-list", prim_make_list, 1, 2, "(make-list count [fill])"},
  {"iota", prim_iota, 1, 3, "(iota count [start [step]])"},
  {"range", prim_range, 1, 3, "(range [start] end [step])"},
  {"length", prim_length, 1, 1, "(length list)"},
  {"length+", prim_length_plus, 1, 1, "(length+ list)"},
  {"append", prim_append, 0, -1, "(append list ...)"},
  {"append*", prim_append_star, 1, -1, "(append* list ... lists)"},
  {"append!", prim_append_in_place, 0, -1, "(append! list ...)"},
  {"reverse", prim_reverse, 1, 1, "(reverse list)"},
  {"reverse!", prim_reverse_in_place, 1, 1, "(reverse! list)"},
  {"append-reverse", prim_append_reverse, 2, 2, "(append-reverse list tail)"},
  {"append-reverse!", prim_append_reverse_in_place, 2, 2, "(append-reverse! list tail)"},
  {"list-copy", prim_list_copy, 1, 1, "(list-copy list)"},
  {"list-tail", prim_list_tail, 2, 2, "(list-tail list k)"},
  {"drop", prim_drop, 2, 2, "(drop list k)"},
  {"list-ref", prim_list_ref, 2, 2, "(list-ref list k)"},
  {"list-set!", prim_list_set_in_place, 3, 3, "(list-set! list k obj)"},
  {"list-set", prim_list_set, 3, 3, "(list-set list k obj)"},
  {"take", prim_take, 2, 2, "(take list k)"},
  {"list-head", prim_take, 2, 2, "(list-head list k)"},
  {"take-right", prim_take_right, 2, 2, "(take-right list k)"},
  {"drop-right", prim_drop_right, 2, 2, "(drop-right list k)"},
  {"sublist", prim_sublist, 3, 3, "(sublist list start end)"},
  {"last-pair", prim_last_pair, 1, 1, "(last-pair list)"},
  {"last", prim_last, 1, 1, "(last list)"},
  {"memq", prim_memq, 2, 2, "(memq obj list)"},
  {"memv", prim_memv, 2, 2, "(memv obj list)"},
  {"member", prim_member, 2, 3, "(member obj list [same?])"},
  {"assq", prim_assq, 2, 2, "(assq obj alist)"},
  {"assv", prim_assv, 2, 2, "(assv obj alist)"},
  {"assoc", prim_assoc, 2, 3, "(assoc obj alist [same?])"},
  {"%list-index-equal", prim_list_index_equal, 2, 2, "(%list-index-equal obj list)"},
  {"remq", prim_remq, 2, 2, "(remq obj list)"},
  {"remv", prim_remv, 2, 2, "(remv obj list)"},
  {"%remove-equal", prim_remove_equal, 2, 2, "(%remove-equal obj list)"},
  {"%remove-all-equal", prim_remove_all_equal, 2, 2, "(%remove-all-equal obj list)"},
  {"%remove-duplicates", prim_remove_duplicates, 2, 2, "(%remove-duplicates list kind)"},
  {"flatten", prim_flatten, 1, 1, "(flatten tree)"},
  {"add-between", prim_add_between, 2, 2, "(add-between list obj)"},
  {0},
};
