/* check.h — invariants that memory safety hangs on.
 *
 * CHECK(condition) costs nothing in the shipped module. In a debug build (RLM_DEBUG: build/native.py, or
 * build/make_guest.py --debug) a broken one stops the machine there and then, not where the damage
 * shows: the native process prints its text, file and line; of a module, the host reads them at the
 * address that the export rlm_check_failure gives, and make_guest.py does.
 *
 * TRAP(text) ends the machine in every build, where going on would spoil memory; the text is the debug
 * build's.
 */
#ifndef RLM_CORE_CHECK_H
#define RLM_CORE_CHECK_H

#define CHECK_TEXT_(line) #line
#define CHECK_TEXT(line) CHECK_TEXT_(line)

#ifdef RLM_DEBUG
_Noreturn void check_failed(const char *text);
#define CHECK(condition) ((condition) ? (void)0 : check_failed(#condition " (" __FILE__ ":" CHECK_TEXT(__LINE__) ")"))
#define TRAP(text) check_failed(text " (" __FILE__ ":" CHECK_TEXT(__LINE__) ")")
#else
#define CHECK(condition) ((void)sizeof(condition))   /* not evaluated, but still compiled */
#define TRAP(text) __builtin_trap()
#endif
#endif
