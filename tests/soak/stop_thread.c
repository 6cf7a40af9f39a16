/* Stops one thread of another process for a time, as a debugger does: stop-thread TID MS */
#include <stdlib.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  int tid = atoi(argv[1]), ms = atoi(argv[2]);
  if (ptrace(PTRACE_SEIZE, tid, NULL, NULL) != 0 || ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) != 0) {
    perror("ptrace");
    return 1;
  }
  waitpid(tid, NULL, __WALL);
  struct timespec left = {ms / 1000, (long)(ms % 1000) * 1000000};
  nanosleep(&left, NULL);
  return ptrace(PTRACE_DETACH, tid, NULL, NULL) == 0 ? 0 : 1;
}
