#include "slab.h"

#include <pthread.h>
#include <stdatomic.h>

#include "classes.h"
#include "kept.h"
#include "lease.h"

/* Slabs of one class that have free blocks. */
static struct bin {
  pthread_mutex_t lock;
  struct tm_span *first;
} bins[TM_CLASSES] = {[0 ... TM_CLASSES - 1] = {.lock = PTHREAD_MUTEX_INITIALIZER}};

static _Atomic(size_t) slabs_charged;

static void charged_more(struct tm_span *slab, size_t charged) {
  atomic_fetch_add_explicit(&slabs_charged, charged - slab->charged, memory_order_relaxed);
  slab->charged = charged;
}

/* Empty slabs: kept ones first, else addresses whose pages are charged as blocks are used. */

static void give_slab(struct tm_span *slab) {
  atomic_fetch_sub_explicit(&slabs_charged, slab->charged, memory_order_relaxed);
  tm_kept_give(slab, 1);
}

/* Sees to it that `pages` bytes of the kept slab are charged. */
static struct tm_span *kept_slab(size_t pages) {
  struct tm_span *slab = tm_kept_take(1);
  if (slab == NULL) return NULL;
  atomic_fetch_add_explicit(&slabs_charged, slab->charged, memory_order_relaxed);
  if (slab->charged >= pages) return slab;
  if (tm_lease_charge(pages - slab->charged)) {
    charged_more(slab, pages);
    return slab;
  }
  give_slab(slab);
  return NULL;
}

static struct tm_span *fresh_slab(size_t pages) {
  if (!tm_lease_charge(pages)) return NULL;
  struct tm_span *slab = tm_units_take(1);
  if (slab == NULL) {
    tm_lease_discharge(pages);
    return NULL;
  }
  charged_more(slab, pages);
  return slab;
}

/* A slab whose first block is charged. */
static struct tm_span *empty_slab(unsigned class) {
  size_t pages = tm_page_up(TM_SPAN_HEADER + tm_class_size(class));
  struct tm_span *kept = kept_slab(pages);
  struct tm_span *slab = kept != NULL ? kept : fresh_slab(pages);
  if (slab == NULL) return NULL;
  *slab = (struct tm_span){
      .kind = TM_SLAB, .class = class, .charged = slab->charged, .is_fresh = kept == NULL};
  return slab;
}

/* Blocks of a slab, under its bin's lock. */

static void link_slab(struct bin *bin, struct tm_span *slab) {
  slab->previous = NULL;
  slab->next = bin->first;
  if (bin->first != NULL) bin->first->previous = slab;
  bin->first = slab;
}

/* Blocks that were used before come first: their pages are charged already. */
static void link_new_slab(struct bin *bin, struct tm_span *slab) {
  struct tm_span *first = bin->first;
  if (first == NULL) {
    link_slab(bin, slab);
    return;
  }
  slab->previous = first;
  slab->next = first->next;
  if (first->next != NULL) first->next->previous = slab;
  first->next = slab;
}

static void unlink_slab(struct bin *bin, struct tm_span *slab) {
  if (slab->previous != NULL) slab->previous->next = slab->next;
  if (slab->next != NULL) slab->next->previous = slab->previous;
  if (bin->first == slab) bin->first = slab->next;
}

static unsigned capacity(const struct tm_span *slab) {
  return (unsigned)((TM_UNIT - TM_SPAN_HEADER) / tm_class_size(slab->class));
}

static bool is_full(const struct tm_span *slab) {
  return slab->free == NULL && slab->touched == capacity(slab);
}

/* The next block that was never used. NULL when the lease does not have its pages: `*lacking`. */
static void *touch_next(struct tm_span *slab, size_t *lacking) {
  size_t size = tm_class_size(slab->class);
  size_t start = TM_SPAN_HEADER + slab->touched * size;
  size_t end = tm_page_up(start + size);
  if (end > slab->charged) {
    if (!tm_lease_take(end - slab->charged)) {
      *lacking = end - slab->charged;
      return NULL;
    }
    charged_more(slab, end);
  }
  slab->touched++;
  return (char *)slab + start;
}

