#include "testing.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

struct control *daemon_control;
static char directory[64], socket_path[96], control_path[96];
static pid_t daemon_pid;

void check(bool holds, const char *what, const char *file, int line) {
  if (holds) return;
  fprintf(stderr, "%s:%d: failed: %s (errno %s)\n", file, line, what, strerror(errno));
  fflush(NULL);
  _exit(1);
}

void check_most(uint64_t value, uint64_t most, const char *what, const char *file, int line) {
  if (value <= most) return;
  fprintf(stderr, "%llu > %llu\n", (unsigned long long)value, (unsigned long long)most);
  check(false, what, file, line);
}

void daemon_start(void) {
  struct stat status;
  unlink(socket_path);
  char *const arguments[] = {TEST_DAEMON, socket_path, control_path, NULL};
  CHECK(posix_spawn(&daemon_pid, TEST_DAEMON, NULL, NULL, arguments, environ) == 0);
  for (int i = 0; i < 500 && stat(socket_path, &status) != 0; i++) sleep_ms(2);
  CHECK(stat(socket_path, &status) == 0);
  sleep_ms(5); /* it binds, then listens */
}

void daemon_stop(void) {
  kill(daemon_pid, SIGKILL);
  waitpid(daemon_pid, NULL, 0);
  unlink(socket_path);
}

void daemon_limit(uint64_t bytes) { daemon_control->limit = bytes; }

uint64_t daemon_messages(int type) { return daemon_control->messages[type]; }

uint64_t daemon_level(pid_t pid) {
  for (size_t i = 0; i < CONTROL_PROCESSES; i++)
    if (daemon_control->processes[i].pid == pid) return daemon_control->processes[i].level;
  return 0;
}

bool under_tool(void) { return getenv("TEST_UNDER_TOOL") != NULL; }

size_t resident_now(void) { return resident_of(getpid()); }

size_t resident_of(pid_t pid) {
  if (under_tool()) return 0;
  char path[64], text[4096];
  size_t sum = 0;
  snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
  close(fd);
  CHECK(length > 0);
  text[length] = '\0';
  const char *const fields[] = {"RssAnon:", "RssShmem:", "VmSwap:"};
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
    const char *found = strstr(text, fields[i]);
    if (found != NULL) sum += strtoul(found + strlen(fields[i]), NULL, 10) * KIB;
  }
  return sum;
}

bool in_child(pid_t (*forker)(void), void (*body)(void)) {
  pid_t child = forker();
  CHECK(child >= 0);
  if (child == 0) {
    body();
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

unsigned next_random(unsigned *state) {
  *state = *state * 1664525u + 1013904223u;
  return *state >> 8;
}

int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

void sleep_ms(int ms) {
  struct timespec left = {ms / 1000, ms % 1000 * 1000000L};
  while (nanosleep(&left, &left) != 0) {}
}

static void set_up(void) {
  strcpy(directory, "/tmp/tmalloc-test-XXXXXX");
  CHECK(mkdtemp(directory) != NULL);
  snprintf(socket_path, sizeof socket_path, "%s/socket", directory);
  snprintf(control_path, sizeof control_path, "%s/control", directory);
  int fd = open(control_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  CHECK(fd >= 0 && ftruncate(fd, sizeof *daemon_control) == 0);
  daemon_control = mmap(NULL, sizeof *daemon_control, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  CHECK(daemon_control != MAP_FAILED);
  close(fd);
  setenv("TMALLOC_SOCKET", socket_path, 1);
  setenv("TMALLOC_TOLD", "1", 1); /* tests without a daemon are many */
  daemon_control->ignores_resident = under_tool();
  daemon_limit(64 * MIB);
  daemon_start();
}

static void tear_down(void) {
  daemon_stop();
  unlink(control_path);
  rmdir(directory);
  munmap(daemon_control, sizeof *daemon_control);
}

static bool run_test(const struct test *test) {
  int64_t began = now_ms();
  set_up();
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    test->run();
    exit(0); /* as a program ends, so that tools can look for leaks */
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child);
  tear_down();
  bool passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  printf("%s %s (%lld ms)\n", passed ? "ok  " : "FAIL", test->name,
         (long long)(now_ms() - began));
  fflush(stdout);
  return passed;
}

int run_tests(const struct test *tests, size_t count, const char *only) {
  bool all_passed = true;
  for (size_t i = 0; i < count; i++)
    if (only == NULL || strcmp(only, tests[i].name) == 0) all_passed &= run_test(&tests[i]);
  return all_passed ? 0 : 1;
}
