#include "exec_library.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "elf.h"
#include "exec_options.h"

#define LIBRARY "libtmalloc-preload.so"
#define HOW_TO_GET_IT                                                                      \
  "build it with make -C tmalloc, install it with make -C tmalloc install, or name it with " \
  "--preload"

/* Where Debian keeps the libraries of this machine; elsewhere there is no such folder. */
#if defined __aarch64__
#define TRIPLET "aarch64-linux-gnu"
#else
#define TRIPLET "x86_64-linux-gnu"
#endif

/* ld.so(8): blanks and colons part the paths in LD_PRELOAD, $ORIGIN and the like are replaced, and
 * nothing keeps it from doing so. */
static const char SEPARATORS[] = " :$";

static bool is_file(const char *path) {
  struct stat status;
  return stat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* Beside toom-exec, and where the Makefile installs it. */
static bool find_in_places(char *path, size_t room) {
  static const char *const besides[] = {LIBRARY, "../lib/" LIBRARY, "../lib/" TRIPLET "/" LIBRARY};
  static const char *const folders[] = {"/usr/local/lib", "/usr/lib", "/usr/lib64",
                                        "/usr/lib/" TRIPLET};
  char program[PATH_MAX];
  ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  for (size_t i = 0; length > 0 && i < sizeof besides / sizeof *besides; i++) {
    program[length] = '\0';
    snprintf(path, room, "%.*s%s", (int)(strrchr(program, '/') + 1 - program), program, besides[i]);
    if (is_file(path)) return true;
  }
  for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
    snprintf(path, room, "%s/" LIBRARY, folders[i]);
    if (is_file(path)) return true;
  }
  return false;
}

/* ld.so would say that it cannot load it, and start the program without. */
static void check_library(const char *path) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) exec_die(EXIT_UNSUPPORTED, "cannot read %s: %s", path, strerror(errno));
  struct tm_elf library = tm_elf_look(fd);
  close(fd);
  if (!library.is_library)
    exec_die(EXIT_UNSUPPORTED, "%s is no library of this machine: " HOW_TO_GET_IT, path);
}

/* A folder of ours that everybody may enter and nobody else can change. The program may become
 * another user's on its way, so it must not be closed. */
static bool make_folder(char *folder, size_t room) {
  uid_t uid = geteuid();
  struct stat status;
  if (uid == 0)
    snprintf(folder, room, "/run/toom-exec");
  else
    snprintf(folder, room, "/tmp/toom-exec-%u", (unsigned)uid);
  if (mkdir(folder, 0755) == 0 && chmod(folder, 0755) != 0) return false;
  return lstat(folder, &status) == 0 && S_ISDIR(status.st_mode) && status.st_uid == uid &&
         (status.st_mode & 022) == 0;
}

/* A name for the library that is the same each time: FNV-1a of its path. */
static uint64_t hash_of(const char *text) {
  uint64_t hash = UINT64_C(14695981039346656037);
  for (; *text != '\0'; text++) hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
  return hash;
}

static bool points_to(const char *link, const char *target) {
  char found[PATH_MAX];
  ssize_t length = readlink(link, found, sizeof found - 1);
  if (length < 0) return false;
  found[length] = '\0';
  return strcmp(found, target) == 0;
}

/* A symbolic link to the library whose own path has no separators. */
static const char *link_to(const char *library) {
  static char path[128];
  char folder[64], fresh[sizeof path + 32];
  if (make_folder(folder, sizeof folder)) {
    snprintf(path, sizeof path, "%s/%016llx.so", folder, (unsigned long long)hash_of(library));
    if (points_to(path, library)) return path;
    snprintf(fresh, sizeof fresh, "%s.%d", path, (int)getpid());
    if (symlink(library, fresh) == 0 && rename(fresh, path) == 0) return path;
  }
  exec_die(EXIT_UNSUPPORTED,
           "ld.so cannot load \"%s\", because of a blank, a colon or a $ in its path, and no link "
           "to it can be made in %s: name a copy elsewhere with --preload",
           library, folder);
}

const char *exec_library_path(const char *given) {
  static char path[PATH_MAX];
  char candidate[PATH_MAX + sizeof LIBRARY + 16];
  if (given != NULL && !is_file(given))
    exec_die(EXIT_UNSUPPORTED, "there is no %s: " HOW_TO_GET_IT, given);
  if (given == NULL && !find_in_places(candidate, sizeof candidate))
    exec_die(EXIT_UNSUPPORTED, LIBRARY " is not installed: " HOW_TO_GET_IT);
  if (realpath(given != NULL ? given : candidate, path) == NULL)
    exec_die(EXIT_UNSUPPORTED, "cannot find %s: %s", given, strerror(errno));
  check_library(path);
  return strpbrk(path, SEPARATORS) == NULL ? path : link_to(path);
}
