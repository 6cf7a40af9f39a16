/* A coordinator for tests: one user with a fixed limit, levels that it is told and never checks
 * against /proc, except at registration. test-daemon SOCKET CONTROL [LIMIT] */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "../protocol.h"
#include "daemon_control.h"

enum { CONNECTIONS = 256, WAITS = 64, PAGE = 4096, FORK_ROOM_MS = 1000, PARENT_CHECK_MS = 200 };

struct connection {
  int fd;
  struct control_process *process;
};

struct waiting {
  struct connection *from;
  struct tm_request request;
  int64_t deadline;
};

static struct control *control;
static struct connection connections[CONNECTIONS];
static size_t connections_most; /* those after this were never used */
static struct waiting waits[WAITS];
static size_t wait_count;
static uint64_t fork_room;
static int64_t fork_room_until;
static bool children_share; /* the last fork did not ask for a copy */

static int64_t now_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000;
}

static uint64_t resident(pid_t pid) {
  if (control->ignores_resident) return 0;
  char path[64], line[128];
  snprintf(path, sizeof path, "/proc/%d/status", pid);
  FILE *file = fopen(path, "re");
  uint64_t sum = 0;
  while (file != NULL && fgets(line, sizeof line, file) != NULL) {
    unsigned long kib;
    if (sscanf(line, "RssAnon: %lu", &kib) == 1 || sscanf(line, "RssShmem: %lu", &kib) == 1 ||
        sscanf(line, "VmSwap: %lu", &kib) == 1)
      sum += kib * UINT64_C(1024);
  }
  if (file != NULL) fclose(file);
  return sum;
}

static uint64_t committed(void) {
  uint64_t sum = now_ms() < fork_room_until ? fork_room : 0;
  for (size_t i = 0; i < CONTROL_PROCESSES; i++)
    if (control->processes[i].pid != 0) {
      const struct control_process *process = &control->processes[i];
      sum += process->level - (process->shared < process->level ? process->shared : process->level);
    }
  if (sum > control->committed_most) control->committed_most = sum;
  return sum;
}

static struct control_process *process_of(pid_t pid) {
  struct control_process *empty = NULL;
  for (size_t i = 0; i < CONTROL_PROCESSES; i++) {
    struct control_process *process = &control->processes[i];
    if (process->pid == pid) return process;
    if (process->pid == 0 && empty == NULL) empty = process;
  }
  if (empty == NULL) exit(3);
  empty->level = empty->declared = empty->claim = empty->shared = 0;
  empty->pid = pid;
  return empty;
}

