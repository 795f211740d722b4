/* check.c — what a broken invariant does in a debug build. */
#include "core/check.h"

#ifdef RLM_DEBUG
#ifdef __wasm__
/* The host finds the text where rlm_check_failure says, once the trap has ended the instance. */
static const char *failure;
__attribute__((export_name("rlm_check_failure"))) const char *rlm_check_failure(void);
const char *rlm_check_failure(void) { return failure; }

void check_failed(const char *text) {
  failure = text;
  __builtin_trap();
}
#else
#include <stdio.h>
#include <stdlib.h>

void check_failed(const char *text) {
  fprintf(stderr, "invariant broken: %s\n", text);
  abort();
}
#endif
#endif
