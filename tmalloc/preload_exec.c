/* exec and its kin for preloaded programs. The library is inherited by what a program starts, and
 * some programs do not run with it: those that were built with a sanitizer end by "runtime does not
 * come first", musl's loader by an unknown symbol. These are started without it, or not at all with
 * TMALLOC_FALLBACK=fail, and a line says so.
 *
 * Children of vfork call these: nothing here allocates or takes a lock. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "elf.h"
#include "notice.h"
#include "settings.h"
#include "tmalloc.h"

#define PRELOAD "LD_PRELOAD="
#define SEPARATORS " :"
#define PATH_DEFAULT "/bin:/usr/bin" /* execvp(3) */
enum { INTERPRETERS_MOST = 5, PRELOAD_MOST = 4096 };

extern char **environ;

typedef char *const strings[];
typedef int spawner(pid_t *, const char *, const posix_spawn_file_actions_t *,
                    const posix_spawnattr_t *, strings, strings);

static struct {
  int (*execve)(const char *, strings, strings);
  int (*execvpe)(const char *, strings, strings);
  int (*fexecve)(int, strings, strings);
  spawner *posix_spawn, *posix_spawnp;
  const char *library; /* as it stands in LD_PRELOAD */
} known;

/* dlsym may allocate, and is no function for a child of vfork: so before main. */
__attribute__((constructor(101))) static void find_next(void) {
  Dl_info info;
  *(void **)&known.execve = dlsym(RTLD_NEXT, "execve");
  *(void **)&known.execvpe = dlsym(RTLD_NEXT, "execvpe");
  *(void **)&known.fexecve = dlsym(RTLD_NEXT, "fexecve");
  *(void **)&known.posix_spawn = dlsym(RTLD_NEXT, "posix_spawn");
  *(void **)&known.posix_spawnp = dlsym(RTLD_NEXT, "posix_spawnp");
  if (dladdr(&known, &info) != 0) known.library = info.dli_fname;
}

/* Another constructor may start programs, too. */
static void know(void) {
  if (known.execve == NULL) find_next();
}

/* Why a file, or what interprets it, does not run with the library; NULL: it does. */
static const char *obstacle_of(int fd) {
  char path[PATH_MAX];
  const char *obstacle = NULL;
  int error = errno;
  for (int i = 0; fd >= 0; i++) {
    obstacle = tm_elf_look(fd).obstacle;
    bool is_script = obstacle == NULL && i < INTERPRETERS_MOST &&
                     tm_script_interpreter(fd, path, sizeof path);
    close(fd);
    fd = is_script ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  }
  errno = error;
  return obstacle;
}

static const char *obstacle_at(int folder, const char *path) {
  int error = errno;
  int fd = openat(folder, path, O_RDONLY | O_CLOEXEC);
  errno = error;
  return fd < 0 ? NULL : obstacle_of(fd);
}

/* Says what happens. False: it is not to be started. */
static bool goes_on(const char *path, const char *obstacle) {
  const struct tm_settings *settings = tm_settings();
  bool fails = settings != NULL && settings->fail;
  tm_notice("tmalloc: ", path, " ", obstacle,
            fails ? ": it cannot ask, so it is not run (TMALLOC_FALLBACK=fail)"
                  : ": it will not ask",
            NULL);
  if (fails) errno = EACCES;
  return !fails;
}

static size_t count_of(strings list) {
  size_t count = 0;
  while (list != NULL && list[count] != NULL) count++;
  return count;
}

/* Copies LD_PRELOAD without this library. False when nothing else stands there. */
static bool copy_others(const char *list, char *to) {
  size_t length = 0, own = known.library == NULL ? 0 : strlen(known.library);
  for (list += strspn(list, SEPARATORS); *list != '\0'; list += strspn(list, SEPARATORS)) {
    size_t name = strcspn(list, SEPARATORS);
    bool is_own = name == own && strncmp(list, known.library, own) == 0;
    if (!is_own && length + name + sizeof PRELOAD + 1 < PRELOAD_MOST) {
      if (length == 0) length = (size_t)(stpcpy(to, PRELOAD) - to);
      else to[length++] = ':';
      memcpy(to + length, list, name);
      length += name;
    }
    list += name;
  }
  to[length] = '\0';
  return length != 0;
}

/* The environment without this library, in `to`, which has room for as much. */
static void copy_without(strings from, char **to, char *preload) {
  for (; from != NULL && *from != NULL; from++) {
    if (strncmp(*from, PRELOAD, sizeof PRELOAD - 1) != 0)
      *to++ = *from;
    else if (copy_others(*from + sizeof PRELOAD - 1, preload))
      *to++ = preload;
  }
  *to = NULL;
}

static int execveat_without(int folder, const char *path, strings argv, strings envp, int flags) {
  char *without[count_of(envp) + 1], preload[PRELOAD_MOST];
  copy_without(envp, without, preload);
  if (folder == AT_FDCWD && flags == 0) return (int)syscall(SYS_execve, path, argv, without);
  return (int)syscall(SYS_execveat, folder, path, argv, without, flags);
}

