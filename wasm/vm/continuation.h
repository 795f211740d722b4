/* continuation.h — captured stacks: see continuation.c. */
#ifndef RLM_VM_CONTINUATION_H
#define RLM_VM_CONTINUATION_H
#include "core/value.h"

/* T_CONT slots */
enum { CONT_PARENT, CONT_DYNAMIC, CONT_FRAMES, CONT_VALUES, CONT_DATA };
bool stack_can_capture(void); /* is there memory for it? */
Value stack_capture(void);   /* spill the stack; the captured continuation, also m.cont */
void stack_underflow(void);  /* put m.cont's top chunk back on the (empty) stack; the registers are its top frame's */
bool stack_spill_below(void);/* move all but the running frame to the heap; false: no memory */
#endif
