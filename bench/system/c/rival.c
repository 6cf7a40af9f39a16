/* Killers that know of no events, or make no use of them: what one would write in an afternoon.
 *
 *   rival poll UID LIMIT_KIB PERIOD_US       every so often sums up the user's processes
 *   rival trivial UID LIMIT_KIB PIPE...      does so for every rss_stat event of these pipes
 *                                            (trace_pipe_raw of each CPU)
 *
 * Sums RssAnon + RssShmem + VmSwap of all processes in /proc with that real uid, and kills the
 * largest when the sum passes the limit. Limit 0: sums, kills nobody. Says "ready". At SIGTERM
 * prints how many sums it has made, the nanoseconds that they took, and the events it has read.
 * C, no allocation, one directory handle; processes of other users cost one fstatat(2) each. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIPES_MAX 256
#define SUBBUF_MAX 65536

static volatile sig_atomic_t ended;
static DIR *proc;
static uid_t uid;
static uint64_t limit_kib, sums, sum_ns, events;

static void on_end(int signal) {
  (void)signal;
  ended = 1;
}

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t field(const char *text, const char *name) {
  const char *at = strstr(text, name);
  return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

/* KiB of a process of the user, 0 when it is none or has gone. */
static uint64_t process_kib(const char *name) {
  struct stat info;
  if (fstatat(dirfd(proc), name, &info, 0) != 0 || info.st_uid != uid) return 0;
  char path[300];
  static char text[4096];
  snprintf(path, sizeof path, "%s/status", name);
  int fd = openat(dirfd(proc), path, O_RDONLY);
  if (fd < 0) return 0;
  ssize_t length = read(fd, text, sizeof text - 1);
  close(fd);
  if (length <= 0) return 0;
  text[length] = 0;
  if (field(text, "\nUid:") != uid) return 0;
  return field(text, "\nRssAnon:") + field(text, "\nRssShmem:") + field(text, "\nVmSwap:");
}

static void sum_and_kill(void) {
  uint64_t start = now_ns(), total = 0, most = 0;
  pid_t largest = 0;
  rewinddir(proc);
  for (struct dirent *entry = readdir(proc); entry != NULL; entry = readdir(proc)) {
    if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
    uint64_t kib = process_kib(entry->d_name);
    total += kib;
    if (kib > most) {
      most = kib;
      largest = atoi(entry->d_name);
    }
  }
  if (limit_kib > 0 && total > limit_kib) kill(largest, SIGKILL);
  sums++;
  sum_ns += now_ns() - start;
}

static int poll_proc(uint64_t period_us) {
  struct timespec next;
  clock_gettime(CLOCK_MONOTONIC, &next);
  while (!ended) {
    sum_and_kill();
    next.tv_nsec += (long)(period_us % 1000000) * 1000;
    next.tv_sec += (time_t)(period_us / 1000000);
    if (next.tv_nsec >= 1000000000) {
      next.tv_nsec -= 1000000000;
      next.tv_sec++;
    }
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
  }
  return 0;
}

/* Events on a page of the ring buffer: Documentation/trace/ring-buffer-design.rst */
static uint64_t events_on(const unsigned char *page, size_t bytes) {
  uint32_t commit;
  memcpy(&commit, page + 8, 4);
  size_t end = 16 + (commit & 0xfffff), at = 16;
  uint64_t count = 0;
  if (end > bytes) end = bytes;
  while (at + 4 <= end) {
    uint32_t head, length;
    memcpy(&head, page + at, 4);
    uint32_t type = head & 31;
    if (type == 29 && head >> 5 == 0) break;
    if (type == 30 || type == 31) {
      at += 8;
      continue;
    }
    memcpy(&length, page + at + 4, 4);
    if (type == 29) at += 4 + length;
    else {
      at += 4 + (type == 0 ? length : type * 4);
      count++;
    }
  }
  return count;
}

static int trivial(int count, char **paths) {
  static struct pollfd pipes[PIPES_MAX];
  static unsigned char page[SUBBUF_MAX];
  if (count > PIPES_MAX) return 2;
  for (int i = 0; i < count; i++) {
    pipes[i].fd = open(paths[i], O_RDONLY | O_NONBLOCK);
    pipes[i].events = POLLIN;
    if (pipes[i].fd < 0) return 2;
  }
  while (!ended) {
    poll(pipes, (nfds_t)count, 200);
    for (int i = 0; i < count && !ended; i++) {
      ssize_t bytes = read(pipes[i].fd, page, sizeof page);
      if (bytes < 16) continue;
      for (uint64_t left = events_on(page, (size_t)bytes); left > 0 && !ended; left--) {
        events++;
        sum_and_kill();
      }
    }
  }
  return 0;
}

int main(int argc, char **argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (argc < 5) return 2;
  struct sigaction action = {.sa_handler = on_end};
  sigaction(SIGTERM, &action, NULL);
  uid = (uid_t)strtoul(argv[2], NULL, 10);
  limit_kib = strtoull(argv[3], NULL, 10);
  proc = opendir("/proc");
  if (proc == NULL) return 2;
  mlockall(MCL_CURRENT | MCL_FUTURE);
  sum_and_kill();
  sums = sum_ns = 0;
  puts("ready");
  fflush(stdout);
  int result = strcmp(argv[1], "poll") == 0 ? poll_proc(strtoull(argv[4], NULL, 10))
                                            : trivial(argc - 4, argv + 4);
  printf("%llu %llu %llu\n", (unsigned long long)sums, (unsigned long long)sum_ns,
         (unsigned long long)events);
  return result;
}
