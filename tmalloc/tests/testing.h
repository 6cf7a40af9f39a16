/* What the tests share: checks, and a test daemon of their own. */
#ifndef TESTING_H
#define TESTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon_control.h"

#define KIB ((size_t)1 << 10)
#define MIB ((size_t)1 << 20)

struct test {
  const char *name;
  void (*run)(void);
};

#define TEST(function) {#function, function}

#define CHECK(condition) check((condition), #condition, __FILE__, __LINE__)
#define CHECK_MOST(value, most) \
  check_most((uint64_t)(value), (uint64_t)(most), #value " <= " #most, __FILE__, __LINE__)

void check(bool holds, const char *what, const char *file, int line);
void check_most(uint64_t value, uint64_t most, const char *what, const char *file, int line);

/* Each test in a process of its own, which has a daemon with a limit of 64 MiB running, unless it
 * starts with another. Returns main's exit code. `only` names one test, NULL all. */
int run_tests(const struct test *tests, size_t count, const char *only);

/* The daemon of this test. */
extern struct control *daemon_control;
void daemon_start(void); /* anew, with an empty memory */
void daemon_stop(void);
void daemon_limit(uint64_t bytes);
uint64_t daemon_messages(int type);
uint64_t daemon_level(pid_t pid); /* 0 when it does not know the process */

/* Whether a sanitizer or valgrind has memory of its own in this process. What is resident says
 * nothing then: it counts as 0, here and at the daemon. */
bool under_tool(void);

/* Anonymous and shared memory, and swap, of this process, and of another, now. */
size_t resident_now(void);
size_t resident_of(pid_t pid);

/* A child that runs `body` and exits; true when all checks in it held. */
bool in_child(pid_t (*forker)(void), void (*body)(void));

unsigned next_random(unsigned *state);
int64_t now_ms(void);
void sleep_ms(int ms);

#endif