static void *take_block(struct bin *bin, bool *is_zero, size_t *lacking) {
  struct tm_span *slab = bin->first;
  void *block = slab->free;
  *is_zero = block == NULL && slab->is_fresh;
  if (block != NULL)
    slab->free = *(void **)block;
  else
    block = touch_next(slab, lacking);
  if (block == NULL) return NULL;
  slab->used++;
  if (is_full(slab)) unlink_slab(bin, slab);
  return block;
}

/* Returns the slab when it became empty. */
static struct tm_span *give_block(struct bin *bin, void *block) {
  struct tm_span *slab = tm_span_of(block);
  if (is_full(slab)) link_slab(bin, slab);
  *(void **)block = slab->free;
  slab->free = block;
  if (--slab->used != 0) return NULL;
  unlink_slab(bin, slab);
  return slab;
}

/* The bin gets to see a new slab when its first block is taken: in a bin no slab is empty. */
static void *take_from_new(struct bin *bin, unsigned class, bool *is_zero) {
  struct tm_span *slab = empty_slab(class);
  if (slab == NULL) return NULL;
  size_t lacking;
  void *block = touch_next(slab, &lacking);
  *is_zero = slab->is_fresh;
  slab->used = 1;
  if (is_full(slab)) return block;
  pthread_mutex_lock(&bin->lock);
  link_new_slab(bin, slab);
  pthread_mutex_unlock(&bin->lock);
  return block;
}

void *tm_slab_take_one(unsigned class, bool *is_zero) {
  struct bin *bin = &bins[class];
  for (;;) {
    void *block = NULL;
    size_t lacking = 0;
    pthread_mutex_lock(&bin->lock);
    if (bin->first != NULL) block = take_block(bin, is_zero, &lacking);
    pthread_mutex_unlock(&bin->lock);
    if (block != NULL) return block;
    if (lacking == 0) return take_from_new(bin, class, is_zero);
    if (!tm_lease_ensure(lacking)) return NULL;
  }
}

/* What the bin has at hand, and one block in any case, if it can be had. */
bool tm_slab_take(unsigned class, unsigned count, struct tm_blocks *blocks) {
  struct bin *bin = &bins[class];
  bool is_zero;
  void *block = tm_slab_take_one(class, &is_zero);
  if (block == NULL) return false;
  tm_blocks_push(blocks, block);
  size_t lacking;
  pthread_mutex_lock(&bin->lock);
  while (blocks->count < count && bin->first != NULL &&
         (block = take_block(bin, &is_zero, &lacking)) != NULL)
    tm_blocks_push(blocks, block);
  pthread_mutex_unlock(&bin->lock);
  return true;
}

void tm_slab_give(unsigned class, struct tm_blocks *blocks, unsigned count) {
  struct bin *bin = &bins[class];
  struct tm_span *empty = NULL;
  pthread_mutex_lock(&bin->lock);
  while (count-- > 0) {
    struct tm_span *slab = give_block(bin, tm_blocks_pop(blocks));
    if (slab == NULL) continue;
    slab->next = empty;
    empty = slab;
  }
  pthread_mutex_unlock(&bin->lock);
  while (empty != NULL) {
    struct tm_span *slab = empty;
    empty = slab->next;
    give_slab(slab);
  }
}

bool tm_slab_has_free(unsigned class, const void *block) {
  struct bin *bin = &bins[class];
  pthread_mutex_lock(&bin->lock);
  const void *free = tm_span_of(block)->free;
  while (free != NULL && free != block) free = *(void *const *)free;
  pthread_mutex_unlock(&bin->lock);
  return free != NULL;
}

size_t tm_slab_charged(void) { return atomic_load(&slabs_charged); }

void tm_slab_lock(void) {
  for (unsigned class = 0; class < TM_CLASSES; class++) pthread_mutex_lock(&bins[class].lock);
}

void tm_slab_unlock(void) {
  for (unsigned class = 0; class < TM_CLASSES; class++) pthread_mutex_unlock(&bins[class].lock);
}
