/* check.h — invariants that memory safety hangs on.
 *
 * CHECK(cond) costs nothing in the shipped module. In a debug image (RLM_DEBUG: build/native.py) a
 * broken one is reported by its text, file and line, and the machine stops there and then, not
 * where the damage shows.
 */
#ifndef RLM_CORE_CHECK_H
#define RLM_CORE_CHECK_H

#ifdef RLM_DEBUG
_Noreturn void check_failed(const char *condition, const char *file, int line);
#define CHECK(cond) ((cond) ? (void)0 : check_failed(#cond, __FILE__, __LINE__))
#else
#define CHECK(cond) ((void)sizeof(cond))   /* not evaluated, but still compiled */
#endif
#endif
