/* exp.h — e^x. */
#ifndef RLM_NUMBERS_EXP_H
#define RLM_NUMBERS_EXP_H

void exp_init(void);
double flonum_exp(double x);
#endif
