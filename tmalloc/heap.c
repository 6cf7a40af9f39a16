#include "heap.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "cache.h"
#include "classes.h"
#include "kept.h"
#include "large.h"
#include "slab.h"
#include "sys.h"

#define TM_ALIGNMENT 16 /* of every block */

static void *checked(void *block) {
  if (block == NULL) errno = ENOMEM;
  return block;
}

void *tm_heap_take(size_t size) {
  if (size <= TM_SMALL_MOST) return checked(tm_cache_take(tm_class_of(size)));
  if (size > PTRDIFF_MAX) return checked(NULL);
  bool is_zero;
  return checked(tm_large_take(size, 1, &is_zero));
}

/* Blocks of a page and more may be fresh ones: these are not touched. */
static void *take_small_zeros(size_t size) {
  unsigned class = tm_class_of(size);
  bool is_zero = false;
  bool may_be_fresh = size >= tm_page_size();
  void *block = may_be_fresh ? tm_cache_pop(class) : tm_cache_take(class);
  if (block == NULL && may_be_fresh) block = tm_slab_take_one(class, &is_zero);
  if (block != NULL && !is_zero) memset(block, 0, size);
  return block;
}

void *tm_heap_take_zeros(size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX) return checked(NULL);
  if (bytes <= TM_SMALL_MOST) return checked(take_small_zeros(bytes));
  bool is_zero;
  void *block = checked(tm_large_take(bytes, 1, &is_zero));
  if (block != NULL && !is_zero) memset(block, 0, bytes);
  return block;
}

/* Small blocks lie at multiples of their size after a header of 128 bytes. */
static bool class_is_aligned(unsigned class, size_t alignment) {
  return TM_SPAN_HEADER % alignment == 0 && tm_class_size(class) % alignment == 0;
}

void *tm_heap_take_aligned(size_t alignment, size_t size) {
  if (alignment <= TM_ALIGNMENT) return tm_heap_take(size);
  if (size > PTRDIFF_MAX || alignment > PTRDIFF_MAX) return checked(NULL);
  if (size <= TM_SMALL_MOST && alignment <= TM_SPAN_HEADER)
    for (unsigned class = tm_class_of(size); class < TM_CLASSES; class++)
      if (class_is_aligned(class, alignment)) return checked(tm_cache_take(class));
  bool is_zero;
  return checked(tm_large_take(size, alignment, &is_zero));
}

void tm_heap_give(void *block) {
  if (block == NULL) return;
  if ((uintptr_t)block % TM_ALIGNMENT != 0) tm_die("what is freed is no block of tmalloc");
  struct tm_span *span = tm_span_of(block);
  if (span->kind == TM_SLAB) {
    tm_cache_give(span->class, block);
    return;
  }
  int error = errno;
  if ((span->kind != TM_RUN && span->kind != TM_MAP) || span->block != block)
    tm_die("what is freed is no block of tmalloc");
  tm_large_give(span);
  errno = error;
}

size_t tm_heap_size(const void *block) {
  if (block == NULL) return 0;
  const struct tm_span *span = tm_span_of(block);
  return span->kind == TM_SLAB ? tm_class_size(span->class) : tm_large_size(span);
}

static bool fits_well(size_t have, size_t size) {
  return size <= have && (size > have / 2 || have <= 128);
}

void *tm_heap_resize(void *block, size_t size) {
  if (block == NULL) return tm_heap_take(size);
  if (size == 0) {
    tm_heap_give(block);
    return NULL;
  }
  struct tm_span *span = tm_span_of(block);
  size_t have = tm_heap_size(block);
  if (span->kind == TM_SLAB && fits_well(have, size)) return block;
  void *resized = span->kind == TM_SLAB ? NULL : tm_large_resize(span, size);
  if (resized != NULL) return resized;
  resized = tm_heap_take(size);
  if (resized == NULL) return size <= have ? block : NULL; /* what shrinks cannot fail */
  memcpy(resized, block, have < size ? have : size);
  tm_heap_give(block);
  return resized;
}

size_t tm_heap_need(size_t size) {
  /* A new area and a new slab, each described by a page, and a page at either end. */
  return tm_page_up(size) + 4 * tm_page_size();
}

void tm_heap_reclaim(void) {
  tm_cache_flush();
  tm_kept_reclaim();
}
