/* Processes whose memory the kernel's books must have exactly: what tests/kernel/bpf does with them.
 *
 *   workload NAME [NUMBER]...
 *
 * Waits for a byte on its input before it starts, prints "go" when it does, "done" when it has what it
 * wants, and ends when its input does. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096 };

static void say(const char *word) {
  if (write(1, word, strlen(word)) < 0) _exit(3);
}

static char await_byte(void) {
  char byte = 0;
  return read(0, &byte, 1) == 1 ? byte : 0;
}

static volatile char *area(size_t bytes) {
  void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) _exit(4);
  return at;
}

static void touch(volatile char *at, size_t bytes) {
  for (size_t i = 0; i < bytes; i += PAGE) at[i] = 1;
}

static volatile char *small_pages(size_t bytes) {
  volatile char *at = area(bytes);
  madvise((void *)at, bytes, MADV_NOHUGEPAGE);
  return at;
}

struct share {
  volatile char *at;
  size_t bytes;
  int rounds;
};

static void *drop_and_touch(void *argument) {
  struct share *share = argument;
  touch(share->at, share->bytes);
  for (int round = 0; round < share->rounds; round++) {
    madvise((void *)share->at, share->bytes, MADV_DONTNEED);
    touch(share->at, share->bytes);
  }
  return NULL;
}

static void with_threads(int count, size_t mib_each, int rounds) {
  pthread_t threads[64];
  struct share shares[64];
  for (int i = 0; i < count; i++) {
    shares[i] = (struct share){small_pages(mib_each << 20), mib_each << 20, rounds};
    pthread_create(&threads[i], NULL, drop_and_touch, &shares[i]);
  }
  for (int i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

/* Moves to the other CPU every few pages, so that each has parts of the same counter. */
static void hop(size_t bytes) {
  volatile char *at = small_pages(bytes);
  long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  for (size_t page = 0; page < bytes / PAGE; page++) {
    if (page % 7 == 0) {
      cpu_set_t set;
      CPU_ZERO(&set);
      CPU_SET((page / 7) % cpus, &set);
      sched_setaffinity(0, sizeof set, &set);
    }
    at[page * PAGE] = 1;
  }
}

static void huge(size_t bytes) {
  size_t whole = bytes + (4 << 20);
  volatile char *at = area(whole);
  uintptr_t start = ((uintptr_t)at + (2 << 20) - 1) & ~(uintptr_t)((2 << 20) - 1);
  volatile char *aligned = (volatile char *)start;
  madvise((void *)aligned, bytes, MADV_HUGEPAGE);
  touch(aligned, bytes);
  /* Splits some: every other 64 pages of each huge page. */
  for (size_t i = 0; i + (64 * PAGE) <= bytes; i += 128 * PAGE) {
    madvise((void *)(aligned + i), 64 * PAGE, MADV_DONTNEED);
  }
  munmap((void *)(aligned + bytes / 2), bytes / 4);
}

static void shared(size_t bytes) {
  volatile char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  touch(at, bytes);
  munmap((void *)(at + bytes / 2), bytes / 4);
}

static void remap(size_t bytes) {
  volatile char *at = small_pages(bytes);
  touch(at, bytes);
  at = mremap((void *)at, bytes, bytes * 2, MREMAP_MAYMOVE);
  touch(at, bytes * 2);
  mremap((void *)at, bytes * 2, bytes / 2, MREMAP_MAYMOVE);
}

static void fork_storm(int parents, int children) {
  volatile char *at = small_pages(2 << 20);
  touch(at, 2 << 20);
  for (int i = 0; i < parents; i++) {
    if (fork() != 0) continue;
    for (int j = 0; j < children; j++) {
      pid_t pid = fork();
      if (pid == 0) {
        touch(at, 1 << 20);
        if (j % 3 == 0) execl("/bin/true", "true", (char *)0);
        _exit(0);
      }
      waitpid(pid, NULL, 0);
    }
    _exit(0);
  }
  while (wait(NULL) > 0) {
  }
}

static void family(int children, size_t bytes) {
  volatile char *at = small_pages(bytes);
  touch(at, bytes);
  for (int i = 0; i < children; i++) {
    if (fork() != 0) continue;
    touch(at, bytes / 4);
    say("c");
    while (await_byte() != 0) {
    }
    pause();
    _exit(0);
  }
}

static void *leader_is_gone(void *argument) {
  size_t bytes = *(size_t *)argument;
  usleep(20000);
  touch(small_pages(bytes), bytes);
  say("done\n");
  while (await_byte() != 0) {
  }
  _exit(0);
}

/* Threads that drop and touch their pages over and over. At the first barrier each has all of them,
 * and has used what else it needs: from there on that is the true maximum. */
static pthread_barrier_t all_there, all_go;

static void *ride(void *argument) {
  struct share *share = argument;
  drop_and_touch(&(struct share){share->at, share->bytes, 1});
  pthread_barrier_wait(&all_there);
  pthread_barrier_wait(&all_go);
  return drop_and_touch(share);
}

