/* boot.h — making the image, at build time. */
#ifndef RLM_HOST_BOOT_H
#define RLM_HOST_BOOT_H
#include "core/value.h"

void initialize_guest(void);            /* once; later calls do nothing */
int32_t boot_file(void);                /* the message in the inbox: ["boot", {source, name}]; a rlm_status */
int32_t seal_image(void);
void describe_failure(Value what);      /* tells the host what ended a run that the prelude did not end itself */
void program_init(void);          /* program.c */
#endif
