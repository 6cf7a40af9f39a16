#include "kept.h"

#include <pthread.h>
#include <stdbool.h>

#include "lease.h"

#define AT_LEAST_KEPT ((size_t)256 << 10)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tm_span *lists[TM_UNITS_MOST]; /* by units, less one */
static size_t bytes;                         /* charged for all of them */

static struct tm_span *pop(struct tm_span **list) {
  struct tm_span *span = *list;
  if (span == NULL) return NULL;
  *list = span->next;
  bytes -= span->charged;
  return span;
}

struct tm_span *tm_kept_take(size_t units) {
  pthread_mutex_lock(&lock);
  struct tm_span *span = pop(&lists[units - 1]);
  pthread_mutex_unlock(&lock);
  return span;
}

static void give_to_kernel(struct tm_span *span, size_t units) {
  size_t charged = span->charged;
  tm_pages_drop(span, charged);
  tm_units_give(span, units);
  tm_lease_discharge(charged);
}

static bool keep(struct tm_span *span, size_t units) {
  size_t slack = tm_lease_slack();
  size_t most = slack > AT_LEAST_KEPT ? slack : AT_LEAST_KEPT;
  pthread_mutex_lock(&lock);
  bool has_room = bytes + span->charged <= most;
  if (has_room) {
    span->kind = TM_KEPT;
    span->length = units * TM_UNIT;
    span->next = lists[units - 1];
    lists[units - 1] = span;
    bytes += span->charged;
  }
  pthread_mutex_unlock(&lock);
  return has_room;
}

void tm_kept_give(struct tm_span *span, size_t units) {
  if (keep(span, units)) return;
  /* Those that are kept may be of sizes that nobody wants any more: it begins anew. */
  tm_kept_reclaim();
  if (!keep(span, units)) give_to_kernel(span, units);
}

void tm_kept_reclaim(void) {
  for (size_t units = 1; units <= TM_UNITS_MOST; units++)
    for (struct tm_span *span; (span = tm_kept_take(units)) != NULL;) give_to_kernel(span, units);
}

size_t tm_kept_charged(void) {
  pthread_mutex_lock(&lock);
  size_t charged = bytes;
  pthread_mutex_unlock(&lock);
  return charged;
}

void tm_kept_lock(void) { pthread_mutex_lock(&lock); }

void tm_kept_unlock(void) { pthread_mutex_unlock(&lock); }
