/* Touches anonymous memory page by page, and tells what a page cost.
 *
 *   touch speed PAGES ROUNDS CPU        prints ns per page of each round, then "end"
 *   touch rate PAGES_PER_SECOND MS CPU  prints pages touched and ns taken; a rate of 0: all it can
 *
 * CPU: where it runs, -1 anywhere. Says "ready" and waits for a line before it begins. */
#define _GNU_SOURCE
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <time.h>

static const size_t PAGE = 4096;

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static volatile char *map_area(size_t pages) {
  volatile char *area =
      mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) exit(2);
  madvise((void *)area, pages * PAGE, MADV_NOHUGEPAGE);
  return area;
}

static void wait_for_line(void) {
  char line[16];
  puts("ready");
  fflush(stdout);
  if (fgets(line, sizeof line, stdin) == NULL) exit(2);
}

static int speed(size_t pages, size_t rounds) {
  double *costs = calloc(rounds, sizeof *costs);
  memset(costs, 1, rounds * sizeof *costs);
  volatile char *area = map_area(pages);
  wait_for_line();
  for (size_t round = 0; round < rounds; round++) {
    uint64_t start = now_ns();
    for (size_t at = 0; at < pages * PAGE; at += PAGE) area[at] = 1;
    costs[round] = (double)(now_ns() - start) / (double)pages;
    /* Page tables stay, so that all rounds do the same. */
    madvise((void *)area, pages * PAGE, MADV_DONTNEED);
  }
  for (size_t round = 0; round < rounds; round++) printf("%.1f\n", costs[round]);
  puts("end");
  return 0;
}

static int rate(double per_second, uint64_t ms) {
  const size_t pages = 2048;
  volatile char *area = map_area(pages);
  wait_for_line();
  uint64_t start = now_ns(), now = start, touched = 0;
  while (now - start < ms * 1000000u) {
    uint64_t due = per_second == 0 ? touched + 64 : (uint64_t)(per_second * (double)(now - start) / 1e9);
    for (; touched < due; touched++) {
      area[touched % pages * PAGE] = 1;
      if (touched % pages == pages - 1) madvise((void *)area, pages * PAGE, MADV_DONTNEED);
    }
    if (per_second != 0) {
      struct timespec pause = {0, 100000};
      nanosleep(&pause, NULL);
    }
    now = now_ns();
  }
  printf("%llu %llu\nend\n", (unsigned long long)touched, (unsigned long long)(now - start));
  return 0;
}

int main(int argc, char **argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (argc != 5) return 2;
  int cpu = atoi(argv[4]);
  if (cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) return 2;
  }
  if (strcmp(argv[1], "speed") == 0) {
    return speed(strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
  }
  return rate(strtod(argv[2], NULL), strtoul(argv[3], NULL, 10));
}
