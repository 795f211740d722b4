/* request.c — a request to the host, and its reply, each in one step.
 *
 * Most requests are small, and whoever makes one waits where it is, since nothing else can run. What runtime/fibers.scm
 * and llm/calls.scm do then in hundreds of steps of the machine (the arguments' checks, the message, the reply) is done here in
 * two: one sends and waits, the other takes what came. Nobody registers anything: while the machine waits nothing
 * can happen in it, and where the message is not the one reply that is waited for, %reply-otherwise does it then.
 * Whatever is out of the ordinary is left to those files, before anything was done.
 */
#include "core/prims.h"
#include "expander/env.h"
#include "host/driver.h"
#include "host/mailbox.h"
#include "host/plain.h"
#include "io/cbor.h"
#include "io/port.h"
#include "text/string.h"
#include "vm/machine.h"
#include <string.h>

/* (%call-message id operation arguments): the message of a request; arguments: encoded, in a bytevector */
static Value prim_call_message(int argc, Value *args) {
  (void)argc;
  CHECK_BYTES(NULL, 2);
  if (!IS_FIX(args[0]) || FIX_VALUE(args[0]) < 0) return err_type(NULL, 0, "exact nonnegative integer", args[0]);
  if (!IS(args[1], T_STRING) || STR_LENGTH(args[1]) > 1000 || !is_ascii(args[1])) return err_type(NULL, 1, "name of an operation", args[1]);
  uint32_t n = BYTES_LENGTH(args[2]);
  uint64_t need = (uint64_t)n + STR_LENGTH(args[1]) + 64;
  if (need > UINT32_MAX / 2) return err_fail("exn:fail", "message too large", V_NIL);
  Value *kept = progress(), bytes;
  if (kept) {
    bytes = kept[0];
  } else {
    if (!heap_reserve(need)) return need_memory(need);
    bytes = heap_raw(T_BYTES, 0, (uint32_t)need);
  }
  uint8_t *at = BYTES(bytes);
  memcpy(at, "\x84\x64" "call", 6);
  at = put_plain(put_plain(at + 6, args[0]), args[1]);
  at = put_head(at, BYTE_STRING, n);
  FOR_PARTS(i, part, kept ? (uint32_t)FIX_VALUE(kept[1]) : 0, n, 64, pause_keeping(2, bytes, FIX(i))) memcpy(at + i, BYTES(args[2]) + i, part);
  at += n;
  HEADER_OF(bytes) = HEADER(T_BYTES, OBJ_FLAGS(bytes), (uint32_t)(at - BYTES(bytes)));
  return bytes;
}

/* ---- sending ---- */
/* May the running fiber wait where it is, with nothing else to do for the machine? */
static bool may_wait(void) {
  return IS(VARIABLE(CURRENT_FIBER), T_RECORD) && VARIABLE(TRACING) == V_FALSE && VARIABLE(LOOKING) == V_FALSE &&
         VARIABLE(QUEUE_HEAD) == V_NIL && VARIABLE(ARRIVED) == V_NIL && VARIABLE(DOOMED) == V_NIL && VARIABLE(OUTCOME) == V_FALSE &&
         !m.message_waiting && PORT(VARIABLE(STDOUT))->length == FIX(0) && PORT(VARIABLE(STDERR))->length == FIX(0) && IS_FIX(VARIABLE(NEXT_ID));
}

/* The progress of combinators, as %tell-items! says it. */
static const char ITEMS_NOTE[] = "\x83\x64" "note" "\x65" "items" "\x83";
enum { ITEMS_BYTES = 64 };
static uint8_t *put_items(uint8_t *at) {
  memcpy(at, ITEMS_NOTE, sizeof ITEMS_NOTE - 1);
  at = put_plain(put_plain(at + sizeof ITEMS_NOTE - 1, VARIABLE(ITEMS)), VARIABLE(ITEMS_BEGUN));
  VARIABLE(ITEMS_TOLD) = V_TRUE;
  return put_plain(at, VARIABLE(ITEMS_DONE));
}
static bool items_to_tell(void) { return VARIABLE(COUNTING) != V_FALSE && VARIABLE(ITEMS_TOLD) == V_FALSE; }

