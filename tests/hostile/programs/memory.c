/* Memory that is held in ways which a counter of resident pages may miss, or sees late.
 *
 *     memory ping-pong-below|ping-pong-over|memfd|tmpfs PATH|sysv|shared|shared-file PATH MIB|
 *            private MIB|locked|huge|redirtied|written-into|userfault */
#include "common.h"
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/syscall.h>
#include <sys/uio.h>

/* Whose turn it is to hold the memory, in memory that all children map. */
struct turns {
  volatile int turn;
  volatile long rounds, pieces_given;
};

/* Children hand 15 MiB around: the next one takes what the one before it gives up, piece by piece, or
 * before that one gives up anything. */
static void ping_pong(bool is_over) {
  enum { CHILDREN = 3, EACH = 15 * MIB, PIECE = MIB, PIECES = EACH / PIECE };
  struct turns *turns = (struct turns *)map(PAGE, MAP_SHARED);
  for (int number = 0; number < CHILDREN; number++) {
    pid_t pid;
    CHILD(pid, {
      char *area = map(EACH, MAP_PRIVATE);
      for (;;) {
        while (turns->turn != number) rest_us(500);
        long before = (turns->rounds - 1) * PIECES;
        for (int piece = 0; piece < PIECES; piece++) {
          while (!is_over && turns->pieces_given < before + piece) rest_us(200);
          take(area + piece * PIECE, PIECE);
        }
        turns->rounds++;
        turns->turn = (number + 1) % CHILDREN;
        if (is_over) rest_us(600000);
        for (int piece = 0; piece < PIECES; piece++) {
          madvise(area + piece * PIECE, PIECE, MADV_DONTNEED);
          turns->pieces_given++;
        }
      }
    });
    say_number("child", pid);
  }
  rest_us(1500000);
  say_number("rounds", turns->rounds);
}

static void write_all(int fd, size_t bytes) {
  static char buffer[STEP];
  memset(buffer, 1, sizeof buffer);
  for (size_t done = 0; done < bytes; done += sizeof buffer) {
    if (write(fd, buffer, sizeof buffer) != (ssize_t)sizeof buffer) die("write");
    rest_us(1000);
  }
}

/* A file in memory: written, then mapped. */
static void file_in_memory(int fd, size_t bytes) {
  if (fd < 0) die("open");
  write_all(fd, bytes);
  say("written");
  await_line();
  char *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (area == MAP_FAILED) die("mmap");
  take(area, bytes);
}

/* As others do who were given the same file. */
static void shared_file(const char *path, size_t bytes) {
  int fd = open(path, O_RDWR);
  if (fd < 0) die(path);
  char *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (area == MAP_FAILED) die("mmap");
  take(area, bytes);
}

static void sysv(size_t bytes) {
  int id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
  if (id < 0) die("shmget");
  say_number("segment", id);
  char *area = shmat(id, NULL, 0);
  if (area == (char *)-1) die("shmat");
  take(area, bytes);
}

static void locked(size_t bytes) {
  struct rlimit limit;
  getrlimit(RLIMIT_MEMLOCK, &limit);
  size_t most = limit.rlim_cur / 2;
  if (most > bytes / 2) most = bytes / 2;
  char *first = map(most, MAP_PRIVATE);
  if (most > 0 && mlock(first, most) != 0) die("mlock");
  say_number("locked", (long)(most >> 20));
  take(map(bytes, MAP_PRIVATE), bytes);
}

static void huge(size_t bytes) {
  enum { HUGE = 2 * MIB };
  char *area = map(bytes + HUGE, MAP_PRIVATE);
  area += HUGE - (uintptr_t)area % HUGE;
  if (madvise(area, bytes, MADV_HUGEPAGE) != 0) die("madvise");
  for (size_t at = 0; at < bytes; at += HUGE) {
    area[at] = 1;
    rest_us(1000);
  }
}

