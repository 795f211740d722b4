/* mailbox.c — the host's side of the machine: rlm.h. Between two calls nothing of it is on the C stack. */
#include "host/mailbox.h"
#include "compiler/generate.h"
#include "core/check.h"
#include "host/boot.h"
#include "rlm.h"
#include "text/utf8.h"
#include "vm/machine.h"
#include "vm/vm.h"
#include <string.h>

/* ---- outbox: one CBOR array of indefinite length, made by appending ---- */
static Value outbox;
static uint32_t outbox_start, outbox_length;

static void outbox_reset(void) {
  if (!IS(outbox, T_RAW) || OBJ_LENGTH(outbox) > 65536) outbox = heap_raw(T_RAW, 0, 2048);
  RAW_BYTES(outbox)[0] = 0x9f;
  outbox_start = 0;
  outbox_length = 1;
}

/* What is long is not copied again: the host takes it first. */
static bool host_takes_first(void) {
  if (outbox_length <= LONG_PART) return false;
  if (steps_left() > 0) charge(steps_left());
  return true;
}

/* Memory is reserved. */
static void outbox_grow(uint64_t need) {
  Value bigger = heap_raw(T_RAW, 0, (uint32_t)(need * 2));
  memcpy(RAW_BYTES(bigger), RAW_BYTES(outbox) + outbox_start, outbox_length);
  outbox = bigger;
  outbox_start = 0;
}

Value outbox_put(Value item) {
  uint64_t n = BYTES_LENGTH(item), need = outbox_length + n + 1;
  if (outbox_start + need > OBJ_LENGTH(outbox)) {
    if (host_takes_first()) return V_AGAIN;
    if (need > UINT32_MAX / 2) return err_fail("exn:fail", "message too large", V_NIL);
    if (!heap_reserve(need * 2)) return need_memory(need * 2);
    outbox_grow(need);
  }
  memcpy(RAW_BYTES(outbox) + outbox_start + outbox_length, BYTES(item), n);
  outbox_length += (uint32_t)n;
  return V_VOID;
}

uint8_t *outbox_room(uint32_t n) {
  uint64_t need = (uint64_t)outbox_length + n + 1;
  if (outbox_start + need > OBJ_LENGTH(outbox)) {
    if (outbox_length > LONG_PART || !heap_reserve(need * 2)) return NULL;
    outbox_grow(need);
  }
  return RAW_BYTES(outbox) + outbox_start + outbox_length;
}
void outbox_took(uint32_t n) { outbox_length += n; }

/* A long item gets an outbox of its own, in pieces: #(outbox done). What stands in the present one, which the host may
   take meanwhile, then comes before it. */
enum { SMALL_ITEMS = 4096 };            /* room for what follows a long one */
static Value put_long(Value item) {
  uint32_t n = BYTES_LENGTH(item), begun = 0;
  Value *kept = progress(), to;
  if (kept) {
    to = kept[0];
    begun = (uint32_t)FIX_VALUE(kept[1]);
  } else {
    if (host_takes_first()) return V_AGAIN;
    uint64_t bytes = (uint64_t)n + outbox_length + SMALL_ITEMS;
    if (bytes > UINT32_MAX / 2) return err_fail("exn:fail", "message too large", V_NIL);
    if (!heap_reserve(bytes + 64)) return need_memory(bytes + 64);
    to = heap_raw(T_RAW, 0, (uint32_t)bytes);
  }
  uint32_t before = OBJ_LENGTH(to) - SMALL_ITEMS - n;
  FOR_PARTS(i, part, begun, n, 64, pause_keeping(2, to, FIX(i))) memcpy(RAW_BYTES(to) + before + i, BYTES(item) + i, part);
  CHECK(outbox_length <= before);
  memcpy(RAW_BYTES(to) + before - outbox_length, RAW_BYTES(outbox) + outbox_start, outbox_length);
  outbox = to;
  outbox_start = before - outbox_length;
  outbox_length += n;
  return V_VOID;
}

/* (%outbox! bytevector): append one encoded item */
static Value prim_outbox(int argc, Value *args) {
  (void)argc;
  CHECK_BYTES("%outbox!", 0);
  return BYTES_LENGTH(args[0]) > LONG_PART ? put_long(args[0]) : outbox_put(args[0]);
}
const PrimDef message_prims[] = {{"%outbox!", prim_outbox, 1, 1, NULL}, {0}};

