/* Round trips of the tmalloc protocol (docs/tmalloc-protocol.md), without its library.
 *
 *   trips SOCKET CLIENTS REQUESTS LOOKS
 *
 * A client looks for its answer so many times, giving way between, before it sleeps; the library
 * looks 96 times. Each client is a process with a connection of its own that asks for a page and gives it back, so
 * many times. All begin at once. Prints "MEDIAN P99 MAX" of the nanoseconds of one round trip,
 * and "PER_SECOND REFUSED": round trips a second of all, and requests not granted. */
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RESERVE = 1, RELEASE = 2 };

struct request {
  uint16_t version, type;
  uint32_t id;
  uint64_t bytes;
  uint32_t timeout_ms, flags;
  uint64_t min_bytes;
};

struct reply {
  uint16_t version, type;
  uint32_t id;
  int32_t status;
  uint32_t flags;
  uint64_t bytes, level, resident, committed, hard, claim;
};

_Static_assert(sizeof(struct request) == 32, "request");
_Static_assert(sizeof(struct reply) == 64, "reply");

struct board {
  _Atomic int ready, refused;
  uint32_t ns[];
};

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int compare(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return x < y ? -1 : x > y;
}

/* As the library does it. */
static ssize_t receive(int fd, struct reply *reply, int looks) {
  for (int i = 0; i < looks; i++) {
    ssize_t bytes = recv(fd, reply, sizeof *reply, MSG_DONTWAIT);
    if (bytes >= 0 || errno != EAGAIN) return bytes;
    sched_yield();
  }
  return recv(fd, reply, sizeof *reply, 0);
}

static void client(const char *path, struct board *board, uint32_t *ns, size_t requests, int gate,
                   int looks) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) _exit(3);
  atomic_fetch_add(&board->ready, 1);
  char byte;
  if (read(gate, &byte, 1) < 0) _exit(2);
  for (size_t i = 0; i < requests; i++) {
    struct request request = {
        .version = 1, .type = i % 2 == 0 ? RESERVE : RELEASE, .id = (uint32_t)i, .bytes = 4096};
    struct reply reply;
    uint64_t start = now_ns();
    if (send(fd, &request, sizeof request, MSG_NOSIGNAL) != sizeof request) _exit(4);
    if (receive(fd, &reply, looks) != sizeof reply || reply.id != request.id) _exit(5);
    ns[i] = (uint32_t)(now_ns() - start);
    if (reply.status != 0) atomic_fetch_add(&board->refused, 1);
  }
  _exit(0);
}

int main(int argc, char **argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (argc != 5) return 2;
  size_t clients = strtoul(argv[2], NULL, 10), requests = strtoul(argv[3], NULL, 10);
  size_t bytes = sizeof(struct board) + clients * requests * sizeof(uint32_t);
  struct board *board =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  int gate[2];
  if (board == MAP_FAILED || clients < 1 || requests < 1 || pipe(gate) != 0) return 2;
  for (size_t i = 0; i < clients; i++) {
    pid_t pid = fork();
    if (pid < 0) return 2;
    if (pid == 0) {
      close(gate[1]);
      client(argv[1], board, board->ns + i * requests, requests, gate[0], atoi(argv[4]));
    }
  }
  int status, failed = 0;
  struct timespec pause = {0, 1000000};
  for (int turns = 0; atomic_load(&board->ready) < (int)clients && turns < 10000; turns++) {
    nanosleep(&pause, NULL);
  }
  uint64_t start = now_ns();
  close(gate[1]);
  while (wait(&status) > 0) failed |= status;
  double seconds = (double)(now_ns() - start) / 1e9;
  if (failed != 0) return 1;
  size_t count = clients * requests;
  qsort(board->ns, count, sizeof *board->ns, compare);
  printf("%u %u %u\n%.0f %d\nend\n", board->ns[count / 2], board->ns[count * 99 / 100],
         board->ns[count - 1], (double)count / seconds, atomic_load(&board->refused));
  return 0;
}
