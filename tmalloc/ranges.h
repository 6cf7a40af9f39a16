/* Which addresses of the process are charged, and which are only reserved: a sorted array of
 * ranges in memory of its own. The caller locks. */
#ifndef TM_RANGES_H
#define TM_RANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum tm_range_kind { TM_UNKNOWN, TM_RESERVED, TM_CHARGED };

struct tm_range {
  uintptr_t start, end;
  enum tm_range_kind kind;
};

struct tm_ranges {
  struct tm_range *list;
  size_t count, capacity;
};

/* Makes room for two sets or one turn. False when the memory for it is refused. */
bool tm_ranges_prepare(struct tm_ranges *ranges);

/* Makes [start, end) of this kind; TM_UNKNOWN forgets it. Follows a tm_ranges_prepare. */
void tm_ranges_set(struct tm_ranges *ranges, uintptr_t start, uintptr_t end,
                   enum tm_range_kind kind);

/* How many bytes of [start, end) are of this kind. */
size_t tm_ranges_measure(const struct tm_ranges *ranges, uintptr_t start, uintptr_t end,
                         enum tm_range_kind kind);

/* Makes what is `from` in [start, end) `to`. Follows a tm_ranges_prepare. */
void tm_ranges_turn(struct tm_ranges *ranges, uintptr_t start, uintptr_t end,
                    enum tm_range_kind from, enum tm_range_kind to);

#endif
