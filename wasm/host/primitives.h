/* primitives.h — every primitive, bound in the core environment. */
#ifndef RLM_HOST_PRIMITIVES_H
#define RLM_HOST_PRIMITIVES_H
void primitives_init(void);
#endif
