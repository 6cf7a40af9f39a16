/* tmalloc: memory that is asked for before it is used.
 *
 * A program that allocates with tmalloc never passes the limit that toom enforces for its user:
 * what does not fit is refused with NULL, and nobody has to be killed. Most calls are served from a
 * lease, memory that the coordinator has granted to the process ahead of need, and ask nobody.
 *
 * All functions may be called from any thread at any time, but not from signal handlers. All sizes
 * are bytes. What is returned is aligned to 16 bytes. See tmalloc(3). */
#ifndef TMALLOC_H
#define TMALLOC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TMALLOC_API __attribute__((visibility("default")))

/* Allocates `size` bytes, not initialised. Size 0 gives a pointer that may only be freed.
 * NULL with errno ENOMEM when the memory was refused. */
TMALLOC_API void *tmalloc(size_t size) __attribute__((malloc, alloc_size(1)));

/* Allocates `count` times `size` bytes of zeros. Fresh memory is not touched for it.
 * NULL with errno ENOMEM when refused or when the product is too large. */
TMALLOC_API void *tcalloc(size_t count, size_t size) __attribute__((malloc, alloc_size(1, 2)));

/* Makes `block` hold `size` bytes, moving it where necessary. NULL is allocated, size 0 is freed
 * (and NULL returned). On refusal NULL with errno ENOMEM, and the block stays as it was. */
TMALLOC_API void *trealloc(void *block, size_t size) __attribute__((alloc_size(2)));

/* Frees a block of this library. NULL does nothing. Leaves errno alone. */
TMALLOC_API void tfree(void *block);

/* How many bytes of `block` may be used: at least what was asked for. 0 for NULL. */
TMALLOC_API size_t tmalloc_usable_size(void *block);

/* As tmalloc, but waits for up to `timeout_ms` milliseconds until the memory is there.
 * NULL with errno ETIMEDOUT when it was not; ENOMEM when it can never be granted, or is beyond the
 * claim; EAGAIN when too many already wait. A negative timeout waits for a day. */
TMALLOC_API void *tmalloc_wait(size_t size, int timeout_ms) __attribute__((malloc, alloc_size(1)));

/* Declares that this process never needs more than `bytes` from tmalloc at a time, what it has now
 * included; 0 withdraws the claim. Requests are then granted only when everybody who made a claim
 * can still get it in some order, so that waits of claimants never deadlock. What is beyond the
 * claim is refused. An eighth of `bytes` and 256 KiB are added for the allocator's own needs.
 * 0, or -1 with errno ENOMEM when such a claim cannot be met, ENOTCONN when nobody is there to
 * hear it. */
TMALLOC_API int tmalloc_claim(size_t bytes);

/* What tmalloc_query tells. */
struct tmalloc_info {
  uint64_t level_bytes;     /* the most this process may have resident without asking again */
  uint64_t resident_bytes;  /* what it has resident, as far as the coordinator has been told */
  uint64_t committed_bytes; /* what the processes of the user have, or may have without asking */
  uint64_t hard_bytes;      /* limit of the user, UINT64_MAX when there is none */
  uint64_t claim_bytes;     /* claim of the process as a level, 0 when there is none */
  uint64_t charged_bytes;   /* pages that this library has in use */
  uint64_t lease_bytes;     /* granted to this process and not in use */
};

/* Asks the coordinator for the numbers of this process and its user. Fills the last two fields in
 * any case. 0, or -1 with errno ENOTCONN when no coordinator answers. */
TMALLOC_API int tmalloc_query(struct tmalloc_info *info);

#define TMALLOC_UNKNOWN UINT64_MAX

/* What tmalloc_usage tells of the user, all its processes together, whether they ask or not. */
struct tmalloc_usage {
  uint64_t limit_bytes;    /* UINT64_MAX when there is none */
  uint64_t usage_bytes;    /* what the limit is compared with; TMALLOC_UNKNOWN without a limit, and
                            * when an older coordinator answers */
  uint64_t headroom_bytes; /* what could be granted now: the limit without usage, and without what
                            * was granted and is not in use yet; UINT64_MAX without a limit */
};

/* Asks the coordinator for the numbers of the user. 0, or -1 with errno ENOTCONN when no
 * coordinator answers. */
TMALLOC_API int tmalloc_usage(struct tmalloc_usage *usage);

/* As fork(2), but asks for room for the child first: -1 with errno ENOMEM when there is none. That
 * is what a child needs until it executes another program, or a copy of all that it inherits when
 * the environment says TMALLOC_FORK=strict. Plain fork(2) works as well, without asking. */
TMALLOC_API pid_t tmalloc_fork(void);

/* Gives back what is granted and not in use: this thread's cached blocks, empty slabs, the lease. */
TMALLOC_API void tmalloc_trim(void);

#ifdef __cplusplus
}
#endif

#endif
