/* Spans that became empty and are kept with their pages, for who frees and allocates in turns. */
#ifndef TM_KEPT_H
#define TM_KEPT_H

#include <stddef.h>

#include "span.h"

/* A kept span of so many units, or NULL. Its header says what of it is charged; its pages are not
 * zeros. */
struct tm_span *tm_kept_take(size_t units);

/* Keeps the span, or gives it back to the kernel. */
void tm_kept_give(struct tm_span *span, size_t units);

/* Gives all kept spans back to the kernel. */
void tm_kept_reclaim(void);

/* Bytes charged for kept spans. */
size_t tm_kept_charged(void);

/* Around fork. */
void tm_kept_lock(void);
void tm_kept_unlock(void);

#endif
