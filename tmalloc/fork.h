/* Which process this is: after fork(2), clone(2) or vfork(2) the same memory may be another's. */
#ifndef TM_FORK_H
#define TM_FORK_H

#include <stdbool.h>
#include <sys/types.h>

/* Whether this process may speak for its memory. False in a vfork child, whose memory is its
 * parent's. A child that was made behind the libc's back is set up here. */
bool tm_fork_may_speak(void);

/* Before a lock is taken that other threads hold while they wait for the coordinator: in a child that
 * was made behind the libc's back (_Fork, clone) they hold it for ever, as they are not in it. There
 * these locks are made anew. */
void tm_fork_before_lock(void);

/* Has `renew` make one more of such locks anew. */
void tm_fork_renew_by(void (*renew)(void));

/* Forks by `forker` when the coordinator has room for the child: what it needs until it executes
 * another program, or with TMALLOC_FORK=strict a copy of all that it inherits. -1 with errno ENOMEM
 * when there is none, else what `forker` returns. */
pid_t tm_fork_asking(pid_t (*forker)(void));

#endif