TMALLOC_API int execve(const char *path, strings argv, strings envp) {
  know();
  const char *obstacle = obstacle_at(AT_FDCWD, path);
  if (obstacle == NULL) return known.execve(path, argv, envp);
  return goes_on(path, obstacle) ? execveat_without(AT_FDCWD, path, argv, envp, 0) : -1;
}

TMALLOC_API int execv(const char *path, strings argv) { return execve(path, argv, environ); }

/* The file that execvp and its like will take. */
static const char *find(const char *name, char *path, size_t room) {
  if (strchr(name, '/') != NULL) return name;
  const char *folder = getenv("PATH");
  if (folder == NULL) folder = PATH_DEFAULT;
  int error = errno;
  const char *found = NULL;
  for (size_t name_length = strlen(name); found == NULL; folder++) {
    size_t length = strcspn(folder, ":");
    if (length + name_length + 2 <= room) {
      char *end = mempcpy(path, folder, length);
      if (length != 0) *end++ = '/';
      memcpy(end, name, name_length + 1);
      if (access(path, X_OK) == 0) found = path;
    }
    folder += length;
    if (*folder == '\0') break;
  }
  errno = error;
  return found == NULL ? name : found;
}

TMALLOC_API int execvpe(const char *name, strings argv, strings envp) {
  char room[PATH_MAX];
  know();
  const char *path = find(name, room, sizeof room);
  const char *obstacle = obstacle_at(AT_FDCWD, path);
  if (obstacle == NULL) return known.execvpe(name, argv, envp);
  return goes_on(path, obstacle) ? execveat_without(AT_FDCWD, path, argv, envp, 0) : -1;
}

TMALLOC_API int execvp(const char *name, strings argv) { return execvpe(name, argv, environ); }

TMALLOC_API int execveat(int folder, const char *path, strings argv, strings envp, int flags) {
  const char *obstacle = obstacle_at(folder, (flags & AT_EMPTY_PATH) && *path == '\0' ? "." : path);
  if (obstacle == NULL) return (int)syscall(SYS_execveat, folder, path, argv, envp, flags);
  return goes_on(path, obstacle) ? execveat_without(folder, path, argv, envp, flags) : -1;
}

TMALLOC_API int fexecve(int fd, strings argv, strings envp) {
  know();
  int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  const char *obstacle = obstacle_of(copy);
  if (obstacle == NULL) return known.fexecve(fd, argv, envp);
  const char *name = argv[0] != NULL ? argv[0] : "a program";
  return goes_on(name, obstacle) ? execveat_without(fd, "", argv, envp, AT_EMPTY_PATH) : -1;
}

static int spawn(spawner *next, pid_t *pid, const char *name, const char *path,
                 const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                 strings argv, strings envp) {
  const char *obstacle = obstacle_at(AT_FDCWD, path);
  if (obstacle == NULL) return next(pid, name, actions, attributes, argv, envp);
  int error = errno;
  bool is_refused = !goes_on(path, obstacle);
  errno = error;
  if (is_refused) return EACCES;
  char *without[count_of(envp) + 1], preload[PRELOAD_MOST];
  copy_without(envp, without, preload);
  return next(pid, name, actions, attributes, argv, without);
}

TMALLOC_API int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                            const posix_spawnattr_t *attributes, strings argv, strings envp) {
  know();
  return spawn(known.posix_spawn, pid, path, path, actions, attributes, argv, envp);
}

TMALLOC_API int posix_spawnp(pid_t *pid, const char *name,
                             const posix_spawn_file_actions_t *actions,
                             const posix_spawnattr_t *attributes, strings argv, strings envp) {
  char room[PATH_MAX];
  know();
  const char *path = find(name, room, sizeof room);
  return spawn(known.posix_spawnp, pid, name, path, actions, attributes, argv, envp);
}

/* Those that take their words one by one. */

static size_t count_words(va_list words) {
  va_list copy;
  va_copy(copy, words);
  size_t count = 1; /* the first one stands before the dots */
  while (va_arg(copy, char *) != NULL) count++;
  va_end(copy);
  return count;
}

static void collect(char **argv, const char *first, va_list words, size_t count) {
  argv[0] = (char *)first;
  for (size_t i = 1; i < count; i++) argv[i] = va_arg(words, char *);
  argv[count] = NULL;
}

TMALLOC_API int execl(const char *path, const char *first, ...) {
  va_list words;
  va_start(words, first);
  size_t count = count_words(words);
  char *argv[count + 1];
  collect(argv, first, words, count);
  va_end(words);
  return execve(path, argv, environ);
}

TMALLOC_API int execlp(const char *name, const char *first, ...) {
  va_list words;
  va_start(words, first);
  size_t count = count_words(words);
  char *argv[count + 1];
  collect(argv, first, words, count);
  va_end(words);
  return execvpe(name, argv, environ);
}

TMALLOC_API int execle(const char *path, const char *first, ...) {
  va_list words;
  va_start(words, first);
  size_t count = count_words(words);
  char *argv[count + 1];
  collect(argv, first, words, count);
  (void)va_arg(words, char *); /* the NULL behind the words */
  char *const *envp = va_arg(words, char *const *);
  va_end(words);
  return execve(path, argv, envp);
}
