/* malloc and its kin, and fork, for programs that know nothing of tmalloc: LD_PRELOAD.
 *
 * What the standards leave open is answered as glibc 2.36 does: programs have come to rely on it.
 * tests/test_glibc.c holds that. */
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <unistd.h>

#include "fork.h"
#include "heap.h"
#include "lease.h"
#include "settings.h"
#include "sys.h"
#include "tmalloc.h"

TMALLOC_API void *malloc(size_t size) { return tm_heap_take(size); }

TMALLOC_API void *calloc(size_t count, size_t size) { return tm_heap_take_zeros(count, size); }

TMALLOC_API void *realloc(void *block, size_t size) { return tm_heap_resize(block, size); }

TMALLOC_API void free(void *block) { tm_heap_give(block); }

TMALLOC_API size_t malloc_usable_size(void *block) { return tm_heap_size(block); }

TMALLOC_API void *reallocarray(void *block, size_t count, size_t size) {
  size_t bytes;
  if (!__builtin_mul_overflow(count, size, &bytes)) return tm_heap_resize(block, bytes);
  errno = ENOMEM;
  return NULL;
}

static bool is_power_of_two(size_t number) { return number != 0 && (number & (number - 1)) == 0; }

TMALLOC_API int posix_memalign(void **block, size_t alignment, size_t size) {
  if (!is_power_of_two(alignment) || alignment % sizeof(void *) != 0) return EINVAL;
  int error = errno;
  void *taken = tm_heap_take_aligned(alignment, size);
  errno = error;
  if (taken == NULL) return ENOMEM;
  *block = taken;
  return 0;
}

static const size_t ALIGNMENT_MOST = SIZE_MAX / 2 + 1; /* the largest power of two */

/* Takes any alignment, and rounds it up to a power of two. */
TMALLOC_API void *memalign(size_t alignment, size_t size) {
  if (alignment > ALIGNMENT_MOST) {
    errno = EINVAL;
    return NULL;
  }
  size_t power = sizeof(void *);
  while (power < alignment) power *= 2;
  return tm_heap_take_aligned(power, size);
}

/* The same function until glibc 2.38, which refuses what is no power of two. */
TMALLOC_API void *aligned_alloc(size_t alignment, size_t size) __attribute__((alias("memalign")));

TMALLOC_API void *valloc(size_t size) { return tm_heap_take_aligned(tm_page_size(), size); }

TMALLOC_API void *pvalloc(size_t size) {
  size_t bytes = tm_page_up(size);
  return tm_heap_take_aligned(tm_page_size(), bytes < size ? SIZE_MAX : bytes);
}

/* The libc's would trim its own heap, which is empty. Whether something was given back. */
TMALLOC_API int malloc_trim(size_t pad) {
  (void)pad;
  size_t before = tm_lease_charged() + tm_lease_unused();
  tm_heap_reclaim();
  tm_lease_trim();
  return tm_lease_charged() + tm_lease_unused() < before;
}

/* Asks before main does, so that it is known there whether anybody answers: see notice.c. */
__attribute__((constructor(102))) static void ask_early(void) { tm_heap_give(tm_heap_take(1)); }

typedef pid_t forker(void);

static forker *next_fork(void) {
  static _Atomic(forker *) known;
  forker *next = known;
  if (next == NULL) {
    *(void **)&next = dlsym(RTLD_NEXT, "fork");
    if (next == NULL) tm_die("the libc has no fork");
    known = next;
  }
  return next;
}

TMALLOC_API pid_t fork(void) { return tm_fork_asking(next_fork()); }
