/* regexp_parse.h — pattern text to a tree of nodes, and the sets of characters that they name. */
#ifndef RLM_TEXT_REGEXP_PARSE_H
#define RLM_TEXT_REGEXP_PARSE_H
#include "text/regexp.h"

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
#endif
