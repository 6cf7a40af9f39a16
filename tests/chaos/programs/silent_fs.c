/* A file system that answers nothing but what a mount needs: whoever asks for a file waits for ever,
 * and cannot be killed, once the question has been read (fs/fuse/dev.c, request_wait_answer).
 *
 *     silent_fs FOLDER      as root; ends, and answers all by an error, with its input */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static int device;

static void answer(uint64_t unique, const void *body, size_t bytes) {
  char message[512];
  struct fuse_out_header head = {.len = (uint32_t)(sizeof head + bytes), .unique = unique};
  memcpy(message, &head, sizeof head);
  memcpy(message + sizeof head, body, bytes);
  if (write(device, message, head.len) < 0) perror("answer");
}

int main(int argc, char **argv) {
  char options[128];
  device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (argc != 2 || device < 0) return perror("/dev/fuse"), 1;
  snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", device);
  if (mount("silent", argv[1], "fuse", MS_NOSUID | MS_NODEV, options) != 0) return perror("mount"), 1;
  puts("here");
  fflush(stdout);
  static char request[1 << 17];
  struct pollfd fds[2] = {{.fd = device, .events = POLLIN}, {.fd = STDIN_FILENO, .events = POLLIN}};
  while (poll(fds, 2, -1) > 0) {
    if (fds[1].revents != 0) break;
    if (read(device, request, sizeof request) < 0) break;
    const struct fuse_in_header *head = (const struct fuse_in_header *)request;
    if (head->opcode == FUSE_INIT) {
      const struct fuse_init_in *in = (const struct fuse_init_in *)(head + 1);
      struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION, .minor = in->minor,
                                  .max_write = 1 << 16};
      if (out.minor > FUSE_KERNEL_MINOR_VERSION) out.minor = FUSE_KERNEL_MINOR_VERSION;
      answer(head->unique, &out, sizeof out);
    } else if (head->opcode == FUSE_GETATTR && head->nodeid == FUSE_ROOT_ID) {
      struct fuse_attr_out out = {.attr_valid = 3600,
                                  .attr = {.ino = 1, .mode = S_IFDIR | 0755, .nlink = 2}};
      answer(head->unique, &out, sizeof out);
    } else if (head->opcode == FUSE_LOOKUP) {
      puts("asked");
      fflush(stdout);
    }
  }
  umount2(argv[1], MNT_DETACH);
  return 0;
}
