/* code.h — compiled code: the instructions that compiler/generate.c writes and vm.c runs.
 *
 * Code is an array of 32-bit words. An instruction is one word, the opcode in the low 8 bits and a
 * 24-bit operand A above; some have further words. "push" and "pop" are the value stack's; fp
 * points at the running procedure's first argument, and its locals and temporaries lie above.
 *
 * What an instruction takes from the value stack and what it leaves (top right):
 *
 *   CONST FIXNUM SPECIAL LOCAL FREE GLOBAL, LOCAL_BOX FREE_BOX, CAR_L CDR_L        → v
 *   LOCAL2                                                                         → v w
 *   VECTOR_REF_LL                                                                  → v
 *   CLOSURE, ADD_LI ADD_LL and the other operations of locals, ACCESS_LOCAL        → v
 *   SET_LOCAL_BOX SET_FREE_BOX INIT_BOX SET_GLOBAL DEFINE_GLOBAL, POP            v →
 *   BOX_LOCAL PATCH JUMP CHARGE, and the comparisons and tests with L operands            →
 *   BOX_TOP, the operations of one operand, ADD_SI SUB_SI ... VECTOR_REF_L       v → w
 *   ACCESS_GLOBAL PREDICATE_GLOBAL                                               v → w
 *   the operations of two operands (CONS, EQ, ADD_SS, VECTOR_REF ...)          v w → x
 *   VECTOR_SET                                                               v w x → void
 *   LT_3 GT_3 LE_3 GE_3 EQN_3                                                v w x → y
 *   SLIDE                                                              v1 ... vA w → w
 *   POPN, LOOP (into the slots)                                          v1 ... vn →
 *   LIST                                                                 v1 ... vA → list
 *   CONSTRUCT_GLOBAL                                                     v1 ... vA → record
 *   SET_LOCAL, CONS_INTO, ADD_INTO (or v → w, where the sum is no small integer)     v →
 *   LOOP_BACK COUNT.., ADD_LI_SET ADD_LL_SET (or → v, where the sum is no small integer)  →
 *   JUMP_FALSE JUMP_TRUE, JN_.._SI, J(N)_NULL J(N)_PAIR                          v →
 *   JN_.._SS, J(N)_EQ                                                          v w →
 *   AND_JUMP OR_JUMP                                                             v → v where it jumps, else nothing
 *   CALL TAIL_CALL                                                  a1 ... aA proc → result
 *   CALL_GLOBAL TAIL_CALL_GLOBAL CASE_GLOBAL CALL_PRIM                   a1 ... aA → result
 *   RETURN UNDERFLOW                                                             v → v in the frame below
 *   RETURN_LOCAL, ACCESS MODIFY PREDICATE CONSTRUCT                                → v in the frame below
 *   MERGE_TAKE                                                                   v →
 *   RESUME (with the tick's value on top)                                        v → in the frame below
 */
#ifndef RLM_VM_CODE_H
#define RLM_VM_CODE_H
#include "core/template.h"

/* X(name) in order; the comment gives operand and effect. Binary operations come in forms by where
   their operands are: SS both on the stack, SI stack and immediate (A), LL two locals (A: first
   12 bits and next 12 bits), LI local (low 12 bits) and immediate (high 12 bits, signed). */
