/* Children: what they inherit, declare, and may not touch. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../lease.h"
#include "../protocol.h"
#include "../tmalloc.h"
#include "testing.h"

static void *inherited;
static uint64_t expected_level;

static uint64_t level_declared(pid_t pid) {
  for (size_t i = 0; i < CONTROL_PROCESSES; i++)
    if (daemon_control->processes[i].pid == pid) return daemon_control->processes[i].declared;
  return 0;
}

static void allocate(void) { CHECK(tmalloc(1 * MIB) != NULL); }

static void allocate_in_child(void) {
  CHECK(tm_lease_unused() == 0);
  tfree(inherited);
  CHECK(tmalloc(10 * MIB) != NULL);
  CHECK(level_declared(getpid()) == expected_level);
}

static void fork_with_memory(pid_t (*forker)(void)) {
  struct tmalloc_info before, after;
  inherited = tmalloc(1000);
  CHECK(tmalloc(5 * MIB) != NULL);
  CHECK(tmalloc_query(&before) == 0);
  expected_level = before.level_bytes - before.lease_bytes;
  CHECK(in_child(forker, allocate_in_child));
  CHECK(tmalloc_query(&after) == 0);
  CHECK(after.level_bytes == before.level_bytes && after.lease_bytes == before.lease_bytes);
  CHECK(daemon_control->connections == 2);
}

static void a_child_declares_what_it_inherited(void) {
  fork_with_memory(fork);
  CHECK(daemon_messages(TM_FORK) == 0);
}

static void tmalloc_fork_asks_first(void) {
  fork_with_memory(tmalloc_fork);
  CHECK(daemon_messages(TM_FORK) == 1);
}

static void nothing(void) {}

static void a_large_program_can_fork(void) {
  void *block = tmalloc(40 * MIB);
  CHECK(block != NULL);
  CHECK(in_child(tmalloc_fork, nothing));
  CHECK(daemon_messages(TM_FORK) == 1 && daemon_messages(TM_DECLARE) == 0);
  CHECK(in_child(tmalloc_fork, allocate));
  CHECK(daemon_messages(TM_DECLARE) == 1);
}

static void fork_gives_back_what_is_unused_before_it_fails(void) {
  CHECK(tmalloc(4 * MIB) != NULL && tmalloc(1000) != NULL);
  size_t unused = tm_lease_unused();
  CHECK(unused >= 16 * KIB);
  daemon_limit(daemon_level(getpid()) + 256 * KIB - unused); /* what it asks for, after that */
  CHECK(in_child(tmalloc_fork, nothing));
  daemon_control->mode = MODE_REFUSE;
  errno = 0;
  CHECK(tmalloc_fork() == -1 && errno == ENOMEM);
}

static void a_strict_child_introduces_itself(void) {
  setenv("TMALLOC_FORK", "strict", 1);
  CHECK(tmalloc(1 * MIB) != NULL);
  CHECK(in_child(tmalloc_fork, nothing));
  CHECK(daemon_messages(TM_DECLARE) == 1);
}

static void a_strict_fork_is_refused_without_room(void) {
  setenv("TMALLOC_FORK", "strict", 1);
  void *block = tmalloc(40 * MIB);
  errno = 0;
  CHECK(tmalloc_fork() == -1 && errno == ENOMEM);
  tfree(block);
  tmalloc_trim();
  CHECK(daemon_messages(TM_FORK) == 2); /* once more after giving back what was unused */
  CHECK(in_child(tmalloc_fork, allocate));
  CHECK(daemon_messages(TM_FORK) == 3);
}

static void *fork_often(void *unused) {
  (void)unused;
  for (int i = 0; i < 50; i++) CHECK(in_child(tmalloc_fork, i % 5 == 0 ? allocate : nothing));
  return NULL;
}

static void threads_fork_at_once(void) {
  pthread_t threads[4];
  CHECK(tmalloc(20 * MIB) != NULL);
  for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, fork_often, NULL) == 0);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  CHECK(daemon_messages(TM_FORK) == 200);
}

static pid_t raw_fork(void) { return (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0); }

static void a_child_made_behind_our_back_is_one_of_its_own(void) { fork_with_memory(raw_fork); }

static void grandchildren(void) {
  allocate();
  CHECK(in_child(fork, allocate));
}

static void children_of_children(void) {
  allocate();
  CHECK(in_child(fork, grandchildren));
  CHECK(daemon_messages(TM_DECLARE) == 2);
}

static void a_vfork_child_speaks_for_nobody(void) {
  if (under_tool()) return; /* these make a fork of it */
  CHECK(tmalloc(1000) != NULL);
  uint64_t messages = daemon_messages(TM_RESERVE);
  static void *volatile block;
  pid_t child = vfork();
  if (child == 0) {
    block = tmalloc(10 * MIB);
    _exit(0);
  }
  waitpid(child, NULL, 0);
  CHECK(block == NULL);
  CHECK(daemon_messages(TM_RESERVE) == messages);
  CHECK(tmalloc(10 * MIB) != NULL);
}

