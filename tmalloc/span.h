/* What lies at the start of each 64 KiB where blocks are: a slab of blocks of one size, or the one
 * large block that begins there. A block's span is found from the block's address alone. */
#ifndef TM_SPAN_H
#define TM_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pages.h"
#include "sys.h"

enum tm_kind { TM_SLAB = 0x7a31, TM_RUN, TM_MAP, TM_KEPT };

struct tm_span {
  uint32_t kind;
  uint32_t class;     /* slab: which size */
  size_t charged;     /* bytes from the span's start that may be resident */
  size_t length;      /* run, map: bytes of addresses */
  char *block;        /* run, map: the block */
  bool is_fresh;      /* slab: the pages of blocks that were never used are zeros */
  uint32_t used;      /* slab: blocks in use */
  uint32_t touched;   /* slab: blocks that were ever used; those after them come next */
  void *free;         /* slab: blocks that were used and are free */
  struct tm_span *next, *previous;
};

#define TM_SPAN_HEADER ((size_t)128) /* keeps blocks aligned */
_Static_assert(sizeof(struct tm_span) <= TM_SPAN_HEADER, "a span's header has its place");

/* A block never begins at its span's start. One that is aligned to 64 KiB lies a unit after it. */
static inline struct tm_span *tm_span_of(const void *block) {
  return (struct tm_span *)(((uintptr_t)block - 1) & ~(TM_UNIT - 1));
}

#endif
