/* random.h — the random source. */
#ifndef RLM_NUMBERS_RANDOM_H
#define RLM_NUMBERS_RANDOM_H

void random_init(void);
#endif
