#include "client.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "fork.h"
#include "lease.h"
#include "link.h"
#include "notice.h"
#include "settings.h"
#include "sys.h"

#define MS INT64_C(1000000)
static const int64_t REPLY_WITHIN = 2000 * MS; /* a coordinator that takes longer is not there */
static const int64_t RECONNECT_FOR = 2000 * MS;
static const int64_t ATTEMPT_EVERY = 1000 * MS;
enum { SENDS_MOST = 2 }; /* of one request, each over a connection of its own */

/* A request under way. Threads wait for different replies on the one connection: one of them
 * receives for all, the others wait to be told. */
struct call {
  const struct tm_request *request;
  struct tm_reply *reply;
  uint32_t id;
  int64_t deadline;
  enum { WAITING, ANSWERED, LOST } state;
  struct call *next;
};

static struct {
  pthread_mutex_t lock;
  pthread_cond_t news;
  struct tm_link link;
  unsigned generation; /* of the link */
  bool receiving;      /* somebody receives on the link */
  bool was_connected;  /* a loss is worth waiting for the coordinator to come back */
  bool registered;     /* the coordinator knows, or has known, a level of this process */
  int64_t next_attempt;
  int failure; /* errno of the last attempt, ETIMEDOUT when it was not answered */
  uint32_t last_id;
  struct call *calls;
  uint64_t level;
  uint64_t claim;
} client = {
    .lock = PTHREAD_MUTEX_INITIALIZER, .news = PTHREAD_COND_INITIALIZER, .link = {.fd = -1}};

/* Ends the connection; the calls on it are lost. Who receives on it closes it, so that the number
 * is not used for something else while it is being received on. */
static void lose_link(void) {
  if (client.receiving)
    tm_link_shut(&client.link);
  else
    tm_link_close(&client.link);
  client.link = TM_NO_LINK;
  client.generation++;
  client.receiving = false;
  for (struct call *call = client.calls; call != NULL; call = call->next) call->state = LOST;
  client.calls = NULL;
  pthread_cond_broadcast(&client.news);
}

/* Request and reply on a link that nobody else uses yet. */
static bool exchange(const struct tm_link *link, struct tm_request request,
                     struct tm_reply *reply) {
  request.version = TM_VERSION;
  request.id = ++client.last_id;
  int64_t deadline = tm_now_ns() + REPLY_WITHIN;
  if (!tm_link_send(link, &request)) return false;
  enum tm_received received;
  do received = tm_link_receive(link, reply);
  while (received == TM_GOT_NOTHING && tm_now_ns() < deadline);
  return received == TM_GOT_REPLY && reply->id == request.id;
}

/* The first request registers the process: its level is what it has resident now, and the
 * allowance. Memory that was taken before nobody has granted, so none of it is left to hand out. */
static bool register_process(const struct tm_link *link) {
  struct tm_reply reply;
  if (!exchange(link, (struct tm_request){.type = TM_QUERY}, &reply)) return false;
  uint64_t allowance = tm_allowance(tm_settings(), reply.hard_bytes);
  uint64_t least = allowance < tm_page_size() ? allowance : tm_page_size();
  struct tm_request reserve = {.type = TM_RESERVE, .bytes = allowance, .min_bytes = least};
  tm_lease_forget();
  if (!exchange(link, reserve, &reply)) return false;
  client.level = reply.level_bytes;
  client.registered = true;
  return true;
}

static bool declare_process(const struct tm_link *link) {
  struct tm_reply reply;
  struct tm_request declare = {.type = TM_DECLARE, .bytes = client.level};
  if (!exchange(link, declare, &reply)) return false;
  /* Less for a child: what its parent was granted and has not touched nobody has granted to it. */
  if (reply.status == 0) client.level = reply.level_bytes;
  struct tm_request claim = {.type = TM_CLAIM, .bytes = client.claim};
  return client.claim == 0 || exchange(link, claim, &reply);
}

static bool connect_once(const struct tm_settings *settings) {
  struct tm_link link;
  if (!tm_link_open(&link, settings->socket)) {
    client.failure = errno;
    return false;
  }
  client.failure = ETIMEDOUT;
  if (client.registered ? declare_process(&link) : register_process(&link)) {
    client.link = link;
    client.was_connected = true;
    return true;
  }
  tm_link_close(&link);
  return false;
}

static void nap(int64_t ns) { nanosleep(&(struct timespec){.tv_nsec = (long)ns}, NULL); }

/* After an attempt in vain the process goes on without a coordinator for a while. One that accepts
 * and does not answer costs time at each attempt: it gets a fifth of the process's time at most. */
static void go_on_without(int64_t attempt_took) {
  int64_t pause = attempt_took * 4 > ATTEMPT_EVERY ? attempt_took * 4 : ATTEMPT_EVERY;
  client.next_attempt = tm_now_ns() + pause;
  client.was_connected = false;
  tm_notice_unreachable(tm_settings(), client.failure);
}

/* Connects where necessary. One that was there may just be starting again, and is waited for. */
static bool connected(void) {
  const struct tm_settings *settings = tm_settings();
  if (settings == NULL) return false;
  if (tm_link_is_ours(&client.link)) return true;
  if (client.link.fd >= 0) lose_link();
  int64_t attempt = tm_now_ns();
  if (attempt < client.next_attempt) return false;
  int64_t give_up = client.was_connected ? attempt + RECONNECT_FOR : attempt;
  for (int64_t pause = MS; !connect_once(settings); attempt = tm_now_ns()) {
    if (tm_now_ns() >= give_up) {
      go_on_without(tm_now_ns() - attempt);
      return false;
    }
    nap(pause);
    if (pause < 32 * MS) pause *= 2;
  }
  return true;
}

