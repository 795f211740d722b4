/* boot.c — how the image comes to be: the core initialised, the prelude loaded file by file, memory sealed. */
#include "host/boot.h"
#include "compiler/generate.h"
#include "core/slip.h"
#include "core/globals.h"
#include "core/worklist.h"
#include "data/rtd.h"
#include "data/table.h"
#include "expander/env.h"
#include "host/mailbox.h"
#include "host/primitives.h"
#include "io/printer.h"
#include "io/reader.h"
#include "numbers/number.h"
#include "rlm.h"
#include "text/string.h"
#include "text/symbol.h"
#include "text/utf8.h"
#include "vm/error.h"
#include "vm/machine.h"
#include "vm/vm.h"
#include <stdarg.h>
#include <string.h>

/* ---- initialisation ---- */
void initialize_guest(void) {
  static bool initialized;
  if (initialized) return;
  initialized = true;
  heap_init();
  slips_init();
  worklist_init();
  strings_init();
  mailbox_init();
  expander_init();     /* the core environment first: everything is bound in it */
  error_init();
  compiler_init();
  numbers_init();
  prefab_init();
  machine_init();
  primitives_init();
  program_init();
  define_global(intern("%default"), V_DEFAULT);
}

/* ---- boot: the prelude is loaded by this small driver, without slices ---- */
#define BOOT_STEPS ((int64_t)1 << 60)
static bool boot_failed;

static Value call_now(Value proc, int argc, const Value *args) {
  machine_start(proc, argc, args);
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

void describe_failure(Value what) {
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
  outbox_text("failed", builder_finish(&b));
}

int32_t boot_file(void) {
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
  bool with_places = table_get(options, intern("places"), V_FALSE) != V_FALSE;
  boot_reader = with_places ? reader_of_program(text, boot_name) : reader_of_library(text, boot_name);
  while (!boot_failed) {
    Value form = call_global("%read-datum", 1, boot_reader);
    if (boot_failed || form == V_EOF) break;
    boot_form(form, core_environment());
  }
  if (!boot_failed) return RLM_DONE;
  describe_failure(m.result);
  return RLM_FAILED;
}

int32_t seal_image(void) {
  boot_state = boot_name = boot_reader = boot_forms = V_FALSE;
  machine_reset();
  memset(m.values, 0, sizeof m.values);
  memset(m.frames + 1, 0, sizeof m.frames - sizeof *m.frames);
  mailbox_empty();
  env_seal();
  heap_seal();
  vm.steps_used = 0;
  write_report();      /* a new instance has it before it has run */
  return RLM_DONE;
}
