/* Address space for the heap, in units of 64 KiB, out of large areas. Only addresses are handed out
 * here: pages are charged by who touches them. */
#ifndef TM_PAGES_H
#define TM_PAGES_H

#include <stdbool.h>
#include <stddef.h>

#define TM_UNIT ((size_t)64 << 10)
#define TM_UNITS_MOST 16 /* in one run */

/* A run of `count` units, aligned to a unit, whose pages are not resident and read as zeros. NULL
 * when the address space, or the page that describes a new area, is refused. */
void *tm_units_take(size_t count);

/* Takes a run back; its pages have been given back to the kernel. */
void tm_units_give(void *run, size_t count);

/* Bytes charged for the descriptions of areas. */
size_t tm_units_overhead(void);

/* Around fork. */
void tm_units_lock(void);
void tm_units_unlock(void);

#endif
