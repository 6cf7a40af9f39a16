/* toom-exec: runs a program whose malloc asks toom first. The same as toom exec, which ends here,
 * without V8: it needs a few hundred KiB, and runs under ulimit -v. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf.h"
#include "exec_hints.h"
#include "exec_library.h"
#include "exec_options.h"
#include "link.h"
#include "notice.h"
#include "sys.h"

#define SOCKET_DEFAULT "/run/toom/tmalloc.sock"
#define PATH_DEFAULT "/usr/local/bin:/usr/bin:/bin"
#define SHELL "/bin/sh"
enum { INTERPRETERS_MOST = 5 }; /* execve(2): a script's interpreter may be a script */
static const int64_t REPLY_WITHIN_NS = INT64_C(2000000000);

extern char **environ;

static bool is_file(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* The program's file, as a shell finds it. */
static const char *find_program(const char *name) {
  static char path[PATH_MAX];
  if (strchr(name, '/') != NULL) {
    if (is_file(name)) return name;
    exec_die(EXIT_FAILED, "there is no %s", name);
  }
  const char *folder = getenv("PATH");
  if (folder == NULL) folder = PATH_DEFAULT;
  for (;; folder++) {
    int length = (int)strcspn(folder, ":");
    snprintf(path, sizeof path, "%.*s/%s", length == 0 ? 1 : length, length == 0 ? "." : folder,
             name);
    if (is_file(path) && access(path, X_OK) == 0) return path;
    folder += length;
    if (*folder == '\0') break;
  }
  exec_die(EXIT_FAILED, "there is no program %s on the PATH", name);
}

/* Why a program will not ask. */
struct obstacle {
  bool exists;
  bool minds_the_library; /* it would not even run with it */
  char what[PATH_MAX + 80];
};

static struct obstacle obstacle_of(const char *path) {
  struct obstacle found = {.exists = true};
  struct stat status;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return (struct obstacle){0};
  struct tm_elf elf = tm_elf_look_closely(fd);
  bool is_setuid = fstat(fd, &status) == 0 && (status.st_mode & (S_ISUID | S_ISGID)) != 0;
  close(fd);
  const char *words = elf.obstacle != NULL                              ? elf.obstacle
                      : elf.linkage == TM_LINK_STATIC                   ? "is linked statically"
                      : is_setuid && elf.linkage == TM_LINK_DYNAMIC ? "changes its user when it starts"
                                                                        : NULL;
  if (words == NULL) return (struct obstacle){0};
  found.minds_the_library = elf.obstacle != NULL;
  snprintf(found.what, sizeof found.what, "%s %s", path, words);
  return found;
}

/* Of the program, or of what interprets it. */
static struct obstacle obstacle_on_the_way(const char *program) {
  char path[PATH_MAX];
  snprintf(path, sizeof path, "%s", program);
  for (int i = 0; i < INTERPRETERS_MOST; i++) {
    struct obstacle found = obstacle_of(path);
    if (found.exists) return found;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_script = fd >= 0 && tm_script_interpreter(fd, path, sizeof path);
    if (fd >= 0) close(fd);
    if (!is_script) break;
  }
  return (struct obstacle){0};
}

/* What toom knows of the user. 0, or an errno: ETIMEDOUT when it does not answer. */
static int ask_limit(const char *socket, uint64_t *hard_bytes) {
  struct tm_link link;
  struct tm_request query = {.version = TM_VERSION, .type = TM_QUERY, .id = 1};
  struct tm_reply reply;
  if (!tm_link_open(&link, socket)) return errno;
  enum tm_received received = TM_GOT_LOSS;
  int64_t deadline = tm_now_ns() + REPLY_WITHIN_NS;
  if (tm_link_send(&link, &query)) do
      received = tm_link_receive(&link, &reply);
    while (received == TM_GOT_NOTHING && tm_now_ns() < deadline);
  tm_link_close(&link);
  if (received != TM_GOT_REPLY || reply.status != 0) return ETIMEDOUT;
  *hard_bytes = reply.hard_bytes;
  return 0;
}

/* First in LD_PRELOAD, so that its malloc is the one that counts. */
static void load_first(const char *library) {
  const char *before = getenv("LD_PRELOAD");
  if (before == NULL || *before == '\0') {
    setenv("LD_PRELOAD", library, 1);
    return;
  }
  size_t room = strlen(library) + strlen(before) + 2;
  char *both = malloc(room);
  if (both == NULL) exec_die(EXIT_FAILED, "there is no memory");
  snprintf(both, room, "%s:%s", library, before);
  setenv("LD_PRELOAD", both, 1);
}

/* Takes this process's place. A script without a first line that says otherwise is the shell's. */
static _Noreturn void become(const char *path, char **command) {
  execve(path, command, environ);
  if (errno == ENOEXEC) {
    size_t count = 0;
    while (command[count] != NULL) count++;
    char **words = calloc(count + 2, sizeof *words);
    if (words != NULL) {
      words[0] = SHELL;
      words[1] = (char *)path;
      memcpy(words + 2, command + 1, count * sizeof *words);
      execve(SHELL, words, environ);
    }
  }
  exec_die(EXIT_FAILED, "cannot run %s: %s", path,
           errno == EACCES ? "it is not executable" : strerror(errno));
}

int main(int argc, char **argv) {
  if (argc < 1) return EXIT_USAGE;
  struct exec_options options = exec_options_of(argv + 1);
  const char *library = exec_library_path(options.preload);
  const char *program = find_program(options.command[0]);
  const char *socket = options.tmalloc_socket != NULL ? options.tmalloc_socket
                                                      : getenv("TMALLOC_SOCKET");
  if (socket == NULL || *socket == '\0') socket = SOCKET_DEFAULT;

  struct obstacle obstacle = obstacle_on_the_way(program);
  if (obstacle.exists && options.fail)
    exec_die(EXIT_UNSUPPORTED, "%s: it cannot ask, so it is not run (--fallback=fail)",
             obstacle.what);
  if (obstacle.exists) exec_say("%s: it will not ask", obstacle.what);

  uint64_t hard_bytes = TM_NO_LIMIT;
  int error = ask_limit(socket, &hard_bytes);
  if (error != 0)
    exec_say("cannot reach toom at %s: %s; %s", socket, tm_notice_words(error),
             options.fail ? "all memory is refused (--fallback=fail)" : "goes on without asking");
  if (!options.no_hints && hard_bytes != TM_NO_LIMIT) exec_give_hints(hard_bytes);

  setenv("TMALLOC_SOCKET", socket, 1);
  setenv("TMALLOC_FALLBACK", options.fail ? "fail" : "malloc", 1);
  setenv("TMALLOC_TOLD", error != 0 ? "1" : "0", 1); /* whether somebody has said so: notice.c */
  if (!obstacle.minds_the_library) load_first(library);
  become(program, options.command);
}
