/* What makes a machine busy, crowded, or short of memory.
 *
 *   load spin CPU    works for ever on one CPU, at the usual niceness
 *   load crowd N     has so many children, which sleep, and says "ready"
 *   load users N FIRST COUNT   the same, as root: each of one of so many users, from the first on
 *   load hold MIB    holds so much memory, and says "ready"; the first to go should memory end
 *
 * Ends with its parent. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <unistd.h>

static int crowd(int count, uid_t first, unsigned users) {
  pid_t parent = getpid();
  for (int i = 0; i < count; i++) {
    pid_t pid = fork();
    if (pid < 0) return 3;
    if (pid > 0) continue;
    if (users > 0 && (setgid(first + i % users) != 0 || setuid(first + i % users) != 0)) _exit(3);
    // After the change of user, which clears it.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() == parent) pause();
    _exit(0);
  }
  puts("ready");
  fflush(stdout);
  for (;;) pause();
}

int main(int argc, char **argv) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (argc == 5 && strcmp(argv[1], "users") == 0)
    return crowd(atoi(argv[2]), atoi(argv[3]), atoi(argv[4]));
  if (argc != 3) return 2;
  if (strcmp(argv[1], "spin") == 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(atoi(argv[2]), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) return 2;
    for (volatile unsigned long i = 0;; i++) {
    }
  }
  if (strcmp(argv[1], "crowd") == 0) return crowd(atoi(argv[2]), 0, 0);
  int fd = open("/proc/self/oom_score_adj", O_WRONLY);
  if (fd >= 0) {
    if (write(fd, "1000", 4) != 4) return 2;
    close(fd);
  }
  size_t bytes = strtoul(argv[2], NULL, 10) << 20;
  volatile char *area =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) return 2;
  madvise((void *)area, bytes, MADV_HUGEPAGE);
  for (size_t at = 0; at < bytes; at += 4096) area[at] = 1;
  puts("ready");
  fflush(stdout);
  for (;;) pause();
}
