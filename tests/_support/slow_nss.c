/* A name service module that is slow: libnss_slow.so.2, for nsswitch.conf(5) as "passwd: files slow".
 * uid 60340 takes half a minute and has no name, uid 60341 half a second and is "slowly". Tells in
 * the file that SLOW_NSS_ASKED names that it was asked. */
#include <errno.h>
#include <fcntl.h>
#include <nss.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void nap(double seconds) {
  struct timespec left = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
  while (nanosleep(&left, &left) != 0) {}
}

enum nss_status _nss_slow_getpwuid_r(uid_t uid, struct passwd *entry, char *buffer, size_t bytes,
                                     int *error) {
  const char *told = getenv("SLOW_NSS_ASKED");
  int fd = told == NULL ? -1 : open(told, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd >= 0) {
    const char line[] = "asked\n";
    if (write(fd, line, sizeof line - 1) < 0) *error = errno;
    close(fd);
  }
  *error = ENOENT;
  if (uid == 60340) nap(30);
  if (uid != 60341) return NSS_STATUS_NOTFOUND;
  nap(0.5);
  if (bytes < 8) {
    *error = ERANGE;
    return NSS_STATUS_TRYAGAIN;
  }
  char *empty = strcpy(buffer, "slowly") + 6;
  *entry = (struct passwd){buffer, empty, uid, uid, empty, empty, empty};
  return NSS_STATUS_SUCCESS;
}
