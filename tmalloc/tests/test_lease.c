/* What is charged, asked for and given back. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../kept.h"
#include "../large.h"
#include "../lease.h"
#include "../pages.h"
#include "../protocol.h"
#include "../slab.h"
#include "../tmalloc.h"
#include "testing.h"

enum { SLOTS = 600 };

/* What the process needs for itself while a test runs: stack, stdio, the libc's own data. */
#define CONSTANT (256 * KIB)

static size_t size_of_all_kinds(unsigned *state) {
  size_t most = (size_t)1 << (4 + next_random(state) % 17);
  return 1 + next_random(state) % most;
}

static void charge_is_what_spans_have(void) {
  static char *slots[SLOTS];
  unsigned state = 1;
  size_t before = resident_now();
  for (int i = 0; i < 20000; i++) {
    char **slot = &slots[next_random(&state) % SLOTS];
    size_t size = size_of_all_kinds(&state);
    if (next_random(&state) % 3 == 0) {
      *slot = trealloc(*slot, size);
    } else {
      tfree(*slot);
      *slot = tmalloc(size);
    }
    if (*slot != NULL) memset(*slot, 1, size);
    CHECK(tm_lease_charged() == tm_slab_charged() + tm_large_charged() + tm_kept_charged() +
                                   tm_units_overhead());
    if (i % 500 == 0) {
      CHECK_MOST(resident_now(), before + tm_lease_charged() + CONSTANT);
      CHECK_MOST(resident_now(), daemon_level(getpid()) + CONSTANT);
    }
  }
  CHECK_MOST(daemon_control->committed_most, 64 * MIB);
  for (int i = 0; i < SLOTS; i++) tfree(slots[i]);
  tmalloc_trim();
  struct tmalloc_info info;
  CHECK(tmalloc_query(&info) == 0); /* after the release, on the same connection */
  CHECK(info.lease_bytes == 0);
  CHECK_MOST(tm_lease_charged(), 64 * KIB);
  CHECK_MOST(info.level_bytes, before + 64 * KIB + tm_lease_charged() + 64 * KIB);
}

static void refused_at_the_limit_and_never_past_it(void) {
  static char *slots[64 * MIB / 4096];
  size_t count = 0;
  while (count < sizeof slots / sizeof *slots && (slots[count] = tmalloc(9000)) != NULL)
    memset(slots[count++], 1, 9000);
  CHECK(errno == ENOMEM);
  CHECK_MOST(resident_now(), 64 * MIB);
  if (!under_tool()) CHECK_MOST(59 * MIB, resident_now()); /* and what fits is granted */
  CHECK(tmalloc(1 * MIB) == NULL);
  while (count > 0) tfree(slots[--count]);
  CHECK(tmalloc(60 * MIB) != NULL);
}

static void most_calls_ask_nobody(void) {
  for (int i = 0; i < 100000; i++) tfree(tmalloc(100 + i % 1000));
  CHECK_MOST(daemon_messages(TM_RESERVE), 30);
  CHECK_MOST(daemon_messages(TM_RELEASE), 0);
}

static void growth_is_in_steps(void) {
  for (int i = 0; i < 32 * 256; i++) CHECK(tmalloc(4000) != NULL); /* 32 MiB and some */
  CHECK_MOST(daemon_messages(TM_RESERVE), 36 * MIB / (256 * KIB) + 10);
  CHECK(daemon_messages(TM_RELEASE) == 0);
}

static void what_goes_to_and_fro_is_kept(void) {
  void *blocks[16];
  memset(blocks, 0, sizeof blocks);
  for (int round = 0; round < 200; round++) {
    for (int i = 0; i < 16; i++) blocks[i] = tmalloc(30 * KIB);
    for (int i = 0; i < 16; i++) tfree(blocks[i]);
  }
  CHECK_MOST(daemon_messages(TM_RESERVE) + daemon_messages(TM_RELEASE), 40);
}

static void much_that_is_unused_is_given_back(void) {
  size_t before = resident_now();
  void *block = tmalloc(20 * MIB);
  CHECK_MOST(20 * MIB, daemon_level(getpid()));
  tfree(block);
  struct tmalloc_info info;
  CHECK(tmalloc_query(&info) == 0);
  CHECK(daemon_messages(TM_RELEASE) == 1);
  CHECK_MOST(info.lease_bytes, 1 * MIB);
  CHECK_MOST(info.level_bytes, before + 2 * MIB);
}

static void small_limits_are_used_up(void) {
  struct tmalloc_info info;
  CHECK(tmalloc_query(&info) == 0);
  uint64_t limit = info.level_bytes + 300 * KIB;
  daemon_limit(limit);
  size_t sum = 0;
  while (tmalloc(1000) != NULL) sum += 1000;
  CHECK_MOST(240 * KIB, sum);
  CHECK_MOST(daemon_control->committed_most, limit);
}

static void refused_gives_back_what_is_kept(void) {
  void *blocks[7];
  for (int i = 0; i < 7; i++) blocks[i] = tmalloc(30 * KIB);
  for (int i = 0; i < 7; i++) tfree(blocks[i]);
  CHECK_MOST(128 * KIB, tm_lease_charged()); /* kept */
  struct tmalloc_info info;
  CHECK(tmalloc_query(&info) == 0);
  daemon_limit(info.level_bytes);
  CHECK(tmalloc(info.lease_bytes + 100 * KIB) != NULL);
}