static void answer(struct connection *to, const struct tm_request *request, int status,
                   uint64_t bytes, bool is_never) {
  struct tm_reply reply = {
      .version = TM_VERSION,
      .type = (uint16_t)(request->type | TM_REPLY),
      .id = request->id,
      .status = status,
      .flags = (control->limit == TM_NO_LIMIT ? TM_UNLIMITED : 0) | (is_never ? TM_NEVER : 0),
      .bytes = bytes,
      .level_bytes = to->process->level,
      .resident_bytes = to->process->resident,
      .committed_bytes = committed(),
      .hard_bytes = control->limit,
      .claim_bytes = to->process->claim,
  };
  if (control->mode == MODE_SILENT) return;
  if (control->mode == MODE_GARBAGE) memset(&reply, 0x5a, sizeof reply);
  if (status != 0) control->refused++;
  send(to->fd, &reply, sizeof reply, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static uint64_t rounded(uint64_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }

/* What can be granted of a request; 0 when refused. */
static uint64_t grantable(const struct connection *from, const struct tm_request *request,
                          int *status) {
  uint64_t most = rounded(request->bytes);
  uint64_t least = request->min_bytes == 0 ? most : rounded(request->min_bytes);
  uint64_t used = committed(), room = used < control->limit ? control->limit - used : 0;
  uint64_t claim = from->process->claim, level = from->process->level;
  *status = 0;
  if (claim != 0 && level + least > claim) {
    *status = EDQUOT;
    return 0;
  }
  if (claim != 0 && level + most > claim) most = claim - level;
  if (control->mode == MODE_REFUSE || least > room) {
    *status = ENOMEM;
    return 0;
  }
  return most < room ? most : room;
}

static void serve_waits(void) {
  for (size_t i = 0; i < wait_count;) {
    struct waiting *wait = &waits[i];
    int status;
    uint64_t granted = grantable(wait->from, &wait->request, &status);
    bool is_over = status == 0 || now_ms() >= wait->deadline;
    if (!is_over) {
      i++;
      continue;
    }
    wait->from->process->level += granted;
    answer(wait->from, &wait->request, status == 0 ? 0 : ETIMEDOUT, granted, false);
    waits[i] = waits[--wait_count];
  }
}

static void serve(struct connection *from, const struct tm_request *request) {
  struct control_process *process = from->process;
  uint64_t bytes = rounded(request->bytes);
  int status = 0;
  if (process->level == 0 && request->type != TM_QUERY)
    process->level = process->resident = rounded(resident(process->pid));
  switch (request->type) {
    case TM_RESERVE: {
      uint64_t granted = grantable(from, request, &status);
      process->level += granted;
      answer(from, request, status, granted, false);
      break;
    }
    case TM_WAIT:
      if (control->limit < rounded(request->min_bytes)) {
        answer(from, request, ENOMEM, 0, true);
      } else if (wait_count == WAITS) {
        answer(from, request, EAGAIN, 0, false);
      } else {
        waits[wait_count++] = (struct waiting){from, *request, now_ms() + request->timeout_ms};
      }
      break;
    case TM_RELEASE:
      bytes = bytes < process->level ? bytes : process->level;
      process->level -= bytes;
      if (!(request->flags & TM_NO_REPLY)) answer(from, request, 0, bytes, false);
      break;
    case TM_CLAIM:
      process->claim = request->bytes;
      answer(from, request, 0, 0, false);
      break;
    case TM_DECLARE:
      process->level = process->declared = bytes;
      process->shared = children_share ? bytes : 0;
      fork_room_until = 0;
      if (!(request->flags & TM_NO_REPLY)) answer(from, request, 0, 0, false);
      break;
    case TM_FORK: {
      struct tm_request copy = *request;
      children_share = copy.bytes != 0;
      if (!children_share) copy.bytes = process->level;
      copy.min_bytes = 0;
      uint64_t granted = grantable(from, &copy, &status);
      fork_room = granted;
      fork_room_until = now_ms() + FORK_ROOM_MS;
      answer(from, request, status, 0, false);
      break;
    }
    default: answer(from, request, 0, 0, false);
  }
  committed();
}

/* A process goes with its last connection. */
static void leave(struct connection *connection) {
  struct control_process *process = connection->process;
  close(connection->fd);
  connection->fd = -1;
  connection->process = NULL;
  for (size_t i = 0; i < wait_count;)
    if (waits[i].from == connection)
      waits[i] = waits[--wait_count];
    else
      i++;
  for (size_t i = 0; i < CONNECTIONS; i++)
    if (connections[i].fd >= 0 && connections[i].process == process) return;
  if (process != NULL) process->pid = 0;
}

static void receive(struct connection *from) {
  struct tm_request request;
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(struct ucred))];
  } ancillary;
  struct iovec vector = {&request, sizeof request};
  struct msghdr message = {.msg_iov = &vector,
                           .msg_iovlen = 1,
                           .msg_control = &ancillary,
                           .msg_controllen = sizeof ancillary};
  ssize_t got = recvmsg(from->fd, &message, MSG_DONTWAIT);
  if (got < 0 && errno == EAGAIN) return;
  struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
  if (got != (ssize_t)sizeof request || header == NULL || request.version != TM_VERSION ||
      request.type >= CONTROL_TYPES || control->mode == MODE_CLOSE) {
    leave(from);
    return;
  }
  struct ucred sender;
  memcpy(&sender, CMSG_DATA(header), sizeof sender);
  from->process = process_of(sender.pid);
  control->messages[request.type]++;
  serve(from, &request);
}

static void join(int listener) {
  int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (fd < 0) return;
  int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on);
  control->connections++;
  for (size_t i = 0; i < CONNECTIONS; i++)
    if (connections[i].fd < 0) {
      connections[i].fd = fd;
      if (i >= connections_most) connections_most = i + 1;
      return;
    }
  close(fd);
}

static int listen_at(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  unlink(path);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  int on = 1;
  /* Inherited by what is accepted, so that no message arrives without credentials. */
  if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
      bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 64) != 0) {
    perror(path);
    exit(2);
  }
  return fd;
}

static struct control *map_control(const char *path) {
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, sizeof(struct control)) != 0) exit(2);
  void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped == MAP_FAILED) exit(2);
  return mapped;
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  pid_t parent = getppid();
  control = map_control(argv[2]);
  if (argc > 3) control->limit = strtoull(argv[3], NULL, 10);
  for (size_t i = 0; i < CONTROL_PROCESSES; i++) control->processes[i].pid = 0;
  for (size_t i = 0; i < CONNECTIONS; i++) connections[i].fd = -1;
  int listener = listen_at(argv[1]);
  while (getppid() == parent) {
    struct pollfd polled[CONNECTIONS + 1] = {{listener, POLLIN, 0}};
    size_t count = connections_most;
    for (size_t i = 0; i < count; i++)
      polled[i + 1] = (struct pollfd){connections[i].fd, POLLIN, 0};
    poll(polled, count + 1, wait_count != 0 ? 1 : PARENT_CHECK_MS);
    for (size_t i = 0; i < count; i++)
      if (polled[i + 1].revents != 0) receive(&connections[i]);
    if (polled[0].revents != 0) join(listener);
    serve_waits();
  }
}
