#include "notice.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MOST = 1024 };

void tm_notice(const char *part, ...) {
  char line[LINE_MOST];
  size_t length = 0;
  va_list rest;
  va_start(rest, part);
  for (; part != NULL; part = va_arg(rest, const char *)) {
    size_t more = strlen(part), room = sizeof line - 1 - length;
    if (more > room) more = room;
    memcpy(line + length, part, more);
    length += more;
  }
  va_end(rest);
  line[length++] = '\n';
  int error = errno;
  ssize_t written = write(STDERR_FILENO, line, length); /* at once: others write there, too */
  (void)written;
  errno = error;
}

/* strerror may read a file of translations, and allocate for it. */
const char *tm_notice_words(int error) {
  switch (error) {
    case EACCES:
    case EPERM: return "Permission denied";
    case ENOENT:
    case ENOTDIR: return "No such file or directory";
    case ECONNREFUSED: return "Connection refused";
    case ETIMEDOUT: return "it does not answer";
    case EMFILE:
    case ENFILE: return "Too many open files";
    case EPROTOTYPE: return "it is a socket of another kind";
    default: return "it cannot be connected to";
  }
}

static atomic_bool is_told;

void tm_notice_unreachable(const struct tm_settings *settings, int error) {
  if (settings->is_told || atomic_exchange(&is_told, true)) return;
  tm_notice("tmalloc: cannot reach toom at ", settings->socket, ": ", tm_notice_words(error),
            settings->fail ? "; all memory is refused (TMALLOC_FALLBACK=fail)"
                           : "; goes on without asking",
            NULL);
}

void tm_notice_never(uint64_t bytes, uint64_t hard_bytes) {
  static atomic_bool is_said;
  char mapping[24], most[24];
  if (atomic_exchange(&is_said, true)) return;
  snprintf(mapping, sizeof mapping, "%" PRIu64, bytes >> 20);
  snprintf(most, sizeof most, "%" PRIu64, hard_bytes >> 20);
  tm_notice("tmalloc: a mapping of ", mapping, " MiB was refused: the user may have ", most,
            " MiB. Tell the program how much it may take (java -Xmx, node --max-old-space-size), or "
            "start it by toom exec, which does",
            NULL);
}

/* Before main nobody else uses the environment. Programs that are started later inherit it. A "0"
 * that toom exec has put there is overwritten in place, because some shells go on with the array
 * that they were started with. */
__attribute__((constructor(103))) static void tell_children(void) {
  static char entry[] = "TMALLOC_TOLD=1";
  if (!atomic_load(&is_told)) return;
  char *told = getenv("TMALLOC_TOLD");
  if (told != NULL && *told != '\0')
    *told = '1';
  else
    putenv(entry);
}
