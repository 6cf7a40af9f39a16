/* What scratch users do while toom is watched (churn.ts).
 *
 *     churn-worker UID ROLE HARD_BYTES RATE_BYTES SEED
 *
 * Started as root; becomes the user, and executes itself unless the role says otherwise. Grows by no
 * more than RATE bytes a second in all, so that a witness who samples knows what may have come
 * between two samples. All that it starts ends with it. Roles that begin with "good" never hold more
 * than nine tenths of HARD, by what is charged once. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE ((size_t)4096)
#define STEP ((size_t)256 << 10)

static size_t hard, rate;
static uint32_t state;
static const char *self;

static uint32_t below(uint32_t limit) {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state % limit;
}

static void nap(double seconds) {
  struct timespec left = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {}
}

static size_t part(unsigned percent) { return hard / 100 * percent / PAGE * PAGE; }

static char *map(size_t bytes, int flags) {
  char *area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) _exit(3);
  return area;
}

/* Writes to every page, at a share of the rate. */
static void touch(char *area, size_t bytes, size_t sharers) {
  for (size_t at = 0; at < bytes; at += STEP) {
    size_t end = at + STEP < bytes ? at + STEP : bytes;
    for (size_t page = at; page < end; page += PAGE) area[page]++;
    nap((double)STEP * (double)sharers / (double)rate);
  }
}

/* A child that ends with its parent. */
static pid_t child(void) {
  pid_t parent = getpid(), pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  state = state * 2654435761u + (uint32_t)getpid();
  if (state == 0) state = 1;
  return 0;
}

static void wait_all(void) {
  while (wait(NULL) > 0 || errno == EINTR) {}
}

static void hold(void) {
  nap(2 + below(6));
}

static void good_single(void) {
  for (int round = 0; round < 6; round++) {
    size_t bytes = part(50 + below(36));
    char *area = map(bytes, MAP_PRIVATE);
    touch(area, bytes, 1);
    nap(0.2 * below(5));
    munmap(area, bytes);
  }
}

/* Much that is inherited and never written to, and a little that is each child's own. */
static void good_family(void) {
  char *area = map(part(45), MAP_PRIVATE);
  touch(area, part(45), 1);
  for (int i = 0; i < 4; i++)
    if (child() == 0) {
      touch(map(part(6), MAP_PRIVATE), part(6), 4);
      hold();
      _exit(0);
    }
  wait_all();
}

static void good_shared(void) {
  size_t bytes = part(55);
  char *area;
  unsigned kind = below(3);
  int id = -1;
  if (kind == 0) area = map(bytes, MAP_SHARED);
  else if (kind == 1) {
    id = shmget(IPC_PRIVATE, bytes, IPC_CREAT | 0600);
    area = id < 0 ? (char *)-1 : shmat(id, NULL, 0);
    if (id >= 0) shmctl(id, IPC_RMID, NULL);
    if (area == (char *)-1) return;
  } else {
    int fd = memfd_create("churn", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)bytes) != 0) return;
    area = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (area == MAP_FAILED) return;
  }
  touch(area, bytes, 1);
  for (int i = 0; i < 4; i++)
    if (child() == 0) {
      touch(area, bytes, 4); /* maps what is there */
      hold();
      _exit(0);
    }
  wait_all();
}

/* Gives pages back for the time being: charged no more. */
static void good_lazy(void) {
  char *area = map(part(80), MAP_PRIVATE);
  for (int round = 0; round < 8; round++) {
    touch(area, part(70), 1);
    madvise(area, part(70), MADV_FREE);
    nap(0.1 * below(10));
    madvise(area, part(80), MADV_DONTNEED);
  }
}

static void spawn_true(bool by_vfork) {
  pid_t pid = by_vfork ? vfork() : fork();
  if (pid == 0) {
    execl("/bin/true", "true", (char *)NULL);
    _exit(0);
  }
  if (pid > 0) waitpid(pid, NULL, 0);
}

