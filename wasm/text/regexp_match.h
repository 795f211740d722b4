/* regexp_match.h — the matcher. */
#ifndef RLM_TEXT_REGEXP_MATCH_H
#define RLM_TEXT_REGEXP_MATCH_H
#include "text/regexp.h"

/* ---- matching: there is one matcher; it is begun, run until it says other than MATCH_PAUSED, and
   saved and loaded across pauses ---- */

enum match_outcome { MATCH_NO, MATCH_YES, MATCH_PAUSED };

/* Searches text[from, end). What is before `low` does not exist; a match must end at least_end or later. */
void match_begin(Value regexp, Value text, uint32_t low, uint32_t from, uint32_t end, uint32_t least_end);
enum match_outcome match_run(void);
uint32_t match_slot(uint32_t slot);      /* 2n: where group n starts, 2n + 1: where it ends; NOWHERE */
Value match_save(void);
void match_load(Value saved);
#endif
