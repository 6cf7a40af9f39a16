/* Many programs that ask, of one user: they allocate, touch, free, wait, claim, fork, exec, crash and
 * are killed, at random. Linked with libtmalloc.
 *
 *     storm SECONDS PROCESSES SEED
 *
 * Ends after that time, or earlier at SIGTERM. Prints what happened as JSON. Exit code 1 when a
 * process was killed by somebody else. */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tmalloc.h"

enum { BLOCKS = 64, PROCESSES_MAX = 256 };

static uint32_t state;
static volatile sig_atomic_t told_to_end;

static void on_term(int signal) {
  (void)signal;
  told_to_end = 1;
}

static uint32_t below(uint32_t limit) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state % limit;
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Sizes from bytes to a megabyte, small ones more often. */
static size_t any_size(void) { return 1 + below(1u << (4 + below(17))); }

static void touch(unsigned char *block, size_t size, unsigned char mark) {
  if (block == NULL) return;
  for (size_t at = 0; at < size; at += 512) block[at] = mark;
  block[size - 1] = mark;
}

static void check(const unsigned char *block, size_t size, unsigned char mark) {
  if (block != NULL && (block[0] != mark || block[size - 1] != mark)) {
    write(2, "a block has changed\n", 20);
    _exit(3);
  }
}

/* A leaf that a process forks or becomes. */
static int leaf(void) {
  size_t size = any_size();
  unsigned char *block = tcalloc(1, size);
  check(block, size, 0);
  touch(block, size, 1);
  usleep(below(3000));
  return 0;
}

static void live(uint32_t seed) {
  unsigned char *blocks[BLOCKS] = {0};
  size_t sizes[BLOCKS] = {0};
  state = seed | 1;
  double end = now() + 0.02 + below(400) / 1000.0;
  if (below(4) == 0) tmalloc_claim(1u << (20 + below(4)));
  while (now() < end) {
    uint32_t at = below(BLOCKS);
    unsigned char mark = (unsigned char)at;
    check(blocks[at], sizes[at], mark);
    uint32_t what = below(100);
    if (what < 55) {
      tfree(blocks[at]);
      sizes[at] = any_size();
      blocks[at] = tmalloc(sizes[at]);
    } else if (what < 75) {
      tfree(blocks[at]);
      blocks[at] = NULL;
    } else if (what < 90) {
      size_t size = any_size();
      unsigned char *moved = trealloc(blocks[at], size);
      if (moved == NULL) continue;
      blocks[at] = moved;
      sizes[at] = size;
    } else if (what < 93) {
      tfree(blocks[at]);
      sizes[at] = any_size();
      blocks[at] = tmalloc_wait(sizes[at], (int)below(20));
    } else if (what < 94) {
      pid_t child = tmalloc_fork();
      if (child == 0) _exit(leaf());
      if (child > 0) waitpid(child, NULL, 0);
    } else if (what < 95 && below(20) == 0) {
      execl("/proc/self/exe", "storm", "leaf", (char *)NULL);
    } else if (what < 96 && below(20) == 0) {
      signal(SIGSEGV, SIG_DFL);
      raise(SIGSEGV);
    } else {
      usleep(below(500));
    }
    touch(blocks[at], sizes[at], mark);
  }
  exit(0);
}

int main(int argc, char **argv) {
  if (argc == 2 && strcmp(argv[1], "leaf") == 0) return leaf();
  if (argc != 4) return 2;
  double end = now() + atof(argv[1]);
  uint32_t wanted = (uint32_t)atoi(argv[2]);
  pid_t pids[PROCESSES_MAX] = {0};
  pid_t shot[PROCESSES_MAX] = {0};
  uint32_t spawned = 0, refused = 0, killed = 0, crashed = 0, foreign = 0, alive = 0;
  state = (uint32_t)atoi(argv[3]) | 1;
  signal(SIGTERM, on_term);
  for (;;) {
    int over = told_to_end || now() >= end;
    if (!over && alive < wanted) {
      uint32_t seed = below(UINT32_MAX);
      pid_t pid = tmalloc_fork();
      if (pid == 0) live(seed);
      if (pid < 0) {
        refused++;
        usleep(1000);
      }
      for (uint32_t i = 0; pid > 0 && i < PROCESSES_MAX; i++) {
        if (pids[i] != 0) continue;
        pids[i] = pid;
        shot[i] = 0;
        alive++;
        spawned++;
        break;
      }
    }
    uint32_t target = below(wanted);
    if (pids[target] != 0 && shot[target] == 0 && below(200) == 0) {
      kill(pids[target], SIGKILL);
      shot[target] = 1;
      killed++;
    }
    int status;
    pid_t gone = waitpid(-1, &status, over ? 0 : WNOHANG);
    if (gone < 0 && over) break;
    for (uint32_t i = 0; gone > 0 && i < PROCESSES_MAX; i++) {
      if (pids[i] != gone) continue;
      if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && shot[i] == 0) foreign++;
      if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) crashed++;
      if (WIFEXITED(status) && WEXITSTATUS(status) != 0) foreign++;
      pids[i] = 0;
      alive--;
    }
    if (gone <= 0 && alive >= wanted) usleep(200);
  }
  printf("{\"spawned\":%u,\"refused\":%u,\"killed\":%u,\"crashed\":%u,\"foreign\":%u}\n", spawned,
         refused, killed, crashed, foreign);
  return foreign != 0;
}