static bool is_granted_level(const struct tm_request *request, const struct tm_reply *reply) {
  return reply->status == 0 && (request->type == TM_RESERVE || request->type == TM_WAIT);
}

/* Hands a reply to the call that it is for. False when it is for none: then the two sides do not
 * mean the same conversation. */
static bool deliver(const struct tm_reply *reply) {
  for (struct call **at = &client.calls; *at != NULL; at = &(*at)->next) {
    struct call *call = *at;
    if (call->id != reply->id) continue;
    if (reply->type != (call->request->type | TM_REPLY)) return false;
    *at = call->next;
    *call->reply = *reply;
    call->state = ANSWERED;
    if (is_granted_level(call->request, reply)) client.level += reply->bytes;
    return true;
  }
  return false;
}

static bool any_overdue(void) {
  int64_t now = tm_now_ns();
  for (struct call *call = client.calls; call != NULL; call = call->next)
    if (now >= call->deadline) return true;
  return false;
}

/* Receives one reply, for whomever it is. The lock is not held meanwhile. */
static void receive_one(void) {
  struct tm_link link = client.link;
  unsigned generation = client.generation;
  struct tm_reply reply;
  client.receiving = true;
  pthread_mutex_unlock(&client.lock);
  enum tm_received received = tm_link_receive(&link, &reply);
  pthread_mutex_lock(&client.lock);
  if (generation != client.generation) {
    tm_link_close(&link);
    return;
  }
  client.receiving = false;
  bool good = received == TM_GOT_REPLY ? deliver(&reply)
                                       : received == TM_GOT_NOTHING && !any_overdue();
  if (!good) lose_link();
  pthread_cond_broadcast(&client.news);
}

/* Sends the request on the link and waits for its reply. A deadline counts from when it was first
 * sent, at `began`. */
static bool send_and_wait(const struct tm_request *request, struct tm_reply *reply,
                          int64_t began) {
  struct tm_request message = *request;
  int64_t elapsed_ms = (tm_now_ns() - began) / MS;
  message.timeout_ms -= elapsed_ms < message.timeout_ms ? (uint32_t)elapsed_ms : message.timeout_ms;
  message.version = TM_VERSION;
  message.id = ++client.last_id;
  struct call call = {
      .request = request,
      .reply = reply,
      .id = message.id,
      .deadline = tm_now_ns() + REPLY_WITHIN + message.timeout_ms * MS,
      .next = client.calls,
  };
  client.calls = &call;
  if (!tm_link_send(&client.link, &message)) lose_link();
  while (call.state == WAITING) {
    if (client.receiving)
      pthread_cond_wait(&client.news, &client.lock);
    else
      receive_one();
  }
  return call.state == ANSWERED;
}

/* Allocating is no cancellation point, and leaves errno alone. */
struct calm {
  int error;
  int cancel_state;
};

static struct calm enter(void) {
  struct calm calm = {.error = errno};
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &calm.cancel_state);
  return calm;
}

static void leave(struct calm calm) {
  pthread_setcancelstate(calm.cancel_state, NULL);
  errno = calm.error;
}

bool tm_client_ask(const struct tm_request *request, struct tm_reply *reply) {
  if (!tm_fork_may_speak()) {
    *reply = (struct tm_reply){.status = ENOMEM, .hard_bytes = TM_NO_LIMIT};
    return true;
  }
  struct calm calm = enter();
  bool answered = false;
  int sends = 0;
  pthread_mutex_lock(&client.lock);
  int64_t began = tm_now_ns();
  for (; !answered && sends < SENDS_MOST && connected(); sends++)
    answered = send_and_wait(request, reply, began);
  if (!answered && sends == SENDS_MOST) go_on_without(tm_now_ns() - began);
  pthread_mutex_unlock(&client.lock);
  leave(calm);
  return answered;
}

bool tm_client_release(uint64_t bytes) {
  if (!tm_fork_may_speak() || pthread_mutex_trylock(&client.lock) != 0) return false;
  struct calm calm = enter();
  struct tm_request release = {
      .version = TM_VERSION, .type = TM_RELEASE, .bytes = bytes, .flags = TM_NO_REPLY};
  bool told = client.link.fd < 0 || tm_link_send_now(&client.link, &release);
  if (told) client.level -= bytes < client.level ? bytes : client.level;
  pthread_mutex_unlock(&client.lock);
  leave(calm);
  return told;
}

void tm_client_note(uint64_t bytes) {
  pthread_mutex_lock(&client.lock);
  client.level += bytes;
  pthread_mutex_unlock(&client.lock);
}

void tm_client_remember_claim(uint64_t level) {
  pthread_mutex_lock(&client.lock);
  client.claim = level;
  pthread_mutex_unlock(&client.lock);
}

void tm_client_lock(void) { pthread_mutex_lock(&client.lock); }

void tm_client_unlock(void) { pthread_mutex_unlock(&client.lock); }

void tm_client_renew_lock(void) { client.lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER; }

void tm_client_child(uint64_t unused) {
  /* The threads that waited for replies are not in this process. */
  client.calls = NULL;
  client.receiving = false;
  client.news = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
  client.generation++;
  tm_link_close(&client.link);
  client.level -= unused < client.level ? unused : client.level;
  client.claim = 0;
}
