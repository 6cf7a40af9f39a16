/* Processes that are many, that share, that cannot end, or that end at the wrong moment.
 *
 *     processes copying-family|copying-line|threads|vfork-chain|held-at-exit|bomb|brief|
 *               volunteers|forged-names */
#include "common.h"
#include <pthread.h>
#include <sched.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Six children copy what they inherited, which no counter tells, each slowly. */
static void copying_family(void) {
  enum { EACH = 11 * MIB, CHILDREN = 6 };
  char *area = map(EACH, MAP_PRIVATE);
  take(area, EACH);
  for (int i = 0; i < CHILDREN; i++) {
    pid_t pid;
    CHILD(pid, {
      for (size_t at = 0; at < EACH; at += PAGE) {
        area[at]++;
        if (at % (64 << 10) == 0) rest_us(2000);
      }
      for (;;) pause();
    });
    say_number("child", pid);
  }
}

/* A line of descendants: each copies what it inherited and has a child, and its parent sleeps. */
static void copying_line(int left) {
  enum { EACH = 8 * MIB };
  static char *area;
  if (area == NULL) area = map(EACH, MAP_PRIVATE);
  take(area, EACH);
  if (left == 0) return;
  pid_t pid;
  CHILD(pid, {
    copying_line(left - 1);
    for (;;) pause();
  });
  say_number("child", pid);
}

static char *shared_area;
static int threads_going;

static void *grow_in_thread(void *number) {
  enum { EACH = 2 * MIB };
  (void)number;
  while (!__atomic_load_n(&threads_going, __ATOMIC_ACQUIRE)) sched_yield();
  take_at_once(map(EACH, MAP_PRIVATE), EACH);
  for (;;) pause();
  return NULL;
}

/* Threads on all CPUs, all at once, as fast as they can. */
static void threads(void) {
  pthread_t thread;
  for (long i = 0; i < 64; i++)
    if (pthread_create(&thread, NULL, grow_in_thread, (void *)i) != 0) die("pthread_create");
  __atomic_store_n(&threads_going, 1, __ATOMIC_RELEASE);
}

/* Each waits in vfork for its child, and all of them run on one memory. */
static void vfork_chain(int left) {
  volatile int still = left;
  pid_t pid = vfork();
  if (pid < 0) _exit(1);
  if (pid > 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (still > 0) vfork_chain(still - 1);
  take(shared_area, MOST);
  for (;;) pause();
}

/* A child that grows is stopped by its tracer at its end, when it has been killed already. */
static void held_at_exit(void) {
  pid_t pid;
  CHILD(pid, {
    raise(SIGSTOP);
    take(map(MOST, MAP_PRIVATE), MOST);
  });
  say_number("child", pid);
  if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEEXIT) != 0) die("ptrace");
  kill(pid, SIGCONT);
  for (int status;;) {
    if (waitpid(pid, &status, 0) < 0) die("waitpid");
    if (status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8)) break;
    if (!WIFSTOPPED(status)) return;
    ptrace(PTRACE_CONT, pid, 0, 0);
  }
  say("held"); /* and never lets go */
}

/* As many as the limit of processes allows, each with a little. */
static void bomb(void) {
  enum { PROCESSES = 150 };
  setrlimit(RLIMIT_NPROC, &(struct rlimit){PROCESSES, PROCESSES});
  for (int started = 0; started < PROCESSES;) {
    pid_t parent = getpid(), pid = fork();
    if (pid < 0) break;
    if (pid == 0) {
      end_with(parent);
      take(map(MIB, MAP_PRIVATE), MIB);
      for (;;) pause();
    }
    say_number("child", pid);
    started++;
  }
}

/* Each child ends of itself about when it would be killed. */
static void brief(void) {
  for (int i = 0; i < 15; i++) {
    pid_t pid;
    CHILD(pid, { take_at_once(map(MOST, MAP_PRIVATE), HARD - (size_t)(i % 6) * 80 * PAGE); });
    if (waitpid(pid, NULL, 0) < 0) die("waitpid");
  }
}

static void score(const char *text) {
  FILE *file = fopen("/proc/self/oom_score_adj", "w");
  if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) say("refused");
}

/* Small children ask to be killed first; the large one tries to be spared. */
static void volunteers(void) {
  for (int i = 0; i < 8; i++) {
    pid_t pid;
    CHILD(pid, {
      score("1000\n");
      take(map(MIB, MAP_PRIVATE), MIB);
      for (;;) pause();
    });
    say_number("child", pid);
  }
  score("-1000\n");
  take(map(MOST, MAP_PRIVATE), MOST);
}

/* Children with names that look like records of others, or break lines. */
static void forged_names(void) {
  static const char *const NAMES[] = {
      "a\n-1 [000] 1: b", "] rss_stat: mm_", "\033[2J\007\r\n", "\xff\xfe\x80\xc3(", " => 1 ) R 1 0",
      "\",\"uid\":0,\"a\":\"", "x) S 1 1 1", "\n\n\n\n",
  };
  for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
    pid_t pid;
    CHILD(pid, {
      prctl(PR_SET_NAME, NAMES[i]);
      take(map(MOST, MAP_PRIVATE), MOST);
    });
    say_number("child", pid);
    if (waitpid(pid, NULL, 0) < 0) die("waitpid");
  }
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  say("here");
  await_line();
  if (strcmp(mode, "copying-family") == 0) copying_family();
  else if (strcmp(mode, "copying-line") == 0) copying_line(5);
  else if (strcmp(mode, "threads") == 0) threads();
  else if (strcmp(mode, "vfork-chain") == 0) {
    shared_area = map(MOST, MAP_PRIVATE);
    vfork_chain(6);
  } else if (strcmp(mode, "held-at-exit") == 0) held_at_exit();
  else if (strcmp(mode, "bomb") == 0) bomb();
  else if (strcmp(mode, "brief") == 0) brief();
  else if (strcmp(mode, "volunteers") == 0) volunteers();
  else if (strcmp(mode, "forged-names") == 0) forged_names();
  else {
    fprintf(stderr, "processes: unknown mode \"%s\"\n", mode);
    return 2;
  }
  say("done");
  for (;;) await_line();
}
