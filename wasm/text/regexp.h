/* regexp.h — Racket's regular expressions (#rx and #px) over strings.
 *
 * regexp_parse.c    pattern text → a tree of nodes, checked as Racket checks it
 * regexp_compile.c  tree → code: 32-bit words, see enum regexp_op
 * regexp_match.c    the matcher: backtracking with a memory of what has failed, so that the time is
 *                   linear in the text (times the pattern) unless there is a back-reference
 * regexp.c          primitives: searching once, all matches, splitting, replacing
 */
#ifndef RLM_REGEXP_H
#define RLM_REGEXP_H
#include "text.h"

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
};
enum { REGEXP_SLOTS = 10 };
#define REGEXP(v) ((struct Regexp *)PTR(v))
enum { RX_ANCHORED = 1,       /* only matches at the very start of the text */
       RX_NO_MEMORY = 2 };    /* what failed once may succeed later: a back-reference or a test of a group */

enum { MAX_GROUPS = 1000, UNBOUNDED = 0xffffffff, NOWHERE = 0xffffffff };

/* ---- character sets, in words: 8 of bitmap for the characters below 256; a word of flags; a mask
   of general categories; the number of ranges; the ranges (first, last), ascending ---- */
enum { SET_FLAGS = 8, SET_CATEGORIES, SET_COUNT, SET_RANGES, SET_NEGATED = 1 };
bool set_has_wide(const uint32_t *set, uint32_t c);
static inline bool set_has(const uint32_t *set, uint32_t c) {
  return c < 256 ? set[c >> 5] >> (c & 31) & 1 : set_has_wide(set, c);
}

/* ---- the tree ---- */
enum node_kind {
  N_EMPTY, N_CHAR, N_ANY, N_NOT_NEWLINE, N_SET,           /* a: character or set */
  N_SEQUENCE, N_CHOICE,                                   /* children */
  N_REPEAT,                                               /* a: min, b: max, flag: NODE_LAZY */
  N_GROUP,                                                /* a: number from 1; one child */
  N_BACKREF,                                              /* a: number, flag: NODE_NO_CASE */
  N_START, N_END, N_LINE_START, N_LINE_END, N_WORD, N_NOT_WORD,
  N_LOOK,                                                 /* flag: NODE_BEHIND, NODE_NOT; a, b: min, max length */
  N_ATOMIC,
  N_IF,                                                   /* children: test (N_LOOK or N_BACKREF), yes, no */
};
enum { NODE_LAZY = 1, NODE_NO_CASE = 1, NODE_BEHIND = 1, NODE_NOT = 2 };
typedef struct { uint8_t kind, flag; uint32_t a, b; uint32_t child, next; } Node;   /* indexes; 0: none */

typedef struct {
  Node *nodes;
  uint32_t root, groups, lookbehind;
  bool has_references;
  Value sets;              /* T_RAW, as long as it needs to be */
} Tree;
/* V_TRUE, or a signal. */
Value regexp_parse(Value source, bool px, Tree *tree);
Value regexp_compile(Value source, bool px, const Tree *tree);   /* a T_REGEXP, or a signal */

/* ---- the code: an instruction and its operands, a word each ---- */
enum regexp_op {
  RE_MATCH,
  RE_CHAR,           /* character */
  RE_ANY, RE_NOT_NEWLINE,
  RE_SET,            /* offset in sets */
  RE_JUMP,           /* to */
  RE_SPLIT,          /* mark, first, second: where to go; the second after the first failed */
  RE_RUN,            /* mark, atom, operand of atom, min, max, lazy?: one of the four above, many times; two marks */
  RE_SAVE,           /* slot: the position */
  RE_CLOSE,          /* group: ends here, started where its third slot says */
  RE_START, RE_END, RE_LINE_START, RE_LINE_END, RE_WORD, RE_NOT_WORD,
  RE_BACKREF, RE_BACKREF_NO_CASE,   /* group */
  RE_LOOK,           /* flag, min, max, if true, if false (NOWHERE: fail); the body follows */
  RE_LOOK_END,
  RE_ATOMIC, RE_ATOMIC_END,
  RE_IF_GROUP,       /* group, if not set */
};
enum { RUN_SIZE = 7, SPLIT_SIZE = 4, LOOK_SIZE = 6 };

/* ---- matching: there is one matcher; it is begun, run until it says other than MATCH_PAUSED, and
   saved and loaded across pauses ---- */
enum match_outcome { MATCH_NO, MATCH_YES, MATCH_PAUSED };
/* Searches text[from, end). What is before `low` does not exist; a match must end at least_end or later. */
void match_begin(Value regexp, Value text, uint32_t low, uint32_t from, uint32_t end, uint32_t least_end);
enum match_outcome match_run(void);
uint32_t match_slot(uint32_t slot);      /* 2n: where group n starts, 2n + 1: where it ends; NOWHERE */
Value match_save(void);
void match_load(Value saved);
#endif
