/* Messages of the tmalloc protocol, version 1: see docs/tmalloc-protocol.md. */
#ifndef TM_PROTOCOL_H
#define TM_PROTOCOL_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "the protocol is little-endian, and nothing here swaps bytes"
#endif

enum { TM_VERSION = 1, TM_REPLY = 0x8000 };

enum tm_type {
  TM_RESERVE = 1,
  TM_RELEASE = 2,
  TM_QUERY = 3,
  TM_CLAIM = 4,
  TM_WAIT = 5,
  TM_DECLARE = 6,
  TM_FORK = 7,
};

enum { TM_NO_REPLY = 1 };                /* flags of a request */
enum { TM_UNLIMITED = 1, TM_NEVER = 2, TM_USAGE = 4 }; /* flags of a reply */

#define TM_NO_LIMIT UINT64_MAX

struct tm_request {
  uint16_t version;
  uint16_t type;
  uint32_t id;
  uint64_t bytes;
  uint32_t timeout_ms;
  uint32_t flags;
  uint64_t min_bytes;
};

struct tm_reply {
  uint16_t version;
  uint16_t type;
  uint32_t id;
  int32_t status;
  uint32_t flags;
  uint64_t bytes;
  uint64_t level_bytes;
  uint64_t resident_bytes;
  uint64_t committed_bytes;
  uint64_t hard_bytes;
  uint64_t claim_bytes;
};

static_assert(sizeof(struct tm_request) == 32, "a request is 32 bytes");
static_assert(offsetof(struct tm_request, bytes) == 8, "request.bytes");
static_assert(offsetof(struct tm_request, timeout_ms) == 16, "request.timeoutMs");
static_assert(offsetof(struct tm_request, min_bytes) == 24, "request.minBytes");
static_assert(sizeof(struct tm_reply) == 64, "a reply is 64 bytes");
static_assert(offsetof(struct tm_reply, status) == 8, "reply.status");
static_assert(offsetof(struct tm_reply, bytes) == 16, "reply.bytes");
static_assert(offsetof(struct tm_reply, claim_bytes) == 56, "reply.claimBytes");

#endif
