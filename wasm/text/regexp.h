/* regexp.h — Racket's regular expressions (#rx and #px) over strings.
 *
 * regexp_parse.c    pattern text → a tree of nodes, checked as Racket checks it
 * regexp_compile.c  tree → code: 32-bit words, see enum regexp_op
 * regexp_match.c    the matcher: backtracking with a memory of what has failed, so that the time is
 *                   linear in the text (times the pattern) unless there is a back-reference
 * regexp.c          primitives: searching once, all matches, splitting, replacing
 */
#ifndef RLM_TEXT_REGEXP_H
#define RLM_TEXT_REGEXP_H
#include "text/string.h"

struct Regexp {
  uint64_t header;
  Value source;      /* immutable string */
  Value px;          /* #t or #f */
  Value groups;      /* fixnum: parenthesised groups */
  Value code;        /* T_RAW: instructions */
  Value sets;        /* T_RAW: character sets, see set_has */
  Value marks;       /* fixnum: how many choice points the matcher may have to remember at a position */
  Value lookbehind;  /* fixnum: how many characters before the start matter at the most */
  Value flags;       /* fixnum of RX_ flags */
  Value prefix;      /* #f, or the string that every match starts with */
  Value first;       /* #f, or T_RAW: the set of characters that a match may start with (never empty then) */
  Value inner;       /* #f, or a fixnum: a character that stands in every match, behind nothing but others */
  Value before;      /* T_RAW: the set of those others, in which it is not */
};

enum { REGEXP_SLOTS = 12 };
#define REGEXP(v) ((struct Regexp *)PTR(v))

enum { RX_ANCHORED = 1,       /* only matches at the very start of the text */
       RX_NO_MEMORY = 2 };    /* what failed once may succeed later: a back-reference or a test of a group */

enum { MAX_GROUPS = 1000, UNBOUNDED = 0xffffffff, NOWHERE = 0xffffffff };

Value regexp_make(Value source, bool px, bool bytes);     /* a regexp, or a signal */
bool regexp_is_of_bytes(Value rx);                        /* what it finds is given as bytes */
Value regexp_source(Value regexp);                        /* its string */
bool regexp_is_px(Value regexp);
#endif
