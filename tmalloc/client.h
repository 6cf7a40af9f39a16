/* The connection to the coordinator. */
#ifndef TM_CLIENT_H
#define TM_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "protocol.h"

/* Sends a request and waits for its reply. Connects, and connects again after a loss, where that
 * is necessary. False when no coordinator answers. */
bool tm_client_ask(const struct tm_request *request, struct tm_reply *reply);

/* Gives `bytes` of the level back without waiting for anything. False when that cannot be done
 * now; without a coordinator it is only noted. */
bool tm_client_release(uint64_t bytes);

/* Without a coordinator: notes that the process took `bytes` on its own, to be declared later. */
void tm_client_note(uint64_t bytes);

/* Remembers the claim (a level), to be declared again after a reconnect. */
void tm_client_remember_claim(uint64_t level);

/* Around fork: all state is consistent between lock and unlock. In the child, `unused` is what of
 * the level was not in use and is therefore not inherited. */
void tm_client_lock(void);
void tm_client_unlock(void);
void tm_client_renew_lock(void); /* in a child whose parent's threads may hold it */
void tm_client_child(uint64_t unused);

#endif
