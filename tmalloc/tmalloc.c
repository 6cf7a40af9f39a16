/* The public functions. */
#include "tmalloc.h"

#include <errno.h>
#include <unistd.h>

#include "client.h"
#include "fork.h"
#include "heap.h"
#include "lease.h"
#include "sys.h"

enum { DAY_MS = 86400000 };

/* What the allocator needs on top of what is asked of it: descriptions, and room in slabs. */
#define CLAIM_SLACK ((size_t)256 << 10)
enum { CLAIM_SLACK_PART = 8 };

void *tmalloc(size_t size) { return tm_heap_take(size); }

void *tcalloc(size_t count, size_t size) { return tm_heap_take_zeros(count, size); }

void *trealloc(void *block, size_t size) { return tm_heap_resize(block, size); }

void tfree(void *block) { tm_heap_give(block); }

size_t tmalloc_usable_size(void *block) { return tm_heap_size(block); }

static int error_of_wait(int status) {
  return status == ETIMEDOUT || status == EAGAIN ? status : ENOMEM;
}

void *tmalloc_wait(size_t size, int timeout_ms) {
  int64_t milliseconds = timeout_ms < 0 ? DAY_MS : timeout_ms;
  int64_t deadline = tm_now_ns() + milliseconds * 1000000;
  if (size > PTRDIFF_MAX) return tmalloc(size);
  for (;;) {
    void *block = tmalloc(size);
    if (block != NULL) return block;
    int64_t left = (deadline - tm_now_ns()) / 1000000;
    int status = tm_lease_wait(tm_heap_need(size), left > 0 ? (unsigned)left : 0);
    if (status == 0 && left >= 0) continue; /* unless another thread was faster, it fits now */
    errno = status == 0 ? ETIMEDOUT : error_of_wait(status);
    return NULL;
  }
}

int tmalloc_claim(size_t bytes) {
  uint64_t level = 0;
  if (bytes != 0) {
    /* A claim is a level: it counts what the process has besides the heap as well. The level is
     * known from the first request on. */
    struct tmalloc_info now;
    if (tmalloc_query(&now) != 0) return -1;
    uint64_t heap = now.charged_bytes + now.lease_bytes;
    uint64_t others = now.level_bytes > heap ? now.level_bytes - heap : 0;
    level = others + bytes + bytes / CLAIM_SLACK_PART + CLAIM_SLACK;
  }
  struct tm_request claim = {.type = TM_CLAIM, .bytes = level};
  struct tm_reply reply;
  if (!tm_client_ask(&claim, &reply)) {
    errno = ENOTCONN;
    return -1;
  }
  if (reply.status != 0) {
    errno = ENOMEM;
    return -1;
  }
  tm_client_remember_claim(level);
  return 0;
}

int tmalloc_query(struct tmalloc_info *info) {
  struct tm_request query = {.type = TM_QUERY};
  struct tm_reply reply = {.hard_bytes = TM_NO_LIMIT};
  bool answered = tm_client_ask(&query, &reply);
  *info = (struct tmalloc_info){
      .level_bytes = reply.level_bytes,
      .resident_bytes = reply.resident_bytes,
      .committed_bytes = reply.committed_bytes,
      .hard_bytes = reply.hard_bytes,
      .claim_bytes = reply.claim_bytes,
      .charged_bytes = tm_lease_charged(),
      .lease_bytes = tm_lease_unused(),
  };
  if (answered) return 0;
  errno = ENOTCONN;
  return -1;
}

int tmalloc_usage(struct tmalloc_usage *usage) {
  struct tm_request query = {.type = TM_QUERY};
  struct tm_reply reply;
  if (!tm_client_ask(&query, &reply)) {
    errno = ENOTCONN;
    return -1;
  }
  uint64_t limit = reply.hard_bytes, committed = reply.committed_bytes;
  bool is_known = reply.flags & TM_USAGE, has_limit = limit != TM_NO_LIMIT;
  *usage = (struct tmalloc_usage){
      .limit_bytes = limit,
      .usage_bytes = is_known ? reply.bytes : TMALLOC_UNKNOWN,
      .headroom_bytes = !has_limit ? TM_NO_LIMIT : committed < limit ? limit - committed : 0,
  };
  return 0;
}

pid_t tmalloc_fork(void) { return tm_fork_asking(fork); }

void tmalloc_trim(void) {
  tm_heap_reclaim();
  tm_lease_trim();
}
