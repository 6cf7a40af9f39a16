#include "settings.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* A preloaded program unwinds through code that knows nothing of refusals: stdio, exceptions,
 * interpreters. It gets more room for that than one that was written for tmalloc. */
#ifdef TM_PRELOAD
enum { ALLOWANCE = 1 << 20 };
#else
enum { ALLOWANCE = 64 << 10 };
#endif
enum { LARGEST_PART = 16 }; /* an allowance is at most a sixteenth of the limit */

#define DEFAULT_SOCKET "/run/toom/tmalloc.sock"

extern char **environ;

static struct tm_settings settings;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void read_environment(void) {
  const char *socket = getenv("TMALLOC_SOCKET");
  if (socket == NULL || *socket == '\0' || strlen(socket) >= sizeof settings.socket)
    socket = DEFAULT_SOCKET;
  strcpy(settings.socket, socket);

  const char *fallback = getenv("TMALLOC_FALLBACK");
  settings.fail = fallback != NULL && strcmp(fallback, "fail") == 0;

  const char *told = getenv("TMALLOC_TOLD");
  settings.is_told = told != NULL && strcmp(told, "1") == 0;

  const char *fork = getenv("TMALLOC_FORK");
  settings.fork_is_strict = fork != NULL && strcmp(fork, "strict") == 0;

  const char *allowance = getenv("TMALLOC_ALLOWANCE");
  settings.allowance_is_given = allowance != NULL && *allowance >= '0' && *allowance <= '9';
  settings.allowance = settings.allowance_is_given ? strtoull(allowance, NULL, 10) : ALLOWANCE;
}

const struct tm_settings *tm_settings(void) {
  if (environ == NULL) return NULL; /* libc itself is not set up yet */
  pthread_once(&once, read_environment);
  return &settings;
}

uint64_t tm_allowance(const struct tm_settings *from, uint64_t hard_bytes) {
  if (from->allowance_is_given || from->allowance < hard_bytes / LARGEST_PART)
    return from->allowance;
  return hard_bytes / LARGEST_PART;
}