void outbox_text(const char *kind, Value text) {      /* [kind, text] */
  uint32_t n = string_utf8_length(text), k = (uint32_t)strlen(kind);
  Value bytes = heap_raw(T_BYTES, 0, n + k + 16);
  uint8_t *p = BYTES(bytes);
  *p++ = 0x82;
  *p++ = (uint8_t)(0x60 + k);
  memcpy(p, kind, k);
  p += k;
  *p++ = 0x7a;
  for (int shift = 24; shift >= 0; shift -= 8) *p++ = (uint8_t)(n >> shift);
  p += string_to_utf8(text, p);
  HEADER_OF(bytes) = HEADER(T_BYTES, OBJ_FLAGS(bytes), (uint32_t)(p - BYTES(bytes)));
  outbox_put(bytes);
}

void mailbox_init(void) {
  heap_root(&outbox);
  outbox = V_FALSE;
  m.inbox = V_FALSE;
}
void mailbox_empty(void) {
  m.inbox = vm.long_text = V_FALSE;
  outbox = V_FALSE;
  outbox_reset();
}

/* ---- inbox ---- */
static bool inbox_given, text_given;    /* rlm_inbox or rlm_inbox_text made it, for the rlm_run to come */
static bool has_room(uint32_t length) {
  initialize_guest();
  if (length > RLM_INBOX_LIMIT) return false;
  if (heap_reserve(length + 4096)) return true;
  if (!heap_collecting()) return false;
  while (!heap_collect()) {}              /* there may be room when it is over */
  return heap_reserve(length + 4096);
}
RLM_EXPORT(rlm_inbox) uint32_t rlm_inbox(uint32_t length) {
  if (!has_room(length)) return 0;
  m.inbox = heap_raw(T_BYTES, 0, length);
  inbox_given = true;
  return (uint32_t)(uintptr_t)BYTES(m.inbox);
}
/* A large object has pages of its own and is never moved: so its characters stand as far behind the beginning of a page
   as any other's, and the host may map pages over them. */
RLM_EXPORT(rlm_inbox_text) uint32_t rlm_inbox_text(uint32_t length, uint32_t width) {
  if (!has_room(length)) return 0;
  vm.long_text = heap_raw(T_RAW, width == 4 ? H_WIDTH4 : width == 2 ? H_WIDTH2 : H_WIDTH1, length);
  text_given = true;
  return (uint32_t)(uintptr_t)RAW_BYTES(vm.long_text);
}
RLM_EXPORT(rlm_outbox) uint32_t rlm_outbox(void) { return outbox_length ? (uint32_t)(uintptr_t)RAW_BYTES(outbox) + outbox_start : 0; }
RLM_EXPORT(rlm_outbox_length) uint32_t rlm_outbox_length(void) { return outbox_length; }

/* What a host wants to know after every run lies in one place: a look there is cheaper than three calls. */
static struct rlm_report report;
static uint8_t short_message[RLM_SHORT_MESSAGE];
RLM_EXPORT(rlm_report) uint32_t rlm_report(void) { return (uint32_t)(uintptr_t)&report; }
void write_report(void) {
  report.outbox = rlm_outbox();
  report.outbox_length = rlm_outbox_length();
  report.heap_used = heap_used();
  report.inbox = (uint32_t)(uintptr_t)short_message;
  report.inbox_bytes = sizeof short_message;
  report.touched_end = heap_touched_end();
  report.image_end = heap_image_end();
}
/* Where rlm_inbox was not called for it. One that nobody took yet is overwritten. */
static void take_short_message(uint32_t length) {
  if (inbox_given || length > sizeof short_message) return;
  m.inbox = heap_raw(T_BYTES, 0, length);
  memcpy(BYTES(m.inbox), short_message, length);
}
static void take_text(void) {
  if (!text_given) vm.long_text = V_FALSE;
  else if (IS(m.inbox, T_BYTES)) SET_FLAG(m.inbox, H_TEXT_APART);
}

RLM_EXPORT(rlm_steps) uint64_t rlm_steps(void) { return vm.steps_used; }

