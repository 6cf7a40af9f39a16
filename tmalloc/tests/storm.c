/* Threads that start processes in every way there is, while others allocate: nothing may hang, and
 * nothing may be promised to anybody in the end. For programs under the preloaded library; without
 * it, it is its own control.
 *
 *     storm SECONDS SEED [CONTROL]
 *
 * CONTROL is the file of the test daemon. Prints what was started, and exits with 1 when something
 * went wrong. A hang ends by SIGALRM. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon_control.h"

enum { STARTERS = 4, ALLOCATORS = 2, WAYS = 10, GRACE_SECONDS = 20 };
enum { KIB = 1024, STACK = 64 * KIB };

extern char **environ;
static atomic_bool is_over;
static atomic_uint started[WAYS], refused, failures;
static char *const TRUE[] = {"/bin/true", NULL};

static unsigned next(unsigned *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

static void fail(const char *what) {
  fprintf(stderr, "storm: %s\n", what);
  failures++;
}

static void use_memory(unsigned seed) {
  void *blocks[30] = {0};
  for (int i = 0; i < 60; i++) {
    void **slot = &blocks[next(&seed) % 30];
    size_t size = 1 + next(&seed) % (next(&seed) % 16 == 0 ? 300 * KIB : 5 * KIB);
    free(*slot);
    *slot = malloc(size);
    if (*slot != NULL) memset(*slot, 1, size);
  }
  for (int i = 0; i < 30; i++) free(blocks[i]);
}

static void reap(pid_t child, const char *what) {
  int status = -1;
  if (child < 0) {
    refused++;
    return;
  }
  if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fprintf(stderr, "storm: status %x of ", status);
    fail(what);
  }
}

static int clone_body(void *unused) {
  (void)unused;
  execve(TRUE[0], TRUE, environ);
  return 9;
}

/* In a child of _Fork and clone only what a signal handler may do is allowed: exec, and _exit. */
static void start(int way, unsigned seed) {
  switch (way) {
    case 0: { /* fork, and allocate */
      pid_t child = fork();
      if (child == 0) use_memory(seed), _exit(0);
      reap(child, "fork");
      break;
    }
    case 1: { /* fork, and exec */
      pid_t child = fork();
      if (child == 0) execv(TRUE[0], TRUE), _exit(9);
      reap(child, "fork and exec");
      break;
    }
    case 2: {
      pid_t child = _Fork();
      if (child == 0) execv(TRUE[0], TRUE), _exit(9);
      reap(child, "_Fork");
      break;
    }
    case 3: { /* clone behind the libc's back */
      pid_t child = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
      if (child == 0) syscall(SYS_exit_group, 0);
      reap(child, "clone");
      break;
    }
    case 4: { /* shares the memory, as posix_spawn does it */
      char *stack = malloc(STACK);
      if (stack == NULL) break;
      reap(clone(clone_body, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, NULL), "clone of vm");
      free(stack);
      break;
    }
    case 5: {
      pid_t child = vfork();
      if (child == 0) execv(TRUE[0], TRUE), _exit(9);
      reap(child, "vfork");
      break;
    }
    case 6: {
      pid_t child = -1;
      if (posix_spawn(&child, TRUE[0], NULL, NULL, TRUE, environ) != 0) child = -1;
      reap(child, "posix_spawn");
      break;
    }
    case 7: {
      FILE *pipe = popen("echo word", "r");
      char word[8] = "";
      if (pipe == NULL) {
        refused++;
        break;
      }
      bool has_word = fgets(word, sizeof word, pipe) != NULL;
      int status = pclose(pipe);
      if (!WIFEXITED(status))
        fail("popen");
      else if (!has_word || status != 0)
        refused++; /* the shell says so, and ends */
      break;
    }
    case 8: { /* a daemon, which this process adopts */
      pid_t child = fork();
      if (child == 0) {
        if (daemon(1, 1) != 0) _exit(0); /* refused */
        use_memory(seed);
        _exit(0);
      }
      reap(child, "daemon");
      break;
    }
    case 9: { /* a child of a child, with a thread */
      pid_t child = fork();
      if (child == 0) {
        pid_t grandchild = fork();
        use_memory(seed);
        if (grandchild == 0) _exit(0);
        if (grandchild > 0) waitpid(grandchild, NULL, 0);
        _exit(0);
      }
      reap(child, "children of children");
      break;
    }
  }
}

static void *start_many(void *seed) {
  unsigned state = (unsigned)(uintptr_t)seed;
  while (!is_over) {
    int way = (int)(next(&state) % WAYS);
    start(way, next(&state));
    started[way]++;
  }
  return NULL;
}

static void *allocate(void *seed) {
  unsigned state = (unsigned)(uintptr_t)seed;
  while (!is_over) use_memory(next(&state));
  return NULL;
}

static int promises_left(const struct control *control) {
  int left = 0;
  for (int i = 0; i < CONTROL_PROCESSES; i++) {
    pid_t pid = control->processes[i].pid;
    left += pid != 0 && pid != getpid();
  }
  return left;
}

static void check_promises(const char *path) {
  int fd = open(path, O_RDWR | O_CLOEXEC);
  struct control *control =
      mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (fd < 0 || control == MAP_FAILED) {
    fail("there is no control file");
    return;
  }
  for (int i = 0; i < 200 && promises_left(control) != 0; i++) usleep(10000);
  if (promises_left(control) == 0) return;
  for (int i = 0; i < CONTROL_PROCESSES; i++)
    if (control->processes[i].pid != 0 && control->processes[i].pid != getpid())
      fprintf(stderr, "storm: pid %d, which %s, was promised %llu bytes\n",
              control->processes[i].pid, kill(control->processes[i].pid, 0) == 0 ? "lives" : "ended",
              (unsigned long long)control->processes[i].level);
  fail("something is promised to processes that have ended");
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  int seconds = atoi(argv[1]);
  uintptr_t seed = strtoul(argv[2], NULL, 10);
  pthread_t threads[STARTERS + ALLOCATORS];
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* daemons are waited for, too */
  alarm((unsigned)(seconds + GRACE_SECONDS));
  for (int i = 0; i < STARTERS + ALLOCATORS; i++)
    if (pthread_create(&threads[i], NULL, i < STARTERS ? start_many : allocate,
                       (void *)(seed * 31 + (uintptr_t)i)) != 0)
      return 2;
  sleep((unsigned)seconds);
  is_over = true;
  for (int i = 0; i < STARTERS + ALLOCATORS; i++) pthread_join(threads[i], NULL);
  while (wait(NULL) > 0) {}
  if (argc > 3) check_promises(argv[3]);
  unsigned sum = 0;
  for (int way = 0; way < WAYS; way++) {
    printf("%s%u", way == 0 ? "" : " ", started[way]);
    sum += started[way];
    if (started[way] == 0) fail("a way was never tried");
  }
  printf(" refused %u\n", refused);
  return failures != 0 || sum < 20;
}
