/* mailbox.h — what the host is told beside the program's own messages. */
#ifndef RLM_HOST_MAILBOX_H
#define RLM_HOST_MAILBOX_H
#include "core/value.h"

void mailbox_init(void);
void mailbox_empty(void);                          /* no message waits, none is held */
Value outbox_put(Value item);                       /* appends one, encoded, in a bytevector; a signal where there is no room */
/* Room for a short item of at most so many bytes, and how many it took; NULL: there is none, or the host takes first what there is. */
uint8_t *outbox_room(uint32_t n);
void outbox_took(uint32_t n);
void outbox_text(const char *kind, Value text);    /* [kind, text] */
void write_report(void);             /* what rlm_report points to */
#endif