/* Sends [first, rest ...] as the arguments and waits; #f: they are not plain, and nothing was done. */
static Value send_and_wait(const char *operation, uint32_t count, const Value *first, Value rest) {
  PlainSize size = PLAIN_SIZE;
  uint32_t n = count, name = (uint32_t)strlen(operation);
  for (uint32_t i = 0; i < count; i++) if (!plain_size(&size, first[i])) return V_FALSE;
  for (Value r = rest; r != V_NIL; r = CDR(r), n++) if (!is_pair(r) || !plain_size(&size, CAR(r))) return V_FALSE;
  uint32_t packed = size.bytes + head_size(n), whole = packed + name + 32;
  if (!IS_FIX(VARIABLE(MESSAGE_LIMIT)) || whole > FIX_VALUE(VARIABLE(MESSAGE_LIMIT))) return V_FALSE;
  uint8_t *start = outbox_room(whole + ITEMS_BYTES), *at = start;
  if (!start) return V_FALSE;
  Value id = VARIABLE(NEXT_ID);
  memcpy(at, "\x84\x64" "call", 6);
  at = put_head(put_plain(at + 6, id), TEXT_STRING, name);
  memcpy(at, operation, name);
  at = put_head(put_head(at + name, BYTE_STRING, packed), ARRAY, n);
  for (uint32_t i = 0; i < count; i++) at = put_plain(at, first[i]);
  for (Value r = rest; r != V_NIL; r = CDR(r)) at = put_plain(at, CAR(r));
  if (items_to_tell()) at = put_items(at);
  outbox_took((uint32_t)(at - start));
  VARIABLE(NEXT_ID) = id + 2;            /* a fixnum's one */
  charge(whole / 64);
  return V_WAIT;
}

/* (%ask-host! function arguments): the message that comes, or #f */
static Value prim_ask_host(int argc, Value *args) {
  (void)argc;
  return may_wait() ? send_and_wait("host", 1, args, args[1]) : V_FALSE;
}

/* ---- an LLM call ---- */
/* The arguments by their keywords. False: something is out of the ordinary, wrong perhaps. */
static bool sort_call(Value arguments, Value *of) {
  for (int i = 0; i < CALL_KEYWORDS; i++) of[i] = V_DEFAULT;
  for (; is_pair(arguments); arguments = CDDR(arguments)) {
    int k = 0;
    while (k < CALL_KEYWORDS && VEC(driver_cells)[KEYWORDS + k] != CAR(arguments)) k++;
    if (k == CALL_KEYWORDS || of[k] != V_DEFAULT || !is_pair(CDR(arguments))) return false;
    of[k] = CADR(arguments);
  }
  for (int i = K_MODEL; i < CALL_KEYWORDS; i++) if (of[i] == V_DEFAULT) of[i] = i == K_IMAGES ? V_NIL : V_FALSE;
  return arguments == V_NIL;
}
static bool is_count(Value v) { return IS_FIX(v) && FIX_VALUE(v) > 0; }
/* (llm/calls.scm: %checked-call) The model becomes its name, the temperature a flonum. */
static bool call_is_right(Value *of) {
  Value model = of[K_MODEL], temperature = of[K_TEMPERATURE];
  if (IS(model, T_SYMBOL)) of[K_MODEL] = SYM(model)->name;
  if (IS_FIX(temperature)) of[K_TEMPERATURE] = make_flonum((double)FIX_VALUE(temperature));
  return IS(of[K_INSTRUCTION], T_STRING) && STR_LENGTH(of[K_INSTRUCTION]) && (of[K_DATA] == V_DEFAULT || IS(of[K_DATA], T_STRING)) &&
         (model == V_FALSE || IS(model, T_STRING) || IS(model, T_SYMBOL)) &&
         (temperature == V_FALSE || IS_FIX(temperature) || IS(temperature, T_FLONUM)) &&
         (of[K_MAX_TOKENS] == V_FALSE || is_count(of[K_MAX_TOKENS])) && (of[K_JSON] == V_FALSE || of[K_JSON] == V_TRUE) &&
         (of[K_RECURSIVE] == V_FALSE || of[K_RECURSIVE] == V_TRUE || is_count(of[K_RECURSIVE])) &&
         of[K_IMAGE] == V_FALSE && of[K_IMAGES] == V_NIL;
}
/* (llm/budgets.scm: %budget-around) */
static bool has_budget(void) {
  Value budget = parameter_value(VARIABLE(TOKEN_BUDGET)), limit = RECORD_FIELD(budget, BUDGET_LIMIT);
  return RECORD_FIELD(budget, BUDGET_OUTER) != V_FALSE || !IS(limit, T_FLONUM) || FLO_VALUE(limit) < __builtin_inf();
}

