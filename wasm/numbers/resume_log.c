/* journal.c — how a long computation with numbers pauses.
 *
 * A numeric primitive is a function of its arguments, made of operations on integers of which some
 * may take milliseconds or minutes (numbers have up to a megabyte). So it pauses like this: each
 * long operation notes its result in a list; when the time slice ends, the primitive returns
 * V_AGAIN with the list in vm.resume; called again with the same arguments it goes the same way,
 * and takes what is in the list instead of computing it. Short operations are simply done again.
 *
 * The journal is open only while a primitive or instruction that owns vm.resume runs; other
 * callers (the reader, the printer) compute without pausing.
 */
#include "number.h"

struct journal journal;

void journal_open(Value list) {
  journal.open = true;
  journal.list = journal.rest = list;
  journal.last = V_FALSE;
  journal.begun_at = vm.steps;
  journal.patience = 0;
}

/* Where going the same way again is work in itself, pausing too often would be all that is done. */
bool journal_should_pause(void) {
  return journal.open && should_pause() && journal.begun_at - vm.steps >= journal.patience;
}

/* The end of a primitive's work: what it returns, vm.resume being set. */
Value journal_close(Value result) {
  journal.open = false;
  vm.resume = result == V_AGAIN ? journal.list : V_FALSE;
  return result;
}

/* What the next long operation found when it was here before. A computation that was only part
   of the way can continue: journal_replace takes the place of the entry that was read last. */
bool journal_next(Value *entry) {
  if (!journal.open || !is_pair(journal.rest)) return false;
  journal.last = journal.rest;
  journal.rest = CDR(journal.rest);
  *entry = CAR(journal.last);
  return true;
}

static void append(Value entry) {
  Value cell = cons(entry, V_FALSE);
  if (is_pair(journal.last)) CDR(journal.last) = cell; else journal.list = cell;
  journal.last = cell;
}

/* Notes a long operation's result; returns it, or V_AGAIN where it is time to pause. */
Value journal_note(Value result) {
  if (!journal.open || IS_SIGNAL(result)) return result;
  append(result);
  return journal_should_pause() ? V_AGAIN : result;
}

void journal_note_part(Value part, bool replace) {
  if (replace) CAR(journal.last) = part; else append(part);
}
