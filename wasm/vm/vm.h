/* vm.h — running the machine. */
#ifndef RLM_VM_VM_H
#define RLM_VM_VM_H

enum run_status { RUN_DONE, RUN_SUSPENDED, RUN_PREEMPTED, RUN_NO_MEMORY, RUN_ERROR /* no raise hook */ };
enum run_status vm_run(void);
#endif
