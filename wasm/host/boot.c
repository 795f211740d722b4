/* main.c — the host's side of the machine: rlm.h. Between two calls nothing of it is on the C stack. */
#include "vm_internal.h"
#include "ast.h"
#include "expand.h"
#include "rlm.h"
#include <stdarg.h>
#include <string.h>

/* ---- outbox: one CBOR array of indefinite length, made by appending ---- */
static Value outbox;
static uint32_t outbox_length;

static void outbox_reset(void) {
  if (!IS(outbox, T_RAW) || OBJ_LENGTH(outbox) > 65536) outbox = heap_raw(T_RAW, 0, 2048);
  RAW_BYTES(outbox)[0] = 0x9f;
  outbox_length = 1;
}
/* (%outbox! bytevector): append one encoded item */
static Value prim_outbox(int argc, Value *args) {
  (void)argc;
  CHECK_BYTES("%outbox!", 0);
  uint64_t n = BYTES_LENGTH(args[0]), need = outbox_length + n + 1;
  if (need > OBJ_LENGTH(outbox)) {
    if (need > UINT32_MAX / 2) return err_fail("exn:fail", "message too large", V_NIL);
    if (!heap_reserve(need * 2)) return need_memory(need * 2);
    Value bigger = heap_raw(T_RAW, 0, (uint32_t)(need * 2));
    memcpy(RAW_BYTES(bigger), RAW_BYTES(outbox), outbox_length);
    outbox = bigger;
  }
  memcpy(RAW_BYTES(outbox) + outbox_length, BYTES(args[0]), n);
  outbox_length += (uint32_t)n;
  return V_VOID;
}
const PrimDef message_prims[] = {{"%outbox!", prim_outbox, 1, 1, NULL}, {0}};

static void send_text(const char *kind, Value text) {      /* [kind, text] */
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
  prim_outbox(1, &bytes);
}

/* ---- birth ---- */
static bool born;
static void be_born(void) {
  born = true;
  heap_init();
  heap_root(&outbox);
  outbox = V_FALSE;
  expand_init();       /* the core environment first: everything is bound in it */
  error_init();
  compile_init();
  numbers_init();
  vm_init();
  prims_init();
  m.inbox = V_FALSE;
  define_global("%default", V_DEFAULT);
}

RLM_EXPORT(rlm_inbox) uint32_t rlm_inbox(uint32_t length) {
  if (!born) be_born();
  if (length > RLM_INBOX_LIMIT || !heap_reserve(length + 4096)) return 0;
  m.inbox = heap_raw(T_BYTES, 0, length);
  return (uint32_t)(uintptr_t)BYTES(m.inbox);
}
RLM_EXPORT(rlm_outbox) uint32_t rlm_outbox(void) { return outbox_length ? (uint32_t)(uintptr_t)RAW_BYTES(outbox) : 0; }
RLM_EXPORT(rlm_outbox_length) uint32_t rlm_outbox_length(void) { return outbox_length; }
RLM_EXPORT(rlm_steps) uint64_t rlm_steps(void) { return vm.steps_used; }

/* Is the inbox an array that begins with this text? */
static bool message_is(const char *kind) {
  uint32_t k = (uint32_t)strlen(kind), n = BYTES_LENGTH(m.inbox);
  const uint8_t *p = BYTES(m.inbox);
  return n >= k + 2 && (p[0] >> 5 == 4) && p[1] == 0x60 + k && memcmp(p + 2, kind, k) == 0;
}

/* ---- boot: the prelude is loaded by this small driver, without slices ---- */
#define BOOT_STEPS ((int64_t)1 << 60)
static bool boot_failed;

static Value call_now(Value proc, int argc, const Value *args) {
  vm_start(proc, argc, args);
  vm.steps = BOOT_STEPS;
  if (vm_run() == RUN_DONE) return m.result;
  boot_failed = true;
  return m.result;
}
static Value call_global(const char *name, int argc, ...) {
  Value args[4];
  va_list items;
  va_start(items, argc);
  for (int i = 0; i < argc; i++) args[i] = va_arg(items, Value);
  va_end(items);
  return call_now(CELL(global_cell(intern(name)))->value, argc, args);
}

/* C locals do not survive a collection; what the driver needs is kept here. */
static Value boot_state, boot_name, boot_reader, boot_forms;

static void boot_form(Value form, Value env);
static void boot_splice(Value forms, Value env) {
  Value saved = boot_forms;
  boot_forms = cons(cons(forms, env), saved);
  while (!boot_failed && is_pair(CAR(CAR(boot_forms)))) {
    Value form = CAR(CAR(CAR(boot_forms)));
    CAR(CAR(boot_forms)) = CDR(CAR(CAR(boot_forms)));
    boot_form(form, CDR(CAR(boot_forms)));
  }
  boot_forms = CDR(boot_forms);
}
static void boot_form(Value form, Value env) {
  boot_state = call_global("%expand-start", 2, form, env);
  while (!boot_failed) {
    Value r = call_global("%expand-run", 1, boot_state);
    if (boot_failed) return;
    if (IS_FIX(VEC(r)[0])) {
      Value thunk = call_global("%compile", 2, r, boot_name);
      if (!boot_failed) call_now(thunk, 0, NULL);
      return;
    }
    Value kind = VEC(r)[0], given;
    if (kind == intern("%splice")) { boot_splice(VEC(r)[1], VEC_LENGTH(r) > 2 ? VEC(r)[2] : env); return; }
    boot_forms = cons(cons(boot_state, V_NIL), boot_forms);      /* nested macros expand inside */
    if (kind == intern("%call")) given = call_global("apply", 2, VEC(r)[1], VEC(r)[2]);
    else if (kind == intern("%eval")) {
      Value thunk = call_global("%compile", 2, VEC(r)[1], boot_name);
      given = boot_failed ? thunk : call_now(thunk, 0, NULL);
    } else { boot_failed = true; m.result = r; return; }
    boot_state = CAR(CAR(boot_forms));
    boot_forms = CDR(boot_forms);
    if (!boot_failed) call_global("%expand-give!", 2, boot_state, given);
  }
}