/* Freed lazily, so that it does not count; then written again, which takes no page fault. */
static void redirtied(void) {
  enum { EACH = 15 * MIB, AREAS = 3 };
  char *areas[AREAS];
  for (int i = 0; i < AREAS; i++) {
    areas[i] = map(EACH, MAP_PRIVATE);
    take(areas[i], EACH);
    if (madvise(areas[i], EACH, MADV_FREE) != 0) die("madvise");
    rest_us(300000); /* until it is credited */
  }
  say("freed");
  await_line();
  for (int i = 0; i < AREAS; i++) take(areas[i], EACH);
}

/* Another process writes into the memory of a child that only sleeps. */
static void written_into(size_t bytes) {
  char *area = map(bytes, MAP_PRIVATE);
  pid_t pid;
  CHILD(pid, {
    for (;;) pause();
  });
  say_number("child", pid);
  static char buffer[STEP];
  memset(buffer, 1, sizeof buffer);
  for (size_t at = 0; at < bytes; at += STEP) {
    struct iovec from = {buffer, STEP}, to = {area + at, STEP};
    if (process_vm_writev(pid, &from, 1, &to, 1, 0) < 0) break;
    rest_us(1000);
  }
}

/* A child copies pages into this process by its userfaultfd. */
static void userfault(size_t bytes) {
  int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY);
  if (fd < 0) die("userfaultfd");
  struct uffdio_api api = {.api = UFFD_API};
  if (ioctl(fd, UFFDIO_API, &api) != 0) die("UFFDIO_API");
  char *area = map(bytes, MAP_PRIVATE);
  struct uffdio_register range = {.range = {(uintptr_t)area, bytes},
                                  .mode = UFFDIO_REGISTER_MODE_MISSING};
  if (ioctl(fd, UFFDIO_REGISTER, &range) != 0) die("UFFDIO_REGISTER");
  pid_t pid;
  CHILD(pid, {
    char *page = map(STEP, MAP_PRIVATE);
    memset(page, 1, STEP);
    for (size_t at = 0; at < bytes; at += STEP) {
      struct uffdio_copy copy = {
          .dst = (uintptr_t)area + at, .src = (uintptr_t)page, .len = STEP};
      if (ioctl(fd, UFFDIO_COPY, &copy) != 0) _exit(1);
      rest_us(1000);
    }
    for (;;) pause();
  });
  say_number("child", pid);
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  say("here");
  await_line();
  if (strcmp(mode, "ping-pong-below") == 0) ping_pong(false);
  else if (strcmp(mode, "ping-pong-over") == 0) ping_pong(true);
  else if (strcmp(mode, "memfd") == 0) file_in_memory(memfd_create("hostile", 0), MOST);
  else if (strcmp(mode, "tmpfs") == 0)
    file_in_memory(open(argv[2], O_RDWR | O_CREAT | O_EXCL, 0600), MOST);
  else if (strcmp(mode, "sysv") == 0) sysv(MOST);
  else if (strcmp(mode, "shared") == 0) take(map(MOST, MAP_SHARED), MOST);
  else if (strcmp(mode, "private") == 0) {
    size_t bytes = (size_t)atoi(argv[2]) * MIB;
    take(map(bytes, MAP_PRIVATE), bytes);
  } else if (strcmp(mode, "shared-file") == 0) shared_file(argv[2], (size_t)atoi(argv[3]) * MIB);
  else if (strcmp(mode, "locked") == 0) locked(MOST);
  else if (strcmp(mode, "huge") == 0) huge(MOST);
  else if (strcmp(mode, "redirtied") == 0) redirtied();
  else if (strcmp(mode, "written-into") == 0) written_into(MOST);
  else if (strcmp(mode, "userfault") == 0) userfault(MOST);
  else {
    fprintf(stderr, "memory: unknown mode \"%s\"\n", mode);
    return 2;
  }
  say("done");
  for (;;) await_line();
}