static void without_a_limit_steps_are_large(void) {
  daemon_limit(TM_NO_LIMIT);
  for (int i = 0; i < 200; i++) CHECK(tmalloc(1 * MIB - 4096) != NULL);
  CHECK_MOST(daemon_messages(TM_RESERVE), 8);
}

static void the_allowance_is_a_part_of_small_limits(void) {
  struct tmalloc_info info;
  size_t before = resident_now();
  daemon_limit(64 * MIB);
  CHECK(tmalloc_query(&info) == 0);
  CHECK_MOST(before + 60 * KIB, info.level_bytes);
  CHECK_MOST(info.level_bytes, resident_now() + 64 * KIB);
}

static void the_allowance_is_set_by_the_environment(void) {
  struct tmalloc_info info;
  size_t before = resident_now();
  setenv("TMALLOC_ALLOWANCE", "3000000", 1);
  CHECK(tmalloc_query(&info) == 0);
  CHECK_MOST(before + 3000000, info.level_bytes);
  CHECK(info.lease_bytes == 0);
}

static void there_may_be_no_allowance(void) {
  struct tmalloc_info info;
  size_t before = resident_now();
  setenv("TMALLOC_ALLOWANCE", "0", 1);
  CHECK(tmalloc_query(&info) == 0);
  CHECK_MOST(info.level_bytes, before + CONSTANT);
  CHECK(tmalloc(1000) != NULL);
}

static void a_refusal_is_asked_for_once(void) {
  CHECK(tmalloc(1000) != NULL);
  CHECK(tmalloc(100 * MIB) == NULL);
  CHECK(daemon_control->refused == 1);
}

static void a_claim_is_kept_to(void) {
  CHECK(tmalloc_claim(4 * MIB) == 0);
  size_t sum = 0;
  while (tmalloc(10000) != NULL) sum += 10000;
  CHECK_MOST(4 * MIB, sum);
  CHECK_MOST(sum, 5 * MIB);
  CHECK(tmalloc_claim(0) == 0);
  CHECK(tmalloc(10000) != NULL);
}

static void *freer(void *block) {
  sleep_ms(200);
  tfree(block);
  return NULL;
}

static void a_wait_ends_when_memory_is_there(void) {
  void *block = tmalloc(60 * MIB);
  pthread_t thread;
  CHECK(block != NULL && tmalloc(30 * MIB) == NULL);
  CHECK(pthread_create(&thread, NULL, freer, block) == 0);
  int64_t began = now_ms();
  void *waited = tmalloc_wait(30 * MIB, 10000);
  CHECK(waited != NULL);
  CHECK_MOST(now_ms() - began, 2000);
  CHECK_MOST(150, now_ms() - began);
  pthread_join(thread, NULL);
}

static void a_wait_has_a_deadline(void) {
  CHECK(tmalloc(60 * MIB) != NULL);
  int64_t began = now_ms();
  errno = 0;
  CHECK(tmalloc_wait(30 * MIB, 300) == NULL && errno == ETIMEDOUT);
  CHECK_MOST(290, now_ms() - began);
  CHECK_MOST(now_ms() - began, 2000);
  CHECK(tmalloc_wait(30 * MIB, 0) == NULL && errno == ETIMEDOUT);
}

static void no_wait_for_what_can_never_be(void) {
  int64_t began = now_ms();
  errno = 0;
  CHECK(tmalloc_wait(100 * MIB, 5000) == NULL && errno == ENOMEM);
  CHECK_MOST(now_ms() - began, 1000);
}

static void *waiter(void *unused) {
  (void)unused;
  return tmalloc_wait(50 * MIB, 1000);
}

static void others_go_on_while_one_waits(void) {
  pthread_t thread;
  void *block = tmalloc(30 * MIB), *waited;
  CHECK(pthread_create(&thread, NULL, waiter, NULL) == 0);
  sleep_ms(50);
  int64_t began = now_ms();
  for (int i = 0; i < 20; i++) {
    struct tmalloc_info info;
    CHECK(tmalloc_query(&info) == 0);
    void *other = tmalloc(5 * MIB);
    CHECK(other != NULL);
    tfree(other);
  }
  CHECK_MOST(now_ms() - began, 500);
  tfree(block);
  tmalloc_trim();
  CHECK(pthread_join(thread, &waited) == 0 && waited != NULL);
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      TEST(charge_is_what_spans_have),
      TEST(refused_at_the_limit_and_never_past_it),
      TEST(most_calls_ask_nobody),
      TEST(growth_is_in_steps),
      TEST(what_goes_to_and_fro_is_kept),
      TEST(much_that_is_unused_is_given_back),
      TEST(small_limits_are_used_up),
      TEST(refused_gives_back_what_is_kept),
      TEST(without_a_limit_steps_are_large),
      TEST(the_allowance_is_a_part_of_small_limits),
      TEST(the_allowance_is_set_by_the_environment),
      TEST(there_may_be_no_allowance),
      TEST(a_refusal_is_asked_for_once),
      TEST(a_claim_is_kept_to),
      TEST(a_wait_ends_when_memory_is_there),
      TEST(a_wait_has_a_deadline),
      TEST(no_wait_for_what_can_never_be),
      TEST(others_go_on_while_one_waits),
  };
  return run_tests(tests, sizeof tests / sizeof *tests, argc > 1 ? argv[1] : NULL);
}
