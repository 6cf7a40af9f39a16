#include "ranges.h"

#include <string.h>
#include <sys/mman.h>

#include "lease.h"
#include "sys.h"

/* One operation on mappings sets twice, and each set may split a range. */
enum { SPLITS = 4 };

bool tm_ranges_prepare(struct tm_ranges *ranges) {
  if (ranges->count + SPLITS <= ranges->capacity) return true;
  size_t page = tm_page_size();
  size_t old = tm_page_up(ranges->capacity * sizeof *ranges->list);
  size_t more = old == 0 ? page : old;
  if (!tm_lease_charge(more)) return false;
  void *list = old == 0 ? tm_sys_mmap(NULL, more, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
                        : tm_sys_mremap(ranges->list, old, old + more, MREMAP_MAYMOVE, NULL);
  if (list == MAP_FAILED) {
    tm_lease_discharge(more);
    return false;
  }
  ranges->list = list;
  ranges->capacity = (old + more) / sizeof *ranges->list;
  return true;
}

/* Index of the first range that ends after `address`. */
static size_t first_after(const struct tm_ranges *ranges, uintptr_t address) {
  size_t low = 0, high = ranges->count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (ranges->list[middle].end > address)
      high = middle;
    else
      low = middle + 1;
  }
  return low;
}

/* Puts `count` ranges in the place of those from `first` up to `last`. */
static void replace(struct tm_ranges *ranges, size_t first, size_t last,
                    const struct tm_range *with, size_t count) {
  struct tm_range *list = ranges->list;
  memmove(list + first + count, list + last, (ranges->count - last) * sizeof *list);
  memcpy(list + first, with, count * sizeof *list);
  ranges->count = ranges->count - (last - first) + count;
}

static void append(struct tm_range *pieces, size_t *count, struct tm_range piece) {
  if (piece.kind == TM_UNKNOWN || piece.start >= piece.end) return;
  struct tm_range *last = *count > 0 ? &pieces[*count - 1] : NULL;
  if (last != NULL && last->end == piece.start && last->kind == piece.kind)
    last->end = piece.end;
  else
    pieces[(*count)++] = piece;
}

void tm_ranges_set(struct tm_ranges *ranges, uintptr_t start, uintptr_t end,
                   enum tm_range_kind kind) {
  /* Neighbours that only touch are looked at too: they may merge with it. */
  size_t first = first_after(ranges, start == 0 ? 0 : start - 1), last = first;
  while (last < ranges->count && ranges->list[last].start <= end) last++;
  struct tm_range pieces[3];
  size_t count = 0;
  if (last > first) {
    struct tm_range left = ranges->list[first];
    if (left.end > start) left.end = start;
    append(pieces, &count, left);
  }
  append(pieces, &count, (struct tm_range){start, end, kind});
  if (last > first) {
    struct tm_range right = ranges->list[last - 1];
    if (right.start < end) right.start = end;
    append(pieces, &count, right);
  }
  replace(ranges, first, last, pieces, count);
}

static uintptr_t later(uintptr_t a, uintptr_t b) { return a > b ? a : b; }
static uintptr_t earlier(uintptr_t a, uintptr_t b) { return a < b ? a : b; }

size_t tm_ranges_measure(const struct tm_ranges *ranges, uintptr_t start, uintptr_t end,
                         enum tm_range_kind kind) {
  size_t sum = 0;
  for (size_t i = first_after(ranges, start); i < ranges->count; i++) {
    const struct tm_range *range = &ranges->list[i];
    if (range->start >= end) break;
    if (range->kind == kind) sum += earlier(range->end, end) - later(range->start, start);
  }
  return sum;
}

void tm_ranges_turn(struct tm_ranges *ranges, uintptr_t start, uintptr_t end,
                    enum tm_range_kind from, enum tm_range_kind to) {
  while (start < end) {
    size_t at = first_after(ranges, start);
    if (at == ranges->count || ranges->list[at].start >= end) return;
    struct tm_range range = ranges->list[at];
    uintptr_t piece_end = earlier(range.end, end);
    if (range.kind == from) tm_ranges_set(ranges, later(range.start, start), piece_end, to);
    start = piece_end;
  }
}
