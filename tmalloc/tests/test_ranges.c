/* The interval set, beside an array with a byte for each address. */
#include <string.h>

#include "../ranges.h"
#include "testing.h"

enum { ADDRESSES = 300, ROUNDS = 100000 };

static unsigned char model[ADDRESSES];
static struct tm_ranges ranges;

static void set_model(unsigned start, unsigned end, enum tm_range_kind kind) {
  for (unsigned at = start; at < end; at++) model[at] = (unsigned char)kind;
}

static void turn_model(unsigned start, unsigned end) {
  for (unsigned at = start; at < end; at++)
    if (model[at] == TM_RESERVED) model[at] = TM_CHARGED;
}

static size_t measure_model(unsigned start, unsigned end, enum tm_range_kind kind) {
  size_t sum = 0;
  for (unsigned at = start; at < end; at++) sum += model[at] == kind;
  return sum;
}

/* Sorted, without gaps in what belongs together, nothing empty. */
static bool is_well_formed(void) {
  for (size_t i = 0; i < ranges.count; i++) {
    const struct tm_range *range = &ranges.list[i], *next = range + 1;
    if (range->start >= range->end || range->kind == TM_UNKNOWN) return false;
    if (i + 1 == ranges.count) break;
    if (range->end > next->start) return false;
    if (range->end == next->start && range->kind == next->kind) return false;
  }
  return ranges.count <= ranges.capacity;
}

static void behaves_like_an_array(void) {
  unsigned state = 3;
  for (int round = 0; round < ROUNDS; round++) {
    unsigned start = next_random(&state) % ADDRESSES;
    unsigned end = start + next_random(&state) % (ADDRESSES - start) % (1 + round % 60) + 1;
    if (end > ADDRESSES) end = ADDRESSES;
    CHECK(tm_ranges_prepare(&ranges));
    if (next_random(&state) % 4 == 0) {
      tm_ranges_turn(&ranges, start, end, TM_RESERVED, TM_CHARGED);
      turn_model(start, end);
    } else {
      enum tm_range_kind kind = next_random(&state) % 3;
      tm_ranges_set(&ranges, start, end, kind);
      set_model(start, end, kind);
    }
    unsigned from = next_random(&state) % ADDRESSES;
    CHECK(is_well_formed());
    CHECK(tm_ranges_measure(&ranges, from, ADDRESSES, TM_CHARGED) ==
          measure_model(from, ADDRESSES, TM_CHARGED));
    CHECK(tm_ranges_measure(&ranges, 0, from, TM_RESERVED) ==
          measure_model(0, from, TM_RESERVED));
  }
}

static void grows(void) {
  for (uintptr_t i = 0; i < 10000; i++) {
    CHECK(tm_ranges_prepare(&ranges));
    tm_ranges_set(&ranges, i * 10, i * 10 + 5, TM_CHARGED);
  }
  CHECK(ranges.count == 10000);
  CHECK(tm_ranges_measure(&ranges, 0, 100000, TM_CHARGED) == 50000);
  tm_ranges_set(&ranges, 0, 100000, TM_UNKNOWN);
  CHECK(ranges.count == 0);
}

int main(int argc, char **argv) {
  const struct test tests[] = {TEST(behaves_like_an_array), TEST(grows)};
  return run_tests(tests, sizeof tests / sizeof *tests, argc > 1 ? argv[1] : NULL);
}
