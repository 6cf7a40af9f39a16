/* Runs under the preloaded library with a limit of 64 MiB: what of mmap and its kin is charged. */
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define TIB ((size_t)1 << 40)
#define CHECK(condition) check((condition), #condition, __LINE__)

extern char **environ;

enum { RW = PROT_READ | PROT_WRITE };

static void check(int holds, const char *what, int line) {
  if (holds) return;
  fprintf(stderr, "maps.c:%d: failed: %s (errno %s)\n", line, what, strerror(errno));
  exit(1);
}

static char *map(size_t bytes, int prot, int flags) {
  errno = 0;
  return mmap(NULL, bytes, prot, MAP_ANONYMOUS | (flags & MAP_SHARED ? 0 : MAP_PRIVATE) | flags,
              -1, 0);
}

/* How many of 64 MiB can be had: tells what is charged. */
static size_t room(void) {
  size_t mebibytes = 0;
  char *all[64];
  while (mebibytes < 64 && (all[mebibytes] = map(MIB, RW, 0)) != MAP_FAILED) mebibytes++;
  for (size_t i = 0; i < mebibytes; i++) munmap(all[i], MIB);
  return mebibytes;
}

static size_t room_at_first;

/* Up to two steps of the lease may lie about. */
static void check_used(size_t mebibytes, int line) {
  size_t used = room_at_first - room();
  if (used + 1 >= mebibytes && used <= mebibytes + 1) return;
  fprintf(stderr, "maps.c:%d: %zu MiB charged instead of %zu\n", line, used, mebibytes);
  exit(1);
}

#define CHECK_USED(mebibytes) check_used(mebibytes, __LINE__)

static void reservations_cost_nothing(void) {
  char *none = map(TIB, PROT_NONE, 0), *lazy = map(TIB, RW, MAP_NORESERVE);
  CHECK(none != MAP_FAILED && lazy != MAP_FAILED);
  CHECK_USED(0);
  munmap(none, TIB);
  munmap(lazy, TIB);
}

static void what_does_not_fit_is_refused(void) {
  CHECK(map(100 * MIB, RW, 0) == MAP_FAILED && errno == ENOMEM);
  CHECK(map(100 * MIB, RW, MAP_SHARED) == MAP_FAILED && errno == ENOMEM);
  CHECK(map(0, RW, 0) == MAP_FAILED && errno == EINVAL);
  CHECK(map(SIZE_MAX, RW, 0) == MAP_FAILED && errno == ENOMEM);
  errno = 0;
  CHECK(malloc(100 * MIB) == NULL && errno == ENOMEM);
}

static void made_writable_is_charged(void) {
  char *area = map(TIB, PROT_NONE, MAP_NORESERVE);
  CHECK(mprotect(area + 5 * MIB, 10 * MIB, RW) == 0);
  memset(area + 5 * MIB, 1, 10 * MIB);
  CHECK_USED(10);
  CHECK(mprotect(area, 20 * MIB, RW) == 0);
  CHECK_USED(20);
  CHECK(mprotect(area, 20 * MIB, PROT_NONE) == 0);
  CHECK_USED(20); /* its pages are still there */
  CHECK(mprotect(area, 100 * MIB, RW) == -1 && errno == ENOMEM);
  CHECK_USED(20);
  CHECK(munmap(area + 15 * MIB, TIB - 15 * MIB) == 0);
  CHECK_USED(15);
  CHECK(munmap(area, 15 * MIB) == 0);
  CHECK_USED(0);
}

