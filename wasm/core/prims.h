/* prims.h — what a primitive is, and what it and the machine say to each other. */
#ifndef RLM_CORE_PRIMS_H
#define RLM_CORE_PRIMS_H
#include "core/heap.h"
#include "core/raise.h"

/* ---- primitives ----
 * A primitive gets its arguments in place on the VM's stack and returns a value or a signal:
 *   V_ERROR  after calling one of the err_ functions (core/raise.h) (return err_type(...));
 *   V_AGAIN  "call me again with the same arguments": the VM meanwhile collects or gives up its
 *            time slice. Progress is kept in vm.resume (V_FALSE at the first call; any Value;
 *            the VM clears it when the primitive returns anything else than V_AGAIN);
 *   V_TAIL   after tail_call(): the VM calls a guest procedure in the primitive's place.
 * A primitive never calls a guest procedure otherwise, and never recurses along guest data.
 * Work that grows with an argument is charged: charge(n) for about n simple operations / 8.
 * A loop that may run long tests should_pause() every few hundred iterations, and where it is
 * true saves its progress and returns V_AGAIN.                                                */
typedef Value (*PrimFn)(int argc, Value *args);

typedef struct {
  const char *name;   /* the name bound in the core environment; internal ones start with % */
  PrimFn fn;
  int16_t min_args;
  int16_t max_args;   /* -1: any number */
  const char *signature; /* what an arity error shows, e.g. "(substring string start [end])"; NULL: made from counts */
} PrimDef;

/* Each file ends with a table `const PrimDef NAME_prims[] = {..., {0}};`, listed in host/primitives.c. */
enum { MAX_PRIMS = 2048 };
extern const PrimDef *prim_table[];
extern bool prim_tail[];          /* may return V_TAIL or V_CAPTURE: in tail position it is called as a procedure */
extern uint32_t prim_count;
uint32_t prims_add(const PrimDef *table, bool tail);   /* returns the number of the first: they follow each other */
int prim_index(const char *name); /* -1: none */

enum { TAIL_LIST = -1, TAIL_VALUES = -2 };

extern struct VmShared {
  Value resume;       /* progress of a primitive that returned V_AGAIN */
  Value walk;         /* the way to a table's old version, while a primitive is on it (data/table.c) */
  Value error;        /* the condition that V_ERROR raises */
  Value long_text;    /* the characters of the text that the message in the inbox ends with, apart from it (rlm_inbox_text), their
                         width in its flags; or #f */
  Value tail_proc;    /* V_TAIL */
  Value tail_args[8];
  int tail_argc;      /* how many; TAIL_LIST: tail_args[0] is their list; TAIL_VALUES: it is a multiple value */
  int64_t steps;      /* left in this time slice; negative is fine */
  uint64_t steps_used;/* up to the start of this slice */
  bool collect;       /* the heap wants a collection: steps is 0 meanwhile, the rest stands here */
  int64_t hidden_steps;
  uint64_t need_bytes; /* what need_memory asked for */
} vm;

static inline int64_t steps_left(void) { return vm.collect ? vm.hidden_steps + (vm.steps < 0 ? vm.steps : 0) : vm.steps; }
static inline void charge(int64_t steps) { vm.steps -= steps; }
static inline bool should_pause(void) { return vm.steps <= 0; }  /* the heap zeroes it to ask for a collection */
Value need_memory(uint64_t bytes);

/* The progress of a primitive that goes through something long, as a vector in vm.resume: NULL at the first
   call. Nobody else runs while there is one, so what the arguments hold is what it was. */
static inline Value *progress(void) { return IS(vm.resume, T_VECTOR) ? VEC(vm.resume) : NULL; }
Value pause_keeping(int count, ...);                 /* keeps so many Values; V_AGAIN */
#define LONG_ROUND 2048u                             /* so many characters, bytes or slots between two looks at the clock */
Value tail_call(Value proc, int argc, ...);          /* up to 8 Values */
Value tail_apply(Value proc, Value list);

/* Pass a signal on: the value, where it is none, in a new variable or in one that there is. */
#define TRY_LET(name, expression) Value name = (expression); if (IS_SIGNAL(name)) return name
#define TRY_SET(name, expression) do { name = (expression); if (IS_SIGNAL(name)) return name; } while (0)

/* A loop over [from, to) that charges a step for `a_step` of its turns and pauses where it must, with what `pause`
   keeps; i is then where to go on. */
#define FOR_PAUSING(i, from, to, a_step, pause) \
  for (uint32_t i = (from), begun_ = i, to_ = (to); \
       i < to_ || (charge((i - begun_) % LONG_ROUND / (a_step)), false); i++) \
    if (i != begun_ && (i - begun_) % LONG_ROUND == 0 && (charge(LONG_ROUND / (a_step)), should_pause())) return (pause); \
    else

