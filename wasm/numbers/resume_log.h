/* resume_log.h — how long computations with numbers pause: see resume_log.c. */
#ifndef RLM_NUMBERS_RESUME_LOG_H
#define RLM_NUMBERS_RESUME_LOG_H
#include "core/prims.h"

struct resume_log {
  bool open;
  Value list, rest, last;   /* all entries; those not read yet; the one that was read or made last */
  int64_t begun_at;         /* vm.steps at the beginning */
  int64_t patience;         /* steps to do before a pause */
};
extern struct resume_log resume_log;
#define LONG_STEPS 20000                                /* an operation of so many steps is long: some tenths of a millisecond */
void resume_log_open(Value list);
bool resume_log_should_pause(void);
Value resume_log_close(Value result);
bool resume_log_next(Value *entry);
Value resume_log_note(Value result);
void resume_log_note_part(Value part, bool replace);

/* One pass over the limbs of a number is not long, but a computation that goes the same way again after a pause makes
   dozens of them: what a pass found is noted, too, where the number has so many limbs. */
#define LONG_PASS 8192u
static inline bool resume_log_pass(uint32_t limbs, Value *found) { return limbs > LONG_PASS && resume_log_next(found); }
static inline Value resume_log_note_pass(uint32_t limbs, Value found) { return limbs > LONG_PASS ? resume_log_note(found) : found; }

/* An operation made of long ones. It begins; when it is done, its result takes the place of everything that
   was noted since. */
bool resume_log_begin(Value *mark, Value *result);      /* true: it was done before, with this result */
Value resume_log_finish(Value mark, Value result);      /* the result, or V_AGAIN where it is time to pause */

/* Does a primitive's work with the log open. */
#define PAUSING(expression) (resume_log_open(vm.resume), resume_log_close(expression))
#endif
