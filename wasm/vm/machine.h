/* machine.h — the machine: its stacks and registers, as they stand between two instructions. */
#ifndef RLM_VM_MACHINE_H
#define RLM_VM_MACHINE_H
#include "core/prims.h"
#include "vm/code.h"

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
  Value hook_raise, hook_main, hook_interrupt, hook_memory, hook_tick, hook_lazy, hook_custom;
  /* messages */
  Value inbox;         /* bytevector or #f */
  bool message_waiting;/* the inbox holds a message that nobody took yet */
  bool waiting;        /* (%wait) suspended us */
  bool active;         /* an execution is under way */
  bool in_tick;
  bool fresh;          /* started for the message, and it has not been taken yet: nothing comes in between, neither a collection nor the slice's
                          end, since the host counts on that and has the next message ready */
  bool spill;          /* a primitive wants the stack emptied into the heap */
  bool collecting;     /* the slice ended in the middle of a collection, or a message came right after it */
  bool dropping;       /* memory was short: the execution is dropped, and what only it held is being collected */
} m;

void machine_init(void);
void machine_reset(void);                               /* empty stacks, no continuation */
void machine_start(Value proc, int argc, const Value *args);  /* vm_run then calls proc */

/* A procedure whose code is given in words. */
Value make_procedure(const uint32_t *code, uint32_t words, uint32_t consts, const Value *constants, Value name, Value params, Value arity);

Value parameter_value(Value parameter);                 /* in the dynamic state, or its own */

/* A closure that tail-calls the procedure on top of its argc arguments. */
Value make_call_stub(uint32_t argc);
static inline Value call_stub(uint32_t argc) { return argc < CALL_STUBS ? m.call_stubs[argc] : make_call_stub(argc); }
#endif