/* The same over what is copied, filled or compared by the piece: `part` items from the i-th on are the body's. Fresh
   memory costs the machine more than the copying does, so pieces are small; an item has 8 bytes at the most. */
#define LONG_PART (1u << 17)
#define FOR_PARTS(i, part, from, to, a_step, pause) \
  for (uint32_t i = (from), begun_ = i, to_ = (to), part; \
       i < to_ && (part = to_ - i < LONG_PART ? to_ - i : LONG_PART, true); charge(part / (a_step)), i += part) \
    if (i != begun_ && should_pause()) return (pause); \
    else

/* How many pairs a list has and what ends it, in pieces: V_TRUE, or V_AGAIN with *progress (V_FALSE at first) to come
   again with, a vector of LIST_WALK_SIZE. A circular one: -1, and a pair of the circle. */
#define LIST_WALK_SIZE 4
Value list_walk_count(Value list, Value *progress, int64_t *pairs, Value *end);

/* A vector of n slots, in pieces: *v is V_FALSE at first, *i where it is. V_TRUE, or V_AGAIN where it pauses or wants
   memory (*v is V_FALSE then, or what is to be kept). `plain` is no pointer. */
Value vector_filled(Value *v, uint32_t *i, uint32_t n, Value plain);

/* ---- argument checks: use at the top of a primitive ---- */
#define CHECK_STRING(who, i) do { if (!IS(args[i], T_STRING)) return err_type(who, i, "string", args[i]); } while (0)
#define CHECK_SYMBOL(who, i) do { if (!IS(args[i], T_SYMBOL)) return err_type(who, i, "symbol", args[i]); } while (0)
#define CHECK_CHAR(who, i) do { if (!IS(args[i], T_CHAR)) return err_type(who, i, "character", args[i]); } while (0)
#define CHECK_PAIR(who, i) do { if (!is_pair(args[i])) return err_type(who, i, "pair", args[i]); } while (0)
#define CHECK_VECTOR(who, i) do { if (!IS(args[i], T_VECTOR)) return err_type(who, i, "vector", args[i]); } while (0)
#define CHECK_BYTES(who, i) do { if (!IS(args[i], T_BYTES)) return err_type(who, i, "bytevector", args[i]); } while (0)
#define CHECK_FIX(who, i) do { if (!IS_FIX(args[i])) return err_type(who, i, "exact integer", args[i]); } while (0)
/* an index: exact integer in [low, high]; sets the uint32_t variable */
#define CHECK_INDEX(who, i, low, high, of, variable) do { \
    if (!IS_FIX(args[i])) return err_type(who, i, "index", args[i]); \
    if (FIX_VALUE(args[i]) < (int64_t)(low) || FIX_VALUE(args[i]) > (int64_t)(high)) \
      return err_range(who, "index", FIX_VALUE(args[i]), (int64_t)(low), (int64_t)(high), of); \
    variable = (uint32_t)FIX_VALUE(args[i]); } while (0)
#define ARG_OR(i, otherwise) (argc > (i) && args[i] != V_DEFAULT ? args[i] : (otherwise))
#define HAS_ARG(i) (argc > (i) && args[i] != V_DEFAULT)

/* ---- asking for memory ---- */
#define RESERVE(bytes) do { uint64_t bytes_ = (bytes); \
    if (bytes_ > HEAP_HEADROOM / 4 && !heap_reserve(bytes_)) return need_memory(bytes_); } while (0)

/* ---- optional [start [end]] arguments ---- */
#define RANGE(i, of, length, start, end) \
  uint32_t start = 0, end = (length); \
  do { if (HAS_ARG(i)) { CHECK_FIX(NULL, i); \
         if (FIX_VALUE(args[i]) < 0 || FIX_VALUE(args[i]) > (int64_t)end) \
           return err_range(NULL, "starting index", FIX_VALUE(args[i]), 0, end, of); \
         start = (uint32_t)FIX_VALUE(args[i]); } \
       if (HAS_ARG((i) + 1) && args[(i) + 1] != V_FALSE) { CHECK_FIX(NULL, (i) + 1); \
         if (FIX_VALUE(args[(i) + 1]) < (int64_t)start || FIX_VALUE(args[(i) + 1]) > (int64_t)end) \
           return err_slice(start, FIX_VALUE(args[(i) + 1]), end, of); \
         end = (uint32_t)FIX_VALUE(args[(i) + 1]); } } while (0)
#endif