/* Before a program's first call all of it is looked through: (check.scm) %look-at-program!. V_TRUE: it was, and nothing is wrong. Calls whose
   literal arguments the host has to judge are noted, where the program is no more than the form that makes them. V_FALSE:
   more than C can do has to be expanded. Else (findings . trees). */
static Value look_at_program(void) {
  Value program = VARIABLE(PROGRAM);
  if (program == V_FALSE) return V_TRUE;
  Value trees = trees_to_come(VEC(program)[PROGRAM_TREES], VEC(program)[PROGRAM_TO_COME]);
  if (trees == V_FALSE) return V_FALSE;
  Value findings = survey_quickly(trees, VARIABLE(LLM_KEYWORDS)), calls = V_NIL;
  if (findings == V_AGAIN) return V_FALSE;
  for (Value rest = findings; is_pair(rest); rest = CDR(rest)) {
    bool guarded;
    if (CDR(trees) != V_NIL || survey_judged(CAR(rest), &guarded) == V_FALSE) return cons(findings, trees);
    if (!guarded) calls = cons(CAR(rest), calls);
  }
  VARIABLE(PROGRAM) = V_FALSE;
  VARIABLE(CALLS_TO_JUDGE) = calls;
  return V_TRUE;
}
/* (check.scm: %take-calls-to-judge!) */
static Value told_of_calls(void) {
  Value told = V_NIL;
  bool guarded;
  for (Value calls = VARIABLE(CALLS_TO_JUDGE); calls != V_NIL; calls = CDR(calls)) told = cons(survey_judged(CAR(calls), &guarded), told);
  return told;
}
static void calls_are_told(void) {
  for (; VARIABLE(CALLS_TO_JUDGE) != V_NIL; VARIABLE(CALLS_TO_JUDGE) = CDR(VARIABLE(CALLS_TO_JUDGE)))
    VARIABLE(CALLS_TOLD) = cons(CAR(VARIABLE(CALLS_TO_JUDGE)), VARIABLE(CALLS_TOLD));
}

/* (%ask-llm! name arguments): the message that comes; #t: the program is to be looked at first; (findings . trees): that is so, and this was
   found; #f: it is no plain call. */
static Value prim_ask_llm(int argc, Value *args) {
  (void)argc;
  Value of[CALL_KEYWORDS];
  if (!may_wait() || VARIABLE(REFUSED) != V_FALSE || VARIABLE(CALLS_TO_JUDGE) != V_NIL || !sort_call(args[1], of) || !call_is_right(of) ||
      has_budget()) return V_FALSE;
  Value looked = look_at_program();
  if (looked != V_TRUE) return looked == V_FALSE ? V_TRUE : looked;
  Value data = of[K_DATA] == V_DEFAULT ? string_make(0, 1) : of[K_DATA];
  const Value sent[] = {args[0], of[K_INSTRUCTION], data, of[K_MODEL], of[K_TEMPERATURE], of[K_MAX_TOKENS], of[K_JSON], V_NIL, of[K_RECURSIVE],
                        told_of_calls()};
  Value outcome = send_and_wait("llm", sizeof sent / sizeof *sent, sent, V_NIL);
  if (outcome == V_WAIT) calls_are_told();
  return outcome;
}

