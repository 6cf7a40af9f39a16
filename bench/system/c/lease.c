/* What an allocation costs: from tmalloc's lease, from plain malloc, and from plain malloc under a
 * limit of address space (setrlimit), which is the other way to be told instead of killed.
 *
 *   lease ROUNDS
 *
 * Prints for each of "tmalloc", "malloc", "malloc, RLIMIT_AS": its name, the median of ns for a pair of
 * allocation and free of 64 bytes, and of ns for each 4 KiB page of 32 MiB that are allocated in blocks
 * of 8 KiB, touched, and freed. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "tmalloc.h"

enum { PAIRS = 100000, BLOCK = 8192, BLOCKS = 4096, PAGES = BLOCK / 4096 * BLOCKS, ROUNDS_MAX = 1000 };

static double now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return x < y ? -1 : x > y;
}

static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, compare);
  return values[count / 2];
}

static void measure(const char *name, void *(*take)(size_t), void (*give)(void *), int rounds) {
  static double pairs[ROUNDS_MAX], pages[ROUNDS_MAX];
  static char *blocks[BLOCKS];
  for (int round = 0; round < rounds; round++) {
    double start = now_ns();
    for (int i = 0; i < PAIRS; i++) {
      volatile char *block = take(64);
      if (block == NULL) exit(3);
      block[0] = 1;
      give((void *)block);
    }
    pairs[round] = (now_ns() - start) / PAIRS;
    start = now_ns();
    for (int i = 0; i < BLOCKS; i++) {
      blocks[i] = take(BLOCK);
      if (blocks[i] == NULL) exit(3);
      for (int at = 0; at < BLOCK; at += 4096) blocks[i][at] = 1;
    }
    for (int i = 0; i < BLOCKS; i++) give(blocks[i]);
    pages[round] = (now_ns() - start) / PAGES;
  }
  printf("%s\n%.1f %.1f\n", name, median(pairs, rounds), median(pages, rounds));
}

int main(int argc, char **argv) {
  int rounds = argc == 2 ? atoi(argv[1]) : 0;
  if (rounds < 1 || rounds > ROUNDS_MAX) return 2;
  measure("tmalloc", tmalloc, tfree, rounds);
  measure("malloc", malloc, free, rounds);
  struct rlimit limit = {512u << 20, 512u << 20};
  if (setrlimit(RLIMIT_AS, &limit) != 0) return 1;
  measure("malloc, RLIMIT_AS", malloc, free, rounds);
  printf("end\n");
  return 0;
}
