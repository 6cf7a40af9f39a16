/* Pages of the kernel. These are system calls of their own, never the libc's functions: in the
 * preloaded library mmap and its kin are ours, and would charge the allocator's pages twice. */
#ifndef TM_SYS_H
#define TM_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

size_t tm_page_size(void);

static inline size_t tm_round_up(size_t bytes, size_t unit) {
  return (bytes + unit - 1) & ~(unit - 1);
}

static inline size_t tm_page_up(size_t bytes) { return tm_round_up(bytes, tm_page_size()); }

/* As the system calls: MAP_FAILED or -1 with errno. */
void *tm_sys_mmap(void *at, size_t length, int prot, int flags, int fd, int64_t offset);
int tm_sys_munmap(void *at, size_t length);
void *tm_sys_mremap(void *old, size_t old_length, size_t length, int flags, void *at);
int tm_sys_mprotect(void *at, size_t length, int prot);

/* Private anonymous memory of `length` bytes whose address plus `skew` is a multiple of
 * `alignment`; NULL when there is none. `flags` go to mmap. */
void *tm_map_aligned(size_t length, size_t alignment, size_t skew, int prot, int flags);

/* Gives the pages back to the kernel; they read as zeros from then on. */
void tm_pages_drop(void *at, size_t length);

/* Monotonic clock. */
int64_t tm_now_ns(void);

/* Says what is wrong, and aborts. */
_Noreturn void tm_die(const char *message);

#endif