/* Is the inbox an array that begins with this text? */
static bool message_is(const char *kind) {
  uint32_t k = (uint32_t)strlen(kind), n = BYTES_LENGTH(m.inbox);
  const uint8_t *p = BYTES(m.inbox);
  return n >= k + 2 && (p[0] >> 5 == 4) && p[1] == 0x60 + k && memcmp(p + 2, kind, k) == 0;
}
RLM_EXPORT(rlm_heap_used) uint64_t rlm_heap_used(void) { return heap_used(); }
RLM_EXPORT(rlm_collected) uint64_t rlm_collected(void) { return heap_collected(); }
RLM_EXPORT(rlm_page_map) uint32_t rlm_page_map(void) { return (uint32_t)(uintptr_t)heap_page_map(); }
RLM_EXPORT(rlm_page_map_length) uint32_t rlm_page_map_length(void) { return heap_page_map_length(); }

/* ---- running ---- */
static void give_steps(int64_t steps) {
  if (vm.collect) { vm.hidden_steps = steps; vm.steps = 0; } else vm.steps = steps;
}

static int32_t finish(enum run_status status) {
  switch (status) {
    case RUN_DONE: m.active = false; return RLM_DONE;
    case RUN_SUSPENDED: return RLM_SUSPENDED;
    case RUN_PREEMPTED: return RLM_PREEMPTED;
    default:
      m.active = false;
      if (m.result == V_UNBOUND) outbox_text("failed", string_from_c("memory"));
      else describe_failure(m.result);
      machine_reset();
      return RLM_FAILED;
  }
}

/* Memory was short: the execution has been dropped, the definitions are kept. Once what only it held is
   collected, the hook tells the host which limit it was. */
static enum run_status drop_execution(void) {
  m.dropping = true;
  if (!heap_collect()) return RUN_PREEMPTED;
  m.dropping = false;
  m.inbox = vm.long_text = V_FALSE;
  m.message_waiting = false;
  enum run_status status = RUN_NO_MEMORY;
  if (heap_has_room(0) && m.hook_memory != V_FALSE) {
    machine_start(m.hook_memory, 0, NULL);
    status = vm_run();
  }
  if (status != RUN_NO_MEMORY) return status;
  m.result = V_UNBOUND;                  /* what its definitions hold is too much already: the host goes back */
  return RUN_ERROR;
}

static int32_t run_machine(int64_t steps) {
  give_steps(steps);
  enum run_status status;
  if (m.dropping) status = drop_execution();
  else {
    status = vm_run();
    if (status == RUN_NO_MEMORY) {
      machine_reset();
      compiler_drop();
      status = drop_execution();
    }
  }
  vm.steps_used += (uint64_t)(steps - steps_left());
  return finish(status);
}

RLM_EXPORT(rlm_run) int32_t rlm_run(uint32_t length, int64_t steps) {
  initialize_guest();
  outbox_reset();
  if (length) {
    take_short_message(length);
    take_text();
  }
  inbox_given = text_given = false;
  int32_t status;
  if (length && IS(m.inbox, T_BYTES) && message_is("boot")) status = boot_file();
  else if (length && IS(m.inbox, T_BYTES) && message_is("seal")) return seal_image();
  else {
    if (length) m.message_waiting = true;
    if (m.message_waiting && IS(m.inbox, T_BYTES) && message_is("interrupt")) {
      if (!m.active) { m.message_waiting = false; status = RLM_DONE; goto done; }
      if (heap_collecting()) {             /* comes to its end first: what it has begun to move cannot be left */
        give_steps(steps);
        bool over = heap_collect();
        vm.steps_used += (uint64_t)(steps - steps_left());
        if (!over) { status = RLM_PREEMPTED; goto done; }
        if (steps_left() <= 0) { status = RLM_PREEMPTED; goto done; }
        steps = steps_left();
      }
      Value message = m.inbox;
      m.message_waiting = false;
      m.inbox = V_FALSE;
      machine_start(m.hook_interrupt, 1, &message);
      status = run_machine(steps);
    } else if (!m.active) {
      if (!length) { status = RLM_DONE; goto done; }
      m.active = true;
      machine_start(m.hook_main, 0, NULL);
      m.fresh = true;
      status = run_machine(steps);
    } else if (m.waiting && !length) {
      status = RLM_SUSPENDED;
    } else {
      status = run_machine(steps);
    }
  }
done:
  RAW_BYTES(outbox)[outbox_start + outbox_length++] = 0xff;   /* prim_outbox left room */
  write_report();
  return status;
}
