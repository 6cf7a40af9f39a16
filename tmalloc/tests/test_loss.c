/* No daemon, a daemon that goes and comes, and daemons that misbehave. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../protocol.h"
#include "../tmalloc.h"
#include "testing.h"

static void without_a_daemon_malloc_goes_on(void) {
  daemon_stop();
  int64_t began = now_ms();
  struct tmalloc_info info;
  for (int i = 0; i < 1000; i++) CHECK(tmalloc(100 * KIB) != NULL);
  CHECK_MOST(now_ms() - began, 1000);
  errno = 0;
  CHECK(tmalloc_query(&info) == -1 && errno == ENOTCONN);
  CHECK_MOST(100 * MIB, info.charged_bytes);
  CHECK(tmalloc_claim(1) == -1 && errno == ENOTCONN);
  pid_t child = tmalloc_fork();
  if (child == 0) _exit(0);
  CHECK(child > 0);
}

static void without_a_daemon_malloc_fails_if_told_so(void) {
  setenv("TMALLOC_FALLBACK", "fail", 1);
  daemon_stop();
  errno = 0;
  CHECK(tmalloc(1) == NULL && errno == ENOMEM);
  CHECK(tmalloc(1 * MIB) == NULL && tcalloc(1, 1) == NULL && tmalloc_wait(1, 100) == NULL);
  CHECK(tmalloc_fork() == -1 && errno == ENOMEM);
  daemon_start();
  sleep_ms(1100); /* until the next attempt */
  CHECK(tmalloc(1) != NULL);
}

static void a_daemon_that_comes_later_is_found(void) {
  daemon_stop();
  CHECK(tmalloc(1 * MIB) != NULL);
  daemon_start();
  CHECK(tmalloc(1 * MIB) != NULL && daemon_control->connections == 0);
  sleep_ms(1100);
  CHECK(tmalloc(1 * MIB) != NULL && daemon_control->connections == 1);
  CHECK_MOST(1 * MIB, daemon_level(getpid()));
}

static void a_new_daemon_is_told_the_level(void) {
  struct tmalloc_info before, after;
  CHECK(tmalloc(10 * MIB) != NULL && tmalloc_claim(40 * MIB) == 0);
  CHECK(tmalloc_query(&before) == 0);
  daemon_stop();
  daemon_start();
  CHECK(tmalloc_query(&after) == 0);
  CHECK(after.level_bytes == before.level_bytes && after.claim_bytes == before.claim_bytes);
  CHECK(after.lease_bytes == before.lease_bytes);
}

static void *come_back(void *unused) {
  (void)unused;
  sleep_ms(400);
  daemon_start();
  return NULL;
}

static void a_request_outlasts_a_restart(void) {
  pthread_t thread;
  CHECK(tmalloc(1 * MIB) != NULL);
  uint64_t level = daemon_level(getpid());
  daemon_stop();
  CHECK(pthread_create(&thread, NULL, come_back, NULL) == 0);
  CHECK(tmalloc(10 * MIB) != NULL);
  CHECK_MOST(level + 9 * MIB, daemon_level(getpid()));
  CHECK_MOST(daemon_level(getpid()), level + 11 * MIB);
  pthread_join(thread, NULL);
}

static void memory_taken_meanwhile_is_declared(void) {
  CHECK(tmalloc(1 * MIB) != NULL);
  uint64_t level = daemon_level(getpid());
  daemon_stop();
  int64_t began = now_ms();
  CHECK(tmalloc(10 * MIB) != NULL);
  CHECK_MOST(1900, now_ms() - began);
  CHECK_MOST(now_ms() - began, 3000);
  CHECK(tmalloc(10 * MIB) != NULL); /* and this one at once */
  CHECK_MOST(now_ms() - began, 3000);
  daemon_start();
  sleep_ms(1100);
  struct tmalloc_info info;
  CHECK(tmalloc_query(&info) == 0);
  CHECK_MOST(level + 19 * MIB, info.level_bytes);
  CHECK_MOST(info.level_bytes, level + 21 * MIB);
}

static atomic_bool is_over;

static void *churn(void *seed) {
  unsigned state = (unsigned)(uintptr_t)seed;
  while (!is_over) {
    size_t size = 1 + next_random(&state) % MIB;
    char *block = tmalloc(size);
    CHECK(block != NULL);
    memset(block, 1, size);
    tfree(block);
  }
  return NULL;
}

static void restarts_under_load_lose_nothing(void) {
  pthread_t threads[3];
  for (uintptr_t i = 0; i < 3; i++) CHECK(pthread_create(&threads[i], NULL, churn, (void *)i) == 0);
  for (int i = 0; i < 6; i++) {
    sleep_ms(100);
    daemon_stop();
    sleep_ms(30);
    daemon_start();
  }
  sleep_ms(100);
  is_over = true;
  for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
  struct tmalloc_info info;
  CHECK(tmalloc_query(&info) == 0);
  CHECK_MOST(info.charged_bytes + info.lease_bytes, info.level_bytes);
  CHECK_MOST(info.level_bytes, resident_now() + info.charged_bytes + info.lease_bytes + 1 * MIB);
}

static void misbehave(int mode, int64_t longest_ms) {
  CHECK(tmalloc(1 * MIB) != NULL);
  daemon_control->mode = mode;
  int64_t began = now_ms();
  CHECK(tmalloc(10 * MIB) != NULL); /* goes on without */
  CHECK(tmalloc(10 * MIB) != NULL);
  CHECK_MOST(now_ms() - began, longest_ms);
}

static void silence_is_no_answer(void) {
  misbehave(MODE_SILENT, 9000);
  daemon_stop(); /* what it has read it would still serve */
  daemon_control->mode = MODE_GRANT;
  daemon_start();
  sleep_ms(1100);
}