#define OPCODES(X) \
  X(CONST)         /* A: constant index; push it */ \
  X(FIXNUM)        /* A: signed; push it */ \
  X(SPECIAL)       /* A: payload of a T_SPECIAL; push it */ \
  X(LOCAL)         /* A: slot; push fp[A] */ \
  X(LOCAL2)        /* A: two slots of 12 bits; push both */ \
  X(LOCAL_BOX)     /* A: slot of a box; push its content, an error where unbound */ \
  X(FREE)          /* A: index; push the closure's captured value */ \
  X(FREE_BOX)      /* likewise the content of a captured box */ \
  X(GLOBAL)        /* A: constant index of a cell; push its value */ \
  X(SET_LOCAL_BOX) X(SET_FREE_BOX) X(SET_GLOBAL) X(DEFINE_GLOBAL) /* pop into it */ \
  X(INIT_BOX)      /* A: slot; pop into the box: letrec's initialisation */ \
  X(BOX_TOP)       /* wrap the top in a box */ \
  X(BOX_LOCAL)     /* A: slot; fp[A] = box(fp[A]) */ \
  X(CLOSURE)       /* A: constant index of a template; next word: count; then count words: bit 0 free?, rest index */ \
  X(PATCH)         /* A: slot of a closure; next word: captured index << 16 | slot of the value: letrec's knots */ \
  X(POP) X(POPN)   /* A: how many */ \
  X(SLIDE)         /* A: keep the top, drop A below it */ \
  X(JUMP) X(JUMP_FALSE) X(JUMP_TRUE)      /* A: signed distance from the next word; the latter two pop */ \
  X(AND_JUMP)      /* if the top is false jump and keep it, else pop */ \
  X(OR_JUMP)       /* if the top is true jump and keep it, else pop */ \
  X(LOOP)          /* A: first slot; next word: count << 24 | distance back: pop count values into the slots, jump back */ \
  X(RETURN) X(RETURN_LOCAL) \
  X(CALL) X(TAIL_CALL)                    /* A: argument count; the procedure is on top of the arguments */ \
  X(CALL_GLOBAL) X(TAIL_CALL_GLOBAL)      /* A: argument count; next word: constant index of the cell */ \
  X(CALL_PRIM)     /* A: argument count, which the primitive takes; next word: primitive index */ \
  X(UNDERFLOW)     /* the bottom frame: go on in the captured continuation below, or halt */ \
  X(RESUME)        /* drop the top, go on in the frame below without pushing: after a tick */ \
  X(CAR) X(CDR) X(CAR_L) X(CDR_L) X(CADR) X(CDDR) X(CONS) X(SET_CAR) X(SET_CDR) \
  X(PAIRP) X(NULLP) X(NOT) X(EQ) X(EQV) X(ZEROP) \
  X(IS_TAG)        /* A: tag; replace the top by whether it has it */ \
  X(ADD_SS) X(ADD_SI) X(ADD_LI) X(ADD_LL) \
  X(SUB_SS) X(SUB_SI) X(SUB_LI) X(SUB_LL) \
  X(MUL_SS) X(MUL_SI) X(MUL_LI) X(MUL_LL) \
  X(QUOTIENT_SS) X(QUOTIENT_SI) X(QUOTIENT_LI) X(QUOTIENT_LL) \
  X(REMAINDER_SS) X(REMAINDER_SI) X(REMAINDER_LI) X(REMAINDER_LL) \
  X(MODULO_SS) X(MODULO_SI) X(MODULO_LI) X(MODULO_LL) \
  X(ADD_LI_SET) X(ADD_LL_SET)      /* an ADD_LI, of the same slot, or an ADD_LL and the SET_LOCAL that follows it */ \
  X(ADD_INTO)      /* A: slot; what it holds and the top: that is the sum, where it is a small integer, and the SET_LOCAL that follows is done, too */ \
  X(CONS_INTO)     /* A: slot; pop in front of the list there, without a SET_LOCAL behind it */ \
  X(SET_LOCAL)     /* A: slot; pop into it: only of a loop's variable, where the loop begins anew */ \
  X(LOOP_BACK)     /* next word: distance back: a LOOP whose variables have their values already */ \
  X(LT_SS) X(GT_SS) X(LE_SS) X(GE_SS) X(EQN_SS) \
  X(LT_3) X(GT_3) X(LE_3) X(GE_3) X(EQN_3)        /* of three operands on the stack */ \
  /* compare and jump where it does not hold; next word: signed distance */ \
  X(JN_LT_SS) X(JN_LT_SI) X(JN_LT_LI) X(JN_LT_LL) \
  X(JN_GT_SS) X(JN_GT_SI) X(JN_GT_LI) X(JN_GT_LL) \
  X(JN_LE_SS) X(JN_LE_SI) X(JN_LE_LI) X(JN_LE_LL) \
  X(JN_GE_SS) X(JN_GE_SI) X(JN_GE_LI) X(JN_GE_LL) \
  X(JN_EQN_SS) X(JN_EQN_SI) X(JN_EQN_LI) X(JN_EQN_LL) \
  X(JN_EQ) X(J_EQ) X(JN_NULL) X(J_NULL) X(JN_PAIR) X(J_PAIR)   /* A: signed distance */ \
  X(JN_NULL_L) X(J_NULL_L) X(JN_PAIR_L) X(J_PAIR_L)            /* A: slot; next word: distance */ \
  X(VECTOR_REF) \
  X(VECTOR_REF_L)  /* A: the index's slot */ \
  X(VECTOR_REF_LL) /* A: two slots of 12 bits */ \
  X(VECTOR_SET) X(VECTOR_LENGTH) X(STRING_REF) X(STRING_LENGTH) \
  X(CHAR_EQ) X(UNBOX) X(BOX) X(SET_BOX) \
  X(RECORD_REF) X(RECORD_IS) \
  /* whole bodies of record procedures: constant 0 is the rtd */ \
  X(ACCESS) X(MODIFY)   /* A: field */ \
  X(PREDICATE) \
  X(CONSTRUCT)     /* A: fields; constant 1: #f, or a vector that tells each field's argument or -1 */ \
  /* calls by a global name that is a record type's: such a procedure's whole body, while the cell holds what it held. Next word: constant
     index of the cell, behind which are the procedure and its rtd; bit 31: in tail position */ \
  X(ACCESS_GLOBAL) /* A: field */ \
  X(ACCESS_LOCAL)  /* the same of a local: A: its slot, 12 bits, and the field */ \
  X(PREDICATE_GLOBAL) \
  X(CONSTRUCT_GLOBAL) /* A: argument count */ \
  /* the same of a case-lambda, behind which is the closure that takes so many arguments: that one is called */ \
  X(CASE_GLOBAL)   /* A: argument count */ \
  /* a merge of two sorted lists: fp is the order, both lists, and what has been taken, the last first. A: bit 0: they fall; bit 1: compared
     are the items' cars */ \
  X(MERGE_TAKE)    /* what the order said of the lists' firsts is on top: one of them is taken; and then: */ \
  X(MERGE_NEXT)    /* calls the order with their firsts, to go on at the next word, or where one list has ended leaves the other in fp[1] and \
                      goes on behind it */ \
  X(CONS_L)        /* A: the cdr's slot */ \
  X(JN_EQ_LC) X(J_EQ_LC)   /* eq? of a local and a constant; A: slot, 12 bits, and constant index; next word: signed distance */ \
  /* What is in front of another instruction does that one's work, too, where it can; else its own alone, and the other comes next.
     So the other stands there whole, and may be jumped to. Each is named after both. */ \
  X(LOCAL_PRIM) X(CONST_PRIM)                       /* LOCAL or CONST, CALL_PRIM */ \
  X(LOCAL_CALL)                                     /* LOCAL, CALL */ \
  X(LOCAL_GLOBAL) X(LOCAL2_GLOBAL)                  /* LOCAL or LOCAL2, CALL_GLOBAL */ \
  X(POPN_JUMP)                                      /* POPN, JUMP */ \
  X(JN_PAIR_CAR) X(JN_PAIR_CDR)                     /* JN_PAIR_L, CAR_L or CDR_L of the same slot */ \
  X(UNPAIR)                                         /* JN_PAIR_L, CAR_L, CDR_L */ \
  X(JN_PAIR_CDR_NULL)                               /* JN_PAIR_L, CDR_L, JN_NULL */ \
  X(CHAR_EQ_TEST) X(IS_TAG_TEST)                    /* CHAR_EQ or IS_TAG, JUMP_FALSE */ \
  X(MUL_ADD_SS) X(MUL_ADD_LL)                       /* MUL_SS or MUL_LL, ADD_SS */ \
  X(CALL_PRIM_ANY) /* CALL_PRIM, with a count that the primitive does not take */ \
  X(LIST)          /* A: count; pop them, push their list */ \
  X(CHARGE)        /* A: steps that this code takes beside those of its calls: long code begins with it */ \
  /* LOOP of two variables, not far back, and the test that the loop begins with */ \
  X(LOOP2_LT_LI) X(LOOP2_LT_LL) X(LOOP2_GE_LI) X(LOOP2_GE_LL) X(LOOP2_EQN_LI) X(LOOP2_EQN_LL) \
  /* A loop's variable counts, and the test that the loop begins with is made. Where all are small integers, the loop goes on and steps are left, it does
     so behind its test; else nothing has been done, and what follows does it: ADD_LI_SET, SET_LOCAL, LOOP_BACK. A: how many steps, 8 bits, and the
     variable's distance from fp, 16 bits. Next words: what is added, as a fixnum's 32 low bits less 1; the limit; the distance to where the loop goes on,
     from here. I: the limit as a fixnum's 32 low bits; L, G: a local's distance from fp, a cell's from the constants. Distances are bytes. Named
     after what the variable and the limit have to fulfil. */ \
  X(COUNT_LT_I) X(COUNT_LT_L) X(COUNT_LT_G) X(COUNT_GT_I) X(COUNT_GT_L) X(COUNT_GT_G) X(COUNT_NE_I) X(COUNT_NE_L) X(COUNT_NE_G) \
  X(COUNT_LE_L) X(COUNT_LE_G) X(COUNT_GE_L) X(COUNT_GE_G)

#define TAIL_BIT 0x80000000u     /* of a record procedure's call by a global name */

/* So many words of code, gone through without a call, are a step more. */
#define WORDS_A_STEP 32

enum opcode {
#define X(name) OP_##name,
  OPCODES(X)
#undef X
  OP_COUNT
};
#endif
