/* vm_internal.h — the machine's registers, for vm.c, stack.c, error.c, control.c and main.c. */
#ifndef RLM_VM_INTERNAL_H
#define RLM_VM_INTERNAL_H
#include "code.h"

#define VALUE_STACK (256u * 1024u)      /* values; deeper recursion is spilled to the heap */
#define VALUE_RESERVE (16u * 1024u)     /* no frame is larger */
#define FRAME_STACK (32u * 1024u)       /* calls */
#define CALL_STUBS 16
#define MAX_ARGUMENTS (VALUE_STACK - 2 * VALUE_RESERVE)

/* Where to go on when a call returns. */
struct Frame { Value self; uint32_t pc; uint32_t fp; };   /* addresses of an instruction and of a value */
#define ADDRESS(p) ((uint32_t)(uintptr_t)(p))
#define CODE_OF(self) ((uint32_t *)RAW_BYTES(TEMPLATE(CLOSURE_TEMPLATE(self))->code))
#define FRAME_PC(f) ((uint32_t)(((f).pc - ADDRESS(CODE_OF((f).self))) / 4))          /* as a code offset */
#define FRAME_FP(f) ((uint32_t)(((f).fp - ADDRESS(m.values)) / sizeof(Value)))       /* as an index */

extern struct Machine {
  Value values[VALUE_STACK];
  struct Frame frames[FRAME_STACK];
  /* registers, as they stand between two instructions */
  Value self;          /* the running closure */
  uint32_t pc, fp, sp; /* code offset, indexes in values */
  uint32_t depth;      /* frames in use; frames[0] is the underflow frame */
  Value cont;          /* the continuation below the stack: T_CONT or #f */
  Value dynamic;       /* the prelude's dynamic state: see prelude */
  Value result;        /* of the last run */
  Value call_stubs[CALL_STUBS];
  Value underflow, tick_stub;     /* closures whose code is an instruction or two */
  /* hooks, set by the prelude */
  Value hook_raise, hook_main, hook_interrupt, hook_memory, hook_tick, hook_lazy;
  /* messages */
  Value inbox;         /* bytevector or #f */
  bool message_waiting;/* the inbox holds a message that nobody took yet */
  bool waiting;        /* (%wait) suspended us */
  bool active;         /* an execution is under way */
  bool in_tick;
  bool spill;          /* a primitive wants the stack emptied into the heap */
} m;

enum run_status { RUN_DONE, RUN_SUSPENDED, RUN_PREEMPTED, RUN_NO_MEMORY, RUN_ERROR /* no raise hook */ };
enum run_status vm_run(void);
void vm_reset(void);                               /* empty stacks, no continuation */
void vm_start(Value proc, int argc, const Value *args);  /* vm_run then calls proc */
void vm_init(void);

/* T_CONT slots */
enum { CONT_PARENT, CONT_DYNAMIC, CONT_FRAMES, CONT_VALUES, CONT_DATA };
bool stack_can_capture(void); /* is there memory for it? */
Value stack_capture(void);   /* spill the stack; the captured continuation, also m.cont */
void stack_underflow(void);  /* put m.cont's top chunk back on the (empty) stack; the registers are its top frame's */
bool stack_spill_below(void);/* move all but the running frame to the heap; false: no memory */

/* error.c */
void error_locate(Value condition);     /* fill in place and backtrace from the machine's state */
void error_blame(const char *who, int argc, const Value *args);   /* names the primitive in a message that does not */
uint32_t template_place(Value template, uint32_t pc);
Value err_arity(Value proc, int argc, const Value *args);
Value err_apply(Value object, int argc);
Value err_unbound(Value cell);
Value err_record(Value procedure, Value got);
void error_init(void);
#endif
