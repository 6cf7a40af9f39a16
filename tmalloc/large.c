#include "large.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include "classes.h"
#include "kept.h"
#include "lease.h"

#define RUN_MOST (TM_UNITS_MOST * TM_UNIT)

static _Atomic(size_t) large_charged;

static bool charge(size_t bytes) {
  if (!tm_lease_charge(bytes)) return false;
  atomic_fetch_add_explicit(&large_charged, bytes, memory_order_relaxed);
  return true;
}

static void discharge(size_t bytes) {
  atomic_fetch_sub_explicit(&large_charged, bytes, memory_order_relaxed);
  tm_lease_discharge(bytes);
}

static void *describe(struct tm_span *span, enum tm_kind kind, size_t charged, size_t length,
                      size_t offset) {
  *span = (struct tm_span){
      .kind = kind, .charged = charged, .length = length, .block = (char *)span + offset};
  return span->block;
}

static void give_run(struct tm_span *span) {
  atomic_fetch_sub_explicit(&large_charged, span->charged, memory_order_relaxed);
  tm_kept_give(span, span->length / TM_UNIT);
}

static void *take_kept(size_t units, size_t pages, size_t offset) {
  struct tm_span *span = tm_kept_take(units);
  if (span == NULL) return NULL;
  size_t has = span->charged;
  atomic_fetch_add_explicit(&large_charged, has, memory_order_relaxed);
  if (has >= pages || charge(pages - has))
    return describe(span, TM_RUN, has > pages ? has : pages, units * TM_UNIT, offset);
  give_run(span);
  return NULL;
}

static void *take_run(size_t offset, size_t size, bool *is_zero) {
  size_t pages = tm_page_up(offset + size);
  size_t units = tm_round_up(pages, TM_UNIT) / TM_UNIT;
  void *kept = take_kept(units, pages, offset);
  *is_zero = kept == NULL;
  if (kept != NULL) return kept;
  if (!charge(pages)) return NULL;
  struct tm_span *span = tm_units_take(units);
  if (span != NULL) return describe(span, TM_RUN, pages, units * TM_UNIT, offset);
  discharge(pages);
  return NULL;
}

/* Charged as a whole: the kernel may back all of it with huge pages. */
static void *take_map(size_t offset, size_t size, size_t alignment) {
  size_t length = tm_page_up(offset + size);
  if (length < size || !charge(length)) return NULL;
  /* Alignments beyond a unit are the block's, which then lies a unit after its span. */
  bool is_wide = alignment >= TM_UNIT;
  struct tm_span *span = tm_map_aligned(length, is_wide ? alignment : TM_UNIT,
                                        is_wide ? offset : 0, PROT_READ | PROT_WRITE, 0);
  if (span != NULL) return describe(span, TM_MAP, length, length, offset);
  discharge(length);
  return NULL;
}

void *tm_large_take(size_t size, size_t alignment, bool *is_zero) {
  size_t offset = alignment > TM_SPAN_HEADER ? alignment : TM_SPAN_HEADER;
  if (offset > TM_UNIT) offset = TM_UNIT;
  if (alignment <= TM_UNIT && size <= RUN_MOST - offset) return take_run(offset, size, is_zero);
  *is_zero = true;
  return take_map(offset, size, alignment);
}

void tm_large_give(struct tm_span *span) {
  if (span->kind == TM_RUN) {
    give_run(span);
    return;
  }
  size_t length = span->length;
  tm_sys_munmap(span, length);
  discharge(length);
}

static void *resize_run(struct tm_span *span, size_t pages) {
  if (pages > span->length || pages < span->length / 2) return NULL;
  size_t old = span->charged;
  if (pages > old && !charge(pages - old)) return NULL;
  span->charged = pages;
  if (pages < old) {
    tm_pages_drop((char *)span + pages, old - pages);
    discharge(old - pages);
  }
  return span->block;
}

/* Moves a mapping to addresses with room for it: spans are aligned, which mremap does not know. */
static struct tm_span *move_map(struct tm_span *span, size_t length) {
  void *target = tm_map_aligned(length, TM_UNIT, 0, PROT_NONE, MAP_NORESERVE);
  if (target == NULL) return NULL;
  void *moved =
      tm_sys_mremap(span, span->length, length, MREMAP_MAYMOVE | MREMAP_FIXED, target);
  if (moved != MAP_FAILED) return moved;
  tm_sys_munmap(target, length);
  return NULL;
}

static void *resize_map(struct tm_span *span, size_t length) {
  size_t old = span->length, offset = (size_t)(span->block - (char *)span);
  if (length > old && !charge(length - old)) return NULL;
  struct tm_span *resized = tm_sys_mremap(span, old, length, 0, NULL);
  if (resized == MAP_FAILED) resized = move_map(span, length);
  if (resized == NULL) {
    if (length > old) discharge(length - old);
    return NULL;
  }
  if (length < old) discharge(old - length);
  return describe(resized, TM_MAP, length, length, offset);
}

void *tm_large_resize(struct tm_span *span, size_t size) {
  size_t pages = tm_page_up((size_t)(span->block - (char *)span) + size);
  if (pages < size || size <= TM_SMALL_MOST) return NULL;
  if (span->kind == TM_RUN) return resize_run(span, pages);
  return size > RUN_MOST / 2 ? resize_map(span, pages) : NULL;
}

size_t tm_large_size(const struct tm_span *span) {
  return span->charged - (size_t)(span->block - (char *)span);
}

size_t tm_large_charged(void) { return atomic_load(&large_charged); }
