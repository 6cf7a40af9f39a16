/* Raises hogs that cross a line, and measures how they end. Whoever kills them, the numbers are the
 * hogs' own: each keeps count and time of its pages in memory that it shares with the stage.
 *
 *   stage UID        becomes that user; for each line of its input raises hogs, prints how they end
 *
 * Input: KIND AMOUNT_KIB PROCESSES MIB_PER_SECOND HUGE CAP_MIB DELAY_US TIMEOUT_MS
 *   KIND user       the line is AMOUNT_KIB for all of the user, the stage included
 *   KIND available  the line is where the machine has AMOUNT_KIB left available
 *   MIB_PER_SECOND  0: full speed; else full speed until 8 MiB before the line
 *   HUGE            1: huge pages; they are touched 2 MiB at a time
 *   CAP_MIB         the hogs stop growing so far past the line
 *   DELAY_US        waits first, so that hogs and timers have nothing to do with one another
 * Output: PID SIGNAL LINE_PAGES TOTAL_PAGES CROSSED_NS LAST_NS DEATH_NS
 *   of the first hog that died: pages that all had begun to touch when that was seen;
 *   CLOCK_MONOTONIC just before the page that crossed the line (0: none did), after the victim's
 *   last page, and of the end being seen by waitpid(2). Or "short" when the line is too near, or "survived".
 *
 * Each hog executes this program anew, so that it has no memory in common with the stage but that of
 * the numbers: who counts shared memory once and who counts it twice see the same line.
 *
 * The stage itself runs SCHED_FIFO, hogs as everybody, so that the end is seen when it happens. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HOGS_MAX 64
#define PAGE 4096u
#define HUGE_BYTES (2u << 20)
#define NEAR_PAGES 2048u
#define LEAST_PAGES 4096u
#define MIB_PAGES 256u

struct hog {
  _Alignas(64) _Atomic uint64_t last_ns;
};

struct board {
  _Alignas(64) _Atomic uint64_t total;
  _Alignas(64) uint64_t line, cap;
  _Atomic uint64_t crossed_ns;
  _Atomic int ready;
  struct hog hogs[HOGS_MAX];
};

static struct board *board;
static int board_fd;

static uint64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static uint64_t field(const char *path, const char *name) {
  static char text[8192];
  int fd = open(path, O_RDONLY);
  ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  if (length <= 0) return 0;
  text[length] = 0;
  const char *at = strstr(text, name);
  return at == NULL ? 0 : strtoull(at + strlen(name), NULL, 10);
}

/* The process's share: what several have in common counts once in the sum. */
static uint64_t counted_kib(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
  return field(path, "\nPss_Anon:") + field(path, "\nPss_Shmem:") + field(path, "\nSwapPss:");
}

/* Counted before it is touched: whoever is quick kills within the page fault, and the page counts. */
static void touch(volatile char *at, unsigned pages, int index) {
  uint64_t total = atomic_fetch_add(&board->total, pages) + pages;
  /* Exactly one page is the one that crosses. */
  if (total > board->line && total - pages <= board->line) {
    atomic_store(&board->crossed_ns, now_ns());
  }
  *at = 1;
  atomic_store_explicit(&board->hogs[index].last_ns, now_ns(), memory_order_relaxed);
}

