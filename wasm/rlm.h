/* rlm.h — the whole contract between the guest and its host.
 *
 * The guest is a state machine in linear memory. It imports nothing and never calls out. The host
 * writes a message into the inbox, calls rlm_run, and reads what the guest wants from the outbox:
 *
 *     inbox = rlm_inbox(n)            a buffer of n bytes inside `memory`, 0 where there is no room (a short
 *                                     message has a place of its own: see rlm_report)
 *     memory[inbox : inbox+n] = one message
 *     (the message may end with the head of a text instead of the text, where that is long: its length there is
 *     told in characters, and those stand at rlm_inbox_text(bytes, width), which is called before)
 *     status = rlm_run(n, steps)      n = 0: no message, just go on
 *     memory[rlm_outbox() : +rlm_outbox_length()] = a CBOR array of messages
 *
 * Between two calls the wasm stack is empty, so linear memory (with the mutable global that clang
 * keeps the stack pointer in, which is then at its initial value) is the whole state.
 *
 * Messages are CBOR (RFC 8949). Integers of any size (tags 2, 3), rationals (tag 30: [n, d]),
 * floats, text, byte strings, arrays (Scheme lists), maps, true, false, null and undefined (void).
 * Own tags: 39 symbol (text), 40001 keyword (text), 40002 character (uint), 40003 vector (array),
 * 40004 improper list (array, last item is the tail), 40005 hash table kind: [kind, map] for
 * another kind than equal, 40006 complex [re, im], 40007 box [v], 40008 set [kind, members...],
 * 40009 struct [name, vector of the fields' names, values...], 40010 uniform vector [type, numbers...].
 *
 * Each message is written as it is sent: [kind, field, ...], or [kind, {field, ...}] where the fields
 * stand in a table, from which those that say nothing are left out. What the fields hold, and what the
 * operations of "call" are, is in docs/internals/protocol.md; a test compares the kinds and fields here with
 * the host's, rlm_wasm/sandbox/protocol.py.
 *
 * To the guest, of which at most one is in the inbox:
 *   ["eval", {source, name, grants, limits, context, replies, trace, check, conversation}]
 *                                  start an execution (the status was DONE)
 *   ["replies", items]             item: [id, true, value] or [id, false, {type, message, ...}]
 *   ["interrupt"]                  end the execution now: nothing in it can catch this
 *   ["tick"]                       the time slice is over: let the next fiber run
 *   ["state"]                      what programs have defined; answered with "done" (the status was DONE)
 *   ["collect"]                    collect what nobody needs; answered with "done" (the status was DONE)
 *   ["boot", {source, name, places}]  build time only: evaluate one file of the prelude
 *   ["seal"]                       build time only: what lives now is the image; the shipped module's
 *                                  memory ends after rlm_page_map_length() pages
 * From the guest:
 *   ["call", id, operation, arguments]
 *                                  wants a reply with this id; arguments: a byte string, an encoded array
 *   ["ack"]                        took the message that came while it was preempted: until then the host
 *                                  must not write another one
 *   ["cancel", id]                 no longer wants the reply
 *   ["note", stream, text]         printed something; stream: "out" or "err"
 *   ["note", "log", entry]         an entry of the scope log
 *   ["note", "warn", text]         something that looks like a slip, for the Result
 *   ["note", "trace", facts]       for a run log: who asks for the call of this id, and in which line
 *   ["note", "items", items]       for the progress: items of combinators announced, begun, done
 *   ["done", {status, value, data, written, cut, shown, lineage, error}]
 *                                  the execution's outcome (with RLM_DONE)
 *   ["failed", text]               with RLM_FAILED; "memory": what the definitions hold leaves no room
 */
#ifndef RLM_H
#define RLM_H
#include <stdint.h>

/* What rlm_run returns. */
enum rlm_status {
  RLM_DONE = 0,       /* the execution ended; the last outbox message is ["done", ...] */
  RLM_SUSPENDED = 1,  /* every fiber waits for replies; call again with a message */
  RLM_PREEMPTED = 2,  /* the step budget is used up; call again, with or without a message */
  RLM_FAILED = 3,     /* the guest cannot go on (a bad message, a broken image): outbox ["failed", text] */
};

#ifdef __wasm__
#define RLM_EXPORT(name) __attribute__((export_name(#name)))
#else
#define RLM_EXPORT(name)
#endif

RLM_EXPORT(rlm_inbox) uint32_t rlm_inbox(uint32_t length);
/* Where the characters of a long text stand that the next message ends with, 0 where there is no room: so many bytes, of
   1, 2 or 4 bytes a character, as many as the widest needs. They become the string's as they are. From RLM_TEXT_APART
   bytes on they begin 24 bytes behind the beginning of a page of 4 KiB. */
RLM_EXPORT(rlm_inbox_text) uint32_t rlm_inbox_text(uint32_t length, uint32_t width);
RLM_EXPORT(rlm_run) int32_t rlm_run(uint32_t length, int64_t steps);
RLM_EXPORT(rlm_outbox) uint32_t rlm_outbox(void);
RLM_EXPORT(rlm_outbox_length) uint32_t rlm_outbox_length(void);
/* The same as rlm_outbox, rlm_outbox_length and rlm_heap_used, written at the end of every rlm_run to a
   place that never moves; and where a message of at most `inbox_bytes` may be put between two runs without
   a call of rlm_inbox: rlm_run takes it from there. The image's own objects lie in pages before image_end; no object
   was ever in a page from touched_end on. */
struct rlm_report { uint32_t outbox, outbox_length; uint64_t heap_used; uint32_t inbox, inbox_bytes, touched_end, image_end; };
RLM_EXPORT(rlm_report) uint32_t rlm_report(void);           /* where it lies */
RLM_EXPORT(rlm_steps) uint64_t rlm_steps(void);             /* used since the instance was born */
RLM_EXPORT(rlm_heap_used) uint64_t rlm_heap_used(void);     /* bytes of objects beyond the image */
RLM_EXPORT(rlm_collected) uint64_t rlm_collected(void);     /* bytes that collections went through since it was born */
RLM_EXPORT(rlm_page_map) uint32_t rlm_page_map(void);       /* one byte a 4 KiB page: 0 = free, its content means nothing */
RLM_EXPORT(rlm_page_map_length) uint32_t rlm_page_map_length(void);

#define RLM_SHORT_MESSAGE 512        /* bytes */
#define RLM_TEXT_APART 4096          /* bytes */
#define RLM_INBOX_LIMIT (64u << 20)  /* bytes; the same as Limits.message_bytes at the most */
#endif
