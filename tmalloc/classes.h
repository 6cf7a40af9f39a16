/* Sizes of small blocks: steps of 16 bytes up to 128, then four sizes for each doubling. */
#ifndef TM_CLASSES_H
#define TM_CLASSES_H

#include <stddef.h>
#include <stdint.h>

#define TM_SMALL_MOST ((size_t)32 << 10)
enum { TM_CLASSES = 40 };

/* The class of the smallest blocks that hold `size` bytes, which is at most TM_SMALL_MOST. */
static inline unsigned tm_class_of(size_t size) {
  if (size <= 128) return size == 0 ? 0 : (unsigned)((size - 1) / 16);
  unsigned doubling = 63 - (unsigned)__builtin_clzll(size - 1); /* 2^doubling < size */
  unsigned quarter = (unsigned)((size - 1) >> (doubling - 2)) & 3;
  return 8 + (doubling - 7) * 4 + quarter;
}

static inline size_t tm_class_size(unsigned class) {
  if (class < 8) return (class + 1) * (size_t)16;
  unsigned doubling = 7 + (class - 8) / 4;
  return ((size_t)1 << doubling) + ((class - 8) % 4 + 1) * ((size_t)1 << (doubling - 2));
}

#endif
