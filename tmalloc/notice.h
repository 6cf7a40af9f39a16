/* What the library tells the user on stderr, a line each. Allocates nothing and takes no locks, as
 * it is called in the middle of a malloc. */
#ifndef TM_NOTICE_H
#define TM_NOTICE_H

#include <stdint.h>

#include "settings.h"

/* Writes the parts as one line. A null ends them. Longer lines than 1 KiB are cut. */
void tm_notice(const char *part, ...) __attribute__((sentinel));

/* Why a socket cannot be connected to: the words for an errno, ETIMEDOUT for no answer. */
const char *tm_notice_words(int error);

/* Says that nobody answers at the socket, and what follows from it: once in a process, and not
 * where a process above it has said so already. `error` is an errno, ETIMEDOUT for no answer. */
void tm_notice_unreachable(const struct tm_settings *settings, int error);

/* Says what to set where a mapping was refused that is more than the user may ever have, as runtimes
 * make that size themselves by the memory of the machine: once in a process. */
void tm_notice_never(uint64_t bytes, uint64_t hard_bytes);

#endif
