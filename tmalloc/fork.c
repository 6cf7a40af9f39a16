#include "fork.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client.h"
#include "heap.h"
#include "kept.h"
#include "lease.h"
#include "pages.h"
#include "settings.h"
#include "slab.h"
#include "sys.h"

/* What a child and its parent write to before the child has executed another program: stacks, and
 * data of the libc. */
#define CHILD_ROOM ((uint64_t)256 << 10)

/* The process that the memory belongs to. In a page that the kernel wipes in every forked child:
 * zero there means that this is a child, whoever made it. */
static pid_t *owner;

/* In the order in which they are taken elsewhere. */
static void lock(void) {
  tm_lease_lock();
  tm_slab_lock();
  tm_kept_lock();
  tm_units_lock();
  tm_client_lock();
}

static void unlock(void) {
  tm_client_unlock();
  tm_units_unlock();
  tm_kept_unlock();
  tm_slab_unlock();
  tm_lease_unlock();
}

/* The coordinator knows nothing of the child yet. Its next request connects and declares what it
 * has; the unused lease stays with the parent. */
static void become_child(void) {
  tm_client_child(tm_lease_forget());
  if (owner != NULL) *owner = getpid();
}

static void unlock_child(void) {
  become_child();
  unlock();
}

static void (*renew_another)(void);

void tm_fork_renew_by(void (*renew)(void)) { renew_another = renew; }

/* No handler of pthread_atfork has run. What the locks guard can be used as it is, since threads that
 * wait for the coordinator change nothing meanwhile. */
static void become_orphan(void) {
  tm_lease_renew_lock();
  tm_client_renew_lock();
  if (renew_another != NULL) renew_another();
  become_child();
}

void tm_fork_before_lock(void) {
  if (owner != NULL && *owner == 0) become_orphan();
}

bool tm_fork_may_speak(void) {
  if (owner == NULL) return true; /* too early, or a kernel without such pages */
  tm_fork_before_lock();
  return *owner == getpid();
}

static bool there_is_room(const struct tm_settings *settings, bool strict) {
  /* 0 bytes are a whole copy. A coordinator that is older takes anything for that. */
  struct tm_request room = {.type = TM_FORK, .bytes = strict ? 0 : CHILD_ROOM};
  struct tm_reply reply;
  if (!tm_client_ask(&room, &reply)) return settings == NULL || !settings->fail;
  if (reply.status == 0) return true;
  tm_heap_reclaim();
  tm_lease_trim();
  return tm_client_ask(&room, &reply) && reply.status == 0;
}

/* The coordinator keeps a copy's room for the child when it knows the child: it must not wait until
 * the child needs memory. */
static void introduce_child(void) {
  struct tm_request query = {.type = TM_QUERY};
  struct tm_reply reply;
  tm_client_ask(&query, &reply);
}

pid_t tm_fork_asking(pid_t (*forker)(void)) {
  const struct tm_settings *settings = tm_settings();
  bool strict = settings != NULL && settings->fork_is_strict;
  if (!there_is_room(settings, strict)) {
    errno = ENOMEM;
    return -1;
  }
  pid_t child = forker();
  if (child == 0 && strict) introduce_child();
  return child;
}

/* First of all, so that the locks of who registers later are taken before these. */
__attribute__((constructor(101))) static void prepare_forks(void) {
  pthread_atfork(lock, unlock, unlock_child);
  pid_t *page = tm_sys_mmap(NULL, tm_page_size(), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) return;
  if (madvise(page, tm_page_size(), MADV_WIPEONFORK) != 0) {
    tm_sys_munmap(page, tm_page_size());
    return;
  }
  *page = getpid();
  owner = page;
}
