#include "link.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { LOWEST_FD = 200 };      /* shells and scripts use the numbers below for redirections */
enum { SLICE_US = 250 * 1000 }; /* how long one receive waits */

/* To be put to sleep and woken on another CPU takes some 50 µs in a virtual machine, far longer than
 * the coordinator needs to answer. So a receive looks a few times before it sleeps, and lets the
 * coordinator run in between where it is on the same CPU. Where that is in vain a few times in a
 * row, it is tried only now and then. */
enum { LOOKS = 96, VAIN_MOST = 4, TRY_AGAIN = 32 };
static atomic_uint in_vain;

static int move_up(int fd) {
  int high = fcntl(fd, F_DUPFD_CLOEXEC, LOWEST_FD);
  if (high < 0) return fd;
  close(fd);
  return high;
}

bool tm_link_open(struct tm_link *link, const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  fd = move_up(fd);
  struct timeval slice = {.tv_usec = SLICE_US};
  struct stat status;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &slice, sizeof slice) != 0 ||
      setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &slice, sizeof slice) != 0 ||
      connect(fd, (struct sockaddr *)&address, sizeof address) != 0 || fstat(fd, &status) != 0) {
    int error = errno;
    close(fd);
    errno = error;
    return false;
  }
  *link = (struct tm_link){fd, status.st_dev, status.st_ino};
  return true;
}

bool tm_link_is_ours(const struct tm_link *link) {
  struct stat status;
  return link->fd >= 0 && fstat(link->fd, &status) == 0 && status.st_dev == link->device &&
         status.st_ino == link->inode;
}

static bool send_with(const struct tm_link *link, const struct tm_request *request, int flags) {
  if (!tm_link_is_ours(link)) return false;
  ssize_t sent;
  do sent = send(link->fd, request, sizeof *request, MSG_NOSIGNAL | flags);
  while (sent < 0 && errno == EINTR);
  return sent == (ssize_t)sizeof *request;
}

bool tm_link_send(const struct tm_link *link, const struct tm_request *request) {
  return send_with(link, request, 0);
}

bool tm_link_send_now(const struct tm_link *link, const struct tm_request *request) {
  return send_with(link, request, MSG_DONTWAIT);
}

static enum tm_received judge(ssize_t received, const struct tm_reply *reply) {
  if (received < 0)
    return errno == EAGAIN || errno == EINTR ? TM_GOT_NOTHING : TM_GOT_LOSS;
  bool is_reply = received == (ssize_t)sizeof *reply && reply->version == TM_VERSION &&
                  (reply->type & TM_REPLY) != 0;
  return is_reply ? TM_GOT_REPLY : TM_GOT_LOSS;
}

static enum tm_received receive_with(int fd, struct tm_reply *reply, int flags) {
  return judge(recv(fd, reply, sizeof *reply, flags | MSG_TRUNC), reply);
}

enum tm_received tm_link_receive(const struct tm_link *link, struct tm_reply *reply) {
  unsigned vain = atomic_load_explicit(&in_vain, memory_order_relaxed);
  unsigned looks = vain < VAIN_MOST || vain % TRY_AGAIN == 0 ? LOOKS : 0;
  for (; looks > 0; looks--) {
    enum tm_received received = receive_with(link->fd, reply, MSG_DONTWAIT);
    if (received != TM_GOT_NOTHING) {
      atomic_store_explicit(&in_vain, 0, memory_order_relaxed);
      return received;
    }
    sched_yield();
  }
  atomic_store_explicit(&in_vain, vain + 1, memory_order_relaxed);
  return receive_with(link->fd, reply, 0);
}

void tm_link_shut(const struct tm_link *link) {
  if (tm_link_is_ours(link)) shutdown(link->fd, SHUT_RDWR);
}

void tm_link_close(struct tm_link *link) {
  if (tm_link_is_ours(link)) close(link->fd);
  *link = TM_NO_LINK;
}
