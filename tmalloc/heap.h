/* The allocator: blocks of any size out of memory that is charged to the lease. */
#ifndef TM_HEAP_H
#define TM_HEAP_H

#include <stdbool.h>
#include <stddef.h>

/* NULL with errno ENOMEM when refused. */
void *tm_heap_take(size_t size);
void *tm_heap_take_zeros(size_t count, size_t size);
void *tm_heap_take_aligned(size_t alignment, size_t size); /* a power of two */
void *tm_heap_resize(void *block, size_t size);

void tm_heap_give(void *block);

size_t tm_heap_size(const void *block);

/* The most that a block of `size` bytes may need of the lease. */
size_t tm_heap_need(size_t size);

/* Gives cached blocks and empty slabs back to the kernel; their charge returns to the lease. */
void tm_heap_reclaim(void);

#endif
