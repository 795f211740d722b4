/* slip.h — what looks like a slip of the program though it fails nothing: noted where it is seen, told at the
 * end of the execution (prelude/runtime/main.scm makes warnings of it).
 */
#ifndef RLM_CORE_SLIP_H
#define RLM_CORE_SLIP_H
#include "core/value.h"

enum slip {
  SLIP_SCOPED,         /* an LLM call's result was compared with a text: a, the other value */
  SLIP_KEY_KIND,       /* a table has a symbol of the name that was looked up as a string, or the other way round:
                          a the key; b: V_FALSE where the default was taken, else V_TRUE */
  SLIP_KEY_UNKNOWN,    /* a table of which all keys are known has none such: a the key, b the table */
  SLIP_SCOPED_KEY,     /* an LLM call's result is the key of a table, or a part of one */
  SLIP_KEY_CASE,       /* a table has the key that was looked up, a, in other capitals: b */
  SLIP_TWIN,           /* a symbol, a, was compared with the string of its name, b */
};

void slips_init(void);
void note_slip(enum slip kind, Value a, Value b);   /* a few of them, each text once */
bool slips_noted(void);                             /* and not taken yet */
#endif