static void ride_limit(int threads, int pages_each, int rounds) {
  pthread_t ids[64];
  struct share shares[64];
  pthread_barrier_init(&all_there, NULL, threads + 1);
  pthread_barrier_init(&all_go, NULL, threads + 1);
  for (int i = 0; i < threads; i++) {
    shares[i] = (struct share){small_pages(pages_each * PAGE), pages_each * PAGE, rounds};
    pthread_create(&ids[i], NULL, ride, &shares[i]);
  }
  pthread_barrier_wait(&all_there);
  say("full\n");
  if (await_byte() == 0) return;
  pthread_barrier_wait(&all_go);
  for (int i = 0; i < threads; i++) pthread_join(ids[i], NULL);
}

/* Grows until it is killed. Writes into a file, of which a page is mapped, how many pages it has. */
static void hog(size_t bytes, int is_huge, int is_shared, const char *path) {
  volatile char *at = is_huge || is_shared ? area(bytes) : small_pages(bytes);
  if (is_shared) {
    at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) _exit(4);
  }
  if (is_huge) madvise((void *)at, bytes, MADV_HUGEPAGE);
  static volatile long unseen;
  volatile long *pages = &unseen;
  if (path != NULL) {
    int fd = open(path, O_RDWR);
    pages = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (pages == MAP_FAILED) _exit(5);
  }
  *pages = 0;
  for (size_t i = 0; i < bytes; i += PAGE) {
    at[i] = 1;
    *pages += 1;
  }
}

/* Started by root: its real uid is one until it is told to go on, and another from then on. */
static void become(size_t bytes, uid_t from, uid_t to) {
  if (setresuid(from, 0, 0) != 0) _exit(6);
  touch(small_pages(bytes), bytes);
  say("full\n");
  if (await_byte() == 0) return;
  if (setresuid(to, to, to) != 0) _exit(6);
}

/* Executes itself, with less memory, when it is told to. */
static void execute(const char *self, size_t bytes) {
  touch(small_pages(bytes), bytes);
  say("full\n");
  if (await_byte() != 0) execl(self, self, "touch", "1", (char *)0);
}

/* Has a mapping that is larger than the machine's memory, in which it uses little: a fork is refused
 * when it has copied what lies below. Documentation/mm/overcommit-accounting.rst */
static void fail_forks(int count, size_t bytes) {
  volatile char *low = mmap((void *)0x10000000, bytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  if (low == MAP_FAILED) _exit(4);
  touch(low, bytes);
  size_t half = (size_t)sysconf(_SC_PHYS_PAGES) * PAGE / 10 * 7;
  char *high = (char *)0x100000000000;
  for (int i = 0; i < 2; i++) {
    void *at = mmap(high + i * half / PAGE * PAGE, half / PAGE * PAGE, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    if (at == MAP_FAILED) _exit(4);
  }
  for (int i = 0; i < count; i++) {
    pid_t pid = fork();
    if (pid == 0) _exit(0);
    if (pid > 0) _exit(7);
  }
}

/* So many children, some at a time, each of which grows a little and ends. */
static void brood(int count, int at_once) {
  int alive = 0;
  for (int i = 0; i < count; i++) {
    pid_t pid = fork();
    if (pid == 0) {
      touch(small_pages(64 * PAGE), 64 * PAGE);
      _exit(0);
    }
    if (pid > 0) alive++;
    while (alive >= at_once && wait(NULL) > 0) alive--;
  }
  while (wait(NULL) > 0) {
  }
}

int main(int argc, char **argv) {
  const char *name = argc > 1 ? argv[1] : "";
  long a = argc > 2 ? atol(argv[2]) : 0;
  long b = argc > 3 ? atol(argv[3]) : 0;
  long c = argc > 4 ? atol(argv[4]) : 0;
  signal(SIGPIPE, SIG_IGN);
  say("ready\n");
  if (await_byte() == 0) return 0;
  say("go\n");
  if (strcmp(name, "touch") == 0) touch(small_pages(a << 20), a << 20);
  else if (strcmp(name, "hop") == 0) hop(a << 20);
  else if (strcmp(name, "threads") == 0) with_threads(a, b, c);
  else if (strcmp(name, "huge") == 0) huge(a << 20);
  else if (strcmp(name, "shared") == 0) shared(a << 20);
  else if (strcmp(name, "remap") == 0) remap(a << 20);
  else if (strcmp(name, "forks") == 0) fork_storm(a, b);
  else if (strcmp(name, "family") == 0) family(a, b << 20);
  else if (strcmp(name, "ride") == 0) ride_limit(a, b, c);
  else if (strcmp(name, "hog") == 0) hog(a << 20, 0, 0, argc > 3 ? argv[3] : NULL);
  else if (strcmp(name, "hughog") == 0) hog(a << 20, 1, 0, argc > 3 ? argv[3] : NULL);
  else if (strcmp(name, "sharehog") == 0) hog(a << 20, 0, 1, argc > 3 ? argv[3] : NULL);
  else if (strcmp(name, "become") == 0) become(a << 20, b, c);
  else if (strcmp(name, "brood") == 0) brood(a, b);
  else if (strcmp(name, "execute") == 0) execute(argv[0], a << 20);
  else if (strcmp(name, "failforks") == 0) fail_forks(a, b << 20);
  else if (strcmp(name, "leader") == 0) {
    static size_t bytes;
    bytes = a << 20;
    pthread_t thread;
    pthread_create(&thread, NULL, leader_is_gone, &bytes);
    pthread_exit(NULL);
  } else return 2;
  say("done\n");
  while (await_byte() != 0) {
  }
  return 0;
}