static void hog(int index, int gate, size_t bytes, unsigned rate_mib, int huge) {
  prctl(PR_SET_NAME, "zzhog");
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  char *map = mmap(NULL, bytes + HUGE_BYTES, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (map == MAP_FAILED) _exit(2);
  volatile char *area = map + (HUGE_BYTES - (uintptr_t)map % HUGE_BYTES);
  madvise(map, bytes + HUGE_BYTES, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  unsigned step = huge ? HUGE_BYTES : PAGE;
  size_t at = 0;
  char byte;
  now_ns();
  atomic_store(&board->hogs[index].last_ns, 0);
  atomic_fetch_add(&board->ready, 1);
  if (read(gate, &byte, 1) < 0) _exit(2);
  uint64_t stop = board->cap;
  if (rate_mib > 0) {
    uint64_t fast = board->line - NEAR_PAGES;
    while (at < bytes && atomic_load(&board->total) < fast) {
      touch(area + at, step / PAGE, index);
      at += step;
    }
    uint64_t start = now_ns(), done = 0;
    while (at < bytes && atomic_load(&board->total) < stop) {
      uint64_t due = (uint64_t)((double)(now_ns() - start) * rate_mib * (1 << 20) / 1e9);
      for (; done < due && at < bytes; done += step, at += step) {
        touch(area + at, step / PAGE, index);
      }
      struct timespec pause = {0, 100000};
      nanosleep(&pause, NULL);
    }
  } else {
    while (at < bytes && atomic_load_explicit(&board->total, memory_order_relaxed) < stop) {
      touch(area + at, step / PAGE, index);
      at += step;
    }
  }
  for (;;) pause();
}

static void start_hog(int index, int gate, size_t bytes, unsigned rate_mib, int huge) {
  char words[5][24];
  snprintf(words[0], sizeof words[0], "%d", board_fd);
  snprintf(words[1], sizeof words[1], "%d", index);
  snprintf(words[2], sizeof words[2], "%d", gate);
  snprintf(words[3], sizeof words[3], "%zu", bytes);
  snprintf(words[4], sizeof words[4], "%u", rate_mib);
  execl("/proc/self/exe", "hog", words[0], words[1], words[2], words[3], words[4],
        huge ? "1" : "0", (char *)NULL);
  _exit(2);
}

static int attach_board(int fd) {
  board_fd = fd;
  board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  return board == MAP_FAILED ? -1 : 0;
}

static void raise_hogs(const char *kind, uint64_t amount_kib, int count, unsigned rate_mib, int huge,
                       unsigned cap_mib, unsigned delay_us, unsigned timeout_ms) {
  pid_t pids[HOGS_MAX];
  int gate[2];
  if (pipe(gate) != 0) exit(2);
  atomic_store(&board->total, 0);
  atomic_store(&board->crossed_ns, 0);
  atomic_store(&board->ready, 0);
  /* Room for the line wherever it will be, and what may be past it. */
  size_t bytes = (size_t)amount_kib * 1024;
  if (strcmp(kind, "available") == 0) {
    uint64_t kib = field("/proc/meminfo", "MemAvailable:");
    bytes = kib > amount_kib ? (size_t)(kib - amount_kib) * 1024 : 0;
  }
  bytes = (bytes + ((size_t)cap_mib << 20) + HUGE_BYTES) / HUGE_BYTES * HUGE_BYTES;
  for (int i = 0; i < count; i++) {
    pids[i] = fork();
    if (pids[i] == 0) {
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, NULL);
      close(gate[1]);
      start_hog(i, gate[0], bytes, rate_mib, huge);
    }
    if (pids[i] < 0) exit(2);
  }
  close(gate[0]);
  struct timespec pause = {0, 1000000};
  while (atomic_load(&board->ready) < count) nanosleep(&pause, NULL);
  struct timespec delay = {delay_us / 1000000, (long)(delay_us % 1000000) * 1000};
  nanosleep(&delay, NULL);
  uint64_t line = 0;
  if (strcmp(kind, "available") == 0) {
    uint64_t kib = field("/proc/meminfo", "MemAvailable:");
    line = kib > amount_kib ? (kib - amount_kib) / 4 : 0;
  } else {
    uint64_t base_kib = counted_kib(getpid());
    for (int i = 0; i < count; i++) base_kib += counted_kib(pids[i]);
    line = amount_kib > base_kib ? (amount_kib - base_kib) / 4 : 0;
  }
  board->line = line;
  board->cap = line + (uint64_t)cap_mib * MIB_PAGES;
  int status = 0;
  pid_t first = 0;
  uint64_t death_ns = 0, total = 0;
  int is_short = line < LEAST_PAGES;
  if (!is_short) {
    close(gate[1]);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    struct timespec timeout = {timeout_ms / 1000, (long)(timeout_ms % 1000) * 1000000};
    sigtimedwait(&child, NULL, &timeout);
    first = waitpid(-1, &status, WNOHANG);
    death_ns = now_ns();
    total = atomic_load(&board->total);
  }
  int index = 0;
  for (int i = 0; i < count; i++) {
    if (pids[i] == first) index = i;
    else kill(pids[i], SIGKILL);
  }
  for (int i = 0; i < count; i++) {
    if (pids[i] != first) waitpid(pids[i], NULL, 0);
  }
  if (is_short) close(gate[1]);
  /* Signals of those that were reaped just now. */
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  struct timespec none = {0, 0};
  while (sigtimedwait(&child, NULL, &none) > 0) {
  }
  if (is_short) puts("short");
  else if (first <= 0) puts("survived");
  else {
    printf("%d %d %llu %llu %llu %llu %llu\n", (int)first,
           WIFSIGNALED(status) ? WTERMSIG(status) : 0, (unsigned long long)line,
           (unsigned long long)total, (unsigned long long)atomic_load(&board->crossed_ns),
           (unsigned long long)atomic_load(&board->hogs[index].last_ns),
           (unsigned long long)death_ns);
  }
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc == 7) {
    if (attach_board(atoi(argv[1])) != 0) return 2;
    hog(atoi(argv[2]), atoi(argv[3]), strtoull(argv[4], NULL, 10),
        (unsigned)strtoul(argv[5], NULL, 10), atoi(argv[6]));
  }
  if (argc == 2) {
    /* As a login: the priority and the user first, then the program. */
    struct sched_param param = {.sched_priority = 1};
    uid_t uid = (uid_t)strtoul(argv[1], NULL, 10);
    sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &param);
    if (setgid(uid) != 0 || setuid(uid) != 0) return 2;
    execl("/proc/self/exe", "stage", argv[1], "here", (char *)NULL);
    return 2;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_DUMPABLE, 1);
  prctl(PR_SET_NAME, "stage");
  board_fd = memfd_create("board", 0);
  if (board_fd < 0 || ftruncate(board_fd, sizeof *board) != 0) return 2;
  if (attach_board(board_fd) != 0) return 2;
  memset(board, 0, sizeof *board);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  sigprocmask(SIG_BLOCK, &child, NULL);
  puts("ready");
  fflush(stdout);
  char line[256], kind[16];
  while (fgets(line, sizeof line, stdin) != NULL) {
    unsigned long long amount_kib;
    unsigned rate_mib, cap_mib, delay_us, timeout_ms;
    int count, huge;
    if (sscanf(line, "%15s %llu %d %u %d %u %u %u", kind, &amount_kib, &count, &rate_mib, &huge,
               &cap_mib, &delay_us, &timeout_ms) != 8 || count < 1 || count > HOGS_MAX) {
      return 2;
    }
    raise_hogs(kind, amount_kib, count, rate_mib, huge, cap_mib, delay_us, timeout_ms);
  }
  return 0;
}
