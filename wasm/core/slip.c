/* slip.c — a short list of slips, emptied by (%take-slips!). */
#include "core/slip.h"
#include "core/prims.h"

enum { MOST_SLIPS = 16 };
static Value slips = V_NIL;
static int slip_count;

void slips_init(void) {
  heap_root(&slips);
  slips = V_NIL;
}

void note_slip(enum slip kind, Value a, Value b) {
  if (slip_count == MOST_SLIPS) return;
  for (Value s = slips; s != V_NIL; s = CDR(s))
    if (CAR(CAR(s)) == FIX(kind) && CAR(CDR(CAR(s))) == a) return;
  slip_count++;
  slips = cons(list_n(3, FIX(kind), a, b), slips);
}

bool slips_noted(void) { return slips != V_NIL; }

/* (%take-slips!) -> a list of (kind a b), the last first */
static Value prim_take_slips(int argc, Value *args) {
  (void)argc, (void)args;
  Value taken = slips;
  slips = V_NIL;
  slip_count = 0;
  return taken;
}

const PrimDef slip_prims[] = {
  {"%take-slips!", prim_take_slips, 0, 0, NULL},
  {0}
};
