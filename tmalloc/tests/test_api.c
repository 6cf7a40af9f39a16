/* Blocks: alignment, zeros, contents, sizes, refusals. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../classes.h"
#include "../heap.h"
#include "../tmalloc.h"
#include "testing.h"

static void classes_cover_all_sizes(void) {
  for (size_t size = 0; size <= TM_SMALL_MOST; size++) {
    unsigned class = tm_class_of(size);
    CHECK(class < TM_CLASSES && tm_class_size(class) >= size);
    CHECK(class == 0 || tm_class_size(class - 1) < size);
    CHECK(tm_class_size(class) % 16 == 0);
  }
  CHECK(tm_class_size(TM_CLASSES - 1) == TM_SMALL_MOST);
}

static void blocks_are_aligned_and_usable(void) {
  for (size_t size = 0; size < 3 * MIB; size += 1 + size / 7) {
    unsigned char *block = tmalloc(size);
    CHECK(block != NULL && (uintptr_t)block % 16 == 0);
    CHECK(tmalloc_usable_size(block) >= size);
    memset(block, 0xa5, tmalloc_usable_size(block));
    tfree(block);
  }
  CHECK(tmalloc_usable_size(NULL) == 0);
  tfree(NULL);
}

static void alignments_up_to_a_mebibyte(void) {
  for (size_t alignment = 8; alignment <= MIB; alignment *= 2)
    for (size_t size = 1; size < 3 * MIB; size = size * 5 + 3) {
      char *block = tm_heap_take_aligned(alignment, size);
      CHECK(block != NULL && (uintptr_t)block % alignment == 0);
      CHECK(tmalloc_usable_size(block) >= size);
      memset(block, 1, size);
      block = trealloc(block, size + 5000);
      CHECK(block != NULL && block[0] == 1 && block[size - 1] == 1);
      tfree(block);
    }
}

static bool is_zero(const char *block, size_t size) {
  return size == 0 || (block[0] == 0 && memcmp(block, block + 1, size - 1) == 0);
}

static void tcalloc_gives_zeros(void) {
  for (int round = 0; round < 3; round++)
    for (size_t size = 1; size < 2 * MIB; size = size * 3 / 2 + 1) {
      char *first = tcalloc(1, size), *second = tcalloc(size, 1);
      CHECK(first != NULL && second != NULL && is_zero(first, size) && is_zero(second, size));
      memset(first, 0xff, size);
      memset(second, 0xff, size);
      tfree(first);
      tfree(second);
    }
}

static void tcalloc_does_not_touch_fresh_pages(void) {
  enum { COUNT = 200 };
  size_t before = resident_now();
  CHECK(tcalloc(20, MIB) != NULL);
  for (int i = 0; i < COUNT; i++) CHECK(tcalloc(1, 20 * KIB) != NULL); /* a page each, headers */
  CHECK_MOST(resident_now() - before, 2 * MIB);
}

static void too_large_is_refused(void) {
  /* Volatile, lest the compiler sees what is coming. */
  volatile size_t huge = SIZE_MAX;
  errno = 0;
  CHECK(tcalloc(huge / 2, 3) == NULL && errno == ENOMEM);
  errno = 0;
  CHECK(tmalloc(huge) == NULL && errno == ENOMEM);
  CHECK(tmalloc(huge - 100) == NULL && tmalloc(huge / 2 - 100) == NULL);
  CHECK(tcalloc(huge, huge) == NULL);
  char *block = tmalloc(10);
  errno = 0;
  CHECK(trealloc(block, huge) == NULL && errno == ENOMEM);
  tfree(block);
}

static void fill(unsigned char *block, size_t from, size_t to) {
  for (size_t i = from; i < to; i++) block[i] = (unsigned char)(i * 31 + i / 251);
}

static bool is_filled(const unsigned char *block, size_t size) {
  for (size_t i = 0; i < size; i++)
    if (block[i] != (unsigned char)(i * 31 + i / 251)) return false;
  return true;
}

static void trealloc_keeps_contents(void) {
  unsigned state = 7;
  unsigned char *block = NULL, *other = tmalloc(100);
  size_t size = 0;
  for (int i = 0; i < 400; i++) {
    size_t most = (size_t)1 << (4 + next_random(&state) % 19); /* to 4 MiB */
    size_t next = 1 + next_random(&state) % most;
    block = trealloc(block, next);
    CHECK(block != NULL && tmalloc_usable_size(block) >= next);
    CHECK(is_filled(block, size < next ? size : next));
    fill(block, size < next ? size : next, next);
    size = next;
    if (i % 3 == 0) other = trealloc(other, 1 + next_random(&state) % (200 * KIB));
  }
  tfree(other);
  CHECK(trealloc(block, 0) == NULL);
}

static void refused_trealloc_keeps_the_block(void) {
  for (size_t size = 100; size <= 10 * MIB; size *= 10) {
    unsigned char *block = tmalloc(size);
    fill(block, 0, size);
    errno = 0;
    CHECK(trealloc(block, 100 * MIB) == NULL && errno == ENOMEM);
    CHECK(is_filled(block, size));
    tfree(block);
  }
}

static void shrinking_never_fails(void) {
  unsigned char *block = tmalloc(4 * MIB);
  fill(block, 0, 4 * MIB);
  tmalloc_trim();
  daemon_control->mode = MODE_REFUSE;
  for (size_t size = 4 * MIB; size > 0; size /= 2) {
    block = trealloc(block, size);
    CHECK(block != NULL && is_filled(block, size));
  }
}

static void tfree_leaves_errno_alone(void) {
  for (size_t size = 1; size < 40 * MIB; size *= 3) {
    void *block = tmalloc(size);
    errno = 4711;
    tfree(block);
    CHECK(errno == 4711);
    block = tmalloc(size);
    CHECK(errno == 4711);
    tfree(block);
  }
}

int main(int argc, char **argv) {
  const struct test tests[] = {
      TEST(classes_cover_all_sizes),
      TEST(blocks_are_aligned_and_usable),
      TEST(alignments_up_to_a_mebibyte),
      TEST(tcalloc_gives_zeros),
      TEST(tcalloc_does_not_touch_fresh_pages),
      TEST(too_large_is_refused),
      TEST(trealloc_keeps_contents),
      TEST(refused_trealloc_keeps_the_block),
      TEST(shrinking_never_fails),
      TEST(tfree_leaves_errno_alone),
  };
  return run_tests(tests, sizeof tests / sizeof *tests, argc > 1 ? argv[1] : NULL);
}
