/* Stops a thread by ptrace for some time: stop_thread TID MILLISECONDS [deaf]
   Says "stopped" when it stands, and "gone" or "released" at the end. A thread that is killed
   meanwhile is collected at once, as debuggers do; not by one that is deaf. ptrace(2) */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  pid_t tid = atoi(argv[1]);
  if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0 ||
      ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) != 0) {
    perror("ptrace");
    return 1;
  }
  int status;
  if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status)) return 1;
  puts("stopped");
  fflush(stdout);
  for (int left = atoi(argv[2]); left > 0; left -= 5) {
    usleep(5000);
    if (argc > 3) continue;
    if (waitpid(tid, &status, __WALL | WNOHANG) == tid && !WIFSTOPPED(status)) break;
  }
  puts(ptrace(PTRACE_DETACH, tid, NULL, NULL) == 0 ? "released" : "gone");
  return 0;
}
