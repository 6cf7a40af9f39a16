/* Large blocks: runs of units up to a mebibyte, mappings of their own from there on. */
#ifndef TM_LARGE_H
#define TM_LARGE_H

#include <stdbool.h>
#include <stddef.h>

#include "span.h"

/* A block, and whether it reads as zeros. `alignment` is a power of two. NULL when refused. */
void *tm_large_take(size_t size, size_t alignment, bool *is_zero);

void tm_large_give(struct tm_span *span);

/* Makes the block hold `size` bytes, where it is or elsewhere, its contents kept. NULL when that
 * is refused, or better done by allocating anew and copying; the block is as it was then. */
void *tm_large_resize(struct tm_span *span, size_t size);

/* Usable bytes of the block. */
size_t tm_large_size(const struct tm_span *span);

/* Bytes charged for large blocks. */
size_t tm_large_charged(void);

#endif