static void parts_and_many_are_unmapped(void) {
  char *area = map(40 * MIB, RW, 0);
  CHECK(area != MAP_FAILED);
  CHECK_USED(40);
  munmap(area + 10 * MIB, 20 * MIB);
  CHECK_USED(20);
  char *more = mmap(area + 15 * MIB, 5 * MIB, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  CHECK(more == area + 15 * MIB);
  CHECK_USED(25);
  munmap(area, 40 * MIB);
  CHECK_USED(0);
}

static void fixed_mappings_replace(void) {
  char *area = map(30 * MIB, RW, 0);
  CHECK(mmap(area, 20 * MIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == area);
  CHECK_USED(10);
  CHECK(mmap(area, 30 * MIB, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == area);
  CHECK_USED(30);
  munmap(area, 30 * MIB);
}

static void mremap_adjusts(void) {
  char *area = map(10 * MIB, RW, 0);
  CHECK((area = mremap(area, 10 * MIB, 30 * MIB, MREMAP_MAYMOVE)) != MAP_FAILED);
  CHECK_USED(30);
  CHECK(mremap(area, 30 * MIB, 90 * MIB, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM);
  CHECK_USED(30);
  char *target = map(20 * MIB, RW, 0);
  CHECK_USED(50);
  CHECK(mremap(area, 30 * MIB, 5 * MIB, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
  CHECK_USED(20);
  CHECK(mremap(target, 5 * MIB, 2 * MIB, 0) == target);
  munmap(target, 20 * MIB);
  CHECK_USED(0);
}

static void shared_memory_is_charged_and_files_are_not(void) {
  char *shared = map(20 * MIB, RW, MAP_SHARED);
  CHECK_USED(20);
  munmap(shared, 20 * MIB);
  char path[] = "/tmp/tmalloc-maps-XXXXXX";
  int fd = mkstemp(path);
  CHECK(fd >= 0 && unlink(path) == 0 && ftruncate(fd, 200 * (off_t)MIB) == 0);
  char *file = mmap(NULL, 200 * MIB, RW, MAP_PRIVATE, fd, 0);
  CHECK(file != MAP_FAILED && mprotect(file, 200 * MIB, RW) == 0);
  CHECK_USED(0);
  munmap(file, 200 * MIB);
  close(fd);
}

static void all_of_malloc(void) {
  void *block = NULL;
  CHECK(posix_memalign(&block, 3, 10) == EINVAL && posix_memalign(&block, 4096, 10) == 0);
  CHECK((uintptr_t)block % 4096 == 0 && malloc_usable_size(block) >= 10);
  free(block);
  CHECK((uintptr_t)(block = aligned_alloc(64, 640)) % 64 == 0);
  free(block);
  CHECK((uintptr_t)(block = memalign(2 * MIB, 100)) % (2 * MIB) == 0);
  free(block);
  CHECK((uintptr_t)(block = valloc(100)) % 4096 == 0);
  CHECK((block = reallocarray(block, 100, 100)) != NULL);
  volatile size_t huge = SIZE_MAX / 2; /* lest the compiler sees it coming */
  CHECK(reallocarray(block, huge, 3) == NULL);
  free(block);
  CHECK((block = pvalloc(5000)) != NULL && malloc_usable_size(block) >= 8192);
  free(block);
}

static void *churn(void *seed) {
  unsigned state = (unsigned)(uintptr_t)seed;
  for (int i = 0; i < 20000; i++) {
    size_t size = (unsigned)rand_r(&state) % 60000;
    char *block = malloc(size);
    if (block != NULL) memset(block, 1, size);
    free(block);
    if (i % 100 == 0) munmap(map(8192, RW, 0), 8192);
  }
  return NULL;
}

static void threads(void) {
  pthread_t all[6];
  for (uintptr_t i = 0; i < 6; i++) CHECK(pthread_create(&all[i], NULL, churn, (void *)i) == 0);
  for (int i = 0; i < 6; i++) pthread_join(all[i], NULL);
  CHECK_USED(0);
}

static int exit_of(pid_t child) {
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void children(void) {
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) _exit(malloc(30 * MIB) != NULL && malloc(60 * MIB) == NULL ? 0 : 1);
  CHECK(exit_of(child) == 0);
  char *const arguments[] = {"true", NULL};
  CHECK(posix_spawnp(&child, "true", NULL, NULL, arguments, environ) == 0);
  CHECK(exit_of(child) == 0);
  child = vfork();
  if (child == 0) {
    execvp("true", arguments);
    _exit(1);
  }
  CHECK(exit_of(child) == 0);
  char *much = map(40 * MIB, RW, 0);
  CHECK(much != MAP_FAILED);
  errno = 0;
  child = fork();
  if (child == 0) {
    execvp("true", arguments);
    _exit(1);
  }
  if (getenv("TMALLOC_FORK") != NULL)
    CHECK(child == -1 && errno == ENOMEM);
  else
    CHECK(child > 0 && exit_of(child) == 0);
  munmap(much, 40 * MIB);
}

static void a_daemon_goes_on(void) {
  pid_t child = fork();
  if (child == 0) {
    for (int fd = 0; fd < 1024; fd++) close(fd);
    CHECK(daemon(0, 0) == 0);
    _exit(malloc(20 * MIB) != NULL && malloc(60 * MIB) == NULL ? 0 : 1);
  }
  CHECK(exit_of(child) == 0);
}

int main(void) {
  free(malloc(1));
  room_at_first = room();
  CHECK(room_at_first >= 50);
  reservations_cost_nothing();
  what_does_not_fit_is_refused();
  made_writable_is_charged();
  parts_and_many_are_unmapped();
  fixed_mappings_replace();
  mremap_adjusts();
  shared_memory_is_charged_and_files_are_not();
  all_of_malloc();
  threads();
  children();
  a_daemon_goes_on();
  return 0;
}
