/* Programs that change who they are, as far as their file lets them.
 *
 *     identity flip           of another user, with the set-user-ID bit: changes between both
 *     identity become UID     with CAP_SETUID by its file: becomes another, then grows
 *     identity protect        with CAP_SYS_RESOURCE by its file: protects itself, then grows
 *     identity contained      root of a user namespace and pid 1 of a pid namespace of its own
 *     identity succeed PID UID  (as root) takes over the number of a process that has just ended */
#include "common.h"
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static void flip(void) {
  uid_t real, effective, saved;
  if (getresuid(&real, &effective, &saved) != 0 || real == effective) die("no set-user-ID");
  char *area = map(MOST, MAP_PRIVATE);
  for (size_t at = 0; at < MOST; at += STEP) {
    /* As whom it counts, every 2.5 ms. */
    if (setreuid(effective, real) != 0) die("setreuid");
    uid_t before = real;
    real = effective;
    effective = before;
    take(area + at, STEP);
  }
}

static void become(uid_t uid) {
  take(map(15 * MIB, MAP_PRIVATE), 15 * MIB);
  if (setresuid(uid, uid, uid) != 0) die("setresuid");
  say("changed");
  await_line();
  take(map(MOST, MAP_PRIVATE), MOST);
}

static void protect(void) {
  int fd = open("/proc/self/oom_score_adj", O_WRONLY);
  if (fd < 0 || write(fd, "-1000", 5) != 5) die("oom_score_adj");
  close(fd);
  take(map(MOST, MAP_PRIVATE), MOST);
}

static void write_map(const char *path, const char *text) {
  int fd = open(path, O_WRONLY);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) die(path);
  close(fd);
}

static void contained(void) {
  char text[64];
  uid_t uid = getuid();
  if (unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0) die("unshare");
  write_map("/proc/self/setgroups", "deny");
  snprintf(text, sizeof text, "0 %d 1", (int)uid);
  write_map("/proc/self/uid_map", text);
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getuid() != 0 || getpid() != 1) _exit(1);
    signal(SIGTERM, SIG_IGN);
    take(map(MOST, MAP_PRIVATE), MOST);
    _exit(0);
  }
  say_number("child", pid);
  int status;
  if (waitpid(pid, &status, 0) < 0) die("waitpid");
  say_number("ended", WIFSIGNALED(status) ? WTERMSIG(status) : -1);
}

/* clone3(2) with set_tid: the next process gets the number, as when all others had been used up. */
static void succeed(pid_t number, uid_t uid) {
  struct clone_args args = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&number, .set_tid_size = 1};
  pid_t parent = getpid();
  long pid = -1;
  for (long until = now_ms() + 3000; pid < 0 && now_ms() < until;)
    pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) die("clone3");
  if (pid == 0) {
    if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0) _exit(1);
    end_with(parent); /* now, as a change of uid takes it back */
    say_number("successor", getpid());
    say("done");
    for (;;) pause();
  }
  for (;;) await_line();
}

int main(int argc, char **argv) {
  const char *mode = argc > 1 ? argv[1] : "";
  say("here");
  if (strcmp(mode, "succeed") != 0) await_line();
  if (strcmp(mode, "flip") == 0) flip();
  else if (strcmp(mode, "become") == 0 && argc > 2) become((uid_t)atoi(argv[2]));
  else if (strcmp(mode, "protect") == 0) protect();
  else if (strcmp(mode, "contained") == 0) contained();
  else if (strcmp(mode, "succeed") == 0 && argc > 3) succeed(atoi(argv[2]), (uid_t)atoi(argv[3]));
  else {
    fprintf(stderr, "identity: unknown mode \"%s\"\n", mode);
    return 2;
  }
  say("done");
  for (;;) await_line();
}