static void garbage_is_no_answer(void) { misbehave(MODE_GARBAGE, 3500); }

static void a_closed_connection_is_no_answer(void) { misbehave(MODE_CLOSE, 3500); }

static void silence_from_the_start(void) {
  daemon_control->mode = MODE_SILENT;
  int64_t began = now_ms();
  for (int i = 0; i < 100; i++) CHECK(tmalloc(1 * MIB) != NULL);
  CHECK_MOST(now_ms() - began, 3000);
}

static int highest_fd(void) {
  for (int fd = 1023; fd > 2; fd--)
    if (fcntl(fd, F_GETFD) >= 0) return fd;
  return -1;
}

static void a_closed_descriptor_is_replaced(void) {
  CHECK(tmalloc(1 * MIB) != NULL);
  uint64_t level = daemon_level(getpid());
  for (int fd = 3; fd < 1024; fd++) close(fd);
  CHECK(tmalloc(10 * MIB) != NULL);
  CHECK(daemon_control->connections == 2);
  CHECK_MOST(level + 9 * MIB, daemon_level(getpid()));
}

static void a_descriptor_that_is_another_file_now_is_left_alone(void) {
  CHECK(tmalloc(1 * MIB) != NULL);
  int number = highest_fd(), pair[2];
  CHECK(number >= 200);
  CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0 && dup2(pair[0], number) == number);
  CHECK(tmalloc(10 * MIB) != NULL);
  tmalloc_trim();
  char byte;
  CHECK(recv(pair[1], &byte, 1, MSG_DONTWAIT) == -1 && errno == EAGAIN);
  CHECK(send(pair[1], "x", 1, 0) == 1 && recv(number, &byte, 1, MSG_DONTWAIT) == 1);
}

/* What the body writes to stderr. */
static const char *stderr_of(void (*body)(void)) {
  static char text[4096];
  int ends[2], kept = dup(STDERR_FILENO);
  CHECK(pipe(ends) == 0 && dup2(ends[1], STDERR_FILENO) >= 0);
  close(ends[1]);
  body();
  dup2(kept, STDERR_FILENO);
  close(kept);
  ssize_t length = read(ends[0], text, sizeof text - 1);
  close(ends[0]);
  text[length < 0 ? 0 : length] = '\0';
  return text;
}

static void allocate_often(void) {
  for (int i = 0; i < 100; i++) {
    void *block = tmalloc(1 * MIB);
    CHECK((block == NULL) == (getenv("TMALLOC_FALLBACK") != NULL));
  }
  pid_t child = fork();
  if (child == 0) {
    tmalloc(5 * MIB);
    _exit(0);
  }
  waitpid(child, NULL, 0);
}

static void says_once(const char *reason, const char *consequence) {
  char expected[512];
  unsetenv("TMALLOC_TOLD");
  const char *said = stderr_of(allocate_often);
  snprintf(expected, sizeof expected, "tmalloc: cannot reach toom at %s: %s; %s\n",
           getenv("TMALLOC_SOCKET"), reason, consequence);
  if (strcmp(said, expected) != 0) fprintf(stderr, "said:\n%sexpected:\n%s", said, expected);
  CHECK(strcmp(said, expected) == 0);
}

static void who_cannot_reach_the_daemon_says_so_once(void) {
  daemon_stop();
  says_once("No such file or directory", "goes on without asking");
}

static void who_is_refused_everything_says_why(void) {
  daemon_stop();
  setenv("TMALLOC_FALLBACK", "fail", 1);
  says_once("No such file or directory", "all memory is refused (TMALLOC_FALLBACK=fail)");
}

static void who_may_not_enter_the_folder_says_so(void) {
  if (getuid() != 0) return; /* only another user is kept out */
  char folder[128];
  strcpy(folder, getenv("TMALLOC_SOCKET"));
  *strrchr(folder, '/') = '\0';
  CHECK(chmod(folder, 0700) == 0 && setgid(60340) == 0 && setuid(60340) == 0);
  says_once("Permission denied", "goes on without asking");
}

static void who_was_told_by_its_parent_says_nothing(void) {
  daemon_stop();
  CHECK(*stderr_of(allocate_often) == '\0');
}

static void who_loses_the_daemon_for_long_says_so(void) {
  unsetenv("TMALLOC_TOLD"); /* read with the first request */
  CHECK(tmalloc(1 * MIB) != NULL);
  daemon_stop();
  says_once("No such file or directory", "goes on without asking");
}

static void who_gets_no_answer_says_so(void) {
  daemon_control->mode = MODE_SILENT;
  says_once("it does not answer", "goes on without asking");
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      TEST(without_a_daemon_malloc_goes_on),
      TEST(without_a_daemon_malloc_fails_if_told_so),
      TEST(a_daemon_that_comes_later_is_found),
      TEST(a_new_daemon_is_told_the_level),
      TEST(a_request_outlasts_a_restart),
      TEST(memory_taken_meanwhile_is_declared),
      TEST(restarts_under_load_lose_nothing),
      TEST(silence_is_no_answer),
      TEST(garbage_is_no_answer),
      TEST(a_closed_connection_is_no_answer),
      TEST(silence_from_the_start),
      TEST(a_closed_descriptor_is_replaced),
      TEST(a_descriptor_that_is_another_file_now_is_left_alone),
      TEST(who_cannot_reach_the_daemon_says_so_once),
      TEST(who_is_refused_everything_says_why),
      TEST(who_may_not_enter_the_folder_says_so),
      TEST(who_was_told_by_its_parent_says_nothing),
      TEST(who_loses_the_daemon_for_long_says_so),
      TEST(who_gets_no_answer_says_so),
  };
  return run_tests(tests, sizeof tests / sizeof *tests, argc > 1 ? argv[1] : NULL);
}
