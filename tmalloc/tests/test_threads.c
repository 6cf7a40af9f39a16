/* Many threads allocate, hand blocks to each other, free, and end. */
#include <pthread.h>
#include <stdatomic.h>
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

enum { THREADS = 6, SHARED = 512, OPERATIONS = 12000 };

/* A block begins with its size and is filled with what follows from it. */
struct content {
  size_t size;
  size_t seed; /* no padding */
  unsigned char bytes[];
};

static _Atomic(struct content *) shared[SHARED];

static struct content *make(unsigned *state) {
  size_t most = (size_t)1 << (6 + next_random(state) % 12);
  size_t size = sizeof(struct content) + next_random(state) % most;
  struct content *content = next_random(state) % 2 ? tmalloc(size) : tcalloc(1, size);
  if (content == NULL) return NULL;
  content->size = size;
  content->seed = next_random(state);
  memset(content->bytes, (unsigned char)content->seed, size - sizeof *content);
  return content;
}

static bool is_intact(const struct content *content) {
  size_t length = content->size - sizeof *content;
  for (size_t i = 0; i < length; i++)
    if (content->bytes[i] != (unsigned char)content->seed) return false;
  return true;
}

static struct content *grown(struct content *content, unsigned *state) {
  size_t size = content->size + next_random(state) % 5000;
  struct content *larger = trealloc(content, size);
  if (larger == NULL) return content;
  memset((char *)larger + larger->size, (unsigned char)larger->seed, size - larger->size);
  larger->size = size;
  return larger;
}

static void *work(void *number) {
  unsigned state = (unsigned)(uintptr_t)number;
  for (int i = 0; i < OPERATIONS; i++) {
    struct content *mine = make(&state);
    if (mine != NULL && next_random(&state) % 4 == 0) mine = grown(mine, &state);
    struct content *other = atomic_exchange(&shared[next_random(&state) % SHARED], mine);
    if (other == NULL) continue;
    CHECK(is_intact(other));
    tfree(other);
  }
  return NULL;
}

static void run_threads(void *(*body)(void *), unsigned first) {
  pthread_t threads[THREADS];
  for (unsigned i = 0; i < THREADS; i++)
    CHECK(pthread_create(&threads[i], NULL, body, (void *)(uintptr_t)(first + i)) == 0);
  for (unsigned i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static void free_shared(void) {
  for (int i = 0; i < SHARED; i++) tfree(atomic_exchange(&shared[i], NULL));
}

static void check_charge(void) {
  CHECK(tm_lease_charged() == tm_slab_charged() + tm_large_charged() + tm_kept_charged() +
                                   tm_units_overhead());
}

static void blocks_stay_intact(void) {
  run_threads(work, 1);
  check_charge();
  free_shared();
}

static void blocks_stay_intact_at_the_limit(void) {
  struct tmalloc_info info;
  CHECK(tmalloc_query(&info) == 0);
  daemon_limit(info.level_bytes + 3 * MIB);
  run_threads(work, 100);
  check_charge();
  CHECK_MOST(1, daemon_control->refused);
  CHECK_MOST(daemon_control->committed_most, info.level_bytes + 3 * MIB);
  free_shared();
}

static void *allocate_and_end(void *unused) {
  (void)unused;
  void *blocks[64];
  for (int i = 0; i < 64; i++) blocks[i] = tmalloc(16 + i * 64);
  for (int i = 0; i < 64; i++) tfree(blocks[i]);
  return NULL;
}

static void threads_that_end_leave_nothing(void) {
  run_threads(allocate_and_end, 0);
  tmalloc_trim();
  size_t before = tm_lease_charged();
  for (int i = 0; i < 20; i++) run_threads(allocate_and_end, 0);
  tmalloc_trim();
  CHECK_MOST(tm_lease_charged(), before);
}

static void *ask(void *unused) {
  (void)unused;
  struct tmalloc_info info;
  for (int i = 0; i < 300; i++) CHECK(tmalloc_query(&info) == 0 && info.hard_bytes == 64 * MIB);
  return NULL;
}

static void replies_find_who_asked(void) {
  run_threads(ask, 0);
  CHECK(daemon_messages(TM_QUERY) == THREADS * 300 + 1);
  CHECK(daemon_control->connections == 1);
}

static void *wait_in_vain(void *unused) {
  (void)unused;
  CHECK(tmalloc_wait(40 * MIB, 300) == NULL);
  pause(); /* a cancellation point */
  return NULL;
}

static void a_cancelled_thread_holds_nothing(void) {
  pthread_t thread;
  void *block = tmalloc(50 * MIB);
  CHECK(pthread_create(&thread, NULL, wait_in_vain, NULL) == 0);
  sleep_ms(100);
  CHECK(pthread_cancel(thread) == 0 && pthread_join(thread, NULL) == 0);
  tfree(block);
  CHECK(tmalloc(50 * MIB) != NULL);
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      TEST(blocks_stay_intact),
      TEST(blocks_stay_intact_at_the_limit),
      TEST(threads_that_end_leave_nothing),
      TEST(replies_find_who_asked),
      TEST(a_cancelled_thread_holds_nothing),
  };
  return run_tests(tests, sizeof tests / sizeof *tests, argc > 1 ? argv[1] : NULL);
}