/* Starts programs from a large one. */
static void good_spawner(void) {
  char *area = map(part(60), MAP_PRIVATE);
  touch(area, part(60), 1);
  for (int i = 0; i < 400; i++) {
    spawn_true(i % 2 == 0);
    nap(0.005);
  }
}

static void *touch_some(void *area) {
  touch(area, part(10), 8);
  return NULL;
}

static void threads(unsigned rounds) {
  for (unsigned round = 0; round < rounds; round++) {
    pthread_t started[8];
    int count = 0;
    for (; count < 8; count++)
      if (pthread_create(&started[count], NULL, touch_some, map(part(10), MAP_PRIVATE)) != 0) break;
    for (int i = 0; i < count; i++) pthread_join(started[i], NULL);
  }
}

static void good_threads(void) {
  threads(1);
  hold();
}

static void hog(void) {
  for (;;) touch(map(part(20), MAP_PRIVATE), part(20), 1);
}

static void hogs(void) {
  for (int i = 0; i < 4; i++)
    if (child() == 0)
      for (;;) touch(map(part(10), MAP_PRIVATE), part(10), 4);
  wait_all();
}

/* Children that write to all that they inherited. */
static void copying_family(void) {
  char *area = map(part(45), MAP_PRIVATE);
  touch(area, part(45), 1);
  for (int i = 0; i < 3; i++)
    if (child() == 0) {
      nap(0.3);
      touch(area, part(45), 3);
      hold();
      _exit(0);
    }
  wait_all();
}

/* Processes that share one address space. */
static int grow_in_shared(void *nothing) {
  (void)nothing;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (;;) touch(map(part(10), MAP_PRIVATE), part(10), 10);
  return 0;
}

static void sharers_of_one_mm(void) {
  for (int i = 0; i < 10; i++) {
    char *stack = map(64 << 10, MAP_PRIVATE);
    clone(grow_in_shared, stack + (64 << 10), CLONE_VM | SIGCHLD, NULL);
  }
  wait_all();
}

/* Short lives: nothing of it lasts. */
static void storm(void) {
  for (int i = 0; i < 300; i++) {
    for (int j = 0; j < 4; j++)
      if (child() == 0) {
        touch(map(part(3), MAP_PRIVATE), part(3), 4);
        _exit(0);
      }
    wait_all();
  }
}

static void shared_hog(void) {
  char *area = map(hard * 2, MAP_SHARED);
  for (int i = 0; i < 2; i++)
    if (child() == 0) {
      touch(area, hard * 2, 2);
      _exit(0);
    }
  wait_all();
}

struct role {
  const char *name;
  void (*run)(void);
};

static const struct role roles[] = {
    {"good-single", good_single},   {"good-family", good_family},
    {"good-shared", good_shared},   {"good-lazy", good_lazy},
    {"good-spawner", good_spawner}, {"good-threads", good_threads},
    {"hog", hog},                   {"login-hog", hog},
    {"hogs", hogs},                 {"copying-family", copying_family},
    {"sharers", sharers_of_one_mm}, {"storm", storm},
    {"shared-hog", shared_hog},
};

int main(int argc, char **argv) {
  if (argc != 6) return 2;
  self = argv[0];
  uid_t uid = (uid_t)atoi(argv[1]);
  const char *role = argv[2];
  hard = strtoull(argv[3], NULL, 10);
  rate = strtoull(argv[4], NULL, 10);
  state = (uint32_t)strtoul(argv[5], NULL, 10) | 1;
  if (getuid() == 0) {
    if (setgroups(0, NULL) != 0 || setgid(uid) != 0 || setuid(uid) != 0) return 3;
    /* A login becomes its user and goes on; the others execute a program then. */
    if (strncmp(role, "login", 5) != 0) {
      execv("/proc/self/exe", argv);
      return 3;
    }
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
    if (strcmp(role, roles[i].name) == 0) {
      roles[i].run();
      return 0;
    }
  return 2;
}
