/* The lease: what the coordinator has granted and this process has not put to use.
 *
 * The coordinator's promise is about resident memory. So what is charged here are pages that may
 * become resident, from before they are touched until the kernel has them back. */
#ifndef TM_LEASE_H
#define TM_LEASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Charges `bytes`, asking the coordinator where the lease does not have them. False when refused.
 * Not to be called with a lock of the heap held: it may give empty slabs back. */
bool tm_lease_charge(size_t bytes);

/* Charges `bytes` only if the lease has them. */
bool tm_lease_take(size_t bytes);

/* Sees to it that the lease has `bytes` for a tm_lease_take. False when refused. */
bool tm_lease_ensure(size_t bytes);

/* Takes the charge back: the pages are not resident any more. Gives much of an unused lease back
 * to the coordinator. */
void tm_lease_discharge(size_t bytes);

/* How much memory may lie about, so that a program that frees and allocates in turns asks nobody:
 * a quarter of what is in use, and less under a limit. */
size_t tm_lease_slack(void);

/* Waits until the lease has `bytes`. 0, or ETIMEDOUT, ENOMEM, EAGAIN. */
int tm_lease_wait(size_t bytes, unsigned timeout_ms);

/* Gives all of the unused lease back. */
void tm_lease_trim(void);

/* Drops the unused lease without a word: nobody has granted it to this process. How much it was. */
size_t tm_lease_forget(void);

/* The user's limit in bytes as the coordinator has told last; UINT64_MAX: none, or not known. */
uint64_t tm_lease_limit(void);

size_t tm_lease_unused(void);
size_t tm_lease_charged(void);

/* Around fork. */
void tm_lease_lock(void);
void tm_lease_unlock(void);
void tm_lease_renew_lock(void); /* in a child whose parent's threads may hold it */

#endif
