/* One connected socket, and whether it is still the one that we opened. */
#ifndef TM_LINK_H
#define TM_LINK_H

#include <stdbool.h>
#include <sys/types.h>

#include "protocol.h"

struct tm_link {
  int fd; /* -1: none */
  dev_t device;
  ino_t inode;
};

#define TM_NO_LINK ((struct tm_link){.fd = -1})

enum tm_received { TM_GOT_REPLY, TM_GOT_NOTHING, TM_GOT_LOSS };

/* Connects to the socket at `path`. False with errno when that fails. */
bool tm_link_open(struct tm_link *link, const char *path);

/* Whether the descriptor is still our socket: programs close descriptors that are not theirs. */
bool tm_link_is_ours(const struct tm_link *link);

bool tm_link_send(const struct tm_link *link, const struct tm_request *request);

/* Never waits. A full socket is no loss, but the message is not sent. */
bool tm_link_send_now(const struct tm_link *link, const struct tm_request *request);

/* Waits for a quarter of a second at most, then there is nothing. */
enum tm_received tm_link_receive(const struct tm_link *link, struct tm_reply *reply);

/* Wakes who receives on it. */
void tm_link_shut(const struct tm_link *link);

void tm_link_close(struct tm_link *link);

#endif
