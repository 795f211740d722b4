/* raise.h — raising an error from C.
 *
 * All of these build a condition (a record of an exn type) in vm.error and return V_ERROR; the VM adds
 * the place and the backtrace. They are the one thing that is declared here and made above: the
 * wording needs strings and the printer, so their code is vm/error.c.
 *
 * `who` is the procedure's Scheme name, or NULL for the primitive's own name as registered. Messages
 * are worded as Racket's:
 *   "vector-ref: index is out of range\n  index: 7\n  valid range: [0, 2]\n  vector: '#(1 2 3)"
 */
#ifndef RLM_CORE_RAISE_H
#define RLM_CORE_RAISE_H
#include "core/value.h"

Value err_type(const char *who, int argument, const char *expected, Value got); /* argument from 0;
      expected: a noun of the table in vm/error.c, "string", or the contract itself */
Value err_range(const char *who, const char *what, int64_t index, int64_t low, int64_t high, Value of);
Value err_slice(int64_t start, int64_t end, int64_t length, Value of);   /* an end before the start or beyond the length */
Value err_divide(const char *who);
Value err_read(const char *message, uint32_t place, bool at_eof, Value irritants); /* exn:fail:read, :read:eof */
Value err_syntax(const char *message, Value form, uint32_t place);   /* exn:fail:syntax */
Value err_fail(const char *kind, const char *message, Value irritants); /* kind: symbol name of an exn type:
      exn:fail exn:fail:contract exn:fail:contract:arity exn:fail:contract:variable
      exn:fail:contract:divide-by-zero exn:fail:read exn:fail:read:eof exn:fail:syntax
      exn:fail:user exn:fail:capability exn:fail:memory exn:break */
Value err_fail_hint(const char *kind, const char *message, Value irritants, const char *hint);
Value err_failf(const char *kind, const char *format, ...); /* %s C string, %d int, %v Value (written, cut at 60 characters), %q symbol/string displayed, cut; %S whole string */

Value exn_type(const char *name);                          /* the rtd of a built-in condition type */
void error_of_caller(void);                              /* that error is the caller's fault: its place counts */
void error_irritants(Value list);                        /* of the error that was made just now */
Value error_shown(Value v);                                /* a value as messages show it: printed, bounded */
#endif
