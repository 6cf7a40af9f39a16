/* What the library tells the user on stderr, a line each. Allocates nothing and takes no locks, as
 * it is called in the middle of a malloc. */
#ifndef TM_NOTICE_H
#define TM_NOTICE_H

#include "settings.h"

/* Writes the parts as one line. A null ends them. Longer lines than 1 KiB are cut. */
void tm_notice(const char *part, ...) __attribute__((sentinel));

/* Says that nobody answers at the socket, and what follows from it: once in a process, and not
 * where a process above it has said so already. `error` is an errno, ETIMEDOUT for no answer. */
void tm_notice_unreachable(const struct tm_settings *settings, int error);

#endif
