/* The user's limit in the words of runtimes that size themselves by the memory of the machine. */
#ifndef TM_EXEC_HINTS_H
#define TM_EXEC_HINTS_H

#include <stdint.h>

/* Puts the limit into the environment, and in RLIMIT_RSS, which Linux itself does not look at. What
 * the user has set is never changed. Nothing is said where the machine has no more than that. */
void exec_give_hints(uint64_t hard_bytes);

#endif
