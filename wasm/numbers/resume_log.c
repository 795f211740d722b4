/* resume_log.c — how a long computation with numbers pauses.
 *
 * A numeric primitive is a function of its arguments, made of operations on integers of which some
 * may take milliseconds or minutes (numbers have up to a megabyte). So it pauses like this: each
 * long operation notes its result in a list, and what it has done so far, where it pauses in its midst; when the time slice ends, the primitive returns
 * V_AGAIN with the list in vm.resume; called again with the same arguments it goes the same way,
 * and takes what is in the list instead of computing it. Short operations are simply done again.
 *
 * The log is open only while a primitive or instruction that owns vm.resume runs; other
 * callers (the reader, the printer) compute without pausing.
 */
#include "numbers/resume_log.h"
#include "core/check.h"

struct resume_log resume_log;

void resume_log_open(Value list) {
  resume_log.open = true;
  resume_log.list = resume_log.rest = list;
  resume_log.last = V_FALSE;
  resume_log.begun_at = vm.steps;
  resume_log.patience = 0;
}

/* Where going the same way again is work in itself, pausing too often would be all that is done. */
bool resume_log_should_pause(void) {
  return resume_log.open && should_pause() && resume_log.begun_at - vm.steps >= resume_log.patience;
}

/* The end of a primitive's work: what it returns, vm.resume being set. */
Value resume_log_close(Value result) {
  resume_log.open = false;
  vm.resume = result == V_AGAIN ? resume_log.list : V_FALSE;
  return result;
}

/* What the next long operation found when it was here before. A computation that was only part
   of the way can continue: resume_log_note_part with `replace` takes the place of the entry that was read last. */
bool resume_log_next(Value *entry) {
  if (!resume_log.open || !is_pair(resume_log.rest)) return false;
  resume_log.last = resume_log.rest;
  resume_log.rest = CDR(resume_log.rest);
  *entry = CAR(resume_log.last);
  return true;
}

static void append(Value entry) {
  Value cell = cons(entry, V_FALSE);
  if (is_pair(resume_log.last)) CDR(resume_log.last) = cell; else resume_log.list = cell;
  resume_log.last = cell;
}

/* Notes a long operation's result; returns it, or V_AGAIN where it is time to pause. */
Value resume_log_note(Value result) {
  if (!resume_log.open || IS_SIGNAL(result)) return result;
  append(result);
  return resume_log_should_pause() ? V_AGAIN : result;
}

void resume_log_note_part(Value part, bool replace) {
  CHECK(!replace || is_pair(resume_log.last));
  if (replace) CAR(resume_log.last) = part; else append(part);
}

/* Its entry is #t while it is under way, then its result in a box. */
bool resume_log_begin(Value *mark, Value *result) {
  Value entry;
  *mark = V_FALSE;
  if (!resume_log.open) return false;
  if (!resume_log_next(&entry)) append(entry = V_TRUE);
  *mark = resume_log.last;
  if (entry == V_TRUE) return false;
  *result = SLOTS(entry)[0];
  return true;
}

Value resume_log_finish(Value mark, Value result) {
  if (!resume_log.open || IS_SIGNAL(result)) return result;
  CHECK(!is_pair(resume_log.rest) && CAR(mark) == V_TRUE);    /* nothing can come after it yet */
  resume_log.last = mark;
  CAR(mark) = make_box(result);
  CDR(mark) = V_FALSE;
  return resume_log_should_pause() ? V_AGAIN : result;
}