static void describe_failure(Value what) {
  Builder b;
  builder_init(&b);
  if (IS(boot_name, T_SYMBOL)) { builder_string(&b, SYM(boot_name)->name); builder_c(&b, ": "); }
  if (record_is_a(what, exn_type("exn"))) {
    print_bounded(&b, RECORD_FIELD(what, 0), false, 1000);
    Value marks = RECORD_FIELD(what, 1);
    if (IS(marks, T_VECTOR)) { builder_c(&b, " "); print_bounded(&b, marks, true, 1000); }
  } else {
    print_bounded(&b, what, true, 1000);
  }
  send_text("failed", builder_finish(&b));
}

static int32_t boot(void) {
  boot_failed = false;
  heap_root(&boot_state);
  heap_root(&boot_name);
  heap_root(&boot_reader);
  heap_root(&boot_forms);
  boot_forms = V_NIL;
  Value message = call_global("%cbor-decode", 1, m.inbox);      /* ("boot" table) */
  m.inbox = V_FALSE;
  if (boot_failed) { describe_failure(message); return RLM_FAILED; }
  Value options = CADR(message);
  Value text = table_get(options, intern("source"), V_FALSE);
  boot_name = intern_string(table_get(options, intern("name"), string_from_c("prelude")));
  boot_reader = call_global("%make-reader", 2, text, boot_name);
  while (!boot_failed) {
    Value form = call_global("%read-datum", 1, boot_reader);
    if (boot_failed || form == V_EOF) break;
    boot_form(form, core_environment());
  }
  if (!boot_failed) return RLM_DONE;
  describe_failure(m.result);
  return RLM_FAILED;
}

static int32_t seal(void) {
  boot_state = boot_name = boot_reader = boot_forms = V_FALSE;
  m.inbox = V_FALSE;
  vm_reset();
  memset(m.values, 0, sizeof m.values);
  memset(m.frames + 1, 0, sizeof m.frames - sizeof *m.frames);
  outbox = V_FALSE;
  outbox_reset();
  heap_seal();
  vm.steps_used = 0;
  return RLM_DONE;
}

/* ---- running ---- */
static int64_t steps_left(void) { return vm.collect ? vm.hidden_steps + (vm.steps < 0 ? vm.steps : 0) : vm.steps; }
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
      describe_failure(m.result);
      vm_reset();
      return RLM_FAILED;
  }
}

static int32_t run_machine(int64_t steps) {
  give_steps(steps);
  enum run_status status = vm_run();
  if (status == RUN_NO_MEMORY) {
    /* drop the execution, keep the definitions; the hook tells the host which limit it was */
    vm_reset();
    vm.need_bytes = 0;
    m.inbox = V_FALSE;
    m.message_waiting = false;
    heap_collect();
    if (!heap_has_room(0) || m.hook_memory == V_FALSE) {
      m.result = V_FALSE;
      status = RUN_ERROR;
    } else {
      vm_start(m.hook_memory, 0, NULL);
      status = vm_run();
      if (status == RUN_NO_MEMORY) status = RUN_ERROR;
    }
  }
  vm.steps_used += (uint64_t)(steps - steps_left());
  return finish(status);
}

RLM_EXPORT(rlm_run) int32_t rlm_run(uint32_t length, int64_t steps) {
  if (!born) be_born();
  outbox_reset();
  int32_t status;
  if (length && IS(m.inbox, T_BYTES) && message_is("boot")) status = boot();
  else if (length && IS(m.inbox, T_BYTES) && message_is("seal")) return seal();
  else {
    if (length) m.message_waiting = true;
    if (length && message_is("interrupt")) {
      if (!m.active) { m.message_waiting = false; status = RLM_DONE; goto done; }
      Value message = m.inbox;
      m.message_waiting = false;
      m.inbox = V_FALSE;
      vm_start(m.hook_interrupt, 1, &message);
      status = run_machine(steps);
    } else if (!m.active) {
      if (!length) { status = RLM_DONE; goto done; }
      m.active = true;
      vm_start(m.hook_main, 0, NULL);
      status = run_machine(steps);
    } else if (m.waiting && !length) {
      status = RLM_SUSPENDED;
    } else {
      status = run_machine(steps);
    }
  }
done:
  RAW_BYTES(outbox)[outbox_length++] = 0xff;   /* prim_outbox left room */
  return status;
}
