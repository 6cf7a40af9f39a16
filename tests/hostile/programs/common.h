/* What the programs of tests/hostile share. Each says `here`, waits for a line, attacks, says `done`
 * and lives until its input ends; its children end with it. */
#ifndef TOOM_HOSTILE_COMMON_H
#define TOOM_HOSTILE_COMMON_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, STEP = 256 << 10, MIB = 1 << 20 };
/* The limit of who attacks (../scene.ts), and what is more than that. */
enum { HARD = 24 * MIB, MOST = 36 * MIB };

static inline void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  _exit(99);
}

static inline void say(const char *word) {
  printf("%s\n", word);
  fflush(stdout);
}

static inline void say_number(const char *word, long number) {
  printf("%s %ld\n", word, number);
  fflush(stdout);
}

/* Waits for a line; ends with the input. */
static inline void await_line(void) {
  char byte;
  do {
    if (read(STDIN_FILENO, &byte, 1) <= 0) _exit(0);
  } while (byte != '\n');
}

static inline void rest_us(long us) {
  struct timespec time = {us / 1000000, us % 1000000 * 1000};
  nanosleep(&time, NULL);
}

static inline long now_ms(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static inline char *map(size_t bytes, int flags) {
  char *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) die("mmap");
  return area;
}

/* Writes to each page, no faster than the witness of the kills can follow: some 200 MiB/s. */
static inline void take(char *area, size_t bytes) {
  for (size_t at = 0; at < bytes; at += PAGE) {
    ((volatile char *)area)[at]++;
    if (at % STEP == 0) rest_us(1000);
  }
}

static inline void take_at_once(char *area, size_t bytes) {
  for (size_t at = 0; at < bytes; at += PAGE) ((volatile char *)area)[at]++;
}

/* In a child: it must not outlive the test. */
static inline void end_with(pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
}

/* A child that runs `body`; its number. */
#define CHILD(pid, ...)               \
  do {                                \
    pid_t parent_ = getpid();         \
    (pid) = fork();                   \
    if ((pid) < 0) die("fork");       \
    if ((pid) == 0) {                 \
      end_with(parent_);              \
      __VA_ARGS__;                    \
      _exit(0);                       \
    }                                 \
  } while (0)

#endif
