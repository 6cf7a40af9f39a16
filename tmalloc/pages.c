#include "pages.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#include "lease.h"
#include "sys.h"

/* An area is aligned to its size, so that a run finds its area. Its first unit describes it. */
#define AREA_SIZE ((size_t)16 << 20)
enum { UNITS = AREA_SIZE / TM_UNIT, WORD = 64, WORDS = UNITS / WORD };

struct area {
  struct area *next, *previous; /* among those with free units */
  size_t free_units;
  uint64_t in_use[WORDS]; /* a bit for each unit */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct area *roomy; /* areas with free units */
static size_t overhead;

static void link_area(struct area *area) {
  area->previous = NULL;
  area->next = roomy;
  if (roomy != NULL) roomy->previous = area;
  roomy = area;
}

static void unlink_area(struct area *area) {
  if (area->previous != NULL) area->previous->next = area->next;
  if (area->next != NULL) area->next->previous = area->previous;
  if (roomy == area) roomy = area->next;
}

/* Huge pages are kept out: touching one page would make 512 resident, most of them not charged.
 * The kernel reserves nothing, since most of an area is never touched. */
static struct area *map_area(void) {
  if (!tm_lease_charge(tm_page_size())) return NULL;
  struct area *area =
      tm_map_aligned(AREA_SIZE, AREA_SIZE, 0, PROT_READ | PROT_WRITE, MAP_NORESERVE);
  if (area == NULL) {
    tm_lease_discharge(tm_page_size());
    return NULL;
  }
  madvise(area, AREA_SIZE, MADV_NOHUGEPAGE);
  area->free_units = UNITS - 1;
  area->in_use[0] = 1;
  return area;
}

static void unmap_area(struct area *area) {
  tm_sys_munmap(area, AREA_SIZE);
  tm_lease_discharge(tm_page_size());
}

/* The first of `count` free units in a row, or 0, which is never free. */
static size_t find_run(const struct area *area, size_t count) {
  size_t length = 0;
  for (size_t unit = 1; unit < UNITS; unit++) {
    uint64_t rest = area->in_use[unit / WORD] >> (unit % WORD);
    if (rest == UINT64_MAX >> (unit % WORD)) {
      unit |= WORD - 1; /* the rest of the word is in use */
      length = 0;
    } else if (rest & 1) {
      length = 0;
    } else if (++length == count) {
      return unit - count + 1;
    }
  }
  return 0;
}

static void mark(struct area *area, size_t first, size_t count, bool in_use) {
  for (size_t unit = first; unit < first + count; unit++) {
    uint64_t bit = UINT64_C(1) << (unit % WORD);
    if (in_use)
      area->in_use[unit / WORD] |= bit;
    else
      area->in_use[unit / WORD] &= ~bit;
  }
}

static void *take_from(struct area *area, size_t count) {
  size_t first = area->free_units >= count ? find_run(area, count) : 0;
  if (first == 0) return NULL;
  mark(area, first, count, true);
  area->free_units -= count;
  if (area->free_units == 0) unlink_area(area);
  return (char *)area + first * TM_UNIT;
}

static void *take_from_any(size_t count) {
  void *run = NULL;
  for (struct area *area = roomy; area != NULL && run == NULL; area = area->next)
    run = take_from(area, count);
  return run;
}

void *tm_units_take(size_t count) {
  pthread_mutex_lock(&lock);
  void *run = take_from_any(count);
  pthread_mutex_unlock(&lock);
  if (run != NULL) return run;

  struct area *area = map_area();
  if (area == NULL) return NULL;
  pthread_mutex_lock(&lock);
  link_area(area);
  overhead += tm_page_size();
  run = take_from(area, count);
  pthread_mutex_unlock(&lock);
  return run;
}

void tm_units_give(void *run, size_t count) {
  struct area *area = (struct area *)((uintptr_t)run & ~(AREA_SIZE - 1));
  pthread_mutex_lock(&lock);
  mark(area, ((size_t)((char *)run - (char *)area)) / TM_UNIT, count, false);
  if (area->free_units == 0) link_area(area);
  area->free_units += count;
  /* The last area with room stays, for who frees and allocates in turns. */
  bool is_idle = area->free_units == UNITS - 1 && (area->next != NULL || area->previous != NULL);
  if (is_idle) {
    unlink_area(area);
    overhead -= tm_page_size();
  }
  pthread_mutex_unlock(&lock);
  if (is_idle) unmap_area(area);
}

size_t tm_units_overhead(void) {
  pthread_mutex_lock(&lock);
  size_t bytes = overhead;
  pthread_mutex_unlock(&lock);
  return bytes;
}

void tm_units_lock(void) { pthread_mutex_lock(&lock); }

void tm_units_unlock(void) { pthread_mutex_unlock(&lock); }
