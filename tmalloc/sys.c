#include "sys.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TM_SANITIZED_THREADS 1
#endif
#elif defined(__SANITIZE_THREAD__)
#define TM_SANITIZED_THREADS 1
#endif

size_t tm_page_size(void) {
#if defined(__x86_64__)
  return 4096;
#else
  static _Atomic(size_t) known;
  size_t page = atomic_load_explicit(&known, memory_order_relaxed);
  if (page == 0) {
    page = (size_t)sysconf(_SC_PAGESIZE);
    atomic_store_explicit(&known, page, memory_order_relaxed);
  }
  return page;
#endif
}

#ifdef TM_SANITIZED_THREADS
/* The sanitizer has to see mappings go, or it takes a new one for the old. */
void *tm_sys_mmap(void *at, size_t length, int prot, int flags, int fd, int64_t offset) {
  return mmap(at, length, prot, flags, fd, offset);
}

int tm_sys_munmap(void *at, size_t length) { return munmap(at, length); }
#else
void *tm_sys_mmap(void *at, size_t length, int prot, int flags, int fd, int64_t offset) {
  return (void *)syscall(SYS_mmap, at, length, prot, flags, fd, offset);
}

int tm_sys_munmap(void *at, size_t length) { return (int)syscall(SYS_munmap, at, length); }
#endif

void *tm_sys_mremap(void *old, size_t old_length, size_t length, int flags, void *at) {
  return (void *)syscall(SYS_mremap, old, old_length, length, flags, at);
}

int tm_sys_mprotect(void *at, size_t length, int prot) {
  return (int)syscall(SYS_mprotect, at, length, prot);
}

void *tm_map_aligned(size_t length, size_t alignment, size_t skew, int prot, int flags) {
  size_t room = length + alignment;
  if (room < length) return NULL;
  char *base = tm_sys_mmap(NULL, room, prot, MAP_PRIVATE | MAP_ANONYMOUS | flags, -1, 0);
  if (base == MAP_FAILED) return NULL;
  char *start = (char *)(tm_round_up((uintptr_t)base + skew, alignment) - skew);
  if (start > base) tm_sys_munmap(base, (size_t)(start - base));
  char *end = start + tm_page_up(length);
  if (end < base + room) tm_sys_munmap(end, (size_t)(base + room - end));
  return start;
}

void tm_pages_drop(void *at, size_t length) {
  /* Pages that were locked in memory cannot be dropped; they have to be replaced. */
  if (madvise(at, length, MADV_DONTNEED) == 0) return;
  void *fresh = tm_sys_mmap(at, length, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
  if (fresh == MAP_FAILED) tm_die("the kernel takes no pages back");
}

int64_t tm_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

_Noreturn void tm_die(const char *message) {
  static const char prefix[] = "tmalloc: ";
  ssize_t written = write(STDERR_FILENO, prefix, sizeof prefix - 1);
  written += write(STDERR_FILENO, message, strlen(message));
  written += write(STDERR_FILENO, "\n", 1);
  (void)written;
  abort();
}
