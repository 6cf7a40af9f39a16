/* Small blocks: slabs of 64 KiB, each cut into blocks of one size. */
#ifndef TM_SLAB_H
#define TM_SLAB_H

#include <stdbool.h>
#include <stddef.h>

#include "span.h"

/* Free blocks are linked through their first word. */
struct tm_blocks {
  void *first;
  unsigned count;
};

static inline void tm_blocks_push(struct tm_blocks *blocks, void *block) {
  *(void **)block = blocks->first;
  blocks->first = block;
  blocks->count++;
}

static inline void *tm_blocks_pop(struct tm_blocks *blocks) {
  void *block = blocks->first;
  blocks->first = *(void **)block;
  blocks->count--;
  return block;
}

/* Puts up to `count` blocks of a class into `blocks`. False when there is not one. */
bool tm_slab_take(unsigned class, unsigned count, struct tm_blocks *blocks);

/* One block, and whether it reads as zeros. NULL when there is none. */
void *tm_slab_take_one(unsigned class, bool *is_zero);

/* Takes `count` of the blocks back, which are of one class. */
void tm_slab_give(unsigned class, struct tm_blocks *blocks, unsigned count);

/* Whether the block is among the free ones of its slab. */
bool tm_slab_has_free(unsigned class, const void *block);

/* Bytes charged for slabs. */
size_t tm_slab_charged(void);

/* Around fork. */
void tm_slab_lock(void);
void tm_slab_unlock(void);

#endif
