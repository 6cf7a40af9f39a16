#include "cache.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "classes.h"
#include "slab.h"
#include "sys.h"

/* A class may keep 8 KiB, blocks beyond 1 KiB a few, the largest none: at most some 300 KiB in all,
 * and much less in practice. */
#define BYTES_MOST ((size_t)8 << 10)
enum { COUNT_MOST = 64, FEW = 4, FEW_MOST = 4 << 10, PAIR_MOST = 8 << 10 };

struct cache {
  struct tm_blocks blocks[TM_CLASSES];
  unsigned flushed;   /* the last flush that this thread took part in */
  _Bool is_announced; /* is given back when the thread ends */
};

static _Thread_local struct cache cache __attribute__((tls_model("initial-exec")));
static atomic_uint flushes;

static pthread_key_t at_exit;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static unsigned most_of(size_t size) {
  if (size > PAIR_MOST) return 0;
  if (size > FEW_MOST) return 2;
  size_t count = BYTES_MOST / size;
  if (count < FEW) return FEW;
  return count < COUNT_MOST ? (unsigned)count : COUNT_MOST;
}

static void give_all(struct cache *of) {
  for (unsigned class = 0; class < TM_CLASSES; class++) {
    struct tm_blocks *blocks = &of->blocks[class];
    if (blocks->count != 0) tm_slab_give(class, blocks, blocks->count);
  }
}

/* Destructors of other keys may still allocate: then the cache is announced once more. */
static void thread_ends(void *of) {
  struct cache *ending = of;
  ending->is_announced = 0;
  give_all(ending);
}

static void create_key(void) { pthread_key_create(&at_exit, thread_ends); }

static void announce(void) {
  cache.is_announced = 1; /* first: what follows may allocate */
  pthread_once(&once, create_key);
  pthread_setspecific(at_exit, &cache);
}

/* What is due now and then, off the fast path. */
static void attend(void) {
  if (!cache.is_announced) announce();
  unsigned latest = atomic_load_explicit(&flushes, memory_order_relaxed);
  if (cache.flushed == latest) return;
  cache.flushed = latest;
  give_all(&cache);
}

static void *refill(unsigned class) {
  struct tm_blocks *blocks = &cache.blocks[class];
  attend();
  unsigned batch = most_of(tm_class_size(class)) / 2;
  struct tm_blocks fresh = {0};
  if (!tm_slab_take(class, batch == 0 ? 1 : batch, &fresh)) return NULL;
  void *block = tm_blocks_pop(&fresh);
  while (fresh.count != 0) tm_blocks_push(blocks, tm_blocks_pop(&fresh));
  return block;
}

/* The second word of a free block holds this mark, so that a block that is freed twice is noticed.
 * As a program may have the same bytes there, the lists are searched before anybody is blamed. */
static uintptr_t *mark_of(void *block) { return (uintptr_t *)block + 1; }

static uintptr_t mark(void) { return (uintptr_t)&flushes ^ UINT64_C(0x9e3779b97f4a7c15); }

void *tm_cache_take(unsigned class) {
  struct tm_blocks *blocks = &cache.blocks[class];
  void *block = blocks->count != 0 ? tm_blocks_pop(blocks) : refill(class);
  if (block != NULL) *mark_of(block) = 0;
  return block;
}

void *tm_cache_pop(unsigned class) {
  struct tm_blocks *blocks = &cache.blocks[class];
  if (blocks->count == 0) return NULL;
  void *block = tm_blocks_pop(blocks);
  *mark_of(block) = 0;
  return block;
}

static void make_room(unsigned class, unsigned most) {
  struct tm_blocks *blocks = &cache.blocks[class];
  int error = errno;
  attend();
  if (blocks->count > most) tm_slab_give(class, blocks, blocks->count - most / 2);
  errno = error;
}

static bool is_listed(const void *block, const void *first) {
  while (first != NULL && first != block) first = *(void *const *)first;
  return first != NULL;
}

static void check_twice(unsigned class, void *block) {
  if (is_listed(block, cache.blocks[class].first) || tm_slab_has_free(class, block))
    tm_die("a block is freed twice");
}

void tm_cache_give(unsigned class, void *block) {
  struct tm_blocks *blocks = &cache.blocks[class];
  unsigned most = most_of(tm_class_size(class));
  if (*mark_of(block) == mark()) check_twice(class, block);
  *mark_of(block) = mark();
  tm_blocks_push(blocks, block);
  if (blocks->count > most) make_room(class, most);
}

void tm_cache_flush(void) {
  cache.flushed = atomic_fetch_add(&flushes, 1) + 1;
  give_all(&cache);
}
