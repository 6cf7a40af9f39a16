/* What glibc's own tests of malloc hold (malloc/tst-*.c of 2.36), said anew: the behaviour that
 * programs have come to rely on. Runs with glibc alone, to see that the expectations are right, and
 * under the preloaded library. Wants a limit of 256 MiB or none. Compiled with -fno-builtin. */
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHECK(condition) check((condition), #condition, __LINE__)
enum { PAGE = 4096 };

static const char *running;
static int failures;

static void check(int holds, const char *what, int line) {
  if (holds) return;
  failures++;
  fprintf(stderr, "test_glibc.c:%d: %s: failed: %s (errno %d)\n", line, running, what, errno);
}

static int is_aligned(const void *block, size_t to) { return (uintptr_t)block % to == 0; }

/* Sizes that no object can have, around the edges where sums wrap: tst-malloc-too-large. */
static const size_t TOO_LARGE[] = {
    (size_t)PTRDIFF_MAX + 1, (size_t)PTRDIFF_MAX + PAGE, SIZE_MAX - 2 * PAGE, SIZE_MAX - PAGE,
    SIZE_MAX - 64,           SIZE_MAX - 16,              SIZE_MAX - 1,        SIZE_MAX,
};
enum { TOO_LARGES = sizeof TOO_LARGE / sizeof *TOO_LARGE };

static void refused(void *block, int line) {
  check(block == NULL && errno == ENOMEM, "refused with ENOMEM", line);
  errno = 0;
}
#define REFUSED(call) (errno = 0, refused((call), __LINE__))

static void tst_malloc_too_large(void) {
  char *kept = malloc(16);
  strcpy(kept, "kept");
  for (int i = 0; i < TOO_LARGES; i++) {
    size_t size = TOO_LARGE[i];
    void *target = kept;
    REFUSED(malloc(size));
    REFUSED(realloc(kept, size));
    REFUSED(realloc(NULL, size));
    REFUSED(calloc(1, size));
    REFUSED(calloc(size, 1));
    REFUSED(reallocarray(kept, 1, size));
    REFUSED(reallocarray(kept, size, 1));
    for (size_t count = 2; count <= 1024; count *= 2) {
      REFUSED(calloc(count, size / count + 1));
      REFUSED(reallocarray(kept, size / count + 1, count));
    }
    REFUSED(memalign(PAGE, size));
    REFUSED(aligned_alloc(64, size));
    REFUSED(valloc(size));
    REFUSED(pvalloc(size));
    CHECK(posix_memalign(&target, 64, size) == ENOMEM && target == kept);
  }
  CHECK(strcmp(kept, "kept") == 0);
  free(kept);
}

static void tst_malloc(void) {
  errno = 0;
  CHECK(malloc(-1) == NULL && errno == ENOMEM);
  void *none = malloc(0), *other = malloc(0);
  CHECK(none != NULL && other != NULL && none != other);
  free(none);
  free(other);
  free(NULL);
}

static void tst_calloc(void) {
  static void *slots[100];
  unsigned state = 1;
  for (int round = 0; round < 5000; round++) {
    state = state * 1664525u + 1013904223u;
    void **slot = &slots[(state >> 8) % 100];
    size_t count = (state >> 16) % 300, size = round % 50;
    if (*slot != NULL) memset(*slot, 0xa5, malloc_usable_size(*slot));
    free(*slot);
    *slot = calloc(count, size);
    CHECK(*slot != NULL);
    int sum = 0;
    for (size_t i = 0; i < count * size; i++) sum |= ((char *)*slot)[i];
    CHECK(sum == 0);
  }
  for (int i = 0; i < 100; i++) free(slots[i]);
  void *none = calloc(0, 0);
  CHECK(none != NULL);
  free(none);
  char *large = calloc(3, 1 << 20);
  for (size_t i = 0; i < 3u << 20; i += 512) CHECK(large[i] == 0);
  free(large);
}

static void tst_realloc(void) {
  errno = 0;
  void *block = realloc(NULL, 10);
  CHECK(block != NULL);
  errno = 123;
  CHECK(realloc(block, 0) == NULL); /* freed */
  CHECK(errno == 123);
  block = realloc(NULL, 0);
  CHECK(block != NULL);
  free(block);
  /* Shrinks and grows with its contents kept; what is refused leaves it as it was. */
  char *bytes = calloc(20, 1);
  for (size_t size = 20; size < 5000000; size = size * 7 / 4) {
    memset(bytes, (int)(size & 0xff), size);
    char *grown = realloc(bytes, size * 2);
    CHECK(grown != NULL && grown[0] == (char)(size & 0xff) && grown[size - 1] == grown[0]);
    bytes = realloc(grown, size * 7 / 4);
    CHECK(bytes != NULL && bytes[size - 1] == bytes[0]);
  }
  bytes = realloc(bytes, 16);
  CHECK(bytes != NULL);
  strcpy(bytes, "0123456789abcde");
  errno = 0;
  CHECK(realloc(bytes, -1) == NULL && errno == ENOMEM && strcmp(bytes, "0123456789abcde") == 0);
  free(bytes);
}

static void tst_reallocarray(void) {
  static const size_t bounds[] = {0, 1, 100, 101, 10000, PAGE};
  void *block = NULL;
  errno = 0;
  for (int i = 0; i < 6; i++)
    for (int k = 0; k < 6; k++) {
      block = reallocarray(NULL, bounds[i], bounds[k]);
      CHECK(block != NULL && malloc_usable_size(block) >= bounds[i] * bounds[k]);
      free(block);
    }
  block = reallocarray(NULL, 10, 10);
  memset(block, 0x42, 100);
  block = reallocarray(block, 20, 20);
  CHECK(((char *)block)[99] == 0x42);
  REFUSED(reallocarray(block, SIZE_MAX / 2, 3));
  REFUSED(reallocarray(block, (size_t)1 << 33, (size_t)1 << 33));
  CHECK(((char *)block)[99] == 0x42);
  CHECK(reallocarray(block, 0, 9) == NULL); /* freed */
}

static void tst_memalign(void) {
  errno = 0;
  for (size_t alignment = 0; alignment <= 1030; alignment++) {
    char *block = memalign(alignment, 100);
    size_t power = 16;
    while (power < alignment) power *= 2;
    CHECK(block != NULL && is_aligned(block, power));
    memset(block, 1, malloc_usable_size(block));
    char *grown = realloc(block, 5000);
    CHECK(grown != NULL && grown[99] == 1);
    free(grown);
  }
  for (size_t alignment = 16; alignment <= (size_t)64 << 20; alignment *= 2) {
    char *block = memalign(alignment, 0);
    CHECK(block != NULL && is_aligned(block, alignment));
    free(block);
  }
  errno = 0;
  CHECK(memalign(SIZE_MAX, 10) == NULL && errno == EINVAL);
  errno = 0;
  CHECK(memalign(SIZE_MAX / 2 + 2, 10) == NULL && errno == EINVAL);
  REFUSED(memalign(SIZE_MAX / 2 + 1, PAGE));
  REFUSED(memalign(sizeof(void *), SIZE_MAX));
}

static void tst_aligned_alloc(void) {
  static const size_t alignments[] = {1, 2, 3, 7, 8, 16, 24, 32, 64, 100, 4096, 65536, 1 << 20};
  for (size_t i = 0; i < sizeof alignments / sizeof *alignments; i++)
    for (size_t size = 0; size < 200000; size = size * 3 + 1) {
      char *block = aligned_alloc(alignments[i], size);
      size_t lowest = alignments[i] & -alignments[i];
      CHECK(block != NULL && is_aligned(block, lowest) && malloc_usable_size(block) >= size);
      memset(block, 1, size);
      free(block);
    }
  errno = 0;
  CHECK(aligned_alloc(SIZE_MAX, 10) == NULL && errno == EINVAL);
}

static void tst_posix_memalign(void) {
  static const size_t wrong[] = {0, 1, 2, 3, 4, 7, 9, 12, 24, 40, 100, SIZE_MAX, SIZE_MAX / 2};
  void *block = &failures;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    CHECK(posix_memalign(&block, wrong[i], 8) == EINVAL && block == &failures);
  CHECK(posix_memalign(&block, sizeof(void *), SIZE_MAX) == ENOMEM && block == &failures);
  for (size_t alignment = sizeof(void *); alignment <= (size_t)16 << 20; alignment *= 2) {
    CHECK(posix_memalign(&block, alignment, 100) == 0 && is_aligned(block, alignment));
    free(block);
    CHECK(posix_memalign(&block, alignment, 0) == 0 && is_aligned(block, alignment));
    free(block);
  }
}

static void tst_valloc_and_pvalloc(void) {
  for (size_t size = 0; size < 100000; size = size * 5 / 2 + 1) {
    void *block = valloc(size), *pages = pvalloc(size);
    CHECK(block != NULL && is_aligned(block, PAGE) && malloc_usable_size(block) >= size);
    CHECK(pages != NULL && is_aligned(pages, PAGE));
    CHECK(malloc_usable_size(pages) >= (size + PAGE - 1) / PAGE * PAGE);
    free(block);
    free(pages);
  }
  REFUSED(pvalloc(SIZE_MAX - PAGE / 2));
  REFUSED(pvalloc(SIZE_MAX));
}

static void tst_malloc_usable(void) {
  CHECK(malloc_usable_size(NULL) == 0);
  for (size_t size = 0; size < 4000000; size = size * 2 + 1) {
    char *block = malloc(size);
    size_t usable = malloc_usable_size(block);
    CHECK(usable >= size);
    memset(block, 3, usable);
    free(block);
  }
}

/* free leaves errno alone, whatever the kernel says to its munmap or madvise. */
static void tst_free_errno(void) {
  static const size_t sizes[] = {10, 3000, 20000, 70000, 300000, 900000, 5000000};
  mlockall(MCL_CURRENT); /* what is locked cannot be dropped by madvise */
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    enum { BLOCKS = 40 };
    void *blocks[BLOCKS];
    for (int k = 0; k < BLOCKS; k++) {
      blocks[k] = malloc(sizes[i] / (k % 3 + 1));
      if (blocks[k] != NULL) mlock(blocks[k], PAGE);
    }
    for (int k = 0; k < BLOCKS; k++) {
      errno = 789;
      free(blocks[k]);
      CHECK(errno == 789);
    }
  }
  munlockall();
}


