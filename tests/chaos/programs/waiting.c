/* A process of which one thread waits for a file, and another one takes memory.
 *
 *     waiting PATH MIB */
#include "../../hostile/programs/common.h"
#include <pthread.h>
#include <sys/stat.h>

static void *ask(void *path) {
  struct stat found;
  stat(path, &found);
  return NULL;
}

int main(int argc, char **argv) {
  if (argc != 3) return 2;
  pthread_t thread;
  if (pthread_create(&thread, NULL, ask, argv[1]) != 0) die("pthread_create");
  say("here");
  await_line();
  size_t bytes = (size_t)atoi(argv[2]) * MIB;
  take(map(bytes, MAP_PRIVATE), bytes);
  say("done");
  for (;;) await_line();
}