/* ---- the reply ---- */
/* Moves to the value of the one reply in a message, where that is what was waited for, and is no failure. */
static bool take_reply_head(PlainReader *r, Value message) {
  static const char begin[] = "\x82\x67" "replies" "\x81\x83";
  int major;
  uint64_t id;
  r->at = BYTES(message);
  r->end = r->at + BYTES_LENGTH(message);
  r->items = PLAIN_ITEMS;
  if (BYTES_LENGTH(message) < sizeof begin - 1 || memcmp(r->at, begin, sizeof begin - 1) != 0) return false;
  r->at += sizeof begin - 1;
  if (!take_head(r, &major, &id) || major != UNSIGNED || FIX(id) + 2 != VARIABLE(NEXT_ID)) return false;
  return r->at < r->end && *r->at++ == BYTE_TRUE;
}

/* (%reply message): its value, where the message is the reply to the request that was sent last; else what %none is. */
static Value prim_reply(int argc, Value *args) {
  (void)argc;
  CHECK_BYTES(NULL, 0);
  PlainReader r;
  if (!take_reply_head(&r, args[0])) return VARIABLE(NONE);
  uint32_t from = (uint32_t)(r.at - BYTES(args[0]));
  if (vm.resume == V_FALSE && BYTES_LENGTH(args[0]) <= PLAIN_BYTES_MOST / 2) {
    Value v = take_plain(&r);
    if (v != V_UNBOUND && r.at == r.end) {
      charge(BYTES_LENGTH(args[0]) / 64);
      return v;
    }
  }
  return cbor_decode_from(args[0], from, VARIABLE(DATA_TYPES));
}

/* (%answer message arguments): the scoped value of a call's reply, [text, call, model, prompt tokens, completion tokens,
   depth, truncated?]; what %none is where anything is out of the ordinary. */
static Value prim_answer(int argc, Value *args) {
  (void)argc;
  enum { TEXT, CALL, MODEL, PROMPT, COMPLETION, DEPTH, TRUNCATED, PARTS, LINEAGE_MOST = 100 };
  CHECK_BYTES(NULL, 0);
  PlainReader r;
  Value part[PARTS], a = V_FALSE, b = V_FALSE;
  int major;
  uint64_t n;
  if (BYTES_LENGTH(args[0]) > PLAIN_BYTES_MOST / 2 || !take_reply_head(&r, args[0]) || !take_head(&r, &major, &n) || major != ARRAY || n != PARTS)
    return VARIABLE(NONE);
  for (int i = 0; i < PARTS; i++) if ((part[i] = take_plain(&r)) == V_UNBOUND) return VARIABLE(NONE);
  if (r.at != r.end || !IS(part[TEXT], T_STRING)) return VARIABLE(NONE);
  for (Value given = args[1]; given != V_NIL; given = CDDR(given)) {
    if (CAR(given) == VEC(driver_cells)[KEYWORDS + K_INSTRUCTION]) a = STR(CADR(given))->lineage;
    if (CAR(given) == VEC(driver_cells)[KEYWORDS + K_DATA]) b = STR(CADR(given))->lineage;
  }
  if (lineage_length(a) + lineage_length(b) > LINEAGE_MOST) return VARIABLE(NONE);
  STR(part[TEXT])->lineage = lineage_union(a, b);
  charge(BYTES_LENGTH(args[0]) / 64);
  Value scoped = make_record(VARIABLE(SCOPED_TYPE), 5);
  RECORD_FIELD(scoped, 0) = part[TEXT];
  RECORD_FIELD(scoped, 1) = part[CALL];
  RECORD_FIELD(scoped, 2) = part[MODEL];
  RECORD_FIELD(scoped, 3) = part[DEPTH];
  RECORD_FIELD(scoped, 4) = part[TRUNCATED];
  return scoped;
}

const PrimDef request_prims[] = {
  {"%call-message", prim_call_message, 3, 3, NULL},
  {"%ask-host!", prim_ask_host, 2, 2, NULL},
  {"%ask-llm!", prim_ask_llm, 2, 2, NULL},
  {"%reply", prim_reply, 1, 1, NULL},
  {"%answer", prim_answer, 2, 2, NULL},
  {0}
};