static void *wait_for_the_daemon(void *unused) {
  (void)unused;
  tfree(tmalloc(5 * MIB));
  return NULL;
}

static void allocate_with_an_answer(void) {
  alarm(10);
  daemon_control->mode = MODE_GRANT;
  CHECK(tmalloc(1 * MIB) != NULL);
  alarm(0);
}

/* Threads that wait for the coordinator hold locks, and are not in a child of clone. */
static void a_child_made_amid_a_request_does_not_hang(void) {
  if (under_tool()) return; /* these know nothing of locks that are made anew */
  pthread_t thread;
  allocate();
  daemon_control->mode = MODE_SILENT;
  CHECK(pthread_create(&thread, NULL, wait_for_the_daemon, NULL) == 0);
  sleep_ms(100);
  CHECK(in_child(raw_fork, allocate_with_an_answer));
  pthread_join(thread, NULL);
}

static atomic_bool is_over;

static void *churn(void *seed) {
  unsigned state = (unsigned)(uintptr_t)seed;
  while (!is_over) tfree(tmalloc(1 + next_random(&state) % (100 * KIB)));
  return NULL;
}

static void allocate_much(void) {
  unsigned state = 5;
  for (int i = 0; i < 300; i++) {
    void *block = tmalloc(1 + next_random(&state) % (60 * KIB));
    CHECK(block != NULL);
    if (i % 2) tfree(block);
  }
}

static void forks_amid_threads(void) {
  pthread_t threads[3];
  for (uintptr_t i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, churn, (void *)i) == 0);
  for (int i = 0; i < 40; i++) CHECK(in_child(fork, allocate_much));
  is_over = true;
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
}

enum { PROCESSES = 5, SLOTS = 200 };

static void use_all_there_is(unsigned seed) {
  static char *slots[SLOTS];
  unsigned state = seed;
  for (int64_t end = now_ms() + 1500; now_ms() < end;) {
    char **slot = &slots[next_random(&state) % SLOTS];
    size_t size = 1 + next_random(&state) % (next_random(&state) % 8 == 0 ? 2 * MIB : 100 * KIB);
    tfree(*slot);
    *slot = tmalloc(size);
    if (*slot != NULL) memset(*slot, 1, size);
  }
}

static void signal_all(const pid_t *children, int number) {
  for (int i = 0; i < PROCESSES; i++) kill(children[i], number);
  for (int i = 0; i < PROCESSES && number == SIGSTOP; i++) waitpid(children[i], NULL, WUNTRACED);
}

static void processes_together_never_pass_the_limit(void) {
  pid_t children[PROCESSES];
  for (int i = 0; i < PROCESSES; i++) {
    children[i] = fork();
    CHECK(children[i] >= 0);
    if (children[i] != 0) continue;
    use_all_there_is((unsigned)i + 1);
    _exit(0);
  }
  size_t most = 0;
  for (int64_t end = now_ms() + 1300; now_ms() < end;) {
    /* All at one moment: what one frees another may take. */
    size_t sum = 0;
    signal_all(children, SIGSTOP);
    for (int i = 0; i < PROCESSES; i++) sum += resident_of(children[i]);
    signal_all(children, SIGCONT);
    if (sum > most) most = sum;
    sleep_ms(2);
  }
  for (int i = 0; i < PROCESSES; i++) {
    int status;
    CHECK(waitpid(children[i], &status, 0) == children[i] && status == 0);
  }
  CHECK_MOST(1, daemon_control->refused);
  CHECK_MOST(daemon_control->committed_most, 64 * MIB);
  CHECK_MOST(most, 64 * MIB);
  if (!under_tool()) CHECK_MOST(45 * MIB, most);
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      TEST(a_child_declares_what_it_inherited),
      TEST(tmalloc_fork_asks_first),
      TEST(a_large_program_can_fork),
      TEST(fork_gives_back_what_is_unused_before_it_fails),
      TEST(a_strict_child_introduces_itself),
      TEST(a_strict_fork_is_refused_without_room),
      TEST(threads_fork_at_once),
      TEST(a_child_made_behind_our_back_is_one_of_its_own),
      TEST(children_of_children),
      TEST(a_child_made_amid_a_request_does_not_hang),
      TEST(a_vfork_child_speaks_for_nobody),
      TEST(forks_amid_threads),
      TEST(processes_together_never_pass_the_limit),
  };
  return run_tests(tests, sizeof tests / sizeof *tests, argc > 1 ? argv[1] : NULL);
}
