/* benchmark PROCESSES BYTES EPOCHS: processes that together want BYTES of memory, in blocks, and
 * stop where they are refused. With tmalloc they all end by themselves. With BENCHMARK_MALLOC=1
 * they use malloc, are never refused, and somebody has to be killed. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tmalloc.h"

/* Some kilobytes to some dozen, 9 KiB on average: mostly small ones. */
enum { SMALLEST = 4 << 10, SPREAD = 28 << 10, BLOCKS_FIRST = 1024 };

struct allocator {
  void *(*take)(size_t size);
  void (*give)(void *block);
};

struct blocks {
  void **list;
  size_t count, capacity;
};

static unsigned next_random(unsigned *state) {
  *state = *state * 1103515245u + 12345u;
  return *state >> 8;
}

static size_t random_size(unsigned *state) {
  double share = (next_random(state) & 0xffff) / 65536.0;
  return SMALLEST + (size_t)(SPREAD * share * share * share * share);
}

/* The list is a block like others, since it is memory like other memory. */
static bool make_room(const struct allocator *with, struct blocks *blocks) {
  if (blocks->count < blocks->capacity) return true;
  size_t capacity = blocks->capacity == 0 ? BLOCKS_FIRST : blocks->capacity * 2;
  void **list = with->take(capacity * sizeof *list);
  if (list == NULL) return false;
  if (blocks->count != 0) memcpy(list, blocks->list, blocks->count * sizeof *list);
  with->give(blocks->list);
  blocks->list = list;
  blocks->capacity = capacity;
  return true;
}

static void free_all(const struct allocator *with, struct blocks *blocks) {
  while (blocks->count > 0) with->give(blocks->list[--blocks->count]);
}

static void run_epoch(const struct allocator *with, struct blocks *blocks, size_t share,
                      unsigned *state) {
  for (size_t sum = 0; sum < share;) {
    size_t size = random_size(state);
    void *block = make_room(with, blocks) ? with->take(size) : NULL;
    if (block == NULL) {
      printf("malloc / tmalloc returns NULL on %zu\n", blocks->count);
      break;
    }
    memset(block, 1, size);
    blocks->list[blocks->count++] = block;
    sum += size;
  }
  free_all(with, blocks);
}

/* Makes itself known, then waits until all the others are. */
static void await_start(bool uses_tmalloc, int ready, int start) {
  char byte = 0;
  if (uses_tmalloc) tfree(tmalloc(1));
  if (write(ready, &byte, 1) != 1) _exit(1);
  close(ready);
  if (read(start, &byte, 1) < 0) _exit(1);
}

static void run_child(const struct allocator *with, unsigned number, size_t share, int epochs) {
  struct blocks blocks = {0};
  unsigned state = number + 1;
  for (int epoch = 0; epoch < epochs; epoch++) run_epoch(with, &blocks, share, &state);
  with->give(blocks.list);
  puts("child process exit");
  fflush(stdout);
}

static bool died(int status) {
  if (!WIFSIGNALED(status)) return false;
  printf("child process killed by signal %d\n", WTERMSIG(status));
  return true;
}

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s PROCESSES BYTES EPOCHS\n", argv[0]);
    return 2;
  }
  unsigned processes = (unsigned)strtoul(argv[1], NULL, 10);
  size_t bytes = strtoull(argv[2], NULL, 10);
  int epochs = atoi(argv[3]);
  if (processes == 0) return 2;
  bool uses_tmalloc = getenv("BENCHMARK_MALLOC") == NULL;
  struct allocator with = {uses_tmalloc ? tmalloc : malloc, uses_tmalloc ? tfree : free};

  printf("process=%u mem=%zu epoch=%d\n", processes, bytes, epochs);
  fflush(stdout);
  setvbuf(stdout, NULL, _IOLBF, 0);
  int ready[2], start[2];
  if (pipe(ready) != 0 || pipe(start) != 0) return 2;
  for (unsigned number = 0; number < processes; number++) {
    pid_t child = fork();
    if (child < 0) {
      perror("fork");
      return 2;
    }
    if (child > 0) continue;
    close(start[1]);
    await_start(uses_tmalloc, ready[1], start[0]);
    run_child(&with, number, bytes / processes, epochs);
    _exit(0);
  }
  close(ready[1]);
  char byte;
  for (unsigned number = 0; number < processes && read(ready[0], &byte, 1) == 1; number++) {}
  close(start[1]);

  bool all_lived = true;
  for (int status; wait(&status) > 0;) all_lived &= !died(status);
  return all_lived ? 0 : 1;
}
