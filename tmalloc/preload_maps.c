/* mmap and its kin for preloaded programs: memory that may become resident is charged.
 *
 * Charged is anonymous memory from when it becomes writable until it is unmapped. Reservations
 * (not writable, or MAP_NORESERVE) cost nothing, and neither do mapped files. */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/mman.h>

#include "fork.h"
#include "lease.h"
#include "notice.h"
#include "ranges.h"
#include "sys.h"
#include "tmalloc.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tm_ranges ranges;

static void enter(void) {
  tm_fork_before_lock();
  pthread_mutex_lock(&lock);
}

static void renew_lock(void) { lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; }

static enum tm_range_kind kind_of(int prot, int flags) {
  if (!(flags & MAP_ANONYMOUS)) return TM_UNKNOWN;
  if (!(prot & PROT_WRITE)) return TM_RESERVED;
  return flags & MAP_NORESERVE ? TM_UNKNOWN : TM_CHARGED;
}

/* What the kernel has no pages for any more, or other pages. Where a range cannot be split for
 * lack of memory, it stays charged: too much is safe. */
static void forget(uintptr_t start, size_t bytes) {
  size_t charged = tm_ranges_measure(&ranges, start, start + bytes, TM_CHARGED);
  if (!tm_ranges_prepare(&ranges)) return;
  tm_ranges_set(&ranges, start, start + bytes, TM_UNKNOWN);
  if (charged != 0) tm_lease_discharge(charged);
}

static bool charge_for(enum tm_range_kind kind, size_t bytes) {
  return tm_ranges_prepare(&ranges) && (kind != TM_CHARGED || tm_lease_charge(bytes));
}

static void *map(void *at, size_t length, int prot, int flags, int fd, int64_t offset) {
  size_t bytes = tm_page_up(length);
  enum tm_range_kind kind = kind_of(prot, flags);
  if (bytes == 0 || !charge_for(kind, bytes)) {
    if (bytes > tm_lease_limit()) tm_notice_never(bytes, tm_lease_limit());
    errno = length == 0 ? EINVAL : ENOMEM;
    return MAP_FAILED;
  }
  void *mapped = tm_sys_mmap(at, length, prot, flags, fd, offset);
  if (mapped == MAP_FAILED) {
    if (kind == TM_CHARGED) tm_lease_discharge(bytes);
    return MAP_FAILED;
  }
  uintptr_t start = (uintptr_t)mapped;
  forget(start, bytes);
  if (kind != TM_UNKNOWN) tm_ranges_set(&ranges, start, start + bytes, kind);
  return mapped;
}

TMALLOC_API void *mmap(void *at, size_t length, int prot, int flags, int fd, off_t offset) {
  enter();
  void *mapped = map(at, length, prot, flags, fd, offset);
  pthread_mutex_unlock(&lock);
  return mapped;
}

#undef mmap64
TMALLOC_API void *mmap64(void *at, size_t length, int prot, int flags, int fd, int64_t offset)
    __attribute__((alias("mmap")));

TMALLOC_API int munmap(void *at, size_t length) {
  enter();
  int result = tm_sys_munmap(at, length);
  if (result == 0) forget((uintptr_t)at, tm_page_up(length));
  pthread_mutex_unlock(&lock);
  return result;
}

static int protect(void *at, size_t length, int prot) {
  uintptr_t start = (uintptr_t)at, end = start + tm_page_up(length);
  size_t more = prot & PROT_WRITE ? tm_ranges_measure(&ranges, start, end, TM_RESERVED) : 0;
  if (more != 0 && !charge_for(TM_CHARGED, more)) {
    errno = ENOMEM;
    return -1;
  }
  int result = tm_sys_mprotect(at, length, prot);
  if (more == 0) return result;
  if (result == 0)
    tm_ranges_turn(&ranges, start, end, TM_RESERVED, TM_CHARGED);
  else
    tm_lease_discharge(more);
  return result;
}

TMALLOC_API int mprotect(void *at, size_t length, int prot) {
  enter();
  int result = protect(at, length, prot);
  pthread_mutex_unlock(&lock);
  return result;
}

/* What is charged in part is charged in full at its new place. */
static void *remap(void *old, size_t old_length, size_t length, int flags, void *at) {
  uintptr_t old_start = (uintptr_t)old;
  size_t old_bytes = tm_page_up(old_length), bytes = tm_page_up(length);
  uintptr_t old_end = old_start + (old_bytes != 0 ? old_bytes : tm_page_size());
  size_t charged = tm_ranges_measure(&ranges, old_start, old_end, TM_CHARGED);
  size_t reserved = tm_ranges_measure(&ranges, old_start, old_end, TM_RESERVED);
  enum tm_range_kind kind = charged != 0    ? TM_CHARGED
                            : reserved != 0 ? TM_RESERVED
                                            : TM_UNKNOWN;
  bool stays = old_bytes == 0 || flags & MREMAP_DONTUNMAP; /* the old one lives on */
  size_t had = stays ? 0 : charged;
  size_t more = kind == TM_CHARGED && bytes > had ? bytes - had : 0;
  if (bytes < length || !charge_for(kind, more)) {
    errno = ENOMEM;
    return MAP_FAILED;
  }
  void *moved = tm_sys_mremap(old, old_length, length, flags, at);
  if (moved == MAP_FAILED) {
    if (more != 0) tm_lease_discharge(more);
    return MAP_FAILED;
  }
  /* The charge of the old place, and `more`, become that of the new one. */
  if (!stays) tm_ranges_set(&ranges, old_start, old_end, TM_UNKNOWN);
  forget((uintptr_t)moved, bytes);
  tm_ranges_set(&ranges, (uintptr_t)moved, (uintptr_t)moved + bytes, kind);
  if (kind == TM_CHARGED && had > bytes) tm_lease_discharge(had - bytes);
  return moved;
}

TMALLOC_API void *mremap(void *old, size_t old_length, size_t length, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  void *at = flags & MREMAP_FIXED ? va_arg(rest, void *) : NULL;
  va_end(rest);
  enter();
  void *moved = remap(old, old_length, length, flags, at);
  pthread_mutex_unlock(&lock);
  return moved;
}

static void before_fork(void) { pthread_mutex_lock(&lock); }

static void after_fork(void) { pthread_mutex_unlock(&lock); }

__attribute__((constructor)) static void prepare_forks(void) {
  pthread_atfork(before_fork, after_fork, after_fork);
  tm_fork_renew_by(renew_lock);
}