/* tst-mallocfork: threads allocate while others fork, and the children allocate. */
static void *churn(void *unused) {
  (void)unused;
  for (int i = 0; i < 20000; i++) free(malloc((size_t)(i * 37) % 3000));
  return NULL;
}

static void tst_mallocfork(void) {
  pthread_t threads[4];
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, churn, NULL) == 0);
  for (int i = 0; i < 30; i++) {
    pid_t child = fork();
    if (child == 0) {
      alarm(20);
      for (int k = 0; k < 500; k++) free(malloc((size_t)k * 20));
      _exit(7);
    }
    int status = 0;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && WEXITSTATUS(status) == 7);
  }
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
}

/* Dies by SIGABRT, as a program with such a fault is expected to: tst-tcfree1 to 4. */
static void aborts(void (*fault)(void), int line) {
  fflush(NULL);
  pid_t child = fork();
  if (child == 0) {
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    if (freopen("/dev/null", "w", stderr) == NULL) _exit(9);
    fault();
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  check(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "aborts", line);
}
#define ABORTS(fault) aborts((fault), __LINE__)

static void free_small_twice(void) {
  char *volatile block = malloc(32);
  free(block);
  free(block);
}

static void free_middling_twice(void) {
  char *volatile block = malloc(1000);
  free(block);
  free(block);
}

static void free_twice_with_others_between(void) {
  char *volatile block = malloc(32), *volatile other = malloc(32), *volatile third = malloc(32);
  free(block);
  free(other);
  free(third);
  free(block);
}

static void free_what_is_not_aligned(void) {
  char *volatile block = malloc(100);
  free(block + 1);
}

static void tst_tcfree(void) {
  ABORTS(free_small_twice);
  ABORTS(free_middling_twice);
  ABORTS(free_twice_with_others_between);
  ABORTS(free_what_is_not_aligned);
  /* Memory that only looks like a freed block is none: its own contents come back into use. */
  for (size_t size = 16; size < 2000; size += 16) {
    uintptr_t *freed = malloc(size), seen[2];
    free(freed);
    memcpy(seen, freed, sizeof seen);
    uintptr_t *other = malloc(size);
    memcpy(other, seen, sizeof seen);
    free(other);
  }
}

static void tst_malloc_trim(void) {
  void *blocks[200];
  for (int i = 0; i < 200; i++) blocks[i] = malloc(20000);
  for (int i = 0; i < 200; i++) free(blocks[i]);
  malloc_trim(0);
  CHECK(malloc_trim(0) == 0 || malloc_trim(0) == 1);
  mallopt(M_MMAP_THRESHOLD, 1 << 20);
  CHECK(mallopt(M_ARENA_MAX, 1) == 1);
}

static void *keeps_errno_of_nothing(void *unused) {
  (void)unused;
  return malloc(100); /* freed by the thread that joins */
}

static void tst_threads_hand_over(void) {
  for (int i = 0; i < 200; i++) {
    pthread_t thread;
    void *block;
    CHECK(pthread_create(&thread, NULL, keeps_errno_of_nothing, NULL) == 0);
    pthread_join(thread, &block);
    free(block);
  }
}

#define RUN(test) (running = #test, test())

int main(void) {
  RUN(tst_malloc);
  RUN(tst_calloc);
  RUN(tst_realloc);
  RUN(tst_reallocarray);
  RUN(tst_malloc_too_large);
  RUN(tst_memalign);
  RUN(tst_aligned_alloc);
  RUN(tst_posix_memalign);
  RUN(tst_valloc_and_pvalloc);
  RUN(tst_malloc_usable);
  RUN(tst_free_errno);
  RUN(tst_mallocfork);
  RUN(tst_tcfree);
  RUN(tst_malloc_trim);
  RUN(tst_threads_hand_over);
  return failures != 0;
}
