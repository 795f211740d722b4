/* vm.h — what the rest of the core sees of the virtual machine: primitives, errors, steps. */
#ifndef RLM_VM_H
#define RLM_VM_H
#include "heap.h"

/* ---- primitives ----
 * A primitive gets its arguments in place on the VM's stack and returns a value or a signal:
 *   V_ERROR  after calling one of the err_ functions below (return err_type(...));
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
/* Each file ends with a table `const PrimDef NAME_prims[] = {..., {0}};`, listed in prims.c. */

enum { TAIL_LIST = -1, TAIL_VALUES = -2 };
extern struct VmShared {
  Value resume;       /* progress of a primitive that returned V_AGAIN */
  Value error;        /* the condition that V_ERROR raises */
  Value tail_proc;    /* V_TAIL */
  Value tail_args[8];
  int tail_argc;      /* how many; TAIL_LIST: tail_args[0] is their list; TAIL_VALUES: it is a multiple value */
  int64_t steps;      /* left in this time slice; negative is fine */
  uint64_t steps_used;/* up to the start of this slice */
  bool collect;       /* the heap wants a collection: steps is 0 meanwhile, the rest stands here */
  int64_t hidden_steps;
  uint64_t need_bytes; /* what need_memory asked for */
  bool pause_requested;
} vm;

static inline void charge(int64_t steps) { vm.steps -= steps; }
static inline bool should_pause(void) { return vm.steps <= 0; }  /* the heap zeroes it to ask for a collection */
Value need_memory(uint64_t bytes);
Value tail_call(Value proc, int argc, ...);          /* up to 8 Values */
Value tail_apply(Value proc, Value list);

/* ---- errors ----
 * All build a condition (record of an exn type) in vm.error and return V_ERROR. The VM adds the
 * place and the backtrace. `who` is the procedure's Scheme name, or NULL for the primitive's own
 * name as registered. Message wording follows guest-language.md section 4 and Racket:
 *   "vector-ref: index 7 out of range for a vector of length 3"                                */
Value err_type(const char *who, int argument, const char *expected, Value got); /* argument from 0;
      "string-length: expected a string as argument 1, got 42" */
Value err_range(const char *who, const char *what, int64_t index, int64_t low, int64_t high, Value of);
Value err_slice(int64_t start, int64_t end, int64_t length, Value of);   /* an end before the start or beyond the length */
Value err_divide(const char *who);
Value err_read(const char *message, uint32_t place, bool at_eof, Value irritants); /* exn:fail:read, :read:eof */
Value err_syntax(const char *message, Value form, uint32_t place);   /* exn:fail:syntax */
Value err_fail(const char *kind, const char *message, Value irritants); /* kind: symbol name of an exn type:
      exn:fail exn:fail:contract exn:fail:contract:arity exn:fail:contract:variable
      exn:fail:contract:divide-by-zero exn:fail:read exn:fail:read:eof exn:fail:syntax
      exn:fail:user exn:fail:capability exn:fail:memory exn:break */
Value err_fail_hint(const char *kind, const char *message, Value irritants, const char *hint);
Value err_failf(const char *kind, const char *format, ...); /* %s C string, %d int, %v Value (written, cut at 60 characters), %q symbol/string displayed, cut; %S whole string */

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
#endif
