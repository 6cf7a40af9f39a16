/* Processes for bench/kills.ts.
 *
 *   hog COUNTER MIB     touches memory page by page, and keeps the count of its pages in a file
 *   hog shell COUNTER MIB   for each line of its input runs one such hog and prints "PID STATUS"
 *
 * COUNTER: a file of 4096 bytes: u64 pages touched, u64 anonymous bytes at the start. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t anonymous_bytes(void) {
  static char text[4096];
  int fd = open("/proc/self/smaps_rollup", O_RDONLY);
  ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
  const char *at = length > 0 ? strstr(text, "Anonymous:") : NULL;
  if (fd >= 0) close(fd);
  return at == NULL ? 0 : strtoull(at + strlen("Anonymous:"), NULL, 10) * 1024;
}

static int hog(const char *counter, size_t mib) {
  int fd = open(counter, O_RDWR);
  if (fd < 0) return 2;
  volatile uint64_t *words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  size_t bytes = mib << 20;
  volatile char *area =
      mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (words == MAP_FAILED || area == MAP_FAILED) return 2;
  madvise((void *)area, bytes, MADV_NOHUGEPAGE);
  words[0] = 0;
  words[1] = anonymous_bytes();
  for (size_t at = 0; at < bytes; at += 4096) {
    area[at] = 1;
    words[0] = at / 4096 + 1;
  }
  return 3; /* Nobody has stopped it. */
}

static int shell(char **argv) {
  char line[64];
  while (fgets(line, sizeof line, stdin) != NULL) {
    int status = 0;
    pid_t pid = fork();
    if (pid == 0) {
      execl("/proc/self/exe", "hog", argv[2], argv[3], (char *)NULL);
      _exit(2);
    }
    if (pid < 0 || waitpid(pid, &status, 0) < 0) return 2;
    printf("%d %d\n", (int)pid, WIFSIGNALED(status) ? WTERMSIG(status) : -WEXITSTATUS(status));
    fflush(stdout);
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc == 4 && strcmp(argv[1], "shell") == 0) return shell(argv);
  return argc == 3 ? hog(argv[1], strtoul(argv[2], NULL, 10)) : 2;
}
