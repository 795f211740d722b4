/* regexp_compile.h — a tree to code. */
#ifndef RLM_TEXT_REGEXP_COMPILE_H
#define RLM_TEXT_REGEXP_COMPILE_H
#include "text/regexp_parse.h"

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
#endif
