/* What calls cost, against the test daemon, beside the libc's malloc. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../tmalloc.h"
#include "testing.h"

enum { PAIRS = 500000, WINDOW = 64, QUERIES = 20000, ROUNDS = 3 };

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Blocks of mixed sizes, of which some dozens live at a time. ns for one pair of calls. */
static double time_pairs(void *(*take)(size_t), void (*give)(void *), size_t most) {
  void *window[WINDOW] = {0};
  unsigned state = 1;
  int64_t began = now_ns();
  for (int i = 0; i < PAIRS; i++) {
    give(window[i % WINDOW]);
    window[i % WINDOW] = take(1 + next_random(&state) % most);
  }
  int64_t took = now_ns() - began;
  for (int i = 0; i < WINDOW; i++) give(window[i]);
  return (double)took / PAIRS;
}

static double best_of(void *(*take)(size_t), void (*give)(void *), size_t most) {
  double best = time_pairs(take, give, most);
  for (int round = 1; round < ROUNDS; round++) {
    double next = time_pairs(take, give, most);
    if (next < best) best = next;
  }
  return best;
}

static int compare(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return (x > y) - (x < y);
}

static void time_queries(void) {
  static int64_t took[QUERIES];
  struct tmalloc_info info;
  for (int i = 0; i < QUERIES; i++) {
    int64_t began = now_ns();
    tmalloc_query(&info);
    took[i] = now_ns() - began;
  }
  qsort(took, QUERIES, sizeof *took, compare);
  printf("query              %8.1f us median, %.1f us p99\n", (double)took[QUERIES / 2] / 1000,
         (double)took[QUERIES * 99 / 100] / 1000);
}

static void bench(void) {
  const size_t sizes[] = {64, 1000, 8000, 30000, 200000};
  puts("blocks up to        tmalloc+tfree   malloc+free");
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
    printf("%7zu bytes       %10.1f ns %10.1f ns\n", sizes[i], best_of(tmalloc, tfree, sizes[i]),
           best_of(malloc, free, sizes[i]));
  time_queries();
}

int main(void) {
  const struct test tests[] = {TEST(bench)};
  return run_tests(tests, 1, NULL);
}
