#include "lease.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

#include "client.h"
#include "fork.h"
#include "heap.h"
#include "settings.h"
#include "sys.h"

/* The lease grows in steps, so that most charges ask nobody: small ones under small limits, where
 * what one process keeps unused is missed by the others. */
#define STEP_FIRST ((size_t)64 << 10)
#define STEP_MOST ((size_t)1 << 20)
#define STEP_UNLIMITED ((size_t)64 << 20)
enum { PARTS_OF_LIMIT = 256 };            /* a step is at most this part of the limit */
static const int64_t SOON = 10 * 1000000; /* who asks again within 10 ms needs larger steps */

static _Atomic(size_t) unused;
static _Atomic(size_t) charged;
static _Atomic(size_t) step = STEP_FIRST;
static _Atomic(uint64_t) limit = TM_NO_LIMIT;

static pthread_mutex_t growing = PTHREAD_MUTEX_INITIALIZER; /* one asks, the others profit */
static int64_t last_growth;                                 /* under `growing` */

bool tm_lease_take(size_t bytes) {
  size_t have = atomic_load_explicit(&unused, memory_order_relaxed);
  do {
    if (have < bytes) return false;
  } while (!atomic_compare_exchange_weak_explicit(&unused, &have, have - bytes,
                                                  memory_order_acq_rel, memory_order_relaxed));
  atomic_fetch_add_explicit(&charged, bytes, memory_order_relaxed);
  return true;
}

static size_t at_most(size_t a, size_t b) { return a < b ? a : b; }
static size_t at_least(size_t a, size_t b) { return a > b ? a : b; }

/* The next step, from how the last request went. */
static void adapt_step(const struct tm_reply *reply, size_t asked) {
  atomic_store_explicit(&limit, reply->hard_bytes, memory_order_relaxed);
  if (reply->flags & TM_UNLIMITED) {
    atomic_store(&step, STEP_UNLIMITED);
    return;
  }
  int64_t now = tm_now_ns();
  size_t next = atomic_load(&step);
  if (reply->status != 0 || reply->bytes < asked)
    next /= 2;
  else if (now - last_growth < SOON)
    next *= 2;
  last_growth = now;
  size_t most = at_most(STEP_MOST, tm_page_up(reply->hard_bytes / PARTS_OF_LIMIT));
  atomic_store(&step, tm_page_up(at_least(at_most(next, most), tm_page_size())));
}

/* Nobody there to ask: the process takes what it needs, unless it was told not to. */
static bool grant_myself(size_t bytes) {
  const struct tm_settings *settings = tm_settings();
  if (settings != NULL && settings->fail) return false;
  tm_client_note(bytes);
  atomic_fetch_add(&unused, bytes);
  return true;
}

/* Asks for `bytes`, or what there is of it from `least` on. */
static bool ask(size_t bytes, size_t least) {
  struct tm_request request = {.type = TM_RESERVE, .bytes = bytes, .min_bytes = least};
  struct tm_reply reply;
  if (!tm_client_ask(&request, &reply)) return grant_myself(least);
  adapt_step(&reply, bytes);
  if (reply.status == 0) atomic_fetch_add(&unused, reply.bytes);
  return reply.status == 0;
}

static size_t missing(size_t bytes) {
  size_t have = atomic_load(&unused);
  return have < bytes ? bytes - have : 0;
}

bool tm_lease_ensure(size_t bytes) {
  tm_fork_before_lock();
  pthread_mutex_lock(&growing);
  size_t need = missing(bytes);
  bool granted = need == 0 || ask(at_least(need, atomic_load(&step)), need);
  if (!granted) {
    tm_heap_reclaim();
    size_t still = missing(bytes);
    granted = still == 0 || (still < need && ask(still, still)); /* the same twice is no use */
  }
  pthread_mutex_unlock(&growing);
  return granted;
}

bool tm_lease_charge(size_t bytes) {
  while (!tm_lease_take(bytes))
    if (!tm_lease_ensure(bytes)) return false;
  return true;
}

/* Lowers the unused lease to `keep` and gives the rest back. */
static void shrink_to(size_t keep) {
  size_t have = atomic_load(&unused);
  do {
    if (have <= keep) return;
  } while (!atomic_compare_exchange_weak(&unused, &have, keep));
  if (!tm_client_release(have - keep)) atomic_fetch_add(&unused, have - keep);
}

size_t tm_lease_slack(void) {
  size_t in_use = atomic_load_explicit(&charged, memory_order_relaxed);
  return at_most(in_use / 4, 4 * atomic_load_explicit(&step, memory_order_relaxed));
}

void tm_lease_discharge(size_t bytes) {
  atomic_fetch_sub_explicit(&charged, bytes, memory_order_relaxed);
  size_t have = atomic_fetch_add_explicit(&unused, bytes, memory_order_acq_rel) + bytes;
  size_t one_step = atomic_load_explicit(&step, memory_order_relaxed);
  if (have > 2 * one_step + tm_lease_slack()) shrink_to(one_step);
}

int tm_lease_wait(size_t bytes, unsigned timeout_ms) {
  /* Others go on asking meanwhile: `growing` is not held. */
  size_t need = missing(bytes);
  struct tm_request wait = {
      .type = TM_WAIT, .bytes = need, .min_bytes = need, .timeout_ms = timeout_ms};
  struct tm_reply reply;
  if (need == 0) return 0;
  if (!tm_client_ask(&wait, &reply)) return grant_myself(need) ? 0 : ENOMEM;
  if (reply.status == 0) atomic_fetch_add(&unused, reply.bytes);
  return reply.status;
}

void tm_lease_trim(void) { shrink_to(0); }

size_t tm_lease_forget(void) { return atomic_exchange(&unused, 0); }

uint64_t tm_lease_limit(void) { return atomic_load_explicit(&limit, memory_order_relaxed); }

size_t tm_lease_unused(void) { return atomic_load(&unused); }

size_t tm_lease_charged(void) { return atomic_load(&charged); }

void tm_lease_lock(void) { pthread_mutex_lock(&growing); }

void tm_lease_unlock(void) { pthread_mutex_unlock(&growing); }

void tm_lease_renew_lock(void) { growing = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; }
